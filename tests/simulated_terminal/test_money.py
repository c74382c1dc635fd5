"""Margin, profit and conversion: the figures that the documentation prints."""

from typing import Any

import pytest

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.money import level
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [("EURUSD", 109.91), ("GBPUSD", 122.73), ("USDJPY", 100.0), ("USDCHF", 100.0), ("EURJPY", 109.91), ("GBPJPY", 122.73)],
)
def test_margin_as_in_the_documentation_of_the_python_package(majors: SimulatedTerminal, name: str, expected: float) -> None:
    assert majors.order_calc_margin(BUY, name, 0.1, majors.symbol_info_tick(name).ask) == expected


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (BUY, 1.31668, 1316.68),
        (SELL, 1.31661, 1316.61),
        (BUY, 1.31568, 1315.68),
        (SELL, 1.31761, 1317.61),
        (BUY, 1.31768, 1317.68),
        (SELL, 1.31561, 1315.61),
        (BUY, 1.31718, 1317.18),
        (SELL, 1.31611, 1316.11),
    ],
)
def test_the_price_of_the_pair_itself_converts_its_margin(majors: SimulatedTerminal, side: int, price: float, expected: float) -> None:
    assert majors.order_calc_margin(side, "GBPUSD", 1.0, price) == expected
    assert majors.order_calc_margin(side + 4, "GBPUSD", 1.0, price) == expected  # stop orders bind what market orders do


@pytest.mark.parametrize(
    ("side", "name", "lots", "opened", "closed", "expected"),
    [
        (BUY, "EURUSD", 1.0, 1.0991, 1.1021, 300.0),
        (SELL, "GBPUSD", 1.0, 1.2273, 1.2243, 300.0),
        (BUY, "USDJPY", 1.0, 108.183, 108.483, 276.54),
        (SELL, "USDJPY", 1.0, 108.1787, 107.8787, 278.09),
        (BUY, "EURUSD", 1.0, 1.10757, 1.10881, 124.0),
        (SELL, "EURUSD", 1.0, 1.10753, 1.10881, -128.0),
        (BUY, "USDCHF", 0.01, 0.97898, 0.95758, -22.35),
        (SELL, "USDCHF", 0.1, 0.93475, 0.93751, -29.44),
        (BUY, "AUDUSD", 0.1, 0.66336, 0.66327, -0.9),
        (BUY, "XAUUSD", 0.01, 1970.98, 1970.09, -0.89),
        (SELL, "XAUUSD", 0.01, 1969.98, 1970.17, -0.19),
        (SELL, "XAUUSD", 0.1, 1970.09, 1970.22, -1.3),
        (SELL, "XAUUSD", 1.1, 1969.95, 1969.88, 7.7),
        (BUY, "USDJPY", 0.1, 144.132, 144.124, -0.56),
        (SELL, "EURUSD", 0.01, 1.09301, 1.10104, -8.03),
        (BUY, "EURUSD", 0.01, 1.08676, 1.10099, 14.23),
        (BUY, "EURUSD", 0.01, 1.0864, 1.10099, 14.59),
        (BUY, "EURUSD", 0.01, 1.09545, 1.10099, 5.54),
        (BUY, "EURUSD", 0.02, 1.09536, 1.10099, 11.26),
        (SELL, "USDCHF", 0.01, 0.99145, 0.9853, 6.24),
    ],
)
def test_profit_as_in_the_documentation_and_the_book(
    majors: SimulatedTerminal, side: int, name: str, lots: float, opened: float, closed: float, expected: float
) -> None:
    assert majors.order_calc_profit(side, name, lots, opened, closed) == expected


def test_profit_and_margin_know_only_their_actions(majors: SimulatedTerminal) -> None:
    assert majors.order_calc_profit(2, "EURUSD", 1.0, 1.1, 1.2) is None
    assert majors.order_calc_margin(8, "EURUSD", 1.0, 1.1) is None
    assert majors.last_error() == (-2, "Terminal: Invalid params")
    assert majors.order_calc_margin(0, "NOPE", 1.0, 1.1) is None
    assert majors.last_error() == (-4, "Terminal: Not found")
    assert majors.order_calc_profit(0, "USDJPY", 1.0, 100.0, 0.0) is None


