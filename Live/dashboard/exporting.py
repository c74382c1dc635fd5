"""Rows as CSV that a spreadsheet shows and never runs."""

import csv
import io
from collections.abc import Iterable, Sequence

from Live.audit_logger.reader import Row

RUNS = ("=", "+", "-", "@", "\t", "\r")  # a text that begins so is a formula in a spreadsheet (OWASP, CSV injection)


def header(columns: Sequence[str]) -> str:
    """The line that names the columns."""
    return _text([columns])


def lines(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """One line for each row."""
    return _text([cell(row[name]) for name in columns] for row in rows)


def cell(value: object) -> object:
    """One value; a text that a spreadsheet would run is marked as a text.

    >>> cell("=1+1"), cell(-1.5), cell(None), cell("BUY")
    ("'=1+1", -1.5, '', 'BUY')
    """
    if isinstance(value, str) and value.startswith(RUNS):
        return f"'{value}"
    return "" if value is None else value


def _text(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
