"""The one connection that writes the record (schema.sql). What cannot be recorded is not sent: failures raise RecordFailed."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from Live.clock import Clock
from Live.errors import Misconfigured, RecordFailed
from Live.model import (
    MOVES,
    AccountState,
    BarId,
    ClientOrderId,
    Deal,
    Intent,
    Kind,
    Magic,
    Order,
    Position,
    Side,
    Slot,
    Status,
    Ticket,
    order_key,
)

SCHEMA_VERSION = 1
BUSY_SECONDS = 5.0


class AuditLogger:
    """Opens the record at `path`, making it where there is none.

    Raises Misconfigured, in one sentence, when the file or its folder cannot be used. All times are the clock's.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._run_id: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
            _prepare(self._db)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(
                f"AUDIT_DB_PATH={path} cannot be used as the record: {error}; choose a file in a folder that you may write to"
            ) from error
        self._head: str = self._value("SELECT hash FROM order_events ORDER BY seq DESC LIMIT 1") or ""

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """All or nothing. `durable`: on the disk before this returns, also if the power fails."""
        if self._db.in_transaction:
            yield
            return
        head = self._head
        try:
            # NORMAL survives the death of this process, FULL that of the machine (FAULTS.md: "Durability was probed")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._head = head
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise RecordFailed(f"the record {self.path} cannot be written: {error}") from error
            raise

    # runs

    def start_run(self, facts: Mapping[str, Any]) -> int:
        """Open a run; what follows belongs to it. `facts` are the columns of `runs`."""
        with self.transaction(durable=True):
            self._run_id = self._insert("runs", {"started_at": self._now(), **facts})
        return self._run_id

    def end_run(self, *, exit_code: int, reason: str, summary: Mapping[str, Any]) -> None:
        """Close the run."""
        with self.transaction(durable=True):
            self._db.execute(
                "UPDATE runs SET ended_at = ?, exit_code = ?, end_reason = ?, summary = ? WHERE run_id = ?",
                (self._now(), exit_code, reason, to_json(summary), self._run_id),
            )

    # decisions

    def add_bar(self, bar: BarId, values: Mapping[str, Any]) -> None:
        """Put down the bar that is decided upon. A second time is a RecordFailed: each bar is decided once, ever."""
        row = {"run_id": self._run_id, "slot": str(bar.slot), "symbol": bar.symbol, "timeframe": bar.timeframe, "decided_at": self._now()}
        row |= {"bar_time": bar.time.isoformat(), "bar_epoch": bar.epoch, **values}
        self._insert("bars", row)

    def last_bar(self, slot: Slot, symbol: str, timeframe: str) -> int | None:
        """The newest bar that was decided, its open in the server's seconds."""
        sql = "SELECT max(bar_epoch) FROM bars WHERE slot = ? AND symbol = ? AND timeframe = ?"
        value = self._value(sql, str(slot), symbol, timeframe)
        return None if value is None else int(value)

    def add_signal(self, values: Mapping[str, Any]) -> None:
        """Put down one decision, or HOLD."""
        self._insert("signals", {"timestamp": self._now(), "run_id": self._run_id, **values})

    # orders

    def add_intent(self, intent: Intent) -> None:
        """Put down an order as PENDING. A second time is a RecordFailed."""
        now, bar = self._now(), intent.bar
        self._insert(
            "orders",
            {
                "timestamp": now,
                "updated_at": now,
                "client_order_id": intent.order_id,
                "order_key": order_key(intent.order_id),
                "run_id": self._run_id,
                "slot": str(bar.slot),
                "strategy_id": bar.slot.strategy_id,
                "magic": bar.slot.magic,
                "symbol": bar.symbol,
                "timeframe": bar.timeframe,
                "bar_time": bar.time.isoformat(),
                "bar_epoch": bar.epoch,
                "kind": intent.kind.value,
                "leg": intent.leg,
                "side": intent.side.value,
                "order_type": "MARKET",
                "size": intent.size,
                "sl": intent.sl,
                "tp": intent.tp,
                "position_ticket": intent.position,
                "tag": None if intent.tag is None else to_json(intent.tag),
                "status": Status.PENDING.value,
            },
        )
        self._append_move(intent.order_id, 0, None, Status.PENDING, {})

    def move(self, order_id: ClientOrderId, to: Status, *, payload: Mapping[str, Any], **columns: Any) -> None:
        """Take one step of an order's life, and set columns of its row with it.

        Raises ValueError when the order may not go there from where it stands, RecordFailed when it cannot be written.
        """
        with self.transaction(durable=True):
            row = self._db.execute("SELECT status, attempts FROM orders WHERE client_order_id = ?", (order_id,)).fetchone()
            if row is None:
                raise ValueError(f"there is no order {order_id}")
            old, attempt = Status(row["status"]), row["attempts"]
            if to not in MOVES[old]:
                raise ValueError(f"order {order_id} cannot go from {old.value} to {to.value}")
            attempt += to is Status.SUBMITTED
            values = {"status": to.value, "attempts": attempt, "updated_at": self._now(), **columns}
            names = ", ".join(f"{name} = ?" for name in values)
            self._db.execute(f"UPDATE orders SET {names} WHERE client_order_id = ?", (*values.values(), order_id))  # noqa: S608 - our own names
            self._append_move(order_id, attempt, old, to, payload)

    def order(self, order_id: str) -> Order | None:
        """What has become of an intent."""
        return next(iter(self._orders("client_order_id = ?", order_id)), None)

    def order_by_key(self, key: str) -> Order | None:
        """The order whose key travelled in this comment."""
        return next(iter(self._orders("order_key = ?", key)), None)

    def order_by_ticket(self, slot: Slot, ticket: int) -> Order | None:
        """Our order that has this MetaTrader order ticket."""
        return next(iter(self._orders("slot = ? AND mt5_order_id = ?", str(slot), ticket)), None)

    def orders_of(self, bar: BarId) -> list[Order]:
        """Our orders that were decided on this bar, oldest first."""
        where = "slot = ? AND symbol = ? AND timeframe = ? AND bar_epoch = ?"
        return self._orders(where, str(bar.slot), bar.symbol, bar.timeframe, bar.epoch)

    def orders_with(self, statuses: Iterable[Status], slot: Slot) -> list[Order]:
        """Our orders in these states, oldest first."""
        names = [status.value for status in statuses]
        marks = ",".join("?" * len(names))
        return self._orders(f"status IN ({marks}) AND slot = ?", *names, str(slot))

    def count_entries(self, slot: Slot, since: datetime) -> int:
        """Entries that reached the broker since then, or may have."""
        refused = (Status.PENDING, Status.DENIED, Status.EXPIRED, Status.CANCELLED, Status.FAILED, Status.ABSENT)
        marks = ",".join("?" * len(refused))
        sql = f"SELECT count(*) FROM orders WHERE slot = ? AND kind = 'ENTRY' AND timestamp >= ? AND status NOT IN ({marks})"  # noqa: S608
        return int(self._value(sql, str(slot), since.isoformat(), *(status.value for status in refused)))

    def count_sends(self, slot: Slot, since: datetime) -> int:
        """Attempts to send anything since then."""
        sql = (
            "SELECT count(*) FROM order_events AS e JOIN orders AS o USING (client_order_id) "
            "WHERE e.to_status = 'SUBMITTED' AND e.timestamp >= ? AND o.slot = ?"
        )
        return int(self._value(sql, since.isoformat(), str(slot)))

    def execution_counts(self, slot: Slot) -> dict[str, int]:
        """Number of orders in each status."""
        rows = self._rows("SELECT status, count(*) AS n FROM orders WHERE slot = ? GROUP BY status", str(slot))
        return {row["status"]: row["n"] for row in rows}

    # what the broker did

    def add_fill(self, deal: Deal, slot: Slot, order_id: str | None) -> None:
        """Put down a deal; a second time changes nothing."""
        values = {
            "deal_ticket": deal.ticket,
            "timestamp": deal.time.isoformat(),
            "epoch": deal.epoch,
            "run_id": self._run_id,
            "slot": str(slot),
            "order_ticket": deal.order,
            "position_id": deal.position_id,
            "client_order_id": order_id,
            "symbol": deal.symbol,
            "side": deal.side.value,
            "entry": deal.entry,
            "volume": deal.lots,
            "price": deal.price,
            "profit": deal.profit,
            "commission": deal.commission,
            "swap": deal.swap,
            "fee": deal.fee,
            "reason": deal.reason,
            "magic": deal.magic,
            "comment": deal.comment,
        }
        self._insert("fills", values, or_ignore=True)

    def deals(self, slot: Slot) -> list[Deal]:
        """All our deals, oldest first."""
        return [_deal(row) for row in self._rows("SELECT * FROM fills WHERE slot = ? ORDER BY timestamp, deal_ticket", str(slot))]

    def add_trade(self, values: Mapping[str, Any], *, tag: object) -> None:
        """Put down a closed trade; the closing deal names it, so it counts once."""
        self._insert("trades", {"run_id": self._run_id, **values, "tag": None if tag is None else to_json(tag)}, or_ignore=True)

    def put_positions(self, slot: Slot, positions: Iterable[Position]) -> None:
        """What we hold now, in place of what we held before."""
        now = self._now()
        self._db.execute("DELETE FROM positions WHERE slot = ?", (str(slot),))
        for held in positions:
            values = {
                "ticket": held.ticket,
                "updated_at": now,
                "slot": str(slot),
                "strategy_id": slot.strategy_id,
                "symbol": held.symbol,
                "side": held.side.value,
                "volume": held.lots,
                "entry_price": held.price_open,
                "entry_time": held.opened_at.isoformat(),
                "sl": held.sl,
                "tp": held.tp,
                "price_current": held.price_current,
                "profit": held.profit,
                "swap": held.swap,
            }
            self._insert("positions", values)

    # everything else

    def event(self, event_type: str, message: str, *, severity: str = "INFO", details: Mapping[str, Any] | None = None) -> None:
        """Put down something that people may ask about."""
        with self.transaction(durable=False):
            row = {"timestamp": self._now(), "run_id": self._run_id, "event_type": event_type, "severity": severity}
            self._insert("events", {**row, "message": message, "details": to_json(details or {})})

    def snapshot(self, account: AccountState, open_positions: int) -> None:
        """Put down the account's money."""
        row = {"timestamp": self._now(), "run_id": self._run_id, "open_positions": open_positions}
        money = {"balance": account.balance, "equity": account.equity, "margin": account.margin, "free_margin": account.margin_free}
        self._insert("account_snapshots", {**row, **money, "profit": account.profit})

    def set_state(self, **values: Any) -> None:
        """Say what is true now; see `state` in schema.sql."""
        rows = [(key, to_json(value), self._now()) for key, value in values.items()]
        self._db.executemany(
            "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            rows,
        )

    def state(self, key: str) -> Any:
        """What was last said to be true; None when nothing was."""
        value = self._value("SELECT value FROM state WHERE key = ?", key)
        return None if value is None else json.loads(value)

    def _orders(self, where: str, *values: Any) -> list[Order]:
        return [_order(row) for row in self._rows(f"SELECT * FROM orders WHERE {where} ORDER BY id", *values)]  # noqa: S608 - our own conditions

    def _append_move(self, order_id: str, attempt: int, old: Status | None, to: Status, payload: Mapping[str, Any]) -> None:
        row = {
            "timestamp": self._now(),
            "run_id": self._run_id,
            "client_order_id": order_id,
            "attempt": attempt,
            "from_status": None if old is None else old.value,
            "to_status": to.value,
            "payload": to_json(payload),
            "prev_hash": self._head,
        }
        self._head = hashlib.sha256(to_json(row).encode()).hexdigest()
        self._insert("order_events", {**row, "hash": self._head})

    def _insert(self, table: str, values: Mapping[str, Any], *, or_ignore: bool = False) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT {'OR IGNORE ' if or_ignore else ''}INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        with self.transaction(durable=False):
            cursor = self._db.execute(sql, tuple(values.values()))
        return int(cursor.lastrowid or 0)

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise RecordFailed(f"the record {self.path} cannot be read: {error}") from error

    def _value(self, sql: str, *values: Any) -> Any:
        return next((row[0] for row in self._rows(sql, *values)), None)

    def _now(self) -> str:
        return self._clock.now().isoformat()


