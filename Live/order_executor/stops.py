"""What to ask for where a broker has refused a stop loss or take profit (pure)."""

import math
from collections.abc import Mapping
from typing import Any

from Live.model import Position, Side, SymbolSpec
from Live.order_requests import ORDER_TYPE, TRADE_ACTION_DEAL, TRADE_ACTION_SLTP, Market


def has_stops(request: Mapping[str, Any]) -> bool:
    """Whether a request is for levels that are measured from the market: of a waiting order they are measured from its price."""
    return request["action"] in (TRADE_ACTION_DEAL, TRADE_ACTION_SLTP) and bool(request.get("sl") or request.get("tp"))


def with_new_stops(request: Mapping[str, Any], market: Market, held: Position | None) -> dict[str, Any] | None:
    """The request with levels that the broker takes at this quote; None where that would risk more than was asked for.

    A stop loss moves towards the entry price of the position that it is for, never beyond it and never behind the stop loss that
    is in force: that of a trade which is about to be opened stays as it is, and so does the size that was reckoned from it. A
    take profit moves away from the market, unless the market has passed it.
    """
    if request["action"] == TRADE_ACTION_SLTP and held is None:
        return None
    side = held.side if held is not None else Side.BUY if request["type"] == ORDER_TYPE[Side.BUY] else Side.SELL
    price, gap = market.quote.price_for(side.opposite), max(1, market.spec.stops_level)
    sl, tp = request.get("sl", 0.0), request.get("tp", 0.0)
    new = dict(request)
    if sl and _points(price - sl, side, market.spec) < gap:
        new["sl"] = _beside(price, -gap * side.sign, market.spec)
        if held is None or (new["sl"] - max(held.price_open * side.sign, _in_force(held)) * side.sign) * side.sign < 0:
            return None
    if tp and 0 < (distance := _points(tp - price, side, market.spec)) < gap:
        new["tp"] = _beside(price, gap * side.sign, market.spec)
    elif tp and distance <= 0:
        return None
    return new


def _in_force(held: Position) -> float:
    """The stop loss of a position, with the sign of its side: more is less loss."""
    return -math.inf if held.sl is None else held.sl * held.side.sign


def _points(distance: float, side: Side, spec: SymbolSpec) -> int:
    return round(distance * side.sign / spec.point)


def _beside(price: float, points: int, spec: SymbolSpec) -> float:
    """The price so many points from another one, or the next one beyond it that the symbol can have."""
    least = price + points * spec.point
    level = spec.on_grid(least)
    short = (least - level) * math.copysign(1.0, points) > spec.point / 2
    return float(spec.on_grid(level + math.copysign(spec.tick_size, points)) if short else level)
