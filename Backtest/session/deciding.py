"""What a strategy decided, read off the queue of orders that its broker has before and after next().

backtesting.py carries its queue out from the front: closes and stops are put at the front, targets and entries at the
end. The decisions stand in that order, because each is sent when the one before it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pandas as pd
from backtesting.backtesting import Order, Trade, _Broker

from Backtest.decisions import Cancel, Close, Decision, Enter, Protect
from Backtest.session.account_view import AccountView

Levels = tuple[float | None, float | None]  # stop loss and take profit


@dataclass(frozen=True, slots=True)
class Before:
    """The broker before next(): its queue, and the levels of its trades."""

    book: tuple[Order, ...]
    levels: tuple[tuple[Trade, Levels], ...]

    @classmethod
    def of(cls, broker: _Broker) -> "Before":
        """What it has now."""
        return cls(tuple(broker.orders), tuple((trade, (trade.sl, trade.tp)) for trade in broker.trades))


def decisions(view: AccountView, before: Before, orders: Sequence[Order], now: pd.Timestamp) -> Iterator[Decision]:
    """What has changed, in the order in which it is to be carried out: cancelled entries first, as they are gone at once."""
    legs = count()
    added = _not_in(orders, before.book)
    for placed in filter(None, map(view.placed_as, _not_in(before.book, orders))):
        yield Cancel(next(legs), *placed)
    changes = [change for change in _changes(view, before, added) if change.levels != change.wanted]
    for change in changes:
        if not change.has_a_turn_in_time and (gone := change.without_what_is_gone()) != change.levels:
            yield change.protect(next(legs), gone)
    for order in added:
        trade = order.parent_trade
        if trade is None:
            leg = next(legs)
            view.note_placed(order, now, leg)
            yield Enter(leg, order.size, order.sl, order.tp, order.limit, order.stop, order.tag)
        elif order.is_contingent:
            moved = next((change for change in changes if change.trade is trade), None)
            if moved is not None and (levels := moved.with_order(order)) != moved.levels:
                yield moved.protect(next(legs), levels)
        elif (ticket := view.ticket_of(trade)) is not None:  # closing a trade that is closed already does nothing, as in a backtest
            yield Close(next(legs), ticket, abs(order.size), _closes_all(order), trade.tag)


@dataclass(slots=True)
class _Change:
    """New levels of one trade, on their way to its position."""

    ticket: int
    trade: Trade
    levels: Levels  # that the position has by now
    wanted: Levels
    late_target: bool  # the target stands behind an entry in the queue
    has_a_turn_in_time: bool  # a new stop, or a target that is not late: what is gone goes with it

    def without_what_is_gone(self) -> Levels:
        """A level that was taken away is gone at once, and so is a target that another one far behind takes the place of."""
        (sl, tp), (new_sl, new_tp) = self.levels, self.wanted
        moves = tp is not None and tp != new_tp and self.late_target
        return (None if new_sl is None else sl), (None if new_tp is None or moves else tp)

    def with_order(self, order: Order) -> Levels:
        """The levels once it is this order's turn."""
        if order is self.trade._tp_order or not self.late_target:
            return self.wanted
        return self.wanted[0], self.without_what_is_gone()[1]

    def protect(self, leg: int, levels: Levels) -> Protect:
        self.levels = levels
        return Protect(leg, self.ticket, *levels)


def _changes(view: AccountView, before: Before, added: Sequence[Order]) -> Iterator[_Change]:
    entry = next((place for place, order in enumerate(added) if order.parent_trade is None), len(added))
    for trade, levels in before.levels:
        ticket = view.ticket_of(trade)
        own = [place for place, order in enumerate(added) if order.parent_trade is trade]
        leaves = any(not added[place].is_contingent and _closes_all(added[place]) for place in own[:1])
        # nothing is left to protect of a trade that is closed as a whole before its new levels have their turn
        if ticket is not None and not leaves:
            new = {added[place].limit is not None: place for place in own if added[place].is_contingent}  # by whether it is the target
            late = new.get(True, -1) > entry
            yield _Change(ticket, trade, levels, (trade.sl, trade.tp), late, False in new or (True in new and not late))


def _closes_all(order: Order) -> bool:
    return bool(abs(order.size) >= abs(order.parent_trade.size))


def _not_in(orders: Sequence[Order], others: Sequence[Order]) -> list[Order]:
    known = {id(order) for order in others}
    return [order for order in orders if id(order) not in known]
