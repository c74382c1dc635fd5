"""Faults of who is logged in, and of what may be done."""

from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.faults.calls import TOTALS, Call, Go, Reply, answer, changed, failed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.faults.sending import leaves, refusal

_A_TICKET = 900_000_000


def _shows(call: Call, go: Go, firing: Firing, fields: dict[str, Any]) -> Reply:
    """A structure with other values; what is no other value is no fault."""
    reply = go(call)
    if reply.value is None or all(getattr(reply.value, name) == value for name, value in fields.items()):
        return reply
    told = ", ".join(f"{name} is {getattr(reply.value, name)!r}" for name in fields)
    firing.shown(call, told)
    return Reply(changed(reply.value, **fields), reply.error)


def another_account(call: Call, go: Go, firing: Firing) -> Reply:
    """Somebody has logged in to another account: its figures, its (empty) lists; what is sent goes there."""
    fields = {name: value for name, value in firing.params.items() if name not in ("times", "lasts") and value is not None}
    if call.function == "account_info":
        return _shows(call, go, firing, fields)
    if call.function == "order_send":
        return _elsewhere(call, go, firing)
    reply = go(call)
    return reply if reply.value is None else Reply(0 if call.function in TOTALS else (), reply.error)


def _elsewhere(call: Call, go: Go, firing: Firing) -> Reply:
    request = leaves(call, firing)
    if request is None:
        return go(call)
    firing.injected(call, "SENT TO ANOTHER ACCOUNT")
    ticket = _A_TICKET + call.number
    return answer(call, request, c.TRADE_RETCODE_DONE, order=ticket, deal=ticket, volume=request.volume, price=request.price)


def margin_mode(call: Call, go: Go, firing: Firing) -> Reply:
    """The account is of another kind: netting (0), exchange (1) or hedging (2)."""
    return _shows(call, go, firing, {"margin_mode": firing.params["margin_mode"]})


def button_off(call: Call, go: Go, firing: Firing) -> Reply:
    """The Algo Trading button is off: 10027."""
    if call.function == "terminal_info":
        return _shows(call, go, firing, {"trade_allowed": False})
    return _forbidden(call, go, firing, c.TRADE_RETCODE_CLIENT_DISABLES_AT)


def api_disabled(call: Call, go: Go, firing: Firing) -> Reply:
    """The terminal's options forbid the Python package to trade: None, -8."""
    if call.function == "terminal_info":
        return _shows(call, go, firing, {"tradeapi_disabled": True})
    if leaves(call, firing) is None:
        return go(call)
    firing.injected(call, "not sent")
    return failed(call.function, c.RES_E_AUTO_TRADING_DISABLED)


def investor(call: Call, go: Go, firing: Firing) -> Reply:
    """Logged in with an investor's password, which may only look: 10017."""
    if call.function == "account_info":
        return _shows(call, go, firing, {"trade_allowed": False})
    return _forbidden(call, go, firing, c.TRADE_RETCODE_TRADE_DISABLED)


def _forbidden(call: Call, go: Go, firing: Firing, retcode: int) -> Reply:
    request = leaves(call, firing)
    if request is None:
        return go(call)
    if call.function == "order_check":
        reply = go(call)
        return reply if reply.value is None else Reply(changed(reply.value, retcode=retcode, comment=""), reply.error)
    firing.injected(call, "not sent")
    return refusal(call, request, retcode)
