"""Swaps with their triple day, and the money of exchanges: bonds, collateral, orders that hold margin, stop-out by money."""

from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, Dealing, SimulatedTerminal, SymbolSpec
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    SELL,
    close,
    close_by,
    deal,
    done,
    flat,
    market_terminal,
    pending,
    remove,
    symbol,
    terminal,
)

WEDNESDAY, FRIDAY = 3, 5
NIGHTLY = symbol(swap_mode=4, swap_long=-1.0, swap_short=0.5)


def after_days(days: int, spec: SymbolSpec, side: int = BUY, price: float = 1.1, volume: float = 1.0) -> float:
    """The swap of a position that was opened on a Monday at midnight."""
    made = terminal(flat(price, 24 * days + 2), spec, AccountSpec(1e6))
    done(made.order_send(deal(side, volume, symbol=spec.name)))
    pass_hours(made, 24 * days)
    return float(made.positions_get()[0].swap)


def pass_hours(made: SimulatedTerminal, hours: int) -> None:
    for _ in range(hours):
        made.clock.sleep(60)


def exchange(calc_mode: int, **changes: Any) -> SymbolSpec:
    home = {"currency_base": "USD", "currency_profit": "USD", "currency_margin": "USD"}
    settings = {"digits": 2, "tick_size": 0.01, "contract_size": 1.0, "volume_min": 1.0, "volume_step": 1.0, "execution": 3}
    return symbol("THING", calc_mode=calc_mode, **(home | settings | changes))


@pytest.mark.parametrize(("days", "charged"), [(0, 0), (1, 1), (2, 2), (3, 5), (4, 6), (5, 7), (6, 7), (7, 7), (8, 8), (10, 12)])
def test_the_night_after_wednesday_counts_three_times_and_those_of_the_weekend_are_free(days: int, charged: int) -> None:
    assert after_days(days, NIGHTLY) == -1.0 * charged
    assert after_days(days, NIGHTLY, SELL) == 0.5 * charged


def test_another_day_can_be_the_triple_one() -> None:
    spec = symbol(swap_mode=4, swap_long=-1.0, swap_rollover3days=FRIDAY)
    assert [after_days(days, spec) for days in (3, 4, 5, 7)] == [-3.0, -4.0, -7.0, -7.0]


@pytest.mark.parametrize(
    ("changes", "side", "expected"),
    [
        ({"swap_mode": 0, "swap_long": -5.0}, BUY, 0.0),
        ({"swap_mode": 1, "swap_long": -5.5}, BUY, -5.5),  # points of 1 dollar each
        ({"swap_mode": 1, "swap_short": 2.25}, SELL, 2.25),
        ({"swap_mode": 2, "swap_long": -5.0}, BUY, -6.25),  # euros
        ({"swap_mode": 3, "swap_long": -5.0}, BUY, -6.25),
        ({"swap_mode": 4, "swap_long": -5.0}, BUY, -5.0),
        ({"swap_mode": 5, "swap_long": -3.6}, BUY, -12.5),  # percent a year of 125 000 dollars
        ({"swap_mode": 6, "swap_short": -3.6}, SELL, -12.5),
    ],
)
def test_what_a_night_costs_is_told_in_the_symbols_own_measure(changes: dict[str, Any], side: int, expected: float) -> None:
    assert after_days(1, symbol(**changes), side, price=1.25) == expected


def test_swaps_in_another_currency_come_home_at_the_market() -> None:
    prices = {
        "EURJPY": (symbol("EURJPY", digits=3, tick_size=0.001, swap_mode=1, swap_long=-10.0), flat(160.0, 26)),
        "USDJPY": (symbol("USDJPY", digits=3, tick_size=0.001), flat(125.0, 26)),
        "EURUSD": (symbol(swap_mode=3, swap_long=-1.0), flat(1.25, 26)),
    }
    made = market_terminal(prices, AccountSpec(1e6))
    done(made.order_send(deal(symbol="EURJPY", volume=1.0)))
    pass_hours(made, 24)
    assert made.positions_get()[0].swap == -8.0  # 1000 yen


