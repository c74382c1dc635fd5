"""The commands as a user types them: real processes, their exit codes and what they print."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from Live.__main__ import main
from tests.live_runs import eurusd

ROOT = Path(__file__).parent.parent
SMA = ROOT / "Backtest" / "codes" / "sma_cross.py"
PATIENCE = 120  # seconds, for a machine that stalls


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Settings of a run that leaves its files in a folder of its own."""
    own = {"AUDIT_DB_PATH": f"{folder}/audit.db", "LOG_DIR": f"{folder}/logs", "SIM_ACCOUNT_DIR": f"{folder}/accounts"}
    return {**os.environ, **own, "DASHBOARD": "false", "SIZING": "strategy", "KILL_SWITCH_FILE": f"{folder}/EMERGENCY_STOP", **settings}


def command(
    words: Sequence[object], folder: Path, *, cwd: Path = ROOT, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=environment(folder, **(settings or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.csv"
    eurusd(120).to_csv(file)
    return file


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("words", "cwd"),
    [
        (["Live/live_trader.py", "--strategy", "Backtest/codes/sma_cross.py"], ROOT),
        (["live_trader.py", "--strategy", "../Backtest/codes/sma_cross.py"], ROOT / "Live"),
        (["-m", "Live", "run", "--strategy", "Backtest/codes/sma_cross.py"], ROOT),
    ],
    ids=["from the root", "from Live", "as a module"],
)
def test_a_dry_run_starts_in_all_three_documented_ways(words: list[str], cwd: Path, prices: Path, tmp_path: Path) -> None:
    done = command([*words, "--dry-run", "--data", prices, "--params", "n1=3", "n2=7"], tmp_path, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "Session summary" in done.stdout
    assert "DRY_RUN: Would send order" in done.stderr
    assert "Bars decided" in done.stdout
    assert "119" in done.stdout


@pytest.mark.long
def test_a_path_on_the_command_line_is_relative_to_where_it_was_typed(prices: Path, tmp_path: Path) -> None:
    words = [ROOT / "Live" / "live_trader.py", "--strategy", os.path.relpath(SMA, tmp_path), "--data", prices.name, "--dry-run"]
    done = command(words, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_the_log_holds_one_json_object_per_line_with_the_seeds_fields(prices: Path, tmp_path: Path) -> None:
    command(["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--data", prices], tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "logs" / "live_trader.log").read_text().splitlines()]
    assert lines
    assert all(set(line) >= {"timestamp", "level", "logger", "message", "module", "function", "line", "extra_data"} for line in lines)
    assert any(line["message"].startswith("DRY_RUN: Would send order") for line in lines)


@pytest.mark.long
def test_another_settings_file_is_really_the_one_that_is_used(prices: Path, tmp_path: Path) -> None:
    (tmp_path / ".env.ema").write_text("MAGIC_NUMBER=4711\nSTRATEGY_ID=ema\n")
    done = command(["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--data", prices, "--config", tmp_path / ".env.ema"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "magic: 4711" in done.stderr


@pytest.mark.every(5)
@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["--strategy", "nowhere.py"], {}, "nowhere.py"),
        (["--strategy", "{tmp}/syntax.py"], {}, "line 1"),
        (["--strategy", "{tmp}/empty.py"], {}, "defines no strategy"),
        (["--strategy", "{sma}:Other"], {}, "SmaCross"),
        (["--strategy", "{sma}", "--params", "n3=5"], {}, "n3"),
        (["--strategy", "{sma}", "--params", "n1"], {}, "n1"),
        (["--strategy", "{sma}", "--data", "{tmp}/broken.csv"], {}, "broken.csv"),
        (["--strategy", "{sma}", "--data", "{tmp}/none.csv"], {}, "none.csv"),
        (["--strategy", "{sma}", "--timeframe", "7m"], {}, "TIMEFRAME=7m"),
        (["--strategy", "{sma}", "--timeframe", "5m"], {}, "M5"),
        (["--strategy", "{sma}", "--symbols", "GBPUSD"], {}, "GBPUSD"),
        (["--strategy", "{sma}", "--speed", "fast"], {}, "SIM_SPEED=fast"),
        (["--strategy", "{sma}", "--config", "{tmp}/none.env"], {}, "none.env"),
        (["--strategy", "{sma}", "--config", "{tmp}/misspelt.env"], {}, "did you mean MAX_DAILY_TRADES?"),
        (["--strategy", "{sma}"], {"MAX_DAILY_TRADES": "many"}, "MAX_DAILY_TRADES=many"),
        (["--strategy", "{sma}"], {"AUDIT_DB_PATH": "{tmp}/empty.py/audit.db"}, "empty.py"),
        (["--strategy", "{sma}"], {"LOG_DIR": "{tmp}/empty.py/logs"}, "LOG_DIR"),
        (["--strategy", "{sma}"], {"SIM_ACCOUNT_DIR": "{tmp}/empty.py/accounts"}, "SIM_ACCOUNT_DIR"),
        ([], {}, "--strategy"),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(words: list[str], settings: dict[str, str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "syntax.py").write_text("class (:\n")
    (tmp_path / "empty.py").write_text("from backtesting import Strategy\n")
    (tmp_path / "misspelt.env").write_text("MAX_DAILY_TRADE=5\n")
    lines = eurusd(20).to_csv().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[2], "oops")
    (tmp_path / "broken.csv").write_text("\n".join(lines))
    fill = {"tmp": str(tmp_path), "sma": str(SMA)}
    typed = [word.format(**fill) for word in words]
    done = command(
        ["-m", "Live", "run", *typed, "--dry-run"], tmp_path, settings={key: value.format(**fill) for key, value in settings.items()}
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_several_mistakes_are_told_together(tmp_path: Path) -> None:
    settings = {"MAX_DAILY_TRADES": "many", "DRY_RUN": "perhaps", "TIMEFRAME": "7m"}
    done = command(["-m", "Live", "run", "--strategy", SMA], tmp_path, settings=settings)
    assert done.returncode == 2
    assert all(name in done.stderr for name in settings)


@pytest.mark.skipif(importlib.util.find_spec("MetaTrader5") is not None, reason="the MetaTrader5 package is installed")
def test_real_trading_without_the_package_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = command(["-m", "Live", "run", "--strategy", SMA], tmp_path, settings={"DRY_RUN": "false"})
    assert done.returncode == 2
    assert "MetaTrader5" in done.stderr


def test_it_does_not_start_while_the_stop_file_exists(tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP").touch()
    done = command(["-m", "Live", "run", "--strategy", SMA, "--dry-run"], tmp_path)
    assert done.returncode == 10
    assert "EMERGENCY_STOP" in done.stderr


class Running:
    """A trader in a process of its own, at a speed at which it does not come to an end."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *, strategy: Path = SMA) -> None:
        words = [sys.executable, "-m", "Live", "run", "--strategy", str(strategy), "--dry-run", "--speed", "3600"]
        self.folder = folder
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment(folder, **(settings or {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def is_trading(self) -> bool:
        return (self.folder / "logs" / "live_trader.log").exists() and (self.folder / "audit.db").exists() and self.bars() > 0

    def bars(self) -> int:
        import sqlite3

        try:
            db = sqlite3.connect(f"file:{self.folder / 'audit.db'}?mode=ro", uri=True)
            try:
                return int(db.execute("SELECT count(*) FROM bars").fetchone()[0])
            finally:
                db.close()
        except sqlite3.Error:
            return 0

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.mark.long
def test_a_second_instance_on_the_same_record_is_refused(tmp_path: Path) -> None:
    first = Running(tmp_path)
    first.wait_until(first.is_trading)
    before = sorted((tmp_path / "accounts").iterdir())
    try:
        second = command(["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--fresh"], tmp_path)
        assert second.returncode == 7
        assert "another trader writes" in second.stderr
        assert sorted((tmp_path / "accounts").iterdir()) == before  # a refused start makes no account
    finally:
        first.process.terminate()
        first.end()


@pytest.mark.long
def test_one_simulated_account_has_one_trader_whatever_the_record(tmp_path: Path) -> None:
    first = Running(tmp_path)
    first.wait_until(first.is_trading)
    try:
        second = command(
            ["-m", "Live", "run", "--strategy", SMA, "--dry-run"], tmp_path, settings={"AUDIT_DB_PATH": str(tmp_path / "other.db")}
        )
        assert second.returncode == 7
        assert "another trader trades the simulated account" in second.stderr
        assert "--fresh" in second.stderr
    finally:
        first.process.terminate()
        first.end()


@pytest.mark.long
def test_a_damaged_account_is_left_alone_and_a_fresh_one_trades(prices: Path, tmp_path: Path) -> None:
    words = ["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--data", prices]
    command([*words, "--once"], tmp_path)
    (account,) = (tmp_path / "accounts").glob("*.jsonl")
    account.write_bytes(b"damaged\n" + account.read_bytes())
    refused = command(words, tmp_path)
    assert refused.returncode == 2
    assert "--fresh where you trade" in refused.stderr
    assert "119" in command([*words, "--fresh"], tmp_path).stdout


def test_an_account_that_an_older_version_kept_is_not_continued(prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "--strategy", str(SMA), "--dry-run", "--data", str(prices), "--once"]
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert main(words) == 0
    monkeypatch.setattr("Live.mt5_connector.own_accounts.FORMAT", -1)
    assert main(words) == 0
    assert len(list((tmp_path / "accounts").glob("*.jsonl"))) == 2


@pytest.mark.parametrize("words", [["--params"], ["--params", "--dry-run"], ["--params", "n1=3", "--params"]])
def test_params_without_a_value_are_a_mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--strategy", str(SMA), *words]) == 2
    assert "'--params' requires an argument" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_ends_the_page_with_its_exit_code(tmp_path: Path) -> None:
    port = a_free_port()
    words = [sys.executable, "-m", "Live", "dashboard", "--port", str(port)]
    # what starts the tests in the background lets them ignore Ctrl-C, and what they start would inherit that
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(words, cwd=ROOT, env=environment(tmp_path), stderr=subprocess.PIPE, preexec_fn=heard) as page:  # noqa: PLW1509 - no threads yet
        try:
            deadline = time.monotonic() + PATIENCE
            while not listens(port):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            page.send_signal(signal.SIGINT)
            assert page.wait(PATIENCE) == 130
        finally:
            page.kill()


@pytest.mark.every(2)
@pytest.mark.parametrize("kind", ["folder", "stranger"])
def test_a_record_that_is_none_is_refused_and_nothing_is_left_beside_it(kind: str, prices: Path, tmp_path: Path) -> None:
    record = tmp_path / "audit.db"
    if kind == "folder":
        record.mkdir()
    else:
        record.write_text("somebody's notes, which are no database")
    before = sorted(tmp_path.iterdir())
    done = command(["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--data", prices], tmp_path)
    assert done.returncode == 2
    assert "cannot be used as the record" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_the_stop_file_ends_a_waiting_trader_with_exit_code_10(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.wait_until(running.is_trading)
    (tmp_path / "EMERGENCY_STOP.txt").touch()
    code, out, _ = running.end()
    assert code == 10
    assert "Session summary" in out


def test_a_stop_that_is_typed_holds_until_resume_is(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.wait_until(running.is_trading)
    stopped = command(["-m", "Live", "stop", "--flatten"], tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert "On record: stopped since" in stopped.stderr
    assert "No trader runs" in stopped.stderr
    assert "No position of ours is open on record" in stopped.stderr
    assert running.end()[0] == 10
    (tmp_path / "EMERGENCY_STOP_FLATTEN").unlink()
    words = ["-m", "Live", "run", "--strategy", SMA, "--dry-run", "--once"]
    refused = command(words, tmp_path, settings={"ENABLE_KILL_SWITCH": "false"})
    assert (refused.returncode, "python -m Live resume" in refused.stderr) == (10, True)
    assert command(["-m", "Live", "resume", "--yes"], tmp_path).returncode == 0
    assert command(words, tmp_path).returncode == 0


@pytest.mark.every(2)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM and SIGINT for other processes")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_in_order(number: signal.Signals, expected: int, tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.wait_until(running.is_trading)
    running.process.send_signal(number)
    code, out, _ = running.end()
    assert code == expected
    assert f"stopped by {number.name}" in out.replace("\n", " ")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_page_is_there_while_it_trades_and_ends_with_a_trader_that_is_killed(tmp_path: Path) -> None:
    port = a_free_port()
    running = Running(tmp_path, {"DASHBOARD": "true", "DASHBOARD_PORT": str(port)})
    running.wait_until(lambda: running.is_trading() and listens(port))
    running.process.kill()
    running.end()
    deadline = time.monotonic() + PATIENCE
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_a_second_ctrl_c_interrupts_a_strategy_that_does_not_return(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(
        "from pathlib import Path\nfrom backtesting import Strategy\n"
        "class Endless(Strategy):\n    def init(self): pass\n    def next(self):\n"
        f"        Path({str(tmp_path / 'inside')!r}).touch()\n        while True: pass\n"
    )
    running = Running(tmp_path, strategy=tmp_path / "endless.py")
    running.wait_until((tmp_path / "inside").exists)
    running.process.send_signal(signal.SIGINT)
    for _ in range(PATIENCE // 10):  # two that come together are one signal, so the second is sent again while nothing happens
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(1)
            break
        running.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(10)
    code, out, _ = running.end()
    assert code == 130
    assert "interrupted a second time" in out
