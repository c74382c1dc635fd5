# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""Strategies whose entries wait for a price, and one that does anything that backtesting.py offers, as it is drawn from a seed."""

import numpy as np
from backtesting import Strategy
from backtesting.lib import TrailingStrategy

from tests.many_strategies import Averages, ranges, sma


class Ranged(Averages):
    """Averages, and a range by which prices are away."""

    def init(self):
        super().init()
        self.range = self.I(ranges, self.data.High, self.data.Low, 6)

    @property
    def price(self):
        return self.data.Close[-1]

    @property
    def room(self):
        return self.range[-1]

    def entries(self):
        return [order for order in self.orders if not order.is_contingent]


class BuyingDips(Ranged):
    """A limit below the market, with levels around it, until it fills or the averages turn."""

    def next(self):
        if self.up() and not self.position and not self.entries():
            limit = self.price - 0.6 * self.room
            self.buy(size=self.units, limit=limit, sl=limit - 2 * self.room, tp=limit + 2 * self.room, tag="dip")
        elif self.down():
            for order in self.entries():
                order.cancel()
            self.position.close()


class Breakout(Ranged):
    """A stop above the market, a stop loss below it; all that there is."""

    def next(self):
        if not self.position and not self.entries():
            self.buy(stop=self.price + 0.7 * self.room, sl=self.price - self.room)
        elif self.position and len(self.data) % 9 == 0:
            self.position.close()


class BreakoutButNotTooFar(Ranged):
    """Stop-limit orders, of which some have their limit beyond the stop and some before it."""

    def next(self):
        if not self.position and len(self.entries()) < 2:
            stop = self.price + 0.4 * self.room
            self.buy(size=self.units, stop=stop, limit=stop + (0.2 if len(self.data) % 2 else -0.3) * self.room, tp=stop + 2 * self.room)
        if self.position and len(self.data) % 6 == 0:
            self.position.close()
            self.entries() and self.entries()[-1].cancel()


class Straddle(Ranged):
    """A stop on each side; the one that is left is cancelled when the other one has filled."""

    def init(self):
        super().init()
        self.pair = []

    def next(self):
        filled = [order for order in self.pair if order not in self.orders]
        if self.pair and filled:
            for order in self.pair:
                if order in self.orders:
                    order.cancel()
            self.pair = []
        if not self.pair and not self.position:
            self.pair = [
                self.buy(size=self.units, stop=self.price + 0.8 * self.room, sl=self.price),
                self.sell(size=self.units, stop=self.price - 0.8 * self.room, sl=self.price),
            ]
        if self.position and len(self.data) % 11 == 0:
            self.position.close()


class Ladder(Ranged):
    """Three limits, each with its own tag; what has filled is known by it."""

    def next(self):
        known = {trade.tag for trade in self.trades} | {order.tag for order in self.entries()}
        for step in (1, 2, 3):
            if step not in known:
                self.buy(size=self.units * step, limit=self.price - 0.5 * step * self.room, tag=step)
        for trade in self.trades:
            if trade.pl > 0 and len(self.data) - trade.entry_bar > trade.tag:
                trade.close()


class GoodForSomeBars(Ranged):
    """Counts how long its orders wait, in a dict by order, and takes the old ones away."""

    def init(self):
        super().init()
        self.age = {}

    def next(self):
        for order in list(self.age):
            self.age[order] += 1
            if order not in self.orders:
                del self.age[order]
            elif self.age[order] > 4:
                order.cancel()
                del self.age[order]
        if len(self.data) % 3 == 0 and len(self.trades) < 3:
            order = self.sell(size=self.units, limit=self.price + self.room, tp=self.price - self.room, sl=self.price + 3 * self.room)
            self.age[order] = 0


class TakingProfitWithAnOrder(Ranged):
    """Leaves a long trade by a limit of the other side, which FIFO takes from it; sometimes by more than it holds."""

    def next(self):
        if self.up() and not self.position:
            self.buy(size=2 * self.units)
        if self.position.is_long and not self.entries():
            self.sell(size=self.units * (3 if len(self.data) % 5 == 0 else 1), limit=self.price + 0.8 * self.room)
        if self.down():
            self.position.close()


class FollowingTheMarket(Ranged):
    """Puts a new order in the place of the old one on each bar."""

    def next(self):
        for order in self.entries():
            order.cancel()
        if not self.position:
            target = max(self.price - 2 * self.room, self.price / 10)  # ranges of months may be as wide as prices
            self.sell(stop=self.price - 0.5 * self.room, tp=min(target, self.price - 0.6 * self.room), sl=self.price + self.room)
        elif len(self.data) % 7 == 0:
            self.position.close()


