"""How much history a strategy needs: the shortest that leaves its indicators and its decisions as they are."""

import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.lib import resample_apply

from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.session import StrategySession
from Backtest.session.playing import Subject
from Backtest.strategies import DEFAULTS
from Backtest.warmup import Need, Warmup, shortest_history
from tests.live_runs import eurusd
from tests.many_strategies import ByTag
from tests.peeking_strategies import Dice, Impossible

BARS = eurusd(400)


@pytest.fixture(autouse=True)
def without_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def measured(strategy: type[Strategy], bars: pd.DataFrame = BARS) -> Warmup:
    return shortest_history(Subject(strategy, DEFAULTS, {}), bars)


def needs(found: Warmup) -> dict[str, int | None]:
    return {need.name: need.bars for need in found.needs}


class Lines(Strategy):
    """In the market while the first line is above the second."""

    def init(self) -> None:
        close = pd.Series(self.data.Close)
        self.fast, self.slow = (self.I(made, close, name=name) for name, made in (("fast", self.first), ("slow", self.second)))

    def first(self, close: Any) -> Any:
        return close.rolling(4).max()

    def second(self, close: Any) -> Any:
        return close.rolling(12).max() - 0.0001

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1] and not self.position:
            self.buy(size=1000)
        elif self.fast[-1] <= self.slow[-1] and self.position:
            self.position.close()


def test_a_window_needs_its_length_and_one_bar_more_for_the_value_before() -> None:
    found = measured(Lines)
    assert found.needs == (Need("self.fast", 5, exact=True), Need("self.slow", 13, exact=True), Need("decisions", 13, exact=False))
    assert found.bars == 13


class Exponential(Lines):
    def first(self, close: Any) -> Any:
        return close.ewm(span=8, adjust=False).mean()


def test_a_fading_memory_is_measured_to_a_millionth_of_its_range() -> None:
    found = measured(Exponential)
    [need] = [need for need in found.needs if need.name == "self.fast"]
    # a bar at the distance k weighs (1 - 2/9)**k, and closes differ by a few times the range of their middle half at most
    assert need.bars is not None
    assert 50 <= need.bars <= 75
    assert not need.exact


class Endless(Lines):
    def second(self, close: Any) -> Any:
        return close.expanding().mean()


def test_a_memory_without_end_needs_all_of_it() -> None:
    found = measured(Endless)
    assert needs(found)["self.slow"] is None
    assert found.bars is None


class LooksBack(Strategy):
    """No indicators: next() looks at prices of long ago."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        if len(self.data) > 40 and self.data.Close[-1] > self.data.Close[-40]:
            self.buy(size=1000)


def test_prices_that_next_looks_back_at_count_too() -> None:
    assert needs(measured(LooksBack)) == {"decisions": 41}


class Remembers(Strategy):
    """Keeps the highest of the last thirty closes itself, bar by bar."""

    def init(self) -> None:
        self.closes: list[float] = []

    def next(self) -> None:
        self.closes = [*self.closes, self.data.Close[-1]][-30:]
        if len(self.closes) == 30 and self.closes[-1] == max(self.closes):
            self.buy(size=1000, sl=min(self.closes) * 0.999)


def test_what_next_remembers_counts_too() -> None:
    assert needs(measured(Remembers)) == {"decisions": 31}  # next() is not called on the first bar


class CountsBars(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        if len(self.data) % 7 == 3:
            self.buy(size=1000)


def test_a_strategy_that_counts_from_its_first_bar_needs_all_of_them() -> None:
    assert measured(CountsBars).bars is None


def highest(close: Any) -> Any:
    return pd.Series(close).rolling(3).max()


class Days(Lines):
    def init(self) -> None:
        super().init()
        self.days = resample_apply("D", highest, self.data.Close)


def test_longer_bars_count_in_shorter_ones() -> None:
    found = needs(measured(Days))["self.days"]
    assert found is not None
    assert 72 < found <= 5 * 24 + 2  # three days that are over, begun on any hour, and a weekend between them


class Impatient(Lines):
    def second(self, close: Any) -> Any:
        if len(close) < 60:
            raise ValueError("window longer than the data")
        return close.rolling(12).max()


def test_an_indicator_that_fails_on_fewer_bars_needs_so_many() -> None:
    assert needs(measured(Impatient))["self.slow"] == 60


def test_with_that_much_history_a_session_decides_as_with_all_of_it() -> None:
    length = measured(Exponential).bars
    assert length is not None
    for place in range(300, 400, 9):
        decided = []
        for first in (0, place + 1 - length):
            session = StrategySession(Exponential, DEFAULTS, {})
            decided.append(session.warm_up(BARS.iloc[first : place + 1])[-1])
        assert decided[0] == decided[1]


def test_a_strategy_that_knows_its_own_trades_only_is_measured_without_a_foreign_one() -> None:
    bars = builtin_prices("EURUSD").iloc[1000:1300]
    assert shortest_history(Subject(ByTag, {**DEFAULTS, "hedging": True}, {}), bars).bars == 10


def test_chance_leaves_only_the_indicators() -> None:
    found = measured(Dice)
    assert "decisions" not in needs(found)
    assert "left to chance" in found.notes[0]


class Broken(Strategy):
    def init(self) -> None:
        raise KeyError("nothing there")

    def next(self) -> None:
        pass


def test_a_strategy_that_fails_and_too_few_bars_are_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"Broken fails on 400 bars: .*nothing there"):
        measured(Broken)
    with pytest.raises(BadInput, match=r"Impossible fails on .*0 < price"):
        measured(Impossible)
    with pytest.raises(BadInput, match="at least 30 are wanted"):
        measured(Lines, BARS.iloc[:20])
