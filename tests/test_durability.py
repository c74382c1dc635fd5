"""A record that cannot be written, has lost rows, or was cut off in the middle of something."""

import contextlib
import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from Live.audit_logger import AuditLogger, check_record
from Live.audit_logger.copying import copy_record
from Live.audit_logger.opening import WAL_BYTES
from Live.audit_logger.reader import AuditReader
from Live.audit_logger.spill import SIZE, Spill, noted_head, spill_of
from Live.errors import NeedsPerson, RecordFailed
from Live.model import Status
from tests.fresh_record import (  # noqa: F401 - fixtures
    RUN,
    StoppedClock,
    fill_the_disk,
    filled,
    intent,
    kept_aside,
    opened,
    rows,
    sent,
    the_path,
    the_record,
    traded,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")


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
