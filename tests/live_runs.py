"""Runs of the whole live stack in this process, over the simulated terminal, in virtual time."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from backtesting import Strategy

from Backtest.bars import builtin_prices, timeframe
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec, parity_account, parity_symbol
from Backtest.sizing import market_commission_of
from Backtest.strategies import DEFAULTS, LoadedStrategy
from Live.config import LiveConfig, load_config
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.mt5_connector import OpenedTerminal

WIDE_OPEN = {
    "max_position_size": 1_000_000.0,
    "max_positions": 10_000,
    "max_daily_trades": 100_000,
    "max_daily_loss_pct": 100.0,
    "max_orders_per_minute": 10_000,
    "max_failures_in_a_row": 10_000,
}
LOGIN = 12345678


class _Turns(Watcher):
    def __init__(self, on_turn: Callable[[LiveTrader], None]) -> None:
        self.turned = on_turn  # type: ignore[assignment, method-assign]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left behind."""

    code: int
    trader: LiveTrader
    terminal: Any
    folder: Path

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """An answer of the record."""
        db = sqlite3.connect(self.folder / "audit.db")
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute(sql, values)]
        finally:
            db.close()

    def count(self, table: str, where: str = "1") -> int:
        """Rows of a table."""
        return int(self.rows(f"SELECT count(*) AS n FROM {table} WHERE {where}")[0]["n"])


def eurusd(bars: int, first: int = 0) -> pd.DataFrame:
    """A stretch of the hourly bars that backtesting.py ships."""
    return builtin_prices("EURUSD").iloc[first : first + bars]


def settings(folder: Path, **given: object) -> LiveConfig:
    """Settings whose files lie in a folder of their own."""
    paths = {"audit_db_path": f"{folder}/audit.db", "log_dir": f"{folder}/logs", "kill_switch_file": f"{folder}/EMERGENCY_STOP"}
    empty = folder / "empty.env"
    empty.touch()
    return load_config({"sizing": "strategy", "dashboard": False, "interval_seconds": 60, **paths, **given}, empty, {})


def loaded(strategy: type[Strategy], **backtest: object) -> LoadedStrategy:
    """A strategy class as if it had come from a file."""
    return LoadedStrategy(strategy, Path(f"{strategy.__name__.lower()}.py"), "0" * 64, {**DEFAULTS, **backtest})


def simulated(
    folder: Path,
    prices: Mapping[str, pd.DataFrame],
    strategy: LoadedStrategy,
    *,
    steps: str = "H1",
    spec: Callable[[str, pd.DataFrame], SymbolSpec] = parity_symbol,
    account: AccountSpec | None = None,
    made_by: Callable[..., Any] = SimulatedTerminal,
) -> OpenedTerminal:
    """A simulated terminal over these prices, its account kept in the folder."""
    market = ReplayMarket({name: (spec(name, frame), frame) for name, frame in prices.items()}, timeframe=timeframe(steps))
    given = account or parity_account(float(strategy.backtest["cash"]), market_commission_of(strategy.backtest))
    terminal = made_by(market, replace(given, login=LOGIN), state_file=folder / "account.jsonl")
    return OpenedTerminal("simulated", terminal, terminal.clock)


def run_live(
    folder: Path,
    strategy: LoadedStrategy,
    prices: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    given: Mapping[str, object] | None = None,
    params: Mapping[str, Any] | None = None,
    on_turn: Callable[[LiveTrader], None] = lambda _: None,
    once: bool = False,
    **terminal: Any,
) -> Ran:
    """Trade a strategy over prices, limits wide open unless `given` says otherwise."""
    frames = {"EURUSD": prices} if isinstance(prices, pd.DataFrame) else dict(prices)
    config = settings(folder, symbols=",".join(frames), **{**WIDE_OPEN, **(given or {})})
    opened = simulated(folder, frames, strategy, steps=config.timeframe, **terminal)
    trader = LiveTrader(config, Chosen(strategy, params or {}), opened, once=once, watcher=_Turns(on_turn))
    try:
        code = trader.run()
    finally:
        opened.functions.close()
    return Ran(code, trader, opened.functions, folder)


def same_trades(backtest: pd.DataFrame, live: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the trades of `Backtest.run()` and of the record differ: sizes, prices and times, one by one, to the last bit."""
    expected = [
        (size, entry, left, pd.Timestamp(opened).isoformat(), pd.Timestamp(closed).isoformat())
        for size, entry, left, opened, closed in zip(
            *(backtest[name] for name in ("Size", "EntryPrice", "ExitPrice", "EntryTime", "ExitTime")), strict=True
        )
    ]
    found = [(row["size"], row["entry_price"], row["exit_price"], row["entry_time"][:19], row["exit_time"][:19]) for row in live]
    differing = [f"{left} != {right}" for left, right in zip(expected, found, strict=False) if left != right]
    return differing + ([f"{len(expected)} trades != {len(found)}"] if len(expected) != len(found) else [])
