"""`python -m Live optimize`: a parameter study, the best combinations, and a file of parameters that `run` takes."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from Backtest.bars import fingerprint, timeframe_of
from Backtest.errors import BadInput, Mistakes
from Backtest.files import check_place
from Backtest.strategies import check_params, load_strategy, parse_params
from Backtest.study.cluster import ClusterPool
from Backtest.study.constraint import shown
from Backtest.study.grid import parse_grid
from Backtest.study.heatmap import draw
from Backtest.study.local import Given, LocalPool
from Backtest.study.measure import Measure
from Backtest.study.params_file import write_params_file
from Backtest.study.study import Found, Plan, Tried, chosen_of, failures, study
from Backtest.study.walk_forward import Fold, compounded, spans, walk_forward
from Live.audit_logger import to_json
from Live.config import PROJECT_ROOT, LiveConfig
from Live.errors import LiveError
from Live.logs import terminal
from Live.report import plain_stats
from Live.reporter import versions
from Live.strategy_checks import Asked, bars_of

STUDIES = PROJECT_ROOT / "data" / "studies"
SHOWN_BEST, SHOWN_FAILED = 10, 3
WIDEST = 1_000  # characters of a table
BESIDE = ("Return [%]", "# Trades", "Max. Drawdown [%]")  # what the table has beside the measure


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a study is to be, as the command line has it."""

    grid: Sequence[str]
    maximize: str | None
    minimize: str | None
    constraint: str
    max_tries: int | None
    folds: int | None  # of a walk-forward
    training: int
    jobs: int | None
    cluster: str | None
    html: Path | None
    out: Path | None


class NothingFound(LiveError):
    """No combination has what the best one is chosen by."""

    exit_code = 6


def optimize(asked: Asked, config: LiveConfig, wanted: Wanted) -> int:
    """Carry a study out, print and draw it, and write its best parameters; 0.

    Raises BadInput for everything that is wrong with what was asked for, and where the strategy fails with all combinations; NothingFound
    where none traded; LiveError where the bars come from a terminal that cannot be reached.
    """
    plan = _plan(asked, wanted)
    if len(config.symbols) != 1:
        raise BadInput(f"a study is of one symbol, and there are {','.join(config.symbols)}; name one with --symbols")
    symbol = config.symbols[0]
    bars = bars_of(asked, config, symbol)
    file = wanted.out or STUDIES / f"{plan.strategy.path.stem}_{plan.strategy.cls.__name__}_{symbol}_{timeframe_of(bars).name}.json"
    for place, option in ((file, "--out"), (wanted.html, "--html")):
        if place is not None:
            check_place(place, option)  # now, and not after an hour
    cuts = spans(len(bars), wanted.folds, wanted.training) if wanted.folds else []
    with _pool(plan, wanted, bars) as pool, _progress() as told:
        found = study(plan, pool, 0, len(bars), progress=told("Trying combinations"))
        best = _best(found, plan)
        folds = walk_forward(plan, pool, cuts, best.params, progress=told("Walking forward")) if cuts else []
    facts = _facts(plan, found, bars, symbol) | ({"walk_forward": _told(folds, bars, wanted)} if folds else {})
    write_params_file(file, plan.strategy, {**plan.fixed, **best.params}, facts)
    if wanted.html:
        title = f"{plan.strategy.cls.__name__} on {symbol}: {plan.measure.name}"
        draw(found.heatmap, wanted.html, title=title, minimize=plan.measure.minimize)
    if asked.as_json:
        rows = [{"params": dict(each.params), "stats": _plain(each)} for each in _top(found)]
        paths = {"params_file": str(file), "html": wanted.html and str(wanted.html)}
        Console(highlight=False, soft_wrap=True).out(json.dumps({**facts, "best": rows, **paths}, indent=2, allow_nan=False))
    else:
        _print(plan, found, facts)
        _print_folds(folds, bars, plan)
        _print_files(wanted, file, plan)
    return 0


