"""Execution modes, moved prices, filling modes, and orders that are larger than what can be had at one tick."""

from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, Dealing, SimulatedTerminal
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    SELL,
    SELL_LIMIT,
    close,
    deal,
    done,
    exits,
    flat,
    modify,
    pending,
    protect,
    remove,
    run_out,
    symbol,
    terminal,
)

FOK, IOC, RETURN, BOC = range(4)
REQUEST, INSTANT, MARKET, EXCHANGE = range(4)
EXCHANGE_SYMBOL = symbol(execution=EXCHANGE, filling_mode=7, spread_points=10)


def moving(points: int, execution: int, seed: int = 1) -> SimulatedTerminal:
    """At the open of a bar that reaches 50 points down and 30 up."""
    bar = (1.1, 1.1003, 1.0995, 1.1)
    return terminal([bar, bar], symbol(execution=execution), AccountSpec(1e6, dealing=Dealing(seed, points)))


def scarce(lots: float, spec: Any = EXCHANGE_SYMBOL, **account: Any) -> SimulatedTerminal:
    """A market in which only so many lots can be had at one tick."""
    return terminal(flat(1.1, 6), spec, AccountSpec(1e6, dealing=Dealing(lots_per_tick=lots), **account))


def fills(made: SimulatedTerminal, order: int) -> list[float]:
    return [each.volume for each in made.history_deals_get(*ALL) if each.order == order]


# -- moved prices


def test_a_model_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"drift_points": -1}, {"lots_per_tick": 0.0}, {"lots_per_tick": float("nan")}):
        with pytest.raises(BadInput, match="dealing wants"):
            Dealing(**wrong)


def test_with_market_execution_the_fill_is_where_the_price_has_gone_inside_the_bar() -> None:
    made = moving(200, MARKET)
    prices = [done(made.order_send(deal(BUY, 0.01, price=5.0))).price for _ in range(60)]
    assert min(prices) == 1.0995
    assert max(prices) == 1.1003
    assert len(set(prices)) > 5
    assert made.symbol_info_tick("EURUSD").bid == 1.1


def test_the_same_seed_deals_alike_and_another_one_does_not() -> None:
    def prices(seed: int) -> list[float]:
        made = moving(30, MARKET, seed)
        return [done(made.order_send(deal(BUY, 0.01))).price for _ in range(20)]

    assert prices(1) == prices(1) != prices(2)


@pytest.mark.parametrize(("execution", "code", "text"), [(REQUEST, 10020, "Price changed"), (INSTANT, 10004, "Requote")])
def test_with_request_and_instant_execution_the_price_must_stay_within_the_deviation(execution: int, code: int, text: str) -> None:
    made = moving(20, execution)
    quoted, filled = [], []
    for _ in range(60):
        request = deal(BUY, 0.01, price=1.1, deviation=10)
        assert made.order_check(request).retcode == 0
        answer = made.order_send(request)
        assert answer.retcode in (code, 10009)
        if answer.retcode == 10009:
            filled.append(round((answer.price - 1.1) * 1e5))
        else:
            assert (answer.deal, answer.order, answer.comment) == (0, 0, text)
            quoted.append(round((answer.ask - 1.1) * 1e5))
    assert max(map(abs, filled)) <= 10 < min(map(abs, quoted))


def test_a_dealer_who_is_asked_for_another_price_than_the_one_shown_answers_with_that() -> None:
    made = terminal(flat(1.1), symbol(execution=REQUEST, spread_points=4))
    answer = made.order_send(deal(BUY, price=1.1, deviation=3))
    assert (answer.retcode, answer.bid, answer.ask) == (10004, 1.1, 1.10004)


@pytest.mark.parametrize("execution", [MARKET, EXCHANGE])
def test_with_market_and_exchange_execution_price_and_deviation_mean_nothing(execution: int) -> None:
    made = terminal(flat(1.1), symbol(execution=execution))
    assert done(made.order_send(deal(BUY, price=1.3, deviation=0))).price == 1.1


# -- filling modes


