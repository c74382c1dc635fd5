"""A run of the trader on a disk that loses power, and what each cut would have left of its record.

The run is recorded once, step by step. A cut at any step is then made from the recording, opened by the product's own code, and
traded on to the end against the broker as it was at that moment: that lives elsewhere, and loses nothing.
"""

import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.journal import Journal
from Live.audit_logger import AuditLogger
from Live.clock import SystemClock
from Live.errors import Misconfigured
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.mt5_connector import OpenedTerminal
from tests.faults.disk import LOSSES, Disk, Step, left_after
from tests.faults.record_and_ledger import EVIDENCE, Ledger, Record, Rows, lost_rows
from tests.faults.series import LISTS, MAGIC, set_back
from tests.faults.strategies import MENUS, Worker
from tests.faults.tapes import market
from tests.live_runs import WIDE_OPEN, loaded, settings

BARS, BARS_BEFORE_THE_STOP = 16, 6
RECORD, ACCOUNT = "audit.db", "account.jsonl"
SENT = "SELECT order_key FROM order_events JOIN orders USING (client_order_id) WHERE to_status = 'SUBMITTED'"


@dataclass(slots=True)
class Recording:
    """A run: what happened on the disk, and beside each step what was promised to last."""

    steps: list[Step]
    promised: list[tuple[int, dict[str, int]]] = field(default_factory=list)  # rows by table, when a durable write had returned
    sent: list[tuple[int, str]] = field(default_factory=list)  # keys that the broker was given
    account: list[tuple[int, int]] = field(default_factory=list)  # bytes of the broker's own file
    final: Rows = field(default_factory=dict)

    def promised_at(self, step: int) -> dict[str, int]:
        """Rows of each table that must be there after a cut at this step."""
        return next((rows for at, rows in reversed(self.promised) if at <= step), {})


@dataclass(frozen=True, slots=True)
class Cut:
    """What one power cut came to."""

    step: int
    loss: str
    lost: tuple[str, ...]  # what was promised and is not there
    breaches: tuple[str, ...]  # what else does not hold


def recorded(folder: Path, seed: int, *, full: bool = True) -> Recording:
    """A first start, a stop, an update of the record's schema and a run to the end, on a disk that remembers.

    Without `full`, what the product asks to last is only written as what need not.
    """
    disk = Disk()
    recording = Recording(disk.steps)
    with disk.recording(), _listening(recording), nullcontext() if full else _weakened():
        trade(folder, seed, stop=True)
        set_back(folder / RECORD)
        trade(folder, seed)
    with closing(Record(folder / RECORD)) as record:
        recording.final = record.evidence()
    return recording


def cut(recording: Recording, step: int, loss: str, *, seed: int, folders: tuple[Path, Path], trade_on: bool = True) -> Cut:
    """Cut the power after this step of the run in the first folder, and look in the second one at what is left."""
    run, here = folders
    for path, content in left_after(recording.steps[:step], LOSSES[loss], random.Random(f"{seed} {step} {loss}")).items():
        here.joinpath(Path(path).name).write_bytes(content)
    try:
        AuditLogger(here / RECORD, SystemClock()).close()
    except Misconfigured as refusal:
        return Cut(step, loss, (), (f"the record cannot be opened: {refusal}",))
    with closing(Record(here / RECORD)) as record:
        lost, breaches = list(_lost(recording, step, record)), [*record.faults(), *lost_rows(record.evidence(), recording.final)]
    if trade_on and not lost:
        size = max((bytes_ for at, bytes_ in recording.account if at <= step), default=0)
        here.joinpath(ACCOUNT).write_bytes((run / ACCOUNT).read_bytes()[:size])
        breaches += _traded_on(here, seed)
    return Cut(step, loss, tuple(lost), tuple(breaches))


