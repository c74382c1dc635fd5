"""What the page draws and tells at length, out of the record: one order's life, a stretch of bars, how orders were filled."""

from collections.abc import Mapping
from dataclasses import dataclass

from Live.audit_logger.listing import LISTINGS, Pages
from Live.audit_logger.reader import Row, Run

MOST_EVENTS = 200  # of one order
MOST_MARKS = 500  # trades, orders and positions in one picture
MEASURED_ORDERS = 2_000  # the newest ones, from which slippage, latency and refusals are measured

SIGNAL_OF = "SELECT * FROM signals WHERE client_order_id = :order LIMIT 1"
BAR_OF = "SELECT * FROM bars WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe AND bar_epoch = :epoch"
EVENTS_OF = """
SELECT seq, timestamp, attempt, from_status, to_status, payload, hash FROM order_events
WHERE client_order_id = :order ORDER BY seq LIMIT :most
"""
# A server may forget an order's key: a closing deal that was put down before the order was found is told by their ticket.
FILLS_OF = """
SELECT * FROM fills
WHERE client_order_id = :order
   OR (client_order_id IS NULL AND slot = :slot AND position_id = :position AND order_ticket = :ticket)
ORDER BY timestamp LIMIT :most
"""
POSITIONS_OF = "SELECT DISTINCT position_id FROM fills WHERE client_order_id = :order AND entry IN ('IN', 'INOUT') LIMIT 10"
TRADES_OF = """
SELECT timestamp, side, volume, entry_price, exit_price, net_profit, duration_seconds, exit_reason, position_ticket FROM trades
WHERE slot = :slot AND position_ticket = :position ORDER BY id LIMIT :most
"""
RUN_OF = "SELECT * FROM runs WHERE run_id = :run"

CHARTS_OF = "SELECT symbol, timeframe FROM warm_ups WHERE slot = :slot GROUP BY symbol, timeframe ORDER BY max(id) DESC LIMIT 50"
NEWEST_BARS = """
SELECT run_id, bar_epoch, bar_time, open, high, low, close, tick_volume, indicators FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe ORDER BY bar_epoch DESC LIMIT :most
"""
BARS_BEFORE = """
SELECT run_id, bar_epoch, open, high, low, close, tick_volume FROM history
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe AND bar_epoch < :before ORDER BY bar_epoch DESC LIMIT :most
"""
LINES_OF = """
SELECT position, name, overlay, scatter, before FROM indicators
WHERE run_id = :run AND symbol = :symbol AND timeframe = :timeframe ORDER BY position LIMIT 40
"""
DEALS_SINCE = """
SELECT epoch, position_id, side, entry, volume, price, profit FROM fills
WHERE slot = :slot AND timestamp >= :since AND symbol = :symbol ORDER BY timestamp DESC LIMIT :most
"""
TRADES_SINCE = """
SELECT t.entry_time, t.exit_time, t.side, t.volume, t.entry_price, t.exit_price, t.net_profit, t.exit_reason, t.position_ticket
FROM trades AS t INDEXED BY trades_by_time
WHERE t.timestamp >= :since AND t.slot = :slot AND t.symbol = :symbol ORDER BY t.timestamp DESC LIMIT :most
"""

EXECUTIONS = """
SELECT id, client_order_id, symbol, side, kind, order_type, status, retcode, retcode_message, price,
       executed_price, executed_volume, attempts
FROM orders WHERE id > (SELECT max(id) FROM orders) - :most ORDER BY id DESC
"""
ANSWER_TIMES = """
SELECT sent.timestamp AS sent_at,
       (SELECT next.timestamp FROM order_events AS next
        WHERE next.client_order_id = sent.client_order_id AND next.seq > sent.seq ORDER BY next.seq LIMIT 1) AS answered_at
FROM order_events AS sent
WHERE sent.seq > (SELECT max(seq) FROM order_events) - :most AND sent.to_status = 'SUBMITTED'
"""
VERSION = """
SELECT (SELECT value FROM state WHERE key = 'heartbeat') AS beat, (SELECT max(updated_at) FROM state) AS state,
       (SELECT max(seq) FROM order_events) AS moves, (SELECT max(id) FROM events) AS events, (SELECT max(id) FROM bars) AS bars,
       (SELECT max(run_id) FROM runs) AS run
"""


