"""How fast the simulated terminal is: `python -m tests.bench.bench_terminal [--quick] [--json FILE]`.

Prices are drawn with a seed, so that every machine measures the same. The other way of a replay plays every event.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.clock import every_event
from tests.bench.measuring import Aim, Measured, options, per_second, tell

NAME, POINT = "EURUSD", 1e-5
SPEC = SymbolSpec(NAME, 5, tick_size=POINT, currency_base="EUR", currency_margin="EUR", spread_points=10)
RICH = AccountSpec(1e8, limit_orders=0)
H1 = 16385
BUY = {"action": 1, "symbol": NAME, "type": 0, "volume": 0.01, "price": 1.1}


def walk(count: int) -> Any:
    """A price that wanders, without ever going far."""
    steps = np.random.default_rng(1).integers(-15, 16, count)
    return 1.1 + 0.02 * np.sin(np.arange(count) / 5_000) + steps * POINT


def bar_frame(count: int) -> pd.DataFrame:
    opened = walk(count).round(5)
    closed = np.r_[opened[1:], opened[-1]]
    high, low = np.maximum(opened, closed) + 9 * POINT, np.minimum(opened, closed) - 9 * POINT
    index = pd.date_range("2015-01-01", periods=count, freq="h")
    return pd.DataFrame({"Open": opened, "High": high.round(5), "Low": low.round(5), "Close": closed, "Volume": 100.0}, index=index)


def tick_frame(count: int) -> pd.DataFrame:
    bids = walk(count).round(5)
    index = pd.DatetimeIndex(pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(count) * 2_300, unit="ms"))
    return pd.DataFrame({"Bid": bids, "Ask": (bids + 8 * POINT).round(5)}, index=index)


def opened(market: ReplayMarket, positions: int, *, look_ahead: bool = True) -> SimulatedTerminal:
    """A terminal with so many positions whose levels are far away."""
    made = SimulatedTerminal(market, RICH)
    if not look_ahead:
        made.clock._next_that_matters = every_event
    assert made.initialize()
    for number in range(positions):
        levels = {"sl": 1.5, "tp": 0.8} if number % 2 else {"sl": 0.8, "tp": 1.5}
        assert made.order_send({**BUY, "type": number % 2, **levels}).retcode == made.TRADE_RETCODE_DONE
    return made


def replayed(market: ReplayMarket, positions: int, *, seconds: float, look_ahead: bool, most: int, repeats: int) -> float:
    """Bars or ticks in a second, slept through in steps of so many seconds."""

    def once() -> int:
        made = opened(market, positions, look_ahead=look_ahead)
        before = made.clock.progress[0]
        with contextlib.suppress(MarketEnded):
            while made.clock.progress[0] - before < most:
                made.clock.sleep(seconds)
        return made.clock.progress[0] - before

    return per_second(once, repeats=repeats)


def calls(times: int, repeats: int) -> Iterator[Measured]:
    """The functions that programs call most."""
    market = ReplayMarket({NAME: (SPEC, bar_frame(5_000))})

    def rate(made: SimulatedTerminal, *call: Any) -> float:
        function, *arguments = call

        def once() -> int:
            for _ in range(times):
                getattr(made, function)(*arguments)
            return times

        return per_second(once, repeats=repeats)

    made = opened(market, 1)
    made.clock.sleep(3_000 * 3_600)
    yield Measured("symbol_info_tick", rate(made, "symbol_info_tick", NAME))
    yield Measured("symbol_info", rate(made, "symbol_info", NAME))
    yield Measured("account_info, 1 position", rate(made, "account_info"))
    for positions in (1, 10, 100):
        yield Measured(f"positions_get, {positions} open", rate(opened(market, positions), "positions_get"))
    yield Measured("copy_rates_from_pos(H1, 0, 1000)", rate(made, "copy_rates_from_pos", NAME, H1, 0, 1000))


def orders(times: int, history: int, repeats: int) -> Iterator[Measured]:
    """Buying and closing again; beside it the same with so many orders in the history."""
    market = ReplayMarket({NAME: (SPEC, bar_frame(100))})

    def traded(made: SimulatedTerminal, count: int) -> int:
        for _ in range(count // 2):
            bought = made.order_send(BUY)
            made.order_send({**BUY, "type": 1, "position": bought.order})
        return count

    fresh, old = opened(market, 0), opened(market, 0)
    traded(old, history)
    young = per_second(lambda: traded(fresh, times), repeats=repeats)
    yield Measured("order_send", young, aim=Aim(">=", 20_000, of_ratio=False))
    yield Measured(f"order_send after {history:,} orders", per_second(lambda: traded(old, times), repeats=repeats), beside=young)


def replays(bars: int, ticks: int, repeats: int) -> Iterator[Measured]:
    """How fast the market moves while positions are open."""
    of_bars, of_ticks = ReplayMarket({NAME: (SPEC, bar_frame(bars))}), ReplayMarket({NAME: (SPEC, tick_frame(ticks))})
    for positions in (1, 10, 100):
        for told, seconds in (("each looked at", 60.0), ("a week at a time", 7 * 86_400.0)):
            fast, slow = (
                replayed(of_bars, positions, seconds=seconds, look_ahead=ahead, most=most, repeats=repeats)
                for ahead, most in ((True, bars), (False, max(50, bars // (10 * positions))))
            )
            yield Measured(f"bars, {positions} open, {told}", fast, beside=slow)
    for positions in (0, 1, 10):
        for told, seconds in (("each looked at", 0.001), ("an hour at a time", 3_600.0)):
            fast, slow = (
                replayed(of_ticks, positions, seconds=seconds, look_ahead=ahead, most=most, repeats=repeats)
                for ahead, most in ((True, ticks), (False, max(500, ticks // (50 * (positions + 1)))))
            )
            yield Measured(f"ticks, {positions} open, {told}", fast, beside=slow, aim=Aim(">=", 200_000, of_ratio=False))


def figures(*, quick: bool) -> Iterator[Measured]:
    """Calls, orders and replays."""
    small, repeats = (10, 2) if quick else (1, 3)
    yield from calls(5_000 // small, repeats)
    yield from orders(6_000 // small, 100_000 // small, repeats)
    yield from replays(50_000 // small, 1_000_000 // small, repeats)


def main() -> None:
    """Measure everything and tell it."""
    asked = options(str(__doc__).partition(":")[0])
    tell("The simulated terminal, in process", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
