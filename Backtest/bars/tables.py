"""Tables of prices as people have them: CSV plain or compressed, MetaTrader's exports, Parquet."""

import bz2
import gzip
import io
import lzma
import re
import shlex
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.bars.checks import SHOWN
from Backtest.bars.times import parse_times
from Backtest.errors import BadInput

_ROOT = Path(__file__).resolve().parents[2]
_ZSTD_MAGIC, _PARQUET_MAGIC = b"\x28\xb5\x2f\xfd", b"PAR1"
_TIMES = (
    *("time", "timemsc", "datetime", "timestamp", "date", "gmttime", "localtime", "timeutc", "dateutc", "opentime"),
    *("index", "", "unnamed0"),
)
Unheaded = Callable[[list[str]], list[str]]


def read_table(path: Path, unheaded: Unheaded) -> pd.DataFrame:
    """The table of a price file, as it is written. `unheaded` names the columns of a first line that is no heading.

    Raises BadInput, without the path in it, for a file that is none or cannot be read.
    """
    content = _content(path)
    return _parquet(content) if content.startswith(_PARQUET_MAGIC) else _csv(_text(content), unheaded)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let every mistake begin with the file's path."""
    try:
        yield
    except BadInput as fault:
        raise BadInput(*(f"{path}: {mistake}" for mistake in fault.mistakes)) from fault


def _content(path: Path) -> bytes:
    try:
        return _unpacked(path.read_bytes())
    except FileNotFoundError:
        raise BadInput("there is no such price file") from None
    except IsADirectoryError:
        raise BadInput("this is a folder, not a price file") from None
    except BadInput:
        raise
    except (EOFError, ValueError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"the compressed file is damaged or locked ({error})") from error
    except OSError as error:
        raise BadInput(f"the price file cannot be read ({error.strerror or error})") from error


def _unpacked(raw: bytes) -> bytes:
    # by the first bytes, not by the name: a renamed file reads as well
    if raw.startswith(b"\x1f\x8b"):
        return gzip.decompress(raw)
    if raw.startswith(b"BZh"):
        return bz2.decompress(raw)
    if raw.startswith(b"\xfd7zXZ\x00"):
        return lzma.decompress(raw)
    if raw.startswith(_ZSTD_MAGIC):
        return _unpacked_zstd(raw)
    if raw.startswith(b"PK\x03\x04"):
        return _unzipped(raw)
    return raw


def _unpacked_zstd(raw: bytes) -> bytes:
    try:
        import pyarrow as pa  # optional; Python itself reads zstd from 3.14 on only
    except ImportError:
        raise BadInput(_needs_pyarrow("zstd-compressed files")) from None
    with pa.input_stream(io.BytesIO(raw), compression="zstd") as stream:
        return bytes(stream.read())


def _needs_pyarrow(what: str) -> str:
    words = [sys.executable, "-m", "pip", "install", "-r", str(_ROOT / "requirements-parquet.txt")]
    command = subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
    return f"{what} need pyarrow; save the prices as CSV, or install it: {command}"


def _unzipped(raw: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
        if len(names) != 1:
            raise BadInput(f"the archive holds {len(names)} files; one price file is wanted")
        return archive.read(names[0])


def _text(content: bytes) -> str:
    # MetaTrader writes UTF-16 with a byte order mark from some of its windows
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise BadInput("this is neither text nor Parquet; want CSV (plain, .gz, .bz2, .xz, .zip, .zst) or Parquet") from None
    if not text.strip():
        raise BadInput("the file is empty")
    return text


def _parquet(content: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except ImportError:
        raise BadInput(_needs_pyarrow("Parquet files")) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"the Parquet file cannot be read ({error})") from error
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _csv(text: str, unheaded: Unheaded) -> pd.DataFrame:
    lines = text.lstrip("\r\n").split("\n", 2)
    separator = max("\t;,", key=lines[0].count)
    headed = not re.match(r"\s*\"?[\d.+-]+", lines[0])
    decimal_comma = separator == ";" and "," in (lines[1] if len(lines) > 1 else "")
    names = None if headed else unheaded(lines[0].split(separator))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # lines that end in a separator
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                names=names,
                decimal="," if decimal_comma else ".",
                index_col=False,
                skipinitialspace=True,
                dtype={0: "str", 1: "str"} if names and names[1] == "clock" else {0: "str"},
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadInput(_ragged(str(error).strip(), headings=int(headed))) from error


def _ragged(told: str, *, headings: int) -> str:
    """What pandas says of a line with too many fields, with the row by which other faults call it."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", told)
    if found is None:
        return f"the file is no table of prices ({told})"
    wanted, line, fields = map(int, found.groups())
    return f"row {line - headings} (line {line}): it has {fields} fields; want {wanted}"


def plain(heading: Hashable) -> str:
    """A heading in lower case and without signs."""
    return re.sub(r"[^a-z0-9]", "", str(heading).lower())


def times_in(table: pd.DataFrame, found: dict[str, Hashable]) -> tuple[pd.DatetimeIndex, list[Hashable]]:
    """The naive times of a table, and the columns that they are in; `found` has its columns by their plain headings."""
    heading = next((found[name] for name in _TIMES if name in found), None)
    if heading is None:
        raise BadInput(f"no column with the time (time, date, datetime or timestamp); it has {', '.join(map(str, table.columns))}")
    used: list[Hashable] = [heading]
    values = table[heading]
    clock = found.get("clock", found.get("time") if "date" in found else None)
    if clock is not None:  # MetaTrader: the day in one column, the time of day in another
        used = [found["date"], clock]
        values = table[found["date"]].astype("str") + " " + table[clock].astype("str")
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    if values.dtype.kind == "M":
        return pd.DatetimeIndex(values).as_unit("us"), used
    return parse_times(values), used


def numbers_in(name: str, column: "pd.Series[float]") -> npt.NDArray[np.float64]:
    """The numbers of a column, NaN where a field is empty. Raises BadInput for what is no number, with its row."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        more = [f"{len(wrong) - SHOWN} more rows like row {wrong[0] + 1}"] if len(wrong) > SHOWN else []
        raise BadInput(*(f"row {row + 1}: {name} is '{column.iloc[row]}', not a number" for row in wrong[:SHOWN]), *more)
    return numbers.to_numpy(dtype="float64")
