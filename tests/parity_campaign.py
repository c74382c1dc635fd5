"""`python -m tests.parity_campaign`: every strategy in the box through backtest and live stack on the same bars, in a table.

With them go the kinds of strategies that backtesting.py's documentation teaches. The prices are those in the box and the bars
of `--prices FOLDER`, without it those in `shared/data` beside the project's; of each the newest 5,000 (`--newest`). `--quick`
takes few bars and only the prices in the box. The exit code is 1 where anything differs.
"""

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from Backtest.bars import BUILTIN, builtin_prices, is_ticks, read_bars_or_ticks, timeframe_of
from Backtest.errors import BadInput
from Live.config import PROJECT_ROOT
from Live.verify import compare
from tests.documented_strategies import DOCUMENTED, write

NEWEST, QUICK = 5_000, 700
CODES = PROJECT_ROOT / "Backtest" / "codes"
FURTHER = PROJECT_ROOT.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars with the symbol that they are traded as."""

    name: str
    symbol: str
    bars: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Row:
    """What one comparison came to; `problem` is why there was none, or the first difference."""

    strategy: str
    prices: str
    settings: str
    counts: tuple[int, int, int]  # bars, orders, trades
    differences: int | None  # None: it was not compared
    problem: str = ""


def prices_of(folder: Path | None, newest: int) -> Iterator[Prices | str]:
    """The prices in the box, then those of the folder; in place of a file that holds no bars, or a folder that is not there, why."""
    for name in BUILTIN:
        yield Prices(name, name, builtin_prices(name).iloc[-newest:])
    if folder is None:
        return
    if not folder.is_dir():
        yield f"no further prices: there is no folder {folder}"
    for file in sorted(folder.glob("*.parquet")):
        try:
            bars = read_bars_or_ticks(file)
        except BadInput as mistake:
            yield str(mistake)
            continue
        if is_ticks(bars):
            yield f"{file.name}: ticks, not bars"
        else:
            yield Prices(file.stem, file.stem.split("_")[0], bars.iloc[-newest:])


def strategies_for(prices: Prices, folder: Path) -> Iterator[Path]:
    """The strategy files in the box, and one of each documented kind that can pay for these prices."""
    yield from sorted(CODES.glob("*.py"))
    seconds = timeframe_of(prices.bars).seconds
    slower = "W-FRI" if seconds >= 86_400 else "D" if seconds >= 3_600 else "h"
    cash = float(max(10_000, round(prices.bars["High"].max() * 20, -3)))
    for name in DOCUMENTED:
        yield write(folder, name, cash=cash, slower=slower)


def compared(strategy: Path, prices: Prices) -> Row:
    """One row of the table; a strategy that fails in its backtest is one without figures."""
    try:
        verdict = compare(str(strategy), {}, prices.bars, prices.symbol)
    except BadInput as mistake:
        return Row(strategy.stem, prices.name, "", (len(prices.bars), 0, 0), None, str(mistake))
    told, found = verdict.backtest, verdict.differences
    counts = (len(prices.bars), len(told.decisions), len(told.trades))
    return Row(strategy.stem, prices.name, settings_of(strategy), counts, len(found), str(found[0]) if found else "")


def settings_of(strategy: Path) -> str:
    """What the file's BACKTEST says, as it stands there."""
    lines = (line for line in strategy.read_text(encoding="utf-8").splitlines() if line.startswith("BACKTEST"))
    return next(lines, "").partition("=")[2].strip().removeprefix("dict(").removesuffix(")")


def campaign(all_prices: Sequence[Prices], told: Callable[[str, int, int], None] = lambda *_: None) -> Iterator[Row]:
    """All rows, in the order of the prices; `told` hears what is compared next, how many rows are done, and of how many."""
    with tempfile.TemporaryDirectory(prefix="campaign_") as written:
        done, total = 0, len(all_prices) * (len(list(CODES.glob("*.py"))) + len(DOCUMENTED))
        for prices in all_prices:
            for strategy in strategies_for(prices, Path(written)):
                told(f"{strategy.stem} on {prices.name}", done, total)
                yield compared(strategy, prices)
                done += 1


def main(words: list[str] | None = None) -> int:
    """Run it and print each row as soon as it is known; 0 where nothing differs, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity_campaign", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help=f"the newest {QUICK} bars only, of the prices in the box")
    parser.add_argument("--newest", type=int, default=NEWEST, metavar="BARS", help=f"of all prices; default {NEWEST:,}")
    parser.add_argument("--prices", type=Path, default=FURTHER, metavar="FOLDER", help="further price files (Parquet)")
    args = parser.parse_args(words)
    warnings.simplefilter("ignore", UserWarning)  # of backtests: trades stay open, orders are cancelled for want of margin
    out, screen, different = Console(highlight=False, soft_wrap=True), Console(stderr=True), 0
    found = list(prices_of(None, QUICK) if args.quick else prices_of(args.prices, args.newest))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    notes = [each for each in found if isinstance(each, str)]
    out.print(_LINE.format("Strategy", "Prices", "Bars", "Orders", "Trades", "Differences", "Settings"), markup=False)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)
        for row in campaign(
            [each for each in found if isinstance(each, Prices)],
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        ):
            out.print(_line(row), markup=False)
            sys.stdout.flush()
            different += bool(row.differences)
            notes += [f"{row.strategy} on {row.prices}: {row.problem}"] if row.problem else []
    for note in notes:
        out.print(note, markup=False)
    return 1 if different else 0


_LINE = "{:<19} {:<31} {:>6} {:>7} {:>7} {:>12}  {}"


def _line(row: Row) -> str:
    counts = (f"{count:,}" for count in row.counts)
    return _LINE.format(
        row.strategy, row.prices, *counts, "not compared" if row.differences is None else f"{row.differences:,}", row.settings
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the table is what is told
    sys.exit(main())
