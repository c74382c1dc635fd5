"""Faults of the way to the terminal, and of the terminal's way to its server."""

from collections.abc import Callable
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.faults.calls import HISTORY, LISTS, PRICES, TOTALS, Call, Go, Reply, changed, failed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.faults.sending import leaves, outcome, refusal
from Backtest.simulated_terminal.faults.truth import Past, Rows

_PICTURE = LISTS | TOTALS.keys()


def died(call: Call, go: Go, firing: Firing) -> Reply:
    """The terminal is gone: -10004 for everything until it is initialised again."""
    if call.function in ("initialize", "shutdown"):
        firing.over = call.function == "initialize"
        return go(call)
    firing.injected(call, "the terminal was gone")
    return failed(call.function, c.RES_E_INTERNAL_FAIL_CONNECT)


def wrong_frame(call: Call, go: Go, firing: Firing) -> Reply:
    """-10000, then each function answers what it should have answered the time before, until the connection is made anew."""
    if call.function in ("initialize", "shutdown"):
        firing.over = True
        return go(call)
    before: dict[str, Reply] = firing.state.setdefault("before", {})
    begins, reply = not firing.state.get("begun"), go(call)
    firing.state["begun"] = True
    shifted, before[call.function] = before.get(call.function, failed(call.function, c.RES_E_INTERNAL_FAIL)), reply
    said = outcome(reply) if call.function == "order_send" else "answered"
    firing.injected(call, f"{said}; the answer is {'lost' if begins or shifted.value is None else 'for the next call'}")
    return shifted


def offline(call: Call, go: Go, firing: Firing) -> Reply:
    """The terminal has lost its server: not connected, prices and lists stand still, nothing can be sent.

    With a `period`, the connection comes and goes: so many seconds without it, so many with.
    """
    if not _is_down(firing):
        return go(call)
    _past(firing)
    return _OFFLINE.get(call.function, _frozen)(call, go, firing)


def _is_down(firing: Firing) -> bool:
    passed, period = firing.truth.now - firing.since, firing.params.get("period")
    phase = int(passed // period) if period else 0
    if firing.state.get("phase") != phase:
        firing.state.clear()
        firing.state["phase"] = phase
    return phase % 2 == 0


def _past(firing: Firing) -> Past | None:
    """The lists as they were when the connection was lost; None while nobody is attached, so that nothing can be read."""
    if "past" not in firing.state and firing.truth.attached:
        firing.state["past"] = Past(firing.truth)
    return firing.state.get("past")


def standing_still(call: Call, rows: Rows, firing: Firing) -> Rows:
    """The lists of a terminal that is offline."""
    past = _past(firing) if _is_down(firing) else None
    return rows if past is None else past.at(call.function, -1.0)


def _frozen(call: Call, go: Go, firing: Firing) -> Reply:
    if call.function not in PRICES:
        return go(call)
    key = (call.function, call.args)
    if key not in firing.state:
        firing.state[key] = go(call)
    return firing.state[key]  # type: ignore[no-any-return]


def _not_connected(call: Call, go: Go, firing: Firing) -> Reply:
    reply = go(call)
    if reply.value is None:
        return reply
    firing.shown(call, "offline")
    return Reply(changed(reply.value, connected=False), reply.error)


def _cannot_send(call: Call, go: Go, firing: Firing) -> Reply:
    request = leaves(call, firing)
    if request is None:
        return go(call)
    firing.injected(call, "not sent")
    return refusal(call, request, c.TRADE_RETCODE_CONNECTION)


_OFFLINE: dict[str, Callable[[Call, Go, Firing], Reply]] = {"terminal_info": _not_connected, "order_send": _cannot_send}


def hangs(call: Call, go: Go, firing: Firing) -> Reply:
    """The call takes very long: `before` it does anything, or `after`."""
    firing.injected(call, f"took {firing.params['seconds']:g} s")
    if firing.params["moment"] == "before":
        firing.truth.wait(firing.params["seconds"])
        return go(call)
    reply = go(call)
    firing.truth.wait(firing.params["seconds"])
    return reply


def restarted(call: Call, go: Go, firing: Firing) -> Reply:
    """The terminal restarts in the middle of a call; what was sent arrives `now` or `never`. Then its history comes slowly."""
    if "down" not in firing.state:
        if call.function == "order_send" and leaves(call, firing) is None:
            return go(call)
        arrives = firing.params["arrives"] == "now"
        happened = outcome(go(call)) if arrives and call.function == "order_send" else "no answer"
        firing.state["down"] = True
        firing.injected(call, happened)
        return failed(call.function, c.RES_E_INTERNAL_FAIL_RECEIVE)
    if firing.state["down"] and call.function not in ("initialize", "shutdown"):
        firing.noted(call, "the terminal was gone")
        return failed(call.function, c.RES_E_INTERNAL_FAIL_CONNECT)
    if call.function == "initialize" and firing.state["down"]:
        firing.state["down"] = False
        firing.until = firing.truth.now + firing.params["seconds"]
    return go(call)


def still_loading(call: Call, rows: Rows, firing: Firing) -> Rows:
    """The history of a terminal that has just started: its older half."""
    if firing.state.get("down") is not False or call.function not in HISTORY or not rows:
        return rows
    firing.shown(call, f"{len(rows)} rows")
    return rows[: len(rows) // 2]


def cannot_initialize(call: Call, _: Go, firing: Firing) -> Reply:
    """initialize fails, at once or after a long time."""
    firing.truth.ask("shutdown")
    firing.injected(call, f"took {firing.params['seconds']:g} s")
    if firing.params["seconds"]:
        firing.truth.wait(firing.params["seconds"])
    return failed(call.function, firing.params["error"])


def crossed(call: Call, go: Go, firing: Firing) -> Reply:
    """Another process uses the same pipe: once in a while a call fails, or takes a little longer."""
    if call.function == "order_send" and leaves(call, firing) is None:
        return go(call)
    executed: Any = go(call) if firing.params["executed"] and call.function == "order_send" else None
    firing.injected(call, "no answer" if executed is None else outcome(executed))
    return failed(call.function, c.RES_E_INTERNAL_FAIL_SEND)
