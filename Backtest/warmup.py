"""How much history a strategy needs before it decides as if it had seen everything.

At many bars the strategy is evaluated on the last k bars alone and on all bars before, and what it makes of them is
compared: the newest values of every indicator, and what it decides there when it is shown the same account. The shortest
k that makes no difference anywhere is found by doubling and halving.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from Backtest.decisions import Account, Bar, Decision, OpenTrade
from Backtest.errors import BadInput
from Backtest.session import StrategyFailed, StrategySession
from Backtest.session.agreement import agree, allowed
from Backtest.session.playing import Column, InitFailed, Subject, decided_bars, play, prepare

NEWEST = 2  # values of each indicator that must agree: a crossing looks at two
OF_A_DECISION = 1e-6  # what the levels and sizes of a decision may be off by, of themselves
PLACES, PLACES_TO_VERIFY, PLACES_TO_DECIDE = 16, 48, 9
FEWEST_BARS = 30
SEED = 1

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much it is."""


@dataclass(frozen=True, slots=True)
class Need:
    """How many bars something needs, the one that is decided on among them."""

    name: str  # "self.fast", or "decisions"
    bars: int | None  # None: all there are, its memory has no end
    exact: bool  # bit for bit; else within the tolerance


@dataclass(frozen=True, slots=True)
class Warmup:
    """What `shortest_history` has found."""

    bars: int | None  # that make every decision what it is with all history; None: all of it is needed
    needs: tuple[Need, ...]
    measured_on: int  # bars
    places: int  # at which it was verified
    notes: tuple[str, ...]


class _Lookup:
    """What a strategy makes of the last `length` bars before a place, each evaluated once."""

    def __init__(self, subject: Subject, bars: pd.DataFrame) -> None:
        self._subject, self._bars = subject, bars
        self._whole: dict[int, Mapping[str, Column]] = {}
        self._seen: dict[tuple[int, int], Mapping[str, tuple[bool, bool]]] = {}
        whole = prepare(subject, bars, seed=SEED).columns
        self.names = tuple(name for name in whole if name.removeprefix("self.data.") not in bars.columns)
        self._allowed = {name: allowed(whole[name]) for name in self.names}

    def agreeing(self, place: int, length: int) -> Mapping[str, tuple[bool, bool]]:
        """By column: whether its newest values agree with those of all history, and whether bit for bit."""
        if (place, length) not in self._seen:
            self._seen[place, length] = self._compared(place, length)
        return self._seen[place, length]

    def _compared(self, place: int, length: int) -> Mapping[str, tuple[bool, bool]]:
        if place not in self._whole:
            self._whole[place] = self._newest(0, place)
        try:
            known = self._newest(max(0, place + 1 - length), place)
        except InitFailed:  # too few bars
            known = {}
        whole = self._whole[place]
        return {name: agree(known.get(name), whole.get(name), self._allowed[name]) for name in self.names}

    def _newest(self, first: int, place: int) -> Mapping[str, Column]:
        columns = prepare(self._subject, self._bars.iloc[first : place + 1], seed=SEED).columns
        return {name: values[-NEWEST:] for name, values in columns.items()}


def shortest_history(subject: Subject, bars: pd.DataFrame, *, progress: Progress = lambda *_: None) -> Warmup:
    """The fewest bars that a strategy must see so that it decides as if it had seen all of them.

    Indicators agree when their newest two values are the same, or differ by less than a millionth of the range of the middle
    half of their values (a fading memory, as of an exponential average); decisions when they are the same with levels and
    sizes to a millionth, once with no trade open, once with a long and once with a short one. What needs more than two
    thirds of the bars needs all history. Raises BadInput for a strategy that fails, and for fewer than 30 bars.
    """
    if len(bars) < FEWEST_BARS:
        raise BadInput(f"{len(bars)} bars are too few to measure how many a strategy needs: at least {FEWEST_BARS} are wanted")
    try:
        return _Measurement(subject, bars, progress).warmup()
    except (InitFailed, StrategyFailed) as error:
        raise BadInput(f"{subject.cls.__name__} fails on {len(bars)} bars: {error}") from error


