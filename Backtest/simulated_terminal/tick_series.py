"""The ticks of one symbol, replayed (pure). Its finest bars are those of a minute, built from the bids.

Ticks may share a millisecond. Each is an event of its own: the account sees the later one a millisecond later, so that
every moment has one quote; what is shown of it keeps its own time.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.bars import TIMEFRAMES, Timeframe
from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.market import Event, Phase, Playing, Quote, Today
from Backtest.simulated_terminal.rates import RATES, TICKS, Array, Rates
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.timeline import Numbers, Prices
from Backtest.simulated_terminal.unfolding import Bar

_MINUTE, _DAY = TIMEFRAMES["M1"], TIMEFRAMES["D1"]
_MINUTE_MSC = _MINUTE.seconds * 1000
_QUIET_MSC = 30 * _MINUTE_MSC  # so long without a tick: the market was closed
_PRICE_FLAGS = c.TICK_FLAG_BID | c.TICK_FLAG_ASK
_TRADE_FLAGS = c.TICK_FLAG_LAST | c.TICK_FLAG_VOLUME


class TickSeries:
    """The ticks of one symbol. `frame` has Bid and Ask, perhaps Last and Volume. Raises BadInput when there are none."""

    timeframe: Timeframe = _MINUTE

    def __init__(self, spec: SymbolSpec, frame: pd.DataFrame) -> None:
        if not len(frame):
            raise BadInput(f"{spec.name}: no ticks to replay")
        self.spec = spec
        self._times: Numbers = frame.index.to_numpy().astype("datetime64[ms]").astype("int64")
        self.arrivals = _one_by_one(self._times)
        self.bids, self.asks = (frame[name].to_numpy(dtype="float64") for name in ("Bid", "Ask"))
        none = np.broadcast_to(0.0, len(frame))
        self._lasts, self._volumes = (frame[name].to_numpy(dtype="float64") if name in frame else none for name in ("Last", "Volume"))
        self._minutes = self._times // _MINUTE_MSC
        self._starts = np.flatnonzero(np.diff(self._minutes, prepend=self._minutes[0] - 1))
        self.whole = self._bars()
        self._latest = (-1, -1)
        self._quoted = (-1, Quote(0.0, 0.0, 0))
        self._rates: dict[Timeframe, Rates] = {}
        self._flags: npt.NDArray[np.uint32] | None = None

    @property
    def end(self) -> int:
        """When the last tick's minute is over."""
        return int(self.whole["time"][-1]) + _MINUTE.seconds

    def facts(self) -> Iterator[bytes]:
        """What makes other prices of it."""
        for column in (self._times, self.bids, self.asks, self._lasts, self._volumes):
            yield column.tobytes()

    def moments(self) -> Iterator[tuple[Phase, Numbers]]:
        """When the rows play."""
        yield Phase.TICK, self.arrivals

    def ranges(self, first: int, end: int) -> tuple[tuple[Prices, Prices], tuple[Prices, Prices]]:
        """The lowest and highest bids, and asks, that each row from `first` to before `end` brings."""
        bids, asks = self.bids[first:end], self.asks[first:end]
        return (bids, bids), (asks, asks)

    def index_at(self, now_msc: int) -> int:
        """The forming minute's index; -1 before the first tick."""
        return int(self._starts.searchsorted(self._row_at(now_msc), side="right")) - 1

    def bar_at(self, now_msc: int) -> Bar | None:
        """What is known of the forming minute; None before the first tick."""
        row = self._row_at(now_msc)
        if row < 0:
            return None
        minute = slice(int(self._starts[self.index_at(now_msc)]), row + 1)
        bids = self.bids[minute]
        spread = self._points(self.asks[minute] - bids).min()
        opened, high, low, close = map(float, (bids[0], bids.max(), bids.min(), bids[-1]))
        return Bar(int(self._minutes[row]) * _MINUTE.seconds, opened, high, low, close, len(bids), int(spread))

    # -- as the trade server sees it

    def quote_at(self, now_msc: int) -> Quote | None:
        """The last tick; None before the first one."""
        row = self._row_at(now_msc)
        if row < 0:
            return None
        if self._quoted[0] != row:
            self._quoted = (row, self._quote(row))
        return self._quoted[1]

    def moved(self, now_msc: int, points: int) -> Quote | None:
        """The quote so many points on, never beyond the next tick."""
        row = self._row_at(now_msc)
        if row < 0:
            return None
        now, then = self._quote(row), self._quote(min(row + 1, len(self.bids) - 1))
        low, high = sorted((now.bid, then.bid))
        bid = min(max(round(now.bid + points * self.spec.point, self.spec.digits), low), high)
        return now._replace(bid=bid, ask=round(now.ask + (bid - now.bid), self.spec.digits))

    def is_open_at(self, now_msc: int) -> bool:
        """Whether there is trading: in a session, and not in half an hour or more without a tick, from a minute after the last."""
        row = self._row_at(now_msc)
        if row < 0 or (self.spec.sessions is not None and not self.spec.sessions.is_open(now_msc // 1000)):
            return False
        since = int(self._times[row])
        if now_msc < since + _MINUTE_MSC:
            return True
        return row + 1 < len(self._times) and int(self._times[row + 1]) - since < _QUIET_MSC

    def playing(self, event: Event) -> Playing | None:
        """The tick of the event; None out of the sessions."""
        if self.spec.sessions is not None and not self.spec.sessions.is_open(event.time_msc // 1000):
            return None
        quote = self.quote_at(event.time_msc)
        return quote and Playing.of_tick(quote)

    # -- as its history is shown

    def today_at(self, now_msc: int) -> Today | None:
        """The day of the last tick."""
        row = self._row_at(now_msc)
        if row < 0:
            return None
        midnight = _DAY.floor(int(self._times[row]) // 1000) * 1000
        day = slice(int(self._times.searchsorted(midnight)), row + 1)
        bids, asks = self.bids[day], self.asks[day]
        return Today(*map(float, (bids[0], bids.max(), bids.min(), asks.max(), asks.min())))

    def rates(self, timeframe: Timeframe) -> Rates:
        """The bars of this timeframe."""
        if timeframe not in self._rates:
            self._rates[timeframe] = Rates(self, timeframe)
        return self._rates[timeframe]

    def ticks(self, now_msc: int, between_msc: tuple[int, int], *, most: int, flags: int) -> Array:
        """The ticks that change a price of those that `flags` asks for, or bring a trade."""
        begin = int(self._times.searchsorted(between_msc[0]))
        end = min(int(self._times.searchsorted(between_msc[1], side="right")), self._row_at(now_msc) + 1)
        wanted = (_PRICE_FLAGS if flags & c.COPY_TICKS_INFO else 0) | (_TRADE_FLAGS if flags & c.COPY_TICKS_TRADE else 0)
        rows = np.flatnonzero(self._changes()[begin : max(begin, end)] & wanted)[: max(0, most)] + begin
        return self._shown(rows)

    # -- shared

    def _row_at(self, now_msc: int) -> int:
        if self._latest[0] != now_msc:  # asked many times at the same moment
            self._latest = (now_msc, int(self.arrivals.searchsorted(now_msc, side="right")) - 1)
        return self._latest[1]

    def _quote(self, row: int) -> Quote:
        prices = (float(self.bids[row]), float(self.asks[row]), int(self._times[row]))
        return Quote(*prices, int(self._changes()[row]), float(self._lasts[row]), float(self._volumes[row]))

    def _points(self, distances: Prices) -> npt.NDArray[np.int64]:
        return np.rint(distances / self.spec.point).astype("int64")

    def _bars(self) -> Array:
        starts = self._starts
        bars = np.zeros(len(starts), dtype=RATES)
        bars["time"] = self._minutes[starts] * _MINUTE.seconds
        bars["open"] = self.bids[starts]
        bars["high"], bars["low"] = np.maximum.reduceat(self.bids, starts), np.minimum.reduceat(self.bids, starts)
        bars["close"] = self.bids[np.r_[starts[1:], len(self.bids)] - 1]
        bars["tick_volume"] = np.diff(starts, append=len(self.bids))
        bars["spread"] = np.minimum.reduceat(self._points(self.asks - self.bids), starts)
        bars.flags.writeable = False
        return bars

    def _changes(self) -> npt.NDArray[np.uint32]:
        """What each tick changes: the package's TICK_FLAG_*. One that repeats its prices was sent for them [I]."""
        if self._flags is None:
            flags = np.zeros(len(self.bids), dtype="uint32")
            columns = ((self.bids, c.TICK_FLAG_BID), (self.asks, c.TICK_FLAG_ASK), (self._lasts, c.TICK_FLAG_LAST))
            for values, flag in (*columns, (self._volumes, c.TICK_FLAG_VOLUME)):
                flags[np.flatnonzero(np.diff(values, prepend=0.0))] |= flag
            flags[flags == 0] = _PRICE_FLAGS
            self._flags = flags
        return self._flags

    def _shown(self, rows: npt.NDArray[np.intp]) -> Array:
        ticks = np.zeros(len(rows), dtype=TICKS)
        ticks["time_msc"] = self._times[rows]
        ticks["time"] = ticks["time_msc"] // 1000
        ticks["bid"], ticks["ask"], ticks["last"] = self.bids[rows], self.asks[rows], self._lasts[rows]
        ticks["volume"] = ticks["volume_real"] = self._volumes[rows]
        ticks["flags"] = self._changes()[rows]
        ticks.flags.writeable = False
        return ticks


def _one_by_one(times: Numbers) -> Numbers:
    """The times, each at least a millisecond after the one before.

    >>> _one_by_one(np.array([5, 5, 5, 6, 20])).tolist()
    [5, 6, 7, 8, 20]
    """
    rows = np.arange(len(times))
    return np.maximum.accumulate(times - rows) + rows
