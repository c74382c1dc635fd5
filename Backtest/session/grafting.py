"""What init() prepares, kept up to date beside what next() keeps: a merge of three versions of a strategy's attributes.

Ours is what the living strategy has, base what init() made of the bars so far, theirs what it makes of one bar more. What
init() makes differently this time it makes from the data: it takes the place of ours, unless next() has changed that.
Where both have changed an array or a list, each entry is judged by itself: so a strategy that prepares an array
as long as its data and writes into it keeps what it has written.
"""

import copy
import pickle
import random
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from types import CellType, FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_Array = npt.NDArray[Any]
_SCALARS = (int, float, complex, str, bytes, type(None), np.generic, date, timedelta)
_BACKTESTINGS = frozenset({"_indicators", "_broker", "_data", "_params"})  # of a strategy's attributes
_UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError, ValueError, NotImplementedError, RecursionError, OSError)


class Graft:
    """One merge. `foreign` objects are never looked into; what stands for them on our side is `twins`, by id.

    Objects of classes that the modules `own` define are merged attribute by attribute.
    """

    def __init__(self, foreign: tuple[type, ...], twins: Mapping[int, object], own: Collection[str]) -> None:
        self._foreign, self._twins, self._own = foreign, twins, own
        self._done: dict[int, tuple[object, Any]] = {}  # ours by id, kept alive, and what became of it

    def merged(self, ours: Any, base: Any, theirs: Any) -> Any:
        """What takes the place of ours; containers are changed in place."""
        if ours is theirs or base is theirs or isinstance(ours, self._foreign):
            return ours
        if isinstance(ours, (*_SCALARS, tuple)):  # one object may stand for many values
            return self._rule_for(ours, base, theirs)(ours, base, theirs)
        if id(ours) not in self._done:
            # a container that holds itself is met again while it is being merged
            self._done[id(ours)] = (ours, ours)
            self._done[id(ours)] = (ours, self._rule_for(ours, base, theirs)(ours, base, theirs))
        return self._done[id(ours)][1]

    def merge_mappings(self, ours: dict[Any, Any], base: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> dict[Any, Any]:
        """Key by key; what next() has added or removed stays so."""
        for key, value in theirs.items():
            if key in ours and key in base:
                ours[key] = self.merged(ours[key], base[key], value)
            elif key not in ours and key not in base:
                ours[key] = self._copied(value)
        for key in [key for key in base if key not in theirs and key in ours and self.same(ours[key], base[key])]:
            del ours[key]
        return ours

    def _rule_for(self, ours: Any, base: Any, theirs: Any) -> Callable[[Any, Any, Any], Any]:
        if not type(ours) is type(base) is type(theirs):
            return self._whole
        for kinds, rule in (
            (np.ndarray, self._arrays),
            ((pd.Series, pd.DataFrame), self._frames),
            (dict, self.merge_mappings),
            (list, self._lists),
            (tuple, self._tuples),
            (FunctionType, self._closures),
        ):
            if isinstance(ours, kinds):
                return rule
        return self._attributes if self._is_own(ours) else self._whole

    def _whole(self, ours: Any, base: Any, theirs: Any) -> Any:
        if self.same(base, theirs) or not self.same(ours, base):
            return ours
        return self._copied(theirs)

    def _arrays(self, ours: _Array, base: _Array, theirs: _Array) -> _Array:
        whole: _Array = self._whole(ours, base, theirs)
        grown = ours.ndim == theirs.ndim and all(now >= before for now, before in zip(theirs.shape, ours.shape, strict=True))
        if whole is not ours or ours.shape != base.shape or not grown or self.same(base, theirs):
            return whole
        result = theirs.copy()
        touched = ~_equal_entries(ours, base)
        result[tuple(slice(length) for length in ours.shape)][touched] = ours[touched]
        return result

    def _frames(self, ours: Any, base: Any, theirs: Any) -> Any:
        whole = self._whole(ours, base, theirs)
        if whole is not ours or self.same(base, theirs) or not len(ours) == len(base) <= len(theirs):
            return whole
        if isinstance(ours, pd.Series):
            return pd.Series(self._column(ours, base, theirs), index=theirs.index, name=theirs.name)
        shared = [name for name in ours.columns if name in base.columns and name in theirs.columns]
        if len({*shared}) != len(theirs.columns) or len(shared) != len(ours.columns):
            return whole
        columns = {name: self._column(ours[name], base[name], theirs[name]) for name in shared}
        return pd.DataFrame(columns, index=theirs.index, columns=theirs.columns)

    def _column(self, ours: pd.Series, base: pd.Series, theirs: pd.Series) -> _Array:
        return self._arrays(ours.to_numpy(), base.to_numpy(), theirs.to_numpy())

    def _lists(self, ours: list[Any], base: list[Any], theirs: list[Any]) -> list[Any]:
        if len(ours) != len(base):
            return ours  # next() adds to it, or takes from it
        if _all_scalars(ours) and _all_scalars(base) and ours == base:
            ours[:] = theirs  # thousands of numbers at once
            return ours
        merged = [self.merged(*each) for each in zip(ours, base, theirs, strict=False)]
        ours[:] = merged + [self._copied(value) for value in theirs[len(base) :]]
        return ours

    def _tuples(self, ours: Any, base: Any, theirs: Any) -> Any:
        if not len(ours) == len(base) == len(theirs):
            return self._whole(ours, base, theirs)
        merged = [self.merged(*each) for each in zip(ours, base, theirs, strict=True)]
        if all(new is old for new, old in zip(merged, ours, strict=True)):
            return ours
        return type(ours)._make(merged) if hasattr(ours, "_make") else tuple(merged)

    def _closures(self, ours: FunctionType, base: FunctionType, theirs: FunctionType) -> FunctionType:
        if ours.__code__ is base.__code__ is theirs.__code__:
            for cells in zip(ours.__closure__ or (), base.__closure__ or (), theirs.__closure__ or (), strict=True):
                self._cell(cells)
        return ours

    def _cell(self, cells: tuple[CellType, CellType, CellType]) -> None:
        try:
            values = [cell.cell_contents for cell in cells]
        except ValueError:
            return  # a variable that has no value yet
        cells[0].cell_contents = self.merged(*values)

    def _attributes(self, ours: Any, base: Any, theirs: Any) -> Any:
        self.merge_mappings(vars(ours), vars(base), vars(theirs))
        return ours

    def _is_own(self, value: Any) -> bool:
        """Of other people's classes nobody can say which attributes belong together: they are taken or left as a whole."""
        return hasattr(value, "__dict__") and (type(value).__module__ in self._own or isinstance(value, SimpleNamespace))

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are the same, NaN and NaN among them; of what nobody can look into they are not."""
        if one is other:
            return True
        if type(one) is not type(other):
            return False
        if isinstance(one, np.ndarray):
            return one.shape == other.shape and one.dtype == other.dtype and _equal_bytes(one, other)
        if isinstance(one, (pd.Series, pd.DataFrame, pd.Index)):
            return one.equals(other)
        if isinstance(one, _SCALARS):
            return bool(one == other or (one != one and other != other))  # NaN is not equal to itself
        if isinstance(one, (list, tuple)):
            return len(one) == len(other) and all(map(self.same, one, other))
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(self.same(one[key], other[key]) for key in one)
        pickled = self._pickled(one)
        return pickled is not None and pickled == self._pickled(other)

    def _copied(self, value: Any) -> Any:
        """A copy that shares nothing with the scratch instance: what belongs to that becomes what belongs to the living one."""
        if isinstance(value, (np.ndarray, pd.Series, pd.DataFrame, pd.Index)):
            return value.copy()
        if type(value) in (list, tuple, set):
            return type(value)(map(self._copied, value))
        if type(value) is dict:
            return {key: self._copied(item) for key, item in value.items()}
        try:
            return copy.deepcopy(value, dict(self._twins))  # deepcopy takes these for copies that it has made already
        except _UNPICKLABLE:
            return value

    def _pickled(self, value: object) -> bytes | None:
        """The content of an object of an unknown kind; None where it cannot be seen."""
        sink = _Sink()
        pickler = _Pickler(sink)
        pickler.foreign = self._foreign
        try:
            pickler.dump(value)
        except _UNPICKLABLE:
            return None
        return bytes(sink)


class _Sink(bytearray):
    def write(self, data: bytes) -> None:
        self.extend(data)


class _Pickler(pickle.Pickler):
    foreign: tuple[type, ...] = ()

    def persistent_id(self, value: object) -> str | None:
        return type(value).__name__ if isinstance(value, self.foreign) else None


def without_own(strategy: object) -> dict[str, Any]:
    """The attributes of a strategy that backtesting.py has not given it."""
    return {name: value for name, value in vars(strategy).items() if name not in _BACKTESTINGS}


@contextmanager
def leaving_no_trace(strategy: type, until: type) -> Iterator[None]:
    """What init() does outside its instance happens once in a backtest: class attributes (of `strategy` and its bases
    below `until`) and the random generators of Python and NumPy are afterwards as they were; warnings have been told.
    """
    classes = [base for base in strategy.__mro__ if issubclass(base, until) and base is not until]
    before = [(base, name, value, _contents(value)) for base in classes for name, value in vars(base).items() if _is_state(name, value)]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        _put_back(classes, before)


def _put_back(classes: list[type], before: list[tuple[type, str, Any, Any]]) -> None:
    known = {(base, name) for base, name, *_ in before}
    for base in classes:
        for name in [name for name, value in vars(base).items() if _is_state(name, value) and (base, name) not in known]:
            delattr(base, name)
    for base, name, value, contents in before:
        if vars(base).get(name) is not value:
            setattr(base, name, value)
        if contents is not None:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(contents)


def _is_state(name: str, value: object) -> bool:
    return not (name.startswith("__") or name == "_abc_impl" or callable(value) or hasattr(value, "__get__"))


def _contents(value: Any) -> Any:
    return copy.copy(value) if type(value) in (list, dict, set) else None


def _all_scalars(values: Iterable[object]) -> bool:
    return all(issubclass(kind, _SCALARS) for kind in {*map(type, values)})


def _equal_bytes(one: _Array, other: _Array) -> bool:
    return bool(_equal_entries(one, other).all()) if one.dtype.hasobject else one.tobytes() == other.tobytes()


def _equal_entries(one: _Array, other: _Array) -> npt.NDArray[np.bool_]:
    left, right = np.asarray(one), np.asarray(other)
    return np.asarray((left == right) | ((left != left) & (right != right)), dtype=bool)  # NaN is not equal to itself
