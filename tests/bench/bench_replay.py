"""How fast the whole live stack replays prices: `python -m tests.bench.bench_replay [--quick] [--json FILE]`.

Session, sizing, limits, executor, simulated terminal and the full record, every row of it. The other way is the bare backtest of the
same strategy on the same bars, in the same process.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from backtesting.backtesting import Backtest

from Backtest.strategies import LoadedStrategy, load_strategy
from Live.config import PROJECT_ROOT
from tests.bench.bench_terminal import bar_frame
from tests.bench.measuring import Aim, Measured, options, per_second, tell
from tests.live_runs import run_live

SLOWEST = Aim(">=", 0.1)  # of the speed of the bare backtest


def replay(name: str, strategy: LoadedStrategy, bars: int) -> Measured:
    """Bars in a second."""
    frame = bar_frame(bars)

    def live() -> int:
        with tempfile.TemporaryDirectory() as folder:
            ran = run_live(Path(folder), strategy, frame)
            assert ran.code == 0
            return ran.count("bars")

    def bare() -> int:
        Backtest(frame, strategy.cls, **strategy.backtest).run()
        return bars

    return Measured(f"{name}, {bars:,} bars", per_second(live, repeats=1), per_second(bare, repeats=3), "bars a second", SLOWEST)


def figures(*, quick: bool) -> Iterator[Measured]:
    """Each of the shipped strategies."""
    for name in ("sma_cross", "rsi_atr"):
        strategy = load_strategy(str(PROJECT_ROOT / "Backtest" / "codes" / f"{name}.py"))
        for bars in (1_000,) if quick else (1_000, 10_000):
            yield replay(name, strategy, bars)


def main() -> None:
    """Measure everything and tell it."""
    asked = options(str(__doc__).partition(":")[0])
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trades that stay open
        tell("A replay of the whole live stack", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
