"""Faults of prices: what the trader is shown in place of a terminal's answer. The market itself goes on as it is.

A view is given the answer, the parameters, and a place of its own to remember things in; what it does not change it gives back.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from Backtest.simulated_terminal import Tick

State = dict[str, Any]
_POINT = 1e-5


def _edited(rates: Any, edit: Callable[[Any], None]) -> Any:
    if len(rates) < 3:
        return rates
    made = rates.copy()
    made.flags.writeable = True
    edit(made)
    return made


def without_the_forming(rates: Any, params: State, state: State) -> Any:
    return rates[:-1]


def bars_late(rates: Any, params: State, state: State) -> Any:
    return rates[: max(0, len(rates) - params["bars"])]


def revised(rates: Any, params: State, state: State) -> Any:
    which = state.setdefault("time", int(rates["time"][-2]) if len(rates) > 2 else 0)

    def edit(made: Any) -> None:
        made["close"][made["time"] == which] = made["high"][made["time"] == which]

    return _edited(rates, edit)


def missing(rates: Any, params: State, state: State) -> Any:
    which = state.setdefault("time", int(rates["time"][-2]) if len(rates) > 2 else 0)
    return rates[rates["time"] != which]


def disordered(rates: Any, params: State, state: State) -> Any:
    if len(rates) < 3:
        return rates
    if params["how"] == "twice":
        return np.concatenate([rates[:-1], rates[-2:-1], rates[-1:]])
    if params["how"] == "backwards":
        return rates[::-1]
    return np.concatenate([rates[:-3], rates[-2:-1], rates[-3:-2], rates[-1:]])


_ABSURD: dict[str, tuple[str, float]] = {
    "nan": ("close", float("nan")),
    "inf": ("high", float("inf")),
    "zero": ("low", 0.0),
    "negative": ("low", -1.0),
    "high below low": ("high", 0.5),
    "open outside": ("open", 3.0),
}


def absurd(rates: Any, params: State, state: State) -> Any:
    column, value = _ABSURD[params["what"]]

    def edit(made: Any) -> None:
        made[column][-2] = value

    return _edited(rates, edit)


def spike(value: Any, params: State, state: State) -> Any:
    factor = params["factor"]
    if isinstance(value, Tick):
        return _tick(value, bid=round(value.bid * factor, 5), ask=round(value.ask * factor, 5))

    def edit(made: Any) -> None:
        for column in ("high" if factor > 1 else "low", "close"):
            made[column][-2] = np.round(made[column][-2] * factor, 5)

    return _edited(value, edit)


def rescaled(value: Any, params: State, state: State) -> Any:
    factor = params["factor"]
    if isinstance(value, Tick):
        return _tick(value, bid=round(value.bid * factor, 5), ask=round(value.ask * factor, 5))

    def edit(made: Any) -> None:
        for column in ("open", "high", "low", "close"):
            made[column] = np.round(made[column] * factor, 5)

    return _edited(value, edit)


def crossed(tick: Any, params: State, state: State) -> Any:
    return _tick(tick, bid=round(tick.ask + 5 * _POINT, 5), ask=tick.bid)


def spread(tick: Any, params: State, state: State) -> Any:
    return _tick(tick, ask=round(tick.bid + params["points"] * _POINT, 5))


def absurd_tick(tick: Any, params: State, state: State) -> Any:
    wrong = {"zero ask": 0.0, "nan": float("nan"), "inf": float("inf")}
    return _tick(tick, ask=wrong[params["what"]])


def frozen(tick: Any, params: State, state: State) -> Any:
    return state.setdefault("tick", tick)


def few(rates: Any, params: State, state: State) -> Any:
    return rates[len(rates) - min(len(rates), params["bars"]) :]


def _tick(tick: Any, **fields: float) -> Tick:
    return Tick([fields.get(name, value) for name, value in tick._asdict().items()])
