"""`python -m Backtest.simulated_terminal VERB`: serve, run and symbols."""

import math
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.catalogue import catalogue
from Backtest.simulated_terminal.clock import MarketEnded
from Backtest.simulated_terminal.faults import KINDS as FAULTS
from Backtest.simulated_terminal.faults import FaultyTerminal
from Backtest.simulated_terminal.running_market import Wanted, open_terminal
from Backtest.simulated_terminal.server_time import server_time
from Backtest.simulated_terminal.serving import PORT, OneAtATime, check_host, serve, stand_in
from Backtest.simulated_terminal.symbols import AccountSpec
from Backtest.simulated_terminal.terminal import SimulatedTerminal

HELP = {"help_option_names": ["-h", "--help"]}
BAD_INPUT, INTERRUPTED = 2, 130
MARGIN_MODES = {
    "hedging": c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING,
    "netting": c.ACCOUNT_MARGIN_MODE_RETAIL_NETTING,
    "exchange": c.ACCOUNT_MARGIN_MODE_EXCHANGE,
}


@click.group(context_settings=HELP)
def cli() -> None:
    """A MetaTrader 5 terminal in a box, for other programs: no broker, no Windows.

    Its market goes on in real time. The prices are recorded ones, moved by whole weeks so that they are of now. Without a file
    (--data) only EURUSD has recorded prices; those of other symbols are synthetic, and tell nothing about any market.
    """


