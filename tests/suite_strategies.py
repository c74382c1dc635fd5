# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""What the strategies of backtesting.py's own test-suite do, written anew and made to do it again and again.

Source of what they do: backtesting/test/_test.py of 0.6.6. Left out is what knows how many bars there will be, or draws an
indicator by chance: that is no other live.
"""

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import SignalStrategy, TrailingStrategy, crossover, resample_apply


def mean(values, count):
    return pd.Series(values).rolling(count).mean()


class Script(Strategy):
    """A generator that goes on by one step a bar, and begins again."""

    units = 1000

    def init(self):
        self.step = self.script()

    def next(self):
        if next(self.step, "over") == "over":
            self.step = self.script()

    def script(self):
        raise NotImplementedError


class LongThenFlat(Script):
    """All that there is, for one bar; what the position says of itself decides what follows."""

    def script(self):
        yield self.buy()
        if self.position and self.position.is_long and not self.position.is_short and self.position.size > 0:
            yield self.position.close()
        if not (self.position or self.position.is_long or self.position.is_short or self.position.size or self.position.pl):
            yield self.sell(size=self.units)
        yield self.position.close()


class OppositeSides(Script):
    """Buys, then sells half of it, or more than all of it: one trade or two, as hedging and exclusive orders have it."""

    def script(self):
        yield self.buy(size=self.units)
        yield self.sell(size=self.units // 2, tag=len(self.trades))
        yield self.sell(size=2 * self.units, tag=f"{len(self.trades)} open")
        for trade in self.trades:
            trade.close()
        yield


class ClosedTwice(Script):
    """A trade that is closed wholly and then in part, and a position by halves, in one bar."""

    def script(self):
        yield self.buy(size=self.units)
        for trade in self.trades[-1:]:
            trade.close(1)
            trade.close(0.1)
        yield
        yield self.sell(size=self.units, tag=2)
        for portion in (0.5, 0.5, 0.5, 1, 1):
            self.position.close(portion)
        yield


class TwoOfOne(Script):
    """Two orders of one unit, of which the opposite order takes the older; two with a stop each, joined by a truth value."""

    def script(self):
        price = self.data.Close[-1]
        yield self.buy(size=1, sl=0.9 * price) and self.buy(size=1, sl=0.8 * price)
        yield self.sell(size=1)
        yield self.trades[0].close() if self.trades else None
        self.position.close()
        yield


class StopsAndTheirLimits(Script):
    """Stop-limit orders on both sides, whose limit is beyond the stop."""

    def script(self):
        price, step = self.data.Close[-1], np.ptp(self.data.Close[-3:]) + 0.0001 * self.data.Close[-1]
        self.buy(stop=price + step, limit=price + 1.5 * step, size=self.units)
        self.sell(stop=price - step, limit=price - 2 * step, size=self.units)
        for _ in range(7):
            yield
        for order in self.orders:
            order.cancel()
        self.position.close()
        yield


class TheWholeRow(Strategy):
    """Prices that are a whole column, of which the last one counts, and columns that are compared as if they were numbers."""

    units = 1000

    def init(self):
        self.line = self.I(lambda: self.data.Close.s.rolling(10).mean())

    def next(self):
        if self.position:
            if len(self.data) % 8 == 0:
                self.position.close()
        elif self.data.Close > self.line:
            self.sell(size=self.units, stop=self.data.Low, sl=self.data.High * 1.01)
        else:
            self.buy(size=self.units, limit=self.data.Close, tp=self.data.Close * 1.02)


class DoneAtOnce(Strategy):
    """Puts a function that does nothing in the place of next(), and so trades once."""

    units = 1000

    def init(self):
        pass

    def next(self):
        self.buy(size=self.units, tp=self.data.Close[-1] * 1.01)
        self.buy(size=self.units, sl=self.data.Close[-1] * 0.99)
        self.next = lambda: None


class CancelsItsLevels(Strategy):
    """Orders on every bar with levels that are never reached; once there is a position, leaves and takes away all that waits."""

    def init(self):
        super().init()

    def next(self):
        self.buy(size=0.3, sl=self.data.Close[-1] / 100, tp=self.data.Close[-1] * 10)
        if self.position:
            self.position.close()
            for order in self.orders:
                order.cancel()


class TooMuch(Strategy):
    """More units than it can pay for, on every bar; now and then as many as it can."""

    units = 1000

    def init(self):
        pass

    def next(self):
        self.buy(size=10_000 * self.units)
        if len(self.data) % 5 == 0:
            self.sell(size=self.units)


class LevelsByBar(Strategy):
    """Sets both levels so near that one bar reaches both, and enters by stops whose target the same bar reaches."""

    units = 1000

    def init(self):
        pass

    def next(self):
        number, price, room = len(self.data), self.data.Close[-1], self.data.High[-1] - self.data.Low[-1]
        if number % 10 == 4:
            self.buy(size=self.units)
        for trade in self.trades if number % 10 == 5 else ():
            if trade.is_long:
                trade.sl = price - 0.1 * room
                trade.tp = price + 0.1 * room + 0.0001 * price
        if number % 10 == 8:
            stop = price - 0.1 * room
            self.sell(size=self.units, stop=stop, tp=stop - 0.3 * room - 0.0001 * price, sl=price + room + 0.0001 * price)


class ByAssertion(Strategy):
    """Indicators that are computed from indicators, lie across, are resampled or hold words; stop and limit at one price."""

    rule = "D"

    def init(self):
        self.line = self.I(mean, self.data.Close, 10)
        self.remains = np.r_[2] * np.cumsum(self.line * 5 + 1) * np.r_[2]
        self.across = self.I(lambda: np.column_stack((self.data.Open, self.data.Close)))
        self.I(lambda: ["x"] * len(self.data))
        self.slower = resample_apply(self.rule, mean, self.data.Close, 2)
        self.slower_line = resample_apply(self.rule, mean, self.line, 2)

    def next(self, days=3):
        if crossover(self.line, self.data.Close):
            for order in self.orders:
                if not order.is_contingent:
                    order.cancel()
            price = self.data.Close[-1]
            self.sell(size=0.21, limit=price, stop=price, sl=1.05 * price, tp=0.9 * price)
        elif self.position and self.trades:
            trade = self.trades[0]
            if len(self.data) - trade.entry_bar > days and trade.value > 0 and trade.exit_bar is None and self.remains[-1] > 0:
                for portion in (0.5, 0.5, 0.5, 1, 1):
                    self.position.close(portion)


class TruthAsSize(SignalStrategy):
    """Truth values as sizes and portions; its init() leaves out that of its base."""

    def init(self):
        line = self.data.Close.s.rolling(10).mean()
        self.set_signal(self.data.Close > line, self.data.Close < line)


class TrailingByPercent(TrailingStrategy):
    """A stop that follows by so many percent, as ranges of the average price; then by ranges."""

    units = 1000

    def init(self):
        super().init()
        self.set_atr_periods(9)
        self.set_trailing_pct(0.01)
        self.line = self.I(lambda: self.data.Close.s.rolling(10).mean())

    def next(self):
        super().next()
        if not self.position and self.data.Close > self.line:
            self.buy(size=self.units)


SUITE = [
    *(LongThenFlat, OppositeSides, ClosedTwice, TwoOfOne, StopsAndTheirLimits, TheWholeRow, DoneAtOnce),
    *(CancelsItsLevels, TooMuch, LevelsByBar, ByAssertion, TruthAsSize, TrailingByPercent),
]
