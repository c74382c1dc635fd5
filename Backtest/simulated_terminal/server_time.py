"""The server's clock, which is what every time of a terminal shows, and how far it is ahead of UTC.

Brokers let their day end when New York's does, at 17:00 there, so that a week has five daily bars: their clock is seven
hours ahead of New York all year, UTC+2 in its winter and UTC+3 in its summer. Others keep the time of a European city.
Source: https://www.mql5.com/en/articles/9929 (how brokers time their prices over the changes).

All moments are seconds since 1970; those of the server are its wall clock written as if it were UTC.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from Backtest.errors import BadInput

_HOUR = 3600
_NAMES = {"new-york": ("America/New_York", 7), "europe": ("Europe/Helsinki", 0), "utc": ("UTC", 0)}
_WANT = "want new-york (its day ends at 17:00 there), europe (UTC+2, in summer UTC+3), utc, a fixed +3 or -5, or a zone such as Asia/Tokyo"


@dataclass(frozen=True, slots=True)
class ServerTime:
    """A wall clock: that of a time zone, so many hours ahead."""

    zone: ZoneInfo
    hours_ahead: float = 0.0

    def offset(self, utc: float) -> int:
        """How many seconds the server's clock is ahead of UTC at a moment.

        >>> newyork = server_time("new-york")
        >>> [newyork.offset(moment) // 3600 for moment in (1_704_067_200, 1_719_792_000)]    # January, July 2024
        [2, 3]
        """
        local = datetime.fromtimestamp(utc, UTC).astimezone(self.zone).utcoffset()
        assert local is not None
        return int(local.total_seconds() + self.hours_ahead * _HOUR)

    def to_server(self, utc: float) -> float:
        """What the server's clock shows at a moment."""
        return utc + self.offset(utc)

    def to_utc(self, server: float) -> float:
        """The moment at which the server's clock shows a time.

        A time that it shows twice, when the clocks are put back, is the first; one that it never shows, when they are
        put forward, is the moment of that.
        """
        whole, rest = divmod(server - self.hours_ahead * _HOUR, 1)
        shown = pd.Timestamp(int(whole), unit="s").tz_localize(self.zone, ambiguous=True, nonexistent="shift_forward")
        return shown.timestamp() + rest

    def frame(self, prices: pd.DataFrame) -> pd.DataFrame:
        """A frame of bars or ticks whose naive times are UTC, on the server's clock.

        The hour that the clock shows twice in autumn has its first pass only: prices are in order and none is there twice.
        That is on a Sunday, when currencies are closed; of what is traded all week one hour a year is left out [I].
        """
        there = pd.DatetimeIndex(prices.index).tz_localize("UTC").tz_convert(self.zone)
        shown = there.tz_localize(None)
        first_pass = shown.tz_localize(self.zone, ambiguous=np.ones(len(shown), dtype=bool)) == there
        moved = prices.set_axis(shown + timedelta(hours=self.hours_ahead), axis=0)
        return moved.iloc[np.flatnonzero(first_pass)]


def server_time(text: str) -> ServerTime:
    """The clock that a text names. Raises BadInput for another text.

    >>> server_time("+3").to_server(0) / 3600, server_time("new-york").to_server(1_704_067_200) - 1_704_067_200
    (3.0, 7200)
    """
    name = text.strip()
    fixed = re.fullmatch(r"(?:UTC)?([+-]\d\d?(?:\.5)?)", name, re.IGNORECASE)
    if fixed and abs(float(fixed[1])) <= 14:
        return ServerTime(_zone("UTC", text), float(fixed[1]))
    zone, hours = _NAMES.get(name.lower(), (name, 0))
    return ServerTime(_zone(zone, text), hours)


def _zone(name: str, text: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"server time {text!r}: {_WANT}") from None


UTC_TIME = server_time("utc")
