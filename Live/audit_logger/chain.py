"""The hash chain of `order_events`: each row's hash covers its content and the hash before it, so a later edit shows."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from Live.audit_logger.rows import to_json

COVERED = ("timestamp", "run_id", "client_order_id", "attempt", "from_status", "to_status", "payload", "prev_hash")
PAGE = 5_000  # rows of one question: a reader that stays long keeps the write-ahead log from being folded in
_ROWS = f"SELECT seq, hash, {', '.join(COVERED)} FROM order_events WHERE seq > ? ORDER BY seq LIMIT {PAGE}"  # noqa: S608 - our own names
_HEAD = "SELECT seq, hash FROM order_events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Head:
    """A row of the journal: its number, and its hash, which covers it and all rows before it."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = Head(0, "")  # before the first row


def hash_of(row: Mapping[str, Any]) -> str:
    """The hash of one row: SHA-256 over its columns, as canonical JSON."""
    return hashlib.sha256(to_json({name: row[name] for name in COVERED}).encode()).hexdigest()


def head_of(db: sqlite3.Connection, until: int = LAST) -> Head:
    """The newest row, or the newest up to a number; START where there is none."""
    row = db.execute(_HEAD, (until,)).fetchone()
    return START if row is None else Head(int(row[0]), str(row[1]))


def first_broken_link(db: sqlite3.Connection, after: Head = START, seen: Callable[[int], None] = lambda _: None) -> int | None:
    """`seq` of the first row that is not what was written, or does not follow the row before it; None when all do.

    Only rows `after` one that is known to be right are looked at; `seen` is told how many were, now and then.
    """
    head, count = after, 0
    while page := db.execute(_ROWS, (head.seq,)).fetchall():
        for values in _told(page):
            if values["prev_hash"] != head.hash or values["hash"] != hash_of(values):
                return int(values["seq"])
            head = Head(values["seq"], values["hash"])
        count += len(page)
        seen(count)
    return None


def _told(page: list[Any]) -> Iterator[dict[str, Any]]:
    return (dict(zip(("seq", "hash", *COVERED), row, strict=True)) for row in page)
