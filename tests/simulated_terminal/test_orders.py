"""What the trade server does with a request: fills, protection, refusals, and the shape of its answers."""

from typing import Any

import pytest

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, BUY, H1, SELL, SLTP, T0, bars, close, deal, done, flat, protect, symbol, terminal

DEALER = symbol(spread_points=10)
INSTANT = symbol(spread_points=0, execution=1)


@pytest.fixture
def made() -> SimulatedTerminal:
    return terminal([*flat(1.1, 2), *flat(1.2, 2)], DEALER)


def opened(made: SimulatedTerminal, side: int = BUY, volume: float = 0.1, **more: Any) -> Any:
    answer = done(made.order_send(deal(side, volume, **more)))
    return made.positions_get(ticket=answer.order)[0]


def code_of(made: SimulatedTerminal, request: dict[str, Any]) -> int:
    """The retcode of the answer, which the check must have foretold."""
    check, sent = made.order_check(request), made.order_send(request)
    assert check.retcode == (0 if sent.retcode == 10009 else sent.retcode)
    return int(sent.retcode)


# -- opening and closing


def test_a_market_order_fills_at_the_ask_or_the_bid_and_answers_with_all_it_did(made: SimulatedTerminal) -> None:
    answer = done(made.order_send(deal(BUY, 0.1, magic=7, comment="python script open", type_filling=1, sl=1.09, tp=1.12, deviation=20)))
    assert (answer.volume, answer.price, answer.bid, answer.ask) == (0.1, 1.1001, 1.1, 1.1001)
    assert (answer.comment, answer.request_id, answer.retcode_external) == ("Request executed", 1, 0)
    assert answer.request.comment == "python script open"
    assert done(made.order_send(deal(SELL, 0.1))).price == 1.1


def test_the_position_carries_the_ticket_of_its_order_and_what_the_request_said(made: SimulatedTerminal) -> None:
    answer = done(made.order_send(deal(SELL, 0.2, magic=7, comment="mine", sl=1.2, tp=1.0)))
    position = made.positions_get()[0]
    assert position.ticket == position.identifier == answer.order
    assert (position.type, position.volume, position.magic, position.comment, position.reason) == (1, 0.2, 7, "mine", 3)
    assert (position.price_open, position.sl, position.tp, position.price_current) == (1.1, 1.2, 1.0, 1.1001)
    assert (position.time, position.time_msc, position.time_update, position.profit, position.swap) == (T0, T0 * 1000, T0, -2.0, 0.0)


def test_an_order_and_a_deal_with_tickets_of_their_own_are_in_the_history(made: SimulatedTerminal) -> None:
    answer = done(made.order_send(deal(magic=7, comment="mine", sl=1.0)))
    order, fact = made.history_orders_get(ticket=answer.order)[0], made.history_deals_get(ticket=answer.deal)[0]
    assert (order.type, order.state, order.volume_initial, order.volume_current, order.position_id) == (0, 4, 0.1, 0.0, order.ticket)
    assert (order.time_setup, order.time_done, order.reason, order.magic, order.sl, order.price_open) == (T0, T0, 3, 7, 1.0, 1.1001)
    assert (fact.order, fact.position_id, fact.entry, fact.type, fact.reason) == (order.ticket, order.ticket, 0, 0, 3)
    assert (fact.volume, fact.price, fact.profit, fact.magic, fact.comment, fact.time) == (0.1, 1.1001, 0.0, 7, "mine", T0)


def test_closing_by_ticket_realises_the_profit(made: SimulatedTerminal) -> None:
    position = opened(made, magic=7, comment="mine")
    made.clock.sleep(7200)
    answer = done(made.order_send(close(position, magic=8, comment="bye")))
    out = made.history_deals_get(ticket=answer.deal)[0]
    assert (out.entry, out.type, out.position_id, out.price, out.profit) == (1, 1, position.ticket, 1.2, 999.0)
    assert (out.magic, out.comment) == (8, "bye")  # the closing request's, not the position's
    assert answer.order != position.ticket
    assert made.positions_get() == ()
    assert made.account_info().balance == 10_999.0


