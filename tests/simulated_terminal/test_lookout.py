"""Looking ahead for the next event that matters changes nothing but the time that it takes."""

import contextlib
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES, read_ticks
from Backtest.simulated_terminal import AccountSpec, Dealing, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.clock import every_event
from Backtest.simulated_terminal.market import Event
from Backtest.simulated_terminal.sessions import sessions
from tests.simulated_terminal.terminals import ALL, BUY, T0, bars, deal, done, pending, protect, symbol
from tests.test_price_files import REAL_PRICES, real_prices

POINT = 1e-5
SPECS = [
    symbol(spread_points=7),
    symbol(spread_points=7, sessions=sessions("Mon-Fri 00:00-00:40 01:00-24:00"), swap_mode=1, swap_long=-9.0, swap_short=4.0),
    symbol(gaps_fill_at_open=False, immediate_stops=True, tick_size=0.0),
    symbol(execution=3),
]
ACCOUNTS = [
    AccountSpec(1_000.0),
    AccountSpec(1_000.0, margin_mode=0, commission=lambda units, price: abs(units) * price * 3e-5),
    AccountSpec(800.0, dealing=Dealing(seed=3, drift_points=5, lots_per_tick=0.3)),
    AccountSpec(100_000.0, leverage=10_000, money_digits=None, stop_out=0.0),
    AccountSpec(1_000.0, stop_out=600.0, stop_out_mode=1),
    AccountSpec(150_000.0, currency="JPY", money_digits=0),
]


def tick_frame(seed: int, count: int, *, start: float, first: int = T0) -> pd.DataFrame:
    """A random walk of ticks, some of them in the same millisecond, now and then after a pause."""
    chance = np.random.default_rng(seed)
    steps = chance.choice([0, 40, 700, 9_000, 2_400_000], count, p=[0.1, 0.4, 0.4, 0.097, 0.003])
    bids = start + np.cumsum(chance.integers(-12, 13, count)) * POINT
    index = pd.DatetimeIndex(pd.to_datetime(first * 1000 + np.cumsum(steps), unit="ms"))
    return pd.DataFrame({"Bid": bids.round(5), "Ask": (bids + chance.integers(0, 9, count) * POINT).round(5)}, index=index)


def bar_frame(seed: int, count: int, *, start: float, step: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    moves = chance.integers(-60, 61, (count, 2)).cumsum().reshape(count, 2)
    opened, closed = (start + moves[:, side] * POINT for side in (0, 1))
    wicks = chance.integers(0, 30, (count, 2)) * POINT
    high, low = np.maximum(opened, closed) + wicks[:, 0], np.minimum(opened, closed) - wicks[:, 1]
    rows = [tuple(round(float(price), 5) for price in row) for row in np.column_stack([opened, high, low, closed])]
    return bars(rows, step=step, spread=int(chance.integers(0, 20)))  # type: ignore[arg-type]


def market(seed: int, spec: SymbolSpec, *, in_yen: bool) -> ReplayMarket:
    prices = {
        "EURUSD": (spec, tick_frame(seed, 1_500, start=1.1)),
        "GBPUSD": (symbol("GBPUSD"), bar_frame(seed + 1, 300, start=1.3, step=60)),
        "EURGBP": (symbol("EURGBP", spread_points=3), bar_frame(seed + 2, 6, start=0.85, step=3_600)),
    }
    if in_yen:
        yen = tick_frame(seed + 3, 800, start=1.5) * 100
        prices |= {
            f"{name}JPY": (symbol(f"{name}JPY", digits=3, tick_size=1e-3), (yen / by).round(3)) for name, by in (("USD", 1), ("EUR", 0.9))
        }
        prices |= {"GBPJPY": (symbol("GBPJPY", digits=3, tick_size=1e-3), (yen / 0.8).round(3))}
    return ReplayMarket(prices)


Order = tuple[int, int, int, int, int]
PLAN = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(0, 1), st.integers(1, 40), st.integers(-200, 200), st.integers(-200, 200)), max_size=3
        ),
        st.sampled_from([0.001, 1.0, 60.0, 1_700.0, 9_000.0]),
    ),
    min_size=2,
    max_size=7,
)


