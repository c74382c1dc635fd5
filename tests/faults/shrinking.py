"""From a schedule that fails to the fewest faults that still break the same invariant: delta debugging, the same way each time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.faults.case import Case, Event
from tests.faults.running import run_case

MOST_RUNS = 250  # of one case: what is left then is small enough

# Plainer worlds, tried one after the other.
PLAIN: dict[str, Any] = {
    "drift": 0,
    "lots_per_tick": 0.0,
    "commission": False,
    "stops_level": 0,
    "freeze_level": 0,
    "comment_length": 31,
    "execution": 2,
}
PLAIN |= {"filling": 3, "spread": 10, "leverage": 100, "limits": "wide", "action": "halt", "calendar": "plain"}


def shrunk(case: Case, oracle: str, fails: Callable[[Case], bool] | None = None) -> Case:
    """The smallest case found that still breaks `oracle`."""
    budget = [MOST_RUNS]

    def breaks(candidate: Case) -> bool:
        budget[0] -= 1
        return budget[0] >= 0 and (fails(candidate) if fails else oracle in run_case(candidate).oracles)

    fewer = case.with_plan(fewest(case.plan, lambda plan: breaks(case.with_plan(plan))))
    return _in_a_plainer_world(fewer, breaks)


def fewest(plan: Sequence[Event], fails: Callable[[Sequence[Event]], bool]) -> Sequence[Event]:
    """Zeller's ddmin: halves, quarters and so on are left out as long as what is left fails."""
    parts = 2
    while len(plan) > 1:
        size = max(1, len(plan) // parts)
        rests = ([*plan[:start], *plan[start + size :]] for start in range(0, len(plan), size))
        smaller = next((rest for rest in rests if fails(rest)), None)
        if smaller is not None:
            plan, parts = smaller, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(parts * 2, len(plan))
    return [] if len(plan) == 1 and fails([]) else plan


def _in_a_plainer_world(case: Case, fails: Callable[[Case], bool]) -> Case:
    for name, value in PLAIN.items():
        plainer = replace(case.world, **{name: value})
        if plainer != case.world and fails(replace(case, world=plainer)):
            case = replace(case, world=plainer)
    return case
