"""The process that delivers: it follows the record, and hands each channel one letter at a time.

Each channel has a thread of its own, which does nothing but send and say how it went; everything else happens in one thread.
A channel that hangs keeps the others from nothing, and none of this is in the trader's process.
"""

import json
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from Live.alert_kinds import Alert, Delivery, Level, Route, Type
from Live.alerts.channels import Channel, channels_of
from Live.alerts.health import Health
from Live.alerts.letters import Letter, letter_of
from Live.alerts.pictures import picture_of
from Live.alerts.waiting import Message, Queued, Waiting
from Live.alerts.web import NotSent, Refused, Web
from Live.audit_logger.outbox import Outbox, Standing
from Live.audit_logger.reader import RecordUnavailable, Row
from Live.audit_logger.told import AlertReader
from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.locks import hold_delivery
from Live.redaction import redacted

LOOK_SECONDS = 0.5  # between two looks at the record
FLUSH_SECONDS = timedelta(seconds=30)  # in which what is left is delivered after the trader has ended
NEWS = timedelta(minutes=10)  # a channel that is new is told what happened in the last minutes, not the whole history

Result = tuple["Line", Exception | None]


@dataclass(eq=False)
class Line:
    """A channel, what it wants, what waits for it, and the letter that is on its way."""

    channel: Channel
    route: Route
    results: "queue.SimpleQueue[Result]"
    waiting: Waiting = field(default_factory=Waiting)
    after: int = 0  # rows of the record up to this one are none of its business any more
    settled: set[tuple[int, str]] = field(default_factory=set)
    sending: Message | None = None
    problem: str = ""
    told: Standing | None = None  # what the outbox has
    _inbox: "queue.SimpleQueue[Letter]" = field(default_factory=queue.SimpleQueue)

    def start(self) -> None:
        """The thread ends with the process."""
        threading.Thread(target=self._work, name=self.channel.name, daemon=True).start()

    def hand(self, message: Message, letter: Letter) -> None:
        """Send it; how that went comes to `results`."""
        self.sending = message
        self._inbox.put(letter)

    def _work(self) -> None:
        while True:
            letter = self._inbox.get()
            try:
                self.channel.send(letter)
            except Exception as error:  # noqa: BLE001 - the boundary of a thread; a foreign package may raise anything
                self.results.put((self, error))
            else:
                self.results.put((self, None))


