"""A paper account on the prices of a terminal is, where the quotes are the same, the account that one would have there."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.paper import paper_account
from tests.simulated_terminal.paper_terminals import LOGIN, Watched, paper
from tests.simulated_terminal.terminals import ALL, T0, Row, bars, symbol
from tests.simulated_terminal.test_invariants import ORDERS, POINT, STEP, request_of

SPECS = [
    symbol(),
    symbol(spread_points=13),
    symbol(spread_points=3, stops_level=20, freeze_level=4),
    symbol(spread_points=5, execution=1),
    symbol(spread_points=5, execution=3, volume_limit=3.0),
    symbol(swap_mode=4, swap_long=-7.0, swap_short=3.0),
]


def dear(units: float, price: float) -> float:
    return abs(units) * price * 3e-5


ACCOUNTS = [
    AccountSpec(10_000.0, login=LOGIN),
    AccountSpec(600.0, commission=dear, login=LOGIN),
    AccountSpec(700.0, margin_mode=1, login=LOGIN),
    AccountSpec(10_000.0, margin_mode=0, leverage=30, login=LOGIN),
    AccountSpec(10_000.0, fifo_close=True, limit_orders=4, login=LOGIN),
]


@st.composite
def flat_bars(draw: st.DrawFn) -> list[Row]:
    """Bars of one price each: what a replay of bars plays is then what it shows as ticks."""
    price, made = 110_000, []
    for _ in range(draw(st.integers(2, 14))):
        price += draw(st.integers(-400, 400))
        made.append((round(price * POINT, 5),) * 4)
    return made


@st.composite
def ticks(draw: st.DrawFn) -> pd.DataFrame:
    """Ticks at moments of their own, with any spread; no gap is long enough for a closed market."""
    moment, points, rows = T0 * 1000, 110_000, []
    for _ in range(draw(st.integers(2, 60))):
        points += draw(st.integers(-150, 150))
        rows.append((moment, round(points * POINT, 5), round((points + draw(st.integers(0, 25))) * POINT, 5)))
        moment += draw(st.sampled_from([1, 7, 900, 40_000, 90_000]))
    times, bids, asks = zip(*rows, strict=True)
    return pd.DataFrame({"Bid": bids, "Ask": asks}, index=pd.DatetimeIndex(pd.to_datetime(list(times), unit="ms")))


def market(prices: list[Row], spec: SymbolSpec) -> ReplayMarket:
    return ReplayMarket({spec.name: (spec, bars(prices, step=STEP))}, TIMEFRAMES["H4"])


def shown(terminal: Any) -> dict[str, Any]:
    """All that a terminal says of its account, but for the account's own names."""
    account: dict[str, Any] = terminal.account_info()._asdict()
    for name in ("name", "server", "company"):
        del account[name]
    calls = {"positions_get": (), "orders_get": (), "history_deals_get": ALL, "history_orders_get": ALL}
    return account | {name: getattr(terminal, name)(*args) for name, args in calls.items()}


def ended(terminal: Any, seconds: float) -> bool:
    try:
        terminal.clock.sleep(seconds)
    except MarketEnded:
        return True
    return False


def compare(prices: ReplayMarket, same: ReplayMarket, account: AccountSpec, plan: list[Any]) -> None:
    """Carry out the plan on a terminal, and on paper at the prices of another one that is the same."""
    direct, source = SimulatedTerminal(prices, account), Watched(SimulatedTerminal(same, account))
    assert direct.initialize()
    source.initialize()
    ours: Any = paper(source, paper_account(source.account_info(), login=LOGIN, commission=account.commission))
    assert shown(ours) == shown(direct)
    for orders in plan:
        for order in orders:
            request = request_of(direct, order)
            assert request_of(ours, order) == request
            assert ours.order_check(request) == direct.order_check(request)
            assert ours.order_send(request) == direct.order_send(request)
        if len(orders) % 3 == 1:  # else nobody looks before the next bar
            assert shown(ours) == shown(direct)
        seconds = 0.3 if len(orders) == 3 else 60.0
        if [ended(direct, seconds), ended(source, seconds)] == [True, True]:
            break
    assert shown(ours)["history_deals_get"] == shown(direct)["history_deals_get"]
    assert source.positions_total() == source.orders_total() == 0


PLANS = st.lists(ORDERS, min_size=1, max_size=14)


@settings(max_examples=100)
@given(prices=flat_bars(), spec=st.sampled_from(SPECS), account=st.sampled_from(ACCOUNTS), plan=PLANS)
def test_on_bars_the_same_orders_make_the_same_account_to_the_last_bit(
    prices: list[Row], spec: SymbolSpec, account: AccountSpec, plan: list[Any]
) -> None:
    compare(market(prices, spec), market(prices, spec), account, plan)


@pytest.mark.long
@settings(max_examples=100)
@given(prices=ticks(), spec=st.sampled_from(SPECS), account=st.sampled_from(ACCOUNTS), plan=PLANS)
def test_on_ticks_the_same_orders_make_the_same_account_to_the_last_bit(
    prices: pd.DataFrame, spec: SymbolSpec, account: AccountSpec, plan: list[Any]
) -> None:
    compare(ReplayMarket({spec.name: (spec, prices)}), ReplayMarket({spec.name: (spec, prices)}), account, plan)


@pytest.mark.parametrize(
    "spec", [symbol(spread_points=7), symbol("USDJPY", digits=3, tick_size=0.001, spread_points=4)], ids=["EURUSD", "USDJPY"]
)
@pytest.mark.parametrize("side", [0, 1])
def test_margin_and_profit_are_calculated_as_the_source_does(spec: SymbolSpec, side: int) -> None:
    source = SimulatedTerminal(market([(120.5, 120.5, 120.5, 120.5)], spec))
    source.initialize()
    ours = paper(Watched(source))
    margin = (side, spec.name, 0.37, 120.5)
    assert ours.order_calc_margin(*margin) == source.order_calc_margin(*margin)
    profit = (side, spec.name, 0.37, 120.5, 121.3)
    assert ours.order_calc_profit(*profit) == source.order_calc_profit(*profit)
