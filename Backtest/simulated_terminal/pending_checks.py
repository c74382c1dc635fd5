"""What can be wrong with a request about a pending order (pure): placing, changing and removing it.

Distances are in whole points. Sides and distances: https://www.mql5.com/en/articles/2555, lifetimes:
https://www.mql5.com/en/docs/constants/tradingconstants/orderproperties.
"""

from collections.abc import Iterator
from dataclasses import replace

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.case import PASSED, Case, distances, is_price, level_fits
from Backtest.simulated_terminal.money import BUY
from Backtest.simulated_terminal.orders import LIMITS, PENDING, STOP_LIMITS, Order, last_second
from Backtest.simulated_terminal.structs import TradeRequest
from Backtest.simulated_terminal.symbols import (
    FILLING_BOC,
    ORDER_LIMIT,
    ORDER_MARKET,
    ORDER_SL,
    ORDER_STOP,
    ORDER_STOP_LIMIT,
    ORDER_TP,
    SymbolSpec,
)

_ORDER_FLAG = (ORDER_MARKET, ORDER_LIMIT, ORDER_STOP, ORDER_STOP_LIMIT)  # of the types 0 1, 2 3, 4 5, 6 7
_NEEDS_A_DATE = frozenset({c.ORDER_TIME_SPECIFIED, c.ORDER_TIME_SPECIFIED_DAY})


def order_is_there(case: Case) -> int:
    """A ticket that is gone reads as an invalid request: [L] so the answer to removing an order that was just filled."""
    return PASSED if case.order is not None else c.TRADE_RETCODE_INVALID


def order_is_pending(case: Case) -> int:
    """The rest of a market order can be taken back, and not changed [I]."""
    assert case.order is not None
    return PASSED if case.order.type in PENDING else c.TRADE_RETCODE_INVALID


def type_is_a_pending_order(case: Case) -> int:
    """Types 2 to 7."""
    if case.request.type in PENDING:
        return PASSED
    return c.TRADE_RETCODE_INVALID if case.request.type > c.ORDER_TYPE_CLOSE_BY else c.TRADE_RETCODE_INVALID_ORDER


