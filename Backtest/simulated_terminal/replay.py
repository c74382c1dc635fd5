"""A replayed market: several symbols, of bars or ticks, on one timeline (pure)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from Backtest.bars import Timeframe, is_ticks
from Backtest.errors import BadInput
from Backtest.simulated_terminal.bar_series import BarSeries
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.tick_series import TickSeries
from Backtest.simulated_terminal.timeline import Timeline

Series = BarSeries | TickSeries


class ReplayMarket:
    """Several symbols on one timeline.

    `prices` gives each symbol its specification and its prices: a frame of bars (Open, High, Low, Close, perhaps Volume and
    Spread in points), or of ticks (Bid and Ask). `timeframe` is that of the bars; None: each frame's own. The replay begins
    at the first price, or at the first moment from `start` (aware; the server's clock as UTC). Raises BadInput when there is
    nothing to replay.
    """

    def __init__(
        self, prices: Mapping[str, tuple[SymbolSpec, pd.DataFrame]], timeframe: Timeframe | None = None, *, start: datetime | None = None
    ) -> None:
        self.series: dict[str, Series] = {
            name: TickSeries(spec, frame) if is_ticks(frame) else BarSeries(spec, frame, timeframe)
            for name, (spec, frame) in prices.items()
        }
        self.end_msc = max((series.end for series in self.series.values()), default=0) * 1000
        self.events = Timeline(self.series)
        self.first = 0 if start is None else self.events.first_from(round(start.timestamp() * 1000))
        if self.first == len(self.events):
            raise BadInput(
                "no bars to replay" if start is None else f"no bars to replay from {start:%Y-%m-%d %H:%M}: the prices end before"
            )

    def moment(self, now_msc: int) -> object:
        """The time: prices are those of their moment."""
        return now_msc

    def fingerprint(self) -> str:
        """Hex digits that are the same for the same prices and specifications only."""
        digest = hashlib.sha256()
        for name, series in sorted(self.series.items()):
            digest.update(f"{name}|{series.spec}|{series.timeframe}|".encode())
            for part in series.facts():
                digest.update(part)
        return digest.hexdigest()[:16]
