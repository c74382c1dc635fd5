"""`python -m tests.parity_campaign`: every strategy in the box through backtest and live stack on the same bars, in a table.

With them go the kinds of strategies that backtesting.py's documentation teaches. The prices are those in the box and the bars
of `--prices FOLDER`, without it those in `shared/data` beside the project's; of each the newest 5,000 (`--newest`). `--quick`
takes few bars and only the prices in the box. The last lines count what differs, and by its reason what differs on a ground
that docs/parity.md names, what is not compared to its end, and what is not at all. The exit code is 1 where anything differs.

`--wide` has every strategy of the tests instead, each in every combination of `hedging`, `exclusive_orders`, `trade_on_close`
and kind of commission, on a stretch of `--bars` bars of all prices. `--shard I/N` does one of N parts of that: each part holds
what the others do not, and of as many parts as there are prices each has every strategy in every combination.

Each comparison keeps a record, which waits for the disk; with `TMPDIR=/dev/shm` it is several times as fast.
"""

import argparse
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from backtesting.lib import TrailingStrategy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from Backtest.bars import BUILTIN, builtin_prices, is_ticks, read_bars_or_ticks, timeframe_of
from Backtest.errors import BadInput
from Backtest.session.playing import Subject, prepare
from Backtest.strategies import load_strategy
from Live.comparison import Decided
from Live.config import PROJECT_ROOT
from Live.verify import BacktestFailed, compare
from tests.documented_strategies import DOCUMENTED, slower_than, write
from tests.wide_strategies import WAYS, WIDE, write_wide

NEWEST, QUICK, WIDE_BARS = 5_000, 700, 150
CODES = PROJECT_ROOT / "Backtest" / "codes"
FURTHER = PROJECT_ROOT.parent / "shared" / "data"
ENDED, STOPPED, WAITED, BY_PERCENT, UNUSABLE = GROUNDS = (
    "compared up to the bar on which the strategy's own backtest fails",
    "compared up to the bar on which an entry has a price of zero or below, which stops a live run (docs/parity.md)",
    "not equal, as an indicator has no value on any bar: a backtest does not wait for it, a live trader does (docs/parity.md)",
    "not equal, as set_trailing_pct takes a mean over all bars, live over those so far: with one figure all is equal (docs/parity.md)",
    "not compared, as the strategy or the prices cannot be used",
)
Told = Callable[[str, int, int], None]  # what is compared, how many rows are done, and of how many


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars with the symbol that they are traded as."""

    name: str
    symbol: str
    bars: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Row:
    """What one comparison came to; `problem` is why there was none, or the first difference.

    `ground` names why a row is not an equal one on all of its bars, and yet no fault: see GROUNDS.
    """

    strategy: str
    prices: str
    settings: str
    counts: tuple[int, int, int]  # bars, orders, trades
    differences: int | None  # None: it was not compared
    problem: str = ""
    ground: str = ""


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
    cash = float(max(10_000, round(prices.bars["High"].max() * 20, -3)))
    for name in DOCUMENTED:
        yield write(folder, name, cash=cash, slower=slower_than(timeframe_of(prices.bars)))


def compared(strategy: Path, prices: Prices) -> Row:
    """One row of the table; what fails in its own backtest is compared up to there."""
    try:
        verdict = compare(str(strategy), {}, prices.bars, prices.symbol)
    except BacktestFailed as failure:
        if not failure.bars:
            return _not_compared(strategy, prices, failure)
        before = compared(strategy, replace(prices, bars=prices.bars.iloc[: failure.bars]))
        return replace(before, problem=str(failure), ground=ENDED) if before.differences == 0 else before
    except BadInput as mistake:
        return _not_compared(strategy, prices, mistake)
    told, found = verdict.backtest, verdict.differences
    if verdict.live.failure and (bars := _above_zero(told.decisions, prices.bars)) is not None:
        before = compared(strategy, replace(prices, bars=bars))
        return replace(before, problem=verdict.live.failure, ground=STOPPED) if before.differences == 0 else before
    counts = (len(prices.bars), len(told.decisions), len(told.trades))
    ground = WAITED if verdict.waited else BY_PERCENT if found and _by_percent_alone(strategy, prices) else ""
    return Row(strategy.stem, prices.name, settings_of(strategy), counts, len(found), str(found[0]) if found else "", ground)


def _above_zero(decisions: Sequence[Decided], bars: pd.DataFrame) -> pd.DataFrame | None:
    """The bars up to the first on which an entry has a price that no market has; None where none has."""
    for each in decisions:
        if any(level is not None and level <= 0 for level in (each.limit, each.stop, each.sl, each.tp)):
            return bars.loc[: each.bar]
    return None


def _by_percent_alone(strategy: Path, prices: Prices) -> bool:
    """Whether nothing differs once `set_trailing_pct` of backtesting.lib gives both sides the figure that it has on all bars."""
    given, figures = TrailingStrategy.set_trailing_pct, list[float]()

    def noted(self: TrailingStrategy, pct: float = 0.05) -> None:
        given(self, pct)
        figures.append(float(vars(self)["_TrailingStrategy__n_atr"]))

    loaded = load_strategy(str(strategy))
    with patch.object(TrailingStrategy, "set_trailing_pct", noted):
        prepare(Subject(loaded.cls, loaded.backtest, {}), prices.bars)
    if not figures:
        return False
    with patch.object(TrailingStrategy, "set_trailing_pct", lambda self, pct=0.05: self.set_trailing_sl(figures[-1])):
        return not compare(str(strategy), {}, prices.bars, prices.symbol).differences


def _not_compared(strategy: Path, prices: Prices, mistake: BadInput) -> Row:
    return Row(strategy.stem, prices.name, settings_of(strategy), (len(prices.bars), 0, 0), None, str(mistake), UNUSABLE)


def settings_of(strategy: Path) -> str:
    """What the file's BACKTEST says, as it stands there."""
    lines = (line for line in strategy.read_text(encoding="utf-8").splitlines() if line.startswith("BACKTEST"))
    return next(lines, "").partition("=")[2].strip().removeprefix("dict(").removesuffix(")")


