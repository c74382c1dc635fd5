"""The trade server: requests in, answers and a changed book out. No clock, no files."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.case import PASSED, Case
from Backtest.simulated_terminal.checks import objection
from Backtest.simulated_terminal.ledger import NOTHING, Figures
from Backtest.simulated_terminal.matching import Matching
from Backtest.simulated_terminal.orders import Order, side_of
from Backtest.simulated_terminal.pending_checks import changed
from Backtest.simulated_terminal.structs import TradeRequest

_ABOUT_ORDERS = frozenset({c.TRADE_ACTION_MODIFY, c.TRADE_ACTION_REMOVE})
_WITH_NEW_PRICES = frozenset({c.TRADE_RETCODE_REQUOTE, c.TRADE_RETCODE_PRICE_CHANGED})
_OPENING = frozenset({c.TRADE_ACTION_DEAL, c.TRADE_ACTION_PENDING})
_ABOUT_POSITIONS = frozenset({c.TRADE_ACTION_DEAL, c.TRADE_ACTION_SLTP, c.TRADE_ACTION_CLOSE_BY})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to a request."""

    retcode: int
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0


class TradeServer(Matching):
    """One account on one market."""

    def check(self, request: TradeRequest) -> tuple[int, Figures]:
        """What `send` would object to, as far as that can be seen, and the account as it would be (0 and then)."""
        case = self._case(request)
        code, now = objection(case, sending=False), self.figures()
        added = case.margin_needed or 0.0
        if code in (PASSED, c.TRADE_RETCODE_NO_MONEY):
            # a plain sum: order_check knows no relief for hedged volume
            return code, self._with_margin(now.profit, now.equity, self.account.rounded(now.margin + added))
        return code, NOTHING

    def send(self, request: TradeRequest) -> Answer:
        """Carry out a request, or say why not."""
        case = self._case(request)
        code = objection(case, sending=True)
        if code:
            shown = case.execution if code in _WITH_NEW_PRICES else None
            return Answer(code, bid=shown.bid, ask=shown.ask) if shown else Answer(code)
        return _CARRY_OUT[request.action](self, case)

    # -- what is known of a request

    def _case(self, request: TradeRequest) -> Case:
        order = self.book.active.get(request.order) if request.action in _ABOUT_ORDERS else None
        position = self._position_meant(request)
        by = self.book.positions.get(request.position_by) if request.action == c.TRADE_ACTION_CLOSE_BY else None
        symbol = _symbol(request, order, position)
        spec, series = self.specs.get(symbol), self.market.series.get(symbol)
        closed = self._lots_closed(request, position)
        opened = round(request.volume - closed, 8) if spec and request.action in _OPENING else 0.0
        case = Case(
            request=request,
            account=self.account,
            now=self.now_msc // 1000,
            spec=spec,
            quote=self.quote(symbol),
            execution=self.quote_for(symbol, self.book.next_request),
            position=position,
            by=by,
            order=order,
            session_open=series is not None and series.is_open_at(self.now_msc),
            # a reversal has the margin of the position that it ends
            margin_free=self.figures().margin_free + (self.margin_on(symbol) if closed else 0.0) if opened else 0.0,
            margin_needed=self._margin_needed(request, symbol, opened) if opened else 0.0,
            lots_opened=opened,
            active=len(self.book.active),
            positions=len(self.book.positions),
            is_oldest=position is None or not self.account.fifo_close or self._is_oldest(position),
            hedges=opened > 0 and self.hedges(symbol, side_of(request.type)),
            closing=closed > 0 and any(each.closes == request.position for each in self.book.active.values() if each.closes),
            lots_held=self._lots_held(symbol, side_of(request.type)),
        )
        if request.action != c.TRADE_ACTION_PENDING or case.crosses or spec is None:
            return case
        # an order that waits binds nothing, but on an exchange: there at its own price
        held = self.order_margin(side_of(request.type), symbol, opened, request.price) if spec.holds_margin else 0.0
        return replace(case, margin_needed=held)

    def _is_oldest(self, position: Position) -> bool:
        return all(each.time_msc >= position.time_msc for each in self.book.on(position.symbol) if each.side == position.side)

    def _position_meant(self, request: TradeRequest) -> Position | None:
        if request.action not in _ABOUT_POSITIONS:
            return None
        if request.position or self.account.hedging:
            return self.book.positions.get(request.position)
        return self.book.net(request.symbol)

    def _lots_closed(self, request: TradeRequest, position: Position | None) -> float:
        if position is None or request.action != c.TRADE_ACTION_DEAL:
            return 0.0
        if self.account.hedging:  # a deal that names a position can only close; whether it may, the checks say
            return request.volume
        return position.closed_by(request.type, request.volume)

    def _margin_needed(self, request: TradeRequest, symbol: str, lots: float) -> float | None:
        side = side_of(request.type)
        price = self.price_for(symbol, side)
        return self.order_margin(side, symbol, lots, price) if price else None

    def _lots_held(self, symbol: str, side: int) -> float:
        """Lots of the symbol in one direction, open and wanted; 0.0 where nobody counts them."""
        spec = self.specs.get(symbol)
        if spec is None or not spec.volume_limit:
            return 0.0
        wanted = (order.volume for order in self.book.active.values() if order.symbol == symbol and order.side == side)
        return sum((held.volume for held in self.book.on(symbol) if held.side == side), 0.0) + sum(wanted)

    # -- carrying it out

    def _deal(self, case: Case) -> Answer:
        order = self._order(case, case.execution_price)
        lots = self.fillable(order)
        if lots:
            return self._fill_at_once(case, order, lots)
        if order.filling != c.ORDER_FILLING_RETURN:
            return Answer(c.TRADE_RETCODE_REJECT)  # [I] there is nothing to be had
        self.book.place(order)
        return Answer(c.TRADE_RETCODE_PLACED, order=order.ticket, volume=order.volume)

    def _fill_at_once(self, case: Case, order: Order, lots: float) -> Answer:
        quote = case.execution
        assert quote is not None
        self.take(order.symbol, lots)
        deal = self.execute(order, case.execution_price, lots)
        code = c.TRADE_RETCODE_DONE if lots == order.volume else c.TRADE_RETCODE_DONE_PARTIAL
        return Answer(code, deal.ticket, deal.order, deal.volume, deal.price, quote.bid, quote.ask)

    def _order(self, case: Case, price: float) -> Order:
        request, spec = case.request, case.spec
        assert spec is not None
        levels = (request.sl, request.tp) if case.opens else (0.0, 0.0)  # a closing request's levels are ignored
        closes = case.position if self.account.hedging else None
        return Order(
            self.book.new_order(),
            spec.name,
            request.type,
            request.volume,
            price,
            *levels,
            setup_msc=self.now_msc,
            magic=request.magic,
            reason=c.ORDER_REASON_EXPERT,
            comment=request.comment[: self.account.comment_length],
            volume_initial=request.volume,
            filling=request.type_filling,
            closes=closes.ticket if closes else 0,
        )

    def _close_by(self, case: Case) -> Answer:
        request, quote, held, other = case.request, case.quote, case.position, case.by
        assert quote is not None
        assert held is not None
        assert other is not None
        lots = min(held.volume, other.volume)
        kept = request.comment[: self.account.comment_length]
        what = (self.book.new_order(), held.symbol, c.ORDER_TYPE_CLOSE_BY, lots, other.price_open, 0.0, 0.0, self.now_msc)
        terms = (request.magic, c.ORDER_REASON_EXPERT, kept, lots)
        deal = self.close_by(Order(*what, *terms, closes=held.ticket, closes_by=other.ticket), held, other)
        return Answer(c.TRADE_RETCODE_DONE, deal.ticket, deal.order, lots, deal.price, quote.bid, quote.ask)

    def _protect(self, case: Case) -> Answer:
        assert case.position is not None
        self.book.protect(case.position.ticket, case.request.sl, case.request.tp)
        return Answer(c.TRADE_RETCODE_DONE)

    def _place(self, case: Case) -> Answer:
        request, quote = case.request, case.quote
        assert quote is not None
        order = changed(self._order(case, request.price), request, case.now)
        if case.crosses and order.filling == c.ORDER_FILLING_BOC:
            self.finish(order, c.ORDER_STATE_CANCELED)  # book or cancel: it must not fill at once
        elif case.crosses and (lots := self.fillable(order)):
            return self._fill_at_once(case, order, lots)
        else:
            self.book.place(order)
        return Answer(c.TRADE_RETCODE_DONE, order=order.ticket, volume=order.volume, bid=quote.bid, ask=quote.ask)

    def _modify(self, case: Case) -> Answer:
        request, order = case.request, case.order
        assert order is not None
        self.book.change(changed(order, request, case.now))
        return Answer(c.TRADE_RETCODE_DONE, order=order.ticket, price=request.price)

    def _remove(self, case: Case) -> Answer:
        assert case.order is not None
        self.finish(case.order, c.ORDER_STATE_CANCELED)
        return Answer(c.TRADE_RETCODE_DONE, order=case.order.ticket)


def _symbol(request: TradeRequest, order: Order | None, position: Position | None) -> str:
    """What the request is about: the symbol that it names, unless its action does not ask for one."""
    if order is not None:
        return order.symbol
    named = "" if request.action == c.TRADE_ACTION_CLOSE_BY else request.symbol
    return named or (position.symbol if position else "")


_CARRY_OUT: dict[int, Callable[[TradeServer, Case], Answer]] = {
    c.TRADE_ACTION_DEAL: TradeServer._deal,
    c.TRADE_ACTION_PENDING: TradeServer._place,
    c.TRADE_ACTION_SLTP: TradeServer._protect,
    c.TRADE_ACTION_MODIFY: TradeServer._modify,
    c.TRADE_ACTION_REMOVE: TradeServer._remove,
    c.TRADE_ACTION_CLOSE_BY: TradeServer._close_by,
}
