"""Orders that came to the broker after they had been given up, and wait there for their price: they are taken away again.

What was filled late is kept, and alarmed about. What only waits is still as missed as the record says that it is.
"""

from Live.desk import Desk
from Live.model import BarId, Intent, Kind, Order, client_order_id
from Live.order_requests import remove_request


def take_late_away(desk: Desk) -> None:
    """Try once a bar for each of them. Raises Unreachable, and KillSwitch."""
    for ticket, order in desk.state.late:
        intent = _intent(ticket, order, desk)
        if desk.record.order(intent.order_id) is not None:
            continue
        text = f"{order.intent.symbol}: order {ticket} waits at the broker, and was {order.status.value}; it is taken away"
        with desk.record.transaction(durable=True):
            desk.record.add_intent(intent)
            desk.record.event("LATE_ORDER", text, severity="CRITICAL", details={"client_order_id": order.intent.order_id, "order": ticket})
        desk.executor.execute_order(remove_request(order.intent.symbol, ticket), intent.order_id)


def _intent(ticket: int, order: Order, desk: Desk) -> Intent:
    forming = desk.timeframe.floor(desk.connector.server_now())
    bar = BarId(desk.slot, order.intent.symbol, desk.timeframe.name, forming, desk.connector.utc(forming))
    leg = f"{ticket}/late"
    return Intent(client_order_id(bar, Kind.CANCEL, leg), bar, Kind.CANCEL, leg, order.intent.side, cancels=order.intent.order_id)
