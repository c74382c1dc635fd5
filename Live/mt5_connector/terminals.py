"""Which terminal: MetaTrader's own, or the simulated one over replayed prices."""

import hashlib
import importlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from Backtest.bars import BUILTIN, Timeframe, builtin_prices, read_prices, resample, timeframe, timeframe_of
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec, parity_account, parity_symbol
from Backtest.simulated_terminal.catalogue import catalogue, retail_symbol
from Backtest.simulated_terminal.journal import FORMAT
from Backtest.sizing import commission_of
from Backtest.strategies import DEFAULTS, LoadedStrategy
from Live.clock import Clock, SystemClock, real_sleep
from Live.config import LiveConfig
from Live.errors import Misconfigured, RecordFailed
from Live.locks import hold_simulated_account
from Live.mt5_connector.remote import RemoteTerminal

# Only these make another simulated account; what is shown or logged does not.
_SHAPES_TRADING = (
    *("SYMBOLS", "TIMEFRAME", "MAGIC_NUMBER", "WARMUP_BARS", "SIM_BROKER", "SIM_BALANCE", "SIM_SPREAD_POINTS", "SIZING", "FIXED_LOTS"),
    *("DEFAULT_RISK_PCT", "MAX_POSITION_SIZE", "MAX_POSITIONS", "MAX_DAILY_TRADES", "MAX_DAILY_LOSS_PCT", "MAX_SPREAD_POINTS"),
    *("MAX_ORDERS_PER_MINUTE", "MAX_SIGNAL_AGE_SECONDS", "PRICE_COLLAR_PCT"),
)


@dataclass(frozen=True, slots=True)
class OpenedTerminal:
    """A terminal that the connector can talk to, and the clock that goes with it."""

    name: str  # simulated, native, remote
    functions: Any
    clock: Clock


def open_terminal(
    config: LiveConfig, strategy: LoadedStrategy, params: Mapping[str, Any], resources: ExitStack, *, fresh: bool = False
) -> OpenedTerminal:
    """The terminal that MT5_TERMINAL asks for.

    `fresh` starts a new simulated account where this strategy with these settings and prices has one already. A
    simulated account is ours alone until `resources` are let go. Raises AnotherInstance, Misconfigured, or BadInput for
    prices that cannot be used.
    """
    kind = kind_of(config)
    if kind == "simulated":
        return _simulated(config, strategy, params, resources, fresh=fresh)
    if config.dry_run:
        raise Misconfigured(
            f"MT5_TERMINAL={kind} with DRY_RUN=true needs the paper account, which this version does not have; set MT5_TERMINAL=simulated"
        )
    return _real(config, kind)


def kind_of(config: LiveConfig) -> str:
    """Which terminal MT5_TERMINAL asks for: native, remote or simulated."""
    if config.mt5_terminal == "auto":
        return "simulated" if config.dry_run else "native"
    return config.mt5_terminal


def look_at_terminal(config: LiveConfig) -> OpenedTerminal:
    """The terminal that MT5_TERMINAL asks for, to look at: with no account that is kept, no lock and no file.

    Raises Misconfigured for one that cannot be used here, BadInput for prices that cannot be replayed.
    """
    kind = kind_of(config)
    if kind != "simulated":
        return _real(config, kind)
    balance = config.sim_balance or float(DEFAULTS["cash"])
    account = parity_account(balance) if config.sim_broker == "parity" else AccountSpec(balance)
    terminal = SimulatedTerminal(simulated_market(config), account)
    return OpenedTerminal("simulated", terminal, terminal.clock)


def _real(config: LiveConfig, kind: str) -> OpenedTerminal:
    if kind == "remote":
        return OpenedTerminal("remote", remote_terminal(config), SystemClock())
    try:
        return OpenedTerminal("native", importlib.import_module("MetaTrader5"), SystemClock())
    except ImportError as error:
        raise Misconfigured(
            "DRY_RUN=false needs the MetaTrader5 package, which is there for Windows only (pip install MetaTrader5); "
            "set DRY_RUN=true to trade on the simulated terminal"
        ) from error


def remote_terminal(config: LiveConfig) -> RemoteTerminal:
    """The terminal that MT5_REMOTE_HOST serves, not connected yet. Raises Misconfigured when its client is not installed."""
    return RemoteTerminal(config.mt5_remote_host, config.mt5_remote_port, timeout=config.mt5_timeout / 1000)


