import bz2
import gzip
import io
import lzma
import shlex
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.bars import builtin_prices, read_prices, timeframe_of
from Backtest.errors import BadInput

REAL_PRICES = Path(__file__).resolve().parents[2] / "shared" / "data"
real_prices = pytest.mark.skipif(not REAL_PRICES.is_dir(), reason="the real price files (../shared/data) are not here")

CSV = "time,Open,High,Low,Close,Volume\n2017-04-19 09:00,1.1,1.3,1.0,1.2,10\n2017-04-19 10:00,1.2,1.4,1.1,1.3,20\n"
TWO_BARS = pd.DataFrame(
    [(1.1, 1.3, 1.0, 1.2, 10.0), (1.2, 1.4, 1.1, 1.3, 20.0)],
    columns=["Open", "High", "Low", "Close", "Volume"],
    index=pd.DatetimeIndex(["2017-04-19 09:00", "2017-04-19 10:00"]).as_unit("us"),
)
NINE = 1_492_592_400  # 2017-04-19 09:00 in seconds since 1970


def written(folder: Path, content: str | bytes, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def mistakes_of(path: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read_prices(path)
    assert all(mistake.startswith(f"{path}: ") for mistake in caught.value.mistakes)
    return [mistake.removeprefix(f"{path}: ") for mistake in caught.value.mistakes]


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


# --- what is read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prices.csv", CSV.encode()),
        ("prices.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("prices.csv.bz2", bz2.compress(CSV.encode())),
        ("prices.csv.xz", lzma.compress(CSV.encode())),
        ("prices.zip", zipped(prices=CSV)),
        ("misnamed.csv", gzip.compress(CSV.encode(), mtime=0)),
        ("utf16.csv", CSV.encode("utf-16")),
        ("utf8-with-mark.csv", CSV.encode("utf-8-sig")),
        ("windows.csv", CSV.replace("\n", "\r\n").encode()),
    ],
)
def test_a_csv_file_reads_alike_plain_compressed_and_in_any_encoding(tmp_path: Path, name: str, content: bytes) -> None:
    pd.testing.assert_frame_equal(read_prices(written(tmp_path, content, name)), TWO_BARS)


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace("time,Open,High,Low,Close,Volume", heading)
        for heading in (
            "Date,open,high,low,close,volume",
            "DATETIME,OPEN,HIGH,LOW,CLOSE,VOL",
            "timestamp,o,h,l,c,v",
            ",Open,High,Low,Close,Volume",
            "Gmt time,Open,High,Low,Close,Volume",
            "time,open,high,low,close,tick_volume",
            '"Date", "Open", "High", "Low", "Close", "Volume"',
        )
    ]
    + [
        CSV.replace(",", ";"),
        CSV.replace(",", ";").replace("1.", "1,"),
        CSV.replace(",", "\t"),
        CSV.replace("2017-04-19 ", "2017.04.19 "),
        CSV.replace("2017-04-19 ", "2017/04/19 "),
        CSV.replace("2017-04-19 ", "2017-04-19T"),
        CSV.replace("2017-04-19 ", "19.04.2017 "),
        CSV.replace("2017-04-19 ", "19/04/2017 "),
        CSV.replace("2017-04-19 ", "4/19/2017 "),
        CSV.replace(":00,", ":00:00.000,"),
        CSV.replace(":00,", ":00:00+02:00,"),  # the clock of the file is kept, whatever its zone
        CSV.replace(":00,", ":00Z,"),
        CSV.replace("2017-04-19 09:00", f"{NINE}").replace("2017-04-19 10:00", f"{NINE + 3600}"),
        CSV.replace("2017-04-19 09:00", f"{NINE}.0").replace("2017-04-19 10:00", f"{NINE + 3600}.0"),
        CSV.replace("2017-04-19 09:00", f"{NINE}000").replace("2017-04-19 10:00", f"{NINE + 3600}000"),
        CSV.replace("2017-04-19 09:00", f"{NINE}000000").replace("2017-04-19 10:00", f"{NINE + 3600}000000"),
        CSV.replace("2017-04-19 09:00", f"{NINE}000000000").replace("2017-04-19 10:00", f"{NINE + 3600}000000000"),
        CSV.replace("2017-04-19 09:00", "20170419090000").replace("2017-04-19 10:00", "20170419100000"),
        CSV.replace("2017-04-19 09:00", "201704190900").replace("2017-04-19 10:00", "201704191000"),
        CSV.replace("2017-04-19 09:00", "20170419 090000").replace("2017-04-19 10:00", "20170419 100000"),
        CSV.replace("2017-04-19 09:00", "20170419 09:00:00").replace("2017-04-19 10:00", "20170419 10:00:00"),
        CSV.replace(",10\n", ",10,\n").replace(",20\n", ",20,\n"),  # lines that end in a separator
        CSV + "\n\n",
        "\n".join(CSV.split("\n")[1:]),  # without headings
        "\n".join(CSV.replace("-04-19 ", ".04.19,").replace("2017-", "2017.").split("\n")[1:]),  # MetaTrader 4's
        "\n".join(CSV.replace("2017-04-19 ", "20170419 ").replace(":", "").replace(",", ";").split("\n")[1:]),  # HistData's
        "Open,High,Low,Close,Volume,time\n1.1,1.3,1.0,1.2,10,2017-04-19 09:00\n1.2,1.4,1.1,1.3,20,2017-04-19 10:00\n",
    ],
)
def test_headings_separators_and_times_may_be_written_in_any_usual_way(tmp_path: Path, content: str) -> None:
    pd.testing.assert_frame_equal(read_prices(written(tmp_path, content)), TWO_BARS)


