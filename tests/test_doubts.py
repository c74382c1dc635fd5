"""One look at the positions proves nothing: what our deals have opened is not gone until the deal that closed it is shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.errors import Unreachable
from Live.state_manager import StateManager
from tests.desks import Desk, opened
from tests.faulty_terminal import answered

SHORT = 4  # looks, each of which asks for the positions once


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def holding(desk: Desk) -> StateManager:
    desk.buy()
    return desk.sync()


def hide(desk: Desk, *names: str, looks: int) -> None:
    """These lists are empty for so many looks."""
    left = [looks]

    def look() -> None:
        desk.terminal.hidden = set(names) if left[0] > 0 else set()
        left[0] -= 1

    desk.terminal.before["positions_get"] = look


def test_a_list_that_is_empty_once_is_looked_at_again_and_nothing_is_forgotten(desk: Desk) -> None:
    state = holding(desk)
    hide(desk, "positions_get", looks=2)
    state.sync()
    assert [held.lots for held in state.positions] == [0.1]


def test_a_position_that_is_not_shown_and_whose_close_is_not_there_either_is_waited_for(desk: Desk) -> None:
    state = holding(desk)
    hide(desk, "positions_get", looks=SHORT)
    with pytest.raises(Unreachable, match="is not what its deals have made it: one of both is not shown yet"):
        state.sync()
    assert [held.lots for held in state.positions] == [0.1]  # known still
    state.sync()
    assert (state.holds.open, desk.denial(state)) == ((), "")


def test_what_stays_unexplained_keeps_its_symbol_on_hold_until_it_is_over(desk: Desk) -> None:
    state = holding(desk)
    hide(desk, "positions_get", looks=1_000)
    for seconds in (40, 0):
        with pytest.raises(Unreachable):
            state.sync()
        desk.terminal.clock.sleep(seconds)
    state.sync()
    assert state.positions == ()
    assert "is not what its deals have made it, and nothing explains why: no entries on EURUSD" in desk.denial(state)
    desk.terminal.before.clear()
    desk.terminal.hidden.clear()
    state.sync()
    assert (len(state.positions), desk.denial(state)) == (1, "")


def test_a_position_that_was_closed_is_gone_at_once(desk: Desk) -> None:
    state = holding(desk)
    desk.close(state.positions[0])
    state.sync()
    assert (state.positions, desk.denial(state)) == ((), "")


def test_a_position_that_is_still_shown_after_its_close_is_looked_at_again(desk: Desk) -> None:
    state = holding(desk)
    before = desk.terminal.inner.positions_get
    shown = before()
    left = [2]

    def stale() -> tuple[object, ...]:
        left[0] -= 1
        return tuple(shown if left[0] >= 0 else before())

    desk.close(state.positions[0])
    desk.terminal.inner.positions_get = lambda **_: stale()  # type: ignore[method-assign]
    state.sync()
    assert state.positions == ()


def test_a_part_that_was_closed_by_hand_is_no_doubt(desk: Desk) -> None:
    state = holding(desk)
    position = desk.positions()[0]
    desk.terminal.inner.order_send({**desk.bid(0.04), "type": 1, "position": position.ticket, "magic": 0, "comment": ""})
    state.sync()
    assert ([held.lots for held in state.positions], desk.denial(state)) == ([0.06], "")


def test_a_refusal_leaves_no_doubt(desk: Desk) -> None:
    state = holding(desk)
    desk.terminal.faults.append(answered(10019))
    desk.buy("another")
    state.sync()
    assert desk.denial(state) == ""
