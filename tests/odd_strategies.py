# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""Legal but unusual ways to write a backtesting.py strategy, as one file with several classes."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import barssince, cross, crossover, resample_apply

BACKTEST = {"cash": 50_000, "margin": 0.2, "commission": (0.1, 0.00005)}


def bands(s, n):
    s = pd.Series(s)
    m, d = s.rolling(n).mean(), s.rolling(n).std()
    return pd.DataFrame({"low": m - d, "mid": m, "high": m + d}).T


class Base(Strategy):
    """Names, colours and a scatter for its indicators; nearly all of its equity."""

    n = 6
    size = 0.99999

    def init(self):
        self.mean = self.I(lambda c: pd.Series(c).rolling(self.n).mean(), self.data.Close, name="m", overlay=True, color="red")
        self.mark = self.I(lambda: np.where(np.arange(len(self.data)) % 5, np.nan, self.data.Close), scatter=True, name=None)

    def next(self):
        if crossover(self.data.Close, self.mean) and not self.position:
            self.buy(size=self.size)


class Super(Base):
    """init() and next() of its base; an indicator out of a frame, with a name for each row."""

    n = 9

    def init(self):
        super().init()
        self.b = self.I(bands, self.data.Close.s, 8, name=["low", "mid", "high"], plot=False)

    def next(self):
        super().next()
        if self.position.pl_pct < -0.0005 or self.data.Close[-1] > self.b[2][-1]:
            self.position.close()


class Floats(Strategy):
    """Sizes as floats and NumPy numbers, limit and stop together, levels that are cancelled as orders."""

    def init(self):
        pass

    def next(self):
        n, p = len(self.data), self.data.Close[-1]
        if n % 9 == 0:
            self.buy(size=5000.0, limit=p * 1.0001, stop=p * 1.00005, sl=p * 0.99, tp=p * 1.01, tag={"a": n})
        if n % 14 == 0:
            for t in reversed(self.trades):
                t.sl = None
                t.tp = None
        if n % 23 == 0:
            for o in list(self.orders):
                if o.is_contingent and o.parent_trade and o.parent_trade.is_long:
                    o.cancel()
        if n % 30 == 0:
            for o in self.orders:
                o.cancel()
            self.position.close(0.5)
        if self.closed_trades and self.closed_trades[-1].exit_price > p and n % 11 == 0:
            self.sell(size=np.int64(1000))


@dataclass
class State:
    seen: list[int] = field(default_factory=list)
    last: float = 0.0


class Stateful(Strategy):
    """State in a dataclass, a generator of its own, hours and weekdays."""

    def init(self):
        self.state = State()
        self.own = np.random.RandomState(3)
        self.count = 0

    def next(self):
        self.count += 1
        self.state.seen.append(self.data.index[-1].hour)
        self.state.last = self.equity
        if self.data.index[-1].hour == 9 and not self.position and self.count % 2:
            self.buy(size=0.3)
        elif self.data.index[-1].day_of_week == 4 and self.position:
            self.position.close()
        if self.own.rand() > 0.9 and self.trades and self.data.index[-1] - self.trades[-1].entry_time > pd.Timedelta("5h"):
            self.trades[-1].close()
        if self.data.df.Close.iloc[-1] > self.data.Close.s.mean() and len(self.trades) < 2 and len(self.state.seen) % 6 == 0:
            self.sell(size=1000, sl=self.data.High[-3:].max() + 10 * max(self.data.pip, 0.0001))


class Frames(Strategy):
    """Indicators of the whole frame, of a slower timeframe, and of truth values."""

    def init(self):
        self.both = self.I(lambda df: (df.Close.rolling(4).mean(), df.Close.rolling(9).mean()), self.data.df)
        self.d = resample_apply("8h", lambda s, n: pd.Series(s).ewm(span=n, adjust=False).mean(), self.data.Close, 3, name="d")
        self.flag = self.I(lambda c: c > pd.Series(c).shift(1), self.data.Close.s, plot=False)

    def next(self):
        if cross(self.both[0], self.both[1]):
            side = self.buy if self.both[0][-1] > self.both[1][-1] else self.sell
            if self.position:
                self.position.close()
            side(size=0.4, tp=None)
        if barssince(self.flag[-20:] == 1) > 2 and self.position.is_long:
            self.position.close()
