from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from Live.errors import Unreachable
from Live.model import Order, Status, order_key
from Live.order_executor import OrderExecutor
from Live.outcomes import RETCODES, Outcome, verdict_of
from tests.desks import BOUGHT, READS, SUCCESS, Desk, opened, reopened
from tests.faulty_terminal import (
    DONE_PARTIAL,
    PLACED,
    RECV_FAILED,
    SEND_FAILED,
    FaultyTerminal,
    Request,
    answer_lost,
    answered,
    executed_as,
    late,
    without_answer,
)

DOUBTFUL = [code for code in RETCODES if verdict_of(code, SUCCESS).outcome is Outcome.UNKNOWN] + [10099, 0, -1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


# answers that are lost


@pytest.mark.parametrize("error", [RECV_FAILED, SEND_FAILED, (-10000, "IPC call failed"), (-10005, "IPC timeout"), (-1, "?"), SUCCESS])
def test_an_order_that_was_executed_but_not_answered_ends_filled_with_one_position(error: tuple[int, str], desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost(error))
    told = desk.buy()
    assert (told["status"], told["success"]) == ("UNKNOWN", False)
    assert desk.executor.has_open_questions()
    assert desk.executor.settle() == []
    order = desk.order()
    assert (order.status, order.executed_volume, order.executed_price) == (Status.FILLED, 0.1, 1.2001)
    assert (len(desk.positions()), len(desk.terminal.sent)) == (1, 1)
    assert not desk.executor.has_open_questions()


@pytest.mark.parametrize("code", DOUBTFUL)
@pytest.mark.parametrize("executed", [True, False])
def test_an_answer_that_proves_nothing_is_settled_by_evidence(code: int, executed: bool, desk: Desk) -> None:
    desk.terminal.faults.append(executed_as(code) if executed else answered(code))
    assert desk.buy()["status"] == "UNKNOWN"
    desk.wait(40)
    assert desk.status() is (Status.FILLED if executed else Status.ABSENT)
    assert (len(desk.positions()), len(desk.terminal.sent)) == (int(executed), 1)


def test_an_order_that_was_never_delivered_ends_absent_and_is_never_sent_again(desk: Desk) -> None:
    desk.terminal.faults.append(without_answer())
    assert desk.buy()["status"] == "UNKNOWN"
    absent: list[Order] = []
    for _ in range(20):
        absent += desk.executor.settle()
        desk.terminal.clock.sleep(2)
    assert [order.intent.order_id for order in absent] == [BOUGHT]
    assert desk.buy()["status"] == "ABSENT"
    assert (desk.positions(), len(desk.terminal.sent)) == ((), 1)
    assert [severity for severity, _ in desk.events("MISSED_BY_SAFETY")] == ["WARNING"]
    assert [severity for severity, _ in desk.events("ORDER_UNKNOWN")] == ["ERROR"]


def test_absence_is_not_proved_before_half_a_minute_and_three_looks(desk: Desk) -> None:
    desk.terminal.faults.append(without_answer())
    desk.buy()
    for seconds in (31, 2):
        assert desk.executor.settle() == []
        desk.terminal.clock.sleep(seconds)
    assert len(desk.executor.settle()) == 1


@pytest.mark.parametrize("blind", READS)
def test_a_question_that_fails_proves_nothing(blind: str, desk: Desk) -> None:
    desk.terminal.faults.append(without_answer((-10005, "IPC timeout")))
    desk.buy()
    desk.wait(28)
    desk.terminal.blind.add(blind)
    for _ in range(20):
        with pytest.raises(Unreachable):
            desk.executor.settle()
        desk.terminal.clock.sleep(2)
    assert desk.status() is Status.UNKNOWN
    desk.terminal.blind.clear()
    desk.wait(28)
    assert desk.status() is Status.UNKNOWN  # what was seen before the gap does not count
    desk.wait(6)
    assert desk.status() is Status.ABSENT


def test_lists_that_are_empty_for_a_while_prove_nothing(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.terminal.before["order_send"] = lambda: desk.terminal.hidden.update(READS[:4])
    desk.buy()
    desk.wait(20)
    assert desk.status() is Status.UNKNOWN
    desk.terminal.hidden.clear()
    desk.wait(2)
    assert desk.status() is Status.FILLED


def test_a_history_without_the_newest_deal_that_we_know_is_not_loaded_yet(desk: Desk) -> None:
    desk.buy("before")
    desk.sync()
    desk.terminal.faults.append(without_answer())
    desk.buy()
    desk.terminal.hidden.update(("history_deals_get", "history_orders_get"))
    desk.wait(60)
    assert desk.status() is Status.UNKNOWN
    desk.terminal.hidden.clear()
    desk.wait(2)
    assert desk.status() is Status.ABSENT


@pytest.mark.parametrize("seconds", [0, 10, 28])
def test_a_fill_within_the_settle_time_is_found(seconds: int, desk: Desk) -> None:
    desk.terminal.faults.append(late())
    desk.buy()
    desk.wait(seconds)
    desk.terminal.deliver()
    desk.wait(40)
    assert (desk.status(), len(desk.positions())) == (Status.FILLED, 1)


def test_a_fill_after_the_order_was_given_up_is_kept_recorded_and_alarmed(desk: Desk) -> None:
    desk.terminal.faults.append(late())
    desk.buy()
    desk.wait(40)
    assert desk.status() is Status.ABSENT
    desk.terminal.deliver()
    desk.sync()
    assert desk.status() is Status.LATE_FILLED
    assert desk.buy()["success"]
    assert [severity for severity, _ in desk.events("LATE_FILL")] == ["CRITICAL"]
    assert (len(desk.positions()), len(desk.terminal.sent)) == (1, 1)


def test_after_an_answer_was_lost_the_connection_is_made_anew_before_anything_is_believed(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.buy()
    after = len(desk.terminal.calls)
    desk.executor.settle()
    assert desk.terminal.calls[after : after + 3] == ["shutdown", "initialize", "account_info"]


def test_an_order_that_was_being_sent_when_the_trader_died_is_settled_at_the_next_start(desk: Desk) -> None:
    def die(terminal: FaultyTerminal, request: Request) -> None:
        terminal.inner.order_send(request)
        raise KeyboardInterrupt

    desk.terminal.faults.append(die)
    with pytest.raises(KeyboardInterrupt):
        desk.buy()
    desk = reopened(desk)
    assert desk.status() is Status.SUBMITTED
    assert desk.executor.has_open_questions()
    desk.executor.settle()
    assert desk.status() is Status.FILLED
    assert [status for status, _ in desk.moves()] == ["PENDING", "SUBMITTED", "UNKNOWN", "FILLED"]
    desk.record.close()


def test_in_a_simulated_terminal_nothing_is_in_flight_so_one_look_is_enough(desk: Desk) -> None:
    desk.connector.simulated = True
    desk.executor = OrderExecutor(desk.config, desk.connector, record=desk.record, slot=desk.slot)
    desk.terminal.faults.append(without_answer())
    desk.buy()
    assert [order.status for order in desk.executor.settle()] == [Status.ABSENT]


# evidence of several kinds


def test_a_partial_fill_is_taken_as_it_is_and_the_rest_is_not_chased(desk: Desk) -> None:
    desk.terminal.faults.append(executed_as(DONE_PARTIAL, volume=0.04))
    told = desk.buy()
    assert (told["status"], told["volume"], told["message"]) == ("FILLED", 0.04, "filled 0.04 of 0.1 lots; the rest is not chased")
    assert len(desk.terminal.sent) == 1


def test_a_partial_fill_whose_answer_was_lost_is_not_taken_for_absent(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost(volume=0.04))
    desk.buy()
    desk.wait(40)
    order = desk.order()
    assert (order.status, order.executed_volume) == (Status.FILLED, 0.04)


def test_an_order_that_is_shown_without_its_deals_is_not_taken_for_absent(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.terminal.before["order_send"] = lambda: desk.terminal.hidden.add("history_deals_get")
    desk.buy()
    desk.wait(60)
    assert desk.status() is Status.PLACED
    desk.terminal.hidden.clear()
    desk.wait(2)
    assert desk.status() is Status.FILLED


def test_placed_is_an_acknowledgement_and_the_fill_comes_from_the_deals(desk: Desk) -> None:
    desk.terminal.faults.append(executed_as(PLACED))
    assert desk.buy()["status"] == "FILLED"


def test_placed_without_a_ticket_is_unknown_until_it_is_seen(desk: Desk) -> None:
    desk.terminal.faults.append(executed_as(PLACED, ticketed=False))
    assert desk.buy()["status"] == "UNKNOWN"
    desk.executor.settle()
    assert desk.status() is Status.FILLED


@pytest.mark.parametrize("code", [10008, 10009, 10010])
def test_an_acknowledged_entry_that_leaves_no_trace_is_unknown_and_then_left_to_a_person(code: int, desk: Desk) -> None:
    desk.terminal.faults.append(lambda terminal, request: terminal.result(request, code, order=59_999_999))
    assert desk.buy()["status"] == "UNKNOWN"
    assert "the terminal shows nothing of it" in desk.order().message  # type: ignore[operator]
    desk.wait(40)
    assert desk.status() is Status.UNRESOLVED
    assert "acknowledged it as order 59999999, and shows nothing of it: a person must look" in desk.order().message  # type: ignore[operator]
    assert "unknown outcome: 1" in desk.denial(desk.sync())
    assert not desk.executor.has_open_questions()


def test_an_acknowledged_close_that_leaves_no_trace_did_not_happen(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    desk.terminal.faults.append(lambda terminal, request: terminal.result(request, 10009, order=59_999_999))
    desk.close(position)
    desk.wait(40)
    assert desk.status("close") is Status.ABSENT


def test_an_order_whose_deals_cannot_be_read_yet_is_looked_at_again(desk: Desk) -> None:
    desk.terminal.before["order_send"] = lambda: desk.terminal.blind.add("history_deals_get")
    told = desk.buy()
    assert (told["status"], told["retcode"]) == ("UNKNOWN", 10009)
    desk.terminal.blind.clear()
    desk.executor.settle()
    assert desk.status() is Status.FILLED


def test_an_order_that_vanishes_after_it_was_seen_is_unknown_again(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.terminal.before["order_send"] = lambda: desk.terminal.hidden.add("history_deals_get")
    desk.buy()
    desk.executor.settle()
    assert desk.status() is Status.PLACED
    desk.terminal.hidden.update(READS[:4])
    desk.executor.settle()
    assert desk.status() is Status.UNKNOWN
    desk.terminal.hidden.clear()
    desk.executor.settle()
    assert desk.status() is Status.FILLED


@pytest.mark.parametrize("comment", ["{0}", "{0}[x]", "#7 {0}", "{0:.8}", "{0:.12}"])
def test_an_order_is_known_by_its_key_whatever_the_server_makes_of_the_comment(comment: str, desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost(comment=comment.format(order_key(BOUGHT)).upper()))
    desk.buy()
    desk.executor.settle()
    assert desk.status() is Status.FILLED


def test_an_order_without_a_comment_is_known_by_its_fingerprint(desk: Desk) -> None:
    desk.buy("before")
    desk.terminal.faults.append(answer_lost(comment=""))
    desk.buy()
    desk.executor.settle()
    assert (desk.status(), desk.order().ticket) == (Status.FILLED, desk.positions()[-1].ticket)


def test_an_order_that_belongs_to_another_decision_is_not_taken_for_this_one(desk: Desk) -> None:
    desk.terminal.faults.extend([without_answer(), executed_as(10009, comment="")])
    desk.buy()
    assert desk.buy("another")["status"] == "FILLED"
    desk.wait(40)
    assert desk.status() is Status.ABSENT


def test_two_orders_with_the_same_fingerprint_need_a_person(desk: Desk) -> None:
    def twice(terminal: FaultyTerminal, request: Request) -> None:
        terminal.inner.order_send(request | {"comment": ""})
        answer_lost(comment="")(terminal, request)

    desk.terminal.faults.append(twice)
    desk.buy()
    desk.wait(60)
    assert desk.status() is Status.UNRESOLVED
    assert [severity for severity, _ in desk.events("UNRESOLVED")] == ["CRITICAL"]


def test_an_order_with_the_fingerprint_and_other_levels_needs_a_person(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost(comment="", tp=1.3))
    desk.buy()
    desk.wait(60)
    assert desk.status() is Status.UNRESOLVED
    [(severity, text)] = desk.events("UNRESOLVED")
    assert severity == "CRITICAL"
    assert "has other levels than were asked for" in text


@pytest.mark.parametrize(
    "other",
    [{"magic": 7}, {"type": 1}, {"volume": 0.2}, {"comment": order_key("another")}],
    ids=["another magic", "another side", "larger", "another key"],
)
def test_an_order_of_somebody_else_is_not_taken_for_ours(other: dict[str, Any], desk: Desk) -> None:
    def instead(terminal: FaultyTerminal, request: Request) -> None:
        answer_lost(**({"comment": ""} | other))(terminal, request)

    desk.terminal.faults.append(instead)
    desk.buy()
    desk.wait(40)
    assert desk.status() is Status.ABSENT
