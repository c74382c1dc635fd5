import numpy as np
import pandas as pd
import pytest
from backtesting import test as shipped
from hypothesis import given
from hypothesis import strategies as st

from Backtest.bars import BUILTIN, TIMEFRAMES, Timeframe, builtin_prices, check_prices, resample, timeframe, timeframe_of
from Backtest.errors import BadInput

EPOCHS = st.integers(0, 4_000_000_000)
ANY_TIMEFRAME = st.sampled_from(list(TIMEFRAMES.values()))


def frame_of(rows: list[tuple[float, ...]], start: str = "2017-04-19 09:00", freq: str = "h") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(rows), freq=freq, unit="us")
    return pd.DataFrame(rows, columns=["Open", "High", "Low", "Close", "Volume"], index=index, dtype="float64").set_axis(index.rename(None))


TWO_BARS = frame_of([(1.1, 1.3, 1.0, 1.2, 10), (1.2, 1.4, 1.1, 1.3, 20)])


@st.composite
def price_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Minute bars with holes, and prices that are consistent."""
    runs = draw(st.sets(st.integers(0, 20_000), min_size=1, max_size=20))
    minutes = sorted({first + i for first in runs for i in range(3)})
    steps = draw(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=len(minutes), max_size=len(minutes)))
    rows = [(100 + o, 100 + max(o, c) + u, 99 + min(o, c) - d, 100 + c, u + d) for o, c, u, d in steps]
    index = pd.DatetimeIndex((np.array(minutes) * 60 + 1_492_592_400).astype("datetime64[s]")).as_unit("us")
    return pd.DataFrame(rows, columns=["Open", "High", "Low", "Close", "Volume"], index=index, dtype="float64")


def faults_of(frame: pd.DataFrame) -> list[str]:
    with pytest.raises(BadInput) as caught:
        check_prices(frame, "X")
    return [mistake.removeprefix("X: ") for mistake in caught.value.mistakes]


# --- timeframes


def test_the_21_timeframes_have_metatraders_constants() -> None:
    # MetaTrader5/__init__.py 5.0.6231
    assert {name: each.mt5 for name, each in TIMEFRAMES.items()} == {
        "M1": 1,
        "M2": 2,
        "M3": 3,
        "M4": 4,
        "M5": 5,
        "M6": 6,
        "M10": 10,
        "M12": 12,
        "M15": 15,
        "M20": 20,
        "M30": 30,
        "H1": 16385,
        "H2": 16386,
        "H3": 16387,
        "H4": 16388,
        "H6": 16390,
        "H8": 16392,
        "H12": 16396,
        "D1": 16408,
        "W1": 32769,
        "MN1": 49153,
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [(text, name) for name in TIMEFRAMES for text in (name, name.lower(), f" {name} ")]
    + [("1h", "H1"), ("60m", "H1"), ("60min", "H1"), ("h", "H1"), ("5m", "M5"), ("4H", "H4"), ("240m", "H4"), ("24h", "D1")]
    + [("1d", "D1"), ("daily", "D1"), ("7d", "W1"), ("1w", "W1"), ("1mo", "MN1"), ("MN", "MN1"), ("monthly", "MN1"), ("1min", "M1")],
)
def test_a_timeframe_is_known_by_all_its_usual_names(text: str, name: str) -> None:
    assert timeframe(text) is TIMEFRAMES[name]


@pytest.mark.parametrize("text", ["", "7m", "H5", "x1", "1h1", "0m", "30d", "2mo", "1.5h", "-1h", "1 h 2"])
def test_any_other_timeframe_is_refused_with_those_that_are_allowed(text: str) -> None:
    with pytest.raises(BadInput, match=r"none of MetaTrader's: use one of M1, M2.*MN1"):
        timeframe(text)


def test_1_capital_m_is_asked_back_since_it_means_a_minute_to_some_and_a_month_to_others() -> None:
    with pytest.raises(BadInput, match="minute or a month"):
        timeframe("1M")


@given(ANY_TIMEFRAME, EPOCHS)
def test_a_bar_contains_the_second_it_is_the_floor_of(tf: Timeframe, epoch: int) -> None:
    assert tf.floor(epoch) <= epoch < tf.next_open(epoch)


@given(ANY_TIMEFRAME, EPOCHS)
def test_bar_slots_follow_each_other_without_a_gap(tf: Timeframe, epoch: int) -> None:
    following = tf.next_open(epoch)
    assert tf.floor(following) == following
    assert tf.floor(following - 1) == tf.floor(epoch)


@given(EPOCHS)
def test_weeks_begin_on_sunday_and_months_on_their_first_day(epoch: int) -> None:
    assert pd.Timestamp(TIMEFRAMES["W1"].floor(epoch), unit="s").day_name() == "Sunday"
    assert pd.Timestamp(TIMEFRAMES["MN1"].floor(epoch), unit="s").is_month_start


# --- the shape of a frame


@pytest.mark.parametrize("symbol", BUILTIN)
def test_the_prices_that_backtesting_ships_are_what_it_ships_and_pass_our_checks(symbol: str) -> None:
    frame = builtin_prices(symbol)
    check_prices(frame, symbol)
    assert frame.equals(getattr(shipped, symbol).astype("float64"))
    assert timeframe_of(frame) is BUILTIN[symbol]


def test_a_copy_of_the_shipped_prices_may_be_changed() -> None:
    mine = builtin_prices("EURUSD")
    mine.iloc[0, 0] = 0.0
    assert builtin_prices("EURUSD").iloc[0, 0] == 1.0716


def test_backtesting_ships_no_other_symbols() -> None:
    with pytest.raises(BadInput, match="no prices of GBPUSD, only EURUSD, GOOG, BTCUSD"):
        builtin_prices("GBPUSD")


def test_the_timeframe_is_the_most_frequent_step() -> None:
    assert timeframe_of(TWO_BARS.iloc[[0, 1]]).name == "H1"
    assert timeframe_of(builtin_prices("GOOG").iloc[:6]).name == "D1"  # a weekend among them


def test_a_step_that_metatrader_does_not_have_and_a_single_bar_have_no_timeframe() -> None:
    with pytest.raises(BadInput, match="420 seconds apart"):
        timeframe_of(frame_of([(1, 1, 1, 1, 1)] * 3, freq="7min"))
    with pytest.raises(BadInput, match="1 bars are too few"):
        timeframe_of(TWO_BARS.iloc[:1])


# --- checks


def test_a_sound_frame_passes() -> None:
    check_prices(TWO_BARS, "X")


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("Open", np.nan, "row 2 (2017-04-19 10:00:00): Open is missing"),
        ("Close", 0.0, "row 2 (2017-04-19 10:00:00): Close is 0; want a price above 0"),
        ("High", np.inf, "row 2 (2017-04-19 10:00:00): High is inf; want a price above 0"),
        ("High", 1.25, "row 2 (2017-04-19 10:00:00): High 1.25 is below Close 1.3"),
        ("Low", 1.25, "row 2 (2017-04-19 10:00:00): Low 1.25 is above Open 1.2"),
        ("Volume", -1.0, "row 2 (2017-04-19 10:00:00): Volume is -1; want 0 or more"),
        ("Volume", np.nan, "row 2 (2017-04-19 10:00:00): Volume is missing"),
        ("Spread", -1.0, "row 2 (2017-04-19 10:00:00): Spread is -1; want 0 or more"),
    ],
)
def test_a_broken_bar_is_named_with_its_row_and_what_is_wrong(column: str, value: float, told: str) -> None:
    frame = TWO_BARS.assign(Spread=1.0)
    frame.loc[frame.index[1], column] = value
    assert faults_of(frame) == [told]


def test_all_faults_are_told_at_once_and_many_alike_are_counted() -> None:
    frame = frame_of([(1.1, 1.3, 1.0, 1.2, 10)] * 20).assign(Open=0.0)
    frame.iloc[3, 3] = np.nan
    told = faults_of(frame)
    assert told[0].endswith("Close is missing")
    assert [fault for fault in told if "Open is 0" in fault] == told[1:6]
    assert told[6] == "15 more rows like row 1"


def test_times_must_ascend_and_differ() -> None:
    three = frame_of([(1.1, 1.3, 1.0, 1.2, 10)] * 3)
    assert faults_of(three.iloc[[0, 1, 1]]) == ["row 3 (2017-04-19 10:00:00): it has the same time as the row before"]
    assert faults_of(three.iloc[[1, 0, 2]])[0].startswith("row 2 (2017-04-19 09:00:00): its time is before that of the row before")
    assert faults_of(three.iloc[::-1]) == ["its newest bar comes first; turn it around, so that times ascend"]


def test_a_frame_without_columns_bars_or_naive_times_is_no_price_frame() -> None:
    assert faults_of(TWO_BARS[["Open", "Volume"]]) == ["no column High, Low, Close; it has Open, Volume"]
    assert faults_of(TWO_BARS.iloc[:0]) == ["it holds no bars"]
    assert faults_of(TWO_BARS.reset_index(drop=True)) == ["its index holds no times"]
    assert "UTC" in faults_of(TWO_BARS.tz_localize("UTC"))[0]
    assert faults_of(TWO_BARS.set_axis(pd.DatetimeIndex(["2017-01-01", None])))[0].endswith("it has no time")


# --- resampling


@given(price_frames(), st.sampled_from(["M1", "M5", "M30", "H1", "H4", "D1", "W1", "MN1"]))
def test_resampling_neither_loses_nor_invents_anything(frame: pd.DataFrame, name: str) -> None:
    longer = resample(frame, TIMEFRAMES[name])
    assert longer["Volume"].sum() == frame["Volume"].sum()
    assert longer["High"].max() == frame["High"].max()
    assert longer["Low"].min() == frame["Low"].min()
    assert (longer["Open"].iloc[0], longer["Close"].iloc[-1]) == (frame["Open"].iloc[0], frame["Close"].iloc[-1])
    check_prices(longer, "resampled")


@given(price_frames(), st.sampled_from(["M5", "H1", "D1"]))
def test_each_longer_bar_is_made_of_exactly_the_bars_inside_it(frame: pd.DataFrame, name: str) -> None:
    tf = TIMEFRAMES[name]
    longer = resample(frame, tf)
    for opened, bar in zip(longer.index, longer.to_numpy(), strict=True):
        closed = pd.Timestamp(tf.next_open(int(opened.timestamp())), unit="s")
        inside = frame[(frame.index >= opened) & (frame.index < closed)]
        assert tuple(bar) == (
            inside["Open"].iloc[0],
            inside["High"].max(),
            inside["Low"].min(),
            inside["Close"].iloc[-1],
            inside["Volume"].sum(),
        )


@pytest.mark.parametrize("name", ["H4", "D1", "W1", "MN1"])
def test_resampling_in_two_steps_is_resampling_in_one(name: str) -> None:
    hours = builtin_prices("EURUSD")
    assert resample(resample(hours, TIMEFRAMES["H2"]), TIMEFRAMES[name]).equals(resample(hours, TIMEFRAMES[name]))


@pytest.mark.parametrize(("symbol", "name"), [("EURUSD", "H1"), ("GOOG", "D1")])
def test_resampling_to_its_own_timeframe_changes_nothing(symbol: str, name: str) -> None:
    assert resample(builtin_prices(symbol), TIMEFRAMES[name]).equals(builtin_prices(symbol))


def test_months_that_are_named_by_their_end_are_named_by_their_open_after_resampling() -> None:
    assert resample(builtin_prices("BTCUSD"), TIMEFRAMES["MN1"]).index[0] == pd.Timestamp("2012-01-01")


def test_a_longer_bar_has_the_smallest_spread_the_summed_real_volume_and_the_last_of_anything_else() -> None:
    frame = TWO_BARS.assign(Spread=[3.0, 2.0], RealVolume=[5.0, 6.0], Sentiment=[7.0, 8.0])
    day = resample(frame, TIMEFRAMES["D1"]).iloc[0]
    assert (day["Spread"], day["RealVolume"], day["Sentiment"]) == (2.0, 11.0, 8.0)


@pytest.mark.parametrize(("have", "to"), [("h", "M30"), ("2min", "M3"), ("2min", "M5"), ("7D", "MN1"), ("D", "H4")])
def test_bars_cannot_be_made_finer_nor_to_what_is_no_multiple_of_them(have: str, to: str) -> None:
    with pytest.raises(BadInput, match=f"{to} bars cannot be made from"):
        resample(frame_of([(1, 1, 1, 1, 1)] * 4, freq=have), TIMEFRAMES[to])


def test_resampling_a_frame_of_no_bar_or_one_bar_is_no_matter() -> None:
    assert resample(TWO_BARS.iloc[:0], TIMEFRAMES["D1"]).empty
    assert resample(TWO_BARS.iloc[:1], TIMEFRAMES["D1"]).index[0] == pd.Timestamp("2017-04-19")
