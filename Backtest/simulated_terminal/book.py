"""The account's books: open positions, the levels that guard them, active orders, and the history of orders and deals.

Facts that are never edited (deals, finished orders) are kept as the structures that the terminal shows.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Generic, TypeVar

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.money import BUY
from Backtest.simulated_terminal.orders import Order
from Backtest.simulated_terminal.structs import TradeDeal, TradeOrder


@dataclass(frozen=True, slots=True)
class Position:
    """Open exposure on one symbol."""

    ticket: int
    symbol: str
    side: int  # ORDER_TYPE_BUY or ORDER_TYPE_SELL, which are POSITION_TYPE_BUY and _SELL too
    volume: float  # lots
    price_open: float
    sl: float  # 0.0: none
    tp: float
    time_msc: int
    update_msc: int  # when the volume last changed
    magic: int
    reason: int
    comment: str
    swap: float = 0.0
    identifier: int = 0  # ticket of the order that opened it first; a reversal changes the ticket, not this

    @property
    def is_long(self) -> bool:
        """Whether it gains from rising prices."""
        return self.side == BUY

    @property
    def closing_side(self) -> int:
        """The type of the order that closes it."""
        return c.ORDER_TYPE_SELL if self.is_long else c.ORDER_TYPE_BUY

    def closed_by(self, side: int, lots: float) -> float:
        """Lots of it that an execution of this side and size closes; what is left of the execution opens."""
        return min(lots, self.volume) if side == self.closing_side else 0.0


class Kind(StrEnum):
    """What waits for its price."""

    STOP_LOSS = "sl"
    TAKE_PROFIT = "tp"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A level of a position or a pending order that waits for its price; the price itself is the position's or order's."""

    ticket: int
    kind: Kind


Fact = TypeVar("Fact", TradeDeal, TradeOrder)


class History(Generic[Fact]):
    """Facts in the order of time, found by time, ticket or position."""

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        self._times: list[int] = []
        self._by_ticket: dict[int, Fact] = {}
        self._by_position: dict[int, list[Fact]] = {}
        self._by_order: dict[int, Fact] = {}
        self._kept = 0

    def __len__(self) -> int:
        return len(self._facts)

    def append(self, fact: Fact) -> None:
        """Add a fact that is not older than the last one."""
        self._facts.append(fact)
        self._times.append(fact.time_done if isinstance(fact, TradeOrder) else fact.time)
        self._by_ticket[fact.ticket] = fact
        self._by_position.setdefault(fact.position_id, []).append(fact)
        if isinstance(fact, TradeDeal) and fact.order:
            self._by_order.setdefault(fact.order, fact)

    def between(self, first: int, last: int) -> list[Fact]:
        """Those whose second lies in the range, both ends included."""
        return self._facts[bisect_left(self._times, first) : bisect_right(self._times, last)]

    def with_ticket(self, ticket: int) -> Fact | None:
        """The one with this ticket. Of deals else the first one of the order with this ticket: [I] the documentation says
        that an order's ticket is asked for, programs ask for a deal's."""
        return self._by_ticket.get(ticket) or self._by_order.get(ticket)

    def of_position(self, position_id: int) -> list[Fact]:
        """All that belong to a position."""
        return self._by_position.get(position_id, [])

    def fresh(self) -> list[Fact]:
        """Those that were added since `keep` was last called."""
        return self._facts[self._kept :]

    def keep(self) -> None:
        """All that there are now are on file."""
        self._kept = len(self._facts)


