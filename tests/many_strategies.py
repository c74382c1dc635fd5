# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""Small strategies that together use what backtesting.py offers, and the settings they are backtested with.

They are written as people write them, without types. `units` makes one strategy fit for EURUSD (thousands of units) and
for GOOG (single shares).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import talib
from backtesting import Strategy
from backtesting.lib import SignalStrategy, TrailingStrategy, barssince, crossover, quantile, resample_apply


def sma(values: Any, length: int) -> Any:
    return pd.Series(values).rolling(length).mean()


def channel(high: Any, low: Any, length: int) -> Any:
    return pd.Series(high).rolling(length).max(), pd.Series(low).rolling(length).min()


def ranges(high: Any, low: Any, length: int) -> Any:
    return pd.Series(high - low).rolling(length).mean()


class Averages(Strategy):
    """Two averages to cross."""

    units = 1000
    fast_length, slow_length = 4, 9

    def init(self):
        self.fast = self.I(sma, self.data.Close, self.fast_length)
        self.slow = self.I(sma, self.data.Close, self.slow_length)

    def up(self):
        return crossover(self.fast, self.slow)

    def down(self):
        return crossover(self.slow, self.fast)


class Reversing(Averages):
    """Always in the market with all there is: needs exclusive orders."""

    def next(self):
        if self.up():
            self.buy()
        elif self.down():
            self.sell()


class ReversingByFifo(Averages):
    """Sells twice what it holds, so that FIFO closes the long trade and the rest is a short one."""

    def next(self):
        if self.up():
            self.buy(size=self.units - self.position.size if self.position.is_short else self.units)
        elif self.down():
            self.sell(size=self.units + self.position.size if self.position.is_long else self.units)


