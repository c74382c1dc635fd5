"""Crossings of two exponential moving averages, taken only in the direction of a third, slow one; out on the next crossing."""

import pandas as pd
from backtesting import Strategy
from backtesting.lib import crossover

BACKTEST = dict(cash=10_000, commission=0.00002)


def ema(values, n):
    return pd.Series(values).ewm(span=n, adjust=False, min_periods=n).mean()


class EmaCross(Strategy):
    fast = 12  # bars
    slow = 26
    trend = 100

    def init(self):
        self.ema_fast = self.I(ema, self.data.Close, self.fast)
        self.ema_slow = self.I(ema, self.data.Close, self.slow)
        self.ema_trend = self.I(ema, self.data.Close, self.trend)

    def next(self):
        price = self.data.Close[-1]
        if crossover(self.ema_fast, self.ema_slow):
            self.position.close()
            if price > self.ema_trend[-1]:
                self.buy()
        elif crossover(self.ema_slow, self.ema_fast):
            self.position.close()
            if price < self.ema_trend[-1]:
                self.sell()
