"""The package's own Python code, unmodified, on our functions in place of its compiled core.

The wheel for Windows comes from PyPI once and is kept in the folder of pytest's cache; without PyPI these tests are skipped.
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import Backtest.simulated_terminal as ours
from Backtest.simulated_terminal.functions import Function
from Backtest.simulated_terminal.surface import CONSTANTS, STRUCTURES
from tests.simulated_terminal.terminals import flat, symbol, terminal

VERSION = "5.0.6231"
WINDOWS = ["--platform", "win_amd64", "--python-version", "311", "--only-binary=:all:"]


@pytest.fixture(scope="module")
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = getattr(request.config, "cache", None)
    folder: Path = cache.mkdir("MetaTrader5") if cache else tmp_path_factory.mktemp("wheel")
    kept = folder / f"metatrader5-{VERSION}.whl"
    if not kept.exists():
        fetched = tmp_path_factory.mktemp("fetched")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *WINDOWS, "--dest", str(fetched)]
        asked = subprocess.run([*command, f"MetaTrader5=={VERSION}"], capture_output=True, text=True, check=False, timeout=300)
        if asked.returncode:
            pytest.skip(f"the wheel of MetaTrader5 {VERSION} cannot be had from PyPI: {asked.stderr.strip().splitlines()[-1]}")
        shutil.move(next(fetched.glob("*.whl")), kept)
    return kept


@pytest.fixture(scope="module")
def source(wheel: Path) -> str:
    return zipfile.ZipFile(wheel).read("MetaTrader5/__init__.py").decode()


@pytest.fixture
def theirs(wheel: Path, source: str, tmp_path: Path) -> Iterator[ModuleType]:
    """The wheel's package, imported from its own files, with our functions as its `_core`."""
    zipfile.ZipFile(wheel).extract("MetaTrader5/__init__.py", tmp_path)
    core = ModuleType("MetaTrader5._core")
    for name, value in vars(ours).items():
        if isinstance(value, Function) or name in STRUCTURES:
            setattr(core, name, value)
    spec = importlib.util.spec_from_file_location("MetaTrader5", tmp_path / "MetaTrader5" / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    ours.use(terminal(flat(1.1, 30), symbol(spread_points=10)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "MetaTrader5", package)
        patch.setitem(sys.modules, "MetaTrader5._core", core)
        spec.loader.exec_module(package)
        assert package.initialize()
        yield package
    ours.use(None)


def test_its_constants_are_ours_in_name_and_value(source: str) -> None:
    assignments = (each for each in ast.parse(source).body if isinstance(each, ast.Assign))
    upper = {
        target.id: each.value for each in assignments for target in each.targets if isinstance(target, ast.Name) and target.id.isupper()
    }
    values = {name: eval(compile(ast.Expression(value), "wheel", "eval"), {"__builtins__": {}}) for name, value in upper.items()}
    assert values == CONSTANTS
    assert len(values) == 223


def test_its_names_are_ours(theirs: ModuleType, source: str) -> None:
    missing = {name for name in vars(theirs) if not name.startswith("__")} - {"_core"} - set(vars(ours))
    assert not missing
    assert ours.__version__ == theirs.__version__ == VERSION
    assert ours.__author__ == theirs.__author__


def test_the_functions_of_its_core_are_ours(wheel: Path) -> None:
    core = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".pyd"))
    binary = zipfile.ZipFile(wheel).read(core)
    first_lines = {line.decode() for line in re.findall(rb"[a-z_]+\([^()\0\n]*\)(?=[\0\n\r])", binary)}
    functions = {name: value for name, value in vars(ours).items() if isinstance(value, Function)}
    assert len(functions) == 32
    told = {str(function.__doc__).splitlines()[0] for function in functions.values()}
    assert told - first_lines == set()


def test_its_helpers_have_the_parameters_of_ours(source: str) -> None:
    helpers = {each.name: each.args for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)}
    assert set(helpers) == {"Buy", "Sell", "Close", "_RawOrder"}
    for name, their in helpers.items():
        code = getattr(ours, name).__code__
        assert [each.arg for each in their.args] == list(code.co_varnames[: code.co_argcount])
        assert [each.arg for each in their.kwonlyargs] == list(code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount])


def positions(mt5: Any) -> list[tuple[Any, ...]]:
    return [(each.type, each.volume, each.price_open, each.comment) for each in mt5.positions_get()]


def use_the_helpers(mt5: Any) -> list[Any]:
    """What Buy, Sell and Close do and answer, and what is open after each."""
    seen: list[Any] = []

    def note(answer: Any) -> Any:
        seen.append((answer.retcode, answer.volume, answer.price, answer.request.deviation) if hasattr(answer, "retcode") else answer)
        seen.append(positions(mt5))
        return answer

    note(mt5.Buy("EURUSD", 0.2, comment="first"))
    note(mt5.Buy("EURUSD", 0.1, 1.1001))
    second = note(mt5.Sell("EURUSD", 0.3, 1.1, comment="second"))
    note(mt5.Close("EURUSD", ticket=second.order, comment="one"))
    note(mt5.Buy("EURUSD", 500.0))  # no money
    note(mt5.Buy("EURUSD", 1))  # no float
    note(mt5.Close("EURUSD"))
    note(mt5.Close("EURUSD"))
    note(mt5.Close("NOPE"))
    note(mt5._RawOrder(mt5.ORDER_TYPE_BUY, "EURUSD", 0.1, 1.1001, "by position"))
    return seen


def test_its_helpers_do_what_ours_do(theirs: ModuleType) -> None:
    with_theirs = use_the_helpers(theirs)
    ours.use(terminal(flat(1.1, 30), symbol(spread_points=10)))
    assert with_theirs == use_the_helpers(ours)
    assert [answer for answer in with_theirs[::2] if not isinstance(answer, tuple)] == [True, None, True, False, False]


@pytest.mark.parametrize(
    "ask",
    [
        lambda mt5: mt5.account_info()._asdict(),
        lambda mt5: mt5.terminal_info().connected,
        lambda mt5: mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_H1, 0, 1).tolist(),
        lambda mt5: repr(mt5.symbol_info_tick("EURUSD")),
        lambda mt5: mt5.order_check({"action": mt5.TRADE_ACTION_DEAL, "symbol": "EURUSD", "volume": 0.1}).comment,
        lambda mt5: mt5.version(),
    ],
)
def test_its_surface_answers_as_ours(theirs: ModuleType, ask: Callable[[Any], Any]) -> None:
    assert ask(theirs) == ask(ours)