class Deliverer:
    """Follows one record. `turn` does what is due and never waits for a channel."""

    def __init__(self, config: LiveConfig, outbox: Outbox, channels: Iterable[tuple[Channel, str]], clock: Clock) -> None:
        self._config, self._outbox, self._clock = config, outbox, clock
        self.results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self.lines = [Line(channel, Route.of(route), self.results) for channel, route in channels]
        self._read_to, self._identity, self._own = 0, "", 0
        self._begun = False
        for line in self.lines:
            line.start()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not any(line.waiting.alerts or line.sending for line in self.lines)

    def turn(self, *, closing: bool = False) -> None:
        """Take in what is new, and hand every channel that is free what is due on it."""
        self._take_results()
        with suppress(RecordUnavailable), AlertReader(self._config.audit_db_path) as reader:  # it is read again in a moment
            self._follow(reader)
            now = self._clock.now()
            for line in self.lines:
                self._settle(line, line.waiting.expire(now))
                if line.sending is None and (message := line.waiting.next(now, closing=closing)) is not None:
                    line.hand(message, self._letter(reader, message, now))

    def tell(self, alert: Alert) -> None:
        """Something that the trader cannot tell by itself: it is not in the record, and not in the outbox."""
        self._own -= 1
        now = self._clock.now()
        self._offer(Queued(self._own, now, now.isoformat(), alert))

    def wait(self, seconds: float) -> None:
        """Until a channel says how it went, or so long."""
        with suppress(queue.Empty):
            self._take(self.results.get(timeout=seconds))

    # following the record

    def _follow(self, reader: AlertReader) -> None:
        identity = reader.identity()
        if not identity:
            return
        if not self._begun or identity != self._identity:
            self._begin(reader, identity)
        while rows := reader.alerts_after(self._read_to):
            for row in rows:
                self._offer(_queued(row))
            self._read_to = int(str(rows[-1]["id"]))
        for line in self.lines:
            self._settle(line, ())

    def _begin(self, reader: AlertReader, identity: str) -> None:
        """Where each channel goes on: behind what has an outcome, or with the news where it is new."""
        self._begun, self._identity = True, identity
        recent = reader.last_alert_before((self._clock.now() - NEWS).isoformat())
        for line in self.lines:
            standing = self._outbox.standing(line.channel.name)
            known = standing is not None and standing.record == identity
            line.after = standing.alert_id if standing is not None and known else recent
            line.settled = self._outbox.settled(line.channel.name, line.after) if known else set()
        self._read_to = min((line.after for line in self.lines), default=0)

    def _offer(self, queued: Queued) -> None:
        for line in self.lines:
            old = 0 <= queued.id <= line.after or (queued.id, queued.at.isoformat()) in line.settled
            if not old and line.route.wants(queued.alert):
                self._settle(line, line.waiting.add(queued))

    # what became of it

    def _take_results(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(self.results.get_nowait())

    def _take(self, result: Result) -> None:
        line, error = result
        message, line.sending = line.sending, None
        if message is None:
            return
        now = self._clock.now()
        line.problem = "" if error is None else _sentence(error)
        if error is None:
            self._settle(line, line.waiting.sent(message, now))
        elif isinstance(error, Refused):
            self._settle(line, line.waiting.refused(message, line.problem))
        else:
            wait = error.wait if isinstance(error, NotSent) else None
            line.waiting.failed(now, None if wait is None else timedelta(seconds=wait))
            self._settle(line, ())

    def _settle(self, line: Line, made: Iterable[Delivery]) -> None:
        deliveries = [delivery for delivery in made if delivery.alert_id > 0]
        waiting = [queued.id for queued in line.waiting.alerts if queued.id > 0]
        upto = min(waiting) - 1 if waiting else max(self._read_to, line.after)
        standing = Standing(upto, self._identity, line.waiting.failures, redacted(line.problem, self._config.secrets()))
        if self._begun and (deliveries or standing != line.told):
            line.told = standing
            self._outbox.put(line.channel.name, standing, deliveries, self._clock.now())

    def _letter(self, reader: AlertReader, message: Message, now: datetime) -> Letter:
        run = reader.latest_run()
        sender = f"{run.mode} {run.strategy_id}" if run else "AlgoAgent Live"
        drawn = self._config.alert_pictures and len(message.alerts) == 1
        letter = letter_of(message, sender, now, picture_of(reader, message.alerts[0]) if drawn else None)
        secrets = self._config.secrets()
        hidden = {name: redacted(getattr(letter, name), secrets, numbers=False) for name in ("title", "text", "facts")}
        return Letter(level=letter.level, picture=letter.picture, **hidden)


def _queued(row: Row) -> Queued:
    text = {name: str(row[name]) for name in ("type", "level", "kind", "message", "symbol", "queued_at", "timestamp", "details")}
    facts = json.loads(text["details"])
    alert = Alert(Type(text["type"]), Level[text["level"]], text["kind"], text["message"], text["symbol"], facts)
    run = row["run_id"]
    return Queued(
        int(str(row["id"])), datetime.fromisoformat(text["queued_at"]), text["timestamp"], alert, run if isinstance(run, int) else None
    )


def _sentence(error: Exception) -> str:
    """Why it was not sent: our own words, or of a foreign package no more than what kind of error it was."""
    return str(error) if isinstance(error, NotSent | Refused) else type(error).__name__


def deliver(config: LiveConfig, *, with_parent: bool, clock: Clock | None = None) -> int:
    """Deliver until told to end, or with the parent; then what is left, for half a minute. Raises LiveError for what keeps it from it."""
    time = clock or SystemClock()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    if with_parent:
        threading.Thread(target=_follow_parent, args=(ended.set,), daemon=True).start()
    with ExitStack() as resources:
        hold_delivery(resources, config.audit_db_path, "alerts")
        outbox = resources.enter_context(closing(Outbox(config.audit_db_path)))
        web = Web(config.alert_private_hosts)
        deliverer = Deliverer(config, outbox, channels_of(config, web), time)
        health = Health(config, web, time)
        while not ended.is_set():
            for alert in health.look():
                deliverer.tell(alert)
            deliverer.turn()
            deliverer.wait(LOOK_SECONDS)
        for alert in health.last_words(with_parent=with_parent):
            deliverer.tell(alert)
        _flush(deliverer, time)
    return 0


def _flush(deliverer: Deliverer, clock: Clock) -> None:
    until = clock.now() + FLUSH_SECONDS
    deliverer.turn(closing=True)
    while not deliverer.idle and clock.now() < until:
        deliverer.wait(LOOK_SECONDS)
        deliverer.turn(closing=True)


def _follow_parent(end: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    end()
