"""Margin, profit and conversion, beside the figures that the documentation prints (`test_vectors`)."""

from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec
from tests.simulated_terminal.terminals import BUY, H1, SELL, T0, bars, deal, done, flat, market_terminal, symbol, terminal

CFD = 4


def jpy(name: str) -> SymbolSpec:
    return symbol(name, digits=3, tick_size=0.001)


def gold(**changes: Any) -> SymbolSpec:
    return symbol(
        "XAUUSD", **({"digits": 2, "tick_size": 0.01, "contract_size": 100.0, "calc_mode": CFD, "currency_margin": "USD"} | changes)
    )


@pytest.fixture
def majors() -> SimulatedTerminal:
    prices = {"EURUSD": 1.0991, "GBPUSD": 1.2273, "USDJPY": 108.48, "USDCHF": 0.97, "EURJPY": 119.2, "GBPJPY": 133.1, "AUDUSD": 0.66}
    specs = {name: jpy(name) if name.endswith("JPY") else symbol(name) for name in prices}
    gold_too = {"XAUUSD": (gold(), flat(1970.0))}
    return market_terminal({name: (specs[name], flat(price)) for name, price in prices.items()} | gold_too)


def test_stop_orders_bind_what_market_orders_do(majors: SimulatedTerminal) -> None:
    assert [majors.order_calc_margin(action, "GBPUSD", 1.0, 1.31668) for action in range(8)] == [1316.68] * 8


def test_profit_and_margin_know_only_their_actions(majors: SimulatedTerminal) -> None:
    assert majors.order_calc_profit(2, "EURUSD", 1.0, 1.1, 1.2) is None
    assert majors.order_calc_margin(8, "EURUSD", 1.0, 1.1) is None
    assert majors.last_error() == (-2, "Terminal: Invalid params")
    assert majors.order_calc_margin(0, "NOPE", 1.0, 1.1) is None
    assert majors.last_error() == (-4, "Terminal: Not found")
    assert majors.order_calc_profit(0, "USDJPY", 1.0, 100.0, 0.0) is None


def test_the_value_of_a_tick_of_the_pair_itself_is_at_its_own_price(majors: SimulatedTerminal) -> None:
    assert majors.symbol_info("USDJPY").trade_tick_value == pytest.approx(100 / 108.48)


def test_money_of_a_currency_that_has_no_quote_yet_is_unknown() -> None:
    yen, euro = (bars(flat(price), first=T0 + 7200) for price in (150.0, 1.1))
    prices = {"EURJPY": (jpy("EURJPY"), bars(flat(160.0))), "USDJPY": (jpy("USDJPY"), yen), "EURUSD": (symbol(), euro)}
    made = SimulatedTerminal(ReplayMarket(prices, H1))
    made.initialize()
    assert made.order_calc_profit(BUY, "EURJPY", 1.0, 160.0, 161.0) is None
    assert made.order_calc_margin(BUY, "EURJPY", 1.0, 160.0) is None
    assert made.last_error() == (-1, "Terminal: Call failed")
    assert made.order_send(deal(symbol="EURJPY")).retcode == made.order_check(deal(symbol="EURJPY")).retcode == 10021
    made.clock.sleep(7200)
    done(made.order_send(deal(symbol="EURJPY")))


def test_profit_in_a_third_currency_is_brought_home_through_its_pair() -> None:
    prices = {
        "EURGBP": (symbol("EURGBP"), flat(0.85)),
        "GBPUSD": (symbol("GBPUSD", spread_points=100), flat(1.25)),
        "EURUSD": (symbol(), flat(1.1)),
    }
    made = market_terminal(prices)
    assert made.order_calc_profit(BUY, "EURGBP", 1.0, 0.85, 0.86) == 1250.0  # pounds are sold at the bid
    assert made.order_calc_profit(BUY, "EURGBP", 1.0, 0.86, 0.85) == -1251.0  # and bought at the ask


