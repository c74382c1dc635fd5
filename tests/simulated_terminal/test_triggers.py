"""Stops and limits inside a bar, and positions that run out of margin."""

from dataclasses import replace
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec, parity_account, parity_symbol
from Backtest.simulated_terminal.book import Book, Kind, Position, Trigger
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    H1,
    SELL,
    T0,
    bars,
    close,
    deal,
    done,
    exits,
    flat,
    protect,
    run_out,
    symbol,
    terminal,
)

START = (1.1, 1.1, 1.1, 1.1)


def after(bar: tuple[float, float, float, float], side: int, sl: float = 0.0, tp: float = 0.0, spec: SymbolSpec | None = None) -> Any:
    """What closes a position that was opened at 1.1 when `bar` follows."""
    made = terminal([START, bar, (1.1, 1.1, 1.1, 1.1)], spec)
    done(made.order_send(deal(side, sl=sl, tp=tp)))
    made.clock.sleep(3600)
    made.clock.sleep(0.5)
    return [(price, comment) for _, price, comment in exits(made)]


@pytest.mark.parametrize(
    ("side", "sl", "tp", "bar", "expected"),
    [
        (BUY, 1.09, 1.12, (1.1, 1.11, 1.095, 1.1), []),
        (BUY, 1.09, 1.12, (1.1, 1.11, 1.09, 1.1), [(1.09, "[sl 1.09000]")]),
        (BUY, 1.09, 1.12, (1.1, 1.12, 1.095, 1.1), [(1.12, "[tp 1.12000]")]),
        (BUY, 1.09, 1.12, (1.1, 1.13, 1.08, 1.1), [(1.09, "[sl 1.09000]")]),  # both: the stop comes first
        (BUY, 1.09, 1.12, (1.08, 1.1, 1.07, 1.09), [(1.08, "[sl 1.09000]")]),  # gaps fill at the open
        (BUY, 1.09, 1.12, (1.13, 1.14, 1.11, 1.12), [(1.13, "[tp 1.12000]")]),
        (BUY, 1.09, 1.12, (1.13, 1.14, 1.08, 1.12), [(1.09, "[sl 1.09000]")]),
        (SELL, 1.12, 1.09, (1.1, 1.11, 1.095, 1.1), []),
        (SELL, 1.12, 1.09, (1.1, 1.12, 1.095, 1.1), [(1.12, "[sl 1.12000]")]),
        (SELL, 1.12, 1.09, (1.1, 1.11, 1.09, 1.1), [(1.09, "[tp 1.09000]")]),
        (SELL, 1.12, 1.09, (1.1, 1.13, 1.08, 1.1), [(1.12, "[sl 1.12000]")]),
        (SELL, 1.12, 1.09, (1.13, 1.14, 1.11, 1.12), [(1.13, "[sl 1.12000]")]),
        (SELL, 1.12, 1.09, (1.08, 1.1, 1.07, 1.09), [(1.08, "[tp 1.09000]")]),
        (SELL, 1.12, 1.09, (1.08, 1.13, 1.07, 1.09), [(1.12, "[sl 1.12000]")]),
    ],
)
def test_a_level_fills_where_backtesting_fills_it(side: int, sl: float, tp: float, bar: Any, expected: list[Any]) -> None:
    for spec in (symbol(), symbol(gaps_fill_at_open=False, immediate_stops=True)):
        assert after(bar, side, sl, tp, spec) == expected


def test_a_long_position_closes_on_the_bid_and_a_short_one_on_the_ask() -> None:
    spec = symbol(spread_points=100)
    assert after((1.1, 1.11, 1.091, 1.1), BUY, sl=1.09, spec=spec) == []
    assert after((1.1, 1.109, 1.095, 1.1), SELL, sl=1.11, spec=spec) == [(1.11, "[sl 1.11000]")]
    assert after((1.1, 1.11, 1.0895, 1.1), SELL, tp=1.09, spec=spec) == []
    assert after((1.112, 1.113, 1.1, 1.1), SELL, sl=1.11, spec=spec) == [(1.113, "[sl 1.11000]")]


def test_the_exit_carries_the_servers_reason_and_the_positions_magic() -> None:
    made = terminal([START, (1.1, 1.1, 1.05, 1.1)])
    ticket = done(made.order_send(deal(BUY, 0.3, sl=1.08, magic=77, comment="mine"))).order
    run_out(made)
    out = made.history_deals_get(position=ticket)[1]
    order = made.history_orders_get(ticket=out.order)[0]
    assert (out.reason, out.magic, out.comment, out.volume, out.price, out.entry, out.type) == (4, 77, "[sl 1.08000]", 0.3, 1.08, 1, 1)
    assert (order.reason, order.position_id, order.magic, order.state, order.type) == (4, ticket, 77, 4, 1)
    assert (out.time, out.time_msc) == (T0 + 3600, (T0 + 3600) * 1000 + 500)
    assert made.account_info().balance == 9_400.0