class _Measurement:
    def __init__(self, subject: Subject, bars: pd.DataFrame, progress: Progress) -> None:
        self._subject, self._bars, self._progress = subject, bars, progress
        self._plain = play(subject, bars)
        if self._plain.failure:
            raise BadInput(f"{subject.cls.__name__} fails on {bars.index[self._plain.failed_at or 0]}: {self._plain.failure}")
        self._longest = 2 * len(bars) // 3  # every place has so many bars before it
        self._lookup = _Lookup(subject, bars)
        self._references: dict[int, tuple[Account, Sequence[Decision] | None]] = {}

    def warmup(self) -> Warmup:
        needs = [self._need(number, name) for number, name in enumerate(self._lookup.names)]
        known = [need.bars for need in needs if need.bars is not None]
        notes = []
        if self._is_random():
            notes.append("its decisions are left to chance, so that only its indicators were measured")
        else:
            needs.append(self._decisions(max(known, default=NEWEST)))
        endless = any(need.bars is None for need in needs)
        longest = max((need.bars for need in needs if need.bars is not None), default=NEWEST)
        verified = PLACES_TO_VERIFY + (0 if notes else len(self._places_to_decide()))
        return Warmup(None if endless else longest, tuple(needs), len(self._bars), verified, tuple(notes))

    # indicators

    def _need(self, number: int, name: str) -> Need:
        places = self._evenly(PLACES)
        while True:
            self._progress("Measuring indicators", number, len(self._lookup.names))
            length = self._shortest_at(places, name)
            if length is None:
                return Need(name, None, exact=True)
            failing = [place for place in self._evenly(PLACES_TO_VERIFY) if not self._lookup.agreeing(place, length)[name][0]]
            if not failing:
                exact = all(self._lookup.agreeing(place, length)[name][1] for place in places)
                return Need(name, length, exact=exact)
            places = [*places, *failing]

    def _shortest_at(self, places: Sequence[int], name: str) -> int | None:
        return _shortest(lambda length: all(self._lookup.agreeing(place, length)[name][0] for place in places), self._longest)

    def _evenly(self, count: int) -> list[int]:
        return sorted({*np.linspace(self._longest, len(self._bars) - 1, count).astype(int).tolist()})

    # decisions

    def _is_random(self) -> bool:
        return self._plain.states != play(self._subject, self._bars, seed=SEED).states

    def _places_to_decide(self) -> list[int]:
        decided = [bar for bar in decided_bars(self._plain.states) if bar >= self._longest]
        some = [decided[place] for place in np.linspace(0, len(decided) - 1, PLACES_TO_DECIDE).astype(int)] if decided else []
        return sorted({*some, *self._evenly(3)})

    def _decisions(self, at_least: int) -> Need:
        places, tried = self._places_to_decide(), []

        def enough(length: int) -> bool:
            tried.append(length)
            self._progress("Measuring decisions", len(tried), 0)
            return all(self._decides_alike(place, length, number) for number, place in enumerate(places))

        return Need("decisions", _shortest(enough, self._longest, first=at_least), exact=False)

    def _decides_alike(self, place: int, length: int, number: int) -> bool:
        if place not in self._references:
            self._references[place] = self._reference(place, number)
        account, expected = self._references[place]
        try:
            return _same(self._decides(place, length, account), expected)
        except StrategyFailed:
            return False

    def _reference(self, place: int, number: int) -> tuple[Account, Sequence[Decision] | None]:
        """The account that is shown at a place, and what is decided there after all history."""
        account = self._account(place, number)
        try:
            return account, self._decides(place, place + 1, account)
        except StrategyFailed:  # it cannot do with a trade that it has not made itself
            account = self._account(place, 0)
            return account, self._decides(place, place + 1, account)

    def _decides(self, place: int, length: int, account: Account) -> Sequence[Decision] | None:
        """What is decided at a place after so much history; None where the strategy is not ready."""
        session = StrategySession(self._subject.cls, self._subject.backtest, self._subject.params)
        session.warm_up(self._bars.iloc[max(0, place + 1 - length) : place])
        decisions = session.on_bar(_bar(self._bars, place), account)
        return None if session.warming_up else decisions

    def _account(self, place: int, number: int) -> Account:
        """No trade, a long one and a short one in turn."""
        cash, size = float(self._subject.backtest["cash"]), (0, 1, -1)[number % 3]
        if not size:
            return Account(cash)
        entry = self._bars["Open"].iloc[place]
        return Account(cash, (OpenTrade(1, size, float(entry), self._bars.index[place]),))


def _shortest(enough: Callable[[int], bool], longest: int, *, first: int = NEWEST) -> int | None:
    """The smallest length that is enough, where what is enough stays so; None when even the longest is not."""
    short, length = first - 1, first
    while not enough(length):
        if length >= longest:
            return None
        short, length = length, min(2 * length, longest)
    while length - short > 1:
        middle = (short + length) // 2
        short, length = (short, middle) if enough(middle) else (middle, length)
    return length


def _same(one: Sequence[Decision] | None, other: Sequence[Decision] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return one is None and other is None
    return all(
        type(left) is type(right) and all(map(_close, _values(left), _values(right))) for left, right in zip(one, other, strict=True)
    )


def _values(decision: Decision) -> Iterator[Any]:
    return (getattr(decision, each.name) for each in fields(decision) if each.name != "tag")


def _close(one: Any, other: Any) -> bool:
    numbers = isinstance(one, float) and isinstance(other, float)
    return bool(np.isclose(one, other, rtol=OF_A_DECISION, atol=0.0)) if numbers else bool(one == other)


def _bar(bars: pd.DataFrame, place: int) -> Bar:
    opened, high, low, close, volume = (float(bars[name].iloc[place]) for name in ("Open", "High", "Low", "Close", "Volume"))
    return Bar(int(bars.index[place].timestamp()), opened, high, low, close, volume)
