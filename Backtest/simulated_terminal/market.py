"""What a market is to the account that trades on it (pure): the seam on which any source of prices can be put.

Three kinds of market stand behind it: bars that are replayed (`bar_series`), ticks that are replayed (`tick_series`), and
the live quotes of another terminal. `Quoted` is all that the trade server asks of a symbol; `Charted` adds the history that
`symbol_info` and `copy_*` show. Whatever moves the prices makes an `Event` of each change and lets the account play it
(`Matching.play`). A new source of quotes is a `Quoted` whose `playing` is `Playing.of_tick(quote)`, and one
`Event(time_msc, Phase.TICK, (symbol,))` for each tick that came.

All times are the server's clock: seconds, or milliseconds where a name ends in `msc`. Bars are of bids.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from Backtest.bars import Timeframe
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.rates import Array, Rates
from Backtest.simulated_terminal.symbols import SymbolSpec
from Backtest.simulated_terminal.unfolding import Bar


class Quote(NamedTuple):
    """The bid and ask of one moment, and the last trade where there are trades."""

    bid: float
    ask: float
    time_msc: int
    flags: int = c.TICK_FLAG_BID | c.TICK_FLAG_ASK  # what has changed
    last: float = 0.0
    volume: float = 0.0


class Phase(Enum):
    """What has just become known: a bar's open, all the rest of that bar, or a tick."""

    OPEN = "open"
    REST = "rest"
    TICK = "tick"


class Event(NamedTuple):
    """A moment at which the prices of some symbols change."""

    time_msc: int
    phase: Phase
    symbols: tuple[str, ...]

    @property
    def opening(self) -> bool:
        """Whether there is one price of each side, not a range: what it touches fills at that price."""
        return self.phase is not Phase.REST


class Playing(NamedTuple):
    """The prices that an event shows, seen from both sides. Of an open or a tick all four prices that matter are one."""

    bid: Bar
    ask: Bar
    phase: Phase

    @classmethod
    def of_tick(cls, quote: Quote) -> "Playing":
        """A tick: everything that it touches fills at its bid or its ask."""
        bid, ask = (Bar(quote.time_msc // 1000, price, price, price, price, 1, 0) for price in quote[:2])
        return cls(bid, ask, Phase.TICK)

    @property
    def opening(self) -> bool:
        """As the event's."""
        return self.phase is not Phase.REST

    def side(self, side: int) -> Bar:
        """The prices at which this side trades."""
        return self.ask if side == c.ORDER_TYPE_BUY else self.bid


class Quoted(Protocol):
    """One symbol as the trade server knows it. Whoever asks says which moment it is; nothing moves by itself."""

    @property
    def spec(self) -> SymbolSpec:
        """What the server allows on the symbol."""

    def quote_at(self, now_msc: int) -> Quote | None:
        """The last quote, however old; None before the first one."""

    def moved(self, now_msc: int, points: int) -> Quote | None:
        """The quote after the prices have moved by so many points, as far as this market lets them; None before the first."""

    def is_open_at(self, now_msc: int) -> bool:
        """Whether there is trading."""

    def playing(self, event: Event) -> Playing | None:
        """The prices of an event that names the symbol; None when nothing can fill at it."""


class Today(NamedTuple):
    """A symbol's server day so far."""

    open: float
    high: float
    low: float
    ask_high: float
    ask_low: float


class Charted(Quoted, Protocol):
    """One symbol with its history."""

    @property
    def timeframe(self) -> Timeframe:
        """The finest that there are bars of."""

    def today_at(self, now_msc: int) -> Today | None:
        """The day of the last quote, as far as it is known; None before the first one."""

    def rates(self, timeframe: Timeframe) -> Rates:
        """The bars of a timeframe that is not finer than the finest."""

    def ticks(self, now_msc: int, between_msc: tuple[int, int], *, most: int, flags: int) -> Array:
        """The first so many ticks of a span, both ends included, that are known at the moment; read only, flags as `copy_ticks_from`."""


class Market(Protocol):
    """The symbols of a server, by name."""

    @property
    def series(self) -> Mapping[str, Quoted]:
        """Each symbol's prices."""

    def moment(self, now_msc: int) -> object:
        """What is equal for as long as all quotes are the same."""
