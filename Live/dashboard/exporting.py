"""Rows as CSV that a spreadsheet shows and never runs."""

import csv
import io
from collections.abc import Iterable, Iterator

from Live.audit_logger.reader import Row

RUNS = ("=", "+", "-", "@", "\t", "\r")  # a text that begins so is a formula in a spreadsheet (OWASP, CSV injection)


def lines(rows: Iterable[Row], columns: list[str]) -> Iterator[str]:
    """The header and one line for each row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row[name]) for name in columns])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def cell(value: object) -> object:
    """One value; a text that a spreadsheet would run is marked as a text.

    >>> cell("=1+1"), cell(-1.5), cell(None), cell("BUY")
    ("'=1+1", -1.5, '', 'BUY')
    """
    if isinstance(value, str) and value.startswith(RUNS):
        return f"'{value}"
    return "" if value is None else value
