"""What the emergency stop does at the terminal: our waiting orders go, and our positions too where that is asked for."""

import logging

from Live.desk import Desk
from Live.errors import Unreachable
from Live.kill_switch import KillSwitchFile
from Live.model import BarId, Intent, Kind, Order, Position, Ticket, client_order_id
from Live.order_executor import OrderExecutor
from Live.order_requests import Label, Market, close_request, remove_request

log = logging.getLogger("LiveTrader")

ROUNDS = 3
SECONDS_BETWEEN_ROUNDS = 1.0


def stand_down(desk: Desk, *, positions: bool) -> tuple[int, ...]:
    """Take our waiting orders away, and with `positions` close these, each by itself: one that cannot be closed does not keep
    the others open. Returns the tickets of what should have gone and is left.

    The stop file must not be in the way of these orders, so they go through an executor that does not look for it.
    """
    unhindered = KillSwitchFile(desk.config.kill_switch_file, enabled=False)
    executor = OrderExecutor(desk.config, desk.connector, record=desk.record, slot=desk.slot, kill_switch=unhindered)
    for number in range(ROUNDS):
        if number:
            desk.connector.clock.sleep(SECONDS_BETWEEN_ROUNDS)
        try:
            executor.settle()  # an order whose answer was lost may be one that waits
            desk.state.sync()
        except Unreachable as error:
            log.error("positions cannot be read", extra={"extra_data": {"reason": str(error)}})
            continue
        for order in desk.state.active:
            _take_away(order, desk, executor, number)
        for position in desk.state.positions if positions else ():
            _close(position, desk, executor, number)
        if _is_done(desk, positions=positions):
            return ()
    return _left(desk, positions=positions)


def _take_away(order: Order, desk: Desk, executor: OrderExecutor, number: int) -> None:
    connector, symbol = desk.connector, order.intent.symbol
    now = BarId(desk.slot, symbol, desk.timeframe.name, connector.server_now(), connector.clock.now())
    leg = f"{order.ticket}/{number}"
    order_id = client_order_id(now, Kind.CANCEL, leg)
    intent = Intent(order_id, now, Kind.CANCEL, leg, order.intent.side, cancels=order.intent.order_id)
    try:
        desk.record.add_intent(intent)
        executor.execute_order(remove_request(symbol, order.ticket or 0), order_id)
        executor.look_at(order)
    except Unreachable as error:
        text = f"order {order.ticket} on {symbol} could not be taken away: {error}"
        desk.record.event("NOT_FLATTENED", text, severity="CRITICAL", details={"ticket": order.ticket})


def _close(position: Position, desk: Desk, executor: OrderExecutor, number: int) -> None:
    connector = desk.connector
    now = BarId(desk.slot, position.symbol, desk.timeframe.name, connector.server_now(), connector.clock.now())
    ticket = Ticket(position.identifier)  # trades of a netting account have the net's ticket in common
    leg = f"{ticket}/{number}"
    intent = Intent(client_order_id(now, Kind.FLATTEN, leg), now, Kind.FLATTEN, leg, position.side.opposite, position=ticket)
    try:
        market = Market(connector.spec(position.symbol), connector.quote(position.symbol))
        request = close_request(position, position.lots, market, Label(desk.slot.magic, "live", desk.config.deviation_points))
        desk.record.add_intent(intent)
        told = executor.execute_order(request, intent.order_id)
        log.warning("position flattened", extra={"extra_data": {"ticket": position.ticket, "status": told["status"]}})
    except Unreachable as error:
        text = f"position {position.ticket} on {position.symbol} could not be closed: {error}"
        desk.record.event("NOT_FLATTENED", text, severity="CRITICAL", details={"ticket": position.ticket})
        log.error("position not closed", extra={"extra_data": {"ticket": position.ticket, "reason": str(error)}})


def _is_done(desk: Desk, *, positions: bool) -> bool:
    try:
        desk.state.sync()
    except Unreachable:
        return False  # not proved
    return not _left(desk, positions=positions)


def _left(desk: Desk, *, positions: bool) -> tuple[int, ...]:
    held = [position.ticket for position in desk.state.positions] if positions else []
    return (*(order.ticket or 0 for order in desk.state.active), *held)
