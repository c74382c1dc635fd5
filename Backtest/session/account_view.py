"""Makes backtesting.py's broker show a real account: its trades, orders, stops and cash, the same objects from bar to bar."""

from collections.abc import Collection, Sequence
from typing import Any
from weakref import WeakValueDictionary

import pandas as pd
from backtesting.backtesting import Order, Trade, _Broker

from Backtest.decisions import Account, ClosedTrade, OpenTrade, WaitingOrder
from Backtest.fractional import FractionalUnit

Placed = tuple[pd.Timestamp, int]  # the bar and the leg of the decision that placed an order


class AccountView:
    """What one strategy sees of its account, through the broker that it talks to."""

    def __init__(self, broker: _Broker, unit: FractionalUnit) -> None:
        self._broker, self._unit = broker, unit
        self._as_decided: dict[float, float] = {}  # by the market's price: what the strategy said, which rounding cannot give back
        self._trades: dict[int, Trade] = {}  # by ticket
        self._orders: dict[Placed, Order] = {}  # entries that wait, or were just decided
        # one that the terminal did not show for a while is still the one that the strategy keeps
        self._kept: WeakValueDictionary[Placed, Order] = WeakValueDictionary()
        self._simulated: tuple[list[Trade], list[Trade]] | None = None  # open and closed ones of the warm-up
        self._closed_seen = 0

    def ticket_of(self, trade: Trade) -> int | None:
        """The ticket of an open trade; None for one that is not open any more."""
        return next((ticket for ticket, known in self._trades.items() if known is trade), None)

    def market_price(self, price: float | None) -> float | None:
        """A price of the strategy's as the market has it; when the account shows it again it is the strategy's to the last bit."""
        if price is None or self._unit.size == 1:
            return price
        market = self._unit.market_price(price)
        self._as_decided[market] = price
        return market

    def note_placed(self, order: Order, bar: pd.Timestamp, leg: int) -> None:
        """An entry was decided: from now on it is known by that decision."""
        self._orders[bar, leg] = self._kept[bar, leg] = order

    def placed_as(self, order: Order) -> Placed | None:
        """The decision that placed an entry; None for any other order."""
        return next((placed for placed, known in self._orders.items() if known is order), None)

    def number_simulated(self) -> None:
        """During the warm-up there are no tickets: backtesting.py's trades are numbered as they stand."""
        self._trades = dict(enumerate(self._broker.trades))
        self._orders = {placed: order for placed, order in self._orders.items() if order in self._broker.orders}

    def show(self, account: Account, index: pd.DatetimeIndex) -> None:
        """Put the account in place of what the broker held; `index` are the times of the strategy's bars."""
        broker = self._broker
        named = {(shown.bar, shown.leg) for shown in account.orders}
        free = [order for order in broker.orders if order.parent_trade is None and self.placed_as(order) not in named]
        self._orders = {(shown.bar, shown.leg): self._waiting(shown, free) for shown in account.orders}
        if self._simulated is None:
            self._simulated = (list(broker.trades), list(broker.closed_trades))
            self._trades = self._adopted(account.open, index)
            broker.closed_trades.clear()
        self._close(account, index)
        self._trades = {shown.ticket: self._opened(shown, index) for shown in account.open}
        broker.trades[:] = self._trades.values()
        _rebuild_book(broker, self._orders.values())
        broker._cash = account.cash
        getattr(broker, "_trades_cache_clear", lambda: None)()  # older versions keep no sums

    def _close(self, account: Account, index: pd.DatetimeIndex) -> None:
        fresh = account.closed[self._closed_seen :]
        self._closed_seen = len(account.closed)
        # the trade itself is what is closed last; parts of it that were closed before are copies, as in a backtest
        final = {part.ticket: part.deal for part in fresh}
        still_open = {trade.ticket for trade in account.open}
        for part in fresh:
            whole = final[part.ticket] == part.deal and part.ticket not in still_open
            self._broker.closed_trades.append(self._closed(part, index, whole=whole))

    def _waiting(self, shown: WaitingOrder, free: list[Order]) -> Order:
        """An order of ours; else one of the warm-up's that asks for the same, though it was not decided as the same leg; else a new one."""
        order = self._kept.get((shown.bar, shown.leg))
        if order is None:
            limit, stop, sl, tp = (self._level(level) for level in (shown.limit, shown.stop, shown.sl, shown.tp))
            wanted = (shown.size, limit, sl, tp)
            order = next((each for each in free if (each.size, each.limit, each.sl, each.tp) == wanted), None)
            if order is None:
                order = Order(self._broker, shown.size, limit, stop, sl, tp, tag=shown.tag)
            else:
                free.remove(order)
        order._replace(stop_price=self._level(shown.stop))
        self._kept[shown.bar, shown.leg] = order
        return order

    def _opened(self, shown: OpenTrade, index: pd.DatetimeIndex) -> Trade:
        trade, size, entry_price = self._trades.get(shown.ticket), self._size(shown.size), self._price(shown.entry_price)
        if trade is None:
            trade = Trade(self._broker, size, entry_price, _bar_of(index, shown.entry_time), shown.tag)
        trade._replace(size=size, entry_price=entry_price)
        _set_level(trade, self._broker, "sl", self._level(shown.sl))
        _set_level(trade, self._broker, "tp", self._level(shown.tp))
        return trade

    def _closed(self, part: ClosedTrade, index: pd.DatetimeIndex, *, whole: bool) -> Trade:
        entry_bar, exit_bar = _bar_of(index, part.entry_time), _bar_of(index, part.exit_time)
        size, entry_price, exit_price = self._size(part.size), self._price(part.entry_price), self._price(part.exit_price)
        trade = self._trades.get(part.ticket) or self._simulated_twin(size, entry_bar, exit_bar)
        if trade is None:
            trade = Trade(self._broker, size, entry_price, entry_bar, part.tag)
        elif not whole:
            trade = trade._copy(sl_order=None, tp_order=None)
        trade._replace(size=size, entry_price=entry_price, exit_price=exit_price, exit_bar=exit_bar)
        trade._commissions = part.costs
        return trade

    def _simulated_twin(self, size: float, entry_bar: int, exit_bar: int) -> Trade | None:
        """The warm-up's trade that this one is, after a restart: the strategy may have kept a reference to it."""
        closed = self._simulated[1] if self._simulated else []
        twin = next((each for each in closed if (each.entry_bar, each.exit_bar, each.size) == (entry_bar, exit_bar, size)), None)
        if twin is not None:
            closed.remove(twin)
        return twin

    def _adopted(self, shown: Sequence[OpenTrade], index: pd.DatetimeIndex) -> dict[int, Trade]:
        """The warm-up's trades that the account holds too (same bar, same side, best of the same size), each once."""
        free, found = list(self._broker.trades), {}
        for trade in shown:
            bar, size = _bar_of(index, trade.entry_time), self._size(trade.size)
            fitting = [each for each in free if each.entry_bar == bar and each.is_long == (trade.size > 0)]
            twin = next((each for each in fitting if each.size == size), next(iter(fitting), None))
            if twin is not None:
                free.remove(twin)
                found[trade.ticket] = twin
        return found

    def _size(self, units: float) -> Any:
        # backtesting's sizes are whole numbers, and its plots and statistics count on it
        size = self._unit.parts(units)
        return int(size) if float(size).is_integer() else size

    def _price(self, market: float) -> float:
        return market if self._unit.size == 1 else self._as_decided.get(market) or self._unit.price(market)

    def _level(self, market: float | None) -> float | None:
        return None if market is None else self._price(market)


