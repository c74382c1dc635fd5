import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Live.errors import AnotherInstance, KillSwitch, Unreachable, WrongAccount
from Live.model import Quote, Status, order_key
from Live.order_executor import OrderExecutor
from Live.outcomes import RETCODES, Outcome, verdict_of
from tests.desks import BOUGHT, PERMANENT, READS, SUCCESS, TOO_MANY, Desk, opened, reopened
from tests.faulty_terminal import (
    PLACED,
    Fault,
    answer_lost,
    answered,
    executed_as,
    late,
    without_answer,
)


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