@pytest.mark.parametrize(
    ("execution", "flags", "filling", "code"),
    [(mode, flags, filling, 10009) for mode in (REQUEST, INSTANT) for flags in (0, 1, 2, 3) for filling in (FOK, IOC, RETURN)]
    + [(MARKET, 1, FOK, 10009), (MARKET, 2, FOK, 10030), (MARKET, 2, IOC, 10009), (MARKET, 1, IOC, 10030), (MARKET, 3, RETURN, 10030)]
    + [(EXCHANGE, 1, FOK, 10009), (EXCHANGE, 0, FOK, 10030), (EXCHANGE, 1, IOC, 10030), (EXCHANGE, 0, RETURN, 10009)]
    + [(mode, 7, BOC, 10030) for mode in range(4)],
)
def test_the_table_of_filling_modes(execution: int, flags: int, filling: int, code: int) -> None:
    made = terminal(flat(1.1), symbol(execution=execution, filling_mode=flags))
    request = deal(price=1.1, type_filling=filling)
    assert made.order_send(request).retcode == code
    assert made.order_check(request).retcode == (0 if code == 10009 else code)


# -- partial fills


def test_fill_or_kill_gets_all_or_nothing() -> None:
    made = scarce(1.0)
    answer = made.order_send(deal(volume=1.5))
    assert (answer.retcode, answer.comment, answer.deal, answer.order) == (10006, "Request rejected", 0, 0)
    done(made.order_send(deal(volume=0.7)))
    assert made.order_send(deal(volume=0.4)).retcode == 10006  # the tick has no more
    done(made.order_send(deal(volume=0.3)))
    made.clock.sleep(3600)
    done(made.order_send(deal(volume=1.0)))


def test_of_immediate_or_cancel_the_rest_is_cancelled() -> None:
    made = scarce(1.0)
    answer = made.order_send(deal(volume=1.5, type_filling=IOC))
    order = made.history_orders_get(ticket=answer.order)[0]
    assert (answer.retcode, answer.volume, answer.price, answer.comment) == (10010, 1.0, 1.1001, "Request executed partially")
    assert (order.state, order.volume_initial, order.volume_current, order.position_id) == (2, 1.5, 0.5, order.ticket)
    assert [(each.ticket, each.volume) for each in made.positions_get()] == [(order.ticket, 1.0)]
    assert made.orders_get() == ()
    assert made.order_send(deal(volume=0.1, type_filling=IOC)).retcode == 10006


def test_of_return_the_rest_works_on_and_makes_one_position_with_the_orders_ticket() -> None:
    made = scarce(1.0)
    answer = made.order_send(deal(volume=2.5, type_filling=RETURN, sl=1.0))
    order, position = made.orders_get()[0], made.positions_get()[0]
    assert (answer.retcode, answer.volume, answer.order) == (10010, 1.0, order.ticket)
    assert (order.type, order.state, order.volume_initial, order.volume_current, order.position_id) == (0, 3, 2.5, 1.5, order.ticket)
    assert (position.ticket, position.volume, position.sl) == (order.ticket, 1.0, 1.0)
    run_out(made)
    assert fills(made, order.ticket) == [1.0, 1.0, 0.5]
    assert [(each.ticket, each.volume) for each in made.positions_get()] == [(order.ticket, 2.5)]
    assert made.history_orders_get(ticket=order.ticket)[0][9] == 4
    assert {each.position_id for each in made.history_deals_get(*ALL) if each.order} == {order.ticket}


def test_with_nothing_to_be_had_return_waits_from_the_beginning() -> None:
    made = scarce(1.0)
    done(made.order_send(deal(volume=1.0)))
    answer = made.order_send(deal(volume=0.5, type_filling=RETURN))
    assert (answer.retcode, answer.comment, answer.deal, answer.volume) == (10008, "Order placed", 0, 0.5)
    assert made.orders_get()[0].state == 1
    run_out(made)
    assert fills(made, answer.order) == [0.5]


def test_a_rest_can_be_taken_back_and_not_changed() -> None:
    made = scarce(1.0)
    ticket = made.order_send(deal(volume=2.5, type_filling=RETURN)).order
    assert made.order_send(modify(ticket, 1.0)).retcode == 10013
    done(made.order_send(remove(ticket)))
    order = made.history_orders_get(ticket=ticket)[0]
    assert (order.state, order.volume_current, order.position_id) == (2, 1.5, ticket)


