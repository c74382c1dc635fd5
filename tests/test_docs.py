"""Every command, query and message in `docs/` is one that works."""

import importlib.util
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from Backtest.bars import builtin_prices
from Live.__main__ import cli, main
from Live.config import PROJECT_ROOT, LiveConfig
from tests import reference

DOCS = sorted((PROJECT_ROOT / "docs").glob("*.md"))
SMA = "Backtest/codes/sma_cross.py"
# What is not run here, and where it is.
ELSEWHERE = {
    "demo": "tests/test_readme.py",
    "run": "tests/test_command_line.py and test_readme.py",
    "backtest": "tests/test_run_backtest.py",
    "dashboard": "tests/test_dashboard.py",
    "resume": "tests/test_stopping.py",
    "alerts": "tests/test_alert_delivery.py",
    "secrets": "tests/test_secrets.py",
    "doctor": "tests/test_doctor.py",
    "telegram": "tests/test_telegram.py",
    "stop": "tests/test_stopping.py",
    "pause": "tests/test_stopping.py",
    "reconcile": "tests/test_reconcile.py",
    "--cluster": "tests/test_study_cluster.py",
}
OTHER_PROGRAMS = {
    "python -m tests.": "benchmarks and campaigns, each with a test of its own",
    "python -m pytest tests/contract": "needs a terminal; tests/contract",
    "python -m mt5linux": "tests/test_remote.py",
    "python -m Backtest.simulated_terminal": "tests/simulated_terminal/test_serve.py and test_programs.py",
    "python Backtest/run_backtest.py": "tests/test_run_backtest.py",
}
MEANT = {"STRATEGY": SMA, "CODE": "10027"}


def fenced(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(doc.name, block) for doc in DOCS for block in fence.findall(doc.read_text(encoding="utf-8"))]


def blocks(language: str) -> list[tuple[str, str]]:
    split = str.splitlines if language == "bash" else lambda block: block.split(";")
    return [(name, part) for name, block in fenced(language) for part in split(block) if part.strip()]


def words_of(line: str) -> list[str]:
    """What comes behind `python run.py` or `python -m Live`."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["python", "run.py"] or words[:3] == ["python", "-m", "Live"], line
    return words[2:] if words[1] == "run.py" else words[3:]


def within_sentences() -> list[tuple[str, str]]:
    """The commands that stand in the text; "[FILE]" may be left out, and "…" is whatever comes there."""
    texts = [(doc.name, re.sub(r"^```.*?^```", "", doc.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)) for doc in DOCS]
    found = [(name, line) for name, text in texts for line in re.findall(r"`(python [^`]+)`", text) if "VERB" not in line]
    return [(name, re.sub(r"\s*(\[\w+\]|…)$", "", line)) for name, line in found]


ALL = [*blocks("bash"), *within_sentences()]
COMMANDS = sorted({(doc, line) for doc, line in ALL if line.startswith("python") and not line.startswith(tuple(OTHER_PROGRAMS))})
CARRIED_OUT = sorted({line for _, line in COMMANDS if not {*words_of(line)} & {*ELSEWHERE}})


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A dry run of 300 bars, with the settings that all these commands get."""
    folder = tmp_path_factory.mktemp("docs")
    builtin_prices("EURUSD").head(300).to_csv(folder / "prices.csv")
    paths = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "SIM_ACCOUNT_DIR": "accounts", "KILL_SWITCH_FILE": "EMERGENCY_STOP"}
    with pytest.MonkeyPatch.context() as patch:
        for key, name in {**paths, "SIM_PRICES": "prices.csv"}.items():
            patch.setenv(key, str(folder / name))
        for key, value in {"DASHBOARD": "false", "SIZING": "strategy", "MT5_TERMINAL": "simulated"}.items():
            patch.setenv(key, value)
        patch.chdir(PROJECT_ROOT)
        assert main(["run", "--strategy", SMA, "--dry-run"]) == 0
        yield folder / "audit.db"


@pytest.mark.parametrize("line", CARRIED_OUT)
def test_a_command_of_the_docs_can_be_typed(line: str, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([MEANT.get(word, word) for word in words_of(line)])
    said = capsys.readouterr()
    assert code in (0, 6) if "golive" in line else code == 0, said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("doc", "line"), COMMANDS)
def test_every_command_exists_with_its_options(doc: str, line: str) -> None:
    verb, *words = words_of(line)
    if verb in ("demo", "test", "backtest"):
        return
    command = cli.commands[verb]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert [word for word in words if word.startswith("-") and word not in known] == []


@pytest.mark.parametrize(("doc", "query"), blocks("sql"))
def test_every_query_runs(doc: str, query: str, record: Path) -> None:
    with closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True)) as db:
        db.execute(query).fetchall()


@pytest.mark.parametrize("line", sorted({line for _, line in ALL if line.startswith("python -m ")}))
def test_every_module_that_is_started_is_there(line: str) -> None:
    assert importlib.util.find_spec(shlex.split(line, comments=True)[2]) is not None


def test_every_file_of_requirements_is_there() -> None:
    named = {name for doc in DOCS for name in re.findall(r"pip install -r (\S+?)`", doc.read_text(encoding="utf-8"))}
    assert len(named) > 2
    assert [name for name in named if not (PROJECT_ROOT / name).exists()] == []


@pytest.mark.parametrize(("doc", "program"), fenced("python"))
def test_every_program_runs(doc: str, program: str, tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_is_what_the_program_says() -> None:
    assert reference.FILE.read_text(encoding="utf-8") == reference.text(), "python -m tests.reference writes it anew"


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_links_between_pages_and_named_settings_are_there(doc: Path) -> None:
    text = doc.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([\w./-]+\.md)\)", text) if not (doc.parent / link).exists()]
    assert links == []
    keys = {key.lower() for key in re.findall(r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)=", text)}
    assert {key.removesuffix("_file") for key in keys} <= set(LiveConfig.model_fields)


def test_what_is_searched_for_when_in_trouble_is_what_the_program_says() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for top in ("Live", "Backtest") for path in (PROJECT_ROOT / top).rglob("*.py"))
    page = (PROJECT_ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    texts = [text for row in rows for text in re.findall(r"`(.+?)`", row)]
    assert len(texts) > 35
    assert [text for text in texts if text not in sources] == []
