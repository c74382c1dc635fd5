"""The symbols that a broker offers, out of a readable file: `symbols.toml` beside this module, and files of the user's own."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import symbols
from Backtest.simulated_terminal.sessions import sessions
from Backtest.simulated_terminal.symbols import SymbolSpec, digits_of, is_pair

SHIPPED = Path(__file__).with_name("symbols.toml")
_WEEK = 7 * 86_400

_EXECUTION = {"request": 0, "instant": 1, "market": 2, "exchange": 3}
_TRADE_MODE = {"disabled": 0, "long_only": 1, "short_only": 2, "close_only": 3, "full": 4}
_FILLING = {"fok": symbols.FILLING_FOK, "ioc": symbols.FILLING_IOC, "boc": symbols.FILLING_BOC}
_DAYS = {name: number for number, name in enumerate("sunday monday tuesday wednesday thursday friday saturday".split())}
_CALC_MODE = {
    "forex": c.SYMBOL_CALC_MODE_FOREX,
    "forex_no_leverage": c.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE,
    "futures": c.SYMBOL_CALC_MODE_FUTURES,
    "cfd": c.SYMBOL_CALC_MODE_CFD,
    "cfd_index": c.SYMBOL_CALC_MODE_CFDINDEX,
    "cfd_leverage": c.SYMBOL_CALC_MODE_CFDLEVERAGE,
    "exch_stocks": c.SYMBOL_CALC_MODE_EXCH_STOCKS,
    "exch_futures": c.SYMBOL_CALC_MODE_EXCH_FUTURES,
    "exch_bonds": c.SYMBOL_CALC_MODE_EXCH_BONDS,
    "collateral": c.SYMBOL_CALC_MODE_SERV_COLLATERAL,
}
_SWAP_MODE = {
    "disabled": c.SYMBOL_SWAP_MODE_DISABLED,
    "points": c.SYMBOL_SWAP_MODE_POINTS,
    "base_currency": c.SYMBOL_SWAP_MODE_CURRENCY_SYMBOL,
    "margin_currency": c.SYMBOL_SWAP_MODE_CURRENCY_MARGIN,
    "deposit_currency": c.SYMBOL_SWAP_MODE_CURRENCY_DEPOSIT,
    "interest_current": c.SYMBOL_SWAP_MODE_INTEREST_CURRENT,
    "interest_open": c.SYMBOL_SWAP_MODE_INTEREST_OPEN,
}


def _known_sessions(text: str) -> str:
    if text != "always":
        sessions(text)
    return text


def _number(allowed: str, default: float | None = None, **rules: Any) -> Any:
    return Field(default, description=f"a number {allowed}".rstrip(), allow_inf_nan=False, **rules)


def _currency() -> Any:
    return Field(None, description='a currency such as "EUR"', pattern="^[A-Z]{3,5}$")


def _points() -> Any:
    return Field(0, description="a whole number of points, 0 or more", ge=0)


def _one_of(words: Mapping[str, int], default: str) -> Any:
    return Field(default, description=f"one of {', '.join(words)}", pattern=f"^({'|'.join(words)})$")


_LOTS = "of lots above 0"
_SESSIONS = '"always", or days and spans such as "Mon-Thu 00:05-24:00; Fri 00:05-23:00", from Sun to Sat'


class _Line(BaseModel):
    """What may stand in the file about a symbol. The descriptions are what a person reads who has written something else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: StrictStr = Field("", description="any text")
    digits: StrictInt = Field(description="a whole number from 0 to 8", ge=0, le=8)
    spread: StrictInt = _points()
    tick_size: StrictFloat | None = _number("above 0", gt=0)
    tick_value: StrictFloat = _number("of money, 0 or more", 0.0, ge=0)
    contract_size: StrictFloat = Field(description="a number of units above 0", gt=0, allow_inf_nan=False)
    volume_min: StrictFloat = _number(_LOTS, 0.01, gt=0)
    volume_step: StrictFloat = _number(_LOTS, 0.01, gt=0)
    volume_max: StrictFloat = _number(_LOTS, 500.0, gt=0)
    volume_limit: StrictFloat = _number("of lots, 0 for no limit", 0.0, ge=0)
    stops_level: StrictInt = _points()
    freeze_level: StrictInt = _points()
    execution: StrictStr = _one_of(_EXECUTION, "market")
    filling: list[Literal["fok", "ioc", "boc"]] = Field(["fok", "ioc"], description='a list of "fok", "ioc" and "boc"')
    trade_mode: StrictStr = _one_of(_TRADE_MODE, "full")
    sessions: Annotated[StrictStr, AfterValidator(_known_sessions)] = Field("always", description=_SESSIONS)
    calc_mode: StrictStr = _one_of(_CALC_MODE, "forex")
    currency_base: StrictStr | None = _currency()
    currency_profit: StrictStr | None = _currency()
    currency_margin: StrictStr | None = _currency()
    margin_initial: StrictFloat = _number("of money a lot, 0 for the formula", 0.0, ge=0)
    margin_hedged: StrictFloat | None = _number("of units a lot, 0 or more", ge=0)
    margin_hedged_use_leg: StrictBool = Field(False, description="true or false")
    face_value: StrictFloat = _number("above or at 0", 0.0, ge=0)
    liquidity_rate: StrictFloat = _number("from 0 to 1", 0.0, ge=0, le=1)
    swap_mode: StrictStr = _one_of(_SWAP_MODE, "disabled")
    swap_long: StrictFloat = _number("", 0.0)
    swap_short: StrictFloat = _number("", 0.0)
    swap_triple_day: StrictStr = _one_of(_DAYS, "wednesday")


