"""Who may import whom. These tables are the architecture: read them first, change them on purpose."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from Live.config import PROJECT_ROOT

# A module may import those in the rows below its own; a package (audit_logger, bars, …) counts as one module.
LAYERS = {
    "Live": [
        "__main__",
        "strategy_commands",
        "drift replay supervisor optimize",
        "running doctor explain report costs verify stopping care secret_command telegram",
        "summary alerts",
        "live_trader",
        "symbol_trader flatten late_orders",
        "intent_carrier bar_watch",
        "desk reporter strategy_checks",
        "order_executor state_manager dashboard views drift_sides strategy_watch",
        "net_account standing holds stop_latch golive eligibility",
        "audit_logger mt5_connector backtesting_bridge trade_book kill_switch pause logs session_account",
        "locks order_requests net_book sizing indicators",
        "config",
        "alert_settings secret_sources",
        "setting_kinds alert_kinds risk explanations bar_judgement recorded_bars further_columns drift_causes drift_plot",
        "endings heartbeat signals",
        "model clock errors outcomes redaction comparison",
    ],
    "Backtest": [
        "run_backtest codes lookahead warmup",
        "parity_terminal study",
        "strategies session simulated_terminal",
        "bars sizing pages",
        "fractional files",
        "decisions errors plots_later",
    ],
}

# Outside things have one door each. Randomness and the machine's clock are outside things, too.
DOORS = {
    "MetaTrader5": ["Live.mt5_connector"],
    "mt5linux": ["Live.mt5_connector"],
    "sqlite3": ["Live.audit_logger"],
    "flask": ["Live.dashboard"],
    "waitress": ["Live.dashboard"],
    "bokeh": ["Live.dashboard", "Live.drift_plot", "Backtest.study.heatmap", "Backtest.pages"],
    "distributed": ["Backtest.study.cluster"],
    "cloudpickle": ["Backtest.study.cluster"],
    "keyring": ["Live.secret_sources"],
    "smtplib": ["Live.alerts.channels"],
    "http.client": ["Live.alerts.web"],
    "PIL": ["Live.alerts.picture"],
    "apprise": ["Live.alerts.channels"],
    "filelock": ["Live.locks"],
    "rpyc": ["Backtest.simulated_terminal.serving"],
    "click": [
        "Live.__main__",
        "Live.strategy_commands",
        "Live.views.commands",
        "Live.care.commands",
        "Backtest.simulated_terminal.__main__",
    ],
    "backtesting": ["Backtest", "Live.backtesting_bridge"],
    # the last two let a simulated market go on in real time, under other people's programs
    "time": ["Live.clock", "Backtest.simulated_terminal.__main__", "Backtest.simulated_terminal.in_use"],
    "random": ["Backtest.session"],  # to leave a strategy's generator as it was
    "secrets": ["Live.dashboard"],
    "uuid": [],
}
PRIVATE_DOOR = "Backtest.session"  # the only package that knows backtesting.py's private names
CLOCK = "Live.clock"

# Code that decides: same in, same out. It imports other pure modules, numbers, the words for bars, and this of the standard library.
PURE = (
    """
    Live.care.reconciliation Live.model Live.outcomes Live.explanations Live.bar_judgement Live.drift_causes
    Live.recorded_bars Live.risk Live.sizing Live.order_requests Live.trade_book Live.net_book
    Live.alert_kinds Live.alerts.waiting Live.alerts.letters Live.telegram.confirming
    Live.mt5_connector.shown Live.mt5_connector.names Live.mt5_connector.outage Live.order_executor.evidence
    Live.order_executor.telling Live.order_executor.stops
    Backtest.decisions Backtest.errors Backtest.fractional Backtest.sizing Backtest.study.constraint
""".split()
    + [
        f"Backtest.simulated_terminal.{module}"
        for module in """
    arguments bar_series book case checks constants dealing faults.calls faults.streams faults.triggers groups ledger lifetimes
    lookout market matching minutes money orders paper.quotes paper.specs pending_checks rates replay retcodes rollover server
    sessions structs surface symbols synthetic tick_series timeline triggers unfolding
""".split()
    ]
)
WORDS = {"Backtest.bars"}
HARMLESS = set(
    """
    abc array ast base64 bisect collections copy dataclasses datetime decimal difflib enum functools hashlib itertools json math operator re
    typing zlib
