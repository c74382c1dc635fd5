"""Opening the record: a new file gets its tables, an old one must be ours and whole; one of an older version is brought up to date."""

import contextlib
import errno
import functools
import itertools
import os
import sqlite3
from pathlib import Path

from Live.audit_logger.chain import Head, first_broken_link, head_of
from Live.audit_logger.copying import CopyIsBroken, copy_record
from Live.audit_logger.spill import Spill, noted_head, spill_of
from Live.errors import Misconfigured, NeedsPerson

SCHEMA_VERSION = 4
# By version what is new in it: tables, whose indices and triggers are named after them, and indices of older tables.
TABLES_SINCE = {
    2: ("history", "warm_ups"),
    4: (
        *("indicators", "run_totals", "signals_that_act", "signals_by_order", "order_events_by_order", "fills_by_order"),
        *("trades_by_position", "events_by_severity", "events_by_type", "orders_by_slot", "fills_by_time"),
        *("signals_by_symbol", "orders_by_symbol", "trades_by_symbol", "trades_by_reason"),
    ),
}
ANOTHER_FILE = "choose a file in a folder that you may write to"
WAL_BYTES = 8 * 1024 * 1024  # what the write-ahead log is cut down to when a reader that kept it growing has gone
ROWS_AT_START = 20_000  # of the journal, whose chain is looked at with every start; `audit verify` looks at all of it
CHECKED_BYTES = 64 * 1024 * 1024  # a file up to this size is looked at page by page with every start

# What SQLite calls it (the beginning of sqlite_errorname): what is wrong, and what to do.
_SENTENCES = {
    "SQLITE_BUSY": "another program has locked it; close that program, or choose another file",
    "SQLITE_NOTADB": "it is no SQLite database; choose another file",
    "SQLITE_CORRUPT": "it is damaged ({error}); keep the file, and put a copy from a backup in its place",
    "SQLITE_CANTOPEN": f"it cannot be opened; {ANOTHER_FILE}",
    "SQLITE_READONLY": f"it is read-only; {ANOTHER_FILE}",
    "SQLITE_FULL": "the disk is full; make room, or choose a file on another disk",
    "SQLITE_IOERR": "its disk cannot be read or written ({error}); keep the file, and look after the disk",
}

# A record has such a journal only while it is being made: later on it has a write-ahead log.
HALF_MADE = "SQLITE_READONLY_ROLLBACK"


class _Unusable(Exception):
    """Why a file cannot be the record, and what to do."""


def check_record(path: Path, *, lost_rows: bool = False) -> None:
    """Raises Misconfigured for a file that cannot be the record, and NeedsPerson for one that has lost rows unless it may have
    `lost_rows`, without changing it or leaving another one beside it.
    """
    if path.is_dir():
        raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: it is a folder; name a file in it")
    head = None if lost_rows else noted_head(path)
    if not path.exists():
        if head is not None:
            raise NeedsPerson(_set_back(path, head))
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            _check_owner(db)
            lost = head is not None and _has_lost(db, head)
    except (OSError, sqlite3.Error, _Unusable) as error:
        if head is None and getattr(error, "sqlite_errorname", "") == HALF_MADE:
            return  # whoever writes to it begins anew
        raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: {_reason(error)}") from error
    if lost and head is not None:
        raise NeedsPerson(_set_back(path, head))


def open_record(path: Path, *, busy_seconds: float, set_back: bool = False) -> tuple[sqlite3.Connection, Spill]:
    """The one writing connection, and the spill file beside it.

    Raises Misconfigured, in one sentence, when the file or its folder cannot be used, and NeedsPerson when it ends before what
    was written to it, unless it may have been `set_back`.
    """
    if not set_back:
        check_record(path)  # by a reader, which leaves everything as it is
    with contextlib.ExitStack() as resources:
        try:
            _make(path)
            db = resources.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=busy_seconds)))
            db.row_factory = sqlite3.Row
            _check_owner(db)  # before anything is changed in it
            _prepare(db, path)
            spill = Spill(spill_of(path))
        except (OSError, sqlite3.Error, CopyIsBroken, _Unusable) as error:
            raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: {_reason(error)}") from error
        resources.pop_all()
        return db, spill


