"""The replay's clock: sleeping moves the market, and nothing else does."""

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


class ReplayClock:
    """Virtual time over the events of a market; `play` is told each event, once, when its moment has come.

    `speed` is how many market seconds pass in one real second, waited for through `real_sleep(seconds)`; `math.inf`
    waits for nothing. Raises BadInput when there is a speed but nothing to wait with.
    """

    SLICE = 0.2  # real seconds between two looks at what may interrupt a sleep

    def __init__(
        self,
        market: ReplayMarket,
        play: Callable[[Event], None],
        *,
        speed: float = math.inf,
        real_sleep: Callable[[float], None] | None = None,
    ) -> None:
        if not speed > 0 or (speed < math.inf and real_sleep is None):
            raise BadInput(f"a replay at speed {speed} needs a speed above 0 and something that waits")
        self._market, self._play = market, play
        self._speed, self._real_sleep = speed, real_sleep
        self._now: float = market.events[market.first].time_msc  # milliseconds
        self._next = market.first  # the first event that has not been played

    @property
    def now_msc(self) -> int:
        """The time in milliseconds on the server's clock."""
        return int(self._now)

    @property
    def progress(self) -> tuple[int, int]:
        """How many bar openings have come, and how many there are in all."""
        return (self._next + 1) // 2, len(self._market.events) // 2

    @property
    def played(self) -> int:
        """How many events have been played."""
        return self._next

    def now(self) -> datetime:
        """The time, aware; the server's clock counts as UTC."""
        return datetime.fromtimestamp(self.now_msc / 1000, UTC)

    def begin(self) -> None:
        """Play the event at which the replay begins."""
        self._play_next()

    def resume(self, now_msc: int, played: int) -> None:
        """Go on from where an earlier run was."""
        self._now, self._next = now_msc, played

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = _never) -> None:
        """Let time pass, with all that happens in it. Raises MarketEnded when no prices are left.

        Without a real speed it ends at the first event at or after the time slept for: nothing can change in between.
        With one it ends early when `interrupted()` says so, which is asked at least every 0.2 real seconds.
        """
        if seconds <= 0 or interrupted():
            return
        if self._speed < math.inf:
            self._sleep_really(seconds, interrupted)
        else:
            self._skip_to(self._now + seconds * 1000)

    def _skip_to(self, target: float) -> None:
        events = self._market.events
        while self._next < len(events) and events[self._next].time_msc < target:
            self._play_next()
        if self._next == len(events):
            self._end()
        self._play_next()

    def _sleep_really(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        assert self._real_sleep is not None
        left = seconds
        while left > 0 and not interrupted():
            step = min(left, self.SLICE * self._speed)
            self._real_sleep(step / self._speed)
            self._pass_until(self._now + step * 1000)
            left -= step

    def _pass_until(self, target: float) -> None:
        events = self._market.events
        while self._next < len(events) and events[self._next].time_msc <= target:
            self._play_next()
        self._now = target
        if target >= self._market.end_msc:
            self._end()

    def _play_next(self) -> None:
        event = self._market.events[self._next]
        self._next += 1
        self._now = event.time_msc
        self._play(event)

    def _end(self) -> None:
        self._now = max(self._now, self._market.end_msc)
        raise MarketEnded("no prices are left to replay")
