"""Ticks to replay: short random walks a few seconds apart, each with a calendar of its own. The same name is the same tape."""

import functools
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from Backtest.simulated_terminal import ReplayMarket, SymbolSpec

BAR_SECONDS = 300
HISTORY_BARS = 10  # before the replay begins
SECONDS_BETWEEN_TICKS = 4.0
POINT = 1e-5
# name: the first moment of the replay, points that a tick moves by, and the pauses (after so many seconds, so long)
CALENDARS: dict[str, tuple[datetime, float, tuple[tuple[int, int], ...]]] = {
    "plain": (datetime(2024, 1, 9, 9, 0), 6.0, ()),
    "wild": (datetime(2024, 1, 9, 13, 0), 25.0, ()),
    "midnight": (datetime(2024, 1, 9, 23, 20), 6.0, ()),
    "weekend": (datetime(2024, 1, 12, 21, 20), 6.0, ((2400, 48 * 3600 + 300),)),
    "holes": (datetime(2024, 1, 9, 9, 0), 8.0, ((1500, 400), (3100, 2000))),
    "leap day": (datetime(2028, 2, 28, 23, 30), 6.0, ()),
}
SUNDAY_GAP = 120  # points that the price has moved by after a pause


@functools.lru_cache(maxsize=128)
def market(calendar: str, walk: int, bars: int, spread: int, spec: SymbolSpec) -> ReplayMarket:
    """A market of so many bars of five minutes, pauses not counted, after a little history."""
    start, _, _ = CALENDARS[calendar]
    return ReplayMarket({spec.name: (spec, ticks(calendar, walk, bars, spread))}, start=pd.Timestamp(start, tz="UTC").to_pydatetime())


def ticks(calendar: str, walk: int, bars: int, spread: int) -> pd.DataFrame:
    """The ticks; `spread` in points."""
    start, step, pauses = CALENDARS[calendar]
    random = np.random.default_rng([walk, sorted(CALENDARS).index(calendar)])
    seconds = (HISTORY_BARS + bars) * BAR_SECONDS
    gaps = random.exponential(SECONDS_BETWEEN_TICKS, size=int(seconds / SECONDS_BETWEEN_TICKS * 1.3)) + 0.2
    at = np.cumsum(gaps)
    at = at[at < seconds]
    moves = random.normal(0.0, step, size=len(at))
    passed = at - HISTORY_BARS * BAR_SECONDS
    shift = np.zeros(len(at))
    for after, pause in pauses:
        shift[passed >= after] += pause
        moves[np.searchsorted(passed, after) : np.searchsorted(passed, after) + 1] += SUNDAY_GAP
    bids = np.round(1.1 + np.cumsum(moves) * POINT, 5)
    index = pd.DatetimeIndex([start - timedelta(seconds=HISTORY_BARS * BAR_SECONDS)] * len(at)) + pd.to_timedelta(
        np.round((at + shift) * 1000), unit="ms"
    )
    return pd.DataFrame({"Bid": bids, "Ask": np.round(bids + spread * POINT, 5)}, index=index)


def ends_after(calendar: str, bars: int) -> float:
    """Seconds of virtual time that so many bars take, with the pauses among them."""
    lasts = float(bars * BAR_SECONDS)
    return lasts + sum(pause for after, pause in CALENDARS[calendar][2] if after < lasts)
