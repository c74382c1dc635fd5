"""Backtests that are played here rather than by `Backtest.run`, so that one can look at a strategy while it goes on.

`prepare` is init() alone, `play` a backtest as `Backtest.run` makes it (backtesting 0.6.6), and `play_honestly` the same
with init() evaluated again on each bar, on no more than the bars up to it: what it makes of them is merged into the living
strategy. What init() and next() do to class attributes and random generators is undone afterwards.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from backtesting import Strategy
from backtesting._stats import compute_stats
from backtesting._util import _Data, _Indicator, _indicator_warmup_nbars, _strategy_indicators
from backtesting.backtesting import Order, Position, Trade, _Broker, _OutOfMoneyError

from Backtest.fractional import FractionalUnit
from Backtest.session.grafting import Graft, leaving_no_trace, without_own

Column = npt.NDArray[np.float64]
Indicator = _Indicator  # what self.I makes
Orders = tuple[tuple[float | None, ...], ...]
State = tuple[Orders, Orders]
"""After next(): the orders that wait (size, limit, stop, sl, tp), and the open trades (size, bar and price of entry)."""

_BROKER_SETTINGS = ("cash", "spread", "commission", "margin", "trade_on_close", "hedging", "exclusive_orders")
_FOREIGN = (Strategy, _Broker, _Data, Order, Trade, Position, type, ModuleType)
_FAILURES = (Exception, SystemExit)
RANGE = "_TrailingStrategy__atr"  # backtesting.lib's one: what it has not got yet is filled in from later bars


@dataclass(frozen=True, slots=True)
class Subject:
    """A strategy, all of `backtesting.Backtest`'s settings, and the strategy's parameters."""

    cls: type[Strategy]
    backtest: Mapping[str, Any]
    params: Mapping[str, Any]


class InitFailed(Exception):
    """The strategy's init() raised; on few bars that may be for want of more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What init() has made: every indicator and data column by name, one value a bar, and the other attributes."""

    columns: Mapping[str, Column]
    attributes: Mapping[str, Any]
    lacks_range: bool  # a TrailingStrategy without any value of its range yet


@dataclass(slots=True)
class Played:
    """A backtest: the state after each bar (None where next() was not called), and how it failed, if so."""

    states: list[State | None]
    failure: str = ""  # what it raised, "" when nothing
    failed_at: int | None = None  # the bar of that
    counted: "Callable[[], pd.Series[Any]]" = lambda: pd.Series(dtype=object)

    @property
    def stats(self) -> "pd.Series[Any]":
        """backtesting.py's statistics; empty where next() was never called. Each time they are counted anew."""
        return self.counted()


Watch = Callable[[int, Mapping[str, Column]], None]
Frame = Callable[[int], AbstractContextManager[None]]
"""What surrounds everything that is done with so many bars."""


def prepare(subject: Subject, bars: pd.DataFrame, *, seed: int | None = None) -> Prepared:
    """What init() makes of these bars. Raises InitFailed."""
    with _undone(subject.cls, seed):
        strategy = _initialised(subject, bars)
    atr = vars(strategy).get(RANGE)
    lacks_range = isinstance(atr, np.ndarray) and bool(np.isnan(atr).all())
    return Prepared(_columns(strategy), without_own(strategy), lacks_range)


def play(subject: Subject, bars: pd.DataFrame, *, seed: int | None = None) -> Played:
    """The backtest of `Backtest.run` on these bars. Raises InitFailed."""
    with _undone(subject.cls, seed):
        strategy = _initialised(subject, bars)
        stage = _Stage(strategy, bars, subject.backtest)
        indicators = _strategy_indicators(strategy)
        for i in range(1 + int(_indicator_warmup_nbars(strategy)), len(bars)):
            strategy._data._set_length(i + 1)
            for name, indicator in indicators:
                setattr(strategy, name, indicator[..., : i + 1])
            if not stage.step(i):
                break
        strategy._data._set_length(len(bars))
        return stage.end()