def test_a_position_closes_in_parts_and_by_one_order_at_a_time() -> None:
    made = scarce(1.0)
    made.order_send(deal(volume=2.5, type_filling=RETURN))
    for _ in range(4):
        made.clock.sleep(60)
    position = made.positions_get()[0]
    made.clock.sleep(60)
    answer = made.order_send(close(position, type_filling=RETURN))
    assert (answer.retcode, position.volume) == (10010, 2.5)
    for sending in (made.order_check, made.order_send):
        assert sending(close(position, 0.1)).retcode == 10039
    run_out(made)
    assert fills(made, answer.order) == [1.0, 1.0]  # the market ends before the rest
    assert made.positions_get()[0].volume == 0.5


def test_a_rest_that_has_nothing_left_to_close_is_cancelled() -> None:
    rows = [*flat(1.1, 1), (1.1, 1.1, 1.04, 1.1)]
    made = terminal(rows, symbol(execution=EXCHANGE), AccountSpec(1e6, dealing=Dealing(lots_per_tick=0.5)))
    position = done(made.order_send(deal(volume=0.5, sl=1.05))).order
    made.clock.sleep(3600)
    done(made.order_send(deal(SELL, 0.5)))
    working = made.order_send(close(made.positions_get(ticket=position)[0], type_filling=RETURN))
    assert working.retcode == 10008
    run_out(made)
    assert [each[1:] for each in exits(made)] == [(1.05, "[sl 1.05000]")]
    assert made.history_orders_get(ticket=working.order)[0].state == 2


@pytest.mark.parametrize(
    ("levels", "row", "text"), [({"sl": 1.05}, (1.1, 1.1, 1.04, 1.045), "sl"), ({"tp": 1.15}, (1.1, 1.2, 1.1, 1.16), "tp")]
)
def test_a_level_that_finds_too_few_takers_closes_a_part_and_its_order_works_on(levels: dict[str, float], row: Any, text: str) -> None:
    made = terminal([*flat(1.1, 2), row, *flat(row[3], 3)], symbol(), AccountSpec(1e6, dealing=Dealing(lots_per_tick=0.5)))
    ticket = done(made.order_send(deal(volume=0.5))).order
    made.clock.sleep(3600)
    second = done(made.order_send(deal(volume=0.5))).order
    for each in (ticket, second):
        done(made.order_send(protect(each, **levels)))
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    level = next(iter(levels.values()))
    comment = f"[{text} {level:.5f}]"
    assert [each[1:] for each in exits(made)] == [(level, comment)]
    still = made.positions_get()[0]
    working = made.orders_get()[0]
    assert (working.comment, working.type, working.volume_current, working.state) == (comment, SELL, still.volume, 1)
    assert made.order_send(close(still)).retcode == 10039
    run_out(made)
    assert [(price, note) for _, price, note in exits(made)] == [(level, comment), (row[3], comment)]
    assert (made.positions_total(), made.orders_total()) == (0, 0)


def test_of_a_position_larger_than_the_takers_the_rest_leaves_at_the_next_ticks() -> None:
    rows = [*flat(1.1, 3), (1.1, 1.1, 1.04, 1.045), *flat(1.046, 3)]
    made = terminal(rows, symbol(execution=EXCHANGE), AccountSpec(1e6, dealing=Dealing(lots_per_tick=0.2)))
    ticket = made.order_send(deal(volume=0.3, sl=1.05, type_filling=RETURN)).order
    made.clock.sleep(3600)
    assert made.positions_get(ticket=ticket)[0].volume == 0.3
    run_out(made)
    parts = [(each.volume, each.price, each.comment) for each in made.history_deals_get(*ALL) if each.entry == 1]
    assert parts == [(0.2, 1.05, "[sl 1.05000]"), (0.1, 1.046, "[sl 1.05000]")]
    order = made.history_orders_get(position=ticket)[-1]
    assert (order.volume_initial, order.volume_current, order.state, order.type_filling) == (0.3, 0.0, 4, RETURN)


