# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""Strategies that know the future, each in its own way, and clean ones that look as if they did."""

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import TrailingStrategy, crossover, resample_apply
from backtesting.test import EURUSD

BARS = EURUSD.iloc[1000:1200]
FORETOLD = np.sign(BARS["Close"].shift(-1) - BARS["Close"]).to_numpy()


class Trend(Strategy):
    """In the market while the price is above its line; a subclass says what the line is."""

    def init(self):
        self.line = self.I(self.made, pd.Series(self.data.Close))

    def made(self, close):
        return close.rolling(20).mean()

    def next(self):
        if self.data.Close[-1] > self.line[-1] and not self.position:
            self.buy(size=1000)
        elif self.data.Close[-1] < self.line[-1] and self.position:
            self.position.close()


class Signal(Trend):
    """In the market while the line is above zero."""

    def next(self):
        if self.line[-1] > 0 and not self.position:
            self.buy(size=1000)
        elif self.line[-1] <= 0 and self.position:
            self.position.close()


class Shifted(Trend):
    def made(self, close):
        return close.shift(-3)


class ShiftedReturns(Signal):
    def made(self, close):
        return close.pct_change().shift(-1)


class Centred(Trend):
    def made(self, close):
        return close.rolling(11, center=True).mean()


class ZScored(Signal):
    def made(self, close):
        return (close - close.mean()) / close.std()


class MinMaxed(Signal):
    def made(self, close):
        return (close - close.min()) / (close.max() - close.min()) - 0.5


class Ranked(Signal):
    def made(self, close):
        return close.rank(pct=True) - 0.5


class BackFilled(Trend):
    def made(self, close):
        return close.rolling(30).mean().bfill()


class BackFilledGaps(Trend):
    def made(self, close):
        return close.where(close.diff() > 0).bfill()


class Fitted(Signal):
    """A line through all the closes, with a forecast from it."""

    def made(self, close):
        change = close.diff().fillna(0).to_numpy()
        features = np.column_stack([np.roll(change, lag) for lag in (1, 2, 3)])
        weights, *_ = np.linalg.lstsq(features, np.roll(change, -1), rcond=None)
        return features @ weights


class TrendLine(Trend):
    def made(self, close):
        times = np.arange(len(close))
        return np.polyval(np.polyfit(times, close, 1), times)


class Quintiles(Signal):
    def made(self, close):
        return pd.qcut(close.pct_change().fillna(0), 5, labels=False).astype(float) - 2


class FormingDay(Trend):
    """Each hour already has the average of the days as it will be when its day is over."""

    def init(self):
        daily = self.data.df["Close"].resample("D").last().dropna().rolling(2).mean()
        spread = daily.reindex(self.data.df.index, method="ffill")
        self.line = self.I(lambda: spread, name="daily")


class Smoothed(Trend):
    """Forwards and backwards."""

    def made(self, close):
        return close.ewm(span=10).mean()[::-1].ewm(span=10).mean()[::-1]


class Pivots(Signal):
    """Highs and lows of five bars to both sides, marked on the bar of the high itself."""

    def made(self, close):
        high, low = close.rolling(11, center=True).max(), close.rolling(11, center=True).min()
        return (close == low).astype(float) - (close == high).astype(float)


class ColumnAdded(Strategy):
    def init(self):
        self.data.df["Next"] = self.data.df["Close"].shift(-1)

    def next(self):
        if self.data.Next[-1] > self.data.Close[-1] and not self.position:
            self.buy(size=1000)
        elif self.data.Next[-1] < self.data.Close[-1] and self.position:
            self.position.close()


class ManyRowsOneAhead(Trend):
    def init(self):
        close = pd.Series(self.data.Close)
        self.bands = self.I(lambda: (close.rolling(5).mean(), close.rolling(5).mean().shift(-2)))
        self.line = self.I(lambda: close.rolling(9).mean())


class WholeMean(Strategy):
    """A figure of all closes, kept as a number."""

    def init(self):
        self.mean = self.data.df["Close"].mean()

    def next(self):
        if self.data.Close[-1] < self.mean and not self.position:
            self.buy(size=1000)
        elif self.data.Close[-1] > self.mean and self.position:
            self.position.close()


class LastOfList(Strategy):
    """An indicator in a list is not cut to the bars so far."""

    def init(self):
        self.lines = [self.I(lambda: pd.Series(self.data.Close).rolling(5).mean())]

    def next(self):
        if self.data.Close[-1] < self.lines[0][-1] and not self.position:
            self.buy(size=1000)
        elif self.data.Close[-1] > self.lines[0][-1] and self.position:
            self.position.close()


