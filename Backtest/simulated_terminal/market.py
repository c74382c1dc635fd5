"""A replayed market: what the prices are at any moment (pure: the moment is handed in, nothing moves by itself).

All times are the server's clock, which a price frame's naive index shows: seconds, or milliseconds where a name ends in
`msc`. Bars are of bids; the ask is a spread of whole points above.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.bars import Timeframe, timeframe_of
from Backtest.errors import BadInput
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.unfolding import MOMENTS_MSC, OPEN_MSC, Bar, known, moment

# Packed, 60 bytes. Source: the array types of MetaTrader5 5.0.6231.
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
Array = npt.NDArray[np.void]


class Quote(NamedTuple):
    """The bid and ask of one moment."""

    bid: float
    ask: float
    time_msc: int


class Series:
    """The bars of one symbol. Raises BadInput when there are none."""

    def __init__(self, spec: SymbolSpec, frame: pd.DataFrame, timeframe: Timeframe | None = None) -> None:
        if not len(frame):
            raise BadInput(f"{spec.name}: no bars to replay")
        self.spec = spec
        self.timeframe = timeframe or timeframe_of(frame)
        self.rates = _rates(spec, frame)
        self.epochs: list[int] = self.rates["time"].tolist()
        self._columns = tuple(self.rates[name].tolist() for name in ("open", "high", "low", "close", "tick_volume", "spread"))
        self._latest: tuple[int, int, Bar | None] = (-1, -1, None)

    @property
    def end(self) -> int:
        """When the last bar's own time is over."""
        return self.epochs[-1] + self.timeframe.seconds

    def whole(self, index: int) -> Bar:
        """A bar with all that ever happens in it."""
        o, h, low, close, volume, spread = (column[index] for column in self._columns)
        return Bar(self.epochs[index], o, h, low, close, volume, spread)

    def index_at(self, now_msc: int) -> int:
        """The forming bar's index; -1 before the first bar."""
        return self._at(now_msc)[0]

    def bar_at(self, now_msc: int) -> Bar | None:
        """What is known of the forming bar; None before the first bar."""
        return self._at(now_msc)[1]

    def quote_at(self, now_msc: int) -> Quote | None:
        """The last quote; None before the first bar."""
        bar = self.bar_at(now_msc)
        return bar and Quote(bar.close, self.ask(bar.close, bar.spread), moment(bar, now_msc - bar.time * 1000))

    def is_open_at(self, now_msc: int) -> bool:
        """Whether there is trading: in a session, and not in a gap between two bars. After the last bar the last quote stands."""
        if self.spec.sessions is not None and not self.spec.sessions.is_open(now_msc // 1000):
            return False
        index = self.index_at(now_msc)
        last = index == len(self.epochs) - 1
        return last or (index >= 0 and now_msc < (self.epochs[index] + self.timeframe.seconds) * 1000)

    def trades_in_bar(self, time: int) -> bool:
        """Whether there is trading at some second of the bar that opens then."""
        return self.spec.sessions is None or self.spec.sessions.is_open(time, time + self.timeframe.seconds)

    def ask(self, bid: float, spread_points: int) -> float:
        """The ask above a bid; exactly the bid where there is no spread."""
        return round(bid + spread_points * self.spec.point, self.spec.digits) if spread_points else bid

    def _at(self, now_msc: int) -> tuple[int, Bar | None]:
        if self._latest[0] != now_msc:  # asked many times at the same moment
            index = bisect_right(self.epochs, now_msc // 1000) - 1
            bar = known(self.whole(index), now_msc - self.epochs[index] * 1000) if index >= 0 else None
            self._latest = (now_msc, index, bar)
        return self._latest[1:]


class Event(NamedTuple):
    """A moment at which the prices of some symbols change: their bars open, or show all of the rest."""

    time_msc: int
    opening: bool
    symbols: tuple[str, ...]


class ReplayMarket:
    """Several symbols on one timeline.

    `prices` gives each symbol its specification and a frame with Open, High, Low, Close, perhaps Volume and Spread (points).
    `timeframe` is that of the frames; None: each one's own. The replay begins at the first bar, or at the first moment
    from `start` (aware; the server's clock as UTC). Raises BadInput when there is nothing to replay.
    """

    def __init__(
        self, prices: Mapping[str, tuple[SymbolSpec, pd.DataFrame]], timeframe: Timeframe | None = None, *, start: datetime | None = None
    ) -> None:
        self.series = {name: Series(spec, frame, timeframe) for name, (spec, frame) in prices.items()}
        self.end_msc = max((series.end for series in self.series.values()), default=0) * 1000
        self.events = _timeline(self.series)
        self.first = 0
        if start is not None:
            start_msc = round(start.timestamp() * 1000)
            self.first = next((n for n, event in enumerate(self.events) if event.time_msc >= start_msc), len(self.events))
        if self.first == len(self.events):
            raise BadInput(
                "no bars to replay" if start is None else f"no bars to replay from {start:%Y-%m-%d %H:%M}: the prices end before"
            )

    def fingerprint(self) -> str:
        """Hex digits that are the same for the same prices and specifications only."""
        digest = hashlib.sha256()
        for name, series in sorted(self.series.items()):
            digest.update(f"{name}|{series.spec}|{series.timeframe}|".encode() + series.rates.tobytes())
        return digest.hexdigest()[:16]


def _rates(spec: SymbolSpec, frame: pd.DataFrame) -> Array:
    rates = np.zeros(len(frame), dtype=RATES)
    rates["time"] = frame.index.to_numpy().astype("datetime64[s]").astype("int64")
    for name in ("open", "high", "low", "close"):
        rates[name] = frame[name.capitalize()].to_numpy(dtype="float64")
    rates["tick_volume"] = frame["Volume"].to_numpy(dtype="float64") if "Volume" in frame else 0
    rates["spread"] = np.round(frame["Spread"].to_numpy(dtype="float64")) if "Spread" in frame else spec.spread_points
    rates.flags.writeable = False
    return rates


def _timeline(series: Mapping[str, Series]) -> list[Event]:
    openings: dict[int, list[str]] = {}
    for name, one in series.items():
        for epoch in one.epochs:
            openings.setdefault(epoch, []).append(name)
    return [
        Event(epoch * 1000 + offset, offset == OPEN_MSC, tuple(names))
        for epoch, names in sorted(openings.items())
        for offset in MOMENTS_MSC
    ]
