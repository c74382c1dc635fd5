"""Strategies that give the executor every kind of work, and now and then go wrong.

What is done on a bar is told by its closing price alone: an order that was missed changes no later decision, and a strategy
that was started anew decides what it would have decided.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backtesting import Strategy

Step = Callable[[Any, float], None]
LOT = 1000.0  # units of 0.01 lots
STOP, TAKE = 0.0012, 0.0016
NEAR = 0.0004


class Worker(Strategy):
    """Does what its menu says; `instead` gives what is done on a bar in place of that, if anything."""

    menu: Sequence[str] = ()
    levels = True
    instead: Callable[[Any], "Step | None"] = staticmethod(lambda _: None)

    def init(self) -> None:
        pass

    def next(self) -> None:
        price = float(self.data.Close[-1])
        step = type(self).instead(self.data.index[-1])
        if step is not None:
            step(self, price)
            return
        draw = round(price * 1e5) * 2654435761 % 2**32
        for number in range(1 + (draw >> 8) % 3 if "many" in self.menu else 1):
            action = self.menu[(draw + number * 7) % len(self.menu)]
            if action != "many":
                ACTIONS[action](self, price, 1 + (draw >> 4) % 4)

    def guards(self, price: float, side: int) -> dict[str, float]:
        return {"sl": price - side * STOP, "tp": price + side * TAKE} if self.levels else {}


def _buy(worker: Worker, price: float, lots: int) -> None:
    worker.buy(size=lots * LOT, **worker.guards(price, 1))


def _sell(worker: Worker, price: float, lots: int) -> None:
    worker.sell(size=lots * LOT, **worker.guards(price, -1))


def _limit(worker: Worker, price: float, lots: int) -> None:
    worker.buy(size=lots * LOT, limit=price - NEAR, **worker.guards(price - NEAR, 1))


def _stop(worker: Worker, price: float, lots: int) -> None:
    worker.sell(size=lots * LOT, stop=price - NEAR, **worker.guards(price - NEAR, -1))


def _stop_limit(worker: Worker, price: float, lots: int) -> None:
    worker.buy(size=lots * LOT, stop=price + NEAR, limit=price + NEAR / 2, **worker.guards(price + NEAR / 2, 1))


def _cancel(worker: Worker, price: float, lots: int) -> None:
    for order in [order for order in worker.orders if not order.is_contingent][:lots]:
        order.cancel()


def _close(worker: Worker, price: float, lots: int) -> None:
    worker.position.close()


def _close_one(worker: Worker, price: float, lots: int) -> None:
    for trade in worker.trades[:1]:
        trade.close()


def _part(worker: Worker, price: float, lots: int) -> None:
    for trade in worker.trades[:1]:
        trade.close(0.5)


def _protect(worker: Worker, price: float, lots: int) -> None:
    for trade in worker.trades:
        trade.sl = price - STOP * 1.5 if trade.is_long else price + STOP * 1.5


def rests(worker: Worker, price: float, lots: int = 0) -> None:
    """Do nothing."""


ACTIONS: Mapping[str, Callable[[Worker, float, int], None]] = {
    "buy": _buy,
    "sell": _sell,
    "limit": _limit,
    "stop": _stop,
    "stop-limit": _stop_limit,
    "cancel": _cancel,
    "close": _close,
    "close one": _close_one,
    "part": _part,
    "protect": _protect,
    "rest": rests,
}
MENUS: Mapping[str, Sequence[str]] = {
    "market": "buy sell close buy rest".split(),
    "waiting": ["limit", "stop", "stop-limit", "cancel", "limit", "close", "rest"],
    "parts": ["buy", "part", "protect", "sell", "close one", "protect", "part"],
    "burst": ["many", "buy", "sell", "close one", "part", "limit", "protect"],
    "mixed": ["buy", "limit", "stop", "part", "protect", "sell", "cancel", "close", "stop-limit", "close one"],
}


def _raise(worker: Worker, price: float) -> None:
    raise ZeroDivisionError("a strategy fails on this bar")


def _odd(size: Any, **more: Any) -> Callable[[Worker, float], None]:
    def act(worker: Worker, price: float) -> None:
        worker.buy(size=size, **{name: price * factor for name, factor in more.items()})

    return act


def _wrong_side(worker: Worker, price: float) -> None:
    worker.buy(size=LOT, sl=price + STOP)


def _too_near(worker: Worker, price: float) -> None:
    worker.buy(size=LOT, sl=price - 0.00002, tp=price + 0.00002)


def _nothing_is_left(worker: Worker, price: float) -> None:
    for step in range(12):
        (worker.buy if step % 2 else worker.sell)(size=LOT)
    worker.position.close()


# What a strategy does on a bar on which it goes wrong.
WRONG: Mapping[str, Step] = {
    "raises": _raise,
    "size nan": _odd(float("nan")),
    "size inf": _odd(float("inf")),
    "size zero": _odd(0.0),
    "size negative": _odd(-3000.0),
    "size huge": _odd(1e9),
    "size tiny": _odd(1.0),
    "stop on the wrong side": _wrong_side,
    "stop too near": _too_near,
    "stop nan": _odd(LOT, sl=float("nan")),
    "many at once": _nothing_is_left,
}
