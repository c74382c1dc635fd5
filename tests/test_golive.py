"""The checklist before real money: which boxes the record and the settings meet."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from Live.__main__ import main
from Live.config import LiveConfig, load_config
from Live.golive import Box, checklist
from tests.sample_record import START, WALL, SampleRecord

CAUTIOUS = {"MAX_POSITION_SIZE": "0.5", "ENABLE_ALERTS": "false"}


@pytest.fixture
def record(tmp_path: Path) -> SampleRecord:
    return SampleRecord(tmp_path / "audit.db")


def config_of(record: SampleRecord, **settings: str) -> LiveConfig:
    return load_config({"audit_db_path": str(record.path)}, None, {**CAUTIOUS, **settings, "PATH": os.defpath})


def box(record: SampleRecord, name: str, **settings: str) -> Box:
    return next(each for each in checklist(config_of(record, **settings)) if each.name == name)


def demo_run(record: SampleRecord, days: float, *, trades: int = 1, **values: object) -> None:
    record.run(mode="DEMO", ended_at=(START + timedelta(days=days)).isoformat(), **values)
    run_id = record.db.execute("SELECT max(run_id) FROM runs").fetchone()[0]
    for _ in range(trades):
        record.order(run_id=run_id)
        record.trade(run_id=run_id)


def test_dry_runs_count_by_their_closed_trades(record: SampleRecord) -> None:
    record.run()
    for _ in range(29):
        record.trade()
    assert not box(record, "dry_run").met
    record.trade()
    assert box(record, "dry_run").met


def test_a_changed_file_begins_anew(record: SampleRecord) -> None:
    record.run()
    for _ in range(30):
        record.trade()
    record.run(strategy_sha256="1" * 64)
    assert not box(record, "dry_run").met


def test_a_week_on_a_demo_account_may_be_made_of_several_runs_and_needs_a_trade(record: SampleRecord) -> None:
    demo_run(record, 4, trades=0)
    demo_run(record, 3, trades=0)
    assert not box(record, "demo").met
    demo_run(record, 0.1)
    assert box(record, "demo").met
    assert "7.1 days and 1 closed trades" in box(record, "demo").evidence


def test_a_run_that_was_killed_counts_until_its_last_look_at_the_account(record: SampleRecord) -> None:
    record.run(mode="DEMO")
    record.trade()
    record.snapshot(START + timedelta(days=8), 10_000.0)
    assert box(record, "demo").met


def test_days_of_a_dry_run_are_no_days_on_a_demo_account(record: SampleRecord) -> None:
    record.run(ended_at=(START + timedelta(days=90)).isoformat())
    record.trade()
    assert not box(record, "demo").met


@pytest.mark.parametrize(
    ("name", "settings", "met"),
    [
        ("risk", {}, True),
        ("risk", {"DEFAULT_RISK_PCT": "1.01"}, False),
        ("risk", {"MAX_POSITION_SIZE": "1.5"}, False),
        ("daily", {}, True),
        ("daily", {"MAX_DAILY_TRADES": "11"}, False),
        ("daily", {"MAX_DAILY_LOSS_PCT": "6"}, False),
        ("alerts", {}, False),
    ],
)
def test_limits_are_judged_by_the_settings(name: str, settings: dict[str, str], met: bool, record: SampleRecord) -> None:
    record.run()
    assert box(record, name, **settings).met is met


def test_the_emergency_stop_was_tried_when_it_was_put_and_lifted(record: SampleRecord) -> None:
    record.run()
    for event_type, met in (("KILL_SWITCH", False), ("RESUMED", True)):
        record.insert("events", {"timestamp": WALL.isoformat(), "event_type": event_type, "severity": "INFO", "details": "{}"})
        assert box(record, "kill_switch").met is met


def test_the_broker_lets_programs_trade_when_it_has_filled_an_order_and_no_switch_is_off(record: SampleRecord) -> None:
    record.run()
    record.order()
    assert not box(record, "allowed").met, "a simulated broker lets everybody trade"
    demo_run(record, 1)
    assert box(record, "allowed").met
    record.insert("events", {"timestamp": WALL.isoformat(), "event_type": "TRADING_OFF", "severity": "CRITICAL", "details": "{}"})
    assert not box(record, "allowed").met


def test_a_person_confirms_with_a_note_that_stays_on_record(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record.run()
    record.close()
    said = ["golive", "--db", str(record.path)]
    assert main([*said, "--confirm", "plan", "--note", "see plan.md", "--by", "me"]) == 6
    capsys.readouterr()
    assert main([*said, "--json"]) == 6
    told = json.loads(capsys.readouterr().out)
    plan = next(each for each in told["boxes"] if each["name"] == "plan")
    assert (told["ready"], plan["met"]) == (False, True)
    assert "confirmed by me" in plan["evidence"]
    assert "see plan.md" in plan["evidence"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--confirm", "plan"], "--confirm plan: say with --note"),
        (["--confirm", "demo", "--note", "x"], "--confirm demo: a person can confirm reviewed, targets, plan"),
    ],
)
def test_what_cannot_be_confirmed_is_a_sentence(
    words: list[str], sentence: str, record: SampleRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record.run()
    assert main(["golive", "--db", str(record.path), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_record_on_which_nobody_traded_has_no_checklist(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golive", "--db", str(record.path)]) == 2
    assert "no trader has run on this record yet" in capsys.readouterr().err
