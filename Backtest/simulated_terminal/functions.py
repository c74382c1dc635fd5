"""The functions of the `MetaTrader5` module: 32 of the compiled core, and the helpers that are written in Python."""

import inspect
from types import BuiltinFunctionType
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.in_use import current
from Backtest.simulated_terminal.terminal import SimulatedTerminal

_PRICE_TRIES = 10
_TRY_AGAIN = frozenset({c.TRADE_RETCODE_REQUOTE, c.TRADE_RETCODE_PRICE_OFF})
_DEVIATION = 10  # points


class Function:
    """A function of the terminal in use. As C's functions it does not bind: programs put it into their classes."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name
        # bridges read the parameters' names from the first line
        self.__doc__ = inspect.getdoc(getattr(SimulatedTerminal, name))

    @property  # type: ignore[misc]  # what `isinstance` looks at: programs look for the package's built-in functions
    def __class__(self) -> type:
        return BuiltinFunctionType

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(current(), self.__name__)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"


def Buy(symbol: str, volume: float, price: float | None = None, *, comment: str | None = None, ticket: int | None = None) -> Any:
    """Buy at market, or close the short position `ticket`; the answer of order_send."""
    return _at_market(c.ORDER_TYPE_BUY, symbol, volume, price, (comment, ticket))


def Sell(symbol: str, volume: float, price: float | None = None, *, comment: str | None = None, ticket: int | None = None) -> Any:
    """Sell at market, or close the long position `ticket`; the answer of order_send."""
    return _at_market(c.ORDER_TYPE_SELL, symbol, volume, price, (comment, ticket))


def Close(symbol: str, *, comment: str | None = None, ticket: int | None = None) -> bool | str | None:
    """Close all positions of a symbol, or the one with this ticket: True, "Partially" when not all, False when none was.

    None when there was no price or no answer.
    """
    terminal = current()
    found = terminal.positions_get(symbol=symbol) if ticket is None else terminal.positions_get(ticket=ticket)
    closed = 0
    for position in found:
        side = c.ORDER_TYPE_SELL if position.type == c.POSITION_TYPE_BUY else c.ORDER_TYPE_BUY
        if terminal.symbol_info_tick(symbol) is None:
            return None
        answer = _at_market(side, symbol, position.volume, None, (comment, position.ticket))
        if answer is None:
            return None
        closed += answer.retcode == c.TRADE_RETCODE_DONE
    if closed and closed < len(found):
        return "Partially"
    return closed > 0


def _at_market(order_type: int, symbol: str, volume: float, price: float | None, terms: tuple[str | None, int | None]) -> Any:
    """At the price that is given, or at the market's, which is asked for again when it has moved."""
    if price is not None:
        return _RawOrder(order_type, symbol, volume, price, *terms)
    answer = None
    for _ in range(_PRICE_TRIES):
        tick = current().symbol_info_tick(symbol)
        answer = _RawOrder(order_type, symbol, volume, tick.ask if order_type == c.ORDER_TYPE_BUY else tick.bid, *terms)
        if answer is None or answer.retcode not in _TRY_AGAIN:
            break
    return answer


def _RawOrder(order_type: int, symbol: str, volume: float, price: float, comment: str | None = None, ticket: int | None = None) -> Any:
    request: dict[str, Any] = {
        "action": c.TRADE_ACTION_DEAL,
        "symbol": symbol,
        "volume": volume,
        "type": order_type,
        "price": price,
        "deviation": _DEVIATION,
    }
    request |= {} if comment is None else {"comment": comment}
    request |= {} if ticket is None else {"position": ticket}
    return current().order_send(request)
