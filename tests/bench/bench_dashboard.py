"""How fast the dashboard answers on a large record, with many clients and the trader writing.

`python -m tests.bench.bench_dashboard [--rows 5000000] [--clients 20] [--asked 10] [--db FILE] [--json FILE]`. A record of so many orders
is made first, unless `--db` names one that is there. Each address is asked by all clients at once; p50 and p99 are of one answer
as a client waits for it, so they grow with the number of clients: the dashboard is one process.
"""

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from Live.dashboard.routes import PAGES
from tests.dashboard_page import serving
from tests.sample_record import SLOT, START, SampleRecord, a_trading_day

ADDRESSES = [
    *("/", *(f"/{page}" for page in PAGES[1:]), "/stop", "/orders/5", "/health"),
    *("/api/status", "/api/summary", "/api/positions", "/api/recent_orders", "/api/recent_signals?hold=false", "/api/recent_trades"),
    *("/api/v1/overview", "/api/v1/limits", "/api/v1/equity", "/api/v1/settings", "/api/v1/chart", "/api/v1/performance"),
    *("/api/v1/orders", "/api/v1/orders?before=1000", "/api/v1/orders?status=FAILED", "/api/v1/orders?symbol=NONE", "/api/v1/orders?run=1"),
    *("/api/v1/orders?status=FILLED&symbol=NONE", "/api/v1/signals?acting=true", "/api/v1/signals?symbol=EURUSD", "/api/v1/trades"),
    *("/api/v1/trades?exit_reason=manual", "/api/v1/events", "/api/v1/events?severity=CRITICAL", "/api/v1/events?text=nothing"),
    *("/api/v1/runs", "/api/v1/orders.csv?limit=500", "/figures/equity.json", "/figures/price.json"),
]
TABLES = ("orders", "signals", "trades", "events", "order_events", "fills", "bars", "account_snapshots")
COUNT = "WITH RECURSIVE n (value) AS (SELECT {first} UNION ALL SELECT value + 1 FROM n WHERE value < {last}) "
MINUTES = "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1517788800 + 60 * value, 'unixepoch')"


def make_record(path: Path, rows: int) -> None:
    """So many orders, and of everything else in proportion, in one run; filled in the order of time, as a trader does."""
    made = a_trading_day(path)
    made.db.execute("PRAGMA cache_size = -400000")
    later = _without_indices(made.db)
    with made.db:
        made.db.execute("BEGIN")
        for table, share, given in _plan():
            _multiply(made.db, table, max(1, int(rows * share)), given)
            print(f"  {table}", flush=True)  # noqa: T201
        for sql in later:
            made.db.execute(sql)
        _recount(made.db)
    made.close()


def _plan() -> Iterator[tuple[str, float, dict[str, str]]]:
    """Table, rows for each order, and the columns that differ from row to row."""
    statuses = "CASE WHEN value % 20 = 0 THEN 'FAILED' WHEN value % 50 = 1 THEN 'DENIED' ELSE 'FILLED' END"
    order = "printf('O%015d', value)"
    yield "orders", 1.0, {"client_order_id": order, "order_key": "printf('q%012d', value)", "timestamp": MINUTES, "status": statuses}
    yield "signals", 1.0, {"timestamp": MINUTES, "signal": "CASE WHEN value % 10 THEN 'HOLD' ELSE 'BUY' END", "client_order_id": "NULL"}
    yield "trades", 0.5, {"timestamp": MINUTES, "exit_deal": "value", "position_ticket": "value"}
    yield "events", 0.5, {"timestamp": MINUTES, "severity": "CASE WHEN value % 9999 THEN 'INFO' ELSE 'CRITICAL' END"}
    yield "order_events", 0.5, {"timestamp": MINUTES, "client_order_id": order, "hash": "value", "to_status": "'SUBMITTED'"}
    yield "fills", 0.5, {"timestamp": MINUTES, "deal_ticket": "value", "client_order_id": order, "position_id": "value", "epoch": "value"}
    yield "bars", 0.2, {"bar_epoch": "1600000000 + 3600 * value", "bar_time": MINUTES}
    yield "account_snapshots", 0.2, {"timestamp": MINUTES, "equity": "10000 + value % 977"}


def _multiply(db: sqlite3.Connection, table: str, rows: int, given: dict[str, str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if not (row[5] and row[1] in ("id", "seq"))]
    values = ", ".join(given.get(name, f"model.{name}") for name in columns)
    model = f"(SELECT * FROM {table} LIMIT 1) AS model"
    db.execute(f"{COUNT.format(first=100, last=100 + rows)} INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM n, {model}")


def _without_indices(db: sqlite3.Connection) -> list[str]:
    """Drop what would be kept up to date row by row; returns how to make it again."""
    found = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('index', 'trigger')").fetchall()
    chosen = [row for row in found if row[0] == "index" or row[1].startswith("run_totals")]
    for kind, name, _ in chosen:
        db.execute(f"DROP {kind} {name}")
    return [sql for _, _, sql in chosen]


def _recount(db: sqlite3.Connection) -> None:
    """What the triggers would have counted."""
    db.execute("UPDATE run_totals SET orders_sent = (SELECT count(*) FROM orders), bars = (SELECT count(*) FROM bars)")


@contextmanager
def trading(path: Path) -> Iterator[None]:
    """A trader that writes a bar, an order and a sign of life twenty times a second."""
    made = SampleRecord.__new__(SampleRecord)
    made.path, made.db, made._serial = path, sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30), 5 * 10**6
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.05):
            made.db.execute("BEGIN IMMEDIATE")
            made.bar()
            made.order(START + timedelta(days=9000))
            made.heartbeat(datetime.now(UTC))
            made.db.execute("COMMIT")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        made.close()


def asked_by_all(port: int, address: str, *, clients: int, times: int) -> tuple[list[float], int]:
    """Seconds of every answer, and how many were not well."""
    seconds: list[float] = []
    failed: list[int] = []

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(times):
            begun = time.perf_counter()
            connection.request("GET", address)
            answer = connection.getresponse()
            answer.read()
            seconds.append(time.perf_counter() - begun)
            if answer.status != 200:
                failed.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, len(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--asked", type=int, default=10, help="times by each client")
    parser.add_argument("--db", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.db or Path(folder) / "audit.db"
        if not path.exists():
            begun = time.perf_counter()
            make_record(path, given.rows)
            size = path.stat().st_size / 1e9
            print(f"{given.rows:,} orders of {SLOT} in {time.perf_counter() - begun:.0f} s, {size:.1f} GB", flush=True)  # noqa: T201
        with serving(path) as port, trading(path):
            found = [_measured(port, address, given) for address in ADDRESSES]
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


def _measured(port: int, address: str, given: argparse.Namespace) -> dict[str, object]:
    one, _ = asked_by_all(port, address, clients=1, times=given.asked)
    many, failed = asked_by_all(port, address, clients=given.clients, times=given.asked)
    figures = {"alone": np.median(one), "p50": np.median(many), "p99": np.quantile(many, 0.99)}
    told = "  ".join(f"{name} {1000 * value:8.1f} ms" for name, value in figures.items())
    print(f"{address:45} {told}  failed {failed}", flush=True)  # noqa: T201
    return {"address": address, "failed": failed, **{name: float(value) for name, value in figures.items()}}


if __name__ == "__main__":
    main()
