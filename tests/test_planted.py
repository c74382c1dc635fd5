"""Planted bugs: every patch still changes the product, and a few of the bugs are found here, each time."""

from typing import Any

import pytest

from Live.outcomes import PLACED, Outcome, verdict_of
from tests.faults.planted import BUGS, Bug, Gone, hunt, patched
from tests.faults.planted.patching import Schema, Value, edit
from tests.faults.planted.plays import PLAYS

SOON_FOUND = (
    "close without its ticket",
    "entry without its stop",
    "filling switched after a partial fill",
    "no answer as not sent",
    "no canary",
)


@pytest.mark.parametrize("bug", BUGS.values(), ids=lambda bug: bug.name)
def test_every_patch_still_changes_the_product(bug: Bug) -> None:
    with patched(bug.patches):
        pass


def test_there_are_forty_bugs_at_least_and_every_play_is_of_one() -> None:
    assert len(BUGS) >= 40
    assert set(PLAYS) <= set(BUGS)


@pytest.mark.parametrize("name", SOON_FOUND)
def test_a_planted_bug_is_found_and_the_product_breaks_nothing_where_it_is(name: str) -> None:
    find = hunt(BUGS[name], range(1, 2))
    assert find.oracle, f"{name} was not found"
    assert find.clean, f"so is the product: {find.sentence}"


def without_change(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    "patch",
    [
        edit("Live.outcomes:verdict_of", "what is not there", "something else"),
        edit("Live.outcomes:no_such_function", "return", "return"),
        edit("Live.outcomes:PLACED", "10008", "10009"),
        Value("Live.outcomes:NO_SUCH_NAME", without_change),
        Value("Live.outcomes:PLACED", without_change),
        Schema("what is not there", "something else"),
    ],
    ids=("another text", "no such function", "no function", "no such name", "the same value", "no such column"),
)
def test_a_patch_that_would_change_nothing_says_so(patch: Any) -> None:
    with pytest.raises(Gone), patched((patch,)):
        pass


def test_the_product_is_what_it_was_once_a_bug_is_taken_out() -> None:
    unlisted = 10099
    with patched(BUGS["unknown code as a refusal"].patches):
        assert verdict_of(unlisted, (1, "")).outcome is Outcome.REFUSED
    assert verdict_of(unlisted, (1, "")).outcome is Outcome.UNKNOWN
    assert verdict_of(PLACED, (1, "")).outcome is Outcome.ACCEPTED


def test_a_patch_that_only_raises_counts_as_not_found() -> None:
    raises = edit("Live.order_executor.executor:OrderExecutor._attempt", "self._connector.check_in()", "raise ArithmeticError")
    assert hunt(Bug("raises", "ends with an exception where it should send", (raises,)), (3,)).oracle == ""
