"""init() on the newest bars alone, for as long as it makes of them what it makes of all bars."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from backtesting import Strategy
from backtesting._util import _Indicator, _strategy_indicators

from Backtest.session.agreement import agree, allowed
from Backtest.session.columns import Prices
from Backtest.session.grafting import without_own

CHECKED_EVERY = 250  # bars
TRIED = 4  # the newest values of so many parts of the window are compared before any are used
NEWEST = 2  # values that a decision hangs on: a crossing looks at two
ROUND = 1e5  # tolerances: so far apart are the round numbers, such as 30 and 70, that an indicator is compared with

_Array = npt.NDArray[Any]


class Window:
    """The newest `bars` bars, and the indicators that grow by what init() makes of them.

    They are trusted where init() has made the same of them as of all bars: every indicator's newest values, within the
    tolerance of `allowed`, and every other attribute. Every 250 bars all values that were used since are compared with those
    of all bars. What differs once is evaluated on all bars from then on; `refused` says what it was.

    Where an indicator is as near as that tolerance to another one, to a price, to a value of the bar before or to a round number,
    its last bits may decide: such a bar is evaluated on all. Whole numbers and prices that it picks have no other bits.
    """

    def __init__(self, bars: int | None, same: Callable[[Any, Any], bool]) -> None:
        self._same = same
        self.bars = bars or 0
        self.refused = "" if bars else "it was not asked for"
        self.is_trusted = False
        self.grown = 0  # bars since the last evaluation on all of them
        self._is_close = False  # the last bits may decide
        self._allowed: dict[str, list[float]] = {}  # of each line of an indicator: what it may be off by
        self._loose: dict[str, list[float]] = {}  # those of them whose last bits may be others
        self._rows: dict[str, _Array] = {}  # of each indicator, with room for more bars
        self._others: Mapping[str, Any] = {}  # what init() makes besides

    @property
    def wants_all(self) -> bool:
        """Whether all bars are to be evaluated for the newest one: it is time to compare, or the last bits may decide."""
        return self._is_close or self.grown >= CHECKED_EVERY

    def refuse(self, why: str) -> None:
        """Use all bars from now on."""
        self.refused, self.is_trusted = why, False

    def try_on(self, whole: Strategy, newest: Strategy, given: Prices) -> None:
        """Trust the window where both evaluations, of all bars and of the newest, have made the same; `given` are all bars."""
        made, wanted = _lines(newest), _lines(whole)
        if not _are_alike(made, wanted):
            self.refuse("its indicators are others")
        elif differing := self._different(_others(whole), _others(newest)):
            self.refuse(f"self.{differing} is something else")
        elif not newest._data.is_untouched(given):
            self.refuse("init() changes self.data")
        else:
            self._allowed = {name: [allowed(line) for line in _numbers(values)] for name, values in wanted.items()}
            prices = newest._data.newest(self.bars)
            self._loose = {name: self._allowed[name] for name, values in made.items() if not _has_no_other_bits(values, prices)}
            self._compare(made, wanted, max(NEWEST, self.bars // TRIED))
        self.is_trusted, self._others, self._rows, self.grown = not self.refused, _others(newest), {}, 0

    def grow(self, indicators: Mapping[str, _Indicator], newest: Strategy, data: Prices) -> dict[str, _Indicator] | None:
        """The indicators of all bars up to the new one; None where init() has made something else of the newest bars than before."""
        made = _lines(newest)
        if not _are_alike(made, indicators):
            self.refuse("its indicators are others")
        elif differing := self._different(self._others, _others(newest)):
            self.refuse(f"self.{differing} is something else")
        if self.refused:
            return None
        self.grown += 1
        longer = {name: self._longer(name, indicators[name], made[name], data.index) for name in indicators}
        self._is_close = self._may_hang_on_bits(longer, data)
        return longer

    def check(self, whole: Strategy) -> None:
        """Compare what was used since the last time with what init() makes of all bars."""
        wanted = _lines(whole)
        grown = {name: rows[..., : len(whole._data)] for name, rows in self._rows.items()}
        if not self.refused and self.grown:
            self._compare(grown, wanted, self.grown)
        self._rows, self.grown, self._is_close = {}, 0, False

    def _may_hang_on_bits(self, indicators: Mapping[str, _Indicator], data: Prices) -> bool:
        if not self._loose:
            return False
        lines = np.concatenate([_numbers(values[..., -NEWEST:]) for values in indicators.values()] + [data.newest(NEWEST)])
        known = [tolerance for name in indicators for tolerance in self._loose.get(name, [0.0] * len(self._allowed[name]))]
        tolerances = np.array(known + [0.0] * (len(lines) - len(known)))  # prices are what they are
        loose = np.flatnonzero(tolerances)
        allowances = tolerances[loose, None] + tolerances
        # where those of the bar before were as near to each other, that bar was evaluated on all: they have all their bits
        now, before = lines[:, -1], lines[:, 0]
        from_now, from_before = np.abs(now[loose, None] - now), np.abs(now[loose, None] - before)
        from_now[np.arange(len(loose)), loose] = np.inf  # each from itself
        before_from_now = np.abs(before[loose, None] - now)
        step = ROUND * 10 ** np.floor(np.log10(tolerances[loose]))
        from_round = np.abs(now[loose] - step * np.round(now[loose] / step))
        near = (from_now <= allowances, from_before <= allowances, before_from_now <= allowances, from_round <= tolerances[loose])
        return any(each.any() for each in near)

    def _longer(self, name: str, before: _Indicator, made: _Indicator, index: pd.DatetimeIndex) -> _Indicator:
        length = len(index)
        rows = self._rows.get(name)
        if rows is None or rows.shape[-1] < length:
            rows = np.empty((*before.shape[:-1], length + CHECKED_EVERY), dtype=before.dtype)
            rows[..., : length - 1] = before
            self._rows[name] = rows
        rows[..., length - 1] = np.asarray(made)[..., -1]
        return _Indicator(rows[..., :length], name=made.name, **{**made._opts, "index": index})

    def _compare(self, made: Mapping[str, _Array], wanted: Mapping[str, _Array], newest: int) -> None:
        for name, values in wanted.items():
            lines = (_numbers(made[name][..., -newest:]), _numbers(values[..., -newest:]), self._allowed[name])
            if not all(agree(*line)[0] for line in zip(*lines, strict=True)):
                self.refuse(f"self.{name} has another value")
                return

    def _different(self, wanted: Mapping[str, Any], made: Mapping[str, Any]) -> str:
        """The first attribute that is not the same in both; "" where there is none."""
        names = dict.fromkeys((*wanted, *made))
        return next((name for name in names if name not in wanted or name not in made or not self._same(wanted[name], made[name])), "")


def _lines(strategy: Strategy) -> dict[str, _Indicator]:
    return dict(_strategy_indicators(strategy))


def _others(strategy: Strategy) -> dict[str, Any]:
    lines = _lines(strategy)
    return {name: value for name, value in without_own(strategy).items() if name not in lines}


def _has_no_other_bits(values: _Array, prices: _Array) -> bool:
    """Whether an indicator has but whole numbers, such as signals, or prices that it has picked, such as the highest of some bars."""
    finite = np.asarray(values)[np.isfinite(_numbers(values)).reshape(np.shape(values))]
    return bool((finite == np.round(finite)).all() or np.isin(finite, prices).all())


def _are_alike(made: Mapping[str, _Array], wanted: Mapping[str, _Array]) -> bool:
    """Whether they are the same indicators, of the same kind."""
    if made.keys() != wanted.keys():
        return False
    return all((made[name].dtype, made[name].shape[:-1]) == (each.dtype, each.shape[:-1]) for name, each in wanted.items())


def _numbers(values: _Array) -> _Array:
    """The lines of an indicator as numbers."""
    return np.atleast_2d(np.asarray(values)).astype(float)
