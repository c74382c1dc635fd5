from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from Backtest.bars import check_ticks, is_ticks, read_bars_or_ticks, read_ticks
from Backtest.errors import BadInput
from tests.test_price_files import CSV, REAL_PRICES, TWO_BARS, real_prices, written

EXPORT = """<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>
2024.03.01\t00:00:00.123\t\t1.10010\t\t\t4
2024.03.01\t00:00:00.250\t1.10000\t\t\t\t2
2024.03.01\t00:00:00.250\t1.10001\t1.10011\t\t\t6
2024.03.01\t00:00:07.001\t\t1.10012\t\t\t4
"""
TICKS = "time,bid,ask\n2024-03-01 00:00:00.250,1.1,1.2\n2024-03-01 00:00:00.250,1.1,1.3\n2024-03-01 00:00:01,1.2,1.3\n"
FIRST = "2024-03-01 00:00:00.250000"


def mistakes_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        read_ticks(path)
    return tuple(mistake.removeprefix(f"{path}: ") for mistake in caught.value.mistakes)


def milliseconds(frame: pd.DataFrame) -> list[int]:
    first = pd.Timestamp("2024-03-01")
    return [round((each - first).total_seconds() * 1000) for each in frame.index]


def test_ticks_of_one_millisecond_are_all_kept(tmp_path: Path) -> None:
    frame = read_ticks(written(tmp_path, TICKS))
    assert milliseconds(frame) == [250, 250, 1000]
    assert (frame["Bid"].tolist(), frame["Ask"].tolist()) == ([1.1, 1.1, 1.2], [1.2, 1.3, 1.3])


def test_in_metatraders_export_an_empty_price_is_that_of_the_tick_before(tmp_path: Path) -> None:
    frame = read_ticks(written(tmp_path, EXPORT))
    assert milliseconds(frame) == [250, 250, 7001]  # before them there is no bid
    assert frame["Bid"].tolist() == [1.1, 1.10001, 1.10001]
    assert frame["Ask"].tolist() == [1.1001, 1.10011, 1.10012]
    assert frame["Last"].tolist() == [0.0, 0.0, 0.0]


def test_times_may_be_milliseconds_since_1970(tmp_path: Path) -> None:
    frame = read_ticks(written(tmp_path, "time_msc,bid,ask\n1709251200250,1.1,1.2\n1709251201000,1.1,1.2\n"))
    assert milliseconds(frame) == [250, 1000]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("time,bid,ask\n", ("it holds no ticks",)),
        ("time,bid\n2024-03-01,1.1\n", ("no column Ask; it has time, bid",)),
        ("1709251200250,1.1,1.2\n", ("it has no headings and 3 columns; want a first line like time,bid,ask",)),
        (TICKS.replace("1.3\n", "\n", 1), (f"row 2 ({FIRST}): Ask is missing",)),
        (TICKS.replace("1.3\n", "much\n", 1), ("row 2: Ask is 'much', not a number",)),
        (TICKS.replace("1.1,1.3", "1.4,1.3"), (f"row 2 ({FIRST}): Bid 1.4 is above Ask 1.3",)),
        (TICKS.replace("1.1,1.3", "0,1.3"), (f"row 2 ({FIRST}): Bid is 0; want a price above 0",)),
        (
            TICKS.replace("00:00:01", "00:00:00.1"),
            ("row 3 (2024-03-01 00:00:00.100000): its time is before that of the row before; sort the prices by time",),
        ),
        (
            "time,bid,ask\n2024-03-02,1,2\n2024-03-01,1,2\n",
            ("its newest tick comes first; turn it around, so that times ascend",),
        ),
    ],
)
def test_a_tick_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, content: str, told: tuple[str, ...]) -> None:
    assert mistakes_of(written(tmp_path, content)) == told


def test_a_frame_that_was_not_read_from_a_file_is_checked_likewise() -> None:
    good = pd.DataFrame({"Bid": [1.1], "Ask": [1.2]}, index=pd.DatetimeIndex(["2024-03-01"]))
    check_ticks(good, "ours")
    for bad, told in [
        (good.reset_index(drop=True), "ours: its index holds no times"),
        (good.tz_localize("UTC"), "ours: its times carry the time zone UTC"),
        (good.assign(Bid=np.inf), "Bid is inf; want a price above 0"),
    ]:
        with pytest.raises(BadInput, match=told):
            check_ticks(bad, "ours")


def test_a_file_is_read_as_what_it_holds(tmp_path: Path) -> None:
    bars, ticks = written(tmp_path, CSV, "bars.csv"), written(tmp_path, TICKS, "ticks.csv")
    pd.testing.assert_frame_equal(read_bars_or_ticks(bars), TWO_BARS)
    assert (is_ticks(read_bars_or_ticks(ticks)), is_ticks(TWO_BARS)) == (True, False)
    with pytest.raises(BadInput, match="no such price file"):
        read_bars_or_ticks(tmp_path / "none.csv")


@real_prices
def test_half_a_month_of_real_ticks_is_read_as_it_is() -> None:
    pytest.importorskip("pyarrow")
    frame = read_ticks(REAL_PRICES / "EURUSD_ticks_201405_oanda.parquet")
    assert len(frame) == 532_891
    assert list(frame.columns) == ["Bid", "Ask"]
    assert int((frame.index[1:] == frame.index[:-1]).sum()) == 4_482
