"""The terminal's functions about symbols and prices."""

from typing import Any

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import arguments as a
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.door import FAILED, NOT_FOUND, Door, call
from Backtest.simulated_terminal.groups import mask
from Backtest.simulated_terminal.rates import Array, Rates
from Backtest.simulated_terminal.replay import ReplayMarket
from Backtest.simulated_terminal.structs import BookInfo, SymbolInfo, Tick
from Backtest.simulated_terminal.symbol_fields import describe
from Backtest.simulated_terminal.symbols import SymbolSpec

MAX_BARS = 100_000  # "Max bars in chart": copy_rates_* serve less than that
_PARAMS = "Terminal: Invalid params"
_TIMEFRAMES = {each.mt5: each for each in TIMEFRAMES.values()}
_DEPTH_LOTS = 100.0  # shown on each side of the market depth, where there are more


class MarketFunctions(Door):
    """symbols_*, symbol_*, copy_*, market_book_*: shapes and errors of the package's functions of these names."""

    _market: ReplayMarket

    def __init__(self) -> None:
        super().__init__()
        self._described: dict[str, tuple[object, SymbolInfo]] = {}  # of which state
        self._hidden: set[str] | None = None  # from Market Watch; None: as the symbols begin
        self._books: set[str] = set()

    # -- symbols

    @call()
    def symbols_total(self) -> int:
        """symbols_total()

        How many symbols there are, shown or not.
        """
        self._connected()
        return len(self._market.series)

    @call(failure=False)
    def symbols_get(self, *args: Any, **filters: Any) -> tuple[SymbolInfo, ...] | None:
        """symbols_get([group="GROUP"])

        All symbols, or those of a group.
        """
        if len(args) > 1:
            raise Refused(a.COUNT)
        group = a.text(args[0], a.MOST_GROUP, "Invalid 1st unnamed argument") if args else filters.get("group", "")
        group = a.text(group, a.MOST_GROUP, 'Invalid "group" argument')
        if not self._attached:
            self._unattached()
            return None
        return tuple(self._describe(name) for name in self._market.series if not group or mask(group)(name))

    @call()
    def symbol_info(self, *args: Any) -> SymbolInfo:
        """symbol_info(symbol)

        The symbol's 96 fields, or None.
        """
        a.exactly(1, args)
        name = a.symbol(args[0])
        self._connected()
        self._known(name)
        return self._describe(name)

    @call()
    def symbol_info_tick(self, *args: Any) -> Tick:
        """symbol_info_tick(symbol)

        The last tick, or None when the symbol is unknown, not in Market Watch, or has not been quoted.
        """
        a.exactly(1, args)
        name = a.symbol(args[0])
        self._connected()
        quote = self._known(name).quote_at(self._server.now_msc)
        if quote is None or not self._watched(name):
            raise Refused(NOT_FOUND, c.RES_E_NOT_FOUND)
        trade = (quote.last, int(quote.volume))
        return Tick((quote.time_msc // 1000, quote.bid, quote.ask, *trade, quote.time_msc, quote.flags, quote.volume))

    @call(failure=False)
    def symbol_select(self, *args: Any) -> bool:
        """symbol_select(symbol,[enable])

        Show a symbol in Market Watch, or hide it; True when done. One with positions or orders cannot be hidden.
        """
        if len(args) not in (1, 2):
            raise Refused
        name = a.symbol(args[0])
        self._connected()
        self._known(name)
        if len(args) == 1 or args[1]:
            self._unseen().discard(name)
            return True
        if self._is_traded(name):
            raise Refused(FAILED, c.RES_E_FAIL)
        self._unseen().add(name)
        return True

    # -- bars and ticks

    @call()
    def copy_rates_from_pos(self, *args: Any) -> Array:
        """copy_rates_from_pos(symbol, timeframe, start_pos, count)

        Bars counted from the newest, which is still forming and has position 0; oldest first.
        """
        a.exactly(4, args)
        name = a.symbol(args[0])
        timeframe, start, count = (a.c_int("copy_rates_from_pos", value) for value in args[1:])
        rates = self._rates_of(name, timeframe, count)
        end = rates.count_at(self._server.now_msc) - start
        if start < 0:
            raise Refused(_PARAMS)
        if end <= 0:
            raise Refused(FAILED, c.RES_E_FAIL)
        return rates.between(max(0, end - count), end, self._server.now_msc)

    @call()
    def copy_rates_from(self, *args: Any) -> Array:
        """copy_rates_from(symbol, timeframe, date_from, count)

        The last `count` bars that opened at the date or before it; oldest first.
        """
        a.exactly(4, args)
        name, timeframe = a.symbol(args[0]), a.c_int("copy_rates_from", args[1])
        date, count = a.date("copy_rates_from", args[2]), a.c_int("copy_rates_from", args[3])
        rates = self._rates_of(name, timeframe, count)
        end = min(int(rates.times.searchsorted(date, side="right")), rates.count_at(self._server.now_msc))
        if end <= 0:
            raise Refused(FAILED, c.RES_E_FAIL)
        return rates.between(max(0, end - count), end, self._server.now_msc)

    @call()
    def copy_rates_range(self, *args: Any) -> Array:
        """copy_rates_range(symbol, timeframe, date_from, date_to)

        Bars that opened between the dates, both included; oldest first.
        """
        a.exactly(4, args)
        name, timeframe = a.symbol(args[0]), a.c_int("copy_rates_range", args[1])
        first, last = (a.date("copy_rates_range", value) for value in args[2:])
        if first > last:
            raise Refused(_PARAMS)
        rates = self._rates_of(name, timeframe, 1)
        count = rates.count_at(self._server.now_msc)
        if not count or last < rates.times[0]:
            raise Refused(FAILED, c.RES_E_FAIL)
        begin, end = (min(int(rates.times.searchsorted(first)), count), min(int(rates.times.searchsorted(last, side="right")), count))
        if end - begin >= MAX_BARS:
            raise Refused(_PARAMS)
        return rates.between(begin, end, self._server.now_msc)

    @call()
    def copy_ticks_from(self, *args: Any) -> Array:
        """copy_ticks_from(symbol, date_from, count, flags)

        The first `count` ticks from the date on.
        """
        a.exactly(4, args)
        name, date = a.symbol(args[0]), a.date("copy_ticks_from", args[1])
        count, flags = (a.c_int("copy_ticks_from", value) for value in args[2:])
        self._connected()
        return self._some_ticks(name, flags, (date * 1000, 2**62), count)

    @call()
    def copy_ticks_range(self, *args: Any) -> Array:
        """copy_ticks_range(symbol, date_from, date_to, flags)

        The ticks between the dates, both included.
        """
        a.exactly(4, args)
        name = a.symbol(args[0])
        first, last = (a.date("copy_ticks_range", value) for value in args[1:3])
        flags = a.c_int("copy_ticks_range", args[3])
        self._connected()
        return self._some_ticks(name, flags, (first * 1000, last * 1000), 2**62)

    # -- market depth

    @call()
    def market_book_add(self, *args: Any) -> bool:
        """market_book_add(symbol)

        Ask for a symbol's market depth; False, without a last error, when that is not possible.
        """
        a.exactly(1, args)
        name = a.symbol(args[0])
        if not self._attached or name not in self._market.series:
            return False
        self._books.add(name)
        return True

    @call()
    def market_book_release(self, *args: Any) -> bool:
        """market_book_release(symbol)

        No longer ask for a symbol's market depth.
        """
        a.exactly(1, args)
        name = a.symbol(args[0])
        asked = self._attached and name in self._books
        self._books.discard(name)
        return asked

    @call()
    def market_book_get(self, *args: Any) -> tuple[BookInfo, ...]:
        """market_book_get(symbol)

        The market depth: what is for sale, then what is wanted, by falling price. One line of each, with what can be had.
        """
        a.exactly(1, args)
        name = a.symbol(args[0])
        self._connected()
        quote = self._known(name).quote_at(self._server.now_msc) if name in self._books else None
        if quote is None:
            raise Refused(FAILED, c.RES_E_FAIL)
        lots = min(self._server.free_lots(name), _DEPTH_LOTS)
        sides = ((c.BOOK_TYPE_SELL, quote.ask), (c.BOOK_TYPE_BUY, quote.bid))
        return tuple(BookInfo((side, price, int(lots), lots)) for side, price in sides) if lots else ()

    # -- shared

    def _describe(self, name: str) -> SymbolInfo:
        series, terms = self._market.series[name], {"selected": self._watched(name), "visible": name not in self._unseen()}
        # asked several times in the same state; the server is that of the account
        state = (self._server, self._server.moment, series.spec, *terms.values())
        known = self._described.get(name)
        if known is None or known[0] != state:
            known = self._described[name] = state, describe(series, self._server.now_msc, self._server.exchange, **terms)
        return known[1]

    def _unseen(self) -> set[str]:
        if self._hidden is None:
            self._hidden = {name for name, series in self._market.series.items() if not series.spec.visible}
        return self._hidden

    def _watched(self, name: str) -> bool:
        return name not in self._unseen() or self._is_traded(name) or name in self._server.exchange.pairs_of(self._in_view())

    def _is_traded(self, name: str) -> bool:
        return bool(self._book.on(name)) or any(order.symbol == name for order in self._book.active.values())

    def _in_view(self) -> list[SymbolSpec]:
        return [series.spec for name, series in self._market.series.items() if name not in self._unseen()]

    def _rates_of(self, name: str, timeframe: int, count: int) -> Rates:
        """The bars of a symbol; refused as the terminal does: an unknown symbol reads like an outage."""
        self._connected()
        known = _TIMEFRAMES.get(timeframe)
        if known is None or not 0 < count < MAX_BARS:
            raise Refused(_PARAMS)
        series = self._market.series.get(name)
        if series is None or known.seconds < series.timeframe.seconds:
            raise Refused(FAILED, c.RES_E_FAIL)
        return series.rates(known)

    def _some_ticks(self, name: str, flags: int, between_msc: tuple[int, int], most: int) -> Array:
        self._known(name)
        return self._market.series[name].ticks(self._server.now_msc, between_msc, most=most, flags=flags)
