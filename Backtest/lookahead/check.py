"""The procedure: evaluate on fewer bars, compare, and play the backtest honestly where something knew the future."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from Backtest.errors import BadInput
from Backtest.lookahead.kinds import Column, Difference, Kind, betrays, difference, differing, hides, is_number, kind_of, tolerance_of
from Backtest.lookahead.outside import Outside
from Backtest.session.playing import (
    RANGE,
    Indicator,
    InitFailed,
    Played,
    Prepared,
    State,
    Subject,
    decided_bars,
    play,
    play_honestly,
    prepare,
)

EVEN_CUTS, CUTS_AT_CHANGES, CUTS_AT_DECISIONS = 20, 10, 10
PRICES = ("Open", "High", "Low", "Close", "Volume")
SEEDS = (1, 2)
FEWEST_BARS = 10
ANOTHER_PRICE = 1.01
LOOSE = "self.I("
MADE_BEFORE = "what was made before the backtest cannot be made again bar by bar"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much it is."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """Something that knew the future."""

    name: str  # "self.fast", "self.data.Signal", "next()", "PRICES"
    kind: Kind
    sentence: str  # "uses values up to 3 bars ahead …"
    first_bar: int  # the first one known to be wrong, counted from 0
    first_time: str
    known: float  # what was known at that bar; NaN is nothing
    shown: float  # what the backtest was shown there
    largest: float  # difference, as a fraction of the range of the middle half of the values; NaN where it is missing values
    wrong: int | None  # bars on which the backtest was shown another value than was known; None: not counted

    @property
    def cure(self) -> str:
        """What to do about it."""
        return self.kind.value


@dataclass(frozen=True, slots=True)
class Findings:
    """What `look_ahead` has found. `plain` and `honest` are backtesting.py's statistics, without and with the blinkers."""

    bars: int
    start: str
    end: str
    surprises: tuple[Surprise, ...]
    random: tuple[str, ...]  # what is another each time: columns, or "decisions"; nothing can be said of it
    notes: tuple[str, ...]
    plain: Mapping[str, Any]
    honest: Mapping[str, Any] | None  # None when there was no need, or it was not asked for
    honest_failure: str = ""  # why the strategy cannot go on without the future

    @property
    def is_red(self) -> bool:
        """Whether anything knew the future."""
        return bool(self.surprises)


@dataclass(slots=True)
class _Watched:
    """One column, and what has been found out about it so far."""

    name: str
    values: Column
    tolerance: Column
    differences: list[Difference] = field(default_factory=list)
    first: tuple[int, float] | None = None  # bar, and what was known there
    largest: float = float("nan")
    wrong: int | None = None

    def compare(self, known: Column) -> None:
        found = difference(known, self.values, self.tolerance)
        if found is None:
            return
        self.differences.append(found)
        if self.first is None or found.first < self.first[0]:
            self.first = (found.first, float(known[found.first]))
        self.largest = float(np.fmax(self.largest, found.largest))

    def look(self, known: Column) -> None:
        """The value of the last of these bars, as it was known when they were."""
        bar = len(known) - 1
        if differing(known[bar:], self.values[bar : bar + 1], self.tolerance[bar : bar + 1])[0]:
            if self.first is None or bar < self.first[0]:
                self.first = (bar, float(known[bar]))
            self.wrong = (self.wrong or 0) + 1


def look_ahead(subject: Subject, bars: pd.DataFrame, *, honest: bool = True, progress: Progress = lambda *_: None) -> Findings:
    """Look for everything in a strategy that knows the future on these bars.

    init() is evaluated on the first n bars for a hundred or two n: small ones, ones at even distances, and those at which a
    column changes its value; the backtest is repeated on the bars up to some of its decisions. Values count as equal when they
    differ by less than a millionth of the range of the middle half of their column; a missing value is equal to a missing
    one only. With `honest`, a strategy that knew the future is played again bar by bar without it. Raises BadInput for a
    strategy that fails, and for too few bars.
    """
    if len(bars) < FEWEST_BARS:
        raise BadInput(f"{len(bars)} bars are too few to look for lookahead: at least {FEWEST_BARS} are needed")
    return _Search(subject, bars, progress).findings(honest=honest)