def _bar_of(index: pd.DatetimeIndex, time: pd.Timestamp) -> int:
    """The bar that contains a time; the first one for what is older than the bars."""
    return max(0, int(index.searchsorted(time, side="right")) - 1)


def _set_level(trade: Trade, broker: _Broker, kind: str, price: float | None) -> None:
    order: Order | None = getattr(trade, f"_{kind}_order")
    field = "stop_price" if kind == "sl" else "limit_price"
    if price is None:
        order = None
    elif order is None:
        order = Order(broker, -trade.size, parent_trade=trade, tag=trade.tag, **{field: price})
    else:
        order._replace(size=-trade.size, **{field: price})
    trade._replace(**{f"{kind}_order": order})


def _rebuild_book(broker: _Broker, entries: Collection[Order]) -> None:
    """Entries that wait, and the levels of open trades: all other orders are filled or refused by now."""
    levels = [order for trade in broker.trades for order in (trade._tp_order, trade._sl_order) if order is not None]
    wanted = {id(order) for order in (*entries, *levels)}
    waiting = [order for order in broker.orders if id(order) in wanted]
    known = {id(order) for order in waiting}
    waiting += [order for order in entries if id(order) not in known]
    for order in levels:
        if id(order) not in known:
            waiting.insert(0 if order.stop else len(waiting), order)
    broker.orders[:] = waiting