class Beneath(Strategy):
    """Reads on in the memory that its data are a part of."""

    def init(self):
        pass

    def next(self):
        closes, now = self.data.Close, len(self.data)
        whole = closes.base if closes.base is not None else closes
        later = whole[now] if now < len(whole) else whole[-1]
        if later > closes[-1] and not self.position:
            self.buy(size=1000)
        elif later < closes[-1] and self.position:
            self.position.close()


class GlobalFrame(Strategy):
    """Has read the prices on its own."""

    def init(self):
        pass

    def next(self):
        place = BARS.index.searchsorted(self.data.index[-1])
        ahead = BARS["Close"].iloc[min(place + 1, len(BARS) - 1)]
        if ahead > self.data.Close[-1] and not self.position:
            self.buy(size=1000)
        elif ahead < self.data.Close[-1] and self.position:
            self.position.close()


class PreparedOnTheClass(Strategy):
    """What the next bar does was worked out before the backtest began."""

    foretold = FORETOLD

    def init(self):
        pass

    def next(self):
        sign = self.foretold[len(self.data) - 1]
        if sign > 0 and not self.position:
            self.buy(size=1000)
        elif sign < 0 and self.position:
            self.position.close()


def with_a_table(bars):
    table = {"EURUSD": bars.assign(ahead=bars["Close"].shift(-1))}

    class ClosedOver(Strategy):
        """A function's own table has a column of what comes."""

        def init(self):
            pass

        def next(self):
            row = table["EURUSD"].loc[self.data.index[-1]]
            if row["ahead"] > row["Close"] and not self.position:
                self.buy(size=1000)
            elif row["ahead"] < row["Close"] and self.position:
                self.position.close()

    return ClosedOver


ClosedOver = with_a_table(BARS)


# clean


class Exponential(Trend):
    def made(self, close):
        return close.ewm(span=40, adjust=False).mean()


class Cumulated(Trend):
    """All bars so far, to the last."""

    def made(self, close):
        return close.expanding().mean()


class ByFourier(Trend):
    """A mean of twenty, added up in another order for each length of the data."""

    def made(self, close):
        size = 2 * len(close)
        weights = np.fft.rfft(np.full(20, 1 / 20), size)
        mean = np.fft.irfft(np.fft.rfft(close.to_numpy(), size) * weights, size)[: len(close)]
        mean[:19] = np.nan
        return mean


class ClosedDay(Trend):
    def init(self):
        self.line = resample_apply("D", lambda close: pd.Series(close).rolling(2).mean(), self.data.Close)


class ShiftedBack(Trend):
    def made(self, close):
        return close.shift(5)


class FilledForwards(Trend):
    def made(self, close):
        return close.where(close.diff() > 0).ffill()


class OtherSymbol(Strategy):
    """Looks in prices of its own up to the bar that has closed."""

    def init(self):
        pass

    def next(self):
        known = BARS["Close"].loc[: self.data.index[-1]]
        if len(known) > 30 and known.iloc[-1] > known.iloc[-30:].mean() and not self.position:
            self.buy(size=1000)
        elif self.position and known.iloc[-1] < known.iloc[-30:].mean():
            self.position.close()


SLOWLY = pd.Series(np.linspace(1.0, 2.0, len(BARS)), index=BARS.index)


class OutsideTrend(Strategy):
    """Has a series of its own, as long as its data, that says nothing of what comes."""

    def init(self):
        pass

    def next(self):
        if SLOWLY.loc[self.data.index[-1]] % 0.1 < 0.05 and not self.position:
            self.buy(size=1000)
        elif self.position and self.data.Close[-1] > self.data.Close[-2]:
            self.position.close()


class EarlyTrailing(TrailingStrategy):
    """Trades before its range has a value: the library fills it in from later bars, which is not the strategy's doing."""

    def init(self):
        super().init()
        self.set_trailing_sl(2)
        self.line = self.I(lambda: pd.Series(self.data.Close).rolling(5).mean())

    def next(self):
        super().next()
        if not self.position and crossover(self.data.Close, self.line):
            self.buy(size=1000)


class NeedsBars(Trend):
    """Fails on fewer bars than its window has."""

    def made(self, close):
        if len(close) < 50:
            raise ValueError("window longer than the data")
        return close.rolling(50).mean()


class Dice(Strategy):
    def init(self):
        self.noise = self.I(lambda: np.random.random(len(self.data)))

    def next(self):
        if np.random.random() < 0.1 and not self.position:
            self.buy(size=1000)
        elif np.random.random() < 0.1:
            self.position.close()


class OwnDice(Strategy):
    """Cannot be seeded from outside."""

    def init(self):
        self.dice = np.random.default_rng()

    def next(self):
        if self.dice.random() < 0.1 and not self.position:
            self.buy(size=1000)
        elif self.dice.random() < 0.1:
            self.position.close()


class Impossible(Strategy):
    """A level that backtesting.py takes with the order, and not with the trade."""

    def init(self):
        pass

    def next(self):
        self.sell(size=1000, tp=-1)
