"""A record as the trader would have left it, row by row, for the tests of those who read it."""

import json
import math
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from Live.audit_logger.writer import SCHEMA_VERSION

SCHEMA = Path(__file__).parent.parent / "Live" / "audit_logger" / "schema.sql"
SLOT = "12345678@Demo-Server/sma_cross/123456"
START = datetime(2018, 2, 5, tzinfo=UTC)
WALL = datetime(2025, 11, 21, 9, 30, tzinfo=UTC)  # the machine's clock in these tests

RUN: dict[str, Any] = {
    "started_at": START.isoformat(),
    "slot": SLOT,
    "mode": "DRY",
    "terminal": "simulated",
    "login": 12345678,
    "server": "Demo-Server",
    "strategy_id": "sma_cross",
    "strategy_file": "Backtest/codes/sma_cross.py",
    "strategy_class": "SmaCross",
    "strategy_sha256": "0" * 64,
    "params": "{}",
    "settings": json.dumps({"SYMBOLS": ["EURUSD"], "TIMEFRAME": "H1", "INTERVAL_SECONDS": 60, "ENABLE_KILL_SWITCH": True}),
    "versions": "{}",
    "initial_balance": 10_000.0,
}
BAR: dict[str, Any] = {
    "run_id": 1,
    "slot": SLOT,
    "symbol": "EURUSD",
    "timeframe": "H1",
    "open": 1.24,
    "high": 1.25,
    "low": 1.23,
    "close": 1.245,
    "tick_volume": 100,
    "spread": 0,
    "acted": 1,
}
SIGNAL: dict[str, Any] = {
    "run_id": 1,
    "strategy_id": "sma_cross",
    "symbol": "EURUSD",
    "timeframe": "H1",
    "bar_time": START.isoformat(),
    "signal": "HOLD",
    "confidence": 1.0,
    "price": 1.2451,
}
ORDER: dict[str, Any] = {
    "run_id": 1,
    "slot": SLOT,
    "strategy_id": "sma_cross",
    "magic": 123456,
    "symbol": "EURUSD",
    "timeframe": "H1",
    "bar_time": START.isoformat(),
    "kind": "ENTRY",
    "leg": "0",
    "side": "BUY",
    "order_type": "MARKET",
    "volume": 0.1,
    "price": 1.2451,
    "status": "FILLED",
    "attempts": 1,
    "retcode": 10009,
    "executed_price": 1.2451,
    "executed_volume": 0.1,
}
TRADE: dict[str, Any] = {
    "run_id": 1,
    "slot": SLOT,
    "strategy_id": "sma_cross",
    "symbol": "EURUSD",
    "side": "BUY",
    "entry_price": 1.2451,
    "exit_price": 1.2461,
    "volume": 0.1,
    "size": 10_000.0,
    "profit": 10.0,
    "commission": 0.0,
    "swap": 0.0,
    "net_profit": 10.0,
    "duration_seconds": 7_200.0,
    "exit_reason": "strategy",
}
POSITION: dict[str, Any] = {
    "slot": SLOT,
    "strategy_id": "sma_cross",
    "symbol": "EURUSD",
    "side": "BUY",
    "volume": 0.1,
    "entry_price": 1.2451,
    "entry_time": START.isoformat(),
    "price_current": 1.2471,
    "profit": 20.0,
    "swap": -0.5,
}
SNAPSHOT: dict[str, Any] = {"run_id": 1, "balance": 10_000.0, "margin": 0.0, "free_margin": 10_000.0, "profit": 0.0, "open_positions": 0}


