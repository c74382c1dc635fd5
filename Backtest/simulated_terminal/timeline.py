"""When the prices of which symbols change: the events of a replay, in order, without an object for each (pure)."""

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from Backtest.simulated_terminal.market import Event, Phase

_PHASES = (Phase.OPEN, Phase.REST, Phase.TICK)  # in the order in which they play at one millisecond
_RANKS = 4
Numbers = npt.NDArray[np.int64]
Prices = npt.NDArray[np.float64]


class Played(Protocol):
    """A symbol's rows (bars, ticks), each of which plays in one event or in several."""

    def moments(self) -> Iterable[tuple[Phase, Numbers]]:
        """For each phase of a row, in their order, when it comes: milliseconds that ascend."""


class Timeline:
    """The events of several symbols. What comes at the same moment in the same phase is one event, but every tick is its own."""

    def __init__(self, series: Mapping[str, Played]) -> None:
        self._names = tuple(series)
        moments = [(number, *moment) for number, one in enumerate(series.values()) for moment in one.moments()]
        keys = np.concatenate([times * _RANKS + _PHASES.index(phase) for _, phase, times in moments] or [np.zeros(0, dtype="int64")])
        owners = np.repeat([number for number, _, _ in moments], [len(times) for _, _, times in moments]).astype("int32")
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        is_new = np.diff(keys, prepend=-1) != 0
        is_new |= keys % _RANKS == _PHASES.index(Phase.TICK)
        self._owners = owners[order]
        self._firsts: Numbers = np.flatnonzero(is_new)
        self.times: Numbers = keys[self._firsts] // _RANKS
        self._phases = keys[self._firsts] % _RANKS
        self._rests: Numbers = np.flatnonzero(self._phases == _PHASES.index(Phase.REST))
        events = np.empty(len(keys), dtype="int64")
        events[order] = np.cumsum(is_new) - 1
        ends = np.cumsum([len(times) for _, _, times in moments])
        parts = np.split(events, ends[:-1]) if moments else []
        self._events: dict[str, list[Numbers]] = {name: [] for name in self._names}
        for (number, _, _), part in zip(moments, parts, strict=True):
            self._events[self._names[number]].append(part)

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, number: int) -> Event:
        first = self._firsts[number]
        end = self._firsts[number + 1] if number + 1 < len(self._firsts) else len(self._owners)
        symbols = tuple(self._names[owner] for owner in self._owners[first:end].tolist())
        return Event(int(self.times[number]), _PHASES[self._phases[number]], symbols)

    def first_from(self, time_msc: float) -> int:
        """The number of the first event at or after a moment; how many events there are, when there is none."""
        return int(self.times.searchsorted(math.ceil(time_msc)))  # a float would turn the whole array into floats

    def openings(self, number: int) -> int:
        """How many of the events before this one were openings or ticks."""
        return number - int(self._rests.searchsorted(number))

    def rows(self, symbol: str, first: int, end: int) -> tuple[int, int]:
        """The rows of a symbol that play in the events from `first` to before `end`: the first of them, and the one after the last."""
        events = self._events[symbol]
        return int(events[-1].searchsorted(first)), int(events[0].searchsorted(end))

    def event_of(self, symbol: str, row: int, first: int) -> int:
        """The first event, from `first` on, in which a row plays."""
        return next(int(events[row]) for events in self._events[symbol] if events[row] >= first)
