"""How fast the dashboard answers on a large record, with many clients and the trader writing.

`python -m tests.bench.bench_dashboard [--orders 5000000] [--clients 20] [--asked 10] [--db FILE] [--json FILE]`. A record of so many
orders, and of six times as many rows, is made first, unless `--db` names one that is there. Each address is asked by one client alone and
then by all at once; p50 and p99 are of one answer as a client waits for it, so they grow with the number of clients: the dashboard is one
process. With `--against 1500` a record of so many orders is asked beside it, in turn, and the ratios of what one client waits are told.
"""

import argparse
import json
import multiprocessing
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from Live.dashboard.routes import PAGES
from tests.dashboard_page import a_rich_record, serving
from tests.sample_record import SLOT, START, SampleRecord

ADDRESSES = [
    *("/", *(f"/{page}" for page in PAGES[1:]), "/stop", "/orders/5", "/health"),
    *("/api/status", "/api/summary", "/api/positions", "/api/recent_orders", "/api/recent_signals?hold=false", "/api/recent_trades"),
    *("/api/v1/overview", "/api/v1/limits", "/api/v1/equity", "/api/v1/settings", "/api/v1/chart", "/api/v1/performance"),
    *("/api/v1/orders", "/api/v1/orders?before=1000", "/api/v1/orders?status=FAILED", "/api/v1/orders?symbol=NONE", "/api/v1/orders?run=1"),
    *("/api/v1/orders?status=FILLED&symbol=NONE", "/api/v1/signals?acting=true", "/api/v1/signals?symbol=EURUSD", "/api/v1/trades"),
    *("/api/v1/trades?exit_reason=manual", "/api/v1/events", "/api/v1/events?severity=CRITICAL", "/api/v1/events?text=nothing"),
    *("/api/v1/runs", "/api/v1/orders.csv?limit=500", "/api/v1/orders.csv", "/api/v1/signals.csv?symbol=NONE", "/api/v1/openapi.json"),
    *("/figures/equity.json", "/figures/equity.json?only_sources=true", "/figures/price.json", "/figures/price.json?only_sources=true"),
]
COUNT = "WITH RECURSIVE n (value) AS (SELECT {first} UNION ALL SELECT value + 1 FROM n WHERE value < {last}) "
PATIENCE = 30  # seconds for one answer
FIRST_EPOCH = int(START.timestamp())
NEWEST = """
SELECT 1000 + max((SELECT max(seq) FROM order_events), (SELECT max(deal_ticket) FROM fills)),
       (SELECT max(bar_epoch) FROM bars WHERE timeframe = 'M5')
"""
FIRST = 100  # of the numbers of rows, but for trades: those have the deals of two orders


def make_record(path: Path, orders: int) -> None:
    """So many orders, and of everything else in proportion, in one run; filled in the order of time, as a trader does."""
    made = a_rich_record(path)
    made.db.execute("PRAGMA cache_size = -400000")
    chart = {"run_id": 1, "slot": SLOT, "symbol": "EURUSD", "timeframe": "M5"}
    made.insert("warm_ups", {**chart, "timestamp": START.isoformat(), "bars": 0, "history_id": 0, "spec": "{}"})
    for place, (name, overlay) in enumerate((("SMA(C,10)", 1), ("RSI(C,14)", 0))):
        made.insert("indicators", {**chart, "position": place, "name": name, "overlay": overlay, "scatter": 0, "before": "[]"})
    later = _without_indices(made.db)
    with made.db:
        made.db.execute("BEGIN")
        for table, share, given in _plan():
            _multiply(made.db, table, max(1, int(orders * share)), given)
            print(f"  {table}", flush=True)  # noqa: T201
        for sql in later:
            made.db.execute(sql)
        _recount(made.db)
    made.close()


