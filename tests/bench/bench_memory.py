"""Whether the trader grows: `python -m tests.bench.bench_memory [--quick] [--symbols 20] [--days 30] [--json FILE]`.

M1 bars of several symbols through the whole live stack, in a process of its own: its resident memory at the end, against that after
the first day. A month of 20 symbols is 864,000 decisions; without options a part of that is measured.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from Backtest.strategies import load_strategy
from Live.config import PROJECT_ROOT
from Live.live_trader import LiveTrader
from tests.bench.bench_terminal import bar_frame
from tests.bench.measuring import Aim, Measured, tell
from tests.live_runs import run_live

DAY = 1_440  # minutes
SOME = {"symbols": 4, "days": 5}
FEW = {"symbols": 2, "days": 2}


def replay(symbols: int, days: int) -> None:
    """Trade, and print the resident megabytes at the end of each day."""
    logging.disable()
    frame = bar_frame(days * DAY + 1)
    frame.index = frame.index[0] + (frame.index - frame.index[0]) / 60
    seen: list[float] = []

    def look(trader: LiveTrader) -> None:
        if trader.bars >= (len(seen) + 1) * DAY * symbols:
            seen.append(psutil.Process().memory_info().rss / 2**20)

    strategy = load_strategy(str(PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"))
    with tempfile.TemporaryDirectory() as folder:
        prices = {f"SYM{number:02}": frame for number in range(symbols)}
        ran = run_live(Path(folder), strategy, prices, given={"timeframe": "M1", "interval_seconds": 60}, on_turn=look)
        assert ran.code == 0
    sys.stdout.write(json.dumps(seen))


def figures(*, quick: bool, symbols: int | None = None, days: int | None = None) -> Iterator[Measured]:
    """Megabytes at the end, against those after the first day."""
    usual = FEW if quick else SOME
    asked = {"symbols": symbols or usual["symbols"], "days": days or usual["days"]}
    words = [sys.executable, "-m", "tests.bench.bench_memory", "--replay", json.dumps(asked)]
    done = subprocess.run(words, cwd=PROJECT_ROOT, check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    what = f"{asked['days']} days of M1 on {asked['symbols']} symbols, against the first"
    yield Measured(what, seen[-1], seen[0], "MB resident", Aim("<=", 1.1))


def main() -> None:
    """Measure and tell it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--quick", action="store_true", help="two days of two symbols")
    parser.add_argument("--symbols", type=int)
    parser.add_argument("--days", type=int)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file, too")
    parser.add_argument("--replay", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.replay is not None:
        replay(**json.loads(asked.replay))
    else:
        tell("Memory", figures(quick=asked.quick, symbols=asked.symbols, days=asked.days), asked.json)


if __name__ == "__main__":
    main()