class OrderedInInit(Strategy):
    """Has placed all its orders before the first bar."""

    units = 1000

    def init(self):
        self.line = self.I(sma, self.data.Close, 5)
        self.buy(size=self.units, tag="first")
        self.buy(size=self.units, limit=self.data.Close[0] * 0.995, tag="second")
        self.sell(size=2 * self.units, stop=self.data.Close[0] * 0.99)

    def next(self):
        if len(self.data) % 40 == 0:
            self.position.close()
        if len(self.data) % 50 == 0:
            self.buy(size=self.units, limit=self.line[-1])


class HalfAndBreakEven(Ranged):
    """Closes a half at a profit and moves the stop to the entry in the same bar."""

    def next(self):
        if not self.position and self.up():
            self.buy(size=2 * self.units, sl=self.price - 2 * self.room)
        for trade in self.trades:
            if trade.pl > 0 and trade.sl and trade.sl < trade.entry_price < self.price:
                trade.close(0.5)
                trade.sl = trade.entry_price
            elif trade.sl and trade.sl >= trade.entry_price:
                trade.sl = max(trade.sl, self.price - self.room)


class AddingFractions(Ranged):
    """Adds a fifth of what is free to what it holds, at market and by limits."""

    def next(self):
        if self.up() and len(self.trades) < 4:
            self.buy(size=0.2, tag=len(self.trades))
            self.buy(size=0.1, limit=self.price - self.room)
        elif self.down() and len(self.data) % 3 == 0:
            self.position.close(0.5)


class TrailingAfterLimits(TrailingStrategy):
    """backtesting.lib's trailing stop behind entries that wait."""

    units = 1000

    def init(self):
        super().init()
        self.set_atr_periods(8)
        self.set_trailing_sl(1.2)
        self.slow = self.I(sma, self.data.Close, 9)

    def next(self):
        super().next()
        if not self.position and not self.orders:
            self.buy(size=self.units, limit=min(self.slow[-1], self.data.Close[-1] * 0.9995))


class DrawnFreely(Strategy):
    """Any number of orders of each kind in one bar, in any order: sizes in units and as fractions, levels, tags, parts,
    cancelled orders, levels that are moved and taken away, before and after each other."""

    units = 1000
    seed = 0
    busy = 0.15  # how likely each kind of action is on a bar
    room = 1.0  # how far prices are away, in ranges
    fractions = 0.3  # how many of the sizes are fractions

    def init(self):
        self.range = self.I(ranges, self.data.High, self.data.Low, 5)

    def next(self):
        draw = np.random.default_rng([self.seed, len(self.data)])
        actions = [self.enter, self.enter, self.close, self.move, self.cancel, self.leave]
        for number in draw.permutation(len(actions)):
            if draw.random() < self.busy * (2 if number < 2 else 1):
                actions[number](draw)

    def away(self, draw):
        return self.room * self.range[-1] * (draw.random() + 0.01)

    def enter(self, draw):
        if len(self.trades) + len(self.orders) > 12:
            return
        sign, price = int(draw.choice([1, -1])), self.data.Close[-1]
        kind = draw.choice(["market", "limit", "stop", "stop-limit"])
        stop = price + draw.choice([1, 1, 1, -1]) * sign * self.away(draw) if "stop" in kind else None
        limit = None
        if kind == "limit":
            limit = price - draw.choice([1, 1, 1, -1]) * sign * self.away(draw)
        elif kind == "stop-limit":
            limit = stop + draw.choice([1, -1]) * sign * self.away(draw)
        base = limit or stop or price
        sl = base - sign * self.away(draw) - sign * 0.001 * price if draw.random() < 0.5 else None
        tp = base + sign * self.away(draw) + sign * 0.001 * price if draw.random() < 0.5 else None
        size = round(draw.uniform(0.05, 0.6), 3) if draw.random() < self.fractions else int(self.units * draw.integers(1, 4))
        order = self.buy if sign > 0 else self.sell
        order(size=size, limit=limit, stop=stop, sl=sl, tp=tp, tag=int(draw.integers(0, 9)))

    def close(self, draw):
        for trade in self.trades:
            if draw.random() < 0.4:
                trade.close(draw.choice([0.25, 0.5, 1.0, 1.0]))

    def leave(self, draw):
        self.position.close(draw.choice([0.3, 1.0]))

    def cancel(self, draw):
        for order in self.orders:
            if draw.random() < 0.4:
                order.cancel()

    def move(self, draw):
        for trade in self.trades:
            sign = 1 if trade.is_long else -1
            if draw.random() < 0.5:
                trade.sl = None if draw.random() < 0.3 else self.data.Close[-1] - sign * self.away(draw)
            else:
                trade.tp = None if draw.random() < 0.3 else self.data.Close[-1] + sign * self.away(draw)


WAITING = [
    BuyingDips,
    Breakout,
    BreakoutButNotTooFar,
    Straddle,
    Ladder,
    GoodForSomeBars,
    TakingProfitWithAnOrder,
    FollowingTheMarket,
    OrderedInInit,
    HalfAndBreakEven,
    AddingFractions,
    TrailingAfterLimits,
]
