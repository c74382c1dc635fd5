"""A slice of `python -m tests.faults.kills`, and two traders that want the same account."""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("nothing there kills like SIGKILL, and there is no fork server", allow_module_level=True)

from click.testing import CliRunner

from Live.errors import AnotherInstance, NeedsPerson
from tests.faults import kills
from tests.faults.distant_broker import Broker, Call, Killed
from tests.faults.kill_points import KINDS, POINTS
from tests.faults.lives import Life
from tests.faults.record_and_ledger import Ledger, Record
from tests.faults.series import LISTS, MAGIC, Series, Strike, broker_of, start, strikes_of


def killed(folder: Path, *labels: str) -> Series:
    """Traders that are killed at these points, one after the other, and one that comes to the end."""
    series = Series(1, folder, [Strike(label, 1, 0.0) for label in labels])
    assert series.run().kills == list(labels)
    return series


@pytest.mark.parametrize("label", ["an entry: executed, the answer is not read", "a waiting order: delivered after it was given up"])
def test_a_trader_that_is_killed_in_a_send_doubles_and_loses_nothing(label: str, tmp_path: Path) -> None:
    assert killed(tmp_path, label).told.breaches == []


@pytest.mark.parametrize("kind", ["a close", "levels"])
def test_what_was_given_up_is_told_and_decided_again_where_the_trader_is_killed_just_then(kind: str, tmp_path: Path) -> None:
    told = killed(tmp_path, f"{kind}: never delivered", "after an order was called absent").told
    assert (told.breaches, told.missed) == ([], 1)
    with closing(Record(tmp_path / "audit.db")) as record:
        assert record.rows("SELECT count(*) FROM orders WHERE leg LIKE '%+'") == [(1,)]


def test_a_migration_that_is_killed_in_the_middle_is_done_by_the_next_trader(tmp_path: Path) -> None:
    assert killed(tmp_path, "before an order is filled", "in the migration", "in the migration").told.breaches == []


def test_the_seeds_have_every_point_in_turn() -> None:
    assert {strike.label for seed in range(len(POINTS)) for strike in strikes_of(seed)} == set(POINTS)


def test_the_campaign_tells_what_it_did(tmp_path: Path) -> None:
    ran = CliRunner().invoke(kills.main, ["--kills", "1", "--seed", "0", "--json", str(tmp_path / "told.json")])
    assert ran.exit_code == 0, ran.output
    assert "0 duplicates, 0 lost, 0 breaches" in ran.output
    assert '"breaches": []' in (tmp_path / "told.json").read_text()


# two traders

BARS = 8


def lives(broker: Broker, life: Life, meanwhile: object = None, killed_by: Killed | None = None) -> int | None:
    """A trader's exit code; at its first entry another one starts `meanwhile`, or it is killed."""

    def watch(call: Call) -> Killed | None:
        if call.function != "order_send" or call.number > 1 or not KINDS["an entry"](call.request):
            return None
        if isinstance(meanwhile, Life):
            codes.append(lives(broker, meanwhile))
        return killed_by

    def kill() -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()

    codes: list[int | None] = []
    process, line = start(life)
    with line:
        broker.serve(line, watch, kill)
    process.join()
    return codes[0] if codes else process.exitcode


@pytest.mark.parametrize("folder", ["first", "second"])
def test_a_second_trader_on_the_same_record_or_account_is_refused_while_the_first_one_sends(folder: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (Life(tmp_path / name, "market", machine=tmp_path) for name in ("first", folder))
    broker = broker_of("plain", 1, BARS)
    assert lives(broker, first, meanwhile=second) == AnotherInstance.exit_code
    said = (tmp_path / folder / "console.txt").read_text()
    assert "another trader writes" in said if folder == "first" else "another trader on this machine trades account" in said


@pytest.mark.parametrize(
    ("seconds", "code", "event"),
    [
        (0.0, NeedsPerson.exit_code, "STRANGER"),  # its position is there when the other one starts
        (20.0, 0, "ADOPTED"),  # it comes before the other one may send, which decides the same on the same bar
    ],
)
def test_a_trader_from_another_folder_sends_nothing_again_of_what_a_killed_one_has_sent(
    seconds: float, code: int, event: str, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (Life(tmp_path / name, "market", machine=tmp_path) for name in ("first", "second"))
    broker = broker_of("plain", 1, BARS)
    assert lives(broker, first, killed_by=Killed(done=True, seconds=seconds)) == -signal.SIGKILL
    assert lives(broker, second) == code
    ledger = Ledger({name: broker.shown(name) for name in LISTS}, MAGIC, looked=broker.looked, netting=False)
    with closing(Record(tmp_path / "second" / "audit.db")) as record:
        assert record.rows("SELECT count(*) FROM events WHERE event_type = ?", event) == [(1,)]
        assert code != 0 or list(ledger.breaches(record)) == []
    assert ledger.duplicates() == []
