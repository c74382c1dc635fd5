"""What the record has for those who are told: the alerts that wait in it, and the bars around a trade."""

from Live.audit_logger.reader import AuditReader, Row

AFTER = """
SELECT id, queued_at, timestamp, run_id, type, level, kind, symbol, message, details FROM alerts WHERE id > :after ORDER BY id LIMIT :page
"""
FIRST = "SELECT queued_at FROM alerts ORDER BY id LIMIT 1"
BEFORE = "SELECT coalesce(max(id), 0) AS id FROM alerts WHERE queued_at < :time"
RECENT = """
SELECT id, queued_at, timestamp, run_id, type, level, kind, symbol, message, details FROM alerts ORDER BY id DESC LIMIT :page
"""
SLOT = "SELECT slot FROM runs WHERE run_id = :run"
BARS = """
SELECT bar_time, open, high, low, close FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = (
    SELECT timeframe FROM bars WHERE slot = :slot AND symbol = :symbol ORDER BY id DESC LIMIT 1
) AND bar_time <= :until ORDER BY bar_epoch DESC LIMIT :page
"""
CLOSED = "SELECT * FROM trades WHERE slot = :slot AND exit_deal = :deal AND position_ticket = :ticket"
OPENED = """
SELECT o.sl, o.tp, f.side, f.price AS entry_price, f.timestamp AS entry_time FROM fills AS f INDEXED BY fills_by_position
LEFT JOIN orders AS o ON o.client_order_id = f.client_order_id
WHERE f.slot = :slot AND f.position_id = :ticket AND f.entry = 'IN' ORDER BY f.deal_ticket LIMIT 1
"""

ORDER = "SELECT * FROM orders WHERE id = :id AND slot = :slot"
STEPS = "SELECT timestamp, to_status FROM order_events WHERE client_order_id = :order ORDER BY seq LIMIT 50"
EVENTS = "SELECT timestamp, event_type, severity, message FROM events ORDER BY id DESC LIMIT :page"


class AlertReader(AuditReader):
    """A sitting with the record. Raises RecordUnavailable, as every reader of it."""

    def alerts_after(self, after: int, page: int = 500) -> list[Row]:
        """The next alerts behind that row, oldest first."""
        return self._rows(AFTER, {"after": after, "page": page})

    def recent_alerts(self, page: int) -> list[Row]:
        """The newest alerts, newest first."""
        return self._rows(RECENT, {"page": page})

    def identity(self) -> str:
        """When the first alert was put down, which tells this record from any other; "" before there is one."""
        rows = self._rows(FIRST)
        return str(rows[0]["queued_at"]) if rows else ""

    def last_alert_before(self, time: str) -> int:
        """The newest row that was put down before then; 0 when there is none."""
        return int(str(self._rows(BEFORE, {"time": time})[0]["id"]))

    def slot_of(self, run_id: int) -> str:
        """Who trades in that run: login@server/strategy_id/magic."""
        rows = self._rows(SLOT, {"run": run_id})
        return str(rows[0]["slot"]) if rows else ""

    def bars_until(self, slot: str, symbol: str, until: str, page: int) -> list[Row]:
        """The last bars that were decided by then, oldest first."""
        return self._rows(BARS, {"slot": slot, "symbol": symbol, "until": until, "page": page})[::-1]

    def trade(self, slot: str, deal: int, ticket: int) -> Row | None:
        """The trade that this deal has closed."""
        return next(iter(self._rows(CLOSED, {"slot": slot, "deal": deal, "ticket": ticket})), None)

    def opening(self, slot: str, ticket: int) -> Row | None:
        """How a position was opened, and the levels that it was given."""
        return next(iter(self._rows(OPENED, {"slot": slot, "ticket": ticket})), None)

    def order_numbered(self, slot: str, number: int) -> Row | None:
        """An order by its row."""
        return next(iter(self._rows(ORDER, {"id": min(number, 2**63 - 1), "slot": slot})), None)

    def steps_of(self, client_order_id: str) -> list[Row]:
        """The steps of its life, oldest first."""
        return self._rows(STEPS, {"order": client_order_id})

    def recent_events(self, page: int) -> list[Row]:
        """The newest events, newest first."""
        return self._rows(EVENTS, {"page": page})
