"""Points at which a trader kills itself, and the child process in which it does.

Nothing here is in the product: the child wraps a method, and at its n-th call it is gone, as by `kill -9`.
"""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Live.running  # noqa: F401 - in the fork server, so that each child starts at once
from Backtest.simulated_terminal import SimulatedTerminal, TradeOrder
from Backtest.simulated_terminal.journal import Journal
from Live.__main__ import main
from Live.audit_logger import AuditLogger
from Live.model import Status

REASON = TradeOrder.__match_args__.index("reason")
BY_A_PROGRAM, STOPS = 3, (4, 5)  # ORDER_REASON_EXPERT, _SL and _TP

Wanted = Callable[..., bool]
Kill = Callable[[], None]


@dataclass
class Countdown:
    """Kills the process it is in at the n-th call."""

    left: int

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, wanted: Wanted = lambda *_, **__: True) -> Callable[[Kill], None]:
    return _around(owner, name, wanted, first=True)


def after(owner: Any, name: str, wanted: Wanted = lambda *_, **__: True) -> Callable[[Kill], None]:
    return _around(owner, name, wanted, first=False)


def _around(owner: Any, name: str, wanted: Wanted, *, first: bool) -> Callable[[Kill], None]:
    def arm(kill: Kill) -> None:
        original = getattr(owner, name)

        def method(*args: Any, **options: Any) -> Any:
            now = wanted(*args, **options)
            if now and first:
                kill()
            result = original(*args, **options)
            if now and not first:
                kill()
            return result

        setattr(owner, name, method)

    return arm


def _torn(kill: Countdown) -> None:
    """The last write of the account's file stops in the middle of a line."""
    original = Journal._append

    def append(self: Journal, step: dict[str, Any]) -> None:
        if any(order[REASON] == BY_A_PROGRAM for order in step.get("orders", ())):
            if kill.left == 1:
                os.write(self._file, b'{"now_msc":1,"played":')
            kill()
        original(self, step)

    Journal._append = append  # type: ignore[method-assign]


def _to(*statuses: Status) -> Wanted:
    return lambda _record, _order_id, to, **_: to in statuses


def _entry(_terminal: Any, request: Mapping[str, Any]) -> bool:
    return request["action"] == 1 and "position" not in request


def _exit(_terminal: Any, request: Mapping[str, Any]) -> bool:
    return request["action"] == 1 and "position" in request


def _levels(_terminal: Any, request: Mapping[str, Any]) -> bool:
    return bool(request["action"] == 6)


def _by_a_stop(_journal: Journal, book: Any, *_: Any) -> bool:
    return any(order[REASON] in STOPS for order in book.orders.fresh())


POINTS: dict[str, Callable[[Countdown], None]] = {
    "before a bar is put down": before(AuditLogger, "add_bar"),
    "before the decision is committed": before(AuditLogger, "add_intent"),
    "between the decision and its orders": before(AuditLogger, "move", _to(Status.SUBMITTED)),
    "between the mark and the send of an entry": before(SimulatedTerminal, "order_send", _entry),
    "between the mark and the send of an exit": before(SimulatedTerminal, "order_send", _exit),
    "between the mark and the send of levels": before(SimulatedTerminal, "order_send", _levels),
    "in the middle of the account's line": _torn,
    "between the send of an entry and its answer": after(SimulatedTerminal, "order_send", _entry),
    "between the send of an exit and its answer": after(SimulatedTerminal, "order_send", _exit),
    "between the send of levels and their answer": after(SimulatedTerminal, "order_send", _levels),
    "after an order was acknowledged": after(AuditLogger, "move", _to(Status.PLACED)),
    "after an order was filled": after(AuditLogger, "move", _to(Status.FILLED)),
    "before a deal is put down": before(AuditLogger, "add_fill"),
    "after a trade was put down": after(AuditLogger, "add_trade"),
    "before a stop's fill is on the account": before(Journal, "commit", _by_a_stop),
    "after a stop's fill is on the account": after(Journal, "commit", _by_a_stop),
    "while an order is settled": after(AuditLogger, "move", _to(Status.UNKNOWN)),
    "before the run is closed": before(AuditLogger, "end_run"),
}


def trade(arguments: Sequence[str], environment: Mapping[str, str], point: str | None, nth: int) -> None:
    """Run the trader in this process; at the n-th passage of `point` it is killed."""
    os.environ.update(environment)
    with Path(environment["LOG_DIR"]).parent.joinpath("console.txt").open("ab") as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    if point is not None:
        POINTS[point](Countdown(nth))
    raise SystemExit(main([*arguments]))
