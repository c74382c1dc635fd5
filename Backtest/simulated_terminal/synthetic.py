"""Prices that nobody recorded: seeded walks around a level, so that programs find the symbols they ask for (pure).

They tell nothing about any market. Every currency, metal and share has one walk, and a pair is the ratio of two, so that
EURGBP is what EURUSD and GBPUSD make of it. The same moment has the same prices whenever it is asked for.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.simulated_terminal.symbols import SymbolSpec

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_SINCE = 1_514_764_800  # 2018-01-01: examples ask for days of 2019 and 2020
_BY_THE_MINUTE = 13 * 7 * 86_400  # before the end; what is older comes by the hour
_HOUR, _DAY = 3_600, 86_400
_YEAR = 260 * _DAY  # of trading
_RETURN = 1.4  # a year: half of a distance from the level is gone after six months
_JOIN = 180 * _DAY  # in which a walk comes to where recorded prices begin

# What one is worth in dollars, about, and by how much of it that moves in a year.
_WORTH = {
    "USD": (1.0, 0.0),
    "EUR": (1.12, 0.07),
    "GBP": (1.29, 0.08),
    "JPY": (0.0075, 0.09),
    "CHF": (1.11, 0.07),
    "AUD": (0.68, 0.09),
    "CAD": (0.745, 0.06),
    "NZD": (0.63, 0.09),
    "SEK": (0.098, 0.09),
    "NOK": (0.1, 0.10),
    "PLN": (0.25, 0.10),
    "MXN": (0.053, 0.12),
    "ZAR": (0.056, 0.14),
    "XAU": (2_300.0, 0.14),
    "XAG": (28.0, 0.25),
    "BTC": (60_000.0, 0.50),
    "ETH": (3_000.0, 0.60),
    "US500": (5_400.0, 0.16),
    "US30": (39_500.0, 0.15),
    "USTEC": (18_500.0, 0.20),
    "GER40": (18_200.0, 0.17),  # in euros, and so on: what is no currency is worth what its own price says
    "UK100": (8_200.0, 0.13),
    "XTIUSD": (76.0, 0.32),
    "AAPL": (200.0, 0.26),
    "AMZN": (180.0, 0.32),
    "GOOG": (170.0, 0.28),
    "MSFT": (420.0, 0.24),
    "NVDA": (120.0, 0.45),
    "TSLA": (220.0, 0.55),
    "SPY": (540.0, 0.16),
    "ES": (5_420.0, 0.16),
    "GC": (2_320.0, 0.14),
}


def can_be_made(spec: SymbolSpec) -> bool:
    """Whether prices of this symbol can be made up."""
    return all(unit in _WORTH for unit in _units(spec))


def calendar(end: int, slip: int) -> Times:
    """When each row begins, on the server's clock: hours of weekdays since 2018, minutes in the last weeks before `end`.

    `slip` is by how many seconds the days of the last weeks are late: where prices of a Wednesday play on a Sunday.

    >>> times = calendar(_SINCE + 15 * 7 * _DAY, slip=0)
    >>> np.unique(np.diff(times)).tolist()  # minutes, hours, and weekends
    [60, 3600, 172860, 176400]
    """
    turn = (end - _BY_THE_MINUTE) // _HOUR * _HOUR
    times: Times = np.r_[np.arange(_SINCE, turn, _HOUR), np.arange(turn, end, 60)]
    weekday = (np.where(times < turn, times, times - slip) // _DAY + 3) % 7  # 0 is Monday
    weekdays: Times = times[weekday < 5]
    return weekdays


def synthetic_prices(spec: SymbolSpec, times: Times, *, recorded: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Bars of the symbol that begin at these times. `recorded` has what is known of the worth of units in dollars."""
    base, quote = (_walk(unit, times, recorded.get(unit)) for unit in _units(spec))
    prices = base / quote
    chance = np.random.default_rng(zlib.crc32(spec.name.encode()))
    volatility = max(_WORTH[unit][1] for unit in _units(spec))
    steps = _steps(times)
    wick = 0.5 * volatility * np.sqrt(steps / _YEAR) * prices[:-1]
    opens, closes = prices[:-1], prices[1:]
    above, below = (np.abs(chance.standard_normal(len(times))) * wick for _ in range(2))
    columns = {"Open": opens, "High": np.maximum(opens, closes) + above, "Low": np.minimum(opens, closes) - below, "Close": closes}
    frame = {name: (np.rint(values / spec.tick_size) * spec.tick_size).round(spec.digits) for name, values in columns.items()}
    frame["Volume"] = np.maximum(1.0, chance.poisson(steps / 2))
    return pd.DataFrame(frame, index=pd.DatetimeIndex(times.astype("datetime64[s]")))


def with_a_past(spec: SymbolSpec, prices: pd.DataFrame, times: Times) -> pd.DataFrame:
    """Recorded prices of a currency in dollars, and made-up ones before they begin."""
    before = times[times < int(prices.index[0].timestamp())]
    past = synthetic_prices(spec, before, recorded={spec.currency_base: prices["Open"]})
    return pd.concat([past, prices[[name for name in past if name in prices]]])


def _units(spec: SymbolSpec) -> tuple[str, str]:
    return (spec.name, "USD") if spec.currency_base == spec.currency_profit else (spec.currency_base, spec.currency_profit)


def _steps(times: Times) -> Values:
    """For how long there is trading from each time to the next: no longer than the hour that a row is."""
    return np.minimum(np.diff(times, append=times[-1] + 60), _HOUR).astype("float64")


def _walk(unit: str, times: Times, recorded: pd.Series | None) -> Values:
    """The worth at each time, and at the end of the last row."""
    level, volatility = _WORTH[unit]
    chance = np.random.default_rng(zlib.crc32(unit.encode()))
    steps = _steps(times) / _YEAR
    decay = np.exp(-_RETURN * np.cumsum(steps))
    away = decay * np.cumsum(volatility * np.sqrt(steps) * chance.standard_normal(len(times)) / decay)
    walk: Values = level * np.exp(np.r_[0.0, away])
    return walk if recorded is None else _joined(walk, np.r_[times, times[-1] + 60], recorded)


def _joined(walk: Values, times: Times, recorded: pd.Series) -> Values:
    """The walk, which comes in its last months to where the recorded worth begins, and from there on that worth."""
    known = recorded.index.to_numpy().astype("datetime64[s]").astype("int64")
    worth = recorded.to_numpy(dtype="float64")
    rows = known.searchsorted(times, side="right") - 1
    first = times.searchsorted(known[0])
    at_first = walk[min(int(first), len(walk) - 1)]
    near = np.clip((times - (known[0] - _JOIN)) / _JOIN, 0.0, 1.0)
    return np.where(rows >= 0, worth[rows], walk * (worth[0] / at_first) ** near)
