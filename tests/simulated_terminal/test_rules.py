"""Sessions, and the accounts that forbid opposite positions, any order of closing, or too many positions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.sessions import sessions
from tests.simulated_terminal.terminals import (
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    H1,
    SELL,
    SELL_LIMIT,
    SELL_STOP,
    bars,
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

WEEK = sessions("Sun 22:00-24:00; Mon-Thu 00:00-21:00 22:00-24:00; Fri 00:00-21:00")


def at(day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(2024, 1, day, hour, minute, tzinfo=UTC).timestamp())


def code_of(made: SimulatedTerminal, request: dict[str, Any]) -> int:
    check, sent = made.order_check(request), made.order_send(request)
    assert check.retcode == (0 if sent.retcode == 10009 else sent.retcode)
    return int(sent.retcode)


# -- sessions


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(7, 21, 59), False),  # a Sunday
        (at(7, 22), True),
        (at(8, 0), True),
        (at(8, 20, 59), True),
        (at(8, 21), False),
        (at(11, 22), True),
        (at(12, 20, 59), True),
        (at(12, 21), False),
        (at(12, 22), False),
        (at(13, 12), False),
    ],
)
def test_a_table_of_sessions_knows_breaks_and_weekends(moment: int, expected: bool) -> None:
    assert WEEK.is_open(moment) is expected


def test_a_bar_trades_when_a_session_has_some_of_its_time() -> None:
    table = sessions("Mon-Fri 00:05-12:00")
    assert table.is_open(at(8, 0)) is False
    assert table.is_open(at(8, 0), at(8, 1)) is True
    assert table.is_open(at(8, 12), at(9, 0)) is False
    assert table.is_open(at(6, 12), at(8, 1)) is True
    assert sessions("Sun 00:00-01:00").is_open(at(6, 23), at(7, 1)) is True


@pytest.mark.parametrize("text", ["", "Mon", "Mon 1-2", "Fri-Mon 00:00-01:00", "Mon 10:00-09:00", "Mon 00:00-24:30", "Xyz 00:00-01:00"])
def test_a_table_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(BadInput, match="want days and spans"):
        sessions(text)


def test_outside_of_its_sessions_the_server_says_that_the_market_is_closed_and_a_check_does_not_see_it() -> None:
    spec = symbol(sessions=sessions("Mon 00:00-01:30 02:00-24:00"))
    market = ReplayMarket({"EURUSD": (spec, bars(flat(1.1, 5)))}, H1)
    made = SimulatedTerminal(market, speed=3600.0, real_sleep=lambda seconds: None)
    made.initialize()
    ticket = done(made.order_send(deal())).order
    order = done(made.order_send(pending(BUY_LIMIT, 1.0))).order
    made.clock.sleep(5400)
    requests = [deal(), close(made.positions_get()[0]), protect(ticket, 1.0), pending(BUY_LIMIT, 1.0), modify(order, 1.01), remove(order)]
    for request in requests:
        assert made.order_check(request).retcode == 0
        assert made.order_send(request).retcode == 10018
    made.clock.sleep(1800)
    done(made.order_send(remove(order)))


def test_nothing_fills_in_a_bar_without_a_session() -> None:
    rows = [(1.1, 1.1, 1.1, 1.1), (1.1, 1.12, 1.0, 1.1), (1.1, 1.1, 1.04, 1.1)]
    made = terminal(rows, symbol(sessions=sessions("Mon 00:00-01:00 02:00-03:00")))
    done(made.order_send(deal(sl=1.05)))
    done(made.order_send(pending(BUY_STOP, 1.11)))
    run_out(made)
    assert [price for _, price, _ in exits(made)] == [1.05]
    assert made.orders_total() == 1


# -- accounts


def test_where_the_oldest_position_goes_first_another_one_can_not_be_closed() -> None:
    made = terminal(flat(1.1, 4), account=AccountSpec(fifo_close=True))
    assert made.account_info().fifo_close is True
    done(made.order_send(deal(BUY)))
    made.clock.sleep(60)
    done(made.order_send(deal(BUY)))
    done(made.order_send(deal(SELL)))
    old, young, other = made.positions_get()
    assert code_of(made, close(young)) == 10045
    assert code_of(made, close(other)) == 10009  # the oldest of its side
    assert [code_of(made, close(each)) for each in (old, young)] == [10009, 10009]


def test_where_hedging_is_prohibited_the_other_side_waits_until_all_is_closed() -> None:
    made = terminal([(1.1, 1.1, 1.1, 1.1), (1.1, 1.12, 1.08, 1.1), *flat(1.1, 1)], account=AccountSpec(hedge_allowed=False))
    stop = done(made.order_send(pending(SELL_STOP, 1.09))).order
    done(made.order_send(deal(BUY)))
    assert [code_of(made, each) for each in (deal(SELL), pending(SELL_LIMIT, 1.2), deal(BUY))] == [10046, 10046, 10009]
    assert made.order_send(deal(SELL)).comment == "Hedging prohibited"
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    assert made.history_orders_get(ticket=stop)[0].state == 2
    for position in made.positions_get():
        done(made.order_send(close(position)))
    done(made.order_send(deal(SELL)))


@pytest.mark.parametrize(("margin_mode", "codes"), [(2, [10009, 10009, 10040]), (0, [10009, 10009, 10009])])
def test_only_so_many_positions_may_be_open(margin_mode: int, codes: list[int]) -> None:
    made = terminal(flat(1.1), account=AccountSpec(limit_positions=2, margin_mode=margin_mode))
    assert [code_of(made, deal()) for _ in range(3)] == codes


def test_levels_are_set_only_where_the_symbol_has_them() -> None:
    made = terminal(flat(1.1), symbol(order_mode=1 | 16))
    ticket = done(made.order_send(deal())).order
    assert [code_of(made, protect(ticket, *levels)) for levels in ((1.0, 1.2), (1.0, 0.0))] == [10016, 10009]
