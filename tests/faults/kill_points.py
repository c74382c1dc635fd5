"""The labelled points at which a trader is killed: letters are those of the send sequence, from the decision to the evidence.

A point is a method of the product that is wrapped in the trader's own process, or a call that has reached the broker and
is not answered any more. Nothing of it is in the product.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from Live.audit_logger import AuditLogger, opening
from Live.intent_carrier import IntentCarrier
from Live.live_trader import LiveTrader
from Live.model import Status
from Live.mt5_connector import MT5Connector
from Live.order_executor import OrderExecutor
from Live.order_executor.settlement import Settlement
from Live.state_manager import StateManager
from Live.symbol_trader import SymbolTrader
from tests.crash_points import Countdown, after, before
from tests.faults.distant_broker import Call, Killed, Request

Arm = Callable[[Countdown], None]
# What a request is for.
KINDS: Mapping[str, Callable[[Request], bool]] = {
    "an entry": lambda request: request["action"] == 1 and "position" not in request,
    "a close": lambda request: request["action"] == 1 and "position" in request,
    "a waiting order": lambda request: request["action"] == 5,
    "levels": lambda request: request["action"] == 6,
    "a cancellation": lambda request: request["action"] == 8,
}
BEYOND_SETTLING = 45.0  # seconds: longer than a trader looks for an order before it is proved absent


@dataclass(frozen=True, slots=True)
class Point:
    """Where to kill. `first` is what has to be going on before the point can be reached at all."""

    letter: str
    arm: Arm | None = None  # in the trader's process
    at_broker: Callable[[Call], Killed | None] | None = None
    first: str = ""


def _to(*statuses: Status) -> Callable[..., bool]:
    return lambda _record, _order_id, to, **_: to in statuses


def _event(*types: str) -> Callable[..., bool]:
    return lambda _record, event_type, *_, **__: event_type in types


def _sends(kind: str) -> Callable[..., bool]:
    return lambda _connector, request: KINDS[kind](request)


def _sent(killed: Killed, kind: str) -> Callable[[Call], Killed | None]:
    return lambda call: killed if call.function == "order_send" and KINDS[kind](call.request) else None


def _any_call(killed: Killed) -> Callable[[Call], Killed | None]:
    return lambda call: None if call.function == "order_send" else killed


def _in_the_migration(kill: Countdown) -> None:
    """At one of its statements."""
    original = opening._bring_up_to_date

    def bring_up_to_date(db: sqlite3.Connection) -> None:
        db.set_trace_callback(lambda _: kill())
        original(db)
        db.set_trace_callback(None)

    opening._bring_up_to_date = bring_up_to_date


def _points() -> dict[str, Point]:
    found = {
        "before a bar is put down": Point("a", before(AuditLogger, "add_bar")),
        "after a bar was put down": Point("a", after(AuditLogger, "add_bar")),
        "before the decision is put down": Point("a", before(AuditLogger, "add_intent")),
        "after the decision was put down, before its commit": Point("a", after(AuditLogger, "add_intent")),
        "between the decision and its orders": Point("b", before(IntentCarrier, "carry_out")),
        "before an attempt": Point("c", before(OrderExecutor, "_attempt")),
        "before the check": Point("d", before(MT5Connector, "order_check")),
        "after the check": Point("d", after(MT5Connector, "order_check")),
        "after the scan": Point("e", after(Settlement, "scan")),
        "before the mark": Point("e", before(AuditLogger, "move", _to(Status.SUBMITTED))),
        "after the mark": Point("f", after(AuditLogger, "move", _to(Status.SUBMITTED))),
        "before the answer is put down": Point("h", before(AuditLogger, "move", _to(Status.PLACED))),
        "after an order was acknowledged": Point("i", after(AuditLogger, "move", _to(Status.PLACED))),
        "before the fill is looked for": Point("i", before(Settlement, "await_fill")),
        "before an order is filled": Point("j", before(AuditLogger, "move", _to(Status.FILLED))),
        "after an order was filled": Point("j", after(AuditLogger, "move", _to(Status.FILLED))),
        "before the positions are looked at": Point("j", before(StateManager, "sync")),
        "before a deal is put down": Point("j", before(AuditLogger, "add_fill")),
        "after a deal was put down, before its commit": Point("j", after(AuditLogger, "add_fill")),
        "after a trade was put down, before its commit": Point("j", after(AuditLogger, "add_trade")),
        "before the positions are put down": Point("j", before(AuditLogger, "put_positions")),
        "after a cancellation was decided": Point("b", before(IntentCarrier, "_cancel")),
    }
    for name in KINDS:
        found[f"before the send of {name}"] = Point("g", before(MT5Connector, "order_send", _sends(name)))
        found[f"{name}: executed and answered"] = Point("h", after(MT5Connector, "order_send", _sends(name)))
        outcomes = {
            "executed, the answer is not read": Killed(done=True),
            "delivered a little later": Killed(done=True, seconds=3.0),
            "delivered after it was given up": Killed(done=True, seconds=BEYOND_SETTLING),
            "never delivered": Killed(done=False),
        }
        for outcome, killed in outcomes.items():
            found[f"{name}: {outcome}"] = Point("h", at_broker=_sent(killed, name))
    found["at any other call"] = Point("c-j", at_broker=_any_call(Killed(done=True)))
    return found | _in_resolve() | _in_start_up() | _in_the_stop()


def _in_resolve() -> dict[str, Point]:
    moves = {
        "before an order is called unknown": before(AuditLogger, "move", _to(Status.UNKNOWN)),
        "after an order was called unknown": after(AuditLogger, "move", _to(Status.UNKNOWN)),
        "after the question was told": after(AuditLogger, "event", _event("ORDER_UNKNOWN")),
        "in the search for it": before(Settlement, "settle"),
        "between two looks": after(Settlement, "_surely_absent"),
        "before an order is called absent": before(AuditLogger, "move", _to(Status.ABSENT)),
        "after an order was called absent": after(AuditLogger, "move", _to(Status.ABSENT)),
        "before it is decided again": before(IntentCarrier, "decide_again"),
        "after it was decided again, before its commit": after(IntentCarrier, "decide_again"),
        "before what was decided again is carried out": before(IntentCarrier, "carry_out_again"),
    }
    return {label: Point("resolve", arm, first="a question") for label, arm in moves.items()}


def _in_start_up() -> dict[str, Point]:
    starts = {
        "before the record is opened": before(opening, "_prepare"),
        "after the record was opened": after(opening, "_prepare"),
        "before the run is put down": before(AuditLogger, "start_run"),
        "after the run was put down": after(AuditLogger, "start_run"),
        "before what was left is looked at": before(LiveTrader, "_recover"),
        "after what was left is settled": after(LiveTrader, "_recover"),
        "before the strategy is warmed up": before(SymbolTrader, "_start"),
        "after the strategy is warmed up": after(SymbolTrader, "_start"),
        "before what was decided is carried out": before(SymbolTrader, "_finish_pending"),
    }
    found = {label: Point("start-up", arm, first="a life") for label, arm in starts.items()}
    return found | {"in the migration": Point("migration", _in_the_migration, first="an old record")}


def _in_the_stop() -> dict[str, Point]:
    stops = {
        "before the stop is told": before(AuditLogger, "event", _event("SHUTDOWN")),
        "before the run is closed": before(AuditLogger, "end_run"),
        "after the run was closed": after(AuditLogger, "end_run"),
        "before the terminal is let go": before(MT5Connector, "shutdown"),
    }
    emergencies = {
        "before the emergency stop is told": before(AuditLogger, "event", _event("KILL_SWITCH")),
        "after the emergency stop was told": after(LiveTrader, "_halt"),
        "before a position is flattened": before(MT5Connector, "order_send", _sends("a close")),
        "after a position was flattened": after(MT5Connector, "order_send", _sends("a close")),
        "before the stopped run is closed": before(AuditLogger, "end_run"),
    }
    found = {label: Point("stop", arm, first="a stop") for label, arm in stops.items()}
    return found | {label: Point("stop", arm, first="an emergency") for label, arm in emergencies.items()}


POINTS = _points()
