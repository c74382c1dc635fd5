"""Price files: what people have (MetaTrader's exports, CSV of any kind, Parquet), as the one frame that we use."""

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd

from Backtest.bars.checks import PRICES, check_prices
from Backtest.bars.tables import naming, numbers_in, plain, read_table, times_in
from Backtest.errors import BadInput

# Spellings of a heading, lower case and without signs. A file with both kinds of volume has the number of ticks as its
# Volume, as MetaTrader's own charts and `copy_rates` do; the traded volume stays beside it.
_NAMES = {
    "Open": ("open", "o", "openprice", "bidopen"),
    "High": ("high", "h", "highprice", "bidhigh"),
    "Low": ("low", "l", "lowprice", "bidlow"),
    "Close": ("close", "c", "closeprice", "last", "bidclose"),
    "Volume": ("tickvolume", "tickvol", "tickqty", "volume", "vol", "v", "realvolume"),
    "Spread": ("spread",),
    "RealVolume": ("realvolume", "vol"),
}


def read_prices(path: Path) -> pd.DataFrame:
    """The bars of a price file: Open High Low Close Volume, Spread in points where known, then the file's other columns
    of numbers, all float64, on a naive DatetimeIndex (the clock that the file was written with).

    CSV plain or compressed (gzip, bzip2, xz, zip, zstd), MetaTrader's exports, Parquet. A file without volumes has
    Volume 0. Raises BadInput with every fault and its row.
    """
    with naming(path):
        frame = bars_of(read_table(path, unheaded))
    check_prices(frame, str(path))
    return frame


def unheaded(fields: list[str]) -> list[str]:
    """The columns of a file of bars without headings, by how many there are. Raises BadInput for another number."""
    # MetaTrader 4's and HistData's files have no headings: time or date and time, four prices, volume
    times = ["date", "clock"] if len(fields) > 5 and ":" in fields[1] else ["time"]
    names = [*times, "open", "high", "low", "close", "volume"]
    if len(fields) not in {len(names), len(names) - 1}:
        raise BadInput(f"it has no headings and {len(fields)} columns; want a first line like time,open,high,low,close,volume")
    return names[: len(fields)]


def bars_of(table: pd.DataFrame) -> pd.DataFrame:
    """The one frame that we use, of a table as it was read: columns by their names, times as index. Not checked yet."""
    table = table.dropna(how="all")
    found: dict[str, Hashable] = {plain(heading): heading for heading in reversed(table.columns)}
    chosen: dict[str, Hashable] = {}
    for name, spellings in _NAMES.items():
        free = [found[spelling] for spelling in spellings if spelling in found and found[spelling] not in chosen.values()]
        if free:
            chosen[name] = free[0]
    missing = [name for name in PRICES if name not in chosen]
    if missing and {"bid", "ask"} <= found.keys():
        raise BadInput("it holds ticks (bid and ask), bars are wanted here; name a file with open, high, low and close")
    if missing:
        raise BadInput(f"no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    index, used = times_in(table, found)
    columns = {name: numbers_in(name, table[heading]) for name, heading in chosen.items()}
    columns.setdefault("Volume", np.zeros(len(table)))
    for heading in table.columns:
        if heading not in used and heading not in chosen.values() and pd.api.types.is_numeric_dtype(table[heading]):
            columns[str(heading)] = table[heading].to_numpy(dtype="float64")
    return _known_spread(pd.DataFrame(columns, index=index.rename(None)))


def _known_spread(frame: pd.DataFrame) -> pd.DataFrame:
    """A negative spread means unknown: such a bar has the last known one, and a file that knows none has no column."""
    if "Spread" not in frame:
        return frame
    spread = frame["Spread"].where(~(frame["Spread"] < 0))
    if spread.isna().all():
        return frame.drop(columns="Spread")
    return frame.assign(Spread=spread.ffill().bfill())