def request_of(made: SimulatedTerminal, order: Order) -> dict[str, Any]:
    kind, side, size, stop, limit = order
    name = ("EURUSD", "GBPUSD", "EURGBP")[size % 3]
    tick = made.symbol_info_tick(name)
    if tick is None:  # it has not begun
        return deal(side, 0.01, symbol=name)
    away = 1 - 2 * side
    levels = {"sl": round(tick.bid - away * (abs(stop) + 15) * POINT, 5), "tp": round(tick.bid + away * (abs(limit) + 15) * POINT, 5)}
    chosen = {key: level for key, level in levels.items() if (stop if key == "sl" else limit) % 4}
    positions = made.positions_get()
    if kind < 5 or not positions:
        lots = size / (10 if kind == 4 else 100)
        return deal(side, lots, symbol=name, price=tick.bid if side else tick.ask, **chosen)
    if kind < 8:
        order_type = 2 + (size + side) % 6
        sign = 1 if (order_type % 2 == 0) != (order_type < 4) else -1
        price = round(tick.bid + sign * (abs(stop) + 20) * POINT, 5)
        near = round(price - (limit % 30) * POINT * (1 if order_type % 2 == 0 else -1), 5)
        terms = {"type_time": 2, "expiration": int(made.clock.now().timestamp()) + 1_000} if limit % 3 == 0 else {}
        return pending(order_type, price, size / 100, symbol=name, stoplimit=near, **terms)
    held = positions[size % len(positions)]
    if kind == 8:
        return protect(held.ticket, **chosen)
    return {"action": 1, "symbol": held.symbol, "type": 1 - held.type, "volume": held.volume, "position": held.ticket, "price": tick.bid}


def books(made: SimulatedTerminal) -> dict[str, Any]:
    book = made._book
    return {
        "money": (book.balance, book.day, book.next_order, book.next_deal),
        "positions": [astuple(each) for each in book.positions.values()],
        "active": [astuple(each) for each in book.active.values()],
        "triggers": {symbol_: list(waiting) for symbol_, waiting in book.triggers.items() if waiting},
        "deals": [tuple(each) for each in made.history_deals_get(*ALL)],
        "orders": [tuple(each) for each in made.history_orders_get(*ALL)],
        "account": tuple(made.account_info()),
        "now": made.clock.now_msc,
    }


def played(made: SimulatedTerminal, plan: list[tuple[list[Order], float]]) -> list[Any]:
    assert made.initialize()
    seen = []
    for orders, seconds in plan:
        seen += [made.order_send(request_of(made, order)).retcode for order in orders]
        try:
            made.clock.sleep(seconds)
        except MarketEnded:
            seen.append("ended")
            break
        seen.append(books(made))
    with contextlib.suppress(MarketEnded):
        made.clock.sleep(86_400 * 3)
    return [*seen, books(made)]


def each_event(made: SimulatedTerminal) -> SimulatedTerminal:
    made.clock._next_that_matters = every_event
    return made


# one symbol moves far and then stands still while another one brings the stop-out
STANDS_STILL: list[tuple[list[Order], float]] = [
    ([(0, 0, 8, 63, -199), (0, 0, 30, -138, 173), (0, 0, 36, -81, 27)], 60.0),
    ([(0, 0, 31, -124, 9), (0, 0, 14, 0, 0), (0, 0, 22, 0, -35)], 0.001),
    ([(0, 0, 19, 0, 0), (0, 0, 1, -90, 0), (0, 0, 2, 0, 0)], 1.0),
    ([(0, 0, 21, 0, 0), (0, 0, 11, 0, 0), (5, 0, 6, 0, 0)], 0.001),
    ([(0, 0, 40, 0, 0), (0, 0, 1, 0, 0), (5, 0, 34, -117, -195)], 0.001),
]