def test_dates_alone_are_days(tmp_path: Path) -> None:
    days = read_prices(written(tmp_path, "Date,Open,High,Low,Close\n20170419,1,1,1,1\n20170420,1,1,1,1\n"))
    assert list(days.index) == [pd.Timestamp("2017-04-19"), pd.Timestamp("2017-04-20")]


def test_metatraders_own_export_has_its_ticks_as_volume_and_its_spread_in_points(tmp_path: Path) -> None:
    heading = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
    rows = "2017.04.19\t09:00:00\t1.1\t1.3\t1.0\t1.2\t10\t5000000\t7\r\n2017.04.19\t10:00:00\t1.2\t1.4\t1.1\t1.3\t20\t6000000\t8\r\n"
    frame = read_prices(written(tmp_path, (heading + rows).encode("utf-16")))
    pd.testing.assert_frame_equal(frame, TWO_BARS.assign(Spread=[7.0, 8.0], RealVolume=[5e6, 6e6]))


def test_metatraders_daily_export_has_no_time_of_day(tmp_path: Path) -> None:
    content = "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\n2017.04.19\t1.1\t1.3\t1.0\t1.2\t10\n"
    assert read_prices(written(tmp_path, content)).index[0] == pd.Timestamp("2017-04-19")


def test_a_file_without_volumes_has_volume_0(tmp_path: Path) -> None:
    assert list(read_prices(written(tmp_path, "time,open,high,low,close\n2017-04-19,1,1,1,1\n"))["Volume"]) == [0.0]


def test_other_columns_of_numbers_come_along_and_texts_do_not(tmp_path: Path) -> None:
    frame = read_prices(written(tmp_path, "time,open,high,low,close,Sentiment,Remark\n2017-04-19,1,1,1,1,0.5,hello\n"))
    assert list(frame.columns) == ["Open", "High", "Low", "Close", "Volume", "Sentiment"]


def test_an_unknown_spread_is_the_last_known_one_and_a_wholly_unknown_one_is_no_column(tmp_path: Path) -> None:
    content = "time,open,high,low,close,spread\n" + "".join(f"2017-04-{19 + i},1,1,1,1,{s}\n" for i, s in enumerate((-1, 7, -1)))
    assert list(read_prices(written(tmp_path, content))["Spread"]) == [7.0, 7.0, 7.0]
    assert "Spread" not in read_prices(written(tmp_path, content.replace("7\n", "-1\n")))


@given(st.lists(st.floats(0.0001, 1e7), min_size=1, max_size=30))
def test_what_pandas_wrote_is_read_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, prices: list[float]) -> None:
    path = tmp_path_factory.mktemp("written") / "prices.csv"
    index = pd.date_range("2017-04-19", periods=len(prices), freq="h", unit="us", name=None)
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), prices), index=index)
    frame.to_csv(path)
    pd.testing.assert_frame_equal(read_prices(path), frame, check_exact=True, check_freq=False)


def test_the_prices_that_backtesting_ships_survive_a_round_trip(tmp_path: Path) -> None:
    builtin_prices("EURUSD").to_csv(tmp_path / "prices.csv")
    assert read_prices(tmp_path / "prices.csv").equals(builtin_prices("EURUSD"))


# --- Parquet and zstd, which need pyarrow


