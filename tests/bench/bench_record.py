"""What the record costs an order: `python -m tests.bench.bench_record [--quick] [--json FILE]`.

A durable intent, the mark before the send, and the answer. The other way is as many bare commits of sqlite3 with the same settings,
of rows of the same length in a table without an index. Both take turns on the same disk, by the wall's clock: a disk's time is waiting.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from Live.audit_logger import AuditLogger
from Live.clock import SystemClock
from Live.model import BarId, Intent, Kind, Magic, Side, Slot, Status, client_order_id
from tests.bench.measuring import Aim, Measured, options, tell

SLOT = Slot(1, "Demo", "bench", Magic(1))
STEPS = (Status.SUBMITTED, Status.FILLED)
ROW = "x" * 700  # about what a step of an order's life writes
RUN = {"slot": str(SLOT), "mode": "DRY", "terminal": "simulated", "login": 1, "server": "Demo", "strategy_id": "bench"} | dict.fromkeys(
    ("strategy_file", "strategy_class", "strategy_sha256", "params", "settings", "versions"), "{}"
)
ANSWER = {"answer": {"retcode": 10009, "deal": 70000002, "order": 50000001, "volume": 0.1, "price": 1.245, "comment": "Request executed"}}


def recorded(record: AuditLogger) -> Callable[[], None]:
    """One order: three durable transactions."""
    serial, now = count(), SystemClock().now()

    def order() -> None:
        bar = BarId(SLOT, "EURUSD", "H1", 3_600 * next(serial), now)
        intent = Intent(client_order_id(bar, Kind.ENTRY, "0"), bar, Kind.ENTRY, "0", Side.BUY)
        record.add_intent(intent)
        for step in STEPS:
            record.move(intent.order_id, step, payload=ANSWER, volume=0.1, executed_price=1.245)

    return order


def bare(db: sqlite3.Connection) -> Callable[[], None]:
    """As many commits of two rows each."""
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE steps (step TEXT);")

    def order() -> None:
        for _ in range(1 + len(STEPS)):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO steps VALUES (?)", [(ROW,), (ROW,)])
            db.execute("COMMIT")

    return order


def figures(*, quick: bool) -> Iterator[Measured]:
    """The median of many orders."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)) as db:
        record = AuditLogger(Path(folder) / "audit.db", SystemClock(), secrets=tuple)
        record.start_run({**RUN, "initial_balance": 1.0})
        ways = (recorded(record), bare(db))
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(200 if quick else 2_000):
            for way, seconds in zip(ways, taken, strict=True):
                began = time.perf_counter()
                way()
                seconds.append(time.perf_counter() - began)
        record.close()
    ours, theirs = (1_000 * statistics.median(seconds) for seconds in taken)
    yield Measured("an order's intent, mark and answer", ours, theirs, "ms", Aim("<=", 1.3))


def main() -> None:
    """Measure and tell it."""
    asked = options(str(__doc__).partition(":")[0])
    tell("The record of an order, against bare commits", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
