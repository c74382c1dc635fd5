"""One look at the positions proves nothing: what our deals have opened is not gone until the deal that closed it is shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from Live.errors import Unreachable
from Live.model import Position, Side, Ticket
from Live.state_manager import StateManager
from Live.state_manager.deals import Deals
from tests.desks import Desk, opened
from tests.faulty_terminal import answered
from tests.simulated_terminal.terminals import ALL

SHORT_WINDOW, PAUSE = 60, 1_200.0  # seconds: looks reach back over the one, nobody looks during the other
SHORT = 4  # looks, each of which asks for the positions once


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def holding(desk: Desk) -> StateManager:
    desk.buy()
    return desk.sync()


def looking_back_a_little(desk: Desk) -> StateManager:
    state = StateManager(desk.config, desk.connector, desk.record, desk.slot, look_back=SHORT_WINDOW)
    state.sync()
    return state


def held(desk: Desk) -> Position:
    return desk.connector.all_positions()[0]


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


def test_a_deal_that_was_late_over_a_weekend_is_still_seen(desk: Desk) -> None:
    state = looking_back_a_little(desk)
    desk.terminal.clock.sleep(60)
    state.sync()
    desk.terminal.hidden = {"history_deals_get", "positions_get"}
    desk.buy()
    state.sync()
    desk.terminal.clock.sleep(PAUSE)
    state.sync()  # the first look after it shows what the terminal knew before
    desk.terminal.hidden = set()
    desk.terminal.clock.sleep(60)
    state.sync()
    assert [fill.lots for fill in desk.record.deals(desk.slot)] == [0.1]


def test_a_close_waits_until_the_opening_of_its_position_is_shown(desk: Desk) -> None:
    state = looking_back_a_little(desk)
    desk.buy()
    desk.close(held(desk))
    shown = desk.terminal.inner.history_deals_get
    closes = [deal for deal in shown(*ALL) if deal.entry == 1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(desk.terminal.inner, "history_deals_get", lambda *_, **__: tuple(closes))
        state.sync()
    assert desk.record.deals(desk.slot) == []
    desk.terminal.clock.sleep(PAUSE)
    state.sync()
    assert [fill.entry for fill in desk.record.deals(desk.slot)] == ["IN", "OUT"]


def test_deals_of_one_second_are_read_back_with_the_opening_first(desk: Desk) -> None:
    state = holding(desk)
    opening = desk.record.deals(desk.slot)[0]
    closing = replace(opening, ticket=Ticket(opening.ticket - 1), order=99, side=Side.SELL, entry="OUT")
    desk.record.add_fill(closing, desk.slot, None)
    assert [fill.entry for fill in desk.record.deals(desk.slot)] == ["OUT", "IN"]  # by their tickets
    again = Deals(desk.connector, desk.record, desk.slot, ["EURUSD"])
    assert (again.book.left(), len(again.book.closed("EURUSD"))) == ({}, 1)
    assert state.positions


def test_a_refusal_leaves_no_doubt(desk: Desk) -> None:
    state = holding(desk)
    desk.terminal.faults.append(answered(10019))
    desk.buy("another")
    state.sync()
    assert desk.denial(state) == ""
