"""Every released 0.6.x of backtesting.py has the private parts that Backtest.session uses; a session decides alike, a study finds alike."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from Live.config import PROJECT_ROOT

RELEASED = ("0.6.0", "0.6.1", "0.6.2", "0.6.3", "0.6.4", "0.6.5", "0.6.6")
CHECK = PROJECT_ROOT / "tests" / "backtesting_contract.py"


def unpacked(version: str, folder: Path) -> Path:
    """The package of this version as PyPI has it; kept, so that it is fetched once. Skips where it cannot be had."""
    package = folder / version
    if not package.is_dir():
        wanted = [
            sys.executable,
            "-m",
            "pip",
            "download",
            f"backtesting=={version}",
            "--no-deps",
            "--only-binary=:all:",
            "-q",
            "-d",
            str(folder),
        ]
        done = subprocess.run(wanted, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"backtesting {version} cannot be had from PyPI here: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = folder.glob(f"backtesting-{version}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(package)
    return package


@pytest.mark.every(3)
@pytest.mark.parametrize("version", RELEASED)
def test_a_session_decides_alike_and_a_study_finds_alike_on_every_release(version: str, request: pytest.FixtureRequest) -> None:
    package = unpacked(version, request.config.cache.mkdir("backtesting"))
    done = subprocess.run([sys.executable, CHECK, package], capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip(f"backtesting {version} needs a package that is not installed: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert not done.stdout, f"backtesting {version} is not what Backtest.session was written against:\n{done.stdout}"


def test_what_a_release_lacks_is_named(tmp_path: Path) -> None:
    package = tmp_path / "backtesting"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_util.py").write_text("class _Array: ...\nclass _Data: ...\nclass _Indicator: ...\n")
    for module in ("lib", "_plotting"):
        (package / f"{module}.py").touch()
    broker = "class _Broker:\n    def __init__(self, *, data, cash, spread): ...\n"
    others = "\n".join(f"class {name}:\n    def __init__(self, broker): ..." for name in ("Order", "Trade", "Strategy"))
    (package / "backtesting.py").write_text(broker + others)
    done = subprocess.run([sys.executable, CHECK, tmp_path], capture_output=True, text=True, check=False)
    assert "backtesting._util._strategy_indicators is gone" in done.stdout
    assert "backtesting.backtesting._Broker.new_order is gone" in done.stdout
    assert "_Broker does not take commission, margin, trade_on_close, hedging" in done.stdout
