"""MetaTrader's 21 timeframes: their names, their constants, and where their bars begin."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from Backtest.errors import BadInput

MINUTE, HOUR, DAY = 60, 3_600, 86_400
WEEK, MONTH = 7 * DAY, 30 * DAY
FIRST_SUNDAY = 3 * DAY  # 1970-01-04; MetaTrader's weeks begin on Sunday

Epochs = npt.NDArray[np.int64]  # seconds since 1970 on the server's clock


@dataclass(frozen=True, slots=True)
class Timeframe:
    """One of MetaTrader's timeframes. All times are seconds since 1970 on the server's clock."""

    name: str  # MetaTrader's: "H1"
    mt5: int  # MetaTrader5.TIMEFRAME_H1
    seconds: int  # of one bar; nominal for MN1 (30 days)

    def __str__(self) -> str:
        return self.name

    def floor(self, epoch: int) -> int:
        """The open of the bar that contains this second.

        >>> TIMEFRAMES["H4"].floor(1_492_592_400)    # 2017-04-19 09:00 -> 08:00
        1492588800
        """
        return int(self.floors(np.array([epoch], dtype="int64"))[0])

    def next_open(self, epoch: int) -> int:
        """The open of the bar slot after the one that contains this second."""
        if self.seconds == MONTH:
            return int((_months(np.array([epoch], dtype="int64"))[0] + 1).astype("datetime64[s]").astype("int64"))
        return self.floor(epoch) + self.seconds

    def floors(self, epochs: Epochs) -> Epochs:
        """`floor` of each second of an array."""
        if self.seconds == MONTH:
            return _months(epochs).astype("datetime64[s]").astype("int64")
        first = FIRST_SUNDAY if self.seconds == WEEK else 0
        return epochs - (epochs - first) % self.seconds


def timeframe(text: str) -> Timeframe:
    """The timeframe of a name as people write it: `1h`, `H1`, `60m`, `1d`, `W1`, `1mo`, `MN1`. Raises BadInput.

    >>> timeframe("1h").name, timeframe("240min").name, timeframe("MN").name
    ('H1', 'H4', 'MN1')
    """
    word = text.strip()
    if word == "1M":
        raise BadInput("timeframe '1M' may mean a minute or a month: write M1 (or 1m) for the minute, MN1 (or 1mo) for the month")
    parts = re.fullmatch(r"(\d*)([a-z]+)(\d*)", word.lower())
    unit = _UNITS.get(parts[2]) if parts and not (parts[1] and parts[3]) else None
    if parts and unit:
        count = int(parts[1] or parts[3] or 1)
        # a month is a month, not 30 days: only its own unit names it
        found = _BY_SECONDS.get(count * unit) if (count * unit == MONTH) == (unit == MONTH) else None
        if found:
            return found
    raise BadInput(f"timeframe '{text}' is none of MetaTrader's: use one of {', '.join(TIMEFRAMES)} (or 5m, 1h, 1d, 1w, 1mo)")


def _months(epochs: Epochs) -> npt.NDArray[np.datetime64]:
    return epochs.astype("datetime64[s]").astype("datetime64[M]")


def _all() -> dict[str, Timeframe]:
    # MetaTrader5/__init__.py 5.0.6231: minutes as they are, hours | 0x4000, weeks | 0x8000, months | 0xC000
    minutes = [Timeframe(f"M{n}", n, n * MINUTE) for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)]
    hours = [Timeframe(f"H{n}", n | 0x4000, n * HOUR) for n in (1, 2, 3, 4, 6, 8, 12)]
    longer = [Timeframe("D1", 24 | 0x4000, DAY), Timeframe("W1", 1 | 0x8000, WEEK), Timeframe("MN1", 1 | 0xC000, MONTH)]
    return {each.name: each for each in minutes + hours + longer}


TIMEFRAMES: Mapping[str, Timeframe] = MappingProxyType(_all())
"""All 21, by MetaTrader's name, shortest first."""

_BY_SECONDS = {each.seconds: each for each in TIMEFRAMES.values()}
_UNITS = {
    word: seconds
    for words, seconds in (
        ("m min mins minute minutes t", MINUTE),
        ("h hr hour hours", HOUR),
        ("d day days daily", DAY),
        ("w wk week weeks weekly", WEEK),
        ("mn mo mon month months monthly", MONTH),
    )
    for word in words.split()
}
