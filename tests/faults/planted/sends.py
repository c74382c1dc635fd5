"""Bugs in what comes before a send: the record, the looks, the quote, the request."""

from tests.faults.planted.bug import Bug
from tests.faults.planted.patching import Value, edit

EXECUTOR = "Live.order_executor.executor:OrderExecutor."
REQUESTS = "Live.order_requests:"
CARRIER = "Live.intent_carrier:IntentCarrier."
CONNECTOR = "Live.mt5_connector.connector:MT5Connector."
MARK = "    self._record.move(order_id, Status.SUBMITTED, payload=payload, **columns)\n"
SEND = "    answer = self._connector.order_send(request)\n"
NEVER_OLD = edit(CARRIER + "too_old", "if age > allowed", "if False")
NEVER_LATE = edit(CARRIER + "_too_late", "if not closed or forming is None or closed[-1].epoch > intent.bar.epoch:", "if False:")

BUGS = (
    Bug(
        "journal after the send",
        "marks an order as being sent when the answer is there",
        (edit(EXECUTOR + "_send", MARK, "", SEND, SEND + MARK),),
    ),
    Bug(
        "mark of another request",
        "sends another price than it has put on record",
        (edit(EXECUTOR + "_send", SEND, SEND.replace("request", '{**request, "deviation": 999}')),),
    ),
    Bug(
        "stop file looked for once a turn",
        "does not look for the stop file at a send",
        (edit(EXECUTOR + "_send", "    self._kill_switch.check()\n", "", "if self._kill_switch.is_on():", "if False:"),),
    ),
    Bug(
        "no look behind the mark",
        "looks for the stop file only before the order is marked",
        (edit(EXECUTOR + "_send", "if self._kill_switch.is_on():", "if False:"),),
    ),
    Bug(
        "no scan",
        "does not look at the terminal before it sends",
        (edit(EXECUTOR + "_attempt", "self._settlement.scan(plan.intent) if adds_risk(plan.request) else (None, [])", "(None, [])"),),
    ),
    Bug(
        "scan without the history",
        "looks before a send at what is open only",
        (
            edit(
                "Live.order_executor.settlement:Settlement.scan",
                "self._shown(intent)",
                "Shown(self._connector.active_orders(), (), self._connector.all_positions())",
            ),
        ),
    ),
    Bug("no check", "sends what order_check objects to", (edit(EXECUTOR + "_attempt", "if check.retcode != 0:", "if False:"),)),
    Bug(
        "retry on the old quote",
        "tries again with the quote of the attempt before",
        (
            edit(
                EXECUTOR + "_attempt",
                "quote = self._connector.quote(plan.intent.symbol)",
                "quote = plan.quote or self._connector.quote(plan.intent.symbol)",
            ),
        ),
    ),
    Bug(
        "old quote",
        "sends on a quote that has become old while it was checked",
        (Value("Live.order_executor.executor:QUOTE_SECONDS", lambda _: 1e9),),
    ),
    Bug(
        "no collar",
        "enters however far the price is from where it was decided",
        (
            edit(EXECUTOR + "_forbidden", "if plan.decided_price:", "if False:"),
            edit(CARRIER + "_too_far", "if abs(quote.bid - opened) <= opened * collar / 100:", "if True:"),
        ),
    ),
    Bug(
        "no limit of attempts", "tries again as long as it is refused", (edit(EXECUTOR + "_carry_out", "attempt < plan.attempts and ", ""),)
    ),
    Bug(
        "close without its ticket",
        "closes a position by an order that does not name it",
        (edit(REQUESTS + "close_request", ' | {"position": int(position.ticket)}', ""),),
    ),
    Bug(
        "close of twice as much",
        "closes twice of what is open: on a netting account the position flips",
        (edit(REQUESTS + "close_request", "min(lots, position.lots)", "2 * position.lots"),),
    ),
    Bug(
        "part closed as a whole",
        "closes all of a position where a part was decided",
        (edit(CARRIER + "_close", "if units is not None and units < market.spec.units(lots):", "if False:"),),
    ),
    Bug(
        "entry without its stop",
        "opens without the stop loss that was decided",
        (edit(REQUESTS + "entry_request", " | _on_grid(levels, market.spec)", ""),),
    ),
    Bug(
        "stop widened on a retry",
        "moves the stop loss away before it tries again",
        (
            edit(
                EXECUTOR + "_may_try_again",
                "    return self._clock.now() <= plan.give_up_at",
                '    plan.request["sl"] = plan.request.get("sl", 0.0) - 0.001\n    return self._clock.now() <= plan.give_up_at',
            ),
        ),
    ),
    Bug(
        "account not looked at",
        "trades on whatever account the terminal is logged in to",
        (
            edit(
                CONNECTOR + "guard",
                "if self._identity not in (None, identity):",
                "if False:",
                "if found := objections(",
                "if found := () and objections(",
            ),
        ),
    ),
    Bug(
        "no quarantine",
        "opens something as soon as it has started",
        (
            edit("Live.risk:QuarantineOver.measure", "facts.quarantine_seconds, 0.0", "0.0, 0.0"),
            edit(CARRIER + "carry_out", "any(intent.is_entry for intent in intents) and self._desk.state.entries_wait()", "False"),
        ),
    ),
    Bug("sends what is old", "sends a decision however old it is", (NEVER_OLD, NEVER_LATE)),
    Bug(
        "acts on missed bars",
        "acts on bars that have closed while it was away",
        (edit("Live.symbol_trader:SymbolTrader.turn", "act=follower == forming)", "act=True)"), NEVER_OLD, NEVER_LATE),
    ),
    Bug(
        "decides on the forming bar",
        "takes the bar that is still forming for a closed one",
        (edit(CONNECTOR + "closed_bars", "return bars[:-1], bars[-1].epoch", "return bars, bars[-1].epoch + timeframe.seconds"),),
    ),
)
