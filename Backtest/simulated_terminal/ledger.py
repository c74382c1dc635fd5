"""The account's money and what an execution does to it: the order's end, the deal, the balance and the position.

Whoever drives it sets `now_msc` before each call; prices are what the market shows at that moment.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import money
from Backtest.simulated_terminal.book import Book, Position
from Backtest.simulated_terminal.market import Market, Quote
from Backtest.simulated_terminal.orders import Order
from Backtest.simulated_terminal.structs import TradeDeal
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec

_IN_ONE_GO = frozenset({c.ORDER_FILLING_FOK, c.ORDER_FILLING_IOC})


@dataclass(frozen=True, slots=True)
class Figures:
    """The account's money at one moment."""

    balance: float
    profit: float
    equity: float
    margin: float
    margin_free: float
    assets: float = 0.0  # of collateral; part of the equity

    @property
    def margin_level(self) -> float:
        """In percent; 0.0 without margin."""
        return money.level(self.equity, self.margin)


NOTHING = Figures(0.0, 0.0, 0.0, 0.0, 0.0)  # what a check shows that objects


@dataclass(frozen=True, slots=True)
class Effect:
    """What an execution does to the position that it meets, in lots."""

    held: Position | None
    closed: float
    opened: float

    @property
    def entry(self) -> int:
        """The deal's direction."""
        if not self.closed:
            return c.DEAL_ENTRY_IN
        return c.DEAL_ENTRY_INOUT if self.opened else c.DEAL_ENTRY_OUT


