"""What carries our magic number and is not on record: a twin trades with it, or this record was set back to an older one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from Live.audit_logger import AuditLogger
from Live.model import Deal, Position, Slot, Status
from Live.mt5_connector.shown import ShownOrder
from Live.state_manager.deals import Deals

MOST_NAMED = 10  # tickets in a sentence
ASKED = (Status.SUBMITTED, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Strange:
    """Tickets that no order of this record explains."""

    positions: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()  # that wait
    deals: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.positions) + len(self.orders) + len(self.deals)

    def __str__(self) -> str:
        kinds = {"positions": self.positions, "orders": self.orders, "deals": self.deals}
        return "; ".join(f"{name} {_named(tickets)}" for name, tickets in kinds.items() if tickets)


class Strangers:
    """What was there when the record was begun is not strange, nor is what a person has acknowledged."""

    def __init__(self, record: AuditLogger, slot: Slot, deals: Deals) -> None:
        self._record, self._slot, self._ours = record, slot, deals
        self._key = f"acknowledged {slot}"
        saved = record.state(self._key)
        self._acknowledged: set[int] = set(saved or ())
        self._is_begun = saved is not None
        self._deals: set[int] = set()
        self.found = Strange()

    def see(self, others: Iterable[Position], active: Iterable[ShownOrder], deals: Sequence[Deal]) -> None:
        """Take in what the terminal shows; what is new is an event, and an alarm."""
        magic = self._slot.magic
        positions = tuple(held.ticket for held in others if held.magic == magic and self._is_strange_position(held))
        strange = {deal.ticket for deal in self._ours.unbooked(deals) if deal.magic == magic and self._is_strange_deal(deal)}
        if not self._is_begun:
            self._is_begun = True
            self.acknowledge(strange)
        self._deals |= strange - self._acknowledged
        orders = tuple(order.ticket for order in active if order.magic == magic and self._is_strange_order(order))
        found = Strange(positions, orders, tuple(sorted(self._deals)))
        self._tell(found)
        self.found = found

    def acknowledge(self, tickets: Iterable[int]) -> None:
        """A person has looked at these, or they are older than the record: they keep no entry back."""
        self._acknowledged |= set(tickets)
        self._deals -= self._acknowledged
        self._record.set_state(**{self._key: sorted(self._acknowledged)})

    def _tell(self, found: Strange) -> None:
        before = self.found
        for name, now, then in (("position", found.positions, before.positions), ("order", found.orders, before.orders)):
            for ticket in sorted(set(now) - set(then)):
                text = f"{name} {ticket} carries our MAGIC_NUMBER, but this record did not open it: no entries while it is there"
                self._record.event("STRANGER", text, severity="CRITICAL", details={name: ticket})
        if fresh := sorted(set(found.deals) - set(before.deals)):
            text = (
                f"deals {_named(fresh)} carry our MAGIC_NUMBER, and this record does not know them: another trader uses the number, or the "
                "record was set back to an older one. No entries until a person has looked"
            )
            self._record.event("ROLLBACK_DETECTED", text, severity="CRITICAL", details={"deals": fresh})

    def _is_strange_position(self, held: Position) -> bool:
        return not (held.ticket in self._acknowledged or self._may_be_ours(held.symbol))

    def _is_strange_deal(self, deal: Deal) -> bool:
        looked_at = deal.ticket in self._acknowledged or deal.position_id in self._acknowledged
        return not (looked_at or self._ours.is_known(deal) or self._may_be_ours(deal.symbol))

    def _is_strange_order(self, order: ShownOrder) -> bool:
        known = order.ticket in self._acknowledged or self._ours.opened(order.magic, order.ticket, order.comment)
        # what an order takes from names its position
        return not (known or order.position_id in self._ours.book or self._may_be_ours(order.symbol))

    def _may_be_ours(self, symbol: str) -> bool:
        """An order whose outcome is open may have lost its key; there is no entry on its symbol anyway."""
        return any(order.intent.symbol == symbol for order in self._record.orders_with(ASKED, self._slot))


def _named(tickets: Sequence[int]) -> str:
    more = f" and {len(tickets) - MOST_NAMED} more" if len(tickets) > MOST_NAMED else ""
    return ", ".join(map(str, tickets[:MOST_NAMED])) + more
