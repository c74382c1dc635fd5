"""One account at the broker and the traders on it: killed one after the other, and a last one that comes to the end."""

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal, SymbolSpec
from Live.audit_logger.opening import SCHEMA_VERSION, TABLES_SINCE
from Live.config import LiveConfig
from Live.stopping import resume
from tests.faults.distant_broker import SLEEP, Broker, Call, Killed
from tests.faults.kill_points import POINTS
from tests.faults.lives import CANARY, CONSOLE, Life, live
from tests.faults.record_and_ledger import Ledger, Record, Rows, is_marked, lost_rows
from tests.faults.strategies import MENUS
from tests.faults.tapes import ends_after, market
from tests.live_runs import settings

MAGIC = int(LiveConfig.model_fields["magic_number"].default)
STRANGER = 777
BARS, MORE_BARS, BAR_SECONDS = 40, 3, 300  # of a series, and of its last life, however late that begins
SPREAD = 8
HEDGING, NETTING = 2, 0
KILLED = -9  # SIGKILL, which Windows has not
LISTS = ("positions_get", "orders_get", "history_orders_get", "history_deals_get")
DOWNTIMES = (0.0, 0.0, 1.0, 10.0, 50.0, 400.0, 1500.0)  # seconds between a death and the next start
DECIDED_BY = {
    "waiting order": ("waiting", "mixed"),
    "cancellation": ("waiting", "mixed"),
    "levels": ("parts", "mixed"),
    "a close": ("parts", "mixed"),
}
SELDOM_THE_FIRST = {"at any other call": 300, "in the migration": 25, "before the positions are looked at": 60, "in the search for it": 4}
# After which the next trader has a question: some of them are answered by what the broker shows, some by its absence.
QUESTIONS = [label for label in POINTS if label.endswith(("never delivered", "delivered after it was given up"))]
EMERGENCY = "EMERGENCY_STOP"
KILL_SWITCH_CODE = 10


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill: the n-th passage of a point, and how long nobody starts the trader again."""

    label: str
    nth: int
    downtime: float


@dataclass(slots=True)
class Told:
    """What became of a series."""

    seed: int
    kills: list[str] = field(default_factory=list)  # by point
    not_reached: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    duplicates: int = 0
    lost: int = 0
    missed: int = 0
    late: int = 0


def strikes_of(seed: int) -> list[Strike]:
    """What a seed has in store. Seeds that follow each other have all points in turn, each after what it needs."""
    draw = random.Random(seed)
    labels = list(POINTS)
    target = labels[seed % len(labels)]
    ordinary = [label for label in labels if not POINTS[label].first]
    before = {"a question": QUESTIONS, "a life": ordinary, "an old record": ordinary}.get(POINTS[target].first, [])
    more = [draw.choice(labels) for _ in range(draw.choice((0, 1, 2, 2)))]
    chosen = [*([draw.choice(before)] if before else []), target, *more]
    return [Strike(label, _nth(draw, label), draw.choice(DOWNTIMES)) for label in chosen]


def _nth(draw: random.Random, label: str) -> int:
    if label in SELDOM_THE_FIRST:
        return draw.randrange(1, SELDOM_THE_FIRST[label])
    often = POINTS[label].letter in "abcdefghij" and not _kinds_in(label)
    return draw.choice((1, 1, 2, 3)) if often else 1


def _kinds_in(label: str) -> list[str]:
    return [kind for kind in DECIDED_BY if kind in label]


def _menu_for(strikes: Sequence[Strike], draw: random.Random) -> str:
    """A strategy that does what the points are about."""
    wanted = {kind for strike in strikes for kind in _kinds_in(strike.label)}
    return draw.choice([menu for menu in MENUS if all(menu in DECIDED_BY[kind] for kind in wanted)])


class Series:
    """The traders of one account, in a folder of their own."""

    def __init__(self, seed: int, folder: Path, strikes: Sequence[Strike] | None = None) -> None:
        draw = random.Random(f"account {seed}")
        self._folder, self.told, self._strikes = folder, Told(seed), strikes_of(seed) if strikes is None else strikes
        self._menu, self._mode = _menu_for(self._strikes, draw), draw.choice((HEDGING, HEDGING, NETTING))
        self.broker = broker_of(draw.choice(("plain", "wild", "midnight", "holes")), draw.randrange(50), BARS, self._mode)
        self._seen: Rows = {}
        self._process: Any = None
        self._passages = 0
        self._prod_at = draw.randrange(5, 40)
        self._others = self._opened_by_somebody_else() if self._mode == HEDGING else []

    def run(self) -> Told:
        """All of it; what was found is in what is told."""
        for strike in self._strikes:
            if self._time_left() < BAR_SECONDS:
                self.told.not_reached.append(strike.label)
            else:
                self._killed_by(strike)
        self._come_to_the_end()
        return self.told

    # lives

    def _killed_by(self, strike: Strike) -> None:
        point = POINTS[strike.label]
        if point.first == "an old record":
            set_back(self._folder / "audit.db")
        code = self._live(strike)
        if code == KILLED:
            self.told.kills.append(strike.label)
        else:
            self.told.not_reached.append(strike.label)
            self._expect(code, (0, KILL_SWITCH_CODE) if point.first == "an emergency" else (0,))
        self._look_back()
        if point.first == "an emergency" and (self._folder / EMERGENCY).exists():
            self._expect(self._live(None), (KILL_SWITCH_CODE,))
            self._expect(resume(settings(self._folder), confirm=lambda _: True), (0,))
        if self._time_left() > 0:
            self.broker.pass_time(strike.downtime)

    def _time_left(self) -> float:
        return (self.broker.until - self.broker.now).total_seconds()

    def _come_to_the_end(self) -> None:
        self.broker.until = max(self.broker.until, self.broker.now + timedelta(seconds=MORE_BARS * BAR_SECONDS))
        self._expect(self._live(None), (0,))
        self._look_back()
        with closing(Record(self._folder / "audit.db")) as record:
            ledger = Ledger(
                {name: self.broker.shown(name) for name in LISTS}, MAGIC, looked=self.broker.looked, netting=self._mode == NETTING
            )
            told = self.told
            told.breaches += [*record.faults(), *ledger.breaches(record), *self._bars_left_out(record), *self._hands_off()]
            told.duplicates, told.lost = len(ledger.duplicates()), len(list(ledger.lost(record)))
            ((told.missed,),) = record.rows("SELECT count(*) FROM order_events WHERE to_status = 'ABSENT'")
            ((told.late,),) = record.rows("SELECT count(*) FROM orders WHERE status = 'LATE_FILLED'")
            ((safe,),) = record.rows("SELECT count(*) FROM events WHERE event_type = 'MISSED_BY_SAFETY'")
            if safe != told.missed:
                told.breaches.append(f"{told.missed} orders were given up, and {safe} are told as missed by safety")
        if any(CANARY.encode() in file.read_bytes() for file in self._folder.iterdir() if file.is_file()):
            told.breaches.append("the password is in a file (I17)")

    def _live(self, strike: Strike | None) -> int:
        """One life, to its end or to its kill; its exit code."""
        at_broker = strike is not None and POINTS[strike.label].at_broker is not None
        life = Life(self._folder, self._menu) if strike is None or at_broker else Life(self._folder, self._menu, strike.label, strike.nth)
        self._process, line = start(life)
        self._passages = 0
        with line:
            self.broker.serve(line, lambda call: self._watch(call, strike), self._kill)
        self._process.join()
        code: int = self._process.exitcode
        return code

    def _watch(self, call: Call, strike: Strike | None) -> Killed | None:
        if call.function == "order_send":
            self._check_request(call)
        if strike is None:
            return None
        point = POINTS[strike.label]
        if call.function == SLEEP and call.number == self._prod_at:
            if point.first == "a stop":
                os.kill(self._process.pid, signal.SIGTERM)
            elif point.first == "an emergency":
                (self._folder / EMERGENCY).touch()
        killed = point.at_broker(call) if point.at_broker is not None else None
        self._passages += killed is not None
        return killed if killed is not None and self._passages == strike.nth else None

    def _kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    # what must hold

    def _check_request(self, call: Call) -> None:
        request = call.request
        if request["action"] in (1, 5) and not is_marked(self._folder / "audit.db", request["comment"]):
            self.told.breaches.append(f"order {request['comment']} is sent, and the record does not say so (I2)")
        ticket = request.get("position")
        if ticket and any(held.ticket == ticket and held.magic != MAGIC for held in self.broker.shown("positions_get")):
            self.told.breaches.append(f"a request is about position {ticket}, which is not ours (I10)")

    def _look_back(self) -> None:
        """What was on record when the trader before was dead is on record now. The files are left as they are for the next one."""
        if not (self._folder / "audit.db").exists():
            return
        copy = self._folder / "copy"
        copy.mkdir(exist_ok=True)
        for name in ("audit.db", "audit.db-wal"):
            copy.joinpath(name).unlink(missing_ok=True)
            if (self._folder / name).exists():
                shutil.copy(self._folder / name, copy / name)
        with closing(Record(copy / "audit.db")) as record:
            found = record.evidence()
        self.told.breaches += lost_rows(self._seen, found)
        self._seen = found

    def _bars_left_out(self, record: Record) -> Iterator[str]:
        """I5: from the first bar on, every one that has closed was decided upon, acted or missed."""
        decided = [epoch for (epoch,) in record.rows("SELECT bar_epoch FROM bars ORDER BY bar_epoch")]
        rates = self.broker.terminal.copy_rates_range("EURUSD", 5, 1, 2**31 - 1)
        closed = [epoch for epoch in rates["time"].tolist()[:-1] if decided and epoch >= decided[0]]
        if not decided or set(closed) - set(decided):
            yield f"{len(set(closed) - set(decided))} of {len(closed)} closed bars were never decided upon (I5)"

    def _hands_off(self) -> Iterator[str]:
        held = {position.ticket: position for position in self.broker.shown("positions_get")}
        for before in self._others:
            now = held.get(before.ticket)
            if now is None or (now.volume, now.sl, now.tp) != (before.volume, before.sl, before.tp):
                yield f"position {before.ticket} is somebody else's, and was touched (I10)"

    def _opened_by_somebody_else(self) -> list[Any]:
        terminal = self.broker.terminal
        terminal.initialize()
        tick = terminal.symbol_info_tick("EURUSD")
        request = {"action": 1, "symbol": "EURUSD", "volume": 0.05, "type": 0, "price": tick.ask, "magic": STRANGER, "comment": "by hand"}
        assert terminal.order_send(request).retcode == 10009
        return self.broker.shown("positions_get")

    def _expect(self, code: int, wanted: tuple[int, ...]) -> None:
        if code not in wanted:
            said = (self._folder / CONSOLE).read_text(errors="replace").strip().splitlines()[-1:]
            self.told.breaches.append(f"a trader ended with exit code {code}: {' '.join(said)}")


def set_back(record: Path) -> None:
    """Make a record one of the version before: without what is new in this one."""
    new = TABLES_SINCE.get(SCHEMA_VERSION, ())
    with closing(sqlite3.connect(record, isolation_level=None)) as db:
        db.execute("BEGIN")
        found = db.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type DESC").fetchall()
        for kind, name in found:  # triggers, tables, and indices of other tables
            if any(each in name for each in new):
                db.execute(f"DROP {kind} IF EXISTS {name}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
        db.execute("COMMIT")


def broker_of(calendar: str, walk: int, bars: int, mode: int = HEDGING) -> Broker:
    """A broker whose prices go on for so many bars, and a little longer."""
    spec = SymbolSpec("EURUSD", 5, tick_size=1e-5, currency_base="EUR", currency_margin="EUR")
    account = AccountSpec(login=12345678, margin_mode=mode, comment_length=16)
    terminal = SimulatedTerminal(market(calendar, walk, bars + 2 * MORE_BARS, SPREAD, spec), account)
    return Broker(terminal, terminal.clock.now() + timedelta(seconds=ends_after(calendar, bars)))


def start(life: Life) -> tuple[Any, Connection]:
    """The process of a trader, and the broker's end of the line to it."""
    # children of a process that has imported everything: each starts in the twentieth part of a second
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.lives"])
    ours, theirs = context.Pipe()
    process = context.Process(target=live, args=(theirs, life))
    process.start()
    theirs.close()
    return process, ours
