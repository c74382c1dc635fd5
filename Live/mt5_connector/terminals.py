"""Which terminal: MetaTrader's own, one on another machine, a paper account on the prices of these, or the simulated one."""

import importlib
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from Backtest.bars import BUILTIN, Timeframe, builtin_prices, is_ticks, read_bars_or_ticks, resample, timeframe, timeframe_of
from Backtest.errors import BadInput
from Backtest.fractional import WHOLE, FractionalUnit
from Backtest.parity_terminal import ParityTerminal
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec, parity_account, parity_symbol
from Backtest.simulated_terminal.catalogue import catalogue, retail_symbol
from Backtest.simulated_terminal.symbols import digits_of
from Backtest.sizing import market_commission_of
from Backtest.strategies import DEFAULTS, LoadedStrategy
from Live.clock import Clock, SystemClock, real_sleep
from Live.config import LiveConfig
from Live.errors import Misconfigured, Unreachable
from Live.locks import hold_simulated_account
from Live.mt5_connector.own_accounts import Kept, Traded, account_file, keeping
from Live.mt5_connector.paper import open_paper
from Live.mt5_connector.remote import NOT_STARTED, RemoteTerminal

log = logging.getLogger("LiveTrader")


@dataclass(frozen=True, slots=True)
class OpenedTerminal:
    """A terminal that the connector can talk to, and the clock that goes with it."""

    name: str  # simulated, native, remote, or paper: prices of one of these two, an account of ours
    functions: Any
    clock: Clock
    machine: Clock = field(default_factory=SystemClock)  # for what people watch: it goes on while a replay races or stands


def open_terminal(
    config: LiveConfig, strategy: LoadedStrategy, params: Mapping[str, Any], resources: ExitStack, *, fresh: bool = False
) -> OpenedTerminal:
    """The terminal that MT5_TERMINAL asks for; with DRY_RUN a paper account on the prices of a real one.

    `fresh` starts a new simulated or paper account where this strategy with these settings and prices has one already.
    That account is ours alone until `resources` are let go. Raises AnotherInstance, Misconfigured, BadInput for prices or
    an account that cannot be used, and for a paper account Unreachable and WrongAccount.
    """
    return _open(config, Traded(strategy, params, fresh), resources)


def open_copy(config: LiveConfig, strategy: LoadedStrategy, login: int, resources: ExitStack) -> OpenedTerminal:
    """The same with a copy of the simulated or paper account of this number: to look at, also while a trader trades it."""
    kept = Kept(login, Path(resources.enter_context(TemporaryDirectory())))
    return _open(config, Traded(strategy, {}, look_at=kept), resources)


def _open(config: LiveConfig, traded: Traded, resources: ExitStack) -> OpenedTerminal:
    kind = kind_of(config)
    if kind == "simulated":
        return _simulated(config, traded, resources)
    real = _real(config, kind)
    if not config.dry_run:
        return real
    try:
        return OpenedTerminal("paper", *open_paper(config, traded, (real.functions, real.clock), resources))
    except Unreachable:
        if config.mt5_terminal != "auto" or real.functions.last_error()[0] != NOT_STARTED:
            raise
        log.warning("no MetaTrader 5 terminal can be started on this machine; trading on the simulated one, as MT5_TERMINAL=simulated does")
        return _simulated(config, traded, resources)


def kind_of(config: LiveConfig) -> str:
    """Which terminal MT5_TERMINAL asks for: native, remote or simulated.

    `auto` is native; but in a dry run simulated where the package cannot be imported or prices are given to be replayed.
    """
    if config.mt5_terminal != "auto":
        return config.mt5_terminal
    return "simulated" if config.dry_run and (config.sim_prices or _package() is None) else "native"


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
    package = _package()
    if package is None:
        raise Misconfigured(
            "the MetaTrader5 package is not installed, and there for Windows only (pip install MetaTrader5); set MT5_TERMINAL=simulated "
            "and DRY_RUN=true to trade on the simulated terminal, or MT5_TERMINAL=remote for one on another machine"
        )
    return OpenedTerminal("native", package, SystemClock())


