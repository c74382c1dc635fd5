"""The one terminal that the package's module functions talk to: as the real module, one connection per process."""

from datetime import UTC
from typing import Any

import pandas as pd

from Backtest.bars import BUILTIN, builtin_prices
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.simulated_terminal.replay import ReplayMarket
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
    """A retail account on the prices that backtesting.py ships, standing still at the last bar of EURUSD."""
    frames = {name: builtin_prices(name) for name in BUILTIN}
    prices = {name: (retail_symbol(name, frame), frame) for name, frame in frames.items()}
    last: pd.Timestamp = frames["EURUSD"].index[-1]
    return SimulatedTerminal(ReplayMarket(prices, start=last.to_pydatetime().replace(tzinfo=UTC)))