def test_a_partial_close_leaves_the_rest_under_its_ticket_with_its_levels(made: SimulatedTerminal) -> None:
    position = opened(made, sl=1.0, tp=1.3)
    made.clock.sleep(3600)
    done(made.order_send(close(position, 0.04)))
    rest = made.positions_get()[0]
    assert (rest.ticket, rest.volume, rest.sl, rest.tp, rest.time, rest.time_update) == (position.ticket, 0.06, 1.0, 1.3, T0, T0 + 3600)
    done(made.order_send(close(rest)))
    assert made.positions_total() == 0
    assert [each.volume for each in made.history_deals_get(position=position.ticket)] == [0.1, 0.04, 0.06]


def test_an_opposite_order_without_a_ticket_opens_a_second_position(made: SimulatedTerminal) -> None:
    opened(made, BUY)
    opened(made, SELL)
    assert [each.type for each in made.positions_get()] == [0, 1]


def test_a_close_need_not_name_the_symbol(made: SimulatedTerminal) -> None:
    done(made.order_send(close(opened(made)) | {"symbol": ""}))
    assert made.positions_total() == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"volume": 0.2}, 10038),
        ({"volume": 0.095}, 10014),
        ({"type": BUY}, 10013),
        ({"position": 1}, 10036),
        ({"symbol": "GBPUSD"}, 10013),
    ],
)
def test_a_close_that_does_not_fit_its_position_is_refused(made: SimulatedTerminal, changes: dict[str, Any], code: int) -> None:
    assert code_of(made, close(opened(made)) | changes) == code


def test_a_rest_below_the_smallest_volume_is_refused() -> None:
    made = terminal(flat(1.1), symbol(volume_min=0.05))
    assert code_of(made, close(opened(made), 0.06)) == 10014


def test_a_closed_position_can_not_be_closed_again(made: SimulatedTerminal) -> None:
    position = opened(made)
    done(made.order_send(close(position)))
    answer = made.order_send(close(position))
    assert (answer.retcode, answer.comment, answer.deal, answer.volume) == (10036, "Position doesn't exist", 0, 0.0)


def test_servers_keep_only_so_many_characters_of_a_comment() -> None:
    made = terminal(flat(1.1), DEALER, AccountSpec(comment_length=16))
    answer = done(made.order_send(deal(comment="python script open")))
    done(made.order_send(close(made.positions_get()[0], comment="python script close")))
    assert [each.comment for each in made.history_deals_get(position=answer.order)] == ["python script op", "python script cl"]
    assert answer.request.comment == "python script open"


# -- stop loss and take profit


def test_levels_are_set_moved_and_removed_together(made: SimulatedTerminal) -> None:
    ticket = opened(made).ticket
    answer = done(made.order_send(protect(ticket, 1.05, 1.15)))
    assert (answer.deal, answer.order, answer.volume, answer.price, answer.bid, answer.ask) == (0, 0, 0.0, 0.0, 0.0, 0.0)
    assert answer.request_id > 0
    assert made.positions_get()[0][11:13] == (1.05, 1.15)
    done(made.order_send({"action": SLTP, "position": ticket, "tp": 1.16}))
    assert made.positions_get()[0][11:13] == (0.0, 1.16)  # the level that was not named is gone
    assert code_of(made, protect(ticket, 0.0, 1.16)) == 10025
    done(made.order_send(protect(ticket)))
    assert made.positions_get()[0][11:13] == (0.0, 0.0)
    assert code_of(made, protect(ticket)) == 10025


@pytest.mark.parametrize(
    ("request_", "code"), [(protect(0, 1.0), 10013), (protect(5, 1.0), 10036), ({"action": SLTP, "symbol": "EURUSD", "sl": 1.0}, 10013)]
)
def test_levels_without_a_position_are_refused(made: SimulatedTerminal, request_: dict[str, Any], code: int) -> None:
    assert code_of(made, request_) == code


@pytest.mark.parametrize(
    ("side", "sl", "tp"),
    [
        (BUY, 1.1, 0.0),
        (BUY, 1.2, 0.0),
        (BUY, 0.0, 1.1),
        (BUY, 0.0, 1.05),
        (SELL, 1.1001, 0.0),
        (SELL, 1.0, 0.0),
        (SELL, 0.0, 1.1001),
        (SELL, 0.0, 1.2),
        (BUY, -1.0, 0.0),
        (BUY, float("nan"), 0.0),
        (BUY, 1.050005, 0.0),
    ],
)
def test_levels_on_the_wrong_side_or_off_the_grid_are_refused(made: SimulatedTerminal, side: int, sl: float, tp: float) -> None:
    assert code_of(made, deal(side, sl=sl, tp=tp)) == 10016
    assert code_of(made, protect(opened(made, side).ticket, sl, tp)) == 10016


