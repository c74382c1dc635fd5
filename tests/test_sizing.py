import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.backtesting import Backtest
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.decisions import Account, OpenTrade
from Backtest.sizing import Terms, can_pay, commission_of, margin_available, units_of
from Backtest.strategies import DEFAULTS
from Live.model import Quote, Side, SymbolSpec
from Live.sizing import Sizing, TooSmall, check_affordable, lots_of_units, risk_lots, strategy_units, terms_at

SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")
UNITS = SymbolSpec("EURUSD", 5, 1e-5, 0.0, 1e5, 1e-5, 1e-5, 1e9, 0, 3, 2, "USD")
QUOTE = Quote(1.1, 1.1002, 0.0)
TIME = pd.Timestamp(0)


def free(units: float, price: float) -> float:
    return 0.0


def fancy(units: float, price: float) -> float:
    return 1.5 + 0.0002 * abs(units) * price


def sizing(mode: str = "strategy", risk: float = 0.01, **backtest: Any) -> Sizing:
    return Sizing(mode, risk, 0.1, {**DEFAULTS, **backtest})


def or_why_not(rule: Callable[..., float], *arguments: Any) -> float | str:
    try:
        return rule(*arguments)
    except TooSmall as reason:
        return str(reason)


@pytest.mark.parametrize(
    ("given_", "cost"),
    [(0.0, 0.0), (0.001, 0.1), (-0.001, -0.1), ((2.0, 0.001), 2.1), (fancy, 1.5 + 0.02)],
    ids=["none", "rate", "rebate", "pair", "function"],
)
def test_a_commission_is_a_function_in_each_of_its_forms(given_: Any, cost: float) -> None:
    assert commission_of({"commission": given_})(-50, 2.0) == pytest.approx(cost)


class Once(Strategy):
    """Enters with two orders, one bar after the other."""

    sizes = (0.5, 0.5)

    def init(self) -> None:
        pass

    def next(self) -> None:
        number = len(self.data) - 2
        if number < len(self.sizes):
            size = self.sizes[number]
            (self.buy if size > 0 else self.sell)(size=abs(size))


