"""Of which kinds the values of a listing are, by its tables' own words."""

import functools
import sqlite3

from Live.audit_logger.listing import Listing
from Live.audit_logger.opening import schema

# as JSON holds them: what JavaScript would round travels as text, what is no number as null
_KINDS = {"INTEGER": ["integer", "string"], "REAL": ["number", "null"], "TEXT": ["string"]}


def column_types(listing: Listing) -> dict[str, list[str]]:
    """The JSON types of each column; empty for one that is reckoned."""
    known = _columns(listing.table)
    return {name: known.get(name, []) for name in listing.names_of_columns}


@functools.cache
def _columns(table: str) -> dict[str, list[str]]:
    fresh = sqlite3.connect(":memory:")
    try:
        fresh.executescript(schema())
        rows = fresh.execute('SELECT name, type, "notnull" OR pk FROM pragma_table_info(?)', (table,)).fetchall()
    finally:
        fresh.close()
    return {name: list(dict.fromkeys([*_KINDS[kind], *([] if always else ["null"])])) for name, kind, always in rows}
