"""Bars of any timeframe out of a symbol's finest ones: what `copy_rates_*` answer (pure)."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from Backtest.bars import Timeframe
from Backtest.simulated_terminal.unfolding import Bar

# Packed, 60 bytes each. Source: the array types of MetaTrader5 5.0.6231.
RATES = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("tick_volume", "<u8"),
        ("spread", "<i4"),
        ("real_volume", "<u8"),
    ]
)
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
Array = npt.NDArray[np.void]


class Finest(Protocol):
    """A symbol's finest bars, and what is known of the forming one."""

    @property
    def timeframe(self) -> Timeframe:
        """Theirs."""

    @property
    def whole(self) -> Array:
        """All of them, with all that ever happens in them (`RATES`)."""

    def index_at(self, now_msc: int) -> int:
        """The forming bar's index; -1 before the first bar."""

    def bar_at(self, now_msc: int) -> Bar | None:
        """What is known of the forming bar; None before the first bar."""


class Rates:
    """One symbol seen in one timeframe, at any moment. Positions count from the oldest bar."""

    def __init__(self, finest: Finest, timeframe: Timeframe) -> None:
        self._finest = finest
        base = finest.whole
        if timeframe == finest.timeframe:  # as the file has them: also where its labels are not those of MetaTrader
            self._starts, self._whole = np.arange(len(base)), base
        else:
            opens = timeframe.floors(base["time"])
            self._starts = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
            self._whole = _merged(base, self._starts, opens)
        self.times: Array = self._whole["time"]

    def count_at(self, now_msc: int) -> int:
        """How many bars there are, with the forming one."""
        return int(self._starts.searchsorted(self._finest.index_at(now_msc), side="right"))

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
        index, bar = self._finest.index_at(now_msc), self._finest.bar_at(now_msc)
        assert bar is not None  # there is a forming bar, or nobody asks
        if self._whole is self._finest.whole:
            return _row(bar)
        parts = self._finest.whole[self._starts[position] : index + 1].copy()
        parts[-1] = _row(bar)
        merged = _merged(parts, np.array([0]), parts["time"])[0]
        merged["time"] = self._whole["time"][position]
        return merged


def _row(bar: Bar) -> tuple[float, ...]:
    return (bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.spread, 0)


def _merged(base: Array, starts: Any, opens: Any) -> Array:
    """One bar for each run of base bars; its spread is the smallest of the run, as where price frames are resampled."""
    merged = np.zeros(len(starts), dtype=RATES)
    merged["time"] = opens[starts]
    merged["open"] = base["open"][starts]
    merged["high"] = np.maximum.reduceat(base["high"], starts)
    merged["low"] = np.minimum.reduceat(base["low"], starts)
    merged["close"] = base["close"][np.r_[starts[1:], len(base)] - 1]
    merged["tick_volume"] = np.add.reduceat(base["tick_volume"], starts)
    merged["spread"] = np.minimum.reduceat(base["spread"], starts)
    merged["real_volume"] = np.add.reduceat(base["real_volume"], starts)
    return merged