def _plan() -> Iterator[tuple[str, float, dict[str, str]]]:
    """Table, rows for each order, and the columns that differ from row to row. An order each minute, every other one an exit."""
    statuses = "CASE WHEN value % 20 = 0 THEN 'FAILED' WHEN value % 50 = 1 THEN 'DENIED' ELSE 'FILLED' END"
    order, side = "printf('O%015d', {})", "CASE value % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END"
    times = {"timestamp": _time(60)}
    yield (
        "orders",
        1.0,
        {**times, "client_order_id": order.format("value"), "order_key": "printf('q%012d', value)", "side": side, "status": statuses},
    )
    yield "signals", 1.0, {**times, "signal": "CASE WHEN value % 10 THEN 'HOLD' ELSE 'BUY' END", "client_order_id": "NULL"}
    moves = {"to_status": "CASE value % 2 WHEN 0 THEN 'SUBMITTED' ELSE 'FILLED' END", "hash": "value"}
    yield "order_events", 2.0, {**moves, "timestamp": _time(30), "client_order_id": order.format("value / 2")}
    deal = {"deal_ticket": "value", "position_id": "value / 2", "side": side, "entry": "CASE value % 2 WHEN 0 THEN 'IN' ELSE 'OUT' END"}
    yield "fills", 1.0, {**times, **deal, "client_order_id": order.format("value"), "epoch": _epoch(60)}
    closed = {"exit_deal": "2 * value + 1", "position_ticket": "value", "net_profit": "value % 21 - 10.0"}
    yield "trades", 0.5, {**closed, "timestamp": _time(120, 60), "exit_time": _time(120, 60), "entry_time": _time(120)}
    yield "events", 0.5, {"timestamp": _time(120), "severity": "CASE WHEN value % 9999 THEN 'INFO' ELSE 'CRITICAL' END"}
    price, seen = "1.2 + value % {} / 10000.0", "json_array(1.24 + value % 97 / 10000.0, value % 100)"
    prices = {"open": price.format(97), "close": price.format(89), "high": price.format("89 + 0.01"), "low": price.format("97 - 0.01")}
    yield "bars", 0.2, {**prices, "timeframe": "'M5'", "bar_epoch": _epoch(300), "bar_time": _time(300), "indicators": seen}
    yield "account_snapshots", 0.2, {"timestamp": _time(300), "equity": "10000 + value % 977"}


def _epoch(seconds: int, more: int = 0) -> str:
    return f"{FIRST_EPOCH} + {seconds} * value + {more}"


def _time(seconds: int, more: int = 0) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S+00:00', {_epoch(seconds, more)}, 'unixepoch')"


def _multiply(db: sqlite3.Connection, table: str, rows: int, given: dict[str, str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if not (row[5] and row[1] in ("id", "seq"))]
    values = ", ".join(given.get(name, f"model.{name}") for name in columns)
    model = f"(SELECT * FROM {table} LIMIT 1) AS model"
    first = FIRST // 2 if table == "trades" else 2 * FIRST if table == "order_events" else FIRST
    db.execute(
        f"{COUNT.format(first=first, last=first + rows - 1)} INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM n, {model}"
    )


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
    """A trader in a process of its own that writes a bar, an order with its life and deal, and a sign of life twenty times a second."""
    processes = multiprocessing.get_context("spawn")
    begun, over, told = processes.Event(), processes.Event(), processes.Queue()
    trader = processes.Process(target=_trade, args=(path, begun, over, told))
    trader.start()
    begun.wait(60)
    try:
        yield
    finally:
        over.set()
        waited = told.get(timeout=60)
        trader.join()
        figures = [f"{name} {1000 * np.quantile(waited, share):.1f} ms" for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1))]
        print(f"{len(waited)} turns of the trader: {', '.join(figures)}", flush=True)  # noqa: T201


def _trade(path: Path, begun: Any, over: Any, told: Any) -> None:
    made = SampleRecord.__new__(SampleRecord)
    made.path, made.db = path, sqlite3.connect(path, isolation_level=None, timeout=30)
    made.db.execute("PRAGMA synchronous = FULL")
    # numbers that nothing in the record has, also where a trader of an earlier benchmark has written
    made._serial, bar = made.db.execute(NEWEST).fetchone()
    waited: list[float] = []
    while not over.wait(0.05):
        bar += 300
        start = time.perf_counter()
        _turn(made, datetime.fromtimestamp(bar, UTC))
        waited.append(time.perf_counter() - start)
        begun.set()
    made.close()
    told.put(waited)


