"""Settings: flags over environment over file over default, checked together, into one frozen `LiveConfig`."""

import difflib
import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv.parser import Binding, parse_stream
from pydantic import BeforeValidator, PrivateAttr, ValidationError

from Live.alert_settings import ALERT_SECRETS, AlertSettings, contradictions, secret_parts
from Live.errors import Misconfigured
from Live.secret_sources import LOGIN_SERVICE, from_keyring, read_secret_file, readable_by_others
from Live.setting_kinds import (
    ANY_TEXT,
    TRUE_FALSE,
    Address,
    FilePath,
    Flag,
    IndicatorBars,
    Number,
    PriceFiles,
    SecretText,
    Speed,
    Symbols,
    TimeframeName,
    WarmupBars,
    Whole,
    trimmed,
)
from Live.setting_kinds import MEASURED as MEASURED
from Live.setting_kinds import PROJECT_ROOT as PROJECT_ROOT
from Live.setting_kinds import Secret as Secret
from Live.setting_kinds import above_zero as _above_zero
from Live.setting_kinds import count as _count
from Live.setting_kinds import empty_is_none as _empty_is_none
from Live.setting_kinds import lower as _lower
from Live.setting_kinds import setting as _setting
from Live.setting_kinds import upper as _upper

DEFAULT_ENV_FILE = PROJECT_ROOT / ".env"
SHORTEST_TOKEN = 32  # characters
_FILE = "_file"  # behind the key of a secret: the file that holds it


