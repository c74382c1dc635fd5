"""The live quotes of another terminal as a market for our trade server (pure): prices are handed in, nothing moves by itself."""

import math
from dataclasses import dataclass, field

from Backtest.simulated_terminal.market import Event, Playing, Quote
from Backtest.simulated_terminal.symbols import SymbolSpec

QUIET_SECONDS = 600.0  # without a tick, after which a market counts as closed: the package does not show the sessions
_GRID, _OFF_BY, _WESTERNMOST = 1800.0, 60.0, -12 * 3600.0  # seconds: the grid of time zones, and how wrong clocks may be


@dataclass(slots=True)
class Freshness:
    """Whether a symbol is quoted at the moment, told without its sessions and without the server's time zone.

    What proves it is a tick that was not there at the look before. At the first look, and after a long pause, its stamp
    must be that of the moment in some time zone. Times are seconds; those of looks are of any clock that keeps UTC.
    """

    quiet: float = QUIET_SECONDS
    _tick: float = -math.inf  # stamp of the newest one, the server's clock
    _looked: float = -math.inf
    _proved: float = -math.inf  # the tick came at this time or later, our clock

    def look(self, tick: float, now: float) -> bool:
        """Whether there is trading, when the newest tick at this moment has this stamp.

        >>> seen = Freshness()
        >>> seen.look(7200.5, 0.0), seen.look(7200.5, 599.0), seen.look(7200.5, 601.0), seen.look(7801.0, 602.0)
        (True, True, False, True)
        """
        if tick != self._tick:
            new_since = self._looked if now - self._looked <= self.quiet else -math.inf
            self._proved = max(new_since, now - _age(tick - now))
            self._tick = tick
        self._looked = now
        return now - self._proved <= self.quiet


def _age(ahead: float) -> float:
    """How old a tick is whose stamp is so far ahead of UTC, if the server is in the nearest time zone that makes it old."""
    zone = max(math.ceil((ahead - _OFF_BY) / _GRID) * _GRID, _WESTERNMOST)
    return max(0.0, zone - ahead)


@dataclass(slots=True)
class LiveQuotes:
    """One symbol, as far as it has been quoted. `open` says whether there is trading at the moment."""

    spec: SymbolSpec
    quote: Quote | None = None
    open: bool = True
    freshness: Freshness = field(default_factory=Freshness)

    def quote_at(self, now_msc: int) -> Quote | None:  # noqa: ARG002 - the last one stands
        """The last quote; None before the first one."""
        return self.quote

    def moved(self, now_msc: int, points: int) -> Quote | None:  # noqa: ARG002
        """The quote so many points on."""
        if self.quote is None:
            return None
        bid, ask = (round(price + points * self.spec.point, self.spec.digits) for price in self.quote[:2])
        return Quote(bid, ask, self.quote.time_msc)

    def is_open_at(self, now_msc: int) -> bool:  # noqa: ARG002
        """Whether there is trading."""
        return self.open

    def playing(self, event: Event) -> Playing | None:  # noqa: ARG002
        """The tick that has come."""
        return None if self.quote is None else Playing.of_tick(self.quote)


class LiveMarket:
    """The symbols that are followed. More are added while it is open."""

    def __init__(self) -> None:
        self.series: dict[str, LiveQuotes] = {}

    def moment(self, now_msc: int) -> object:  # noqa: ARG002 - quotes come when they come
        """All quotes."""
        return tuple(each.quote for each in self.series.values())
