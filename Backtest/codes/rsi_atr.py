"""Buy when the RSI comes back from oversold, sell when it comes back from overbought; stop loss and take profit in ATRs."""

import pandas as pd
from backtesting import Strategy
from backtesting.lib import crossover

BACKTEST = dict(cash=10_000, commission=0.00002)


def wilder(values, n):
    """Wilder's moving average."""
    return values.ewm(alpha=1 / n, adjust=False, min_periods=n).mean()


def rsi(close, n):
    change = pd.Series(close).diff()
    gain, loss = wilder(change.clip(lower=0), n), wilder(-change.clip(upper=0), n)
    return 100 - 100 / (1 + gain / loss)


def atr(high, low, close, n):
    before = pd.Series(close).shift()
    reach = pd.DataFrame({"bar": pd.Series(high) - low, "up": (before - high).abs(), "down": (before - low).abs()})
    return wilder(reach.max(axis=1), n)


class RsiAtr(Strategy):
    n = 14  # bars of both
    oversold = 30
    overbought = 70
    stop_atrs = 2.0  # the stop loss is this far from the close, in average true ranges
    target_atrs = 3.0  # and the take profit this far

    def init(self):
        data = self.data
        self.rsi = self.I(rsi, data.Close, self.n)
        self.atr = self.I(atr, data.High, data.Low, data.Close, self.n)

    def next(self):
        if self.position or not self.atr[-1] > 0:
            return
        price, stop, target = self.data.Close[-1], self.stop_atrs * self.atr[-1], self.target_atrs * self.atr[-1]
        if max(stop, target) >= price:  # after a jump such as a split: a level cannot be below zero
            return
        if crossover(self.rsi, self.oversold):
            self.buy(sl=price - stop, tp=price + target)
        elif crossover(self.overbought, self.rsi):
            self.sell(sl=price + stop, tp=price - target)
