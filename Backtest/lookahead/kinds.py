"""Comparing a column with what was known of it, and telling from the differences how it knew the future (pure)."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Column = npt.NDArray[np.float64]

# Sums that are added up in another order differ in the last few bits; what knows the future differs by far more.
OF_ITS_RANGE, OF_ITS_SIZE = 1e-6, 1e-12
FARTHEST_SHIFT = 100  # bars that are tried for "this is the close of k bars later"
BETRAYED_BARS, ENOUGH_BARS, TELLING, SIGMAS = (1, 2, 3, 5, 10), 100, 0.25, 6
SOME_CUTS = 3
FEW_BARS = 30  # statistics of fewer are no evidence of a kind
NUMBERS = (bool, int, float, np.generic)


class Kind(enum.Enum):
    """How a value comes to know the future; the value is what to do about it."""

    SHIFTED = "take shift(-k) out, or turn it into shift(k)"
    AHEAD = "let windows end at the bar itself (center=False), and shift forwards only"
    FORMING = "shift the longer bars by one before they are spread over the shorter ones, or use backtesting.lib.resample_apply"
    FILLED = "leave gaps empty, or fill them with earlier values (ffill in place of bfill)"
    SCALED = "take mean, deviation, minimum and maximum of the past: rolling() or expanding()"
    RANKED = "rank within the past: rolling().rank() or expanding().rank()"
    FITTED = "fit on the bars before the one that is judged: a fixed first stretch, rolling() or expanding()"
    DECIDED = "in next() look at nothing beyond self.data and the indicators that are attributes made by self.I"
    OUTSIDE = "take data from self.data alone, or look up in other data only what is older than self.data.index[-1]"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where one column of the first `bars` bars alone is not that of all bars."""

    bars: int
    first: int  # the first bar that differs
    count: int
    unknown: bool  # wherever it differs there is no value yet
    filled: bool  # … and later the same value stands there up to the end of these bars and beyond
    forming: bool  # it differs in a last stretch of one value only, as the shown part of a longer bar does
    scaled: bool  # the values are those of all bars, times a constant and moved
    ranked: bool  # the values have the order of those of all bars
    largest: float  # difference of two values; NaN where one of them is always missing

    @property
    def reach(self) -> int:
        """How many bars before the end the first difference is: at least so far it looked ahead."""
        return self.bars - self.first


def tolerance_of(column: Column) -> Column:
    """What two evaluations of a column may differ by, bar by bar: a millionth of the range of its middle half, or its last bits."""
    finite = column[np.isfinite(column)]
    if not len(finite):
        return np.zeros_like(column)
    low, high = (float(np.percentile(finite, percent)) for percent in (25, 75))
    large = float(np.percentile(np.abs(finite), 95))
    sizes = np.where(np.isfinite(column), np.abs(column), 0.0)
    return np.asarray(OF_ITS_RANGE * (high - low) + OF_ITS_SIZE * (large + sizes))


def differing(known: Column, column: Column, tolerance: Column) -> npt.NDArray[np.bool_]:
    """Where the known values are not those of the column's first bars; a missing value is equal to a missing one only."""
    shown, allowed = column[: len(known)], tolerance[: len(known)]
    with np.errstate(invalid="ignore"):  # inf - inf
        near = np.abs(known - shown) <= allowed
    return np.asarray(~(near | (known == shown) | (np.isnan(known) & np.isnan(shown))), dtype=bool)


def difference(known: Column, column: Column, tolerance: Column) -> Difference | None:
    """How the column of fewer bars differs from that of all bars; None where it does not."""
    where = differing(known, column, tolerance)
    if not where.any():
        return None
    bars, first = len(known), int(where.argmax())
    unknown = bool(np.isnan(known[where]).all())
    later = column[first : bars + 1]
    one_value = bool((later == later[0]).all())
    same = _pairs(known, column)
    with np.errstate(invalid="ignore"):
        apart = np.abs(known - column[:bars])[where]
    return Difference(
        bars=bars,
        first=first,
        count=int(where.sum()),
        unknown=unknown,
        filled=unknown and one_value and len(later) > bars - first,
        forming=not unknown and _is_forming(known, column, first),
        scaled=_is_scaled(*same),
        ranked=_is_ranked(*same),
        largest=float(np.max(apart, where=np.isfinite(apart), initial=-1.0)) if np.isfinite(apart).any() else float("nan"),
    )


def kind_of(found: Sequence[Difference], column: Column, prices: Mapping[str, Column]) -> tuple[Kind, str]:
    """The likely kind of lookahead, and a sentence about this one."""
    if (shift := _shift(column, prices)) is not None:
        return Kind.SHIFTED, f"is {shift[0]} of {_bars(shift[1])} later, as shift(-{shift[1]}) makes it"
    if all(each.filled for each in found):
        return Kind.FILLED, "has gaps filled in from later values, as bfill() does"
    if _mostly(each.forming for each in found):
        return Kind.FORMING, f"shows a longer bar (up to {_bars(max(each.reach for each in found))} here) before it has closed"
    solid, reach = [each for each in found if each.bars >= FEW_BARS] or found, max(each.reach for each in found)
    if sum(each.bars > 2 * reach for each in found) >= SOME_CUTS:  # however many bars there are, it looks so far and no further
        return (
            Kind.AHEAD,
            f"uses values up to {_bars(reach)} ahead, as a centred window, a filter that runs backwards or shift(-{reach}) does",
        )
    if _mostly(each.scaled for each in solid):
        return Kind.SCALED, "is scaled with figures of the whole series, as z-scores and min-max scaling over all bars are"
    if _mostly(each.ranked for each in solid):
        return Kind.RANKED, "is transformed by its place in the whole series, as rank() over all bars does"
    return Kind.FITTED, "is computed from all bars at once, as by a model that was fitted on everything"


