"""`python -m Live optimize`, and what takes the file of parameters that it writes."""

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from backtesting import Backtest

from Backtest import run_backtest
from Backtest.errors import BadInput
from Backtest.strategies import load_strategy
from Backtest.study.params_file import FORMAT, read_params, write_params_file
from Live.__main__ import main
from Live.config import PROJECT_ROOT
from tests.live_runs import eurusd

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
PATIENCE = 120  # seconds, for a machine that stalls
GRID = ["--grid", "n1=5:15:5", "n2=20,30"]
BARS = 400


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eurusd(BARS).to_csv(tmp_path / "prices.csv")
    own = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "SIM_ACCOUNT_DIR": "accounts", "SIM_PRICES": "prices.csv"}
    for key, name in {**own, "KILL_SWITCH_FILE": "EMERGENCY_STOP"}.items():
        monkeypatch.setenv(key, str(tmp_path / name))
    for key, value in {"DASHBOARD": "false", "SIZING": "strategy", "MT5_TERMINAL": "simulated"}.items():
        monkeypatch.setenv(key, value)


def said(words: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def optimize(tmp_path: Path, *words: object) -> list[object]:
    return ["optimize", SMA, "--out", tmp_path / "best.json", "--html", tmp_path / "map.html", "--jobs", 1, *words]


def written(folder: Path, params: dict[str, Any] | None = None) -> Path:
    file = folder / "best.json"
    write_params_file(file, load_strategy(SMA), {"n1": 3, "n2": 7} if params is None else params, {})
    return file


def fetched_by(page: str) -> list[str]:
    """What a page asks of the net: scripts, styles, and the picture by which backtesting.py counts its plots."""
    return re.findall(r"<script[^>]+src=|<link[^>]+href=|plx\.gif", page)


@pytest.mark.filterwarnings("ignore:Some trades remain open:UserWarning")
def test_a_study_is_shown_drawn_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said([*optimize(tmp_path, *GRID, "--constraint", "n1 * 2 <= n2", "--walk-forward", 2), "--json"], capsys)
    assert code == 0, err
    told = json.loads(out)
    strategy = load_strategy(SMA)
    runs = {
        (n1, n2): Backtest(eurusd(BARS), strategy.cls, **{**strategy.backtest, "finalize_trades": False}).run(n1=n1, n2=n2)["SQN"]
        for n1, n2 in [(5, 20), (5, 30), (10, 20), (10, 30), (15, 30)]
    }
    best = max(runs, key=lambda params: runs[params])
    assert [(each["params"]["n1"], each["params"]["n2"]) for each in told["best"]] == sorted(runs, key=lambda params: -runs[params])
    assert [each["stats"]["SQN"] for each in told["best"]] == sorted(runs.values(), reverse=True)
    assert (told["tried"], told["failed"], told["goal"], told["measure"]) == (5, 0, "maximize", "SQN")
    assert [len(told["walk_forward"]["folds"]), told["walk_forward"]["training"]] == [2, 4]
    assert told["walk_forward"]["folds"][1]["test_to"] == str(eurusd(BARS).index[-1])
    kept = json.loads((tmp_path / "best.json").read_text())
    assert kept["params"] == {"n1": best[0], "n2": best[1]}
    assert kept["strategy"] == {"file": str(SMA), "class": "SmaCross", "sha256": hashlib.sha256(SMA.read_bytes()).hexdigest()}
    assert kept["study"] == {name: value for name, value in told.items() if name not in ("best", "params_file", "html")}
    page = (tmp_path / "map.html").read_text()
    assert "#440154" in page  # Viridis
    assert fetched_by(page) == []
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]  # nothing half-written


