"""The whole live stack against `Backtest.run()` on the same bars: every trade to the last bit, and the equity at the end."""

import json
import warnings
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.backtesting import Backtest
from backtesting.lib import crossover
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Backtest.bars import builtin_prices
from Backtest.parity_terminal import ParityTerminal
from Backtest.simulated_terminal import SimulatedTerminal, parity_symbol
from Backtest.strategies import LoadedStrategy
from Live.live_trader import LiveTrader
from tests.live_runs import Ran, loaded, run_live
from tests.many_strategies import (
    CASES,
    FIXED,
    RELATIVE,
    Averages,
    Case,
    Drawn,
    EditingLevels,
    KeepingTrades,
    OwnArrays,
    ReversingByFifo,
    Slower,
    cheap,
    fitted,
)
from tests.waiting_strategies import WAITING, DrawnFreely, GoodForSomeBars, Ranged

STRETCH = {"EURUSD": ("H1", 1_000, 1_300), "GOOG": ("D1", 300, 600)}


def prices_of(symbol: str) -> pd.DataFrame:
    _, first, last = STRETCH[symbol]
    return builtin_prices(symbol).iloc[first:last]


def backtested(strategy: type[Strategy], frame: pd.DataFrame, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trades remain open, orders are cancelled for want of margin, hours have no yearly return
        return Backtest(frame, strategy, **settings).run()


def traded(folder: Path, strategy: type[Strategy], symbol: str, frame: pd.DataFrame, **settings: Any) -> Ran:
    return run_live(folder, loaded(strategy, **settings), {symbol: frame}, given={"timeframe": STRETCH[symbol][0]})


def trades_of_backtest(stats: Any) -> list[tuple[Any, ...]]:
    """Sorted: the trades that one bar closes stand in the order of the backtest's queue."""
    columns = ("Size", "EntryPrice", "ExitPrice", "EntryTime", "ExitTime", "Tag")
    rows = zip(*(stats["_trades"][name].tolist() for name in columns), strict=True)
    return sorted(((float(size), *prices, entered, left, _tag(tag)) for size, *prices, entered, left, tag in rows), key=repr)


def trades_of_record(ran: Ran) -> list[tuple[Any, ...]]:
    rows = ran.rows("SELECT size, entry_price, exit_price, entry_time, exit_time, tag FROM trades")
    times = [(pd.Timestamp(row.pop("entry_time")), pd.Timestamp(row.pop("exit_time"))) for row in rows]
    tags = [json.loads(text) if (text := row.pop("tag")) else None for row in rows]
    return sorted(
        (
            (*row.values(), entered.tz_localize(None), left.tz_localize(None), tag)
            for row, (entered, left), tag in zip(rows, times, tags, strict=True)
        ),
        key=repr,
    )


def _tag(tag: Any) -> Any:
    return None if isinstance(tag, float) and tag != tag else tag  # a column of tags has NaN where there is none


def assert_parity(folder: Path, strategy: type[Strategy], symbol: str, frame: pd.DataFrame, **settings: Any) -> int:
    """The number of trades, which are the same on both sides."""
    stats = backtested(strategy, frame, **settings)
    ran = traded(folder, strategy, symbol, frame, **settings)
    assert trades_of_record(ran) == trades_of_backtest(stats)
    assert ran.trader.final_account.equity == pytest.approx(stats["Equity Final [$]"], rel=1e-9)
    return len(stats["_trades"])


def as_in_backtest(strategy: LoadedStrategy) -> Any:
    """Makes terminals that fill as the strategy's backtest does."""
    return partial(ParityTerminal, backtest=strategy.backtest)


def assert_equal_throughout(folder: Path, strategy: type[Strategy], symbol: str, frame: pd.DataFrame, **settings: Any) -> int:
    """The number of trades that are the same on both sides, where the terminal knows what the backtest knows."""
    stats, chosen = backtested(strategy, frame, **settings), loaded(strategy, **settings)
    ran = run_live(folder, chosen, {symbol: frame}, given={"timeframe": STRETCH[symbol][0]}, made_by=as_in_backtest(chosen))
    assert ran.code == 0
    assert trades_of_record(ran) == trades_of_backtest(stats)
    assert ran.trader.final_account.equity == pytest.approx(stats["Equity Final [$]"], rel=1e-9)
    return len(stats["_trades"])


# each strategy on one of the two symbols, in turn; test_session.py has it on the other one
TURNS = [(case, case.prices[number % len(case.prices)]) for number, case in enumerate(CASES)]


@pytest.mark.every(8)
@pytest.mark.parametrize(("case", "symbol"), [pytest.param(*turn, id="-".join(map(str, turn))) for turn in TURNS])
def test_the_live_stack_makes_the_trades_of_the_backtest(tmp_path: Path, case: Case, symbol: str) -> None:
    assert assert_parity(tmp_path, fitted(case, symbol), symbol, prices_of(symbol), **case.backtest) > 2


def every_way() -> list[dict[str, Any]]:
    """All combinations of what changes how a broker fills."""
    flags = [dict(zip(("hedging", "exclusive_orders", "trade_on_close"), way, strict=True)) for way in product((False, True), repeat=3)]
    return [{**way, "commission": form} for way in flags for form in (0.0, RELATIVE, FIXED, cheap)]


# every way meets at least one strategy whose entries wait, and one whose entries do not
MARKET = list(dict.fromkeys(case.strategy for case in CASES if case.strategy not in (Slower, KeepingTrades)))
WAYS_IN_TURN: list[tuple[Any, dict[str, Any]]] = [
    *((WAITING[number % len(WAITING)], way) for number, way in enumerate(every_way())),
    *((MARKET[number % len(MARKET)], way) for number, way in enumerate(every_way())),
]


@pytest.mark.every(10)
@pytest.mark.parametrize(
    ("number", "strategy", "way"), [pytest.param(n, *turn, id=f"{turn[0].__name__}-{n}") for n, turn in enumerate(WAYS_IN_TURN)]
)
def test_what_a_backtest_fills_the_parity_terminal_fills(
    tmp_path: Path, number: int, strategy: type[Strategy], way: dict[str, Any]
) -> None:
    symbol = sorted(STRETCH)[number % 2]
    more = {"cash": 500_000, "margin": 0.5, "spread": (0, 0.0002)[number // 2 % 2]}
    frame = prices_of(symbol).iloc[:110]
    assert assert_equal_throughout(tmp_path, fitted(Case(strategy), symbol), symbol, frame, **way, **more) > 0


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), symbol=st.sampled_from(sorted(STRETCH)), first=st.integers(0, 1_900), data=st.data())
def test_any_strategy_that_does_anything_trades_as_in_its_backtest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, symbol: str, first: int, data: st.DataObject
) -> None:
    way = data.draw(st.sampled_from(every_way()))
    more = {"margin": data.draw(st.sampled_from([1.0, 0.5, 0.1])), "spread": data.draw(st.sampled_from([0, 0.0003]))}
    more["cash"] = data.draw(st.sampled_from([10_000, 50_000, 1_000_000]))
    drawn = {"seed": seed, "room": data.draw(st.floats(0.2, 3.0)), "fractions": data.draw(st.sampled_from([0.0, 0.3, 0.8]))}
    strategy = type("DrawnFreely", (fitted(Case(DrawnFreely), symbol),), drawn)
    frame = builtin_prices(symbol).iloc[first : first + 60]
    assert_equal_throughout(tmp_path_factory.mktemp("drawn"), strategy, symbol, frame, **way, **more)


