"""What a replayed price file has beside the columns of a terminal: named on record, and read again from the file.

The record has the bars that a terminal has. Of further columns it has the file and a hash; who tells a session again reads
them anew, and only where they are what they were.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from Backtest.bars import is_ticks, read_bars_or_ticks
from Backtest.errors import BadInput

EVENT = "FURTHER_COLUMNS"
_A_TERMINAL_HAS = ("Open", "High", "Low", "Close", "Volume")


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The columns, where they are what they were; else None, and why in a sentence."""

    columns: pd.DataFrame | None = None
    note: str = ""


def facts_of(columns: pd.DataFrame, symbol: str, file: Path | None) -> dict[str, Any]:
    """What is put on record when a strategy is given such columns."""
    named = {"symbol": symbol, "file": None if file is None else str(file), "columns": [str(name) for name in columns.columns]}
    return {**named, "sha256": _sha256(columns)}


def read_again(events: Iterable[Mapping[str, Any]], symbol: str, spread_points: float) -> ReadAgain:
    """The columns that the newest of these events names; `spread_points` (SIM_SPREAD_POINTS) were added to the file's spread."""
    told = [json.loads(row["details"]) for row in events if row["event_type"] == EVENT]
    facts = next((each for each in reversed(told) if each["symbol"] == symbol), None)
    if facts is None:
        return ReadAgain()
    names, file = ", ".join(facts["columns"]), facts["file"]
    lost = f"{symbol}: further columns of the prices ({names}) cannot be read again: {{}}. A strategy that needs them cannot be told again"
    if file is None:
        return ReadAgain(note=lost.format("they came from no file"))
    try:
        columns = _columns_of(Path(file), spread_points)
    except BadInput as error:
        return ReadAgain(note=lost.format(error))
    if _sha256(columns) != facts["sha256"]:
        return ReadAgain(note=lost.format(f"{file} has changed since"))
    return ReadAgain(columns)


def _columns_of(file: Path, spread_points: float) -> pd.DataFrame:
    frame = read_bars_or_ticks(file)
    if is_ticks(frame):
        raise BadInput(f"{file} holds ticks now")
    frame = frame.assign(Spread=frame.get("Spread", 0) + spread_points) if spread_points else frame
    return frame.drop(columns=list(_A_TERMINAL_HAS), errors="ignore")


def _sha256(columns: pd.DataFrame) -> str:
    return hashlib.sha256(columns.to_csv().encode()).hexdigest()
