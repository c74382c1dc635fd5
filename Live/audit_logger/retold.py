"""A session as it can be told again: every bar that the strategy saw, what it was shown, and what became of its orders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from Live.audit_logger.reader import Row
from Live.audit_logger.recorded import Recorded, Session
from Live.audit_logger.rows import deal_of
from Live.model import Deal

RUNS = """
SELECT run_id, started_at, strategy_file, strategy_class, strategy_sha256, params, versions FROM runs WHERE slot = :slot ORDER BY run_id
"""
WARM_UPS = """
SELECT run_id, bars, first_epoch, last_epoch, history_id, spec FROM warm_ups
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe ORDER BY id
"""
HISTORY = """
SELECT id, run_id, bar_epoch, open, high, low, close, tick_volume, spread FROM history
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe AND id > :after ORDER BY id LIMIT :page
"""
DECIDED = """
SELECT id, run_id, bar_time, bar_epoch, open, high, low, close, tick_volume, spread, acted, shown FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe AND bar_epoch > :after ORDER BY bar_epoch LIMIT :page
"""
SIGNALS = """
SELECT s.id, s.run_id, s.bar_time, s.leg, s.signal, s.size, s.limit_price, s.stop_price, s.stop_loss, s.take_profit, s.tag, s.reason
FROM signals AS s JOIN runs AS r USING (run_id)
WHERE r.slot = :slot AND s.symbol = :symbol AND s.timeframe = :timeframe AND s.id > :after ORDER BY s.id LIMIT :page
"""
ORDERS = """
SELECT id, run_id, client_order_id, bar_epoch, kind, leg, side, size, volume, price, limit_price, stop_price, sl, tp, position_ticket,
       status, message, executed_volume, mt5_order_id, tag
FROM orders WHERE slot = :slot AND symbol = :symbol AND id > :after ORDER BY id LIMIT :page
"""
SENT = """
SELECT e.seq, e.client_order_id, e.payload FROM order_events AS e JOIN orders AS o USING (client_order_id)
WHERE o.slot = :slot AND o.symbol = :symbol AND e.to_status = 'SUBMITTED' AND e.seq > :after ORDER BY e.seq LIMIT :page
"""
FILLS = """
SELECT * FROM fills WHERE slot = :slot AND symbol = :symbol AND deal_ticket IN (
    SELECT DISTINCT deal_ticket FROM fills WHERE slot = :slot AND symbol = :symbol AND deal_ticket > :after ORDER BY deal_ticket LIMIT :page
) ORDER BY deal_ticket, entry DESC, position_id
"""
SWAPS = "SELECT ticket, swap FROM positions WHERE slot = :slot AND symbol = :symbol"


@dataclass(frozen=True, slots=True)
class Told:
    """All rows about one symbol and timeframe of a session, oldest first. `sent` is what was put down before the last attempt
    to send an order, by its id; `swaps` are those of open positions, by ticket; a `spec` that is not on record is empty.
    """

    symbol: str
    timeframe: str
    warm_ups: list[Row]
    history: list[Row]
    bars: list[Row]
    signals: list[Row]
    orders: list[Row]
    sent: Mapping[str, Mapping[str, Any]]
    fills: list[Row]
    swaps: Mapping[int, float]
    events: list[Row]
    spec: Mapping[str, Any]


class Retold(Recorded):
    """A sitting with the record in which sessions are told again. Raises RecordUnavailable, as every reader of it."""

    def runs(self, session: Session) -> list[Row]:
        """Its runs, oldest first."""
        return self._rows(RUNS, {"slot": session.slot})

    def deals(self, told: Told) -> list[Deal]:
        """The deals of a symbol, oldest first."""
        rows: list[Any] = sorted(told.fills, key=lambda row: (str(row["timestamp"]), row["deal_ticket"]))
        return [deal_of(row) for row in rows]

    def told(self, session: Session, chart: tuple[str, str]) -> Told:
        """Everything about a symbol and timeframe."""
        symbol, steps = chart
        named = {"slot": session.slot, "symbol": symbol}
        both = named | {"timeframe": steps}
        warm_ups = self._rows(WARM_UPS, both)
        return Told(
            symbol,
            steps,
            warm_ups,
            history=list(self._pages(HISTORY, "id", **both)),
            bars=list(self._pages(DECIDED, "bar_epoch", **both)),
            signals=list(self._pages(SIGNALS, "id", **both)),
            orders=list(self._pages(ORDERS, "id", **named)),
            sent={str(row["client_order_id"]): json.loads(str(row["payload"])) for row in self._pages(SENT, "seq", **named)},
            fills=list(self._pages(FILLS, "deal_ticket", **named)),
            swaps={int(str(row["ticket"])): float(str(row["swap"])) for row in self._rows(SWAPS, named)},
            events=self.events(session),
            spec=json.loads(str(warm_ups[-1]["spec"])) if warm_ups else {},
        )
