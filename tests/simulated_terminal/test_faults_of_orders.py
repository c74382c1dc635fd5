"""What a client sees of each fault of order_send and order_check, and what the broker's truth is."""

import pytest

from Backtest.simulated_terminal import MarketEnded
from Backtest.simulated_terminal.faults import FaultyTerminal, NthCall, Planned, Schedule
from tests.simulated_terminal.faulty import FIRST_SEND, FROM_THE_START, counted, faulty, held, traded, with_faults
from tests.simulated_terminal.terminals import ALL, close, deal, protect

# no answer


@pytest.mark.parametrize("error", [-10002, -10000, -10005, -1])
def test_an_answer_that_is_lost_is_none_with_an_error_and_the_order_is_executed(error: int) -> None:
    terminal = faulty("answer_lost", error=error)
    assert terminal.order_send(deal()) is None
    assert terminal.last_error()[0] == error
    assert held(terminal) == held(terminal.inner) == [0.1]
    assert terminal.last_error() == (1, "Success")
    (entry,) = terminal.log.entries
    assert (entry.function, entry.number, entry.fault, entry.happened[:8]) == ("order_send", 1, "answer_lost", "executed")


def test_an_order_that_is_not_delivered_leaves_no_trace() -> None:
    terminal = faulty("not_delivered")
    assert terminal.order_send(deal()) is None
    assert terminal.last_error() == (-10001, "IPC send failed")
    assert held(terminal.inner) == []
    assert terminal.order_send(deal()).retcode == 10009


@pytest.mark.parametrize("seconds", [0.5, 45.0, 3600.0])
def test_an_order_that_is_late_is_executed_when_its_time_has_come(seconds: float) -> None:
    terminal = faulty("executed_late", seconds=seconds)
    assert terminal.order_send(deal()) is None
    terminal.clock.sleep(seconds - 0.25)
    assert (held(terminal), terminal.seen.on_the_way) == ([], 1)
    terminal.clock.sleep(0.25)
    assert held(terminal) == held(terminal.inner) == [0.1]
    assert [entry.happened.split(":")[0] for entry in terminal.log.entries] == [f"arrives {seconds:g} s later", "arrived"]


def test_what_is_late_arrives_although_nobody_is_connected_by_then() -> None:
    terminal = faulty("executed_late", seconds=5.0)
    terminal.order_send(deal())
    terminal.shutdown()
    terminal.clock.sleep(10)
    assert terminal.positions_get() is None
    assert terminal.initialize()
    assert held(terminal) == [0.1]


def test_late_orders_arrive_in_the_order_of_their_times() -> None:
    terminal = with_faults(
        Planned(NthCall("order_send", 1), "executed_late", {"seconds": 20.0}),
        Planned(NthCall("order_send", 2), "executed_late", {"seconds": 5.0}),
    )
    for lots in (0.1, 0.2):
        assert terminal.order_send(deal(volume=lots)) is None
    terminal.clock.sleep(60)
    terminal.catch_up()
    assert held(terminal.inner) == [0.2, 0.1]


@pytest.mark.parametrize(("fault", "error"), [("refused_by_package", -2), ("api_off", -8)])
def test_what_the_package_refuses_is_not_sent(fault: str, error: int) -> None:
    terminal = faulty(fault)
    assert (terminal.order_send(deal()), terminal.last_error()[0], held(terminal.inner)) == (None, error, [])


@pytest.mark.parametrize("fault", ["answer_lost", "not_delivered", "executed_late", "refused", "requoted", "unclear", "filled_in_part"])
def test_a_request_that_python_refuses_never_meets_a_fault(fault: str) -> None:
    terminal = faulty(fault)
    assert terminal.order_send(deal(volume=1)) is None
    assert terminal.last_error() == (-2, 'Invalid "volume" argument')
    assert not terminal.log.entries
    assert terminal.order_send(deal()) is None or counted(terminal) == {fault: 1}


@pytest.mark.parametrize("fault", ["answer_lost", "not_delivered", "refused", "unclear", "placed", "trading_off", "crossed"])
def test_without_a_connection_there_is_nothing_that_could_be_lost(fault: str) -> None:
    terminal = faulty(fault)
    terminal.shutdown()
    assert (terminal.order_send(deal()), terminal.last_error()) == (None, (-10004, "No IPC connection"))
    assert not terminal.log.entries


