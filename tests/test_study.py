"""Parameter studies: what is tried, by whom, and what comes of it."""

import math
import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import backtesting
import numpy as np
import pandas as pd
import pytest
from backtesting import Backtest
from backtesting.lib import FractionalBacktest
from hypothesis import assume, given
from hypothesis import strategies as st

from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.strategies import LoadedStrategy, load_strategy
from Backtest.study.grid import parse_grid
from Backtest.study.local import Given, LocalPool
from Backtest.study.measure import Measure
from Backtest.study.study import Found, Plan, chosen_of, failures, study
from Backtest.study.task import Answer, Subject, Task, answer
from Backtest.study.walk_forward import FEWEST_BARS, compounded, spans, walk_forward
from Live.config import PROJECT_ROOT
from tests.live_runs import eurusd

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
GRID = ("n1=5:15:5", "n2=20:40:10")
SPOILT = """
import os
from backtesting import Strategy

class Spoilt(Strategy):
    n = 1

    def init(self):
        if self.n == 2:
            raise ZeroDivisionError("two")
        if self.n == 3:
            os._exit(9)

    def next(self):
        if self.n > 1 and not self.position:
            self.buy(size=self.n, sl=self.data.Close[-1] * 0.99)
        elif self.n > 1 and len(self.data) % 9 == 0:
            self.position.close()
"""


class Here:
    """Tries everything in this process, the last task first."""

    def __init__(self, plan: Plan, bars: pd.DataFrame) -> None:
        self._subject = (plan.strategy.cls, plan.strategy.backtest, plan.fixed, bars)

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        return ((place, answer(self._subject, tasks[place])) for place in reversed(range(len(tasks))))


def plan_of(strategy: LoadedStrategy, *words: str, measure: Measure | None = None, fixed: Mapping[str, Any] | None = None) -> Plan:
    grid = parse_grid(words, strategy.cls)
    return Plan(strategy, grid, fixed or {}, chosen_of(strategy, grid, fixed or {}, "", None), measure or Measure("SQN"))


def studied(plan: Plan, bars: pd.DataFrame) -> Found:
    return study(plan, Here(plan, bars), 0, len(bars))


def given_of(strategy: LoadedStrategy, bars: pd.DataFrame) -> Given:
    return Given(f"{strategy.path}:{strategy.cls.__name__}", strategy.sha256, {}, bars)


@pytest.fixture
def spoilt(tmp_path: Path) -> LoadedStrategy:
    (tmp_path / "spoilt.py").write_text(SPOILT)
    return load_strategy(tmp_path / "spoilt.py")


