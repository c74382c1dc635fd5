"""Short plays of one order each, for the crash matrix: what a strategy does on its first bars, and which send is meant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Step = Callable[[Any, float], None]
LOTS = 4000.0  # units: 0.04 lots
AWAY = 0.0005


@dataclass(frozen=True, slots=True)
class Scene:
    """What is done on which bar (from 0), which send it is about, and what else happens."""

    steps: Mapping[int, Step]
    send: int
    deals: bool  # whether it can be filled in part
    more: tuple[tuple[dict[str, Any], str, dict[str, Any]], ...] = ()


def _enter(strategy: Any, price: float) -> None:
    strategy.buy(size=LOTS, **strategy.guards(price, 1))


def _wait(strategy: Any, price: float) -> None:
    strategy.buy(size=LOTS, limit=round(price - AWAY, 5))


def _wait_far(strategy: Any, price: float) -> None:
    strategy.buy(size=LOTS, limit=round(price - 100 * AWAY, 5))


def _close(strategy: Any, price: float) -> None:
    strategy.position.close()


def _part(strategy: Any, price: float) -> None:
    for trade in strategy.trades:
        trade.close(0.5)


def _protect(strategy: Any, price: float) -> None:
    for trade in strategy.trades:
        trade.sl = round(price - 0.004, 5)


def _cancel(strategy: Any, price: float) -> None:
    for order in strategy.orders:
        order.cancel()


_STOP = ({"at": 450.0}, "stop_file", {"as": "EMERGENCY_STOP", "stays": 200.0})
SCENES: Mapping[str, Scene] = {
    "entry": Scene({0: _enter}, 1, True),
    "full close": Scene({0: _enter, 1: _close}, 2, True),
    "partial close": Scene({0: _enter, 1: _part}, 2, True),
    "levels": Scene({0: _enter, 1: _protect}, 2, False),
    "pending placed": Scene({0: _wait}, 1, False),
    "pending removed": Scene({0: _wait_far, 1: _cancel}, 2, False),
    "flatten": Scene({0: _enter}, 2, True, more=(_STOP,)),
}