# refusals


@pytest.mark.parametrize(
    ("fault", "retcode"),
    [
        *(("trading_off", code) for code in (10027, 10026, 10017)),
        *(("refused", code) for code in (10016, 10015, 10014, 10019, 10013)),
        ("too_many_requests", 10024),
    ],
)
def test_a_refusal_names_its_reason_and_nothing_is_executed(fault: str, retcode: int) -> None:
    terminal = faulty(fault, retcode=retcode)
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.deal, answer.order, answer.volume) == (retcode, 0, 0, 0.0)
    assert answer.request.volume == 0.1
    assert terminal.last_error() == (1, "Success")
    assert held(terminal.inner) == []


def test_a_refusal_comes_as_often_as_it_is_said_to() -> None:
    terminal = faulty("too_many_requests", times=3)
    assert [terminal.order_send(deal()).retcode for _ in range(4)] == [10024, 10024, 10024, 10009]


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(("fault", "retcode"), [("unclear", 10012), ("unclear", 10011), ("unclear", 10031), ("unknown_retcode", 10099)])
def test_an_answer_that_proves_nothing_comes_of_orders_that_were_executed_and_of_others(fault: str, retcode: int, executed: bool) -> None:
    terminal = faulty(fault, retcode=retcode, executed=executed)
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.order) == (retcode, 0)
    assert held(terminal) == held(terminal.inner) == ([0.1] if executed else [])


def test_requotes_move_the_quotes_until_an_order_at_the_new_price_is_taken() -> None:
    terminal = faulty("requoted", retcode=10020, points=10, requotes=2)
    asks, codes = [], []
    for _ in range(3):
        asks.append(terminal.symbol_info_tick("EURUSD").ask)
        checked, answer = terminal.order_check(deal(price=asks[-1])), terminal.order_send(deal(price=asks[-1]))
        codes.append(answer.retcode)
        assert (checked.retcode, checked.request.price, answer.request.price) == (0, asks[-1], asks[-1])
    assert codes == [10020, 10020, 10009]
    assert asks == pytest.approx([1.2001, 1.2002, 1.2003])
    assert terminal.inner.positions_get()[0].price_open == terminal.symbol_info_tick("EURUSD").ask == 1.2001


def test_the_filling_mode_that_is_tried_first_is_refused_and_another_one_passes() -> None:
    terminal = faulty("filling_refused", times=5)
    assert [terminal.order_send(deal(type_filling=mode)).retcode for mode in (0, 0, 1)] == [10030, 10030, 10009]


def test_an_exchange_refuses_with_a_code_of_its_own() -> None:
    answer = faulty("external_refusal").order_send(deal())
    assert (answer.retcode, answer.retcode_external) == (10006, 12)


# parts


def test_done_without_figures_is_executed_whole() -> None:
    terminal = faulty("figures_missing")
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.deal, answer.volume, answer.order > 0) == (10009, 0, 0.0, True)
    assert held(terminal.inner) == [0.1]


@pytest.mark.parametrize(("fault", "retcode"), [("done_in_part", 10009), ("filled_in_part", 10010)])
def test_a_part_is_filled_and_the_rest_is_cancelled_at_once(fault: str, retcode: int) -> None:
    terminal = faulty(fault)
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.volume, answer.request.volume) == (retcode, 0.05, 0.1)
    assert held(terminal) == held(terminal.inner) == traded(terminal) == [0.05]
    (order,) = terminal.history_orders_get(*ALL)
    assert (order.volume_initial, order.volume_current, order.state) == (0.1, 0.05, 2)
    assert terminal.orders_get() == ()