@dataclass(slots=True)
class Book:
    """The state of one account. All changes go through its methods."""

    balance: float = 0.0
    day: int = 0  # the last one that has begun for the account; 0: none
    next_order: int = 50_000_001  # orders and deals are numbered apart, as servers do
    next_deal: int = 70_000_001
    next_request: int = 1
    positions: dict[int, Position] = field(default_factory=dict)
    active: dict[int, Order] = field(default_factory=dict)  # orders that are not done
    taken: dict[str, tuple[int, float]] = field(default_factory=dict)  # by symbol: lots dealt at the tick of that millisecond
    triggers: dict[str, list[Trigger]] = field(default_factory=dict)  # by symbol, in the order in which they are looked at
    deals: History[TradeDeal] = field(default_factory=History[TradeDeal])
    orders: History[TradeOrder] = field(default_factory=History[TradeOrder])

    def new_order(self) -> int:
        """A ticket that no order has."""
        self.next_order += 1
        return self.next_order - 1

    def new_deal(self) -> int:
        """A ticket that no deal has."""
        self.next_deal += 1
        return self.next_deal - 1

    def new_request(self) -> int:
        """The number of one more request."""
        self.next_request += 1
        return self.next_request - 1

    def on(self, symbol: str) -> list[Position]:
        """The open positions of a symbol, oldest first."""
        return [position for position in self.positions.values() if position.symbol == symbol]

    def place(self, order: Order) -> None:
        """Let an order wait for its price, behind all that waits already: `_Broker.new_order`."""
        self.active[order.ticket] = order
        self.triggers.setdefault(order.symbol, []).append(Trigger(order.ticket, Kind.ORDER))

    def change(self, order: Order) -> None:
        """Let an active order be as this; it keeps its place. One that is not active yet is placed."""
        if order.ticket in self.active:
            self.active[order.ticket] = order
        else:
            self.place(order)

    def withdraw(self, ticket: int) -> None:
        """Take an order out of the active ones, if it is one."""
        order = self.active.pop(ticket, None)
        if order is not None:
            self._withdraw(self.triggers[order.symbol], Trigger(ticket, Kind.ORDER))

    def net(self, symbol: str) -> Position | None:
        """The position of a netting account on a symbol."""
        return next((position for position in self.positions.values() if position.symbol == symbol), None)

    def open(self, position: Position) -> None:
        """Add a position with its stop and limit. backtesting.py sets the limit first: `_Broker._open_trade`."""
        if not position.sl and not position.tp:
            self.positions[position.ticket] = position
            return
        self.positions[position.ticket] = replace(position, sl=0.0, tp=0.0)
        self.protect(position.ticket, 0.0, position.tp)
        self.protect(position.ticket, position.sl, position.tp)

    def protect(self, ticket: int, sl: float, tp: float) -> None:
        """Set both levels. A changed stop is looked at before all others, a changed limit after: `_Broker.new_order`."""
        old = self.positions[ticket]
        if (sl, tp) == (old.sl, old.tp):
            return
        waiting = self.triggers.setdefault(old.symbol, [])
        if tp != old.tp:
            self._withdraw(waiting, Trigger(ticket, Kind.TAKE_PROFIT))
            waiting.extend([Trigger(ticket, Kind.TAKE_PROFIT)] if tp else [])
        if sl != old.sl:
            self._withdraw(waiting, Trigger(ticket, Kind.STOP_LOSS))
            waiting[:0] = [Trigger(ticket, Kind.STOP_LOSS)] if sl else []
        self.positions[ticket] = replace(old, sl=sl, tp=tp)

    def enlarge(self, ticket: int, order: Order, lots: float, price: float, now_msc: int) -> None:
        """Add lots at a price to a position: it opened at the weighted price then, which is not rounded [I].

        The order's levels replace those of the position, where it has some [I]; its magic does [D].
        """
        old = self.positions[ticket]
        volume = round(old.volume + lots, 8)
        weighted = (old.volume * old.price_open + lots * price) / (old.volume + lots)
        self.positions[ticket] = replace(old, volume=volume, price_open=weighted, magic=order.magic, update_msc=now_msc)
        self.protect(ticket, order.sl or old.sl, order.tp or old.tp)

    def charge(self, ticket: int, swap: float) -> None:
        """Let this be what the nights have brought a position."""
        self.positions[ticket] = replace(self.positions[ticket], swap=swap)

    def reduce(self, ticket: int, lots: float, now_msc: int, swap: float = 0.0) -> None:
        """Take lots off a position, with their part of its swap; it is gone when none are left."""
        old = self.positions[ticket]
        left = round(old.volume - lots, 8)
        if left > 0:
            self.positions[ticket] = replace(old, volume=left, update_msc=now_msc, swap=round(old.swap - swap, 8))
            return
        waiting = self.triggers.setdefault(old.symbol, [])
        self._withdraw(waiting, Trigger(ticket, Kind.STOP_LOSS))
        self._withdraw(waiting, Trigger(ticket, Kind.TAKE_PROFIT))
        del self.positions[ticket]

    @staticmethod
    def _withdraw(waiting: list[Trigger], trigger: Trigger) -> None:
        if trigger in waiting:
            waiting.remove(trigger)
