# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""Strategies that know the future, each in its own way, and clean ones that look as if they did."""

import numpy as np
import pandas as pd
import talib
from backtesting import Strategy
from backtesting.lib import SignalStrategy, TrailingStrategy, crossover, resample_apply
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


# the kinds once more, in other forms: of each what its line is of the frame of prices


def with_line(base, line):
    """The strategy whose line is that."""
    return type(f"Own{base.__name__}", (base,), {"made": lambda self, _close: line(self.data.df)})


def nearer_of_two(values):
    """To which of two groups each value belongs, as they are when all values are known."""
    low, high = values.min(), values.max()
    for _ in range(10):
        upper = abs(values - low) > abs(values - high)
        low, high = values[~upper].mean(), values[upper].mean()
    return upper.astype(float)


def first_component(close):
    returns = np.column_stack([close.pct_change(count).fillna(0) for count in (1, 2, 5)])
    returns -= returns.mean(axis=0)
    return returns @ np.linalg.svd(returns, full_matrices=False)[2][0]


def first_waves(close):
    waves = np.fft.rfft(close.to_numpy())
    waves[10:] = 0
    return np.fft.irfft(waves, len(close))


PLANTED = {
    "rolled": with_line(Signal, lambda frame: np.roll(frame["Close"], -1) - frame["Close"]),
    "counted_backwards": with_line(Signal, lambda frame: -frame["Close"].pct_change(-5)),
    "highest_to_come": with_line(Signal, lambda frame: frame["Close"][::-1].rolling(10).max()[::-1] - frame["Close"] * 1.001),
    "convolved": with_line(Trend, lambda frame: np.convolve(frame["Close"], np.ones(9) / 9, mode="same")),
    "centred_median": with_line(Trend, lambda frame: frame["Close"].rolling(7, center=True, min_periods=1).median()),
    "by_the_median": with_line(Signal, lambda frame: (frame["Close"] - frame["Close"].median()) / frame["Close"].diff().std()),
    "by_the_last": with_line(Signal, lambda frame: frame["Close"] / frame["Close"].iloc[-1] - 1),
    "by_the_highest": with_line(Signal, lambda frame: frame["Close"] / frame["Close"].max() - 0.99),
    "interpolated": with_line(Trend, lambda frame: frame["Close"].where(np.arange(len(frame)) % 5 == 0).interpolate()),
    "filled_with_the_first": with_line(Trend, lambda frame: (mean := frame["Close"].rolling(20).mean()).fillna(mean.dropna().iloc[0])),
    "in_groups": with_line(Signal, lambda frame: nearer_of_two(frame["Close"].pct_change().fillna(0).to_numpy())),
    "by_component": with_line(Signal, lambda frame: first_component(frame["Close"])),
    "by_waves": with_line(Trend, lambda frame: first_waves(frame["Close"])),
    "close_of_the_day": with_line(Trend, lambda frame: frame.groupby(frame.index.date)["Close"].transform("last")),
    "forming_four_hours": with_line(Trend, lambda frame: frame["High"].resample("4h").max().reindex(frame.index, method="ffill") * 0.999),
}

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


def faded(close):
    memory, lines = close.iloc[0], []
    for price in close:
        memory = 0.97 * memory + 0.03 * price
        lines.append(memory)
    return np.array(lines)


def strength(close, count):
    """Wilder's."""
    change = close.diff()
    up, down = (side.clip(lower=0).ewm(alpha=1 / count, adjust=False).mean() for side in (change, -change))
    return 50 - 100 / (1 + up / down)


def walked_forward(close):
    returns, forecasts, slope = close.pct_change().fillna(0).to_numpy(), np.full(len(close), np.nan), 0.0
    for bar in range(50, len(returns)):
        if bar % 25 == 0:
            slope = np.polyfit(returns[: bar - 1], returns[1:bar], 1)[0]
        forecasts[bar] = slope * returns[bar]
    return forecasts


def turned(close):
    """Highs and lows that a move of so much has confirmed."""
    high, low, rising, lines = close.iloc[0], close.iloc[0], True, []
    for price in close:
        high, low = (max(high, price), low) if rising else (high, min(low, price))
        if rising and price < high * 0.998:
            rising, low = False, price
        elif not rising and price > low * 1.002:
            rising, high = True, price
        lines.append(low if rising else high)
    return np.array(lines)


FROM_THE_PAST = {
    "exponential": with_line(Trend, lambda frame: frame["Close"].ewm(span=20).mean()),
    "half_life": with_line(Trend, lambda frame: frame["Close"].ewm(halflife=30, adjust=False).mean()),
    "wilder": with_line(Signal, lambda frame: strength(frame["Close"], 14)),
    "fading_memory": with_line(Trend, lambda frame: faded(frame["Close"])),
    "expanding": with_line(Signal, lambda frame: (frame["Close"] - frame["Close"].expanding().mean()) / frame["Close"].expanding().std()),
    "ranked_within_the_past": with_line(Signal, lambda frame: frame["Close"].rolling(30).rank(pct=True) - 0.5),
    "high_of_the_day_so_far": with_line(Trend, lambda frame: frame.groupby(frame.index.date)["High"].cummax() * 0.9995),
    "day_before": with_line(Trend, lambda frame: frame["High"].resample("D").max().dropna().shift(1).reindex(frame.index, method="ffill")),
    "relative_strength": with_line(Signal, lambda frame: talib.RSI(frame["Close"].to_numpy(), 14) - 50),
    "trend_line_of_hilbert": with_line(Trend, lambda frame: talib.HT_TRENDLINE(frame["Close"].to_numpy())),
    "parabolic": with_line(Trend, lambda frame: talib.SAR(frame["High"].to_numpy(), frame["Low"].to_numpy())),
    "single_precision": with_line(
        Signal, lambda frame: frame["Close"].astype("float32") - frame["Close"].astype("float32").rolling(10).mean()
    ),
    "walked_forward": with_line(Signal, lambda frame: walked_forward(frame["Close"])),
    "turned": with_line(Trend, lambda frame: turned(frame["Close"])),
    "drawn_down": with_line(Signal, lambda frame: frame["Close"] / frame["Close"].cummax() - 0.995),
    "true_or_false": with_line(Signal, lambda frame: frame["Close"] > frame["Close"].shift(3)),
}


class Remembering(Strategy):
    """Keeps a list and its best price from bar to bar, and makes series in next()."""

    def init(self):
        self.best, self.seen = 0.0, []

    def next(self):
        self.seen.append(self.data.Close[-1])
        self.best = max(self.best, self.data.High[-1])
        mean = pd.Series(self.data.Close).ewm(span=10).mean().iloc[-1]
        if self.seen[-1] > mean and self.best * 0.98 < self.seen[-1] and not self.position:
            self.buy(size=1000, sl=self.best * 0.98)
        elif self.position and len(self.seen) % 9 == 0:
            self.position.close()


class SignalsWithATrail(SignalStrategy, TrailingStrategy):
    def init(self):
        super().init()
        close = pd.Series(self.data.Close)
        above = (close.rolling(5).mean() > close.rolling(25).mean()).astype(int)
        self.set_signal(above.diff().fillna(0).clip(lower=0) * 0.5)
        self.set_atr_periods(10)
        self.set_trailing_sl(3)


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


class TrailingByPercent(EarlyTrailing):
    """How many ranges a percentage is, the library reckons from all bars."""

    def init(self):
        super().init()
        self.set_atr_periods(5)
        self.set_trailing_pct(0.003)


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
