"""`reconcile`, as a user types it, on a replay that stands still with an open position."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import builtin_prices
from Live.__main__ import main
from Live.audit_logger import AuditLogger
from Live.locks import hold_record
from Live.model import Status, order_key
from tests.fresh_record import SLOT, StoppedClock, intent, rows

STRATEGY = """
from backtesting import Strategy

class Holder(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.trades) < 2:
            self.buy(size=1000, tag=len(self.trades))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A strategy, prices, and settings that keep everything in one folder."""
    (tmp_path / "holder.py").write_text(STRATEGY)
    builtin_prices("EURUSD").iloc[:200].to_csv(tmp_path / "prices.csv")
    (tmp_path / "empty.env").touch()
    given = {
        "AUDIT_DB_PATH": f"{tmp_path}/audit.db",
        "LOG_DIR": f"{tmp_path}/logs",
        "SIM_ACCOUNT_DIR": f"{tmp_path}/accounts",
        "KILL_SWITCH_FILE": f"{tmp_path}/EMERGENCY_STOP",
        "MT5_TERMINAL": "simulated",
        "SIZING": "strategy",
        "WARMUP_BARS": "20",
        "DASHBOARD": "false",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def traded(folder: Path) -> int:
    """Decide one bar more and leave."""
    files = ["--strategy", str(folder / "holder.py"), "--data", str(folder / "prices.csv")]
    return main(["run", *files, "--config", str(folder / "empty.env"), "--dry-run", "--once"])


def with_a_position(folder: Path) -> int:
    """Trade until there is one; its ticket."""
    while not (folder / "audit.db").exists() or not held(folder):
        assert traded(folder) == 0
    (ticket,) = held(folder)
    return ticket


def reconciled(folder: Path, *words: str) -> int:
    return main(["reconcile", "--config", str(folder / "empty.env"), *words])


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    code = reconciled(folder, "--json")
    return code, json.loads(capsys.readouterr().out)["rows"]


def held(folder: Path) -> list[int]:
    return [ticket for (ticket,) in rows(folder / "audit.db", "SELECT ticket FROM positions ORDER BY ticket")]


@pytest.fixture
def stranger(folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """A position of another record; this one has been refused because of it. Its ticket."""
    ticket = with_a_position(folder)
    for file in folder.glob("audit.db*"):
        file.unlink()
    capsys.readouterr()
    assert traded(folder) == 5
    said = capsys.readouterr().err
    assert f"reconcile adopt {ticket}" in said
    assert f"reconcile release {ticket}" in said
    return ticket


def test_where_both_sides_agree_there_is_nothing_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_a_position(folder)
    before = {file.name: file.read_bytes() for file in folder.rglob("*") if file.suffix in (".db", ".jsonl")}
    code, found = told(folder, capsys)
    assert (code, [row["difference"] for row in found]) == (0, [""])
    assert found[0]["ours"] == found[0]["theirs"] == "BUY 0.01"
    assert before == {file.name: file.read_bytes() for file in folder.rglob("*") if file.suffix in (".db", ".jsonl")}
    assert reconciled(folder) == 0
    assert "the terminal" in capsys.readouterr().out


def test_a_position_of_another_record_needs_a_person(stranger: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = told(folder, capsys)
    assert code == 5
    assert [(row["name"], row["needs_person"]) for row in found] == [(str(stranger), True)]
    assert reconciled(folder) == 5
    assert f"python -m Live reconcile adopt {stranger}, or release {stranger}" in capsys.readouterr().out


def test_an_adopted_position_is_ours_and_the_strategy_sees_it(stranger: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconciled(folder, "adopt", str(stranger), "--by", "Ada", "--reason", "the old record is lost") == 0
    assert told(folder, capsys)[0] == 0
    assert rows(folder / "audit.db", "SELECT position_id FROM fills") == [(stranger,)]
    story = "SELECT to_status, payload ->> 'by', payload ->> 'reason' FROM order_events WHERE to_status <> 'PENDING' ORDER BY seq"
    assert rows(folder / "audit.db", story) == [(status, "Ada", "the old record is lost") for status in ("UNKNOWN", "FILLED")]
    event = "SELECT severity, details ->> 'by' FROM events WHERE event_type = 'POSITION_ADOPTED'"
    assert rows(folder / "audit.db", event) == [("WARNING", "Ada")]
    for _ in range(3):
        assert traded(folder) == 0
    assert stranger in held(folder)
    assert len(held(folder)) == 2  # the strategy counts the adopted one among its trades
    assert main(["audit", "verify"]) == 0
    capsys.readouterr()
    assert reconciled(folder, "adopt", str(stranger), "--reason", "again") == 2
    assert "this record has opened it" in capsys.readouterr().err


def test_a_released_position_is_left_alone_and_keeps_nothing_back(stranger: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconciled(folder, "release", str(stranger), "--by", "Ada", "--reason", "closed by hand later") == 0
    assert told(folder, capsys) == (0, [])
    assert traded(folder) == 0
    assert stranger not in held(folder)
    assert rows(folder / "audit.db", "SELECT details ->> 'by' FROM events WHERE event_type = 'RELEASED'") == [("Ada",)]


def test_a_position_of_our_own_can_be_given_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = with_a_position(folder)
    assert reconciled(folder, "release", str(ticket), "--reason", "mine now") == 0
    assert traded(folder) == 0
    assert ticket not in held(folder)
    assert told(folder, capsys)[0] == 0


def unknown(folder: Path, status: Status) -> str:
    """An entry of which nobody knows, put down by the run that is the newest."""
    record = AuditLogger(folder / "audit.db", StoppedClock())
    record.continue_run(rows(folder / "audit.db", "SELECT max(run_id) FROM runs")[0][0])
    record.add_intent(intent())
    for to in (Status.SUBMITTED, Status.UNKNOWN, *([status] if status is not Status.UNKNOWN else [])):
        record.move(intent().order_id, to, payload={}, volume=0.01)
    record.close()
    slot = rows(folder / "audit.db", "SELECT slot FROM runs ORDER BY run_id DESC LIMIT 1")[0][0]
    login, server = slot.split("@")[0], slot.split("@")[1].split("/")[0]
    assert (login, server) != (str(SLOT.login), SLOT.server)
    return intent().order_id


@pytest.mark.parametrize("name", [lambda order_id: order_id, order_key], ids=["id", "key"])
def test_a_person_says_that_an_order_did_not_happen(name: Callable[[str], str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert traded(folder) == 0
    order_id = unknown(folder, Status.UNRESOLVED)
    assert reconciled(folder, "resolve", name(order_id), "--as", "absent", "--by", "Ada", "--reason", "the broker says no") == 0
    sql = f"SELECT status, message FROM orders WHERE client_order_id = '{order_id}'"
    assert rows(folder / "audit.db", sql) == [("ABSENT", "ABSENT by the word of Ada: the broker says no")]
    capsys.readouterr()
    assert reconciled(folder, "resolve", name(order_id), "--as", "absent", "--reason", "x") == 2
    assert "is ABSENT; only one that is UNRESOLVED or UNKNOWN is for a person to resolve" in capsys.readouterr().err


def test_a_fill_needs_an_order_of_the_terminal_that_can_be_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = with_a_position(folder)
    order_id = unknown(folder, Status.UNKNOWN)
    assert reconciled(folder, "resolve", order_id, "--as", "filled", "--reason", "x") == 2
    assert "Name the one with --ticket N" in capsys.readouterr().err
    assert reconciled(folder, "resolve", order_id, "--as", "filled", "--ticket", "7", "--reason", "x") == 2
    assert rows(folder / "audit.db", f"SELECT status FROM orders WHERE client_order_id = '{order_id}'") == [("UNKNOWN",)]
    assert reconciled(folder, "resolve", order_id, "--as", "filled", "--ticket", str(ticket), "--reason", "x") == 0
    found = f"SELECT status, mt5_order_id, executed_volume FROM orders WHERE client_order_id = '{order_id}'"
    assert rows(folder / "audit.db", found) == [("FILLED", ticket, 0.01)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("resolve", "NOWHERE", "--as", "absent"), "the record has no order NOWHERE"),
        (("adopt", "77"), "77 is no position that could be adopted"),
        (("release", "77"), "the terminal shows no position and no order 77"),
        (("release", "late fill"), "there is no hold 'late fill'"),
        (("adopt",), "name the ticket of a position, or --restored"),
    ],
)
def test_what_cannot_be_settled_is_told_in_one_sentence(
    words: tuple[str, ...], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert traded(folder) == 0
    capsys.readouterr()
    assert reconciled(folder, *words, "--reason", "x") == 2
    assert sentence in capsys.readouterr().err


def test_nothing_is_settled_while_a_trader_runs_and_a_look_is_free(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = with_a_position(folder)
    with ExitStack() as resources:
        hold_record(resources, folder / "audit.db")
        assert reconciled(folder) == 0
        for words in (("adopt", "1"), ("release", str(ticket))):
            assert reconciled(folder, *words, "--reason", "x") == 7
    assert "another trader writes" in capsys.readouterr().err


def test_a_record_that_was_set_back_is_taken_with_what_was_opened_since(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_a_position(folder)
    assert main(["backup", str(folder / "copy.db")]) == 0
    for _ in range(2):
        assert traded(folder) == 0
    lost = held(folder)
    assert len(lost) == 2
    for file in folder.glob("audit.db*"):
        if not file.name.endswith(".spill"):
            file.unlink()
    shutil.copy(folder / "copy.db", folder / "audit.db")
    assert traded(folder) == 5
    assert "reconcile adopt --restored" in capsys.readouterr().err
    assert told(folder, capsys)[0] == 5
    assert reconciled(folder, "adopt", "--restored", "--reason", "from the backup of noon") == 0
    assert told(folder, capsys)[0] == 0
    assert traded(folder) == 0
    assert held(folder) == lost


def test_a_record_without_a_run_is_told_in_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconciled(folder) == 1
    assert "There is no record at" in capsys.readouterr().err
