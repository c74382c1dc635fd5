"""backtesting.py's statistics and plot of trades that were made elsewhere (backtesting 0.6.6)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting._plotting import plot
from backtesting._stats import compute_stats

from Backtest.fractional import FractionalUnit
from Backtest.pages import drawn_aside, write_page
from Backtest.session.playing import Column, Subject, _initialised, _undone

COMMISSIONS, BEFORE_COMMISSIONS = "Commissions [$]", "Equity Peak [$]"


def statistics(bars: pd.DataFrame, trades: pd.DataFrame, equity: Column, *, strategy: Strategy | None = None) -> "pd.Series[Any]":
    """What `Backtest.run` answers, of these trades and the equity at the close of each bar.

    `trades` has the columns of its `_trades` (Size, EntryBar, ExitBar, EntryPrice, ExitPrice, PnL, Commission, ReturnPct,
    EntryTime, ExitTime, Duration, …). With a `strategy`, as `prepared_strategy` makes it, buying and holding begins
    on the bar on which its indicators have values; without one, on the first.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        stats = compute_stats(trades, equity, bars, strategy, risk_free_rate=0.0)
    if not (commissions := float(trades["Commission"].sum())):
        return stats
    place = list(stats.index).index(BEFORE_COMMISSIONS) + 1
    paid = pd.Series({COMMISSIONS: commissions}, dtype=object)
    return type(stats)(pd.concat([stats.iloc[:place], paid, stats.iloc[place:]]))


def prepared_strategy(subject: Subject, bars: pd.DataFrame) -> Strategy:
    """The strategy with its indicators on these bars, those that lie over the prices in the market's. Raises InitFailed."""
    with _undone(subject.cls, None):
        strategy = _initialised(subject, bars)
    unit, drawn = FractionalUnit.of(subject.backtest).size, strategy._indicators
    drawn[:] = [indicator / unit if indicator._opts["overlay"] and unit != 1 else indicator for indicator in drawn]
    return strategy


def draw(stats: "pd.Series[Any]", bars: pd.DataFrame, file: Path) -> None:
    """backtesting.py's plot as an HTML file, with the indicators of the strategy in `stats`. Raises OSError."""
    indicators = stats["_strategy"]._indicators if stats["_strategy"] is not None else []
    drawn = drawn_aside(lambda page: plot(results=stats, df=bars, indicators=indicators, filename=page, open_browser=False))
    write_page(drawn, file, file.stem)
