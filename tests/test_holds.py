"""What keeps entries back until it is over, or a person has looked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.holds import EVERYWHERE, Holds
from tests.desks import Desk, opened, reopened
from tests.faulty_terminal import answered, executed_as, without_answer

API_OFF = (-8, "Auto-Trading using Python API disabled")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def holds_of(desk: Desk) -> Holds:
    return Holds(desk.record, desk.slot, desk.terminal.clock)


def test_a_hold_is_told_once_and_lasts_over_a_restart_until_it_is_lifted(desk: Desk) -> None:
    for _ in range(3):
        holds_of(desk).put("a name", "EURUSD", "why", ticket=7)
    desk = reopened(desk)
    assert [(hold.name, hold.symbol, hold.sentence) for hold in holds_of(desk).open] == [("a name", "EURUSD", "why")]
    assert desk.events("HOLD") == [("CRITICAL", "why")]
    holds_of(desk).lift("a name", "it is over")
    holds_of(desk).lift("a name", "it is over")
    assert (holds_of(desk).open, desk.events("HOLD_OVER")) == ((), [("INFO", "a name: it is over")])
    holds_of(desk).put("a name", "EURUSD", "why")  # it may come again
    assert len(holds_of(desk).open) == 1
    desk.record.close()


def test_what_a_person_has_released_is_not_put_again(desk: Desk) -> None:
    holds_of(desk).put("a name", "EURUSD", "why")
    assert holds_of(desk).release("a name")
    holds_of(desk).put("a name", "EURUSD", "why")
    assert holds_of(desk).open == ()
    assert not holds_of(desk).release("a name")
    assert [severity for severity, _ in desk.events("HOLD_RELEASED")] == ["WARNING"]


def test_a_hold_is_on_its_symbol_or_on_all_of_them(desk: Desk) -> None:
    holds = holds_of(desk)
    holds.put("one", "EURUSD", "why")
    assert [hold.name for hold in holds.on("EURUSD")] == ["one"]
    assert holds.on("GBPUSD") == ()
    holds.put("all", EVERYWHERE, "why")
    assert [hold.name for hold in holds.on("GBPUSD")] == ["all"]


@pytest.mark.parametrize("code", [10026, 10027, -8, 10017])
def test_an_answer_that_programs_may_not_trade_keeps_entries_back_until_an_order_is_accepted(code: int, desk: Desk) -> None:
    desk.buy("before")
    (position,) = desk.connector.positions()
    desk.terminal.faults.append(without_answer(API_OFF) if code == -8 else answered(code))
    assert desk.buy()["status"] == "FAILED"
    state = desk.sync()
    assert "until one is accepted, or a person has looked" in desk.denial(state)
    assert [severity for severity, _ in desk.events("TRADING_OFF")] == ["CRITICAL"]
    assert (len(state.holds.on("GBPUSD")) == 0) is (code == 10017)  # of one symbol
    assert desk.close(position)["status"] == "FILLED"  # exits are tried
    assert desk.denial(desk.sync()) == ""


@pytest.mark.parametrize("executed", [True, False])
def test_an_answer_that_nobody_has_read_keeps_entries_back_until_a_person_has_looked(executed: bool, desk: Desk) -> None:
    desk.terminal.faults.append(executed_as(10099) if executed else answered(10099))
    assert desk.buy()["status"] == "UNKNOWN"
    desk.wait(40)
    (position,) = desk.connector.positions() or (None,)
    assert position is None or desk.close(position)["status"] == "FILLED"
    state = desk.sync()
    assert "an order was answered with 10099, which is no documented return code" in desk.denial(state)
    assert [severity for severity, _ in desk.events("CONTRACT_BROKEN")] == ["CRITICAL"]
    assert state.holds.release("answer 10099")
    assert desk.denial(state) == ""


def test_an_answer_of_another_shape_than_is_known_is_unknown_and_on_record(desk: Desk) -> None:
    class Renamed:
        def __repr__(self) -> str:
            return "a result with other fields"

    desk.terminal.faults.append(lambda *_: Renamed())
    assert desk.buy()["status"] == "UNKNOWN"
    assert desk.moves()[-1][1]["answer"] == {"unreadable": "a result with other fields"}
    assert len(desk.events("CONTRACT_BROKEN")) == 1
