"""The record as a reader of its own sees it: what is committed, and nothing else."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_SUBMITTED = (
    "SELECT e.seq, e.attempt, e.payload, o.* FROM order_events AS e JOIN orders AS o USING (client_order_id) "
    "WHERE e.to_status = 'SUBMITTED' ORDER BY e.seq DESC LIMIT 1"
)
# The third: an order that was given up and has come to the broker all the same, which the record names when it takes it away.
_KNOWN = """
SELECT 1 FROM orders WHERE mt5_order_id = ?1
UNION ALL SELECT 1 FROM fills WHERE position_id = ?1 OR order_ticket = ?1
UNION ALL SELECT 1 FROM events WHERE event_type = 'LATE_ORDER' AND json_extract(details, '$.order') = ?1 LIMIT 1
"""
_OPEN = "SELECT client_order_id, kind, status FROM orders WHERE symbol = ? AND status IN ('SUBMITTED', 'UNKNOWN', 'UNRESOLVED')"
_COUNTED = ("order_events", "fills", "trades", "events", "bars", "orders", "signals")


@dataclass(frozen=True, slots=True)
class Head:
    """How far the record is: rows by table, and the newest link of the chain."""

    counts: Mapping[str, int]
    seq: int
    link: str


class Journal:
    """Reads the file whenever it is asked; it may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """An answer of the record; nothing while there is none."""
        if self._db is None:
            if not self._path.exists():
                return []
            self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            self._db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in self._db.execute(sql, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def submitted(self) -> Row | None:
        """The order that was marked as being sent last, with what it was marked with: `sent` is the request."""
        row = next(iter(self.rows(_SUBMITTED)), None)
        return None if row is None else {**row, "sent": json.loads(row["payload"]).get("request")}

    def knows(self, ticket: int) -> bool:
        """Whether an order or a deal of ours has this ticket."""
        return bool(self.rows(_KNOWN, ticket))

    def unsettled(self, symbol: str) -> list[Row]:
        """The orders on a symbol whose outcome is open."""
        return self.rows(_OPEN, symbol)

    def has_event(self, kind: str, since: int = 0) -> int:
        """How many events of a kind there are."""
        return int(self.rows("SELECT count(*) AS n FROM events WHERE event_type = ? AND id > ?", kind, since)[0]["n"])

    def broken_link(self, first_broken_link: Callable[[sqlite3.Connection], int | None]) -> int | None:
        """The first row of the chain that is not as it was written."""
        if not self.rows("SELECT 1 FROM order_events LIMIT 1"):
            return None
        assert self._db is not None
        return first_broken_link(self._db)

    def head(self) -> Head:
        """How far the record is."""
        counts = {table: int(found[0]["n"]) for table in _COUNTED if (found := self.rows(f"SELECT count(*) AS n FROM {table}"))}
        newest = self.rows("SELECT seq, hash FROM order_events ORDER BY seq DESC LIMIT 1")
        return Head(counts, int(newest[0]["seq"]), str(newest[0]["hash"])) if newest else Head(counts, 0, "")

    def link(self, seq: int) -> str:
        """The link of the chain with this number."""
        return next((str(row["hash"]) for row in self.rows("SELECT hash FROM order_events WHERE seq = ?", seq)), "")