def _turn(made: SampleRecord, at: datetime) -> None:
    made.db.execute("BEGIN IMMEDIATE")
    made._serial += 1
    serial, name = made._serial, f"T{made._serial}"
    made.bar(timeframe="M5", bar_time=at.isoformat(), bar_epoch=int(at.timestamp()), indicators="[1.24, 50]")
    made.order(at, client_order_id=name)
    made.life_of(name, ("PENDING", {}), ("SUBMITTED", {}), ("FILLED", {}))
    made.fill(name, serial, timestamp=at.isoformat(), epoch=int(at.timestamp()), position_id=serial)
    made.heartbeat(datetime.now(UTC))
    made.db.execute("COMMIT")


def asked_by_all(port: int, address: str, *, clients: int, times: int) -> tuple[list[float], int]:
    """Seconds of every answer, and how many were not well."""
    seconds: list[float] = []
    failed: list[int] = []

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for _ in range(times):
            begun = time.perf_counter()
            status = _status(connection, address)
            seconds.append(time.perf_counter() - begun)
            if status != 200:
                failed.append(status)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, len(failed)


def _status(connection: HTTPConnection, address: str) -> int:
    """The status of the whole answer; 0 where none came in time or it was cut off."""
    try:
        connection.request("GET", address)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        connection.close()
        return 0
    return answer.status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--asked", type=int, default=10, help="times by each client")
    parser.add_argument("--against", type=int, metavar="ORDERS", help="a record of so many beside it, for the ratio")
    parser.add_argument("--only", default="", help="addresses with this in them")
    parser.add_argument("--db", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    addresses = [address for address in ADDRESSES if given.only in address]
    with tempfile.TemporaryDirectory() as folder:
        path = given.db or Path(folder) / "audit.db"
        if not path.exists():
            _made(path, given.orders)
        if given.against:
            small = Path(folder) / "small.db"
            _made(small, given.against)
            with serving(path) as port, serving(small) as beside, trading(path), trading(small):
                found = [_compared(port, beside, address, given.asked) for address in addresses]
        else:
            with serving(path) as port, trading(path):
                found = [_measured(port, address, given) for address in addresses]
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


def _made(path: Path, orders: int) -> None:
    begun = time.perf_counter()
    make_record(path, orders)
    size = path.stat().st_size / 1e9
    print(f"{orders:,} orders of {SLOT} in {time.perf_counter() - begun:.0f} s, {size:.1f} GB", flush=True)  # noqa: T201


def _measured(port: int, address: str, given: argparse.Namespace) -> dict[str, object]:
    one, _ = asked_by_all(port, address, clients=1, times=given.asked)
    many, failed = asked_by_all(port, address, clients=given.clients, times=given.asked)
    figures = {"alone": np.median(one), "p50": np.median(many), "p99": np.quantile(many, 0.99)}
    return _told(address, figures, failed)


def _compared(port: int, beside: int, address: str, asked: int) -> dict[str, object]:
    """What one client waits for an answer of the large record and of the small one, asked in turn."""
    seconds: dict[int, list[float]] = {port: [], beside: []}
    failed = 0
    for _ in range(asked):
        for each, found in seconds.items():
            waited, refused = asked_by_all(each, address, clients=1, times=5)
            found += waited
            failed += refused
    large, small = (float(np.quantile(found, 0.99)) for found in seconds.values())
    figures = {"p50": np.median(seconds[port]), "small p50": np.median(seconds[beside]), "p99": large, "small p99": small}
    return _told(f"{address} p99 ×{large / small:.2f}", figures, failed)


def _told(address: str, figures: Mapping[str, float], failed: int) -> dict[str, object]:
    told = "  ".join(f"{name} {1000 * value:8.1f} ms" for name, value in figures.items())
    print(f"{address:55} {told}  failed {failed}", flush=True)  # noqa: T201
    return {"address": address, "failed": failed, **{name: float(value) for name, value in figures.items()}}


if __name__ == "__main__":
    main()
