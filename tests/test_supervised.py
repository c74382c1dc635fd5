"""`run --supervised` as a user types it: a whole trader that hangs, and what becomes of its orders, its record and its supervisor."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from Live.locks import record_is_held
from tests.live_runs import eurusd
from tests.test_command_line import ROOT, command, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for other processes")

PATIENCE = 300  # seconds, for a machine that stalls
BASE = """
import ctypes, os
from pathlib import Path
from backtesting import Strategy
from Backtest.simulated_terminal import SimulatedTerminal

HERE = Path({here!r})

def first_time(name):
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def hang():
    (HERE / "hangs").touch()
    ctypes.PyDLL(None).sleep(10_000)  # with Python's lock, as the terminal's own calls

class Turns(Strategy):
    def init(self):
        pass

    def next(self):
        step = len(self.data) % 5
        if step == 0:
            self.buy(size=1000)
        elif step == 3:
            self.position.close()
"""
# the third order: executed, and its answer never comes
NO_ANSWER = """
sends, send = [], SimulatedTerminal.order_send

def order_send(self, request):
    sends.append(request)
    answer = send(self, request)
    if len(sends) == 3 and first_time("hung"):
        hang()
    return answer

SimulatedTerminal.order_send = order_send
"""
ENDLESS = """
class Endless(Turns):
    def next(self):
        if len(self.data) == 12:
            (HERE / "hangs").touch()
            while True:
                pass
        super().next()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    eurusd(40).to_csv(tmp_path / "prices.csv")
    return tmp_path


def words(folder: Path, code: str, *more: str) -> list[str]:
    file = folder / "strategy.py"
    file.write_text(BASE.format(here=str(folder)) + code)
    name = "Endless" if "class Endless" in code else "Turns"
    prices = ["--data", str(folder / "prices.csv")]
    return ["-m", "Live", "run", "--supervised", "--strategy", f"{file}:{name}", "--dry-run", *prices, *more]


@contextmanager
def started(folder: Path, code: str, *more: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    # what starts the tests in the background lets them ignore Ctrl-C, and what they start would inherit that
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    given = [sys.executable, *words(folder, code, *more)]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment(folder, **settings), "preexec_fn": heard}
    with (folder / "supervisor.log").open("w") as log:
        supervisor = subprocess.Popen(given, stdout=log, stderr=log, text=True, **options)
        try:
            yield supervisor
        finally:
            supervisor.kill()
            supervisor.wait()


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{folder / 'audit.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()
    return []


def is_trading(folder: Path) -> bool:
    return bool(rows(folder, "SELECT 1 FROM bars LIMIT 1"))


def test_an_order_whose_answer_never_comes_is_found_by_the_next_trader_and_nothing_is_sent_twice(folder: Path) -> None:
    with started(folder, NO_ANSWER, ORDER_DEADLINE_SECONDS="2") as supervisor:
        assert supervisor.wait(PATIENCE) == 0, (folder / "supervisor.log").read_text()
    assert len(rows(folder, "SELECT * FROM runs")) == 2
    (told,) = rows(folder, "SELECT message FROM events WHERE event_type = 'TRADER_KILLED'")
    assert "no sign of life for 2 seconds while sending" in told[0]
    sent = Counter(rows(folder, "SELECT client_order_id FROM order_events WHERE to_status = 'SUBMITTED'"))
    assert set(sent.values()) == {1}
    assert rows(folder, "SELECT DISTINCT status FROM orders") == [("FILLED",)]
    assert rows(folder, "SELECT count(*), count(DISTINCT bar_epoch) FROM bars") == [(39, 39)]


@pytest.mark.long
def test_a_strategy_in_an_endless_loop_is_tried_twice_and_then_no_more(folder: Path) -> None:
    with started(folder, ENDLESS, DECISION_DEADLINE_SECONDS="2") as supervisor:
        assert supervisor.wait(PATIENCE) == 1, (folder / "supervisor.log").read_text()
    assert len(rows(folder, "SELECT * FROM events WHERE event_type = 'TRADER_KILLED'")) == 2
    (failed,) = rows(folder, "SELECT message FROM events WHERE event_type = 'STRATEGY_FAILED'")
    assert "EURUSD: the strategy did not come back from the bar" in failed[0]
    assert rows(folder, "SELECT count(*) FROM bars") == [(11,)]
    assert rows(folder, "SELECT count(*), exit_code FROM runs WHERE exit_code IS NOT NULL") == [(1, 1)]


@pytest.mark.long
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_is_handed_on_and_the_exit_code_passes_through(number: signal.Signals, expected: int, folder: Path) -> None:
    with started(folder, "", "--speed", "3600") as supervisor:
        wait_until(lambda: is_trading(folder))
        supervisor.send_signal(number)
        assert supervisor.wait(PATIENCE) == expected, (folder / "supervisor.log").read_text()
    assert rows(folder, "SELECT exit_code, end_reason FROM runs") == [(expected, f"stopped by {number.name}")]


def test_a_trader_whose_supervisor_is_killed_leaves_in_order(folder: Path) -> None:
    with started(folder, "", "--speed", "3600") as supervisor:
        wait_until(lambda: is_trading(folder))
        supervisor.kill()
        wait_until(lambda: not record_is_held(folder / "audit.db"))
    assert rows(folder, "SELECT end_reason FROM runs") == [("the supervisor has gone",)]


@pytest.mark.long
def test_stop_ends_a_trader_that_hangs_and_it_stays_stopped(folder: Path) -> None:
    with started(folder, ENDLESS, DECISION_DEADLINE_SECONDS="3600") as supervisor:
        wait_until((folder / "hangs").exists)
        stopped = command(["-m", "Live", "stop"], folder)
        assert stopped.returncode == 0, stopped.stderr
        assert "On record: stopped since" in stopped.stderr
        assert supervisor.wait(PATIENCE) == 10
    (folder / "EMERGENCY_STOP").unlink()
    assert command(words(folder, ENDLESS), folder).returncode == 10
