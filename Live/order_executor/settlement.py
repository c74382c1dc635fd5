"""What became of an order, by evidence. A query that fails proves nothing; what is proved absent is never sent again."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from Live.audit_logger import AuditLogger
from Live.errors import Unreachable
from Live.model import MOVES, Intent, Kind, Order, Slot, Status
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.connector import WINDOW
from Live.mt5_connector.shown import Shown
from Live.order_executor.evidence import Evidence, by_key, by_tickets, conclusion, contradicts, lookalikes, on_its_side

log = logging.getLogger("LiveTrader")

READS_TO_BE_SURE = 3
SECONDS_BETWEEN_READS = 2.0
DEALS_SECONDS = 300.0  # deals that do not come within this do not come
LOOKS_FOR_THE_DEAL = 6  # deals may be visible a little after the answer
SECONDS_BETWEEN_LOOKS = 0.5
SENT = (Status.SUBMITTED, Status.UNKNOWN, Status.PLACED, Status.PARTIALLY_FILLED)
WAITING = (Status.PLACED, Status.PARTIALLY_FILLED)
NOTHING = Evidence(frozenset())
WITHOUT_TICKET = "it was acknowledged without a ticket"

DecideAgain = Callable[[Order], None]


@dataclass(slots=True)
class _Absence:
    since: datetime
    last_read: datetime
    reads: int


class Settlement:
    """Finds out what became of the orders of one slot, and puts it down."""

    def __init__(self, connector: MT5Connector, record: AuditLogger, slot: Slot) -> None:
        self._connector, self._record, self._slot = connector, record, slot
        # in a simulated terminal nothing is in flight once a call has returned, or its process has died
        self._reads_needed = 1 if connector.simulated else READS_TO_BE_SURE
        self._absent: dict[str, _Absence] = {}

    def scan(self, intent: Intent) -> tuple[Evidence, list[int]]:
        """What the terminal shows of an order that is about to be sent, and the orders that are there before it."""
        shown = self._shown(intent)
        return self._by_key(shown, intent), on_its_side(shown, intent)

    def adopt(self, order: Order, evidence: Evidence) -> None:
        """Take over an order that is at the broker before we have sent it: from a twin, or a record that was set back."""
        text = "found at the broker before it was sent; nothing was sent again"
        with self._record.transaction(durable=True):
            self._record.move(order.intent.order_id, Status.UNKNOWN, payload={"tickets": sorted(evidence.tickets)}, message=text)
            self._record.event("ADOPTED", f"{_name(order)}: {text}", severity="WARNING", details={"tickets": sorted(evidence.tickets)})
        self._put_down(self._known(order.intent.order_id), evidence)

    def await_fill(self, intent: Intent, ticket: int | None, interrupted: Callable[[], bool]) -> None:
        """Look for the fill of an order that was acknowledged. One that leaves no trace is unknown, whatever the answer was."""
        evidence = NOTHING
        if not ticket:  # one that waits without it could be neither taken away nor told from others later
            self._question(self._known(intent.order_id), WITHOUT_TICKET)
        for look in range(LOOKS_FOR_THE_DEAL):
            if look:
                self._connector.clock.sleep(SECONDS_BETWEEN_LOOKS, interrupted)
            try:
                evidence = self._of_ticket(intent, ticket)
            except Unreachable as error:
                log.warning("cannot read the deals yet", extra={"extra_data": {"reason": str(error)}})
                continue
            self._put_down(self._known(intent.order_id), evidence)
            if self._known(intent.order_id).status not in WAITING or (intent.kind is Kind.PENDING and evidence.tickets):
                return
        if not evidence.tickets and ticket:
            self._question(self._known(intent.order_id), "it was acknowledged, but the terminal shows nothing of it yet")

    def look_at(self, order: Order) -> None:
        """Put down what the terminal shows of one order now."""
        self._put_down(order, self._of_ticket(order.intent, order.ticket))

    def settle(self, decide_again: DecideAgain = lambda _: None) -> list[Order]:
        """Look once for every order whose outcome is open. Returns those that are now proved not to have happened.

        `decide_again` is called for each of these, in the transaction that gives it up: what takes its place is on record with it,
        or neither is. Raises Unreachable when the terminal cannot be asked: that proves nothing, and the proof of absence starts anew.
        """
        orders = self._record.orders_with(SENT, self._slot)
        if not orders:
            return []
        try:
            self._connector.check_in()
            # no order is older than the bar that it was decided on
            shown = self._connector.shown_since(min(order.intent.bar.epoch for order in orders) - WINDOW)
            self._connector.guard()  # what was shown is that account's
            return [gone for order in orders if (gone := self._settled(order, shown, decide_again)) is not None]
        except Unreachable:
            self._absent.clear()
            raise

    def has_open_questions(self) -> bool:
        """Whether the outcome of any order is still to be found out. One that waits for its price, as it shall, is no question."""
        asked = self._record.orders_with((Status.SUBMITTED, Status.UNKNOWN, Status.PLACED), self._slot)
        return any(order.status is not Status.PLACED or order.intent.kind is not Kind.PENDING for order in asked)

    # one order

    def _settled(self, order: Order, shown: Shown, decide_again: DecideAgain) -> Order | None:
        """The order, when this look has proved that it did not happen."""
        if order.status is Status.SUBMITTED:
            order = self._question(order, "the trader ended between the send and the answer")
        elif order.status is Status.PLACED and not order.ticket:  # the trader ended before it was looked for
            order = self._question(order, WITHOUT_TICKET)
        if self._is_shown(order, shown):
            return None
        if order.status is Status.PLACED:
            self._question(order, "the terminal shows nothing of it any more")
        order = self._known(order.intent.order_id)
        if order.status is not Status.UNKNOWN or not self._surely_absent(order):
            return None
        if order.ticket is not None and order.intent.is_entry:  # of a close it is seen whether its position is still there
            why = f"the server has acknowledged it as order {order.ticket}, and shows nothing of it"
            self._leave_to_a_person(order, why, ticket=order.ticket)
            return None
        return self._end_as_absent(order, decide_again)

    def _is_shown(self, order: Order, shown: Shown) -> bool:
        """Whether the terminal shows anything of the order; what that proves is put down."""
        if order.intent.kind is Kind.SLTP:
            return self._level_is_set(order)
        if order.intent.kind is Kind.CANCEL:
            return self._is_taken_away(order, shown)
        evidence = self._by_key(shown, order.intent)
        if not evidence.tickets and order.ticket:
            evidence = by_tickets(shown, {order.ticket})
        if not evidence.tickets:
            evidence = self._by_fingerprint(order, shown)
        self._put_down(order, evidence)
        if evidence.lacks_deals:
            self._miss_deals(self._known(order.intent.order_id))
        elif evidence.tickets:
            self._absent.pop(order.intent.order_id, None)
        return bool(evidence.tickets)

    def _miss_deals(self, order: Order) -> None:
        """What was filled and has no deals, for longer than these can take, needs a person: the broker may have taken them back."""
        if order.status not in WAITING or not self._surely_absent(order, timedelta(seconds=DEALS_SECONDS)):
            return
        why = f"the server says that order {order.ticket} was filled, and shows no deals of it"
        self._leave_to_a_person(order, why, ticket=order.ticket)

    def _leave_to_a_person(self, order: Order, why: str, **facts: Any) -> None:
        text = f"{_name(order)}: {why}: a person must look"
        with self._record.transaction(durable=True):
            self._record.move(order.intent.order_id, Status.UNRESOLVED, payload=facts, message=text)
            self._record.event("UNRESOLVED", text, severity="CRITICAL", details=facts)

    def _by_fingerprint(self, order: Order, shown: Shown) -> Evidence:
        """An order without a readable comment that can only be this one. Two that could be, or one that asks for something else, need a
        person."""
        sent = self._record.request_sent(order.intent.order_id)
        if not order.volume or "before" not in sent:
            return NOTHING
        found = lookalikes(shown, order.intent, order.volume, sent["before"], netting=self._connector.netting)
        found = frozenset(ticket for ticket in found if self._record.order_by_ticket(self._slot, ticket) is None)
        other = [each for each in shown.orders if each.ticket in found and contradicts(each, sent["request"])]
        if order.status is Status.UNKNOWN and (len(found) > 1 or other):
            several = f"orders {', '.join(map(str, sorted(found)))} could each be it"
            why = several if len(found) > 1 else f"order {min(found)} could be it, and has other levels than were asked for"
            self._leave_to_a_person(order, why, tickets=sorted(found))
        return by_tickets(shown, found) if len(found) == 1 and not other else NOTHING

    def _level_is_set(self, order: Order) -> bool:
        wanted: Mapping[str, Any] = order.request or {}
        ticket = wanted.get("position", order.intent.position)  # by which the server knows it
        held = next((held for held in self._connector.all_positions(order.intent.symbol) if held.ticket == ticket), None)
        if held is None:
            self._record.move(order.intent.order_id, Status.CANCELLED, payload={}, message="the position is gone")
            return True
        if not all(math.isclose(getattr(held, name) or 0.0, wanted.get(name) or 0.0, rel_tol=1e-9) for name in ("sl", "tp")):
            return False
        self._record.move(order.intent.order_id, Status.FILLED, payload={}, message="the position has these levels")
        return True

    def _is_taken_away(self, order: Order, shown: Shown) -> bool:
        ticket = (order.request or {}).get("order")
        if any(each.ticket == ticket and each.active for each in shown.orders):
            return False
        self._record.move(order.intent.order_id, Status.FILLED, payload={}, message="the order does not wait any more")
        return True

    def _put_down(self, order: Order, evidence: Evidence) -> None:
        """One step of the order's life, where the evidence proves one."""
        proved = conclusion(evidence, order.volume)
        if proved is None or proved.status not in MOVES[order.status] - {order.status}:
            return
        columns: dict[str, Any] = {"mt5_order_id": min(evidence.tickets)}
        if evidence.deals:
            columns |= {"mt5_order_id": evidence.deals[0].order, "mt5_deal_id": evidence.deals[-1].ticket}
            columns |= {"executed_volume": evidence.lots, "executed_price": evidence.price}
        found = "found at the broker" if order.status is Status.UNKNOWN else None
        if (sentence := proved.sentence or found) is not None:
            columns["message"] = sentence
        payload = {"orders": sorted(evidence.tickets), "deals": [deal.ticket for deal in evidence.deals]}
        self._record.move(order.intent.order_id, proved.status, payload=payload, **columns)

    def _question(self, order: Order, why: str) -> Order:
        with self._record.transaction(durable=True):
            self._record.move(order.intent.order_id, Status.UNKNOWN, payload={"reason": why}, message=why)
            self._record.event("ORDER_UNKNOWN", f"{_name(order)}: {why}; it is not sent again", severity="ERROR")
        return self._known(order.intent.order_id)

    # absence

    def _surely_absent(self, order: Order, patience: timedelta | None = None) -> bool:
        """After enough agreeing reads over the settle time, or this one, all while connected, with a history that is really there."""
        now = self._connector.clock.now()
        fresh = _Absence(now, now - timedelta(seconds=SECONDS_BETWEEN_READS), 0)
        seen = self._absent.setdefault(order.intent.order_id, fresh)
        if (now - seen.last_read).total_seconds() >= SECONDS_BETWEEN_READS:
            seen.reads, seen.last_read = seen.reads + 1, now
        long_enough = now - seen.since >= (patience or self._settle_time(order.intent.symbol))
        return long_enough and seen.reads >= self._reads_needed and self._history_is_loaded()

    def _settle_time(self, symbol: str) -> timedelta:
        return timedelta(seconds=0.0 if self._connector.simulated else self._connector.spec(symbol).settle_seconds)

    def _history_is_loaded(self) -> bool:
        """The newest deal that we know must be in the terminal's history, if only as one that the broker has taken back; a history
        that is still loading proves nothing."""
        newest = self._record.newest_deal(self._slot)
        if newest is None:
            return True
        # on a netting account the record calls a deal's position by the trade that it belongs to
        connector = self._connector
        shown = connector.deals_since(newest.epoch - WINDOW) if connector.netting else connector.deals_of_position(newest.position_id)
        return any(deal.ticket == newest.ticket for deal in shown) or newest.ticket in connector.deals_taken_back(newest.epoch - WINDOW)

    def _end_as_absent(self, order: Order, decide_again: DecideAgain) -> Order:
        text = f"{_name(order)} did not reach the broker; it is not sent again (missed by safety)"
        with self._record.transaction(durable=True):
            self._record.move(order.intent.order_id, Status.ABSENT, payload={}, message=text)
            self._record.event("MISSED_BY_SAFETY", text, severity="WARNING", details={"client_order_id": order.intent.order_id})
            decide_again(self._known(order.intent.order_id))
        self._absent.pop(order.intent.order_id, None)
        return self._known(order.intent.order_id)

    # asking

    def _shown(self, intent: Intent) -> Shown:
        return self._connector.shown_since(intent.bar.epoch - WINDOW)

    def _of_ticket(self, intent: Intent, ticket: int | None) -> Evidence:
        shown = self._shown(intent)
        return by_tickets(shown, {ticket}) if ticket else self._by_key(shown, intent)

    def _by_key(self, shown: Shown, intent: Intent) -> Evidence:
        return by_key(shown, intent, netting=self._connector.netting)

    def _known(self, order_id: str) -> Order:
        order = self._record.order(order_id)
        if order is None:
            raise LookupError(f"order {order_id} was recorded and is gone")
        return order


def _name(order: Order) -> str:
    return f"{order.intent.symbol} {order.intent.kind.value}"
