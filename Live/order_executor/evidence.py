"""What the terminal shows of one order, and what that proves (pure)."""

import math
import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from typing import Any

from Live.model import Deal, Intent, Position, Status, order_key
from Live.mt5_connector.shown import Shown, ShownOrder

EPSILON = 1e-9  # lots
SHORTEST_KEY = 8  # characters of a key that a server has cut and that still tell an order
NO_MAGIC = 0
_OTHER_KEY = re.compile("q[A-Z2-7]{12}")  # where no comment holds the key that is looked for
BY_A_PROGRAM = 3  # ORDER_REASON_EXPERT
_ENDED_UNFILLED = {2: Status.CANCELLED, 5: Status.FAILED, 6: Status.EXPIRED}  # ORDER_STATE_CANCELED, _REJECTED, _EXPIRED


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of what is shown that belongs to one order."""

    tickets: frozenset[int]  # MetaTrader's orders
    orders: tuple[ShownOrder, ...] = ()
    deals: tuple[Deal, ...] = ()

    @property
    def lots(self) -> float:
        """Filled, by the deals."""
        return round(sum(deal.lots for deal in self.deals), 8)

    @property
    def lacks_deals(self) -> bool:
        """Whether the server has done with the order, and shows no deals of what it says was filled."""
        filled = sum(order.lots - order.lots_left for order in self.orders)
        return bool(self.orders) and not any(order.active for order in self.orders) and self.lots < filled - EPSILON

    @property
    def price(self) -> float:
        """Average of the deals, weighted by volume; one deal keeps its price to the last bit."""
        if len(self.deals) == 1:
            return self.deals[0].price
        return round(sum(deal.price * deal.lots for deal in self.deals) / self.lots, 10)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Where the order stands, and a sentence where its status alone does not say it."""

    status: Status
    sentence: str | None = None


def by_key(shown: Shown, intent: Intent, *, netting: bool = False) -> Evidence:
    """What carries the order's key in its comment, in whichever of the four lists.

    A stop's closing deal may carry the comment of the order that opened the position: it is on the other side. A net position
    has been made by many orders, so its ticket proves nothing of this one.
    """
    key = order_key(intent.order_id)
    tickets = {order.ticket for order in shown.orders if _fits(order, intent) and carries(order.comment, key)}
    tickets |= {deal.order for deal in shown.deals if _fits(deal, intent) and carries(deal.comment, key)}
    if intent.is_entry and not netting:
        tickets |= {held.identifier for held in shown.positions if _fits(held, intent) and carries(held.comment, key)}
    return by_tickets(shown, tickets)


def by_tickets(shown: Shown, tickets: Set[int]) -> Evidence:
    """What is shown of the orders with these tickets."""
    orders = tuple(order for order in shown.orders if order.ticket in tickets)
    deals = tuple(deal for deal in shown.deals if deal.order in tickets)
    opened = {held.identifier for held in shown.positions} & tickets
    return Evidence(frozenset(opened | {order.ticket for order in orders} | {deal.order for deal in deals}), orders, deals)


def on_its_side(shown: Shown, intent: Intent) -> list[int]:
    """The orders that are there before this one is sent and are on its symbol and side: none of them can be it."""
    return sorted(order.ticket for order in shown.orders if _fits(order, intent))


def lookalikes(shown: Shown, intent: Intent, lots: float, before: Collection[int], *, netting: bool = False) -> frozenset[int]:
    """Orders that have lost their comment and could be this one: a program's, same side, not larger, not among those `before` it.

    Their magic number is ours, or lost as well; tickets need not ascend. On a netting account every order of a symbol belongs
    to the one position. An order whose deal has kept the key of another is not this one.
    """
    others = {deal.order for deal in shown.deals if _OTHER_KEY.match(deal.comment)}.union(before)
    return frozenset(
        order.ticket
        for order in shown.orders
        if _fits(order, intent)
        and order.magic in (intent.bar.slot.magic, NO_MAGIC)
        and order.reason == BY_A_PROGRAM
        and order.ticket not in others
        and order.lots <= lots + EPSILON
        and (netting or order.position_id in ((intent.position,) if intent.position else (0, order.ticket)))
        and not _OTHER_KEY.match(order.comment)
    )


def contradicts(found: ShownOrder, request: Mapping[str, Any]) -> bool:
    """Whether an order that looks like an entry was asked for with other levels than the request has: it may be another program's.

    A close has none, and a server may show those of its position with it.
    """
    asked = ((found.sl, request.get("sl")), (found.tp, request.get("tp")))
    return not request.get("position") and not all(math.isclose(has, wanted or 0.0, rel_tol=1e-9) for has, wanted in asked)


def carries(comment: str, key: str) -> bool:
    """Whether a comment holds a key. Servers change case, put words around it, and cut.

    >>> carries("#1 QABCDEFGHIJKL", "qABCDEFGHIJKL"), carries("qABCDEFG", "qABCDEFGHIJKL"), carries("qABC", "qABCDEFGHIJKL")
    (True, True, False)
    """
    text, key = comment.upper(), key.upper()
    return key in text or (len(text) >= SHORTEST_KEY and key.startswith(text))


def conclusion(evidence: Evidence, asked: float | None) -> Conclusion | None:
    """Where an order of `asked` lots stands by what is shown; None when nothing of it is. Fills come from deals only."""
    if not evidence.tickets:
        return None
    lots, active = evidence.lots, any(order.active for order in evidence.orders)
    if lots and (not active if asked is None else lots >= asked - EPSILON):
        return Conclusion(Status.FILLED)
    if active or not evidence.orders or evidence.lacks_deals:
        return Conclusion(Status.PARTIALLY_FILLED if lots else Status.PLACED)  # more is to come
    if lots:
        return Conclusion(Status.FILLED, f"filled {lots:g} of {asked:g} lots; the rest is not chased")
    ended = next((status for order in evidence.orders if (status := _ENDED_UNFILLED.get(order.state))), None)
    return Conclusion(ended, f"the server ended it as {ended.value} without a fill") if ended else Conclusion(Status.PLACED)


def _fits(shown: ShownOrder | Deal | Position, intent: Intent) -> bool:
    return shown.symbol == intent.symbol and shown.side is intent.side
