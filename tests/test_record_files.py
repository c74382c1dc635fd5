import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from Live.audit_logger import AuditLogger, check_record
from Live.audit_logger.writer import SCHEMA_VERSION
from Live.errors import Misconfigured
from tests.fresh_record import BAR, PRICES, RUN, SLOT, changed_by_hand, filled, intent, opened, rows, the_path, the_record  # noqa: F401 - fixtures

# the hash chain


def test_the_chain_of_moves_can_be_recomputed_from_the_rows(record: AuditLogger, path: Path) -> None:
    for leg in ("0", "1"):
        record.add_intent(intent(leg))
        filled(record, intent(leg))
    names = ("timestamp", "run_id", "client_order_id", "attempt", "from_status", "to_status", "payload", "prev_hash")
    head = ""
    moves = rows(path, f"SELECT {', '.join(names)}, hash FROM order_events ORDER BY seq")
    for *values, found in moves:
        content = dict(zip(names, values, strict=True))
        assert content["prev_hash"] == head
        head = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        assert found == head
    assert len(moves) == 8


@pytest.mark.parametrize(
    "change",
    ['UPDATE order_events SET payload = \'{"step":"other"}\' WHERE seq = 3', "DELETE FROM order_events WHERE seq = 2"],
    ids=["edited", "deleted"],
)
def test_a_record_whose_moves_were_changed_is_not_used(change: str, record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())
    filled(record, intent())
    record.close()
    trigger = f"order_events_are_evidence_{'u' if change.startswith('UPDATE') else 'd'}"
    ((text,),) = rows(path, f"SELECT sql FROM sqlite_schema WHERE name = '{trigger}'")
    changed_by_hand(path, f"DROP TRIGGER {trigger}; {change}; {text}")
    with pytest.raises(Misconfigured, match=r"row 3 of order_events is not as it was written; keep the file as evidence"):
        opened(path)


# files that cannot be the record


def newer(path: Path) -> None:
    opened(path).close()
    changed_by_hand(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def without_a_trigger(path: Path) -> None:
    opened(path).close()
    changed_by_hand(path, "DROP TRIGGER fills_are_evidence_u")


def corrupt(path: Path) -> None:
    record = opened(path)
    record.start_run(RUN)
    for leg in range(200):
        record.add_intent(intent(str(leg)))
    record.close()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(content)


def test_a_record_of_an_older_version_keeps_its_rows_in_tables_of_this_one(path: Path) -> None:
    path.parent.mkdir()
    changed_by_hand(path, (Path(__file__).parent / "records" / "version_1.sql").read_text() + "PRAGMA user_version = 1;")
    run = ", ".join(RUN), tuple(RUN.values())
    db = sqlite3.connect(path)
    db.execute(f"INSERT INTO runs (run_id, started_at, {run[0]}) VALUES (7, 'then', {', '.join('?' * len(RUN))})", run[1])
    db.execute("INSERT INTO events VALUES (1, '2018-02-05', 7, 'STARTUP', 'INFO', 'it began', '{}')")
    db.commit()
    db.close()
    record = opened(path)
    record.add_bar(BAR, PRICES | {"shown": "{}"}) if record.start_run(RUN) == 8 else None
    record.close()
    assert rows(path, "SELECT run_id, login FROM runs") == [(7, SLOT.login), (8, SLOT.login)]
    assert rows(path, "SELECT message FROM events") == [("it began",)]
    assert rows(path, "SELECT count(*), max(shown) FROM bars") == [(1, "{}")]
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    opened(path).close()  # all its indices and triggers are there


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            newer,
            r"it was made by a newer version of this program \(schema 5, this one knows 4\); update the program, or choose another file",
        ),
        (lambda path: changed_by_hand(path, "CREATE TABLE mine (x)"), "it is another program's database, or was changed by one"),
        (lambda path: changed_by_hand(path, "CREATE TABLE mine (x); PRAGMA user_version = 1"), "it is another program's database"),
        (without_a_trigger, "it is another program's database, or was changed by one; choose another file"),
        (lambda path: path.write_text("no database at all" * 100), "it is no SQLite database; choose another file"),
        (corrupt, "it is damaged .*; keep the file, and put a copy from a backup in its place"),
        (lambda path: path.mkdir(), "it is a folder; name a file in it"),
    ],
    ids=["newer", "foreign", "foreign of the same number", "changed", "no database", "corrupt", "folder"],
)
def test_a_file_that_cannot_be_the_record_is_refused_in_one_sentence_and_left_alone(
    make: Callable[[Path], object], sentence: str, path: Path
) -> None:
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(Misconfigured, match=rf"AUDIT_DB_PATH=.*audit\.db cannot be used as the record: {sentence}") as failure:
        opened(path)
    assert len(failure.value.mistakes) == 1
    assert "\n" not in str(failure.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_locked_file_is_refused_in_one_sentence(path: Path) -> None:
    opened(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Misconfigured, match="another program has locked it; close that program, or choose another file"):
        opened(path)
    other.close()


@contextlib.contextmanager
def in_a_users_place() -> Iterator[None]:
    """Root may write to read-only files; who is root becomes nobody for a moment."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_file_is_refused_in_one_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o777)
        opened(folder / "audit.db").close()
        (folder / "audit.db").chmod(0o444)
        with in_a_users_place(), pytest.raises(Misconfigured, match="it is read-only; choose a file in a folder that you may write to"):
            opened(folder / "audit.db")
        (folder / "audit.db").chmod(0o666)


def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"cannot be used as the record: .*; choose a file in a folder that you may write to"):
        opened(tmp_path / "file" / "audit.db")


def test_an_empty_file_becomes_a_record(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    opened(path).close()
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_record_that_was_being_made_when_the_machine_died_is_begun_anew(path: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished.db"
    with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE filler (text)")
        db.executemany("INSERT INTO filler VALUES (?)", [("x" * 4_000,)] * 50)  # some pages are in the file before the end
        path.parent.mkdir()
        for ending in ("", "-journal"):
            path.with_name(path.name + ending).write_bytes(unfinished.with_name(unfinished.name + ending).read_bytes())
    check_record(path)
    opened(path).close()
    assert rows(path, "SELECT count(*) FROM runs") == [(0,)]
    assert rows(path, "SELECT name FROM sqlite_schema WHERE name = 'filler'") == []
