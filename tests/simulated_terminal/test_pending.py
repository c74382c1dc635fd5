"""Orders that wait for their price: placed, changed, removed, expired, and filled as backtesting.py fills them."""

from pathlib import Path
from typing import Any

import pytest

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.sessions import sessions
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    BUY_STOP_LIMIT,
    H1,
    SELL,
    SELL_LIMIT,
    SELL_STOP,
    SELL_STOP_LIMIT,
    T0,
    Row,
    bars,
    deal,
    done,
    flat,
    modify,
    pending,
    remove,
    run_out,
    symbol,
    terminal,
)

START = (1.1, 1.1, 1.1, 1.1)
DEALER = symbol(spread_points=10)


def placed(made: SimulatedTerminal, order_type: int, price: float, **more: Any) -> int:
    return int(done(made.order_send(pending(order_type, price, **more))).order)


def code_of(made: SimulatedTerminal, request: dict[str, Any]) -> int:
    check, sent = made.order_check(request), made.order_send(request)
    assert check.retcode == (0 if sent.retcode == 10009 else sent.retcode)
    return int(sent.retcode)


def entries(made: SimulatedTerminal) -> list[tuple[int, float]]:
    return [(each.time - T0, each.price) for each in made.history_deals_get(*ALL) if each.order and each.entry == 0]


# -- placing


def test_a_placed_order_answers_as_the_log_of_a_broker_shows() -> None:
    spec = symbol("BTCUSD", digits=2, tick_size=0.01, spread_points=3188, contract_size=1.0)
    made = terminal(flat(65348.46), spec)
    answer = done(made.order_send(pending(BUY_LIMIT, 59000.0, 0.05, symbol="BTCUSD", comment="limit order")))
    assert (answer.deal, answer.volume, answer.price, answer.bid, answer.ask) == (0, 0.05, 0.0, 65348.46, 65380.34)
    assert answer.comment == "Request executed"  # some brokers echo the request's comment instead
    assert made.orders_get()[0].ticket == answer.order


def test_an_active_order_shows_what_it_waits_for() -> None:
    made = terminal(flat(1.1), DEALER)
    ticket = placed(made, BUY_STOP_LIMIT, 1.12, stoplimit=1.11, sl=1.1, tp=1.13, magic=7, comment="mine")
    order = made.orders_get(ticket=ticket)[0]
    assert (made.orders_total(), made.orders_get(symbol="EURUSD"), made.orders_get(group="*,!EUR*")) == (1, (order,), ())
    assert (order.type, order.state, order.price_open, order.price_stoplimit, order.sl, order.tp) == (6, 1, 1.12, 1.11, 1.1, 1.13)
    assert (order.volume_initial, order.volume_current, order.price_current, order.type_filling) == (0.1, 0.1, 1.1001, 2)
    assert (order.time_setup, order.time_setup_msc, order.time_done, order.position_id, order.reason) == (T0, T0 * 1000, 0, 0, 3)
    assert (order.magic, order.comment, order.time_expiration) == (7, "mine", 0)
    assert made.positions_total() == 0
    assert made.history_orders_get(*ALL) == ()
    assert made.account_info().margin == 0.0


@pytest.mark.parametrize(
    ("order_type", "price", "stoplimit", "code"),
    [
        (BUY_LIMIT, 1.10009, 0.0, 10009),
        (BUY_LIMIT, 1.1001, 0.0, 10015),
        (BUY_LIMIT, 1.2, 0.0, 10015),
        (BUY_STOP, 1.10011, 0.0, 10009),
        (BUY_STOP, 1.1001, 0.0, 10015),
        (SELL_LIMIT, 1.10001, 0.0, 10009),
        (SELL_LIMIT, 1.1, 0.0, 10015),
        (SELL_STOP, 1.09999, 0.0, 10009),
        (SELL_STOP, 1.1, 0.0, 10015),
        (BUY_STOP_LIMIT, 1.11, 1.109, 10009),
        (BUY_STOP_LIMIT, 1.11, 1.11, 10015),
        (BUY_STOP_LIMIT, 1.11, 0.0, 10015),
        (BUY_STOP_LIMIT, 1.1, 1.09, 10015),
        (SELL_STOP_LIMIT, 1.09, 1.091, 10009),
        (SELL_STOP_LIMIT, 1.09, 1.089, 10015),
        (BUY_LIMIT, 1.090005, 0.0, 10015),
        (BUY_LIMIT, 0.0, 0.0, 10015),
        (BUY_LIMIT, float("nan"), 0.0, 10015),
        (BUY_LIMIT, 1.0440000000000002, 0.0, 10009),
    ],
)
def test_a_pending_price_is_on_its_side_of_the_market_and_on_the_grid(order_type: int, price: float, stoplimit: float, code: int) -> None:
    assert code_of(terminal(flat(1.1), DEALER), pending(order_type, price, stoplimit=stoplimit)) == code


