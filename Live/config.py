"""Settings: flags over environment over file over default, checked together, into one frozen `LiveConfig`."""

import difflib
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from dotenv.parser import Binding, parse_stream
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from Backtest.bars import timeframe
from Live.errors import Misconfigured

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DEFAULT_ENV_FILE = PROJECT_ROOT / ".env"
KEYRING_SERVICE = "MT5"
MEASURED = 0  # of WARMUP_BARS: as many as the strategy is measured to need
LONGEST_SYMBOL = 31  # characters; the terminal keeps 32 with the closing zero

logger = logging.getLogger("LiveTrader")


class Secret:
    """A text that prints as `***`; `reveal` is the one way to it, and can be grepped for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***" if self._value else "''"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def reveal(self) -> str:
        """The text itself. Never pass it to a log, the record, a page or an alert."""
        return self._value


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _true_or_false(value: object) -> object:
    # "yes", "1" and "on" are refused: what decides over real money has one spelling
    words = {"true": True, "false": False}
    if isinstance(value, str):
        return words[value.lower()] if value.lower() in words else _refuse()
    return value if isinstance(value, bool) else _refuse()


def _whole(value: object) -> object:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[+-]?[0-9]+", value) else _refuse()
    return value if isinstance(value, int) and not isinstance(value, bool) else _refuse()


def _bars(value: object) -> object:
    """0 stands for `auto` alone, so that a number is a number of bars."""
    if isinstance(value, str) and value.lower() == "auto":
        return MEASURED
    return _whole(value) if value not in (MEASURED, "0") else _refuse()


def _finite(value: object) -> object:
    if isinstance(value, str) and "_" not in value:
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return _refuse()


def _speed(value: object) -> object:
    return math.inf if value in ("max", math.inf) else _finite(value)


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _names(value: object) -> object:
    names = tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value
    if not isinstance(names, tuple | list) or len(set(names)) < len(names):
        return _refuse()
    return tuple(names) if all(isinstance(name, str) and 0 < len(name) <= LONGEST_SYMBOL for name in names) else _refuse()


def _price_files(value: object) -> object:
    """`FILE` becomes {"": FILE}; `LiveConfig` gives it the name of its only symbol."""
    if not isinstance(value, str):
        return value
    files: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        symbol, separator, file = part.partition("=")
        named = separator and not set(symbol) & set("/\\")  # folder=1/prices.csv is a path
        symbol, file = (symbol.strip(), file.strip()) if named else ("", part)
        if not file or symbol in files:
            return _refuse()
        files[symbol] = file
    return _refuse() if "" in files and len(files) > 1 else files


def _timeframe(value: object) -> object:
    return timeframe(value).name if isinstance(value, str) else value


def _in_project(path: Path) -> Path:
    try:
        return PROJECT_ROOT / path.expanduser()
    except RuntimeError:  # ~somebody, who has no home here
        _refuse()


def _filled(value: object) -> object:
    return value if value not in ("", None) and "\0" not in str(value) else _refuse()


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _refuse() -> NoReturn:
    raise ValueError("not allowed")  # the sentence that a person reads is made of the field's description


Flag = Annotated[bool, BeforeValidator(_true_or_false)]
Whole = Annotated[int, BeforeValidator(_whole)]
WarmupBars = Annotated[int, BeforeValidator(_bars)]
Number = Annotated[float, BeforeValidator(_finite)]
Speed = Annotated[float, BeforeValidator(_speed)]
FilePath = Annotated[Path, BeforeValidator(_filled), AfterValidator(_in_project)]
SecretText = Annotated[Secret, BeforeValidator(lambda value: Secret(value) if isinstance(value, str) else value)]
Symbols = Annotated[tuple[str, ...], BeforeValidator(_names)]
PriceFiles = Annotated[Mapping[str, Annotated[Path, AfterValidator(_in_project)]], BeforeValidator(_price_files)]
TimeframeName = Annotated[str, BeforeValidator(_timeframe)]


def _setting(default: Any, allowed: str, **rules: Any) -> Any:
    return Field(default, description=allowed, **rules)


def _count(default: int, low: int, high: int, meaning: str = "") -> Any:
    return _setting(default, f"a whole number from {low} to {high}{meaning}", ge=low, le=high)


def _above_zero(default: float, high: int, meaning: str = "") -> Any:
    return _setting(default, f"a number above 0, up to {high}{meaning}", gt=0, le=high)


TRUE_FALSE = "true or false"
ANY_TEXT = "any text, or empty"


class LiveConfig(BaseModel):
    """Every setting, checked. An attribute is its key in lower case; `.env.template` says what each one means.

    Paths are absolute, `timeframe` is MetaTrader's name ("H1"), `sim_speed` is inf for `max`, and `sim_prices` has the
    symbols as its keys. Made by `load_config`; made directly, it raises pydantic's ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True)

    mt5_login: Annotated[Whole | None, BeforeValidator(_empty_is_none)] = _setting(None, "an account number, or empty", ge=1)
    mt5_password: SecretText = _setting("", ANY_TEXT)
    mt5_server: str = _setting("", ANY_TEXT)
    mt5_path: str = _setting("", "the path of terminal64.exe, or empty")
    mt5_timeout: Whole = _count(60_000, 1_000, 600_000, " milliseconds")
    mt5_terminal: Annotated[Literal["auto", "native", "remote", "simulated"], BeforeValidator(_lower)] = _setting(
        "auto", "auto, native, remote or simulated"
    )
    mt5_remote_host: str = _setting("127.0.0.1", "the name or address of a machine", min_length=1)
    mt5_remote_port: Whole = _count(18_812, 1, 65_535)

    dry_run: Flag = _setting(True, TRUE_FALSE)
    allow_real_account: Flag = _setting(False, TRUE_FALSE)
    interval_seconds: Number = _above_zero(60.0, 86_400, " seconds")
    symbols: Symbols = _setting("EURUSD", "symbol names separated by commas, each once")
    timeframe: TimeframeName = _setting("1h", "a MetaTrader timeframe, such as 1m, 5m, 1h, 4h, 1d, 1w, 1mo or M1, H1, D1, W1, MN1")
    strategy_id: str = _setting("", "letters, digits, dots, dashes and underscores (at most 64), or empty", pattern=r"^[\w.-]{0,64}$")
    magic_number: Whole = _setting(123456, "a whole number from 1 to 9223372036854775807", ge=1, le=2**63 - 1)
    warmup_bars: WarmupBars = _setting(5_000, "auto, or a whole number from 1 to 1000000 bars", ge=0, le=1_000_000)

    default_risk_pct: Number = _above_zero(1.0, 100, " percent")
    sizing: Annotated[Literal["auto", "risk", "strategy", "fixed"], BeforeValidator(_lower)] = _setting(
        "auto", "auto, risk, strategy or fixed"
    )
    fixed_lots: Number = _above_zero(0.01, 1_000_000, " lots")
    max_position_size: Number = _above_zero(10.0, 1_000_000, " lots")
    max_positions: Whole = _count(10, 1, 10_000)
    max_daily_trades: Whole = _count(10, 1, 100_000)
    max_daily_loss_pct: Number = _above_zero(5.0, 100, " percent")
    max_spread_points: Whole = _count(0, 0, 1_000_000, " points; 0 is no limit")
    max_orders_per_minute: Whole = _count(30, 1, 10_000)
    max_signal_age_seconds: Annotated[Number | None, BeforeValidator(_empty_is_none)] = _setting(
        None, "a number above 0, up to 31536000 seconds, or empty", gt=0, le=31_536_000
    )

    deviation_points: Whole = _count(20, 0, 1_000_000, " points")
    price_collar_pct: Number = _above_zero(1.0, 100, " percent")
    max_retry_attempts: Whole = _count(3, 0, 10)
    retry_backoff_base: Number = _above_zero(2.0, 60, " seconds")

    order_deadline_seconds: Number = _above_zero(60.0, 3_600, " seconds")
    read_deadline_seconds: Number = _above_zero(15.0, 3_600, " seconds")
    decision_deadline_seconds: Number = _above_zero(60.0, 86_400, " seconds")

    enable_kill_switch: Flag = _setting(True, TRUE_FALSE)
    kill_switch_file: FilePath = _setting("EMERGENCY_STOP", "the name or path of a file")
    kill_switch_action: Annotated[Literal["halt", "flatten"], BeforeValidator(_lower)] = _setting("halt", "halt or flatten")

    enable_alerts: Flag = _setting(False, "false: this version delivers no alerts")
    telegram_bot_token: SecretText = _setting("", ANY_TEXT)
    telegram_chat_id: SecretText = _setting("", ANY_TEXT)
    alert_webhook_url: SecretText = _setting("", ANY_TEXT)

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = _setting(
        "INFO", "DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )
    log_dir: FilePath = _setting("logs", "the path of a folder")
    max_log_size_mb: Number = _above_zero(100.0, 100_000, " megabytes")
    log_backup_count: Whole = _count(10, 1, 1_000)
    audit_db_path: FilePath = _setting("data/audit.db", "the path of a file")
    snapshot_seconds: Number = _above_zero(300.0, 86_400, " seconds")
    dashboard: Flag = _setting(True, TRUE_FALSE)
    dashboard_port: Whole = _count(5_000, 1, 65_535)

    sim_broker: Annotated[Literal["parity", "retail"], BeforeValidator(_lower)] = _setting("parity", "parity or retail")
    sim_balance: Annotated[Number | None, BeforeValidator(_empty_is_none)] = _setting(
        None, "a number above 0, up to 1000000000000, or empty", gt=0, le=1e12
    )
    sim_spread_points: Whole = _count(0, 0, 1_000_000, " points")
    sim_prices: PriceFiles = _setting("", "a price file, or SYMBOL=FILE for each symbol, separated by commas, or empty")
    sim_symbols: Annotated[FilePath | None, BeforeValidator(_empty_is_none)] = _setting(None, "the path of a file, or empty")
    sim_speed: Speed = _setting("max", "max, or a number above 0", gt=0)
    sim_account_dir: FilePath = _setting("data/simulated_accounts", "the path of a folder")

    _from_keyring: Secret | None = PrivateAttr(default=None)

    def password(self) -> str:
        """The account's password: `MT5_PASSWORD`, else what the operating system's keyring holds, else empty.

        The keyring is asked for service "MT5" and the login as user name, once.
        """
        if self.mt5_password or self.mt5_login is None:
            return self.mt5_password.reveal()
        if self._from_keyring is None:
            self._from_keyring = Secret(_keyring_password(str(self.mt5_login)))
        return self._from_keyring.reveal()

    def secrets(self) -> tuple[str, ...]:
        """The secrets that this process knows by now, to be kept out of everything that is written."""
        known = [value for value in dict(self).values() if isinstance(value, Secret)]
        return tuple(secret.reveal() for secret in (*known, self._from_keyring) if secret)

    def public(self) -> dict[str, Any]:
        """Every setting by its key, as JSON can hold it; a secret is `***`, or empty where it is not set."""
        return {name.upper(): _shown(value) for name, value in self}


def _shown(value: object) -> Any:
    if isinstance(value, Secret):
        return "***" if value else ""
    if isinstance(value, Mapping):
        return {key: str(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    return "max" if value == math.inf else value


def _keyring_password(user: str) -> str:
    import keyring  # late: its backends start services, and most runs need none

    try:
        return keyring.get_password(KEYRING_SERVICE, user) or ""
    except Exception as error:  # noqa: BLE001 - the door to whichever keyring plug-in the machine has
        logger.warning("No password from the keyring", extra={"extra_data": {"error": type(error).__name__}})
        return ""


@dataclass(frozen=True, slots=True)
class _Given:
    """A raw value and where it was given."""

    value: object
    origin: str


def load_config(flags: Mapping[str, object], env_file: Path | None, environ: Mapping[str, str]) -> LiveConfig:
    """The settings, or `Misconfigured` with one sentence for every mistake.

    `flags` has keys in either case, and None for a flag that was not given; `env_file` None is the project's `.env`,
    if there is one. Unknown keys are mistakes in `flags` and in the file, and of no interest in `environ`.
    """
    mistakes: list[str] = []
    given: dict[str, _Given] = {}
    if env_file is not None or DEFAULT_ENV_FILE.exists():
        given |= _read_file(env_file or DEFAULT_ENV_FILE, mistakes)
    given |= {name: _Given(environ[name.upper()], "(environment)") for name in LiveConfig.model_fields if name.upper() in environ}
    given |= {name.lower(): _Given(value, "(command line)") for name, value in flags.items() if value is not None}
    config = _checked(given, mistakes)
    if config is None or mistakes:
        raise Misconfigured(*mistakes)
    return config


def _checked(given: Mapping[str, _Given], mistakes: list[str]) -> LiveConfig | None:
    unknown = [name for name in given if name not in LiveConfig.model_fields]
    mistakes += [_unknown(name.upper(), given[name].origin) for name in unknown]
    values = {name: item.value if _is_secret(name) else _trimmed(item.value) for name, item in given.items() if name not in unknown}
    try:
        config = LiveConfig.model_validate(values)
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        mistakes += [_wrong(name, given[name]) for name in wrong]
        return None
    prices, faults = _prices_by_symbol(config)
    mistakes += [*faults, *_contradictions(config)]
    return config.model_copy(update={"sim_prices": prices})


def _prices_by_symbol(config: LiveConfig) -> tuple[Mapping[str, Path], list[str]]:
    files, symbols = config.sim_prices, config.symbols
    if "" in files and len(symbols) == 1:
        return {symbols[0]: files[""]}, []
    if files and set(files) != set(symbols):
        wanted = ",".join(f"{name}=FILE" for name in symbols)
        return files, [f"SIM_PRICES wants one file for each of SYMBOLS={','.join(symbols)}: write {wanted}"]
    return files, []


def _contradictions(config: LiveConfig) -> Iterator[str]:
    if config.enable_alerts:
        yield "ENABLE_ALERTS=true: this version delivers no alerts; set it to false and watch the dashboard"
    if config.sim_symbols and config.sim_broker == "parity":
        yield f"SIM_SYMBOLS={config.sim_symbols} has no say with SIM_BROKER=parity: set SIM_BROKER=retail, or leave it empty"
    if config.sizing == "fixed" and config.fixed_lots > config.max_position_size:
        yield f"FIXED_LOTS={config.fixed_lots:g} is more than MAX_POSITION_SIZE={config.max_position_size:g}: every entry would be refused"


def _is_secret(name: str) -> bool:
    return LiveConfig.model_fields[name].annotation is Secret


def _wrong(name: str, given: _Given) -> str:
    field = LiveConfig.model_fields[name]
    if given.value == "":
        return f"{name.upper()} {given.origin} is empty: want {field.description}"
    value = "***" if _is_secret(name) else given.value
    return f"{name.upper()}={value} {given.origin}: want {field.description}"


def _unknown(key: str, origin: str) -> str:
    known = [name.upper() for name in LiveConfig.model_fields]
    close = difflib.get_close_matches(key, known, n=1)
    return f"{key} {origin} is no setting: " + (f"did you mean {close[0]}?" if close else "see .env.template for those that are")


def _read_file(path: Path, mistakes: list[str]) -> dict[str, _Given]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except OSError as error:
        mistakes.append(f"settings file {path}: cannot be read ({error.strerror}); copy .env.template to it, or name another with --config")
        return {}
    except UnicodeDecodeError:
        mistakes.append(f"settings file {path}: is not UTF-8 text; save it as UTF-8")
        return {}
    return _bound(path, bindings, mistakes)


def _bound(path: Path, bindings: list[Binding], mistakes: list[str]) -> dict[str, _Given]:
    """Key by key, with its line. The text of a line that cannot be read is not repeated: it may hold a password."""
    given: dict[str, _Given] = {}
    for binding in bindings:
        origin = f"({path.name}, line {_line_of(binding)})"
        if binding.error or (binding.key and binding.value is None):
            mistakes.append(f"settings file {path}, line {_line_of(binding)}: want KEY=value")
        elif binding.key is None:
            continue  # an empty line or a comment
        elif binding.key.lower() in given:
            mistakes.append(f"{binding.key} {origin} stands there a second time: keep one of them")
        else:
            given[binding.key.lower()] = _Given(binding.value, origin)
    return given


def _line_of(binding: Binding) -> int:
    blank = re.match(r"\s*", binding.original.string)
    return binding.original.line + (blank.group().count("\n") if blank else 0)
