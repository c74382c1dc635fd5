"""The order's life: intent, checks, send, answer, evidence. No order is ever sent twice (FAULTS.md §2).

`order_send` has no client order id and can execute without answering. So the intent is on disk before the call, an
order that may have happened is never sent again, and what was filled is read from the deals, not from the answer.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from Live.audit_logger import AuditLogger, to_json
from Live.config import LiveConfig
from Live.errors import KillSwitch, Unreachable
from Live.kill_switch import KillSwitchFile
from Live.model import BarId, ClientOrderId, Deal, Intent, Kind, Magic, Order, Quote, Side, Slot, Status, SymbolSpec, order_key
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.connector import WINDOW, Answer
from Live.order_requests import ORDER_TYPE, TRADE_ACTION_SLTP, at_quote, faults, fillings, ticket_of
from Live.outcomes import DONE_PARTIAL, NO_CHANGES, POSITION_CLOSED, Outcome, Retry, Verdict, verdict_of

log = logging.getLogger("LiveTrader")

SETTLE_SECONDS = 30.0  # a connected terminal must have shown an order by then (FAULTS.md §2.5)
READS_TO_BE_SURE = 3
SECONDS_BETWEEN_READS = 2.0
LOOKS_FOR_THE_DEAL = 6  # deals may be visible a little after the answer (FAULTS.md F9)
RETRY_SECONDS = 30.0  # an order that was not filled within this is not the order that was decided
ALREADY_GONE = frozenset({POSITION_CLOSED, 10013})

Gate = Callable[[Quote], str | None]


@dataclass(slots=True)
class _Absence:
    since: datetime
    last_read: datetime
    reads: int


class OrderExecutor:
    """Carries intents out, once each. `gate` functions answer with the sentence that forbids an attempt, or None."""

    def __init__(
        self,
        config: LiveConfig,
        connector: MT5Connector,
        *,
        record: AuditLogger | None = None,
        slot: Slot | None = None,
        kill_switch: KillSwitchFile | None = None,
    ) -> None:
        self._config, self._connector = config, connector
        self._clock = connector.clock
        self._record = record or AuditLogger(config.audit_db_path, connector.clock)
        self._slot = slot or own_slot(config, connector)
        self._kill_switch = kill_switch or KillSwitchFile.of(config)
        # in a simulated terminal nothing is in flight once a call has returned, or its process has died
        self._settle = timedelta(seconds=0.0 if connector.simulated else SETTLE_SECONDS)
        self._absent: dict[str, _Absence] = {}

    # the seed's interface

    def execute_order(
        self, order_request: Mapping[str, Any], client_order_id: str, allow_retry: bool = True, *, gate: Gate = lambda _: None
    ) -> dict[str, Any]:
        """Send a request under this id, unless that was done before; then tell what came of it.

        Returns `success` (accepted by the broker), `mt5_order_id`, `message`, `status`, `retcode`, `price` and `volume`
        (what the deals say) and `client_order_id`. Raises KillSwitch when the stop file is there, RecordFailed when
        the intent cannot be recorded; nothing was sent then.
        """
        order = self._record.order(client_order_id)
        if order is None:
            self._record.add_intent(self._intent_of(order_request, ClientOrderId(client_order_id)))
            order = self._known(client_order_id)
        if order.status is Status.PENDING:
            marked = dict(order_request)
            if marked["action"] != TRADE_ACTION_SLTP:
                marked |= {"comment": order_key(client_order_id), "magic": int(self._slot.magic)}
            self._carry_out(order.intent, marked, gate, allow_retry=allow_retry)
        return self._told(self._known(client_order_id))

    def get_order_status(self, order_id: str) -> dict[str, Any]:
        """`status` and `details` of an order, from the record; status NOT_FOUND for an id that was never used."""
        order = self._record.order(order_id)
        return {"status": "NOT_FOUND", "details": {}} if order is None else {"status": order.status.value, "details": self._told(order)}

    def get_execution_summary(self) -> dict[str, Any]:
        """`total_orders`, `executed`, `failed` (refused by the broker) and `success_rate` (percent), from the record."""
        counts = self._record.execution_counts(self._slot)
        executed = sum(
            counts.get(status.value, 0) for status in (Status.FILLED, Status.PARTIALLY_FILLED, Status.PLACED, Status.LATE_FILLED)
        )
        failed = counts.get(Status.FAILED.value, 0)
        rate = 100.0 * executed / (executed + failed) if executed + failed else 0.0
        return {"total_orders": sum(counts.values()), "executed": executed, "failed": failed, "success_rate": rate}

    def refuse(self, order_id: ClientOrderId, status: Status, sentence: str) -> None:
        """End an intent that is not sent: DENIED, EXPIRED or CANCELLED, with the reason."""
        self._record.move(order_id, status, payload={"reason": sentence}, message=sentence)
        level = logging.WARNING if status is Status.DENIED else logging.INFO
        log.log(level, "order not sent", extra={"extra_data": {"client_order_id": order_id, "status": status, "reason": sentence}})

    # sending

    def _carry_out(self, intent: Intent, request: dict[str, Any], gate: Gate, *, allow_retry: bool) -> None:
        if self._adopted(intent):
            return
        spec = self._connector.spec(intent.symbol)
        modes = list(fillings(spec))
        decided: float | None = None
        started = self._clock.now()
        attempts = max(1, self._config.max_retry_attempts) if allow_retry else 1
        for attempt in range(1, attempts + 1):
            quote = self._connector.quote(intent.symbol)
            request = at_quote(request, quote, filling=modes[0] if "type_filling" in request else None)
            decided = decided if decided is not None else request.get("price")
            if (sentence := self._forbidden(request, spec, quote, gate, decided)) is not None:
                self.refuse(intent.order_id, Status.DENIED, sentence)
                return
            verdict, answer = self._attempt(intent, request)
            again = verdict.outcome in (Outcome.REFUSED, Outcome.NOT_SENT) and verdict.retry is not Retry.NO
            late = (self._clock.now() - started).total_seconds() > RETRY_SECONDS
            if not again or late or attempt == attempts or not self._ready(verdict.retry, modes, attempt):
                self._conclude(intent, request, verdict, answer)
                return

    def _attempt(self, intent: Intent, request: dict[str, Any]) -> tuple[Verdict, Answer]:
        """order_check, then the send, with the attempt on disk in between."""
        checked = self._connector.order_check(request)
        if checked.result is None or checked.retcode != 0:
            judged = verdict_of(checked.retcode, checked.error)
            # nothing has been sent yet, whatever the check says or does not say
            return replace(judged, outcome=Outcome.REFUSED, sentence=f"order_check: {judged.sentence}"), checked
        self._kill_switch.check()
        self._record.move(
            intent.order_id,
            Status.SUBMITTED,
            payload={"request": request},
            request=to_json(request),
            volume=request.get("volume"),
            price=request.get("price"),
            message=None,
        )
        if self._config.dry_run:
            log.info(
                "DRY_RUN: Would send order %s",
                _readable(request),
                extra={"extra_data": {"client_order_id": intent.order_id, "request": request}},
            )
        if self._kill_switch.is_on():
            self.refuse(intent.order_id, Status.CANCELLED, "the emergency stop file appeared just before the send; nothing was sent")
            raise KillSwitch("the emergency stop file appeared just before a send; nothing was sent")
        answer = self._connector.order_send(request)
        return verdict_of(answer.retcode, answer.error), answer

    def _forbidden(self, request: Mapping[str, Any], spec: SymbolSpec, quote: Quote, gate: Gate, decided: float | None) -> str | None:
        if (sentence := gate(quote)) is not None:
            return sentence
        price = request.get("price")
        if price is not None and decided:
            moved = abs(price / decided - 1) * 100
            if moved > self._config.price_collar_pct:
                return f"the price has moved {moved:.3g} % since the decision, PRICE_COLLAR_PCT allows {self._config.price_collar_pct:g}"
        return "; ".join(faults(request, spec, quote)) or None

    def _ready(self, retry: Retry, modes: list[int], attempt: int) -> bool:
        """Prepare the next attempt; False when there is nothing left to try."""
        if retry is Retry.NEXT_FILLING:
            modes.pop(0)
            return bool(modes)
        if retry is Retry.LATER:
            self._clock.sleep(self._config.retry_backoff_base**attempt, self._kill_switch.is_on)
            self._kill_switch.check()
        return True

    def _conclude(self, intent: Intent, request: Mapping[str, Any], verdict: Verdict, answer: Answer) -> None:
        result = answer.result
        columns: dict[str, Any] = {
            "retcode": answer.retcode,
            "retcode_message": getattr(result, "comment", None) or answer.error[1],
            "message": verdict.sentence,
        }
        payload = {"answer": None if result is None else _fields(result), "last_error": answer.error}
        log.info("order answered", extra={"extra_data": {"client_order_id": intent.order_id, "verdict": verdict.sentence}})
        if verdict.outcome is Outcome.UNKNOWN:
            self._record.move(intent.order_id, Status.UNKNOWN, payload=payload, **columns)
            self._record.event(
                "ORDER_UNKNOWN", f"{intent.symbol} {intent.kind.value}: {verdict.sentence}; it is not sent again", severity="ERROR"
            )
        elif verdict.outcome is not Outcome.ACCEPTED:
            gone = request.get("position") and answer.retcode in ALREADY_GONE and self._position_is_gone(request)
            self._record.move(intent.order_id, Status.CANCELLED if gone else Status.FAILED, payload=payload, **columns)
        elif request["action"] == TRADE_ACTION_SLTP or answer.retcode == NO_CHANGES:
            self._record.move(intent.order_id, Status.FILLED, payload=payload, **columns)
        else:
            self._record.move(
                intent.order_id,
                Status.PLACED,
                payload=payload,
                mt5_order_id=result.order or None,
                mt5_deal_id=result.deal or None,
                **columns,
            )
            self._look_for_fill(intent, result.order, partial=answer.retcode == DONE_PARTIAL)

    def _look_for_fill(self, intent: Intent, ticket: int, *, partial: bool) -> None:
        for look in range(LOOKS_FOR_THE_DEAL):
            try:
                if self._fill(self._known(intent.order_id), {ticket}, final=partial):
                    return
            except Unreachable as error:
                log.warning("cannot read the deals yet", extra={"extra_data": {"reason": str(error)}})
            if look < LOOKS_FOR_THE_DEAL - 1:
                self._clock.sleep(0.5, self._kill_switch.is_on)

    # evidence

    def settle(self) -> list[Order]:
        """Look once for every order whose outcome is open. Returns those that are now proved not to have happened.

        Raises Unreachable when the terminal cannot be asked: that proves nothing.
        """
        absent = []
        for order in self._record.orders_with((Status.SUBMITTED, Status.UNKNOWN, Status.PLACED, Status.PARTIALLY_FILLED), self._slot):
            if order.status is Status.SUBMITTED:
                self._record.move(
                    order.intent.order_id, Status.UNKNOWN, payload={"reason": "the trader ended between the send and the answer"}
                )
                order = self._known(order.intent.order_id)
            if not self._settled(order) and order.status is Status.UNKNOWN and self._surely_absent(order.intent.order_id):
                text = f"{order.intent.symbol} {order.intent.kind.value} did not reach the broker; it is not sent again (missed by safety)"
                self._record.move(order.intent.order_id, Status.ABSENT, payload={}, message=text)
                self._record.event("MISSED_BY_SAFETY", text, severity="WARNING", details={"client_order_id": order.intent.order_id})
                absent.append(self._known(order.intent.order_id))
        return absent

    def has_open_questions(self) -> bool:
        """Whether the outcome of any order is still to be found out."""
        return bool(self._record.orders_with((Status.SUBMITTED, Status.UNKNOWN, Status.PLACED), self._slot))

    def _settled(self, order: Order) -> bool:
        if order.intent.kind is Kind.SLTP:
            return self._level_is_set(order)
        tickets = self._connector.order_tickets_marked(order_key(order.intent.order_id), self._since(order.intent))
        return bool(tickets) and self._fill(order, tickets, final=order.status is Status.PLACED)

    def _level_is_set(self, order: Order) -> bool:
        position = next((held for held in self._connector.positions(order.intent.symbol) if held.ticket == order.intent.position), None)
        if position is None:
            self._record.move(order.intent.order_id, Status.CANCELLED, payload={"reason": "the position is gone"})
            return True
        request = order.request or {}
        if (position.sl or 0.0, position.tp or 0.0) != (request.get("sl"), request.get("tp")):
            return False
        self._record.move(order.intent.order_id, Status.FILLED, payload={"reason": "the position has these levels"})
        return True

    def _fill(self, order: Order, tickets: set[int], *, final: bool) -> bool:
        """Derive what was filled from the deals; True when the order needs no more looking at."""
        deals = [deal for deal in self._connector.deals_since(self._since(order.intent)) if deal.order in tickets]
        lots = round(sum(deal.lots for deal in deals), 8)
        if not deals:
            return False
        asked = order.volume or 0.0
        whole = lots >= asked - 1e-9
        sentence = None if whole else f"filled {lots:g} of {asked:g} lots; the rest is not chased"
        columns = {
            "mt5_order_id": deals[0].order,
            "mt5_deal_id": deals[-1].ticket,
            "executed_volume": lots,
            "executed_price": _average(deals),
        }
        if sentence:
            columns["message"] = sentence
        if whole or final:
            self._record.move(order.intent.order_id, Status.FILLED, payload={"deals": [deal.ticket for deal in deals]}, **columns)
        return whole or final

    def _surely_absent(self, order_id: str) -> bool:
        now = self._clock.now()
        seen = self._absent.setdefault(order_id, _Absence(now, now - timedelta(seconds=SECONDS_BETWEEN_READS), 0))
        if (now - seen.last_read).total_seconds() >= SECONDS_BETWEEN_READS:
            seen.reads, seen.last_read = seen.reads + 1, now
        needed = 1 if not self._settle else READS_TO_BE_SURE
        return now - seen.since >= self._settle and seen.reads >= needed

    def _adopted(self, intent: Intent) -> bool:
        """The pre-send scan: an order with our key is there already (a twin, or a record that was set back): adopt it, send nothing."""
        if intent.kind is Kind.SLTP:
            return False
        tickets = self._connector.order_tickets_marked(order_key(intent.order_id), self._since(intent))
        if not tickets:
            return False
        self._record.move(
            intent.order_id, Status.UNKNOWN, payload={"tickets": sorted(tickets)}, message="found at the broker before it was sent"
        )
        self._fill(self._known(intent.order_id), tickets, final=True)
        return True

    def _since(self, intent: Intent) -> int:
        # no order is older than the bar that it was decided on
        return intent.bar.epoch - WINDOW

    def _position_is_gone(self, request: Mapping[str, Any]) -> bool:
        return all(held.ticket != ticket_of(request) for held in self._connector.positions(request["symbol"]))

    def _intent_of(self, request: Mapping[str, Any], order_id: ClientOrderId) -> Intent:
        """An intent for a request that somebody made without one."""
        kind = Kind.SLTP if request["action"] == TRADE_ACTION_SLTP else Kind.EXIT if request.get("position") else Kind.ENTRY
        side = Side.SELL if request.get("type") == ORDER_TYPE[Side.SELL] else Side.BUY
        levels = (request.get("sl") or None, request.get("tp") or None)
        bar = BarId(self._slot, request["symbol"], "", self._connector.server_now(), self._clock.now())
        return Intent(order_id, bar, kind, "0", side, None, *levels, ticket_of(request))

    def _known(self, order_id: str) -> Order:
        order = self._record.order(order_id)
        if order is None:
            raise LookupError(f"order {order_id} was recorded and is gone")
        return order

    def _told(self, order: Order) -> dict[str, Any]:
        return {
            "success": order.status in (Status.FILLED, Status.PARTIALLY_FILLED, Status.PLACED, Status.LATE_FILLED),
            "client_order_id": order.intent.order_id,
            "status": order.status.value,
            "mt5_order_id": order.ticket,
            "message": order.message or "",
            "retcode": order.retcode,
            "price": order.executed_price,
            "volume": order.executed_volume,
            "attempts": order.attempts,
        }


def own_slot(config: LiveConfig, connector: MT5Connector) -> Slot:
    """Who we are on the account that the terminal is logged in to."""
    account = connector.account()
    return Slot(account.login, account.server, config.strategy_id or "manual", Magic(config.magic_number))


def _average(deals: list[Deal]) -> float:
    lots = sum(deal.lots for deal in deals)
    # one deal keeps its price to the last bit
    return deals[0].price if len(deals) == 1 else sum(deal.price * deal.lots for deal in deals) / lots


def _fields(result: Any) -> dict[str, Any]:
    fields = dict(result._asdict())
    fields["request"] = dict(fields["request"]._asdict()) if "request" in fields else None
    return fields


def _readable(request: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in request.items()) + "}"