class _Search:
    def __init__(self, subject: Subject, bars: pd.DataFrame, progress: Progress) -> None:
        self._subject, self._bars, self._progress = subject, bars, progress
        self._outside = Outside(subject.cls, bars.index)
        self._whole = self._prepared()
        again = self._prepared(seed=SEEDS[1])
        self._plain = play(subject, bars)  # with the generators as they are, as Backtest.run would
        if self._plain.failure:
            raise BadInput(f"{subject.cls.__name__} fails on {self._time(self._plain.failed_at or 0)}: {self._plain.failure}")
        self._columns, self._random = self._sorted_out(again)
        self._notes: list[str] = []

    def findings(self, *, honest: bool) -> Findings:
        self._compare_columns()
        found = [watched for watched in self._columns.values() if watched.differences]
        # an indicator that is no attribute of the strategy is for the plot, unless a list or a dict holds it
        drawn = [watched for watched in found if watched.name.startswith(LOOSE)]
        kept = [watched for watched in found if watched not in drawn]
        betrayed = list(self._betrayed())
        decided = [] if kept or betrayed else list(self._compare_decisions())
        if not decided:
            found = kept
            self._notes += [f"{watched.name} knows the future; it is drawn, and no decision depends on it" for watched in drawn]
        elif drawn:
            decided = []  # these are why
        played = self._honest() if honest and (found or decided) and not betrayed else None
        surprises = [self._surprise(watched) for watched in found]
        bars = self._bars
        return Findings(
            bars=len(bars),
            start=str(bars.index[0]),
            end=str(bars.index[-1]),
            surprises=tuple(surprises + betrayed + decided),
            random=tuple(self._random),
            notes=tuple(self._notes),
            plain=_figures(self._plain),
            honest=None if played is None else _figures(played),
            honest_failure=MADE_BEFORE if betrayed else "" if played is None else self._failure_of(played),
        )

    # columns

    def _prepared(self, *, seed: int | None = SEEDS[0]) -> Prepared:
        try:
            return prepare(self._subject, self._bars, seed=seed)
        except InitFailed as error:
            raise BadInput(f"{self._subject.cls.__name__}.init() fails on {len(self._bars)} bars: {error}") from error

    def _sorted_out(self, again: Prepared) -> tuple[dict[str, _Watched], list[str]]:
        """The columns that are the same each time, and the names of what is not."""
        watched = {name: _Watched(name, values, tolerance_of(values)) for name, values in self._whole.columns.items()}
        chancy = [
            name
            for name, each in watched.items()
            if name not in again.columns or differing(again.columns[name], each.values, each.tolerance).any()
        ]
        for name in chancy:
            del watched[name]
        other = play(self._subject, self._bars, seed=SEEDS[1])
        return watched, chancy + ([] if _agree(self._plain.states, other.states) is None else ["decisions"])

    def _compare_columns(self) -> None:
        cuts, too_few = self._cuts(), []
        for number, length in enumerate(cuts):
            self._progress("Comparing indicators", number, len(cuts))
            known = self._known(self._bars.iloc[:length])
            if not known:
                too_few.append(length)
            for name, values in known.items():
                self._columns[name].compare(values)
        enough = next((length for length in cuts if too_few and length > too_few[-1]), len(self._bars))
        for length in too_few:
            self._compare_where_init_fails(length, self._bars.iloc[:enough])

    def _known(self, bars: pd.DataFrame) -> dict[str, Column]:
        """What init() makes of these bars alone; nothing where they are too few for it."""
        try:
            with self._outside.cut_to(len(bars)):
                known = prepare(self._subject, bars, seed=SEEDS[0]).columns
        except InitFailed:
            return {}
        return {name: known[name] for name in self._columns.keys() & known.keys() if len(known[name]) == len(bars)}

    def _compare_where_init_fails(self, length: int, bars: pd.DataFrame) -> None:
        """Of so few bars init() can make nothing: what it makes of more of them is known as far as it does not go by the others."""
        names = [name for name in PRICES[:4] if name in bars]
        factors = np.where(np.arange(len(bars)) < length, 1.0, ANOTHER_PRICE)
        moved = bars.assign(**{name: bars[name] * factors for name in names})
        plain, other = self._known(bars), self._known(moved)
        for name in plain.keys() & other.keys():
            watched, values = self._columns[name], other[name][:length]
            watched.compare(np.where(differing(values, plain[name], watched.tolerance), np.nan, watched.values[:length]))

    def _cuts(self) -> list[int]:
        size = len(self._bars)
        small = [round(2 * 1.5**power) for power in range(64) if 2 * 1.5**power < size]
        even = np.linspace(2, size - 1, EVEN_CUTS).astype(int).tolist()
        changes = [length for watched in self._columns.values() for length in _changes(watched.values)]
        return sorted(length for length in {*small, *even, *changes, size - 1} if 2 <= length < size)

    def _surprise(self, watched: _Watched) -> Surprise:
        prices = {name: self._bars[name].to_numpy(dtype=float) for name in PRICES if name in self._bars}
        kind, sentence = kind_of(watched.differences, watched.values, prices)
        assert watched.first is not None
        bar, known = watched.first
        low, high = np.nanpercentile(watched.values[np.isfinite(watched.values)], [25, 75])
        return Surprise(
            name=watched.name,
            kind=kind,
            sentence=sentence,
            first_bar=bar,
            first_time=self._time(bar),
            known=known,
            shown=float(watched.values[bar]),
            largest=watched.largest / (high - low) if high > low else watched.largest,
            wrong=watched.wrong,
        )

    # decisions

    def _compare_decisions(self) -> Iterator[Surprise]:
        if "decisions" in self._random:
            return
        cuts = self._decision_cuts()
        for number, length in enumerate(cuts):
            self._progress("Comparing decisions", number, len(cuts))
            played = self._played(length, self._outside.cut_to(length))
            if played is None:
                continue
            bar = played.failed_at if played.failure else _agree(played.states, self._plain.states[:length])
            if bar is not None:
                yield self._blamed(length, bar, played)
                return

    def _decision_cuts(self) -> list[int]:
        size = len(self._bars)
        cuts = {bar + 1 for bar in _some(decided_bars(self._plain.states), CUTS_AT_DECISIONS)}
        cuts |= {*np.linspace(size / 4, size - 1, 4).astype(int).tolist()}
        return sorted(length for length in cuts if 2 <= length < size)

    def _played(self, length: int, shown: AbstractContextManager[None]) -> Played | None:
        bars = self._bars.iloc[:length]
        try:
            with shown:
                prepared = prepare(self._subject, bars)
                if prepared.lacks_range:
                    self._note("backtesting.lib.TrailingStrategy fills its range in from later bars until it has a value")
                    return None
                whole = self._whole.columns
                if any(_empty(known) and not _empty(whole.get(name, known)) for name, known in prepared.columns.items()):
                    return None  # a backtest does not wait for what has no value on any bar
                return play(self._subject, bars)
        except InitFailed:
            return None

    def _blamed(self, length: int, bar: int, played: Played) -> Surprise:
        whole = self._played(length, nullcontext())
        if whole is not None and not whole.failure and _agree(whole.states, self._plain.states[:length]) is None:
            names = ", ".join(name for name in self._outside.names if self._needs(name, length))
            return self._decision(names, Kind.OUTSIDE, "holds rows of later bars, and the strategy looks at them", bar)
        if played.failure:
            return self._decision("next()", Kind.DECIDED, f"reads beyond the bar that it decides on ({played.failure})", bar)
        because = "; ".join(self._suspects(length)) or "it reads on in the memory behind its data, or in private attributes"
        return self._decision("next()", Kind.DECIDED, f"decides differently when later bars are not there: {because}", bar)

    def _needs(self, name: str, length: int) -> bool:
        """Whether the decisions are others when this alone is cut to what was known."""
        played = self._played(length, self._outside.cut_to(length, only=name))
        return played is None or bool(played.failure) or _agree(played.states, self._plain.states[:length]) is not None

    def _decision(self, name: str, kind: Kind, sentence: str, bar: int) -> Surprise:
        nothing = float("nan")
        return Surprise(name, kind, sentence, bar, self._time(bar), known=nothing, shown=nothing, largest=nothing, wrong=None)

    def _suspects(self, length: int) -> list[str]:
        """Sentences about attributes, other than indicators, that are not the same without the later bars."""
        known = prepare(self._subject, self._bars.iloc[:length], seed=SEEDS[0]).attributes
        others = {name: value for name, value in self._whole.attributes.items() if not isinstance(value, Indicator) and name != RANGE}
        hidden = {name: value for name, value in others.items() if hides(known.get(name), value)}
        figure, whole = "is a figure of all bars", "is not cut to the bars so far, as indicators that are attributes are"
        return [f"self.{name} {figure if is_number(value) else whole}" for name, value in hidden.items()]

    # data from elsewhere

    def _betrayed(self) -> Iterator[Surprise]:
        """Outside data whose values go with the returns that come after them, if the strategy looks at them."""
        if "decisions" in self._random:
            return  # nobody can tell whether it does
        close = self._bars["Close"].to_numpy(dtype=float)
        told = set()
        for held, name, values in self._outside.columns():
            if held not in told and (ahead := betrays(values, close)) and self._looks_at(held):
                told.add(held)
                sentence = f"was made before the backtest and goes with what the price does {ahead} bar{'s' if ahead > 1 else ''} later"
                yield self._decision(name, Kind.OUTSIDE, sentence, int(np.isfinite(values).argmax()))

    def _looks_at(self, held: str) -> bool:
        try:
            with self._outside.turned_round(held):
                played = play(self._subject, self._bars)
        except InitFailed:
            return True
        return bool(played.failure) or _agree(played.states, self._plain.states) is not None

    # what it would have earned

    def _honest(self) -> Played:
        def watch(length: int, known: Mapping[str, Column]) -> None:
            self._progress("Playing it without the future", length, len(self._bars))
            for name in self._columns.keys() & known.keys():
                self._columns[name].look(known[name])

        return play_honestly(self._subject, self._bars, surround=self._outside.cut_to, watch=watch)

    def _failure_of(self, played: Played) -> str:
        if not played.failure:
            return ""
        where = "" if played.failed_at is None else f" on {self._time(played.failed_at)}"
        return f"without the future the strategy fails{where}: {played.failure}"

    def _time(self, bar: int) -> str:
        return str(self._bars.index[bar])

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


