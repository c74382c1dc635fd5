"""Follow the trend: long while a fast simple moving average is above a slow one, short while it is below."""

import pandas as pd
from backtesting import Strategy
from backtesting.lib import crossover

BACKTEST = dict(cash=10_000, commission=0.00002, exclusive_orders=True)


def sma(values, n):
    return pd.Series(values).rolling(n).mean()


class SmaCross(Strategy):
    n1 = 10  # bars of the fast average
    n2 = 20  # bars of the slow one

    def init(self):
        self.fast = self.I(sma, self.data.Close, self.n1)
        self.slow = self.I(sma, self.data.Close, self.n2)

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.sell()
