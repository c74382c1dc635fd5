#!/usr/bin/env python3
"""One command for everything: sets up its own environment in .venv, then does what it was asked.

    python run.py demo          trade the shipped strategy on the simulated terminal
    python run.py test          run all tests
    python run.py backtest …    python Backtest/run_backtest.py …
    python run.py VERB …        python -m Live VERB …; the verbs are listed below, and each takes --help
    python run.py lint          format check, linter and type checker

Needs Python 3.11 or newer and nothing else; what is installed is in requirements*.txt. A second start installs nothing.
"""
# This file must be readable by older Pythons, so that they can say that they are too old.

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
STAMP = VENV / "installed.json"
CORE, DEV = "requirements.txt", "requirements-dev.txt"
USAGE, FAILED = 2, 1
LIVE = tuple(
    """
    run stop pause resume dashboard doctor explain verify lookahead warmup optimize costs report drift replay
    status positions orders trades signals events runs logs golive
    reconcile audit backup alerts secrets telegram
    """.split()
)
VERBS = ("demo", "test", "backtest", *LIVE, "lint")

# The demo is the same for everybody: the template's settings, not those of a .env that may be there.
DEMO = ["run", "--config", str(ROOT / ".env.template"), "--strategy", str(ROOT / "Backtest" / "codes" / "sma_cross.py"), "--dry-run"]
DEMO_SETTINGS = {"MT5_TERMINAL": "simulated", "SIZING": "strategy"}
LINT = [["ruff", "format", "--check"], ["ruff", "check"], ["mypy"]]


class Stop(Exception):
    """A sentence for the user, and the exit code."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


def main(words: "list[str]") -> int:
    try:
        check_python(tuple(sys.version_info[:2]), words)
        verb, extra = (words[0], words[1:]) if words else ("", [])
        if verb in ("-h", "--help", "help"):
            print(__doc__)
            print(textwrap.fill(f"VERB is one of {', '.join(LIVE)}.", 100))
            return 0
        if verb not in VERBS:
            raise Stop(f"{verb or 'a verb is missing'}: want one of {', '.join(VERBS)}; python run.py --help explains them", USAGE)
        set_up(DEV if verb in ("test", "lint") else CORE)
        if verb == "lint":
            return max(subprocess.call([str(PYTHON), "-m", *tool], cwd=ROOT) for tool in LINT)
        if verb == "test":
            os.chdir(ROOT)
        return hand_over(*command(verb, extra))
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        return 130


def check_python(version: "tuple[int, ...]", words: "list[str]") -> None:
    """Raises Stop for a Python that is too old, naming a newer one of this machine if there is one."""
    if version >= OLDEST:
        return
    newer = next((name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if runs(name)), None)
    advice = (
        f"start it with {' '.join([newer, 'run.py', *words])}" if newer else "install a newer one from https://www.python.org/downloads/"
    )
    raise Stop(f"This is Python {version[0]}.{version[1]}; Python {OLDEST[0]}.{OLDEST[1]} or newer is needed: {advice}", USAGE)


def runs(program: str) -> bool:
    path = shutil.which(program)  # pyenv puts programs on the path that do not run
    return path is not None and subprocess.call([path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def command(verb: str, extra: "list[str]") -> "tuple[list[str], dict[str, str]]":
    """The command line of a verb, and the environment that it needs on top of ours."""
    if verb == "test":
        workers = (os.cpu_count() or 1) + 1  # some tests only wait: for a quarantine, a lock, a page
        return [str(PYTHON), "-m", "pytest", "-n", str(workers), *extra], {}
    # The folder stays the user's, so that their relative paths mean what they say; the modules are found by PYTHONPATH.
    found = {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    if verb == "backtest":
        return [str(PYTHON), str(ROOT / "Backtest" / "run_backtest.py"), *extra], found
    if verb == "demo":
        return [str(PYTHON), "-m", "Live", *DEMO, *extra], {**found, **DEMO_SETTINGS}
    return [str(PYTHON), "-m", "Live", verb, *extra], found


def hand_over(words: "list[str]", settings: "dict[str, str]") -> int:
    """Run it in our place: signals reach it, and its exit code is ours."""
    sys.stdout.flush()
    environ = {**os.environ, **settings}
    if not WINDOWS:
        os.execve(words[0], words, environ)  # noqa: S606 - no shell is meant
    child = subprocess.Popen(words, env=environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the child's: it ends in order, and we wait for it
    return child.wait()


def set_up(requirements: str) -> None:
    """Make .venv and install into it what is not there yet. Raises Stop with what to do when that fails."""
    if up_to_date(requirements):
        return
    try:
        if not usable():
            make_venv()
        install(requirements)
        remember(requirements)
    except OSError as error:
        raise Stop(f"{VENV} cannot be set up: {error}") from error


def fingerprint() -> str:
    """Changes when any requirement does, or the project is moved: programs in a virtual environment know their folder."""
    files = sorted([*ROOT.glob("requirements*.txt"), ROOT / "constraints.txt"])
    return hashlib.sha256(b"\0".join([str(VENV).encode(), *(file.read_bytes() for file in files)])).hexdigest()


def up_to_date(requirements: str) -> bool:
    """Whether exactly these requirements were installed, by an interpreter that is still there."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return stamp.get("fingerprint") == fingerprint() and requirements in stamp.get("installed", []) and usable()


