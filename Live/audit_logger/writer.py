"""The one connection that writes the record (schema.sql). What cannot be recorded is not sent: failures raise RecordFailed."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from Backtest.decisions import Bar
from Live.alert_kinds import Alert, of_event, of_order, position_closed, position_opened, signal_alert
from Live.audit_logger.aside import keep_aside, read_back
from Live.audit_logger.asked import Asked
from Live.audit_logger.chain import Head, hash_of, head_of
from Live.audit_logger.opening import SCHEMA_VERSION as SCHEMA_VERSION
from Live.audit_logger.opening import open_record
from Live.audit_logger.rows import row_of_deal, row_of_intent, row_of_position, storable, to_json
from Live.clock import Clock
from Live.errors import RecordFailed
from Live.model import MOVES, AccountState, BarId, ClientOrderId, Deal, Intent, Position, Slot, Status, Ticket
from Live.redaction import redacted, redacted_json

PUT_STATE = "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
_ADD_HISTORY = (
    "INSERT INTO history (run_id, slot, symbol, timeframe, bar_epoch, open, high, low, close, tick_volume, spread, seen_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
BUSY_SECONDS = 5.0  # how long another program may hold the file
MONEY_DECIMALS = 8  # without the binary noise of 0.1 + 0.2; fills keep every bit, they are evidence

# Where texts of strategies, brokers and errors go, which may hold a secret.
FREE_TEXTS = frozenset({"message", "reason", "end_reason", "retcode_message"})
FREE = FREE_TEXTS | {"params", "summary", "tag", "details"}  # the others of them are JSON


class AuditLogger(Asked):
    """Opens the record at `path`, making it where there is none.

    Raises Misconfigured, in one sentence, when the file or its folder cannot be used. All times are the clock's.
    `secrets` gives what must not be written, whenever it is asked: texts get `***` in its place. A record that has lost rows is
    refused with NeedsPerson, unless it may have been `set_back`.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        secrets: Callable[[], Iterable[str]] = tuple,
        busy_seconds: float = BUSY_SECONDS,
        set_back: bool = False,
    ) -> None:
        self.path = path
        self._clock, self._secrets = clock, secrets
        self._alerting: Clock | None = None  # the machine's, where people are told
        self._run_id: int | None = None
        self._db, self._spill = open_record(path, busy_seconds=busy_seconds, set_back=set_back)
        self._head: Head | None = None  # the newest row of the journal in the transaction that is open
        self._put: dict[Slot, dict[Ticket, tuple[Position, float | None]]] = {}  # the positions on record, as far as we have put them there
        self._orders_read, self._read_at = {}, -1
        self._durable: bool | None = None  # the transaction that is open, or was the last

    def tell_people(self, machine: Clock) -> None:
        """From now on what people are to be told is put down with what it tells of, at the time of the machine's clock."""
        self._alerting = machine

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._spill.close()

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """All or nothing. `durable`: on the disk before this returns, also if the power fails.

        Inside another one it is a part of that; a durable one inside one that is not is a RuntimeError.
        """
        if self._db.in_transaction:
            if durable and not self._durable:
                raise RuntimeError("what must survive a power cut cannot be a part of what need not")
            yield
            return
        try:
            if durable is not self._durable:
                # NORMAL survives the death of this process, FULL that of the machine (sqlite.org: PRAGMA synchronous)
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            self._head = None
            self._put.clear()
            self._orders_read.clear()
            # OverflowError: a whole number that SQLite has no room for
            if isinstance(error, sqlite3.Error | OverflowError):
                raise RecordFailed(f"the record {self.path} cannot be written: {error}") from error
            raise
        self._note_head()

    def accept_set_back(self) -> None:
        """Take this record, which has lost rows, for the record from now on."""
        self._spill.note(head_of(self._db))

    # runs

    def start_run(self, facts: Mapping[str, Any]) -> int:
        """Open a run; what follows belongs to it. `facts` are the columns of `runs`.

        First into it comes what an earlier run could only put into the spill file.
        """
        with self.transaction(durable=True):
            self._run_id = self._insert("runs", {"started_at": self._now(), **facts})
        read_back(self, self._spill)
        return self._run_id

    def continue_run(self, run_id: int) -> None:
        """What follows belongs to a run that has ended, or was killed: a person settles what it left."""
        self._run_id = run_id
        read_back(self, self._spill)

    def continue_newest_run(self) -> None:
        """Where this process has begun no run, what follows belongs to the newest one, if there is any."""
        newest = self._value("SELECT max(run_id) FROM runs")
        if self._run_id is None and newest is not None:
            self.continue_run(newest)

    def end_run(self, *, exit_code: int, reason: str, summary: Mapping[str, Any]) -> None:
        """Close the run."""
        with self.transaction(durable=True):
            row = {"ended_at": self._now(), "exit_code": exit_code, "end_reason": reason, "summary": to_json(summary)}
            self._db.execute(
                "UPDATE runs SET ended_at = ?, exit_code = ?, end_reason = ?, summary = ? WHERE run_id = ?",
                (*self._stored(row), self._run_id),
            )

    # decisions

    def add_bar(self, bar: BarId, values: Mapping[str, Any]) -> None:
        """Put down the bar that is decided upon. A second time is a RecordFailed: each bar is decided once, ever."""
        row = {"run_id": self._run_id, "slot": str(bar.slot), "symbol": bar.symbol, "timeframe": bar.timeframe, "decided_at": self._now()}
        row |= {"bar_time": bar.time.isoformat(), "bar_epoch": bar.epoch, **values}
        self._insert("bars", row)

    def add_history(self, slot: Slot, symbol: str, timeframe: str, bars: Iterable[Bar]) -> None:
        """Put down bars that are not decided upon, or that are not what was seen before."""
        chart = (self._run_id, str(slot), symbol, timeframe)
        prices = ((bar.epoch, bar.open, bar.high, bar.low, bar.close, int(bar.volume), bar.spread) for bar in bars)
        now = self._now()
        with self.transaction(durable=False):
            self._db.executemany(_ADD_HISTORY, [(*chart, *row, now) for row in prices])

    def add_warm_up(self, slot: Slot, symbol: str, timeframe: str, bars: Sequence[Bar], spec: Mapping[str, Any]) -> None:
        """Put down what this run's strategy is warmed up with; all of these bars were seen."""
        newest = self._value("SELECT coalesce(max(id), 0) FROM history")
        ends = {"first_epoch": bars[0].epoch, "last_epoch": bars[-1].epoch} if bars else {}
        row = {"timestamp": self._now(), "run_id": self._run_id, "slot": str(slot), "symbol": symbol, "timeframe": timeframe, **ends}
        self._insert("warm_ups", {**row, "bars": len(bars), "history_id": newest, "spec": to_json(spec)})

    def add_indicators(self, slot: Slot, symbol: str, timeframe: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Put down what the strategy declared with self.I; the values on each bar are in the same order."""
        chart = {"run_id": self._run_id, "slot": str(slot), "symbol": symbol, "timeframe": timeframe}
        for position, line in enumerate(lines):
            self._insert("indicators", {**chart, "position": position, **line})

    def add_signal(self, values: Mapping[str, Any]) -> None:
        """Put down one decision, or HOLD."""
        with self.transaction(durable=False):
            self._insert("signals", {"timestamp": self._now(), "run_id": self._run_id, **values})
            self._tell(signal_alert, values)

    # orders

    def add_intent(self, intent: Intent) -> None:
        """Put down an order as PENDING. A second time is a RecordFailed."""
        with self.transaction(durable=True):
            self._orders_read.clear()
            self._insert("orders", {"run_id": self._run_id, **row_of_intent(intent, self._now())})
            self._append_move(intent.order_id, 0, (None, Status.PENDING), {})

    def move(self, order_id: ClientOrderId, to: Status, *, payload: Mapping[str, Any], **columns: Any) -> None:
        """Take one step of an order's life, and set columns of its row with it.

        Raises ValueError when the order may not go there from where it stands, RecordFailed when it cannot be written.
        """
        try:
            self._move(order_id, to, payload, columns)
        except RecordFailed:
            if to is not Status.SUBMITTED:  # then nothing was sent
                entry = {"at": self._now(), "order_id": order_id, "to": to.value, "payload": payload, "columns": columns}
                keep_aside(self._spill, entry, self._secrets)
            raise

    # what the broker did

    def add_fill(self, deal: Deal, slot: Slot, order_id: str | None) -> None:
        """Put down a deal; a second time changes nothing."""
        self._add_once("fills", {"run_id": self._run_id, **row_of_deal(deal, slot, order_id)}, position_opened)

    def add_trade(self, values: Mapping[str, Any], *, tag: object) -> None:
        """Put down a closed trade; the closing deal names it, so it counts once. Its money is rounded to 8 decimals."""
        money = {name: round(values[name], MONEY_DECIMALS) for name in ("profit", "commission", "swap", "net_profit")}
        row = {"run_id": self._run_id, **values, **money, "tag": None if tag is None else to_json(tag)}
        self._add_once("trades", row, position_closed)

    def put_positions(self, slot: Slot, positions: Mapping[Position, float | None]) -> None:
        """What we hold now, in place of what we held before; with each what it makes at its stop loss, where that is known.

        What has not changed since the last time is left as it is: where many symbols trade at once, this is called after each order.
        """
        now, shown = self._now(), {held.ticket: (held, at_stop) for held, at_stop in positions.items()}
        with self.transaction(durable=False):
            if slot not in self._put:
                self._db.execute("DELETE FROM positions WHERE slot = ?", (str(slot),))
            before = self._put.get(slot, {})
            old = [(str(slot), ticket) for ticket, known in before.items() if shown.get(ticket) != known]
            self._db.executemany("DELETE FROM positions WHERE slot = ? AND ticket = ?", old)
            for held, at_stop in (known for ticket, known in shown.items() if before.get(ticket) != known):
                self._insert("positions", {**row_of_position(held, slot, now), "profit_at_stop": at_stop})
            self._put[slot] = shown

    # everything else

    def event(self, event_type: str, message: str, *, severity: str = "INFO", details: Mapping[str, Any] | None = None) -> None:
        """Put down something that people may ask about."""
        row = {"timestamp": self._now(), "run_id": self._run_id, "event_type": event_type, "severity": severity}
        with self.transaction(durable=False):
            self._insert("events", {**row, "message": message, "details": to_json(details or {})})
            self._tell(of_event, event_type, severity, message, details or {})

    def snapshot(self, account: AccountState, open_positions: int) -> None:
        """Put down the account's money."""
        row = {"timestamp": self._now(), "run_id": self._run_id, "open_positions": open_positions}
        money = {"balance": account.balance, "equity": account.equity, "margin": account.margin, "free_margin": account.margin_free}
        self._insert("account_snapshots", {**row, **money, "profit": account.profit})

    def set_state(self, **values: Any) -> None:
        """Say what is true now; see `state` in schema.sql."""
        rows = [(key, redacted_json(to_json(value), self._secrets()), self._now()) for key, value in values.items()]
        with self.transaction(durable=False):
            self._db.executemany(PUT_STATE, rows)

    def _move(self, order_id: ClientOrderId, to: Status, payload: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
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
            sql = f"UPDATE orders SET {names} WHERE client_order_id = ?"  # noqa: S608 - our own names
            self._orders_read.clear()
            self._db.execute(sql, (*self._stored(values), order_id))
            self._append_move(order_id, attempt, (old, to), payload)
            if self._alerting is not None:
                self._tell(of_order, dict(self._rows("SELECT * FROM orders WHERE client_order_id = ?", order_id)[0]))

    def _note_head(self) -> None:
        if self._head is not None:
            with contextlib.suppress(OSError):  # a start then looks for an older row
                self._spill.note(self._head)
            self._head = None

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _append_move(self, order_id: str, attempt: int, step: tuple[Status | None, Status], payload: Mapping[str, Any]) -> None:
        old, to = step
        row = {
            "timestamp": self._now(),
            "run_id": self._run_id,
            "client_order_id": order_id,
            "attempt": attempt,
            "from_status": None if old is None else old.value,
            "to_status": to.value,
            "payload": redacted_json(to_json(payload), self._secrets()),
            "prev_hash": head_of(self._db).hash,
        }
        digest = hash_of(row)
        self._head = Head(self._insert("order_events", {**row, "hash": digest}), digest)

    def _add_once(self, table: str, row: Mapping[str, Any], told: Callable[[Mapping[str, Any]], Alert | None]) -> None:
        """A row that may be there already, and what is told of it where it is not."""
        with self.transaction(durable=False):
            before = self._db.total_changes
            self._insert(table, row, or_ignore=True)
            if self._db.total_changes > before:
                self._tell(told, row)

    def _tell(self, told: Callable[..., Alert | None], *facts: Any) -> None:
        """Put down the alert that these facts make, if any, where people are told at all."""
        alert = None if self._alerting is None else told(*facts)
        if alert is None or self._alerting is None:
            return
        row = {"timestamp": self._now(), "run_id": self._run_id, "queued_at": self._alerting.now().isoformat(), "type": alert.type.value}
        row |= {"level": alert.level.name, "kind": alert.kind, "symbol": alert.symbol, "message": alert.text}
        self._insert("alerts", {**row, "details": to_json(dict(alert.facts))})

    def _insert(self, table: str, values: Mapping[str, Any], *, or_ignore: bool = False) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT {'OR IGNORE ' if or_ignore else ''}INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        with self.transaction(durable=False):
            cursor = self._db.execute(sql, self._stored(values))
        return int(cursor.lastrowid or 0)

    def _stored(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(storable(self._without_secrets(name, value) if name in FREE else value) for name, value in values.items())

    def _without_secrets(self, name: str, value: Any) -> Any:
        if name in FREE_TEXTS:
            return redacted(value, self._secrets(), numbers=False)
        return value if value is None else redacted_json(value, self._secrets())

    def _now(self) -> str:
        return self._clock.now().isoformat()