def test_gaps_fill_before_the_trader_can_act_at_a_broker_and_after_it_in_backtestings_order() -> None:
    for spec, left in ((symbol(), 0), (symbol(gaps_fill_at_open=False), 1)):
        made = terminal([START, (1.08, 1.1, 1.07, 1.09)], spec)
        done(made.order_send(deal(sl=1.09)))
        made.clock.sleep(3600)
        assert made.positions_total() == left
        run_out(made)
        assert exits(made) == [(T0 + 3600, 1.08, "[sl 1.09000]")]


def test_a_position_can_be_stopped_in_the_bar_that_opened_it() -> None:
    made = terminal([(1.1, 1.1, 1.08, 1.1), START])
    done(made.order_send(deal(sl=1.09)))
    made.clock.sleep(1)
    assert exits(made) == [(T0, 1.09, "[sl 1.09000]")]


def test_what_the_trader_closed_at_the_open_can_not_be_stopped_any_more() -> None:
    made = terminal([START, (1.1, 1.1, 1.05, 1.1)])
    done(made.order_send(deal(sl=1.08)))
    made.clock.sleep(3600)
    done(made.order_send(close(made.positions_get()[0])))
    run_out(made)
    assert [each[1:] for each in exits(made)] == [(1.1, "")]


def test_a_level_moved_at_the_open_counts_for_that_bar() -> None:
    made = terminal([START, (1.1, 1.1, 1.085, 1.1)])
    ticket = done(made.order_send(deal(sl=1.08))).order
    made.clock.sleep(3600)
    done(made.order_send(protect(ticket, 1.09)))
    run_out(made)
    assert exits(made) == [(T0 + 3600, 1.09, "[sl 1.09000]")]


def test_where_stops_are_immediate_one_on_the_wrong_side_triggers_at_once() -> None:
    made = terminal([(1.1, 1.12, 1.09, 1.11), START], symbol(immediate_stops=True))
    done(made.order_send(deal(sl=1.11)))
    done(made.order_send(deal(SELL, tp=1.11)))
    run_out(made)
    assert sorted(each[1:] for each in exits(made)) == [(1.1, "[sl 1.11000]"), (1.1, "[tp 1.11000]")]


def test_changed_stops_are_looked_at_first_and_changed_limits_last() -> None:
    book = Book()
    blank = Position(1, "EURUSD", BUY, 0.1, 1.1, 1.0, 1.2, 0, 0, 0, 3, "")
    book.open(blank)
    book.open(replace(blank, ticket=2))
    assert book.triggers["EURUSD"] == [
        Trigger(2, Kind.STOP_LOSS),
        Trigger(1, Kind.STOP_LOSS),
        Trigger(1, Kind.TAKE_PROFIT),
        Trigger(2, Kind.TAKE_PROFIT),
    ]
    book.protect(1, 1.05, 1.2)
    assert book.triggers["EURUSD"][0] == Trigger(1, Kind.STOP_LOSS)
    book.protect(1, 1.05, 1.3)
    assert book.triggers["EURUSD"] == [
        Trigger(1, Kind.STOP_LOSS),
        Trigger(2, Kind.STOP_LOSS),
        Trigger(2, Kind.TAKE_PROFIT),
        Trigger(1, Kind.TAKE_PROFIT),
    ]
    book.protect(2, 0.0, 0.0)
    book.reduce(1, 0.04, 5)
    assert book.triggers["EURUSD"] == [Trigger(1, Kind.STOP_LOSS), Trigger(1, Kind.TAKE_PROFIT)]
    book.reduce(1, 0.06, 6)
    assert book.triggers["EURUSD"] == []


def test_two_symbols_have_levels_of_their_own() -> None:
    prices = {name: (symbol(name), bars([START, (1.1, 1.1, low, 1.1)])) for name, low in (("EURUSD", 1.05), ("GBPUSD", 1.09))}
    made = SimulatedTerminal(ReplayMarket(prices, H1))
    made.initialize()
    for name in prices:
        done(made.order_send(deal(symbol=name, sl=1.08)))
    run_out(made)
    assert [each.symbol for each in made.positions_get()] == ["GBPUSD"]


# -- the account


