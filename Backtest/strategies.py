"""Strategies out of files, their settings and their parameters: everything that can be wrong with them is told in a sentence."""

import difflib
import hashlib
import inspect
import math
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from backtesting.backtesting import Backtest, Strategy

from Backtest.errors import BadInput

_ENTRY_MARK = "_is_entry_strategy"
_Class = TypeVar("_Class", bound=type[Strategy])

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        name: parameter.default
        for name, parameter in inspect.signature(Backtest.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
)
"""What `backtesting.Backtest` assumes where a strategy file's BACKTEST says nothing: cash 10,000, no spread, no commission …"""
FRACTIONAL_UNIT = "fractional_unit"
"""The one setting beside Backtest's own: with it, a strategy is backtested through `backtesting.lib.FractionalBacktest`."""
_KNOWN = (*DEFAULTS, FRACTIONAL_UNIT)


@dataclass(frozen=True, slots=True)
class LoadedStrategy:
    """A strategy class as its file had it at this moment, and how it is backtested."""

    cls: type[Strategy]
    path: Path
    sha256: str  # of the file's bytes that were run
    backtest: Mapping[str, Any]  # all of backtesting.Backtest's settings, and a fractional_unit where the file's BACKTEST has one


def entry_strategy(cls: _Class) -> _Class:
    """Mark the class that is meant when a file with several strategies is named without one."""
    setattr(cls, _ENTRY_MARK, True)
    return cls


def load_strategy(spec: str | Path) -> LoadedStrategy:
    """The strategy of `file.py` or `file.py:Class`. Runs the file, without leaving a cache beside it.

    Only what the file itself defines counts: a concrete subclass of `backtesting.Strategy`, the one that is named or
    marked, else the only one. Raises BadInput when there is none, or several, or when the file cannot be run or its
    BACKTEST is wrong.
    """
    path, wanted = _split(str(spec))
    source = _source(path)
    sha256 = hashlib.sha256(source).hexdigest()
    module = _run(path, source, f"strategy_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{sha256[:8]}")
    cls = _chosen(path, module, wanted)
    return LoadedStrategy(cls, path, sha256, _settings(path, getattr(module, "BACKTEST", {})))


def params_of(cls: type[Strategy]) -> dict[str, Any]:
    """The strategy's parameters and their defaults: its public class variables that are no methods."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base not in Strategy.__mro__:
            found |= {name: value for name, value in vars(base).items() if not name.startswith("_") and not _is_member(value)}
    return found


def check_params(cls: type[Strategy], params: Mapping[str, Any]) -> None:
    """Raise BadInput for a parameter that the strategy does not have, and for a text where it has a number or a truth value."""
    known = params_of(cls)
    mistakes = [*_param_faults(cls.__name__, known, params)]
    if mistakes:
        raise BadInput(*mistakes)


def parse_params(words: Sequence[str]) -> dict[str, Any]:
    """Typed values of `name=value` words: whole numbers, numbers, true and false; anything else is text. Raises BadInput.

    >>> parse_params(["n1=12", "x=0.5", "fast=true", "name=abc"])
    {'n1': 12, 'x': 0.5, 'fast': True, 'name': 'abc'}
    """
    params: dict[str, Any] = {}
    mistakes = []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            mistakes.append(f"--params '{word}' is no name=value; write for example n1=12")
        elif name in params:
            mistakes.append(f"--params names {name} twice")
        params[name] = typed(text)
    if mistakes:
        raise BadInput(*mistakes)
    return params


def typed(text: str) -> Any:
    """A word of the command line as a whole number, a number, true or false; else as the text that it is."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to add to a sentence about an unknown word: `; did you mean n1?`, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _split(spec: str) -> tuple[Path, str]:
    path, colon, name = spec.rpartition(":")
    if colon and name.isidentifier() and path.endswith(".py"):  # C:\codes\sma.py has a colon too
        return Path(path), name
    return Path(spec), ""