def _make(path: Path) -> None:
    """A new file is its owner's alone, and so are SQLite's files beside it, which take after it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _has_lost(db: sqlite3.Connection, head: Head) -> bool:
    """Whether the row that was noted as the newest of the journal is not in it."""
    return _version(db) == 0 or head_of(db, head.seq) != head


def _set_back(path: Path, head: Head) -> str:
    return (
        f"the record {path} has lost rows: its journal had {head.seq} by {spill_of(path).name}, and does not hold that one now (an older "
        "copy was put in its place, or the file or its -wal was removed). Nothing is traded on it. Put the newest copy back, or take "
        f"this one with: python -m Live reconcile adopt --restored"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, _Unusable):
        return str(error)
    if isinstance(error, CopyIsBroken):
        return (
            f"before an update it is copied, and the copy is of no use ({error}); keep the file, and put a copy from a backup in its place"
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return _SENTENCES["SQLITE_FULL"]
    name = getattr(error, "sqlite_errorname", "")
    known = next((sentence for code, sentence in _SENTENCES.items() if name.startswith(code)), None)
    return known.format(error=error) if known else f"{getattr(error, 'strerror', None) or error}; {ANOTHER_FILE}"


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise _Unusable("its drive cannot keep a write-ahead log; choose a file on a local disk")
    # without recursive_triggers INSERT OR REPLACE slips past the append-only triggers
    for setting in ("foreign_keys = ON", "recursive_triggers = ON", f"journal_size_limit = {WAL_BYTES}"):
        db.execute(f"PRAGMA {setting}")
    if _version(db) == 0:
        db.executescript(f"BEGIN IMMEDIATE;\n{schema()}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;")
        return
    _check_writable(db)
    _check_whole(db, path)
    if _version(db) < SCHEMA_VERSION:
        copy_record(path, _free_name(path, f".v{_version(db)}-backup"))
        _bring_up_to_date(db)


def _free_name(path: Path, suffix: str) -> Path:
    names = (path.with_name(f"{path.name}{suffix}{number}") for number in itertools.chain([""], (f"-{n}" for n in itertools.count(2))))
    return next(name for name in names if not name.exists())


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """All rows move into tables of this version, in one transaction; columns that are new are empty in them."""
    tables = [name for kind, name, _ in _names(db) if kind == "table"]
    others = [f"DROP {kind} {name};" for kind, name, _ in _names(db) if kind != "table" and not name.startswith("sqlite_")]
    aside = [f"ALTER TABLE {table} RENAME TO old_{table};" for table in tables]
    columns = {table: ", ".join(row["name"] for row in db.execute(f"PRAGMA table_info({table})")) for table in tables}
    columns.pop("alerts")  # they were none before version 4, which has other columns
    moved = [f"INSERT INTO {name} ({given}) SELECT {given} FROM old_{name};" for name, given in columns.items()]  # noqa: S608 - our own names
    dropped = [f"DROP TABLE old_{table};" for table in tables]
    steps = [*others, *aside, schema(), *moved, *dropped, f"PRAGMA user_version = {SCHEMA_VERSION};"]
    db.execute("PRAGMA foreign_keys = OFF")
    try:
        db.executescript("\n".join(["BEGIN IMMEDIATE;", *steps, "COMMIT;"]))
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys = ON")


def _check_owner(db: sqlite3.Connection) -> None:
    version, found = _version(db), _names(db)
    if version > SCHEMA_VERSION:
        raise _Unusable(
            f"it was made by a newer version of this program (schema {version}, this one knows {SCHEMA_VERSION}); "
            "update the program, or choose another file"
        )
    if found != _names_of(version):
        raise _Unusable("it is another program's database, or was changed by one; choose another file")


def _check_writable(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")  # a read-only file lets this pass, and refuses the first change
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("ROLLBACK")


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size <= CHECKED_BYTES:
        damage = db.execute("PRAGMA quick_check(1)").fetchone()[0].splitlines()[-1]  # the first line only says which database
        if damage != "ok":
            raise _Unusable(_SENTENCES["SQLITE_CORRUPT"].format(error=damage))
    known = head_of(db, head_of(db).seq - ROWS_AT_START)
    if (seq := first_broken_link(db, after=known)) is not None:
        raise _Unusable(
            f"row {seq} of order_events is not as it was written; keep the file as evidence, and put a copy from a backup in its place"
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _names(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Tables, indices and triggers, the last with what they do: a record without its triggers keeps no promises."""
    rows = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'")
    return {(row[0], row[1], row[2] if row[0] == "trigger" else "") for row in rows}


def _names_of(version: int) -> set[tuple[str, str, str]]:
    """What a record of this version has; nothing, where it is not one yet."""
    younger = [table for since, tables in TABLES_SINCE.items() if since > version for table in tables]
    return {each for each in _our_names() if not any(table in each[1] for table in younger)} if version else set()


@functools.cache
def _our_names() -> set[tuple[str, str, str]]:
    fresh = sqlite3.connect(":memory:")
    try:
        fresh.executescript(schema())
        return _names(fresh)
    finally:
        fresh.close()


def schema() -> str:
    """The SQL that makes the tables."""
    return (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