@dataclass(frozen=True, slots=True)
class OrderRows:
    """Everything on record about one order."""

    order: Row
    run: Row
    bar: Row | None
    signal: Row | None
    events: list[Row]
    fills: list[Row]
    trades: list[Row]


@dataclass(frozen=True, slots=True)
class ChartRows:
    """A stretch of bars, oldest first, with what the strategy declared on them and what was traded."""

    before: list[Row]  # seen in the warm-up
    bars: list[Row]
    lines: list[Row]
    trades: list[Row]
    positions: list[Row]


class Shown(Pages):
    """A sitting with the record for pages. Raises RecordUnavailable, as every reader of it."""

    def order_rows(self, order_id: int) -> OrderRows | None:
        """One order by its number in the record; None where there is none."""
        order = self.row(LISTINGS["orders"], order_id)
        if order is None:
            return None
        whole = self._rows("SELECT * FROM orders WHERE id = :id", {"id": order_id})[0]
        named: dict[str, object] = {"order": whole["client_order_id"], "slot": whole["slot"], "most": MOST_EVENTS}
        where = {"slot": whole["slot"], "symbol": whole["symbol"], "timeframe": whole["timeframe"], "epoch": whole["bar_epoch"]}
        positions = [row["position_id"] for row in self._rows(POSITIONS_OF, named)]
        return OrderRows(
            order=whole,
            run=next(iter(self._rows(RUN_OF, {"run": whole["run_id"]})), {}),
            bar=next(iter(self._rows(BAR_OF, where)), None),
            signal=next(iter(self._rows(SIGNAL_OF, named)), None),
            events=self._rows(EVENTS_OF, named),
            fills=self._rows(FILLS_OF, {**named, "position": whole["position_ticket"], "ticket": whole["mt5_order_id"]}),
            trades=[row for position in positions for row in self._rows(TRADES_OF, {**named, "position": position})],
        )

    def charts_of(self, run: Run) -> list[Row]:
        """Symbols and timeframes that this run's strategy was warmed up on, the newest first."""
        return self._rows(CHARTS_OF, {"slot": run.slot})

    def chart_rows(self, run: Run, symbol: str, timeframe: str, most: int) -> ChartRows:
        """The newest bars of one of them."""
        chart: dict[str, object] = {"slot": run.slot, "symbol": symbol, "timeframe": timeframe}
        bars = self._rows(NEWEST_BARS, {**chart, "most": most})[::-1]
        first = bars[0]["bar_epoch"] if bars else 2**62
        before = self._rows(BARS_BEFORE, {**chart, "most": 2 * (most - len(bars)), "before": first}) if len(bars) < most else []
        newest_version = {row["bar_epoch"]: row for row in before}
        seen = sorted(newest_version.values(), key=lambda row: int(str(row["bar_epoch"])))[-(most - len(bars)) :] if before else []
        since = str(bars[0]["bar_time"]) if bars else "9"
        traded: Mapping[str, object] = {**chart, "since": since, "most": MOST_MARKS}
        return ChartRows(
            before=seen,
            bars=bars,
            lines=self._rows(LINES_OF, {**chart, "run": bars[-1]["run_id"]}) if bars else [],
            trades=self._rows(TRADES_SINCE, traded)[::-1],
            positions=[row for row in self.positions(run) if row["symbol"] == symbol],
        )

    def executions(self) -> list[Row]:
        """The newest orders, for measuring how they were carried out."""
        return self._rows(EXECUTIONS, {"most": MEASURED_ORDERS})

    def answer_times(self) -> list[Row]:
        """When the newest attempts were sent and when the next thing about them went on record."""
        return self._rows(ANSWER_TIMES, {"most": 5 * MEASURED_ORDERS})

    def run_row(self, run_id: int) -> Row | None:
        """One run with everything that it was started with."""
        return next(iter(self._rows(RUN_OF, {"run": run_id})), None)

    def version(self) -> str:
        """Another text whenever something that a page shows may have changed."""
        return "/".join(str(value) for value in self._one(VERSION).values())
