"""From an intent to an answer: checks, the send, and what may be tried again."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from Backtest.bars import TIMEFRAMES
from Live.audit_logger import AuditLogger, to_json
from Live.config import LiveConfig
from Live.errors import KillSwitch, Unreachable, WrongAccount
from Live.explanations import how_to_explain
from Live.holds import EVERYWHERE, Holds
from Live.kill_switch import KillSwitchFile
from Live.model import ClientOrderId, Intent, Kind, Order, Quote, Slot, Status, order_key
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.answer import Answer
from Live.order_executor.alone import own_intent, own_record, own_slot
from Live.order_executor.settlement import Settlement
from Live.order_executor.stops import has_stops, with_new_stops
from Live.order_executor.telling import EXECUTED, check_complete, checked, fields, told
from Live.order_requests import (
    RETURN,
    TRADE_ACTION_DEAL,
    TRADE_ACTION_PENDING,
    Market,
    adds_risk,
    at_quote,
    faults,
    fillings,
    ticket_of,
)
from Live.outcomes import ALREADY_GONE, DONE, NO_CHANGES, RETCODES, SWITCHES, Outcome, Retry, Verdict, refused_by_python, verdict_of

log = logging.getLogger("LiveTrader")

QUOTE_SECONDS = 30.0  # what takes longer than this to check is not sent on the quote that it began with
RETRY_SECONDS = 30.0  # an order that was not filled within this, or a fifth of its bar, is not the order that was decided
RETRY_BARS = 0.2
INVALID_PRICE, TRADE_DISABLED = 10015, 10017
TRADING_OFF = "trading off"
CERTAINLY_NOT = (Outcome.REFUSED, Outcome.NOT_SENT)
ABSOLUTE = frozenset({Kind.SLTP, Kind.CANCEL})  # done with the answer: no deal follows

Gate = Callable[[Quote], str | None]
Facts = Callable[[], Mapping[str, Any]]
Instead = Callable[[Quote], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class _Tried:
    """One attempt and its answer; `sent` is False where order_check refused it."""

    verdict: Verdict
    answer: Answer
    sent: bool

    @property
    def facts(self) -> dict[str, Any]:
        result = self.answer.result
        return {"answer": None if result is None else fields(result), "last_error": self.answer.error, "sent": self.sent}


@dataclass(slots=True)
class _Plan:
    """An intent on its way to the server."""

    intent: Intent
    request: dict[str, Any]
    gate: Gate
    attempts: int  # at most
    decided_price: float | None  # of an entry: a retry stays near it
    give_up_at: datetime
    fillings: list[int]
    instead: Instead  # what is asked for where the price of a waiting order is refused, because the market is beyond it
    facts: Facts = dict  # what it was sized by and what its gate has measured, for the record
    quote: Quote | None = None  # at which the newest attempt was made
    quoted_at: datetime | None = None  # by our clock
    filling_changed: bool = False
    stops_renewed: bool = False
    refused: _Tried | None = None  # the attempt before


class OrderExecutor:
    """Carries intents out, once each. A `gate` answers with the sentence that forbids an attempt, or None.

    Without a `record` it opens that of the settings, as its only writer, for a run of its own; `close` lets go of it.
    """

    def __init__(
        self,
        config: LiveConfig,
        connector: MT5Connector,
        *,
        record: AuditLogger | None = None,
        slot: Slot | None = None,
        kill_switch: KillSwitchFile | None = None,
    ) -> None:
        self._config, self._connector, self._clock = config, connector, connector.clock
        self._resources = ExitStack()
        self._slot = slot or own_slot(config, connector)
        self._record = record or own_record(config, connector, self._slot, self._resources)
        self._kill_switch = kill_switch or KillSwitchFile.of(config)
        self._holds = Holds(self._record, self._slot, self._clock)
        self._settlement = Settlement(connector, self._record, self._slot)
        self.settle, self.has_open_questions = self._settlement.settle, self._settlement.has_open_questions
        self.look_at = self._settlement.look_at

    def close(self) -> None:
        """Let go of the record, if it is its own."""
        self._resources.close()

    # the seed's interface

    def execute_order(  # noqa: PLR0913 - the first three are the seed's
        self,
        order_request: Mapping[str, Any],
        client_order_id: str,
        allow_retry: bool = True,
        *,
        gate: Gate = lambda _: None,
        instead: Instead = lambda _: None,
        facts: Facts = dict,
    ) -> dict[str, Any]:
        """Send a request under this id, unless that was done before; then tell what came of it.

        `instead` gives the request that takes the place of a waiting order whose price the market has passed already;
        `facts` what goes on record with an attempt: what the order was sized by, what the gate has measured.

        Returns `success` (accepted by the broker), `mt5_order_id`, `message`, `status`, `retcode`, `price` and `volume`
        (what the deals say), `attempts` and `client_order_id`. Raises ValueError for a request that is not complete,
        KillSwitch when the stop file is there, Unreachable or WrongAccount when the terminal cannot be asked or is on
        another account, RecordFailed when the intent cannot be recorded: nothing was sent then.
        """
        check_complete(order_request)
        order = self._record.order(client_order_id)
        if order is None:
            self._record.add_intent(own_intent(order_request, ClientOrderId(client_order_id), self._slot, self._connector))
            order = self._known(client_order_id)
        if order.status is Status.PENDING:
            plan = self._plan(order.intent, order_request, gate, allow_retry=allow_retry)
            plan.instead, plan.facts = instead, facts
            self._carry_out(plan)
        return told(self._known(client_order_id))

    def get_order_status(self, order_id: str) -> dict[str, Any]:
        """`status` and `details` of an order, from the record; status NOT_FOUND for an id that was never used."""
        order = self._record.order(order_id)
        return {"status": "NOT_FOUND", "details": {}} if order is None else {"status": order.status.value, "details": told(order)}

    def get_execution_summary(self) -> dict[str, Any]:
        """`total_orders`, `executed`, `failed` (refused by the broker) and `success_rate` (percent), from the record."""
        counts = self._record.execution_counts(self._slot)
        executed, failed = sum(counts.get(status.value, 0) for status in EXECUTED), counts.get(Status.FAILED.value, 0)
        rate = 100.0 * executed / (executed + failed) if executed + failed else 0.0
        return {"total_orders": sum(counts.values()), "executed": executed, "failed": failed, "success_rate": rate}

    def refuse(self, order_id: ClientOrderId, status: Status, sentence: str, facts: Mapping[str, Any] | None = None) -> None:
        """End an intent that is not sent: DENIED, EXPIRED or CANCELLED, with the reason and the `facts` that speak for it."""
        self._record.move(order_id, status, payload={"reason": sentence, **(facts or {})}, message=sentence)
        level = logging.WARNING if status is Status.DENIED else logging.INFO
        log.log(level, "order not sent", extra={"extra_data": {"client_order_id": order_id, "status": status, "reason": sentence}})

    # attempts

    def _plan(self, intent: Intent, request: Mapping[str, Any], gate: Gate, *, allow_retry: bool) -> _Plan:
        marked = self._marked(intent, request)
        bar = TIMEFRAMES.get(intent.bar.timeframe)
        patience = min(RETRY_SECONDS, RETRY_BARS * bar.seconds) if bar else RETRY_SECONDS
        return _Plan(
            intent=intent,
            request=marked,
            gate=gate,
            attempts=max(1, self._config.max_retry_attempts) if allow_retry else 1,
            # an exit must be possible in a market that runs away
            decided_price=marked.get("price") if marked["action"] == TRADE_ACTION_DEAL and not ticket_of(marked) else None,
            give_up_at=self._clock.now() + timedelta(seconds=patience),
            fillings=self._fillings(marked),
            instead=lambda _: None,
        )

    def _marked(self, intent: Intent, request: Mapping[str, Any]) -> dict[str, Any]:
        marks = {"comment": order_key(intent.order_id), "magic": int(self._slot.magic)} if adds_risk(request) else {}
        return {**request, **marks}

    def _fillings(self, request: Mapping[str, Any]) -> list[int]:
        if "type_filling" not in request:
            return []
        modes = fillings(self._connector.spec(request["symbol"]))
        return list(dict.fromkeys((RETURN, *modes)) if request["action"] == TRADE_ACTION_PENDING else modes)

    def _carry_out(self, plan: _Plan) -> None:
        for attempt in count(1):
            try:
                tried = self._attempt(plan)
                if tried is None:
                    return
                plan.refused = tried
                goes_on = self._asks_instead(plan, tried) or (attempt < plan.attempts and self._may_try_again(plan, tried.verdict, attempt))
            except (KillSwitch, Unreachable, WrongAccount):
                # nothing was sent since the answer that is concluded with, which was a certain refusal
                if plan.refused is not None and self._known(plan.intent.order_id).status is Status.SUBMITTED:
                    self._conclude(plan, plan.refused)
                raise
            if not goes_on:
                self._conclude(plan, tried)
                return

    def _attempt(self, plan: _Plan) -> _Tried | None:
        """One attempt with everything fresh; None when the order has ended without it."""
        self._connector.check_in()
        plan.quoted_at = self._clock.now()
        quote = self._connector.quote(plan.intent.symbol)
        plan.quote, plan.request = quote, at_quote(plan.request, quote, filling=plan.fillings[0] if plan.fillings else None)
        if (sentence := self._forbidden(plan, quote)) is not None:
            self._deny(plan, sentence)
            return None
        check = self._connector.order_check(plan.request)
        if check.result is None and not refused_by_python(check.error):
            raise Unreachable(f"order_check failed: {check.error}")
        if check.retcode != 0:  # whatever it says, nothing was sent
            judged = verdict_of(check.retcode, check.error)
            verdict = Verdict(Outcome.REFUSED, judged.retry, f"order_check: {judged.sentence}")
            return _Tried(verdict, check, sent=False)
        evidence, before = self._settlement.scan(plan.intent) if adds_risk(plan.request) else (None, [])
        if evidence is not None and evidence.tickets:
            self._settlement.adopt(self._known(plan.intent.order_id), evidence)
            return None
        return self._send(plan, before, check)

    def _send(self, plan: _Plan, before: list[int], check: Answer) -> _Tried:
        """The attempt on disk, a last look at the stop file, the call."""
        self._kill_switch.check()
        identity = self._connector.guard()  # the checks before have taken their time
        self._refuse_old_quote(plan)
        request, order_id = plan.request, plan.intent.order_id
        quote = None if plan.quote is None else {"bid": plan.quote.bid, "ask": plan.quote.ask}
        payload = {"request": request, "quote": quote, "before": before, "account": identity._asdict()}
        payload |= {"check": checked(check.result), **plan.facts()}
        payload |= {"refused": plan.refused.facts} if plan.refused else {}
        columns = {"request": to_json(request), "volume": request.get("volume"), "price": request.get("price"), "message": None}
        self._record.move(order_id, Status.SUBMITTED, payload=payload, **columns)
        if self._config.dry_run:
            text = "{" + ", ".join(f"{name}: {value}" for name, value in request.items()) + "}"
            log.info("DRY_RUN: Would send order %s", text, extra={"extra_data": {"client_order_id": order_id}})
        if self._kill_switch.is_on():
            sentence = "the emergency stop file appeared just before the send; nothing was sent"
            self.refuse(order_id, Status.CANCELLED, sentence)
            raise KillSwitch(sentence)
        self._refuse_old_quote(plan)  # the machine may have slept, or its disk; that nothing was sent is found out as after a crash
        answer = self._connector.order_send(request)
        return _Tried(verdict_of(answer.retcode, answer.error, ticketed=answer.field("order") is not None), answer, sent=True)

    def _refuse_old_quote(self, plan: _Plan) -> None:
        if plan.quoted_at is not None and (took := (self._clock.now() - plan.quoted_at).total_seconds()) > QUOTE_SECONDS:
            raise Unreachable(f"the checks took {took:.0f} s, so that the quote is old; nothing was sent")

    def _forbidden(self, plan: _Plan, quote: Quote) -> str | None:
        if (sentence := plan.gate(quote)) is not None:
            return sentence
        if plan.decided_price:
            moved = abs(plan.request["price"] / plan.decided_price - 1) * 100
            if moved > self._config.price_collar_pct:
                return f"the price has moved {moved:.3g} % since the decision, PRICE_COLLAR_PCT allows {self._config.price_collar_pct:g}"
        return "; ".join(faults(plan.request, self._connector.spec(plan.intent.symbol), quote)) or None

    def _deny(self, plan: _Plan, sentence: str) -> None:
        if plan.refused is None or not plan.refused.sent:
            self.refuse(plan.intent.order_id, Status.DENIED, sentence, plan.facts())
        else:
            verdict = plan.refused.verdict
            said = Verdict(verdict.outcome, verdict.retry, f"{verdict.sentence}; not tried again: {sentence}")
            self._conclude(plan, _Tried(said, plan.refused.answer, sent=True))

    def _asks_instead(self, plan: _Plan, tried: _Tried) -> bool:
        """Whether the price of a waiting order was refused, and the order at market that a backtest fills then takes its place."""
        if tried.verdict.outcome not in CERTAINLY_NOT or tried.answer.retcode != INVALID_PRICE:
            return False
        request = plan.instead(self._connector.quote(plan.intent.symbol))
        plan.instead = lambda _: None
        if request is not None:
            plan.request, plan.fillings = self._marked(plan.intent, request), self._fillings(request)
        return request is not None

    def _may_try_again(self, plan: _Plan, verdict: Verdict, attempt: int) -> bool:
        """Whether what certainly did not happen is worth another attempt; waits and changes the filling mode where that helps."""
        if verdict.outcome not in CERTAINLY_NOT or verdict.retry is Retry.NO:
            return False
        if verdict.retry is Retry.NEXT_FILLING:
            if plan.filling_changed or len(plan.fillings) < 2:
                return False
            plan.fillings, plan.filling_changed = plan.fillings[1:], True
        if verdict.retry is Retry.NEW_STOPS and not self._has_new_stops(plan):
            return False
        if verdict.retry in (Retry.LATER, Retry.RECONNECTED):
            self._clock.sleep(self._config.retry_backoff_base * 2 ** (attempt - 1), self._kill_switch.is_asked)
        if verdict.retry is Retry.RECONNECTED and not self._is_back(plan, verdict.sentence):
            return False
        return self._clock.now() <= plan.give_up_at

    def _is_back(self, plan: _Plan, sentence: str) -> bool:
        """Whether the terminal is there again, on our account, before the order's patience is over."""
        while not self._connector.ensure_connected():
            self._kill_switch.check()
            pause = self._connector.lost(Unreachable(sentence))
            if self._clock.now() + timedelta(seconds=pause) > plan.give_up_at:
                return False
            self._clock.sleep(pause, self._kill_switch.is_asked)
        return True

    def _has_new_stops(self, plan: _Plan) -> bool:
        """Whether refused levels can be asked for once more, as they are or nearer to the entry price; what is changed is told."""
        request, symbol = plan.request, plan.intent.symbol
        if plan.stops_renewed or not has_stops(request):
            return False
        plan.stops_renewed = True
        ticket = ticket_of(request)
        held = next((held for held in self._connector.all_positions(symbol) if held.ticket == ticket), None)
        renewed = with_new_stops(request, Market(self._connector.spec(symbol), self._connector.quote(symbol)), held)
        if renewed is not None and renewed != request:
            changes = [f"{name} {request[name]:g} → {renewed[name]:g}" for name in ("sl", "tp") if renewed.get(name) != request.get(name)]
            text = f"{symbol}: the broker takes no level so near to the market: {', '.join(changes)}"
            self._record.event("STOPS_MOVED", text, severity="WARNING", details={"client_order_id": plan.intent.order_id})
        plan.request = renewed or request
        return renewed is not None

    # answers

    def _conclude(self, plan: _Plan, tried: _Tried) -> None:
        order_id, answer, verdict = plan.intent.order_id, tried.answer, tried.verdict
        said = answer.field("comment") or answer.error[1]
        columns: dict[str, Any] = {"retcode": answer.retcode, "retcode_message": said, "message": verdict.sentence}
        well = verdict.outcome is Outcome.ACCEPTED
        self._note_what_it_says_of_trading(plan.intent.symbol, tried)
        facts = {"client_order_id": order_id, "verdict": verdict.sentence}
        facts |= {} if well else {"more": how_to_explain(answer.error[0] if answer.retcode is None else answer.retcode)}
        log.log(logging.INFO if well else logging.WARNING, "order answered", extra={"extra_data": facts})
        if verdict.outcome is Outcome.UNKNOWN:
            text = f"{plan.intent.symbol} {plan.intent.kind.value}: {verdict.sentence}; it is not sent again"
            with self._record.transaction(durable=True):
                self._record.move(order_id, Status.UNKNOWN, payload=tried.facts, **columns)
                self._record.event("ORDER_UNKNOWN", text, severity="ERROR", details={"client_order_id": order_id})
        elif verdict.outcome is not Outcome.ACCEPTED:
            gone = answer.retcode in ALREADY_GONE and self._is_gone(plan.request)
            self._record.move(order_id, Status.CANCELLED if gone else Status.FAILED, payload=tried.facts, **columns)
        elif plan.intent.kind in ABSOLUTE and answer.retcode in (DONE, NO_CHANGES):
            self._record.move(order_id, Status.FILLED, payload=tried.facts, **columns)
        else:
            tickets = {"mt5_order_id": answer.field("order"), "mt5_deal_id": answer.field("deal")}
            self._record.move(order_id, Status.PLACED, payload=tried.facts, **tickets, **columns)
            self._settlement.await_fill(plan.intent, answer.field("order"), self._kill_switch.is_asked)

    def _note_what_it_says_of_trading(self, symbol: str, tried: _Tried) -> None:
        """An answer that programs may not trade where no switch shows it, or one that nobody has read, keeps entries back."""
        answer, code = tried.answer, tried.answer.retcode
        switch = answer.error[0] if answer.result is None else code
        if tried.sent and tried.verdict.outcome is Outcome.ACCEPTED:
            self._holds.lift(TRADING_OFF, "the server has accepted an order")
            self._holds.lift(f"{TRADING_OFF} on {symbol}", "the server has accepted an order")
        elif switch in SWITCHES and not self._is_shown_off(switch):
            of_symbol = switch == TRADE_DISABLED
            where = symbol if of_symbol else EVERYWHERE
            which = f"entries on {symbol}" if of_symbol else "entries"
            text = f"an order was answered with {tried.verdict.sentence}: no {which} until one is accepted, or a person has looked"
            self._holds.put(f"{TRADING_OFF} on {symbol}" if of_symbol else TRADING_OFF, where, text, event_type="TRADING_OFF")
        elif tried.sent and answer.result is not None and code not in RETCODES:
            text = f"an order was answered with {code}, which is no documented return code: no entries until a person has looked"
            self._holds.put(f"answer {code}", EVERYWHERE, text, event_type="CONTRACT_BROKEN", answer=fields(answer.result))

    def _is_shown_off(self, switch: int) -> bool:
        """Whether the terminal says by itself that this is off: then entries wait until it says that it is on."""
        try:
            return SWITCHES[switch] in self._connector.switched_off()
        except Unreachable:
            return False

    def _is_gone(self, request: Mapping[str, Any]) -> bool:
        """Whether what a request is about, a position or a waiting order, is certainly not there any more."""
        ticket = ticket_of(request)
        try:
            if "order" in request:
                return all(order.ticket != request["order"] for order in self._connector.active_orders())
            return ticket is not None and all(held.ticket != ticket for held in self._connector.all_positions(request["symbol"]))
        except Unreachable:
            return False  # not proved

    # the record

    def _known(self, order_id: str) -> Order:
        order = self._record.order(order_id)
        if order is None:
            raise LookupError(f"order {order_id} was recorded and is gone")
        return order
