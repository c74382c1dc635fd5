"""`python -m tests.bench [--quick] [--json FILE] [NAME…]`: every benchmark that compares two ways, one table after the other.

Names are decision, replay, symbols, terminal, record, start and memory; without any, all of them. Machines are noisy: what counts are the
ratios, which are of two ways that took turns in one run. Nothing fails by them. How the dashboard and a start do on a large record is
told by `python -m tests.bench.bench_dashboard` and `python -m tests.bench.bench_recovery`, which first make one.
"""

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.bench import bench_decision, bench_memory, bench_record, bench_replay, bench_start, bench_symbols, bench_terminal
from tests.bench.measuring import WIDTH, Measured, table_of, write

BENCHMARKS: dict[str, tuple[str, Callable[..., Iterator[Measured]]]] = {
    "decision": ("One more closed bar, against running the backtest again", bench_decision.figures),
    "replay": ("A replay of the whole live stack, against the bare backtest", bench_replay.figures),
    "symbols": ("Many symbols that close a bar together", bench_symbols.figures),
    "terminal": ("The simulated terminal, in process", bench_terminal.figures),
    "record": ("The record of an order, against bare commits", bench_record.figures),
    "start": ("A start, against importing backtesting.py", bench_start.figures),
    "memory": ("Memory of a long replay", bench_memory.figures),
}


def main() -> None:
    """Measure and tell it, each table as it comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=str(__doc__).partition(": ")[2].partition("\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(BENCHMARKS)}; all of them without one")
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute or two in all")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file, too")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BENCHMARKS]:
        parser.error(f"{', '.join(unknown)}: want some of {', '.join(BENCHMARKS)}")
    console, told = Console(width=WIDTH), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trades that stay open
        logging.disable()
        for name in asked.names or BENCHMARKS:
            title, figures = BENCHMARKS[name]
            with console.status(f"{title} …"):
                told[title] = list(figures(quick=asked.quick))
            console.print(table_of(title, told[title]))
            console.print()
    if asked.json is not None:
        write(asked.json, told)


if __name__ == "__main__":
    main()
