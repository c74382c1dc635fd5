"""A strategy file through backtesting.py itself: its statistics, and its plot as an HTML file."""

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __package__ in {None, ""}:  # started as a file: what it needs is found from the project's root
    sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402
from backtesting.backtesting import Backtest  # noqa: E402
from backtesting.lib import FractionalBacktest  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from Backtest.bars import BUILTIN, builtin_prices, read_prices, resample, timeframe, timeframe_of  # noqa: E402
from Backtest.errors import BadInput, Mistakes  # noqa: E402
from Backtest.pages import drawn_aside, write_page  # noqa: E402
from Backtest.strategies import FRACTIONAL_UNIT, LoadedStrategy, line_of, load_strategy, parse_params, setting_faults  # noqa: E402
from Backtest.study.params_file import read_params  # noqa: E402

BAD_INPUT, INTERRUPTED = 2, 130
NOTES_SHOWN = 5  # a strategy short of margin is told so on every bar
_NUMBERS = ("cash", "spread", "commission", "margin", FRACTIONAL_UNIT)
_SWITCHES = ("trade-on-close", "hedging", "exclusive-orders", "finalize-trades")


@dataclass(frozen=True, slots=True)
class Job:
    """One backtest, with everything that can be wrong about it already looked at."""

    strategy: LoadedStrategy
    params: Mapping[str, Any]
    settings: Mapping[str, Any]  # all of backtesting.Backtest's, and fractional_unit
    prices: pd.DataFrame
    source: str  # where the prices come from, for people
    plot: Path | None


