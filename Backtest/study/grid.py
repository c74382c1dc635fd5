"""`--grid n1=5:30:5 kind=ema,sma`: the values that a study tries of each parameter."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, DecimalException
from itertools import product
from math import prod
from typing import Any

from backtesting.backtesting import Strategy

from Backtest.errors import BadInput
from Backtest.session.optimizing import RESERVED
from Backtest.strategies import check_params, did_you_mean, params_of, typed

MOST = 1_000_000
"""More combinations than that are a slip of the pen; backtesting.py makes a list of them before it begins."""
Grid = Mapping[str, tuple[Any, ...]]
Params = Mapping[str, Any]


def parse_grid(words: Sequence[str], cls: type[Strategy]) -> Grid:
    """The values of `name=first:last:step` and `name=a,b,c` words for the parameters of a strategy.

    A range includes its last value where that falls on a step; without a step it goes on by one. It is counted in decimals, so that
    0.1:0.3:0.1 is 0.1, 0.2, 0.3. A parameter whose default is a text takes lists only. Raises BadInput with all mistakes.
    """
    grid: dict[str, tuple[Any, ...]] = {}
    mistakes: list[str] = []
    known = params_of(cls)
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            mistakes.append(f"--grid '{word}' is no name=values; write for example n1=5:30:5 or n1=5,10,20")
        elif name not in known:
            mistakes.append(f"{cls.__name__} has no parameter {name}; it has {', '.join(known) or 'none'}{did_you_mean(name, known)}")
        elif name in RESERVED:
            mistakes.append(f"--grid {name}: backtesting.py's optimize cannot try a parameter of this name; call it something else")
        elif name in grid:
            mistakes.append(f"--grid names {name} twice")
        else:
            try:
                grid[name] = _values(name, text, ranges=not isinstance(known[name], str))
            except BadInput as fault:
                mistakes += fault.mistakes
                grid[name] = ()
            mistakes += dict.fromkeys(_unfit(cls, name, grid[name]))
    if not words:
        mistakes.append("--grid is missing: name the values to try, for example --grid n1=5:30:5 n2=20:120:10")
    size = prod(len(values) for values in grid.values())
    if size > MOST:
        mistakes.append(f"--grid has {size:,} combinations, and at most {MOST:,} are tried; make the steps longer")
    if mistakes:
        raise BadInput(*mistakes)
    return grid


def combinations(grid: Grid) -> Iterator[dict[str, Any]]:
    """All of them; the last parameter changes first, as in backtesting.py.

    >>> [tuple(each.values()) for each in combinations({"a": (1, 2), "b": (3, 4)})]
    [(1, 3), (1, 4), (2, 3), (2, 4)]
    """
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _values(name: str, text: str, *, ranges: bool) -> tuple[Any, ...]:
    if ranges and ":" in text:
        return _range(name, text)
    parts = [part.strip() for part in text.split(",")]
    if "" in parts:
        raise BadInput(f"--grid {name}='{text}' lacks a value; write for example {name}=5,10,20")
    values = tuple(typed(part) for part in parts)
    if len(set(values)) < len(values):  # 1, 1.0 and true are equal, and so are their backtests
        raise BadInput(f"--grid {name}={text} names a value twice")
    return values


def _range(name: str, text: str) -> tuple[Any, ...]:
    wanted = f"want {name}=first:last:step, for example {name}=5:30:5"
    parts = text.split(":")
    try:
        first, last, step = [Decimal(part) for part in (parts if len(parts) > 2 else [*parts, "1"])]
        count = int((last - first) // step) + 1
    except (ValueError, DecimalException):
        if any(part.strip() == "0" for part in parts[2:]):
            raise BadInput(f"--grid {name}={text} has a step of 0; {wanted}") from None
        raise BadInput(f"--grid {name}={text} is no range of numbers; {wanted}") from None
    if count < 1:
        raise BadInput(f"--grid {name}={text} has no value: its step leads away from {last}; {wanted}")
    if count > MOST:
        raise BadInput(f"--grid {name}={text} has {count:,} values, and at most {MOST:,} are tried; make the step longer")
    kind = int if all(isinstance(typed(part), int) for part in parts) else float
    return tuple(kind(first + number * step) for number in range(count))


def _unfit(cls: type[Strategy], name: str, values: tuple[Any, ...]) -> Iterator[str]:
    for value in values:
        try:
            check_params(cls, {name: value})
        except BadInput as fault:
            yield from fault.mistakes
