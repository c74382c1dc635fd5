"""How long a start takes with a long journal: from the process's start until the record and the terminal agree.

    python -m tests.bench.bench_recovery [--events 1000000]

Makes a record of so many order events in a folder for temporary files, and starts the trader on it.
"""

import argparse
import itertools
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backtesting import Strategy

from Live.audit_logger.chain import hash_of
from Live.audit_logger.opening import SCHEMA_VERSION, schema
from Live.audit_logger.rows import to_json
from Live.live_trader import Chosen, LiveTrader, Watcher
from tests.live_runs import LOGIN, WIDE_OPEN, eurusd, loaded, settings, simulated

STEPS = (None, "PENDING", "SUBMITTED", "PLACED", "FILLED")
START = datetime(2010, 1, 4, tzinfo=UTC)
SLOT = f"{LOGIN}@Simulated-Demo/idle/123456"
REQUEST = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.245, "deviation": 20, "magic": 123456, "type_filling": 1}


class Idle(Strategy):
    """Decides nothing."""

    def init(self) -> None:
        """Nothing to draw."""

    def next(self) -> None:
        """Nothing to do."""


class _Stop(Exception):
    """All is settled."""


class _Settled(Watcher):
    def started(self, trader: LiveTrader) -> None:
        raise _Stop


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the record, start on it in a process of its own, and print what took how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--start-on", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.start_on:
        start_on(given.start_on)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_record(folder / "audit.db", given.events // 8 * 2)
        size = (folder / "audit.db").stat().st_size / 1e6
        print(f"a record of {given.events:,} order events, {size:,.0f} MB")  # noqa: T201
        for which in ("first start", "second start"):
            began = time.perf_counter()
            command = [sys.executable, "-m", "tests.bench.bench_recovery", "--start-on", name]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            print(f"{which}: {time.perf_counter() - began:.1f} s from the process's start until all is settled; of these {told}")  # noqa: T201


def start_on(folder: Path) -> None:
    """Start the trader on the record in a folder; print the seconds of its parts as JSON."""
    strategy = loaded(Idle)
    config = settings(folder, **WIDE_OPEN)
    opened = simulated(folder, {"EURUSD": eurusd(100)}, strategy)
    trader = LiveTrader(config, Chosen(strategy, {}), opened, watcher=_Settled())
    began = time.perf_counter()
    with trader._resources:
        trader._start()
        record = time.perf_counter()
        try:
            trader._take_up()
        except _Stop:
            print(json.dumps({"record and deals": round(record - began, 1), "settled": round(time.perf_counter() - record, 1)}))  # noqa: T201


def make_record(path: Path, orders: int) -> None:
    """So many orders of four steps each, every second of them the close of the one before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {schema()} PRAGMA user_version = {SCHEMA_VERSION};")
        db.execute("BEGIN")
        run = dict.fromkeys("strategy_file strategy_class strategy_sha256".split(), "x") | dict.fromkeys(
            ("params", "settings", "versions"), "{}"
        )
        who = {"slot": SLOT, "mode": "DRY", "terminal": "simulated", "login": LOGIN, "server": "Simulated-Demo", "strategy_id": "idle"}
        _add(db, "runs", [{"run_id": 1, "started_at": START.isoformat(), "initial_balance": 10_000.0, **who, **run}])
        _add(db, "orders", (_order(number) for number in range(orders)))
        _add(db, "order_events", _events(orders))
        _add(db, "fills", (_fill(number) for number in range(orders)))
        _add(db, "trades", (_trade(number) for number in range(1, orders, 2)))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _add(db: sqlite3.Connection, table: str, rows: Any) -> None:
    rows = iter(rows)
    first = next(rows)
    sql = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"
    db.execute(sql, tuple(first.values()))
    db.executemany(sql, (tuple(row.values()) for row in rows))


def _at(number: int) -> datetime:
    return START + timedelta(minutes=5 * number)


def _order(number: int) -> dict[str, Any]:
    at, closes = _at(number), number % 2
    names = {
        "client_order_id": f"ORDER{number}",
        "order_key": f"k{number}",
        "run_id": 1,
        "slot": SLOT,
        "strategy_id": "idle",
        "magic": 123456,
    }
    bar = {"symbol": "EURUSD", "timeframe": "M5", "bar_time": at.isoformat(), "bar_epoch": int(at.timestamp())}
    what = {"kind": "EXIT" if closes else "ENTRY", "leg": "0", "side": "SELL" if closes else "BUY", "order_type": "MARKET", "volume": 0.1}
    done = {"status": "FILLED", "attempts": 1, "mt5_order_id": number + 1, "executed_volume": 0.1, "request": to_json(REQUEST)}
    return {
        "timestamp": at.isoformat(),
        "updated_at": at.isoformat(),
        **names,
        **bar,
        **what,
        **done,
        "position_ticket": number if closes else None,
    }


def _events(orders: int) -> Iterator[dict[str, Any]]:
    head = ""
    for number in range(orders):
        at = _at(number).isoformat()
        for old, to in itertools.pairwise(STEPS):
            payload = to_json({"request": REQUEST, "before": []}) if to == "SUBMITTED" else "{}"
            row = {"timestamp": at, "run_id": 1, "client_order_id": f"ORDER{number}", "attempt": int(to != "PENDING"), "from_status": old}
            row |= {"to_status": to, "payload": payload, "prev_hash": head}
            head = hash_of(row)
            yield {**row, "hash": head}


def _fill(number: int) -> dict[str, Any]:
    at, closes = _at(number), number % 2
    position = number if closes else number + 1
    names = {"slot": SLOT, "deal_ticket": number + 1, "timestamp": at.isoformat(), "epoch": int(at.timestamp()), "run_id": 1}
    of = {"order_ticket": number + 1, "position_id": position, "client_order_id": f"ORDER{number}", "symbol": "EURUSD"}
    what = {"side": "SELL" if closes else "BUY", "entry": "OUT" if closes else "IN", "volume": 0.1, "price": 1.245, "profit": float(closes)}
    return {**names, **of, **what, "commission": 0.0, "swap": 0.0, "fee": 0.0, "reason": 3, "magic": 123456, "comment": f"k{number}"}


def _trade(number: int) -> dict[str, Any]:
    at, opened = _at(number).isoformat(), _at(number - 1).isoformat()
    times = {"timestamp": at, "run_id": 1, "slot": SLOT, "strategy_id": "idle", "symbol": "EURUSD", "side": "BUY"}
    what = {"entry_time": opened, "exit_time": at, "entry_price": 1.245, "exit_price": 1.245, "volume": 0.1, "size": 10_000.0}
    money = {"profit": 1.0, "commission": 0.0, "swap": 0.0, "net_profit": 1.0, "duration_seconds": 300.0}
    return {**times, **what, **money, "exit_reason": "strategy", "position_ticket": number, "exit_deal": number + 1}


if __name__ == "__main__":
    main()
