"""The broker's wall clock: how far it is ahead of UTC is told by nobody, so it is read off ticks that have just come."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from Live.clock import Clock

log = logging.getLogger("LiveTrader")

HALF_HOUR, FRESH = 1800, 60  # seconds: the grid of time zones, and how old a tick may be that tells them
WEEKEND = 86_400  # seconds; a market that stood still for longer was closed
SUMMER_TIME = 3600  # seconds by which a server's clock is put forward and back
FURTHEST = 14 * 3600  # seconds; no place on earth is further ahead of UTC, or behind it


class ServerTime:
    """Conversion between the server's seconds and UTC; `offset` is None until a tick has told it."""

    def __init__(self, terminal: Any, clock: Clock, symbols: Sequence[str], *, offset: int | None = None) -> None:
        self.offset = offset  # seconds that the server's clock is ahead of UTC
        self._terminal, self._clock, self._symbols = terminal, clock, symbols
        self._given = offset is not None  # a simulated server keeps the time of its prices
        self._looks: dict[str, tuple[int, float]] = {}  # by symbol: the tick seen last, and when
        self._newest: dict[str, tuple[float, float]] = {}  # by symbol: its newest tick, and when we first saw it
        self._pauses: dict[str, float] = {}  # by symbol: how long before its newest tick the one came that we had seen
        self._moves: list[tuple[int, int]] = []  # first second of the server's clock after it was moved, its offset before

    def measure(self) -> None:
        """Read the offset off a tick that has just come, if one has; it is a multiple of half an hour."""
        if self._given:
            return
        measured = next(filter(None, map(self._offset_by, self._symbols)), None)
        if measured is None or measured[0] == self.offset:
            return
        offset, looked = measured
        log.info("server time", extra={"extra_data": {"hours_ahead_of_utc": offset / 3600}})
        if self.offset is not None:  # the clock was moved at some time since the look before
            self._moves.append((int(looked) + offset, self.offset))
        self.offset = offset

    def note(self, symbol: str, epoch: float) -> None:
        """A tick of this time was shown."""
        before = self._newest.get(symbol, (None, 0.0))[0]
        if before != epoch:
            self._pauses[symbol] = 0.0 if before is None else epoch - before
            self._newest[symbol] = (epoch, self._clock.now().timestamp())

    def age(self, symbol: str, epoch: float) -> float:
        """Seconds since a tick came."""
        now = self._clock.now().timestamp()
        seen = now - self._newest.get(symbol, (epoch, now))[1]
        told = seen if self.offset is None else now + self.offset - epoch
        # on a week's first tick nobody knows yet that the server's clock was put back: what came just now is no hour old
        put_back = self._pauses.get(symbol, 0.0) > WEEKEND and seen < FRESH and abs(told - SUMMER_TIME) < FRESH
        return seen if put_back else max(seen, told)

    @property
    def reckoning(self) -> tuple[float | None, int]:
        """What is equal for as long as `utc` answers the same."""
        return self.offset, len(self._moves)

    def utc(self, epoch: float) -> datetime:
        """Server seconds → aware UTC; what lies before a change to or from summer time by the offset of then."""
        offset = next((before for moved, before in self._moves if epoch < moved), self.offset or 0)
        return datetime.fromtimestamp(epoch - offset, UTC)

    def epoch(self, moment: datetime) -> int:
        """Aware time → server seconds, by the offset of now."""
        return int(moment.timestamp()) + (self.offset or 0)

    def _offset_by(self, symbol: str) -> tuple[int, float] | None:
        """What a symbol's tick says, if anything, and when the one before was seen: the age of an old tick looks like an offset."""
        tick, now = self._terminal.symbol_info_tick(symbol), self._clock.now().timestamp()
        if tick is None:
            return None
        before, looked = self._looks.get(symbol, (tick.time, now))
        self._looks[symbol] = (tick.time, now)
        new = tick.time != before and now - looked < HALF_HOUR - FRESH
        ahead = tick.time - now
        rounded = round(ahead / HALF_HOUR) * HALF_HOUR
        plausible = abs(ahead - rounded) < FRESH and abs(rounded) <= FURTHEST
        return (rounded, looked) if plausible and new else None
