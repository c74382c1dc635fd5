from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.model import SymbolSpec
from Live.risk import (
    Denial,
    Facts,
    MaxDailyLoss,
    MaxDailyTrades,
    MaxOrdersPerMinute,
    MaxPositions,
    MaxSpread,
    NoStrangers,
    NothingUnsettled,
    Rule,
    TradingSwitchedOn,
    capped,
    daily_loss_pct,
    first_denial,
    lots_for_risk,
    measured,
)

QUIET = Facts(
    entries_today=0,
    equity=10_000.0,
    opening_equity=10_000.0,
    open_positions=0,
    spread_points=0.0,
    sends_last_minute=0,
    unsettled_orders=0,
    strangers=0,
    switched_off=(),
)
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")
NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "allowed", "too_much"),
    [
        (MaxDailyTrades(3), {"entries_today": 2}, {"entries_today": 3}),
        (MaxDailyLoss(5.0), {"equity": 9_500.01}, {"equity": 9_500.0}),
        (MaxDailyLoss(5.0), {"equity": 12_000.0}, {"equity": NAN}),
        (MaxDailyLoss(100.0), {"equity": 0.01}, {"opening_equity": 0.0}),
        (MaxPositions(2), {"open_positions": 1}, {"open_positions": 2}),
        (MaxSpread(12.5), {"spread_points": 12.5}, {"spread_points": 12.6}),
        (MaxSpread(12.5), {"spread_points": 0.0}, {"spread_points": NAN}),
        (MaxOrdersPerMinute(5), {"sends_last_minute": 4}, {"sends_last_minute": 5}),
        (NothingUnsettled(), {"unsettled_orders": 0}, {"unsettled_orders": 1}),
        (NoStrangers(), {"strangers": 0}, {"strangers": 1}),
        (TradingSwitchedOn(), {"switched_off": ()}, {"switched_off": ("the button",)}),
    ],
)
def test_a_rule_lets_its_limit_through_and_nothing_beyond_it(rule: Rule, allowed: dict[str, Any], too_much: dict[str, Any]) -> None:
    assert rule.check(replace(QUIET, **allowed)) is None
    assert isinstance(rule.check(replace(QUIET, **too_much)), Denial)


def test_a_spread_limit_of_zero_is_none() -> None:
    assert MaxSpread(0.0).check(replace(QUIET, spread_points=1e9)) is None


def test_a_denial_says_what_was_measured_and_what_is_allowed() -> None:
    denial = MaxDailyTrades(3).check(replace(QUIET, entries_today=3))
    assert str(denial) == "MAX_DAILY_TRADES, entries today with this one: 4, allowed 3"


def test_the_first_rule_that_says_no_is_the_reason() -> None:
    rules = (MaxPositions(1), MaxDailyTrades(1), MaxSpread(1.0))
    facts = replace(QUIET, entries_today=1, spread_points=2.0)
    denial = first_denial(measured(rules, facts))
    assert denial is not None
    assert denial.rule.startswith("MAX_DAILY_TRADES")
    assert first_denial(measured(rules, QUIET)) is None


@given(st.floats(0.01, 1e9), st.floats(allow_nan=True))
def test_a_days_loss_is_a_percentage_of_its_opening_equity_and_all_of_it_where_nobody_can_tell(opening: float, equity: float) -> None:
    lost = daily_loss_pct(equity, opening)
    assert lost >= 0
    if equity >= opening and equity != float("inf"):
        assert lost == 0
    if equity != equity:
        assert lost == 100


money, positive = st.floats(0, 1e9), st.floats(1e-4, 1e7)


@given(money, st.floats(0, 1), positive)
def test_the_risk_is_never_rounded_up(equity: float, fraction: float, loss: float) -> None:
    lots = lots_for_risk(equity, fraction, loss, SPEC)
    assert lots * loss <= equity * fraction * (1 + 1e-9) + 1e-9 * SPEC.lot_step * loss
    assert lots == 0 or SPEC.lot_min <= lots <= SPEC.lot_max


@given(money, st.floats(0, 1), positive)
def test_the_next_larger_order_would_risk_too_much(equity: float, fraction: float, loss: float) -> None:
    lots = lots_for_risk(equity, fraction, loss, SPEC)
    assert lots == SPEC.lot_max or (lots + SPEC.lot_step) * loss > equity * fraction * (1 - 1e-9)


@pytest.mark.parametrize("loss", [0.0, -1.0, NAN])
def test_a_stop_that_loses_nothing_cannot_be_sized_by(loss: float) -> None:
    with pytest.raises(ValueError, match="must lose something"):
        lots_for_risk(10_000, 0.01, loss, SPEC)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, NAN])
def test_a_risk_is_a_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction of the equity"):
        lots_for_risk(10_000, fraction, 100.0, SPEC)


@given(st.floats(0, 100), st.floats(0, 60), st.floats(0, 60))
def test_no_order_takes_a_symbol_above_its_limit(lots: float, held: float, limit: float) -> None:
    allowed = capped(lots, held, limit, SPEC)
    assert allowed <= lots + 1e-9
    assert allowed == 0 or held + allowed <= limit + 1e-9
    assert allowed == SPEC.tradable_lots(allowed)
