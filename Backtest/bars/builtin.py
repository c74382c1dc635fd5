"""The prices that backtesting.py ships, so that everything can be tried without a file or a broker."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from Backtest.bars.timeframes import TIMEFRAMES, Timeframe
from Backtest.errors import BadInput

BUILTIN: Mapping[str, Timeframe] = MappingProxyType({"EURUSD": TIMEFRAMES["H1"], "GOOG": TIMEFRAMES["D1"], "BTCUSD": TIMEFRAMES["MN1"]})
"""Their symbols and timeframes: 5,000 hours of 2017, nine years of days, twelve years of months."""


def builtin_prices(symbol: str) -> pd.DataFrame:
    """A copy of the frame of this symbol, as backtesting.py has it (BTCUSD's months are named by their last day).

    Raises BadInput for any other symbol.
    """
    if symbol not in BUILTIN:
        raise BadInput(f"backtesting.py ships no prices of {symbol}, only {', '.join(BUILTIN)}; name a price file (--data FILE)")
    from backtesting import test  # it reads three files when it is imported

    frame: pd.DataFrame = getattr(test, symbol)
    return frame.astype("float64")
