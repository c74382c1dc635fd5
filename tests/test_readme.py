import importlib
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

import run
from Backtest.bars import builtin_prices
from Live import errors
from Live.config import PROJECT_ROOT, LiveConfig

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")

# What a newcomer types. Those that are left out are run by other tests, or never end.
RUN = [
    "python run.py backtest --strategy Backtest/codes/sma_cross.py --no-plot",
    "python run.py run --strategy Backtest/codes/sma_cross.py --dry-run",
    "python run.py run --strategy Backtest/codes/ema_cross.py --symbols GOOG --timeframe 1d --dry-run",
    "python run.py run --strategy Backtest/codes/sma_cross.py --params n1=12 n2=26 --dry-run",
    "python run.py doctor",
    "python run.py explain 10016 -10005 INVALID_FILL",
    "python run.py costs EURUSD",
]
SHOWN = ("status", "positions", "orders", "trades", "signals", "events", "runs", "logs -f")
NOT_RUN = {
    "python run.py demo": "it makes the record on which the queries are run, below",
    "python run.py test": "this is it",
    "python run.py verify Backtest/codes/sma_cross.py": "tests/test_verify.py",
    "python run.py lookahead Backtest/codes/sma_cross.py": "tests/test_strategy_checks.py",
    "python run.py warmup Backtest/codes/sma_cross.py": "tests/test_strategy_checks.py",
    "python run.py optimize Backtest/codes/sma_cross.py --grid n1=5:30:5": "tests/test_optimize.py",
    "python run.py report": "it needs a record; tests/test_report.py",
    "python run.py drift": "it needs a record; tests/test_drift.py",
    "python run.py replay": "it needs a record; tests/test_replay.py",
    "python run.py reconcile": "it needs a record; tests/test_reconcile.py",
    "python run.py audit verify": "it needs a record; tests/test_record_care.py",
    "python run.py backup": "it needs a record; tests/test_record_care.py",
    **{f"python run.py {verb}": "it needs a record; tests/test_views.py" for verb in SHOWN},
    "python -m Backtest.simulated_terminal symbols": "tests/simulated_terminal/test_serve.py",
    "python -m Backtest.simulated_terminal run their_bot.py": "tests/simulated_terminal/test_serve.py",
    "python -m Backtest.simulated_terminal serve": "it serves until it is stopped; tests/simulated_terminal/test_serve.py",
    "python run.py dashboard": "it serves until it is stopped; tests/test_dashboard.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Those in blocks, and those in the first column of a table."""
    tabled = re.findall(r"^\| `(python run\.py .+?)` \|", README, re.MULTILINE)
    return [line for block in blocks("bash") for line in block.splitlines()] + [
        line.replace("STRATEGY", "Backtest/codes/sma_cross.py") for line in tabled
    ]


def elsewhere(folder: Path) -> dict[str, str]:
    """Settings that keep what a command writes away from the project's own folders."""
    written = {"AUDIT_DB_PATH": folder / "audit.db", "LOG_DIR": folder / "logs", "SIM_ACCOUNT_DIR": folder / "accounts"}
    return {**{key: str(path) for key, path in written.items()}, "DASHBOARD": "false"}


def carry_out(line: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What run.py would start, in this interpreter in place of .venv's."""
    _, program, verb, *words = shlex.split(line)
    assert program == "run.py"
    command, settings = run.command(verb, words)
    everything = {**os.environ, **settings, **environ}
    return subprocess.run(
        [sys.executable, *command[1:]], cwd=PROJECT_ROOT, env=everything, capture_output=True, text=True, check=False, timeout=300
    )


def test_every_command_of_the_readme_is_run_or_has_its_reason() -> None:
    assert sorted(commands()) == sorted([*RUN, *NOT_RUN])


@pytest.mark.parametrize("line", RUN)
def test_a_newcomer_can_type(line: str, tmp_path: Path) -> None:
    symbol = "GOOG" if "GOOG" in line else "EURUSD"
    builtin_prices(symbol).head(300).to_csv(tmp_path / "prices.csv")  # the first bars of what is replayed without this
    done = carry_out(line, {**elsewhere(tmp_path), "SIM_PRICES": str(tmp_path / "prices.csv")})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") > 5


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    folder = tmp_path_factory.mktemp("demo")
    done = carry_out("python run.py demo", elsewhere(folder))
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(f"file:{folder / 'audit.db'}?mode=ro", uri=True)) as connection:
        yield connection


def test_the_queries_run_as_they_stand(record: sqlite3.Connection) -> None:
    queries = [query for block in blocks("sql") for query in block.split(";") if query.strip()]
    without_rows = [query for query in queries if not record.execute(query).fetchall()]
    assert len(without_rows) < len(queries)
    assert all("FAILED" in query for query in without_rows)  # a simulated broker refuses nothing in the demo


def test_the_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE)}
    raised = {getattr(errors, name).exit_code for name in dir(errors) if isinstance(getattr(errors, name), type)}
    assert raised <= set(listed)
    assert listed[130] == "Ctrl-C"


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=\w+)?`", README)) - {"EMERGENCY_STOP"}
    assert named
    assert {name.lower() for name in named} <= set(LiveConfig.model_fields)


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:Live|Backtest|tests)/[\w./]*|[A-Z]+(?:\.md)?|\.env\.template)`", README)
    paths = [name for name in named if "/" in name or "." in name or name == "LICENSE"]
    assert len(paths) > 4
    assert [path for path in paths if not (PROJECT_ROOT / path).exists()] == []


def test_the_strategies_that_are_counted_are_there() -> None:
    assert len(list((PROJECT_ROOT / "Backtest" / "codes").glob("[!_]*.py"))) == 5
    assert "has five strategies" in README
    assert len(importlib.import_module("backtesting.test").EURUSD) == 5_000


def test_what_it_does_is_said_without_praise() -> None:
    assert not re.search(r"production[- ]ready|robust|powerful|seamless|blazing|world-class|enterprise", README, re.IGNORECASE)
