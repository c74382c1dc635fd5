"""The fills of the terminal are those of backtesting.py, bit by bit: a driver of a few lines acts at each open on what a
policy decided from the bars before, and `Backtest.run()` follows the same policy."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting.backtesting import Backtest, Strategy
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import SimulatedTerminal
from Backtest.simulated_terminal.symbols import Commission, no_commission
from tests.simulated_terminal.terminals import ALL, BUY, SELL, close, deal, done, parity_terminal, pending, protect, remove, run_out


@dataclass(frozen=True)
class Enter:
    units: int  # negative: short
    sl: float | None = None
    tp: float | None = None


@dataclass(frozen=True)
class Reduce:
    number: int  # of the open trade, by entry price
    portion: float = 1.0


@dataclass(frozen=True)
class Guard:
    number: int
    sl: float | None
    tp: float | None


@dataclass(frozen=True)
class Place:
    units: int  # negative: short
    limit: float | None
    stop: float | None
    sl: float | None = None
    tp: float | None = None


@dataclass(frozen=True)
class Cancel:
    number: int  # of the pending order, oldest first


Action = Enter | Reduce | Guard | Place | Cancel
Policy = Callable[[int, Sequence[int]], list[Action]]  # (bar, units of the open trades) -> what to do at the next open


class Follow(Strategy):
    policy: Policy

    def init(self) -> None:
        pass

    def next(self) -> None:
        for action in type(self).policy(len(self.data) - 1, [trade.size for trade in self._by_price()]):
            self._do(action)

    def _do(self, action: Action) -> None:
        if isinstance(action, Enter | Place):
            order = self.buy if action.units > 0 else self.sell
            prices = {"limit": action.limit, "stop": action.stop} if isinstance(action, Place) else {}
            order(size=abs(action.units), sl=action.sl, tp=action.tp, **prices)
        elif isinstance(action, Cancel):
            waiting = [order for order in self.orders if not order.is_contingent]
            if waiting:
                waiting[action.number % len(waiting)].cancel()
        elif isinstance(action, Reduce):
            self._by_price()[action.number].close(action.portion)
        else:
            trade = self._by_price()[action.number]
            for name in ("tp", "sl"):
                setattr(trade, name, getattr(action, name))

    def _by_price(self) -> list[Any]:
        # not by age: of what one bar opens, the terminal has the market orders first, backtesting.py the queue's order
        return sorted(self.trades, key=lambda trade: (trade.entry_price, trade.entry_bar, trade.is_short, trade.sl or 0, trade.tp or 0))


class Driver:
    """Acts on the terminal as backtesting.py's broker would process the same orders."""

    def __init__(self, terminal: SimulatedTerminal, name: str, policy: Policy, *, exclusive: bool) -> None:
        self.terminal, self.name, self.policy, self.exclusive = terminal, name, policy, exclusive
        self.contract = terminal.symbol_info(name).trade_contract_size

    def at_open(self) -> None:
        decided_on = self.terminal.clock.progress[0] - 2  # the bar before the one that opens
        if decided_on < 1:
            return  # backtesting.py waits for two bars
        positions = sorted(self.terminal.positions_get(), key=lambda each: (each.price_open, each.time, each.type, each.sl, each.tp))
        actions = self.policy(decided_on, [self.units(each) for each in positions])
        for action in actions:
            if isinstance(action, Guard):
                done(self.terminal.order_send(protect(positions[action.number].ticket, action.sl or 0.0, action.tp or 0.0)))
        for action in reversed(actions):  # closing orders are put in front of the queue
            if isinstance(action, Reduce):
                self.reduce(positions[action.number], action.portion)
        for action in actions:
            if isinstance(action, Enter):
                self.enter(action)
            elif isinstance(action, Place):
                self.place(action)
            elif isinstance(action, Cancel) and (waiting := self.terminal.orders_get()):
                done(self.terminal.order_send(remove(waiting[action.number % len(waiting)].ticket)))

    def place(self, action: Place) -> None:
        sell = int(action.units < 0)
        kind = (6 if action.limit else 4) if action.stop else 2
        prices = (action.stop or action.limit or 0.0, action.limit or 0.0, action.sl or 0.0, action.tp or 0.0)
        named = dict(zip(("price", "stoplimit", "sl", "tp"), prices, strict=True))
        done(self.terminal.order_send(pending(kind + sell, volume=abs(action.units) / self.contract, symbol=self.name, **named)))

    def units(self, position: Any) -> int:
        units: int = round(position.volume * self.contract)
        return units if position.type == BUY else -units

    def reduce(self, position: Any, portion: float) -> None:
        units = max(1, round(abs(self.units(position)) * portion))
        done(self.terminal.order_send(close(position, units / self.contract)))

    def enter(self, action: Enter) -> None:
        if self.exclusive:
            for position in reversed(self.terminal.positions_get()):
                done(self.terminal.order_send(close(position)))
        levels = {name: level for name, level in (("sl", action.sl), ("tp", action.tp)) if level is not None}
        side = BUY if action.units > 0 else SELL
        done(self.terminal.order_send(deal(side, abs(action.units) / self.contract, symbol=self.name, **levels)))


