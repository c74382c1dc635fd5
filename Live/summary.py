"""What a run prints when it ends: its figures, what is still open, where the record is, and what to try next."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from Backtest.strategies import params_of
from Live.audit_logger.reader import AuditReader
from Live.config import PROJECT_ROOT
from Live.live_trader import LiveTrader
from Live.model import Position

SHOWN_POSITIONS = 20
MODE_WORDS = {"DRY": "dry run", "DEMO": "live, demo account", "REAL": "live, real money"}
OWN_RECORD = PROJECT_ROOT / "data" / "audit.db"


def print_summary(trader: LiveTrader) -> None:
    """The summary of a run that has ended, on the standard output, within 80 columns."""
    out = Console(highlight=False, soft_wrap=True)
    table = Table(title="Session summary", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right", no_wrap=True)
    for row in _figures(trader):
        table.add_row(*row)
    out.print(table)
    out.print(f"Ended: {trader.end_reason}")
    _print_positions(out, trader.final_positions)
    if not trader.bars and trader.end_code == 0 and trader.terminal.name == "simulated":
        out.print("These bars were decided in an earlier run, so nothing was sent again.\n--fresh starts a new simulated account.")
    _print_next(out, trader)


def _figures(trader: LiveTrader) -> list[tuple[str, str]]:
    with AuditReader(trader.config.audit_db_path) as reader:
        counts, unsettled = reader.run_counts(trader.run_id), reader.unsettled_orders()
    account = trader.final_account
    rows = [
        ("Mode", MODE_WORDS[trader.mode] + (f", {account.server}" if trader.terminal.name == "paper" else "")),
        ("Bars decided", f"{counts.bars:,}"),
        ("Signals", f"{counts.signals:,}"),
        ("Orders sent", f"{counts.orders_sent:,}"),
        ("Orders filled", f"{counts.orders_filled:,}"),
        ("Orders refused by the broker", f"{counts.orders_refused:,}"),
        ("Orders denied by our limits", f"{counts.orders_denied:,}"),
        ("Orders of unknown outcome", f"{unsettled:,}"),
        ("Positions opened", f"{counts.positions_opened:,}"),
        ("Positions closed", f"{counts.positions_closed:,}"),
        ("Trades won / lost", f"{counts.winning_trades:,} / {counts.losing_trades:,}"),
        ("Initial capital", f"{trader.initial_equity:,.2f} {account.currency}"),
        ("Current capital", f"{account.equity:,.2f} {account.currency}"),
        ("P/L", f"{account.equity - trader.initial_equity:+,.2f} {account.currency}"),
    ]
    return [row for row in rows if unsettled or row[0] != "Orders of unknown outcome"]


def _print_positions(out: Console, positions: tuple[Position, ...]) -> None:
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


def _print_next(out: Console, trader: LiveTrader) -> None:
    config = trader.config
    record = "" if config.audit_db_path == OWN_RECORD else f" --db {config.audit_db_path}"
    params = " ".join(f"{name}={value}" for name, value in params_of(trader.strategy.cls).items() if isinstance(value, (int, float)))
    out.print(f"Record: {_short(config.audit_db_path)}\nLog:    {_short(config.log_dir / 'live_trader.log')}")
    out.print(f"Next:   python run.py dashboard{record}")
    out.print("        your own --strategy FILE, your own prices with --data FILE" + (f",\n        --params {params}" if params else ""))


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