@pytest.mark.parametrize(
    ("name", "pair", "bid", "digits", "gain", "loss"),
    [
        ("EURJPY", symbol("USDJPY", digits=3, tick_size=0.001, spread_points=7), 111.38, 3, 0.8977708350166538, 0.8978272580355541),
        ("EURCAD", symbol("USDCAD", spread_points=18), 1.41954, 5, 0.7043642408362214, 0.7044535553770941),
    ],
)
def test_the_value_of_a_tick_uses_the_side_at_which_the_currency_is_sold(
    name: str, pair: SymbolSpec, bid: float, digits: int, gain: float, loss: float
) -> None:
    crossed = symbol(name, digits=digits, tick_size=float(f"1e-{digits}"))
    made = market_terminal({name: (crossed, flat(1.5)), pair.name: (pair, flat(bid)), "EURUSD": (symbol(), flat(1.1))})
    info = made.symbol_info(name)
    shown = (info.trade_tick_value, info.trade_tick_value_profit, info.trade_tick_value_loss)
    assert shown == pytest.approx((gain, gain, loss), rel=3e-16)


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


def test_margin_and_check_of_gold_are_rounded_before_the_level() -> None:
    made = terminal(flat(1899.97), gold(), AccountSpec(15_565.22))
    assert made.order_calc_margin(BUY, "XAUUSD", 0.01, 1899.97) == 19.0
    check = made.order_check(deal(volume=0.01, symbol="XAUUSD", price=1899.97))
    assert check[:6] == (0, 15565.22, 15565.22, 0.0, 19.0, 15546.22)
    assert (round(check.margin_level, 2), check.comment) == (81922.21, "Done")


def test_order_check_adds_the_margin_of_the_order_to_that_of_the_account() -> None:
    share = symbol("PLZL.MM", digits=2, tick_size=0.01, contract_size=1.0, volume_min=1.0, volume_step=1.0, calc_mode=CFD)
    share = SymbolSpec(**{name: getattr(share, name) for name in share.__slots__} | {"currency_profit": "USD", "currency_margin": "USD"})
    made = terminal([(79.22, 79.22, 79.22, 79.22), (79.04, 79.04, 79.04, 79.04)], share, AccountSpec(10_000.87, leverage=1))
    done(made.order_send(deal(symbol="PLZL.MM", volume=1.0)))
    made.clock.sleep(60)
    check = made.order_check(deal(symbol="PLZL.MM", volume=1.0))
    assert (made.account_info().margin, check.margin) == (79.22, 158.26)
    assert check.margin_free == round(check.equity - 158.26, 2)
    assert check.margin_level == check.equity / 158.26 * 100


def test_order_check_as_the_book_prints_it() -> None:
    made = terminal(flat(144.128), jpy("USDJPY"), AccountSpec(10_000.17))
    request = deal(symbol="USDJPY", volume=1.0, price=144.128, sl=144.028, tp=144.228, deviation=10, magic=234000, comment="python script")
    assert made.order_check(request)[:8] == (0, 10000.17, 10000.17, 0.0, 1000.0, 9000.17, 1000.017, "Done")


def test_the_identities_of_an_account() -> None:
    spec = AccountSpec()
    assert spec.rounded(99511.4 + 41.82) == 99553.22
    assert spec.rounded(99553.22 - 98.18) == 99455.04
    assert level(99553.22, 98.18) == 101398.67590140559
    assert level(68319.53, 51193.67) == 133.45308121101692
    assert [round(level(equity, bound), 2) for equity, bound in ((9921.24, 1000.0), (8513.93, 2000.0))] == [992.12, 425.7]
    assert level(100.0, 0.0) == 0.0


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


@pytest.mark.parametrize(("mode", "expected"), [(5, 144_000.0), (2, 144_000.0), (32, 144_000.0), (4, 1440.0)])
def test_margin_by_calculation_mode(mode: int, expected: float) -> None:
    spec = symbol("ABCDEF", digits=2, tick_size=0.01, calc_mode=mode, currency_base="USD", currency_margin="USD", currency_profit="USD")
    lots = 1.44 if mode == 5 else 1.0
    made = terminal(flat(1.44), spec, AccountSpec(1e6))
    assert made.order_calc_margin(BUY, "ABCDEF", lots, 1.44) == expected
