"""The bars of one symbol, replayed (pure): each comes about in two moments, as `unfolding` says."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
import pandas as pd

from Backtest.bars import TIMEFRAMES, Timeframe, timeframe_of
from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.market import Event, Phase, Playing, Quote, Today
from Backtest.simulated_terminal.rates import RATES, TICKS, Array, Rates
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.timeline import Numbers, Prices
from Backtest.simulated_terminal.unfolding import MOMENTS_MSC, OPEN_MSC, Bar, known, moment

_DAY = TIMEFRAMES["D1"]
_NOTHING_YET: tuple[int, Bar | None, Quote | None] = (-1, None, None)


class BarSeries:
    """The bars of one symbol. `frame` has Open, High, Low, Close, perhaps Volume and Spread (points); the ask is the spread
    above. Raises BadInput when there are none.
    """

    def __init__(self, spec: SymbolSpec, frame: pd.DataFrame, timeframe: Timeframe | None = None) -> None:
        if not len(frame):
            raise BadInput(f"{spec.name}: no bars to replay")
        self.spec = spec
        self.timeframe = timeframe or timeframe_of(frame)
        self.whole = _rates(spec, frame)
        self.further = frame.drop(columns=["Open", "High", "Low", "Close", "Volume"], errors="ignore")  # no terminal has these
        self.epochs = array("q", self.whole["time"].tobytes())
        self._latest_msc, self._latest = -1, _NOTHING_YET
        self._rates: dict[Timeframe, Rates] = {}
        self._ticks: Array | None = None

    @property
    def end(self) -> int:
        """When the last bar's own time is over."""
        return self.epochs[-1] + self.timeframe.seconds

    def facts(self) -> Iterator[bytes]:
        """What makes other prices of it."""
        yield self.whole.tobytes()

    def moments(self) -> Iterator[tuple[Phase, Numbers]]:
        """When the rows play."""
        for offset, phase in zip(MOMENTS_MSC, (Phase.OPEN, Phase.REST), strict=True):
            yield phase, self.whole["time"] * 1000 + offset

    def ranges(self, first: int, end: int) -> tuple[tuple[Prices, Prices], tuple[Prices, Prices]]:
        """The lowest and highest bids, and asks, that each row from `first` to before `end` brings; asks to within a point."""
        rows = self.whole[first:end]
        low, high, spread, point = rows["low"], rows["high"], rows["spread"] * self.spec.point, self.spec.point
        return (low, high), (low + spread - point, high + spread + point)

    def bar(self, index: int) -> Bar:
        """A bar with all that ever happens in it."""
        return Bar(*self.whole.item(index)[:7])

    def index_at(self, now_msc: int) -> int:
        """The forming bar's index; -1 before the first bar."""
        return self._at(now_msc)[0]

    def bar_at(self, now_msc: int) -> Bar | None:
        """What is known of the forming bar; None before the first bar."""
        return self._at(now_msc)[1]

    # -- as the trade server sees it

    def quote_at(self, now_msc: int) -> Quote | None:
        """The last quote; None before the first bar."""
        return self._at(now_msc)[2]

    def moved(self, now_msc: int, points: int) -> Quote | None:
        """The quote so many points on, never out of the bar that plays."""
        quote = self.quote_at(now_msc)
        if quote is None:
            return None
        bar = self.bar(self.index_at(now_msc))
        bid = min(max(round(quote.bid + points * self.spec.point, self.spec.digits), bar.low), bar.high)
        return Quote(bid, self.ask(bid, bar.spread), quote.time_msc)

    def is_open_at(self, now_msc: int) -> bool:
        """Whether there is trading: in a session, and not in a gap between two bars, nor after the last."""
        if self.spec.sessions is not None and not self.spec.sessions.is_open(now_msc // 1000):
            return False
        index = self.index_at(now_msc)
        return index >= 0 and now_msc < (self.epochs[index] + self.timeframe.seconds) * 1000

    def playing(self, event: Event) -> Playing | None:
        """The bar of the event; None when it has no second in a session, and before its time where gaps fill later."""
        if not (self.spec.gaps_fill_at_open or not event.opening) or not self._trades_in_bar(event.time_msc // 1000):
            return None
        bid = self.bar(self.index_at(event.time_msc))
        opened, high, low, close = (self.ask(price, bid.spread) for price in (bid.open, bid.high, bid.low, bid.close))
        return Playing(bid, bid._replace(open=opened, high=high, low=low, close=close), event.phase)

    # -- as its history is shown

    def today_at(self, now_msc: int) -> Today | None:
        """The day's open, high and low; of the bar, where a bar is a day or more."""
        bar = self.bar_at(now_msc)
        if bar is None:
            return None
        opened, high, low = bar.open, bar.high, bar.low
        if self.timeframe.seconds < _DAY.seconds:
            days = self.rates(_DAY)
            day = days.row(days.count_at(now_msc) - 1, now_msc)
            opened, high, low = float(day["open"]), float(day["high"]), float(day["low"])
        return Today(opened, high, low, self.ask(high, bar.spread), self.ask(low, bar.spread))

    def rates(self, timeframe: Timeframe) -> Rates:
        """The bars of this timeframe."""
        if timeframe not in self._rates:
            self._rates[timeframe] = Rates(self, timeframe)
        return self._rates[timeframe]

    def ticks(self, now_msc: int, between_msc: tuple[int, int], *, most: int, flags: int) -> Array:
        """The moments of the bars, which know bids and asks, no trades."""
        if self._ticks is None:
            self._ticks = self._all_ticks()
        times = self._ticks["time_msc"]
        begin = int(times.searchsorted(between_msc[0]))
        end = int(times.searchsorted(min(between_msc[1], now_msc), side="right"))
        wanted = max(0, most) if flags & c.COPY_TICKS_INFO else 0
        chosen = self._ticks[begin : min(end, begin + wanted)].copy()
        chosen.flags.writeable = False
        return chosen

    def ask(self, bid: float, spread_points: int) -> float:
        """The ask above a bid; exactly the bid where there is no spread."""
        return round(bid + spread_points * self.spec.point, self.spec.digits) if spread_points else bid

    def _trades_in_bar(self, time: int) -> bool:
        return self.spec.sessions is None or self.spec.sessions.is_open(time, time + self.timeframe.seconds)

    def _at(self, now_msc: int) -> tuple[int, Bar | None, Quote | None]:
        if self._latest_msc != now_msc:  # asked many times at the same moment
            index, bar, quote = bisect_right(self.epochs, now_msc // 1000) - 1, None, None
            if index >= 0:
                since = now_msc - self.epochs[index] * 1000
                bar = known(self.bar(index), since)
                quote = Quote(bar.close, self.ask(bar.close, bar.spread), moment(bar, since))
            self._latest_msc, self._latest = now_msc, (index, bar, quote)
        return self._latest

    def _all_ticks(self) -> Array:
        ticks = np.zeros(len(self.whole) * len(MOMENTS_MSC), dtype=TICKS)
        spreads = np.repeat(self.whole["spread"], len(MOMENTS_MSC)).tolist()
        for place, offset in enumerate(MOMENTS_MSC):
            of_each = ticks[place :: len(MOMENTS_MSC)]
            of_each["time"] = self.whole["time"]
            of_each["time_msc"] = self.whole["time"] * 1000 + offset
            of_each["bid"] = self.whole["open" if offset == OPEN_MSC else "close"]
        ticks["ask"] = [self.ask(bid, spread) for bid, spread in zip(ticks["bid"].tolist(), spreads, strict=True)]
        ticks["flags"] = c.TICK_FLAG_BID | c.TICK_FLAG_ASK
        return ticks


def _rates(spec: SymbolSpec, frame: pd.DataFrame) -> Array:
    rates = np.zeros(len(frame), dtype=RATES)
    rates["time"] = frame.index.to_numpy().astype("datetime64[s]").astype("int64")
    for name in ("open", "high", "low", "close"):
        rates[name] = frame[name.capitalize()].to_numpy(dtype="float64")
    rates["tick_volume"] = frame["Volume"].to_numpy(dtype="float64") if "Volume" in frame else 0
    own = "Spread" in frame and spec.spread_in_prices
    rates["spread"] = np.round(frame["Spread"].to_numpy(dtype="float64")) if own else spec.spread_points
    rates.flags.writeable = False
    return rates
