"""The terminal's functions about orders, positions and history."""

from collections.abc import Iterable
from typing import Any, TypeVar

from Backtest.simulated_terminal import arguments as a
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.book import Fact, History, Position
from Backtest.simulated_terminal.door import FAILED, Door, call
from Backtest.simulated_terminal.groups import mask
from Backtest.simulated_terminal.ledger import NOTHING
from Backtest.simulated_terminal.orders import Order, side_of
from Backtest.simulated_terminal.retcodes import CHECKED, TEXTS
from Backtest.simulated_terminal.server import Answer
from Backtest.simulated_terminal.structs import OrderCheckResult, OrderSendResult, TradeDeal, TradeOrder, TradePosition, TradeRequest

_CHANGES_THE_ACCOUNT = frozenset({c.TRADE_RETCODE_DONE, c.TRADE_RETCODE_DONE_PARTIAL, c.TRADE_RETCODE_PLACED})
Open = TypeVar("Open", Position, Order)
_UNWATCHED = (c.TRADE_RETCODE_PRICE_OFF, NOTHING)  # [I] a symbol that is not in Market Watch has no prices
_API_DISABLED = "Auto-Trading using Python API disabled in Terminal"


class TradeFunctions(Door):
    """orders_*, positions_*, history_*, order_*: shapes and errors of the package's functions of these names.

    `autotrading` is the terminal's Algo Trading button, `api_disabled` its option against the Python package.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[int, tuple[Position, TradePosition]] = {}  # by ticket, as they were shown last
        self._rows_at: object = None  # which moment of the market that was
        self.autotrading = True
        self.api_disabled = False

    # -- what is open

    @call()
    def positions_total(self) -> int:
        """positions_total()

        How many positions are open.
        """
        self._connected()
        return len(self._book.positions)

    @call()
    def positions_get(self, *args: Any, **filters: Any) -> tuple[TradePosition, ...]:
        """positions_get([symbol="SYMBOL"],[ticket=TICKET],[group="GROUP"])

        Open positions, oldest first: all, or those of a ticket, a symbol or a group.
        """
        chosen = self._chosen("positions_get", args, filters, self._book.positions.values())
        if (moment := self._server.moment) != self._rows_at:
            self._rows, self._rows_at = {}, moment
        return tuple(map(self._row_of, chosen))

    @call()
    def orders_total(self) -> int:
        """orders_total()

        How many orders are active.
        """
        self._connected()
        return len(self._book.active)

    @call()
    def orders_get(self, *args: Any, **filters: Any) -> tuple[TradeOrder, ...]:
        """orders_get([symbol="SYMBOL"],[ticket=TICKET],[group="GROUP"])

        Active orders, oldest first: all, or those of a ticket, a symbol or a group.
        """
        return tuple(map(self._shown_order, self._chosen("orders_get", args, filters, self._book.active.values())))

    # -- what was

    @call()
    def history_orders_total(self, *args: Any) -> int:
        """history_orders_total(date_from, date_to)

        How many orders were finished between the dates.
        """
        a.exactly(2, args)
        return len(self._past("history_orders_total", self._book.orders, args, {}))

    @call()
    def history_orders_get(self, *args: Any, **filters: Any) -> tuple[TradeOrder, ...]:
        """history_orders_get([date_from, date_to, [group="GROUP"]],[position=POSITION],[ticket=TICKET])

        Finished orders between two dates (both included), of one ticket, or of one position.
        """
        return self._past("history_orders_get", self._book.orders, args, filters)

    @call()
    def history_deals_total(self, *args: Any) -> int:
        """history_deals_total(date_from, date_to)

        How many deals were made between the dates.
        """
        a.exactly(2, args)
        return len(self._past("history_deals_total", self._book.deals, args, {}))

    @call()
    def history_deals_get(self, *args: Any, **filters: Any) -> tuple[TradeDeal, ...]:
        """history_deals_get([date_from, date_to, [group="GROUP"]],[position=POSITION],[ticket=TICKET])

        Deals between two dates (both included), of one ticket, or of one position.
        """
        return self._past("history_deals_get", self._book.deals, args, filters)

    # -- what could be, and what shall be

    @call()
    def order_calc_margin(self, *args: Any) -> float:
        """order_calc_margin(action, symbol, volume, price,)

        The margin that an order would bind, in the account's currency.
        """
        a.exactly(4, args)
        action, name = a.c_ulong("order_calc_margin", args[0]), a.symbol(args[1])
        volume, price = (a.c_double("order_calc_margin", value) for value in args[2:])
        self._connected()
        self._known(name)
        if action > c.ORDER_TYPE_SELL_STOP_LIMIT:
            raise Refused("Terminal: Invalid params")
        return self._money(self._server.order_margin(side_of(action), name, volume, price))

    @call()
    def order_calc_profit(self, *args: Any) -> float:
        """order_calc_profit(action, symbol, volume, price_open, price_close)

        What a position would earn between two prices, in the account's currency.
        """
        a.exactly(5, args)
        action, name = a.c_ulong("order_calc_profit", args[0]), a.symbol(args[1])
        volume, opened, closed = (a.c_double("order_calc_profit", value) for value in args[2:])
        self._connected()
        self._known(name)
        if action > c.ORDER_TYPE_SELL:
            raise Refused("Terminal: Invalid params")
        return self._money(self._server.order_profit(action, name, volume, (opened, closed)))

    @call()
    def order_check(self, *args: Any, **fields: Any) -> OrderCheckResult:
        """order_check(request)

        Whether a request could be carried out (retcode 0), and the account as it would be.
        """
        request = a.request("order_check", args, fields)
        if code := self._barred(request):
            return OrderCheckResult((code, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, TEXTS[code], request))
        code, then = self._server.check(request) if self._watched(request.symbol) else _UNWATCHED
        figures = (then.balance, then.equity, then.profit, then.margin, then.margin_free, then.margin_level)
        return OrderCheckResult((code, *figures, TEXTS.get(code, CHECKED), request))

    @call()
    def order_send(self, *args: Any, **fields: Any) -> OrderSendResult:
        """order_send(request)

        Carry out a trade request; retcode 10009 when it was. The account's file has it before the answer is here.
        """
        request = a.request("order_send", args, fields)
        if self._attached and self.api_disabled:
            raise Refused(_API_DISABLED, c.RES_E_AUTO_TRADING_DISABLED)
        if code := self._barred(request):
            return _result(Answer(code), 0, request)
        number = self._book.new_request()
        answer = self._server.send(request) if self._watched(request.symbol) else Answer(c.TRADE_RETCODE_PRICE_OFF)
        if answer.retcode in _CHANGES_THE_ACCOUNT:
            self._commit()
        return _result(answer, number, request)

    # -- shared

    def _barred(self, request: TradeRequest) -> int:  # noqa: ARG002 - another kind of terminal asks what it is about
        """Why the terminal itself sends no request to its server; 0 when it does."""
        self._connected()
        return 0 if self.autotrading else c.TRADE_RETCODE_CLIENT_DISABLES_AT

    def _commit(self) -> None:
        """Put the account on file."""

    def _money(self, value: float | None) -> float:
        if value is None:
            raise Refused(FAILED, c.RES_E_FAIL)
        return value

    def _chosen(self, function: str, args: tuple[Any, ...], filters: dict[str, Any], among: Iterable[Open]) -> list[Open]:
        """By ticket, else by symbol, else by group, else all: in this order the core looks at its keywords."""
        if args:
            raise Refused(a.UNNAMED)
        if "ticket" in filters:
            ticket = a.ticket(function, filters["ticket"], "ticket")
            chosen = [each for each in among if each.ticket == ticket]
        elif "symbol" in filters:
            name = a.text(filters["symbol"], a.MOST_NAME, 'Invalid "symbol" argument')
            chosen = [each for each in among if each.symbol == name]
        elif "group" in filters:
            belongs = mask(a.text(filters["group"], a.MOST_GROUP, 'Invalid "group" argument'))
            chosen = [each for each in among if belongs(each.symbol)]
        else:
            chosen = list(among)
        self._connected()
        return chosen

    def _past(self, function: str, history: History[Fact], args: tuple[Any, ...], filters: dict[str, Any]) -> tuple[Fact, ...]:
        if len(args) == 2:
            first, last = (a.date(function, value) for value in args)
            belongs = mask(a.text(filters["group"], a.MOST_GROUP, 'Invalid "group" argument')) if "group" in filters else None
            self._connected()
            return tuple(fact for fact in history.between(first, last) if belongs is None or belongs(fact.symbol))
        if args:
            raise Refused(a.UNNAMED if {"ticket", "position"} & filters.keys() else a.INVALID)
        name = next((name for name in ("ticket", "position") if name in filters), None)
        if name is None:
            raise Refused
        number = a.ticket(function, filters[name], name)
        self._connected()
        if name == "position":
            return tuple(history.of_position(number))
        found = history.with_ticket(number)
        return () if found is None else (found,)

    def _shown_order(self, order: Order) -> TradeOrder:
        return order.active(self._server.price_for(order.symbol, order.side))

    def _row_of(self, position: Position) -> TradePosition:
        known = self._rows.get(position.ticket)
        if known is None or known[0] is not position:
            known = self._rows[position.ticket] = position, self._shown(position)
        return known[1]

    def _shown(self, position: Position) -> TradePosition:
        times = (position.time_msc // 1000, position.time_msc, position.update_msc // 1000, position.update_msc)
        kinds = (position.side, position.magic, position.identifier, position.reason)
        prices = (position.volume, position.price_open, position.sl, position.tp, self._server.price_current(position))
        money = (position.swap, self._server.profit(position))
        return TradePosition((position.ticket, *times, *kinds, *prices, *money, position.symbol, position.comment, ""))


def _result(answer: Answer, number: int, request: TradeRequest) -> OrderSendResult:
    figures = (answer.deal, answer.order, answer.volume, answer.price, answer.bid, answer.ask)
    return OrderSendResult((answer.retcode, *figures, TEXTS[answer.retcode], number, 0, request))
