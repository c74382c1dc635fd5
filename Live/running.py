"""`run` as people see it: a header, progress, the summary, and what to do next."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from Backtest.strategies import LoadedStrategy, check_params, load_strategy, parse_params
from Live.config import PROJECT_ROOT, LiveConfig
from Live.kill_switch import KillSwitchFile
from Live.live_trader import Chosen, LiveTrader
from Live.logs import close_logging, setup_logging, terminal
from Live.mt5_connector import open_terminal

SHOWN_POSITIONS = 20


def trade_strategy(spec: str, config: LiveConfig, words: Sequence[str], *, once: bool, fresh: bool) -> int:
    """Load, check and trade a strategy; the exit code. Raises BadInput and LiveError for what keeps it from starting."""
    KillSwitchFile.of(config).check()
    strategy = load_strategy(spec)
    params = parse_params(words)
    check_params(strategy.cls, params)
    opened = open_terminal(config, strategy, params, fresh=fresh)
    replay = opened.name == "simulated" and config.sim_speed == float("inf")
    screen = terminal()
    setup_logging(config, opened.clock, console_level="WARNING" if replay and screen.is_terminal else "NOTSET")
    try:
        with _dashboard(config), _progress(replay=replay and screen.is_terminal) as show:
            trader = LiveTrader(config, Chosen(strategy, params), opened, once=once, on_turn=show)
            _header(screen, config, strategy, trader)
            code = trader.run()
        _summary(trader)
        return code
    finally:
        close_logging()


def _header(screen: Console, config: LiveConfig, strategy: LoadedStrategy, trader: LiveTrader) -> None:
    where = "simulated terminal" if trader.terminal.name == "simulated" else f"account {config.mt5_login} at {config.mt5_server}"
    mode = "DRY RUN" if config.dry_run else "LIVE"
    screen.print(f"[bold]AlgoAgent Live[/bold]  {mode}, {where}: {strategy.cls.__name__} on {', '.join(config.symbols)} {config.timeframe}")
    if config.dashboard:
        screen.print(
            f"Dashboard: http://127.0.0.1:{config.dashboard_port}   Stop: Ctrl-C, or create the file {config.kill_switch_file.name}"
        )


@contextlib.contextmanager
def _progress(*, replay: bool) -> Iterator["_Show"]:
    if not replay:
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
def _dashboard(config: LiveConfig) -> Iterator[None]:
    """The page in a process of its own, for as long as this one trades."""
    if not config.dashboard:
        yield
        return
    command = [sys.executable, "-m", "Live", "dashboard", "--db", str(config.audit_db_path), "--port", str(config.dashboard_port)]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _summary(trader: LiveTrader) -> None:
    """What the run did, the positions that are still open, where the record is, and what to try next."""
    out = Console(highlight=False, soft_wrap=True)
    counts, account = trader.counts(), trader.final_account
    money = account.currency
    table = Table(title="Session summary", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    rows = [
        ("Mode", trader.mode_name),
        ("Ended", trader.end_reason),
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
        out.print(
            "All of these bars were decided in an earlier run, so nothing was sent again. Add --fresh to start a new simulated account."
        )
    out.print(f"Record: {_short(config.audit_db_path)}   Log: {_short(config.log_dir)}/live_trader.log")
    out.print(
        "Next: python -m Live dashboard; or run it again with --params n1=12 n2=26, your own --strategy FILE, or your own --data FILE"
    )


def _short(path: object) -> str:
    return str(path).removeprefix(f"{PROJECT_ROOT}/")
