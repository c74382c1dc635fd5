"""The signals that ask a process to end in order."""

import signal
from collections.abc import Callable
from types import FrameType

ASKING_TO_END = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class told_by_signals:  # noqa: N801 - used as a function
    """SIGINT, SIGTERM and a closed terminal window ask the loop to end in order; what was in force before comes back afterwards."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handler = handler

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._handler) for number in ASKING_TO_END}

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
