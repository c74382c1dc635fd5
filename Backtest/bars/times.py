"""The times of a price file, however they are written, as naive times on the clock that the file was written with."""

import re
from typing import Literal

import numpy as np
import pandas as pd

from Backtest.bars.checks import SHOWN
from Backtest.errors import BadInput

# Seconds, milliseconds, microseconds or nanoseconds since 1970: told apart by their size (seconds up to the year 5138).
_EPOCH_UNITS: tuple[tuple[float, Literal["s", "ms", "us", "ns"]], ...] = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (float("inf"), "ns"))
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # 20170419, 201704190900, 20170419090000
_ZONE = r"\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)$"


def parse_times(column: "pd.Series[str]") -> pd.DatetimeIndex:
    """Naive times of a column of text: ISO 8601, MetaTrader's dots, day or month first, digits only, seconds since 1970.

    A time zone is taken off without conversion: bars are named by the clock that they were cut with. Raises BadInput
    for texts that are no times, each with its row, and for 03/04/2020-like dates that may be read in two ways.
    """
    texts = column.astype("str").str.strip()
    if not len(texts):
        return pd.DatetimeIndex([])
    times = _parsed(texts)
    wrong = np.flatnonzero(np.isnat(times.to_numpy()))
    if len(wrong):
        more = [f"{len(wrong) - SHOWN} more rows like row {wrong[0] + 1}"] if len(wrong) > SHOWN else []
        raise BadInput(*(f"row {row + 1}: '{texts.iloc[row]}' is no time" for row in wrong[:SHOWN]), *more)
    return times.as_unit("us")


def _parsed(texts: "pd.Series[str]") -> pd.DatetimeIndex:
    first = texts.iloc[0]
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE]\+?\d+)?", first):
        return _from_numbers(texts, first)
    if re.search(_ZONE, first):
        texts = texts.str.replace(_ZONE, "", regex=True)
    if re.match(r"\d{8}[ T]\d", first):  # 20170419 090000, 20170419 09:00
        texts = texts.str.replace(r"^(\d{4})(\d\d)(\d\d)[ T](\d\d):?(\d\d):?(\d\d)?", r"\1-\2-\3T\4:\5:\6", regex=True).str.rstrip(":")
    elif re.match(r"\d{4}[./]", first):  # MetaTrader's 2017.04.19
        texts = texts.str.slice(0, 10).str.replace("[./]", "-", regex=True) + texts.str.slice(10)
    elif re.match(r"\d\d?[./-]\d\d?[./-]\d{4}", first):
        texts = _year_first(texts)
    return pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601", errors="coerce"))


def _from_numbers(texts: "pd.Series[str]", first: str) -> pd.DatetimeIndex:
    form = _DIGITS.get(len(first))
    if form and first[:2] in {"19", "20"}:
        return pd.DatetimeIndex(pd.to_datetime(texts, format=form, errors="coerce"))
    numbers = pd.to_numeric(texts, errors="coerce")
    unit = next(unit for below, unit in _EPOCH_UNITS if not abs(numbers.iloc[0]) >= below)
    return pd.DatetimeIndex(pd.to_datetime(numbers, unit=unit, errors="coerce"))


def _year_first(texts: "pd.Series[str]") -> "pd.Series[str]":
    parts = texts.str.extract(r"^(\d\d?)[./-](\d\d?)[./-](\d{4})(?:[ T]+(.*))?$")
    first, second = (pd.to_numeric(parts[column], errors="coerce") for column in (0, 1))
    dots = "." in texts.iloc[0][:3]  # with dots the day comes first, wherever dates are written with dots
    day_first = dots or bool((first > 12).any())
    if not day_first and not (second > 12).any():
        raise BadInput(f"the date '{texts.iloc[0]}' may begin with the day or the month; write dates as 2017-04-19")
    day, month = (parts[0], parts[1]) if day_first else (parts[1], parts[0])
    return parts[2] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + "T" + parts[3].fillna("00:00")
