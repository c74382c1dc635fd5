"""The supervisor over real processes that hang, die and leave; what it makes of a whole trader is in test_supervised.py."""

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from Live.clock import Clock
from Live.config import LiveConfig
from Live.errors import CrashLoop
from Live.heartbeat import Heartbeat, Phase, WatchedTerminal, read
from Live.running import Asked
from Live.stop_latch import stop_seen
from Live.supervisor import Supervisor, deadlines
from tests.live_runs import settings
from tests.watched_processes import Script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the processes hang in a function of the C library")

ASKED = Asked("strategy.py", (), None, once=False, fresh=True)


class Impatient(Clock):
    """Its pauses are over at once; it notes how long they would have been."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 5, tzinfo=UTC)

    def sleep(self, seconds: float, interrupted: Any = None) -> None:
        self.pauses.append(seconds)


def supervised(folder: Path, *lives: tuple[str, int], **given: object) -> tuple[int, Script, Impatient]:
    script, clock = Script(list(lives)), Impatient()
    code = Supervisor(ASKED, quick(folder, **given), script.start, clock=clock).run()
    return code, script, clock


def quick(folder: Path, **given: object) -> LiveConfig:
    short = dict.fromkeys(("order_deadline_seconds", "read_deadline_seconds", "decision_deadline_seconds"), 0.5)
    return settings(folder, **{**short, **given})


def events(folder: Path, kind: str) -> list[str]:
    with closing(sqlite3.connect(folder / "audit.db")) as db:
        return [text for (text,) in db.execute("SELECT message FROM events WHERE event_type = ? ORDER BY id", (kind,))]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 10, 130])
def test_the_exit_code_of_a_trader_that_leaves_in_order_is_passed_on(code: int, tmp_path: Path) -> None:
    ended, script, _ = supervised(tmp_path, ("ends", code))
    assert (ended, len(script.asked)) == (code, 1)
    assert not (tmp_path / "audit.db").exists()


@pytest.mark.parametrize("code", [0, 1, 4])
def test_a_trader_that_vanishes_is_started_again_on_the_same_account(code: int, tmp_path: Path) -> None:
    ended, script, clock = supervised(tmp_path, ("vanishes", code), ("ends", 0))
    assert (ended, [asked.fresh for asked in script.asked], clock.pauses) == (0, [True, False], [1.0])
    assert events(tmp_path, "TRADER_DIED") == [f"the trader's process has died (exit code {code}); it is started again"]


@pytest.mark.parametrize("phase", [Phase.SENDING, Phase.READING, Phase.DECIDING])
def test_a_trader_that_hangs_is_killed_and_started_again(phase: Phase, tmp_path: Path) -> None:
    ended, script, _ = supervised(tmp_path, ("hangs", phase), ("ends", 0))
    assert (ended, len(script.asked)) == (0, 2)
    (text,) = events(tmp_path, "TRADER_KILLED")
    assert text == f"the trader was killed: it gave no sign of life for 0.5 seconds while {phase.name.lower()}; it is started again"


def test_a_trader_that_is_busy_is_left_alone(tmp_path: Path) -> None:
    # a machine that stalls must not look like a call that hangs
    assert supervised(tmp_path, ("reads_again_and_again", 120), read_deadline_seconds=6.0)[0] == 0
    assert supervised(tmp_path, ("is_slow", 3))[0] == 0
    assert not (tmp_path / "audit.db").exists()


def test_a_disk_that_takes_ten_seconds_for_each_commit_is_no_false_alarm() -> None:
    assert deadlines(LiveConfig())[Phase.WORKING] >= 10 * 10
    assert {phase: seconds for phase, seconds in deadlines(LiveConfig()).items() if phase in (Phase.SENDING, Phase.READING)} == {
        Phase.SENDING: 60,
        Phase.READING: 15,
    }
    assert set(deadlines(LiveConfig())) == set(Phase)


@pytest.mark.parametrize("life", ["vanishes", "never_begins"])
def test_a_crash_loop_ends_in_a_halt(life: str, tmp_path: Path) -> None:
    script, clock = Script([(life, 7)]), Impatient()
    with pytest.raises(CrashLoop, match="has died 5 times and is not started again"):
        Supervisor(ASKED, quick(tmp_path), script.start, clock=clock).run()
    assert (len(script.asked), clock.pauses) == (5, [1, 2, 4, 8])
    assert len(events(tmp_path, "CRASH_LOOP")) == 1


def test_a_bar_that_the_strategy_did_not_come_back_from_twice_is_not_tried_again(tmp_path: Path) -> None:
    _, script, _ = supervised(tmp_path, ("hangs", Phase.DECIDING), ("hangs", Phase.DECIDING), ("ends", 1))
    assert script.given_up[:2] == [{}, {}]
    assert list(script.given_up[2]) == ["EURUSD"]
    assert events(tmp_path, "STRATEGY_FAILED") == [script.given_up[2]["EURUSD"]]
    assert "the bar 4711 (server seconds), twice" in script.given_up[2]["EURUSD"]


def test_a_terminal_that_is_gone_after_a_death_is_waited_for(tmp_path: Path) -> None:
    code, script, _ = supervised(tmp_path, ("vanishes", 1), ("ends", 3), ("ends", 3), ("ends", 0))
    assert (code, len(script.asked)) == (0, 4)


def test_a_trader_that_does_not_see_the_emergency_stop_is_killed_and_the_stop_holds(tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP").touch()
    code, script, _ = supervised(tmp_path, ("hangs", Phase.SENDING), order_deadline_seconds=600)
    assert (code, len(script.asked)) == (10, 1)
    stop = stop_seen(tmp_path / "audit.db")
    assert stop is not None
    assert "did not acknowledge the emergency stop within 3 seconds, sending" in stop.reason


def test_a_trader_that_has_seen_the_stop_may_take_its_time(tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP").touch()
    assert supervised(tmp_path, ("stops_slowly", 5))[0] == 10
    assert not (tmp_path / "audit.db").exists()  # a trader would have put it down itself


# what is watched


class Answers:
    """A terminal of which only the names matter."""

    TRADE_ACTION_DEAL = 1

    def __init__(self, cells: list[int]) -> None:
        self.cells = cells

    def __getattr__(self, name: str) -> Any:
        if name == "foresee":
            raise AttributeError(name)
        return lambda: read(self.cells).phase


@pytest.mark.parametrize(
    ("function", "phase"),
    [
        ("order_send", Phase.SENDING),
        ("order_check", Phase.READING),
        ("initialize", Phase.CONNECTING),
        ("copy_rates_from_pos", Phase.FETCHING),
        ("history_deals_get", Phase.FETCHING),
    ],
)
def test_each_call_of_the_terminal_is_a_phase_and_the_one_before_goes_on_then(function: str, phase: Phase) -> None:
    cells = [0] * 7
    heartbeat = Heartbeat(cells)
    terminal = WatchedTerminal(Answers(cells), heartbeat, own=False)
    with heartbeat.during(Phase.WAITING):
        assert getattr(terminal, function)() is phase
        assert getattr(terminal, function)() is phase
        assert read(cells).phase is Phase.WAITING
    assert read(cells).beats == 6


def test_our_own_terminal_may_take_longer_for_what_it_is_asked() -> None:
    cells = [0] * 7
    terminal = WatchedTerminal(Answers(cells), Heartbeat(cells), own=True)
    assert terminal.symbol_info_tick() is Phase.FETCHING
    assert terminal.TRADE_ACTION_DEAL == 1
    assert not hasattr(terminal, "foresee")


def test_a_phase_ends_with_an_error_too() -> None:
    cells = [0] * 7
    heartbeat = Heartbeat(cells)

    def fails() -> None:
        with heartbeat.thinking(Phase.DECIDING, 1, 2):
            assert (read(cells).phase, read(cells).symbol, read(cells).bar) == (Phase.DECIDING, 1, 2)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert read(cells).phase is Phase.STARTING
