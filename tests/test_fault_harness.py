"""The fault harness: a few schedules of each kind, all that once failed, and that its oracles bite."""

from pathlib import Path

import pytest

from tests.faults import Case, Event, World, run_case
from tests.faults.campaign import REGRESSIONS, compared
from tests.faults.running import Result

SEEDS = range(3000, 3015)


def told(result: Result) -> str:
    return "\n".join(map(str, (*result.breaches, *result.case.plan)))


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