def test_people_read_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = optimize(tmp_path, "--grid", "n1=-1,5,10", "--minimize", "Max. Drawdown [%]", "--walk-forward", 3, "--params", "n2=30")
    code, out, err = said(words, capsys)
    assert code == 0, err
    assert "SmaCross on EURUSD H1: 3 combinations on 400 bars" in out
    assert "1 of them failed:\n  n1=-1: ValueError: " in out
    assert "The best by lowest Max. Drawdown [%]" in out
    assert "Walk-forward" in out
    assert "which nobody knew then: the difference is hindsight" in out
    assert f"--params-file {tmp_path / 'best.json'}" in out
    assert json.loads((tmp_path / "best.json").read_text())["params"]["n2"] == 30
    assert fetched_by((tmp_path / "map.html").read_text()) == []  # a line, of one parameter


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        ([], ["--grid is missing"]),
        (["--grid", "n3=1:5", "n1=5:1", "--maximize", "SNQ"], ["no parameter n3", "n1=5:1 has no value", "did you mean 'SQN'?"]),
        ([*GRID, "--constraint", "open('x')"], ["not open('x')"]),
        ([*GRID, "--constraint", "n1 > n2"], ["allows no combination"]),
        ([*GRID, "--params", "n1=3"], ["--params and --grid both name n1"]),
        ([*GRID, "--params", "m=3"], ["has no parameter m"]),
        ([*GRID, "--maximize", "SQN", "--minimize", "SQN"], ["contradict each other"]),
        ([*GRID, "--cluster", "dask://x:1"], ["--jobs has no say with --cluster"]),
        ([*GRID, "--symbols", "EURUSD,GOOG", "--data", "EURUSD=prices.csv", "--data", "GOOG=prices.csv"], ["a study is of one symbol"]),
        ([*GRID, "--walk-forward", "99"], ["--walk-forward 99 with a training of 4 windows cuts 400 bars"]),
        ([*GRID, "--max-tries", "0"], ["--max-tries"]),
        ([*GRID, "--out", "docs"], ["docs: no such file can be written (it is a folder); name another one with --out"]),
        ([*GRID, "--html", "README.md/x.html"], ["x.html: no such file can be written", "name another one with --html"]),
        ([*GRID, "--bars", "no"], ["--bars is 'no'"]),
        ([*GRID, "--data", "none.csv"], ["none.csv"]),
    ],
)
def test_what_is_wrong_is_told_together_and_nothing_is_written(
    words: list[str], sentences: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(optimize(tmp_path, *words), capsys)
    assert code == 2, out
    assert [sentence for sentence in sentences if sentence not in err] == []
    assert "Traceback" not in err
    assert not (tmp_path / "best.json").exists()


def test_a_strategy_that_fails_with_every_combination_is_told_with_the_first_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(optimize(tmp_path, "--grid", "n1=-5:-1"), capsys)
    assert code == 2
    assert "n1=-5: ValueError" in err
    assert "2 more" in err


def test_a_study_in_which_nothing_was_traded_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(optimize(tmp_path, "--grid", "n2=398,399"), capsys)
    assert code == 6
    assert "none of the 2 combinations has a SQN" in err
    assert not (tmp_path / "best.json").exists()


SLOW = """
import pathlib
from backtesting import Strategy

class Slow(Strategy):
    n = 1

    def init(self):
        pathlib.Path(__file__).with_suffix(".began").touch()

    def next(self):
        while True:
            pass
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="a signal for one process alone is not to be had there")
def test_ctrl_c_ends_the_workers_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    words = ["optimize", tmp_path / "slow.py", "--grid", "n=1:9", "--jobs", 2, "--out", tmp_path / "best.json"]
    command = [sys.executable, "-m", "Live", *map(str, words)]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "slow.began").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=PATIENCE)  # until the last worker has closed its end, too
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "")
    assert not (tmp_path / "best.json").exists()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.05)


# the file of parameters


def test_a_run_trades_the_parameters_of_a_file_and_records_its_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, {"n1": 3})
    eurusd(40).to_csv(tmp_path / "prices.csv")
    code, _, err = said(["run", "--strategy", SMA, "--dry-run", "--params-file", file, "--params", "n2=9"], capsys)
    assert code == 0, err
    with closing(sqlite3.connect(tmp_path / "audit.db")) as db:
        [row] = db.execute("SELECT params, params_file, params_sha256 FROM runs").fetchall()
    assert json.loads(row[0]) == {"n1": 3, "n2": 9}
    assert row[1:] == (str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_check_takes_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(["lookahead", SMA, "--bars", 100, "--params-file", written(tmp_path), "--json"], capsys)
    assert code == 0, err
    assert json.loads(out)["params"] == {"n1": 3, "n2": 7}


def test_a_backtest_takes_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--strategy", SMA, "--data", tmp_path / "prices.csv", "--no-plot", "--params-file", written(tmp_path, {"n1": 3})]
    assert run_backtest.main([*map(str, words), "--params", "n2=9"]) == 0
    assert "with n1=3 n2=9" in capsys.readouterr().out
    assert run_backtest.main([*map(str, words), "--params", "n1=9"]) == 2
    assert "both name n1" in capsys.readouterr().err


def test_a_parameter_that_both_name_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(["run", "--strategy", SMA, "--dry-run", "--params-file", written(tmp_path), "--params", "n1=3"], capsys)
    assert code == 2
    assert f"--params and --params-file {tmp_path / 'best.json'} both name n1; leave it out of --params" in err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "this is no file of parameters"),
        ("[]", "this is no file of parameters"),
        (json.dumps({"n1": 5}), "this is no file of parameters"),
        (json.dumps({"format": FORMAT, "params": {}}), "these parameters are for None, and the strategy is SmaCross"),
        (json.dumps({"format": FORMAT, "params": {}, "strategy": {"class": "Other"}}), "these parameters are for Other"),
        (json.dumps({"format": FORMAT, "params": {}, "strategy": {"class": "SmaCross", "sha256": "0"}}), "is not the file that these"),
    ],
)
def test_a_file_that_is_not_for_this_strategy_is_refused(change: str | None, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    if change is not None:
        file.write_text(change)
    with pytest.raises(BadInput) as fault:
        read_params(load_strategy(SMA), [], file)
    assert str(fault.value).startswith(f"{file}: ")
    assert sentence in str(fault.value)


def test_parameters_of_a_file_are_those_of_the_strategy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"best\.json: SmaCross has no parameter n5"):
        read_params(load_strategy(SMA), [], written(tmp_path, {"n5": 1}))
    with pytest.raises(BadInput, match="the parameters cannot be written"):
        write_params_file(tmp_path / "prices.csv" / "best.json", load_strategy(SMA), {}, {})