def _empty(column: Column) -> bool:
    return bool(np.isnan(column).all())


def _figures(played: Played) -> dict[str, Any]:
    return {str(name): value for name, value in played.stats.items() if not str(name).startswith("_")}


def _some(values: Sequence[int], count: int) -> list[int]:
    """At most so many of them, at even distances, with the first and the last."""
    if len(values) <= count:
        return list(values)
    return [values[place] for place in np.linspace(0, len(values) - 1, count).astype(int)]


def _changes(values: Column) -> list[int]:
    """Lengths that end with a bar on which a value that mostly stays has changed."""
    changed = np.flatnonzero(np.diff(values, prepend=values[:1]) != 0)
    changed = changed[np.isfinite(values[changed])]
    return [bar + 1 for bar in _some(changed.tolist(), CUTS_AT_CHANGES)] if len(changed) < len(values) / 2 else []


def _agree(one: Sequence[State | None], other: Sequence[State | None]) -> int | None:
    """The first bar on which the states differ by more than rounding; None when there is none."""
    for bar, (left, right) in enumerate(zip(one, other, strict=True)):
        if left != right and not _close(left, right):
            return bar
    return None


def _close(left: State | None, right: State | None) -> bool:
    if left is None or right is None or any(len(a) != len(b) for a, b in zip(left, right, strict=True)):
        return False
    pairs = [pair for rows in zip(left, right, strict=True) for both in zip(*rows, strict=True) for pair in zip(*both, strict=True)]
    return all(a == b or (a is not None and b is not None and bool(np.isclose(a, b, rtol=1e-9, atol=0, equal_nan=True))) for a, b in pairs)