Settings = dict[str, Any]  # keys and values as they stand in a file


@lru_cache(maxsize=16)
def catalogue(own: Path | None = None) -> Mapping[str, SymbolSpec]:
    """The symbols by name: those that are shipped, and over them those of a file of the user's own.

    Raises BadInput with one sentence for every mistake of the file.
    """
    shipped = _read(SHIPPED, _Known())
    return (_read(own, shipped) if own is not None else shipped).specs


def retail_symbol(name: str, frame: pd.DataFrame, offered: Mapping[str, SymbolSpec] | None = None) -> SymbolSpec:
    """A symbol as at a usual broker: that of the catalogue (or of `offered`), as these prices are.

    Prices with more decimals than the catalogue's have a finer point; prices outside of its sessions are on another
    clock, or do not tell the time of day, so that it is open whenever they have a bar. What is not in the catalogue is
    traded in 0.01 lots of 100,000 where its name is that of two currencies, and in single shares otherwise.
    """
    spec = (catalogue() if offered is None else offered).get(name)
    digits = digits_of(frame)
    return _plain(name, digits) if spec is None else _with_sessions(_with_digits(spec, digits), frame)


def _plain(name: str, digits: int) -> SymbolSpec:
    pair = is_pair(name)
    base, profit = (name[:3], name[3:]) if pair else ("USD", "USD")
    return SymbolSpec(
        name,
        digits=digits,
        contract_size=100_000.0 if pair else 1.0,
        tick_size=float(f"1e-{digits}"),
        volume_min=0.01 if pair else 1.0,
        volume_step=0.01 if pair else 1.0,
        volume_max=500.0 if pair else 1_000_000.0,
        spread_points=10,
        calc_mode=c.SYMBOL_CALC_MODE_FOREX if pair else c.SYMBOL_CALC_MODE_CFDLEVERAGE,
        currency_base=base,
        currency_profit=profit,
        currency_margin=base,
        margin_hedged=100_000.0 if pair else 1.0,
        description=name,
        path=f"{'Forex' if pair else 'Stocks'}\\{name}",
    )


def _with_digits(spec: SymbolSpec, digits: int) -> SymbolSpec:
    if digits <= spec.digits:
        return spec
    finer, tick = 10 ** (digits - spec.digits), float(f"1e-{digits}")
    in_points = ["spread_points", "stops_level", "freeze_level"]
    in_points += ["swap_long", "swap_short"] if spec.swap_mode == c.SYMBOL_SWAP_MODE_POINTS else []
    points = {key: getattr(spec, key) * finer for key in in_points}
    return replace(spec, digits=digits, tick_size=tick, tick_value=spec.tick_value * tick / spec.tick_size, **points)