def by_backtesting(
    kind: type[Backtest], bars: pd.DataFrame, plan: Plan, settings: Mapping[str, Any], patch: pytest.MonkeyPatch
) -> "pd.Series[float]":
    """`Backtest.optimize` as it comes, in this process."""
    patch.setattr(backtesting, "Pool", lambda: ThreadPool(1))
    grid = {name: list(values) for name, values in plan.grid.items()}
    whole: Any = kind(bars, plan.strategy.cls, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas 3.1, about backtesting.py
        _, heatmap = whole.optimize(**grid, maximize=plan.measure.name, return_heatmap=True)
    return heatmap  # type: ignore[no-any-return]


@pytest.mark.every(2)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:This process:DeprecationWarning")  # that it forks with threads
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_of_every_kind_find_what_backtesting_finds(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    strategy, bars = load_strategy(SMA), eurusd(300)
    plan = plan_of(strategy, *GRID)
    told: list[tuple[int, int]] = []
    with LocalPool(given_of(strategy, bars), 1, method) as pool:
        found = study(plan, pool, 0, len(bars), progress=lambda done, total: told.append((done, total)))
        processes = [process.pid for process in multiprocessing.active_children()]
        assert set(pool.processes) <= set(processes)
    pd.testing.assert_series_equal(found.heatmap, by_backtesting(Backtest, bars, plan, strategy.backtest, monkeypatch), check_exact=True)
    assert told == [(done, 9) for done in range(1, 10)]
    assert not {process.pid for process in multiprocessing.active_children()} & set(processes)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parts_of_a_unit_and_the_files_settings_are_those_of_the_backtest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "BACKTEST = dict(cash=20_000, commission=0.001, exclusive_orders=True, fractional_unit=1e-6)"
    (tmp_path / "parts.py").write_text(
        SMA.read_text().replace("BACKTEST = dict(cash=10_000, commission=0.00002, exclusive_orders=True)", settings)
    )
    strategy, bars = load_strategy(tmp_path / "parts.py"), builtin_prices("BTCUSD").head(150)
    plan = plan_of(strategy, "n1=2:6:2", "n2=8,12", measure=Measure("Equity Final [$]"))
    theirs = by_backtesting(FractionalBacktest, bars, plan, strategy.backtest, monkeypatch)
    assert theirs.nunique() == 6
    pd.testing.assert_series_equal(studied(plan, bars).heatmap, theirs, check_exact=True)


def test_fixed_parameters_hold_for_every_combination() -> None:
    strategy, bars = load_strategy(SMA), eurusd(200)
    one = studied(plan_of(strategy, "n1=5,10", fixed={"n2": 30}), bars)
    both = studied(plan_of(strategy, "n1=5,10", "n2=20,30"), bars)
    assert one.heatmap.tolist() == both.heatmap.xs(30, level="n2").tolist()


def test_a_combination_that_raises_is_named_and_the_others_go_on(spoilt: LoadedStrategy) -> None:
    found = studied(plan_of(spoilt, "n=1,2,4"), eurusd(60))
    assert failures(found, most=3) == ["n=2: ZeroDivisionError: two, line 10"]
    assert found.heatmap.isna().tolist() == [True, True, False]
    assert found.best is not None
    assert found.best.params == {"n": 4}
    assert found.ranking == [2]


def test_many_failures_are_counted(spoilt: LoadedStrategy) -> None:
    bars = eurusd(20)
    plan = plan_of(spoilt, "n=2:2:1")
    [failed] = studied(plan, bars).failed
    found = Found(pd.Series([math.nan] * 5), [failed] * 5, [])
    assert failures(found, most=2) == ["n=2: ZeroDivisionError: two, line 10"] * 2 + ["3 more"]
    assert found.best is None


def test_without_a_measure_nothing_is_best(spoilt: LoadedStrategy) -> None:
    found = studied(plan_of(spoilt, "n=1"), eurusd(30))  # it never trades
    assert found.best is None
    assert found.failed == []


@pytest.mark.parametrize(
    ("measure", "best"),
    [
        (Measure("Max. Drawdown [%]", minimize=True), max),  # the one nearest to zero
        (Measure("Max. Drawdown [%]"), max),
        (Measure("Volatility (Ann.) [%]", minimize=True), min),
        (Measure("# Trades", minimize=True), min),
        (Measure("Avg. Trade Duration"), max),
        (Measure("Return [%]"), max),
    ],
    ids=str,
)
def test_the_best_is_the_one_with_the_highest_or_lowest_measure(measure: Measure, best: Any) -> None:
    found = studied(plan_of(load_strategy(SMA), *GRID, measure=measure), eurusd(400))
    ranked = [found.heatmap.iloc[place] for place in found.ranking]
    assert len(set(ranked)) > 3
    assert ranked == sorted(ranked, reverse=best is max)
    assert found.heatmap.name == measure.name


@pytest.fixture
def one_at_a_time(spoilt: LoadedStrategy) -> Iterator[LocalPool]:
    with LocalPool(given_of(spoilt, eurusd(60)), 1, "fork") as pool:
        yield pool


NEEDS_FORK = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork, which starts at once"
)
FORKED = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads


@NEEDS_FORK
@FORKED
def test_a_combination_that_ends_its_process_is_given_up_and_the_others_go_on(one_at_a_time: LocalPool) -> None:
    tasks: list[Task] = [({"n": n}, 0, 60, None) for n in (4, 3, 2, 5)]
    found = dict(one_at_a_time.answers(tasks))
    assert found[1] == (None, "the process that tried it died 3 times (exit code 9)")
    assert [found[place][0] is not None for place in (0, 2, 3)] == [True, False, True]


@NEEDS_FORK
@FORKED
def test_what_a_killed_process_was_doing_is_done_by_another_one(spoilt: LoadedStrategy) -> None:
    bars = eurusd(300)
    tasks: list[Task] = [({"n": n}, 0, 300, None) for n in range(4, 16)]
    found, killed = [], 0
    with LocalPool(given_of(spoilt, bars), 2, "fork") as pool:
        for place, told in pool.answers(tasks):
            found.append((place, told))
            if len(found) in (3, 5):
                os.kill(pool.processes[0], signal.SIGKILL)
                killed += 1
    assert killed == 2
    assert sorted(place for place, _ in found) == list(range(12))
    subject: Subject = (spoilt.cls, spoilt.backtest, {}, bars)
    assert {place: str(told) for place, told in found} == {place: str(answer(subject, task)) for place, task in enumerate(tasks)}


@NEEDS_FORK
@FORKED
def test_a_strategy_that_changes_while_it_is_studied_ends_the_study(spoilt: LoadedStrategy, one_at_a_time: LocalPool) -> None:
    spoilt.path.write_text(SPOILT + "\n# better\n")
    with pytest.raises(BadInput, match="has changed while it was studied"):
        list(one_at_a_time.answers([({"n": 4}, 0, 60, None)]))


@NEEDS_FORK
@FORKED
def test_processes_that_never_begin_are_no_endless_story(spoilt: LoadedStrategy, one_at_a_time: LocalPool) -> None:
    spoilt.path.write_text("import os\nos._exit(4)\n")
    with pytest.raises(BadInput, match=r"die as soon as they have started \(exit code 4\)"):
        list(one_at_a_time.answers([({"n": 4}, 0, 60, None)]))


# walk-forward


def test_the_worked_case_of_the_folds() -> None:
    cut = spans(10 * (4 + 3) + 2, 3, 4)
    assert [(span.first, span.test, span.end) for span in cut] == [(2, 42, 52), (12, 52, 62), (22, 62, 72)]


@given(st.integers(1, 5_000), st.integers(1, 30), st.integers(1, 10))
def test_the_tests_follow_one_another_up_to_the_newest_bar(bars: int, folds: int, training: int) -> None:
    assume(bars >= FEWEST_BARS * (folds + training))
    cut = spans(bars, folds, training)
    window = cut[0].end - cut[0].test
    assert len(cut) == folds
    assert cut[-1].end == bars
    assert 0 <= cut[0].first < folds + training
    assert all(span.end - span.test == window and span.test - span.first == training * window for span in cut)
    assert all(before.end == after.test for before, after in pairwise(cut))


def test_too_few_bars_for_the_folds_are_told() -> None:
    with pytest.raises(
        BadInput, match="--walk-forward 12 with a training of 4 windows cuts 100 bars into windows of 6, and wants 10 at least"
    ):
        spans(100, 12, 4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fold_counts_what_the_equity_did_in_its_test() -> None:
    strategy, bars = load_strategy(SMA), eurusd(700)
    plan, cut = plan_of(strategy, "n1=5,10", "n2=20,30"), spans(700, 3, 4)
    folds = walk_forward(plan, Here(plan, bars), cut, {"n1": 5, "n2": 20})
    for fold, (first, test, end) in zip(folds, [(0, 400, 500), (100, 500, 600), (200, 600, 700)], strict=True):
        trained = studied(plan, bars.iloc[first:test])
        assert trained.best is not None
        assert fold.params == trained.best.params
        assert fold.measure == trained.heatmap.max()
        stats = Backtest(bars.iloc[first:end], strategy.cls, **strategy.backtest).run(**trained.best.params)
        equity = stats["_equity_curve"]["Equity"].to_numpy()[399:]
        assert fold.out.earned == pytest.approx((equity[-1] / equity[0] - 1) * 100)
        assert fold.out.drawdown == pytest.approx((equity / np.maximum.accumulate(equity) - 1).min() * 100)
        closed = stats["_trades"]["ExitTime"]
        assert fold.out.trades == ((closed >= bars.index[test]) & (closed < bars.index[end - 1] + pd.Timedelta(hours=1))).sum() > 0
        assert test - first == 400
    same = [fold.out.earned == fold.overall.earned for fold in folds]
    assert same == [fold.params == {"n1": 5, "n2": 20} for fold in folds]
    earned = [1 + fold.out.earned / 100 for fold in folds]
    assert compounded([fold.out for fold in folds]) == pytest.approx((earned[0] * earned[1] * earned[2] - 1) * 100)


def test_a_fold_whose_training_has_no_measure_trades_nothing(spoilt: LoadedStrategy) -> None:
    bars = eurusd(100)
    plan = plan_of(spoilt, "n=1,2")
    [fold] = walk_forward(plan, Here(plan, bars), spans(100, 1, 4), {"n": 2})
    assert (fold.params, fold.out.earned, fold.out.trades) == (None, 0.0, 0)
    assert math.isnan(fold.overall.earned)
    assert fold.overall.error.startswith("ZeroDivisionError")
