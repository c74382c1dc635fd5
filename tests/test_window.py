"""init() on the newest bars alone decides what init() on all bars decides, or is not trusted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy

from Backtest.decisions import Account
from Backtest.session import StrategySession
from Backtest.session.window import CHECKED_EVERY
from Backtest.strategies import DEFAULTS
from tests.live_runs import eurusd, loaded, run_live
from tests.many_strategies import CASES, Case, fitted
from tests.session_truth import bars_of, plain, prices_of, stepped, truth

WINDOW = 120
REFUSED = {
    "OwnArrays": "self.mean is something else",
    "InContainers": "self.lines is something else",
    "FrameKept": "self.frame is something else",
    "ColumnsAdded": "init() changes self.data",
    "Trailing": "self._TrailingStrategy__atr is something else",
}


def mean(values: Any, length: int) -> Any:
    return pd.Series(values).rolling(length).mean()


class Crossing(Strategy):
    """Wants an average of a few bars."""

    length = 20

    def init(self) -> None:
        self.line = self.I(self.average, self.data.Close)

    def average(self, values: Any) -> Any:
        return mean(values, self.length)

    def next(self) -> None:
        if self.data.Close[-1] > self.line[-1] and self.data.Close[-2] <= self.line[-2]:
            self.buy(size=1000)


class Endless(Crossing):
    def average(self, values: Any) -> Any:
        return pd.Series(values).expanding().mean()


class LongAtTimes(Crossing):
    """Its memory is short, but for the bars after a certain hour: no trial on other bars can know."""

    def average(self, values: Any) -> Any:
        line = np.array(mean(values, self.length))
        late = np.asarray(self.data.index >= LATE)
        line[late] += 0.0001 * np.arange(len(line))[late]
        return line


BARS = eurusd(800, 1000)
LATE = BARS.index[300]


def decided(strategy: type[Strategy], bars: pd.DataFrame, warmed: int, window: int | None) -> tuple[StrategySession, list[list[Any]]]:
    session = StrategySession(strategy, DEFAULTS, {}, window=window)
    session.warm_up(bars.iloc[:warmed])
    return session, [plain(session.on_bar(bar, Account(10_000.0))) for bar in bars_of(bars.iloc[warmed:])]


def nearly(rows: Sequence[Any]) -> Any:
    return [tuple(pytest.approx(each, rel=1e-9) if isinstance(each, float) else each for each in row) for row in rows]


@pytest.mark.every(4)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_the_newest_bars_decide_is_what_all_bars_decide(case: Case) -> None:
    symbol = case.prices[0]
    session = StrategySession(fitted(case, symbol), {**DEFAULTS, **case.backtest}, {}, window=WINDOW)
    found, wanted = stepped(session, prices_of(symbol), truth(case, symbol)), truth(case, symbol).decided
    assert found.keys() == wanted.keys()
    assert all(found[bar] == nearly(rows) for bar, rows in wanted.items())
    assert session.window.refused == REFUSED.get(case.strategy.__name__, "")
    assert session.window.is_trusted is not bool(session.window.refused)


def test_an_evaluation_sees_no_more_bars_than_the_window_but_for_checks_and_close_calls() -> None:
    seen: list[int] = []

    class Watched(Crossing):
        def init(self) -> None:
            seen.append(len(self.data))
            super().init()

    session, found = decided(Watched, BARS, 200, 50)
    _, wanted = decided(Crossing, BARS, 200, None)
    assert found == wanted
    assert session.window.is_trusted
    # the warm-up twice, and the first bar with its trial; then all bars once in so many, and where the last bits may decide
    whole = [length for length in seen if length > 50]
    assert 3 + (len(BARS) - 200 - 1) // CHECKED_EVERY <= len(whole) < 20


class Level(Strategy):
    """Two averages that are level now and then: their last bits tell which of them is above."""

    def init(self) -> None:
        self.one = self.I(mean, self.data.Close, 4)
        self.other = self.I(mean, self.data.Close, 8)

    def next(self) -> None:
        if self.one[-1] != self.other[-1]:
            self.buy(size=1000, tag=bool(self.one[-1] > self.other[-1]))


def test_where_the_last_bits_decide_all_bars_are_asked() -> None:
    closes = np.round(1.1 + 0.0001 * np.random.default_rng(1).integers(0, 3, size=3_000), 4)
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), closes), index=pd.date_range("2020", periods=3_000, freq="h"))
    bars = frame.assign(Volume=100.0)
    session, found = decided(Level, bars, 200, 100)
    _, wanted = decided(Level, bars, 200, None)
    assert session.window.is_trusted
    assert found == wanted
    level = sum(abs(one - other) < 1e-9 for one, other in zip(mean(closes, 4)[200:], mean(closes, 8)[200:], strict=True))
    assert level > 200


def test_the_strategy_sees_all_of_its_history_whatever_the_window() -> None:
    lengths: list[tuple[int, int, int]] = []

    class Looking(Crossing):
        def next(self) -> None:
            lengths.append((len(self.data), len(self.line), len(self.data.df)))
            index = self.line.s.index  # type: ignore[attr-defined]  # an indicator has it
            assert index[-1] == self.data.index[-1]
            np.testing.assert_allclose(self.line, mean(self.data.Close, self.length), rtol=1e-12)

    decided(Looking, BARS, 200, 50)
    assert lengths[-1] == (800, 800, 800)


def test_an_endless_memory_is_evaluated_on_all_bars() -> None:
    session, found = decided(Endless, BARS, 200, 50)
    assert session.window.refused == "self.line has another value"
    assert found == decided(Endless, BARS, 200, None)[1]


def test_what_differs_later_is_found_within_the_next_check_and_never_used_again() -> None:
    session, found = decided(LongAtTimes, BARS, 200, 50)
    _, wanted = decided(LongAtTimes, BARS, 200, None)
    assert session.window.refused == "self.line has another value"
    assert found[:100] == wanted[:100]
    assert found[CHECKED_EVERY + 2 :] == wanted[CHECKED_EVERY + 2 :]


def test_init_that_fails_on_so_few_bars_is_evaluated_on_all() -> None:
    class Demanding(Crossing):
        def average(self, values: Any) -> Any:
            if len(values) < 60:
                raise ValueError("60 bars at least")
            return super().average(values)

    session, found = decided(Demanding, BARS, 200, 50)
    assert session.window.refused == "init() fails on them: ValueError('60 bars at least')"
    assert found == decided(Crossing, BARS, 200, None)[1]


def test_bars_with_further_columns_are_evaluated_in_full() -> None:
    further = pd.DataFrame({"Sentiment": np.arange(len(BARS), dtype=float)}, index=BARS.index)
    session = StrategySession(Crossing, DEFAULTS, {}, further, window=50)
    session.warm_up(BARS.iloc[:200])
    session.on_bar(bars_of(BARS)[200], Account(10_000.0))
    assert session.window.refused == "its bars have further columns"


def test_a_run_with_few_indicator_bars_trades_as_one_with_all(tmp_path: Path) -> None:
    trades = "SELECT symbol, side, entry_time, exit_time, entry_price, exit_price, volume FROM trades"
    given = {"warmup_bars": 50}
    runs = {}
    for name, more in (("all", {}), ("few", {"indicator_bars": 60})):
        (tmp_path / name).mkdir()
        runs[name] = run_live(tmp_path / name, loaded(Crossing, exclusive_orders=True), eurusd(400), given={**given, **more})
    assert len(runs["few"].rows(trades)) > 5
    assert runs["few"].rows(trades) == runs["all"].rows(trades)
    assert not runs["few"].count("events", "event_type = 'INDICATORS_ON_ALL_BARS'")


def test_a_run_tells_once_that_it_needs_all_bars(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(Endless), eurusd(200), given={"indicator_bars": 60})
    [event] = ran.rows("SELECT severity, message FROM events WHERE event_type = 'INDICATORS_ON_ALL_BARS'")
    wanted = "EURUSD: indicators are computed on all bars, the newest 60 are not enough: self.line has another value"
    assert (event["severity"], event["message"]) == ("WARNING", wanted)
