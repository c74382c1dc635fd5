"""Lookahead: every planted one is named with its kind, its first bar and what the backtest earns without it; nothing clean is."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Backtest, Strategy
from backtesting.lib import resample_apply

from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.lookahead import Findings, Kind, look_ahead
from Backtest.session.playing import Subject, play, play_honestly
from Backtest.strategies import DEFAULTS, load_strategy
from Live.config import PROJECT_ROOT
from tests import peeking_strategies as peeking
from tests.many_strategies import CASES, Case, fitted

BARS = peeking.BARS


@pytest.fixture(autouse=True)
def without_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # trades remain open at the end
        yield


def subject(strategy: type[Strategy], **backtest: Any) -> Subject:
    return Subject(strategy, {**DEFAULTS, **backtest}, {})


def looked(strategy: type[Strategy], bars: pd.DataFrame = BARS, *, honest: bool = False, **backtest: Any) -> Findings:
    return look_ahead(subject(strategy, **backtest), bars, honest=honest)


PLANTED = [
    (peeking.Shifted, "self.line", Kind.SHIFTED, "Close of 3 bars later", 0),
    (peeking.ShiftedReturns, "self.line", Kind.AHEAD, "up to 1 bar ahead", 1),
    (peeking.Centred, "self.line", Kind.AHEAD, "up to 5 bars ahead", 5),
    (peeking.Pivots, "self.line", Kind.AHEAD, "up to 5 bars ahead", 22),
    (peeking.ZScored, "self.line", Kind.SCALED, "whole series", 0),
    (peeking.MinMaxed, "self.line", Kind.SCALED, "whole series", 0),
    (peeking.Ranked, "self.line", Kind.RANKED, "place in the whole series", 0),
    (peeking.BackFilled, "self.line", Kind.FILLED, "bfill", 0),
    (peeking.BackFilledGaps, "self.line", Kind.FILLED, "bfill", 0),
    (peeking.Fitted, "self.line", Kind.FITTED, "fitted on everything", 0),
    (peeking.Smoothed, "self.line", Kind.AHEAD, "runs backwards", 0),
    (peeking.TrendLine, "self.line", Kind.FITTED, "fitted on everything", 0),
    (peeking.Quintiles, "self.line", Kind.RANKED, "place in the whole series", 0),
    (peeking.FormingDay, "self.line", Kind.FORMING, "before it has closed", 20),
    (peeking.ColumnAdded, "self.data.Next", Kind.SHIFTED, "Close of 1 bar later", 1),
    (peeking.ManyRowsOneAhead, "self.bands[1]", Kind.AHEAD, "up to 2 bars ahead", 2),
    (peeking.WholeMean, "next()", Kind.DECIDED, "self.mean is a figure of all bars", None),
    (peeking.TrailingByPercent, "next()", Kind.DECIDED, "are not there: self._TrailingStrategy__n_atr is a figure of all bars", None),
    (peeking.LastOfList, "next()", Kind.DECIDED, "self.lines is not cut to the bars so far", None),
    (peeking.Beneath, "next()", Kind.DECIDED, "memory behind its data", None),
    (peeking.GlobalFrame, "BARS", Kind.OUTSIDE, "rows of later bars", None),
    (peeking.ClosedOver, "table in next()['EURUSD']['ahead']", Kind.OUTSIDE, "1 bar later", None),
    (peeking.PreparedOnTheClass, "PreparedOnTheClass.foretold", Kind.OUTSIDE, "1 bar later", None),
]


@pytest.mark.every(3)
@pytest.mark.parametrize(("strategy", "name", "kind", "words", "first"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_lookahead_is_named(strategy: type[Strategy], name: str, kind: Kind, words: str, first: int | None) -> None:
    findings = looked(strategy, honest=first is not None)
    assert [(found.name, found.kind) for found in findings.surprises] == [(name, kind)]
    [found] = findings.surprises
    assert words in found.sentence
    assert found.cure == kind.value
    assert first is None or found.first_bar == first
    assert found.first_time == str(BARS.index[found.first_bar])


OTHER_FORMS = {
    Kind.AHEAD: ("rolled", "counted_backwards", "highest_to_come", "convolved", "centred_median", "interpolated"),
    Kind.SCALED: ("by_the_median", "by_the_last", "by_the_highest"),
    Kind.FILLED: ("filled_with_the_first",),
    Kind.RANKED: ("in_groups",),
    Kind.FITTED: ("by_component", "by_waves"),
    Kind.FORMING: ("close_of_the_day", "forming_four_hours"),
}


@pytest.mark.every(3)
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in OTHER_FORMS.items() for name in names])
def test_other_forms_of_a_planted_lookahead_are_named_alike(kind: Kind, name: str) -> None:
    surprises = looked(peeking.PLANTED[name]).surprises
    assert [(found.name, found.kind) for found in surprises] == [("self.line", kind)]


def test_each_planted_form_is_looked_for() -> None:
    assert sorted(name for names in OTHER_FORMS.values() for name in names) == sorted(peeking.PLANTED)


CLEAN = [
    *(peeking.Trend, peeking.Exponential, peeking.Cumulated, peeking.ByFourier, peeking.ClosedDay, peeking.ShiftedBack),
    *(peeking.FilledForwards, peeking.OtherSymbol, peeking.OutsideTrend, peeking.EarlyTrailing, peeking.NeedsBars),
    *(peeking.Remembering, peeking.SignalsWithATrail),
]


@pytest.mark.every(4)
@pytest.mark.parametrize("strategy", CLEAN, ids=lambda strategy: strategy.__name__)
def test_a_clean_strategy_that_looks_suspicious_is_no_alarm(strategy: type[Strategy]) -> None:
    findings = looked(strategy)
    assert not findings.is_red
    assert not findings.random


@pytest.mark.every(4)
@pytest.mark.parametrize("name", peeking.FROM_THE_PAST)
def test_a_line_of_the_past_alone_is_no_alarm(name: str) -> None:
    findings = looked(peeking.FROM_THE_PAST[name])
    assert findings.surprises == ()
    assert not findings.random


ONE_OF_EACH = {case.strategy: case for case in CASES}.values()
TURNS = [(case, case.prices[number % len(case.prices)]) for number, case in enumerate(ONE_OF_EACH)]


@pytest.mark.every(4)
@pytest.mark.parametrize(("case", "symbol"), [pytest.param(*turn, id="-".join(map(str, turn))) for turn in TURNS])
def test_none_of_many_strategies_is_an_alarm(case: Case, symbol: str) -> None:
    findings = looked(fitted(case, symbol), builtin_prices(symbol).iloc[1000:1200], **case.backtest)
    assert not findings.surprises


@pytest.mark.every(5)
@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "Backtest" / "codes").glob("*.py")), ids=lambda path: path.name)
def test_no_shipped_strategy_is_an_alarm(path: Path) -> None:
    loaded = load_strategy(path)
    assert not look_ahead(Subject(loaded.cls, loaded.backtest, {}), builtin_prices("EURUSD").iloc[:800], honest=False).surprises


def rsi(close: Any, length: int) -> Any:
    change = pd.Series(close).diff()
    gain, loss = change.clip(lower=0).ewm(length).mean(), -change.clip(upper=0).ewm(length).mean()
    return 100 - 100 / (1 + gain / loss)


class WeeksAndDays(Strategy):
    """As the documentation of backtesting.py shows several time frames."""

    def init(self) -> None:
        self.daily = self.I(rsi, self.data.Close, 10)
        self.weekly = resample_apply("W-FRI", rsi, self.data.Close, 5)

    def next(self) -> None:
        if not self.position and self.daily[-1] > 60 and self.weekly[-1] > self.daily[-1] * 0.9:
            self.buy(sl=0.92 * self.data.Close[-1])
        elif self.position and self.daily[-1] < 45:
            self.position.close()


class DrawsItsTarget(Strategy):
    """As that documentation trains a model: the target is drawn, the forecast fitted to the first bars and written into an indicator."""

    def init(self) -> None:
        close = self.data.df["Close"]
        self.I(lambda: close.pct_change(5).shift(-5), name="target")
        self.forecasts = self.I(lambda: np.repeat(np.nan, len(self.data)), name="forecast")
        first = close.iloc[:200]
        self.slope = np.polyfit(first.pct_change(5).iloc[5:-5], first.pct_change(5).shift(-5).iloc[5:-5], 1)[0]

    def next(self) -> None:
        if len(self.data) < 200:
            return
        self.forecasts[-1] = self.slope * (self.data.Close[-1] / self.data.Close[-6] - 1)
        if self.forecasts[-1] > 0 and not self.position:
            self.buy(size=5)
        elif self.forecasts[-1] < 0 and self.position:
            self.position.close()


def test_the_ways_of_the_documentation_are_no_alarm() -> None:
    goog = builtin_prices("GOOG").iloc[:600]
    assert not looked(WeeksAndDays, goog).surprises
    findings = looked(DrawsItsTarget, goog)
    assert not findings.surprises
    assert findings.notes == ("self.I(target) knows the future; it is drawn, and no decision depends on it",)


class InAList(peeking.Centred):
    def init(self) -> None:
        self.lines = [self.I(self.made, pd.Series(self.data.Close), name="centred")]

    def next(self) -> None:
        now = len(self.data) - 1
        if not self.position and self.data.Close[-1] > self.lines[0][now]:
            self.buy(size=1000)
        elif self.position and self.data.Close[-1] < self.lines[0][now]:
            self.position.close()


def test_an_indicator_in_a_list_that_decides_is_named() -> None:
    assert [(found.name, found.kind) for found in looked(InAList).surprises] == [("self.I(centred)", Kind.AHEAD)]


@pytest.mark.parametrize("strategy", [peeking.Dice, peeking.OwnDice], ids=lambda strategy: strategy.__name__)
def test_chance_is_called_chance(strategy: type[Strategy]) -> None:
    findings = looked(strategy)
    assert "decisions" in findings.random
    assert not findings.surprises


class TwoAverages(Strategy):
    """Long above, short below."""

    def init(self) -> None:
        self.fast = self.I(lambda: pd.Series(self.data.Close).rolling(5).mean())
        self.slow = self.I(lambda: pd.Series(self.data.Close).rolling(20).mean())

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1] and not self.position.is_long:
            self.position.close()
            self.buy(size=1000)
        elif self.fast[-1] < self.slow[-1] and not self.position.is_short:
            self.position.close()
            self.sell(size=1000)


def same_figures(one: Any, other: Any) -> list[str]:
    """The names of statistics that differ, to the last bit."""
    names = [name for name in one.index if not name.startswith("_")]
    return [name for name in names if not (one[name] == other[name] or (pd.isna(one[name]) and pd.isna(other[name])))]


@pytest.mark.every(3)
@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_both_ways_of_playing_make_the_statistics_of_the_backtest(case: Case) -> None:
    symbol = case.prices[0]
    bars, strategy = builtin_prices(symbol).iloc[1000:1250], fitted(case, symbol)
    expected = Backtest(bars, strategy, **case.backtest).run()
    asked = subject(strategy, **case.backtest)
    for played in (play(asked, bars), play_honestly(asked, bars)):
        assert same_figures(expected, played.stats) == []
        assert len(played.stats["_trades"]) == len(expected["_trades"]) > 0


@pytest.mark.parametrize("settings", [{"finalize_trades": True}, {"trade_on_close": True}, {"spread": 0.0002, "commission": (1, 0.0001)}])
def test_the_settings_of_a_backtest_are_those_of_the_honest_one(settings: dict[str, Any]) -> None:
    expected = Backtest(BARS, TwoAverages, **settings).run()
    played = play_honestly(subject(TwoAverages, **settings), BARS)
    assert same_figures(expected, played.stats) == []


class Foreseeing(TwoAverages):
    def init(self) -> None:
        super().init()
        self.next_close = self.I(lambda: pd.Series(self.data.Close).shift(-1))

    def next(self) -> None:
        if not self.position and self.next_close[-1] > self.data.Close[-1]:
            self.buy(size=1000)
        elif self.position and not self.next_close[-1] > self.data.Close[-1]:
            self.position.close()


def test_the_honest_result_stands_beside_the_one_that_knew_the_future() -> None:
    findings = looked(Foreseeing, honest=True)
    expected = Backtest(BARS, Foreseeing).run()
    assert findings.plain["Return [%]"] == expected["Return [%]"] > 0.5
    assert findings.honest is not None
    assert findings.honest["# Trades"] == 0  # its indicator never has a value
    [found] = findings.surprises
    assert found.wrong == len(BARS) - 2  # every bar but the last, which has no value in either, and the first, which no backtest decides


def test_without_scaling_by_the_whole_series_it_earns_what_it_earns_with_an_expanding_one() -> None:
    class Expanding(peeking.Signal):
        def made(self, close: Any) -> Any:
            return (close - close.expanding().mean()) / close.expanding().std()

    class Scaled(peeking.Signal):
        def made(self, close: Any) -> Any:
            return (close - close.mean()) / close.std()

    honest = looked(Scaled, honest=True).honest
    assert honest is not None
    assert honest["Equity Final [$]"] == pytest.approx(Backtest(BARS, Expanding).run()["Equity Final [$]"])


def test_what_was_made_before_the_backtest_has_no_honest_result() -> None:
    findings = looked(peeking.PreparedOnTheClass, honest=True)
    assert findings.honest is None
    assert "before the backtest" in findings.honest_failure


def test_a_search_leaves_the_strategy_and_its_module_as_they_were() -> None:
    frame, foretold = peeking.BARS, peeking.PreparedOnTheClass.foretold
    state = np.random.get_state(legacy=False)["state"]["key"].tolist()
    looked(peeking.GlobalFrame)
    looked(peeking.PreparedOnTheClass)
    assert peeking.BARS is frame
    assert peeking.PreparedOnTheClass.foretold is foretold
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == state


class Broken(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        raise RuntimeError("a mistake of its own")


def test_a_strategy_that_fails_is_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"Broken fails on .*a mistake of its own"):
        looked(Broken)
    with pytest.raises(BadInput, match=r"Impossible fails on .*0 < price"):
        looked(peeking.Impossible)
    with pytest.raises(BadInput, match="at least 10 are needed"):
        looked(TwoAverages, BARS.iloc[:5])
