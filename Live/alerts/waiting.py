"""What one channel is to send next (pure; times are handed in): folding, a rate, pauses after failures, and an end to waiting."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from Live.alert_kinds import Alert, Delivery, Level

FOLD = timedelta(minutes=5)  # in which the same thing is not said a second time
PER_MINUTE = 20  # messages; Telegram allows a group so many (core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)
MINUTE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=5)
OLDEST = timedelta(hours=24)  # what nobody could be told for a day is not news any more
MOST_WAITING = 500  # alerts; of more, the oldest of the least severe are given up


@dataclass(frozen=True, slots=True)
class Queued:
    """An alert as it is in the record. `at` is the machine's clock when it was put down, `happened` the session's."""

    id: int
    at: datetime
    happened: str
    alert: Alert
    run_id: int | None = None

    def settled(self, outcome: str, detail: str = "") -> Delivery:
        """The row that says what became of it."""
        return Delivery(self.id, self.at.isoformat(), outcome, detail)


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent at once: the newest of alerts that say the same, or with `digest` alerts of several kinds."""

    alerts: tuple[Queued, ...]  # oldest first
    lost: int = 0  # alerts that were given up before this message
    digest: bool = False

    @property
    def level(self) -> Level:
        """The most severe of what it says."""
        return max(queued.alert.level for queued in self.alerts)


@dataclass(slots=True)
class Waiting:
    """One channel's alerts that have not been sent yet. `next` takes none away: `sent`, `failed` or `refused` must follow."""

    alerts: list[Queued] = field(default_factory=list)  # oldest first
    lost: int = 0
    failures: int = 0  # in a row
    _told: dict[str, datetime] = field(default_factory=dict)  # what was said when, by `Alert.fold`
    _sent: deque[datetime] = field(default_factory=deque)  # the messages of the last minute
    _paused_until: datetime | None = None

    def add(self, queued: Queued) -> list[Delivery]:
        """One more; what must be given up for it."""
        self.alerts.append(queued)
        if len(self.alerts) <= MOST_WAITING:
            return []
        least = min(self.alerts, key=lambda each: (each.alert.level, each.id))
        return self._give_up([least], "DROPPED", f"more than {MOST_WAITING} were waiting")

    def expire(self, now: datetime) -> list[Delivery]:
        """Give up what has waited too long."""
        old = [queued for queued in self.alerts if now - queued.at > OLDEST]
        return self._give_up(old, "EXPIRED", "older than a day") if old else []

    def next(self, now: datetime, *, closing: bool = False) -> Message | None:
        """What is to be sent now, if anything: the most severe first, then the oldest.

        When `closing`, there is no later moment to say again what was said in the last minutes.
        """
        if self._paused_until is not None and now < self._paused_until:
            return None
        due = [group for group in self._groups() if closing or self._is_due(group, now)]
        if not due:
            return None
        due.sort(key=lambda group: (-max(queued.alert.level for queued in group), group[0].id))
        left = PER_MINUTE - self._in_the_last_minute(now)
        critical = due[0][-1].alert.level is Level.CRITICAL  # does not wait for the rate
        if left <= 0 and not critical:
            return None
        if left == 1 and len(due) > 1 and not critical:  # the last one of this minute says all that there is to say
            together = sorted((queued for group in due for queued in group), key=lambda queued: queued.id)
            return Message(tuple(together), self.lost, digest=True)
        return Message(tuple(due[0]), self.lost)

    def sent(self, message: Message, now: datetime) -> list[Delivery]:
        """The message is out."""
        self._remove(message.alerts)
        self._told |= dict.fromkeys((queued.alert.fold for queued in message.alerts), now)
        self._told = {fold: at for fold, at in self._told.items() if now - at < FOLD}
        self._sent.append(now)
        self.lost, self.failures, self._paused_until = self.lost - message.lost, 0, None
        *before, last = message.alerts
        return [*(queued.settled("SENT" if message.digest else "FOLDED") for queued in before), last.settled("SENT")]

    def failed(self, now: datetime, wait: timedelta | None = None) -> None:
        """Nobody knows it yet: 1, 2, 4 … seconds until the next attempt, or as long as the other side asks for."""
        self.failures += 1
        pause = timedelta(seconds=2 ** min(self.failures - 1, 10))
        self._paused_until = now + min(max(pause, wait or pause), LONGEST_PAUSE)

    def refused(self, message: Message, reason: str) -> list[Delivery]:
        """The other side will never take this message."""
        return self._give_up(message.alerts, "GIVEN_UP", reason)

    def _groups(self) -> Iterable[list[Queued]]:
        groups: dict[str, list[Queued]] = {}
        for queued in self.alerts:
            groups.setdefault(queued.alert.fold, []).append(queued)
        return groups.values()

    def _is_due(self, group: Sequence[Queued], now: datetime) -> bool:
        told = self._told.get(group[0].alert.fold)
        # a clock that was set back must not silence anybody
        return told is None or not timedelta(0) <= now - told < FOLD

    def _in_the_last_minute(self, now: datetime) -> int:
        while self._sent and not timedelta(0) <= now - self._sent[0] < MINUTE:
            self._sent.popleft()
        return len(self._sent)

    def _give_up(self, alerts: Sequence[Queued], outcome: str, detail: str) -> list[Delivery]:
        self._remove(alerts)
        self.lost += len(alerts)
        return [queued.settled(outcome, detail) for queued in alerts]

    def _remove(self, alerts: Sequence[Queued]) -> None:
        gone = {queued.id for queued in alerts}
        self.alerts = [queued for queued in self.alerts if queued.id not in gone]


def counted(alerts: Iterable[Queued]) -> list[tuple[str, int]]:
    """How often each kind is among them, most often first."""
    return Counter(queued.alert.kind for queued in alerts).most_common()
