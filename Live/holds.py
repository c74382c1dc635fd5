"""What keeps entries from being sent until it is over, or until a person has looked: on record, so a restart lifts nothing."""

from collections.abc import Collection, Mapping
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

    A hold is lifted by what ends it, or released by a person: one that was released is not put again. They are read off the
    record each time, so everybody sees the same.
    """

    def __init__(self, record: AuditLogger, slot: Slot, clock: Clock) -> None:
        self._record, self._clock = record, clock
        self._key = f"holds {slot}"

    @property
    def open(self) -> tuple[Hold, ...]:
        """Those in force, oldest first."""
        return tuple(self._read()[0].values())

    def on(self, symbol: str) -> tuple[Hold, ...]:
        """Those that keep entries from this symbol."""
        return tuple(hold for hold in self.open if hold.symbol in (EVERYWHERE, symbol))

    def put(self, name: str, symbol: str, sentence: str, *, event_type: str = "HOLD", **details: object) -> None:
        """Let no entry out from now on; the first time that is an event, and an alarm."""
        held, released = self._read()
        if name in held or name in released:
            return
        held[name] = Hold(name, symbol, sentence, self._clock.now().isoformat())
        with self._record.transaction(durable=True):
            self._save(held, released)
            self._record.event(event_type, sentence, severity="CRITICAL", details={"hold": name, "symbol": symbol, **details})

    def lift(self, name: str, why: str) -> None:
        """It is over by itself; it may come again."""
        held, released = self._read()
        hold = held.pop(name, None)
        if hold is not None:
            with self._record.transaction(durable=True):
                self._save(held, released)
                self._record.event("HOLD_OVER", f"{name}: {why}", details={"hold": name, "symbol": hold.symbol})

    def release(self, name: str) -> bool:
        """A person has looked, and wants to trade on; False where there is no such hold."""
        held, released = self._read()
        hold = held.pop(name, None)
        if hold is None:
            return False
        with self._record.transaction(durable=True):
            self._save(held, {*released, name})
            text = f"{name}: released by a person; entries are sent again, as far as nothing else is in their way"
            self._record.event("HOLD_RELEASED", text, severity="WARNING", details={"hold": name, "symbol": hold.symbol})
        return True

    def _read(self) -> tuple[dict[str, Hold], set[str]]:
        saved: Mapping[str, Any] = self._record.state(self._key) or {}
        return {each["name"]: Hold(**each) for each in saved.get("open", ())}, set(saved.get("released", ()))

    def _save(self, held: Mapping[str, Hold], released: Collection[str]) -> None:
        told = {"open": [asdict(hold) for hold in held.values()], "released": sorted(released)}
        self._record.set_state(**{self._key: told})