class SampleRecord:
    """A record at `path` that a test writes as it pleases, in WAL mode like the trader's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(f"BEGIN;{SCHEMA.read_text(encoding='utf-8')}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        self._serial = 0

    def close(self) -> None:
        self.db.close()

    def insert(self, table: str, values: dict[str, Any]) -> None:
        values = self._blanks(table) | values
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))

    def _blanks(self, table: str) -> dict[str, Any]:
        """A zero or an empty text for each column that wants a value and that these tests do not care about."""
        columns = self.db.execute('SELECT name, type FROM pragma_table_info(?) WHERE "notnull" AND dflt_value IS NULL AND NOT pk', (table,))
        return {name: "" if kind == "TEXT" else 0 for name, kind in columns}

    def run(self, **values: Any) -> None:
        self.insert("runs", RUN | values)

    def bar(self, **values: Any) -> None:
        self._serial += 1
        at = START + timedelta(hours=self._serial)
        times = {"bar_time": at.isoformat(), "decided_at": at.isoformat(), "bar_epoch": int(at.timestamp())}
        self.insert("bars", BAR | times | values)

    def signal(self, at: datetime = START, **values: Any) -> None:
        self.insert("signals", SIGNAL | {"timestamp": at.isoformat()} | values)

    def order(self, at: datetime = START, **values: Any) -> None:
        self._serial += 1
        names = {"client_order_id": f"ORDER{self._serial}", "order_key": f"q{self._serial}"}
        self.insert("orders", ORDER | {"timestamp": at.isoformat(), "updated_at": at.isoformat()} | names | values)

    def trade(self, at: datetime = START, **values: Any) -> None:
        self._serial += 1
        times = {"timestamp": at.isoformat(), "entry_time": (at - timedelta(hours=2)).isoformat(), "exit_time": at.isoformat()}
        self.insert("trades", TRADE | times | {"position_ticket": self._serial, "exit_deal": self._serial} | values)

    def position(self, ticket: int, **values: Any) -> None:
        self.insert("positions", POSITION | {"ticket": ticket, "updated_at": START.isoformat()} | values)

    def snapshot(self, at: datetime, equity: float, **values: Any) -> None:
        self.insert("account_snapshots", SNAPSHOT | {"timestamp": at.isoformat(), "equity": equity} | values)

    def event(self, event_type: str, message: str, at: datetime = START, **values: Any) -> None:
        row = {"timestamp": at.isoformat(), "run_id": 1, "event_type": event_type, "severity": "INFO", "message": message, "details": "{}"}
        self.insert("events", row | values)

    def life_of(self, order_id: str, *moves: tuple[str, dict[str, Any]]) -> None:
        """The moves of an order, each a second after the one before; their hashes are not those of a real chain."""
        before = None
        for status, payload in moves:
            self._serial += 1
            row = {
                "timestamp": (START + timedelta(seconds=self._serial)).isoformat(),
                "run_id": 1,
                "client_order_id": order_id,
                "attempt": 1,
            }
            row |= {"from_status": before, "to_status": status, "payload": json.dumps(payload), "hash": str(self._serial)}
            self.insert("order_events", row)
            before = status

    def fill(self, order_id: str, ticket: int, **values: Any) -> None:
        row = {"slot": SLOT, "deal_ticket": ticket, "timestamp": START.isoformat(), "run_id": 1, "order_ticket": 50, "position_id": 50}
        row |= {"client_order_id": order_id, "symbol": "EURUSD", "side": "BUY", "entry": "IN", "volume": 0.1, "price": 1.2451}
        self.insert("fills", row | values)

    def state(self, **values: Any) -> None:
        for key, value in values.items():
            self.db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (key, json.dumps(value), START.isoformat()))

    def heartbeat(self, wall: datetime = WALL) -> None:
        self.state(heartbeat={"at": START.isoformat(), "wall": wall.isoformat(), "pid": 4711})


def a_trading_day(path: Path) -> SampleRecord:
    """A dry run in its third day: 52 bars, 5 decisions, 4 orders sent and 3 filled, one denied; 2 trades, one today; one position."""
    record = SampleRecord(path)
    record.run()
    noon = START + timedelta(days=2, hours=12)
    for n in range(52):
        record.bar()
        record.signal(START + timedelta(hours=n))
        record.snapshot(START + timedelta(hours=n), 10_000.0 + 40.0 * math.sin(n / 5) + n)
    record.order(noon - timedelta(days=1), client_order_id="FIRST")
    record.order(noon - timedelta(hours=4), client_order_id="SECOND", kind="EXIT", side="SELL", executed_price=1.2461)
    record.order(noon - timedelta(hours=3), client_order_id="THIRD", side="SELL", position_ticket=77)
    record.order(
        noon - timedelta(hours=2), client_order_id="FOURTH", status="FAILED", retcode=10019, message="no money: margin 120.00 of 80.00"
    )
    record.order(
        noon - timedelta(hours=1),
        client_order_id="FIFTH",
        status="DENIED",
        attempts=0,
        message="max positions: 1 of 1",
        executed_price=None,
    )
    for client_order_id, signal in (("FIRST", "BUY"), ("SECOND", "CLOSE"), ("THIRD", "SELL"), ("FOURTH", "BUY"), ("FIFTH", "BUY")):
        record.signal(noon, signal=signal, client_order_id=client_order_id)
    record.trade(noon - timedelta(days=1), net_profit=-4.5)
    record.trade(noon - timedelta(hours=4), net_profit=10.25)
    record.position(77, side="SELL", sl=1.26)
    record.state(
        trading={"enabled": True, "reason": ""},
        kill_switch={"active": False, "file": ""},
        day={"date": "2018-02-07", "opening_equity": 9_990.0},
        account={"balance": 10_005.75, "equity": 10_025.25, "margin": 124.7, "free_margin": 9_900.55, "currency": "USD", "leverage": 100},
        progress={"bars": 52, "total": 100},
        market_time=noon.isoformat(),
    )
    record.heartbeat()
    return record