def market_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which market and which account."""
    options = [
        click.option("--symbols", metavar="A,B", default="", help="Symbols to trade; without it those of --data, or 14 usual ones."),
        click.option("--data", multiple=True, metavar="SYMBOL=FILE", help="Prices of a symbol: bars or ticks, CSV or Parquet."),
        click.option("--utc", is_flag=True, help="The times in those files are UTC; without it they are the server's."),
        click.option("--symbols-file", metavar="FILE", type=Path, help="Symbols of your own (see the verb symbols)."),
        click.option(
            "--server-time", default="new-york", show_default=True, help="The server's clock: new-york, europe, utc, +3, or a zone."
        ),
        click.option("--always-open", is_flag=True, help="On a weekend let it be a weekday of the prices, and leave out all sessions."),
        click.option("--account", metavar="FILE", type=Path, help="Keep the account in this file; without it every start is a new one."),
        click.option(
            "--balance", type=click.FloatRange(min=0, min_open=True), default=10_000.0, show_default=True, help="Money to begin with."
        ),
        click.option("--currency", default="USD", show_default=True, help="The account's currency."),
        click.option("--leverage", type=click.IntRange(1, 10_000), default=100, show_default=True),
        click.option("--margin-mode", type=click.Choice(list(MARGIN_MODES)), default="hedging", show_default=True),
        click.option("--faults", metavar="SEED", type=int, help="Let answers be lost, late or wrong; the same number does the same again."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _wanted(speed: float, given: dict[str, Any]) -> Wanted:
    files = {}
    for word in given["data"]:
        symbol, equals, file = word.partition("=")
        if not (symbol and equals and file) or symbol in files:
            raise BadInput(f"--data {word}: want SYMBOL=FILE, once for each symbol")
        files[symbol] = Path(file)
    return Wanted(
        symbols=tuple(name.strip() for name in given["symbols"].split(",") if name.strip()),
        files=files,
        utc=given["utc"],
        symbols_file=given["symbols_file"],
        server_time=server_time(given["server_time"]),
        speed=speed,
        always_open=given["always_open"],
        account=AccountSpec(
            given["balance"], leverage=given["leverage"], margin_mode=MARGIN_MODES[given["margin_mode"]], currency=given["currency"]
        ),
        account_file=given["account"],
    )


def _speed(text: str, *, virtual: bool) -> float:
    if virtual and text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise BadInput(f"--speed {text}: want a number above 0{', or max' if virtual else ''}")
    return speed


def _opened(speed: float, given: dict[str, Any]) -> SimulatedTerminal:
    wanted = _wanted(speed, given)
    terminal = open_terminal(wanted, time.time(), time.monotonic)
    if wanted.made_up:
        named = ",".join(wanted.made_up)
        click.echo(f"Synthetic prices: {named} (recorded ones: --data SYMBOL=FILE)", err=True)
    if not terminal.trades_now():
        click.echo("The market is closed at this hour; with --always-open it is not.", err=True)
    return terminal


def _with_faults(terminal: SimulatedTerminal, seed: int | None) -> Any:
    if seed is None:
        return terminal
    faulty = FaultyTerminal.from_seed(terminal, seed)
    faults = [FAULTS[planned.fault] for planned in faulty.schedule.plan]
    click.echo(f"Faults of {seed}:" if faults else f"Faults of {seed}: none; try another number", err=True)
    for fault in faults:
        click.echo(f"  {fault.number}  {fault.sentence}", err=True)
    return faulty


@cli.command("serve", context_settings=HELP)
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine; no other address is served.")
@click.option("--speed", default="1", show_default=True, help="Market seconds in a real one.")
@market_options
def serve_command(port: int, host: str, speed: str, **given: Any) -> int:
    """Serve the terminal to the mt5linux client, and to the trader with MT5_TERMINAL=remote.

    The client sends Python code that runs here with your rights, which is why only this machine is served. As with the real
    terminal all clients share one account and one connection: when one calls shutdown(), the others have to initialize() again.
    """
    check_host(host)
    terminal = _opened(_speed(speed, virtual=False), given)
    signal.signal(signal.SIGTERM, _leave)
    with closing(terminal):
        try:
            serve(_with_faults(terminal, given["faults"]), host, port, listening=lambda taken: _tell(host, taken))
        except SystemExit:
            return 0
    return INTERRUPTED  # it serves until Ctrl-C


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a signal handler
    sys.exit(0)


def _tell(host: str, port: int) -> None:
    click.echo(f"Serving a simulated MetaTrader 5 terminal at {host}:{port} (Ctrl-C ends it)")
    click.echo(f'  mt5linux:  MetaTrader5(host="{host}", port={port})')
    click.echo(f"  trader:    MT5_TERMINAL=remote DRY_RUN=false MT5_REMOTE_HOST={host} MT5_REMOTE_PORT={port}")
    sys.stdout.flush()


@cli.command(context_settings={**HELP, "ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--speed", default="1", show_default=True, help="Market seconds in a real one; max: time.sleep moves the market.")
@market_options
@click.argument("program", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(speed: str, program: Path, arguments: tuple[str, ...], **given: Any) -> int:
    """Run somebody's MetaTrader 5 program: its `import MetaTrader5` is the simulated terminal.

    With --speed max no real time passes: the market moves when the program calls time.sleep, and ends it when no prices are left.
    """
    terminal = _opened(_speed(speed, virtual=True), given)
    with closing(terminal):
        shared = OneAtATime(_with_faults(terminal, given["faults"]))
        stand_in(shared)
        if math.isinf(_speed(speed, virtual=True)):
            _let_sleeping_move(terminal)
        sys.argv = [str(program), *arguments]
        sys.path.insert(0, str(program.resolve().parent))
        runpy.run_path(str(program), run_name="__main__")
    return 0


def _let_sleeping_move(terminal: SimulatedTerminal) -> None:
    def sleep(seconds: float) -> None:
        try:
            terminal.clock.sleep(seconds)
        except MarketEnded:
            click.echo("The prices end here.", err=True)
            sys.exit(0)  # no error that the program could take for one of its own

    time.sleep = sleep  # type: ignore[assignment]  # this process is the program's


@cli.command(context_settings=HELP)
@click.option("--symbols-file", metavar="FILE", type=Path, help="Symbols of your own, over those that are known.")
@click.argument("names", nargs=-1)
def symbols(symbols_file: Path | None, names: tuple[str, ...]) -> int:
    """Print the symbols that the simulated broker knows, all or those named."""
    known = catalogue(symbols_file)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInput(*(f"{name}: no such symbol; without names all are printed" for name in unknown))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Symbol", "Description"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Digits", "Lot", "Min", "Step", "Max", "Spread", "Stops", "Swap long", "Swap short"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Group", no_wrap=True)
    for name in names or known:
        spec = known[name]
        lots = (spec.contract_size, spec.volume_min, spec.volume_step, spec.volume_max)
        points = (spec.spread_points, spec.stops_level, spec.swap_long, spec.swap_short)
        figures = (f"{value:,.10g}" for value in (spec.digits, *lots, *points))
        table.add_row(name, spec.description, *figures, spec.path.removesuffix(f"\\{name}"))
    console = Console(highlight=False)
    # a row stays a row, also where the lines have to be scrolled
    console.width = max(console.width, Measurement.get(console, console.options.update(width=1_000), table).maximum)
    console.print(table)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Mistakes of the user are sentences on stderr, never tracebacks."""
    try:
        return int(cli.main(arguments, prog_name="python -m Backtest.simulated_terminal", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BadInput as error:
        for mistake in error.mistakes:
            click.echo(f"error: {mistake}", err=True)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