class DyingTerminal(SimulatedTerminal):
    """Ends its trader at the check of the first entry that follows a close in the same bar."""

    closed = 0

    def order_check(self, request: dict[str, Any]) -> Any:
        if request.get("position"):
            self.closed = self.clock.progress[0]
        elif self.closed == self.clock.progress[0]:
            raise ConnectionResetError("the power is gone")
        return super().order_check(request)


def test_a_reversal_that_was_cut_off_between_its_close_and_its_entry_is_finished_with_the_rest(tmp_path: Path) -> None:
    frame = prices_of("EURUSD")
    strategy = loaded(ReversingByFifo)
    assert run_live(tmp_path, strategy, frame, made_by=DyingTerminal).code == 1
    ran = run_live(tmp_path, strategy, frame)
    assert trades_of_record(ran) == trades_of_backtest(backtested(ReversingByFifo, frame))


class Stopped(Exception):
    """The trader is stopped, to be started again."""


@pytest.mark.every(3)
@pytest.mark.parametrize("strategy", [KeepingTrades, OwnArrays, EditingLevels], ids=lambda strategy: strategy.__name__)
def test_a_trader_that_is_stopped_and_started_again_and_again_makes_the_trades_of_the_backtest(
    tmp_path: Path, strategy: type[Strategy]
) -> None:
    frame, stops = prices_of("EURUSD"), [60, 150, 151, 240]

    def stop(trader: LiveTrader) -> None:
        if stops and trader.terminal.clock.progress[0] >= stops[0]:  # type: ignore[attr-defined]  # a replay's clock
            stops.pop(0)
            raise Stopped

    codes = [run_live(tmp_path, loaded(strategy), frame, on_turn=stop).code for _ in range(4)]
    ran = run_live(tmp_path, loaded(strategy), frame)
    assert [*codes, ran.code] == [1, 1, 1, 1, 0]
    assert trades_of_record(ran) == trades_of_backtest(backtested(strategy, frame))