def play_honestly(
    subject: Subject, bars: pd.DataFrame, *, surround: Frame = lambda _: nullcontext(), watch: Watch = lambda *_: None
) -> Played:
    """The backtest of a strategy that sees no bar before its time; `watch` is shown what init() makes of the first so many bars."""
    with _undone(subject.cls, None):
        return _Growing(subject, bars).played(surround, watch)


class _Stage:
    """The part of `Backtest.run` behind init(): broker and strategy take turns."""

    def __init__(self, strategy: Strategy, bars: pd.DataFrame, settings: Mapping[str, Any]) -> None:
        self._strategy, self._broker, self._bars, self._settings = strategy, strategy._broker, bars, settings
        self._steps, self._ruined = 0, False
        self.played = Played([None] * len(bars))

    def step(self, i: int) -> bool:
        """Bar i; False when the backtest ends with it."""
        self._steps += 1
        try:
            self._broker.next()  # it fails for levels that an order may be placed with, and no trade may have
            self._strategy.next()
        except _OutOfMoneyError:
            self._ruined = True
            return False
        except _FAILURES as error:
            self.played.failure, self.played.failed_at = repr(error), i
            return False
        self.played.states[i] = _state(self._broker)
        return True

    def end(self) -> Played:
        """Close what is open, if that is wanted."""
        played = self.played
        if not played.failure and not self._ruined and self._settings.get("finalize_trades"):
            self._finalize()
        played.counted = self._stats
        return played

    def _stats(self) -> "pd.Series[Any]":
        broker = self._broker
        equity = pd.Series(broker._equity).bfill().fillna(broker._cash).to_numpy()
        with np.errstate(invalid="ignore"):  # as in Backtest.run
            return compute_stats(broker.closed_trades, equity, self._bars, self._strategy, risk_free_rate=0.0)

    def _finalize(self) -> None:
        for trade in reversed(self._broker.trades):
            trade.close()
        if self._steps:
            try:
                self._broker.next()
            except _OutOfMoneyError:
                self._ruined = True


class _Growing:
    """A strategy whose data grow by a bar each time."""

    def __init__(self, subject: Subject, bars: pd.DataFrame) -> None:
        self._subject, self._bars = subject, bars
        self._stage: _Stage | None = None
        self._living: Strategy
        self._base: Strategy
        self._indicators: dict[str, _Indicator] = {}
        self._start: int | None = None
        own = {base.__module__ for base in subject.cls.__mro__ if issubclass(base, Strategy)}
        self._own = own - {Strategy.__module__}
        with leaving_no_trace(subject.cls, Strategy):
            # a backtest does not wait for an indicator that has no value on any bar
            self._never = {name for name, first in _first_values(_initialised(subject, bars)).items() if first is None}

    def played(self, surround: Frame, watch: Watch) -> Played:
        for length in range(2, len(self._bars) + 1):
            with surround(length):
                if not self._grow(length, watch):
                    continue
                start = self._started_at()
                if start is not None and length > start and not self._playing.step(length - 1):
                    break
        return self._stage.end() if self._stage else Played([None] * len(self._bars), failure="init() fails on every bar")

    @property
    def _playing(self) -> _Stage:
        assert self._stage is not None
        return self._stage

    def _started_at(self) -> int | None:
        """The first bar on which next() is called; None while it has not come."""
        if self._start is None:
            firsts = [first for name, first in _first_values(self._living).items() if name not in self._never]
            waits = any(first is None for first in firsts)
            self._start = None if waits else 1 + max((first for first in firsts if first is not None), default=0)
        return self._start

    def _grow(self, length: int, watch: Watch) -> bool:
        bars, subject = self._bars.iloc[:length], self._subject
        try:
            with leaving_no_trace(subject.cls, Strategy):
                scratch = _initialised(subject, bars)
            if self._stage is None:
                self._living = _initialised(subject, bars, index=self._bars.index)
        except InitFailed:
            return False
        watch(length, _columns(scratch))
        if self._stage is None:
            self._stage = _Stage(self._living, self._bars, subject.backtest)
            self._indicators = dict(_strategy_indicators(self._living))
        else:
            self._graft(scratch)
        self._base = scratch
        return True

    def _graft(self, scratch: Strategy) -> None:
        living = self._living
        twins = {id(scratch): living, id(scratch._broker): living._broker, id(scratch._data): living._data}
        vars(living).update(self._indicators)
        Graft(_FOREIGN, twins, self._own).merge_mappings(vars(living), without_own(self._base), without_own(scratch))
        self._indicators = {name: vars(living)[name] for name, _ in _strategy_indicators(scratch)}
        living._indicators = scratch._indicators
        vars(living._data).update(vars(scratch._data))


