"""The time seam: the only module of `Live` that reads the machine's clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


def _never() -> bool:
    return False


real_sleep = time.sleep  # for a replay that is to take real time: see `SIM_SPEED`


class Clock(Protocol):
    """What the loop knows of time. In a replay it is the simulated terminal's own clock."""

    def now(self) -> datetime:
        """The time, aware, UTC."""

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = _never) -> None:
        """Wait for `seconds`, or until `interrupted()`, which is asked at least four times a real second."""


class SystemClock:
    """The machine's clock."""

    SLICE = 0.2  # seconds: the kill switch must be looked at four times a second

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = _never) -> None:
        # monotonic: a step of the machine's clock must not stretch or cut the wait
        end = time.monotonic() + seconds
        while not interrupted() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.SLICE))
