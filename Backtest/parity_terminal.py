"""backtesting.py's own broker behind a terminal's functions: what a backtest fills, this terminal fills.

The simulated terminal is honest: a request is carried out with what is known at that moment. A backtest is not. It
carries out the orders of a bar with all of the bar before its eyes: a stop that the bar hits later comes before an order
that fills at its open, entries are paid with what the bar earns later, and with `trade_on_close` a fill is earlier than
its order. This terminal does the same, as `_Broker._process_orders` of backtesting 0.6.6 does it, so that a strategy's
decisions can be compared with those of its backtest to the last bit. What its server does, no broker does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from Backtest.decisions import OpenTrade
from Backtest.fractional import FractionalUnit
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.bar_series import BarSeries
from Backtest.simulated_terminal.book import Book, Kind, Position, Trigger
from Backtest.simulated_terminal.case import Case
from Backtest.simulated_terminal.market import Phase, Playing, Quote
from Backtest.simulated_terminal.orders import STOPS, Order
from Backtest.simulated_terminal.server import Answer, TradeServer
from Backtest.simulated_terminal.structs import TradeDeal, TradeRequest
from Backtest.sizing import Commission, Foreseen, Terms, adjusted, can_pay, commission_of, margin_available, units_of

_PLACES = {Kind.STOP_LOSS: 0, Kind.TAKE_PROFIT: 2}
CLOSE_MSC = 999  # after a bar's open: later than all that happened in it, and still its second


@dataclass(frozen=True, slots=True)
class Rules:
    """`backtesting.Backtest`'s settings, as far as its broker goes by them."""

    margin: float
    spread: float
    hedging: bool
    trade_on_close: bool
    commission: Commission
    unit: FractionalUnit

    @classmethod
    def of(cls, backtest: Mapping[str, Any]) -> "Rules":
        """The rules of a strategy's BACKTEST settings."""
        named = {name: backtest[name] for name in ("margin", "spread", "hedging", "trade_on_close")}
        return cls(**named, commission=commission_of(backtest), unit=FractionalUnit.of(backtest))


@dataclass(slots=True)
class _Bar:
    """How far the bar that plays on a symbol has been gone through."""

    time: int
    seen: set[Trigger] = field(default_factory=set)  # what has been looked at once
    moved: set[Trigger] = field(default_factory=set)  # stops that were set since the bar opened
    opened: set[int] = field(default_factory=set)  # positions that it opened: their levels are looked at the second time
    again: bool = False  # everything is to be looked at once more


