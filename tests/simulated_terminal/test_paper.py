"""A paper account: another terminal's prices, our own trade server, and nothing ever ordered there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Backtest.bars import TIMEFRAMES
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.market import Quote
from Backtest.simulated_terminal.paper import paper_account
from Backtest.simulated_terminal.paper.quotes import Freshness
from Backtest.simulated_terminal.paper.source import Cursor, after, cursor_at
from Backtest.simulated_terminal.rates import TICKS
from tests.simulated_terminal.paper_terminals import HOUR, LOGIN, Watched, paper, prices, watched
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    SELL,
    T0,
    bars,
    close,
    deal,
    done,
    exits,
    flat,
    market_terminal,
    pending,
    protect,
    symbol,
    terminal,
)


def test_the_account_is_of_the_kind_of_the_source_under_a_number_and_a_server_of_its_own() -> None:
    given = AccountSpec(
        5_000.0, leverage=30, currency="EUR", margin_mode=0, stop_out=20.0, margin_call=60.0, limit_orders=7, fifo_close=True
    )
    source = Watched(market_terminal({"EURUSD": (symbol(), flat(1.1))}, given))
    theirs, ours = source.account_info(), paper(source).account_info()
    assert (ours.login, ours.server, ours.trade_mode) == (LOGIN, "Paper at Simulated-Demo", 0)
    differing = {name for name, value in theirs._asdict().items() if getattr(ours, name) != value}
    assert differing == {"login", "server", "name"}


def test_the_account_begins_with_the_balance_that_is_asked_for() -> None:
    source = watched(1.1)
    ours = paper(source, paper_account(source.account_info(), login=LOGIN, balance=250.0))
    assert ours.account_info().balance == 250.0
    assert [each.profit for each in ours.history_deals_get(*ALL)] == [250.0]


def test_beside_an_account_without_money_a_balance_must_be_named() -> None:
    info = terminal(flat(1.1)).account_info()
    empty = type(info)((info._asdict() | {"balance": 0.0}).values())
    with pytest.raises(BadInput, match="balance of 0 USD; name one for the paper account"):
        paper_account(empty, login=LOGIN)


FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "account_info": (),
    "copy_rates_from": ("EURUSD", 16385, T0, 2),
    "copy_rates_from_pos": ("EURUSD", 16385, 0, 2),
    "copy_rates_range": ("EURUSD", 16385, T0, T0 + HOUR),
    "copy_ticks_from": ("EURUSD", T0, 10, -1),
    "copy_ticks_range": ("EURUSD", T0, T0 + HOUR, -1),
    "history_deals_get": ALL,
    "history_deals_total": ALL,
    "history_orders_get": ALL,
    "history_orders_total": ALL,
    "last_error": (),
    "login": (LOGIN,),
    "market_book_add": ("EURUSD",),
    "market_book_get": ("EURUSD",),
    "market_book_release": ("EURUSD",),
    "order_calc_margin": (0, "EURUSD", 0.1, 1.1),
    "order_calc_profit": (0, "EURUSD", 0.1, 1.1, 1.2),
    "order_check": (deal(),),
    "order_send": (deal(),),
    "orders_get": (),
    "orders_total": (),
    "positions_get": (),
    "positions_total": (),
    "symbol_info": ("EURUSD",),
    "symbol_info_tick": ("EURUSD",),
    "symbol_select": ("EURUSD",),
    "symbols_get": (),
    "symbols_total": (),
    "terminal_info": (),
    "version": (),
    "shutdown": (),
}
MARKET = {name for name in FUNCTIONS if name.startswith(("copy_", "market_", "symbol"))}
ASKED = MARKET | {"account_info", "terminal_info", "version", "initialize", "shutdown", "last_error", "order_calc_margin"}


@pytest.mark.parametrize("trouble", ["none", "lost", "offline", "blind"])
def test_whatever_happens_the_source_is_asked_about_prices_only(trouble: str) -> None:
    source = watched(1.1, 1.1, 1.1)
    ours = paper(source)
    ticket = done(ours.order_send(deal(sl=1.05))).order
    source.lost, source.offline = trouble == "lost", trouble == "offline"
    source.blind = {"copy_ticks_from"} if trouble == "blind" else set()
    source.clock.sleep(HOUR)
    for name, args in FUNCTIONS.items():
        getattr(ours, name)(*args)
    ours.initialize()
    for request in (protect(ticket, 1.06), pending(BUY_LIMIT, 1.05), close(ours.positions_get()[0]) if trouble == "none" else deal(SELL)):
        ours.order_check(request)
        ours.order_send(request)
    assert set(source.called) <= ASKED
    assert source.inner.positions_total() == source.inner.history_orders_total(*ALL) == 0


def test_what_the_market_shows_is_what_the_source_shows_errors_included() -> None:
    source = watched(1.1, 1.1)
    ours = paper(source)
    for name in sorted(MARKET - {"market_book_release"}):
        shown, expected = getattr(ours, name)(*FUNCTIONS[name]), getattr(source.inner, name)(*FUNCTIONS[name])
        assert np.array_equal(shown, expected) if isinstance(expected, np.ndarray) else shown == expected
    assert ours.symbol_info("NOTHING") is None
    assert ours.last_error() == (-4, "Terminal: Not found")


def test_the_constants_are_there_and_other_names_are_not() -> None:
    ours = paper(watched(1.1))
    assert ours.ORDER_TYPE_BUY_LIMIT == BUY_LIMIT
    with pytest.raises(AttributeError, match="no attribute 'spread_of_lies'"):
        ours.spread_of_lies  # noqa: B018


def test_the_switches_of_the_source_do_not_hinder_paper_and_its_own_do() -> None:
    source = watched(1.1, account=AccountSpec(trade_allowed=False, trade_expert=False))  # an investor's password
    source.inner.autotrading, source.inner.api_disabled = False, True
    ours = paper(source)
    info = ours.terminal_info()
    assert info is not None
    assert (info.trade_allowed, info.tradeapi_disabled, info.name) == (True, False, "Simulated Terminal")
    done(ours.order_send(deal()))
    ours.autotrading = False
    assert ours.order_send(deal()).retcode == 10027
    ours.api_disabled = True
    assert (ours.order_send(deal()), ours.last_error()[0]) == (None, -8)


def test_only_its_own_number_can_be_logged_in() -> None:
    ours = paper(watched(1.1))
    assert ours.login(LOGIN)
    assert not ours.login(5_000_001)
    assert ours.last_error()[0] == -6


# -- time passes


def test_a_stop_that_was_hit_while_nobody_looked_fills_at_the_tick_that_hit_it() -> None:
    source = watched(1.1, 1.1, 1.09, 1.085, 1.12, 1.12)
    ours = paper(source)
    done(ours.order_send(deal(BUY, sl=1.095)))
    for _ in range(4):
        source.clock.sleep(60)
    assert source.symbol_info_tick("EURUSD").bid == 1.12
    assert exits(ours) == [(T0 + 2 * HOUR, 1.09, "[sl 1.09500]")]  # type: ignore[arg-type]
    assert ours.account_info().balance == 10_000.0 - 100.0


def test_a_pending_order_fills_and_its_levels_close_it_again_in_their_order() -> None:
    source = watched(1.1, 1.1, 1.09, 1.095, 1.105, 1.09)
    ours = paper(source)
    ticket = done(ours.order_send(pending(BUY_LIMIT, 1.092, sl=1.08, tp=1.1))).order
    for _ in range(5):
        source.clock.sleep(60)
    opened, closed = ours.history_deals_get(*ALL)[1:]
    assert (opened.order, opened.time, opened.price, opened.entry) == (ticket, T0 + 2 * HOUR, 1.09, 0)
    assert (closed.time, closed.price, closed.comment) == (T0 + 4 * HOUR, 1.105, "[tp 1.10000]")


def test_a_position_without_margin_is_closed_at_the_tick_that_took_it() -> None:
    source = watched(1.1, 1.095, 1.091, 1.2, account=AccountSpec(1_500.0))
    ours = paper(source)
    done(ours.order_send(deal(BUY, 1.3)))
    for _ in range(3):
        source.clock.sleep(60)
    (closed,) = [each for each in ours.history_deals_get(*ALL) if each.entry == 1]
    assert (closed.time, closed.price, closed.reason, closed.comment[:4]) == (T0 + 2 * HOUR, 1.091, 6, "[so ")


def test_an_order_that_is_sent_meets_the_quote_of_now() -> None:
    source = watched(1.1, 1.3)
    ours = paper(source)
    source.clock.sleep(60)
    assert done(ours.order_send(deal())).price == 1.3


def test_the_night_costs_what_the_broker_says_on_that_day() -> None:
    source = watched(*[1.1] * 60, spec=symbol(swap_mode=4, swap_long=-7.0))
    ours = paper(source)
    done(ours.order_send(deal(BUY, 1.0)))
    cheaper = symbol(swap_mode=4, swap_long=-3.0)
    for hours in range(49):
        if hours == 30:  # between the two nights
            source.inner._market.series["EURUSD"].spec = cheaper
        source.clock.sleep(60)
        ours.look()
    (held,) = ours.positions_get()
    assert held.swap == -7.0 - 3.0


def test_levels_that_the_broker_changes_are_in_force_at_the_next_request() -> None:
    source = watched(1.1, 1.1)
    ours = paper(source)
    request = deal(sl=1.0999)
    assert ours.order_check(request).retcode == 0
    source.inner._market.series["EURUSD"].spec = symbol(stops_level=50)
    assert ours.order_check(request).retcode == 10016
    assert ours.order_send(request).retcode == 10016


class Dearer(Watched):
    """A broker that asks for three times the margin of the formula, by a rate that nobody can ask for."""

    def order_calc_margin(self, *args: Any) -> float:
        return 3 * float(self.inner.order_calc_margin(*args))


@pytest.mark.parametrize("spec", [symbol(), symbol(margin_initial=2_000.0, margin_hedged=1_000.0)], ids=["by the formula", "fixed"])
def test_margin_is_what_the_broker_asks_for_also_where_a_rate_is_hidden(spec: SymbolSpec, tmp_path: Path) -> None:
    source = Dearer(terminal(prices(1.1, 1.1), spec, AccountSpec(50_000.0)))
    ours = paper(source, state_file=tmp_path / "a")
    one_lot = source.order_calc_margin(BUY, "EURUSD", 1.0, 1.1)
    assert ours.order_calc_margin(BUY, "EURUSD", 1.0, 1.1) == one_lot == 3 * source.inner.order_calc_margin(BUY, "EURUSD", 1.0, 1.1)
    assert ours.order_check(deal(BUY, 1.0)).margin == one_lot
    done(ours.order_send(deal(BUY, 1.0)))
    assert ours.account_info().margin == one_lot
    done(ours.order_send(deal(SELL, 1.0)))
    hedged = 1.0 if spec.margin_initial == 0 else 0.5  # of a lot's margin
    assert ours.account_info().margin == pytest.approx(one_lot * hedged)
    ours.close()
    assert paper(source, state_file=tmp_path / "a").account_info().margin == pytest.approx(one_lot * hedged)


FUTURE = {"calc_mode": 1, "tick_value": 5.0, "tick_size": 1e-5, "margin_initial": 700.0}


@pytest.mark.parametrize(
    "more", [FUTURE, {"calc_mode": 3, "tick_value": 5.0}, {"calc_mode": 4}, {"calc_mode": 33, "execution": 3} | FUTURE]
)
def test_other_calculations_than_those_of_pairs_are_those_of_the_source(more: dict[str, Any]) -> None:
    source = Watched(terminal(prices(1.1, 1.2), symbol(**({"currency_margin": "USD"} | more))))
    ours = paper(source)
    for name, args in {"order_calc_margin": (SELL, "EURUSD", 0.3, 1.1), "order_calc_profit": (SELL, "EURUSD", 0.3, 1.1, 1.05)}.items():
        assert getattr(ours, name)(*args) == getattr(source.inner, name)(*args)


# -- several symbols and currencies


def crosses(account: AccountSpec | None = None, *, without: str = "") -> Watched:
    given = {"EURGBP": 0.8, "EURUSD": 1.2, "GBPUSD": 1.5, "USDJPY": 110.0}
    specs = {
        name: (symbol(name, **({"digits": 3, "tick_size": 0.001} if "JPY" in name else {})), prices(price, price))
        for name, price in given.items()
    }
    specs.pop(without, None)
    return Watched(market_terminal(specs, account))


def test_money_is_turned_through_the_symbols_of_the_source() -> None:
    source = crosses()
    ours = paper(source)
    assert ours.order_calc_margin(BUY, "EURGBP", 1.0, 0.8) == source.order_calc_margin(BUY, "EURGBP", 1.0, 0.8) == 1_200.0
    assert ours.order_calc_profit(BUY, "EURGBP", 1.0, 0.8, 0.81) == source.order_calc_profit(BUY, "EURGBP", 1.0, 0.8, 0.81)
    done(ours.order_send(deal(symbol="EURGBP")))
    assert ours.account_info().margin == 120.0


def test_a_symbol_whose_money_cannot_be_told_is_not_traded_and_the_reason_is_said() -> None:
    source = crosses(AccountSpec(currency="USD"), without="USDJPY")
    told: list[str] = []
    del source.inner._market.series["GBPUSD"]
    ours = paper(source, tell=told.append)
    assert ours.order_send(deal(symbol="EURGBP")).retcode == 10017
    assert told == ["EURGBP: needs prices that turn GBP into USD, the account's currency: add a symbol with both"]
    assert ours.order_calc_margin(BUY, "EURGBP", 1.0, 0.8) is None
    done(ours.order_send(deal(symbol="EURUSD")))


def test_a_symbol_of_the_settings_whose_money_cannot_be_told_is_a_mistake() -> None:
    source = crosses(AccountSpec(currency="USD"))
    del source.inner._market.series["GBPUSD"]
    ours = paper(source, symbols=["EURGBP"])
    with pytest.raises(BadInput, match="turn GBP into USD"):
        ours.account_info()


def test_a_symbol_that_the_source_does_not_have_is_an_invalid_request() -> None:
    ours = paper(watched(1.1), symbols=["NOTHING"])
    assert ours.account_info().balance == 10_000.0
    assert ours.order_send(deal(symbol="NOTHING")).retcode == 10013


def test_swaps_that_are_not_simulated_are_left_out_and_that_is_said() -> None:
    source = watched(1.1)
    told: list[str] = []
    info = source.inner.symbol_info("EURUSD")
    strange = type(info)((info._asdict() | {"swap_mode": 9, "swap_long": -5.0}).values())
    source.symbol_info = lambda _name: strange  # type: ignore[attr-defined]
    ours = paper(source, symbols=["EURUSD"], tell=told.append)
    assert ours.account_info().balance == 10_000.0
    assert told == ["EURUSD: its swaps (mode 9) are not simulated: nights cost nothing on the paper account"]


# -- the parts


def ticks(*rows: tuple[float, float, int]) -> Any:
    made = np.zeros(len(rows), dtype=TICKS)
    for name, column in zip(("bid", "ask", "time_msc"), zip(*rows, strict=True), strict=True):
        made[name] = column
    return made


def test_ticks_of_one_millisecond_are_each_taken_in_once() -> None:
    rows = ticks((1.0, 1.1, 5), (1.1, 1.2, 7), (1.2, 1.3, 7), (1.3, 1.4, 7), (1.4, 1.5, 9))
    assert after(rows, Cursor(7, 1)) == [Quote(1.2, 1.3, 7), Quote(1.3, 1.4, 7), Quote(1.4, 1.5, 9)]
    assert after(rows, Cursor(7, 3)) == [Quote(1.4, 1.5, 9)]
    assert after(rows, Cursor(7, 8)) == [Quote(1.4, 1.5, 9)]  # a history that has fewer of them
    assert after(rows, Cursor(9, 1)) == []
    assert cursor_at([Quote(1.2, 1.3, 7), Quote(1.3, 1.4, 7)], Cursor(7, 1)) == Cursor(7, 3)


UTC_NOON = 1_704_110_400.0


@pytest.mark.parametrize("hours", [-12, -5, 0, 2, 3, 5.5, 14])
def test_a_first_tick_that_is_of_this_moment_in_some_time_zone_is_fresh(hours: float) -> None:
    assert Freshness().look(UTC_NOON + hours * HOUR - 3.0, UTC_NOON)


@pytest.mark.parametrize("age", [11 * 60, 28 * 60, 15 * HOUR, 44 * HOUR])
def test_a_first_tick_that_is_old_in_every_time_zone_is_not(age: float) -> None:
    assert not Freshness().look(UTC_NOON - age, UTC_NOON)


def test_a_tick_that_comes_proves_trading_whatever_the_clocks_say() -> None:
    seen, ahead = Freshness(), 3 * HOUR + 700.0  # a clock that is wrong by eleven minutes
    assert not seen.look(UTC_NOON + ahead, UTC_NOON)
    assert seen.look(UTC_NOON + ahead + 1, UTC_NOON + 1)
    assert seen.look(UTC_NOON + ahead + 1, UTC_NOON + 600)
    assert not seen.look(UTC_NOON + ahead + 1, UTC_NOON + 602)


def test_a_replay_of_bars_can_be_the_source(tmp_path: Path) -> None:
    frame = bars([(1.1, 1.2, 1.0, 1.15)] * 3)
    source = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}, TIMEFRAMES["H1"]))
    source.initialize()
    ours = paper(source, state_file=tmp_path / "account.jsonl")
    done(ours.order_send(deal()))
    source.clock.sleep(0.5)
    assert ours.positions_get()[0].price_current == 1.15