@pytest.mark.long
@settings(max_examples=60)
@example(seed=407, spec=symbol(spread_points=7), account=AccountSpec(1_000.0, stop_out=600.0, stop_out_mode=1), plan=STANDS_STILL)
@given(seed=st.integers(0, 10_000), spec=st.sampled_from(SPECS), account=st.sampled_from(ACCOUNTS), plan=PLAN)
def test_the_books_are_those_of_playing_every_event(
    seed: int, spec: SymbolSpec, account: AccountSpec, plan: list[tuple[list[Order], float]]
) -> None:
    prices = market(seed, spec, in_yen=account.currency == "JPY")
    ahead, one_by_one = SimulatedTerminal(prices, account), each_event(SimulatedTerminal(prices, account))
    assert played(ahead, plan) == played(one_by_one, plan)


class Counting:
    """How many events a terminal's account was told of."""

    def __init__(self, made: SimulatedTerminal) -> None:
        self.events: list[Event] = []
        self._play: Callable[[Event], None] = made.clock._play
        made.clock._play = self

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._play(event)


def quiet(count: int = 20_000) -> SimulatedTerminal:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), tick_frame(1, count, start=1.1))}))
    assert made.initialize()
    return made


def slept_to_the_end(made: SimulatedTerminal) -> int:
    counting = Counting(made)
    with pytest.raises(MarketEnded):
        made.clock.sleep(10 * 86_400)
    return len(counting.events)


def test_where_nothing_is_open_hardly_an_event_is_played() -> None:
    assert slept_to_the_end(quiet()) <= 5  # the days that begin


def test_a_position_far_from_its_levels_is_not_looked_at_tick_by_tick() -> None:
    made = quiet()
    done(made.order_send(deal(BUY, 0.01, sl=1.0, tp=1.2)))
    assert slept_to_the_end(made) <= 5
    assert made.positions_total() == 1


def test_what_waits_at_market_is_looked_at_in_every_event() -> None:
    account = AccountSpec(dealing=Dealing(lots_per_tick=0.01))
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(execution=3), tick_frame(1, 300, start=1.1))}), account)
    made.initialize()
    made.order_send(deal(BUY, 1.0, type_filling=2))
    assert made.orders_total() == 1
    slept_to_the_end(made)
    assert made.orders_total() == 0
    assert len(made.history_deals_get(*ALL)) == 101


def test_a_stop_out_in_the_middle_of_a_long_sleep_is_where_it_belongs() -> None:
    frame = tick_frame(5, 4_000, start=1.1)
    worst = int(frame["Bid"].to_numpy().argmin())
    lots = round(1_000 / ((1.1 - frame["Bid"].iloc[worst]) * 100_000) * 0.95, 2)
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}), AccountSpec(1_000.0, leverage=500))
    made.initialize()
    done(made.order_send(deal(BUY, lots)))
    slept_to_the_end(made)
    deals = made.history_deals_get(*ALL)
    assert len(deals) == 3
    before = frame["Bid"].to_numpy()[: frame.index.searchsorted(pd.Timestamp(deals[-1].time_msc, unit="ms"))]
    assert deals[-1].price <= before.min()


@pytest.mark.long
@real_prices
def test_a_day_of_real_ticks_give_the_same_books_either_way() -> None:
    pytest.importorskip("pyarrow")
    frame = read_ticks(REAL_PRICES / "EURUSD_ticks_201405_oanda.parquet").iloc[:25_000]
    prices = ReplayMarket({"EURUSD": (SPECS[1], frame)})
    plan = [([(n % 9, n % 2, 1 + n % 30, 15 * n % 200, 37 * n % 200)], 300.0) for n in range(40)]
    assert played(SimulatedTerminal(prices), plan) == played(each_event(SimulatedTerminal(prices)), plan)


def test_bars_are_looked_ahead_over_too() -> None:
    frame = bar_frame(3, 2_000, start=1.1, step=60)
    market_ = ReplayMarket({"EURUSD": (symbol(), frame)}, TIMEFRAMES["M1"])
    made = SimulatedTerminal(market_)
    made.initialize()
    done(made.order_send(deal(BUY, 0.01, sl=0.9, tp=1.3)))
    assert slept_to_the_end(made) <= 10
