"""A copy of a record that fits together, taken from a reader's side: the trader is neither slowed nor locked."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from Live.audit_logger.chain import first_broken_link

PAGES = 2_000  # of 4096 bytes, between two signs of progress

Progress = Callable[[int, int], None]


class CopyIsBroken(Exception):
    """What was copied is not whole: its reason."""


def reader_of(path: Path, *, busy_seconds: float = 5.0) -> sqlite3.Connection:
    """A connection that SQLite lets read only, and that trusts nothing in the file."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=busy_seconds)
    for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        db.execute(f"PRAGMA {setting}")
    return db


def copy_record(source: Path, target: Path, progress: Progress = lambda _done, _total: None) -> None:
    """Copy the record as it is at this moment into one file, readable by its owner only, and look whether the copy is whole.

    `target` appears when all of it is on the disk. Raises OSError (FileExistsError for a target that is there already), and
    CopyIsBroken.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        _copy(source, part, progress)
        _check(part)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.rename(target)
    except sqlite3.Error as error:
        raise CopyIsBroken(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk; where folders cannot be opened (Windows) the system does that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _copy(source: Path, part: Path, progress: Progress) -> None:
    with contextlib.closing(reader_of(source)) as db, contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        # the moment that is copied: held, so that the copy does not start anew with everything the trader writes
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        db.backup(copy, pages=PAGES, progress=lambda _status, left, total: progress(total - left, total), sleep=0.0)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file; the trader turns the write-ahead log on again


def _check(part: Path) -> None:
    with contextlib.closing(reader_of(part)) as db:
        damage = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if damage != "ok":
            raise CopyIsBroken(f"it is damaged: {damage.splitlines()[-1]}")
        if (seq := first_broken_link(db)) is not None:
            raise CopyIsBroken(f"row {seq} of order_events is not as it was written")
