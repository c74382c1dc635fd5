"""Readers of the page: many at once, few at a time, and equal questions answered once."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from werkzeug.exceptions import NotFound

from Live.dashboard.turns import Turns

PATIENCE = 60  # seconds: the machine may be busy
CROWD = 20


class Kitchen:
    """Makes answers while a test holds it back, and counts them."""

    def __init__(self) -> None:
        self.made, self.at_once, self.most = 0, 0, 0
        self.may_go_on, self._lock = threading.Event(), threading.Lock()
        self.begun = threading.Semaphore(0)

    def answer(self) -> int:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1
            self.made += 1
            return self.made


def waiting(turns: Turns, question: str, people: int) -> None:
    """Until so many ask this."""
    over = threading.Event()
    for _ in range(PATIENCE * 100):
        line = turns._lines.get(question)
        if line is not None and line.people == people:
            return
        over.wait(0.01)
    raise AssertionError(f"{people} never asked")


def test_who_asks_the_same_while_it_is_answered_gets_the_next_answer_together() -> None:
    turns, kitchen = Turns(), Kitchen()
    with ThreadPoolExecutor(CROWD) as people:
        first = people.submit(turns.shared, "status", kitchen.answer)
        assert kitchen.begun.acquire(timeout=PATIENCE)
        later = [people.submit(turns.shared, "status", kitchen.answer) for _ in range(CROWD - 1)]
        waiting(turns, "status", CROWD)
        kitchen.may_go_on.set()
        assert first.result(PATIENCE) == 1
        assert {each.result(PATIENCE) for each in later} == {2}
    assert turns._lines == {}


def test_an_answer_that_was_begun_before_is_given_to_nobody_who_asked_after() -> None:
    turns, seen, written = Turns(), [], threading.Event()

    def read() -> str:
        return "new" if written.is_set() else "old"

    seen.append(turns.shared("status", read))
    written.set()
    seen.append(turns.shared("status", read))
    assert seen == ["old", "new"]


@pytest.mark.parametrize("alone", [True, False])
def test_no_more_are_let_in_at_once_than_there_are_places(alone: bool) -> None:
    turns, kitchen = Turns(2), Kitchen()
    with ThreadPoolExecutor(CROWD) as people:
        asked = [
            people.submit(turns.alone, kitchen.answer) if alone else people.submit(turns.shared, number, kitchen.answer)
            for number in range(CROWD)
        ]
        assert all(kitchen.begun.acquire(timeout=PATIENCE) for _ in range(2))
        kitchen.may_go_on.set()
        assert sorted(each.result(PATIENCE) for each in asked) == list(range(1, CROWD + 1))
    assert kitchen.most == 2


def failing(problem: Exception, kitchen: Kitchen) -> Callable[[], int]:
    def answer() -> int:
        kitchen.answer()
        raise problem

    return answer


@pytest.mark.parametrize(("problem", "theirs"), [(NotFound("no such chart"), NotFound), (ZeroDivisionError(), CancelledError)])
def test_what_goes_wrong_goes_wrong_for_all_of_them_and_keeps_no_place(problem: Exception, theirs: type[Exception]) -> None:
    turns, kitchen = Turns(1), Kitchen()
    with ThreadPoolExecutor(CROWD) as people:
        holding = people.submit(turns.alone, kitchen.answer)
        assert kitchen.begun.acquire(timeout=PATIENCE)
        asked = [people.submit(turns.shared, "chart", failing(problem, kitchen)) for _ in range(3)]
        waiting(turns, "chart", 3)
        kitchen.may_go_on.set()
        assert holding.result(PATIENCE) == 1
        problems = [each.exception(PATIENCE) for each in asked]
    assert sorted(type(each).__name__ for each in problems) == sorted([type(problem).__name__, theirs.__name__, theirs.__name__])
    assert turns.shared("chart", lambda: 7) == 7
    assert turns._lines == {}
