"""Live quotes, played to a trade server: one after the other, as they came, also those that came while nobody looked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import money
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.door import FAILED
from Backtest.simulated_terminal.market import Event, Phase, Quote
from Backtest.simulated_terminal.paper.quotes import LiveMarket, LiveQuotes
from Backtest.simulated_terminal.paper.source import Cursor, Source, cursor_at
from Backtest.simulated_terminal.paper.specs import has_simulated_swaps, symbol_spec, with_margin
from Backtest.simulated_terminal.rollover import day_of
from Backtest.simulated_terminal.server import TradeServer
from Backtest.simulated_terminal.symbols import SymbolSpec

Tell = Callable[[str], None]


class Tape:
    """The quotes of the symbols that are followed, played to a server of ours.

    `now` is the machine's clock, which only tells whether a symbol is quoted at the moment; `tell` is given sentences
    for people. Every method raises Refused when the source does not answer: nothing has been played then.
    """

    def __init__(self, source: Source, market: LiveMarket, server: TradeServer, *, now: Callable[[], datetime], tell: Tell) -> None:
        self._source, self._market, self._server, self._now, self._tell = source, market, server, now, tell
        self._cursors: dict[str, Cursor] = {}
        self._renewed: set[str] = set()  # symbols whose margin was compared with the broker's
        self._told: set[str] = set()

    # -- which symbols

    def follow(self, name: str) -> bool:
        """Take up a symbol, and those that turn its money into the account's; False when the source has no such symbol.

        Raises BadInput when its money cannot be told in the account's currency.
        """
        series = self._market.series
        if name in series:
            return True
        info = self._source.symbol(name)
        if info is None:
            return False
        before = set(series)
        try:
            self._add(info)
            for currency in _currencies(series[name].spec):
                self._follow_pair(currency)
            self._server.exchange.refuse_unreachable()
        except (BadInput, Refused):
            for added in set(series) - before:
                del series[added], self._server.specs[added]
            raise
        return True

    def renew(self, name: str) -> None:
        """Read again what the broker allows on a symbol that is followed: levels, swaps and limits change."""
        info, quotes = self._source.symbol(name), self._market.series[name]
        if info is None:
            raise Refused(FAILED, c.RES_E_FAIL)
        spec = self._with_margin(symbol_spec(info, self._server.account.currency), quotes.quote)
        if spec != quotes.spec:
            quotes.spec = self._server.specs[name] = spec
        self._renewed.add(name)

    def _with_margin(self, spec: SymbolSpec, quote: Quote | None) -> SymbolSpec:
        account, exchange = self._server.account, self._server.exchange
        lots = min(max(1.0, spec.volume_min), spec.volume_max)
        ours = quote and money.order_margin(spec, money.BUY, lots, quote.ask, (account, exchange))
        if quote is None or not ours or not (theirs := self._source.margin(spec.name, lots, quote.ask)):
            return spec
        return with_margin(spec, money.margin(spec, 1.0, quote.ask, account.leverage), ours=ours, theirs=theirs)

    def _follow_pair(self, currency: str) -> None:
        account, exchange = self._server.account.currency, self._server.exchange
        if currency == account or exchange.pair_for(currency) is not None:
            return
        for info in self._source.pairs(currency, account)[:1]:
            self._source.show(info.name)
            self._add(info)

    def _add(self, info: Any) -> None:
        spec = symbol_spec(info, self._server.account.currency)
        if not has_simulated_swaps(info):
            self._tell_once(f"{info.name}: its swaps (mode {info.swap_mode}) are not simulated: nights cost nothing on the paper account")
        self._market.series[info.name] = LiveQuotes(spec)
        self._server.specs[info.name] = spec

    # -- what they are quoted

    def look(self) -> None:
        """Play every tick that has come since the last look."""
        needed = self._needed()
        news = {name: each for name, quotes in self._market.series.items() if (each := self._news(name, quotes, needed))}
        ticks = sorted([(name, tick) for name, each in news.items() for tick in each], key=_stamp)
        new_day = ticks and day_of(ticks[-1][1].time_msc // 1000) != self._server.book.day
        for name in needed if new_day else needed - self._renewed:
            self.renew(name)
        for name, each in news.items():
            self._cursors[name] = cursor_at(each, self._cursors.get(name))
        for event, quotes in _events(ticks):
            for name, quote in quotes.items():
                self._market.series[name].quote = quote
            # where another symbol's tick was newer, or the server's clock was put back: time does not run backwards here
            self._server.play(event._replace(time_msc=max(event.time_msc, self._server.now_msc)))

    def _news(self, name: str, quotes: LiveQuotes, needed: set[str]) -> list[Quote]:
        newest, cursor = self._source.quote(name), self._cursors.get(name)
        if newest is None:
            if name in needed:
                raise Refused(FAILED, c.RES_E_FAIL)  # what the account is worth is not known
            return []
        quotes.open = quotes.freshness.look(newest.time_msc / 1000, self._now().timestamp())
        if newest == quotes.quote:
            return []
        # an older one: the server's clock was put back, at the end of its summer time
        at_once = cursor is None or name not in needed or newest.time_msc < cursor.time_msc
        return [newest] if cursor is None or at_once else self._missed(name, newest, cursor)

    def _missed(self, name: str, newest: Quote, cursor: Cursor) -> list[Quote]:
        """The ticks after a cursor up to the newest one, which the history of a slow terminal may not have yet."""
        ticks = self._source.since(name, cursor) or []
        if not ticks and newest.time_msc > cursor.time_msc:
            self._tell_once(
                f"{name}: the terminal gives no history of ticks; stops and pending orders are looked at on the newest one only"
            )
        return ticks if ticks and ticks[-1].time_msc >= newest.time_msc else [*ticks, newest]

    def _needed(self) -> set[str]:
        """The symbols on which every tick matters: those with positions or orders, and those that turn their money."""
        book, exchange = self._server.book, self._server.exchange
        held = {position.symbol for position in book.positions.values()} | {order.symbol for order in book.active.values()}
        for name in held:
            if not self.follow(name):
                raise Refused(FAILED, c.RES_E_FAIL)
        foreign = {currency for name in held for currency in _currencies(self._server.specs[name])} - {self._server.account.currency}
        pairs = map(exchange.pair_for, foreign)
        return held | {pair.name for pair in pairs if pair is not None}

    def _tell_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._tell(sentence)

    # -- over a restart

    def place(self) -> dict[str, list[float]]:
        """How far each symbol was played, and its quote there."""
        series = self._market.series
        return {name: [*cursor, *quote[:2]] for name, cursor in self._cursors.items() if (quote := series[name].quote)}

    def resume(self, place: Mapping[str, Sequence[float]]) -> None:
        """Go on from a place: those ticks that came since are played by the next look."""
        for name, (time_msc, seen, bid, ask) in place.items():
            if self.follow(name):
                self._cursors[name] = Cursor(int(time_msc), int(seen))
                self._market.series[name].quote = Quote(bid, ask, int(time_msc))


def _currencies(spec: SymbolSpec) -> tuple[str, ...]:
    """The currencies of a symbol's profit, margin and swap."""
    base = (spec.currency_base,) if spec.swap_mode == c.SYMBOL_SWAP_MODE_CURRENCY_SYMBOL else ()
    return (spec.currency_profit, spec.currency_margin, *base)


def _stamp(tick: tuple[str, Quote]) -> int:
    return tick[1].time_msc


def _events(ticks: list[tuple[str, Quote]]) -> Iterator[tuple[Event, dict[str, Quote]]]:
    """Sorted ticks as events: those of several symbols in one millisecond are one, those of one symbol are one each."""
    for time_msc, group in groupby(ticks, key=_stamp):
        rest = list(group)
        while rest:
            quotes: dict[str, Quote] = {}
            later = [each for each in rest if quotes.setdefault(*each) is not each[1]]
            yield Event(time_msc, Phase.TICK, tuple(quotes)), quotes
            rest = later
