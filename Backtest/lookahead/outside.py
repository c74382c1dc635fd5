"""Data that a strategy has from elsewhere than its bars, cut off at a moment.

A module that reads a price file, a class that prepares signals, a function that closes over a frame: what these hold is
there whole before the first bar. Rows named by times, and arrays of one value a bar, can be cut to what was known.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from backtesting import Strategy

_PARTS = 50  # entries of a dict that are looked into


@dataclass(frozen=True, slots=True)
class _Held:
    name: str
    value: Any
    put: Callable[[Any], None]


class Outside:
    """What the module, the classes and the functions of a strategy hold beside its bars.

    `names` are those that could be cut: "PRICES", "MyStrategy.signal".
    """

    def __init__(self, cls: type[Strategy], index: pd.Index) -> None:
        self._index = index
        seen: dict[str, _Held] = {}
        for held in _held_by(cls):
            if self._can_be_cut(held.value):
                seen.setdefault(held.name, held)
        self._held = tuple(seen.values())
        self.names = tuple(seen)

    @contextmanager
    def cut_to(self, bars: int, *, only: str = "") -> Iterator[None]:
        """Show only what was known when so many bars were; of the one that is named, or of all."""
        cut = [held for held in self._held if only in ("", held.name)]
        try:
            for held in cut:
                held.put(self._cut(held.value, bars))
            yield
        finally:
            for held in cut:
                held.put(held.value)

    @contextmanager
    def turned_round(self, name: str) -> Iterator[None]:
        """Show what is held under this name with its last row first: whoever does not look at it will not notice."""
        held = next(each for each in self._held if each.name == name)
        try:
            held.put(_turned(held.value))
            yield
        finally:
            held.put(held.value)

    def columns(self) -> Iterator[tuple[str, str, npt.NDArray[np.float64]]]:
        """Every series of numbers, one a bar of the strategy: the name it is held under, its own name, its values."""
        for held in self._held:
            parts = held.value.items() if isinstance(held.value, dict) else [("", held.value)]
            for key, part in parts:
                where = f"{held.name}[{key!r}]" if key != "" else held.name
                for column, values in self._series(part):
                    yield held.name, where + column, values

    def _series(self, value: Any) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
        rows = value.reindex(self._index) if self._is_by_time(value) and value.index.is_unique else value
        named = {f"[{name!r}]": rows[name] for name in rows.columns} if isinstance(rows, pd.DataFrame) else {"": rows}
        for name, column in named.items():
            try:
                numbers = np.asarray(column, dtype=float)
            except (TypeError, ValueError):
                continue  # words
            if numbers.shape == (len(self._index),):
                yield name, numbers

    def _can_be_cut(self, value: Any) -> bool:
        if isinstance(value, dict):
            return 0 < len(value) <= _PARTS and any(self._can_be_cut(part) for part in value.values() if not isinstance(part, dict))
        if self._is_by_time(value):
            return bool(value.index[-1] > self._index[0])
        rows = isinstance(value, (np.ndarray, pd.Series, pd.DataFrame, list, tuple)) and np.shape(value)[:1]
        return rows == (len(self._index),)

    def _is_by_time(self, value: Any) -> bool:
        frame = isinstance(value, (pd.Series, pd.DataFrame)) and len(value) > 0
        if not (frame and isinstance(value.index, pd.DatetimeIndex) and isinstance(self._index, pd.DatetimeIndex)):
            return False
        return value.index.tz == self._index.tz and value.index.is_monotonic_increasing

    def _cut(self, value: Any, bars: int) -> Any:
        if isinstance(value, dict):
            return {key: self._cut(part, bars) if self._can_be_cut(part) else part for key, part in value.items()}
        if self._is_by_time(value):
            return value[value.index <= self._index[bars - 1]]
        return value.iloc[:bars] if isinstance(value, (pd.Series, pd.DataFrame)) else value[:bars]


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(part) if isinstance(part, (np.ndarray, pd.Series, pd.DataFrame)) else part for key, part in value.items()}
    if isinstance(value, (pd.Series, pd.DataFrame)):
        turned = value.iloc[::-1]
        turned.index = value.index
        return turned
    return value[::-1]


def _held_by(cls: type[Strategy]) -> Iterator[_Held]:
    for base in (base for base in cls.__mro__ if issubclass(base, Strategy) and not base.__module__.startswith("backtesting.")):
        for name, value in list(vars(base).items()):
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                yield from _closed_over(function, name)
            elif not name.startswith("__"):
                yield _Held(f"{base.__name__}.{name}", value, lambda new, base=base, name=name: setattr(base, name, new))  # type: ignore[misc]
        module = sys.modules.get(base.__module__)
        names = vars(module) if module else {}
        for name, value in list(names.items()):
            if isinstance(value, FunctionType) and value.__module__ == base.__module__:
                yield from _closed_over(value, name)
            elif not name.startswith("__"):
                yield _Held(name, value, lambda new, names=names, name=name: names.__setitem__(name, new))  # type: ignore[misc]


def _closed_over(function: FunctionType, where: str) -> Iterator[_Held]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue  # no value yet
        yield _Held(f"{name} in {where}()", value, lambda new, cell=cell: setattr(cell, "cell_contents", new))  # type: ignore[misc]
