"""A fault at work, and the log of what faults did."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from Backtest.simulated_terminal.faults.calls import Call, Go, Reply
from Backtest.simulated_terminal.faults.truth import Rows, Truth


@dataclass(frozen=True, slots=True)
class Injection:
    """One thing that a fault did."""

    at: float  # seconds since the faults began
    function: str
    number: int  # of this function's calls
    fault: str
    params: Mapping[str, Any]
    happened: str  # in truth


class FaultLog:
    """What was injected, in order; `hits` counts by kind of fault how often one was at work."""

    def __init__(self) -> None:
        self.entries: list[Injection] = []
        self.hits: Counter[str] = Counter()

    def add(self, entry: Injection) -> None:
        """Put one injection down."""
        self.entries.append(entry)


@dataclass(slots=True, eq=False)
class Firing:
    """A fault from when it begins until it is over: after `left` injections, at the moment `until`, or when it ends itself."""

    fault: str
    params: Mapping[str, Any]
    truth: Truth
    log: FaultLog
    since: float
    left: int | None
    until: float | None
    state: dict[Any, Any] = field(default_factory=dict)  # what the fault itself remembers
    over: bool = False

    def ended_at(self, now: float) -> bool:
        """Whether it is over at a moment."""
        return self.over or (self.until is not None and now >= self.until)

    def injected(self, call: Call, happened: str) -> None:
        """It has changed an answer: one injection less is left."""
        self.log.hits[self.fault] += 1
        self.noted(call, happened)
        if self.left is not None:
            self.left -= 1
            self.over = self.over or self.left <= 0

    def shown(self, call: Call, happened: str) -> None:
        """It has changed what a list or a structure shows: counted each time, put down once for each function."""
        self.log.hits[self.fault] += 1
        told = self.state.setdefault("told", set())
        if call.function not in told:
            told.add(call.function)
            self.noted(call, happened)

    def noted(self, call: Call, happened: str) -> None:
        """Something happened because of it."""
        self.log.add(Injection(self.truth.now, call.function, call.number, self.fault, self.params, happened))


Act = Callable[[Call, Go, Firing], Reply]
View = Callable[[Call, Rows, Firing], Rows]


def pass_by(call: Call, go: Go, _: Firing) -> Reply:
    """Leave a call as it is: the fault is all in its view."""
    return go(call)