def test_a_stop_out_closes_what_finds_takers_and_its_order_works_on() -> None:
    made = terminal([*flat(1.1, 2), *flat(1.003, 6)], symbol(execution=EXCHANGE), AccountSpec(1_000.0, dealing=Dealing(lots_per_tick=0.05)))
    ticket = made.order_send(deal(volume=0.1, type_filling=RETURN)).order
    made.clock.sleep(3600)
    assert made.positions_get(ticket=ticket)[0].volume == 0.1
    run_out(made)
    outs = [(each.volume, each.price, each.comment) for each in made.history_deals_get(*ALL) if each.reason == 6]
    assert outs == [(0.05, 1.003, "[so 27.27%/30.00/110.00]")] * 2
    assert made.positions_total() == 0


def test_pending_orders_fill_in_parts_as_their_filling_says() -> None:
    made = terminal(
        [*flat(1.1, 1), (1.1, 1.12, 1.09, 1.1), *flat(1.1, 4)],
        symbol(execution=EXCHANGE),
        AccountSpec(1e6, dealing=Dealing(lots_per_tick=1.0)),
    )
    limit = done(made.order_send(pending(BUY_LIMIT, 1.095, 1.5))).order
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    assert [(each.ticket, each.type, each.state, each.volume_current) for each in made.orders_get()] == [(limit, BUY_LIMIT, 3, 0.5)]
    run_out(made)
    assert fills(made, limit) == [1.0]  # the rest still waits for its price


@pytest.mark.parametrize(("filling", "expected", "state"), [(FOK, [], 2), (IOC, [1.0], 2), (RETURN, [1.0, 0.5], 4)])
def test_a_stop_order_is_a_market_order_once_its_price_has_come(filling: int, expected: list[float], state: int) -> None:
    rows = [*flat(1.1, 1), (1.1, 1.12, 1.09, 1.1), *flat(1.1, 4)]
    made = terminal(rows, EXCHANGE_SYMBOL, AccountSpec(1e6, dealing=Dealing(lots_per_tick=1.0)))
    stop = done(made.order_send(pending(BUY_STOP, 1.11, 1.5, type_filling=filling))).order
    run_out(made)
    assert fills(made, stop) == expected
    assert made.history_orders_get(ticket=stop)[0].state == state


# -- exchange execution


def test_a_limit_order_that_crosses_the_market_of_an_exchange_fills_at_once() -> None:
    made = terminal(flat(1.1), EXCHANGE_SYMBOL)
    answer = done(made.order_send(pending(BUY_LIMIT, 1.2)))
    assert (answer.price, answer.volume, answer.deal > 0) == (1.1001, 0.1, True)
    assert made.positions_get()[0].ticket == answer.order
    assert done(made.order_send(pending(SELL_LIMIT, 1.0))).price == 1.1
    poor = terminal(flat(1.1), EXCHANGE_SYMBOL, AccountSpec(50.0))
    for sending in (poor.order_check, poor.order_send):
        assert sending(pending(BUY_LIMIT, 1.2)).retcode == 10019


def test_book_or_cancel_never_fills_at_once() -> None:
    made = terminal(flat(1.1), EXCHANGE_SYMBOL)
    crossing = done(made.order_send(pending(BUY_LIMIT, 1.2, type_filling=BOC)))
    assert (crossing.deal, made.history_orders_get(ticket=crossing.order)[0].state, made.orders_get()) == (0, 2, ())
    waiting = done(made.order_send(pending(BUY_LIMIT, 1.0, type_filling=BOC)))
    assert made.orders_get()[0].ticket == waiting.order


def test_what_was_dealt_at_a_tick_is_remembered_over_a_restart(tmp_path: Path) -> None:
    account = AccountSpec(1e6, dealing=Dealing(seed=3, drift_points=5, lots_per_tick=1.0))
    first = terminal(flat(1.1), EXCHANGE_SYMBOL, account, state_file=tmp_path / "a")
    done(first.order_send(deal(SELL, 0.8)))
    first.order_send(deal(BUY, 0.9, type_filling=RETURN))
    expected = first.orders_get(), first.positions_get()
    first.close()
    second = terminal(flat(1.1), EXCHANGE_SYMBOL, account, state_file=tmp_path / "a")
    assert (second.orders_get(), second.positions_get()) == expected
    assert second.order_send(deal(BUY, 0.1)).retcode == 10006