def remember(requirements: str) -> None:
    installed = [CORE, DEV] if requirements == DEV else [CORE]
    STAMP.write_text(json.dumps({"fingerprint": fingerprint(), "installed": installed}))


def usable() -> bool:
    """Whether .venv has an interpreter that runs, is new enough, and has pip."""
    if not PYTHON.exists():
        return False
    question = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.call([str(PYTHON), "-c", question], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def make_venv() -> None:
    if not can_make_venv():
        raise Stop(f"This Python cannot make a virtual environment: install {venv_package()}, then start this again")
    print(f"Making a virtual environment in {VENV}", flush=True)
    words = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode != 0:
        raise Stop(f"{made.stdout.strip()}\nNo virtual environment could be made in {VENV}: may you write there, and is there room?")


def can_make_venv() -> bool:
    # Debian and Ubuntu ship venv without ensurepip: the module is there, and making the environment fails half way.
    return subprocess.call([sys.executable, "-c", "import venv, ensurepip"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def venv_package() -> str:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if shutil.which("apt-get"):
        return f"the package python{version}-venv (sudo apt-get install python{version}-venv)"
    return f"the venv and ensurepip modules of Python {version} (python3-venv in most systems), or Python from https://www.python.org/downloads/"


def install(requirements: str) -> None:
    """Let pip install, with its many lines condensed to one that moves."""
    print(f"Installing {requirements} (only this once)", flush=True)
    started = time.monotonic()
    words = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "-r",
        str(ROOT / requirements),
    ]
    pip = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    said = show_progress(pip, wanted(requirements))
    if pip.wait() != 0:
        raise Stop(
            "\n".join(
                [*said[-15:], f"pip could not install {requirements}: see above; the usual cause is no connection to the package index"]
            )
        )
    print(f"Installed in {time.monotonic() - started:.0f} seconds", flush=True)


def wanted(requirements: str) -> int:
    """About how many packages there will be: those that are pinned."""
    extras = [DEV, *(f"requirements-{name}.txt" for name in ("parquet", "remote", "alerts", "cluster"))]
    files = [CORE, "constraints.txt", *(extras if requirements == DEV else [])]
    return sum(len(re.findall(r"^[\w.-]+==", (ROOT / file).read_text(), re.MULTILINE)) for file in files)


def show_progress(pip: "subprocess.Popen[str]", total: int) -> "list[str]":
    """Print how far pip is, on one line of a terminal, else now and then; returns all that it said."""
    said, found, moving = [], 0, sys.stdout.isatty()
    for line in pip.stdout or ():
        said.append(line.rstrip())
        step = re.match(r"\s*(Collecting|Processing|Requirement already satisfied:|Installing collected packages)\s*([^\s:<>=!~;(]*)", line)
        if step is None:
            continue
        if step[1].startswith("Installing"):
            show(total, total, "unpacking", moving)
        else:
            found += 1
            if moving or found % 10 == 0:
                show(min(found, total), total, Path(step[2]).name, moving)
    if moving:
        print(f"\r{'':79}\r", end="", flush=True)
    return said


def show(done: int, total: int, name: str, moving: bool) -> None:
    if moving:
        line = f"[{'#' * (30 * done // total):30}] {done}/{total} {name}"
        print(f"\r{line[:79]:79}", end="", flush=True)
    else:
        print(f"  {done}/{total} {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
