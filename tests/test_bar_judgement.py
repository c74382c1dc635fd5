"""What is thought of the bars that a terminal serves."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.bars import builtin_prices, timeframe
from Backtest.decisions import Bar
from Live.bar_judgement import faults_of, gaps, is_revised

HOUR = 3600
H1 = timeframe("H1")
MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
SOUND = Bar(MONDAY, 1.1, 1.2, 1.0, 1.15, 10.0, 2)


def test_bars_that_can_be_true_have_no_faults() -> None:
    assert faults_of([SOUND, replace(SOUND, epoch=MONDAY + HOUR)], MONDAY + 2 * HOUR) == []
    assert faults_of([], None) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"close": math.nan}, "close nan is no price"),
        ({"high": math.inf}, "high inf is no price"),
        ({"open": 0.0}, "open 0 is no price"),
        ({"low": -1.0}, "low -1 is no price"),
        ({"high": 0.9}, "contradict each other"),
        ({"low": 1.12}, "contradict each other"),
        ({"close": 1.3}, "contradict each other"),
        ({"volume": -1.0}, "volume -1 is none"),
    ],
)
def test_a_bar_that_cannot_be_true_is_named_with_what_is_wrong(changed: dict[str, float], words: str) -> None:
    [fault] = faults_of([replace(SOUND, **changed)], None)  # type: ignore[arg-type]
    assert fault.startswith("2024-01-01 00:00: ")
    assert words in fault


@pytest.mark.parametrize(("times", "forming"), [((0, 0), 1), ((1, 0), 2), ((0, 1), 1), ((0, 2), 1)])
def test_times_that_do_not_ascend_are_named(times: tuple[int, int], forming: int) -> None:
    bars = [replace(SOUND, epoch=MONDAY + HOUR * time) for time in times]
    assert "the bar after 2024-01-01" in faults_of(bars, MONDAY + HOUR * forming)[0]


@given(st.lists(st.floats(), min_size=5, max_size=5), st.integers(0, 2**31))
def test_whatever_is_served_is_judged(values: list[float], epoch: int) -> None:
    open_, high, low, close, volume = values
    found = faults_of([Bar(epoch, open_, high, low, close, volume)], None)
    possible = 0 < low <= min(open_, close) and max(open_, close) <= high < math.inf and 0 <= volume < math.inf
    assert bool(found) is not possible


def test_a_bar_is_revised_where_a_strategy_would_see_another_one() -> None:
    assert not is_revised(SOUND, replace(SOUND, spread=9))
    assert is_revised(SOUND, replace(SOUND, close=1.16))
    assert is_revised(SOUND, replace(SOUND, volume=11.0))


def hours(days: int, *, weekend: bool = False, until: int = 24) -> list[int]:
    """Opens of hourly bars from a Monday on, on each day until an hour."""
    every = range(MONDAY, MONDAY + days * 86_400, HOUR)
    return [time for time in every if (weekend or (time - MONDAY) // 86_400 % 7 < 5) and (time - MONDAY) // HOUR % 24 < until]


def missing(times: list[int], *left_out: int) -> list[tuple[int, int]]:
    kept = [time for time in times if time not in left_out]
    return list(gaps(kept, H1, lambda: set(kept)))


def test_weekends_and_nights_are_not_missed() -> None:
    assert missing(hours(40)) == []
    assert missing(hours(5)) == []
    assert missing(hours(12, until=21)) == []
    assert missing(hours(40, until=9)) == []
    assert missing(hours(40, weekend=True)) == []


@pytest.mark.parametrize("days", [10, 40])
def test_an_hour_that_there_usually_is_is_missed(days: int) -> None:
    late = hours(days)[-30]
    assert missing(hours(days), late) == [(late - HOUR, late + HOUR)]


def test_a_market_without_weekends_misses_its_saturday() -> None:
    times = hours(35, weekend=True)
    saturday = MONDAY + 33 * 86_400
    assert missing(times, saturday) == [(saturday - HOUR, saturday + HOUR)]


def test_where_too_little_is_known_nothing_is_missed() -> None:
    assert missing(hours(2), MONDAY + 30 * HOUR) == []


def test_weeks_and_months_are_never_missing() -> None:
    week = 7 * 86_400
    assert list(gaps([MONDAY, MONDAY + 3 * week], timeframe("W1"), lambda: {MONDAY})) == []


@pytest.mark.parametrize(("symbol", "steps", "most"), [("EURUSD", "H1", 12), ("GOOG", "D1", 80)])
def test_real_prices_miss_little_but_holidays(symbol: str, steps: str, most: int) -> None:
    times: list[Any] = [int(time.timestamp()) for time in builtin_prices(symbol).index]
    assert len(list(gaps(times, timeframe(steps), lambda: set(times)))) <= most
