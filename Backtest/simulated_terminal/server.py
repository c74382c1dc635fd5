"""The trade server: requests and bars in, answers and a changed book out. No clock, no files.

Whoever drives it sets `now_msc` before each call; prices are what the market shows at that moment.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import money
from Backtest.simulated_terminal.book import Book, Position
from Backtest.simulated_terminal.checks import PASSED, Case, objection
from Backtest.simulated_terminal.market import Event, Quote, ReplayMarket
from Backtest.simulated_terminal.structs import TradeDeal, TradeOrder, TradeRequest
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec
from Backtest.simulated_terminal.triggers import fill_price, gap_price
from Backtest.simulated_terminal.unfolding import Bar


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


@dataclass(frozen=True, slots=True)
class Figures:
    """The account's money at one moment."""

    balance: float
    profit: float
    equity: float
    margin: float
    margin_free: float

    @property
    def margin_level(self) -> float:
        """In percent; 0.0 without margin."""
        return money.level(self.equity, self.margin)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution to be booked: an entry, or (with `closes`) an exit."""

    symbol: str
    side: int
    lots: float
    price: float
    reason: int
    magic: int = 0
    comment: str = ""
    sl: float = 0.0
    tp: float = 0.0
    filling: int = c.ORDER_FILLING_FOK
    closes: Position | None = None


class TradeServer:
    """One hedging account on one market."""

    def __init__(self, market: ReplayMarket, account: AccountSpec, book: Book) -> None:
        self.market, self.account, self.book = market, account, book
        self.now_msc = 0
        self.specs: dict[str, SymbolSpec] = {name: series.spec for name, series in market.series.items()}
        self.exchange = money.Exchange(account.currency, self.specs, self.quote)
        self.exchange.refuse_unreachable()

    # -- what there is

    def quote(self, symbol: str) -> Quote | None:
        """The quote that stands; None when there was none yet, or no such symbol."""
        series = self.market.series.get(symbol)
        return series.quote_at(self.now_msc) if series else None

    def price_current(self, position: Position) -> float:
        """The price at which the position would close."""
        quote = self.quote(position.symbol)
        assert quote is not None  # it was opened at one
        return quote.bid if position.is_long else quote.ask

    def profit(self, position: Position) -> float:
        """What the position would earn if it closed now, in the account's currency, without swap and commission."""
        return self._earned(position, position.volume, self.price_current(position))

    def figures(self) -> Figures:
        """The account's money now."""
        positions = self.book.positions.values()
        profit = self.account.rounded(sum(map(self.profit, positions), 0.0))
        equity = self.account.rounded(self.book.balance + profit + sum(position.swap for position in positions))
        return self._with_margin(profit, equity, self._margin())

    def _with_margin(self, profit: float, equity: float, margin: float) -> Figures:
        return Figures(self.book.balance, profit, equity, margin, self.account.rounded(equity - margin))

    def order_margin(self, side: int, symbol: str, lots: float, price: float) -> float | None:
        """The margin that an order would bind; None when a rate is missing. Raises KeyError for an unknown symbol."""
        return money.order_margin(self.specs[symbol], side, lots, price, (self.account, self.exchange))

    def order_profit(self, side: int, symbol: str, lots: float, prices: tuple[float, float]) -> float | None:
        """The profit between the prices of opening and closing; None when a rate is missing. Raises KeyError likewise."""
        spec = self.specs[symbol]
        earned = money.profit(spec, money.signed(side, spec.units(lots)), *prices)
        result = money.profit_in_account(spec, earned, prices[1], self.exchange)
        return None if result is None else self.account.rounded(result)

    # -- requests

    def check(self, request: TradeRequest) -> tuple[int, Figures]:
        """What `send` would object to, as far as that can be seen, and the account as it would be (0 and then)."""
        case = self._case(request)
        code, now = objection(case, sending=False), self.figures()
        added = case.margin_needed or 0.0
        if code in (PASSED, c.TRADE_RETCODE_NO_MONEY):
            # a plain sum: order_check knows no relief for hedged volume
            return code, self._with_margin(now.profit, now.equity, self.account.rounded(now.margin + added))
        return code, Figures(0.0, 0.0, 0.0, 0.0, 0.0)

    def send(self, request: TradeRequest) -> Answer:
        """Carry out a request, or say why not."""
        case = self._case(request)
        code = objection(case, sending=True)
        if code:
            shown = case.quote if code == c.TRADE_RETCODE_REQUOTE else None
            return Answer(code, bid=shown.bid, ask=shown.ask) if shown else Answer(code)
        return _CARRY_OUT[request.action](self, case)

    def deposit(self, amount: float) -> None:
        """Put money in: a deal of type balance."""
        self.book.balance += amount
        now = self.now_msc
        row = (
            self.book.new_deal(),
            0,
            now // 1000,
            now,
            c.DEAL_TYPE_BALANCE,
            0,
            0,
            0,
            0,
            0.0,
            0.0,
            0.0,
            0.0,
            amount,
            0.0,
            "",
            "Deposit",
            "",
        )
        self.book.deals.append(TradeDeal(row))

    def _case(self, request: TradeRequest) -> Case:
        position = self.book.positions.get(request.position) if request.position else None
        symbol = request.symbol or (position.symbol if position else "")
        spec, series = self.specs.get(symbol), self.market.series.get(symbol)
        entry = spec is not None and request.action == c.TRADE_ACTION_DEAL and not request.position
        return Case(
            request=request,
            account=self.account,
            spec=spec,
            quote=self.quote(symbol),
            position=position,
            session_open=series is not None and series.is_open_at(self.now_msc),
            margin_free=self.figures().margin_free if entry else 0.0,
            margin_needed=self._margin_needed(request) if entry else 0.0,
        )

    def _margin_needed(self, request: TradeRequest) -> float | None:
        quote = self.quote(request.symbol)
        if quote is None:
            return None
        return self.order_margin(request.type, request.symbol, request.volume, quote.ask if request.type == money.BUY else quote.bid)

    def _deal(self, case: Case) -> Answer:
        request, quote, position = case.request, case.quote, case.position
        assert case.spec is not None
        assert quote is not None
        deal = self._book(
            Fill(
                symbol=case.spec.name,
                side=request.type,
                lots=request.volume,
                price=case.price,
                reason=c.DEAL_REASON_EXPERT,
                magic=request.magic,
                comment=request.comment[: self.account.comment_length],
                sl=request.sl if position is None else 0.0,
                tp=request.tp if position is None else 0.0,
                filling=request.type_filling,
                closes=position,
            )
        )
        return Answer(c.TRADE_RETCODE_DONE, deal.ticket, deal.order, deal.volume, deal.price, quote.bid, quote.ask)

    def _protect(self, case: Case) -> Answer:
        self.book.protect(case.request.position, case.request.sl, case.request.tp)
        return Answer(c.TRADE_RETCODE_DONE)

    # -- the market moves

    def play(self, event: Event) -> None:
        """Let an event of the market do to the account what it does: stops and limits fill, positions without margin close."""
        self.now_msc = event.time_msc
        for symbol in event.symbols:
            if self.book.triggers.get(symbol) and (self.specs[symbol].gaps_fill_at_open or not event.opening):
                self._fill_triggers(symbol, opening=event.opening)
        # backtesting.py looks at the equity at the close only; an account with a stop-out level at every quote
        if self.book.positions and (self.account.stop_out or not event.opening):
            self._stop_out()

    def _fill_triggers(self, symbol: str, *, opening: bool) -> None:
        series = self.market.series[symbol]
        bid = series.whole(series.index_at(self.now_msc))
        asks = [series.ask(price, bid.spread) for price in (bid.open, bid.high, bid.low, bid.close)]
        ask = Bar(bid.time, asks[0], asks[1], asks[2], asks[3], bid.volume, bid.spread)
        for position, is_stop in self._waiting(symbol, bid.time, opening=opening):
            bar: Bar = bid if position.is_long else ask
            price = (gap_price if opening else fill_price)(position, bar, is_stop=is_stop)
            if price is not None:
                self._trigger(position, price, is_stop=is_stop)

    def _waiting(self, symbol: str, bar_open: int, *, opening: bool) -> Iterator[tuple[Position, bool]]:
        """Triggers whose position is still there. Those of positions that this bar opened come last: backtesting.py
        processes its orders once more when a new trade brought its own."""
        triggers, positions = self.book.triggers[symbol], self.book.positions
        for fresh in (False,) if opening else (False, True):
            for trigger in [each for each in triggers if (positions[each.ticket].time_msc // 1000 == bar_open) == fresh]:
                if trigger in triggers:
                    yield positions[trigger.ticket], trigger.is_stop

    def _trigger(self, position: Position, price: float, *, is_stop: bool) -> None:
        level, reason, word = (position.sl, c.DEAL_REASON_SL, "sl") if is_stop else (position.tp, c.DEAL_REASON_TP, "tp")
        self._exit(position, price, reason, f"[{word} {level:.{self.specs[position.symbol].digits}f}]")

    def _stop_out(self) -> None:
        while self.book.positions and (now := self._broke()):
            worst = min(self.book.positions.values(), key=lambda position: self.profit(position) + position.swap)
            comment = f"[so {now.margin_level:.2f}%/{now.equity:.2f}/{now.margin:.2f}]"
            self._exit(worst, self.price_current(worst), c.DEAL_REASON_SO, comment)

    def _broke(self) -> Figures | None:
        now = self.figures()
        short_of_margin = now.margin > 0 and now.margin_level < self.account.stop_out
        return now if short_of_margin or now.equity <= 0 else None

    def _exit(self, position: Position, price: float, reason: int, comment: str) -> None:
        kept = comment[: self.account.comment_length]
        self._book(
            Fill(
                position.symbol, position.closing_side, position.volume, price, reason, magic=position.magic, comment=kept, closes=position
            )
        )

    # -- booking

    def _book(self, fill: Fill) -> TradeDeal:
        """Book one execution: its order, its deal, the money and the position."""
        ticket = self.book.new_order()
        position_id = fill.closes.ticket if fill.closes else ticket
        self.book.orders.append(self._order(fill, ticket, position_id))
        deal = self._deal_of(fill, ticket, position_id)
        self.book.deals.append(deal)
        self.book.balance = self.account.rounded(self.book.balance + (deal.profit + deal.swap + deal.commission + deal.fee))
        if fill.closes:
            self.book.reduce(position_id, fill.lots, self.now_msc)
        else:
            self.book.open(self._position(fill, ticket))
        return deal

    def _order(self, fill: Fill, ticket: int, position_id: int) -> TradeOrder:
        now = self.now_msc
        times = (now // 1000, now, now // 1000, now, 0)
        kinds = (fill.side, c.ORDER_TIME_GTC, fill.filling, c.ORDER_STATE_FILLED, fill.magic, position_id, 0, fill.reason)
        prices = (fill.lots, 0.0, fill.price, fill.sl, fill.tp, fill.price, 0.0)
        return TradeOrder((ticket, *times, *kinds, *prices, fill.symbol, fill.comment, ""))

    def _deal_of(self, fill: Fill, order: int, position_id: int) -> TradeDeal:
        now, closes = self.now_msc, fill.closes
        entry = c.DEAL_ENTRY_OUT if closes else c.DEAL_ENTRY_IN
        profit = self._earned(closes, fill.lots, fill.price) if closes else 0.0
        # a part of the position takes its share of the swap with it
        swap = self.account.rounded(closes.swap * fill.lots / closes.volume) if closes else 0.0
        money_of = (self._commission(fill), swap, profit, 0.0)
        kinds = (fill.side, entry, fill.magic, position_id, fill.reason)
        row = (self.book.new_deal(), order, now // 1000, now, *kinds, fill.lots, fill.price, *money_of, fill.symbol, fill.comment, "")
        return TradeDeal(row)

    def _commission(self, fill: Fill) -> float:
        units = self.specs[fill.symbol].units(fill.lots)
        # backtesting.py hands its commission the size of the trade, also at the exit: `_Broker._close_trade`
        side = fill.closes.side if fill.closes else fill.side
        return self.account.rounded(0.0 - self.account.commission(money.signed(side, units), fill.price))

    def _position(self, fill: Fill, ticket: int) -> Position:
        now = self.now_msc
        return Position(
            ticket, fill.symbol, fill.side, fill.lots, fill.price, fill.sl, fill.tp, now, now, fill.magic, fill.reason, fill.comment
        )

    def _earned(self, position: Position, lots: float, price: float) -> float:
        spec = self.specs[position.symbol]
        earned = money.profit(spec, money.signed(position.side, spec.units(lots)), position.price_open, price)
        result = money.profit_in_account(spec, earned, price, self.exchange)
        assert result is not None  # without a rate nothing was opened
        return self.account.rounded(result)

    def _margin(self) -> float:
        symbols = {position.symbol for position in self.book.positions.values()}
        return self.account.rounded(sum((self._margin_on(symbol) for symbol in sorted(symbols)), 0.0))

    def _margin_on(self, symbol: str) -> float:
        held = self.book.on(symbol)
        long, short = (
            money.Leg.of(side, ((each.volume, each.price_open) for each in held if each.side == side)) for side in (money.BUY, money.SELL)
        )
        return money.hedged_margin(self.specs[symbol], long, short, (self.account, self.exchange)) or 0.0


_CARRY_OUT: dict[int, Callable[[TradeServer, Case], Answer]] = {
    c.TRADE_ACTION_DEAL: TradeServer._deal,
    c.TRADE_ACTION_SLTP: TradeServer._protect,
}
