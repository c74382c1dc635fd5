"""Where the simulated and paper accounts are kept, and under which numbers."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal.journal import FORMAT
from Backtest.strategies import LoadedStrategy
from Live.config import LiveConfig
from Live.errors import Misconfigured, RecordFailed

# Only these make another simulated account; what is shown or logged does not.
_SHAPES_TRADING = (
    *("SYMBOLS", "TIMEFRAME", "MAGIC_NUMBER", "WARMUP_BARS", "SIM_BROKER", "SIM_BALANCE", "SIM_SPREAD_POINTS", "SIZING", "FIXED_LOTS"),
    *("DEFAULT_RISK_PCT", "MAX_POSITION_SIZE", "MAX_POSITIONS", "MAX_DAILY_TRADES", "MAX_DAILY_LOSS_PCT", "MAX_SPREAD_POINTS"),
    *("MAX_ORDERS_PER_MINUTE", "MAX_SIGNAL_AGE_SECONDS", "PRICE_COLLAR_PCT", "MAX_FAILURES_IN_A_ROW", "MAX_QUOTE_AGE_SECONDS"),
)


@dataclass(frozen=True, slots=True)
class Traded:
    """Whose account it is."""

    strategy: LoadedStrategy
    params: Mapping[str, Any]
    fresh: bool = False  # a new one where there is one already
    look_at: "Kept | None" = None  # not to trade on, but to see a copy of


@dataclass(frozen=True, slots=True)
class Kept:
    """An account that is on file, and a folder for a copy of it: one can look at it while a trader trades it."""

    login: int
    folder: Path


def account_file(config: LiveConfig, traded: Traded, prices: str) -> tuple[Path, int]:
    """The file and the number of an account: one per strategy, `prices` (what tells them apart) and settings, and per fresh start.

    Raises Misconfigured when the folder cannot be used.
    """
    if traded.look_at is not None:
        return _copied(config.sim_account_dir, traded.look_at)
    folder, what = config.sim_account_dir, _fingerprint(config, traded, prices)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"SIM_ACCOUNT_DIR={folder} cannot be used for the simulated accounts: {error}") from error
    generation = 0
    path, login = _numbered(folder, what, generation)
    while path.exists():
        following = _numbered(folder, what, generation + 1)
        if not following[0].exists() and not traded.fresh:
            break
        generation += 1
        path, login = following
    return path, login


def _copied(accounts: Path, kept: Kept) -> tuple[Path, int]:
    file = accounts / f"{kept.login}.jsonl"
    try:
        return Path(shutil.copy(file, kept.folder)), kept.login
    except OSError as error:
        raise Misconfigured(f"the simulated account {file} cannot be read: {error.strerror}; set SIM_ACCOUNT_DIR to its folder") from error


@contextmanager
def keeping() -> Iterator[None]:
    """An account of ours is part of the record: what cannot be kept ends the run, like a full database (RecordFailed)."""
    try:
        yield
    except OSError as error:
        raise RecordFailed(
            f"the simulated account cannot be kept in SIM_ACCOUNT_DIR: {error.strerror or error}; make room, and start again"
        ) from error


def _fingerprint(config: LiveConfig, traded: Traded, prices: str) -> str:
    """What makes an account another one: the strategy's text and parameters, prices and symbols, the settings that shape
    trading, and how an account is kept: after an update the old file is left alone, with the record of what it did.
    """
    public = config.public()
    facts = {name: public[name] for name in _SHAPES_TRADING}
    strategy = traded.strategy
    told = [strategy.cls.__name__, strategy.sha256, dict(traded.params), facts, prices, FORMAT]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _numbered(folder: Path, fingerprint: str, generation: int) -> tuple[Path, int]:
    number = hashlib.sha256(f"{fingerprint}/{generation}".encode()).digest()
    login = 10_000_000 + int.from_bytes(number[:4], "big") % 90_000_000  # eight digits, as brokers give
    return folder / f"{login}.jsonl", login
