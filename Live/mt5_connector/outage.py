"""A terminal that is lost: since when, and when it is tried again (pure: the time is handed in)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LONGEST_WAIT = 60.0  # seconds
WELL_AGAIN = timedelta(seconds=60)  # shorter than that between two outages, and it is still the same trouble
LOST = "DISCONNECTED"  # the event of an outage
FLAPS, FLAP_WINDOW = 3, timedelta(minutes=10)  # a line that is lost so often within this time does not hold


def unsteady_seconds(lost: Sequence[datetime], now: datetime) -> float:
    """Seconds until a line counts as one that holds; 0.0 when it does. `lost` is when it was lost, in the order of time.

    >>> minutes = [datetime(2024, 1, 1, 12, minute) for minute in (0, 4, 5)]
    >>> unsteady_seconds(minutes, datetime(2024, 1, 1, 12, 6)), unsteady_seconds(minutes[1:], datetime(2024, 1, 1, 12, 6))
    (240.0, 0.0)
    >>> unsteady_seconds(minutes, datetime(2024, 1, 1, 11, 6))
    0.0
    """
    recent = [moment for moment in lost if now - FLAP_WINDOW < moment <= now]  # a clock that was put back must not stretch the wait
    return (recent[-FLAPS] + FLAP_WINDOW - now).total_seconds() if len(recent) >= FLAPS else 0.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without a terminal."""

    since: datetime
    reason: str
    attempts: int = 0  # to bring it back

    def told(self, now: datetime) -> str:
        """One sentence for when it is over."""
        seconds = max(0.0, (now - self.since).total_seconds())
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        back = f"the terminal is back after {seconds:,.0f} seconds and {attempts}"
        return f"{back}; it was lost at {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"


class BackOff:
    """Attempts to bring a terminal back: at once, then 1, 2, 4 … 60 seconds after the one before.

    An outage that follows another within a minute goes on where that one was, so that a flapping line causes no storm.
    """

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self._failures = 0
        self._tried: datetime | None = None
        self._well_since: datetime | None = None

    def lost(self, now: datetime, reason: str) -> None:
        """The terminal is not there; the first reason of an outage is the one that is kept."""
        if self.outage is not None:
            return
        if self._well_since is None or now - self._well_since >= WELL_AGAIN:
            self._failures, self._tried = 0, None
        self.outage = Outage(now, reason)

    def wait(self, now: datetime) -> float:
        """Seconds until the next attempt; 0.0 when it is due."""
        if self._tried is None or now < self._tried:  # a clock that was put back must not stretch the wait
            return 0.0
        due = min(LONGEST_WAIT, 2.0 ** min(self._failures - 1, 10))
        return max(0.0, due - (now - self._tried).total_seconds())

    def tried(self, now: datetime) -> None:
        """An attempt begins; the next one has to wait."""
        self._failures, self._tried = self._failures + 1, now
        if self.outage is not None:
            self.outage = replace(self.outage, attempts=self.outage.attempts + 1)

    def back(self, now: datetime) -> Outage | None:
        """The terminal is there; the outage that has ended, if there was one."""
        ended, self.outage = self.outage, None
        if ended is not None:
            self._well_since = now
        return ended
