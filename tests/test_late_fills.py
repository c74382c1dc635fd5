"""Orders that were given up, or over, and were filled all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.model import Status
from Live.order_executor import OrderExecutor
from Live.state_manager import StateManager
from tests.desks import BOUGHT, Desk, opened, reopened
from tests.faulty_terminal import answer_lost, answered, late
from tests.test_gates import changed


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def given_up(desk: Desk) -> StateManager:
    """An entry that was proved absent, and is executed now."""
    desk.terminal.faults.append(late())
    desk.buy()
    desk.wait(40)
    assert desk.status() is Status.ABSENT
    desk.terminal.deliver()
    return desk.sync()


def test_a_late_fill_is_on_record_with_its_price_and_volume(desk: Desk) -> None:
    given_up(desk)
    order = desk.order()
    assert (order.status, order.executed_volume, order.executed_price) == (Status.LATE_FILLED, 0.1, 1.2001)
    assert [severity for severity, _ in desk.events("LATE_FILL")] == ["CRITICAL"]


def test_no_entry_follows_on_the_symbol_of_a_late_fill_until_its_position_is_closed_also_after_a_restart(desk: Desk) -> None:
    state = given_up(desk)
    ticket = desk.positions()[0].ticket
    assert f"position {ticket} was opened by an order that we had given up" in desk.denial(state)
    desk = reopened(desk)
    state = desk.sync()
    assert desk.denial(state)
    assert len(desk.events("HOLD")) == 1  # told once
    assert desk.close(state.positions[0])["status"] == "FILLED"
    state.sync()
    assert desk.denial(state) == ""
    assert len(desk.events("HOLD_OVER")) == 1
    desk.record.close()


def test_a_person_may_release_a_late_fill_and_trade_on(desk: Desk) -> None:
    state = given_up(desk)
    (hold,) = state.holds.open
    assert state.holds.release(hold.name)
    assert desk.denial(state) == ""
    state = desk.sync()  # a restart does not bring it back
    assert (state.holds.open, desk.denial(state)) == ((), "")
    assert not state.holds.release("late fill of nothing")


@pytest.mark.parametrize("code", [10006, 10018, 10019])
def test_an_order_that_was_refused_and_is_filled_all_the_same_is_a_late_fill(code: int, desk: Desk) -> None:
    desk.terminal.faults.append(answered(code))
    desk.buy()
    assert desk.status() is Status.FAILED
    desk.terminal.inner.order_send(desk.terminal.sent[0])
    desk.sync()
    assert desk.status() is Status.LATE_FILLED


@pytest.mark.parametrize("status", [Status.DENIED, Status.EXPIRED, Status.CANCELLED])
def test_an_order_that_we_ended_ourselves_and_that_somebody_has_filled_is_a_late_fill(status: Status, desk: Desk) -> None:
    request = desk.bid()
    told = desk.executor.execute_order(request, BOUGHT, gate=lambda _: "not now")
    assert told["status"] == "DENIED"
    desk.record._db.execute("UPDATE orders SET status = ? WHERE client_order_id = ?", (status.value, BOUGHT))
    twin = desk.executor._marked(desk.order().intent, request)
    desk.terminal.inner.order_send(twin)  # a record that was set back, on another machine
    desk.sync()
    assert desk.status() is Status.LATE_FILLED


def test_a_partial_fill_whose_rest_comes_later_is_told_with_all_of_its_volume(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost(volume=0.04))
    desk.buy()
    desk.wait(4)
    desk.sync()
    assert (desk.status(), desk.order().executed_volume) == (Status.FILLED, 0.04)
    desk.terminal.inner.order_send(desk.terminal.sent[0] | {"volume": 0.06})
    desk.sync()
    assert (desk.status(), desk.order().executed_volume) == (Status.LATE_FILLED, 0.1)


def test_a_fill_that_is_seen_by_the_loop_before_the_answer_is_settled_is_not_late(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.buy()
    desk.sync()
    desk.wait(4)
    desk.sync()
    assert desk.status() is Status.FILLED
    assert desk.events("LATE_FILL") == []


@pytest.mark.parametrize("comment", ["{0}", "#7 {0}", "{0:.8}"])
def test_a_late_fill_is_known_whatever_the_server_has_made_of_its_comment(comment: str, desk: Desk) -> None:
    desk.terminal.faults.append(late())
    desk.buy()
    desk.wait(40)
    request = desk.terminal.late.pop()
    desk.terminal.inner.order_send(request | {"comment": comment.format(request["comment"]).upper()})
    desk.sync()
    assert desk.status() is Status.LATE_FILLED


def test_a_late_fill_is_known_by_its_position_where_its_deal_has_neither_key_nor_magic_number(desk: Desk) -> None:
    inner = desk.terminal.inner
    blank = changed(inner.history_deals_get, lambda row: {"comment": "", "magic": 0} if row.order else {})
    inner.history_deals_get = blank  # type: ignore[method-assign]
    state = given_up(desk)
    order = desk.order()
    assert (order.status, order.executed_volume, order.ticket) == (Status.LATE_FILLED, 0.1, desk.positions()[0].ticket)
    assert [severity for severity, _ in desk.events("LATE_FILL")] == ["CRITICAL"]
    assert "was opened by an order that we had given up" in desk.denial(state)
    state.sync()
    assert [deal.position_id for deal in desk.record.deals(desk.slot)] == [order.ticket]  # its ticket tells the deal
    assert len(desk.events("LATE_FILL")) == 1


def test_an_executor_that_has_answers_for_everything_raises_no_alarm(desk: Desk) -> None:
    desk.buy()
    OrderExecutor(desk.config, desk.connector, record=desk.record, slot=desk.slot).settle()
    state = desk.sync()
    assert (desk.events("LATE_FILL"), state.holds.open, desk.denial(state)) == ([], (), "")
