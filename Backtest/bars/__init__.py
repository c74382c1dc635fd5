"""What a price frame is, and where it comes from.

A price frame has the float64 columns Open, High, Low, Close and Volume (Spread in points where it is known, and whatever
else its file holds), one row per closed bar, named by its open on a naive DatetimeIndex: the broker's clock, as the
backtest had it. A tick frame (`ticks`) has Bid and Ask instead, one row per tick.
"""

from Backtest.bars.builtin import BUILTIN, builtin_prices
from Backtest.bars.checks import check_prices
from Backtest.bars.files import read_prices
from Backtest.bars.fingerprints import fingerprint
from Backtest.bars.resampling import resample, timeframe_of
from Backtest.bars.ticks import check_ticks, is_ticks, read_bars_or_ticks, read_ticks
from Backtest.bars.timeframes import TIMEFRAMES, Timeframe, timeframe

__all__ = [
    "BUILTIN",
    "TIMEFRAMES",
    "Timeframe",
    "builtin_prices",
    "check_prices",
    "check_ticks",
    "fingerprint",
    "is_ticks",
    "read_bars_or_ticks",
    "read_prices",
    "read_ticks",
    "resample",
    "timeframe",
    "timeframe_of",
]
