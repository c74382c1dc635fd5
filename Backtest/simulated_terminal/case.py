"""A trade request and all that is known when it is judged (pure)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.market import Quote
from Backtest.simulated_terminal.money import BUY
from Backtest.simulated_terminal.orders import LIMITS, Order, side_of
from Backtest.simulated_terminal.structs import TradeRequest
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec

PASSED = 0
INSTANT = frozenset({c.SYMBOL_TRADE_EXECUTION_REQUEST, c.SYMBOL_TRADE_EXECUTION_INSTANT})
_GRID_NOISE = 1e-6  # of a step: 1.2440000000000002 is on the grid


@dataclass(frozen=True, slots=True)
class Case:
    """A request and all that is known when it is judged."""

    request: TradeRequest
    account: AccountSpec
    now: int  # second on the server's clock
    spec: SymbolSpec | None  # of the symbol, or of the position or order where the request names only that
    quote: Quote | None  # that everybody sees
    execution: Quote | None  # at which the server would execute
    position: Position | None
    by: Position | None  # the opposite one, of a close by
    order: Order | None  # the active one that the request names
    session_open: bool
    margin_free: float
    margin_needed: float | None  # by what opens; None: a rate is missing
    lots_opened: float  # of the request's volume: not what closes
    active: int = 0  # orders
    positions: int = 0
    closing: bool = False  # an order works on closing the position
    is_oldest: bool = True  # the position, of those on its symbol and side
    hedges: bool = False  # it would open against an open position, which the account forbids
    lots_held: float = 0.0  # on the symbol in the direction of the request, positions and pending orders

    @property
    def opens(self) -> bool:
        """Whether it asks for a new or larger position, now or when its price comes."""
        return self.lots_opened > 0

    @property
    def closes(self) -> bool:
        """Whether it is a deal that makes a position smaller."""
        return self.request.action == c.TRADE_ACTION_DEAL and self.lots_opened < self.request.volume

    @property
    def type(self) -> int:
        """The type of the order: of the active one, where the request is about one."""
        return self.order.type if self.order else self.request.type

    @property
    def side(self) -> int:
        """ORDER_TYPE_BUY or ORDER_TYPE_SELL."""
        return side_of(self.type)

    @property
    def price(self) -> float:
        """What the side of the request pays or gets now."""
        assert self.quote is not None  # the rule about quotes comes before
        return self.quote.ask if self.side == BUY else self.quote.bid

    @property
    def execution_price(self) -> float:
        """What it pays or gets when the server executes it."""
        assert self.execution is not None
        return self.execution.ask if self.side == BUY else self.execution.bid

    @property
    def crosses(self) -> bool:
        """Whether it is a limit order that an exchange would fill at once [K]: nobody else checks its price there."""
        request, spec = self.request, self.spec
        if spec is None or self.quote is None or spec.execution != c.SYMBOL_TRADE_EXECUTION_EXCHANGE or self.type not in LIMITS:
            return False
        return request.price >= self.quote.ask if self.side == BUY else request.price <= self.quote.bid


Rule = Callable[[Case], int]


def on_grid(value: float, step: float) -> bool:
    """Whether a value is a whole number of steps, but for binary noise; every value is, where `step` is 0.

    >>> on_grid(0.07, 0.01), on_grid(0.075, 0.01), on_grid(336.04933822, 1e-8)
    (True, False, True)
    """
    steps = value / step if step else 0.0
    return abs(steps - round(steps)) <= max(_GRID_NOISE, abs(steps) * 1e-15)  # the noise of a division grows with its result


def is_price(value: float, spec: SymbolSpec) -> bool:
    """Whether a value can be a price of the symbol: finite, above 0, on its grid."""
    return math.isfinite(value) and value > 0 and on_grid(value, spec.tick_size)


def level_fits(level: float, spec: SymbolSpec) -> bool:
    """Whether a stop loss or take profit is none (0.0) or a price."""
    return level == 0 or is_price(level, spec)


def distances(side: int, price: float, levels: tuple[float, float], spec: SymbolSpec) -> Iterator[int]:
    """How far, in points, a position that closes at `price` is from its stop loss and its take profit, where it has them."""
    sl, tp = levels
    sign = 1 if side == BUY else -1
    if sl:
        yield spec.points(sign * (price - sl))
    if tp:
        yield spec.points(sign * (tp - price))


def closing_price(side: int, quote: Quote) -> float:
    """The price at which a position of this side closes."""
    return quote.bid if side == BUY else quote.ask
