"""Backtests whose trades know the decisions that opened them: `Backtest.run` has the same trades."""

import warnings
from typing import Any

import pandas as pd
import pytest
from backtesting import Backtest, Strategy

from Backtest.decisions import Enter
from Backtest.session.backtested import Backtested, backtested
from Backtest.session.playing import Subject
from Backtest.strategies import DEFAULTS
from tests.live_runs import eurusd
from tests.many_strategies import BothSides, Bracketed, ReversingByFifo, TakingParts
from tests.waiting_strategies import WAITING

BARS = eurusd(300, 1000)
SOME = [Bracketed, BothSides, TakingParts, ReversingByFifo]


def subject(cls: type[Strategy], **settings: Any) -> Subject:
    return Subject(cls, {**DEFAULTS, "hedging": cls is BothSides, "commission": (0.5, 0.0001), "spread": 0.0002, **settings}, {})


def made(cls: type[Strategy], **settings: Any) -> Backtested:
    return backtested(subject(cls, **settings), BARS, since=BARS.index[0], cash=10_000)


def place(bar: pd.Timestamp) -> int:
    return int(BARS.index.searchsorted(bar))


@pytest.mark.parametrize("cls", SOME)
def test_the_trades_are_those_of_the_library(cls: type[Strategy]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = Backtest(BARS, cls, **{**subject(cls).backtest, "finalize_trades": False}).run()
    closed = [trade for trade in made(cls).trades if trade.exit_bar is not None]
    found = sorted((each.entry_bar, each.exit_bar, each.size, each.entry_price, each.exit_price) for each in closed)
    columns = (stats["_trades"][name] for name in ("EntryBar", "ExitBar", "Size", "EntryPrice", "ExitPrice"))
    assert found == sorted(zip(*(column.tolist() for column in columns), strict=True))
    assert len(found) > 3
    whole = sum(each.size * (each.exit_price - each.entry_price) - each.costs for each in made(cls).trades)
    assert whole == pytest.approx(stats["Equity Final [$]"] - 10_000)


@pytest.mark.parametrize("cls", SOME)
def test_every_trade_names_an_entry_of_its_side_that_was_decided_before_it(cls: type[Strategy]) -> None:
    told = made(cls)
    for trade in told.trades:
        assert trade.opener is not None
        bar, leg = trade.opener
        entry = told.decisions[bar][leg]
        assert isinstance(entry, Enter)
        assert entry.size * trade.size > 0
        assert place(bar) < trade.entry_bar


def test_a_backtest_begins_flat_behind_its_history() -> None:
    since = BARS.index[150]
    told = backtested(subject(Bracketed), BARS, since=since, cash=5_000)
    assert min(trade.entry_bar for trade in told.trades) > 150
    assert min(told.decisions) == since


def test_what_closed_a_trade_is_told() -> None:
    reasons = {trade.exit_by for trade in made(Bracketed).trades}
    assert {"stop loss", "take profit"} <= reasons
    assert {trade.exit_by for trade in made(TakingParts).trades} <= {"strategy", "open"}
    assert all(trade.exit_price == BARS["Close"].iloc[-1] for trade in made(TakingParts).trades if trade.exit_by == "open")


def test_waiting_orders_are_named_by_the_bar_that_placed_them() -> None:
    waited = 0
    some: list[Any] = WAITING[:6]
    for cls in some:
        told = backtested(subject(cls), BARS, since=BARS.index[0], cash=10_000)
        waited += sum(place(trade.opener[0]) < trade.entry_bar - 1 for trade in told.trades if trade.opener)
        assert all(trade.opener for trade in told.trades)
    assert waited > 0


def test_a_strategy_without_enough_bars_trades_nothing() -> None:
    class Long(Strategy):
        def init(self) -> None:
            self.mean = self.I(lambda: pd.Series(self.data.Close).rolling(500).mean())

        def next(self) -> None:
            self.buy()

    assert made(Long).trades == ()


def test_a_level_that_was_waited_for_is_told_also_where_the_fill_is_another_price() -> None:
    levels = [(trade.exit_level, trade.exit_price) for trade in made(Bracketed).trades if trade.exit_by == "stop loss"]
    assert levels
    assert all(level is not None for level, _ in levels)
    assert all(trade.exit_level is None for trade in made(TakingParts).trades)
    some: list[Any] = [WAITING[1]]
    entries = [trade for cls in some for trade in backtested(subject(cls), BARS, since=BARS.index[0], cash=10_000).trades]
    assert all(trade.entry_level is not None for trade in entries)
