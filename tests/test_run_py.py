import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from Live.config import PROJECT_ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for the environment's interpreter is a shell script")

LIVE = """
import os, sys
print("Live was started with", *sys.argv[1:])
print("in", os.getcwd())
print({key: os.environ.get(key) for key in ("MT5_TERMINAL", "SIZING")})
sys.exit(7)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a space in its path, whose Live only tells how it was started, and which needs no package."""
    root = tmp_path / "my project"
    (root / "Live").mkdir(parents=True)
    (root / "Live" / "__main__.py").write_text(LIVE)
    (root / "tests").mkdir()
    (root / "tests" / "test_one.py").write_text("def test_one(): pass\n")
    for name in [*(file.name for file in PROJECT_ROOT.glob("requirements*.txt")), "constraints.txt"]:
        (root / name).write_text("# nothing\n")
    shutil.copy(PROJECT_ROOT / "run.py", root)
    return root


@pytest.fixture
def equipped(project: Path) -> Path:
    """The same with an environment that stands for ours."""
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return project


def start(project: Path, *words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(project / "run.py"), *words],
        cwd=cwd or project,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def module_of(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_of_a_test", project / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_uses_the_standard_library_only() -> None:
    nodes = list(ast.walk(ast.parse((PROJECT_ROOT / "run.py").read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_an_old_python_can_read_it_and_says_that_it_is_too_old(project: Path) -> None:
    ast.parse((PROJECT_ROOT / "run.py").read_text(), feature_version=(3, 6))
    run = module_of(project)
    with pytest.raises(run.Stop, match=r"^This is Python 3\.9; Python 3\.11 or newer is needed: ") as caught:
        run.check_python((3, 9), ["demo"])
    assert caught.value.code == 2
    run.check_python((3, 11), [])
    run.check_python((3, 14), [])


def test_a_newer_python_of_the_machine_is_named(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, exit_code in (("python3.13", 1), ("python3.12", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {exit_code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    run = module_of(project)
    with pytest.raises(run.Stop, match=r"start it with python3\.12 run\.py demo --speed 60$"):
        run.check_python((3, 10), ["demo", "--speed", "60"])


def test_the_first_start_makes_the_environment_and_the_second_installs_nothing(project: Path) -> None:
    first, second = start(project, "run"), start(project, "run")
    assert "Making a virtual environment" in first.stdout
    assert "Installing requirements.txt" in first.stdout
    assert second.stdout.splitlines()[0] == "Live was started with run"
    assert (first.returncode, second.returncode) == (7, 7)


def test_the_demo_is_a_dry_run_of_the_shipped_strategy_with_the_templates_settings(equipped: Path) -> None:
    done = start(equipped, "demo", "--speed", "3600", MT5_TERMINAL="native", SIZING="risk")
    strategy, template = equipped / "Backtest" / "codes" / "sma_cross.py", equipped / ".env.template"
    assert f"Live was started with run --config {template} --strategy {strategy} --dry-run --speed 3600\n" in done.stdout
    assert "{'MT5_TERMINAL': 'simulated', 'SIZING': 'strategy'}" in done.stdout
    assert done.returncode == 7


@pytest.mark.every(6)
@pytest.mark.parametrize(
    "verb", ["run", "dashboard", "doctor", "explain", "verify", "lookahead", "warmup", "costs", "report", "drift", "replay"]
)
def test_what_follows_a_verb_is_passed_on_and_the_folder_stays_the_users(verb: str, equipped: Path, tmp_path: Path) -> None:
    done = start(equipped, verb, "--strategy", "my strategy.py", cwd=tmp_path)
    assert done.stdout.splitlines()[-3:-1] == [f"Live was started with {verb} --strategy my strategy.py", f"in {tmp_path}"]
    assert done.returncode == 7


def test_a_backtest_is_the_script_of_the_other_half(equipped: Path) -> None:
    (equipped / "Backtest").mkdir()
    (equipped / "Backtest" / "run_backtest.py").write_text("import sys; print('backtest', *sys.argv[1:]); sys.exit(2)")
    done = start(equipped, "backtest", "--no-plot")
    assert done.stdout.splitlines()[-1] == "backtest --no-plot"
    assert done.returncode == 2


@pytest.mark.long
def test_the_tests_are_run_from_any_folder_and_their_result_is_the_exit_code(equipped: Path, tmp_path: Path) -> None:
    good = start(equipped, "test", "-q", cwd=tmp_path)
    assert "1 passed" in good.stdout.splitlines()[-1]
    assert good.returncode == 0
    (equipped / "tests" / "test_two.py").write_text("def test_two(): assert False\n")
    assert start(equipped, "test", "-q").returncode == 1


@pytest.mark.long
def test_a_changed_requirement_is_installed_at_the_next_start(equipped: Path) -> None:
    start(equipped, "run")
    (equipped / "constraints.txt").write_text("# something else\n")
    assert "Installing" in start(equipped, "run").stdout
    assert "Installing" not in start(equipped, "run").stdout


@pytest.mark.long
def test_the_tests_need_more_than_a_run_and_a_run_nothing_more_than_the_tests(equipped: Path) -> None:
    start(equipped, "run")
    assert "Installing requirements-dev.txt" in start(equipped, "test").stdout
    assert "Installing" not in start(equipped, "run").stdout
    assert json.loads((equipped / ".venv" / "installed.json").read_text())["installed"] == ["requirements.txt", "requirements-dev.txt"]


@pytest.mark.long
def test_an_environment_whose_interpreter_is_gone_is_made_again(equipped: Path) -> None:
    start(equipped, "run")
    (equipped / ".venv" / "bin" / "python").unlink()
    done = start(equipped, "run")
    assert "Making a virtual environment" in done.stdout
    assert done.returncode == 7


def test_a_package_that_cannot_be_installed_is_told_with_pips_own_words(equipped: Path) -> None:
    (equipped / "requirements.txt").write_text("absent @ file:///nowhere/absent-1.0-py3-none-any.whl\n")
    done = start(equipped, "run")
    assert done.returncode == 1
    assert "absent-1.0-py3-none-any.whl" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pip could not install requirements.txt: see above")
    assert "Traceback" not in done.stderr
    assert "Installing" in start(equipped, "run").stdout


def test_a_python_without_ensurepip_is_told_which_package_to_install(project: Path, tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('as on Debian without python3-venv')\n")
    done = start(project, "demo", PYTHONPATH=str(tmp_path))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.returncode == 1
    assert done.stderr.startswith("This Python cannot make a virtual environment: install ")
    assert f"python{version}-venv" in done.stderr or "python3-venv" in done.stderr
    assert not (project / ".venv").exists()


def test_a_folder_where_no_environment_can_be_made_is_a_sentence(project: Path) -> None:
    (project / ".venv").write_text("a file in the way")
    done = start(project, "run")
    assert done.returncode == 1
    assert "No virtual environment could be made in" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [[], ["trade"], ["--verbose"]])
def test_another_verb_is_a_usage_mistake(words: list[str], project: Path) -> None:
    done = start(project, *words)
    assert done.returncode == 2
    assert f"want one of {', '.join(module_of(project).VERBS)}" in done.stderr
    assert not (project / ".venv").exists()


def test_help_explains_every_verb(project: Path) -> None:
    done = start(project, "--help")
    assert done.returncode == 0
    assert [verb for verb in module_of(project).VERBS if not re.search(rf"(?<!-)\b{verb}\b", done.stdout)] == []


def test_pip_is_shown_as_a_few_lines_where_there_is_no_terminal(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = module_of(project)
    program = "[print('Collecting package%d>=1' % n) for n in range(25)]; print('Installing collected packages: a, b')"
    pip = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with pip:
        assert len(run.show_progress(pip, 25)) == 26
    assert capsys.readouterr().out == "  10/25 package9\n  20/25 package19\n  25/25 unpacking\n"