def fixed_and_relative(size: float, price: float) -> float:
    return 0.37 + abs(size) * price * 0.00021


def backtest(frame: pd.DataFrame, policy: Policy, cash: float, commission: Commission, *, exclusive: bool) -> Any:
    strategy = type("Follow", (Follow,), {"policy": staticmethod(policy)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        charged: Any = commission  # a callable is documented, its annotation has forgotten it
        return Backtest(frame, strategy, cash=cash, commission=charged, exclusive_orders=exclusive, hedging=True).run()


def trades_of_backtest(stats: Any) -> list[tuple[Any, ...]]:
    trades = stats["_trades"]
    return sorted(
        zip(trades["Size"], trades["EntryTime"], trades["EntryPrice"], trades["ExitTime"], trades["ExitPrice"], strict=True), key=repr
    )


def trades_of_terminal(terminal: SimulatedTerminal, contract: float) -> list[tuple[Any, ...]]:
    entries = {each.position_id: each for each in terminal.history_deals_get(*ALL) if each.entry == 0}
    rows = []
    for out in (each for each in terminal.history_deals_get(*ALL) if each.entry == 1):
        into = entries[out.position_id]
        units = round(out.volume * contract) * (1 if into.type == BUY else -1)
        rows.append((units, pd.Timestamp(into.time, unit="s"), into.price, pd.Timestamp(out.time, unit="s"), out.price))
    return sorted(rows, key=repr)


def assert_same(
    name: str, policy: Policy, commission: Commission = no_commission, *, exclusive: bool = False, frame: Any = None, near: bool = False
) -> int:
    """`near`: the trader's fills come before those of the same bar that backtesting.py books first, so the same sums are
    added up in another order, and the balance may differ in its last bits. Every trade is the same to the last bit."""
    frame = builtin_prices(name) if frame is None else frame
    cash = 1_000_000.0
    stats = backtest(frame, policy, cash, commission, exclusive=exclusive)
    terminal = parity_terminal(name, cash, commission, frame=frame)
    driver = Driver(terminal, name, policy, exclusive=exclusive)
    run_out(terminal, driver.at_open)
    assert trades_of_terminal(terminal, driver.contract) == trades_of_backtest(stats)
    cash_left = stats["_strategy"]._broker._cash
    assert terminal.account_info().balance == (pytest.approx(cash_left, rel=1e-13) if near else cash_left)
    return len(stats["_trades"])


def crossing(frame: pd.DataFrame, units: int) -> Policy:
    fast, slow = (frame["Close"].rolling(length).mean().to_numpy() for length in (10, 30))

    def policy(bar: int, trades: Sequence[int]) -> list[Action]:
        if bar and fast[bar] > slow[bar] and fast[bar - 1] <= slow[bar - 1]:
            return [Enter(units)]
        if bar and fast[bar] < slow[bar] and fast[bar - 1] >= slow[bar - 1]:
            return [Enter(-units)]
        return []

    return policy


def bracketed(frame: pd.DataFrame, units: int, seed: int, tight: float) -> Policy:
    """Enters at random when flat, with a stop and a target that are often in the very next bar, or passed by its open."""
    closes, ranges = frame["Close"].to_numpy(), (frame["High"] - frame["Low"]).to_numpy()
    chance = np.random.default_rng(seed).random((len(frame), 4))

    def policy(bar: int, trades: Sequence[int]) -> list[Action]:
        enter, side, stop, limit = chance[bar]
        room = float(np.mean(ranges[max(0, bar - 20) : bar + 1])) * tight
        if trades and enter < 0.1:
            return [Reduce(0)]
        if trades or enter > 0.5 or not room:
            return []
        sign = 1 if side > 0.5 else -1
        sl = float(closes[bar]) - sign * room * (stop + 0.01) if stop > 0.1 else None
        tp = float(closes[bar]) + sign * room * (limit + 0.01) if limit > 0.1 else None
        return [Enter(sign * units, sl, tp)]

    return policy


def trailing(frame: pd.DataFrame, units: int, seed: int) -> Policy:
    """Several trades at once, on both sides, with stops that follow the price, partial and full closes."""
    closes = frame["Close"].to_numpy()
    room = float((frame["High"] - frame["Low"]).mean())
    chance = np.random.default_rng(seed).random((len(frame), 5))

    def policy(bar: int, trades: Sequence[int]) -> list[Action]:
        enter, side, follow, halve, leave = chance[bar]
        price, actions = float(closes[bar]), list[Action]()
        if trades and halve < 0.1:
            actions.append(Reduce(int(side * len(trades)), 0.5))
        elif trades and leave < 0.08:
            actions += [Reduce(number) for number in range(len(trades))]
        elif trades and follow < 0.4:
            for number, size in enumerate(trades):
                sign = 1 if size > 0 else -1
                actions.append(Guard(number, price - sign * room * (0.3 + follow), None if side < 0.3 else price + sign * room))
        if len(trades) < 4 and enter < 0.15:
            actions.append(Enter(units if side > 0.4 else -units))
        return actions

    return policy


def waiting(frame: pd.DataFrame, units: int, seed: int, tight: float) -> Policy:
    """Pending orders of all kinds, near and far, on either side of the market, with and without levels, some cancelled; now
    and then a market order with levels, after which backtesting.py looks at everything twice."""
    closes = frame["Close"].to_numpy()
    room = float((frame["High"] - frame["Low"]).mean()) * tight
    chance = np.random.default_rng(seed).random((len(frame), 8))

    def policy(bar: int, trades: Sequence[int]) -> list[Action]:
        what, side, kind, near, far, stop, limit, other = (float(each) for each in chance[bar])
        price, sign, actions = float(closes[bar]), 1 if side > 0.5 else -1, list[Action]()
        if what < 0.1:
            actions.append(Cancel(int(near * 10)))
        if what > 0.5 and len(trades) < 6:
            first, second = price + sign * room * (near - 0.5) * 2, price + sign * room * (far - 0.5) * 2
            base = first if kind < 0.8 else price
            sl = base - sign * room * (stop + 0.01) if stop > 0.3 else None
            tp = base + sign * room * (limit + 0.01) if limit > 0.3 else None
            if kind < 0.8:
                prices = [(first, None), (None, first), (first, second), (first, second)][int(kind * 5)]
                actions.append(Place(sign * units, *prices, sl, tp))
            else:
                actions.append(Enter(sign * units, sl, tp))
        if trades and other < 0.1:
            actions.append(Reduce(int(other * 10 * len(trades))))
        return actions

    return policy


@pytest.mark.every(3)
@pytest.mark.parametrize(("name", "units"), [("EURUSD", 10_001), ("GOOG", 9)])
@pytest.mark.parametrize("tight", [0.3, 1.0, 4.0])
def test_pending_orders_of_all_kinds_fill_as_in_the_backtest(name: str, units: int, tight: float) -> None:
    count = assert_same(name, waiting(builtin_prices(name), units, seed=7, tight=tight), near=True)
    assert count > 100


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), first=st.integers(0, 4_700), tight=st.floats(0.05, 5.0))
def test_pending_orders_on_any_stretch_of_eurusd_fill_as_in_the_backtest(seed: int, first: int, tight: float) -> None:
    frame = builtin_prices("EURUSD").iloc[first : first + 250]
    assert_same("EURUSD", waiting(frame, 10_001, seed, tight), fixed_and_relative, frame=frame, near=True)


