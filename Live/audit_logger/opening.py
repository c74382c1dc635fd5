"""Opening the record: a new file gets its tables, an old one must be ours and whole; one of an older version is brought up to date."""

import contextlib
import functools
import sqlite3
from pathlib import Path

from Live.audit_logger.chain import first_broken_link
from Live.errors import Misconfigured

SCHEMA_VERSION = 4
# By version what is new in it: tables, whose indices and triggers are named after them, and indices of older tables.
TABLES_SINCE = {
    2: ("history", "warm_ups"),
    4: (
        *("indicators", "run_totals", "signals_that_act", "signals_by_order", "order_events_by_order", "fills_by_order"),
        *("trades_by_position", "events_by_severity", "events_by_type"),
    ),
}
_NEW_IN_2 = ("history", "warm_ups")  # with their indices and triggers
ANOTHER_FILE = "choose a file in a folder that you may write to"

# What SQLite calls it (the beginning of sqlite_errorname): what is wrong, and what to do.
_SENTENCES = {
    "SQLITE_BUSY": "another program has locked it; close that program, or choose another file",
    "SQLITE_NOTADB": "it is no SQLite database; choose another file",
    "SQLITE_CORRUPT": "it is damaged ({error}); keep the file, and put a copy from a backup in its place",
    "SQLITE_CANTOPEN": f"it cannot be opened; {ANOTHER_FILE}",
    "SQLITE_READONLY": f"it is read-only; {ANOTHER_FILE}",
    "SQLITE_FULL": "the disk is full; make room, or choose a file on another disk",
}


class _Unusable(Exception):
    """Why a file cannot be the record, and what to do."""


def check_record(path: Path) -> None:
    """Raises Misconfigured for a file that cannot be the record, without changing it or leaving another one beside it."""
    if path.is_dir():
        raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: it is a folder; name a file in it")
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            _check_owner(db)
    except (OSError, sqlite3.Error, _Unusable) as error:
        raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: {_reason(error)}") from error


def open_record(path: Path, *, busy_seconds: float) -> sqlite3.Connection:
    """The one writing connection. Raises Misconfigured, in one sentence, when the file or its folder cannot be used."""
    db: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, timeout=busy_seconds)
        db.row_factory = sqlite3.Row
        _prepare(db)
        return db
    except (OSError, sqlite3.Error, _Unusable) as error:
        if db is not None:
            db.close()
        raise Misconfigured(f"AUDIT_DB_PATH={path} cannot be used as the record: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, _Unusable):
        return str(error)
    name = getattr(error, "sqlite_errorname", "")
    known = next((sentence for code, sentence in _SENTENCES.items() if name.startswith(code)), None)
    return known.format(error=error) if known else f"{getattr(error, 'strerror', None) or error}; {ANOTHER_FILE}"


def _prepare(db: sqlite3.Connection) -> None:
    _check_owner(db)  # before anything is changed in it
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise _Unusable("its drive cannot keep a write-ahead log; choose a file on a local disk")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA recursive_triggers = ON")  # otherwise INSERT OR REPLACE slips past the append-only triggers
    if _version(db) == 0:
        db.executescript(f"BEGIN IMMEDIATE;\n{schema()}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;")
        return
    _check_writable(db)
    _check_whole(db)
    if _version(db) < SCHEMA_VERSION:
        _bring_up_to_date(db)


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """All rows move into tables of this version, in one transaction; columns that are new are empty in them."""
    tables = [name for kind, name in _names(db) if kind == "table"]
    others = [f"DROP {kind} {name};" for kind, name in _names(db) if kind != "table" and not name.startswith("sqlite_")]
    aside = [f"ALTER TABLE {table} RENAME TO old_{table};" for table in tables]
    columns = {table: ", ".join(row["name"] for row in db.execute(f"PRAGMA table_info({table})")) for table in tables}
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


def _check_whole(db: sqlite3.Connection) -> None:
    damage = db.execute("PRAGMA quick_check(1)").fetchone()[0].splitlines()[-1]  # the first line only says which database
    if damage != "ok":
        raise _Unusable(_SENTENCES["SQLITE_CORRUPT"].format(error=damage))
    if (seq := first_broken_link(db)) is not None:
        raise _Unusable(
            f"row {seq} of order_events is not as it was written; keep the file as evidence, and put a copy from a backup in its place"
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _names(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Tables, indices and triggers: a record without its triggers keeps no promises."""
    return {(row[0], row[1]) for row in db.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'")}


def _names_of(version: int) -> set[tuple[str, str]]:
    """What a record of this version has; nothing, where it is not one yet."""
    younger = [table for since, tables in TABLES_SINCE.items() if since > version for table in tables]
    return {(kind, name) for kind, name in _our_names() if not any(table in name for table in younger)} if version else set()


def _names_in(version: int) -> set[tuple[str, str]]:
    if version == SCHEMA_VERSION:
        return _our_names()
    return {each for each in _our_names() if not any(name in each[1] for name in _NEW_IN_2)} if version else set()


@functools.cache
def _our_names() -> set[tuple[str, str]]:
    fresh = sqlite3.connect(":memory:")
    try:
        fresh.executescript(schema())
        return _names(fresh)
    finally:
        fresh.close()


def schema() -> str:
    """The SQL that makes the tables."""
    return (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
