"""A record of an older version, on a disk that is full, and its copies."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from Live.audit_logger import AuditLogger
from Live.audit_logger.copying import CopyIsBroken, copy_record
from Live.audit_logger.opening import SCHEMA_VERSION
from Live.errors import Misconfigured, RecordFailed
from Live.model import Status
from tests.fresh_record import RUN, SLOT, changed_by_hand, fill, filled, intent, opened, rows, sent, the_path, the_record, traded  # noqa: F401 - fixtures

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")


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
from Live.audit_logger.spill import SIZE
from Live.errors import RecordFailed
from tests.fresh_record import *
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
