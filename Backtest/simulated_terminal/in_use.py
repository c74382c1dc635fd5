"""The one terminal that the package's module functions talk to: as the real module, one connection per process."""

import time
from typing import Any

from Backtest.simulated_terminal.constants import SYMBOL_TRADE_EXECUTION_INSTANT
from Backtest.simulated_terminal.running_market import Wanted, open_terminal
from Backtest.simulated_terminal.terminal import SimulatedTerminal

_terminal: Any = None


def use(terminal: Any) -> None:
    """Let the module's functions be those of `terminal` (or of anything with its methods); None: of a new default one."""
    global _terminal  # noqa: PLW0603 - the real module has one connection per process, too
    _terminal = terminal


def current() -> Any:
    """The terminal in use; the default one where none was named."""
    if _terminal is None:
        use(default_terminal())
    return _terminal


def default_terminal() -> SimulatedTerminal:
    """A retail account on the symbols in the box, whose market goes on in real time: it is where the machine's clock is.

    The prices of EURUSD are recorded ones of 2017, moved to now; those of the other symbols, and all before, are synthetic,
    as the symbols' descriptions say. There is history since 2018, by the hour until some weeks ago, and there are days to
    come. A program can be tried on any day: on one without trading, the prices are those of a weekday. Orders are executed
    instantly, as on the demo server of MetaTrader's documentation: its programs ask for fillings that market execution does
    not know.
    """
    wanted = Wanted(always_open=True, execution=SYMBOL_TRADE_EXECUTION_INSTANT)
    return open_terminal(wanted, time.time(), time.monotonic)
