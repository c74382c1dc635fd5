"""A parameter study: combinations of a grid, tried by a pool, and what came of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from Backtest.errors import BadInput
from Backtest.session.optimizing import heatmap_of
from Backtest.strategies import LoadedStrategy, params_of
from Backtest.study.constraint import Constraint, shown
from Backtest.study.grid import Grid, combinations
from Backtest.study.measure import Measure
from Backtest.study.task import Answer, Params, Task

DRAWN_BY = 0  # the seed of a random choice, so that the same study is the same tomorrow
Progress = Callable[[int, int], None]
"""Is told how many of how many combinations have been tried."""


class Pool(Protocol):
    """Who tries combinations: LocalPool or ClusterPool."""

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be tried of a strategy, and what is best."""

    strategy: LoadedStrategy
    grid: Grid
    fixed: Params  # parameters that are the same in every combination
    chosen: Sequence[dict[str, Any]]  # the combinations
    measure: Measure
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """One combination: backtesting.py's statistics, or what the strategy raised."""

    params: Params
    stats: Mapping[str, Any] | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a study on some bars. The heatmap has the measure as backtesting.py has it, NaN where there is none."""

    heatmap: "pd.Series[float]"
    tried: Sequence[Tried]  # in the order of the heatmap
    ranking: Sequence[int]  # places in both, the best first, without those that have no measure

    @property
    def best(self) -> Tried | None:
        """The first of those with the best measure; None where none has any."""
        return self.tried[self.ranking[0]] if self.ranking else None

    @property
    def failed(self) -> list[Tried]:
        """Those of which the strategy raised something."""
        return [each for each in self.tried if each.error]


def chosen_of(strategy: LoadedStrategy, grid: Grid, fixed: Params, constraint: str, most: int | None) -> list[dict[str, Any]]:
    """The combinations that the constraint allows; `most` of them drawn at random, always the same ones, where there are more.

    The constraint may name every parameter of the strategy. Raises BadInput for one that is none, or that allows nothing.
    """
    defaults = params_of(strategy.cls)
    found = list(combinations(grid))
    if constraint:
        allows = Constraint(constraint, defaults)
        found = [params for params in found if allows({**defaults, **fixed, **params})]
    if not found:
        raise BadInput(f"--constraint '{constraint}' allows no combination of the grid")
    if most is None or most >= len(found):
        return found
    places = np.random.default_rng(DRAWN_BY).choice(len(found), size=most, replace=False)
    return [found[place] for place in sorted(places)]


def study(plan: Plan, pool: Pool, first: int, end: int, *, progress: Progress = lambda _done, _of: None) -> Found:
    """Try every chosen combination on the bars from `first` to before `end`. Raises BadInput when the pool cannot go on.

    A combination of which the strategy raises something has no measure, like one without a trade; the others go on.
    """
    answers: list[Answer] = [(None, "")] * len(plan.chosen)

    def carry_out(asked: Sequence[Params]) -> list[Mapping[str, Any] | None]:
        done = 0
        for place, answer in pool.answers([(params, first, end, None) for params in asked]):
            answers[place] = answer
            progress(done := done + 1, len(asked))
        return [stats for stats, _ in answers]

    scores = heatmap_of(plan.grid, plan.chosen, plan.measure.score, carry_out)
    tried = [Tried(params, stats, error) for params, (stats, error) in zip(plan.chosen, answers, strict=True)]
    values = [np.nan if each.stats is None else plan.measure.value(each.stats) for each in tried]
    heatmap = pd.Series(values, index=scores.index, name=plan.measure.name).where(scores.notna())
    best_first = scores.reset_index(drop=True).sort_values(ascending=False, kind="stable").dropna()
    return Found(heatmap, tried, [int(place) for place in best_first.index])


def failures(found: Found, *, most: int) -> list[str]:
    """A sentence for each of the first combinations that failed, and one for the rest."""
    told = [f"{shown(each.params)}: {each.error}" for each in found.failed[:most]]
    more = len(found.failed) - len(told)
    return [*told, *([f"{more} more"] if more else [])]
