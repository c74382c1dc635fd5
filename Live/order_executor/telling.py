"""Requests that somebody else has made, and answers as they are told: the seed's interface in plain dicts (pure)."""

from collections.abc import Mapping
from typing import Any

from Live.model import Kind, Order, Status
from Live.order_requests import TRADE_ACTION_DEAL, TRADE_ACTION_PENDING, TRADE_ACTION_REMOVE, TRADE_ACTION_SLTP, wrong_types

EXECUTED = (Status.FILLED, Status.PARTIALLY_FILLED, Status.PLACED, Status.LATE_FILLED)
NEEDED = {
    TRADE_ACTION_DEAL: ("symbol", "volume", "type", "price"),
    TRADE_ACTION_PENDING: ("symbol", "volume", "type", "price"),
    TRADE_ACTION_SLTP: ("symbol", "position"),
    TRADE_ACTION_REMOVE: ("symbol", "order"),
}
LONGEST_TEXT = 500  # characters of a result that nobody can read
KINDS = {TRADE_ACTION_PENDING: Kind.PENDING, TRADE_ACTION_SLTP: Kind.SLTP, TRADE_ACTION_REMOVE: Kind.CANCEL}


def check_complete(request: Mapping[str, Any]) -> None:
    """Raise ValueError for a request that cannot be carried out as it is."""
    action = request.get("action")
    if action not in NEEDED:
        wanted = "want 1 (a deal), 5 (an order that waits), 6 (stop loss and take profit) or 8 (take a waiting order away)"
        raise ValueError(f"an order request with action={action!r} cannot be carried out: {wanted}")
    if missing := [name for name in NEEDED[action] if request.get(name) is None]:
        raise ValueError(f"the order request has no {', '.join(missing)}: it has {', '.join(request)}")
    if wrong := wrong_types(request):
        raise ValueError(f"the order request cannot be carried out: {'; '.join(wrong)}")


def waits_for(request: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The limit and the stop of a request for a waiting order."""
    if request["action"] != TRADE_ACTION_PENDING:
        return None, None
    is_limit = request["type"] in (2, 3)  # ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_LIMIT
    return (request["price"], None) if is_limit else (request.get("stoplimit"), request["price"])


def told(order: Order) -> dict[str, Any]:
    """What `execute_order` returns."""
    return {
        "success": order.status in EXECUTED,
        "client_order_id": order.intent.order_id,
        "status": order.status.value,
        "mt5_order_id": order.ticket,
        "message": order.message or "",
        "retcode": order.retcode,
        "price": order.executed_price,
        "volume": order.executed_volume,
        "attempts": order.attempts,
    }


def fields(result: Any) -> dict[str, Any]:
    """A result of `order_send` as JSON can hold it; one of another shape than is known, as its text."""
    try:
        found = dict(result._asdict())
        return found | ({"request": dict(found["request"]._asdict())} if found.get("request") is not None else {})
    except (AttributeError, TypeError, ValueError):
        return {"unreadable": repr(result)[:LONGEST_TEXT]}


def checked(result: Any) -> dict[str, Any]:
    """What `order_check` said, without the request, which stands beside it."""
    return {} if result is None else {name: value for name, value in fields(result).items() if name != "request"}
