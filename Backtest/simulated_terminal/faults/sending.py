"""Faults of order_send: what is lost, late or refused on the way to the trade server and back."""

import functools
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.faults.calls import Call, Go, Reply, answer, changed, failed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.structs import Structure, TradeRequest

_LOCAL = frozenset({c.TRADE_RETCODE_CLIENT_DISABLES_AT, c.TRADE_RETCODE_CONNECTION})  # said by the terminal itself
_NOT_SENT = "not sent"


def leaves(call: Call, firing: Firing) -> TradeRequest | None:
    """The request, where it would leave Python at all; else there is nothing that a fault could do."""
    request = call.request
    return request if request is not None and firing.truth.attached else None


def outcome(reply: Reply) -> str:
    """What a reply of the terminal says, in a few words."""
    if reply.value is None:
        return f"no answer, last error {reply.error[0]}"
    return f"{reply.value.retcode}, order {reply.value.order}, deal {reply.value.deal}"


def refusal(call: Call, request: TradeRequest, retcode: int, *, external: int = 0) -> Reply:
    """The server's answer to what it does not do."""
    return answer(call, request, retcode, retcode_external=external, **({"request_id": 0} if retcode in _LOCAL else {}))


def unanswered(call: Call, go: Go, firing: Firing) -> Reply:
    """No answer; the request arrives `now`, `never` or `later`."""
    if leaves(call, firing) is None:
        return go(call)
    arrives, happened = firing.params["arrives"], _NOT_SENT
    if arrives == "now":
        reply = go(call)
        if reply.value is None:
            return reply
        happened = f"executed: {outcome(reply)}"
    elif arrives == "later":
        firing.truth.later(firing.params["seconds"], functools.partial(_arrive, call, firing))
        happened = f"arrives {firing.params['seconds']:g} s later"
    firing.injected(call, happened)
    return failed(call.function, firing.params["error"])


def _arrive(call: Call, firing: Firing) -> None:
    firing.noted(call, f"arrived: {outcome(firing.truth.pass_on(call))}")


def refused_by_package(call: Call, go: Go, firing: Firing) -> Reply:
    """None with an error that says: it did not leave Python or the terminal."""
    if leaves(call, firing) is None:
        return go(call)
    firing.injected(call, _NOT_SENT)
    return failed(call.function, firing.params["error"])


def answered(call: Call, go: Go, firing: Firing) -> Reply:
    """This retcode, whether the request is executed or not."""
    request = leaves(call, firing)
    if request is None:
        return go(call)
    happened = "not executed"
    if firing.params.get("executed"):
        reply = go(call)
        if reply.value is None:
            return reply
        happened = f"executed: {outcome(reply)}"
    firing.injected(call, happened)
    return refusal(call, request, firing.params["retcode"], external=firing.params.get("external", 0))


def requoted(call: Call, go: Go, firing: Firing) -> Reply:
    """This retcode, and the quotes are elsewhere each time; the order's price moves with them."""
    if call.function == "symbol_info_tick":
        return _moved(call, go, firing)
    request = leaves(call, firing)
    if request is None or request.action != c.TRADE_ACTION_DEAL:
        return go(call)
    if call.function == "order_check":
        return _at_true_price(call, go, firing, request)
    asked, points = firing.state.get("requotes", 0), firing.state.setdefault("points", {})
    if asked == firing.params["requotes"]:
        firing.over = True  # the price that was offered last is good
        return _at_true_price(call, go, firing, request)
    firing.state["requotes"] = asked + 1
    points[request.symbol] = points.get(request.symbol, 0) + firing.params["points"]
    firing.injected(call, "not executed")
    return refusal(call, request, firing.params["retcode"])


def _at_true_price(call: Call, go: Go, firing: Firing, request: TradeRequest) -> Reply:
    shift = _shift(request.symbol, firing)
    if not shift or not request.price:
        return go(call)
    digits = firing.truth.ask("symbol_info", request.symbol).value.digits
    reply = go(call.with_request(price=round(request.price - shift, digits)))
    if reply.value is None:
        return reply
    return Reply(changed(reply.value, request=changed(reply.value.request, price=request.price)), reply.error)


def _moved(call: Call, go: Go, firing: Firing) -> Reply:
    reply = go(call)
    shift = _shift(call.args[0], firing) if reply.value is not None else 0.0
    if not shift:
        return reply
    digits = firing.truth.ask("symbol_info", call.args[0]).value.digits
    bid, ask = (round(price + shift, digits) for price in (reply.value.bid, reply.value.ask))
    return Reply(changed(reply.value, bid=bid, ask=ask), reply.error)


def _shift(symbol: str, firing: Firing) -> float:
    points = firing.state.get("points", {}).get(symbol, 0)
    return float(points * firing.truth.ask("symbol_info", symbol).value.point) if points else 0.0


def filling_refused(call: Call, go: Go, firing: Firing) -> Reply:
    """10030 for the filling mode that is tried first; another one passes."""
    request = leaves(call, firing)
    if request is None or request.action != c.TRADE_ACTION_DEAL:
        return go(call)
    if request.type_filling != firing.state.setdefault("filling", request.type_filling):
        return go(call)
    firing.injected(call, "not executed")
    return refusal(call, request, c.TRADE_RETCODE_INVALID_FILL)


def figures_missing(call: Call, go: Go, firing: Firing) -> Reply:
    """Done, but the answer does not say what: deal and volume are 0."""
    reply = go(call)
    if reply.value is None or reply.value.retcode != c.TRADE_RETCODE_DONE or not reply.value.deal:
        return reply
    firing.injected(call, f"executed: {outcome(reply)}")
    return Reply(changed(reply.value, deal=0, volume=0.0, price=0.0), reply.error)


def field_missing(call: Call, go: Go, firing: Firing) -> Reply:
    """The answer of another build of the package: a field has another name, or is not there."""
    reply = go(call)
    if reply.value is None:
        return reply
    firing.injected(call, f"answered in truth: {outcome(reply)}")
    old, new = firing.params["field"], firing.params["renamed"]
    kept = {new if name == old else name: value for name, value in reply.value._asdict().items() if name != old or new}
    return Reply(_structure(type(reply.value).__name__, tuple(kept))(kept.values()), reply.error)


@functools.cache
def _structure(name: str, fields: tuple[str, ...]) -> type[Structure]:
    kind: Any = type(name, (Structure,), {"__slots__": (), "__annotations__": dict.fromkeys(fields, object)})
    return kind  # type: ignore[no-any-return]