@pytest.mark.parametrize(
    ("order_type", "price", "levels", "code"),
    [
        (BUY_STOP, 1.11019, {"sl": 1.10993}, 10016),
        (BUY_STOP, 1.11019, {"sl": 1.10992}, 10016),
        (BUY_STOP, 1.1102, {"sl": 1.10992}, 10016),
        (BUY_STOP, 1.11021, {"sl": 1.10992}, 10016),
        (BUY_STOP, 1.11021, {"sl": 1.10991}, 10009),
        (BUY_LIMIT, 1.10621, {"tp": 1.10647}, 10016),
        (BUY_LIMIT, 1.10621, {"tp": 1.10648}, 10016),
        (BUY_LIMIT, 1.10621, {"tp": 1.10649}, 10016),
        (BUY_LIMIT, 1.10619, {"tp": 1.10648}, 10016),
        (BUY_LIMIT, 1.10619, {"tp": 1.10649}, 10009),
        (BUY_LIMIT, 1.10771, {}, 10016),
        (BUY_LIMIT, 1.1077, {}, 10009),
        (SELL_STOP, 1.10771, {}, 10016),
        (SELL_STOP, 1.1077, {"sl": 1.108, "tp": 1.1074}, 10009),
        (SELL_LIMIT, 1.1083, {"sl": 1.10859}, 10016),
        (BUY_STOP_LIMIT, 1.111, {"stoplimit": 1.11071}, 10016),
        (BUY_STOP_LIMIT, 1.111, {"stoplimit": 1.1107, "sl": 1.11041}, 10016),
        (BUY_STOP_LIMIT, 1.111, {"stoplimit": 1.1107, "sl": 1.1104, "tp": 1.111}, 10009),
    ],
)
def test_pending_orders_and_their_levels_keep_the_stops_level_to_the_point(
    order_type: int, price: float, levels: dict[str, float], code: int
) -> None:
    assert code_of(terminal(flat(1.108), symbol(stops_level=30)), pending(order_type, price, **levels)) == code


@pytest.mark.parametrize(
    ("changes", "request_", "code"),
    [
        ({}, pending(BUY_LIMIT, 1.09, 0.005), 10014),
        ({}, pending(BUY_LIMIT, 1.09, symbol="NOPE"), 10013),
        ({}, pending(8, 1.09), 10035),
        ({}, pending(9, 1.09), 10013),
        ({}, pending(BUY, 1.09), 10035),
        ({}, pending(BUY_LIMIT, 1.09, sl=1.09), 10016),
        ({}, pending(BUY_LIMIT, 1.09, sl=-1.0), 10016),
        ({}, pending(BUY_LIMIT, 1.09, type_filling=0), 10009),
        ({}, pending(BUY_LIMIT, 1.09, type_filling=3), 10030),
        ({"filling_mode": 7}, pending(BUY_LIMIT, 1.09, type_filling=3), 10009),
        ({"filling_mode": 7}, pending(BUY_STOP, 1.11, type_filling=3), 10030),
        ({"order_mode": 1 | 4}, pending(BUY_LIMIT, 1.09), 10035),
        ({"order_mode": 1 | 4}, pending(BUY_STOP, 1.11), 10009),
        ({"order_mode": 4}, deal(), 10035),
        ({"order_mode": 1 | 32}, deal(sl=1.0), 10016),
        ({"order_mode": 1 | 16}, deal(sl=1.0), 10009),
        ({"trade_mode": 1}, pending(SELL_LIMIT, 1.11), 10042),
        ({"trade_mode": 3}, pending(BUY_LIMIT, 1.09), 10044),
        ({"trade_mode": 1}, pending(BUY_LIMIT, 1.09), 10009),
        ({"immediate_stops": True}, pending(BUY_LIMIT, 1.2), 10009),
    ],
)
def test_the_symbols_rules_hold_for_pending_orders(changes: dict[str, Any], request_: dict[str, Any], code: int) -> None:
    assert code_of(terminal(flat(1.1), symbol(**changes)), request_) == code


