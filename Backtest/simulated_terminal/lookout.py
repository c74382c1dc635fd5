"""Which event of a replay is the next that can change the account (pure): the others need not be played one by one.

Nothing happens to an account while no price reaches a level or a pending order, no order expires, no day begins, and the
worst prices of a stretch would not bring the stop-out. Bounds err towards playing: an event that is played without need
changes nothing.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import money
from Backtest.simulated_terminal.book import Kind, Position
from Backtest.simulated_terminal.lifetimes import end_of
from Backtest.simulated_terminal.market import Quote
from Backtest.simulated_terminal.matching import Matching
from Backtest.simulated_terminal.orders import DAY_SECONDS, Order
from Backtest.simulated_terminal.replay import ReplayMarket
from Backtest.simulated_terminal.timeline import Prices

_FEW = 8  # events that are played sooner than thought about
_FIRST_STRETCH, _LONGEST_STRETCH = 64, 65_536  # events
_SHORTEST_STRETCH = 16


class Band(NamedTuple):
    """The prices between which nothing on a symbol is touched, ends not included."""

    bid_low: float = -math.inf
    bid_high: float = math.inf
    ask_low: float = -math.inf
    ask_high: float = math.inf

    def narrowed(self, *, buys: bool, rising: bool, price: float) -> "Band":
        """With one more price that waits: of what buys (at the ask) or sells, reached from below (`rising`) or from above."""
        if buys:
            return self._replace(ask_high=min(self.ask_high, price)) if rising else self._replace(ask_low=max(self.ask_low, price))
        return self._replace(bid_high=min(self.bid_high, price)) if rising else self._replace(bid_low=max(self.bid_low, price))


class Span(NamedTuple):
    """Between which prices a symbol is quoted in a stretch."""

    bid_low: float
    bid_high: float
    ask_low: float
    ask_high: float


class Lookout:
    """Looks ahead on behalf of an account that trades on a replayed market."""

    def __init__(self, account: Matching, market: ReplayMarket) -> None:
        self._account, self._market = account, market
        self._state: tuple[int, ...] = ()
        self._quiet_until = 0  # no event before this one matters
        self._each_until = 0  # before this one every event is played

    def next_that_matters(self, first: int, end: int) -> int:
        """The first event from number `first` to before `end` that has to be played; `end` when there is none."""
        state = self._numbers()
        if state != self._state:
            self._state, self._quiet_until, self._each_until = state, first, 0
            if end - first <= _FEW:  # someone trades at every turn
                self._each_until = end
        if first < self._each_until:
            return first
        if self._quiet_until < end:
            self._quiet_until = self._look(max(first, self._quiet_until), end)
        return min(self._quiet_until, end)

    def _numbers(self) -> tuple[int, ...]:
        # every change of an account takes one: a request's, an order's or a deal's
        book = self._account.book
        return (book.next_request, book.next_order, book.next_deal, len(book.active), len(book.positions), book.day)

    def _look(self, first: int, end: int) -> int:
        """The first event from `first` on that matters; where none does before `end`, one at or after it."""
        stop = max(first, self._deadline())
        bands = self._bands()
        if bands is None:
            return first
        if not bands and not self._account.book.positions:
            return stop
        length = _FIRST_STRETCH
        while first < min(stop, end):
            stretch = min(first + length, stop)
            touched = self._first_touched(bands, first, stretch)
            if self._account.book.positions and touched > first and not self._survives(first, touched):
                if touched - first <= _SHORTEST_STRETCH:
                    self._each_until = touched
                    return first
                length = (touched - first) // 2
                continue
            if touched < stretch:
                return touched
            first, length = stretch, min(2 * length, _LONGEST_STRETCH)
        return first

    def _deadline(self) -> int:
        """The first event at which an order has expired or the next day has begun."""
        book, specs = self._account.book, self._account.specs
        ends = (end_of(order, specs[order.symbol]) for order in book.active.values())
        second = min([(book.day + 1) * DAY_SECONDS, *(end for end in ends if end is not None)])
        return self._market.events.first_from(second * 1000)

    # -- levels and orders

    def _bands(self) -> dict[str, Band] | None:
        """For each symbol on which something waits; None when something does not even wait for a price."""
        book = self._account.book
        bands: dict[str, Band] = {}
        for symbol, waiting in book.triggers.items():
            band = Band()
            for trigger in waiting:
                if trigger.kind is not Kind.ORDER:
                    band = _with_level(band, book.positions[trigger.ticket], trigger.kind)
                    continue
                order = book.active[trigger.ticket]
                if order.type == order.side:
                    return None
                band = _with_order(band, order)
            if waiting:
                bands[symbol] = band
        return bands

    def _first_touched(self, bands: dict[str, Band], first: int, end: int) -> int:
        events = self._market.events
        for symbol, band in bands.items():
            begin, stop = events.rows(symbol, first, end)
            (bid_low, bid_high), (ask_low, ask_high) = self._market.series[symbol].ranges(begin, stop)
            hit = (bid_low <= band.bid_low) | (bid_high >= band.bid_high) | (ask_low <= band.ask_low) | (ask_high >= band.ask_high)
            if hit.any():
                end = min(end, events.event_of(symbol, begin + int(hit.argmax()), first))
        return end

    # -- the stop-out

    def _survives(self, first: int, end: int) -> bool:
        """Whether the worst prices from `first` to before `end` leave the account above its stop-out."""
        account, held = self._account, self._account.book.positions.values()
        pairs = self._pairs()
        spans = {symbol: self._span(symbol, first, end) for symbol in {position.symbol for position in held} | pairs}
        rates = math.prod(spans[name].ask_high / spans[name].bid_low for name in pairs)
        worst = sum(self._worst(position, spans[position.symbol], rates) + position.swap for position in held)
        digits = account.account.money_digits
        noise = 10.0 ** -(8 if digits is None else digits) * (len(held) + 2)  # of what the account rounds
        equity = account.book.balance + worst - noise
        margin = account.figures().margin * rates + noise
        in_money = account.account.stop_out_mode == c.ACCOUNT_STOPOUT_MODE_MONEY
        judged = equity if in_money else money.level(equity, margin)
        return equity > 0 and judged > account.account.stop_out

    def _pairs(self) -> set[str]:
        """The symbols whose quotes turn the account's profits and margins into its currency."""
        account, asked = self._account, set[str]()

        def quote(symbol: str) -> Quote | None:
            asked.add(symbol)
            return account.quote(symbol)

        exchange = replace(account.exchange, quote=quote)
        held: list[Position | Order] = [*account.book.positions.values(), *account.book.active.values()]
        for symbol, side in {(each.symbol, each.side) for each in held}:
            spec = account.specs[symbol]
            money.profit_in_account(spec, 1.0, 1.0, exchange)
            money.margin_in_account(spec, side, 1.0, 1.0, exchange)
        return asked

    def _span(self, symbol: str, first: int, end: int) -> Span:
        """Where a symbol's prices are, from now until the events from `first` to before `end` have played."""
        begin, stop = self._market.events.rows(symbol, first, end)
        # with the price before, which stands until the first of them: it may have come after now
        bids, asks = self._market.series[symbol].ranges(max(0, begin - 1), stop)
        quote = self._account.quote(symbol)
        now = (math.nan, math.nan) if quote is None else (quote.bid, quote.ask)
        return Span(*_least_and_most(now[0], *bids), *_least_and_most(now[1], *asks))

    def _worst(self, position: Position, span: Span, rates: float) -> float:
        """The least that a position can be worth: its value moves one way with its price, and with each rate."""
        account, spec = self._account, self._account.specs[position.symbol]
        units = money.signed(position.side, spec.units(position.volume))
        prices = (span.bid_low, span.bid_high) if position.is_long else (span.ask_low, span.ask_high)
        values = (
            money.profit_in_account(spec, money.profit(spec, units, position.price_open, price), price, account.exchange)
            for price in prices
        )
        return min(-math.inf if value is None else value * rates if value < 0 else value / rates for value in values)


def _least_and_most(now: float, lows: Prices, highs: Prices) -> tuple[float, float]:
    return float(np.fmin(now, lows.min(initial=math.inf))), float(np.fmax(now, highs.max(initial=-math.inf)))


def _with_order(band: Band, order: Order) -> Band:
    buys = order.side == money.BUY
    rising = buys == bool(order.stop)  # a stop is reached where the price gets worse, a limit where it gets better
    return band.narrowed(buys=buys, rising=rising, price=order.stop or order.limit)


def _with_level(band: Band, position: Position, kind: Kind) -> Band:
    is_stop = kind is Kind.STOP_LOSS
    price = position.sl if is_stop else position.tp
    return band.narrowed(buys=not position.is_long, rising=position.is_long != is_stop, price=price) if price else band