def type_is_offered(case: Case) -> int:
    """The symbol's order_mode has the bit of the type, and those of the levels."""
    assert case.spec is not None
    offered = case.spec.order_mode & _ORDER_FLAG[case.type // 2]
    return levels_are_offered(case) if offered else c.TRADE_RETCODE_INVALID_ORDER


def levels_are_offered(case: Case) -> int:
    """The symbol's order_mode has the bits of the levels."""
    assert case.spec is not None
    mode = case.spec.order_mode
    missing = (case.request.sl and not mode & ORDER_SL) or (case.request.tp and not mode & ORDER_TP)
    return c.TRADE_RETCODE_INVALID_STOPS if missing else PASSED


def filling_of_a_pending_order_fits(case: Case) -> int:
    """FOK, IOC and RETURN; book-or-cancel where the symbol has it, for orders that wait in the book."""
    assert case.spec is not None
    if case.request.type_filling != c.ORDER_FILLING_BOC:
        return PASSED if case.request.type_filling < c.ORDER_FILLING_BOC else c.TRADE_RETCODE_INVALID_FILL
    waits = case.type in LIMITS or case.type in STOP_LIMITS
    return PASSED if waits and case.spec.filling_mode & FILLING_BOC else c.TRADE_RETCODE_INVALID_FILL


def lifetime_of_a_pending_order_fits(case: Case) -> int:
    """A kind of lifetime that the symbol offers, and an end that is still to come."""
    assert case.spec is not None
    request = case.request
    known = request.type_time <= c.ORDER_TIME_SPECIFIED_DAY and case.spec.expiration_mode & (1 << request.type_time)
    if not known:
        return c.TRADE_RETCODE_INVALID_EXPIRATION
    if request.type_time not in _NEEDS_A_DATE:
        return PASSED
    whole_day = request.type_time == c.ORDER_TIME_SPECIFIED_DAY
    end = last_second(request.expiration) if whole_day else request.expiration
    return PASSED if request.expiration > 0 and end > case.now else c.TRADE_RETCODE_INVALID_EXPIRATION


def pending_prices_fit(case: Case) -> int:
    """Prices on the grid and on their side of the market, no nearer than the stops level."""
    spec, request = case.spec, case.request
    assert spec is not None
    prices = [request.price, request.stoplimit] if case.type in STOP_LIMITS else [request.price]
    if not all(is_price(price, spec) for price in prices):
        return c.TRADE_RETCODE_INVALID_PRICE
    if spec.immediate_stops or case.quote is None or case.crosses:
        return PASSED
    away = list(_away(case, spec))
    if min(away) <= 0:  # [I] the wrong side, or the very price
        return c.TRADE_RETCODE_INVALID_PRICE
    return PASSED if min(away) >= spec.stops_level else c.TRADE_RETCODE_INVALID_STOPS


def _away(case: Case, spec: SymbolSpec) -> Iterator[int]:
    """Points from the market to the price, and from that to a stop-limit order's limit; negative on the wrong side."""
    request, rising = case.request, (case.side == BUY) != (case.type in LIMITS)
    sign = 1 if rising else -1
    yield spec.points(sign * (request.price - case.price))
    if case.type in STOP_LIMITS:
        yield spec.points(sign * (request.price - request.stoplimit))


def pending_levels_fit(case: Case) -> int:
    """Stop loss and take profit keep their side of, and their distance from, the price at which the order would fill."""
    spec, request = case.spec, case.request
    assert spec is not None
    levels = (request.sl, request.tp)
    if not all(level_fits(level, spec) for level in levels):
        return c.TRADE_RETCODE_INVALID_STOPS
    if spec.immediate_stops:
        return PASSED
    fill = request.stoplimit if case.type in STOP_LIMITS else request.price
    near = any(distance < max(1, spec.stops_level) for distance in distances(case.side, fill, levels, spec))
    return c.TRADE_RETCODE_INVALID_STOPS if near else PASSED


def order_is_not_frozen(case: Case) -> int:
    """An order nearer to its activation than the freeze level stays as it is. [A] names the distance; the boundary is open."""
    spec, order = case.spec, case.order
    if spec is None or order is None or not spec.freeze_level or case.quote is None or order.type not in PENDING:
        return PASSED
    near = abs(spec.points(order.price - case.price)) < spec.freeze_level
    return c.TRADE_RETCODE_FROZEN if near else PASSED


def order_changes(case: Case) -> int:
    """Something of the order would be other than it is."""
    request, order = case.request, case.order
    assert order is not None
    return c.TRADE_RETCODE_NO_CHANGES if changed(order, request, case.now) == order else PASSED


def changed(order: Order, request: TradeRequest, now: int) -> Order:
    """The order as a request to place or change it wants it. A day order lasts for the day of its last change [I]."""
    end = last_second(now) if request.type_time == c.ORDER_TIME_DAY else request.expiration
    terms = replace(order, stoplimit=request.stoplimit, type_time=request.type_time, expiration=end)
    return replace(terms, price=request.price, sl=request.sl, tp=request.tp).tidy()


def orders_are_within_limits(case: Case) -> int:
    """The account's number of active orders, and the symbol's lots in one direction."""
    assert case.spec is not None
    most = case.account.limit_orders
    if case.request.action == c.TRADE_ACTION_PENDING and most and case.active >= most:
        return c.TRADE_RETCODE_LIMIT_ORDERS
    limit = case.spec.volume_limit
    too_many = case.opens and limit and case.lots_held + case.lots_opened > limit + 1e-8
    return c.TRADE_RETCODE_LIMIT_VOLUME if too_many else PASSED
