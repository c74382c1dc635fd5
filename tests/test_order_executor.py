import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Live.errors import AnotherInstance, KillSwitch, Unreachable, WrongAccount
from Live.model import Order, Quote, Status, order_key
from Live.order_executor import OrderExecutor
from Live.order_requests import Levels, close_request
from Live.outcomes import RETCODES, Outcome, Retry, verdict_of
from tests.desks import BOUGHT, INSTANT_EXECUTION, Desk, opened, reopened
from tests.faulty_terminal import (
    DONE_PARTIAL,
    PLACED,
    RECV_FAILED,
    SEND_FAILED,
    Fault,
    FaultyTerminal,
    Request,
    answer_lost,
    answered,
    executed_as,
    late,
    without_answer,
)

SUCCESS = (1, "Success")
REQUOTE, PRICE_CHANGED, PRICE_OFF, TOO_MANY, INVALID_FILL = 10004, 10020, 10021, 10024, 10030
PERMANENT = [
    code for code in RETCODES if verdict_of(code, SUCCESS).outcome is Outcome.REFUSED and verdict_of(code, SUCCESS).retry is Retry.NO
]
DOUBTFUL = [code for code in RETCODES if verdict_of(code, SUCCESS).outcome is Outcome.UNKNOWN] + [10099, 0, -1]
READS = ["orders_get", "history_orders_get", "history_deals_get", "positions_get", "terminal_info", "account_info"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


# the usual way


def test_an_order_that_is_executed_is_filled_and_carries_its_key_and_magic(desk: Desk) -> None:
    told = desk.buy()
    (position,) = desk.positions()
    assert told == {
        "success": True,
        "client_order_id": BOUGHT,
        "status": "FILLED",
        "mt5_order_id": position.ticket,
        "message": "10009 DONE: the request was executed",
        "retcode": 10009,
        "price": 1.2001,
        "volume": 0.1,
        "attempts": 1,
    }
    assert (position.comment, position.magic) == (order_key(BOUGHT), desk.config.magic_number)
    assert [status for status, _ in desk.moves()] == ["PENDING", "SUBMITTED", "PLACED", "FILLED"]


def test_an_order_check_that_answers_0_is_good(desk: Desk) -> None:
    assert desk.terminal.inner.order_check(desk.bid()).retcode == 0
    assert desk.buy()["success"]


@pytest.mark.parametrize("code", PERMANENT)
def test_an_order_check_that_refuses_sends_nothing(code: int, desk: Desk) -> None:
    desk.terminal.checks.append(code)
    told = desk.buy()
    assert (told["status"], told["success"], told["attempts"]) == ("FAILED", False, 0)
    assert told["message"].startswith(f"order_check: {code} ")
    assert desk.terminal.sent == []


def test_an_order_check_that_answers_like_an_order_send_is_not_good(desk: Desk) -> None:
    desk.terminal.checks.append(10009)
    assert (desk.buy()["status"], desk.terminal.sent) == ("FAILED", [])


def test_an_order_check_without_an_answer_sends_nothing_and_the_order_can_be_carried_out_later(desk: Desk) -> None:
    desk.terminal.blind.add("order_check")
    with pytest.raises(Unreachable, match="order_check failed"):
        desk.buy()
    assert (desk.status(), desk.terminal.sent) == (Status.PENDING, [])
    desk.terminal.blind.clear()
    assert desk.buy()["status"] == "FILLED"


def test_a_gate_that_forbids_an_order_says_why_and_nothing_is_sent(desk: Desk) -> None:
    told = desk.buy(gate=lambda quote: f"not at {quote.ask}")
    assert (told["status"], told["message"], desk.terminal.sent) == ("DENIED", "not at 1.2001", [])


def test_a_close_names_its_position_and_a_part_of_it_stays(desk: Desk) -> None:
    desk.buy(lots=0.3)
    (position,) = desk.connector.positions()
    assert desk.close(position, lots=0.1)["status"] == "FILLED"
    (left,) = desk.connector.positions()
    assert (left.ticket, left.lots) == (position.ticket, 0.2)
    assert [desk.order(name).intent.kind.value for name in (BOUGHT, "close")] == ["ENTRY", "PARTIAL"]


# once


def test_the_same_id_twice_sends_once(desk: Desk) -> None:
    first = desk.buy()
    assert desk.buy(lots=0.5) == first
    assert len(desk.positions()) == len(desk.terminal.sent) == 1


def test_the_same_id_twice_sends_once_also_after_a_restart(desk: Desk) -> None:
    first = desk.buy()
    desk = reopened(desk)
    assert desk.buy() == first
    assert len(desk.positions()) == len(desk.terminal.sent) == 1
    desk.record.close()


def test_an_order_that_is_at_the_broker_already_is_adopted_and_not_sent(desk: Desk) -> None:
    twin = desk.bid() | {"comment": order_key(BOUGHT), "magic": desk.config.magic_number}
    desk.terminal.inner.order_send(twin)
    told = desk.buy()
    assert (told["status"], told["volume"], desk.terminal.sent) == ("FILLED", 0.1, [])
    assert desk.events("ADOPTED")[0][0] == "WARNING"
    assert len(desk.positions()) == 1


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


# what is tried again


@pytest.mark.parametrize("code", [REQUOTE, PRICE_CHANGED, PRICE_OFF])
def test_a_storm_of_requotes_ends_at_max_retry_attempts(code: int, tmp_path: Path) -> None:
    desk = opened(tmp_path, max_retry_attempts=3)
    desk.terminal.faults.extend([answered(code)] * 9)
    told = desk.buy()
    assert (told["status"], told["attempts"], told["retcode"]) == ("FAILED", 3, code)
    assert len(desk.terminal.sent) == 3
    desk.record.close()


def test_a_requote_is_answered_with_a_fresh_quote_and_a_fresh_check(desk: Desk) -> None:
    desk.terminal.faults.append(answered(REQUOTE, points=30))
    assert desk.buy()["status"] == "FILLED"
    assert [request["price"] for request in desk.terminal.sent] == [1.2001, pytest.approx(1.2004)]
    assert desk.terminal.calls.count("order_check") == 2
    assert [status for status, _ in desk.moves()] == ["PENDING", "SUBMITTED", "SUBMITTED", "PLACED", "FILLED"]
    assert desk.moves()[2][1]["refused"]["answer"]["retcode"] == REQUOTE  # every answer is on record


def test_requotes_cannot_walk_away_from_the_decision(tmp_path: Path) -> None:
    desk = opened(tmp_path, price_collar_pct=0.1, max_retry_attempts=10)
    desk.terminal.faults.extend([answered(REQUOTE, points=40)] * 9)
    told = desk.buy()
    assert told["status"] == "FAILED"
    assert "10004 REQUOTE" in told["message"]
    assert "PRICE_COLLAR_PCT allows 0.1" in told["message"]
    assert max(request["price"] for request in desk.terminal.sent) <= 1.2001 * 1.001
    assert len(desk.terminal.sent) == 4
    desk.record.close()


def test_the_collar_counts_from_the_price_that_was_decided_on(desk: Desk) -> None:
    request = desk.bid()
    desk.terminal.points = 2_000
    told = desk.executor.execute_order(request, BOUGHT)
    assert (told["status"], desk.terminal.sent) == ("DENIED", [])
    assert told["message"].startswith("the price has moved 1.67 %")


def test_an_exit_is_not_held_back_by_the_collar(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    request = close_request(position, position.lots, desk.market(), desk.label())
    desk.terminal.points = -5_000
    assert desk.executor.execute_order(request, "close")["status"] == "FILLED"


def test_too_many_requests_are_answered_with_patience_that_doubles(desk: Desk) -> None:
    times = []
    desk.terminal.before["order_send"] = lambda: times.append(desk.terminal.clock.now())
    desk.terminal.faults.extend([answered(TOO_MANY)] * 2)
    assert desk.buy()["status"] == "FILLED"
    assert [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)] == [2.0, 4.0]


def test_nothing_is_tried_again_after_half_a_minute(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.config = desk.config.model_copy(update={"retry_backoff_base": 31.0})
    desk.executor = OrderExecutor(desk.config, desk.connector, record=desk.record, slot=desk.slot)
    desk.terminal.faults.append(answered(TOO_MANY))
    assert (desk.buy()["status"], len(desk.terminal.sent)) == ("FAILED", 1)
    desk.record.close()


def test_an_unsupported_filling_mode_is_changed_once(desk: Desk) -> None:
    desk.terminal.faults.append(answered(INVALID_FILL))
    assert desk.buy()["status"] == "FILLED"
    desk.terminal.faults.extend([answered(INVALID_FILL)] * 9)
    assert desk.buy("another")["status"] == "FAILED"
    assert [request["type_filling"] for request in desk.terminal.sent] == [0, 1, 0, 1]


def test_a_third_filling_mode_is_not_tried(tmp_path: Path) -> None:
    desk = opened(tmp_path, execution=INSTANT_EXECUTION)
    desk.terminal.faults.extend([answered(INVALID_FILL)] * 2)
    assert desk.buy()["status"] == "FAILED"
    assert [request["type_filling"] for request in desk.terminal.sent] == [0, 1]
    desk.record.close()


def test_a_filling_mode_that_the_check_refuses_is_changed_before_anything_is_sent(desk: Desk) -> None:
    desk.terminal.checks.append(INVALID_FILL)
    assert desk.buy()["status"] == "FILLED"
    assert [request["type_filling"] for request in desk.terminal.sent] == [1]


@pytest.mark.parametrize("code", PERMANENT)
def test_a_permanent_refusal_ends_an_order_at_once(code: int, desk: Desk) -> None:
    desk.terminal.faults.extend([answered(code)] * 3)
    told = desk.buy()
    assert (told["status"], told["retcode"], told["attempts"]) == ("FAILED", code, 1)
    assert desk.order().message == f"{code} {RETCODES[code][0]}: {RETCODES[code][1]}"
    assert len(desk.terminal.sent) == 1


def test_without_retries_a_requote_is_final(desk: Desk) -> None:
    desk.terminal.faults.append(answered(REQUOTE))
    assert (desk.buy(allow_retry=False)["status"], len(desk.terminal.sent)) == ("FAILED", 1)


def test_limits_are_asked_again_before_each_attempt(desk: Desk) -> None:
    desk.terminal.faults.append(answered(REQUOTE))
    told = desk.buy(gate=lambda _: "the day's limit is reached" if desk.terminal.sent else None)
    assert (told["status"], len(desk.terminal.sent)) == ("FAILED", 1)
    assert told["message"].endswith("not tried again: the day's limit is reached")


def test_a_terminal_that_is_lost_between_two_attempts_leaves_the_first_answer(desk: Desk) -> None:
    desk.terminal.faults.append(answered(REQUOTE))
    desk.terminal.before["order_send"] = lambda: desk.terminal.blind.add("account_info")
    with pytest.raises(Unreachable):
        desk.buy()
    assert (desk.status(), desk.order().retcode) == (Status.FAILED, REQUOTE)


@pytest.mark.parametrize("error", [(-2, 'Invalid "comment" argument'), (-8, "Auto-Trading using Python API disabled")])
def test_what_never_left_this_machine_is_a_failure_and_not_a_question(error: tuple[int, str], desk: Desk) -> None:
    desk.terminal.faults.append(without_answer(error))
    told = desk.buy()
    assert (told["status"], told["message"]) == ("FAILED", f"not sent: {error[1]} ({error[0]})")


NO_CONNECTION = (-10004, "No IPC connection")


def terminal_died(terminal: FaultyTerminal, _: Request) -> None:
    """It is gone before the order reaches it."""
    terminal.inner.shutdown()
    terminal.error = NO_CONNECTION


def test_an_order_that_found_no_terminal_is_sent_under_its_id_once_the_terminal_is_back(desk: Desk) -> None:
    desk.terminal.faults.append(terminal_died)
    seen = list[Quote]()
    told = desk.buy(gate=seen.append)
    assert (told["status"], told["attempts"], len(desk.positions()), len(seen)) == ("FILLED", 2, 1, 2)
    first = desk.terminal.calls.index("order_send")
    between = desk.terminal.calls[first + 1 : desk.terminal.calls.index("order_send", first + 1)]
    proved = ["initialize", "account_info", "symbol_info_tick", "order_check", "history_orders_get"]
    assert [name for name in dict.fromkeys(between[between.index("initialize") :]) if name in proved] == proved


def test_a_terminal_that_does_not_come_back_in_time_leaves_a_failure(desk: Desk) -> None:
    def gone(terminal: FaultyTerminal, request: Request) -> None:
        terminal.blind |= {"initialize", "terminal_info"}
        terminal_died(terminal, request)

    began = desk.terminal.clock.now()
    desk.terminal.faults.append(gone)
    told = desk.buy()
    assert (told["status"], told["message"], told["attempts"]) == ("FAILED", "not sent: No IPC connection (-10004)", 1)
    assert (desk.terminal.clock.now() - began).total_seconds() <= 30
    assert 2 <= desk.terminal.calls.count("initialize") - 1 <= 5


def test_a_terminal_that_is_lost_at_each_send_is_not_tried_for_ever(desk: Desk) -> None:
    desk.terminal.faults.extend([terminal_died] * 10)
    told = desk.buy()
    assert (told["status"], told["attempts"]) == ("FAILED", desk.config.max_retry_attempts)
    desk.terminal.inner.initialize()
    assert desk.positions() == ()


def test_limits_are_asked_again_once_a_terminal_is_back(desk: Desk) -> None:
    desk.terminal.faults.append(terminal_died)
    answers = iter([None, "too late now"])
    told = desk.buy(gate=lambda _: next(answers))
    assert (told["status"], len(desk.terminal.sent)) == ("FAILED", 1)
    assert told["message"] == "not sent: No IPC connection (-10004); not tried again: too late now"


def test_a_terminal_that_comes_back_on_another_account_gets_no_order(desk: Desk) -> None:
    def another(terminal: FaultyTerminal, request: Request) -> None:
        terminal_died(terminal, request)
        other = type(account)(tuple((account._asdict() | {"login": 4711}).values()))
        terminal.inner.account_info = lambda: other  # type: ignore[method-assign]

    account = desk.terminal.inner.account_info()
    desk.terminal.faults.append(another)
    with pytest.raises(WrongAccount):
        desk.buy()
    assert (desk.status(), len(desk.terminal.sent)) == (Status.FAILED, 1)


# levels that the broker does not take


INVALID_STOPS = 10016


def test_refused_levels_of_an_entry_are_asked_for_once_more_at_a_fresh_quote(desk: Desk) -> None:
    desk.terminal.faults.extend([answered(INVALID_STOPS), answered(INVALID_STOPS)])
    told = desk.executor.execute_order(desk.bid(levels=Levels(sl=1.19, tp=1.21)), BOUGHT)
    assert (told["status"], told["attempts"], told["retcode"]) == ("FAILED", 2, INVALID_STOPS)
    assert [(sent["sl"], sent["tp"]) for sent in desk.terminal.sent] == [(1.19, 1.21)] * 2
    assert desk.events("STOPS_MOVED") == []


def test_the_stop_loss_of_an_entry_is_never_moved_to_a_larger_loss(desk: Desk) -> None:
    desk.terminal.faults.append(answered(INVALID_STOPS, points=-1_100))  # the market falls through the stop
    told = desk.executor.execute_order(desk.bid(levels=Levels(sl=1.19)), BOUGHT)
    assert (told["status"], told["attempts"], told["retcode"]) == ("FAILED", 1, INVALID_STOPS)


def test_a_stop_loss_that_follows_the_market_too_closely_moves_towards_its_entry(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    desk.terminal.points = 500
    desk.terminal.checks.extend([0, 0])  # the wrapped terminal knows nothing of the moved quotes
    desk.terminal.faults.extend([answered(INVALID_STOPS, points=-300), answered(10009)])  # from 1.2050 to 1.2020
    assert desk.protect(position, 1.204)["status"] == "FILLED"
    assert desk.terminal.sent[-1]["sl"] == pytest.approx(1.20199)
    assert desk.events("STOPS_MOVED") == [("WARNING", "EURUSD: the broker takes no level so near to the market: sl 1.204 → 1.20199")]


def test_a_stop_loss_that_would_have_to_pass_its_entry_stays_as_it_is(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    desk.terminal.checks.append(0)
    desk.terminal.faults.append(answered(INVALID_STOPS, points=-600))
    told = desk.protect(position, 1.199)
    assert (told["status"], told["attempts"]) == ("FAILED", 1)


@pytest.mark.parametrize("raised", [TypeError, SystemError])
def test_an_argument_that_cannot_be_converted_was_not_sent(raised: type[Exception], desk: Desk) -> None:
    def fault(terminal: FaultyTerminal, request: Request) -> None:
        raise raised("an argument")

    desk.terminal.faults.append(fault)
    assert desk.buy()["status"] == "FAILED"


# the stop file


def test_a_stop_file_that_is_there_stops_the_send_and_the_intent_waits(desk: Desk) -> None:
    desk.config.kill_switch_file.with_suffix(".txt").touch()
    with pytest.raises(KillSwitch, match="nothing more is sent"):
        desk.buy()
    assert (desk.status(), desk.terminal.sent) == (Status.PENDING, [])


def test_a_stop_file_that_appears_just_before_the_send_stops_it(desk: Desk) -> None:
    class LastMoment(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("DRY_RUN: Would send order {action: 1, symbol: EURUSD"):
                desk.config.kill_switch_file.touch()

    handler, logger = LastMoment(), logging.getLogger("LiveTrader")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KillSwitch, match="appeared just before the send; nothing was sent"):
            desk.buy()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert (desk.status(), desk.terminal.sent) == (Status.CANCELLED, [])


def test_a_stop_file_ends_the_patience_between_two_attempts(desk: Desk) -> None:
    desk.terminal.faults.append(answered(TOO_MANY))
    desk.terminal.before["order_send"] = desk.config.kill_switch_file.touch
    with pytest.raises(KillSwitch):
        desk.buy()
    assert (desk.status(), len(desk.terminal.sent)) == (Status.FAILED, 1)


# the account


def test_nothing_is_sent_to_another_account(desk: Desk) -> None:
    desk.terminal.inner.login(7_654_321)
    with pytest.raises(WrongAccount, match="has changed from account"):
        desk.buy()
    assert (desk.status(), desk.terminal.sent) == (Status.PENDING, [])


def test_what_another_account_shows_proves_nothing(desk: Desk) -> None:
    desk.terminal.faults.append(without_answer((-10005, "IPC timeout")))
    desk.buy()
    desk.terminal.inner.login(7_654_321)
    with pytest.raises(WrongAccount):
        desk.executor.settle()
    assert desk.status() is Status.UNKNOWN


# closes and stops


def test_a_close_whose_answer_was_lost_is_found_by_its_deal(desk: Desk) -> None:
    desk.buy()
    desk.terminal.faults.append(answer_lost())
    desk.close(desk.connector.positions()[0])
    desk.executor.settle()
    assert (desk.status("close"), desk.positions(), len(desk.deals())) == (Status.FILLED, (), 2)


def test_a_close_of_a_position_that_is_gone_is_cancelled_and_not_a_failure(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    desk.close(position, "by hand")
    told = desk.close(position)
    assert (told["status"], told["retcode"]) == ("CANCELLED", 10036)


def test_a_refused_close_whose_position_cannot_be_looked_up_is_a_failure(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    request = close_request(position, position.lots, desk.market(), desk.label())
    desk.terminal.faults.append(answered(10013))
    desk.terminal.before["order_send"] = lambda: desk.terminal.blind.add("positions_get")
    assert desk.executor.execute_order(request, "close")["status"] == "FAILED"


def test_a_stops_deal_with_the_comment_of_the_entry_is_not_the_entrys_fill(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.buy()
    (position,) = desk.positions()
    closing = {"action": 1, "symbol": "EURUSD", "type": 1, "volume": 0.1, "position": position.ticket, "comment": order_key(BOUGHT)}
    desk.terminal.inner.order_send(closing)
    desk.executor.settle()
    order = desk.order()
    assert (order.status, order.executed_volume, order.executed_price) == (Status.FILLED, 0.1, 1.2001)


def test_levels_are_set_once_and_the_same_again_changes_nothing(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    assert desk.protect(position, 1.1)["status"] == "FILLED"
    assert desk.protect(position, 1.1, "again")["status"] in ("FILLED", "FAILED")
    assert desk.connector.positions()[0].sl == 1.1


def test_levels_whose_answer_was_lost_are_read_from_the_position(desk: Desk) -> None:
    desk.buy()
    desk.terminal.faults.append(answer_lost())
    desk.protect(desk.connector.positions()[0], 1.1)
    desk.executor.settle()
    assert desk.status("protect") is Status.FILLED


def test_levels_that_never_arrived_are_absent(desk: Desk) -> None:
    desk.buy()
    desk.terminal.faults.append(without_answer())
    desk.protect(desk.connector.positions()[0], 1.1)
    desk.wait(40)
    assert desk.status("protect") is Status.ABSENT


def test_levels_of_a_position_that_is_gone_are_cancelled(desk: Desk) -> None:
    desk.buy()
    (position,) = desk.connector.positions()
    desk.terminal.faults.append(without_answer())
    desk.protect(position, 1.1)
    desk.close(position)
    desk.executor.settle()
    assert desk.status("protect") is Status.CANCELLED


# the seed's interface


def test_the_status_and_the_summary_are_read_from_the_record_also_after_a_restart(desk: Desk) -> None:
    desk.buy()
    desk.terminal.faults.append(answered(10019))
    desk.buy("too dear")
    desk.buy("not now", gate=lambda _: "no")
    before = (desk.executor.get_order_status(BOUGHT), desk.executor.get_execution_summary())
    desk = reopened(desk)
    status = desk.executor.get_order_status(BOUGHT)
    assert (status, desk.executor.get_execution_summary()) == before
    assert (status["status"], status["details"]["mt5_order_id"]) == ("FILLED", desk.positions()[0].ticket)
    assert before[1] == {"total_orders": 3, "executed": 1, "failed": 1, "success_rate": 50.0}
    assert desk.executor.get_order_status("never used") == {"status": "NOT_FOUND", "details": {}}
    desk.record.close()


def test_an_executor_alone_keeps_a_record_of_its_own_and_is_its_only_writer(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.record.close()
    alone = OrderExecutor(desk.config, desk.connector)
    result = alone.execute_order(order_request=desk.bid(), client_order_id="unique_id", allow_retry=True)
    assert {"success", "mt5_order_id", "message"} <= result.keys()
    assert result["success"] is True
    assert alone.get_execution_summary() == {"total_orders": 1, "executed": 1, "failed": 0, "success_rate": 100.0}
    with pytest.raises(AnotherInstance):
        OrderExecutor(desk.config, desk.connector)
    alone.close()
    again = OrderExecutor(desk.config, desk.connector)
    assert again.get_order_status("unique_id")["status"] == "FILLED"
    again.close()


def test_nothing_has_been_sent_yet(desk: Desk) -> None:
    assert desk.executor.get_execution_summary() == {"total_orders": 0, "executed": 0, "failed": 0, "success_rate": 0.0}
    assert desk.executor.settle() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"action": 7}, "an order request with action=7 cannot be carried out: want 1"),
        ({"action": None}, "action=None"),
        ({"volume": None, "price": None}, "the order request has no volume, price: it has action, symbol"),
        ({"action": 6}, "the order request has no position"),
    ],
)
def test_a_request_that_is_not_complete_is_refused_before_anything_is_recorded(change: dict[str, Any], sentence: str, desk: Desk) -> None:
    with pytest.raises(ValueError, match=sentence):
        desk.executor.execute_order(desk.bid() | change, BOUGHT)
    assert desk.executor.get_order_status(BOUGHT)["status"] == "NOT_FOUND"


def test_a_request_off_the_grid_is_denied_and_not_sent(desk: Desk) -> None:
    told = desk.executor.execute_order(desk.bid() | {"volume": 0.123}, BOUGHT)
    assert (told["status"], desk.terminal.sent) == ("DENIED", [])
    assert "0.123 lots is off the 0.01 lot step" in told["message"]


# any order of misfortunes

MISFORTUNES = st.one_of(
    st.sampled_from([answer_lost(), answer_lost(comment=""), answer_lost(volume=0.05), without_answer(), late(), executed_as(PLACED)]),
    st.sampled_from([*RETCODES, 10099]).map(answered),
    st.sampled_from([*RETCODES, 10099]).filter(lambda code: verdict_of(code, SUCCESS).outcome is not Outcome.REFUSED).map(executed_as),
)


@given(faults=st.lists(MISFORTUNES, max_size=4), delivered_after=st.integers(0, 60), blind=st.sampled_from([None, *READS]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_one_decision_makes_one_order_at_most_and_the_record_knows(
    faults: list[Fault], delivered_after: int, blind: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk = opened(tmp_path_factory.mktemp("desk"))
    desk.terminal.faults.extend(faults)
    desk.buy()
    for second in range(0, 120, 2):
        if second >= delivered_after:
            desk.terminal.deliver()
        desk.terminal.blind = {blind} if blind and second < 10 else set()
        try:
            desk.executor.settle()
            desk.sync()
        except Unreachable:
            assert desk.terminal.blind
        desk.terminal.clock.sleep(2)
    status, deals = desk.status(), desk.deals()
    assert len(deals) <= 1
    assert (status in (Status.FILLED, Status.LATE_FILLED)) == bool(deals)
    assert status in (Status.FILLED, Status.LATE_FILLED, Status.FAILED, Status.ABSENT)
    desk.record.close()


def test_the_quote_that_the_gate_sees_is_the_one_that_is_sent(desk: Desk) -> None:
    seen: list[Quote] = []
    desk.buy(gate=seen.append)
    assert [quote.ask for quote in seen] == [request["price"] for request in desk.terminal.sent]