def _bars(count: int) -> str:
    return f"{count} bar{'s' if count != 1 else ''}"


def _mostly(truths: Iterable[bool]) -> bool:
    values = list(truths)
    return 5 * sum(values) >= 4 * len(values)


def _pairs(known: Column, column: Column) -> tuple[Column, Column]:
    both = np.isfinite(known) & np.isfinite(column[: len(known)])
    return known[both], column[: len(known)][both]


def _is_forming(known: Column, column: Column, first: int) -> bool:
    last = column[first : len(known)]
    start = first
    while start and column[start - 1] == column[first]:
        start -= 1
    one_shown = bool((known[first:] == known[first]).all())
    one_value = bool((last == last[0]).all())
    return len(column) > len(known) and one_value and one_shown and start == first and _has_runs(column)


def _has_runs(column: Column) -> bool:
    """Whether values mostly stay for a while, as those of longer bars do on shorter ones."""
    finite = column[np.isfinite(column)]
    return len(finite) > 1 and bool(np.count_nonzero(np.diff(finite)) < len(finite) / 2)


def _is_scaled(known: Column, column: Column) -> bool:
    if len(known) < FEW_BARS or np.ptp(column) == 0 or np.ptp(known) == 0:
        return False
    if _is_line(column):
        return False  # any two lines are so
    slope, offset = np.polyfit(column, known, 1)
    return bool(np.max(np.abs(slope * column + offset - known)) <= 1e-6 * np.ptp(known))


def _is_line(column: Column) -> bool:
    steps = np.diff(column)
    return bool(np.ptp(steps) <= 1e-6 * np.ptp(column))


def _is_ranked(known: Column, column: Column) -> bool:
    if len(known) < FEW_BARS or np.ptp(column) == 0 or _is_line(column):
        return False
    order = np.lexsort((known, column))  # of equal values some may become higher
    return bool((np.diff(known[order]) >= 0).all())


def _shift(column: Column, prices: Mapping[str, Column]) -> tuple[str, int] | None:
    """The price, and how many bars later, that the column is."""
    for bars in range(1, min(FARTHEST_SHIFT, len(column) - FEW_BARS)):
        for name, price in prices.items():
            shifted, later = column[:-bars], price[bars:]
            both = np.isfinite(shifted) & np.isfinite(later)
            if both.sum() >= FEW_BARS and np.ptp(later) and (shifted[both] == later[both]).all():
                return name, bars
    return None


def betrays(values: Column, close: Column) -> int | None:
    """How many bars ahead a column goes with what the price does; None where it does not.

    Measured by the rank correlation of the values, and of their distance from the price, with the returns of the next bars:
    what is made from the past alone does not come near a quarter, nor near six standard errors (returns of k bars overlap, so
    that every k-th counts).
    """
    for ahead in BETRAYED_BARS:
        with np.errstate(invalid="ignore", divide="ignore"):
            later = close[ahead:] / close[:-ahead] - 1
        for signal in (values[:-ahead], values[:-ahead] - close[:-ahead]):
            both = np.isfinite(signal) & np.isfinite(later)
            if both.sum() >= ENOUGH_BARS and abs(_rank_correlation(signal[both], later[both])) > max(
                TELLING, SIGMAS * (ahead / both.sum()) ** 0.5
            ):
                return ahead
    return None


def _rank_correlation(one: Column, other: Column) -> float:
    if not np.ptp(one) or not np.ptp(other):
        return 0.0
    return float(np.corrcoef(pd.Series(one).rank(), pd.Series(other).rank())[0, 1])


def is_number(value: Any) -> bool:
    """Whether it is one number, also as NumPy and backtesting.py keep one."""
    return isinstance(value, NUMBERS) or (isinstance(value, np.ndarray) and not value.ndim)  # a mean of self.data.Close is such an array


def hides(known: Any, whole: Any) -> bool:
    """Whether an attribute that is `whole` after all bars, and was `known` after fewer, holds what these do not tell."""
    if is_number(whole):
        return type(known) is type(whole) and known == known and bool(known != whole)
    if isinstance(whole, (list, tuple)):
        return isinstance(known, type(whole)) and any(hides(*pair) for pair in zip(known, whole, strict=False))
    if isinstance(whole, dict):
        return isinstance(known, dict) and any(hides(known[key], whole[key]) for key in known.keys() & whole.keys())
    if isinstance(whole, (np.ndarray, pd.Series)):
        return isinstance(known, type(whole)) and known.shape != whole.shape
    return False