def bought(size: float, price: float, **backtest: Any) -> float:
    """Units that a backtest buys of a price that stands still."""
    index = pd.date_range("2020", periods=5)
    frame = pd.DataFrame(np.full((5, 4), price), index=index, columns=["Open", "High", "Low", "Close"])
    strategy = type("Sized", (Once,), {"sizes": (size,)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = Backtest(frame, strategy, **backtest).run()
    return float(sum(trade.size for trade in stats._strategy.trades))


sizes = st.one_of(st.floats(0.001, 0.999), st.integers(1, 100_000).map(float))
commissions = st.sampled_from([0.0, 0.002, -0.0001, (3.0, 0.001), fancy])


@settings(max_examples=60)
@given(size=sizes, sign=st.sampled_from([1, -1]), price=st.floats(0.5, 900), margin=st.floats(0.01, 1), commission=commissions)
def test_an_order_stands_for_the_units_that_the_backtest_buys(size: float, sign: int, price: float, margin: float, commission: Any) -> None:
    settings_ = sizing(margin=margin, commission=commission, cash=10_000)
    account, quote = Account(10_000.0), Quote(price, price, 0.0)
    expected = bought(sign * size, price, margin=margin, commission=commission, cash=10_000)
    try:
        terms = terms_at(settings_, quote.price_for(Side.BUY if sign > 0 else Side.SELL), None)
        units = strategy_units(sign * size, account, terms)
        check_affordable(sign * size, units, account, terms)
    except TooSmall:
        units = 0
    assert units == expected


@given(
    st.floats(0.001, 0.999),
    st.floats(0, 1e7),
    st.floats(0.01, 1e5),
    st.floats(0.001, 1),
    st.sampled_from([free, fancy, commission_of({"commission": 0.01})]),
)
def test_a_fraction_never_asks_for_more_than_is_there(size: float, cash: float, price: float, margin: float, commission: Any) -> None:
    terms = Terms(price, margin, commission)
    units = units_of(size, cash, terms)
    assert can_pay(units, size, cash, terms)
    assert abs(units) * price * margin <= cash * (1 + 1e-9)
    assert units_of(-size, cash, terms) == -units_of(size, cash, Terms(price, margin, lambda units, price: commission(-units, price)))


def test_margin_is_what_the_backtests_broker_has_free() -> None:
    trades = (OpenTrade(1, 100, 10.0, TIME), OpenTrade(2, -30, 12.0, TIME))
    terms = Terms(11.0, 0.5, free)
    equity = 1_000 + 70 * 11 - (100 * 10 - 30 * 12)
    assert margin_available(1_000.0, trades, terms) == equity - 130 * 11 * 0.5
    assert margin_available(-900.0, trades, terms) == 0.0


def test_buys_are_sized_at_the_ask_and_sells_at_the_bid() -> None:
    account, spread = Account(100.0), Quote(1.0, 2.0, 0.0)
    assert strategy_units(0.5, account, terms_at(sizing(), spread.ask, None)) == 25
    assert strategy_units(-0.5, account, terms_at(sizing(), spread.bid, None)) == -50


def test_what_does_not_pay_for_one_unit_is_said() -> None:
    with pytest.raises(TooSmall, match=r"0\.5 of the free margin of 1\.00 does not pay for one unit at 1\.1002"):
        strategy_units(0.5, Account(1.0), terms_at(sizing(), QUOTE.ask, None))


def test_what_the_backtest_would_have_cancelled_is_said() -> None:
    with pytest.raises(TooSmall, match=r"1,000 units at 1\.1002 need more than the free margin of 900\.00"):
        check_affordable(1_000, 1_000, Account(900.0), terms_at(sizing(), QUOTE.ask, None))


@pytest.mark.parametrize(
    ("mode", "sl", "rule"),
    [
        ("auto", None, "strategy"),
        ("auto", 1.09, "risk"),
        ("risk", None, "risk"),
        ("strategy", 1.09, "strategy"),
        ("fixed", 1.09, "fixed"),
    ],
)
def test_auto_risks_where_there_is_a_stop_to_measure_by(mode: str, sl: float | None, rule: str) -> None:
    assert sizing(mode).rule_for(sl) == rule


@given(st.floats(0, 1e7), st.floats(0.0, 1.0), st.floats(0.1, 1e6))
def test_risk_sizing_buys_at_most_the_risk_or_says_why_nothing(equity: float, risk: float, loss: float) -> None:
    lots = or_why_not(risk_lots, sizing("risk", risk), equity, loss, SPEC)
    if isinstance(lots, str):
        assert "DEFAULT_RISK_PCT allows" in lots
        assert equity * risk < SPEC.lot_min * loss * (1 + 1e-9)
    else:
        assert lots * loss <= equity * risk * (1 + 1e-9)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [(None, "needs a stop loss"), (-5.0, "beyond the stop loss: one lot would make 5.00"), (float("nan"), "beyond the stop loss")],
)
def test_a_risk_that_cannot_be_measured_is_not_taken(loss: float | None, sentence: str) -> None:
    with pytest.raises(TooSmall, match=sentence):
        risk_lots(sizing("risk"), 10_000.0, loss, SPEC)


@given(st.integers(1, 10**10))
def test_whole_units_go_into_lots_and_back_without_losing_one(units: int) -> None:
    assert UNITS.units(lots_of_units(-units, UNITS)) == units


@given(st.floats(1e-3, 1e8))
def test_lots_of_units_are_on_the_grid_and_never_more(units: float) -> None:
    lots = or_why_not(lots_of_units, units, SPEC)
    if isinstance(lots, str):
        assert "less than the smallest order of EURUSD, 0.01 lots" in lots
        assert units < 1_000
    else:
        assert SPEC.lot_min <= lots <= SPEC.lot_max
        assert SPEC.units(lots) <= units * (1 + 1e-9)
        assert lots == round(lots, 2)