def to_json(value: Any) -> str:
    """Canonical JSON; what JSON does not know is written as its text. NaN and infinity are written as null."""
    try:
        return json.dumps(value, sort_keys=True, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), sort_keys=True, default=str)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def _prepare(db: sqlite3.Connection) -> None:
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA recursive_triggers = ON")  # otherwise INSERT OR REPLACE slips past the append-only triggers
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it was made by a newer version of this program (schema {version}, this one knows {SCHEMA_VERSION})")
    if version == SCHEMA_VERSION:
        return
    if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise sqlite3.DatabaseError("it is another program's database")
    schema = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
    db.executescript(f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;")


def _deal(row: sqlite3.Row) -> Deal:
    return Deal(
        Ticket(row["deal_ticket"]),
        row["order_ticket"],
        row["position_id"],
        row["symbol"],
        Side(row["side"]),
        row["entry"],
        row["volume"],
        row["price"],
        row["profit"],
        row["commission"],
        row["swap"],
        row["fee"],
        row["reason"],
        Magic(row["magic"]),
        row["comment"],
        datetime.fromisoformat(row["timestamp"]),
        row["epoch"],
    )


def _order(row: sqlite3.Row) -> Order:
    login, rest = row["slot"].split("@", 1)
    slot = Slot(int(login), rest.rsplit("/", 2)[0], row["strategy_id"], Magic(row["magic"]))
    intent = Intent(
        ClientOrderId(row["client_order_id"]),
        BarId(slot, row["symbol"], row["timeframe"], row["bar_epoch"], datetime.fromisoformat(row["bar_time"])),
        Kind(row["kind"]),
        row["leg"],
        Side(row["side"]),
        row["size"],
        row["sl"],
        row["tp"],
        None if row["position_ticket"] is None else Ticket(row["position_ticket"]),
        None if row["tag"] is None else json.loads(row["tag"]),
    )
    return Order(
        intent,
        Status(row["status"]),
        row["attempts"],
        row["volume"],
        row["retcode"],
        row["message"],
        row["mt5_order_id"],
        row["executed_price"],
        row["executed_volume"],
        None if row["request"] is None else json.loads(row["request"]),
        datetime.fromisoformat(row["updated_at"]),
    )
