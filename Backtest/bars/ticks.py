"""Tick files: bids and asks as they came, as the one tick frame that we use.

A tick frame has the float64 columns Bid and Ask, and Last and Volume where trades are known, one row per tick on a naive
DatetimeIndex of the server's clock that ascends; several ticks may carry the same millisecond.
"""

from collections.abc import Hashable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from Backtest.bars.checks import check_prices, named, shape_faults, time_faults
from Backtest.bars.files import bars_of, unheaded
from Backtest.bars.tables import naming, numbers_in, plain, read_table, times_in
from Backtest.errors import BadInput

_SIDES = ("Bid", "Ask")
_NAMES = {
    "Bid": ("bid", "bidprice"),
    "Ask": ("ask", "askprice", "offer"),
    "Last": ("last", "lastprice"),
    "Volume": ("volume", "vol", "volumereal"),
}


def is_ticks(frame: pd.DataFrame) -> bool:
    """Whether a frame holds ticks, not bars."""
    return set(_SIDES) <= set(frame.columns)


def read_ticks(path: Path) -> pd.DataFrame:
    """The tick frame of a file: CSV with headings (plain or compressed), MetaTrader's export of ticks, Parquet.

    Columns time (or time_msc, or date and time), bid, ask, perhaps last and volume. In MetaTrader's export an empty price
    is that of the tick before. Raises BadInput with every fault and its row.
    """
    with naming(path):
        frame = _ticks_of(read_table(path, _unheaded))
    check_ticks(frame, str(path))
    return frame


def read_bars_or_ticks(path: Path) -> pd.DataFrame:
    """The ticks of a price file that has bids and asks (`is_ticks`), the bars of any other. Raises BadInput likewise."""
    with naming(path):
        table = read_table(path, unheaded)
        ticks = {"bid", "ask"} <= set(_found(table))
        frame = _ticks_of(table) if ticks else bars_of(table)
    (check_ticks if ticks else check_prices)(frame, str(path))
    return frame


def check_ticks(frame: pd.DataFrame, source: str) -> None:
    """Raise BadInput unless every tick can be traded upon; one sentence per fault, naming its row (the first tick is row 1).

    Wanted: Bid and Ask, at least one tick, naive times that ascend (two may be the same), prices that are finite and
    positive, no bid above its ask.
    """
    mistakes = list(shape_faults(frame, _SIDES, "ticks")) or [*time_faults(frame, repeats=True), *_price_faults(frame)]
    if mistakes:
        raise BadInput(*(f"{source}: {mistake}" for mistake in mistakes))


def _price_faults(frame: pd.DataFrame) -> Iterator[str]:
    bid, ask = (frame[name].to_numpy(dtype="float64") for name in _SIDES)
    for name, values in zip(_SIDES, (bid, ask), strict=True):
        yield from named(frame, np.isnan(values), f"{name} is missing")
        yield from named(frame, np.isinf(values) | (values <= 0), name + " is {value:.10g}; want a price above 0", value=values)
    yield from named(frame, bid > ask, "Bid {bid:.10g} is above Ask {ask:.10g}", bid=bid, ask=ask)


def _unheaded(fields: list[str]) -> list[str]:
    raise BadInput(f"it has no headings and {len(fields)} columns; want a first line like time,bid,ask")


def _found(table: pd.DataFrame) -> dict[str, Hashable]:
    return {plain(heading): heading for heading in reversed(table.columns)}


def _ticks_of(table: pd.DataFrame) -> pd.DataFrame:
    table = table.dropna(how="all")
    found = _found(table)
    spelled = {name: next((found[each] for each in spellings if each in found), None) for name, spellings in _NAMES.items()}
    missing = [name for name in _SIDES if spelled[name] is None]
    if missing:
        raise BadInput(f"no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    index, _ = times_in(table, found)
    columns = {name: numbers_in(name, table[heading]) for name, heading in spelled.items() if heading is not None}
    frame = pd.DataFrame(columns, index=index.rename(None))
    if "flags" in found:  # MetaTrader's export leaves out what has not changed
        frame[list(_SIDES)] = frame[list(_SIDES)].ffill()
        frame = frame.iloc[int(frame[list(_SIDES)].isna().any(axis=1).sum()) :]
    beside = [name for name in ("Last", "Volume") if name in frame]
    return frame.assign(**{name: frame[name].fillna(0.0) for name in beside})
