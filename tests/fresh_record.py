"""A record that has just been made, and what is put into it."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from Backtest.decisions import Bar
from Live.audit_logger import AuditLogger
from Live.audit_logger.spill import Spill, spill_of
from Live.errors import RecordFailed
from Live.model import BarId, Deal, Intent, Kind, Magic, Side, Slot, Status, Ticket, client_order_id

SLOT = Slot(12345678, "Demo/Server@x", "sma_cross", Magic(123456))
NOW = datetime(2018, 2, 5, 10, tzinfo=UTC)
BAR = BarId(SLOT, "EURUSD", "H1", 1_517_824_800, NOW)
RUN: dict[str, Any] = {
    "slot": str(SLOT),
    "mode": "DRY",
    "terminal": "simulated",
    "login": SLOT.login,
    "server": SLOT.server,
    "strategy_id": SLOT.strategy_id,
    "strategy_file": "sma_cross.py",
    "strategy_class": "SmaCross",
    "strategy_sha256": "0" * 64,
    "params": "{}",
    "settings": "{}",
    "versions": "{}",
    "initial_balance": 10_000.0,
}
PRICES = {"open": 1.24, "high": 1.25, "low": 1.23, "close": 1.245, "tick_volume": 100, "spread": 0, "acted": 1}
SEEN = Bar(BAR.epoch - 3600, 1.24, 1.25, 1.23, 1.245, 90.0, 2)
DEAL = Deal(
    ticket=Ticket(70_000_002),
    order=50_000_001,
    position_id=50_000_001,
    symbol="EURUSD",
    side=Side.BUY,
    entry="IN",
    lots=0.1,
    price=1.245,
    profit=0.0,
    commission=-0.25,
    swap=0.0,
    fee=0.0,
    reason=3,
    magic=SLOT.magic,
    comment="qABCDEFGHIJKL",
    time=NOW,
    epoch=BAR.epoch,
)


@dataclass
class StoppedClock:
    utc: datetime = NOW

    def now(self) -> datetime:
        return self.utc

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        raise AssertionError("the record does not wait")


def opened(path: Path) -> AuditLogger:
    return AuditLogger(path, StoppedClock(), busy_seconds=0)


@pytest.fixture(name="path")
def the_path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.db"


@pytest.fixture(name="record")
def the_record(path: Path) -> Iterator[AuditLogger]:
    record = opened(path)
    record.start_run(RUN)
    yield record
    record.close()


def intent(leg: str = "0", kind: Kind = Kind.ENTRY, **more: Any) -> Intent:
    return Intent(client_order_id(BAR, kind, leg), BAR, kind, leg, Side.BUY, **more)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def changed_by_hand(path: Path, script: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()


def filled(record: AuditLogger, order: Intent) -> None:
    for status in (Status.SUBMITTED, Status.PLACED, Status.FILLED):
        record.move(order.order_id, status, payload={"step": status.value})


def trade() -> dict[str, Any]:
    times = {name: NOW.isoformat() for name in ("timestamp", "entry_time", "exit_time")}
    money = dict.fromkeys(("profit", "commission", "swap", "net_profit", "duration_seconds"), 0.0)
    what = {"slot": str(SLOT), "strategy_id": "sma_cross", "symbol": "EURUSD", "side": "BUY", "exit_reason": "strategy"}
    prices = {"entry_price": 1.24, "exit_price": 1.25, "volume": 0.1, "size": 10_000.0}
    return {**times, **money, **what, **prices, "position_ticket": 50_000_001, "exit_deal": 70_000_003}


def fill_the_disk(record: AuditLogger) -> None:
    """From now on there is no room in the database: SQLite answers SQLITE_FULL, as on a full disk."""
    used = record._db.execute("PRAGMA page_count").fetchone()[0]
    record._db.execute(f"PRAGMA max_page_count = {used}")
    with pytest.raises(RecordFailed, match="database or disk is full"):
        fill(record, 1000)


def fill(record: AuditLogger, rows: int) -> None:
    for _ in range(rows):
        record.event("FILLER", "x" * 4000)


def kept_aside(path: Path) -> list[Any]:
    with contextlib.closing(Spill(spill_of(path))) as spill:
        return [*spill.entries, *([None] if spill.torn else [])]


def sent(record: AuditLogger, leg: str = "0") -> str:
    record.add_intent(intent(leg))
    record.move(intent(leg).order_id, Status.SUBMITTED, payload={})
    return intent(leg).order_id


def traded(path: Path, orders: int) -> None:
    """A run with so many more orders, as it is left by a process that was killed: its write-ahead log is there."""
    record = opened(path)
    known = rows(path, "SELECT count(*) FROM orders")[0][0]
    record.start_run(RUN)
    for leg in range(known, known + orders):
        record.add_intent(intent(str(leg)))
        filled(record, intent(str(leg)))
    for suffix in ("", "-wal", "-shm"):  # closing would fold the log in
        file = path.with_name(path.name + suffix)
        file.with_name("left " + file.name).write_bytes(file.read_bytes())
    record.close()
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        file.with_name("left " + file.name).replace(file)
