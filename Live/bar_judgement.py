"""What is to be thought of the bars that a terminal serves (pure): can they be true, were they otherwise before, is one missing."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from Backtest.bars import Timeframe
from Backtest.decisions import Bar

DAY, WEEK = 86_400, 7 * 86_400
SATURDAY = 2 * DAY  # 1970-01-01 was a Thursday
FEWEST_DAYS = 2  # of the same kind that must be known before they say anything about another one
WEEKS_LOOKED_BACK = 10  # hours change, in spring and autumn for a start
MOST_LOOKED_AT = 20_000  # bars in one gap
LEAST_BAR = 0.5  # of its timeframe: what begins sooner after a bar is that bar under another name


def faults_of(bars: Sequence[Bar], forming: int | None) -> list[str]:
    """Why nothing may be decided on these bars, a sentence for each fault; empty when they can be true.

    Wanted: times that ascend, up to the open of the bar that is forming, and prices that are finite, above 0 and consistent.
    """
    times = [bar.epoch for bar in bars] + ([] if forming is None else [forming])
    order = [f"the bar after {told(one)} is of {told(other)}" for one, other in pairwise(times) if other <= one]
    return order + [f"{told(bar.epoch)}: {fault}" for bar in bars if (fault := _fault_of(bar))]


def off_calendar(bars: Sequence[Bar], last: int | None, steps: Timeframe) -> list[Bar]:
    """Those of some new bars that are no new ones: a broker whose clock has changed calls a bar that was decided by another hour.

    A bar begins half a timeframe after the one before it at least; `last` is the open of the newest one that was decided.

    >>> from Backtest.bars import timeframe
    >>> bars = [Bar(epoch, 1.0, 1.0, 1.0, 1.0, 5.0) for epoch in (3_600, 90_000)]
    >>> [bar.epoch for bar in off_calendar(bars, 0, timeframe("D1"))]
    [3600]
    """
    found, before = [], last
    for bar in bars:
        if before is not None and bar.epoch < before + LEAST_BAR * steps.seconds:
            found.append(bar)
        else:
            before = bar.epoch
    return found


def _fault_of(bar: Bar) -> str:
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    if wrong := [f"{name} {price:g}" for name, price in prices.items() if not (math.isfinite(price) and price > 0)]:
        return f"{', '.join(wrong)} is no price"
    if not (bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high):
        return f"open {bar.open:.10g}, high {bar.high:.10g}, low {bar.low:.10g} and close {bar.close:.10g} contradict each other"
    return "" if math.isfinite(bar.volume) and bar.volume >= 0 else f"volume {bar.volume:g} is none"


def is_revised(seen: Bar, now: Bar) -> bool:
    """Whether a strategy would see another bar: its spread is not shown to it.

    >>> is_revised(Bar(0, 1.0, 1.0, 1.0, 1.0, 5.0, spread=1), Bar(0, 1.0, 1.0, 1.0, 1.0, 5.0, spread=2))
    False
    """
    return visible(seen) != visible(now)


def visible(bar: Bar) -> tuple[float, ...]:
    """What a strategy sees of a bar: its prices and its volume."""
    return (bar.open, bar.high, bar.low, bar.close, float(bar.volume))


def gaps(times: Sequence[int], steps: Timeframe, all_known: Callable[[], Collection[int]]) -> Iterator[tuple[int, int]]:
    """Where bars are missing that there should be: the opens of the bars on both sides.

    A broker's hours are learned from the bars that are known, and asked for only where there is a gap: a bar is missed
    where most of the same time of the same weekday had one; where fewer than two such days are known, most of the same time
    of other working days. A gap around a Saturday is then taken for a weekend.
    """
    if steps.seconds > DAY:
        return  # weeks and months are never missing as a whole, and some brokers begin them otherwise
    wide = [(one, other) for one, other in pairwise(times) if steps.next_open(one) < other]
    if not wide:
        return
    known = all_known()
    first = min(known, default=0)
    for one, other in wide:
        weekend = (one - SATURDAY) // WEEK != (other - SATURDAY) // WEEK
        if any(_is_expected(time, known, first, weekend=weekend) for time in _between(one, other, steps)):
            yield one, other


def _between(one: int, other: int, steps: Timeframe) -> Iterator[int]:
    time = steps.next_open(one)
    for _ in range(MOST_LOOKED_AT):
        if time >= other:
            return
        yield time
        time = steps.next_open(time)


def _is_expected(time: int, known: Collection[int], first: int, *, weekend: bool) -> bool:
    weeks = range(time - WEEK, max(first, time - WEEKS_LOOKED_BACK * WEEK) - 1, -WEEK)
    if len(weeks) >= FEWEST_DAYS:
        return _most(weeks, known)
    if weekend or (time - SATURDAY) % WEEK < 2 * DAY:
        return False
    days = [day for day in range(time - DAY, first - 1, -DAY) if (day - SATURDAY) % WEEK >= 2 * DAY]
    return len(days) >= FEWEST_DAYS and _most(days, known)


def _most(times: Sequence[int], known: Collection[int]) -> bool:
    return 2 * sum(time in known for time in times) > len(times)


def differences_of(seen: Bar, now: Bar) -> str:
    """In which fields a bar was revised, for people.

    >>> differences_of(Bar(0, 1.0, 2.0, 1.0, 1.5, 5.0), Bar(0, 1.0, 2.5, 1.0, 1.5, 6.0))
    'high 2 → 2.5, volume 5 → 6'
    """
    names = ("open", "high", "low", "close", "volume")
    pairs = zip(names, visible(seen), visible(now), strict=True)
    return ", ".join(f"{name} {one:.10g} → {other:.10g}" for name, one, other in pairs if one != other)


def told(epoch: int) -> str:
    """The open of a bar as the strategy sees it: on the server's clock."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M}"
