"""Closed bars in arrays that grow, and the data that a strategy is given of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from backtesting._util import _Array, _Data

from Backtest.decisions import Bar

COLUMNS = ("Open", "High", "Low", "Close", "Volume")
_COLUMN_INDEX = pd.Index(COLUMNS)
_ROOM = 1024


class GrowingBars:
    """Closed bars, oldest first.

    `further` are columns that a backtest has beside the five, by the time of the bar: of them, too, nothing is given out before
    its bar has closed. What it has of the five is left alone.
    """

    def __init__(self, further: pd.DataFrame | None = None) -> None:
        self._further = None if further is None else further.drop(columns=list(COLUMNS), errors="ignore")
        self._length = 0
        self._stamps = np.empty(_ROOM, dtype="datetime64[us]")  # the unit that pandas gives to times it has read
        self._values = np.empty((len(COLUMNS), _ROOM), dtype="float64")

    def __len__(self) -> int:
        return self._length

    def append(self, bar: Bar) -> None:
        """Add the bar that has closed."""
        self._reserve(self._length + 1)
        self._stamps[self._length] = np.datetime64(bar.epoch, "s")
        self._values[:, self._length] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        self._length += 1

    def extend(self, frame: pd.DataFrame) -> None:
        """Add all bars of a frame."""
        end = self._length + len(frame)
        self._reserve(end)
        self._stamps[self._length : end] = frame.index.to_numpy()
        self._values[:, self._length : end] = frame[list(COLUMNS)].to_numpy(dtype="float64").T
        self._length = end

    @property
    def has_further(self) -> bool:
        """Whether bars have more columns than five."""
        return self._further is not None and bool(len(self._further.columns))

    def data(self, newest: int | None = None) -> "Prices":
        """All bars, or the newest, as a strategy's data; no prices are shared with what was given out before."""
        first = 0 if newest is None else max(0, self._length - newest)
        index = pd.DatetimeIndex(self._stamps[first : self._length])
        further = self._further.reindex(index) if self._further is not None and self.has_further else None
        return Prices(index, self._values[:, first : self._length].copy(), further)

    def shared(self) -> "Prices":
        """All bars as a strategy's data, without a copy of them."""
        return Prices(pd.DatetimeIndex(self._stamps[: self._length]), self._values[:, : self._length])

    def _reserve(self, wanted: int) -> None:
        if wanted > len(self._stamps):
            room = max(wanted, 2 * len(self._stamps)) - len(self._stamps)
            self._stamps = np.concatenate([self._stamps, np.empty(room, dtype=self._stamps.dtype)])
            self._values = np.concatenate([self._values, np.empty((len(COLUMNS), room))], axis=1)


class Prices(_Data):
    """backtesting.py's data object, made without copying each column through pandas: there is one for every bar."""

    def __init__(self, index: pd.DatetimeIndex, values: npt.NDArray[np.float64], further: pd.DataFrame | None = None) -> None:
        self._values = values
        frame = pd.DataFrame(values.T, index=index, columns=_COLUMN_INDEX, copy=False)
        arrays: dict[str, Any] = {name: _Array(row, name=name, index=index) for name, row in zip(COLUMNS, values, strict=True)}
        self._Data__df, self._Data__len, self._Data__pip = frame, len(index), None
        self._Data__cache: dict[str, Any] = {}
        self._Data__arrays = arrays | {"__index": index}
        if further is not None:
            self._Data__df = pd.concat([frame, further], axis=1)
            self._update()  # type: ignore[no-untyped-call]

    def newest(self, bars: int) -> npt.NDArray[np.float64]:
        """The columns of so many of the newest bars, a row for each."""
        return self._values[:, -bars:]

    def is_untouched(self, given: "Prices") -> bool:
        """Whether init() has neither added to the data nor changed them; `given` are the same bars."""
        return self._is_one_block() and bool(np.array_equal(self._values, given._values[:, -len(self) :], equal_nan=True))

    def _is_one_block(self) -> bool:
        # a frame that is still one block shares its memory with our arrays: writing into it has reached them
        return bool(np.may_share_memory(self._Data__df.to_numpy(), self._values))

    def follow_frame(self) -> None:
        """Take over what init() has added to `data.df`, or changed in it."""
        if not self._is_one_block():
            self._update()  # type: ignore[no-untyped-call]
            self._Data__cache.clear()  # init() may have looked at a column before it changed it

    def become(self, other: "Prices") -> None:
        """Show the bars of another one: strategies keep references to their data object."""
        vars(self).update(vars(other))
