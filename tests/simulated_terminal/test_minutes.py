import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES, builtin_prices, resample
from Backtest.simulated_terminal.minutes import by_the_minute
from tests.simulated_terminal.terminals import bars

PRICES = st.integers(100, 200).map(lambda cents: cents / 100)


@pytest.mark.parametrize("name", ["H1", "H4"])
def test_the_minutes_make_up_the_bars_that_they_come_from(name: str) -> None:
    hours = resample(builtin_prices("EURUSD").iloc[:400].assign(Spread=7.0), TIMEFRAMES[name]).iloc[1:-1]
    minutes = by_the_minute(hours)
    assert len(minutes) == len(hours) * TIMEFRAMES[name].seconds // 60
    pd.testing.assert_frame_equal(resample(minutes, TIMEFRAMES[name]), hours, check_freq=False, check_index_type=False)


@given(
    rows=st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES, st.integers(0, 9)), min_size=2, max_size=5), step=st.sampled_from([5, 15, 60])
)
def test_every_minute_is_a_bar_and_follows_the_one_before(rows: list[tuple[float, float, float, float, int]], step: int) -> None:
    whole = bars([(prices[0], max(prices), min(prices), prices[3]) for *prices, _ in rows], step=step * 60)
    whole["Volume"] = [float(volume) for *_, volume in rows]
    minutes = by_the_minute(whole)
    body = minutes[["Open", "Close"]]
    assert (minutes["High"] >= body.max(axis=1)).all()
    assert (minutes["Low"] <= body.min(axis=1)).all()
    inside = pd.Series(minutes.index).dt.floor(f"{step}min").duplicated()
    assert (minutes["Open"].to_numpy()[inside] == minutes["Close"].shift().to_numpy()[inside]).all()
    together = minutes.groupby(pd.DatetimeIndex(minutes.index).floor(f"{step}min"))
    assert list(together["High"].max()) == list(whole["High"])
    assert list(together["Low"].min()) == list(whole["Low"])
    assert list(together["Volume"].sum()) == list(whole["Volume"])


def test_minutes_days_and_ticks_stay_as_they_are() -> None:
    minute = bars([(1.0, 1.0, 1.0, 1.0)] * 3, step=60)
    ticks = pd.DataFrame({"Bid": [1.0, 1.0], "Ask": [1.1, 1.1]}, index=minute.index[:2])
    for frame in (minute, builtin_prices("GOOG"), ticks):
        assert by_the_minute(frame) is frame
