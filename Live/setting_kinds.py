"""The kinds of value that a setting can have: from the text of a file or a flag to what the program works with."""

import ipaddress
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field

from Backtest.bars import timeframe

PROJECT_ROOT = Path(__file__).resolve().parent.parent
MEASURED = 0  # of WARMUP_BARS and INDICATOR_BARS: as many as the strategy is measured to need
LONGEST_SYMBOL = 31  # characters; the terminal keeps 32 with the closing zero
TRUE_FALSE = "true or false"
ANY_TEXT = "any text, or empty"


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


def trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _true_or_false(value: object) -> object:
    # "yes", "1" and "on" are refused: what decides over real money has one spelling
    words = {"true": True, "false": False}
    if isinstance(value, str):
        return words[value.lower()] if value.lower() in words else refuse()
    return value if isinstance(value, bool) else refuse()


def _whole(value: object) -> object:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[+-]?[0-9]+", value) else refuse()
    return value if isinstance(value, int) and not isinstance(value, bool) else refuse()


def _bars(value: object) -> object:
    """0 stands for `auto` alone, so that a number is a number of bars."""
    if isinstance(value, str) and value.lower() == "auto":
        return MEASURED
    return _whole(value) if value not in (MEASURED, "0") else refuse()


def _bars_or_all(value: object) -> object:
    return None if value is None or (isinstance(value, str) and value.lower() == "all") else _bars(value)


def _finite(value: object) -> object:
    if isinstance(value, str) and "_" not in value:
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return refuse()


def _speed(value: object) -> object:
    return math.inf if value in ("max", math.inf) else _finite(value)


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _names(value: object) -> object:
    names = tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value
    if not isinstance(names, tuple | list) or len(set(names)) < len(names):
        return refuse()
    return tuple(names) if all(isinstance(name, str) and 0 < len(name) <= LONGEST_SYMBOL for name in names) else refuse()


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
            return refuse()
        files[symbol] = file
    return refuse() if "" in files and len(files) > 1 else files


def _timeframe(value: object) -> object:
    return timeframe(value).name if isinstance(value, str) else value


def _in_project(path: Path) -> Path:
    try:
        return PROJECT_ROOT / path.expanduser()
    except RuntimeError:  # ~somebody, who has no home here
        refuse()


def _filled(value: object) -> object:
    return value if value not in ("", None) and "\0" not in str(value) else refuse()


def empty_is_none(value: object) -> object:
    return None if value == "" else value


def _address(value: object) -> object:
    """Not 0.0.0.0: whoever opens the page to others says through which address, for that becomes the page's only other name."""
    address = ipaddress.ip_address(value) if isinstance(value, str) else refuse()
    return refuse() if address.is_unspecified or address.is_multicast else str(address)


def refuse() -> NoReturn:
    raise ValueError("not allowed")  # the sentence that a person reads is made of the field's description


Address = Annotated[str, BeforeValidator(_address)]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
Whole = Annotated[int, BeforeValidator(_whole)]
WarmupBars = Annotated[int, BeforeValidator(_bars)]
IndicatorBars = Annotated[int | None, BeforeValidator(_bars_or_all)]
Number = Annotated[float, BeforeValidator(_finite)]
Speed = Annotated[float, BeforeValidator(_speed)]
FilePath = Annotated[Path, BeforeValidator(_filled), AfterValidator(_in_project)]
SecretText = Annotated[Secret, BeforeValidator(lambda value: Secret(value) if isinstance(value, str) else value)]
Symbols = Annotated[tuple[str, ...], BeforeValidator(_names)]
PriceFiles = Annotated[Mapping[str, Annotated[Path, AfterValidator(_in_project)]], BeforeValidator(_price_files)]
TimeframeName = Annotated[str, BeforeValidator(_timeframe)]


def setting(default: Any, allowed: str, **rules: Any) -> Any:
    return Field(default, description=allowed, **rules)


def count(default: int, low: int, high: int, meaning: str = "") -> Any:
    return setting(default, f"a whole number from {low} to {high}{meaning}", ge=low, le=high)


def above_zero(default: float, high: int, meaning: str = "") -> Any:
    return setting(default, f"a number above 0, up to {high}{meaning}", gt=0, le=high)