class CountingWhatItSees(Ranged):
    """Keeps counts that only the account that it was shown can tell, and acts on them."""

    def init(self):  # type: ignore[no-untyped-def]
        super().init()  # type: ignore[no-untyped-call]
        self.seen, self.cancelled, self.mine = 0, 0, []

    def next(self):  # type: ignore[no-untyped-def]
        self.seen += len(self.trades)
        waiting = [order for order in self.mine if order in self.orders]
        if len(waiting) > 2:
            waiting[0].cancel()
            self.cancelled += 1
        if len(self.data) % 3 == 0 and len(self.trades) < 3:
            self.mine.append(
                self.buy(size=self.units * (1 + (self.seen + self.cancelled) % 3), limit=self.price - self.room, tag=self.seen)
            )
        if self.seen % 7 == 6:
            self.position.close()


@pytest.mark.every(2)
@pytest.mark.parametrize("strategy", [CountingWhatItSees, GoodForSomeBars], ids=lambda strategy: strategy.__name__)
def test_orders_that_wait_while_a_trader_is_stopped_are_the_same_to_it_afterwards(tmp_path: Path, strategy: type[Strategy]) -> None:
    frame, stops = prices_of("EURUSD").iloc[:150], [31, 60, 61, 100]
    # an account that a backtest cannot have: every other fill is earlier or later than there
    spread = frame.assign(Spread=[8 * (number % 5) for number in range(len(frame))])

    def stop(trader: LiveTrader) -> None:
        if stops and trader.terminal.clock.progress[0] >= stops[0]:  # type: ignore[attr-defined]  # a replay's clock
            stops.pop(0)
            raise Stopped

    (through, broken) = (tmp_path / "through", tmp_path / "broken")
    through.mkdir()
    broken.mkdir()
    expected = run_live(through, loaded(strategy), spread)
    assert [run_live(broken, loaded(strategy), spread, on_turn=stop).code for _ in range(4)] == [1] * 4
    found = run_live(broken, loaded(strategy), spread)
    decided = "SELECT bar_time, signal, size, limit_price, stop_loss, take_profit, tag FROM signals WHERE signal <> 'HOLD' ORDER BY id"
    assert found.rows(decided) == expected.rows(decided)
    assert trades_of_record(found) == trades_of_record(expected)
    assert found.count("signals", "signal = 'CANCEL'") > 3


FORMS = st.sampled_from([{}, {"commission": RELATIVE}, {"commission": FIXED}, {"commission": cheap}])
WAYS = st.sampled_from([{}, {"hedging": True}, {"exclusive_orders": True}, {"hedging": True, "exclusive_orders": True}])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    symbol=st.sampled_from(sorted(STRETCH)),
    first=st.integers(0, 1_900),
    way=WAYS,
    form=FORMS,
    room=st.floats(0.2, 4.0),
)
def test_any_strategy_that_is_drawn_trades_as_in_its_backtest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, symbol: str, first: int, way: dict[str, Any], form: dict[str, Any], room: float
) -> None:
    strategy = type("Drawn", (fitted(Case(Drawn), symbol),), {"seed": seed, "room": room})
    frame = builtin_prices(symbol).iloc[first : first + 100]
    assert_parity(tmp_path_factory.mktemp("drawn"), strategy, symbol, frame, cash=5_000_000, **way, **form)


# What cannot be equal, as docs/parity.md has it: in each case the backtest knows something that nobody can know at that moment.