def _plan(asked: Asked, wanted: Wanted) -> Plan:
    """The study that is asked for. Raises BadInput with all that is wrong with it together."""
    mistakes = Mistakes()
    tried = mistakes.tried
    strategy = tried(load_strategy, asked.strategy)
    fixed = tried(parse_params, asked.params)
    measure = tried(Measure.of, wanted.maximize, wanted.minimize)
    grid = chosen = None
    if wanted.cluster and wanted.jobs:
        mistakes.append("--jobs has no say with --cluster; leave it out, and start as many workers as you like there")
    if strategy is not None:
        tried(check_params, strategy.cls, fixed or {})
        grid = tried(parse_grid, wanted.grid, strategy.cls)
    if grid is not None and fixed is not None and strategy is not None:
        mistakes += [f"--params and --grid both name {name}; leave it out of one of them" for name in fixed if name in grid]
        chosen = tried(chosen_of, strategy, grid, fixed, wanted.constraint, wanted.max_tries)
    if mistakes or strategy is None or fixed is None or measure is None or grid is None or chosen is None:
        raise BadInput(*mistakes)
    return Plan(strategy, grid, fixed, chosen, measure, wanted.constraint)


def _pool(plan: Plan, wanted: Wanted, bars: pd.DataFrame) -> LocalPool | ClusterPool:
    if wanted.cluster:
        return ClusterPool(wanted.cluster, plan.strategy, plan.fixed, bars)
    spec = f"{plan.strategy.path}:{plan.strategy.cls.__name__}"
    processors = getattr(os, "process_cpu_count", os.cpu_count)() or 1  # from Python 3.13 on those that this process may use
    jobs = min(wanted.jobs or processors, len(plan.chosen))
    return LocalPool(Given(spec, plan.strategy.sha256, plan.fixed, bars), jobs)