def _package() -> Any | None:
    try:
        return importlib.import_module("MetaTrader5")
    except ImportError:
        return None


def remote_terminal(config: LiveConfig) -> RemoteTerminal:
    """The terminal that MT5_REMOTE_HOST serves, not connected yet. Raises Misconfigured when its client is not installed."""
    return RemoteTerminal(config.mt5_remote_host, config.mt5_remote_port, timeout=config.mt5_timeout / 1000)


def _simulated(config: LiveConfig, traded: Traded, resources: ExitStack) -> OpenedTerminal:
    market = simulated_market(config, FractionalUnit.of(traded.strategy.backtest))
    path, login = account_file(config, traded, market.fingerprint())
    hold_simulated_account(resources, path)
    account = _account(config, traded.strategy, login=login)
    options: dict[str, Any] = {"state_file": path, "speed": config.sim_speed, "real_sleep": real_sleep}
    terminal = (
        _KeptParityTerminal(market, account, backtest=traded.strategy.backtest, **options)
        if _fills_as_backtest(config)
        else _KeptTerminal(market, account, **options)
    )
    resources.callback(terminal.close)
    return OpenedTerminal("simulated", terminal, terminal.clock)


def simulated_market(config: LiveConfig, unit: FractionalUnit = WHOLE) -> ReplayMarket:
    """The prices of SYMBOLS, ready to be replayed; `unit` is what a strategy trades parts of. Raises BadInput."""
    steps = timeframe(config.timeframe)
    prices = _prices(config, steps)
    return ReplayMarket({name: (_spec(config, name, frame, unit), frame) for name, frame in prices.items()}, timeframe=steps)


def _ticks(config: LiveConfig, symbol: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The ticks of a symbol, of which the terminal builds the bars of any timeframe."""
    if config.sim_broker == "parity":
        raise BadInput(
            f"{config.sim_prices[symbol]}: it holds ticks, and SIM_BROKER=parity replays bars, as a backtest does; set SIM_BROKER=retail"
        )
    digits = digits_of(frame)
    return frame.assign(Ask=(frame["Ask"] + config.sim_spread_points * 10.0**-digits).round(digits))


def _spec(config: LiveConfig, name: str, frame: pd.DataFrame, unit: FractionalUnit) -> SymbolSpec:
    if config.sim_broker == "retail":
        return retail_symbol(name, frame, catalogue(config.sim_symbols))
    return replace(parity_symbol(name, frame, unit=unit.size), spread_in_prices=not _fills_as_backtest(config))


def _fills_as_backtest(config: LiveConfig) -> bool:
    # a spread of our own is a cost that the backtest has not: then only the prices are those of a backtest
    return config.sim_broker == "parity" and not config.sim_spread_points


class _KeptTerminal(SimulatedTerminal):
    def _commit(self) -> None:
        with keeping():
            super()._commit()


class _KeptParityTerminal(_KeptTerminal, ParityTerminal):
    """With backtesting.py's own broker behind it."""


def _account(config: LiveConfig, strategy: LoadedStrategy, *, login: int) -> AccountSpec:
    balance, commission = config.sim_balance or float(strategy.backtest["cash"]), market_commission_of(strategy.backtest)
    spec = parity_account(balance, commission) if config.sim_broker == "parity" else AccountSpec(balance, commission=commission)
    return replace(spec, login=login)


def _prices(config: LiveConfig, steps: Timeframe) -> dict[str, pd.DataFrame]:
    """Each symbol's bars in the timeframe that is traded, or its ticks."""
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
        frame = read_bars_or_ticks(config.sim_prices[symbol])
        if is_ticks(frame):
            return _ticks(config, symbol, frame)
        given = timeframe_of(frame)
    else:
        frame = builtin_prices(symbol)
        given = BUILTIN[symbol]
    frame = frame if given == steps else resample(frame, steps)
    points = config.sim_spread_points
    return frame.assign(Spread=frame.get("Spread", 0) + points) if points else frame
