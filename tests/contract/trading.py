"""What the contract's tests ask for: requests that any broker takes, and waiting for what a server shows a little later."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.kinds import MAGIC, Bench

DEAL, PENDING, SLTP, MODIFY, REMOVE = 1, 5, 6, 7, 8
BUY, SELL, BUY_LIMIT, SELL_LIMIT = 0, 1, 2, 3
DONE, MARKET_CLOSED = 10009, 10018
OK = (1, "Success")
_TRIES, _PAUSE = 50, 0.2


def eventually(bench: Bench, find: Callable[[], Any]) -> Any:
    """What `find` finds: at once, or as soon as the terminal shows it."""
    for _ in range(_TRIES):
        if found := find():
            return found
        bench.wait(_PAUSE)
    raise AssertionError(f"not found; the last error is {bench.mt5.last_error()}")


def error(bench: Bench) -> tuple[int, str]:
    """The last error as a plain tuple, also where it came over a wire."""
    code, text = bench.mt5.last_error()
    return int(code), str(text)


def info(bench: Bench) -> Any:
    """The symbol that is traded."""
    return bench.mt5.symbol_info(bench.symbol)


def now(bench: Bench) -> datetime:
    """The server's time, as its last tick tells it."""
    return datetime.fromtimestamp(bench.mt5.symbol_info_tick(bench.symbol).time, UTC)


def history(bench: Bench) -> tuple[datetime, datetime]:
    """Dates that have all that was traded in the last minutes between them."""
    return now(bench) - timedelta(days=1), now(bench) + timedelta(days=2)


def filling(bench: Bench) -> int:
    """A filling mode that the symbol offers to market orders."""
    symbol = info(bench)
    if symbol.trade_exemode < 2 or symbol.filling_mode & 1:
        return 0
    return 1 if symbol.filling_mode & 2 else 2


def deal(bench: Bench, side: int = BUY, **more: Any) -> dict[str, Any]:
    """A market order of the smallest volume."""
    tick = bench.mt5.symbol_info_tick(bench.symbol)
    return {
        "action": DEAL,
        "symbol": bench.symbol,
        "type": side,
        "volume": info(bench).volume_min,
        "price": tick.bid if side else tick.ask,
        "deviation": 50,
        "magic": MAGIC,
        "comment": "contract",
        "type_filling": filling(bench),
        **more,
    }


def away(bench: Bench, percent: float) -> float:
    """A price so far from the market, on the symbol's grid."""
    symbol = info(bench)
    grid = symbol.trade_tick_size or symbol.point
    return float(round(round(symbol.bid * (1 + percent / 100) / grid) * grid, symbol.digits))


def pending(bench: Bench, order_type: int = BUY_LIMIT, percent: float = -5.0, **more: Any) -> dict[str, Any]:
    """A pending order of the smallest volume, far from the market."""
    return deal(bench, order_type) | {"action": PENDING, "price": away(bench, percent), "type_filling": 2, **more}


def sent(bench: Bench, request: dict[str, Any]) -> Any:
    """The answer to a request that must be carried out; a real market may be closed."""
    answer = bench.mt5.order_send(request)
    assert answer is not None, error(bench)
    if answer.retcode == MARKET_CLOSED:
        pytest.skip("the market is closed")
    assert answer.retcode == DONE, answer
    return answer


def opened(bench: Bench, side: int = BUY, **more: Any) -> Any:
    """A new position."""
    answer = sent(bench, deal(bench, side, **more))
    return eventually(bench, lambda: bench.mt5.positions_get(ticket=answer.order))[0]


def close(bench: Bench, position: Any, **more: Any) -> dict[str, Any]:
    """The request that closes a position."""
    return deal(bench, 1 - position.type, **({"volume": position.volume, "position": position.ticket} | more))


def clear(bench: Bench) -> None:
    """Take back the contract's orders and close its positions."""
    for order in bench.mt5.orders_get():
        if order.magic == MAGIC:
            bench.mt5.order_send({"action": REMOVE, "order": order.ticket})
    for position in bench.mt5.positions_get():
        if position.magic == MAGIC:
            bench.mt5.order_send(close(bench, position))
