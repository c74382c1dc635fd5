"""Decision, quote and symbol → a complete order request (pure).

The real package refuses an int where a float belongs and the reverse, so every value is made
with its type here. Constants are those of `MetaTrader5/__init__.py` 5.0.6231.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from Live.model import Magic, Position, Quote, Side, SymbolSpec, Ticket

TRADE_ACTION_DEAL = 1
TRADE_ACTION_PENDING = 5
TRADE_ACTION_SLTP = 6
TRADE_ACTION_REMOVE = 8
ORDER_TYPE = {Side.BUY: 0, Side.SELL: 1}
ORDER_TIME_GTC = 0
FOK, IOC, RETURN = 0, 1, 2
EXECUTION_REQUEST, EXECUTION_INSTANT, EXECUTION_MARKET, EXECUTION_EXCHANGE = range(4)
COMMENT_LIMIT = 16  # characters that survive at every server known


# MetaTrader5 5.0.6231 takes no int for a float and no float for an int.
_TYPES = (
    dict.fromkeys(("action", "magic", "order", "position", "type", "type_time", "type_filling", "deviation"), int)
    | dict.fromkeys(("volume", "price", "sl", "tp", "stoplimit"), float)
    | dict.fromkeys(("symbol", "comment"), str)
)
_NEEDED: Mapping[Any, tuple[str, ...]] = {
    TRADE_ACTION_DEAL: ("symbol", "volume", "type", "price"),
    TRADE_ACTION_PENDING: ("symbol", "volume", "type", "price"),
    TRADE_ACTION_SLTP: ("symbol", "position", "sl", "tp"),
    TRADE_ACTION_REMOVE: ("order",),
}
_WITH_VOLUME = (TRADE_ACTION_DEAL, TRADE_ACTION_PENDING)


@dataclass(frozen=True, slots=True)
class Label:
    """How an order is marked as ours, and how far an instant execution may slip (points)."""

    magic: Magic
    key: str
    deviation: int

    def __post_init__(self) -> None:
        if not (self.key.isascii() and 0 < len(self.key) <= COMMENT_LIMIT):
            raise ValueError(f"a comment has 1 to {COMMENT_LIMIT} ASCII characters, not {self.key!r}")


@dataclass(frozen=True, slots=True)
class Market:
    """A symbol and its quote."""

    spec: SymbolSpec
    quote: Quote


@dataclass(frozen=True, slots=True)
class Levels:
    """Stop loss and take profit; None is no level."""

    sl: float | None = None
    tp: float | None = None


NO_LEVELS = Levels()


@dataclass(frozen=True, slots=True)
class Trigger:
    """What an entry waits for: that the market reaches `stop`, then that it can be had at `limit` or better; None: no such price."""

    limit: float | None = None
    stop: float | None = None
    levels: Levels = NO_LEVELS

    @property
    def price(self) -> float:
        """The price that its size is reckoned with: at which it fills, if the market does not jump over it."""
        return self.limit or self.stop or 0.0

    def at(self, quote: Quote, side: Side) -> "Trigger":
        """What is left to wait for at this quote.

        >>> Trigger(limit=1.2, stop=1.1).at(Quote(1.14, 1.15, 0.0), Side.BUY).stop is None
        True
        """
        reached = self.stop is not None and (quote.price_for(side) - self.stop) * side.sign >= 0
        return replace(self, stop=None) if reached else self

    def is_met(self, quote: Quote, side: Side) -> bool:
        """Whether nothing is left to wait for: an order at market would be filled as wanted."""
        left = self.at(quote, side)
        return left.stop is None and (left.limit is None or (quote.price_for(side) - left.limit) * side.sign <= 0)


def fillings(spec: SymbolSpec) -> tuple[int, ...]:
    """The filling modes that the symbol allows for market orders, the best first.

    The table is that of mql5.com, Order Properties (ENUM_ORDER_TYPE_FILLING): instant and request execution take any;
    market execution what its flags say; exchange execution also RETURN.
    """
    flagged = tuple(mode for mode in (FOK, IOC) if spec.filling_mode & (1 << mode))
    if spec.execution in (EXECUTION_REQUEST, EXECUTION_INSTANT):
        return (FOK, IOC, RETURN)
    return (*flagged, RETURN) if spec.execution == EXECUTION_EXCHANGE else flagged or (FOK,)


def entry_request(side: Side, lots: float, market: Market, label: Label, levels: Levels = NO_LEVELS) -> dict[str, Any]:
    """A market order that opens a position, with its stops in the same request."""
    return _deal(side, lots, market, label) | _on_grid(levels, market.spec)


def pending_request(side: Side, lots: float, market: Market, label: Label, *, trigger: Trigger) -> dict[str, Any]:
    """An order that waits at the server for its price, until it is cancelled, with its stops in the same request."""
    spec = market.spec
    deal = _deal(side, lots, market, label)
    del deal["deviation"]
    first = trigger.limit if trigger.stop is None else trigger.stop
    kind = 2 if trigger.stop is None else 4 if trigger.limit is None else 6  # ORDER_TYPE_BUY_LIMIT, _STOP, _STOP_LIMIT; the next one sells
    wanted = {"action": TRADE_ACTION_PENDING, "type": kind + ORDER_TYPE[side], "price": float(spec.on_grid(first or 0.0))}
    if kind == 6:
        wanted["stoplimit"] = float(spec.on_grid(trigger.limit or 0.0))
    # RETURN: what a fill leaves of the order waits on (mql5.com, Order Properties: pending orders are always of this kind)
    return deal | wanted | {"type_filling": RETURN} | _on_grid(trigger.levels, spec)


def remove_request(symbol: str, ticket: int) -> dict[str, Any]:
    """A request that takes a waiting order away."""
    return {"action": TRADE_ACTION_REMOVE, "symbol": symbol, "order": int(ticket)}


def close_request(position: Position, lots: float, market: Market, label: Label) -> dict[str, Any]:
    """A market order that closes so many lots of a position, which it names: without the ticket it would open another one."""
    return _deal(position.side.opposite, min(lots, position.lots), market, label) | {"position": int(position.ticket)}


def protect_request(position: Position, levels: Levels, spec: SymbolSpec) -> dict[str, Any]:
    """A request that gives a position these levels; a level that is None is taken away."""
    request = {"action": TRADE_ACTION_SLTP, "symbol": position.symbol, "position": int(position.ticket)}
    return request | _on_grid(levels, spec)


def at_quote(request: Mapping[str, Any], quote: Quote, *, filling: int | None = None) -> dict[str, Any]:
    """The same request at a fresh quote, and with another filling mode where one is given. What waits for its price keeps it."""
    fresh = dict(request)
    if fresh["action"] == TRADE_ACTION_DEAL and "price" in fresh:
        fresh["price"] = float(quote.ask if fresh["type"] == ORDER_TYPE[Side.BUY] else quote.bid)
    if filling is not None:
        fresh["type_filling"] = int(filling)
    return fresh


def faults(request: Mapping[str, Any], spec: SymbolSpec, quote: Quote) -> list[str]:
    """What the broker, or the real package, would refuse in a request, one sentence each; empty when it looks right."""
    broken = _form_faults(request)
    if broken:
        return broken  # nothing more can be said about it
    found = _level_faults(request, spec, quote)
    if request["action"] not in _WITH_VOLUME:
        return found
    lots = request["volume"]
    if not spec.lot_min <= lots <= spec.lot_max:
        found.append(f"volume {lots} lots is outside {spec.lot_min} to {spec.lot_max} of {spec.name}")
    if not math.isclose(lots, round(lots / spec.lot_step) * spec.lot_step, rel_tol=1e-14, abs_tol=1e-8):
        found.append(f"volume {lots} lots is off the {spec.lot_step} lot step of {spec.name}")
    if not request["price"] > 0:
        found.append(f"price must be above 0, is {request['price']}")
    return found


def _form_faults(request: Mapping[str, Any]) -> list[str]:
    """What is missing, of a wrong type or no number."""
    missing = [f"{field} is missing" for field in _NEEDED.get(request.get("action"), ("action",)) if field not in request]
    endless = [
        f"{field} must be finite, is {value}" for field, value in request.items() if isinstance(value, float) and not math.isfinite(value)
    ]
    return missing + wrong_types(request) + endless


def wrong_types(request: Mapping[str, Any]) -> list[str]:
    """What the real package takes for no argument, one sentence each: not even a fraction that is a Decimal."""
    found = [(field, value, _TYPES[field]) for field, value in request.items() if field in _TYPES and not isinstance(value, _TYPES[field])]
    return [f"{field} must be {'an' if wanted is int else 'a'} {wanted.__name__}, is {value!r}" for field, value, wanted in found]


def _level_faults(request: Mapping[str, Any], spec: SymbolSpec, quote: Quote) -> list[str]:
    """Distances from the market as the server measures them, for entries with stops."""
    if request["action"] != TRADE_ACTION_DEAL or "position" in request or spec.stops_level == 0:
        return []
    buy = request["type"] == ORDER_TYPE[Side.BUY]
    market = quote.bid if buy else quote.ask
    found = []
    for name, below in (("sl", buy), ("tp", not buy)):
        level = request.get(name, 0.0)
        points = round((market - level if below else level - market) / spec.point)
        if level and points < spec.stops_level:
            found.append(f"{name} {level} is {points} points from the market, {spec.name} wants {spec.stops_level} (its stops level)")
    return found


def _deal(side: Side, lots: float, market: Market, label: Label) -> dict[str, Any]:
    return {
        "action": TRADE_ACTION_DEAL,
        "symbol": market.spec.name,
        "volume": float(lots),
        "type": ORDER_TYPE[side],
        "price": float(market.quote.price_for(side)),
        "deviation": int(label.deviation),
        "magic": int(label.magic),
        "comment": label.key,
        "type_time": ORDER_TIME_GTC,
        "type_filling": fillings(market.spec)[0],
    }


def _on_grid(levels: Levels, spec: SymbolSpec) -> dict[str, float]:
    prices = {"sl": levels.sl, "tp": levels.tp}
    return {name: 0.0 if price is None else float(spec.on_grid(price)) for name, price in prices.items()}


def ticket_of(request: Mapping[str, Any]) -> Ticket | None:
    """The position that a request closes or protects."""
    return Ticket(request["position"]) if request.get("position") else None


def adds_risk(request: Mapping[str, Any]) -> bool:
    """Whether a request asks for an execution: one that must not be asked for twice."""
    return request["action"] in _WITH_VOLUME
