"""What the trader asks of its record. None of it may take longer the longer the record is, but for what reads everything at a start."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from Backtest.decisions import Bar
from Live.audit_logger.rows import deal_of, order_of
from Live.errors import RecordFailed
from Live.model import BarId, Deal, Intent, Order, Slot, Status

_SEEN = (
    "SELECT bar_epoch, open, high, low, close, tick_volume, spread FROM {} "
    "WHERE slot = ? AND symbol = ? AND timeframe = ? AND bar_epoch >= ?"
)

MOST_ANSWERS = 1_000  # that are kept


class Asked:
    """The questions of the one connection that writes the record, over which it sees what it has not committed yet."""

    path: Path
    _db: sqlite3.Connection
    _orders_read: dict[tuple[str, tuple[Any, ...]], list[Order]]  # by condition; for as long as no order is written
    _read_at: int  # of other connections' commits

    # bars

    def last_bar(self, slot: Slot, symbol: str, timeframe: str) -> int | None:
        """The newest bar that was decided, its open in the server's seconds."""
        sql = "SELECT max(bar_epoch) FROM bars WHERE slot = ? AND symbol = ? AND timeframe = ?"
        value = self._value(sql, str(slot), symbol, timeframe)
        return None if value is None else int(value)

    def seen_bars(self, slot: Slot, symbol: str, timeframe: str, since: int) -> dict[int, Bar]:
        """Every bar from `since` on (server seconds) that was decided or seen, by its open, as it was last seen."""
        where = (str(slot), symbol, timeframe, since)
        rows = [*self._rows(_SEEN.format("bars"), *where), *self._rows(_SEEN.format("history") + " ORDER BY id", *where)]
        return {row[0]: Bar(*row) for row in rows}

    def accounts_shown(self, slot: Slot, symbol: str, timeframe: str, since: int) -> dict[int, dict[str, Any]]:
        """What the strategy was shown of its account, by the open of the bar (server seconds), from `since` on."""
        sql = "SELECT bar_epoch, shown FROM bars WHERE slot = ? AND symbol = ? AND timeframe = ? AND bar_epoch >= ? AND shown IS NOT NULL"
        return {row["bar_epoch"]: json.loads(row["shown"]) for row in self._rows(sql, str(slot), symbol, timeframe, since)}

    # orders

    def order(self, order_id: str) -> Order | None:
        """What has become of an intent."""
        return next(iter(self._orders("client_order_id = ?", order_id)), None)

    def request_sent(self, order_id: str) -> Mapping[str, Any]:
        """What was put down just before the last attempt to send an order; empty when there was none."""
        sql = "SELECT payload FROM order_events WHERE client_order_id = ? AND to_status = 'SUBMITTED' ORDER BY seq DESC LIMIT 1"
        found: dict[str, Any] = json.loads(self._value(sql, order_id) or "{}")
        return found

    def order_by_key(self, key: str) -> Order | None:
        """The order whose key is this, or begins like it; None also where several do."""
        found = self._orders("order_key >= ? AND order_key < ?", key, key + "~")
        return found[0] if len(found) == 1 else None

    def order_by_ticket(self, slot: Slot, ticket: int) -> Order | None:
        """Our order that has this MetaTrader order ticket."""
        return next(iter(self._orders("slot = ? AND mt5_order_id = ?", str(slot), ticket)), None)

    def orders_of(self, bar: BarId) -> list[Order]:
        """Our orders that were decided on this bar, oldest first."""
        where = "slot = ? AND symbol = ? AND timeframe = ? AND bar_epoch = ?"
        return self._orders(where, str(bar.slot), bar.symbol, bar.timeframe, bar.epoch)

    def is_newest(self, intent: Intent) -> bool:
        """Whether no later order of this kind was put down for the same position."""
        sql = "SELECT client_order_id FROM orders WHERE slot = ? AND kind = ? AND position_ticket = ? ORDER BY id DESC LIMIT 1"
        return bool(self._value(sql, str(intent.bar.slot), intent.kind.value, intent.position) == intent.order_id)

    def orders_about(self, slot: Slot, position: int) -> list[Order]:
        """Our orders that close or protect this position, oldest first."""
        return self._orders("slot = ? AND position_ticket = ?", str(slot), position)

    def levels_seen(self, slot: Slot) -> list[tuple[int, float | None, float | None]]:
        """Ticket, stop loss and take profit of each position, as they were last put down."""
        return [tuple(row) for row in self._rows("SELECT ticket, sl, tp FROM positions WHERE slot = ?", str(slot))]

    def orders_with(self, statuses: Iterable[Status], slot: Slot | None) -> list[Order]:
        """Our orders in these states, oldest first; those of all slots where none is given."""
        names = [status.value for status in statuses]
        marks = ",".join("?" * len(names))
        return self._orders(f"status IN ({marks}) AND slot = coalesce(?, slot)", *names, None if slot is None else str(slot))

    def count_entries(self, slot: Slot, since: datetime) -> int:
        """Entries that reached the broker since then, or may have."""
        refused = (Status.PENDING, Status.DENIED, Status.EXPIRED, Status.CANCELLED, Status.FAILED, Status.ABSENT)
        marks = ",".join("?" * len(refused))
        sql = f"SELECT count(*) FROM orders WHERE slot = ? AND kind IN ('ENTRY', 'PENDING') AND timestamp >= ? AND status NOT IN ({marks})"  # noqa: S608
        return int(self._value(sql, str(slot), since.isoformat(), *(status.value for status in refused)))

    def failures_in_a_row(self, slot: Slot, since: datetime) -> int:
        """Entries since then that were sent and refused, or did not arrive, and none of which came through after the first of them."""
        sql = (
            "SELECT status FROM orders WHERE slot = ? AND kind IN ('ENTRY', 'PENDING') AND attempts > 0 AND timestamp >= ? "
            "AND status NOT IN ('SUBMITTED', 'UNKNOWN') ORDER BY id DESC"
        )
        statuses = (row[0] for row in self._rows(sql, str(slot), since.isoformat()))
        return sum(1 for _ in takewhile(lambda status: status in ("FAILED", "ABSENT"), statuses))

    def count_exits(self, slot: Slot, reason: int, since: datetime) -> int:
        """Deals since then that something else than an order of ours has made (DEAL_REASON_*)."""
        sql = "SELECT count(DISTINCT deal_ticket) FROM fills WHERE slot = ? AND reason = ? AND timestamp >= ?"
        return int(self._value(sql, str(slot), reason, since.isoformat()))

    def count_sends(self, slot: Slot, since: datetime) -> int:
        """Attempts to send anything since then."""
        # CROSS: SQLite would begin with all orders of the slot
        sql = (
            "SELECT count(*) FROM order_events AS e INDEXED BY order_events_by_time CROSS JOIN orders AS o USING (client_order_id) "
            "WHERE e.to_status = 'SUBMITTED' AND e.timestamp >= ? AND o.slot = ?"
        )
        return int(self._value(sql, since.isoformat(), str(slot)))

    def times_of(self, event_type: str, since: datetime) -> list[datetime]:
        """When events of a kind have been since then, in the order of time."""
        sql = "SELECT timestamp FROM events WHERE event_type = ? AND timestamp >= ? ORDER BY timestamp"
        return [datetime.fromisoformat(row[0]) for row in self._rows(sql, event_type, since.isoformat())]

    def execution_counts(self, slot: Slot) -> dict[str, int]:
        """Number of orders in each status."""
        rows = self._rows("SELECT status, count(*) AS n FROM orders WHERE slot = ? GROUP BY status", str(slot))
        return {row["status"]: row["n"] for row in rows}

    # what the broker did

    def filled(self, order: Order) -> tuple[float, float]:
        """Lots of an order's deals that are on record, and their average price; (0.0, 0.0) where there are none."""
        sql = "SELECT coalesce(sum(volume), 0.0), coalesce(sum(volume * price), 0.0) FROM fills WHERE client_order_id = ? AND side = ?"
        lots, worth = self._rows(sql, order.intent.order_id, order.intent.side.value)[0]
        return round(lots, 8), worth / lots if lots else 0.0

    def deals(self, slot: Slot) -> list[Deal]:
        """All our deals, oldest first; what a deal closes comes before what it opens."""
        sql = "SELECT * FROM fills WHERE slot = ? ORDER BY timestamp, deal_ticket, entry DESC, position_id"
        return [deal_of(row) for row in self._rows(sql, str(slot))]

    def tags(self, slot: Slot) -> dict[int, object]:
        """What the strategy has tagged each position with, by the ticket of the order that opened it; None where it has not."""
        # of several orders with one ticket the first counts
        sql = "SELECT mt5_order_id, tag FROM orders WHERE slot = ? AND mt5_order_id IS NOT NULL ORDER BY id DESC"
        return {ticket: None if tag is None else json.loads(tag) for ticket, tag in self._rows(sql, str(slot))}

    def deal(self, slot: Slot, ticket: int) -> Deal | None:
        """One of them."""
        rows = self._rows("SELECT * FROM fills WHERE slot = ? AND deal_ticket = ? LIMIT 1", str(slot), ticket)
        return deal_of(rows[0]) if rows else None

    def newest_deal(self, slot: Slot) -> Deal | None:
        """The last of them."""
        rows = self._rows("SELECT * FROM fills WHERE slot = ? ORDER BY timestamp DESC, deal_ticket DESC LIMIT 1", str(slot))
        return deal_of(rows[0]) if rows else None

    def day_results(self, slot: Slot, since: datetime, before: datetime) -> tuple[int, float, int]:
        """Trades that were closed in this stretch of time, their net profit, and how many positions are open now."""
        sql = (
            "SELECT count(*), coalesce(sum(net_profit), 0.0) FROM trades INDEXED BY trades_by_time "
            "WHERE slot = ? AND timestamp >= ? AND timestamp < ?"
        )
        trades, profit = self._rows(sql, str(slot), since.isoformat(), before.isoformat())[0]
        return trades, profit, int(self._value("SELECT count(*) FROM positions WHERE slot = ?", str(slot)))

    # everything else

    def last_equity(self, slot: Slot, since: datetime, before: datetime) -> tuple[float, datetime] | None:
        """The equity that was last put down in this stretch of time, and when; None when none was."""
        sql = (
            "SELECT equity, timestamp FROM account_snapshots JOIN runs USING (run_id) "
            "WHERE slot = ? AND timestamp >= ? AND timestamp < ? ORDER BY timestamp DESC, id DESC LIMIT 1"
        )
        found = self._rows(sql, str(slot), since.isoformat(), before.isoformat())
        return (float(found[0][0]), datetime.fromisoformat(found[0][1])) if found else None

    def state(self, key: str) -> Any:
        """What was last said to be true; None when nothing was."""
        value = self._value("SELECT value FROM state WHERE key = ?", key)
        return None if value is None else json.loads(value)

    def _orders(self, where: str, *values: Any) -> list[Order]:
        # each turn, and each order, asks the same several times
        others = self._value("PRAGMA data_version")  # sqlite.org: another one once another connection has committed
        if others != self._read_at or len(self._orders_read) > MOST_ANSWERS:
            self._orders_read.clear()
            self._read_at = others
        asked = (where, values)
        if asked not in self._orders_read:
            rows = self._rows(f"SELECT * FROM orders WHERE {where} ORDER BY id", *values)  # noqa: S608 - our own conditions
            self._orders_read[asked] = [order_of(row) for row in rows]
        return [*self._orders_read[asked]]

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise RecordFailed(f"the record {self.path} cannot be read: {error}") from error

    def _value(self, sql: str, *values: Any) -> Any:
        return next((row[0] for row in self._rows(sql, *values)), None)