def hours(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    index = pd.date_range("2024-01-02", periods=len(rows), freq="h")
    return pd.DataFrame(rows, index=index, columns=["Open", "High", "Low", "Close"]).assign(Volume=1.0)


STILL = (1.1, 1.1, 1.1, 1.1)


class InTurn(Strategy):
    """Does one thing on each bar."""

    steps: tuple[Any, ...] = ()

    def init(self) -> None:
        pass

    def next(self) -> None:
        number = len(self.data) - 2
        if number < len(self.steps) and self.steps[number]:
            self.steps[number](self)


def in_turn(*steps: Any) -> type[Strategy]:
    return type("InTurn", (InTurn,), {"steps": steps})


def test_an_order_takes_from_a_trade_that_an_order_before_it_in_the_same_bar_has_opened(tmp_path: Path) -> None:
    def buy_at_once_and_sell(self: Any) -> None:
        self.buy(size=0.9, limit=1.2)
        self.sell(size=1000)

    frame = hours(STILL, STILL, STILL, STILL, STILL, STILL)
    assert (
        assert_equal_throughout(tmp_path, in_turn(buy_at_once_and_sell, None, None, lambda self: self.position.close()), "EURUSD", frame)
        == 2
    )


def test_the_target_of_a_trade_comes_after_the_orders_that_were_decided_with_it(tmp_path: Path) -> None:
    def sell_and_wait(self: Any) -> None:
        self.sell(size=2000, tp=1.05)
        self.buy(size=1000, limit=1.08)

    frame = hours(STILL, STILL, STILL, (1.1, 1.1, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0))
    assert assert_equal_throughout(tmp_path, in_turn(sell_and_wait), "EURUSD", frame) == 2


def test_an_entry_is_paid_with_what_its_bar_earns_although_the_close_before_it_would_be_ruin(tmp_path: Path) -> None:
    def sell_below_and_buy(self: Any) -> None:
        self.sell(size=45_000, stop=1.05)
        self.buy(size=1000)

    low = (1.0, 1.0, 1.0, 1.0)
    frame = hours(STILL, STILL, (1.055, 1.055, 1.0, 1.0), low, low, low)
    strategy = in_turn(sell_below_and_buy, None, lambda self: self.position.close())
    more = {"cash": 1_000, "margin": 0.02, "hedging": True, "trade_on_close": True}
    assert assert_equal_throughout(tmp_path, strategy, "EURUSD", frame, **more) == 2


class Adding(Averages):
    """Adds a fifth of what is free to what it holds already."""

    def next(self) -> None:
        if crossover(self.fast, self.slow) and len(self.trades) < 4:
            self.buy(size=0.2)
        elif crossover(self.slow, self.fast) and len(self.data) % 3 == 0:
            self.position.close()


def test_a_fraction_of_the_equity_while_trades_are_open_is_valued_at_the_open_and_not_at_the_close_to_come(tmp_path: Path) -> None:
    frame = builtin_prices("EURUSD").iloc[:400]
    expected = backtested(Adding, frame, margin=0.1)["_trades"].sort_values(["EntryTime", "ExitTime"])
    ran = traded(tmp_path, Adding, "EURUSD", frame, margin=0.1)
    found = pd.DataFrame(ran.rows("SELECT * FROM trades ORDER BY entry_time, exit_time"))
    assert found["entry_price"].tolist() == expected["EntryPrice"].tolist()
    assert found["exit_price"].tolist() == expected["ExitPrice"].tolist()
    differing = (found["size"].to_numpy() / expected["Size"].to_numpy() - 1).__abs__()
    assert 0 < differing.max() < 0.03
    assert pd.Series(differing).median() < 0.001


def test_an_order_is_filled_at_the_open_before_a_stop_that_the_bar_hits_later(tmp_path: Path) -> None:
    frame = hours(STILL, STILL, STILL, (1.1, 1.1, 1.08, 1.08), (1.08, 1.08, 1.08, 1.08))
    strategy = in_turn(lambda self: self.buy(size=1000, sl=1.09), lambda self: self.sell(size=1000))
    stats = backtested(strategy, frame)
    assert [trade[:3] for trade in trades_of_backtest(stats)] == [(1000.0, 1.1, 1.09)]
    assert [trade.size for trade in stats["_strategy"].trades] == [-1000]  # nobody is left to close, so it opens
    ran = traded(tmp_path, strategy, "EURUSD", frame)
    assert [trade[:3] for trade in trades_of_record(ran)] == [(1000.0, 1.1, 1.1)]
    assert ran.trader.final_positions == ()


def test_a_stop_that_is_set_after_the_close_does_not_come_before_it(tmp_path: Path) -> None:
    def close_and_protect(self: Any) -> None:
        self.trades[0].close(0.5)
        self.trades[0].sl = 1.09

    frame = hours(STILL, STILL, STILL, (1.1, 1.1, 1.08, 1.08), (1.08, 1.08, 1.08, 1.08))
    strategy = in_turn(lambda self: self.buy(size=1000), close_and_protect)
    assert [trade[:3] for trade in trades_of_backtest(backtested(strategy, frame))] == [(1000.0, 1.1, 1.09)]
    ran = traded(tmp_path, strategy, "EURUSD", frame)
    assert [trade[:3] for trade in trades_of_record(ran)] == [(500.0, 1.1, 1.09), (500.0, 1.1, 1.1)]


def test_the_margin_for_another_order_is_judged_at_the_open(tmp_path: Path) -> None:
    frame = hours(STILL, STILL, STILL, (1.1, 1.3, 1.1, 1.3), (1.3, 1.3, 1.3, 1.3))
    strategy = in_turn(lambda self: self.buy(size=45_000), lambda self: self.buy(size=60_000))
    stats = backtested(strategy, frame, margin=0.1)
    assert [trade.size for trade in stats["_strategy"].trades] == [45_000, 60_000]  # paid with what the bar earns later
    ran = traded(tmp_path, strategy, "EURUSD", frame, margin=0.1)
    assert [held.lots for held in ran.trader.final_positions] == [0.45]
    (order,) = ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")
    assert "60,000 units at 1.1 need more than the free margin of 5,050.00" in order["message"]


class KnowingTomorrow(Strategy):
    """Buys before the price rises."""

    def init(self) -> None:
        self.next_close = self.I(lambda: pd.Series(self.data.Close).shift(-1), plot=False)

    def next(self) -> None:
        if not self.position and self.next_close[-1] > self.data.Close[-1]:
            self.buy(size=1000)
        elif self.position and self.next_close[-1] < self.data.Close[-1]:
            self.position.close()


class ReadingTheEndOfAList(Averages):
    """backtesting.py reveals indicators bar by bar only where they are attributes: the last entry of this one is the last of all."""

    def init(self) -> None:
        self.lines = [self.I(lambda: pd.Series(self.data.Close).rolling(5).mean(), plot=False)]

    def next(self) -> None:
        if not self.position and self.data.Close[-1] < self.lines[0][-1]:
            self.buy(size=1000)
        elif self.position and self.data.Close[-1] > self.lines[0][-1]:
            self.position.close()


@pytest.mark.parametrize("strategy", [KnowingTomorrow, ReadingTheEndOfAList])
def test_what_a_strategy_knows_of_the_future_it_does_not_know_live(tmp_path: Path, strategy: type[Strategy]) -> None:
    frame = prices_of("EURUSD").iloc[:200]
    ran = traded(tmp_path, strategy, "EURUSD", frame)
    assert trades_of_record(ran) != trades_of_backtest(backtested(strategy, frame))


def test_a_ruined_backtest_ends_with_nothing_and_an_account_with_what_is_left(tmp_path: Path) -> None:
    frame = hours(STILL, STILL, STILL, (1.1, 1.1, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0))
    strategy = in_turn(lambda self: self.buy(size=200_000), None, None, lambda self: self.buy(size=1))
    stats = backtested(strategy, frame, margin=0.01)
    ran = traded(tmp_path, strategy, "EURUSD", frame, margin=0.01)
    assert trades_of_record(ran) == trades_of_backtest(stats)
    assert stats["Equity Final [$]"] == 0
    assert ran.trader.final_account.equity == pytest.approx(-10_000)


def test_a_broker_refuses_an_entry_whose_stop_the_open_has_passed_already(tmp_path: Path) -> None:
    def strict(name: str, frame: pd.DataFrame) -> Any:
        return replace(parity_symbol(name, frame), immediate_stops=False)

    frame = hours(STILL, STILL, (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0))
    strategy = in_turn(lambda self: self.buy(size=1000, sl=1.05))
    assert [trade[:3] for trade in trades_of_backtest(backtested(strategy, frame))] == [(1000.0, 1.0, 1.0)]
    ran = run_live(tmp_path, loaded(strategy), frame, spec=strict)
    assert [(row["status"], row["retcode"]) for row in ran.rows("SELECT * FROM orders")] == [("FAILED", 10016)]
    assert trades_of_record(ran) == []