@pytest.mark.parametrize(
    ("mode", "side", "opened"),
    [(7, BUY, 1.10004), (7, SELL, 1.10008), (8, BUY, 1.20004), (8, SELL, 1.19998)],
)
def test_a_swap_can_be_a_new_beginning_at_another_price(mode: int, side: int, opened: float) -> None:
    spec = symbol(swap_mode=mode, swap_long=-4.0, swap_short=-2.0, spread_points=10)
    made = terminal([*flat(1.1, 24), *flat(1.2, 3)], spec, AccountSpec(1e5))
    first = done(made.order_send(deal(side, 0.1, magic=7, comment="mine", sl=1.0 if side == BUY else 1.3)))
    pass_hours(made, 24)
    position = made.positions_get()[0]
    assert position.price_open == opened  # the last price of the day, or the new day's bid, made worse by the points
    assert (position.ticket != first.order, position.identifier) == (True, first.order)
    assert (position.magic, position.comment, position.volume, position.sl) == (7, "mine", 0.1, 1.0 if side == BUY else 1.3)
    out, again = made.history_deals_get(position=first.order)[1:]
    assert [(each.entry, each.reason, each.order, each.type) for each in (out, again)] == [(1, 7, 0, 1 - side), (0, 7, 0, side)]
    assert (out.price, out.profit) == (1.1 if side == BUY else 1.1001, -1.0)  # the spread
    assert (again.price, again.profit) == (opened, 0.0)
    assert made.account_info().balance == 1e5 - 1.0
    done(made.order_send(close(position)))
    assert [each.entry for each in made.history_deals_get(position=first.order)] == [0, 1, 0, 1]


def test_an_order_that_closes_a_position_follows_it_into_the_new_day() -> None:
    spec = symbol(swap_mode=7, swap_long=-4.0, execution=3)
    made = terminal(flat(1.1, 30), spec, AccountSpec(1e5, dealing=Dealing(lots_per_tick=0.1)))
    made.order_send(deal(volume=0.2, type_filling=2))
    pass_hours(made, 23)
    made.clock.sleep(0.5)
    assert made.order_send(close(made.positions_get()[0], type_filling=2)).volume == 0.1
    pass_hours(made, 2)
    assert made.positions_total() == made.orders_total() == 0
    assert made.account_info().balance == pytest.approx(1e5 - 0.4)


@pytest.mark.parametrize("mode", [-1, 9])
def test_swaps_are_charged_in_a_known_mode(mode: int) -> None:
    with pytest.raises(BadInput, match=f"swap_mode is from 0 to 8, is {mode}"):
        symbol(swap_mode=mode)


@pytest.mark.parametrize(("mode", "orders", "level"), [(0, 1, 1.0), (1, 0, 0.0), (2, 0, 1.0)])
def test_the_end_of_a_day_may_take_away_orders_and_levels(mode: int, orders: int, level: float) -> None:
    made = terminal(flat(1.1, 30), symbol(order_gtc_mode=mode))
    assert made.symbol_info("EURUSD").order_gtc_mode == mode
    done(made.order_send(deal(sl=1.0)))
    ticket = done(made.order_send(pending(BUY_LIMIT, 1.05))).order
    pass_hours(made, 23)
    assert (made.orders_total(), made.positions_get()[0].sl) == (1, 1.0)
    pass_hours(made, 1)
    assert (made.orders_total(), made.positions_get()[0].sl) == (orders, level)
    if not orders:
        assert made.history_orders_get(ticket=ticket)[0].state == 6


def test_a_swap_is_in_the_equity_and_becomes_money_with_the_part_that_closes() -> None:
    made = terminal(flat(1.1, 30), NIGHTLY)
    ticket = done(made.order_send(deal(volume=0.4))).order
    pass_hours(made, 24)
    info, position = made.account_info(), made.positions_get()[0]
    assert (info.balance, info.profit, info.equity, position.swap, position.profit) == (10_000.0, 0.0, 9_999.6, -0.4, 0.0)
    assert position.time_update == position.time
    done(made.order_send(close(position, 0.1)))
    assert made.positions_get()[0].swap == -0.3
    done(made.order_send(close(made.positions_get()[0])))
    assert [each.swap for each in made.history_deals_get(position=ticket)] == [0.0, -0.1, -0.3]
    assert made.account_info().balance == 9_999.6


