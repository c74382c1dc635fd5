"""What the record says that we have at the broker: read without touching it, also while a trader writes it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from Live.audit_logger.reader import Row
from Live.audit_logger.recorded import Recorded, Session
from Live.audit_logger.rows import order_of
from Live.model import Order

OPEN_ORDERS = """
SELECT * FROM orders INDEXED BY orders_by_status WHERE slot = :slot
AND status IN ('PENDING', 'SUBMITTED', 'UNKNOWN', 'UNRESOLVED', 'PLACED', 'PARTIALLY_FILLED') ORDER BY id
"""
HELD = "SELECT ticket, symbol, side, volume, sl, tp FROM positions WHERE slot = :slot ORDER BY ticket"
BY_TICKET = "SELECT * FROM orders WHERE slot = :slot AND mt5_order_id = :ticket LIMIT 1"
BY_KEY = "SELECT * FROM orders WHERE order_key >= :key AND order_key < :key || '~' LIMIT 2"
STATE = "SELECT value FROM state WHERE key = :key"
NAMED = "SELECT * FROM orders WHERE client_order_id = :name OR order_key = :name OR id = CAST(:name AS INTEGER) AND :name GLOB '[0-9]*'"


class Belief(Recorded):
    """A sitting with the record in which it is asked what is open. Raises RecordUnavailable, as every reader of it."""

    def open_orders(self, session: Session) -> list[Order]:
        """Orders that are not over, oldest first."""
        return [_order(row) for row in self._rows(OPEN_ORDERS, {"slot": session.slot})]

    def held(self, session: Session) -> list[Row]:
        """The positions that the trader last had."""
        return self._rows(HELD, {"slot": session.slot})

    def opened(self, session: Session, ticket: int, keys: Sequence[str]) -> bool:
        """Whether an order of this record has this ticket, or one of these keys."""
        if self._rows(BY_TICKET, {"slot": session.slot, "ticket": ticket}):
            return True
        return any(len(self._rows(BY_KEY, {"key": key})) == 1 for key in keys)

    def saved(self, session: Session, what: str) -> Any:
        """What was last put down about this slot; None where nothing was."""
        row = next(iter(self._rows(STATE, {"key": f"{what} {session.slot}"})), None)
        return None if row is None else json.loads(str(row["value"]))

    def named(self, name: str) -> Order | None:
        """The order with this client order id, key, or number of its row."""
        found = self._rows(NAMED, {"name": name})
        return _order(found[0]) if len(found) == 1 else None


def _order(row: Mapping[str, Any]) -> Order:
    return order_of(row)
