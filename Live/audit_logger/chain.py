"""The hash chain of `order_events`: each row's hash covers its content and the hash before it, so a later edit shows."""

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from Live.audit_logger.rows import to_json

COVERED = ("timestamp", "run_id", "client_order_id", "attempt", "from_status", "to_status", "payload", "prev_hash")
_ALL = f"SELECT seq, hash, {', '.join(COVERED)} FROM order_events ORDER BY seq"  # noqa: S608 - our own names


def hash_of(row: Mapping[str, Any]) -> str:
    """The hash of one row: SHA-256 over its columns, as canonical JSON."""
    return hashlib.sha256(to_json({name: row[name] for name in COVERED}).encode()).hexdigest()


def first_broken_link(db: sqlite3.Connection) -> int | None:
    """`seq` of the first row that is not what was written, or does not follow the row before it; None when all do."""
    head = ""
    for row in db.execute(_ALL):
        values = dict(zip(("seq", "hash", *COVERED), row, strict=True))
        if values["prev_hash"] != head or values["hash"] != hash_of(values):
            return int(values["seq"])
        head = values["hash"]
    return None