class ParityServer(TradeServer):
    """The trade server of a parity terminal."""

    def __init__(self, market: ReplayMarket, account: AccountSpec, book: Book, rules: Rules) -> None:
        super().__init__(market, account, book)
        self._rules = rules
        self._bars: dict[str, _Bar] = {}
        self._arrived_msc = 0
        self.fractions: dict[str, float] = {}  # by comment: the part of the free margin that a waiting order is to take

    # -- what a backtest knows

    def foresee(self, symbol: str) -> Foreseen:
        """Let the bar do what comes before an entry that is sent now, and say what a backtest knows when it sizes that."""
        self._play_ahead(symbol)
        return Foreseen(self._market_price(symbol), self._whole(symbol).bid.close)

    def quote(self, symbol: str) -> Quote | None:
        """One price for both sides: a backtest knows no other spread than that of its settings."""
        quote = super().quote(symbol)
        return quote and quote._replace(ask=quote.bid)

    def arrive(self, now_msc: int) -> None:
        """Let it be this moment."""
        self._arrived_msc = now_msc
        super().arrive(now_msc)

    def send(self, request: TradeRequest) -> Answer:
        """Carry out a request, or say why not."""
        symbol = request.symbol
        if request.action != c.TRADE_ACTION_DEAL or symbol not in self.market.series:
            return self._protected(request)
        self._play_ahead(symbol, only=self._bar(symbol).moved if request.position else None)
        if not self._rules.trade_on_close:
            return super().send(request)
        now, self.now_msc = self.now_msc, self._last_close_msc(symbol)
        try:
            return super().send(request)
        finally:
            self.now_msc = now

    def _case(self, request: TradeRequest) -> Case:
        """An entry was judged by what its bar earns (`Foreseen`), or will be when it fills; what is free now does not count."""
        case = super()._case(request)
        return replace(case, margin_needed=0.0, margin_free=0.0) if case.opens else case

    def _protected(self, request: TradeRequest) -> Answer:
        held = self.book.positions.get(request.position)
        answer = super().send(request)
        if held is not None and request.action == c.TRADE_ACTION_SLTP and request.sl != held.sl:
            self._bar(held.symbol).moved.add(Trigger(held.ticket, Kind.STOP_LOSS))
        if request.symbol in self.market.series:
            self._line_up(request.symbol)
        return answer

    def _line_up(self, symbol: str) -> None:
        """What the bar opens gets its levels when all orders of the bar are in the queue: stops before them, targets behind."""
        opened = self._bar(symbol).opened
        self.book.triggers.get(symbol, []).sort(key=lambda each: _PLACES.get(each.kind, 1) if each.ticket in opened else 1)

    # -- the bar, gone through in the order of the backtest's queue

    def _play_prices(self, symbol: str, playing: Playing) -> None:
        if playing.phase is Phase.OPEN:
            return
        bar, whole = self._bar(symbol), self._whole(symbol)
        self._look_once(symbol, whole, self.book.triggers[symbol])
        while bar.again:
            bar.again = False
            bar.again = self._look_at(list(self.book.triggers[symbol]), whole)

    def _play_ahead(self, symbol: str, *, only: set[Trigger] | None = None) -> None:
        waiting = self.book.triggers.get(symbol, [])
        self._look_once(symbol, self._whole(symbol), waiting if only is None else [each for each in waiting if each in only])

    def _look_once(self, symbol: str, playing: Playing, waiting: Iterable[Trigger]) -> None:
        bar = self._bar(symbol)
        todo = [each for each in waiting if each not in bar.seen and (each.kind is Kind.ORDER or each.ticket not in bar.opened)]
        bar.seen |= set(todo)
        bar.again |= self._look_at(todo, playing)

    def _look_at_order(self, order: Order, playing: Playing) -> bool:
        if self._rules.trade_on_close and order.type in STOPS:  # a stop is filled at the close before, if that is worse for us
            close = self.market.series[order.symbol].quote_at(self._last_close_msc(order.symbol))
            assert close is not None
            playing = replace_open(playing, close.bid)
        return super()._look_at_order(order, playing)

    # -- fills

    def _fill(self, order: Order, price: float) -> bool:
        """Close what stands against the order, oldest first; open what is left of it, if that can be paid."""
        working = replace(order, volume=self._lots(order, price), filling=c.ORDER_FILLING_RETURN)
        if not working.volume:
            self.finish(order, c.ORDER_STATE_CANCELED)
            return False
        left, _ = self._net_out(working, price)
        return left.volume > 0 and super()._fill(left, price)

    def _net_out(self, order: Order, price: float) -> tuple[Order, TradeDeal | None]:
        """Close what stands against an order, oldest first. What is left of it, and the last deal."""
        deal = None
        for held in () if order.closes or self._rules.hedging else self._against(order):
            part = min(held.volume, order.volume)
            deal = super().execute(replace(order, closes=held.ticket, filling=c.ORDER_FILLING_RETURN), price, part)
            order = replace(order, volume=round(order.volume - part, 8))
            if not order.volume:
                break
        return order, deal

    def execute(self, order: Order, price: float, lots: float | None = None) -> TradeDeal:
        """Book an execution. One at market first closes what stands against it; an entry pays the spread."""
        if order.closes:
            return super().execute(order, price, lots)
        left, closing = self._net_out(order, price) if order.type == order.side else (order, None)
        if closing is not None and not left.volume:
            return closing
        size = 1 if order.side == c.ORDER_TYPE_BUY else -1
        unit = self._rules.unit
        paid = unit.market_price(adjusted(unit.price(price), size, self._rules.spread))
        deal = super().execute(left, paid, left.volume)
        bar = self._bar(order.symbol)
        bar.opened.add(deal.position_id)
        bar.again |= order.type == order.side and bool(order.sl or order.tp)
        return deal

    def _lots(self, order: Order, price: float) -> float:
        """The order's volume; where that is a fraction of the free margin, what it comes to now."""
        if order.comment not in self.fractions:
            return order.volume
        terms = self._terms(order.symbol, price)
        units = units_of(self.fractions[order.comment], self._available(order.symbol, terms), terms)
        return round(abs(units) / self.specs[order.symbol].contract_size, 8)

    def _affordable(self, order: Order, price: float) -> bool:
        if order.closes:
            return True
        units = self.specs[order.symbol].units(order.volume) * (1 if order.side == c.ORDER_TYPE_BUY else -1)
        terms = self._terms(order.symbol, price)
        size = self.fractions.get(order.comment, terms.unit.parts(units))
        return can_pay(units, size, self._available(order.symbol, terms), terms)

    def _terms(self, symbol: str, price: float) -> Terms:
        rules = self._rules
        return Terms(price, rules.margin, rules.commission, rules.spread, self._whole(symbol).bid.close, rules.unit)

    def _available(self, symbol: str, terms: Terms) -> float:
        elsewhere = sum(self.profit(held) for held in self.book.positions.values() if held.symbol != symbol)
        return margin_available(self.book.balance + elsewhere, [self._trade(held) for held in self.book.on(symbol)], terms)

    def _trade(self, held: Position) -> OpenTrade:
        units = self.specs[held.symbol].units(held.volume) * (1 if held.is_long else -1)
        return OpenTrade(held.ticket, units, held.price_open, pd.Timestamp(held.time_msc, unit="ms"))

    def _against(self, order: Order) -> list[Position]:
        return [held for held in self.book.on(order.symbol) if held.side != order.side]

    # -- time

    def _series(self, symbol: str) -> BarSeries:
        series = self.market.series[symbol]
        assert isinstance(series, BarSeries)
        return series

    def _bar(self, symbol: str) -> _Bar:
        series = self._series(symbol)
        time = series.bar(series.index_at(self._arrived_msc)).time
        if symbol not in self._bars or self._bars[symbol].time != time:
            self._bars[symbol] = _Bar(time)
        return self._bars[symbol]

    def _whole(self, symbol: str) -> Playing:
        """All that ever happens in the bar that is forming."""
        series = self._series(symbol)
        bar = series.bar(series.index_at(self._arrived_msc))
        return Playing(bar, bar, Phase.REST)

    def _market_price(self, symbol: str) -> float:
        quote = self.market.series[symbol].quote_at(self._last_close_msc(symbol) if self._rules.trade_on_close else self._arrived_msc)
        assert quote is not None
        return quote.bid

    def _last_close_msc(self, symbol: str) -> int:
        series = self._series(symbol)
        return series.epochs[max(0, series.index_at(self._arrived_msc) - 1)] * 1000 + CLOSE_MSC


def replace_open(playing: Playing, price: float) -> Playing:
    """The same bar, as if it had opened at another price."""
    return playing._replace(bid=playing.bid._replace(open=price), ask=playing.ask._replace(open=price))


class ParityTerminal(SimulatedTerminal):
    """A simulated terminal that fills as a backtest with these settings does. For everything else see `SimulatedTerminal`."""

    def __init__(self, market: ReplayMarket, account: AccountSpec, *, backtest: Mapping[str, Any], **options: Any) -> None:
        self._rules = Rules.of(backtest)
        super().__init__(market, account, **options)

    def foresee(self, symbol: str) -> Foreseen:
        """What a backtest knows of a symbol's bar when it sizes an entry; asked just before that is sent."""
        self._parity.arrive(self.clock.now_msc)
        known = self._parity.foresee(symbol)
        self._commit()
        return known

    def size_at_fill(self, comment: str, size: float) -> None:
        """Let the order with this comment take that fraction of the margin that is free when it fills."""
        self._parity.fractions[comment] = size

    @property
    def _parity(self) -> ParityServer:
        assert isinstance(self._server, ParityServer)
        return self._server

    def _served_by(self) -> TradeServer:
        return ParityServer(self._market, self._account, self._book, self._rules)
