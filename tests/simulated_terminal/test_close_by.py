"""Two opposite positions close by each other."""

from typing import Any

import pytest

from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, BUY, SELL, close_by, deal, done, symbol, terminal

GOLD = symbol(
    "XAUUSD", digits=2, tick_size=0.01, contract_size=100.0, calc_mode=4, currency_margin="USD", spread_points=20, margin_hedged=100.0
)


def opened(made: SimulatedTerminal, side: int, volume: float, **more: Any) -> int:
    return int(done(made.order_send(deal(side, volume, symbol="XAUUSD", **more))).order)


@pytest.fixture
def made() -> SimulatedTerminal:
    """As in the book: a short position at 1826.22 and a long one at 1831.13; by then the market is elsewhere."""
    rows = [(1826.22,) * 4, (1830.93,) * 4, (1850.0,) * 4]
    return terminal(rows, GOLD, AccountSpec(10_000.0, commission=lambda units, price: abs(units)))


def two(made: SimulatedTerminal, short: float = 0.01, long: float = 0.01) -> tuple[int, int]:
    first = opened(made, SELL, short, sl=1900.0)
    made.clock.sleep(3600)
    second = opened(made, BUY, long, tp=1950.0)
    made.clock.sleep(3600)
    return first, second


def test_one_order_makes_two_deals_each_at_the_open_price_of_the_other_position(made: SimulatedTerminal) -> None:
    short, long = two(made)
    answer = done(made.order_send(close_by(short, long, magic=5, comment="both", symbol="ignored")))
    order = made.history_orders_get(ticket=answer.order)[0]
    first, second = made.history_deals_get(*ALL)[-2:]
    assert (first.order, second.order, first.ticket) == (order.ticket, order.ticket, answer.deal)
    assert (first.type, first.volume, first.price, first.entry, first.position_id) == (BUY, 0.01, 1831.13, 3, short)
    assert (second.type, second.volume, second.price, second.entry, second.position_id) == (SELL, 0.01, 1826.22, 3, long)
    assert (first.profit, second.profit) == (-4.91, 0.0)
    assert (order.type, order.state, order.position_id, order.position_by_id, order.volume_initial) == (8, 4, short, long, 0.01)
    assert (order.magic, order.comment, first.magic, first.comment, first.reason) == (5, "both", 5, "both", 3)
    assert (made.positions_get(), made.orders_get()) == ((), ())
    assert made.account_info().balance == 10_000.0 - 4.91 - 4.0  # a commission for each deal
    assert made.history_orders_get(position=long) == made.history_orders_get(ticket=long)  # the second position does not select it


def test_the_rest_of_the_larger_position_survives_with_its_ticket_and_its_levels(made: SimulatedTerminal) -> None:
    short, long = two(made, 0.03, 0.05)
    answer = done(made.order_send(close_by(short, long)))
    assert (answer.volume, answer.price) == (0.03, 1831.13)
    rest = made.positions_get()[0]
    assert (made.positions_total(), rest.ticket, rest.volume, rest.tp, rest.price_open) == (1, long, 0.02, 1950.0, 1831.13)


def test_a_close_by_that_does_not_fit_is_refused(made: SimulatedTerminal) -> None:
    short, long = two(made)
    same = opened(made, BUY, 0.01)
    cases = [
        (close_by(short, 0), 10013),
        (close_by(0, long), 10013),
        (close_by(short, short), 10013),
        (close_by(long, same), 10013),
        (close_by(short, 7), 10036),
        (close_by(7, long), 10036),
    ]
    for request, code in cases:
        assert made.order_check(request).retcode == made.order_send(request).retcode == code
    assert made.positions_total() == 3


def test_a_symbol_may_not_offer_it_and_a_frozen_position_stays() -> None:
    cases: list[tuple[dict[str, Any], dict[str, float], int]]
    cases = [({"order_mode": 63}, {}, 10035), ({"freeze_level": 50}, {"sl": 1.0997}, 10029), ({}, {}, 10009)]
    for changes, levels, code in cases:
        made = terminal([(1.1, 1.1, 1.1, 1.1)], symbol(**changes))
        tickets = [done(made.order_send(deal(side, **(levels if side == BUY else {})))).order for side in (SELL, BUY)]
        assert made.order_send(close_by(*tickets)).retcode == code
