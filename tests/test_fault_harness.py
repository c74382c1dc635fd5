"""The fault harness: a few schedules of each kind, all that once failed, and that its oracles bite."""

import re
from pathlib import Path

import pytest

from tests.faults import Case, Event, World, matrix, run_case, shrunk
from tests.faults.campaign import REGRESSIONS, compared
from tests.faults.matrix import Cell
from tests.faults.report import DOCS
from tests.faults.running import Result
from tests.faults.shrinking import fewest

TESTS = Path(__file__).parent
SEEDS = range(3000, 3015)


def told(result: Result) -> str:
    return "\n".join(map(str, (*result.breaches, *result.case.plan)))


@pytest.mark.every(2)
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_all_invariants_hold(seed: int) -> None:
    result = run_case(Case.from_seed(seed))
    assert not result.breaches, told(result)


@pytest.mark.parametrize("file", sorted(REGRESSIONS.glob("*.json")), ids=lambda file: file.stem)
def test_what_once_failed_does_not_fail_again(file: Path) -> None:
    result = run_case(Case.from_file(file))
    assert not result.breaches, told(result)


def test_the_same_case_is_the_same_run_in_every_time_zone() -> None:
    result = compared(run_case(Case.from_seed(7)), "Pacific/Kiritimati")
    assert not result.breaches, told(result)
    assert result.trace != run_case(Case.from_seed(8)).trace


def test_a_case_survives_its_file(tmp_path: Path) -> None:
    case = Case.from_seed(11)
    (tmp_path / "case.json").write_text(case.to_json(), encoding="utf-8")
    assert Case.from_file(tmp_path / "case.json") == case


def test_a_trader_that_is_killed_leaves_what_was_committed_and_another_one_goes_on() -> None:
    kills = [Event({"point": "answer order_send/entry", "number": number}, "killed", {"down": 3.0}) for number in (1, 2, 3)]
    result = run_case(Case(5, World(menu="market"), tuple(kills)))
    assert not result.breaches, told(result)
    assert (result.tally.kills, result.tally.hits["killed"]) == (3, 3)


# the crash matrix

SLICE = list(matrix.cells())[::4]


@pytest.mark.every(3)
@pytest.mark.parametrize("cell", SLICE, ids=lambda cell: f"{cell.scene}-{'netting' if cell.netting else 'hedging'}-{cell.outcome}")
def test_a_trader_that_is_killed_at_any_point_of_an_order_neither_doubles_nor_loses_it(cell: Cell) -> None:
    kills = matrix.kills(cell)
    for passage in kills[:: max(1, len(kills) // 3)]:
        result = run_case(cell.killed_at(passage))
        assert not result.breaches, f"killed at {matrix.points(cell)[passage - 1]}\n{told(result)}"
        assert result.tally.kills == 1


def test_the_matrix_has_every_kind_of_order_account_and_outcome() -> None:
    cells = list(matrix.cells())
    assert len(cells) == 2 * (4 * 7 + 3 * 6)
    for cell in (cells[0], cells[-1]):
        labels = {matrix.points(cell)[passage - 1] for passage in matrix.kills(cell)}
        assert {"commit SUBMITTED", "committed SUBMITTED", "look for the stop file"} <= labels
        assert any(label.startswith("call order_send/") for label in labels)
        assert any(label.startswith("answer order_send/") for label in labels)


# shrinking


def test_a_schedule_is_shrunk_to_what_fails() -> None:
    events = [Event({"at": float(number)}, "hand_opens") for number in range(20)]
    left = fewest(events, lambda plan: {3.0, 11.0} <= {event.when["at"] for event in plan})
    assert [event.when["at"] for event in left] == [3.0, 11.0]
    assert fewest(events, lambda plan: True) == []


def test_a_world_is_made_plainer_as_long_as_it_fails() -> None:
    case = Case(1, World(drift=8, commission=True, calendar="wild"), (Event({"at": 1.0}, "twin"),))
    small = shrunk(case, "I1", fails=lambda each: each.world.calendar == "wild")
    assert (small.plan, small.world) == ((), World(calendar="wild"))


def test_every_fault_of_the_specification_has_its_place_in_the_docs_and_every_test_that_they_name_is_there() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"\bF(\d\d)\b", text)} >= set(range(1, 93))
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (TESTS / file).read_text(encoding="utf-8")]
    assert (missing, len(named) > 20) == ([], True)
