"""The replay's clock: whose sleeping moves the market, or which passes by itself."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from Backtest.errors import BadInput
from Backtest.simulated_terminal.market import Event
from Backtest.simulated_terminal.replay import ReplayMarket


class MarketEnded(Exception):
    """No prices are left: the last bar's own time is over."""


def _never() -> bool:
    return False


def _nothing() -> None:
    return None


def every_event(first: int, end: int) -> int:  # noqa: ARG001 - one way of looking ahead
    """Each event matters."""
    return first


class ReplayClock:
    """Virtual time over the events of a market; `play` is told each event that matters, once, when its moment has come.

    `next_that_matters(first, end)` is the number of the first event from `first` to before `end` that does, or `end`.
    `arrived` is told when all events up to now have come.

    `speed` is how many market seconds pass in one real second; `math.inf` waits for nothing. Real seconds pass in
    `real_sleep(seconds)` alone, or by themselves: `monotonic()` tells how many there were, and `arrive` lets the market
    catch up with them. Raises BadInput when there is a speed but nothing to wait with.
    """

    SLICE = 0.2  # real seconds between two looks at what may interrupt a sleep

    def __init__(
        self,
        market: ReplayMarket,
        play: Callable[[Event], None],
        *,
        next_that_matters: Callable[[int, int], int] = every_event,
        arrived: Callable[[], None] = _nothing,
        speed: float = math.inf,
        real_sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        passes = monotonic is not None
        if not speed > 0 or (speed < math.inf and real_sleep is None and not passes) or (passes and speed == math.inf):
            raise BadInput(f"a replay at speed {speed} needs a speed above 0 and something that waits")
        self._market, self._play, self._next_that_matters = market, play, next_that_matters
        self._arrived = arrived
        self._speed, self._real_sleep, self._monotonic = speed, real_sleep, monotonic
        self._now: float = int(market.events.times[market.first])  # milliseconds
        self._next = market.first  # the first event that has not come
        self._start()

    @property
    def now_msc(self) -> int:
        """The time in milliseconds on the server's clock."""
        return int(self._now)

    @property
    def progress(self) -> tuple[int, int]:
        """How many bar openings and ticks have come, and how many there are in all."""
        events = self._market.events
        return events.openings(self._next), events.openings(len(events))

    @property
    def played(self) -> int:
        """How many events have come."""
        return self._next

    def now(self) -> datetime:
        """The time, aware; the server's clock counts as UTC."""
        return datetime.fromtimestamp(self.now_msc / 1000, UTC)

    def begin(self) -> None:
        """Play the event at which the replay begins."""
        self._come(self._last_of_moment(self._next))

    def resume(self, now_msc: int, played: int) -> None:
        """Go on from where an earlier run was."""
        self._now, self._next = now_msc, played
        self._start()

    def arrive(self) -> None:
        """Where time passes by itself: let it be the moment that it is, with all that has happened since the last look."""
        if self._monotonic is not None:
            self._pass_until(max(self._now, self._from_msc + (self._monotonic() - self._from_real) * self._speed * 1000))

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = _never) -> None:
        """Let time pass, with all that happens in it. Raises MarketEnded when no prices are left, unless time passes by itself.

        Without a real speed it ends at the first event at or after the time slept for: nothing can change in between.
        With one it ends early when `interrupted()` says so, which is asked at least every 0.2 real seconds.
        """
        if seconds <= 0 or interrupted():
            return
        if self._speed < math.inf:
            self._sleep_really(seconds, interrupted)
        else:
            self._skip_to(self._now + seconds * 1000)

    def _start(self) -> None:
        self._from_msc, self._from_real = self._now, self._monotonic() if self._monotonic else 0.0

    def _skip_to(self, target: float) -> None:
        events = self._market.events
        first = events.first_from(target)
        if first == len(events):
            self._come(first - 1)
            self._end()
        self._come(self._last_of_moment(max(first, self._next)))

    def _sleep_really(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        if self._real_sleep is None:
            raise BadInput("this replay's time passes by itself: it cannot be slept away without something that waits")
        left = seconds
        while left > 0 and not interrupted():
            step = min(left, self.SLICE * self._speed)
            self._real_sleep(step / self._speed)
            if self._monotonic is not None:
                self.arrive()
            else:
                self._pass_until(self._now + step * 1000)
                if self._now >= self._market.end_msc:
                    self._end()
            left -= step

    def _pass_until(self, target: float) -> None:
        events = self._market.events
        if self._next < len(events) and events.times[self._next] <= target:
            self._come(events.first_from(math.floor(target) + 1) - 1)
        self._now = target

    def _last_of_moment(self, number: int) -> int:
        return self._market.events.first_from(int(self._market.events.times[number]) + 1) - 1

    def _come(self, last: int) -> None:
        """Let all events up to this one come; those that matter are played."""
        while (following := self._next_that_matters(self._next, last + 1)) <= last:
            event = self._market.events[following]
            self._next, self._now = following + 1, event.time_msc
            self._play(event)
        if self._next <= last:
            self._next, self._now = last + 1, int(self._market.events.times[last])
        self._arrived()

    def _end(self) -> None:
        self._now = max(self._now, self._market.end_msc)
        raise MarketEnded("no prices are left to replay")