""".split()
)
NUMBERS = {"numpy", "pandas"}

READS_THE_CLOCK = {"now", "utcnow", "today"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for top in LAYERS for path in sorted((PROJECT_ROOT / top).rglob("*.py"))}


def of_the_module(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node, but for what runs only when the file is started as a program."""
    for statement in tree.body:
        if not (isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test)):
            yield from ast.walk(statement)


@cache
def imports_of(source: str) -> frozenset[str]:
    """What a source text imports, anywhere in it: `from a.b import c` is both a.b and a.b.c."""
    found = set[str]()
    for node in of_the_module(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def inside(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def imported_modules(name: str) -> set[str]:
    """The modules of this project that a module imports."""
    return {found for found in imports_of(MODULES[name].read_text(encoding="utf-8")) if found in MODULES} - {name, *LAYERS}


def unit_of(name: str) -> str:
    return name.split(".")[1]


def row_of(name: str) -> int:
    rows = LAYERS[name.split(".")[0]]
    found = [number for number, row in enumerate(rows) if unit_of(name) in row.split()]
    assert found, f"{name} has no place in LAYERS yet"
    return found[0]


def test_every_module_has_one_place_in_the_table_and_every_name_in_it_is_a_module() -> None:
    for top, rows in LAYERS.items():
        placed = " ".join(rows).split()
        assert sorted(placed) == sorted({unit_of(name) for name in MODULES if inside(name, [top]) and name != top})


@pytest.mark.parametrize("name", [name for name in MODULES if name not in LAYERS])
def test_imports_point_downwards_only(name: str) -> None:
    for imported in imported_modules(name):
        if imported.split(".")[0] != name.split(".")[0]:
            assert imported.startswith("Backtest."), f"{name} imports {imported}: Backtest must not know Live"
        elif unit_of(imported) != unit_of(name):
            assert row_of(imported) > row_of(name), f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize("outside", DOORS)
def test_outside_things_have_one_door_each(outside: str) -> None:
    users = {
        name for name, path in MODULES.items() if any(inside(found, [outside]) for found in imports_of(path.read_text(encoding="utf-8")))
    }
    assert {name for name in users if not inside(name, DOORS[outside])} == set()


@pytest.mark.parametrize("name", MODULES)
def test_only_the_session_knows_private_names_of_backtesting(name: str) -> None:
    found = imports_of(MODULES[name].read_text(encoding="utf-8"))
    private = {item for item in found if item.startswith("backtesting.") and any(part.startswith("_") for part in item.split("."))}
    assert not private or inside(name, [PRIVATE_DOOR])


@pytest.mark.parametrize("name", MODULES)
def test_only_the_clock_reads_the_time(name: str) -> None:
    nodes = ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    types = ("datetime", "date", "Timestamp")
    assert name == CLOCK or not [call for call in calls if call.split(".")[-1] in READS_THE_CLOCK and call.split(".")[-2] in types]


@pytest.mark.parametrize("name", PURE)
def test_what_decides_is_pure(name: str) -> None:
    found = imports_of(MODULES[name].read_text(encoding="utf-8"))
    ours = {item for item in found if item in MODULES}
    assert ours <= {*PURE, *WORDS, *LAYERS, "Backtest.simulated_terminal"}, "a pure module imports pure modules"
    assert {item.split(".")[0] for item in found} - set(LAYERS) <= HARMLESS | NUMBERS


@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "Backtest" / "codes").glob("*.py")), ids=lambda path: path.name)
def test_a_strategy_imports_nothing_of_ours(path: Path) -> None:
    tops = {found.split(".")[0] for found in imports_of(path.read_text(encoding="utf-8"))}
    assert tops.isdisjoint(LAYERS)
    assert "backtesting" in tops


SOURCE = """
import a.b as c
from d import e
def f():
    from g.h import i
if TYPE_CHECKING:
    import j
if __name__ == "__main__":
    import k
"""


def test_the_rules_see_every_form_of_import_but_those_of_a_program() -> None:
    assert imports_of(SOURCE) == {"a.b", "d", "d.e", "g.h", "g.h.i", "j"}
