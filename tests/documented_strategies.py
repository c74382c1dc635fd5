"""The kinds of strategies that backtesting.py's documentation teaches, written anew: parity is to hold for what people start from.

Its pages are at kernc.github.io/backtesting.py/doc/examples: Quick Start, Library of Composable Base Strategies, Multiple
Time Frames, Parameter Heatmap, Trading with Machine Learning. Each is a file of its own in what `write` leaves in a folder.
"""

from pathlib import Path

from Backtest.bars import Timeframe

_HEAD = '''"""One of the documentation's kinds of strategies."""
import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import SignalStrategy, TrailingStrategy, crossover, resample_apply

BACKTEST = dict({settings})


def mean(values, count):
    return pd.Series(values).rolling(count).mean()
'''

QUICK_START = """
class TwoAverages(Strategy):
    fast, slow = 10, 20

    def init(self):
        self.short = self.I(mean, self.data.Close, self.fast)
        self.long = self.I(mean, self.data.Close, self.slow)

    def next(self):
        if crossover(self.short, self.long):
            self.position.close()
            self.buy()
        elif crossover(self.long, self.short):
            self.position.close()
            self.sell()
"""

COMPOSED = """
class SignalsAndTrailing(SignalStrategy, TrailingStrategy):
    fast, slow = 10, 25

    def init(self):
        super().init()
        short = self.I(mean, self.data.Close, self.fast)
        long = self.I(mean, self.data.Close, self.slow)
        rises = (pd.Series(np.asarray(short)) > np.asarray(long)).astype(int).diff().fillna(0)
        self.set_signal(entry_size=rises.replace(-1, 0) * 0.95)
        self.set_atr_periods(20)
        self.set_trailing_sl(2)
"""

SEVERAL_TIMEFRAMES = """
def strength(values, count):
    moved = pd.Series(values).diff()
    up, down = moved.clip(lower=0).rolling(count).mean(), (-moved.clip(upper=0)).rolling(count).mean()
    return 100 * up / (up + down)


class SlowAndFastStrength(Strategy):
    count, level = 14, 55

    def init(self):
        self.quick = self.I(strength, self.data.Close, self.count)
        self.slow = resample_apply(RULE, strength, self.data.Close, self.count)
        self.averages = [self.I(mean, self.data.Close, count) for count in (5, 10, 20)]

    def next(self):
        price = self.data.Close[-1]
        if not self.position and self.quick[-1] > self.level and self.slow[-1] > self.level and price > self.slow_mean():
            self.buy(sl=0.92 * price)
        elif self.position and price < 0.98 * self.slow_mean() or self.quick[-1] < 30:
            self.position.close()

    def slow_mean(self):
        return float(np.mean(self.data.Close[-10:]))
"""

FOUR_AVERAGES = """
class FourAverages(Strategy):
    first, second, enter, leave = 50, 100, 20, 10

    def init(self):
        self.a, self.b, self.c, self.d = (
            self.I(mean, self.data.Close, count) for count in (self.first, self.second, self.enter, self.leave)
        )

    def next(self):
        if not self.position:
            if self.a > self.b and crossover(self.data.Close, self.c):
                self.buy()
            elif self.a < self.b and crossover(self.c, self.data.Close):
                self.sell()
        elif (self.position.is_long and crossover(self.d, self.data.Close)) or (
            self.position.is_short and crossover(self.data.Close, self.d)
        ):
            self.position.close()
"""

LEARNING = '''
LOOK_AHEAD, NEIGHBOURS, LEARNT = 2, 7, 200


def features(close):
    close = pd.Series(close)
    return np.array([close.pct_change(count) for count in (1, 3, 8)])


class WalkForwardNeighbours(Strategy):
    """Votes of the nearest days, learnt again every 20 bars from what was over by then."""

    def init(self):
        self.features = self.I(features, self.data.Close)
        self.examples = None

    def learn(self):
        known = self.features[:, -LEARNT:-LOOK_AHEAD].T
        close = np.asarray(self.data.Close)[-LEARNT:]
        moved = close[LOOK_AHEAD:] / close[:-LOOK_AHEAD] - 1
        self.examples, self.answers = np.array(known), np.sign(np.where(abs(moved) > 0.001, moved, 0))

    def next(self):
        if len(self.data) < LEARNT + 20:
            return
        if self.examples is None or len(self.data) % 20 == 0:
            self.learn()
        distances = ((self.examples - self.features[:, -1]) ** 2).sum(axis=1)
        vote = np.sign(self.answers[np.argsort(distances, kind="stable")[:NEIGHBOURS]].sum())
        price = self.data.Close[-1]
        if vote > 0 and not self.position.is_long:
            self.buy(size=0.2, tp=price * 1.01, sl=price * 0.99)
        elif vote < 0 and not self.position.is_short:
            self.sell(size=0.2, tp=price * 0.99, sl=price * 1.01)
        for trade in self.trades:
            if len(self.data) - trade.entry_bar > 10:
                if trade.is_long:
                    trade.sl = max(trade.sl, self.data.Low[-1] * 0.999)
                else:
                    trade.sl = min(trade.sl, self.data.High[-1] * 1.001)
'''

DOCUMENTED = {
    "quick_start": ("commission=0.002, exclusive_orders=True", QUICK_START),
    "composed": ("commission=0.002", COMPOSED),
    "several_timeframes": ("commission=0.002", SEVERAL_TIMEFRAMES),
    "four_averages": ("commission=0.002", FOUR_AVERAGES),
    "learning": ("commission=0.0002, margin=0.05", LEARNING),
}


def slower_than(timeframe: Timeframe) -> str:
    """The rule of a slower timeframe."""
    seconds = timeframe.seconds
    return "W-FRI" if seconds >= 86_400 else "D" if seconds >= 3_600 else "h"


def source(name: str, *, settings: str, slower: str) -> str:
    """The text of that strategy's file; `settings` stand in its BACKTEST, `slower` is the rule of the slower timeframe."""
    return _HEAD.format(settings=settings) + DOCUMENTED[name][1].replace("RULE", repr(slower))


def write(folder: Path, name: str, *, cash: float, slower: str) -> Path:
    """A file with that strategy in the folder, with its own settings and `cash` that pays for the prices."""
    file = folder / f"{name}.py"
    file.write_text(source(name, settings=f"cash={cash}, {DOCUMENTED[name][0]}", slower=slower), encoding="utf-8")
    return file
