"""What keeps entries from being sent until it is over, or until a person has looked: on record, so a restart lifts nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from Live.audit_logger import AuditLogger
from Live.clock import Clock
from Live.model import Slot

EVERYWHERE = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """No entries on a symbol, or on none of them, and why."""

    name: str  # what a person releases it by
    symbol: str  # EVERYWHERE: all of them
    sentence: str
    since: str  # ISO 8601 UTC


class Holds:
    """The holds of one slot. Exits and protection go through all the same.

    A hold is lifted by what ends it, or released by a person: one that was released is not put again.
    """

    def __init__(self, record: AuditLogger, slot: Slot, clock: Clock) -> None:
        self._record, self._clock = record, clock
        self._key = f"holds {slot}"
        saved: Mapping[str, Any] = record.state(self._key) or {}
        self._open = {each["name"]: Hold(**each) for each in saved.get("open", ())}
        self._released: set[str] = set(saved.get("released", ()))

    @property
    def open(self) -> tuple[Hold, ...]:
        """Those in force, oldest first."""
        return tuple(self._open.values())

    def on(self, symbol: str) -> tuple[Hold, ...]:
        """Those that keep entries from this symbol."""
        return tuple(hold for hold in self._open.values() if hold.symbol in (EVERYWHERE, symbol))

    def put(self, name: str, symbol: str, sentence: str, *, event_type: str = "HOLD", **details: object) -> None:
        """Let no entry out from now on; the first time that is an event, and an alarm."""
        if name in self._open or name in self._released:
            return
        self._open[name] = Hold(name, symbol, sentence, self._clock.now().isoformat())
        with self._record.transaction(durable=True):
            self._save()
            self._record.event(event_type, sentence, severity="CRITICAL", details={"hold": name, "symbol": symbol, **details})

    def lift(self, name: str, why: str) -> None:
        """It is over by itself; it may come again."""
        hold = self._open.pop(name, None)
        if hold is not None:
            with self._record.transaction(durable=True):
                self._save()
                self._record.event("HOLD_OVER", f"{name}: {why}", details={"hold": name, "symbol": hold.symbol})

    def release(self, name: str) -> bool:
        """A person has looked, and wants to trade on; False where there is no such hold."""
        hold = self._open.pop(name, None)
        if hold is None:
            return False
        self._released.add(name)
        with self._record.transaction(durable=True):
            self._save()
            text = f"{name}: released by a person; entries are sent again, as far as nothing else is in their way"
            self._record.event("HOLD_RELEASED", text, severity="WARNING", details={"hold": name, "symbol": hold.symbol})
        return True

    def _save(self) -> None:
        told = {"open": [asdict(hold) for hold in self._open.values()], "released": sorted(self._released)}
        self._record.set_state(**{self._key: told})
