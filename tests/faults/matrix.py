"""The exhaustive single-crash matrix: every point that one order passes × kind of order × kind of account × what the broker does.

For each cell the run is made once without a kill, and all points are noted that the trader passes from the transaction in which
the order is decided until the next bar is. Then the run is made again for each of these points, and there the trader is killed.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.case import Case, Event, World
from tests.faults.running import points_of
from tests.faults.scenes import SCENES

# What the broker does with the order that the scene is about.
OUTCOMES: dict[str, tuple[str, dict[str, Any]] | None] = {
    "executed and answered": None,
    "executed, the answer lost": ("answer_lost", {}),
    "never delivered": ("not_delivered", {}),
    "executed late": ("executed_late", {"seconds": 20.0}),
    "executed when all is settled": ("executed_late", {"seconds": 200.0}),
    "refused": ("refused", {"retcode": 10019}),
    "filled in part": ("filled_in_part", {"part": 0.5, "rest": "cancelled"}),
}
ONLY_DEALS = frozenset({"filled in part"})
DOWN = 3.0  # seconds until the next trader is there


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of order on a kind of account, and what the broker does with it."""

    scene: str
    netting: bool
    outcome: str

    @property
    def case(self) -> Case:
        """The run without a kill."""
        scene, fault = SCENES[self.scene], OUTCOMES[self.outcome]
        world = World(bars=4, calm=5, netting=self.netting, menu=f"scene: {self.scene}", action="flatten")
        plan = [] if fault is None else [Event({"call": "order_send", "number": scene.send}, *fault)]
        return Case(1, world, (*plan, *(Event(*more) for more in scene.more)))

    def killed_at(self, passage: int) -> Case:
        """The same run; the trader is killed when it passes this point, counted from the beginning."""
        return self.case.with_plan([*self.case.plan, Event({"passage": passage}, "killed", {"down": DOWN})])


def cells() -> Iterator[Cell]:
    """All cells that can be."""
    for name, scene in SCENES.items():
        for netting in (False, True):
            yield from (Cell(name, netting, outcome) for outcome in OUTCOMES if outcome not in ONLY_DEALS or scene.deals)


@functools.cache
def points(cell: Cell) -> tuple[str, ...]:
    """All points that the traders of a cell pass."""
    return tuple(points_of(cell.case))


def passages(cell: Cell) -> range:
    """The points that are passed while the cell's order is under way, counted from the beginning."""
    passed = ["", *points(cell)]
    sends = [number for number, point in enumerate(passed) if point.startswith("call order_send/")]
    send = sends[SCENES[cell.scene].send - 1]
    decided = max(number for number in range(send) if passed[number] in ("commit decision", "commit PENDING"))
    begins = max(number for number in range(decided) if passed[number] == "begin")
    ends = next((number for number in range(send, len(passed)) if passed[number] == "write bars"), len(passed))
    return range(begins, ends)


def kills(cell: Cell) -> list[int]:
    """Where the trader is killed. Between a question's answer and the next point nothing happens outside of it: one of them is enough."""
    return [number for number in passages(cell) if not _is_an_answer(points(cell)[number - 1])]


def _is_an_answer(point: str) -> bool:
    return point.startswith("answer ") and not point.startswith("answer order_send/")
