"""The stop file on stage: it appears, is removed, and some time later somebody resumes."""

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.stage import Stage

RESUMED_AFTER = 20.0  # seconds without the file


@dataclass(slots=True)
class Stop:
    """A stop file, and what was sent since it has been there."""

    path: Path
    since: float
    until: float
    acknowledged: int  # events of a stop on record when it appeared
    sends: int = 0
    gone: float = math.inf  # when it was removed

    def remove(self, now: float) -> None:
        """Somebody takes it away."""
        self.gone = min(self.gone, now)
        if self.path.is_dir():
            self.path.rmdir()
        else:
            self.path.unlink(missing_ok=True)


def appeared(stage: "Stage", path: Path, stays: float) -> None:
    """Somebody has put the stop file there, and removes it some time later."""
    seen = stage.journal.rows("SELECT count(*) AS n FROM events WHERE event_type = 'KILL_SWITCH'")
    stop = Stop(path, stage.now, stage.now + stays, seen[0]["n"] if seen else 0)
    stage.stops.append(stop)
    stage.later(stays, lambda: stop.remove(stage.now))


def lift(stage: "Stage") -> None:
    """Once the files have been gone for a while, somebody resumes."""
    path = stage.config.audit_db_path
    if path.exists() and all(stage.now - stop.gone >= RESUMED_AFTER for stop in stage.stops):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE state SET value = 'null' WHERE key = 'stop'")


def is_latched(stage: "Stage") -> bool:
    """Whether a stop is on record that nobody has lifted."""
    return any(row["value"] != "null" for row in stage.journal.rows("SELECT value FROM state WHERE key = 'stop'"))
