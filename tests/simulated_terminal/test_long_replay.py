"""A slice of `python -m tests.simulated_terminal.long_replay`."""

import pytest

from tests.simulated_terminal.long_replay import EURUSD_HOURS, EURUSD_TICKS, USDJPY_HOURS, on_hours, on_ticks

pytest.importorskip("pyarrow")
DONE = 10009


@pytest.mark.skipif(not (EURUSD_HOURS.is_file() and USDJPY_HOURS.is_file()), reason="the hourly prices (../shared/data) are not here")
def test_no_invariant_breaks_in_a_season_of_hours_on_two_symbols() -> None:
    parts: list[float] = []
    trader = on_hours(1, ("2013-02-01", "2013-03-15"), parts.append)
    assert parts[-1] == 1.0
    assert trader.answers[DONE] > 200
    assert trader.made.history_deals_total(0, 2**31 - 1) > 200


@pytest.mark.skipif(not EURUSD_TICKS.is_file(), reason="the real ticks (../shared/data) are not here")
def test_no_invariant_breaks_in_a_day_of_ticks() -> None:
    parts: list[float] = []
    trader = on_ticks(3, 15_000, parts.append)
    assert parts[-1] == 1.0
    assert trader.answers[DONE] > 200
