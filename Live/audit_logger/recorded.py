"""Whole sessions out of the record: what one strategy saw and did on one account, over all of its runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from Live.audit_logger.reader import AuditReader, RecordUnavailable, Row

PAGE = 20_000  # rows of one question: none keeps the write-ahead log from being folded in for long

LAST_RUN = "SELECT * FROM runs ORDER BY run_id DESC LIMIT 1"
RUN = "SELECT * FROM runs WHERE run_id = :key"
LAST_OF_SLOT = "SELECT * FROM runs WHERE slot = :key ORDER BY run_id DESC LIMIT 1"
FIRST_OF_SLOT = "SELECT * FROM runs WHERE slot = :key ORDER BY run_id LIMIT 1"
SLOTS = "SELECT slot, max(run_id) AS newest FROM runs GROUP BY slot ORDER BY newest DESC LIMIT 20"
CHARTS = "SELECT DISTINCT symbol, timeframe FROM bars WHERE slot = :slot ORDER BY symbol, timeframe"
BARS = """
SELECT run_id, bar_time, bar_epoch, open, high, low, close, tick_volume, spread FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe AND bar_epoch > :after ORDER BY bar_epoch LIMIT :page
"""
FILLS = """
SELECT deal_ticket, epoch, position_id, side, entry, volume, price, profit, commission, swap, fee FROM fills
WHERE slot = :slot AND symbol = :symbol AND deal_ticket IN (
    SELECT DISTINCT deal_ticket FROM fills WHERE slot = :slot AND symbol = :symbol AND deal_ticket > :after ORDER BY deal_ticket LIMIT :page
) ORDER BY deal_ticket, entry DESC, position_id
"""
TRADES = """
SELECT t.id, t.size, t.volume, t.entry_price, t.exit_price, t.profit, t.commission, t.swap, t.net_profit, t.tag, t.exit_reason,
       t.position_ticket, closing.epoch AS exit_epoch,
       coalesce((SELECT min(epoch) FROM fills INDEXED BY fills_by_position
                 WHERE slot = t.slot AND position_id = t.position_ticket AND entry = 'IN'), closing.epoch) AS entry_epoch
FROM trades AS t NOT INDEXED JOIN fills AS closing ON closing.slot = t.slot AND closing.deal_ticket = t.exit_deal
    AND closing.position_id = t.position_ticket
WHERE t.slot = :slot AND t.symbol = :symbol AND t.id > :after ORDER BY t.id LIMIT :page
"""
POSITIONS = """
SELECT p.ticket, p.side, p.volume, p.entry_price, p.entry_time, p.price_current, p.profit,
       (SELECT tag FROM orders WHERE slot = p.slot AND mt5_order_id = p.ticket AND kind IN ('ENTRY', 'PENDING')) AS tag
FROM positions AS p WHERE p.slot = :slot AND p.symbol = :symbol
"""
DECISIONS = """
SELECT s.id, s.bar_time, s.leg, s.signal, s.size, s.limit_price, s.stop_price, s.stop_loss, s.take_profit, s.tag, s.client_order_id,
       s.reason
FROM signals AS s JOIN runs AS r USING (run_id)
WHERE r.slot = :slot AND s.symbol = :symbol AND s.signal <> 'HOLD' AND s.id > :after ORDER BY s.id LIMIT :page
"""

EVENTS = """
SELECT e.id, e.run_id, e.event_type, e.message, e.details FROM events AS e JOIN runs AS r USING (run_id)
WHERE r.slot = :slot AND e.event_type IN ('SIZE_CUT', 'DATA_REVISED', 'STRATEGY_CHANGED', 'FURTHER_COLUMNS') AND e.id > :after
ORDER BY e.id LIMIT :page
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One strategy on one account: its facts are those of its newest run, the balance is that of its first."""

    slot: str
    run_id: int
    mode: str  # DRY, DEMO, REAL
    terminal: str
    strategy_id: str
    strategy_file: str
    strategy_class: str
    strategy_sha256: str
    params: Mapping[str, Any]
    settings: Mapping[str, Any]
    initial_balance: float


class Recorded(AuditReader):
    """A sitting with the record in which whole sessions are read. Raises RecordUnavailable, as every reader of it."""

    patience = timedelta(minutes=10)  # whoever asks for a whole session waits for it, also on a slow machine

    def session(self, *, run: int | None = None, slot: str | None = None) -> Session:
        """The session that a run belongs to, or that of a slot, or the newest one."""
        if run is not None:
            rows, wanted = self._rows(RUN, {"key": run}), f"run {run}"
        elif slot is not None:
            rows, wanted = self._rows(LAST_OF_SLOT, {"key": slot}), f"slot {slot}"
        else:
            rows, wanted = self._rows(LAST_RUN), "run"
        if not rows:
            known = ", ".join(str(row["slot"]) for row in self._rows(SLOTS))
            raise RecordUnavailable(f"The record has no {wanted}" + (f"; it has the slots {known}." if known else " yet."))
        return self._session(rows[0])

    def charts(self, session: Session) -> list[tuple[str, str]]:
        """Symbols and timeframes on which the strategy has decided."""
        return [(str(row["symbol"]), str(row["timeframe"])) for row in self._rows(CHARTS, {"slot": session.slot})]

    def bars(self, session: Session, symbol: str, timeframe: str) -> list[Row]:
        """The bars that were decided upon, oldest first."""
        return list(self._pages(BARS, "bar_epoch", slot=session.slot, symbol=symbol, timeframe=timeframe))

    def decisions(self, session: Session, symbol: str) -> list[Row]:
        """What the strategy decided, but for HOLD, oldest first."""
        return list(self._pages(DECISIONS, "id", slot=session.slot, symbol=symbol))

    def events(self, session: Session) -> list[Row]:
        """What happened that a session cannot be understood without, oldest first."""
        return list(self._pages(EVENTS, "id", slot=session.slot))

    def fills(self, session: Session, symbol: str) -> list[Row]:
        """The deals, oldest first."""
        return list(self._pages(FILLS, "deal_ticket", slot=session.slot, symbol=symbol))

    def trades(self, session: Session, symbol: str) -> list[Row]:
        """The closed trades, in the order of their exits, with the times of their deals on the server's clock."""
        return list(self._pages(TRADES, "id", slot=session.slot, symbol=symbol))

    def open_positions(self, session: Session, symbol: str) -> list[Row]:
        """What is held now."""
        return self._rows(POSITIONS, {"slot": session.slot, "symbol": symbol})

    def _session(self, row: Row) -> Session:
        first = self._rows(FIRST_OF_SLOT, {"key": row["slot"]})[0]
        names = [name for name in Session.__slots__ if name not in ("params", "settings", "initial_balance")]
        facts: dict[str, Any] = {name: row[name] for name in names}
        params, settings = (json.loads(str(row[name])) for name in ("params", "settings"))
        return Session(**facts, params=params, settings=settings, initial_balance=float(str(first["initial_balance"])))

    def _pages(self, sql: str, key: str, **values: object) -> Iterator[Row]:
        after: object = -1
        while rows := self._rows(sql, {**values, "after": after, "page": PAGE}):
            yield from rows
            after = rows[-1][key]
