"""A machine that has no file handles or no memory left: nothing more is sent, nothing is lost, and the next trader goes on (F69)."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from Backtest.strategies import load_strategy
from Live.config import PROJECT_ROOT
from tests.live_runs import eurusd, run_live

resource = pytest.importorskip("resource", reason="limits of a process are set by Unix alone")
STRATEGY = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
BARS = 200
TRADES = "SELECT side, volume, entry_price, exit_price, net_profit FROM trades ORDER BY id"

# In a process of its own, which loses what it needs while it trades, and gets it back when it has ended.
PROGRAM = """
import json, logging, os, resource, sys
from pathlib import Path
from Backtest.strategies import load_strategy
from tests.live_runs import eurusd, run_live

kind, folder = {"handles": resource.RLIMIT_NOFILE, "memory": resource.RLIMIT_AS}[sys.argv[1]], Path(sys.argv[2])
usual = resource.getrlimit(kind)

hog = []

def take_away(trader):
    if trader.bars == 100:
        resource.setrlimit(kind, (3, usual[1]))  # what is open, or had, stays so
        for size in (2**20, 2**12, 2**6) if sys.argv[1] == "memory" else ():
            try:
                while True:
                    hog.append(bytes(size))
            except MemoryError:
                pass

logging.disable()
try:
    code = run_live(folder, load_strategy(sys.argv[3]), eurusd(200), on_turn=take_away).code
except MemoryError:
    code = None
hog.clear()
resource.setrlimit(kind, usual)
sys.stdout.write(json.dumps(code))
"""


def traded_without(what: str, folder: Path) -> tuple[int | None, dict[str, Any]]:
    """The exit code of a run that has lost it in the middle, and its row; None where not even its end could be told."""
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, what, str(folder), str(STRATEGY)]
    done = subprocess.run(words, check=False, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    db = sqlite3.connect(folder / "audit.db")
    db.row_factory = sqlite3.Row
    [row] = map(dict, db.execute("SELECT end_reason, (SELECT count(*) FROM bars) AS bars FROM runs"))
    db.close()
    return json.loads(done.stdout), row


def test_without_file_handles_nobody_can_tell_whether_the_stop_file_is_there(tmp_path: Path) -> None:
    code, run = traded_without("handles", tmp_path)
    assert (code, run["bars"]) == (10, 100)
    assert "nobody can tell whether EMERGENCY_STOP is there: nothing more is sent" in run["end_reason"]


def test_without_memory_a_run_ends_and_the_next_one_makes_the_trades_that_are_left(tmp_path: Path) -> None:
    for folder in ("disturbed", "undisturbed"):
        (tmp_path / folder).mkdir()
    code, run = traded_without("memory", tmp_path / "disturbed")
    assert run["bars"] < BARS - 1
    assert (code, run["end_reason"]) in ((1, "the machine has no memory left"), (1, None), (None, None))
    strategy = load_strategy(str(STRATEGY))
    went_on, whole = (run_live(tmp_path / folder, strategy, eurusd(BARS)) for folder in ("disturbed", "undisturbed"))
    assert went_on.rows(TRADES) == whole.rows(TRADES) != []
    assert went_on.count("orders", "status <> 'FILLED'") == 0