def test_floating_profit_moves_equity_margin_and_level() -> None:
    made = terminal([START, (1.12, 1.12, 1.12, 1.12)], symbol(spread_points=10))
    done(made.order_send(deal(BUY, 0.5)))
    made.clock.sleep(3600)
    info = made.account_info()
    assert (info.balance, info.profit, info.equity, info.margin, info.margin_free) == (10_000.0, 995.0, 10_995.0, 550.05, 10_444.95)
    assert info.margin_level == 10_995.0 / 550.05 * 100


def test_commission_is_charged_at_entry_and_exit_and_shown_on_the_deals() -> None:
    made = terminal(flat(1.1), account=AccountSpec(commission=lambda units, price: abs(units) * price * 0.0001))
    ticket = done(made.order_send(deal(BUY, 0.1))).order
    assert made.account_info().balance == 9_998.9
    done(made.order_send(close(made.positions_get()[0], 0.05)))
    assert [each.commission for each in made.history_deals_get(position=ticket)] == [-1.1, -0.55]
    assert made.account_info().balance == 9_998.35


def test_a_commission_is_told_the_size_with_its_sign() -> None:
    told: list[float] = []
    made = terminal(flat(1.1), account=AccountSpec(commission=lambda units, price: told.append(units) or 0.0))  # type: ignore[func-returns-value]
    told.clear()
    for side in (BUY, SELL):
        done(made.order_send(deal(side, 0.1)))
    for position in made.positions_get():
        done(made.order_send(close(position)))
    assert told == [10_000.0, -10_000.0, 10_000.0, -10_000.0]


def test_the_position_that_loses_most_is_closed_first_when_the_margin_is_gone() -> None:
    made = terminal([START, (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)], account=AccountSpec(1_550.0))
    winner = done(made.order_send(deal(SELL, 0.1, magic=1))).order
    loser = done(made.order_send(deal(BUY, 0.25, magic=2))).order
    made.clock.sleep(3600)
    out = made.history_deals_get(position=loser)[1]
    assert (out.reason, out.price, out.magic, out.comment[:4]) == (6, 1.0, 2, "[so ")
    assert [each.ticket for each in made.positions_get()] == [winner]


def test_above_the_stop_out_level_nothing_is_closed() -> None:
    made = terminal([START, (1.0764, 1.0764, 1.0764, 1.0764)], account=AccountSpec(1_000.0))
    done(made.order_send(deal(BUY, 0.36)))
    run_out(made)
    assert made.positions_total() == 1
    assert made.account_info().margin_level < 50


def test_on_the_parity_account_everything_closes_at_the_close_of_a_bar_that_leaves_nothing() -> None:
    frame = bars([(100.0, 100.0, 100.0, 100.0), (100.0, 100.0, 1.0, 60.0), (60.0, 60.0, 1.0, 49.0)])
    made = SimulatedTerminal(ReplayMarket({"ABC": (parity_symbol("ABC", frame), frame)}, H1), parity_account(1_000.0))
    made.initialize()
    for _ in range(2):
        done(made.order_send(deal(BUY, 10.0, symbol="ABC")))
    made.clock.sleep(3600)
    made.clock.sleep(1)
    assert made.positions_total() == 0 or made.account_info().equity > 0
    run_out(made)
    assert made.positions_total() == 0
    assert {(each.reason, each.price) for each in made.history_deals_get(*ALL) if each.entry == 1} <= {(6, 60.0), (6, 49.0)}


def test_account_and_terminal_tell_what_they_are() -> None:
    made = terminal(flat(1.1), account=AccountSpec(5_000.0, leverage=50, login=12, password="s", server="Here"))
    info, program = made.account_info(), made.terminal_info()
    assert (info.login, info.leverage, info.server, info.currency, info.currency_digits) == (12, 50, "Here", "USD", 2)
    assert (info.margin_mode, info.margin_so_mode, info.margin_so_call, info.margin_so_so, info.trade_mode) == (2, 0, 50.0, 30.0, 0)
    assert (program.connected, program.trade_allowed, program.maxbars) == (True, True, 100_000)
    assert made.version()[0] == 500
    assert terminal(flat(1.1), account=AccountSpec(trade_mode=2)).account_info().trade_mode == 2
    with pytest.raises(BadInput, match="trade_mode is 0"):
        AccountSpec(trade_mode=3)
    for wrong in ({"login": 13}, {"login": 12, "password": "x"}, {"login": 12, "server": "There"}):
        assert made.initialize(**wrong) is False
        assert made.last_error() == (-6, "Terminal: Authorization failed")
        assert made.account_info() is None
    assert made.initialize(login=12, password="s", server="Here") is True
    assert made.login(13) is False
    assert made.account_info().login == 12  # a failed login keeps the connection
