"""A replayed market: several symbols on one timeline (pure)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from Backtest.bars import Timeframe
from Backtest.errors import BadInput
from Backtest.simulated_terminal.bar_series import BarSeries
from Backtest.simulated_terminal.market import Event, Phase
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.unfolding import MOMENTS_MSC, OPEN_MSC


class ReplayMarket:
    """Several symbols on one timeline.

    `prices` gives each symbol its specification and a frame with Open, High, Low, Close, perhaps Volume and Spread (points).
    `timeframe` is that of the frames; None: each one's own. The replay begins at the first bar, or at the first moment
    from `start` (aware; the server's clock as UTC). Raises BadInput when there is nothing to replay.
    """

    def __init__(
        self, prices: Mapping[str, tuple[SymbolSpec, pd.DataFrame]], timeframe: Timeframe | None = None, *, start: datetime | None = None
    ) -> None:
        self.series = {name: BarSeries(spec, frame, timeframe) for name, (spec, frame) in prices.items()}
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
            digest.update(f"{name}|{series.spec}|{series.timeframe}|".encode() + series.whole.tobytes())
        return digest.hexdigest()[:16]


def _timeline(series: Mapping[str, BarSeries]) -> list[Event]:
    openings: dict[int, list[str]] = {}
    for name, one in series.items():
        for epoch in one.epochs:
            openings.setdefault(epoch, []).append(name)
    return [
        Event(epoch * 1000 + offset, Phase.OPEN if offset == OPEN_MSC else Phase.REST, tuple(names))
        for epoch, names in sorted(openings.items())
        for offset in MOMENTS_MSC
    ]