class ReducingByFifo(Averages):
    """Sells less than it holds, several times: FIFO takes from the oldest trades, in part."""

    def next(self):
        if self.up():
            self.buy(size=self.units)
            self.buy(size=2 * self.units, tag="second")
        elif self.position.size > 0 and len(self.data) % 3 == 0:
            self.sell(size=max(1, self.units // 3))
        elif self.position.size > 6 * self.units:
            self.position.close()


class FifoAfterPartialClose(Averages):
    """Closes a part of a trade and sells against it in the same bar."""

    def next(self):
        if not self.position:
            self.buy(size=self.units)
        elif self.position.is_long and self.up():
            self.trades[0].close(0.4)
            self.sell(size=self.units)
        elif self.position.is_short and self.down():
            self.position.close()


class TwoSellsAgainstOneTrade(Averages):
    def next(self):
        if not self.position:
            self.buy(size=self.units)
        elif self.position.is_long and self.down():
            self.sell(size=max(1, self.units // 3))
            self.sell(size=self.units)
        elif self.position.is_short and self.up():
            self.position.close()


class AgainstItselfInOneBar(Averages):
    """Buys and sells in one bar: the second order takes from what the first one opens."""

    def next(self):
        if self.up():
            self.buy(size=self.units)
            self.buy(size=self.units, tag="more")
            self.sell(size=self.units + max(1, self.units // 4))
        elif self.down():
            self.sell(size=3 * self.units)
            self.buy(size=self.units)


class Bracketed(Averages):
    """Enters flat, with a stop and a target; sometimes only one of them."""

    def init(self):
        super().init()
        self.range = self.I(ranges, self.data.High, self.data.Low, 10)

    def next(self):
        price, room = self.data.Close[-1], 1.5 * self.range[-1]
        if self.position:
            return
        if self.up():
            self.buy(size=self.units, sl=price - room, tp=price + room if len(self.data) % 2 else None)
        elif self.down():
            self.sell(size=self.units, sl=price + room if len(self.data) % 3 else None, tp=price - room)


class TightlyBracketed(Bracketed):
    """Levels that the bar of the entry reaches already, more than once a day."""

    def next(self):
        price, room = self.data.Close[-1], 0.4 * self.range[-1]
        if not self.position and len(self.data) % 2:
            if self.fast[-1] > self.slow[-1]:
                self.buy(size=self.units, sl=price - room, tp=price + room)
            else:
                self.sell(size=self.units, sl=price + room, tp=price - room)


class LongOrFlat(Averages):
    def next(self):
        if not self.position and self.up():
            self.buy(size=0.6)
        elif self.position and self.down():
            self.position.close()


class TakingParts(Averages):
    """Closes a half, then a third of the rest, then all of it."""

    def next(self):
        if not self.position:
            if self.up():
                self.buy(size=self.units + 1)
            elif self.down():
                self.sell(size=self.units + 1)
            return
        trade = self.trades[0]
        age = len(self.data) - 1 - trade.entry_bar
        if age in (3, 5):
            trade.close(0.5 if age == 3 else 1 / 3)
        elif age >= 8:
            trade.close()


class EditingLevels(Bracketed):
    """Sets, trails, widens and takes away stops and targets of trades that have none at first."""

    def next(self):
        price, room = self.data.Close[-1], 2 * self.range[-1]
        if not self.position and (self.up() or self.down()):
            (self.buy if self.up() else self.sell)(size=self.units)
        for trade in self.trades:
            age, sign = len(self.data) - 1 - trade.entry_bar, 1 if trade.is_long else -1
            if age % 5 == 4:
                trade.sl = None
            elif age:
                trade.sl = (max if trade.is_long else min)(trade.sl or price - sign * room, price - sign * room)
            if age in (1, 6):
                trade.tp = None if trade.tp else price + sign * room
            if age > 15:
                trade.close()


class CancellingLevels(Bracketed):
    """Takes its stop away as an order of `self.orders`."""

    def next(self):
        price, room = self.data.Close[-1], 1.2 * self.range[-1]
        if not self.position and self.up():
            self.buy(size=self.units, sl=price - room, tp=price + room)
        for trade in self.trades:
            if len(self.data) - trade.entry_bar == 4:
                for order in self.orders:
                    if order.is_contingent and order.stop:
                        order.cancel()
            if len(self.data) - trade.entry_bar > 12:
                self.position.close()


class BothSides(Bracketed):
    """Long and short trades beside each other: needs hedging."""

    def next(self):
        price, room = self.data.Close[-1], 2 * self.range[-1]
        if self.up() and len(self.trades) < 5:
            self.buy(size=self.units, sl=price - room)
        if self.down() and len(self.trades) < 5:
            self.sell(size=self.units, tp=max(price - room, price / 10), tag=len(self.data))  # ranges of months may be as wide as prices
        for trade in self.trades:
            if len(self.data) - trade.entry_bar > 20:
                trade.close(0.5 if trade.size > 1.5 * self.units else 1)


class Pyramid(Averages):
    """Adds to what wins, and lets the oldest go first."""

    def next(self):
        if self.fast[-1] > self.slow[-1] and len(self.data) % 4 == 0 and len(self.trades) < 4:
            self.buy(size=self.units + len(self.trades), tag={"number": len(self.trades)})
        elif self.trades and self.down():
            self.trades[0].close()
        elif len(self.trades) > 2 and self.position.pl < 0:
            self.position.close(0.5)


class CloseAndEnter(Averages):
    """Leaves and enters in the same bar, without exclusive orders."""

    def next(self):
        if self.up():
            self.position.close()
            self.buy(size=self.units)
        elif self.down():
            self.position.close()
            self.sell(size=2 * self.units)


class ByTag(Averages):
    """Each trade lives as long as its tag says."""

    def next(self):
        if self.up() or self.down():
            (self.buy if self.up() else self.sell)(size=self.units, tag=int(3 + len(self.data) % 7))
        for trade in self.trades:
            if len(self.data) - trade.entry_bar > trade.tag:
                trade.close()


class ByTime(Strategy):
    """No indicators at all; leaves by the time of entry."""

    units = 1000

    def init(self):
        pass

    def next(self):
        if not self.position and len(self.data) % 11 == 0:
            self.buy(size=self.units)
        for trade in self.trades:
            if (self.data.index[-1] - trade.entry_time) / pd.Timedelta(self.data.index[-1] - self.data.index[-2]) > 4:
                trade.close()


class ByMoney(Averages):
    """Looks at its equity, its profit and its closed trades."""

    def init(self):
        super().init()
        self.peak = 0.0

    def next(self):
        self.peak = max(self.peak, self.equity)
        lost = self.peak - self.equity
        won = sum(trade.pl for trade in self.closed_trades[-3:])
        if not self.position:
            if self.up():
                self.buy(size=self.units * (2 if won > 0 else 1))
        elif self.position.pl_pct < -0.2 or self.position.pl > lost or self.down():
            self.position.close()


class KeepingTrades(Averages):
    """Keeps references to its trades, and finds out from them what became of them."""

    def init(self):
        super().init()
        self.mine = []
        self.losses = 0

    def next(self):
        for trade in self.trades:
            if trade not in self.mine:
                self.mine.append(trade)
        gone = [trade for trade in self.mine if trade.exit_price is not None]
        for trade in gone:
            self.mine.remove(trade)
            self.losses += trade.pl < 0
        if not self.position and self.up() and not gone:
            self.buy(size=self.units * (1 + self.losses % 3), sl=self.data.Low[-1] * 0.999)
        elif self.mine and self.down():
            self.mine[0].close()


class OwnArrays(Strategy):
    """Prepares arrays as long as its data, and writes into one of them."""

    units = 1000

    def init(self):
        self.mean = pd.Series(self.data.Close).rolling(8).mean().to_numpy()
        self.seen = np.zeros(len(self.data))
        self.notes = [0] * len(self.data)
        self.warm = self.I(sma, self.data.Close, 8)

    def next(self):
        now = len(self.data) - 1
        self.seen[now] = np.sign(self.data.Close[-1] - self.mean[now])
        self.notes[now] = self.notes[now - 1] + 1 if self.seen[now] == self.seen[now - 1] else 0
        if self.seen[now - 5 : now + 1].sum() > 3 and not self.position:
            self.buy(size=self.units)
        elif self.position and (self.notes[now] > 6 or self.seen[now - 3 : now + 1].sum() < 0):
            self.position.close()


class InContainers(Strategy):
    """Indicators in a list, a dict and an object; looked at only up to the bar that has closed."""

    units = 1000

    def init(self):
        self.lines = [self.I(sma, self.data.Close, length, plot=False) for length in (3, 6)]
        self.named = {"long": self.I(sma, self.data.Close, 12), "limits": (0.1, 0.9)}
        self.bundle = Bundle(self.data.df.copy())

    def next(self):
        now = len(self.data) - 1
        if now < 20:
            return
        self.bundle.asked += 1
        fast, slow, trend = (line[now] for line in (*self.lines, self.named["long"]))
        if fast > slow > trend and not self.position and self.bundle.place(now) < self.named["limits"][1]:
            self.buy(size=self.units)
        elif self.position and (fast < slow or self.bundle.asked % 17 == 0):
            self.position.close()


@dataclass
class Bundle:
    frame: pd.DataFrame
    asked: int = 0

    def place(self, now: int) -> float:
        window = self.frame["Close"].iloc[now - 10 : now + 1]
        return float((window.iloc[-1] - window.min()) / max(window.max() - window.min(), 1e-9))


class FrameKept(Strategy):
    """Prepares a frame, and a shorter one of days, and looks them up by time."""

    units = 1000

    def init(self):
        self.frame = self.data.df.assign(Mean=self.data.df["Close"].rolling(6).mean())
        self.days = self.data.Close.s.resample("4D").last().dropna()

    def next(self):
        now = self.data.index[-1]
        row = self.frame.loc[now]
        before = self.days[self.days.index + pd.Timedelta("4D") <= now]
        if not len(before) or np.isnan(row["Mean"]):
            return
        if not self.position and row["Close"] > row["Mean"] and row["Close"] > before.iloc[-1]:
            self.buy(size=self.units)
        elif self.position and row["Close"] < row["Mean"]:
            self.position.close()


class ManyRows(Strategy):
    """An indicator of two rows, one of one row of it, and one that is a scatter of signals."""

    units = 1000

    def init(self):
        self.bands = self.I(channel, self.data.High, self.data.Low, 7)
        self.upper, _ = self.I(channel, self.data.High, self.data.Low, 5)
        marks = pd.Series(self.data.Close).diff(2).where(lambda change: change > 0)
        self.marks = self.I(lambda: marks, scatter=True, name="marks")

    def next(self):
        if not self.position and self.data.Close[-1] >= self.bands[0][-2] and self.marks[-1] > 0:
            self.buy(size=self.units, sl=self.bands[1][-1] * 0.999)
        elif self.position and self.data.High[-1] < self.upper[-2]:
            self.position.close()


class ColumnsAdded(Strategy):
    """Adds a column to its data in init()."""

    units = 1000

    def init(self):
        self.data.df["Middle"] = (self.data.df["High"] + self.data.df["Low"]) / 2
        self.line = self.I(sma, self.data.df["Middle"], 5)

    def next(self):
        if not self.position and self.data.Middle[-1] > self.line[-1] and self.data.Close[-1] > self.data.Close[-2]:
            self.buy(size=self.units)
        elif self.position and self.data.Middle[-1] < self.line[-1]:
            self.position.close()


class Slower(Strategy):
    """Looks at a slower timeframe beside its own."""

    units = 1000
    rule = "12h"

    def init(self):
        self.slow = resample_apply(self.rule, sma, self.data.Close, 3)
        self.fast = self.I(sma, self.data.Close, 3)

    def next(self):
        since = barssince(self.data.Close[-30:] < self.slow[-30:])
        if not self.position and since > 3 and quantile(self.data.Close[-20:]) > 0.4:
            self.buy(size=self.units)
        elif self.position and crossover(self.slow, self.fast):
            self.position.close()


class Signals(SignalStrategy):
    """Entries and exits as arrays."""

    units = 1000

    def init(self):
        super().init()
        fast, slow = sma(self.data.Close, 4), sma(self.data.Close, 9)
        cross = (fast > slow).astype(int).diff().fillna(0)
        self.set_signal(entry_size=cross.replace(-1, 0) * self.units, exit_portion=(cross == -1) * 1.0)


class SignalsInParts(SignalStrategy):
    """Enters with fractions, leaves by halves, and by all that is left."""

    def init(self):
        super().init()
        change = pd.Series(self.data.Close).diff(3)
        cross = (change > 0).astype(int).diff().fillna(0)
        turned = cross.where(cross != 0).ffill()
        self.set_signal(cross.clip(lower=0) * 0.2, (cross < 0) * 0.5 + ((turned < 0) & (turned.shift() < 0)) * 1.0)


class Trailing(TrailingStrategy):
    """A stop that follows at so many average ranges, of both kinds of trades."""

    units = 1000

    def init(self):
        super().init()
        self.set_atr_periods(10)
        self.set_trailing_sl(1.5)
        self.fast = self.I(sma, self.data.Close, 4)
        self.slow = self.I(sma, self.data.Close, 12)

    def next(self):
        super().next()
        if len(self.data) > 12 and not self.position:
            if crossover(self.fast, self.slow):
                self.buy(size=self.units)
            elif crossover(self.slow, self.fast):
                self.sell(size=self.units)


class ByChance(Strategy):
    """Seeds NumPy's generator in init() and goes on drawing in next()."""

    units = 1000

    def init(self):
        np.random.seed(7)
        self.own = np.random.default_rng(3)

    def next(self):
        drawn = np.random.random() + 0.2 * self.own.random()
        if not self.position and drawn > 0.9:
            self.buy(size=self.units)
        elif self.position and drawn < 0.2:
            self.position.close()


class OnTheClass(Averages):
    """Keeps its state on its class."""

    seen: Any = []  # noqa: RUF012 - as people write it
    entered = 0

    def init(self):
        super().init()
        type(self).entered = 0
        self.seen.clear()

    def next(self):
        self.seen.append(len(self.data))
        if not self.position and self.up() and len(self.seen) % 3:
            type(self).entered += 1
            self.buy(size=self.units * (1 + OnTheClass.entered % 2))
        elif self.position and self.down():
            self.position.close()


class FromTaLib(Strategy):
    """Indicators of TA-Lib, of one line and of several, from columns, arrays and series."""

    units = 1000

    def init(self):
        self.strength = self.I(talib.RSI, self.data.Close, 6)
        self.bands = self.I(talib.BBANDS, self.data.Close, 8, 1.5, 1.5, name=["upper", "middle", "lower"])
        self.range = self.I(talib.ATR, self.data.High, self.data.Low, self.data.Close, timeperiod=5, plot=False)
        self.trend, _, self.turns = self.I(lambda close: talib.MACD(close, 4, 9, 3), self.data.Close.s)
        self.hammers = self.I(talib.CDLHAMMER, *(np.asarray(self.data[name]) for name in ("Open", "High", "Low", "Close")))

    def next(self):
        price = self.data.Close[-1]
        if not self.position:
            if self.strength[-1] < 45 or price < self.bands[2][-1] or self.hammers[-1]:
                self.buy(size=self.units, sl=price - 3 * self.range[-1])
        elif (self.strength[-1] > 55 and self.turns[-1] < self.turns[-2]) or price > self.bands[0][-1]:
            self.position.close()


class ChangingItsMind(Averages):
    """Puts other things in the place of its indicators and parameters, which a backtest undoes for the indicators."""

    threshold = 2

    def next(self):
        if self.up() and not self.position:
            self.threshold += 1
            self.buy(size=self.units * (self.threshold % 3 + 1))
        elif self.down() and self.position:
            self.position.close()
        self.fast, self.slow = self.slow, self.fast


class Drawn(Strategy):
    """Draws what it does from a seed: any number of entries, closes, parts and levels in one bar, as far as a live trader
    can follow them (docs/parity.md): with FIFO it sets no levels, and it sets levels before it closes a part."""

    units = 1000
    seed = 0
    busy = 0.2  # how likely each kind of action is on a bar
    room = 1.5  # how far levels are away, in ranges

    def init(self):
        self.range = self.I(ranges, self.data.High, self.data.Low, 5)
        self.levels = self._broker._hedging or self._broker._exclusive_orders

    def next(self):
        draw = np.random.default_rng([self.seed, len(self.data)])
        for trade in self.trades:
            if self.levels and draw.random() < self.busy:
                self.move(trade, draw)
            if draw.random() < self.busy:
                trade.close(draw.choice([0.25, 0.5, 1.0, 1.0]))
        while len(self.trades) < 5 and draw.random() < self.busy:
            self.enter(draw)

    def move(self, trade, draw):
        sign = 1 if trade.is_long else -1
        away = self.room * self.range[-1] * (draw.random() + 0.01)
        if draw.random() < 0.5:
            trade.sl = None if draw.random() < 0.3 else self.data.Close[-1] - sign * away
        else:
            trade.tp = None if draw.random() < 0.3 else self.data.Close[-1] + sign * away

    def enter(self, draw):
        sign, price = draw.choice([1, -1]), self.data.Close[-1]
        spread = price * self._broker._spread  # nearer levels are refused
        below, above = (self.room * self.range[-1] * (draw.random() + 0.01) + spread for _ in range(2))
        sl = price - sign * below if self.levels and draw.random() < 0.6 else None
        tp = price + sign * above if self.levels and draw.random() < 0.6 else None
        order = self.buy if sign > 0 else self.sell
        order(size=int(self.units * draw.integers(1, 4)), sl=sl, tp=tp, tag=int(draw.integers(0, 9)))


@dataclass(frozen=True, eq=False)
class Case:
    """A strategy with the settings of its backtest."""

    strategy: type[Strategy]
    backtest: dict[str, Any] = field(default_factory=dict)
    prices: Sequence[str] = ("EURUSD", "GOOG")

    def __str__(self) -> str:
        return "-".join([self.strategy.__name__, *(f"{name}" for name in self.backtest)])


def cheap(size: float, price: float) -> float:
    """A commission as a function: one of size and price."""
    return 0.1 + 0.00003 * abs(size) * price


RELATIVE, FIXED = 0.00004, (0.05, 0.00002)
CASES = [
    Case(Reversing, {"exclusive_orders": True}),
    Case(Reversing, {"exclusive_orders": True, "commission": RELATIVE}),
    Case(Reversing, {"exclusive_orders": True, "commission": FIXED, "margin": 0.2}),
    Case(ReversingByFifo, {"margin": 0.5}),
    Case(ReducingByFifo, {"commission": cheap, "cash": 100_000}),
    Case(FifoAfterPartialClose),
    Case(TwoSellsAgainstOneTrade),
    Case(AgainstItselfInOneBar, {"cash": 1_000_000, "commission": FIXED}),
    Case(Bracketed),
    Case(Bracketed, {"exclusive_orders": True, "commission": cheap}),
    Case(TightlyBracketed, {"commission": RELATIVE}),
    Case(LongOrFlat, {"margin": 0.1}),
    Case(TakingParts, {"commission": FIXED}),
    Case(EditingLevels, {"commission": RELATIVE}),
    Case(CancellingLevels),
    Case(BothSides, {"hedging": True, "cash": 100_000}),
    Case(BothSides, {"hedging": True, "exclusive_orders": True}),
    Case(Pyramid, {"commission": RELATIVE, "cash": 50_000}),
    Case(CloseAndEnter, {"cash": 50_000}),
    Case(ByTag, {"hedging": True, "cash": 100_000}),
    Case(ByTime),
    Case(ByMoney, {"commission": FIXED, "margin": 0.5}),
    Case(KeepingTrades, {"cash": 50_000}),
    Case(OwnArrays),
    Case(InContainers),
    Case(FrameKept),
    Case(ManyRows),
    Case(ColumnsAdded),
    Case(Slower, prices=("EURUSD",)),
    Case(Signals, {"commission": RELATIVE}),
    Case(SignalsInParts),
    Case(Trailing),
    Case(ByChance),
    Case(OnTheClass),
    Case(FromTaLib, {"commission": RELATIVE}),
    Case(ChangingItsMind),
]


def fitted(case: Case, symbol: str) -> type[Strategy]:
    """The strategy with a size that suits the symbol's price."""
    return type(case.strategy.__name__, (case.strategy,), {"units": 1000 if symbol == "EURUSD" else 8})
