"""How a command ends: its exit code, and one sentence on stderr for each mistake."""

import sys
from collections.abc import Callable

from Backtest.errors import BadInput
from Live.errors import LiveError

INTERRUPTED = 130
MISTAKEN = 2


def exit_code_of(command: Callable[[], int]) -> int:
    """The exit code of a command; what people did wrong is told in sentences, never as a traceback."""
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BadInput as error:
        return _complain(error.mistakes, MISTAKEN)
    except LiveError as error:
        return _complain(getattr(error, "mistakes", (str(error),)), error.exit_code)


def _complain(mistakes: tuple[str, ...], code: int) -> int:
    for mistake in mistakes:
        sys.stderr.write(f"error: {mistake}\n")
    return code