def test_parquet_is_read_with_epoch_seconds_or_with_an_index_of_times(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    plain = pd.DataFrame({"time": [NINE, NINE + 3600], "open": [1.1, 1.2], "high": [1.3, 1.4], "low": [1.0, 1.1], "close": [1.2, 1.3]})
    plain.assign(tick_volume=[10, 20], spread=np.array([-1, -1], dtype="int32")).to_parquet(tmp_path / "a.parquet")
    TWO_BARS.to_parquet(tmp_path / "b.parquet")
    TWO_BARS.tz_localize("Europe/Berlin").rename_axis("time").to_parquet(tmp_path / "c.parquet")
    for name in ("a", "b", "c"):
        pd.testing.assert_frame_equal(read_prices(tmp_path / f"{name}.parquet"), TWO_BARS)


def test_zstd_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    with pa.output_stream(str(tmp_path / "prices.csv.zst"), compression="zstd") as stream:
        stream.write(CSV.encode())
    pd.testing.assert_frame_equal(read_prices(tmp_path / "prices.csv.zst"), TWO_BARS)


@pytest.mark.parametrize(
    ("content", "what"), [(b"PAR1 and so on", "Parquet files"), (b"\x28\xb5\x2f\xfd and so on", "zstd-compressed files")]
)
def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, what: str) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    install = [sys.executable, "-m", "pip", "install", "-r", str(Path(__file__).resolve().parents[1] / "requirements-parquet.txt")]
    assert mistakes_of(written(tmp_path, content)) == [f"{what} need pyarrow; save the prices as CSV, or install it: {shlex.join(install)}"]


def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert mistakes_of(written(tmp_path, b"PAR1 and so on"))[0].startswith("the Parquet file cannot be read")


@real_prices
@pytest.mark.parametrize(
    ("name", "bars", "timeframe", "spread"),
    [
        ("EURUSD_H1_2007_2018_oanda", 74_439, "H1", True),
        ("EURUSD_M1_202502_mt5_spread", 10_010, "M1", True),
        ("USDJPY_H1_2012_2022", 57_600, "H1", False),
        ("SPY_D1_1998_2021", 5_849, "D1", False),
    ],
)
def test_real_prices_pass_the_checks(name: str, bars: int, timeframe: str, spread: bool) -> None:
    pytest.importorskip("pyarrow")
    frame = read_prices(REAL_PRICES / f"{name}.parquet")
    assert (len(frame), timeframe_of(frame).name, "Spread" in frame) == (bars, timeframe, spread)


@real_prices
def test_a_file_of_ticks_is_no_file_of_bars() -> None:
    pytest.importorskip("pyarrow")
    assert mistakes_of(REAL_PRICES / "USDJPY_ticks_20130101_truefx.parquet") == [
        "it holds ticks (bid and ask), bars are wanted here; name a file with open, high, low and close"
    ]


# --- what is refused, each in a sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("time,open,high,low,close\n", "it holds no bars"),
        ("time,open,high,low\n2017-04-19,1,1,1\n", "no column Close; it has time, open, high, low"),
        ("open,high,low,close\n1,1,1,1\n", "no column with the time (time, date, datetime or timestamp); it has open, high, low, close"),
        (CSV.replace("1.4", "abc"), "row 2: High is 'abc', not a number"),
        (CSV.replace("1.4", ""), "row 2 (2017-04-19 10:00:00): High is missing"),
        (CSV.replace("2017-04-19 10:00", "later"), "row 2: 'later' is no time"),
        (CSV.replace("2017-04-19 10:00", "2017-04-31 10:00"), "row 2: '2017-04-31 10:00' is no time"),
        (
            CSV.replace("2017-04-19", "04/05/2017"),
            "the date '04/05/2017 09:00' may begin with the day or the month; write dates as 2017-04-19",
        ),
        ("1,2,3\n4,5,6\n", "it has no headings and 3 columns; want a first line like time,open,high,low,close,volume"),
        (b"\x89PNG\r\n\x1a\n\xff\xff", "this is neither text nor Parquet; want CSV (plain, .gz, .bz2, .xz, .zip, .zst) or Parquet"),
        (zipped(a=CSV, b=CSV), "the archive holds 2 files; one price file is wanted"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, told: str) -> None:
    assert mistakes_of(written(tmp_path, content)) == [told]


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"2017-04-{day},1,1,1,x\n" for day in range(10, 20))
    told = mistakes_of(written(tmp_path, "time,open,high,low,close\n" + rows))
    assert (len(told), told[-1]) == (6, "5 more rows like row 1")
    told = mistakes_of(written(tmp_path, "time,open,high,low,close\n2017-01-01,1,1,1,1\n" + "never,1,1,1,1\n" * 8))
    assert (len(told), told[-1]) == (6, "3 more rows like row 2")


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_a_cut_off_archive_is_damaged(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    assert "damaged" in mistakes_of(written(tmp_path, packed(CSV.encode() * 50)[:-20]))[0]


def test_a_row_with_too_many_fields_is_told(tmp_path: Path) -> None:
    told = mistakes_of(written(tmp_path, CSV + "2017-04-19 11:00,1,2,3,4,5,6,7,8,9\n"))
    assert told == ["row 3 (line 4): it has 10 fields; want 6"]


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path / "none.csv") == ["there is no such price file"]
    assert mistakes_of(tmp_path) == ["this is a folder, not a price file"]
    assert mistakes_of(tmp_path / ("x" * 300))[0].startswith("the price file cannot be read")
