"""`audit verify` and `backup`, as a user types them."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from Live.__main__ import main
from Live.audit_logger import AuditLogger
from Live.audit_logger.spill import noted_head, spill_of
from Live.model import Status
from tests.fresh_record import DEAL, RUN, SLOT, changed_by_hand, filled, intent, opened, rows, the_path, trade  # noqa: F401 - fixtures


@pytest.fixture
def record(path: Path) -> Iterator[AuditLogger]:
    """A position that was opened and closed, and one order that was denied."""
    record = opened(path)
    record.start_run(RUN)
    record.add_intent(intent())
    filled(record, intent())
    deals = {"in": DEAL, "out": replace(DEAL, ticket=70_000_003, entry="OUT", order=50_000_002, side=DEAL.side.opposite)}  # type: ignore[arg-type]
    record.add_fill(deals["in"], SLOT, intent().order_id)
    record.add_fill(deals["out"], SLOT, None)
    record.add_trade(trade(), tag=None)
    record.add_intent(intent("1"))
    record.move(intent("1").order_id, Status.DENIED, payload={})
    yield record
    record.close()


def verified(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main(["audit", "verify", "--db", str(path), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def wrong(told: dict[str, object]) -> dict[str, str]:
    return {each["what"]: each["wrong"] for each in told["findings"] if each["wrong"]}  # type: ignore[attr-defined]


def changed(path: Path, sql: str) -> None:
    """What an attacker can do who knows the triggers: take them away, change a row, and put them back."""
    kept = rows(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid")
    dropped = "".join(f"DROP TRIGGER {name};" for name, _ in kept)
    changed_by_hand(path, dropped + sql + ";" + "".join(f"{text};" for _, text in kept))


def test_a_record_that_is_as_it_was_written_is_good_also_while_it_is_written(
    path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = verified(path, capsys)
    assert (code, wrong(told), told["rows"]) == (0, {}, 6)
    assert told["head"] == f"6:{rows(path, 'SELECT hash FROM order_events ORDER BY seq DESC LIMIT 1')[0][0]}"
    record.event("STARTUP", "still open")


CHANGES = [
    ("UPDATE order_events SET payload = '[1]' WHERE seq = 3", "hash chain of order_events", "row 3 is not as it was written"),
    ("DELETE FROM order_events WHERE seq = 2", "hash chain of order_events", "row 3 is not as it was written"),
    ("UPDATE order_events SET prev_hash = 'x' WHERE seq = 1", "hash chain of order_events", "row 1 is not as it was written"),
    ("UPDATE orders SET status = 'FAILED' WHERE id = 2", "orders are where their steps have led", "it is FAILED, the last of its"),
    ("UPDATE orders SET executed_volume = 0.2 WHERE id = 1", "orders have the volume of their fills", "its fills add up to 0.1"),
    ("UPDATE trades SET profit = 7", "trades are what their fills say", "its volume and profit are not those of fill 70000003"),
    ("DELETE FROM fills WHERE entry = 'OUT'", "trades are what their fills say", "there is no fill 70000003 that closed it"),
    ("DELETE FROM trades", "fills that closed something have a trade", "fill 70000003"),
    ("UPDATE fills SET run_id = 99", "references between tables", "of fills names a row of runs that is not there"),
]


@pytest.mark.parametrize(("change", "what", "sentence"), CHANGES, ids=[change for change, _, _ in CHANGES])
def test_a_row_that_was_changed_is_named(
    change: str, what: str, sentence: str, path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    record.close()
    changed(path, change)
    code, told = verified(path, capsys)
    assert code == 6
    assert sentence in wrong(told)[what]


def test_rows_that_were_cut_off_the_end_are_missed_by_the_head_that_was_noted(
    path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    record.close()
    changed(path, "DELETE FROM order_events WHERE seq > 4")
    changed(path, "UPDATE orders SET status = 'FILLED' WHERE id = 1; DELETE FROM orders WHERE id = 2")
    code, told = verified(path, capsys)
    assert code == 6
    assert wrong(told) == {"heads that were noted": wrong(told)["heads that were noted"]}
    assert "row 6 with" in wrong(told)["heads that were noted"]
    head = noted_head(path)
    spill_of(path).unlink()
    assert verified(path, capsys)[0] == 0  # nothing inside the file tells
    assert verified(path, capsys, "--head", str(head))[0] == 6


def test_a_record_whose_triggers_were_changed_is_refused(path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]) -> None:
    record.close()
    changed_by_hand(
        path, "DROP TRIGGER fills_are_evidence_u; CREATE TRIGGER fills_are_evidence_u BEFORE UPDATE ON fills BEGIN SELECT 1; END;"
    )
    assert main(["audit", "verify", "--db", str(path)]) == 2
    assert "it is another program's database, or was changed by one" in capsys.readouterr().err


@pytest.mark.parametrize("head", ["7", "7:abc", "x:" + "0" * 64])
def test_a_head_that_is_none_is_refused_in_one_sentence(
    head: str, path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "verify", "--db", str(path), "--head", head]) == 2
    assert "want the head that audit verify printed" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["audit", "verify"], ["backup"]])
def test_a_record_that_is_not_there_is_told_in_one_sentence(words: list[str], path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--db", str(path)]) == 2
    assert capsys.readouterr().err == f"error: there is no record at {path} yet: start the trader, and it appears there\n"
    assert not path.parent.exists()


def test_what_was_found_is_told_to_people_with_the_head_to_note(
    path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "verify", "--db", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"Head of the chain: 6:{rows(path, 'SELECT hash FROM order_events ORDER BY seq DESC LIMIT 1')[0][0]}" in said
    assert "wrong" not in said


def test_a_backup_is_a_record_of_its_own_readable_by_its_owner_only(
    path: Path, record: AuditLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    target = path.parent / "copy.db"
    assert main(["backup", str(target), "--db", str(path)]) == 0
    assert "whole, verified" in capsys.readouterr().out
    if os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert verified(target, capsys)[0] == 0
    assert main(["backup", str(target), "--db", str(path)]) == 2
    assert "takes the place of no other file" in capsys.readouterr().err
    assert main(["backup", "--db", str(path)]) == 0
    assert len(list((path.parent / "backups").glob("audit-*.db"))) == 1