def test_a_level_with_binary_noise_is_on_the_grid(made: SimulatedTerminal) -> None:
    assert code_of(made, deal(BUY, sl=1.0440000000000002)) == 10009


@pytest.mark.parametrize(
    ("sl", "bid", "code"),
    [
        (1.11404, 1.1143, 10016),
        (1.11404, 1.11431, 10016),
        (1.11402, 1.1143, 10016),
        (1.11399, 1.11428, 10016),
        (1.11398, 1.11428, 10009),
    ],
)
def test_a_stop_loss_keeps_the_stops_level_to_the_point(sl: float, bid: float, code: int) -> None:
    assert code_of(terminal(flat(bid), symbol(stops_level=30)), deal(BUY, sl=sl)) == code


@pytest.mark.parametrize(("tp", "code"), [(1.11478, 10016), (1.11479, 10016), (1.1148, 10016), (1.11481, 10016), (1.11482, 10009)])
def test_a_take_profit_keeps_the_stops_level_to_the_point(tp: float, code: int) -> None:
    assert code_of(terminal(flat(1.11452), symbol(stops_level=30)), deal(BUY, tp=tp)) == code


def test_within_the_freeze_level_nothing_may_be_changed() -> None:
    made = terminal(flat(1.1), symbol(freeze_level=20))
    position = opened(made, sl=1.0999)
    assert code_of(made, protect(position.ticket, 1.05)) == 10029
    assert code_of(made, close(position)) == 10029
    far = opened(made, sl=1.0998)
    assert code_of(made, protect(far.ticket, 1.05)) == 10009


# -- refusals


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": 0}, 10013),
        ({"action": 99}, 10013),
        ({"symbol": "NOPE"}, 10013),
        ({"symbol": ""}, 10013),
        ({"type": 9}, 10013),
        ({"type": 2}, 10035),
        ({"action": 5}, 10035),
        ({"action": 7}, 10013),
        ({"action": 8}, 10013),
        ({"action": 10}, 10013),
        ({"volume": 0.0}, 10014),
        ({"volume": 0.005}, 10014),
        ({"volume": 0.015}, 10014),
        ({"volume": 501.0}, 10014),
        ({"volume": float("nan")}, 10014),
        ({"volume": float("inf")}, 10014),
        ({"type_filling": 2}, 10030),
        ({"type_filling": 3}, 10030),
        ({"type_time": 4}, 10022),
        ({"volume": 100.0}, 10019),
    ],
)
def test_what_is_wrong_with_a_request_is_its_retcode(made: SimulatedTerminal, changes: dict[str, Any], code: int) -> None:
    assert code_of(made, deal() | changes) == code
    assert made.positions_total() == 0
    assert made.last_error() == (1, "Success")


def test_a_refusal_shows_nothing_but_its_reason(made: SimulatedTerminal) -> None:
    answer = made.order_send(deal(volume=0.005))
    assert answer[:10] == (10014, 0, 0, 0.0, 0.0, 0.0, 0.0, "Invalid volume", 1, 0)
    assert made.order_check(deal(volume=0.005))[:8] == (10014, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "Invalid volume")


def test_a_check_for_want_of_money_shows_the_figures_that_would_be(made: SimulatedTerminal) -> None:
    check = made.order_check(deal(volume=100.0))
    assert (check.retcode, check.margin, check.comment) == (10019, 110_010.0, "No money")
    assert check.margin_free == 10_000.0 - 110_010.0


@pytest.mark.parametrize(
    ("changes", "request_", "code"),
    [
        ({"filling_mode": 1}, deal(type_filling=1), 10030),
        ({"filling_mode": 2}, deal(type_filling=0), 10030),
        ({"filling_mode": 2}, deal(type_filling=1), 10009),
        ({"execution": 3, "filling_mode": 0}, deal(type_filling=2), 10009),
        ({"trade_mode": 0}, deal(), 10017),
        ({"trade_mode": 1}, deal(SELL), 10042),
        ({"trade_mode": 1}, deal(BUY), 10009),
        ({"trade_mode": 2}, deal(BUY), 10043),
        ({"trade_mode": 3}, deal(BUY), 10044),
        ({"execution": 1}, deal(price=1.1, type_filling=2), 10009),
        ({"execution": 1}, deal(), 10015),
        ({"execution": 1}, deal(type=4, price=1.2), 10004),
    ],
)
def test_the_symbols_rules_hold(changes: dict[str, Any], request_: dict[str, Any], code: int) -> None:
    assert code_of(terminal(flat(1.1), symbol(**changes)), request_) == code