def test_a_close_by_settles_the_swaps_of_both() -> None:
    made = terminal(flat(1.1, 30), NIGHTLY)
    long, short = (done(made.order_send(deal(side, volume))).order for side, volume in ((BUY, 1.0), (SELL, 0.5)))
    pass_hours(made, 24)
    done(made.order_send(close_by(long, short)))
    assert [each.swap for each in made.history_deals_get(*ALL)[-2:]] == [-0.5, 0.25]
    assert made.positions_get()[0].swap == -0.5


def test_a_reversal_settles_the_swap_and_begins_anew() -> None:
    made = terminal(flat(1.1, 30), NIGHTLY, AccountSpec(margin_mode=0))
    done(made.order_send(deal(volume=0.5)))
    pass_hours(made, 24)
    answer = done(made.order_send(deal(SELL, 0.8)))
    assert made.history_deals_get(ticket=answer.deal)[0].swap == -0.5
    assert made.positions_get()[0].swap == 0.0


def test_no_night_is_charged_twice_over_a_restart(tmp_path: Path) -> None:
    made = terminal(flat(1.1, 60), NIGHTLY, state_file=tmp_path / "a")
    done(made.order_send(deal(volume=1.0)))
    for _ in range(3):
        pass_hours(made, 16)
        made.close()
        made = terminal(flat(1.1, 60), NIGHTLY, state_file=tmp_path / "a")
    assert made.positions_get()[0].swap == -2.0


# -- exchanges


@pytest.mark.parametrize("mode", [37, 39])
def test_bonds_are_priced_in_percent_of_their_face_value(mode: int) -> None:
    made = terminal(flat(98.0), exchange(mode, face_value=1000.0), AccountSpec(1e6))
    assert made.order_calc_margin(BUY, "THING", 3.0, 98.0) == 2940.0
    assert made.order_calc_profit(BUY, "THING", 3.0, 98.0, 99.5) == 45.0


def test_collateral_binds_and_earns_nothing_and_part_of_its_value_counts() -> None:
    made = terminal([(50.0,) * 4, (60.0,) * 4], exchange(64, liquidity_rate=0.5), AccountSpec(1_000.0))
    done(made.order_send(deal(symbol="THING", volume=10.0)))
    made.clock.sleep(60)
    info = made.account_info()
    assert (info.assets, info.margin, info.profit, info.balance, info.equity, info.margin_free) == (300.0, 0.0, 0.0, 1000.0, 1300.0, 1300.0)


def test_on_an_exchange_an_order_that_waits_holds_its_margin() -> None:
    made = terminal(flat(50.0), exchange(32), AccountSpec(1_000.0))
    request = pending(BUY_LIMIT, 40.0, 10.0, symbol="THING")
    check = made.order_check(request)
    assert (check.retcode, check.margin, check.margin_free) == (0, 400.0, 600.0)
    first = done(made.order_send(request)).order
    assert made.account_info().margin == 400.0
    assert made.order_check(request | {"volume": 16.0}).retcode == made.order_send(request | {"volume": 16.0}).retcode == 10019
    done(made.order_send(remove(first)))
    assert made.account_info().margin == 0.0


def test_an_order_is_filled_with_the_margin_that_it_holds() -> None:
    made = terminal([(50.0,) * 4, (50.0, 50.0, 39.0, 40.0)], exchange(32), AccountSpec(500.0, stop_out=0.0))
    done(made.order_send(pending(BUY_LIMIT, 40.0, 10.0, symbol="THING")))
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    assert made.positions_get()[0].volume == 10.0


def test_orders_that_hold_margin_go_before_positions_when_the_margin_is_gone() -> None:
    made = terminal([(50.0,) * 4, (25.0,) * 4], exchange(32), AccountSpec(1_000.0, stop_out=100.0))
    done(made.order_send(deal(symbol="THING", volume=10.0)))
    order = done(made.order_send(pending(BUY_LIMIT, 5.0, 60.0, symbol="THING"))).order
    made.clock.sleep(60)
    assert made.history_orders_get(ticket=order)[0].state == 2
    assert made.positions_total() == 1


def test_a_stop_out_can_be_judged_by_the_equity_alone() -> None:
    for stop_out, left in ((900.0, 1), (950.0, 0)):
        made = terminal([(1.1,) * 4, (1.09,) * 4], account=AccountSpec(1_000.0, stop_out=stop_out, stop_out_mode=1))
        done(made.order_send(deal(volume=0.07)))
        made.clock.sleep(60)
        assert (made.positions_total(), made.account_info().margin_so_mode) == (left, 1)
