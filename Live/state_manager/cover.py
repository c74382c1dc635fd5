"""Whether positions have the stop loss and take profit that they were opened with, or were given since."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from Live.audit_logger import AuditLogger
from Live.model import Kind, Order, Position, Slot, Status
from Live.order_requests import Levels
from Live.state_manager.deals import Deals

SET = (Status.FILLED, Status.SUBMITTED, Status.UNKNOWN, Status.PLACED)  # it is in force, or may be


@dataclass(frozen=True, slots=True)
class Bare:
    """A position without the stop loss that its order asked for, and the levels that it shall have."""

    position: Position
    levels: Levels
    opener: Order


class Cover:
    """Levels that somebody has changed by hand are told and kept; those that never were on a position are to be set."""

    def __init__(self, record: AuditLogger, slot: Slot, deals: Deals) -> None:
        self._record, self._slot, self._ours = record, slot, deals
        # what a run before this one saw without levels is looked at again
        self._seen = {ticket: Levels(sl, tp) for ticket, sl, tp in record.levels_seen(slot) if sl or tp}

    def see(self, positions: Iterable[Position]) -> list[Bare]:
        """Compare with what was seen before; the positions that have to be covered, each once."""
        bare = []
        for held in positions:
            now, before = Levels(held.sl, held.tp), self._seen.get(held.identifier)
            if now == before:
                continue
            opener = self._ours.order_of(held.identifier, held.comment)
            if opener is None:
                continue  # it is not known yet which of our orders it was
            self._seen[held.identifier] = now
            wanted = self._wanted(held, opener)
            if before is None and held.sl is None and wanted.sl is not None:
                bare.append(Bare(held, wanted, opener))
            elif before is not None and self._ours.net is None and not _same(now, wanted):
                self._tell(held, before)
        return bare

    def _wanted(self, held: Position, opener: Order) -> Levels:
        """The newest levels of ours: those of the order that opened it, or of the last change since."""
        changes = [each for each in self._record.orders_about(self._slot, held.identifier) if each.intent.kind is Kind.SLTP]
        newest = next((each for each in reversed(changes) if each.status in SET), opener)
        grid = self._ours.spec(held.symbol).on_grid
        levels = (newest.intent.sl, newest.intent.tp)
        return Levels(*(None if level is None else grid(level) for level in levels))

    def _tell(self, held: Position, before: Levels) -> None:
        text = f"position {held.ticket} on {held.symbol}: sl {before.sl} and tp {before.tp} were changed to sl {held.sl} and tp {held.tp}"
        details = {"ticket": held.ticket, "sl": held.sl, "tp": held.tp}
        self._record.event("LEVELS_BY_HAND", f"{text} by somebody else; that is kept", severity="WARNING", details=details)


def _same(one: Levels, other: Levels) -> bool:
    return all(math.isclose(a or 0.0, b or 0.0, rel_tol=1e-9) for a, b in ((one.sl, other.sl), (one.tp, other.tp)))
