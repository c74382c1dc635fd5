"""`run` as people see it: a header, progress, the summary, and what to do next."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from Backtest.strategies import check_params, load_strategy, parse_params
from Live.config import PROJECT_ROOT, LiveConfig
from Live.kill_switch import KillSwitchFile
from Live.live_trader import Chosen, LiveTrader
from Live.logs import close_logging, setup_logging, terminal
from Live.mt5_connector import open_terminal

SHOWN_POSITIONS = 20
MODE_WORDS = {"DRY": "dry run", "DEMO": "live, demo account", "REAL": "live, real money"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for beside the settings."""

    strategy: str  # file.py or file.py:Class
    params: Sequence[str]  # name=value
    env_file: Path | None
    once: bool
    fresh: bool


def trade_strategy(asked: Asked, config: LiveConfig) -> int:
    """Load, check and trade a strategy; the exit code. Raises BadInput and LiveError for what keeps it from starting."""
    KillSwitchFile.of(config).check()
    strategy, params = load_strategy(asked.strategy), parse_params(asked.params)
    check_params(strategy.cls, params)
    opened = open_terminal(config, strategy, params, fresh=asked.fresh)
    screen = terminal()
    with_bar = screen.is_terminal and opened.name == "simulated" and config.sim_speed == float("inf")
    setup_logging(config, opened.clock, console_level="WARNING" if with_bar else None)
    try:
        with _dashboard(config, asked.env_file) as page, _progress(shown=with_bar) as show:
            trader = LiveTrader(config, Chosen(strategy, params), opened, once=asked.once, on_turn=show)
            _header(screen, trader, page)
            code = trader.run()
        _summary(trader)
        return code
    finally:
        close_logging()


def _header(screen: Console, trader: LiveTrader, page: str) -> None:
    config = trader.config
    where = "the simulated terminal" if trader.terminal.name == "simulated" else f"account {config.mt5_login} at {config.mt5_server}"
    mode = "DRY RUN" if config.dry_run else "LIVE"
    what = f"{trader.strategy.cls.__name__} on {', '.join(config.symbols)} {config.timeframe}"
    screen.print(f"[bold]AlgoAgent Live[/bold]  {mode} on {where}: {what}")
    screen.print(f"{page}Stop it with Ctrl-C, or by creating the file {config.kill_switch_file.name}")


@contextlib.contextmanager
def _progress(*, shown: bool) -> Iterator["_Show"]:
    if not shown:
        yield _Show(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("bars"),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal(), transient=True) as bar:
        yield _Show(bar)


class _Show:
    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("Trading", total=None) if bar else None

    def __call__(self, trader: LiveTrader) -> None:
        if self._bar is not None and self._task is not None:
            done, total = trader.clock.progress  # type: ignore[attr-defined]  # a replay's clock
            self._bar.update(self._task, completed=done, total=total)


@contextlib.contextmanager
def _dashboard(config: LiveConfig, env_file: Path | None) -> Iterator[str]:
    """The page in a process of its own, for as long as this one trades; yields a line about it for the header."""
    if not config.dashboard:
        yield ""
        return
    port = config.dashboard_port
    if _is_taken(port):
        yield f"No dashboard: port {port} is in use, set another DASHBOARD_PORT. "
        return
    command = [sys.executable, "-m", "Live", "dashboard", "--db", str(config.audit_db_path), "--port", str(port)]
    command += ["--config", str(env_file)] if env_file else []
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=nowhere, stdout=nowhere, stderr=nowhere)  # noqa: S603 - our own
    try:
        yield f"Dashboard: http://127.0.0.1:{port}  "
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _summary(trader: LiveTrader) -> None:
    """What the run did, the positions that are still open, where the record is, and what to try next."""
    out = Console(highlight=False, soft_wrap=True)
    counts, account = trader.counts(), trader.final_account
    money = account.currency
    table = Table(title="Session summary", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    rows = [
        ("Mode", MODE_WORDS[trader.mode]),
        ("Bars decided", f"{counts.bars:,}"),
        ("Signals", f"{counts.signals:,}"),
        ("Orders sent", f"{counts.orders_sent:,}"),
        ("Orders filled", f"{counts.orders_filled:,}"),
        ("Orders refused by the broker", f"{counts.orders_refused:,}"),
        ("Orders denied by our limits", f"{counts.orders_denied:,}"),
        ("Positions opened", f"{counts.positions_opened:,}"),
        ("Positions closed", f"{counts.positions_closed:,}"),
        ("Trades won / lost", f"{counts.winning_trades:,} / {counts.losing_trades:,}"),
        ("Initial capital", f"{trader.initial_equity:,.2f} {money}"),
        ("Current capital", f"{account.equity:,.2f} {money}"),
        ("P/L", f"{account.equity - trader.initial_equity:+,.2f} {money}"),
    ]
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print(f"Ended: {trader.end_reason}")
    _open_positions(out, trader)
    _next_steps(out, trader, counts.bars)


def _open_positions(out: Console, trader: LiveTrader) -> None:
    positions = trader.final_positions
    if not positions:
        out.print("Open positions: none")
        return
    table = Table(title=f"Open positions: {len(positions)}", title_justify="left", box=None, pad_edge=False)
    for name in ("Ticket", "Symbol", "Side"):
        table.add_column(name)
    for name in ("Lots", "Entry", "Now", "SL", "TP", "P/L"):
        table.add_column(name, justify="right", no_wrap=True)
    for held in positions[:SHOWN_POSITIONS]:
        levels = ("–" if level is None else f"{level:.5f}" for level in (held.sl, held.tp))
        prices = (f"{held.price_open:.5f}", f"{held.price_current:.5f}")
        table.add_row(str(held.ticket), held.symbol, held.side.value, f"{held.lots:g}", *prices, *levels, f"{held.profit:+,.2f}")
    out.print(table)


def _next_steps(out: Console, trader: LiveTrader, bars: int) -> None:
    config = trader.config
    if not bars and trader.terminal.name == "simulated":
        out.print("All of these bars were decided in an earlier run, so nothing was sent again. --fresh starts a new simulated account.")
    out.print(f"Record: {_short(config.audit_db_path)}   Log: {_short(config.log_dir)}/live_trader.log")
    out.print("Next: `python run.py dashboard` shows the record; try --params n1=12 n2=26, your own --strategy FILE, your own --data FILE")


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)