def _with_sessions(spec: SymbolSpec, frame: pd.DataFrame) -> SymbolSpec:
    hours = spec.sessions
    if hours is None:
        return spec
    seconds = frame.index.to_numpy().astype("datetime64[s]").astype("int64") % _WEEK  # the same second of every week is alike
    return spec if all(map(hours.is_open, set(seconds.tolist()))) else replace(spec, sessions=None)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the files so far have said of folders and of symbols, and the symbols made of that."""

    folders: dict[str, Settings] = field(default_factory=dict)
    symbols: dict[str, Settings] = field(default_factory=dict)
    specs: dict[str, SymbolSpec] = field(default_factory=dict)


def _read(path: Path, before: _Known) -> _Known:
    tables, mistakes = _tables(path)
    for folder, settings, _ in tables:
        faults = _faults(settings, set(settings))
        mistakes += [f"[{folder}]: {fault}" for fault in faults.values()]
        for key in faults:  # told once, and not again for each symbol
            del settings[key]
    own = {folder: settings for folder, settings, _ in tables}
    after = _Known(before.folders | own, dict(before.symbols), dict(before.specs))
    seen: set[str] = set()
    for folder, _, lines in tables:
        around = _chain(own, folder)
        for name, line in lines.items():
            try:
                whole = _whole(name, line, before=_start(name, line, _chain(before.folders, folder), after.symbols), here=around)
                if name in seen:
                    raise BadInput("it stands in the file twice: keep one of the lines")
                after.symbols[name], after.specs[name] = whole, _spec(f"{folder}\\{name}", name, whole)
            except BadInput as error:
                mistakes += [f"[{folder}], {name}: {mistake.removeprefix(f'{name}: ')}" for mistake in error.mistakes]
            seen.add(name)
    if mistakes:
        raise BadInput(*(f"symbols file {path}, {mistake}" for mistake in mistakes))
    return after


def _chain(folders: Mapping[str, Settings], path: str) -> Settings:
    """What a folder says, on top of what those around it say."""
    parts = path.split("\\")
    around = ("\\".join(parts[: n + 1]) for n in range(len(parts)))
    return {key: value for outer in around for key, value in folders.get(outer, {}).items()}


def _tables(path: Path) -> tuple[list[tuple[str, Settings, Settings]], list[str]]:
    """Each folder with its keys and its symbols, and what is wrong with the form of the file."""
    tables, mistakes = [], []
    for folder, table in _document(path).items():
        lines = table.pop("symbols", {}) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(lines, dict):
            tables.append((folder, table, lines))
        else:
            mistakes.append(f"{folder}: want a folder, ['{folder}'], and below it symbols.NAME = {{ key = value, … }}")
    return tables, mistakes


def _document(path: Path) -> Settings:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"symbols file {path}: cannot be read ({error.strerror or error}); write one as {SHIPPED} is") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise BadInput(f"symbols file {path}: is not TOML: {error}; write it as {SHIPPED} is") from error


def _start(name: str, own: object, folder: Settings, known: Mapping[str, Settings]) -> Settings:
    """What a symbol begins with: another one, itself in an earlier file, or its folder there."""
    if not isinstance(own, dict):
        raise BadInput(f"want {name} = {{ key = value, … }}, not {own!r}")
    like = own.get("like", name)
    if like in known:
        return known[like]
    if "like" in own:
        close = difflib.get_close_matches(str(like), list(known), n=1)
        raise BadInput(f"like = {like!r}: want a symbol that stands before this one" + "".join(f"; did you mean {near}?" for near in close))
    return folder


def _whole(name: str, line: Settings, *, before: Settings, here: Settings) -> Settings:
    own = {key: value for key, value in line.items() if key != "like"}
    found = before | here | own
    faults = list(_faults(found, set(own), complete=True).values())
    if faults:
        raise BadInput(*faults)
    return found | _currencies(name, found)


def _faults(settings: Settings, told: set[str], *, complete: bool = False) -> dict[str, str]:
    """What is wrong with the keys that are told here, and where the settings are to be complete, those that are missing."""
    try:
        _Line.model_validate(settings)
    except ValidationError as error:
        kinds = {str(fault["loc"][0]): str(fault["type"]) for fault in error.errors()}
    else:
        return {}
    missing = {key for key, kind in kinds.items() if complete and kind == "missing"}
    return {key: _wrong(key, settings[key]) for key in kinds if key in told} | {
        key: f"{key} is missing: want {_Line.model_fields[key].description}, here or in its folder" for key in missing
    }


def _wrong(key: str, value: object) -> str:
    if key in _Line.model_fields:
        return f"{key} = {value!r}: want {_Line.model_fields[key].description}"
    close = difflib.get_close_matches(key, [*_Line.model_fields, "like"], n=1)
    return f"{key} is no key: " + (f"did you mean {close[0]}?" if close else f"see the top of {SHIPPED} for those that are")


def _currencies(name: str, found: Settings) -> Settings:
    """The three currencies, of which a pair's name tells what its line does not."""
    forex = found.get("calc_mode", "forex").startswith("forex")
    base, profit = (name[:3], name[3:6]) if forex and is_pair(name[:6]) else (None, None)
    profit = found.get("currency_profit") or profit
    if profit is None:
        raise BadInput('currency_profit is missing: say in which currency it earns, such as "USD"')
    base = found.get("currency_base") or base or profit
    margin = found.get("currency_margin") or (base if forex else profit)
    return {"currency_base": base, "currency_profit": profit, "currency_margin": margin}


def _spec(path: str, name: str, whole: Settings) -> SymbolSpec:
    line = _Line.model_validate(whole)
    same = (
        *("digits", "contract_size", "tick_value", "volume_min", "volume_step", "volume_max", "volume_limit", "stops_level"),
        *("freeze_level", "currency_base", "currency_profit", "currency_margin", "margin_initial", "margin_hedged_use_leg"),
        *("face_value", "liquidity_rate", "swap_long", "swap_short", "description"),
    )
    hedged = line.margin_initial or line.contract_size if line.margin_hedged is None else line.margin_hedged
    return SymbolSpec(
        name,
        **line.model_dump(include=set(same)),
        tick_size=line.tick_size or float(f"1e-{line.digits}"),
        spread_points=line.spread,
        filling_mode=sum(_FILLING[word] for word in set(line.filling)),
        execution=_EXECUTION[line.execution],
        trade_mode=_TRADE_MODE[line.trade_mode],
        sessions=None if line.sessions == "always" else sessions(line.sessions),
        calc_mode=_CALC_MODE[line.calc_mode],
        swap_mode=_SWAP_MODE[line.swap_mode],
        swap_rollover3days=_DAYS[line.swap_triple_day],
        margin_hedged=hedged,
        path=path,
    )
