"""The lines that a session has of a strategy's indicators are those that backtesting.py plots."""

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Backtest, Strategy
from backtesting.lib import FractionalBacktest

from Backtest.bars import builtin_prices
from Backtest.decisions import Account, Bar
from Backtest.session import StrategySession
from Backtest.session.lines import Line
from Backtest.strategies import DEFAULTS

FRAME = builtin_prices("EURUSD").iloc[:80]
BARS = [
    Bar(int(time.timestamp()), *row)
    for time, row in zip(FRAME.index, FRAME[["Open", "High", "Low", "Close", "Volume"]].to_numpy().tolist(), strict=True)
]
SHOWN = 30


def mean(values: Any, length: int) -> Any:
    return pd.Series(values).rolling(length).mean()


class Declaring(Strategy):
    """Declares indicators in every way that there is, and writes into one of them."""

    def init(self) -> None:
        self.averages = [self.I(mean, self.data.Close, 5), self.I(mean, self.data.Close, 9, name="nine")]
        self.I(lambda: np.arange(len(self.data)), name="alone")
        self.band = self.I(lambda: (self.data.Low, self.data.High), name=["low", "high"])
        self.two = self.I(lambda: (self.data.Low - 1, self.data.High - 1), name="two", overlay=False)
        self.rises = self.I(lambda: self.data.Close > self.data.Open, scatter=True, name="rises")
        self.hidden = self.I(lambda: np.arange(len(self.data)), plot=False)
        self.I(lambda: np.array(["a word"] * len(self.data)), name="words", overlay=False)
        self.distance = self.averages[0] - self.averages[1]
        self.redone = self.I(mean, self.data.Close, 3)
        self.redone = self.redone * 2

    def next(self) -> None:
        if len(self.data) % 10 == 0:
            self.two[0][-1] = 77.0


def plotted(strategy: Strategy) -> list[Line]:
    """What backtesting.py's plot draws of a strategy that it has run, line by line, on the newest bars."""
    lines = []
    for indicator in strategy._indicators:
        values = np.atleast_2d(indicator)
        if not indicator._opts["plot"] or values.dtype.kind == "U":  # a line through words cannot be drawn
            continue
        names = indicator.name if isinstance(indicator.name, list) else [indicator.name]
        if len(names) < len(values):
            names = [f"{names[0]} {number + 1}" for number in range(len(values))]
        overlay = bool(indicator._opts["overlay"])
        for name, row in zip(names, values, strict=True):
            shown = tuple(value if math.isfinite(value) else None for value in map(float, row[-SHOWN:]))
            lines.append(Line(name, overlay, bool(indicator._opts["scatter"]), shown))
    return lines


def backtested(kind: type[Backtest] = Backtest, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(FRAME, Declaring, **{**DEFAULTS, "finalize_trades": False, **settings}).run()["_strategy"]


def stepped(warmed: int, **settings: Any) -> StrategySession:
    session = StrategySession(Declaring, {**DEFAULTS, **settings}, {})
    session.warm_up(FRAME.iloc[:warmed])
    for bar in BARS[warmed:]:
        session.on_bar(bar, Account(10_000.0))
    return session


@pytest.mark.parametrize("warmed", [0, 40, len(FRAME)])
def test_all_that_was_declared_is_a_line_whether_an_attribute_holds_it_or_not(warmed: int) -> None:
    expected = plotted(backtested())
    assert " ".join(line.name for line in expected) == "mean(C,5) nine alone low high two 1 two 2 rises mean(C,3)"
    assert 77.0 in expected[5].values
    assert stepped(warmed).lines(SHOWN) == expected


def test_what_lies_over_the_prices_is_told_in_those_of_the_market() -> None:
    unit = 0.001
    found = stepped(40, fractional_unit=unit).lines(SHOWN)
    for line, expected in zip(found, plotted(backtested(FractionalBacktest, fractional_unit=unit)), strict=True):
        assert (line.name, line.overlay) == (expected.name, expected.overlay)
        assert line.values == pytest.approx(expected.values, rel=1e-9), line.name
    assert found[0].values[-1] == pytest.approx(FRAME["Close"].iloc[-5:].mean())


def test_before_its_first_evaluation_there_are_none() -> None:
    assert StrategySession(Declaring, dict(DEFAULTS), {}).lines() == []
