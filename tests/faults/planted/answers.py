"""Bugs in what is made of an answer, or of none: refusals that are none, and proofs that prove nothing."""

from Live.outcomes import Outcome, Retry
from tests.faults.planted.bug import Bug
from tests.faults.planted.patching import Value, edit

EXECUTOR = "Live.order_executor.executor:OrderExecutor."
SETTLEMENT = "Live.order_executor.settlement:Settlement."
CARRIER = "Live.intent_carrier:IntentCarrier."
OUTCOMES = "Live.outcomes:"
PARTIAL = 10010
PARTIAL_REFUSED = (
    Value(OUTCOMES + "_ACKNOWLEDGED", lambda codes: codes - {PARTIAL}),
    Value(OUTCOMES + "_REFUSALS", lambda codes: codes | {PARTIAL}),
)
DONE_WITH_IT = "plan.intent.kind in ABSOLUTE and answer.retcode in (DONE, NO_CHANGES)"
EVERY_PENDING = "order.status is Status.PENDING"
OR_ABSENT = "order.status in (Status.PENDING, Status.ABSENT)"

BUGS = (
    Bug("partial fill as a refusal", "takes a partial fill for a refusal", PARTIAL_REFUSED),
    Bug(
        "filling switched after a partial fill",
        "sends again with the next filling mode after a partial fill",
        (*PARTIAL_REFUSED, Value(OUTCOMES + "_RETRIES", lambda retries: retries | {PARTIAL: Retry.NEXT_FILLING})),
    ),
    Bug(
        "unknown code as a refusal",
        "takes a return code that it does not know for a refusal",
        (
            edit(
                OUTCOMES + "verdict_of",
                "return Verdict(Outcome.UNKNOWN, Retry.NO, text)",
                "return Verdict(Outcome.REFUSED, Retry.NO, text)",
            ),
        ),
    ),
    Bug(
        "timeout as a refusal",
        "takes a timeout at the server for a refusal",
        (Value(OUTCOMES + "_REFUSALS", lambda codes: codes | {10012}),),
    ),
    Bug(
        "no answer as not sent",
        "takes an answer that is lost for an order that was not sent",
        (Value(OUTCOMES + "_NOT_SENT_ERRORS", lambda errors: errors | {-10001: Retry.NO, -10002: Retry.NO}),),
    ),
    Bug(
        "unknown sent again",
        "sends again what has got no answer",
        (
            edit(OUTCOMES + "_without_answer", "Verdict(Outcome.UNKNOWN, Retry.NO, ", "Verdict(Outcome.UNKNOWN, Retry.FRESH_QUOTE, "),
            Value("Live.order_executor.executor:CERTAINLY_NOT", lambda outcomes: (*outcomes, Outcome.UNKNOWN)),
        ),
    ),
    Bug(
        "absent sent again",
        "sends an entry again that is proved absent",
        (
            edit(
                "Live.symbol_trader:SymbolTrader._finish_pending",
                "(Status.PENDING,)",
                "(Status.PENDING, Status.ABSENT)",
                f"if {EVERY_PENDING}]",
                f"if {OR_ABSENT}]",
            ),
            edit(EXECUTOR + "execute_order", f"if {EVERY_PENDING}:", f"if {OR_ABSENT}:"),
            edit("Live.audit_logger.writer:AuditLogger._move", "if to not in MOVES[old]:", "if to not in MOVES[old] | {Status.SUBMITTED}:"),
        ),
    ),
    Bug(
        "absent entry decided again",
        "decides an entry again that is proved absent",
        (
            edit(CARRIER + "_is_wanted_again", "if old.kind is Kind.CANCEL:", "if old.kind in (Kind.CANCEL, Kind.ENTRY):"),
            edit(CARRIER + "carry_out_again", "else self._carry(intent)", "else self._enter(intent, [], None, [])"),
        ),
    ),
    Bug(
        "absent part closed again",
        "closes a part again that is proved absent",
        (
            edit(
                CARRIER + "_is_wanted_again",
                "old.kind not in (Kind.EXIT, Kind.SLTP)",
                "old.kind not in (Kind.EXIT, Kind.SLTP, Kind.PARTIAL)",
                "if old.kind is Kind.EXIT else",
                "if old.kind in (Kind.EXIT, Kind.PARTIAL) else",
                ">= position.lots",
                "> 0",
            ),
            edit(CARRIER + "carry_out_again", "if intent.kind is Kind.EXIT else", "if intent.kind in (Kind.EXIT, Kind.PARTIAL) else"),
        ),
    ),
    Bug(
        "placed as filled",
        "takes an order that is only placed for a filled one",
        (edit(EXECUTOR + "_conclude", DONE_WITH_IT, f"{DONE_WITH_IT} or answer.retcode == 10008"),),
    ),
    Bug(
        "fill out of the answer",
        "takes the answer's word for a fill, in place of the deals'",
        (edit(EXECUTOR + "_conclude", DONE_WITH_IT, "answer.retcode in (DONE, NO_CHANGES)"),),
    ),
    Bug(
        "absent at the first look",
        "believes that an order is absent as soon as it is not shown",
        (edit(SETTLEMENT + "_surely_absent", "return long_enough and seen.reads >= self._reads_needed and", "return"),),
    ),
    Bug(
        "settled too soon",
        "waits for three seconds until an order is absent",
        (edit("Live.model:SymbolSpec.settle_seconds", "else 30.0", "else 3.0", "180.0 if", "18.0 if"),),
    ),
    Bug(
        "settled from the decision on",
        "counts the settle time from the decision, and not from the end of the call",
        (edit(SETTLEMENT + "_surely_absent", "fresh = _Absence(now, ", "fresh = _Absence(order.intent.bar.time, "),),
    ),
    Bug(
        "no canary",
        "believes that an order is absent while the history is still loading",
        (edit(SETTLEMENT + "_history_is_loaded", "if newest is None:", "if True:"),),
    ),
    Bug(
        "failure as emptiness",
        "takes a list that was not answered for an empty one",
        (
            edit(
                "Live.mt5_connector.connector:MT5Connector._query",
                "        raise Unreachable(sentence)\n",
                '        if function.endswith("s_get"):\n            return ()\n        raise Unreachable(sentence)\n',
            ),
        ),
    ),
    Bug(
        "two candidates",
        "takes the first of two orders that could each be the one whose comment is lost",
        (
            edit(
                SETTLEMENT + "_by_fingerprint",
                "(len(found) > 1 or other)",
                "False",
                "by_tickets(shown, found) if len(found) == 1 and not other else NOTHING",
                "by_tickets(shown, {max(found)}) if found else NOTHING",
            ),
        ),
    ),
    Bug(
        "candidate with other levels",
        "takes an order whose comment is lost for its own that was asked for with other levels",
        (edit(SETTLEMENT + "_by_fingerprint", 'if each.ticket in found and contradicts(each, sent["request"])', "if False"),),
    ),
    Bug(
        "candidate from before",
        "takes an order for its own that was there before it was sent",
        (edit("Live.order_executor.evidence:lookalikes", ".union(before)", ""),),
    ),
    Bug(
        "removed, so not filled",
        "puts an order down as cancelled once it has asked for it",
        (
            edit(
                CARRIER + "_cancel",
                "    self._desk.executor.look_at(placed)",
                "    self._desk.record.move(placed.intent.order_id, Status.CANCELLED, payload={}, message='')",
            ),
        ),
    ),
    Bug(
        "late fill not told",
        "does not notice that what was over has been filled",
        (edit("Live.state_manager.deals:Deals._note_late_fill", "if lots <= (order.executed_volume or 0.0) + EPSILON:", "if True:"),),
    ),
)