def test_only_so_many_orders_may_wait() -> None:
    made = terminal(flat(1.1), account=AccountSpec(limit_orders=2))
    assert [code_of(made, pending(BUY_LIMIT, 1.09)) for _ in range(3)] == [10009, 10009, 10033]
    assert code_of(made, deal()) == 10009


def test_lots_in_one_direction_are_limited_open_and_wanted_together() -> None:
    made = terminal(flat(1.1), symbol(volume_limit=0.3))
    assert made.symbol_info("EURUSD").volume_limit == 0.3
    assert [code_of(made, each) for each in (deal(), pending(BUY_LIMIT, 1.09), deal(BUY, 0.11), deal())] == [10009, 10009, 10034, 10009]
    assert code_of(made, pending(SELL_LIMIT, 1.2, 0.3)) == 10009
    assert code_of(made, pending(BUY_STOP, 1.2, 0.01)) == 10034


# -- changing and removing


def test_an_order_is_changed_in_all_but_its_volume() -> None:
    made = terminal(flat(1.1))
    ticket = placed(made, SELL_STOP_LIMIT, 1.08, stoplimit=1.09, sl=1.2)
    answer = done(made.order_send(modify(ticket, 1.07, stoplimit=1.085, tp=1.0, type_time=2, expiration=T0 + 9000, volume=5.0)))
    assert (answer.order, answer.deal, answer.volume, answer.price) == (ticket, 0, 0.0, 1.07)
    order = made.orders_get()[0]
    assert (order.price_open, order.price_stoplimit, order.sl, order.tp, order.volume_current) == (1.07, 1.085, 0.0, 1.0, 0.1)
    assert (order.type_time, order.time_expiration) == (2, T0 + 9000)
    assert code_of(made, modify(ticket, 1.07, stoplimit=1.085, tp=1.0, type_time=2, expiration=T0 + 9000)) == 10025
    assert code_of(made, modify(ticket, 1.2, stoplimit=1.21)) == 10015
    assert code_of(made, modify(ticket, 1.07, stoplimit=1.085, sl=1.0)) == 10016


def test_a_removed_order_is_in_the_history_as_cancelled_with_its_volume() -> None:
    made = terminal(flat(1.1), DEALER)
    ticket = placed(made, BUY_LIMIT, 1.09, magic=3)
    answer = done(made.order_send(remove(ticket)))
    assert (answer.order, answer.deal, answer.volume) == (ticket, 0, 0.0)
    order = made.history_orders_get(ticket=ticket)[0]
    assert (order.state, order.volume_initial, order.volume_current, order.position_id, order.price_open) == (2, 0.1, 0.1, 0, 1.09)
    assert (order.price_current, order.time_done, order.magic) == (1.1001, T0, 3)
    assert made.history_orders_get(position=0) == (order,)
    assert made.orders_get() == ()
    run_out(made)
    assert entries(made) == []


def test_what_is_gone_can_not_be_changed_or_removed() -> None:
    made = terminal(flat(1.1))
    ticket = placed(made, BUY_LIMIT, 1.09)
    done(made.order_send(remove(ticket)))
    assert made.order_send(remove(ticket)).comment == "Invalid request"
    assert [code_of(made, each) for each in (remove(ticket), modify(ticket, 1.08), remove(0))] == [10013, 10013, 10013]


def test_within_the_freeze_level_an_order_stays_as_it_is() -> None:
    made = terminal(flat(1.1), symbol(freeze_level=20))
    near, far = placed(made, BUY_LIMIT, 1.09981), placed(made, SELL_LIMIT, 1.1002)
    assert [code_of(made, each) for each in (modify(near, 1.09), remove(near), modify(far, 1.2), remove(far))] == [
        10029,
        10029,
        10009,
        10009,
    ]


def test_a_symbol_with_an_order_can_not_be_hidden() -> None:
    made = terminal(flat(1.1))
    ticket = placed(made, BUY_LIMIT, 1.09)
    assert made.symbol_select("EURUSD", False) is False
    done(made.order_send(remove(ticket)))
    assert made.symbol_select("EURUSD", False) is True


# -- how long an order waits