def _simulated(
    config: LiveConfig, strategy: LoadedStrategy, params: Mapping[str, Any], resources: ExitStack, *, fresh: bool
) -> OpenedTerminal:
    market = simulated_market(config)
    path, login = _account_file(config, _fingerprint(config, strategy, params, market), fresh=fresh)
    hold_simulated_account(resources, path)
    account = _account(config, strategy, login=login)
    terminal = _KeptTerminal(market, account, state_file=path, speed=config.sim_speed, real_sleep=real_sleep)
    resources.callback(terminal.close)
    return OpenedTerminal("simulated", terminal, terminal.clock)


def simulated_market(config: LiveConfig) -> ReplayMarket:
    """The prices of SYMBOLS, ready to be replayed. Raises BadInput."""
    steps = timeframe(config.timeframe)
    prices = _prices(config, steps)
    return ReplayMarket({name: (_spec(config, name, frame), frame) for name, frame in prices.items()}, timeframe=steps)


def _spec(config: LiveConfig, name: str, frame: pd.DataFrame) -> SymbolSpec:
    return parity_symbol(name, frame) if config.sim_broker == "parity" else retail_symbol(name, frame, catalogue(config.sim_symbols))


class _KeptTerminal(SimulatedTerminal):
    """A simulated terminal whose account is part of the record: what cannot be kept ends the run, like a full database."""

    def _commit(self) -> None:
        try:
            super()._commit()
        except OSError as error:
            raise RecordFailed(
                f"the simulated account cannot be kept in SIM_ACCOUNT_DIR: {error.strerror or error}; make room, and start again"
            ) from error


def _account(config: LiveConfig, strategy: LoadedStrategy, *, login: int) -> AccountSpec:
    balance, commission = config.sim_balance or float(strategy.backtest["cash"]), commission_of(strategy.backtest)
    spec = parity_account(balance, commission) if config.sim_broker == "parity" else AccountSpec(balance, commission=commission)
    return replace(spec, login=login)


def _prices(config: LiveConfig, steps: Timeframe) -> dict[str, pd.DataFrame]:
    """Each symbol's bars in the timeframe that is traded."""
    found: dict[str, pd.DataFrame] = {}
    mistakes: list[str] = []
    for symbol in config.symbols:
        try:
            found[symbol] = _in_steps(config, symbol, steps)
        except BadInput as error:
            mistakes += error.mistakes
    if mistakes:
        raise BadInput(*mistakes)
    return found


def _in_steps(config: LiveConfig, symbol: str, steps: Timeframe) -> pd.DataFrame:
    if config.sim_prices:
        frame = read_prices(config.sim_prices[symbol])
        given = timeframe_of(frame)
    else:
        frame = builtin_prices(symbol)
        given = BUILTIN[symbol]
    frame = frame if given == steps else resample(frame, steps)
    points = config.sim_spread_points
    return frame.assign(Spread=frame.get("Spread", 0) + points) if points else frame


def _fingerprint(config: LiveConfig, strategy: LoadedStrategy, params: Mapping[str, Any], market: ReplayMarket) -> str:
    """What makes a simulated account another one: the strategy's text and parameters, prices and symbols, the settings that
    shape trading, and how an account is kept: after an update the old file is left alone, with the record of what it did.
    """
    public = config.public()
    facts = {name: public[name] for name in _SHAPES_TRADING}
    told = [strategy.cls.__name__, strategy.sha256, dict(params), facts, market.fingerprint(), FORMAT]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _account_file(config: LiveConfig, fingerprint: str, *, fresh: bool) -> tuple[Path, int]:
    """Where the simulated account lives, and its number: one per strategy, prices and settings, and per fresh start."""
    folder = config.sim_account_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"SIM_ACCOUNT_DIR={folder} cannot be used for the simulated accounts: {error}") from error
    generation = 0
    path, login = _numbered(folder, fingerprint, generation)
    while path.exists():
        following = _numbered(folder, fingerprint, generation + 1)
        if not following[0].exists() and not fresh:
            break
        generation += 1
        path, login = following
    return path, login


def _numbered(folder: Path, fingerprint: str, generation: int) -> tuple[Path, int]:
    number = hashlib.sha256(f"{fingerprint}/{generation}".encode()).digest()
    login = 10_000_000 + int.from_bytes(number[:4], "big") % 90_000_000  # eight digits, as brokers give
    return folder / f"{login}.jsonl", login
