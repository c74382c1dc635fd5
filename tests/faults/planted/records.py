"""Bugs in the record, in what is ours, and in the limits."""

from tests.faults.planted.bug import Bug
from tests.faults.planted.patching import Schema, edit

WRITER = "Live.audit_logger.writer:AuditLogger."
ASKED = "Live.audit_logger.asked:Asked."
DEALS = "Live.state_manager.deals:Deals."
MANAGER = "Live.state_manager.manager:StateManager."
SPEC = "Live.model:SymbolSpec."
THIS_RUN = "run_id = (SELECT max(run_id) FROM runs)"

BUGS = (
    Bug(
        "id with the volume",
        "names a decision by its size, too",
        (
            edit(
                "Live.backtesting_bridge:_intent",
                "client_order_id(bar, kind, leg)",
                "client_order_id(bar, kind, f\"{leg}/{what.get('size')}\")",
            ),
        ),
    ),
    Bug(
        "id with the time of day",
        "names a decision by the moment, too",
        (edit("Live.model:client_order_id", "kind.value, leg]", 'kind.value, leg, __import__("time").monotonic_ns()]'),),
    ),
    Bug(
        "id without the symbol",
        "gives the same name to decisions on two symbols",
        (edit("Live.model:client_order_id", "bar.symbol, ", ""),),
    ),
    Bug(
        "bar decided twice",
        "decides the newest bar again after a restart, and lets the record take it",
        (
            Schema("UNIQUE (slot, symbol, timeframe, bar_epoch)", "CHECK (slot <> '')"),
            edit(
                "Live.symbol_trader:SymbolTrader.__init__",
                "self._last = desk.record.last_bar(desk.slot, symbol, desk.timeframe.name)",
                "self._last = None",
            ),
        ),
    ),
    Bug(
        "orders outside the bar's transaction",
        "commits the orders of a bar after the bar",
        (
            edit(
                "Live.symbol_trader:SymbolTrader._decide",
                "        for intent in intents:\n            desk.record.add_intent(intent)\n",
                "    for intent in intents:\n        desk.record.add_intent(intent)\n",
            ),
        ),
    ),
    Bug(
        "entries of the day in memory",
        "counts the day's entries from its start on",
        (edit(ASKED + "count_entries", "WHERE slot = ? AND kind", f"WHERE {THIS_RUN} AND slot = ? AND kind"),),
    ),
    Bug(
        "sends of the minute in memory",
        "counts the minute's sends from its start on",
        (edit(ASKED + "count_sends", "AND o.slot = ?", f"AND o.slot = ? AND e.{THIS_RUN}"),),
    ),
    Bug(
        "waiting entries not counted",
        "does not count orders that wait among the day's entries",
        (edit(ASKED + "count_entries", "kind IN ('ENTRY', 'PENDING')", "kind IN ('ENTRY')"),),
    ),
    Bug(
        "fills without identity",
        "puts a deal down again after a restart",
        (
            Schema(
                "    PRIMARY KEY (slot, deal_ticket, position_id)\n) STRICT, WITHOUT ROWID;\nCREATE INDEX fills_by",
                "    CHECK (slot <> '')\n) STRICT;\nCREATE INDEX fills_by",
            ),
            edit(DEALS + "__init__", "for deal in openings_first(record.deals(slot)):", "for deal in ():"),
        ),
    ),
    Bug(
        "no trade of a stop",
        "forgets the trade where a stop loss has closed the position",
        (
            edit(
                DEALS + "_add_trade",
                "    deal, entry = made.deal, made.entry\n",
                "    deal, entry = made.deal, made.entry\n    if deal.reason == 4:\n        return\n",
            ),
        ),
    ),
    Bug(
        "chain begun anew",
        "begins the hash chain anew with each run",
        (
            edit(
                WRITER + "_append_move",
                "head_of(self._db).hash",
                'self._value("SELECT hash FROM order_events WHERE run_id = ? ORDER BY seq DESC LIMIT 1", self._run_id) or ""',
            ),
        ),
    ),
    Bug(
        "all positions are ours",
        "takes every position of the account for its own",
        (
            edit(
                MANAGER + "_see",
                "[self._deals.opened(position.magic, position.identifier, position.comment) for position in held]",
                "[True for position in held]",
            ),
        ),
    ),
    Bug(
        "ours by the magic number",
        "takes for its own whatever carries its magic number",
        (
            edit(
                DEALS + "opened",
                "    order = self._by_comment(comment)\n",
                "    if magic == self._slot.magic:\n        return True\n    order = self._by_comment(comment)\n",
            ),
        ),
    ),
    Bug(
        "closes by their magic number",
        "knows a deal that closes a position by its own marks only",
        (edit(DEALS + "fresh", "known = deal.position_id in self.book or deal.position_id in opened", "known = False"),),
    ),
    Bug(
        "positions gone with a failed query",
        "holds nothing any more when its positions cannot be read",
        (
            edit(
                "Live.mt5_connector.connector:MT5Connector.all_positions",
                '"positions_get", **options)',
                '"positions_get", **options) if self._terminal.positions_get(**options) is not None else []',
            ),
            edit("Live.state_manager.doubts:Doubts.about", "left = self._ours.book.left()", "return {}"),
        ),
    ),
    Bug(
        "history up to now",
        "asks for the history up to its own clock, without a margin",
        (edit("Live.mt5_connector.connector:MT5Connector._range", "self.server_now() + WINDOW", "self.server_now()"),),
    ),
    Bug(
        "lots rounded up",
        "rounds lots to the next step above",
        (edit(SPEC + "tradable_lots", "math.floor(steps + max(1e-9, steps * 1e-14))", "math.ceil(steps - 1e-9)"),),
    ),
    Bug(
        "smallest order forced",
        "trades the smallest order where the wanted one is too small",
        (edit(SPEC + "tradable_lots", "if lots >= self.lot_min else 0.0", "if lots >= self.lot_min else self.lot_min"),),
    ),
    Bug(
        "unknown does not block",
        "enters while the outcome of another order is open",
        (edit("Live.risk:NothingUnsettled.measure", "facts.unsettled_orders, 0)", "0, 0)"),),
    ),
    Bug(
        "spread not looked at",
        "enters however wide the spread is",
        (edit("Live.risk:MaxSpread.measure", "facts.spread_points, self.limit)", "0.0, self.limit)"),),
    ),
    Bug(
        "waiting lots not counted",
        "does not count what waits among the exposure",
        (edit(MANAGER + "_may_come", "(*UNSETTLED, *WAITING)", "UNSETTLED"),),
    ),
    Bug(
        "latch forgotten",
        "trades again when the stop file is gone, though nobody has resumed",
        (edit("Live.live_trader:LiveTrader._refuse_stopped", "refuse(stop_on_record(self.record))", "stop_on_record(self.record)"),),
    ),
    Bug(
        "NORMAL in place of FULL",
        "does not sync what must last",
        (edit(WRITER + "transaction", "{'FULL' if durable else 'NORMAL'}", "NORMAL"),),
        on_disk=True,
    ),
)
