"""Many symbols that close a bar together: `python -m tests.bench.bench_symbols [--quick] [--json FILE]`.

From the turn that sees the bars to the last order that is sent, in one process, by its processor time: every symbol has 1,000 bars of
history and five indicators, and orders on every bar. Beside it, what each stage takes of it.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pandas as pd
from backtesting import Strategy

from Backtest.bars import timeframe
from Backtest.session import StrategySession
from Backtest.simulated_terminal import ReplayMarket, SimulatedTerminal, parity_account, parity_symbol
from Live.audit_logger import AuditLogger
from Live.live_trader import Chosen, LiveTrader
from Live.mt5_connector import OpenedTerminal
from Live.order_executor import OrderExecutor
from Live.state_manager import StateManager
from tests.bench.bench_recovery import Stages
from tests.bench.bench_terminal import bar_frame
from tests.bench.measuring import Aim, Measured, options, tell
from tests.live_runs import WIDE_OPEN, loaded, settings

HISTORY, CLOSED = 1_000, 5  # bars
STAGES = (
    (StateManager, "sync", "positions, orders and deals"),
    (StrategySession, "on_bar", "the strategy"),
    (OrderExecutor, "execute_order", "checks, sends and answers"),
    (AuditLogger, "add_bar", "the record of bars and signals"),
    (AuditLogger, "add_signal", "the record of bars and signals"),
    (AuditLogger, "add_intent", "the record of bars and signals"),
)


class Five(Strategy):
    """Five indicators; in the market on every other bar."""

    def init(self) -> None:
        close = pd.Series(self.data.Close)
        self.fast = self.I(lambda: close.rolling(10).mean(), name="fast")
        self.slow = self.I(lambda: close.rolling(50).mean(), name="slow")
        self.smooth = self.I(lambda: close.ewm(span=20).mean(), name="smooth")
        self.wide = self.I(lambda: close.rolling(20).std(), name="wide")
        self.range = self.I(lambda: pd.Series(self.data.High - self.data.Low).rolling(14).mean(), name="range")

    def next(self) -> None:
        if self.position:
            self.position.close()
        else:
            self.buy(size=1_000)


class _Turns:
    """When each turn began, and when its last order was done."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = self._done = 0.0

    def watch(self, owner: Any, function: str, note: Callable[[], None], *, after: bool) -> None:
        real = getattr(owner, function)

        def noted(*args: Any, **options: Any) -> Any:
            if not after:
                note()
            try:
                return real(*args, **options)
            finally:
                if after:
                    note()

        setattr(owner, function, noted)

    def begin(self) -> None:
        if self._done > self._began:
            self.seconds.append(self._done - self._began)
        self._began = time.process_time()

    def sent(self) -> None:
        self._done = time.process_time()


def figures(*, quick: bool) -> Iterator[Measured]:
    """The median of a few bars, and the share of each stage in all of them."""
    symbols = 20 if quick else 200
    frame = bar_frame(HISTORY + CLOSED)
    start = frame.index[HISTORY].to_pydatetime().replace(tzinfo=UTC)
    names = [f"SYM{number:03}" for number in range(symbols)]
    turns, stages = _Turns(), Stages(time.time())
    with tempfile.TemporaryDirectory() as folder:
        market = ReplayMarket({name: (parity_symbol(name, frame), frame) for name in names}, timeframe("H1"), start=start)
        terminal = SimulatedTerminal(market, parity_account(1e7, lambda _size, _price: 0.0), state_file=Path(folder) / "account.jsonl")
        config = settings(Path(folder), symbols=",".join(names), warmup_bars=HISTORY, **WIDE_OPEN)
        trader = LiveTrader(config, Chosen(loaded(Five, cash=1e7), {}), OpenedTerminal("simulated", terminal, terminal.clock))
        for owner, function, name in STAGES:
            stages.watch(owner, function, name)
        turns.watch(LiveTrader, "_turn", turns.begin, after=False)
        turns.watch(OrderExecutor, "execute_order", turns.sent, after=True)
        assert trader.run() == 0
        terminal.close()
    bars = turns.seconds[1:]  # the first turn warms up
    aim = None if quick else Aim("<=", 0.5, of_ratio=False)
    yield Measured(f"{symbols} symbols: bar seen to last order sent", statistics.median(bars), unit="s", aim=aim)
    yield Measured("of it for each symbol", 1_000 * statistics.median(bars) / symbols, unit="ms")
    taken: dict[str, float] = {name: cpu for name, (_, cpu) in stages.seconds.items() if name in {each for *_, each in STAGES}}
    for name, seconds in sorted(taken.items(), key=lambda each: -each[1]):
        yield Measured(f"share of {name}, of all stages", 100 * seconds / sum(taken.values()), unit="%")


def main() -> None:
    """Measure and tell it."""
    asked = options(str(__doc__).partition(":")[0])
    logging.disable()
    tell("Many symbols at once", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