@pytest.mark.parametrize(
    ("terms", "ends"),
    [
        ({"type_time": 1}, 86_399),
        ({"type_time": 1, "expiration": T0 + 5}, 86_399),
        ({"type_time": 2, "expiration": T0 + 5000}, 5000),
        ({"type_time": 3, "expiration": T0 + 90_000}, 172_799),
        ({"type_time": 0, "expiration": T0 + 5000}, None),
    ],
)
def test_an_order_expires_at_its_moment(terms: dict[str, int], ends: int | None) -> None:
    made = terminal(flat(1.1, 60))
    ticket = placed(made, BUY_LIMIT, 1.0, **terms)
    while made.orders_get() and made.clock.progress[0] < 60:
        made.clock.sleep(60)
    past = made.history_orders_get(ticket=ticket)
    assert [(order.state, order.time_done - T0, order.volume_current, order.position_id) for order in past] == (
        [] if ends is None else [(6, ends, 0.1, 0)]
    )


@pytest.mark.parametrize(
    ("week", "ends"), [("Mon-Fri 00:00-24:00", 86_399), ("Mon-Tue 08:00-22:00", 86_400 + 8 * 3600), ("Mon 01:00-05:00", None)]
)
def test_an_order_for_a_whole_day_lasts_until_there_is_trading(week: str, ends: int | None) -> None:
    made = terminal(flat(1.1, 60), symbol(sessions=sessions(week)))
    while made.clock.progress[0] < 10 and made.order_send(pending(BUY_LIMIT, 1.0, type_time=3, expiration=T0 + 5)).retcode != 10009:
        made.clock.sleep(60)
    while made.orders_get() and made.clock.progress[0] < 60:
        made.clock.sleep(60)
    assert [(each.state, each.time_done - T0) for each in made.history_orders_get(*ALL)] == ([] if ends is None else [(6, ends)])


def test_an_order_that_becomes_a_day_order_later_lasts_for_that_day() -> None:
    made = terminal(flat(1.1, 60))
    ticket = placed(made, BUY_LIMIT, 1.0)
    for _ in range(30):
        made.clock.sleep(60)
    done(made.order_send(modify(ticket, 1.0, type_time=1)))
    assert made.orders_get()[0].time_expiration == 0
    assert code_of(made, modify(ticket, 1.0, type_time=1)) == 10025
    for _ in range(20):
        made.clock.sleep(60)
    assert made.history_orders_get(ticket=ticket)[0].time_done == T0 + 172_799


@pytest.mark.parametrize(
    ("mode", "terms", "code"),
    [
        (15, {"type_time": 2}, 10022),
        (15, {"type_time": 2, "expiration": T0}, 10022),
        (15, {"type_time": 2, "expiration": T0 + 1}, 10009),
        (15, {"type_time": 3, "expiration": T0 - 1}, 10022),
        (15, {"type_time": 3, "expiration": T0}, 10009),
        (15, {"type_time": 4}, 10022),
        (1, {"type_time": 1}, 10022),
        (2, {"type_time": 1}, 10009),
        (2, {}, 10022),
    ],
)
def test_lifetimes_are_those_that_the_symbol_offers_and_end_in_the_future(mode: int, terms: dict[str, int], code: int) -> None:
    made = terminal(flat(1.1), symbol(expiration_mode=mode))
    assert made.symbol_info("EURUSD").expiration_mode == mode
    assert code_of(made, pending(BUY_LIMIT, 1.0, **terms)) == code


def test_an_order_is_gone_at_its_second_also_between_two_bars() -> None:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(flat(1.1)))}, H1), speed=1000.0, real_sleep=lambda seconds: None)
    made.initialize()
    ticket = placed(made, BUY_LIMIT, 1.0, type_time=2, expiration=T0 + 100)
    made.clock.sleep(99)
    assert made.orders_total() == 1
    made.clock.sleep(1)
    assert made.order_send(remove(ticket)).retcode == 10013
    assert made.history_orders_get(T0 + 100, T0 + 100)[0].ticket == ticket


# -- filling