def test_the_accounts_rules_hold() -> None:
    assert code_of(terminal(flat(1.1), account=AccountSpec(trade_allowed=False)), deal()) == 10017
    assert code_of(terminal(flat(1.1), account=AccountSpec(trade_expert=False)), deal()) == 10026


def test_positions_can_be_closed_where_they_can_not_be_opened() -> None:
    for mode, side in ((1, BUY), (2, SELL)):
        made = terminal(flat(1.1), symbol(trade_mode=mode))
        done(made.order_send(close(opened(made, side))))


def test_with_the_button_off_the_terminal_answers_by_itself(made: SimulatedTerminal) -> None:
    made.autotrading = False
    answer = made.order_send(deal())
    assert answer[:10] == (10027, 0, 0, 0.0, 0.0, 0.0, 0.0, "AutoTrading disabled by client", 0, 0)
    assert made.order_check(deal()).retcode == 10027
    assert made.terminal_info().trade_allowed is False


def test_with_the_python_option_off_nothing_is_sent(made: SimulatedTerminal) -> None:
    made.api_disabled = True
    assert made.order_send(deal()) is None
    assert made.last_error() == (-8, "Auto-Trading using Python API disabled in Terminal")
    assert made.terminal_info().tradeapi_disabled is True
    assert made.order_check(deal()).retcode == 0


# -- moved prices, closed sessions


def test_with_instant_execution_a_price_within_the_deviation_fills_at_the_market() -> None:
    made = terminal(flat(108.015), symbol("USDJPY", digits=3, tick_size=0.001, execution=1))
    assert done(made.order_send(deal(SELL, symbol="USDJPY", price=108.018, deviation=20))).price == 108.015


def test_with_instant_execution_a_price_that_has_moved_is_requoted_with_the_new_one() -> None:
    made = terminal(flat(1.1), INSTANT)
    request = deal(BUY, price=1.0998, deviation=19)
    answer = made.order_send(request)
    assert (answer.retcode, answer.bid, answer.ask, answer.comment, answer.deal) == (10004, 1.1, 1.1, "Requote", 0)
    assert made.order_check(request).retcode == 0  # a check sends nothing, so it cannot know
    done(made.order_send(deal(BUY, price=1.0998, deviation=20)))


def test_in_a_gap_between_two_bars_the_market_is_closed_and_a_check_does_not_see_it() -> None:
    frame = bars(flat(1.1, 4)).drop(index=bars(flat(1.1, 4)).index[1:3])
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}, H1), speed=3600.0, real_sleep=lambda seconds: None)
    made.initialize()
    position = opened(made)
    made.clock.sleep(5400)
    assert made.order_check(deal()).retcode == 0
    for request in (deal(), close(position), protect(position.ticket, 1.0)):
        answer = made.order_send(request)
        assert (answer.retcode, answer.comment, answer.deal, answer.order) == (10018, "Market closed", 0, 0)
    made.clock.sleep(5400)
    done(made.order_send(close(position)))


def test_the_history_is_found_by_its_times_both_ends_included(made: SimulatedTerminal) -> None:
    position = opened(made)
    made.clock.sleep(3600)
    done(made.order_send(close(position)))
    assert [each.entry for each in made.history_deals_get(T0 + 1, T0 + 3600)] == [1]
    assert [each.entry for each in made.history_deals_get(T0 + 3600, T0 + 3600)] == [1]
    assert made.history_deals_get(T0 + 3601, T0 + 9999) == ()
    out = made.history_deals_get(T0 + 3600, T0 + 3600)[0]
    assert made.history_deals_get(ticket=out.ticket) == made.history_deals_get(ticket=out.order) == (out,)
    assert [each.type for each in made.history_orders_get(*ALL)] == [0, 1]
    assert made.history_orders_get(*ALL, group="!*") == ()


def test_the_deposit_is_a_deal_of_its_own_type(made: SimulatedTerminal) -> None:
    deposit = made.history_deals_get(*ALL)[0]
    assert (deposit.type, deposit.order, deposit.position_id, deposit.volume, deposit.symbol, deposit.profit) == (
        2,
        0,
        0,
        0.0,
        "",
        10_000.0,
    )
