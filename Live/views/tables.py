"""Rows of the record as a table, JSON or CSV."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from Live.audit_logger.reader import Row
from Live.logs import one_line, plain

COLOURS = {
    **dict.fromkeys(("FILLED", "BUY", "INFO"), "green"),
    **dict.fromkeys(("SELL", "FAILED", "ERROR", "CRITICAL", "UNRESOLVED"), "red"),
    **dict.fromkeys(("UNKNOWN", "ABSENT", "LATE_FILLED", "DENIED", "WARNING", "PARTIALLY_FILLED"), "yellow"),
    **dict.fromkeys(("CANCELLED", "EXPIRED", "HOLD"), "dim"),
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that begins so

Cell = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading, the row's value under `names` (the first that is there), and how that is written."""

    heading: str
    names: tuple[str, ...]
    write: Cell = str
    right: bool = False

    def value(self, row: Row) -> object:
        """What is in the cell; None for nothing."""
        return next((row[name] for name in self.names if row.get(name) is not None), None)


def time_of(value: Any) -> str:
    """A moment of the record without what is the same in all of them."""
    return str(value)[:19].replace("T", " ")


def price_of(value: Any) -> str:
    """A price or a number of lots, with the digits that it has."""
    return f"{value:.10g}" if isinstance(value, float | int) else str(value)


def money_of(value: Any) -> str:
    """Money with its sign."""
    return f"{value:+,.2f}" if isinstance(value, float | int) else str(value)


def span_of(value: Any) -> str:
    """So many seconds, as people say it: 3 d 4 h."""
    left = timedelta(seconds=round(value)) if isinstance(value, float | int) else timedelta()
    parts = ((left.days, "d"), (left.seconds // 3600, "h"), (left.seconds // 60 % 60, "m"), (left.seconds % 60, "s"))
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2]) or "0 s"


_TIME, _SYMBOL, _SIDE = Column("Time (UTC)", ("timestamp",), time_of), Column("Symbol", ("symbol",)), Column("Side", ("side",))
_LOTS = Column("Lots", ("volume",), price_of, right=True)
COLUMNS: Mapping[str, Sequence[Column]] = {
    "positions": (
        Column("Ticket", ("ticket",)),
        _SYMBOL,
        _SIDE,
        _LOTS,
        Column("Entry", ("entry_price",), price_of, right=True),
        Column("Now", ("price_current",), price_of, right=True),
        Column("SL", ("sl",), price_of, right=True),
        Column("TP", ("tp",), price_of, right=True),
        Column("P/L", ("profit",), money_of, right=True),
        Column("Since (UTC)", ("entry_time",), time_of),
    ),
    "orders": (
        Column("ID", ("id",), right=True),
        _TIME,
        _SYMBOL,
        Column("Kind", ("kind",)),
        _SIDE,
        _LOTS,
        Column("Price", ("executed_price", "price"), price_of, right=True),
        Column("Status", ("status",)),
        Column("Why", ("message",)),
    ),
    "trades": (
        Column("Closed (UTC)", ("timestamp",), time_of),
        _SYMBOL,
        _SIDE,
        _LOTS,
        Column("Entry", ("entry_price",), price_of, right=True),
        Column("Exit", ("exit_price",), price_of, right=True),
        Column("Net P/L", ("net_profit",), money_of, right=True),
        Column("Held", ("duration_seconds",), span_of, right=True),
        Column("Exit by", ("exit_reason",)),
    ),
    "signals": (
        Column("Bar (UTC)", ("bar_time",), time_of),
        _SYMBOL,
        Column("Signal", ("signal",)),
        Column("Price", ("price",), price_of, right=True),
        Column("Size", ("size",), price_of, right=True),
        Column("SL", ("stop_loss",), price_of, right=True),
        Column("TP", ("take_profit",), price_of, right=True),
        Column("Order", ("order_id",), right=True),
        Column("Became", ("order_status",)),
        Column("Why", ("reason",)),
    ),
    "events": (_TIME, Column("Severity", ("severity",)), Column("Type", ("event_type",)), Column("What", ("message",))),
    "runs": (
        Column("Run", ("run_id",), right=True),
        Column("Started (UTC)", ("started_at",), time_of),
        Column("Mode", ("mode",)),
        Column("Strategy", ("strategy_id",)),
        Column("Bars", ("bars",), right=True),
        Column("Orders", ("orders_sent",), right=True),
        Column("Trades", ("trades",), right=True),
        Column("P/L", ("profit",), money_of, right=True),
        Column("Exit", ("exit_code",), right=True),
        Column("Ended because", ("end_reason",)),
    ),
}


def as_table(name: str, rows: Sequence[Row]) -> Table:
    """Aligned columns; the last one takes as many lines as it needs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS[name]:
        last = column is COLUMNS[name][-1]
        table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=not last, overflow="fold")
    cells = [_cells(column, rows) for column in COLUMNS[name]]
    for row in zip(*cells, strict=True):
        table.add_row(*(Text(said, style=COLOURS.get(said, "")) for said in row))
    return table


def _cells(column: Column, rows: Sequence[Row]) -> list[str]:
    """The texts of a column, each on one line, a dash where there is nothing; prices of one symbol with equally many decimals."""
    values = [column.value(row) for row in rows]
    said = ["–" if value is None else one_line(column.write(value)) for value in values]
    if column.write is not price_of:
        return said
    symbols = [str(row.get("symbol")) for row in rows]
    most = {symbol: max(_decimals(text) for text, each in zip(said, symbols, strict=True) if each == symbol) for symbol in {*symbols}}
    return [
        f"{value:.{most[symbol]}f}" if isinstance(value, float) and "e" not in text else text
        for value, text, symbol in zip(values, said, symbols, strict=True)
    ]


def _decimals(text: str) -> int:
    return len(text.partition(".")[2]) if "e" not in text else 0


def as_json(rows: Sequence[Row]) -> str:
    """One list of objects with all columns of the record."""
    return json.dumps([plain(row) for row in rows], ensure_ascii=False, indent=1)


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of the record, with a heading; a text that a spreadsheet would take for a formula has a ' before it."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def is_since(row: Row, since: datetime) -> bool:
    """Whether a row is not older than a moment; the record's times are ISO 8601 UTC, so texts compare."""
    return str(row.get("timestamp") or row.get("started_at") or row.get("updated_at") or "") >= since.isoformat()
