"""When the harness's own faults begin: at a point, at a moment, by chance, or when an order has reached a state."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from Backtest.simulated_terminal.faults.streams import Stream
from tests.faults.case import Event
from tests.faults.kinds import HARNESS_KINDS, Kind

Fire = Callable[["Armed", str], None]


@dataclass(slots=True, eq=False)
class Armed:
    """One fault of the schedule that waits for its moment, or is at work."""

    event: Event
    kind: Kind
    stream: Stream
    params: Mapping[str, Any]
    spent: bool = False
    until: float = math.inf
    left: float = math.inf
    memory: dict[str, Any] = field(default_factory=dict)  # of a view

    def covers(self, point: str) -> bool:
        """Whether it may begin at this point by chance."""
        return point.startswith(self.kind.on) if self.kind.on else False


class Engine:
    """Counts the points that are passed, and lets faults begin. `passages` is the number of points so far."""

    def __init__(self, seed: int, events: Sequence[Event], fire: Fire) -> None:
        self._fire = fire
        self.passages = 0
        self.noted: list[str] | None = None  # all points so far, where somebody wants to know them
        self.passed: Counter[str] = Counter()
        ordinals: Counter[str] = Counter()
        self.armed: list[Armed] = []
        for event in events:
            ordinals[event.fault] += 1
            kind = HARNESS_KINDS[event.fault]
            stream = Stream(seed, f"{event.fault}/{ordinals[event.fault]}")
            defaults = {name: choices[0] for name, choices in kind.params.items()}
            self.armed.append(Armed(event, kind, stream, defaults | dict(event.params)))
        self._sort()

    def _sort(self) -> None:
        self._at_points = {each.event.when["point"] for each in self.armed if "point" in each.event.when}
        self._numbered = [each for each in self.armed if "point" in each.event.when or "passage" in each.event.when]
        self._by_chance = [each for each in self.armed if "chance" in each.event.when]
        self._timed = sorted((each for each in self.armed if "at" in each.event.when), key=lambda each: float(each.event.when["at"]))
        self._by_state = [each for each in self.armed if "state" in each.event.when]

    def cease(self) -> None:
        """Nothing begins any more."""
        self.armed.clear()
        self._sort()

    def due(self) -> float:
        """The next moment at which something begins."""
        return float(self._timed[0].event.when["at"]) if self._timed else math.inf

    def tick(self, now: float) -> None:
        """Let begin what begins at a moment."""
        while self._timed and self.due() <= now:
            self._fire(self._timed.pop(0), "a moment")

    def reached(self, status: str) -> None:
        """Let begin what waits for an order in this state, once."""
        for each in self._by_state:
            if not each.spent and each.event.when["state"] == status:
                each.spent = True
                self._fire(each, f"state {status}")

    def passing(self, point: str) -> None:
        """Count a point, and let begin what begins there."""
        self.passages += 1
        if self.noted is not None:
            self.noted.append(point)
        if not self.armed:
            return
        if self._numbered:
            self.passed[point] += 1
            for each in self._numbered:
                if not each.spent and self._is_there(each.event.when, point):
                    each.spent = True
                    self._fire(each, point)
        for each in self._by_chance:
            if each.covers(point) and each.stream.chance(each.event.when["chance"]):
                self._fire(each, point)

    def _is_there(self, when: Mapping[str, Any], point: str) -> bool:
        if "passage" in when:
            return bool(when["passage"] == self.passages)
        return bool(when["point"] == point and self.passed[point] == when.get("number", 1))
