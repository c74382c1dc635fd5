"""Longer bars as bars of a minute, for a market that goes on in real time (pure)."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.bars import is_ticks, timeframe_of
from Backtest.simulated_terminal.symbols import digits_of

_LONGEST = 240  # minutes: longer bars do not tell at which time of the day anything was
Values = npt.NDArray[np.float64]


def by_the_minute(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars of up to four hours as bars of a minute, so that there is a new quote every minute; other prices as they are.

    From the open the price goes straight to the extreme that is nearer, to the other one, and to the close; the file does
    not say how it went [I]. The minutes make up the same longer bars.
    """
    if is_ticks(frame) or not 1 < (minutes := timeframe_of(frame).seconds // 60) <= _LONGEST:
        return frame
    bars = {name: frame[name].to_numpy(dtype="float64") for name in ("Open", "High", "Low", "Close")}
    low_first = np.abs(bars["Open"] - bars["Low"]) <= np.abs(bars["High"] - bars["Open"])
    corners = [bars["Open"], np.where(low_first, bars["Low"], bars["High"]), np.where(low_first, bars["High"], bars["Low"]), bars["Close"]]
    ends = np.linspace(0, 3, minutes + 1)
    path = np.column_stack([_between(corners, place) for place in ends]).round(digits_of(frame))
    # an extreme lies at the end of a third: where no minute ends there, the one that passes it has it
    turn = np.minimum(np.searchsorted(ends, (1, 2)) - 1, minutes - 1)
    opens, closes = path[:, :-1], path[:, 1:]
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    for corner, minute in zip(corners[1:3], turn, strict=True):
        highs[:, minute], lows[:, minute] = np.maximum(highs[:, minute], corner), np.minimum(lows[:, minute], corner)
    index = (frame.index.to_numpy()[:, None] + (np.arange(minutes) * np.timedelta64(60, "s"))).ravel()
    fine = {"Open": opens, "High": highs, "Low": lows, "Close": closes, "Volume": _parts(frame["Volume"].to_numpy(), minutes)}
    columns = {name: values.ravel() for name, values in fine.items()}
    if "Spread" in frame:
        columns["Spread"] = np.repeat(frame["Spread"].to_numpy(), minutes)
    return pd.DataFrame(columns, index=pd.DatetimeIndex(index))


def _between(corners: list[Values], place: float) -> Values:
    """The price so far along the path: 0 is the first corner, 1 the second."""
    first = min(int(place), len(corners) - 2)
    return corners[first] + (corners[first + 1] - corners[first]) * (place - first)


def _parts(volumes: Values, minutes: int) -> Values:
    """Each volume in so many whole parts that make it up."""
    steps = np.floor(np.outer(volumes, np.arange(minutes + 1) / minutes))
    return np.diff(steps, axis=1)
