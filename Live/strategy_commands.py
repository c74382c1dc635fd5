"""`python -m Live lookahead | warmup | verify | optimize`: what looks at a strategy on prices."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from Live.config import LiveConfig, load_config

_HELP = {"help_option_names": ["-h", "--help"]}


def add_to(cli: click.Group) -> None:
    """Give the command line these commands."""
    for command in (lookahead, warmup, verify, optimize):
        cli.add_command(command)


def absolute(text: str | None) -> Path | None:
    """A path on the command line is relative to where it was typed, one in the settings to the project."""
    return None if text is None else Path.cwd() / Path(text).expanduser()


def price_files(words: Sequence[str]) -> dict[str, str] | None:
    """`FILE`, or `SYMBOL=FILE` for each symbol."""
    files = {}
    for word in words:
        symbol, equals, file = word.partition("=")
        symbol, file = (symbol, file) if equals and not Path(word).exists() else ("", word)
        files[symbol] = str(absolute(file))
    return files or None


def _on_prices(command: Callable[..., int]) -> Callable[..., int]:
    """The arguments of a command that looks at a strategy on prices."""
    for decorate in (
        click.argument("strategy", metavar="FILE[:CLASS]"),
        click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env."),
        click.option("--symbols", "--symbol", metavar="A,B", help="Symbols to look at (SYMBOLS)."),
        click.option("--timeframe", metavar="1h", help="Make such bars first; else the bars are as the prices have them."),
        click.option("--params", multiple=True, metavar="NAME=VALUE …", help="Parameters of the strategy."),
        click.option("--data", multiple=True, metavar="[SYMBOL=]FILE", help="Your own prices."),
        click.option("--bars", default="5000", show_default=True, metavar="N|all", help="So many of the newest bars."),
        click.option("--json", "as_json", is_flag=True, help="For programs."),
    ):
        command = decorate(command)
    return command


_params_file = click.option("--params-file", metavar="FILE", help="The parameters that `optimize` found.")


def _asked(given: dict[str, Any]) -> tuple[Any, LiveConfig]:
    from Live.strategy_checks import Asked, newest_of

    params_file = absolute(given.get("params_file"))
    asked = Asked(given["strategy"], given["params"], given["timeframe"], newest_of(given["bars"]), given["as_json"], params_file)
    flags = {"symbols": given["symbols"], "timeframe": given["timeframe"], "sim_prices": price_files(given["data"])}
    return asked, load_config(flags, absolute(given["env_file"]), os.environ)


@click.command(context_settings=_HELP)
@_on_prices
@_params_file
def lookahead(**given: Any) -> int:
    """Which values of a strategy knew the future, and what it earns without them. Exit code 6 when any did."""
    from Live.strategy_checks import check_lookahead

    return check_lookahead(*_asked(given))


@click.command(context_settings=_HELP)
@_on_prices
@_params_file
def warmup(**given: Any) -> int:
    """How many bars a strategy needs before it decides as with all history (WARMUP_BARS)."""
    from Live.strategy_checks import measure_warmup

    return measure_warmup(*_asked(given))


@click.command(context_settings=_HELP)
@_on_prices
@_params_file
@click.option("--certificate", metavar="FILE", help="Where to write it; else to data/certificates.")
def verify(certificate: str | None, **given: Any) -> int:
    """Compare a backtest with the same bars traded one by one through the live stack. Exit code 6 when they differ."""
    from Live.verify import verify as compare

    return compare(*_asked(given), absolute(certificate))


@click.command(context_settings=_HELP)
@_on_prices
@click.option(
    "--grid", multiple=True, metavar="NAME=VALUES …", help="What to try: n1=5:30:5 (first:last:step), n1=5,10,20, flag=true,false."
)
@click.option("--maximize", metavar="STATISTIC", help="What is best: a statistic of backtesting.py. Default: SQN.")
@click.option("--minimize", metavar="STATISTIC", help="The same, where less is better.")
@click.option("--constraint", default="", metavar="CONDITION", help='Which combinations are tried: "n1 < n2 and n2 % 10 == 0".')
@click.option("--max-tries", type=click.IntRange(min=1), metavar="N", help="Try N combinations, drawn at random, the same ones each time.")
@click.option(
    "--walk-forward", "folds", type=click.IntRange(1, 1000), metavar="N", help="Try it on N stretches of bars that it had not seen."
)
@click.option(
    "--training", type=click.IntRange(1, 1000), default=4, show_default=True, metavar="N", help="Bars before each, in its lengths."
)
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes. Default: one for each processor.")
@click.option("--cluster", metavar="dask://HOST:PORT", help="Try them on the workers of this Dask scheduler.")
@click.option("--html", metavar="FILE", help="Write the heatmap to this file (default: optimize.html beside the log).")
@click.option("--plot/--no-plot", default=True, help="Whether to write it.")
@click.option("--out", metavar="FILE", help="Write the best parameters to this file (default: in data/studies).")
def optimize(**given: Any) -> int:
    """Try combinations of parameters, show the best, and keep them for `run --params-file`. Exit code 6 when none has a result."""
    from Live.optimize import Wanted
    from Live.optimize import optimize as study

    asked, config = _asked(given)
    names = ("grid", "maximize", "minimize", "constraint", "max_tries", "folds", "training", "jobs", "cluster")
    html = (absolute(given["html"]) or config.log_dir / "optimize.html") if given["plot"] else None
    return study(asked, config, Wanted(**{name: given[name] for name in names}, html=html, out=absolute(given["out"])))
