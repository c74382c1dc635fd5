import calendar
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES, resample
from Backtest.errors import BadInput
from Backtest.simulated_terminal.server_time import ServerTime, server_time

NEW_YORK, EUROPE = server_time("new-york"), server_time("europe")
HOUR = 3600


def utc(*moment: int) -> int:
    return calendar.timegm((*moment, 0, 0, 0)[:6])


AUTUMN = utc(2024, 11, 3, 6)  # New York puts its clocks back
SPRING = utc(2024, 3, 10, 7)  # and forward
MOMENTS = st.one_of(
    st.integers(utc(1990, 1, 1), utc(2037, 1, 1)), *(st.integers(change - 2 * HOUR, change + 2 * HOUR) for change in (AUTUMN, SPRING))
)
CLOCKS = st.sampled_from([server_time(name) for name in ("new-york", "europe", "utc", "+3", "-4.5", "Asia/Tokyo", "Australia/Sydney")])


@pytest.mark.parametrize(
    ("name", "moment", "hours"),
    [
        ("new-york", utc(2024, 1, 15), 2),
        ("new-york", utc(2024, 7, 15), 3),
        ("new-york", utc(2024, 3, 20), 3),  # New York is in summer time already, Europe is not
        ("europe", utc(2024, 3, 20), 2),
        ("europe", utc(2024, 7, 15), 3),
        ("new-york", utc(2024, 10, 30), 3),  # and three days before New York leaves it
        ("europe", utc(2024, 10, 30), 2),
        ("+3", utc(2024, 1, 15), 3),
        ("UTC-5", utc(2024, 7, 15), -5),
        ("Asia/Tokyo", utc(2024, 7, 15), 9),
    ],
)
def test_a_servers_clock_is_ahead_of_utc_by_the_rule_of_its_zone(name: str, moment: int, hours: int) -> None:
    assert server_time(name).offset(moment) == hours * HOUR


@given(clock=CLOCKS, moment=MOMENTS)
@example(clock=NEW_YORK, moment=AUTUMN - HOUR)
@example(clock=NEW_YORK, moment=AUTUMN - 1)
@example(clock=NEW_YORK, moment=AUTUMN)
@example(clock=NEW_YORK, moment=SPRING - 1)
@example(clock=NEW_YORK, moment=SPRING)
def test_there_and_back_is_the_same_moment_or_the_first_pass_of_an_hour_shown_twice(clock: ServerTime, moment: int) -> None:
    back = clock.to_utc(clock.to_server(moment))
    again = clock.to_server(back) == clock.to_server(moment) and 0 < moment - back <= HOUR
    assert back == moment or again


@given(clock=CLOCKS, moment=MOMENTS, step=st.integers(0, 2 * HOUR))
def test_later_on_the_servers_clock_is_never_earlier_in_utc(clock: ServerTime, moment: int, step: int) -> None:
    shown = clock.to_server(moment)
    assert clock.to_utc(shown + step) >= clock.to_utc(shown)


def test_a_time_that_the_clock_never_shows_is_the_moment_of_the_change() -> None:
    skipped = NEW_YORK.to_server(SPRING - 1) + 1 + HOUR / 2
    assert NEW_YORK.to_utc(skipped) == SPRING


def test_fractions_of_a_second_survive() -> None:
    assert NEW_YORK.to_utc(NEW_YORK.to_server(AUTUMN + 0.125)) == AUTUMN - HOUR + 0.125
    assert NEW_YORK.to_server(SPRING + 0.5) == SPRING + 3 * HOUR + 0.5


def test_the_servers_day_ends_at_five_in_new_york_all_year_so_a_week_has_five_daily_bars() -> None:
    hours = pd.date_range("2024-02-25", "2024-11-24", freq="1h")
    there = hours.tz_localize("UTC").tz_convert("America/New_York")
    since_sunday = (there.day_of_week + 1) % 7 * 24 + there.hour
    week = hours[(since_sunday >= 17) & (since_sunday < 5 * 24 + 17)]  # currencies trade from Sunday 17:00 to Friday 17:00 in New York
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), 1.1) | {"Volume": 1.0}, index=week)
    days = resample(NEW_YORK.frame(frame), TIMEFRAMES["D1"])
    assert set(pd.DatetimeIndex(days.index).day_of_week) == {0, 1, 2, 3, 4}
    assert set(days["Volume"]) == {24.0}


def test_of_the_hour_that_the_clock_shows_twice_the_first_pass_is_kept() -> None:
    index = pd.date_range("2024-11-03 04:00", periods=6, freq="1h")
    moved = NEW_YORK.frame(pd.DataFrame({"Open": range(6)}, index=index))
    assert moved.index.is_unique
    assert moved.index.is_monotonic_increasing
    assert list(moved["Open"]) == [0, 1, 3, 4, 5]
    assert list(pd.DatetimeIndex(moved.index).hour) == [7, 8, 9, 10, 11]


def test_ticks_of_one_moment_stay_side_by_side() -> None:
    index = pd.DatetimeIndex(["2024-11-03 05:30:00.250", "2024-11-03 05:30:00.250", "2024-11-03 06:30", "2024-11-03 07:00"])
    moved = NEW_YORK.frame(pd.DataFrame({"Bid": [1.0, 2.0, 3.0, 4.0]}, index=index))
    assert list(moved["Bid"]) == [1.0, 2.0, 4.0]


@given(clock=CLOCKS, first=MOMENTS)
def test_bars_of_every_hour_of_the_week_stay_in_order(clock: ServerTime, first: int) -> None:
    index = pd.to_datetime([first + n * 1800 for n in range(12)], unit="s")
    moved = clock.frame(pd.DataFrame({"Open": range(12)}, index=index))
    assert moved.index.is_unique
    assert moved.index.is_monotonic_increasing
    assert len(moved) >= 10


@pytest.mark.parametrize("text", ["", "Mars/Olympus", "+15", "3", "new york", "../etc"])
def test_another_clock_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"server time '.*': want new-york \(its day ends at 17:00 there\)"):
        server_time(text)


def test_a_moment_may_be_taken_from_a_datetime() -> None:
    assert EUROPE.to_server(datetime(2024, 7, 1, tzinfo=UTC).timestamp()) == utc(2024, 7, 1, 3)
