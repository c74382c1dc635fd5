"""What a worker does with one combination of parameters.

A cluster's workers get this module by value and have nothing else of this project, so that it imports nothing of it, and
what goes to them and comes back is made of plain tuples and dicts.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
from backtesting.backtesting import Backtest, Strategy
from backtesting.lib import FractionalBacktest

Params = Mapping[str, Any]
Subject = tuple[type[Strategy], Mapping[str, Any], Params, pd.DataFrame]
"""The strategy, the settings of its backtest, the parameters that stay as they are, and all bars."""
Task = tuple[Params, int, int, int | None]
"""The parameters, the first bar and the one behind the last, and the bar on which the part begins that is counted by itself."""
Answer = tuple[dict[str, Any] | None, str]
"""backtesting.py's statistics; or None, and what the strategy raised."""

PART_RETURN, PART_DRAWDOWN, PART_TRADES = "part: Return [%]", "part: Max. Drawdown [%]", "part: # Trades"


def answer(subject: Subject, task: Task) -> Answer:
    """The backtest of one combination. What the strategy raises is an answer, too."""
    cls, settings, fixed, bars = subject
    params, first, end, part = task
    kind = FractionalBacktest if "fractional_unit" in settings else Backtest
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stats = kind(bars.iloc[first:end], cls, **settings).run(**fixed, **params)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the strategy's own code raises
        cause = error.__cause__ or error  # what self.I raises only says in which indicator
        return None, f"{type(cause).__name__}: {cause}{_place(cause, cls)}"
    told = {str(name): value for name, value in stats.items() if not str(name).startswith("_")}
    return told | ({} if part is None else counted_since(stats, part - first)), ""


def counted_since(stats: "pd.Series[Any]", bar: int) -> dict[str, Any]:
    """What the equity did from the close before this bar on, and the trades that were closed since.

    >>> equity = pd.DataFrame({"Equity": [100.0, 110.0, 99.0, 121.0]})
    >>> counted_since(pd.Series({"_equity_curve": equity, "_trades": pd.DataFrame({"ExitBar": [1, 3]})}), 2)
    {'part: Return [%]': 10.0, 'part: Max. Drawdown [%]': -10.0, 'part: # Trades': 1}
    """
    equity = stats["_equity_curve"]["Equity"].iloc[bar - 1 :]
    begin, end = float(equity.iloc[0]), float(equity.iloc[-1])
    deepest = float((equity / equity.cummax() - 1).min())
    return {
        PART_RETURN: round((end / begin - 1) * 100, 10) if begin > 0 else math.nan,
        PART_DRAWDOWN: round(deepest * 100, 10),
        PART_TRADES: int((stats["_trades"]["ExitBar"] >= bar).sum()),
    }


def _place(error: BaseException, cls: type[Strategy]) -> str:
    """`, line 12`: where the strategy's file was left for the last time."""
    file = getattr(getattr(cls.next, "__code__", None), "co_filename", None)
    line, step = 0, error.__traceback__
    while step is not None:
        line = step.tb_lineno if step.tb_frame.f_code.co_filename == file else line
        step = step.tb_next
    return f", line {line}" if line else ""