def test_a_part_is_filled_and_the_rest_works_until_it_is_cancelled() -> None:
    terminal = faulty("filled_in_part", rest="cancelled later", seconds=30.0)
    ticket = terminal.order_send(deal()).order
    (order,) = terminal.orders_get()
    assert (order.ticket, order.state, order.volume_initial, order.volume_current) == (ticket, 3, 0.1, 0.05)
    assert (terminal.orders_total(), terminal.history_orders_get(*ALL), held(terminal)) == (1, (), [0.05])
    terminal.clock.sleep(30)
    assert terminal.orders_get() == ()
    assert [(order.ticket, order.state) for order in terminal.history_orders_get(*ALL)] == [(ticket, 2)]
    assert held(terminal) == held(terminal.inner) == [0.05]


def test_a_part_is_filled_and_the_rest_is_filled_later_by_a_deal_of_its_own() -> None:
    terminal = faulty("filled_in_part", rest="filled later", seconds=30.0)
    ticket = terminal.order_send(deal(volume=0.3)).order
    assert (held(terminal), traded(terminal), [order.volume_current for order in terminal.orders_get()]) == ([0.15], [0.15], [0.15])
    terminal.clock.sleep(30)
    assert (held(terminal), traded(terminal), terminal.orders_get()) == ([0.3], [0.15, 0.15], ())
    assert {row.order for row in terminal.history_deals_get(*ALL) if row.order} == {ticket}
    assert held(terminal.inner) == [0.3]


@pytest.mark.parametrize("rest", ["cancelled", "cancelled later", "filled later"])
def test_of_the_smallest_lot_no_part_can_be_filled(rest: str) -> None:
    terminal = faulty("filled_in_part", rest=rest)
    assert terminal.order_send(deal(volume=0.01)).retcode == 10009
    assert not terminal.log.entries


def test_a_part_of_what_the_server_refuses_is_refused_as_it_was_asked_for() -> None:
    answer = faulty("filled_in_part").order_send(deal(volume=0.1, sl=2.0))
    assert (answer.retcode, answer.request.volume) == (10016, 0.1)


def test_an_order_is_placed_and_filled_later() -> None:
    terminal = faulty("placed", seconds=20.0)
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.deal, answer.order > 0) == (10008, 0, True)
    assert (held(terminal), traded(terminal), terminal.history_orders_get(ticket=answer.order)) == ([], [], ())
    assert [(order.ticket, order.state) for order in terminal.orders_get(ticket=answer.order)] == [(answer.order, 1)]
    terminal.clock.sleep(20)
    assert (held(terminal), traded(terminal), terminal.orders_get()) == ([0.1], [0.1], ())
    assert terminal.history_orders_get(ticket=answer.order)[0].state == 4


def test_a_close_is_placed_and_its_position_is_there_until_it_is_filled() -> None:
    terminal = faulty("placed", NthCall("order_send", 2), seconds=20.0)
    terminal.order_send(deal())
    (position,) = terminal.positions_get()
    assert terminal.order_send(close(position)).retcode == 10008
    assert (held(terminal), held(terminal.inner), terminal.positions_total()) == ([0.1], [], 1)
    assert terminal.positions_get(ticket=position.ticket) != ()
    assert terminal.positions_get(symbol="GBPUSD") == ()
    terminal.clock.sleep(20)
    assert (held(terminal), terminal.positions_total()) == ([], 0)


def test_an_order_is_placed_and_rejected_later() -> None:
    terminal = faulty("placed", ends="rejected", seconds=20.0)
    answer = terminal.order_send(deal(comment="a key"))
    assert answer.retcode == 10008
    assert [(row.ticket, row.comment, row.state) for row in terminal.orders_get()] == [(answer.order, "a key", 1)]
    terminal.clock.sleep(20)
    assert terminal.orders_get() == ()
    assert [(row.ticket, row.state, row.volume_current) for row in terminal.history_orders_get(*ALL)] == [(answer.order, 5, 0.1)]
    assert (traded(terminal), traded(terminal.inner)) == ([], [])


def test_levels_cannot_be_filled_in_part() -> None:
    terminal = faulty("filled_in_part", NthCall("order_send", 2))
    position = terminal.order_send(deal()).order
    assert terminal.order_send(protect(position, sl=1.1)).retcode == 10009
    assert not terminal.log.entries