def test_two_opposite_positions_bind_the_margin_of_one() -> None:
    for hedged, expected in ((100_000.0, 1000.0), (50_000.0, 500.0), (0.0, 0.0)):
        made = terminal(flat(144.0), symbol("USDJPY", digits=3, tick_size=0.001, margin_hedged=hedged), AccountSpec(1e6))
        done(made.order_send(deal(BUY, 1.0, symbol="USDJPY")))
        assert made.account_info().margin == 1000.0
        done(made.order_send(deal(SELL, 1.0, symbol="USDJPY")))
        assert made.account_info().margin == expected
        done(made.order_send(deal(SELL, 0.5, symbol="USDJPY")))
        assert made.account_info().margin == expected + 500.0


def test_the_larger_leg_binds_where_the_symbol_says_so() -> None:
    made = terminal(flat(144.0), symbol("USDJPY", digits=3, tick_size=0.001, margin_hedged_use_leg=True), AccountSpec(1e6))
    for side, volume in ((BUY, 1.0), (SELL, 0.4), (SELL, 0.8)):
        done(made.order_send(deal(side, volume, symbol="USDJPY")))
    assert made.account_info().margin == 1200.0


def test_futures_earn_by_the_tick_and_bind_a_fixed_margin() -> None:
    changes = {"digits": 2, "tick_size": 0.25, "tick_value": 12.5, "contract_size": 1.0, "volume_min": 1.0, "volume_step": 1.0}
    spec = symbol(
        "ESZUSD", calc_mode=1, margin_initial=5000.0, currency_base="USD", currency_margin="USD", currency_profit="USD", **changes
    )
    made = terminal(flat(4500.0), spec, AccountSpec(1e6))
    assert made.order_calc_profit(BUY, "ESZUSD", 2.0, 4500.0, 4501.0) == 100.0
    assert made.order_calc_margin(BUY, "ESZUSD", 2.0, 4500.0) == 10_000.0


@pytest.mark.parametrize("mode", [34, 36])
def test_options_earn_and_bind_as_futures_do(mode: int) -> None:
    spec = SymbolSpec("OPT", 2, 1.0, tick_size=0.01, tick_value=1.0, volume_min=1.0, volume_step=1.0, margin_initial=50.0, calc_mode=mode)
    made = terminal(flat(10.0), spec)
    assert made.order_calc_profit(SELL, "OPT", 3.0, 10.0, 9.5) == 150.0
    assert made.order_calc_margin(BUY, "OPT", 3.0, 10.0) == 150.0


def test_an_open_position_binds_its_maintenance_margin_and_an_order_the_initial_one() -> None:
    ticks: dict[str, Any] = {"tick_size": 0.01, "tick_value": 1.0, "volume_min": 1.0, "volume_step": 1.0}
    spec = SymbolSpec("FUT", 2, 1.0, margin_initial=500.0, margin_maintenance=400.0, calc_mode=33, **ticks)
    made = terminal(flat(10.0), spec)
    assert (made.symbol_info("FUT").margin_initial, made.symbol_info("FUT").margin_maintenance) == (500.0, 400.0)
    assert made.order_check(deal(symbol="FUT", volume=2.0)).margin == 1000.0
    done(made.order_send(deal(symbol="FUT", volume=2.0)))
    assert made.account_info().margin == 800.0


@pytest.mark.parametrize("mode", [1, 3, 33, 34, 36])
def test_what_is_counted_in_ticks_needs_the_value_of_one(mode: int) -> None:
    with pytest.raises(BadInput, match=f"calc_mode {mode} wants tick_size > 0 and tick_value > 0"):
        SymbolSpec("FUT", 2, 1.0, calc_mode=mode)


@pytest.mark.parametrize(("mode", "expected"), [(5, 144_000.0), (2, 144_000.0), (32, 144_000.0), (4, 1440.0)])
def test_margin_by_calculation_mode(mode: int, expected: float) -> None:
    spec = symbol("ABCDEF", digits=2, tick_size=0.01, calc_mode=mode, currency_base="USD", currency_margin="USD", currency_profit="USD")
    lots = 1.44 if mode == 5 else 1.0
    made = terminal(flat(1.44), spec, AccountSpec(1e6))
    assert made.order_calc_margin(BUY, "ABCDEF", lots, 1.44) == expected