@pytest.mark.every(3)
@pytest.mark.parametrize(("name", "units"), [("EURUSD", 9_137), ("GOOG", 13)])
@pytest.mark.parametrize("commission", [no_commission, fixed_and_relative])
def test_a_crossing_of_averages_with_exclusive_orders_fills_as_in_the_backtest(name: str, units: int, commission: Commission) -> None:
    count = assert_same(name, crossing(builtin_prices(name), units), commission, exclusive=True)
    assert count > 30


@pytest.mark.every(4)
@pytest.mark.parametrize(("name", "units"), [("EURUSD", 100_003), ("GOOG", 7)])
@pytest.mark.parametrize("tight", [0.5, 3.0])
@pytest.mark.parametrize("commission", [no_commission, fixed_and_relative])
def test_stops_and_targets_fill_where_the_backtest_fills_them(name: str, units: int, tight: float, commission: Commission) -> None:
    count = assert_same(name, bracketed(builtin_prices(name), units, seed=3, tight=tight), commission)
    assert count > 100


@pytest.mark.every(2)
@pytest.mark.parametrize(("name", "units"), [("EURUSD", 10_001), ("GOOG", 9)])
@pytest.mark.parametrize("commission", [no_commission, fixed_and_relative])
def test_several_trades_with_trailing_stops_and_partial_closes_fill_as_in_the_backtest(
    name: str, units: int, commission: Commission
) -> None:
    count = assert_same(name, trailing(builtin_prices(name), units, seed=5), commission)
    assert count > 100


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), first=st.integers(0, 4_700), tight=st.floats(0.1, 5.0), many=st.booleans())
def test_any_stretch_of_eurusd_fills_as_in_the_backtest(seed: int, first: int, tight: float, many: bool) -> None:
    frame = builtin_prices("EURUSD").iloc[first : first + 250]
    policy = trailing(frame, 10_001, seed) if many else bracketed(frame, 10_001, seed, tight)
    assert_same("EURUSD", policy, no_commission, frame=frame)