@pytest.mark.parametrize(
    ("order_type", "price", "stoplimit", "bar", "expected"),
    [
        (BUY_LIMIT, 1.09, 0.0, (1.1, 1.11, 1.095, 1.1), []),
        (BUY_LIMIT, 1.09, 0.0, (1.1, 1.11, 1.09, 1.1), [1.09]),
        (BUY_LIMIT, 1.09, 0.0, (1.08, 1.11, 1.07, 1.1), [1.08]),
        (SELL_LIMIT, 1.11, 0.0, (1.1, 1.11, 1.09, 1.1), [1.11]),
        (SELL_LIMIT, 1.11, 0.0, (1.12, 1.13, 1.09, 1.1), [1.12]),
        (BUY_STOP, 1.11, 0.0, (1.1, 1.109, 1.09, 1.1), []),
        (BUY_STOP, 1.11, 0.0, (1.1, 1.115, 1.09, 1.1), [1.11]),
        (BUY_STOP, 1.11, 0.0, (1.12, 1.13, 1.09, 1.1), [1.12]),
        (SELL_STOP, 1.09, 0.0, (1.1, 1.11, 1.085, 1.1), [1.09]),
        (SELL_STOP, 1.09, 0.0, (1.08, 1.11, 1.07, 1.1), [1.08]),
        (BUY_STOP_LIMIT, 1.11, 1.105, (1.1, 1.109, 1.09, 1.1), []),
        (SELL_STOP_LIMIT, 1.09, 1.095, (1.1, 1.11, 1.091, 1.1), []),
    ],
)
def test_an_order_fills_where_backtesting_fills_it(
    order_type: int, price: float, stoplimit: float, bar: Row, expected: list[float]
) -> None:
    for spec in (symbol(), symbol(gaps_fill_at_open=False, immediate_stops=True)):
        made = terminal([START, bar], spec)
        ticket = placed(made, order_type, price, stoplimit=stoplimit)
        run_out(made)
        assert entries(made) == [(3600, fill) for fill in expected]
        assert [each.state for each in made.history_orders_get(ticket=ticket)] == [4] * len(expected)


@pytest.mark.parametrize(("order_type", "price", "limit", "sign"), [(BUY_STOP_LIMIT, 1.11, 1.105, 1), (SELL_STOP_LIMIT, 1.09, 1.095, -1)])
def test_a_stop_limit_order_becomes_a_limit_order_under_its_ticket(order_type: int, price: float, limit: float, sign: int) -> None:
    wide = (1.1, 1.12, 1.08, 1.1)  # reaches both: which came first the bar does not say, so the limit waits for the next one
    made = terminal([START, wide, (1.1 + sign * 0.01,) * 4, (1.1, 1.101, 1.099, 1.1)])
    ticket = placed(made, order_type, price, stoplimit=limit)
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    order = made.orders_get(ticket=ticket)[0]
    assert (order.type, order.price_open, order.price_stoplimit) == (BUY_LIMIT if sign > 0 else SELL_LIMIT, limit, 0.0)
    run_out(made)
    assert entries(made) == [(10_800, 1.1)]


def test_an_order_that_a_gap_activates_can_fill_in_the_rest_of_that_bar() -> None:
    made = terminal([START, (1.12, 1.13, 1.1, 1.12)])
    placed(made, BUY_STOP_LIMIT, 1.11, stoplimit=1.105)
    run_out(made)
    assert entries(made) == [(3600, 1.105)]


def test_the_position_has_the_orders_ticket_and_what_it_said() -> None:
    made = terminal([START, (1.1, 1.12, 1.09, 1.1), START], DEALER)
    ticket = placed(made, BUY_STOP, 1.11, volume=0.3, sl=1.05, tp=1.2, magic=9, comment="mine")
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    position, order = made.positions_get()[0], made.history_orders_get(ticket=ticket)[0]
    fact = made.history_deals_get(position=ticket)[0]
    assert (position.ticket, position.identifier, position.volume, position.price_open) == (ticket, ticket, 0.3, 1.11)
    assert (position.sl, position.tp, position.magic, position.comment, position.reason) == (1.05, 1.2, 9, "mine", 3)
    assert (order.state, order.position_id, order.volume_current, order.price_open, order.price_current) == (4, ticket, 0.0, 1.11, 1.11)
    assert (order.time_setup, order.time_done, order.time_done_msc) == (T0, T0 + 3600, (T0 + 3600) * 1000 + 500)
    assert (fact.order, fact.entry, fact.type, fact.price, fact.volume, fact.magic, fact.reason) == (ticket, 0, 0, 1.11, 0.3, 9, 3)


def test_buyers_wait_for_the_ask_and_sellers_for_the_bid() -> None:
    made = terminal([START, (1.1, 1.1095, 1.0905, 1.1)], symbol(spread_points=100))
    for order_type, price in ((BUY_STOP, 1.11), (SELL_STOP, 1.09), (BUY_LIMIT, 1.091), (SELL_LIMIT, 1.11)):
        placed(made, order_type, price)
    run_out(made)
    assert entries(made) == [(3600, 1.11)]


