"""Faults of the questions: no answer, an empty one, a wrong one."""

from Backtest.simulated_terminal.faults.calls import Call, Go, Reply, changed, failed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.faults.sending import leaves, refusal


def silent(call: Call, go: Go, firing: Firing) -> Reply:
    """None, although there is something to say."""
    reply = go(call)
    if reply.value is None:
        return reply
    firing.injected(call, "it could have been answered")
    return failed(call.function, firing.params["error"])


def empty(call: Call, go: Go, firing: Firing) -> Reply:
    """An empty list instead of one that is not."""
    reply = go(call)
    if not reply.value:
        return reply
    firing.injected(call, f"{reply.value if isinstance(reply.value, int) else len(reply.value)} rows")
    return Reply(0 if isinstance(reply.value, int) else ())


def check_refuses(call: Call, go: Go, firing: Firing) -> Reply:
    """order_check objects to what the server would do."""
    reply = go(call)
    if reply.value is None or reply.value.retcode:
        return reply
    firing.injected(call, "the check was good")
    none = dict.fromkeys(("balance", "equity", "profit", "margin", "margin_free", "margin_level"), 0.0)
    return Reply(changed(reply.value, retcode=firing.params["retcode"], comment="", **none), reply.error)


def check_is_wrong(call: Call, go: Go, firing: Firing) -> Reply:
    """order_check finds nothing, and the server refuses."""
    if call.function == "order_send":
        request = leaves(call, firing)
        if request is None:
            return go(call)
        firing.injected(call, "not executed")
        return refusal(call, request, firing.params["retcode"])
    reply = go(call)
    if reply.value is None or not reply.value.retcode:
        return reply
    firing.shown(call, f"the check objected: {reply.value.retcode}")
    return Reply(changed(reply.value, retcode=0, comment="Done"), reply.error)


def margin_is_wrong(call: Call, go: Go, firing: Firing) -> Reply:
    """order_check tells another margin than the order will bind."""
    reply = go(call)
    if reply.value is None or reply.value.retcode or not reply.value.margin:
        return reply
    told, margin = reply.value, reply.value.margin * firing.params["factor"]
    firing.injected(call, f"the margin would be {told.margin:g}")
    free = {"margin_free": told.equity - margin, "margin_level": 100 * told.equity / margin if margin else 0.0}
    return Reply(changed(told, margin=margin, **free), reply.error)
