"""A slice of `python -m tests.faults.powercuts`, and what the simulated account's own file promises."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal.book import Book
from Backtest.simulated_terminal.journal import Journal
from tests.faults.cut_runs import ACCOUNT, Recording, cut, recorded
from tests.faults.disk import LOSSES, Disk, Step, is_here, left_after

SEED = 3


@pytest.fixture(scope="module", autouse=True)
def _reachable(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not is_here(tmp_path_factory.mktemp("probe")):
        pytest.skip("on this machine Python's sqlite3 cannot be given a disk that loses power")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def recording(run: Path) -> Recording:
    return recorded(run, SEED)


# the disk itself


def rows_left(steps: list[Step], loss: str, folder: Path) -> int:
    for path, content in left_after(steps, LOSSES[loss], random.Random(1)).items():
        folder.joinpath(Path(path).name).write_bytes(content)
    with closing(sqlite3.connect(folder / "probe.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT count(*) FROM probe").fetchone()[0])


@pytest.mark.parametrize(("synchronous", "dropped"), [("FULL", 5), ("NORMAL", 0)])
def test_a_cut_takes_what_was_not_synced_and_nothing_else(synchronous: str, dropped: int, tmp_path: Path) -> None:
    disk = Disk()
    with disk.recording(), closing(sqlite3.connect(tmp_path / "probe.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE probe (x)")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        for number in range(5):
            db.execute("INSERT INTO probe VALUES (?)", (number,))
        steps = list(disk.steps)  # before the database is closed, which syncs it
    for loss, left in (("dropped", dropped), ("kept", 5)):
        (tmp_path / loss).mkdir()
        assert rows_left(steps, loss, tmp_path / loss) == left


def test_a_write_can_be_torn_by_sectors(tmp_path: Path) -> None:
    steps = [Step("found", "file"), Step("written", "file", 0, b"\1" * 2048)]
    lengths = {left_after(steps, LOSSES["torn by sectors"], random.Random(seed))["file"].count(1) for seed in range(40)}
    assert lengths == {0, 512, 1024, 1536, 2048}


def test_a_file_whose_name_was_not_synced_may_be_gone(tmp_path: Path) -> None:
    steps = [Step("made", "file"), Step("written", "file", 0, b"x"), Step("synced", "file")]
    found = [left_after(steps, LOSSES["kept"], random.Random(seed)) for seed in range(40)]
    assert {} in found
    assert {"file": b"x"} in found


# the record


@pytest.mark.every(2)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_to_last_is_there_after_a_power_cut_and_the_trader_goes_on(
    loss: str, recording: Recording, run: Path, tmp_path: Path
) -> None:
    draw = random.Random(loss)
    for step in draw.sample(range(1, len(recording.steps) + 1), 3):
        here = tmp_path / str(step)
        here.mkdir()
        found = cut(recording, step, loss, seed=SEED, folders=(run, here))
        assert (found.lost, found.breaches) == ((), ()), found


def test_with_normal_in_place_of_full_rows_are_lost(tmp_path: Path) -> None:
    weak = recorded(tmp_path, SEED, full=False)
    lost: list[str] = []
    for step in range(200, len(weak.steps), len(weak.steps) // 8):
        here = tmp_path / str(step)
        here.mkdir()
        lost += cut(weak, step, "dropped", seed=SEED, folders=(tmp_path, here), trade_on=False).lost
    assert any("was sent, and the record does not say so" in sentence for sentence in lost)


def test_the_run_that_is_cut_sends_fills_stops_and_migrates(recording: Recording) -> None:
    assert len(recording.sent) > 5
    assert len(recording.final["fills"]) > 5
    assert len(recording.final["runs"]) == 2
    assert any(step.what == "deleted" and step.file.endswith("-wal") for step in recording.steps)


# the simulated account's own file: what has been handed to the system outlives its process, and it promises no more


def restored(content: bytes, path: Path) -> tuple[float, int]:
    """The time and the number of deals of the account that a file with this content is."""
    path.write_bytes(content)
    heading = json.loads(content.splitlines()[0])
    journal, book = Journal(path, heading["belongs_to"]), Book()
    now, _ = journal.restore(book) or (0, None)
    journal.close()
    return now, len(book.deals)


def test_an_account_that_was_killed_in_any_byte_of_a_line_is_as_it_was_a_line_before(
    recording: Recording, run: Path, tmp_path: Path
) -> None:
    whole = (run / ACCOUNT).read_bytes()
    lines = whole.splitlines(keepends=True)
    before, last = b"".join(lines[:-1]), lines[-1]
    wanted = restored(before, tmp_path / "before")
    assert restored(whole, tmp_path / "whole") != wanted
    for cut_at in (*range(1, len(last), 37), len(last) - 1):
        assert restored(before + last[:cut_at], tmp_path / "torn") == wanted


def test_an_account_that_a_power_cut_has_left_holes_in_is_refused_in_one_sentence(recording: Recording, run: Path, tmp_path: Path) -> None:
    whole = bytearray((run / ACCOUNT).read_bytes())
    whole[4096:4608] = bytes(512)
    with pytest.raises(BadInput, match=r"line \d+: not a step of a simulated account; start a new one"):
        restored(bytes(whole), tmp_path / "holes")
