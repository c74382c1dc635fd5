"""Bars of any timeframe, and ticks, out of a series of bars: what `copy_rates_*` and `copy_ticks_*` answer (pure)."""

from typing import Any

import numpy as np

from Backtest.bars import Timeframe
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.market import RATES, Array, Series
from Backtest.simulated_terminal.unfolding import MOMENTS_MSC, Bar, known

TICKS = np.dtype(
    [
        ("time", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("last", "<f8"),
        ("volume", "<u8"),
        ("time_msc", "<i8"),
        ("flags", "<u4"),
        ("volume_real", "<f8"),
    ]
)


class Rates:
    """One series seen in one timeframe, at any moment. Positions count from the oldest bar."""

    def __init__(self, series: Series, timeframe: Timeframe) -> None:
        self._series = series
        base = series.rates
        if timeframe == series.timeframe:  # as the file has them: also where its labels are not those of MetaTrader
            self._starts, self._whole = np.arange(len(base)), base
        else:
            opens = timeframe.floors(base["time"])
            self._starts = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
            self._whole = _merged(base, self._starts, opens)
        self.times: Array = self._whole["time"]

    def count_at(self, now_msc: int) -> int:
        """How many bars there are, with the forming one."""
        return int(self._starts.searchsorted(self._series.index_at(now_msc), side="right"))

    def between(self, first: int, end: int, now_msc: int) -> Array:
        """The bars from position `first` to before `end`, as they are known at that moment; read only."""
        bars = self._whole[first:end].copy()
        if len(bars) and end == self.count_at(now_msc):
            bars[-1] = self._forming(end - 1, now_msc)
        bars.flags.writeable = False
        return bars

    def row(self, position: int, now_msc: int) -> Any:
        """One bar, as it is known at that moment."""
        return self.between(position, position + 1, now_msc)[0]

    def _forming(self, position: int, now_msc: int) -> Any:
        index, bar = self._series.index_at(now_msc), self._series.bar_at(now_msc)
        assert bar is not None  # there is a forming bar, or nobody asks
        if self._whole is self._series.rates:
            return _row(bar)
        parts = self._series.rates[self._starts[position] : index + 1].copy()
        parts[-1] = _row(bar)
        merged = _merged(parts, np.array([0]), parts["time"])[0]
        merged["time"] = self._whole["time"][position]
        return merged


def ticks_of(series: Series) -> Array:
    """Every tick that the replay ever shows: one for each moment of each bar."""
    rows = []
    for index in range(len(series.epochs)):
        whole = series.whole(index)
        for offset in MOMENTS_MSC:
            bar = known(whole, offset)
            ask = series.ask(bar.close, bar.spread)
            rows.append((bar.time, bar.close, ask, 0.0, 0, bar.time * 1000 + offset, c.TICK_FLAG_BID | c.TICK_FLAG_ASK, 0.0))
    return np.array(rows, dtype=TICKS)


def _row(bar: Bar) -> tuple[float, ...]:
    return (bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.spread, 0)


def _merged(base: Array, starts: Any, opens: Any) -> Array:
    """One bar for each run of base bars; its spread is that of the run's first bar."""
    merged = np.zeros(len(starts), dtype=RATES)
    merged["time"] = opens[starts]
    merged["open"] = base["open"][starts]
    merged["high"] = np.maximum.reduceat(base["high"], starts)
    merged["low"] = np.minimum.reduceat(base["low"], starts)
    merged["close"] = base["close"][np.r_[starts[1:], len(base)] - 1]
    merged["tick_volume"] = np.add.reduceat(base["tick_volume"], starts)
    merged["spread"] = base["spread"][starts]
    return merged