@contextmanager
def _undone(cls: type[Strategy], seed: int | None) -> Iterator[None]:
    with leaving_no_trace(cls, Strategy), np.errstate(invalid="ignore"):
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # the generator that strategies share
        yield


def _initialised(subject: Subject, bars: pd.DataFrame, index: pd.Index | None = None) -> Strategy:
    data = _Data(FractionalUnit.of(subject.backtest).frame(bars).copy(deep=False))
    settings = {name: subject.backtest[name] for name in _BROKER_SETTINGS}
    broker = _Broker(data=data, index=data.index if index is None else index, **settings)
    try:
        strategy: Strategy = subject.cls(broker, data, dict(subject.params))
        strategy.init()
    except _FAILURES as error:
        raise InitFailed(repr(error.__cause__ or error)) from error
    data._update()
    return strategy


def _first_values(strategy: Strategy) -> dict[str, int | None]:
    """Of each indicator the first bar on which all its rows have a value; None where there is none yet."""
    values = {name: ind.astype(float) for name, ind in _strategy_indicators(strategy) if not ind._opts["scatter"]}
    values |= {RANGE: atr} if isinstance(atr := vars(strategy).get(RANGE), np.ndarray) else {}
    missing = {name: np.atleast_2d(np.isnan(rows)) for name, rows in values.items()}
    return {name: None if rows.all(axis=-1).any() else int(rows.argmin(axis=-1).max()) for name, rows in missing.items()}


def _state(broker: _Broker) -> State:
    orders = tuple((order.size, order.limit, order.stop, order.sl, order.tp) for order in broker.orders)
    return orders, tuple((trade.size, trade.entry_bar, trade.entry_price) for trade in broker.trades)


def _columns(strategy: Strategy) -> dict[str, Column]:
    named: dict[str, Any] = {f"self.{name}": indicator for name, indicator in _strategy_indicators(strategy)}
    attributes = list(named.values())
    for indicator in strategy._indicators:
        if not any(each is indicator or each.base is indicator for each in attributes):
            named.setdefault(f"self.I({indicator.name})", indicator)
    frame = strategy._data.df
    named |= {f"self.data.{name}": frame[name].to_numpy() for name in frame.columns}
    return dict(_rows(named))


def _rows(named: Mapping[str, Any]) -> Iterator[tuple[str, Column]]:
    for name, values in named.items():
        try:
            numbers = np.array(values, dtype=float)
        except (TypeError, ValueError):
            continue  # words
        if numbers.ndim == 1:
            yield name, numbers
        else:
            yield from ((f"{name}[{row}]", line) for row, line in enumerate(numbers.reshape(-1, numbers.shape[-1])))


def decided_bars(states: Sequence[State | None]) -> list[int]:
    """The bars on which a strategy ordered something: an order waits that did not wait before."""
    found, before = [], frozenset[tuple[float | None, ...]]()
    for bar, state in enumerate(states):
        now = frozenset(state[0]) if state else frozenset()
        found += [bar] if now - before else []
        before = now
    return found