@dataclass(frozen=True, slots=True)
class Result:
    """What backtesting.py answered: its statistics, and what it warned about."""

    stats: "pd.Series[Any]"
    notes: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 2 for bad input, 130 when interrupted."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        job = prepare(_parser().parse_args(argv))
        result = run(job)
    except BadInput as fault:
        for mistake in fault.mistakes:
            err.print(f"error: {mistake}", markup=False, soft_wrap=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    _show(out, job, result)
    return 0


def prepare(args: argparse.Namespace) -> Job:
    """The backtest that these arguments ask for. Raises BadInput with all their mistakes together."""
    mistakes = Mistakes()
    tried = mistakes.tried
    strategy = tried(load_strategy, args.strategy)
    params = tried(parse_params, args.params)
    if strategy and params is not None:
        read = tried(read_params, strategy, args.params, args.params_file)
        params = read and read[0]
    settings = tried(_settings, args)
    prices = tried(_prices, args)
    plot = tried(_plot_file, args)
    if mistakes or strategy is None or params is None or settings is None or prices is None:
        raise BadInput(*mistakes)
    source = args.data or f"{args.symbol} as backtesting.py ships it"
    return Job(strategy, params, {**strategy.backtest, **settings}, prices, source, plot)


def run(job: Job) -> Result:
    """Run it through `backtesting.Backtest`, and write the plot where one is wanted. Raises BadInput when the strategy fails.

    With a `fractional_unit` it is `backtesting.lib.FractionalBacktest`.
    """
    strategy = job.strategy
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            backtest = _backtest(job)
            stats = backtest.run(**job.params)
        except Exception as error:  # the strategy's own code: whatever it raises is told, with its place
            line = line_of(error, strategy.path)  # 0: the broker failed with what the strategy had ordered
            raise BadInput(f"{strategy.path}{f', line {line}' if line else ''}: {_told(strategy, error)}") from error
        if job.plot:
            _write_plot(backtest, stats, job.plot)
    notes = dict.fromkeys(str(each.message) for each in caught if issubclass(each.category, UserWarning))
    return Result(stats, tuple(notes))


def _backtest(job: Job) -> Backtest:
    kind = FractionalBacktest if FRACTIONAL_UNIT in job.settings else Backtest
    return kind(job.prices, job.strategy.cls, **job.settings)


def _told(strategy: LoadedStrategy, error: Exception) -> str:
    return f"{strategy.cls.__name__} fails ({type(error).__name__}: {error})"


def _write_plot(backtest: Backtest, stats: "pd.Series[Any]", path: Path) -> None:
    try:
        write_page(drawn_aside(lambda page: backtest.plot(results=stats, filename=page, open_browser=False)), path, path.stem)
    except OSError as error:
        raise BadInput(
            f"{path}: the plot cannot be written ({error.strerror or error}); name another file (--output) or use --no-plot"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run_backtest.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--strategy", required=True, metavar="FILE[:CLASS]", help="a backtesting.py strategy file")
    parser.add_argument("--data", metavar="FILE", help="prices: CSV (also MetaTrader's export, also compressed) or Parquet")
    parser.add_argument("--symbol", default="EURUSD", help=f"without --data, prices that backtesting.py ships: {', '.join(BUILTIN)}")
    parser.add_argument("--timeframe", metavar="TF", help="make longer bars of the data first: H4, 1d, …")
    parser.add_argument("--params", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="the strategy's parameters")
    parser.add_argument(
        "--params-file", type=Path, metavar="FILE", help="those that a parameter study found; --params may name others beside"
    )
    parser.add_argument("--plot", action=argparse.BooleanOptionalAction, default=True, help="write the HTML plot (default: yes)")
    parser.add_argument("--output", metavar="FILE.html", help="where to; default: logs/backtest_STRATEGY_DATA.html in the project")
    settings = parser.add_argument_group("settings of backtesting.Backtest, over those of the strategy file's BACKTEST")
    for name in _NUMBERS:
        settings.add_argument(f"--{name.replace('_', '-')}", metavar="NUMBER")
    for name in _SWITCHES:
        settings.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    return parser


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {name: getattr(args, name) for name in _NUMBERS if getattr(args, name) is not None}
    for name, text in given.items():
        with suppress(ValueError):
            given[name] = float(text)
    mistakes = list(setting_faults(given, prefix="--"))
    if mistakes:
        raise BadInput(*mistakes)
    switches = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in _SWITCHES}
    return given | {name: value for name, value in switches.items() if value is not None}


def _prices(args: argparse.Namespace) -> pd.DataFrame:
    wanted = timeframe(args.timeframe) if args.timeframe else None
    prices = read_prices(Path(args.data)) if args.data else builtin_prices(args.symbol)
    if wanted is None or (not args.data and wanted is BUILTIN[args.symbol]):
        return prices
    return resample(prices, wanted)


def _plot_file(args: argparse.Namespace) -> Path | None:
    if not args.plot:
        if args.output:
            raise BadInput("--output and --no-plot contradict each other; leave one out")
        return None
    if args.output and not args.output.endswith(".html"):
        raise BadInput(f"--output is '{args.output}'; want a file that ends in .html")
    data = Path(args.data).name.split(".")[0] if args.data else args.symbol
    strategy = Path(args.strategy.rpartition(":")[0] or args.strategy).stem
    return Path(args.output) if args.output else ROOT / "logs" / f"backtest_{strategy}_{data}.html"


def _show(out: Console, job: Job, result: Result) -> None:
    with_params = f" with {' '.join(f'{name}={value}' for name, value in job.params.items())}" if job.params else ""
    bars = f"{len(job.prices):,} bars {_timeframe_name(job.prices)}".rstrip()
    out.print(f"{job.strategy.cls.__name__} ({job.strategy.path}){with_params}", markup=False, soft_wrap=True)
    out.print(f"{bars} of {job.source}", markup=False, soft_wrap=True)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in result.stats.items():
        if not str(name).startswith("_"):
            table.add_row(str(name), _readable(value), style=None)
    out.print(table)
    more = len(result.notes) - NOTES_SHOWN
    for note in (*result.notes[:NOTES_SHOWN], *([f"{more} more"] if more > 0 else [])):
        out.print(f"Note: {note}", markup=False, soft_wrap=True)
    if job.plot:
        out.print(f"Plot: {job.plot}", markup=False, soft_wrap=True)


def _timeframe_name(prices: pd.DataFrame) -> str:
    try:
        return timeframe_of(prices).name
    except BadInput:  # a price frame of one bar, or an odd step: backtesting.py does not mind
        return ""


def _readable(value: object) -> str:
    if isinstance(value, pd.Timedelta):
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, float):
        return "–" if pd.isna(value) else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"
    return "–" if value is pd.NaT else str(value)


if __name__ == "__main__":
    sys.exit(main())