def _lost(recording: Recording, step: int, record: Record) -> Iterator[str]:
    found = record.evidence()
    for name, rows in recording.promised_at(step).items():
        if len(found[name]) < rows:
            yield f"{rows} rows of {name} were to last, and {len(found[name])} are there"
    marked = {key for (key,) in record.rows(SENT)}
    for at, key in recording.sent:
        if at <= step and key not in marked:
            yield f"order {key} was sent, and the record does not say so (I2)"


def _traded_on(folder: Path, seed: int) -> Iterator[str]:
    code, terminal = trade(folder, seed)
    if code != 0:
        yield f"the trader after the cut ended with exit code {code}"
    looked = terminal.looked  # by the trader
    lists = {name: list(getattr(terminal, name)(*((1, 2**31 - 1) if name.startswith("history") else ()))) for name in LISTS}
    with closing(Record(folder / RECORD)) as record:
        yield from record.faults()
        yield from Ledger(lists, MAGIC, looked=looked, netting=False).breaches(record)


# the run


class _Terminal(SimulatedTerminal):
    looked = 0  # when finished orders were last asked for, the server's milliseconds

    def history_orders_get(self, *args: Any, **options: Any) -> Any:
        self.looked = self.clock.now_msc
        return super().history_orders_get(*args, **options)


class _Stopping(Watcher):
    def turned(self, trader: LiveTrader) -> None:
        if trader.bars >= BARS_BEFORE_THE_STOP:
            os.kill(os.getpid(), signal.SIGTERM)


def trade(folder: Path, seed: int, *, stop: bool = False) -> tuple[int, _Terminal]:
    """Trade the record and the account of a folder on to the end, or until a SIGTERM after some bars; exit code and terminal."""
    draw = random.Random(f"run {seed}")
    spec = SymbolSpec("EURUSD", 5, tick_size=1e-5, currency_base="EUR", currency_margin="EUR")
    prices = market(draw.choice(("plain", "wild")), draw.randrange(50), BARS, 8, spec)
    terminal = _Terminal(prices, AccountSpec(login=12345678), state_file=folder / ACCOUNT)
    strategy = type("Worker", (Worker,), {"menu": MENUS[draw.choice(("mixed", "parts", "burst"))]})
    given = {"symbols": "EURUSD", "timeframe": "M5", "warmup_bars": 10, "interval_seconds": 3600}
    opened = OpenedTerminal("simulated", terminal, terminal.clock, machine=terminal.clock)
    chosen = Chosen(loaded(strategy, margin=0.05), {})
    trader = LiveTrader(settings(folder, **WIDE_OPEN, **given), chosen, opened, watcher=_Stopping() if stop else Watcher())
    try:
        code = trader.run()
    finally:
        terminal.close()
    terminal.initialize()
    return code, terminal


@contextmanager
def _listening(recording: Recording) -> Iterator[None]:
    """Note what is promised, sent and executed, each with the step of the disk that it came after."""
    transaction, send, append = AuditLogger.transaction, SimulatedTerminal.order_send, Journal._append

    @contextmanager
    def promising(self: AuditLogger, *, durable: bool) -> Iterator[None]:
        outermost = not self._db.in_transaction
        with transaction(self, durable=durable):
            yield
        if outermost and durable:
            counts = {name: self._db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in EVIDENCE}
            recording.promised.append((len(recording.steps), counts))

    def sending(self: SimulatedTerminal, request: Any) -> Any:
        if "comment" in request and request["action"] in (1, 5):
            recording.sent.append((len(recording.steps), request["comment"]))
        return send(self, request)

    def appending(self: Journal, step: dict[str, Any]) -> None:
        append(self, step)
        recording.account.append((len(recording.steps), os.fstat(self._file).st_size))

    patch = mock.patch.object
    with patch(AuditLogger, "transaction", promising), patch(_Terminal, "order_send", sending), patch(Journal, "_append", appending):
        yield


class _Weak(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *values)


@contextmanager
def _weakened() -> Iterator[None]:
    with mock.patch.object(sqlite3, "connect", partial(sqlite3.connect, factory=_Weak)):
        yield
