"""When a fault begins (pure)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.faults.calls import FUNCTIONS


@dataclass(frozen=True, slots=True)
class NthCall:
    """At the n-th call of a function, counted from 1."""

    call: str
    number: int = 1

    def __post_init__(self) -> None:
        if self.call not in FUNCTIONS or self.number < 1:
            raise BadInput(f"a fault cannot begin at call {self.number} of {self.call!r}: name one of {', '.join(sorted(FUNCTIONS))}")


@dataclass(frozen=True, slots=True)
class At:
    """At the first call when so many seconds have passed."""

    at: float


@dataclass(frozen=True, slots=True)
class Chance:
    """With this probability at each call that the fault is about, from `after` until `until` (seconds; None: for ever)."""

    chance: float
    after: float = 0.0
    until: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise BadInput(f"the chance of a fault is a number from 0 to 1, not {self.chance}")

    def covers(self, at: float) -> bool:
        """Whether a moment lies in the window."""
        return self.after <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class When:
    """Once, as soon as something is true: a name in `PREDICATES`, or one that was handed in."""

    when: str


Trigger = NthCall | At | Chance | When
_KINDS: dict[str, type[Trigger]] = {fields(kind)[0].name: kind for kind in (NthCall, At, Chance, When)}


def to_plain(trigger: Trigger) -> dict[str, Any]:
    """A trigger as JSON has it.

    >>> to_plain(NthCall("order_send", 3))
    {'call': 'order_send', 'number': 3}
    """
    return asdict(trigger)


def from_plain(plain: Mapping[str, Any]) -> Trigger:
    """The trigger that `to_plain` made this of. Raises BadInput for anything else."""
    kind = next((kind for name, kind in _KINDS.items() if name in plain), None)
    if kind is None or not plain.keys() <= {each.name for each in fields(kind)}:
        raise BadInput(f"a fault begins with one of {', '.join(_KINDS)}, not with {dict(plain)}")
    return kind(**plain)
