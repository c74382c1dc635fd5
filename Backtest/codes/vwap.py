"""Within the day: long when price crosses above the day's volume-weighted average price, short when below; flat in the evening."""

import pandas as pd
from backtesting import Strategy
from backtesting.lib import crossover

BACKTEST = dict(cash=10_000, commission=0.00002)


def session_vwap(high, low, close, volume, index):
    """The day's average price so far, each bar weighted by its volume."""
    day = pd.DatetimeIndex(index).normalize()
    weight = pd.Series(volume).replace(0, 1)  # 0 is "not known" in many price files
    paid = (pd.Series(high) + pd.Series(low) + pd.Series(close)) / 3 * weight
    return paid.groupby(day).cumsum() / weight.groupby(day).cumsum()


class Vwap(Strategy):
    first_hour = 7  # entries from this hour of the broker's clock on
    last_hour = 14  # to this one
    flat_hour = 19  # and out after this one: on Fridays the market soon closes

    def init(self):
        data = self.data
        self.vwap = self.I(session_vwap, data.High, data.Low, data.Close, data.Volume, data.index, overlay=True)

    def next(self):
        hour = self.data.index[-1].hour
        if hour >= self.flat_hour:
            self.position.close()
        elif not self.position and self.first_hour <= hour <= self.last_hour:
            if crossover(self.data.Close, self.vwap):
                self.buy()
            elif crossover(self.vwap, self.data.Close):
                self.sell()
