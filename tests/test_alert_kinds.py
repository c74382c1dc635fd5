import ast
import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.alert_kinds import (
    EVENTS,
    Alert,
    Level,
    Route,
    Type,
    error_alert,
    of_event,
    of_order,
    performance_alert,
    position_closed,
    position_opened,
    risk_alert,
    signal_alert,
    system_alert,
)
from Live.config import PROJECT_ROOT

ORDER: dict[str, Any] = {
    "client_order_id": "A" * 32,
    "kind": "ENTRY",
    "side": "BUY",
    "symbol": "EURUSD",
    "volume": 0.1,
    "executed_volume": None,
    "price": 1.2345,
    "executed_price": None,
    "limit_price": None,
    "stop_price": None,
    "sl": 1.23,
    "tp": None,
    "attempts": 1,
    "message": None,
    "retcode_message": None,
    "mt5_order_id": None,
}


def order(status: str, **given: Any) -> dict[str, Any]:
    return {**ORDER, "status": status, **given}


def told(alert: Alert | None) -> tuple[str, str, str]:
    assert alert is not None
    return alert.type.value, alert.level.name, alert.text


AT = "ENTRY BUY 0.1 EURUSD at 1.2345, SL 1.23"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"status": "SUBMITTED"}, ("order", "INFO", f"{AT}: sent")),
        ({"status": "SUBMITTED", "attempts": 3}, ("order", "INFO", f"{AT}: sent again (attempt 3)")),
        ({"status": "FILLED", "executed_price": 1.25, "message": "x"}, ("order", "INFO", f"{AT.replace('1.2345', '1.25')}: done")),
        ({"status": "FAILED", "retcode_message": "no money"}, ("order", "ERROR", f"{AT}: refused by the broker: no money")),
        ({"status": "EXPIRED", "message": "an hour"}, ("order", "WARNING", f"{AT}: not sent, too old: an hour")),
        (
            {"status": "PLACED", "kind": "PENDING", "price": 1.2},
            ("order", "INFO", "PENDING BUY 0.1 EURUSD at 1.2, SL 1.23: waits at the broker"),
        ),
        (
            {"status": "DENIED", "volume": None, "price": None, "sl": None, "message": "why"},
            ("risk", "WARNING", "ENTRY BUY EURUSD: not sent: why"),
        ),
    ],
)
def test_a_step_of_an_order_is_told_in_a_sentence(given: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert told(of_order({**ORDER, **given})) == expected


@pytest.mark.parametrize("status", ["PENDING", "PLACED", "UNKNOWN", "ABSENT", "LATE_FILLED", "UNRESOLVED"])
def test_a_step_that_an_event_tells_or_that_says_nothing_is_not_told_twice(status: str) -> None:
    assert of_order(order(status)) is None


def test_an_event_has_its_own_level_and_one_that_is_new_is_not_lost() -> None:
    assert told(of_event("KILL_SWITCH", "CRITICAL", "stop", {})) == ("risk", "CRITICAL", "stop")
    assert told(of_event("BRAND_NEW", "INFO", "x", {}))[0] == "system"
    assert told(of_event("BRAND_NEW", "ERROR", "x", {}))[0] == "error"
    assert of_event("HOLD", "CRITICAL", "x", {"symbol": "GOOG"}).symbol == "GOOG"


def test_signals_positions_and_trades_are_told() -> None:
    signal = {"signal": "BUY", "strategy_id": "sma", "symbol": "EURUSD", "timeframe": "H1", "price": 1.1, "stop_loss": 1.0, "bar_time": "t"}
    assert told(signal_alert(signal)) == ("signal", "INFO", "sma: BUY EURUSD H1 at 1.1, SL 1")
    assert signal_alert({**signal, "signal": "HOLD"}) is None
    deal = {"entry": "IN", "side": "BUY", "volume": 0.1, "symbol": "EURUSD", "price": 1.1, "position_id": 7, "deal_ticket": 8}
    assert told(position_opened(deal)) == ("position", "INFO", "opened: BUY 0.1 EURUSD at 1.1")
    assert position_opened({**deal, "entry": "OUT"}) is None
    trade = {"side": "BUY", "volume": 0.1, "symbol": "EURUSD", "entry_price": 1.1, "exit_price": 1.2, "net_profit": -12.345, "exit_deal": 9}
    trade |= {"exit_reason": "stop loss", "duration_seconds": 93_900.0, "position_ticket": 7}
    assert told(position_closed(trade)) == ("position", "INFO", "closed (stop loss): BUY 0.1 EURUSD 1.1 → 1.2, -12.35 after 1 d 2 h 5 min")


def test_what_the_trader_cannot_put_down_has_makers_of_its_own() -> None:
    made = [risk_alert("A", "x"), error_alert("B", "x"), system_alert("C", "x"), performance_alert("D", "x")]
    assert [(each.type, each.level) for each in made] == [
        (Type.RISK, Level.WARNING),
        (Type.ERROR, Level.ERROR),
        (Type.SYSTEM, Level.INFO),
        (Type.PERFORMANCE, Level.INFO),
    ]


@given(
    st.sampled_from(Type),
    st.sampled_from(Level),
    st.sampled_from(Level),
    st.dictionaries(st.sampled_from(Type), st.sampled_from([*Level, None])),
)
def test_a_route_wants_a_type_from_its_level_on_and_nothing_that_is_off(
    type_: Type, level: Level, least: Level, differing: dict[Type, Level | None]
) -> None:
    words = [f"{each.value}={'off' if other is None else other.name}" for each, other in differing.items()]
    route = Route.of(" ".join([least.name, *words]))
    wanted = differing.get(type_, least)
    assert route.wants(Alert(type_, level, "KIND", "text")) is (wanted is not None and level >= wanted)


@given(st.text(max_size=30))
def test_a_route_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(Route.of(text), Route)


def test_the_same_fault_with_another_number_is_the_same_and_another_fill_is_another() -> None:
    assert system_alert("X", "no answer for 5 s").fold == system_alert("X", "no answer for 70 s").fold
    first, second = (of_order(order("FILLED", executed_volume=0.1, executed_price=price)) for price in (1.1, 1.2))
    assert first is not None
    assert second is not None
    assert first.fold != second.fold


# What puts events down: AuditLogger.event, and what hands a type on to it.
WRITERS = ("event", "_event", "note_alone", "_note")
MODULES = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((PROJECT_ROOT / "Live").rglob("*.py"))]
CONSTANTS = {
    target.id: node.value.value
    for module in MODULES
    for node in module.body
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    for target in node.targets
    if isinstance(target, ast.Name)
}
CONSTANTS |= {
    alias.asname: CONSTANTS[alias.name]
    for module in MODULES
    for node in ast.walk(module)
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.asname and alias.name in CONSTANTS
}


def types_named_in(module: ast.Module) -> Iterator[str]:
    """The types of events in the calls that put them down; "?name" for one that is neither written there nor handed on."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            yield from types_of(*(default for argument, default in named if argument.arg == "event_type" and default is not None))
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = node.args[1:2] if called == "note_alone" else node.args[:1]
        yield from types_of(
            *(given if called in WRITERS and len(node.args) > 1 else []),
            *(each.value for each in node.keywords if each.arg == "event_type"),
        )


def types_of(*values: ast.expr) -> Iterator[str]:
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.IfExp):
            yield from types_of(value.body, value.orelse)
        elif isinstance(value, ast.Name):
            yield CONSTANTS.get(value.id, f"?{value.id}")


def test_each_type_of_event_that_the_program_can_write_is_told_as_what_it_is() -> None:
    found = {each for module in MODULES for each in types_named_in(module)}
    handed_on = {each for each in found if each.startswith("?")}
    assert handed_on == {"?event", "?event_type", "?kind"}  # the arguments of those that hand it on, and of a loop over two names
    written = {each for each in found if re.fullmatch("[A-Z][A-Z_]+", each)}
    assert written == set(EVENTS)