class Ledger:
    """One account on one market: what it is worth, and how executions are booked."""

    def __init__(self, market: Market, account: AccountSpec, book: Book) -> None:
        self.market, self.account, self.book = market, account, book
        self.now_msc = 0
        self.specs: dict[str, SymbolSpec] = {name: series.spec for name, series in market.series.items()}
        self.exchange = money.Exchange(account.currency, self.specs, self.quote)
        self.exchange.refuse_unreachable()
        self._figured: tuple[object, Figures] = (None, NOTHING)  # of which state they are

    # -- what there is

    @property
    def moment(self) -> object:
        """What is equal for as long as all quotes are the same."""
        return self.market.moment(self.now_msc)

    def quote(self, symbol: str) -> Quote | None:
        """The quote that stands; None when there was none yet, or no such symbol."""
        series = self.market.series.get(symbol)
        return series.quote_at(self.now_msc) if series else None

    def quote_for(self, symbol: str, request: int) -> Quote | None:
        """The quote at which the request with this number is executed: the market may have moved."""
        points, series = self.account.dealing.drift(request), self.market.series.get(symbol)
        return series.moved(self.now_msc, points) if series and points else self.quote(symbol)

    def price_for(self, symbol: str, side: int) -> float:
        """What a buyer pays or a seller gets now; 0.0 before the first quote."""
        quote = self.quote(symbol)
        if quote is None:
            return 0.0
        return quote.ask if side == money.BUY else quote.bid

    def price_current(self, position: Position) -> float:
        """The price at which the position would close."""
        return self.price_for(position.symbol, position.closing_side)

    def profit(self, position: Position) -> float:
        """What the position would earn if it closed now, in the account's currency, without swap and commission."""
        return self._earned(position, position.volume, self.price_current(position))

    def figures(self) -> Figures:
        """The account's money now."""
        book = self.book
        # asked many times in the same state: positions and orders are frozen, so that most of this compares identities
        state = (self.moment, book.balance, tuple(book.positions.values()), tuple(book.active.values()))
        if state != self._figured[0]:
            self._figured = state, self._figures()
        return self._figured[1]

    def _figures(self) -> Figures:
        positions = self.book.positions.values()
        profit = self.account.rounded(sum(map(self.profit, positions), 0.0))
        assets = self.account.rounded(sum(map(self._collateral, positions), 0.0))
        equity = self.account.rounded(self.book.balance + profit + sum(position.swap for position in positions) + assets)
        return self._with_margin(profit, equity, self._margin(), assets)

    def _collateral(self, position: Position) -> float:
        spec = self.specs[position.symbol]
        if spec.calc_mode != c.SYMBOL_CALC_MODE_SERV_COLLATERAL:
            return 0.0
        value = spec.units(position.volume) * self.price_current(position) * spec.liquidity_rate
        return self.exchange.into_account(value, spec.currency_profit, selling=True) or 0.0

    def order_margin(self, side: int, symbol: str, lots: float, price: float) -> float | None:
        """The margin that an order would bind; None when a rate is missing. Raises KeyError for an unknown symbol."""
        return money.order_margin(self.specs[symbol], side, lots, price, (self.account, self.exchange))

    def order_profit(self, side: int, symbol: str, lots: float, prices: tuple[float, float]) -> float | None:
        """The profit between the prices of opening and closing; None when a rate is missing. Raises KeyError likewise."""
        spec = self.specs[symbol]
        earned = money.profit(spec, money.signed(side, spec.units(lots)), *prices)
        result = money.profit_in_account(spec, earned, prices[1], self.exchange)
        return None if result is None else self.account.rounded(result)

    def margin_on(self, symbol: str) -> float:
        """The margin that the positions of a symbol bind, and on an exchange its orders."""
        return self._margin_of(symbol, self.book.on(symbol), [order for order in self.book.active.values() if order.symbol == symbol])

    def _margin_of(self, symbol: str, held: Sequence[Position], waiting: Sequence[Order]) -> float:
        long, short = (
            money.Leg.of(side, [(each.volume, each.price_open) for each in held if each.side == side]) for side in (money.BUY, money.SELL)
        )
        wanted = sum(map(self.held_for, waiting), 0.0)
        return (money.hedged_margin(self.specs[symbol], long, short, (self.account, self.exchange)) or 0.0) + wanted

    def held_for(self, order: Order) -> float:
        """The margin that an active order binds [K]: none where a dealer makes the prices."""
        if order.closes or not self.specs[order.symbol].holds_margin:
            return 0.0
        return self.order_margin(order.side, order.symbol, order.volume, order.price) or 0.0

    def hedges(self, symbol: str, side: int) -> bool:
        """Whether a new position would be against one that is open, where the account forbids that."""
        account = self.account
        return account.hedging and not account.hedge_allowed and any(each.side != side for each in self.book.on(symbol))

    # -- booking

    def deposit(self, amount: float) -> None:
        """Put money in: a deal of type balance."""
        self.book.balance += amount
        when = (self.now_msc // 1000, self.now_msc)
        nothing = (0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
        self.book.deals.append(TradeDeal((self.book.new_deal(), 0, *when, c.DEAL_TYPE_BALANCE, *nothing, amount, 0.0, "", "Deposit", "")))

    def effect(self, order: Order) -> Effect:
        """What the execution of an order would do now. On a netting account it meets the position on its symbol."""
        held = self._met_by(order)
        closed = held.closed_by(order.side, order.volume) if held else 0.0
        return Effect(held, closed, round(order.volume - closed, 8))

    def execute(self, order: Order, price: float, lots: float | None = None) -> TradeDeal:
        """Book the execution of an order, or of so many of its lots, at a price: its deal, the money and the position.

        What is left waits on where the order may be filled in parts, and is cancelled otherwise.
        """
        part = order if lots in (None, order.volume) else replace(order, volume=lots)
        effect = self.effect(part)
        deal = self._deal_of(part, price, effect)
        self._account_for(deal)
        self._change_position(part, price, effect, deal.swap)
        left = replace(order, volume=round(order.volume - part.volume, 8), position_id=deal.position_id)
        if not left.volume:
            self.finish(left, c.ORDER_STATE_FILLED, price=price)
        elif order.filling in _IN_ONE_GO:
            self.finish(left, c.ORDER_STATE_CANCELED)  # [K] of an IOC rest; servers differ [I]
        else:
            self.book.change(left.at_market())
        return deal

    def fillable(self, order: Order) -> float:
        """How many lots of the order can be had at this tick. All or nothing where it wants that, on the symbol's grid."""
        if self.account.dealing.lots_per_tick == math.inf:
            return order.volume
        step = self.specs[order.symbol].volume_step
        lots = min(order.volume, round(math.floor(self.free_lots(order.symbol) / step + 1e-9) * step, 8))
        return lots if lots == order.volume or order.filling != c.ORDER_FILLING_FOK else 0.0

    def free_lots(self, symbol: str) -> float:
        """How many lots can still be had at this tick, by anyone."""
        tick, taken = self.book.taken.get(symbol, (0, 0.0))
        return max(0.0, self.account.dealing.lots_per_tick - (taken if tick == self._tick(symbol) else 0.0))

    def take(self, symbol: str, lots: float) -> None:
        """Nobody else has these lots at this tick."""
        if self.account.dealing.lots_per_tick < math.inf:
            now = self._tick(symbol)
            tick, taken = self.book.taken.get(symbol, (now, 0.0))
            self.book.taken[symbol] = (now, round(lots + (taken if tick == now else 0.0), 8))

    def _tick(self, symbol: str) -> int:
        quote = self.quote(symbol)
        return quote.time_msc if quote else 0

    def close_by(self, order: Order, held: Position, other: Position) -> TradeDeal:
        """Close two opposite positions by each other: each at the open price of the other, whatever the market says.

        The first deal closes `held` and carries the whole profit, the second one closes `other`: [K] so the book prints it.
        """
        first, second = self._exit_deal(order, held, by=other), self._exit_deal(order, other, by=held)
        for deal, position in ((first, held), (second, other)):
            self._account_for(deal)
            self.book.reduce(position.ticket, order.volume, self.now_msc, deal.swap)
        self.finish(replace(order, volume=0.0, position_id=held.identifier), c.ORDER_STATE_FILLED, price=other.price_open)
        return first

    def reopen(self, position: Position, closed: float, opened: float) -> None:
        """Close a position at one price and open it again at another, as the server does overnight where that is its swap.

        Its ticket changes, its identifier stays [D]. The deals are the server's own: they have no order [I].
        """
        ticket = self.book.new_order()
        for side, entry, price in ((position.closing_side, c.DEAL_ENTRY_OUT, closed), (position.side, c.DEAL_ENTRY_IN, opened)):
            profit = self._earned(position, position.volume, price) if entry == c.DEAL_ENTRY_OUT else 0.0
            what = (side, entry, position.magic, position.identifier, c.DEAL_REASON_ROLLOVER, position.volume, price)
            when = (self.book.new_deal(), 0, self.now_msc // 1000, self.now_msc)
            self._account_for(TradeDeal((*when, *what, 0.0, 0.0, profit, 0.0, position.symbol, position.comment, "")))
        for order in [each for each in self.book.active.values() if each.closes == position.ticket]:
            self.book.change(replace(order, closes=ticket))
        self.book.reduce(position.ticket, position.volume, self.now_msc, 0.0)
        self.book.open(replace(position, ticket=ticket, price_open=opened, time_msc=self.now_msc, update_msc=self.now_msc))

    def finish(self, order: Order, state: int, *, price: float | None = None, done_msc: int | None = None) -> None:
        """Let an order be history. `price` and `done_msc` are those of now where they are not given."""
        self.book.withdraw(order.ticket)
        shown = self.price_for(order.symbol, order.side) if price is None else price
        self.book.orders.append(order.done(state, self.now_msc if done_msc is None else done_msc, shown))

    def _with_margin(self, profit: float, equity: float, margin: float, assets: float = 0.0) -> Figures:
        return Figures(self.book.balance, profit, equity, margin, self.account.rounded(equity - margin), assets)

    def _account_for(self, deal: TradeDeal) -> None:
        self.book.deals.append(deal)
        self.book.balance = self.account.rounded(self.book.balance + (deal.profit + deal.swap + deal.commission + deal.fee))

    def _met_by(self, order: Order) -> Position | None:
        if order.closes:
            return self.book.positions.get(order.closes)
        # the fills of one order make one position
        return self.book.positions.get(order.ticket) if self.account.hedging else self.book.net(order.symbol)

    def _change_position(self, order: Order, price: float, effect: Effect, swap: float) -> None:
        held = effect.held
        if held is not None and not effect.closed:
            self.book.enlarge(held.ticket, order, effect.opened, price, self.now_msc)
            return
        if held is not None:
            self.book.reduce(held.ticket, effect.closed, self.now_msc, swap)
        if effect.opened:  # a reversed position has the ticket of the order that reversed it, and keeps its identifier
            identifier = held.identifier if held else order.ticket
            self.book.open(self._position(order, price, effect.opened, identifier))

    def _deal_of(self, order: Order, price: float, effect: Effect) -> TradeDeal:
        held, closed = effect.held, effect.closed
        profit = self._earned(held, closed, price) if held and closed else 0.0
        # a part of the position takes its share of the swap with it
        swap = self.account.rounded(held.swap * closed / held.volume) if held and closed else 0.0
        # backtesting.py hands its commission the size of the trade, also at the exit: `_Broker._close_trade`
        side = held.side if held and not effect.opened else order.side
        money_of = (self._commission(order, side, price), swap, profit)
        return self._deal_row(order, (order.side, effect.entry, held.identifier if held else order.ticket), price, money_of)

    def _exit_deal(self, order: Order, closes: Position, *, by: Position) -> TradeDeal:
        profit = self._earned(closes, order.volume, by.price_open) if closes.ticket == order.closes else 0.0
        swap = self.account.rounded(closes.swap * order.volume / closes.volume)
        kind = (closes.closing_side, c.DEAL_ENTRY_OUT_BY, closes.identifier)
        return self._deal_row(order, kind, by.price_open, (self._commission(order, closes.side, by.price_open), swap, profit))

    def _deal_row(self, order: Order, kind: tuple[int, int, int], price: float, money_of: tuple[float, float, float]) -> TradeDeal:
        now, (side, entry, position_id) = self.now_msc, kind
        what = (side, entry, order.magic, position_id, order.reason, order.volume, price)
        row = (self.book.new_deal(), order.ticket, now // 1000, now, *what, *money_of, 0.0, order.symbol, order.comment, "")
        return TradeDeal(row)

    def _commission(self, order: Order, side: int, price: float) -> float:
        units = self.specs[order.symbol].units(order.volume)
        return self.account.rounded(0.0 - self.account.commission(money.signed(side, units), price))

    def _position(self, order: Order, price: float, lots: float, identifier: int) -> Position:
        now = self.now_msc
        known = (order.ticket, order.symbol, order.side, lots, price, order.sl, order.tp)
        return Position(*known, now, now, order.magic, order.reason, order.comment, identifier=identifier)

    def _earned(self, position: Position, lots: float, price: float) -> float:
        spec = self.specs[position.symbol]
        earned = money.profit(spec, money.signed(position.side, spec.units(lots)), position.price_open, price)
        result = money.profit_in_account(spec, earned, price, self.exchange)
        assert result is not None  # without a rate nothing was opened
        return self.account.rounded(result)

    def _margin(self) -> float:
        held: dict[str, list[Position]] = defaultdict(list)
        waiting: dict[str, list[Order]] = defaultdict(list)
        for position in self.book.positions.values():
            held[position.symbol].append(position)
        for order in self.book.active.values():
            waiting[order.symbol].append(order)
        symbols = sorted(held.keys() | waiting.keys())
        return self.account.rounded(sum((self._margin_of(symbol, held[symbol], waiting[symbol]) for symbol in symbols), 0.0))
