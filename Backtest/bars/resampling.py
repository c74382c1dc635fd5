"""Which timeframe a price frame has, and longer bars made from shorter ones."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.bars.checks import Values
from Backtest.bars.timeframes import DAY, MONTH, TIMEFRAMES, Epochs, Timeframe
from Backtest.errors import BadInput

# What a longer bar has of its shorter ones; any other column: its last value. A bar's spread is the smallest one of its
# time, as in the bars that MetaTrader keeps.
_FIRST, _SUMS, _HIGHEST, _LOWEST = ("Open",), ("Volume", "RealVolume"), ("High",), ("Low", "Spread")


def timeframe_of(frame: pd.DataFrame) -> Timeframe:
    """The timeframe of a price frame, from the step that is most frequent between its bars.

    Raises BadInput for fewer than two bars, and for a step that is none of MetaTrader's.
    """
    if len(frame) < 2:
        raise BadInput(f"{len(frame)} bars are too few to tell their timeframe: at least 2 are needed")
    steps, counts = np.unique(np.diff(epochs_of(frame)), return_counts=True)
    seconds = int(steps[counts.argmax()])
    if 28 * DAY <= seconds <= 31 * DAY:
        return TIMEFRAMES["MN1"]
    for each in TIMEFRAMES.values():
        if each.seconds == seconds:
            return each
    raise BadInput(f"the bars are {seconds} seconds apart, which is none of MetaTrader's timeframes ({', '.join(TIMEFRAMES)})")


def resample(frame: pd.DataFrame, to: Timeframe) -> pd.DataFrame:
    """Longer bars, each named by its open as MetaTrader does; times without a shorter bar have no longer one.

    The last bar is what is known of it, if the data end inside it. Raises BadInput unless `to` is a whole multiple of
    the timeframe that the frame has.
    """
    if frame.empty:
        return frame.copy()
    if len(frame) > 1:
        _require_multiple(timeframe_of(frame), to)
    opens = to.floors(epochs_of(frame))
    starts = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    columns = {str(name): _merged(str(name), frame[name].to_numpy(), starts) for name in frame.columns}
    index = pd.DatetimeIndex(opens[starts].astype("datetime64[s]")).as_unit("us")
    return pd.DataFrame(columns, index=index)


def epochs_of(frame: pd.DataFrame) -> Epochs:
    """The frame's times as whole seconds since 1970 on its own clock."""
    return frame.index.to_numpy().astype("datetime64[s]").astype("int64")


def _require_multiple(have: Timeframe, to: Timeframe) -> None:
    if to.seconds < have.seconds:
        raise BadInput(f"{to} bars cannot be made from {have} bars: the data are coarser; use {have} or longer")
    days_of_a_month = have.seconds <= DAY or have is to
    if to.seconds % have.seconds or (to.seconds == MONTH and not days_of_a_month):
        raise BadInput(f"{to} bars cannot be made from {have} bars: they do not begin together; use a multiple of {have}")


def _merged(name: str, values: Values, starts: npt.NDArray[np.intp]) -> Values:
    if name in _FIRST:
        return values[starts]
    merge = np.add if name in _SUMS else np.maximum if name in _HIGHEST else np.minimum if name in _LOWEST else None
    merged: Values = merge.reduceat(values, starts) if merge else values[np.append(starts[1:], len(values)) - 1]
    return merged
