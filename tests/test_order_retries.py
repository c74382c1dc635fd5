import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.errors import Unreachable, WrongAccount
from Live.model import Quote, Status, order_key
from Live.order_executor import OrderExecutor
from Live.order_requests import Levels, close_request
from Live.outcomes import RETCODES
from tests.desks import BOUGHT, INSTANT_EXECUTION, PERMANENT, TOO_MANY, Desk, opened
from tests.faulty_terminal import (
    FaultyTerminal,
    Request,
    answer_lost,
    answered,
    without_answer,
)

REQUOTE, PRICE_CHANGED, PRICE_OFF, INVALID_FILL = 10004, 10020, 10021, 10030


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


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