def _source(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadInput(f"{path}: this is a folder; name the strategy file in it")
        source = path.read_bytes()
    except FileNotFoundError:
        neighbours = [each.name for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise BadInput(f"{path}: there is no such strategy file{did_you_mean(path.name, neighbours)}") from None
    except OSError as error:
        raise BadInput(f"{path}: the strategy file cannot be read ({error.strerror or error})") from error
    if path.suffix.lower() != ".py":  # it would be run, whatever it is
        raise BadInput(f"{path}: this is no strategy file; want one whose name ends in .py")
    return source


def _run(path: Path, source: bytes, name: str) -> types.ModuleType:
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BadInput(f"{path}, line {error.lineno}: this is not Python ({error.msg})") from error
    except ValueError as error:
        raise BadInput(f"{path}: this is not Python ({error})") from error
    module = types.ModuleType(name)
    module.__file__ = str(path.resolve())
    sys.modules[name] = module  # what a class of it is looked up by (dataclasses, pickle)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # a strategy may import its neighbours, later too
    try:
        exec(code, vars(module))  # noqa: S102 - running the user's own strategy is what we are for
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadInput(f"{path}, line {line_of(error, path)}: it fails when it is run ({type(error).__name__}: {error})") from error
    return module


def line_of(error: BaseException, path: Path) -> int:
    """The line of the strategy file where the error came through last; 0 when it never was there."""
    line, step = 0, error.__traceback__
    while step is not None:
        line = step.tb_lineno if step.tb_frame.f_code.co_filename == str(path) else line
        step = step.tb_next
    return line


def _chosen(path: Path, module: types.ModuleType, wanted: str) -> type[Strategy]:
    mine: list[type[Strategy]] = [value for value in vars(module).values() if _is_strategy_of(value, module.__name__)]
    candidates = {cls.__name__: cls for cls in mine}
    if wanted:
        if wanted not in candidates:
            has = f"it has {', '.join(candidates)}" if candidates else "it has none"
            raise BadInput(f"{path}: it defines no strategy {wanted}, {has}{did_you_mean(wanted, candidates)}")
        return candidates[wanted]
    marked = [cls for cls in candidates.values() if vars(cls).get(_ENTRY_MARK)]
    choice = marked or list(candidates.values())
    if len(choice) == 1:
        return choice[0]
    if not choice:
        raise BadInput(f"{path}: it defines no strategy; want a class like 'class MyStrategy(backtesting.Strategy)' with init() and next()")
    how = "marks several strategies with @entry_strategy" if marked else "defines several strategies"
    names = ", ".join(cls.__name__ for cls in choice)
    raise BadInput(f"{path}: it {how} ({names}); name one, as in {path.name}:{choice[0].__name__}")


def _is_strategy_of(value: object, module: str) -> bool:
    return isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module and not inspect.isabstract(value)


def _is_member(value: object) -> bool:
    return callable(value) or isinstance(value, (property, classmethod, staticmethod))


def _settings(path: Path, given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadInput(f"{path}: BACKTEST is {given!r}; want a dict, as in BACKTEST = dict(cash=10_000, commission=0.0002)")
    mistakes = [f"{path}: {mistake}" for mistake in setting_faults(given)]
    if mistakes:
        raise BadInput(*mistakes)
    return MappingProxyType({**DEFAULTS, **given})


def setting_faults(given: Mapping[str, Any], prefix: str = "BACKTEST ") -> Iterator[str]:
    """A sentence for each of these settings that `backtesting.Backtest` does not have or cannot use; `prefix` stands before its name."""
    for name, value in given.items():
        if name not in _KNOWN:
            yield f"BACKTEST has no setting {name}; it may have {', '.join(_KNOWN)}{did_you_mean(str(name), _KNOWN)}"
        elif isinstance(DEFAULTS.get(name), bool):
            if not isinstance(value, bool):
                yield f"{prefix}{name} is {value!r}; want True or False"
        elif name == "commission":
            yield from _commission_faults(value, prefix)
        elif not (_is_number(value) and _RANGES[name](value)):
            written = name.replace("_", "-") if prefix.startswith("-") else name
            yield f"{prefix}{written} is {value!r}; want {_WANTED[name]}"


# backtesting._Broker asserts the ranges of cash, margin and commission; a negative commission is a market maker's rebate.
_RANGES: Mapping[str, Callable[[float], bool]] = {
    "cash": lambda value: value > 0,
    "spread": lambda value: 0 <= value < 1,
    "margin": lambda value: 0 < value <= 1,
    FRACTIONAL_UNIT: lambda value: 0 < value <= 1,
    "commission": lambda value: -0.1 <= value < 0.1,
}
_WANTED: Mapping[str, str] = {
    "cash": "a number above 0",
    "spread": "a fraction of the price between 0 and 1, such as 0.0001",
    "margin": "a number above 0 and at most 1 (1 / leverage)",
    FRACTIONAL_UNIT: "the part of a unit that is traded as a whole one: a number above 0 and at most 1, such as 1e-8",
    "commission": "a fraction between -0.1 and 0.1, a pair (fixed, fraction) or a function of (size, price)",
}


def _commission_faults(value: Any, prefix: str) -> Iterator[str]:
    if callable(value):
        return
    fixed, rate = value if isinstance(value, tuple) and len(value) == 2 else (0, value)
    if not (_is_number(fixed) and fixed >= 0 and _is_number(rate) and _RANGES["commission"](rate)):
        yield f"{prefix}commission is {value!r}; want {_WANTED['commission']}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _param_faults(strategy: str, known: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    for name, value in params.items():
        if name not in known:
            yield f"{strategy} has no parameter {name}; it has {', '.join(known) or 'none'}{did_you_mean(name, known)}"
        elif isinstance(known[name], bool) and not isinstance(value, bool):
            yield f"{strategy} parameter {name} is {value!r}; want true or false"
        elif _is_number(known[name]) and not _is_number(value):
            yield f"{strategy} parameter {name} is {value!r}; want a number, as its default {known[name]!r} is"
