"""What the paper account asks of the other terminal: symbols, quotes and ticks, and nothing else.

Raises Refused with that terminal's own error when it does not answer: then nothing is known.
"""

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.market import Quote

_PAGE = 100_000  # ticks asked for at once


class Cursor(NamedTuple):
    """How far a symbol's ticks were taken in: the stamp of the last one, and how many had that stamp."""

    time_msc: int
    seen: int


class Source:
    """A terminal of which only what it shows of symbols is asked."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal

    def online(self) -> bool:
        """Whether it is connected to its server."""
        info = self._terminal.terminal_info()
        return bool(info.connected) if info is not None else self._failed()

    def identity(self) -> tuple[int, str]:
        """Login and server of its account."""
        info = self._terminal.account_info()
        return (int(info.login), str(info.server)) if info is not None else self._failed()

    def symbol(self, name: str) -> Any | None:
        """The `symbol_info`; None when there is no such symbol."""
        info = self._terminal.symbol_info(name)
        if info is None:
            self._absent()
        return info

    def pairs(self, one: str, other: str) -> list[Any]:
        """The `symbol_info` of each symbol that may trade one currency against the other, plain pairs first."""
        found = self._terminal.symbols_get(f"*{one}*{other}*,*{other}*{one}*")
        if found is None:
            self._failed()
        pairs = [info for info in found if {info.currency_base, info.currency_profit} == {one, other}]
        plain = (c.SYMBOL_CALC_MODE_FOREX, c.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE)
        return sorted(pairs, key=lambda info: (info.trade_calc_mode not in plain, len(info.name)))

    def newest_msc(self) -> int:
        """When anything was quoted last, to the second; 0 when nothing ever was."""
        infos = self._terminal.symbols_get()
        if infos is None:
            self._failed()
        return max((int(info.time) for info in infos), default=0) * 1000

    def show(self, name: str) -> None:
        """Have the symbol in Market Watch: without that it may have no quotes."""
        self._terminal.symbol_select(name, True)

    def quote(self, name: str) -> Quote | None:
        """The newest tick; None when there is none yet that can be traded on."""
        tick = self._terminal.symbol_info_tick(name)
        if tick is None:
            self._absent()
            return None
        quote = Quote(float(tick.bid), float(tick.ask), int(tick.time_msc))
        return quote if is_sane(quote) else None

    def margin(self, name: str, lots: float, price: float) -> float:
        """What buying so much would bind on its account; 0.0 when it does not say."""
        return self._terminal.order_calc_margin(c.ORDER_TYPE_BUY, name, lots, price) or 0.0

    def since(self, name: str, cursor: Cursor) -> list[Quote] | None:
        """All ticks after those that were taken in, oldest first; None when there is no history of them."""
        found: list[Quote] = []
        while True:
            # mt5linux takes no plain seconds for the date
            second = datetime.fromtimestamp(cursor.time_msc // 1000, UTC)
            rows = self._terminal.copy_ticks_from(name, second, _PAGE, c.COPY_TICKS_INFO)
            if rows is None:
                return None
            fresh = after(rows, cursor)
            found += fresh
            if len(rows) < _PAGE or not fresh:
                return [quote for quote in found if is_sane(quote)]
            cursor = cursor_at(fresh, cursor)

    def _absent(self) -> None:
        """There is no such thing, unless it was the question that failed."""
        code, text = self._terminal.last_error()
        if code != c.RES_E_NOT_FOUND:
            raise Refused(text, code)

    def _failed(self) -> Any:
        code, text = self._terminal.last_error()
        raise Refused(text, code)


def after(rows: Any, cursor: Cursor) -> list[Quote]:
    """The ticks of a sorted array that come after a cursor."""
    times = rows["time_msc"]
    begin = times.searchsorted(cursor.time_msc) + cursor.seen
    begin = min(begin, times.searchsorted(cursor.time_msc, side="right"))
    columns = (rows[name][begin:].tolist() for name in ("bid", "ask", "time_msc"))
    return [Quote(*values) for values in zip(*columns, strict=True)]


def cursor_at(quotes: list[Quote], before: Cursor | None) -> Cursor:
    """Where one is after these ticks, which came after `before`."""
    last = quotes[-1].time_msc
    seen = sum(quote.time_msc == last for quote in quotes)
    return Cursor(last, seen + (before.seen if before and before.time_msc == last else 0))


def is_sane(quote: Quote) -> bool:
    """Whether both prices are there and not crossed: others come before an opening, and from a broken feed."""
    return 0 < quote.bid <= quote.ask < math.inf
