"""What became of alerts: a small SQLite file beside the record, written by the process that delivers them and nobody else."""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from Live.alert_kinds import Delivery
from Live.audit_logger.reader import BUSY_SECONDS, RecordUnavailable
from Live.errors import Misconfigured

ENDING = ".alerts.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    channel    TEXT NOT NULL,
    alert_id   INTEGER NOT NULL,                          -- of the record's table alerts
    queued_at  TEXT NOT NULL,                             -- of the same row: another record may have the same numbers
    outcome    TEXT NOT NULL CHECK (outcome IN ('SENT', 'FOLDED', 'DROPPED', 'EXPIRED', 'GIVEN_UP')),
    at         TEXT NOT NULL,
    detail     TEXT NOT NULL,
    PRIMARY KEY (channel, alert_id, queued_at)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channels (
    channel    TEXT PRIMARY KEY,
    alert_id   INTEGER NOT NULL,                          -- everything up to this row has an outcome
    record     TEXT NOT NULL,                             -- queued_at of that record's first alert, which tells it from others
    failures   INTEGER NOT NULL,                          -- in a row
    problem    TEXT NOT NULL                              -- why the last attempt failed; '' when it did not
) STRICT, WITHOUT ROWID;
"""
# By channel: so it goes through its key, from that row on.
_DELIVERIES = """
SELECT d.channel, d.alert_id, d.queued_at, d.outcome, d.at, d.detail FROM channels AS c CROSS JOIN deliveries AS d
ON d.channel = c.channel AND d.alert_id >= ? ORDER BY d.alert_id, d.channel
"""
_PUT_CHANNEL = (
    "INSERT INTO channels VALUES (?, ?, ?, ?, ?) ON CONFLICT (channel) DO UPDATE SET "
    "alert_id = excluded.alert_id, record = excluded.record, failures = excluded.failures, problem = excluded.problem"
)
_PUT_DELIVERY = "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)"


def outbox_of(record: Path) -> Path:
    """The file that goes with a record: data/audit.db has data/audit.db.alerts.db."""
    return record.with_name(record.name + ENDING)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a channel is: everything up to this alert has an outcome."""

    alert_id: int = 0
    record: str = ""
    failures: int = 0
    problem: str = ""


class Outbox:
    """The one writing connection to that file. Raises Misconfigured, in one sentence, when it cannot be used."""

    def __init__(self, record: Path) -> None:
        self.path = outbox_of(record)
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise Misconfigured(f"{self.path} cannot be used to note what became of alerts ({error}); move it away") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def standing(self, channel: str) -> Standing | None:
        """How far a channel is; None when it is new."""
        sql = "SELECT alert_id, record, failures, problem FROM channels WHERE channel = ?"
        row = self._db.execute(sql, (channel,)).fetchone()
        return None if row is None else Standing(*row)

    def settled(self, channel: str, after: int) -> set[tuple[int, str]]:
        """Alerts behind that row which have an outcome already."""
        sql = "SELECT alert_id, queued_at FROM deliveries WHERE channel = ? AND alert_id > ?"
        return set(self._db.execute(sql, (channel, after)))

    def put(self, channel: str, standing: Standing, deliveries: Iterable[Delivery], at: datetime) -> None:
        """Note what became of alerts and how far the channel is, together."""
        rows = [(channel, made.alert_id, made.queued_at, made.outcome, at.isoformat(), made.detail) for made in deliveries]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(_PUT_DELIVERY, rows)
            self._db.execute(_PUT_CHANNEL, (channel, standing.alert_id, standing.record, standing.failures, standing.problem))


def deliveries_of(record: Path, since: int) -> list[dict[str, object]]:
    """What became of the alerts from that row of the record on, for people; empty where nothing was delivered yet.

    Raises RecordUnavailable, as `channels_of` does, when the file cannot be read.
    """
    return _rows(record, _DELIVERIES, (since,))


def channels_of(record: Path) -> list[dict[str, object]]:
    """The channels that were delivered to, how far each is, and why its last attempt failed, if it did."""
    return _rows(record, "SELECT channel, alert_id, record, failures, problem FROM channels ORDER BY channel")


def _rows(record: Path, sql: str, values: tuple[object, ...] = ()) -> list[dict[str, object]]:
    path = outbox_of(record)
    if not path.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]
    except sqlite3.Error as error:
        raise RecordUnavailable(f"{path} cannot be read ({error}): what became of alerts is not known") from error
