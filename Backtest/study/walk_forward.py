"""Walk-forward: parameters that were best on the bars before, on the bars after.

The bars are cut into windows of one length. Each fold is some of them to be trained on and the one after to be tested on, and the next fold
begins a window later, so that the tests follow one another without a gap up to the newest bar. With 23 bars, 3 folds and a training of
4 windows a window has 23 // (4 + 3) = 3 bars; the oldest 2 bars are left out, and the folds are

    train 2..13, test 14..16      train 5..16, test 17..19      train 8..19, test 20..22

A fold tries the grid on its training and takes what is best there. That is run on training and test together, so that indicators and
positions are what they would be, and its result is what the equity did from the close of the last bar of the training to the end of the
test. Trades count where they are closed in the test. A fold whose training has no measure trades nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from Backtest.errors import BadInput
from Backtest.study.study import Plan, Pool, Progress, study
from Backtest.study.task import PART_DRAWDOWN, PART_RETURN, PART_TRADES, Answer, Params, Task

FEWEST_BARS = 10  # of a test


@dataclass(frozen=True, slots=True)
class Span:
    """Where the training begins, where the test does, and the bar behind it."""

    first: int
    test: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """What the equity did in a test, in percent, and how many trades were closed in it."""

    earned: float
    drawdown: float
    trades: int
    error: str = ""


NOTHING = Part(0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Fold:
    """The best parameters of a training, their measure there, and what they did in the test; beside it what `overall` ones did."""

    span: Span
    params: Params | None
    measure: float
    out: Part
    overall: Part


def spans(bars: int, folds: int, training: int) -> list[Span]:
    """So many folds with a training of so many windows. Raises BadInput where a window would be too short.

    >>> [(span.first, span.test, span.end) for span in spans(70, 3, 4)]
    [(0, 40, 50), (10, 50, 60), (20, 60, 70)]
    """
    window = bars // (training + folds)
    if window < FEWEST_BARS:
        raise BadInput(
            f"--walk-forward {folds} with a training of {training} windows cuts {bars:,} bars into windows of {window}, and wants"
            f" {FEWEST_BARS} at least; take more bars (--bars), or fewer folds"
        )
    left_out = bars - window * (training + folds)
    starts = [left_out + window * number for number in range(folds)]
    return [Span(start, start + window * training, start + window * (training + 1)) for start in starts]


def walk_forward(plan: Plan, pool: Pool, cuts: Sequence[Span], overall: Params, *, progress: Progress = lambda _d, _o: None) -> list[Fold]:
    """Every fold, and beside it what the parameters that were best `overall` did in the same test."""
    total = len(cuts) * len(plan.chosen)
    trained = []
    for number, span in enumerate(cuts):
        told = _behind(progress, number * len(plan.chosen), total)
        trained.append(study(plan, pool, span.first, span.test, progress=told))
    bests = [found.best for found in trained]
    tests = [(best.params, span.first, span.end, span.test) for best, span in zip(bests, cuts, strict=True) if best is not None]
    parts = _parts(pool, [*tests, *((overall, span.first, span.end, span.test) for span in cuts)])
    outs, beside = iter(parts[: len(tests)]), parts[len(tests) :]
    return [
        Fold(span, None, math.nan, NOTHING, compared)
        if best is None or best.stats is None
        else Fold(span, best.params, plan.measure.value(best.stats), next(outs), compared)
        for best, span, compared in zip(bests, cuts, beside, strict=True)
    ]


def compounded(parts: Sequence[Part]) -> float:
    """The return of all tests one after the other, in percent; NaN where one of them has none.

    >>> round(compounded([Part(10.0, 0.0, 1), Part(-5.0, 0.0, 1)]), 9)
    4.5
    """
    return (math.prod(1 + part.earned / 100 for part in parts) - 1) * 100


def _behind(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _of: progress(before + done, total)


def _parts(pool: Pool, tasks: Sequence[Task]) -> list[Part]:
    found: dict[int, Answer] = dict(pool.answers(tasks))
    return [_part(*found[place]) for place in range(len(tasks))]


def _part(stats: dict[str, Any] | None, error: str) -> Part:
    if stats is None:
        return Part(math.nan, math.nan, 0, error)
    return Part(stats[PART_RETURN], stats[PART_DRAWDOWN], stats[PART_TRADES])
