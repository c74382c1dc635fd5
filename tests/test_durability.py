"""A record that cannot be written, has lost rows, or was cut off in the middle of something."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from Live.audit_logger import AuditLogger, check_record
from Live.audit_logger.copying import CopyIsBroken, copy_record
from Live.audit_logger.opening import SCHEMA_VERSION, WAL_BYTES
from Live.audit_logger.reader import AuditReader
from Live.audit_logger.spill import SIZE, Spill, noted_head, spill_of
from Live.errors import Misconfigured, NeedsPerson, RecordFailed
from Live.model import Status
from tests.test_audit_logger import RUN, SLOT, StoppedClock, changed_by_hand, filled, intent, opened, rows

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.db"


@pytest.fixture
def record(path: Path) -> Iterator[AuditLogger]:
    record = opened(path)
    record.start_run(RUN)
    yield record
    record.close()


def fill_the_disk(record: AuditLogger) -> None:
    """From now on there is no room in the database: SQLite answers SQLITE_FULL, as on a full disk."""
    used = record._db.execute("PRAGMA page_count").fetchone()[0]
    record._db.execute(f"PRAGMA max_page_count = {used}")
    with pytest.raises(RecordFailed, match="database or disk is full"):
        fill(record, 1000)


def fill(record: AuditLogger, rows: int) -> None:
    for _ in range(rows):
        record.event("FILLER", "x" * 4000)


def kept_aside(path: Path) -> list[Any]:
    with contextlib.closing(Spill(spill_of(path))) as spill:
        return [*spill.entries, *([None] if spill.torn else [])]


def sent(record: AuditLogger, leg: str = "0") -> str:
    record.add_intent(intent(leg))
    record.move(intent(leg).order_id, Status.SUBMITTED, payload={})
    return intent(leg).order_id


# the answer that finds the disk full


def test_an_answer_that_the_database_does_not_take_is_kept_aside_and_read_back_before_anything_else(path: Path) -> None:
    record = opened(path)
    record.start_run(RUN)
    order_id = sent(record)
    fill_the_disk(record)
    with pytest.raises(RecordFailed, match="full"):
        record.move(
            intent().order_id, Status.PLACED, payload={"answer": {"retcode": 10009}, "x": "y" * 5000}, mt5_order_id=7, message="done"
        )
    record.close()
    assert rows(path, "SELECT status FROM orders") == [("SUBMITTED",)]

    again = opened(path)
    again.start_run(RUN)
    order = again.order(order_id)
    assert order is not None
    assert (order.status, order.ticket, order.message) == (Status.PLACED, 7, "done")
    told = "SELECT payload ->> '$.answer.retcode', payload ->> 'kept_aside_at', run_id FROM order_events ORDER BY seq DESC LIMIT 1"
    assert rows(path, told) == [(10009, "2018-02-05T10:00:00+00:00", 2)]
    assert rows(path, "SELECT details ->> 'to' FROM events WHERE event_type = 'READ_BACK'") == [("PLACED",)]
    again.close()

    third = opened(path)
    third.start_run(RUN)
    third.close()
    assert rows(path, "SELECT count(*) FROM events WHERE event_type = 'READ_BACK'") == [(1,)]


def test_nothing_is_kept_aside_where_nothing_was_sent(path: Path) -> None:
    record = opened(path)
    record.start_run(RUN)
    record.add_intent(intent())
    fill_the_disk(record)
    with pytest.raises(RecordFailed):
        record.move(intent().order_id, Status.SUBMITTED, payload={"x": "y" * 5000})
    record.close()
    assert kept_aside(path) == []


def test_what_was_kept_aside_and_has_been_settled_since_is_told_and_changes_nothing(path: Path) -> None:
    record = opened(path)
    record.start_run(RUN)
    sent(record)
    fill_the_disk(record)
    with pytest.raises(RecordFailed):
        record.move(intent().order_id, Status.PLACED, payload={"x": "y" * 5000})
    record._db.execute("PRAGMA max_page_count = 1000000")
    record.move(intent().order_id, Status.FILLED, payload={})
    record.close()
    again = opened(path)
    again.start_run(RUN)
    again.close()
    assert rows(path, "SELECT status FROM orders") == [("FILLED",)]
    assert rows(path, "SELECT count(*) FROM events WHERE event_type = 'READ_BACK'") == [(1,)]


def test_a_secret_is_not_kept_aside(path: Path) -> None:
    record = AuditLogger(path, StoppedClock(), secrets=lambda: ("canary-1",))
    record.start_run(RUN)
    sent(record)
    fill_the_disk(record)
    with pytest.raises(RecordFailed):
        record.move(intent().order_id, Status.PLACED, payload={"said": "canary-1" + "y" * 5000}, message="canary-1")
    record.close()
    assert b"canary-1" not in spill_of(path).read_bytes()


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_what_was_torn_while_it_was_kept_aside_is_told_and_not_believed(cut: int, path: Path) -> None:
    record = opened(path)
    record.start_run(RUN)
    sent(record)
    record.close()
    spill = Spill(spill_of(path))
    spill.keep({"at": "then", "order_id": intent().order_id, "to": "FILLED", "payload": {"why": "x" * 500}, "columns": {}})
    spill.close()
    content = bytearray(spill_of(path).read_bytes())
    content[4096 + cut] ^= 0xFF
    spill_of(path).write_bytes(content)
    again = opened(path)
    again.start_run(RUN)
    again.close()
    assert rows(path, "SELECT status FROM orders") == [("SUBMITTED",)]
    assert rows(path, "SELECT severity, message LIKE '%is not whole%' FROM events WHERE event_type = 'READ_BACK'") == [("ERROR", 1)]
    assert kept_aside(path) == []


def test_what_was_kept_aside_is_never_written_over_by_what_comes_next(path: Path) -> None:
    opened(path).close()
    for number in range(3):
        spill = Spill(spill_of(path))
        with contextlib.ExitStack() as refused:
            if number:
                refused.enter_context(pytest.raises(OSError, match="no room left"))
            spill.keep({"number": number})
        spill.close()
    assert [entry["number"] for entry in kept_aside(path)] == [0]


def keep_many(spill: Spill) -> None:
    for number in range(1000):
        spill.keep({"number": number, "text": "x" * 1000})


def test_a_spill_file_that_is_full_says_so_and_keeps_what_it_has(path: Path) -> None:
    opened(path).close()
    spill = Spill(spill_of(path))
    with pytest.raises(OSError, match="no room left"):
        keep_many(spill)
    spill.close()
    kept = [entry["number"] for entry in kept_aside(path)]
    assert kept == list(range(len(kept)))
    assert len(kept) > 200
    assert spill_of(path).stat().st_size == SIZE


# a record that has lost rows


def traded(path: Path, orders: int) -> None:
    """A run with so many more orders, as it is left by a process that was killed: its write-ahead log is there."""
    record = opened(path)
    known = rows(path, "SELECT count(*) FROM orders")[0][0]
    record.start_run(RUN)
    for leg in range(known, known + orders):
        record.add_intent(intent(str(leg)))
        filled(record, intent(str(leg)))
    for suffix in ("", "-wal", "-shm"):  # closing would fold the log in
        file = path.with_name(path.name + suffix)
        file.with_name("left " + file.name).write_bytes(file.read_bytes())
    record.close()
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        file.with_name("left " + file.name).replace(file)


def without_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def with_half_a_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    os.truncate(log, log.stat().st_size // 2)


def emptied(path: Path) -> None:
    without_log(path)
    path.write_bytes(b"")


def removed(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


def from_a_backup(path: Path) -> None:
    removed(path)
    path.with_name("backup.db").replace(path)


LOSSES = [without_log, with_half_a_log, emptied, removed, from_a_backup]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_record_that_has_lost_rows_is_refused_and_left_as_it_is(lose: Callable[[Path], None], path: Path) -> None:
    traded(path, 2)
    copy_record(path, path.with_name("backup.db"))
    traded(path, 3)
    lose(path)
    before = path.read_bytes() if path.exists() else None
    for start in (check_record, opened):
        with pytest.raises(NeedsPerson, match=r"has lost rows: its journal had 20 by audit\.db\.spill.*reconcile adopt --restored"):
            start(path)
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("lose", LOSSES)
def test_a_record_that_has_lost_rows_goes_on_once_a_person_has_taken_it(lose: Callable[[Path], None], path: Path) -> None:
    traded(path, 2)
    copy_record(path, path.with_name("backup.db"))
    traded(path, 3)
    lose(path)
    record = AuditLogger(path, StoppedClock(), set_back=True)
    record.accept_set_back()
    record.close()
    traded(path, 1)
    head = noted_head(path)
    assert head is not None
    assert head.seq == rows(path, "SELECT max(seq) FROM order_events")[0][0]


def test_a_record_without_its_spill_file_gets_a_new_one(path: Path) -> None:
    traded(path, 1)
    spill_of(path).unlink()
    traded(path, 1)
    assert noted_head(path) is not None


def test_a_half_written_head_leaves_the_one_before(path: Path) -> None:
    traded(path, 1)
    content = bytearray(spill_of(path).read_bytes())
    newest = noted_head(path)
    assert newest is not None
    at = content.index(newest.hash.encode())
    content[at] ^= 1
    spill_of(path).write_bytes(content)
    before = noted_head(path)
    assert before is not None
    assert before.seq == newest.seq - 1
    opened(path).close()


# whose files they are


@POSIX
def test_what_we_make_is_ours_alone(path: Path, record: AuditLogger) -> None:
    record.event("STARTUP", "x")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("audit.db", "audit.db-wal", "audit.db-shm", "audit.db.spill"), 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@POSIX
def test_a_folder_of_the_users_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    opened(path).close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


# an older version


def an_old_one(path: Path, version: int = 3) -> None:
    path.parent.mkdir(exist_ok=True)
    script = (Path(__file__).parent / "records" / f"version_{version}.sql").read_text(encoding="utf-8")
    changed_by_hand(path, f"{script} PRAGMA user_version = {version};")


TABLES = ("runs", "bars", "history", "warm_ups", "signals", "orders", "order_events", "fills", "trades", "positions", "events")


def content_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, told by the columns that version 3 had."""
    with contextlib.closing(sqlite3.connect(":memory:")) as old:
        old.executescript((Path(__file__).parent / "records" / "version_3.sql").read_text(encoding="utf-8"))
        columns = {name: ", ".join(row[1] for row in old.execute(f"PRAGMA table_info({name})")) for name in TABLES}
    return {name: rows(path, f"SELECT {columns[name]} FROM {name} ORDER BY 1, 2") for name in TABLES}


