"""What may yet be filled counts as if it were: limits of lots and positions hold also while outcomes are unknown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.model import Status
from Live.risk import MaxPositions
from tests.desks import BOUGHT, Desk, opened, reopened
from tests.faulty_terminal import answer_lost, without_answer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path, max_positions=2, max_position_size=0.3, max_daily_trades=100)
    yield made
    made.record.close()


def test_an_entry_whose_outcome_is_unknown_counts_as_a_position_and_by_its_lots(desk: Desk) -> None:
    desk.buy("first")
    desk.terminal.faults.append(without_answer())
    desk.buy()
    state = desk.sync()
    assert desk.status() is Status.UNKNOWN
    assert state.open_lots("EURUSD") == pytest.approx(0.2)
    denied = MaxPositions(2).check(state._facts("EURUSD", desk.connector.quote("EURUSD"), None, 0.1))
    assert str(denied) == "MAX_POSITIONS, positions with this one: 3, allowed 2"
    desk = reopened(desk)  # a restart resets nothing
    assert desk.sync().open_lots("EURUSD") == pytest.approx(0.2)
    desk.wait(40)
    assert desk.sync().open_lots("EURUSD") == pytest.approx(0.1)
    desk.record.close()


def test_an_entry_that_is_found_is_counted_once(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.buy()
    state = desk.sync()  # the position is seen, the order is not settled yet
    assert desk.status() is Status.UNKNOWN
    assert state.open_lots("EURUSD") == pytest.approx(0.2)  # not proved to be the same yet: at its worst
    desk.wait(2)
    assert desk.status() is Status.FILLED
    assert state.open_lots("EURUSD") == pytest.approx(0.1)


def test_the_entry_that_asks_is_not_counted_twice(desk: Desk) -> None:
    desk.terminal.faults.append(without_answer())
    desk.buy(lots=0.3)
    state = desk.sync()
    assert desk.denial(state, lots=0.3, asking=BOUGHT) == ""


@pytest.mark.parametrize(("lots", "allowed"), [(0.2, True), (0.21, False)])
def test_the_lots_on_a_symbol_are_looked_at_again_just_before_the_send(lots: float, allowed: bool, desk: Desk) -> None:
    desk.buy("first")
    state = desk.sync()
    text = desk.denial(state, lots=lots)
    assert (text == "") is allowed
    assert allowed or text == "MAX_POSITION_SIZE, lots on this symbol with this entry: 0.31, allowed 0.3"