@pytest.mark.parametrize(
    ("order_type", "price", "sl", "tp", "bar", "expected"),
    [
        # a stop order whose target lies in the same bar, and whose stop loss does not, is out again
        (BUY_STOP, 1.11, 1.08, 1.12, (1.1, 1.13, 1.09, 1.1), [1.12]),
        (SELL_STOP, 1.09, 1.12, 1.08, (1.1, 1.11, 1.07, 1.1), [1.08]),
        (BUY_STOP, 1.11, 0.0, 1.12, (1.1, 1.13, 1.0, 1.1), [1.12]),
        # everything else of that bar is ambiguous, and waits
        (BUY_STOP, 1.11, 1.08, 1.12, (1.1, 1.13, 1.07, 1.1), []),
        (BUY_STOP, 1.11, 1.1, 0.0, (1.1, 1.13, 1.07, 1.1), []),
        (BUY_LIMIT, 1.09, 1.08, 0.0, (1.1, 1.13, 1.07, 1.1), []),
        (SELL_LIMIT, 1.11, 0.0, 1.1, (1.1, 1.13, 1.07, 1.1), []),
    ],
)
def test_levels_of_the_bar_that_fills_an_order_count_only_where_they_are_not_ambiguous(
    order_type: int, price: float, sl: float, tp: float, bar: Row, expected: list[float]
) -> None:
    made = terminal([START, bar])
    placed(made, order_type, price, sl=sl, tp=tp)
    run_out(made)
    assert [each.price for each in made.history_deals_get(*ALL) if each.entry == 1] == expected
    assert len(entries(made)) == 1


def test_an_order_without_the_money_is_cancelled_when_its_price_comes() -> None:
    made = terminal([START, (1.1, 1.12, 1.09, 1.1)], account=AccountSpec(1_000.0))
    ticket = placed(made, BUY_STOP, 1.11, volume=1.0)
    run_out(made)
    assert entries(made) == []
    assert made.history_orders_get(ticket=ticket)[0].state == 2


def test_orders_of_one_bar_fill_in_the_order_in_which_they_were_placed() -> None:
    made = terminal([START, (1.1, 1.12, 1.08, 1.1)])
    tickets = [placed(made, kind, price) for kind, price in ((SELL_STOP, 1.09), (BUY_STOP, 1.11), (BUY_LIMIT, 1.095))]
    done(made.order_send(modify(tickets[0], 1.085)))
    run_out(made)
    assert [each.order for each in made.history_deals_get(*ALL)][1:] == tickets


def test_a_gap_fills_before_the_trader_can_act_at_a_broker_and_after_it_in_backtestings_order() -> None:
    for spec, left in ((symbol(), 0), (symbol(gaps_fill_at_open=False), 1)):
        made = terminal([START, (1.12, 1.12, 1.12, 1.12)], spec)
        placed(made, BUY_STOP, 1.11)
        made.clock.sleep(3600)
        assert made.orders_total() == left
        run_out(made)
        assert entries(made) == [(3600, 1.12)]


def test_the_margin_of_a_pending_order_is_none_yet_and_a_check_says_so() -> None:
    check = terminal(flat(1.1)).order_check(pending(BUY_LIMIT, 1.09, 400.0))
    assert (check.retcode, check.margin, check.margin_free) == (0, 0.0, 10_000.0)


# -- over a restart


def test_waiting_orders_wait_on_after_a_restart_in_their_order(tmp_path: Path) -> None:
    rows = [START, (1.1, 1.12, 1.09, 1.1), (1.1, 1.106, 1.08, 1.1), START, START]

    def run(path: Path, *, restart: bool) -> Any:
        made = terminal(rows, state_file=path)
        placed(made, BUY_STOP_LIMIT, 1.11, stoplimit=1.105, sl=1.0)
        placed(made, SELL_LIMIT, 1.115, tp=1.0)
        placed(made, BUY_LIMIT, 1.085, sl=1.0, type_time=2, expiration=T0 + 99_999)
        done(made.order_send(deal(SELL, sl=1.118)))
        for seconds in (3600, 0.5, 60, 0.5, 60):
            made.clock.sleep(seconds)
            if restart:
                made.close()
                made = terminal(rows, state_file=path)
        return made.orders_get(), made.positions_get(), made.history_deals_get(*ALL), made.history_orders_get(*ALL)

    calm, shaken = run(tmp_path / "a", restart=False), run(tmp_path / "b", restart=True)
    assert calm == shaken
    assert len(calm[1]) == 3