def _best(found: Found, plan: Plan) -> Tried:
    if found.best is not None:
        return found.best
    if len(found.failed) == len(found.tried):
        raise BadInput(*(f"{plan.strategy.path}: {each}" for each in failures(found, most=SHOWN_FAILED)))
    failed = "".join(f"; {each}" for each in failures(found, most=SHOWN_FAILED))
    raise NothingFound(
        f"none of the {len(found.tried):,} combinations has a {plan.measure.name}: they made too few trades, or none{failed}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal(), transient=True, disable=not terminal().is_terminal) as bar:

        def begin(what: str) -> Callable[[int, int], None]:
            task = bar.add_task(what, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield begin


def _top(found: Found) -> list[Tried]:
    return [found.tried[place] for place in found.ranking[:SHOWN_BEST]]


def _plain(tried: Tried) -> dict[str, Any]:
    return plain_stats(pd.Series(dict(tried.stats or {}), dtype=object))


# as facts, for the file and for programs


def _facts(plan: Plan, found: Found, bars: pd.DataFrame, symbol: str) -> dict[str, Any]:
    data = {
        "symbol": symbol,
        "timeframe": timeframe_of(bars).name,
        "bars": len(bars),
        "first": str(bars.index[0]),
        "last": str(bars.index[-1]),
    }
    facts = {
        "measure": plan.measure.name,
        "goal": "minimize" if plan.measure.minimize else "maximize",
        "grid": {name: list(values) for name, values in plan.grid.items()},
        "constraint": plan.constraint,
        "params": dict(plan.fixed),
        "tried": len(found.tried),
        "without_result": int(found.heatmap.isna().sum()),
        "failed": len(found.failed),
        "failures": failures(found, most=SHOWN_FAILED),
        "backtest": {name: value.__qualname__ if callable(value) else value for name, value in plan.strategy.backtest.items()},
        "data": {**data, "sha256": fingerprint(bars)},
        "versions": versions(),
        "stats": _plain(found.best) if found.best else {},
    }
    return json.loads(to_json(facts))  # type: ignore[no-any-return]


def _told(folds: Sequence[Fold], bars: pd.DataFrame, wanted: Wanted) -> dict[str, Any]:
    return {
        "training": wanted.training,
        "folds": [
            {
                "train_from": str(bars.index[fold.span.first]),
                "test_from": str(bars.index[fold.span.test]),
                "test_to": str(bars.index[fold.span.end - 1]),
                "params": fold.params and dict(fold.params),
                "measure": _number(fold.measure),
                "return": _number(fold.out.earned),
                "trades": fold.out.trades,
                "drawdown": _number(fold.out.drawdown),
                "return_of_best_overall": _number(fold.overall.earned),
            }
            for fold in folds
        ],
        "return": _number(compounded([fold.out for fold in folds])),
        "return_of_best_overall": _number(compounded([fold.overall for fold in folds])),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# for people


def _print(plan: Plan, found: Found, facts: Mapping[str, Any]) -> None:
    out, data = _paper(), facts["data"]
    what = f"{plan.strategy.cls.__name__} on {data['symbol']} {data['timeframe']}"
    out.print(f"[bold]{what}[/bold]: {facts['tried']:,} combinations on {data['bars']:,} bars, {data['first']} to {data['last']}")
    if empty := facts["without_result"] - facts["failed"]:
        out.print(f"{empty:,} of them have no {plan.measure.name}, mostly for want of trades.")
    if facts["failed"]:
        out.print(f"{facts['failed']:,} of them failed:")
    for sentence in facts["failures"]:
        out.print(f"  {sentence}", markup=False)
    table = Table(box=None, pad_edge=False, title=f"The best by {plan.measure}", title_justify="left", title_style="bold")
    columns = [plan.measure.name, *(name for name in BESIDE if name != plan.measure.name)]
    for name in (*plan.grid, *columns):
        table.add_column(name.replace("[", r"\["), justify="right")
    for each in _top(found):
        stats = each.stats or {}
        numbers = [_readable(plan.measure.value(stats)), *(_readable(stats[name]) for name in columns[1:])]
        table.add_row(*(str(value) for value in each.params.values()), *numbers)
    out.print(table)


def _print_folds(folds: Sequence[Fold], bars: pd.DataFrame, plan: Plan) -> None:
    if not folds:
        return
    out = _paper()
    title = "Walk-forward (returns and drawdowns in percent; hindsight is what the best of all bars did)"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for name in ("Training", "Test", "to", "Best before"):
        table.add_column(name, no_wrap=True)
    for name in (plan.measure.name, "Return", "Trades", "Drawdown", "Hindsight"):
        table.add_column(name.replace("[", r"\["), justify="right")
    days = len({bars.index[fold.span.test].date() for fold in folds}) == len(folds)
    for fold in folds:
        times = [
            f"{bars.index[bar]:{'%Y-%m-%d' if days else '%m-%d %H:%M'}}" for bar in (fold.span.first, fold.span.test, fold.span.end - 1)
        ]
        chosen = "–" if fold.params is None else shown(fold.params)
        numbers = [_readable(each) for each in (fold.measure, fold.out.earned, fold.out.trades, fold.out.drawdown, fold.overall.earned)]
        table.add_row(*times, chosen, *numbers)
    out.print(table)
    walked, known = compounded([fold.out for fold in folds]), compounded([fold.overall for fold in folds])
    out.print(f"All tests one after the other: [bold]{_readable(walked)} %[/bold] with what was best before each.")
    out.print(f"{_readable(known)} % with what is best on all bars, which nobody knew then: the difference is hindsight.")


def _print_files(wanted: Wanted, file: Path, plan: Plan) -> None:
    out = Console(highlight=False, soft_wrap=True)
    if wanted.html:
        out.print(f"Heatmap: {wanted.html}", markup=False)
    out.print(f"Parameters: {file}", markup=False)
    out.print(f"Trade them: python -m Live run --strategy {plan.strategy.path} --params-file {file}", markup=False)


def _paper() -> Console:
    """As wide as a table needs: a narrow terminal breaks its lines, and no number is cut."""
    return Console(highlight=False, soft_wrap=True, width=WIDEST)


def _readable(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if pd.isna(value) else f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.4f}"
