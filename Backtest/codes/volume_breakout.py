"""Breakouts that many take part in: a close beyond the range of the last bars on unusual volume; out when price is back inside."""

import pandas as pd
from backtesting import Strategy

BACKTEST = dict(cash=10_000, commission=0.00002)


def highest(values, n):
    """The highest of the n bars before this one."""
    return pd.Series(values).rolling(n).max().shift()


def lowest(values, n):
    """The lowest of the n bars before this one."""
    return pd.Series(values).rolling(n).min().shift()


def average(values, n):
    """The average of the n bars before this one."""
    return pd.Series(values).rolling(n).mean().shift()


class VolumeBreakout(Strategy):
    entry_bars = 24  # the range that must break
    exit_bars = 12  # the shorter range on the other side that ends the trade
    volume_factor = 1.5  # times the average volume

    def init(self):
        data = self.data
        self.ceiling = self.I(highest, data.High, self.entry_bars)
        self.floor = self.I(lowest, data.Low, self.entry_bars)
        self.exit_long = self.I(lowest, data.Low, self.exit_bars)
        self.exit_short = self.I(highest, data.High, self.exit_bars)
        self.usual_volume = self.I(average, data.Volume, self.entry_bars)

    def next(self):
        price = self.data.Close[-1]
        if self.position:
            if price < self.exit_long[-1] if self.position.is_long else price > self.exit_short[-1]:
                self.position.close()
        elif self.data.Volume[-1] > self.volume_factor * self.usual_volume[-1]:
            if price > self.ceiling[-1]:
                self.buy()
            elif price < self.floor[-1]:
                self.sell()
