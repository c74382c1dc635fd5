"""What backtesting.py's broker would buy (pure): `_Broker._process_orders` of backtesting 0.6.6, without the bars."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from Backtest.decisions import OpenTrade
from Backtest.fractional import WHOLE, FractionalUnit

Commission = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a unit costs: the price that the order meets, the margin ratio, and the strategy's commission of (size, price) in cash.

    `spread` is the rate that an entry pays on top; `valued_at` the price at which open trades are valued, None: the same.
    Prices are the market's; a backtest that trades parts of a unit reckons with those, see `FractionalUnit`.
    """

    price: float
    margin: float
    commission: Commission
    spread: float = 0.0
    valued_at: float | None = None
    unit: FractionalUnit = WHOLE

    @property
    def part_price(self) -> float:
        """What the strategy takes for the price."""
        return self.unit.price(self.price)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a backtest knows of the bar in which an order fills: the price of a market order, and the bar's close."""

    price: float
    close: float


def commission_of(backtest: Mapping[str, Any]) -> Commission:
    """backtesting.py's commission in its three forms (rate, (fixed, rate), callable) as one function of
    (units, price) that returns cash.

    >>> commission_of({"commission": (2.0, 0.001)})(-100, 5.0)
    2.5
    """
    given = backtest["commission"]
    if callable(given):
        return given  # type: ignore[no-any-return]
    fixed, rate = given if isinstance(given, tuple) else (0, given)
    return lambda size, price: fixed + abs(size) * price * rate


def market_commission_of(backtest: Mapping[str, Any]) -> Commission:
    """The same as a function of the market's units and price."""
    unit, commission = FractionalUnit.of(backtest), commission_of(backtest)
    return lambda size, price: commission(unit.parts(size), unit.price(price))


def margin_available(cash: float, trades: Sequence[OpenTrade], terms: Terms) -> float:
    """Cash that is not bound by open `trades`, all valued as `terms` say; never below zero."""
    unit = terms.unit
    price = unit.price(terms.price if terms.valued_at is None else terms.valued_at)
    held = [(unit.parts(trade.size), unit.price(trade.entry_price)) for trade in trades]
    equity = cash + (price * sum(int(size) for size, _ in held) - sum(size * entry for size, entry in held))
    used = sum(abs(size) * price / (1 / terms.margin) for size, _ in held)
    return max(0.0, equity - used)


def units_of(size: float, available: float, terms: Terms) -> float:
    """Units, with the sign of `size`, that an order of this size stands for: whole ones, or whole parts of one.

    A size between -1 and 1 is that fraction of `available` margin, times the leverage, at price and commission;
    0 means that not even one can be paid.

    >>> units_of(0.5, 1000.0, Terms(3.0, 0.1, lambda size, price: 0.0))
    1666
    """
    if not -1 < size < 1:
        return terms.unit.units(int(size))
    parts = int((available * (1 / terms.margin) * abs(size)) // _with_commission(size, terms))
    return terms.unit.units(parts if size > 0 else -parts)


def adjusted(price: float, size: float, spread: float) -> float:
    """The price at which an entry is booked: worse by the spread, a rate.

    >>> adjusted(100.0, -1, 0.01)
    99.0
    """
    return price * (1 + math.copysign(spread, size))


def can_pay(units: float, size: float, available: float, terms: Terms) -> bool:
    """Whether `units` of an order that was given as `size` fit into the available margin; else backtesting cancels it."""
    return abs(terms.unit.parts(units)) * _with_commission(size, terms) <= available * (1 / terms.margin)


def _with_commission(size: float, terms: Terms) -> float:
    # per unit of the order as it was given, also where that is a fraction: as backtesting does it
    return adjusted(terms.part_price, size, terms.spread) + terms.commission(size, terms.part_price) / abs(size)
