"""The emergency stop, from outside: what `stop` and `resume` do, what stays stopped, and what a signal leaves behind."""

import os
import signal
import sqlite3
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy

from Backtest.simulated_terminal import SimulatedTerminal
from Live.__main__ import main
from Live.clock import Clock
from Live.errors import AnotherInstance, KillSwitch, Misconfigured
from Live.live_trader import LiveTrader
from Live.locks import hold_record
from Live.stopping import pause, resume, stop
from tests.faulty_terminal import FaultyTerminal
from tests.live_runs import Ran, eurusd, loaded, run_live, settings

START = datetime(2026, 1, 5, tzinfo=UTC)


class NoTime(Clock):
    """A clock whose waiting is over at once."""

    def now(self) -> datetime:
        return START

    def sleep(self, seconds: float, interrupted: Any = None) -> None:
        pass


class Turns(Strategy):
    """In for three bars, out for two, and so on."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        step = len(self.data) % 5
        if step == 0:
            self.buy(size=1000)
        elif step == 3:
            self.position.close()


def stopped_by(folder: Path, name: str, *, at: int = 8, given: dict[str, object] | None = None, **more: Any) -> Ran:
    def make(trader: LiveTrader) -> None:
        if trader.bars == at:
            (folder / name).touch()

    return run_live(folder, loaded(Turns), eurusd(30), on_turn=make, given=given, **more)


def lift(folder: Path, **given: object) -> int:
    return resume(settings(folder, **given), confirm=lambda _: True, clock=NoTime())


# the latch


@pytest.mark.parametrize("given", [{}, {"enable_kill_switch": False}], ids=["as it was", "with the switch off"])
def test_a_stop_holds_when_the_file_is_gone_until_it_is_lifted(given: dict[str, object], tmp_path: Path) -> None:
    assert stopped_by(tmp_path, "EMERGENCY_STOP").code == KillSwitch.exit_code
    (tmp_path / "EMERGENCY_STOP").unlink()
    with pytest.raises(KillSwitch, match=r"^stopped since .* exists: nothing more is sent; python -m Live resume lets it trade again$"):
        run_live(tmp_path, loaded(Turns), eurusd(30), given=given)
    assert lift(tmp_path, **given) == 0
    ran = run_live(tmp_path, loaded(Turns), eurusd(30), given=given)
    assert (ran.code, ran.count("bars")) == (0, 29)


def test_a_start_that_sees_the_file_puts_the_stop_on_record(tmp_path: Path) -> None:
    run_live(tmp_path, loaded(Turns), eurusd(30), once=True)
    file = tmp_path / "EMERGENCY_STOP.txt"
    file.touch()
    with pytest.raises(KillSwitch):
        run_live(tmp_path, loaded(Turns), eurusd(30))
    file.unlink()
    with pytest.raises(KillSwitch, match="stopped since"):
        run_live(tmp_path, loaded(Turns), eurusd(30))


def test_who_lifts_a_stop_is_on_record_and_is_asked_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = stopped_by(tmp_path, "EMERGENCY_STOP")
    asked: list[str] = []

    def no(what: str) -> bool:
        asked.append(what)
        return False

    assert resume(settings(tmp_path), confirm=no, clock=NoTime()) == 0
    assert "stopped since" in asked[0]
    assert f"{tmp_path / 'EMERGENCY_STOP'} exists" in asked[0]
    assert "It stays stopped" in capsys.readouterr().err
    assert (tmp_path / "EMERGENCY_STOP").exists()
    assert lift(tmp_path) == 0
    assert not (tmp_path / "EMERGENCY_STOP").exists()
    (event,) = ran.rows("SELECT message, details FROM events WHERE event_type = 'RESUMED'")
    assert "lets it trade again" in event["message"]
    assert "2026-01-05" in event["details"]
    assert lift(tmp_path) == 0
    assert "Nothing is stopped" in capsys.readouterr().err


def test_a_stop_of_the_name_flatten_closes_our_positions(tmp_path: Path) -> None:
    ran = stopped_by(tmp_path, "EMERGENCY_STOP_FLATTEN.txt", at=7)
    assert ran.code == KillSwitch.exit_code
    assert ran.trader.final_positions == ()
    assert ran.count("orders", "kind = 'FLATTEN' AND status = 'FILLED'") == 1


def test_a_stop_without_that_name_leaves_them(tmp_path: Path) -> None:
    assert len(stopped_by(tmp_path, "EMERGENCY_STOP", at=7).trader.final_positions) == 1


def test_a_folder_of_that_name_is_removed_too_and_one_that_is_not_empty_is_left_to_people(tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP").mkdir()
    assert lift(tmp_path) == 0
    (tmp_path / "EMERGENCY_STOP").mkdir()
    (tmp_path / "EMERGENCY_STOP" / "note.txt").touch()
    with pytest.raises(Misconfigured, match=r"cannot be removed .*: remove it by hand"):
        lift(tmp_path)


def test_nothing_is_lifted_while_a_trader_runs(tmp_path: Path) -> None:
    stopped_by(tmp_path, "EMERGENCY_STOP")
    with ExitStack() as resources:
        hold_record(resources, tmp_path / "audit.db")
        with pytest.raises(AnotherInstance):
            lift(tmp_path)


# the verbs


def test_a_stop_without_a_trader_goes_on_record_and_tells_what_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_live(tmp_path, loaded(Turns), eurusd(8))
    assert len(ran.trader.final_positions) == 1
    assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 0
    told = capsys.readouterr().err
    assert "No trader runs, and none starts: it is on record" in told
    assert "Open on record: BUY 0.01 EURUSD" in told
    (tmp_path / "EMERGENCY_STOP").unlink()
    with pytest.raises(KillSwitch, match="stopped with python -m Live stop while no trader ran"):
        run_live(tmp_path, loaded(Turns), eurusd(8))


def test_a_stop_before_the_first_run_makes_the_file_and_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop(settings(tmp_path), flatten=True, clock=NoTime()) == 0
    assert "none starts: the file is there" in capsys.readouterr().err
    assert (tmp_path / "EMERGENCY_STOP_FLATTEN").exists()
    assert not (tmp_path / "audit.db").exists()


@pytest.mark.parametrize("state", ["locked", "damaged"])
def test_a_record_that_cannot_be_used_does_not_keep_it_from_stopping(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_live(tmp_path, loaded(Turns), eurusd(8))
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as db:
        if state == "locked":
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
        else:
            for file in tmp_path.glob("audit.db*"):
                file.write_bytes(b"no database at all" * 1000)
        assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 0
    told = capsys.readouterr().err
    assert "none starts: the file is there" in told
    assert "What is open is not known" in told
    assert (tmp_path / "EMERGENCY_STOP").exists()


def test_a_trader_that_does_not_acknowledge_is_told_with_its_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_live(tmp_path, loaded(Turns), eurusd(8))
    with ExitStack() as resources:
        hold_record(resources, tmp_path / "audit.db")
        assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 6
    assert "NOT acknowledged after 15 seconds: it may be in a call of the terminal, or in its strategy" in (told := capsys.readouterr().err)
    assert f"End process {os.getpid()}" in told


def test_a_trader_that_does_not_look_for_the_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_live(tmp_path, loaded(Turns), eurusd(8), given={"enable_kill_switch": False})
    with ExitStack() as resources:
        hold_record(resources, tmp_path / "audit.db")
        assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 6
    assert "ENABLE_KILL_SWITCH=false, and does not look for the file" in capsys.readouterr().err


def test_the_file_is_also_made_where_the_running_trader_looks_for_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    given = {"kill_switch_file": f"{tmp_path}/elsewhere/HALT"}
    run_live(tmp_path, loaded(Turns), eurusd(8), given=given)
    assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 0
    assert (tmp_path / "elsewhere" / "HALT").exists()
    assert lift(tmp_path) == 0
    assert not (tmp_path / "elsewhere" / "HALT").exists()


def test_a_stop_file_that_cannot_be_made_is_a_mistake_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot be made .*: end the trader with Ctrl-C"):
        stop(settings(tmp_path, kill_switch_file=f"{tmp_path}/nowhere/STOP"), flatten=False, clock=NoTime())


def test_resume_asks_for_a_yes_where_nobody_can_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILL_SWITCH_FILE", str(tmp_path / "EMERGENCY_STOP"))
    words = ["--db", str(tmp_path / "audit.db"), "--config", str(settings(tmp_path).audit_db_path.with_name("empty.env"))]
    assert main(["stop", *words]) == 0
    assert main(["resume", *words]) == 2
    assert "Say --yes to lift the stop" in capsys.readouterr().err
    assert (tmp_path / "EMERGENCY_STOP").exists()
    assert main(["resume", "--yes", *words]) == 0
    assert not (tmp_path / "EMERGENCY_STOP").exists()


# signals


class Asked(Turns):
    """Is asked to end while it decides."""

    at = 10

    def next(self) -> None:
        if len(self.data) == self.at:
            signal.raise_signal(signal.SIGTERM)
        super().next()


TRADES = "SELECT entry_time, exit_time, size, entry_price, exit_price FROM trades ORDER BY id"


def test_a_signal_stops_what_was_decided_and_the_next_start_sends_it(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "asked")]
    for folder in folders:
        folder.mkdir()
    whole, asked = folders
    expected = run_live(whole, loaded(Turns), eurusd(30)).rows(TRADES)
    ran = run_live(asked, loaded(Asked), eurusd(30))
    assert (ran.code, ran.trader.end_reason) == (0, "stopped by SIGTERM")
    assert ran.rows("SELECT status FROM orders ORDER BY id DESC LIMIT 1") == [{"status": "PENDING"}]
    again = run_live(asked, loaded(Turns), eurusd(30), given={"strategy_id": "asked"})
    assert (again.code, again.rows(TRADES)) == (0, expected)


@pytest.mark.parametrize("by", ["a start", "the stop command"])
def test_a_stop_after_a_run_takes_back_what_that_had_decided_and_not_sent(by: str, tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(Asked), eurusd(30))
    newest = "SELECT status FROM orders ORDER BY id DESC LIMIT 1"
    assert ran.rows(newest) == [{"status": "PENDING"}]
    if by == "a start":
        (tmp_path / "EMERGENCY_STOP").touch()
        with pytest.raises(KillSwitch, match="exists: nothing more is sent"):
            run_live(tmp_path, loaded(Asked), eurusd(30))
    else:
        assert stop(settings(tmp_path), flatten=False, clock=NoTime()) == 0
    assert ran.rows(newest) == [{"status": "CANCELLED"}]
    (tmp_path / "EMERGENCY_STOP").unlink()
    with pytest.raises(KillSwitch, match="stopped since"):
        run_live(tmp_path, loaded(Asked), eurusd(30))


@pytest.mark.parametrize("function", ["order_check", "order_send", "positions_get", "history_deals_get", "copy_rates_from_pos"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_call_lets_no_other_send_begin(number: signal.Signals, function: str, tmp_path: Path) -> None:
    sent: list[int] = []

    def made_by(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        terminal.before[function] = lambda: once(terminal)
        return terminal

    def once(terminal: FaultyTerminal) -> None:
        if len(terminal.sent) >= 1 and not sent:
            sent.append(len(terminal.sent))
            signal.raise_signal(number)

    ran = run_live(tmp_path, loaded(Turns), eurusd(30), made_by=made_by)
    assert ran.code == (130 if number == signal.SIGINT else 0)
    assert len(ran.terminal.sent) == sent[0]
    assert ran.count("orders", "status = 'SUBMITTED'") == 0
    assert ran.count("orders", "attempts = 1") == sent[0]
    assert run_live(tmp_path, loaded(Turns), eurusd(30)).count("bars") == 29


# the pause


def test_a_pause_without_a_trader_is_found_by_the_next_one_until_it_is_lifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pause(settings(tmp_path), NoTime()) == 0
    assert f"{tmp_path / 'PAUSE_ENTRIES'} is there: no entries are sent" in " ".join(capsys.readouterr().err.split())
    ran = run_live(tmp_path, loaded(Turns), eurusd(30))
    assert {row["status"] for row in ran.rows("SELECT status FROM orders WHERE kind = 'ENTRY'")} == {"DENIED"}
    asked: list[str] = []

    def no(what: str) -> bool:
        asked.append(what)
        return False

    assert resume(settings(tmp_path), confirm=no, clock=NoTime()) == 0
    assert asked == [f"{tmp_path / 'PAUSE_ENTRIES'} exists"]
    assert (tmp_path / "PAUSE_ENTRIES").exists()
    assert lift(tmp_path) == 0
    assert not (tmp_path / "PAUSE_ENTRIES").exists()
    assert lift(tmp_path) == 0
    assert "Nothing is stopped or paused" in capsys.readouterr().err


def test_a_pause_is_acknowledged_by_a_trader_that_runs_on_and_lifted_under_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes: dict[int, int] = {}

    def command(trader: LiveTrader) -> None:
        if trader.bars in (8, 9) and trader.bars not in codes:  # it cannot acknowledge in the turn in which it is asked
            codes[trader.bars] = pause(trader.config, NoTime())
        if trader.bars == 20 and 20 not in codes:
            codes[20] = resume(trader.config, confirm=lambda _: True, clock=NoTime())

    with ExitStack() as resources:
        hold_record(resources, tmp_path / "audit.db")
        ran = run_live(tmp_path, loaded(Turns), eurusd(40), on_turn=command)
    assert (ran.code, codes) == (0, {8: 6, 9: 0, 20: 6})
    said = " ".join(capsys.readouterr().err.split())
    assert "NOT acknowledged after 75 seconds" in said
    assert "On record: PAUSE_ENTRIES is there: no entries until it is gone; exits go on" in said
    events = [row["event_type"] for row in ran.rows("SELECT event_type FROM events WHERE event_type LIKE '%PAUSED' ORDER BY id")]
    assert events == ["PAUSED", "UNPAUSED"]
    entries = [row["status"] for row in ran.rows("SELECT status FROM orders WHERE kind = 'ENTRY' ORDER BY id")]
    assert entries[0] == entries[-1] == "FILLED"
    assert "DENIED" in entries


def test_a_stop_is_lifted_together_with_a_pause(tmp_path: Path) -> None:
    assert stopped_by(tmp_path, "EMERGENCY_STOP").code == KillSwitch.exit_code
    pause(settings(tmp_path), NoTime())
    assert lift(tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("EMERGENCY", "PAUSE"))] == []


def test_a_pause_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "PAUSE_ENTRIES").mkdir()
    with pytest.raises(Misconfigured, match=r"PAUSE_ENTRIES cannot be made .*: entries go on; stop the trader instead"):
        pause(settings(tmp_path), NoTime())