@pytest.mark.parametrize(("field", "renamed"), [("order", "order_ticket"), ("retcode", None), ("deal", None)])
def test_an_answer_lacks_a_field_that_another_build_calls_otherwise(field: str, renamed: str | None) -> None:
    terminal = faulty("field_missing", field=field, renamed=renamed)
    answer = terminal.order_send(deal())
    assert not hasattr(answer, field)
    assert (renamed in answer._asdict()) == (renamed is not None)
    assert (answer.comment, type(answer).__name__) == ("Request executed", "OrderSendResult")
    assert held(terminal.inner) == [0.1]


# order_check

FIRST_CHECK = NthCall("order_check")


def test_a_check_is_not_answered() -> None:
    terminal = faulty("check_silent", FIRST_CHECK)
    assert (terminal.order_check(deal()), terminal.last_error()[0]) == (None, -1)
    assert terminal.order_check(deal()).retcode == 0


def test_a_check_objects_to_what_the_server_would_do() -> None:
    terminal = faulty("check_refuses", FIRST_CHECK, retcode=10019)
    assert terminal.order_check(deal()).retcode == 10019
    assert terminal.order_send(deal()).retcode == 10009


def test_a_check_finds_nothing_and_the_server_refuses() -> None:
    terminal = faulty("check_is_wrong", FIRST_CHECK, retcode=10018)
    assert terminal.order_check(deal()).retcode == 0
    assert terminal.order_send(deal()).retcode == 10018
    assert held(terminal.inner) == []


def test_a_check_tells_a_wrong_margin() -> None:
    terminal = faulty("margin_is_wrong", FIRST_CHECK, factor=2.0)
    wrong, right = terminal.order_check(deal()), terminal.order_check(deal())
    assert wrong.margin == 2 * right.margin
    assert wrong.margin_free == pytest.approx(right.margin_free - right.margin)


# calls that take long


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_hangs_before_or_after_it_does_what_it_should(moment: str) -> None:
    terminal = faulty("hangs", seconds=600.0, moment=moment)
    before = terminal.clock.now()
    assert terminal.order_send(deal()).retcode == 10009
    assert (terminal.clock.now() - before).total_seconds() == 600
    opened = terminal.positions_get()[0].time - before.timestamp()
    assert opened == (600 if moment == "before" else 0)


def test_a_call_can_hang_in_a_way_that_is_handed_in() -> None:
    inner, waited = faulty("slow").inner, list[float]()
    terminal = FaultyTerminal(inner, Schedule((Planned(FIRST_SEND, "slow", {"seconds": 3.0}),)), hang=waited.append)
    assert terminal.order_send(deal()).retcode == 10009
    assert waited == [3.0]


def test_prices_can_end_while_a_call_hangs_and_the_call_is_answered() -> None:
    terminal = faulty("hangs", seconds=1e6, moment="after")
    assert terminal.order_send(deal()).retcode == 10009
    assert held(terminal.inner) == [0.1]
    with pytest.raises(MarketEnded):
        terminal.clock.sleep(1)


# several at once


def test_faults_add_up() -> None:
    terminal = with_faults(
        Planned(FIRST_SEND, "answer_lost"),
        Planned(FIRST_SEND, "filled_in_part"),
        Planned(FROM_THE_START, "comment_changed", {"how": "blank"}),
        Planned(FROM_THE_START, "large_tickets"),
    )
    assert terminal.order_send(deal(comment="a key")) is None
    (shown,), (true,) = terminal.positions_get(), terminal.inner.positions_get()
    assert (shown.volume, shown.comment, true.volume, true.comment) == (0.05, "", 0.05, "a key")
    assert shown.ticket > 2**53
    assert terminal.order_send(close(shown)).retcode == 10009
    assert held(terminal.inner) == []
    assert set(counted(terminal)) == {"answer_lost", "filled_in_part", "comment_changed", "large_tickets"}


def test_faults_go_on_where_the_one_before_has_ended() -> None:
    terminal = with_faults(Planned(NthCall("order_send", 1), "refused"), Planned(NthCall("order_send", 3), "not_delivered"))
    answers = [terminal.order_send(deal()) for _ in range(4)]
    assert [answer and answer.retcode for answer in answers] == [10016, 10009, None, 10009]
