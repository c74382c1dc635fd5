"""`run` as people see it: the page beside it, a header, progress, and the summary."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from Backtest.strategies import load_strategy
from Backtest.study.params_file import read_params
from Live.audit_logger import check_record
from Live.backtesting_bridge import frame_of
from Live.config import PROJECT_ROOT, LiveConfig
from Live.heartbeat import Heartbeat, WatchedTerminal
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.locks import hold_record
from Live.logs import close_logging, setup_logging, terminal
from Live.mt5_connector import OpenedTerminal, open_terminal
from Live.stop_latch import refuse_while_stopped
from Live.strategy_checks import refuse_lookahead, with_measured_bars
from Live.summary import print_summary

SIZING_WORDS = {
    "auto": "sizes: risked by DEFAULT_RISK_PCT where an order has a stop, else the strategy's",
    "risk": "sizes: risked by DEFAULT_RISK_PCT",
    "strategy": "sizes: the strategy's, as in its backtest",
    "fixed": "sizes: FIXED_LOTS",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for beside the settings."""

    strategy: str  # file.py or file.py:Class
    params: Sequence[str]  # name=value
    env_file: Path | None
    once: bool
    fresh: bool
    params_file: Path | None = None  # of a parameter study
    allow_lookahead: bool = False  # trade real money with a strategy that knew the future in its backtest


def trade_strategy(asked: Asked, config: LiveConfig, heartbeat: Heartbeat | None = None) -> int:
    """Load, check and trade a strategy; the exit code. Raises BadInput and LiveError for what keeps it from starting.

    With a `heartbeat`, which somebody else watches, each call of the terminal is a phase of it.
    """
    refuse_while_stopped(config)
    strategy = load_strategy(asked.strategy)
    params, params_file = read_params(strategy, asked.params, asked.params_file)
    config, measured = with_measured_bars(config, strategy, params)
    if measured:
        terminal().print(measured)
    with contextlib.ExitStack() as resources:
        # before a simulated account is made: a start that is refused leaves nothing behind
        check_record(config.audit_db_path)
        hold_record(resources, config.audit_db_path)
        opened = open_terminal(config, strategy, params, resources, fresh=asked.fresh)
        if heartbeat is not None:
            own = opened.name in ("simulated", "paper")
            opened = replace(opened, functions=WatchedTerminal(opened.functions, heartbeat, own=own))
        return _trade(asked, config, Chosen(strategy, params, params_file), opened, heartbeat or Heartbeat())


def _trade(asked: Asked, config: LiveConfig, chosen: Chosen, opened: OpenedTerminal, heartbeat: Heartbeat) -> int:
    with_bar = terminal().is_terminal and opened.name == "simulated"
    # at full speed thousands of lines would fly past the bar; they are all in the file
    setup_logging(config, opened.clock, console_level="WARNING" if with_bar and config.sim_speed == float("inf") else None)
    try:
        with _dashboard(config, asked.env_file) as page, _messengers(config, asked.env_file), _Shown(page, with_bar=with_bar) as watcher:
            watcher.allow_lookahead, watcher.heartbeat = asked.allow_lookahead, heartbeat
            trader = LiveTrader(config, chosen, opened, once=asked.once, watcher=watcher)
            code = trader.run()
        print_summary(trader)
        return code
    finally:
        close_logging()


class _Shown(Watcher):
    """The header when the account is known, and a bar while a replay runs. Real money waits for a look for lookahead."""

    allow_lookahead = False

    def __init__(self, page: str, *, with_bar: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"))
        self._bar = Progress(
            *columns, TaskProgressColumn(), TimeRemainingColumn(), console=terminal(), transient=True, disable=not with_bar
        )
        self._page, self._with_bar = page, with_bar

    def __enter__(self) -> "_Shown":
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.stop()

    def started(self, trader: LiveTrader) -> None:
        config, account = trader.config, trader.final_account
        screen = terminal()
        what = f"{trader.strategy.cls.__name__} on {', '.join(config.symbols)} {config.timeframe}"
        kinds = {
            "simulated": "DRY RUN on the simulated terminal",
            "paper": f"DRY RUN, {account.server}: account {account.login} is ours, and no order is sent to that terminal",
        }
        kind = kinds.get(trader.terminal.name, f"LIVE, {trader.mode} account {account.login} at {account.server}")
        screen.print(f"[bold]AlgoAgent Live[/bold]  {kind}\n{what}; {SIZING_WORDS[config.sizing]}")
        screen.print(f"{self._page}\nStop it with Ctrl-C, or with: python -m Live stop".lstrip())
        if trader.mode == "REAL" and not self.allow_lookahead:
            screen.print("Looking whether the strategy knows the future …")
            refuse_lookahead(trader.strategy, trader.params, _history(trader))
        if self._with_bar:
            self._task = self._bar.add_task("Trading", total=None)
            self._bar.start()

    def turned(self, trader: LiveTrader) -> None:
        if self._with_bar:
            done, total = trader.clock.progress  # type: ignore[attr-defined]  # a replay's clock
            self._bar.update(self._task, completed=done, total=total)


def _history(trader: LiveTrader) -> dict[str, pd.DataFrame]:
    """The bars that the strategy is warmed up with."""
    config = trader.config
    bars = {symbol: trader.connector.closed_bars(symbol, trader.timeframe, config.warmup_bars)[0] for symbol in config.symbols}
    return {symbol: frame_of(found) for symbol, found in bars.items()}


@contextlib.contextmanager
def _dashboard(config: LiveConfig, env_file: Path | None) -> Iterator[str]:
    """The page in a process of its own, for as long as this one trades; yields a line about it for the header."""
    if not config.dashboard:
        yield ""
        return
    host, port = config.dashboard_host, config.dashboard_port
    if _is_taken(host, port):
        yield f"No dashboard: port {port} is in use; set another DASHBOARD_PORT"
        return
    with _beside(["dashboard", "--port", str(port)], config, env_file):
        yield f"Dashboard: http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def _messengers(config: LiveConfig, env_file: Path | None) -> Iterator[None]:
    """Those who tell people and answer them, each in a process of its own: none of their troubles is this one's."""
    with contextlib.ExitStack() as resources:
        if config.enable_alerts:
            resources.enter_context(_beside(["alerts", "deliver"], config, env_file, wait=False))
        if config.telegram_commands:
            resources.enter_context(_beside(["telegram"], config, env_file))
        yield


@contextlib.contextmanager
def _beside(verb: Sequence[str], config: LiveConfig, env_file: Path | None, *, wait: bool = True) -> Iterator[None]:
    """One of our other commands, for as long as this one trades. Without `wait` it finishes by itself what it has begun."""
    command = [sys.executable, "-m", "Live", *verb, "--with-parent", "--db", str(config.audit_db_path)]
    command += ["--config", str(env_file)] if env_file else []
    nowhere = subprocess.DEVNULL
    # its standard input ends when this process does, however that ends
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere)  # noqa: S603 - our own
    try:
        yield
    finally:
        if wait:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        elif process.stdin is not None:
            process.stdin.close()


def _is_taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, port)) == 0