def campaign(all_prices: Sequence[Prices], told: Told = lambda *_: None) -> Iterator[Row]:
    """All rows, in the order of the prices."""
    with tempfile.TemporaryDirectory(prefix="campaign_") as written:
        done, total = 0, len(all_prices) * (len(list(CODES.glob("*.py"))) + len(DOCUMENTED))
        for prices in all_prices:
            for strategy in strategies_for(prices, Path(written)):
                told(f"{strategy.stem} on {prices.name}", done, total)
                yield compared(strategy, prices)
                done += 1


def turns(prices: int, shard: tuple[int, int] = (1, 1)) -> list[tuple[int, int, int]]:
    """One shard of all combinations of a strategy, a way and prices, by their numbers; they take turns, so that a few have many of each."""
    names, ways = len(WIDE), len(WAYS)
    steps = [(turn, name, (name + step) % ways) for turn in range(prices) for step in range(ways) for name in range(names)]
    first, end = ((number * len(steps)) // shard[1] for number in (shard[0] - 1, shard[0]))
    return [(name, way, (turn + name + way) % prices) for turn, name, way in steps[first:end]]


def wide_campaign(all_prices: Sequence[Prices], *, shard: tuple[int, int], jobs: int, told: Told = lambda *_: None) -> Iterator[Row]:
    """The rows of one shard of every strategy in every way on all prices."""
    with tempfile.TemporaryDirectory(prefix="campaign_") as written, ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        chosen = [(Path(written), name, way, all_prices[place]) for name, way, place in turns(len(all_prices), shard)]
        for done, row in enumerate(pool.map(_compared_in_a_way, chosen), start=1):
            told(f"{row.strategy} on {row.prices}", done, len(chosen))
            yield row


def _compared_in_a_way(chosen: tuple[Path, int, int, Prices]) -> Row:
    folder, name, way, prices = chosen
    with tempfile.TemporaryDirectory(dir=folder) as own:
        return compared(write_wide(Path(own), way, WIDE[name], prices.bars), prices)


def _quiet() -> None:
    """The table is what is told, not what backtests warn of: trades stay open, orders are cancelled for want of margin."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore", UserWarning)


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"want I/N with I from 1 to N, like 1/12; have {text}")
    return int(number), int(count)


def _asked(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.parity_campaign", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help=f"the newest {QUICK} bars only, of the prices in the box")
    parser.add_argument("--newest", type=int, default=NEWEST, metavar="BARS", help=f"of all prices; default {NEWEST:,}")
    parser.add_argument("--prices", type=Path, default=FURTHER, metavar="FOLDER", help="further price files (Parquet)")
    parser.add_argument("--wide", action="store_true", help="every strategy of the tests in every combination of settings")
    parser.add_argument("--bars", type=int, default=WIDE_BARS, help=f"with --wide: so many of each; default {WIDE_BARS}")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="with --wide: this part of so many")
    parser.add_argument("--jobs", type=int, default=1, help="with --wide: so many processes")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run it and print each row as soon as it is known; 0 where nothing differs, else 1."""
    args, out, screen = _asked(words), Console(highlight=False, soft_wrap=True), Console(stderr=True)
    warnings.simplefilter("ignore", UserWarning)  # of backtests: trades stay open, orders are cancelled for want of margin
    newest = args.bars if args.wide else args.newest
    found = list(prices_of(None, QUICK) if args.quick else prices_of(args.prices, newest))
    prices, notes = [each for each in found if isinstance(each, Prices)], [each for each in found if isinstance(each, str)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    out.print(_LINE.format("Strategy", "Prices", "Bars", "Orders", "Trades", "Differences", "Settings"), markup=False)
    rows: list[Row] = []
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def told(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        for row in wide_campaign(prices, shard=args.shard, jobs=args.jobs, told=told) if args.wide else campaign(prices, told):
            out.print(_line(row), markup=False)
            sys.stdout.flush()
            rows.append(row)
    notes += [f"{row.strategy} on {row.prices}: {row.problem}" for row in rows if row.problem]
    for note in [*notes, *_sums(rows)]:
        out.print(note, markup=False)
    return 1 if any(_differs(row) for row in rows) else 0


def _differs(row: Row) -> bool:
    return bool(row.differences) and row.ground not in (WAITED, BY_PERCENT)


def _sums(rows: Sequence[Row]) -> Iterator[str]:
    orders, trades = (sum(row.counts[number] for row in rows) for number in (1, 2))
    yield f"{len(rows):,} comparisons of {orders:,} orders and {trades:,} trades: {sum(map(_differs, rows)):,} differ"
    for ground, count in Counter(row.ground for row in rows if row.ground).most_common():
        yield f"{count:,} {ground}"


_LINE = "{:<19} {:<31} {:>6} {:>7} {:>7} {:>12}  {}"


def _line(row: Row) -> str:
    counts = (f"{count:,}" for count in row.counts)
    return _LINE.format(
        row.strategy, row.prices, *counts, "not compared" if row.differences is None else f"{row.differences:,}", row.settings
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the table is what is told
    sys.exit(main())
