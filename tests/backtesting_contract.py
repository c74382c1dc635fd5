"""Whether the backtesting.py that is imported has the private parts that Backtest.session uses, and whether they do the same.

A parameter study is compared with `Backtest.optimize` from 0.6.4 on, which is the first whose pool can be replaced.

A program: `python tests/backtesting_contract.py FOLDER` looks at the package in that folder. It prints what is missing, one
sentence a line, and nothing when all is well.
"""

import contextlib
import importlib
import inspect
import itertools
import sys
import warnings
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np

# What Backtest.session reads, sets or calls, by module and class
ATTRIBUTES = {
    "backtesting._util": {"": "_Array _Data _Indicator _strategy_indicators", "_Data": "_set_length _update"},
    "backtesting.backtesting": {
        "": "Order Position Strategy Trade _Broker _OutOfMoneyError",
        "Order": "_replace cancel is_contingent parent_trade",
        "Trade": "_replace _copy _sl_order _tp_order sl tp close",
        "_Broker": "new_order next equity last_price",
        "Strategy": "I init next _check_params",
    },
    "backtesting.lib": {"": "SignalStrategy TrailingStrategy resample_apply"},
    "backtesting._plotting": {"": "plot plot_heatmaps set_bokeh_output"},
}
ARGUMENTS = {
    "_Broker": "data cash spread commission margin trade_on_close hedging exclusive_orders index",
    "Order": "broker size limit_price stop_price sl_price tp_price parent_trade tag",
    "Trade": "broker size entry_price entry_bar tag",
    "Strategy": "broker data params",
}


def missing() -> Iterator[str]:
    """What is not there, or is called with other arguments."""
    for module, classes in ATTRIBUTES.items():
        found = importlib.import_module(module)
        for name, wanted in classes.items():
            owner = getattr(found, name) if name else found
            yield from (f"{module}.{name or ''}{'.' if name else ''}{each} is gone" for each in wanted.split() if not hasattr(owner, each))
    private = importlib.import_module("backtesting.backtesting")
    for name, wanted in ARGUMENTS.items():
        taken = list(inspect.signature(getattr(private, name).__init__).parameters)[1:]
        if missing_ones := [each for each in wanted.split() if each not in taken]:
            yield f"backtesting.backtesting.{name} does not take {', '.join(missing_ones)} any more, but {', '.join(taken)}"


def another_study() -> Iterator[str]:
    """Where a parameter study with another pool finds something else than `Backtest.optimize` itself; what it lacks for one."""
    import backtesting
    from backtesting.backtesting import Backtest

    from Backtest.bars import builtin_prices
    from Backtest.errors import BadInput
    from Backtest.session import optimizing
    from Backtest.strategies import load_strategy

    if not hasattr(backtesting, "Pool"):  # before 0.6.4; then it is to be said in a sentence
        with contextlib.suppress(BadInput):
            optimizing.measures()
            yield "a study is not refused, although the pool cannot be replaced"
        return
    if gone := [name for name in ("SharedMemoryManager", "_tqdm") if not hasattr(backtesting.backtesting, name)]:
        yield f"backtesting.backtesting.{', '.join(gone)} is gone"
        return
    setattr(backtesting, "Pool", lambda: ThreadPool(1))  # noqa: B010 - its type is that of a function with arguments
    strategy = load_strategy(Path(__file__).parent.parent / "Backtest" / "codes" / "sma_cross.py")
    study: Any = Backtest(builtin_prices("EURUSD").iloc[1000:1200], strategy.cls, cash=10_000)
    grid = {"n1": [5, 10, 15], "n2": [20, 30, 195]}
    _, theirs = study.optimize(**grid, return_heatmap=True)
    chosen = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    ours = optimizing.heatmap_of(grid, chosen, lambda stats: float(stats["SQN"]), lambda combos: [study.run(**params) for params in combos])
    if not (ours.index.equals(theirs.index) and np.array_equal(ours, theirs, equal_nan=True)):
        yield "a study finds something else than Backtest.optimize"
    if "SQN" not in optimizing.measures() or "Max. Drawdown Duration" not in optimizing.measures() or "Start" in optimizing.measures():
        yield "the statistics are not those of Backtest.run"


def different() -> Iterator[str]:
    """Where a session decides otherwise than the backtest of this version."""
    from backtesting.backtesting import Backtest

    from Backtest.bars import builtin_prices
    from Backtest.strategies import DEFAULTS
    from tests.session_truth import Recorder, session_of, stepped
    from tests.waiting_strategies import BreakoutButNotTooFar, HalfAndBreakEven, Straddle, TakingProfitWithAnOrder

    frame = builtin_prices("EURUSD").iloc[1000:1120]
    some: tuple[Any, ...] = (Straddle, HalfAndBreakEven, BreakoutButNotTooFar, TakingProfitWithAnOrder)
    for strategy in some:
        recorder = Recorder()

        class Listening(strategy):  # type: ignore[misc, valid-type]
            def next(self, recorder: Recorder = recorder) -> None:
                before = recorder.before(self)
                super().next()
                recorder.after(self, before)

        Backtest(frame, Listening, **DEFAULTS).run()
        if stepped(session_of(strategy), frame, recorder) != recorder.decided:
            yield f"{strategy.__name__} is decided otherwise bar by bar than in the backtest"


if __name__ == "__main__":
    sys.path[:0] = [sys.argv[1], str(Path(__file__).parent.parent)]
    warnings.simplefilter("ignore")
    sys.stdout.write("\n".join(list(missing()) or [*different(), *another_study()]))