def test_a_record_of_version_3_keeps_every_row_and_a_copy_of_it_stays_beside_it(path: Path) -> None:
    an_old_one(path)
    before = content_of(path)
    assert all(before.values())
    opened(path).close()
    assert content_of(path) == before
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    backup = path.with_name("audit.db.v3-backup")
    assert rows(backup, "PRAGMA user_version") == [(3,)]
    assert content_of(backup) == before
    with contextlib.closing(sqlite3.connect(path)) as found, contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript((Path(__file__).parent.parent / "Live" / "audit_logger" / "schema.sql").read_text(encoding="utf-8"))
        names = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        assert found.execute(names).fetchall() == fresh.execute(names).fetchall()


def test_an_order_whose_outcome_is_open_stays_open_over_an_update(path: Path) -> None:
    an_old_one(path)
    changed_by_hand(path, "UPDATE orders SET status = 'UNKNOWN' WHERE id = 1")
    record = opened(path)
    assert [order.status for order in record.orders_with((Status.UNKNOWN,), SLOT)] == [Status.UNKNOWN]
    record.close()


def test_a_copy_that_is_there_already_is_not_written_over(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("audit.db.v3-backup").write_text("mine")
    an_old_one(path)
    opened(path).close()
    assert path.with_name("audit.db.v3-backup").read_text() == "mine"
    assert rows(path.with_name("audit.db.v3-backup-2"), "PRAGMA user_version") == [(3,)]


def _update_and_die(path: str, at: int) -> None:
    """Open the record; at SQLite's n-th statement of the update this process is gone."""
    from Live.audit_logger import opening

    real, seen = opening._bring_up_to_date, 0

    def die(sql: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def update(db: sqlite3.Connection) -> None:
        db.set_trace_callback(die)
        real(db)

    opening._bring_up_to_date = update
    opened(Path(path)).close()


@POSIX
@pytest.mark.parametrize("at", [1, 2, 20, 60, 90, 110])
def test_an_update_that_is_killed_leaves_the_old_record_or_the_new_one(at: int, path: Path) -> None:
    an_old_one(path)
    before = content_of(path)
    child = multiprocessing.get_context("fork").Process(target=_update_and_die, args=(str(path), at))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert rows(path, "PRAGMA user_version") == [(3,)]
    assert content_of(path) == before
    opened(path).close()
    assert content_of(path) == before
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


# disks


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.test_durability import *
path = Path(sys.argv[1])
record = opened(path)
record.start_run(RUN)
sent(record)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = path.with_name(path.name + "-wal")
limit = max(log.stat().st_size, SIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    fill(record, 10_000)
except RecordFailed as error:
    print("refused:", str(error)[-30:])
try:
    record.move(intent().order_id, Status.PLACED, payload={"x": "y" * 5000}, mt5_order_id=7)
except RecordFailed as error:
    print("kept aside")
"""


@POSIX
def test_a_file_that_the_system_lets_grow_no_more_stops_the_writer_and_keeps_the_answer(path: Path) -> None:
    root = str(Path(__file__).parent.parent)
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, str(path), root], capture_output=True, text=True, cwd=root, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].startswith("refused:")
    assert ran.stdout.splitlines()[1:] == ["kept aside"]
    again = opened(path)
    again.start_run(RUN)
    order = again.order(intent().order_id)
    assert order is not None
    assert (order.status, order.ticket) == (Status.PLACED, 7)
    again.close()


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name], capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a disk")
def test_a_disk_that_fills_up_stops_the_writer_and_keeps_the_answer() -> None:
    with small_disk("2m") as disk:
        path = disk / "audit.db"
        (disk / "in the way").write_bytes(bytes(500_000))
        record = opened(path)
        record.start_run(RUN)
        sent(record)
        with pytest.raises(RecordFailed, match="full"):
            fill(record, 10_000)
        with contextlib.suppress(OSError), (disk / "rest").open("wb", buffering=0) as rest:
            while rest.write(b"x" * 100):
                pass
        with pytest.raises(RecordFailed, match="full"):
            record.move(intent().order_id, Status.PLACED, payload={"x": "y" * 5000}, mt5_order_id=7)
        record.close()
        with pytest.raises(Misconfigured, match="the disk is full; make room"):
            opened(disk / "other.db")
        (disk / "rest").unlink()
        (disk / "in the way").unlink()
        for file in disk.glob("other.db*"):
            file.unlink()
        again = opened(path)
        again.start_run(RUN)
        order = again.order(intent().order_id)
        assert order is not None
        assert order.status is Status.PLACED
        again.close()


# readers


def _read_on(path: str, stop: Any, answers: Any) -> None:
    while not stop.is_set():
        with AuditReader(Path(path)) as reader:
            run = reader.latest_run()
            if run is not None:
                reader.run_counts(run.run_id)
                reader.recent_orders(run)
        with answers.get_lock():
            answers.value += 1


@POSIX
def test_readers_neither_lock_out_nor_fail_the_trader_however_many_there_are(path: Path, record: AuditLogger) -> None:
    context = multiprocessing.get_context("fork")
    stop, answers = context.Event(), context.Value("i", 0)
    readers = [context.Process(target=_read_on, args=(str(path), stop, answers)) for _ in range(3)]
    for reader in readers:
        reader.start()
    legs = 0
    try:
        while answers.value < 60:
            record.add_intent(intent(str(legs)))  # busy_seconds=0: anything that is locked fails at once
            filled(record, intent(str(legs)))
            legs += 1
            assert all(reader.is_alive() for reader in readers)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0, 0]
    assert legs > 0


def test_the_log_that_a_hanging_reader_made_grow_is_cut_when_it_has_gone(path: Path, record: AuditLogger) -> None:
    log = path.with_name(path.name + "-wal")
    reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    while log.stat().st_size < 3 * WAL_BYTES:
        record.event("FILLER", "x" * 100_000)
    reader.close()
    for _ in range(100):
        record.event("FILLER", "x" * 100_000)
    assert log.stat().st_size <= 16 * 1024 * 1024


# copies


def test_a_copy_fits_together_while_the_trader_writes(path: Path, record: AuditLogger) -> None:
    done: list[tuple[int, int]] = []

    def meanwhile(copied: int, total: int) -> None:
        record.add_intent(intent(f"during {len(done)}"))
        done.append((copied, total))

    for leg in range(100):
        record.add_intent(intent(str(leg), size=1.0, tag="x" * 30_000))
        filled(record, intent(str(leg)))
    copy_record(path, path.with_name("copy.db"), meanwhile)
    assert len(done) > 0
    assert done[-1][0] == done[-1][1]
    assert rows(path.with_name("copy.db"), "SELECT count(*) FROM orders") == [(100,)]
    assert sorted(file.name for file in path.parent.glob("copy*")) == ["copy.db"]
    opened(path.with_name("copy.db")).close()


def test_a_copy_takes_the_place_of_no_other_file(path: Path, record: AuditLogger) -> None:
    target = path.with_name("copy.db")
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        copy_record(path, target)
    assert target.read_text() == "mine"


def test_a_copy_of_a_record_that_was_changed_is_none(path: Path) -> None:
    traded(path, 3)
    text = rows(path, "SELECT sql FROM sqlite_schema WHERE name = 'order_events_are_evidence_u'")[0][0]
    changed_by_hand(path, f"DROP TRIGGER order_events_are_evidence_u; UPDATE order_events SET payload = '[]' WHERE seq = 5; {text}")
    with pytest.raises(CopyIsBroken, match="row 5 of order_events"):
        copy_record(path, path.with_name("copy.db"))
    assert list(path.parent.glob("copy*")) == []
