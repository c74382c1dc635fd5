"""What is on stage before anything happens: symbol, account, settings and strategy of a world."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal import AccountSpec, SymbolSpec
from Backtest.simulated_terminal.dealing import Dealing
from Backtest.simulated_terminal.symbols import no_commission
from Backtest.strategies import DEFAULTS, LoadedStrategy
from Live.config import LiveConfig, load_config
from tests.faults.case import Case
from tests.faults.strategies import MENUS, Step, Worker

SYMBOL, LOGIN, SERVER = "EURUSD", 12345678, "Simulated-Demo"
CANARY = "canary-of-the-password"
WIDE: Mapping[str, object] = {
    "max_position_size": 1000.0,
    "max_positions": 10_000,
    "max_daily_trades": 100_000,
    "max_daily_loss_pct": 100.0,
    "max_orders_per_minute": 10_000,
}
TIGHT: Mapping[str, object] = {
    "max_position_size": 0.08,
    "max_positions": 4,
    "max_daily_trades": 9,
    "max_daily_loss_pct": 3.0,
    "max_orders_per_minute": 4,
    "max_spread_points": 60,
}


def charged(units: float, price: float) -> float:
    """A commission of seven for a lot."""
    return abs(units) / 100_000 * 7


def symbol_of(case: Case) -> SymbolSpec:
    """The symbol as the world's broker has it."""
    world = case.world
    return SymbolSpec(
        SYMBOL,
        5,
        tick_size=1e-5,
        execution=world.execution,
        filling_mode=world.filling,
        stops_level=world.stops_level,
        freeze_level=world.freeze_level,
        currency_base="EUR",
        currency_margin="EUR",
    )


def account_of(case: Case) -> AccountSpec:
    """The account as the world's broker has it."""
    world = case.world
    return AccountSpec(
        balance=10_000.0,
        leverage=world.leverage,
        margin_mode=0 if world.netting else 2,
        comment_length=world.comment_length,
        login=LOGIN,
        password=CANARY,
        server=SERVER,
        dealing=Dealing(case.seed, world.drift, world.lots_per_tick or math.inf),
        commission=charged if world.commission else no_commission,
    )


def settings_of(case: Case, folder: Path) -> LiveConfig:
    """The settings of the trader."""
    paths = {"audit_db_path": f"{folder}/audit.db", "log_dir": f"{folder}/logs", "kill_switch_file": f"{folder}/EMERGENCY_STOP"}
    account = {"mt5_login": LOGIN, "mt5_password": CANARY, "mt5_server": SERVER, "mt5_terminal": "remote", "dry_run": False}
    ways = {"timeframe": "5m", "warmup_bars": 6, "interval_seconds": 3600, "sizing": "strategy", "dashboard": False}
    limits = TIGHT if case.world.limits == "tight" else WIDE
    empty = folder / "empty.env"
    empty.touch()
    return load_config({**paths, **account, **ways, **limits, "symbols": SYMBOL, "kill_switch_action": case.world.action}, empty, {})


def strategy_of(case: Case, instead: Callable[[Any], Step | None]) -> LoadedStrategy:
    """The strategy, as if it had come from a file."""
    world = case.world
    fields = {"menu": tuple(MENUS.get(world.menu, ())), "levels": world.levels, "instead": staticmethod(instead)}
    made = type("Worker", (Worker,), fields)
    backtest = {**DEFAULTS, "cash": 10_000.0, "margin": 1 / world.leverage, "hedging": world.both_sides}
    return LoadedStrategy(made, Path("worker.py"), "0" * 64, backtest)