class LiveConfig(AlertSettings):
    """Every setting, checked. An attribute is its key in lower case; `.env.template` says what each one means.

    Paths are absolute, `timeframe` is MetaTrader's name ("H1"), `sim_speed` is inf for `max`, and `sim_prices` has the
    symbols as its keys. Made by `load_config`; made directly, it raises pydantic's ValidationError.
    """

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
    indicator_bars: IndicatorBars = _setting(None, "all, auto, or a whole number from 1 to 1000000 bars", ge=0, le=1_000_000)

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
    max_failures_in_a_row: Whole = _count(5, 1, 10_000)
    max_quote_age_seconds: Whole = _count(300, 0, 86_400, " seconds; 0 is no limit")
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
    dashboard_host: Address = _setting("127.0.0.1", "one address of this machine, such as 127.0.0.1")
    dashboard_token: SecretText = _setting("", ANY_TEXT)

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

        The keyring is asked once: for MT5_PASSWORD, then for service "MT5" and the login as user name.
        """
        if self.mt5_password or self.mt5_login is None:
            return self.mt5_password.reveal()
        if self._from_keyring is None:
            self._from_keyring = Secret(from_keyring("MT5_PASSWORD") or from_keyring(str(self.mt5_login), LOGIN_SERVICE))
        return self._from_keyring.reveal()

    def secrets(self) -> tuple[str, ...]:
        """The secrets that this process knows by now, to be kept out of everything that is written; of an address also its parts."""
        known = [getattr(self, name) for name in SECRETS]
        whole = tuple(secret.reveal() for secret in (*known, self._from_keyring) if secret)
        return _with_parts(whole, self.telegram_chat_id.reveal(), self.apprise_urls.reveal())

    def public(self) -> dict[str, Any]:
        """Every setting by its key, as JSON can hold it; a secret is `***`, or empty where it is not set."""
        return {name.upper(): _shown(value) for name, value in self}


@lru_cache(maxsize=4)  # asked for with every row
def _with_parts(whole: tuple[str, ...], chats: str, urls: str) -> tuple[str, ...]:
    single = [text for text in dict.fromkeys([*whole, *re.split(r"[\s,]+", chats), *urls.split()]) if text]
    return tuple(dict.fromkeys([*single, *(part for text in single if "://" in text for part in secret_parts(text))]))


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


@dataclass(frozen=True, slots=True)
class _Given:
    """A raw value and where it was given."""

    value: object
    origin: str


def load_config(flags: Mapping[str, object], env_file: Path | None, environ: Mapping[str, str]) -> LiveConfig:
    """The settings, or `Misconfigured` with one sentence for every mistake.

    `flags` has keys in either case, and None for a flag that was not given; `env_file` None is the project's `.env`,
    if there is one. Unknown keys are mistakes in `flags` and in the file, and of no interest in `environ`.
    A secret may also be in a file of its own that `KEY_FILE` names, or, where nothing else gives it, in the keyring:
    those of alerts are looked for there once alerts or commands are on.
    """
    mistakes: list[str] = []
    given: dict[str, _Given] = {}
    if env_file is not None or DEFAULT_ENV_FILE.exists():
        given |= _from_settings_file(env_file or DEFAULT_ENV_FILE, mistakes)
    given |= _from_environment(environ, mistakes)
    given |= {name.lower(): _Given(value, "(command line)") for name, value in flags.items() if value is not None}
    config = _checked(given, mistakes)
    if config is None or mistakes:
        raise Misconfigured(*mistakes)
    return config


def _from_settings_file(path: Path, mistakes: list[str]) -> dict[str, _Given]:
    given = _read_file(path, mistakes)
    held = [name.upper() for name in SECRETS if name in given and given[name].value]
    if held and readable_by_others(path):
        mistakes.append(f"settings file {path} holds {', '.join(held)}, and other users of this machine can read it: chmod 600 {path}")
    return _with_secret_files(given, mistakes)


def _from_environment(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, _Given]:
    names = [*LiveConfig.model_fields, *(name + _FILE for name in SECRETS)]
    return _with_secret_files({name: _Given(environ[name.upper()], "(environment)") for name in names if name.upper() in environ}, mistakes)


def _with_secret_files(given: dict[str, _Given], mistakes: list[str]) -> dict[str, _Given]:
    """`KEY_FILE` replaced by KEY with what that file holds."""
    for name in SECRETS:
        named = given.pop(name + _FILE, None)
        if named is None or named.value == "":
            continue
        if name in given and given[name].value:
            mistakes.append(f"{name.upper()} and {name.upper()}_FILE are both given {named.origin}: keep one of them")
            continue
        path = PROJECT_ROOT / Path(str(named.value)).expanduser()
        try:
            given[name] = _Given(read_secret_file(path), named.origin)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            mistakes.append(f"{name.upper()}_FILE={named.value} {named.origin}: cannot be used ({reason})")
    return given


def _checked(given: Mapping[str, _Given], mistakes: list[str]) -> LiveConfig | None:
    unknown = [name for name in given if name not in LiveConfig.model_fields]
    mistakes += [_unknown(name.upper(), given[name].origin) for name in unknown]
    values = {name: item.value if _is_secret(name) else trimmed(item.value) for name, item in given.items() if name not in unknown}
    try:
        config = LiveConfig.model_validate(values)
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        mistakes += [_wrong(name, given[name]) for name in wrong]
        return None
    config = _with_keyring(config)
    prices, faults = _prices_by_symbol(config)
    mistakes += [*faults, *_contradictions(config)]
    return config.model_copy(update={"sim_prices": prices})


def _with_keyring(config: LiveConfig) -> LiveConfig:
    """The secrets of alerts that nothing else gives, where alerts are on."""
    if not (config.enable_alerts or config.telegram_commands):
        return config
    missing = [name for name in ALERT_SECRETS if not getattr(config, name)]
    return config.model_copy(update={name: Secret(from_keyring(name.upper())) for name in missing})


def _prices_by_symbol(config: LiveConfig) -> tuple[Mapping[str, Path], list[str]]:
    files, symbols = config.sim_prices, config.symbols
    if "" in files and len(symbols) == 1:
        return {symbols[0]: files[""]}, []
    if files and set(files) != set(symbols):
        wanted = ",".join(f"{name}=FILE" for name in symbols)
        return files, [f"SIM_PRICES wants one file for each of SYMBOLS={','.join(symbols)}: write {wanted}"]
    return files, []


def _contradictions(config: LiveConfig) -> Iterator[str]:
    yield from contradictions(config)
    if not ipaddress.ip_address(config.dashboard_host).is_loopback and len(config.dashboard_token.reveal()) < SHORTEST_TOKEN:
        yield f"DASHBOARD_HOST={config.dashboard_host} lets other machines in: set a DASHBOARD_TOKEN of {SHORTEST_TOKEN} characters or more"
    if config.sim_symbols and config.sim_broker == "parity":
        yield f"SIM_SYMBOLS={config.sim_symbols} has no say with SIM_BROKER=parity: set SIM_BROKER=retail, or leave it empty"
    if config.sizing == "fixed" and config.fixed_lots > config.max_position_size:
        yield f"FIXED_LOTS={config.fixed_lots:g} is more than MAX_POSITION_SIZE={config.max_position_size:g}: every entry would be refused"


SECRETS = tuple(name for name, field in LiveConfig.model_fields.items() if field.annotation is Secret)


def _is_secret(name: str) -> bool:
    return name in SECRETS


def _wrong(name: str, given: _Given) -> str:
    field = LiveConfig.model_fields[name]
    if given.value == "":
        return f"{name.upper()} {given.origin} is empty: want {field.description}"
    value = "***" if _is_secret(name) else given.value
    return f"{name.upper()}={value} {given.origin}: want {field.description}"


def _unknown(key: str, origin: str) -> str:
    known = [name.upper() for name in (*LiveConfig.model_fields, *(name + _FILE for name in SECRETS))]
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
