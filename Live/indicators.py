"""The indicators that `generate_signals(indicators=…)` adds as columns. Strategies compute their own with `self.I`."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from Backtest.errors import BadInput


def sma(bars: pd.DataFrame, timeperiod: int = 30) -> dict[str, pd.Series]:
    """Simple moving average of the close."""
    return {f"SMA_{timeperiod}": bars["Close"].rolling(timeperiod).mean()}


def ema(bars: pd.DataFrame, timeperiod: int = 30) -> dict[str, pd.Series]:
    """Exponential moving average of the close, smoothing 2 / (timeperiod + 1)."""
    return {f"EMA_{timeperiod}": bars["Close"].ewm(span=timeperiod, adjust=False).mean()}


def rsi(bars: pd.DataFrame, timeperiod: int = 14) -> dict[str, pd.Series]:
    """Wilder's relative strength index, 0 to 100."""
    change = bars["Close"].diff()
    up, down = (
        part.ewm(alpha=1 / timeperiod, adjust=False, min_periods=timeperiod).mean()
        for part in (change.clip(lower=0), -change.clip(upper=0))
    )
    return {f"RSI_{timeperiod}": 100 * up / (up + down)}


def atr(bars: pd.DataFrame, timeperiod: int = 14) -> dict[str, pd.Series]:
    """Wilder's average true range, in price."""
    before = bars["Close"].shift()
    ranges = pd.concat([bars["High"] - bars["Low"], (bars["High"] - before).abs(), (bars["Low"] - before).abs()], axis=1)
    return {f"ATR_{timeperiod}": ranges.max(axis=1).ewm(alpha=1 / timeperiod, adjust=False, min_periods=timeperiod).mean()}


def bollinger(bars: pd.DataFrame, timeperiod: int = 20, nbdevup: float = 2, nbdevdn: float = 2) -> dict[str, pd.Series]:
    """Moving average with bands so many standard deviations (of the population) above and below it."""
    window = bars["Close"].rolling(timeperiod)
    middle, deviation = window.mean(), window.std(ddof=0)
    return {"BOLLINGER_UPPER": middle + nbdevup * deviation, "BOLLINGER_MIDDLE": middle, "BOLLINGER_LOWER": middle - nbdevdn * deviation}


INDICATORS: Mapping[str, Callable[..., dict[str, pd.Series]]] = {"SMA": sma, "EMA": ema, "RSI": rsi, "ATR": atr, "BOLLINGER": bollinger}


def with_indicators(signals: pd.DataFrame, bars: pd.DataFrame, wanted: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """`signals` with a column for each indicator. Raises BadInput, naming those that are known, for any other."""
    unknown = [name for name in wanted if name not in INDICATORS]
    if unknown:
        raise BadInput(f"indicator {', '.join(unknown)} is not known; known are {', '.join(INDICATORS)}")
    for name, parameters in wanted.items():
        try:
            signals = signals.assign(**INDICATORS[name](bars, **parameters))
        except (TypeError, ValueError) as error:
            raise BadInput(f"indicator {name} does not take {dict(parameters)}: {error}") from error
    return signals
