"""What a strategy declared with self.I, line by line, for those who draw it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from backtesting._util import _Indicator


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an indicator: `values` are those of the newest bars, oldest first; None where there is none yet."""

    name: str
    overlay: bool  # over the prices, or below them
    scatter: bool  # dots in place of a line
    values: tuple[float | None, ...]


def lines_of(indicators: Iterable[_Indicator], newest: int, unit: float) -> list[Line]:
    """Every line that backtesting.py would plot, with so many of its newest values; those over the prices in the market's.

    `unit` is what the market's prices were multiplied by for the strategy.
    """
    lines = []
    for indicator in indicators:
        rows = np.atleast_2d(indicator)[:, -newest:]
        if not indicator._opts["plot"] or not (rows.dtype == bool or np.issubdtype(rows.dtype, np.number)):
            continue
        names, overlay = indicator.name, bool(np.all(indicator._opts["overlay"]))
        for place, row in enumerate(rows):
            name = names[place] if isinstance(names, list) else names if len(rows) == 1 else f"{names} {place + 1}"
            lines.append(Line(str(name), overlay, bool(indicator._opts["scatter"]), _values(row / unit if overlay and unit != 1 else row)))
    return lines


def _values(row: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> tuple[float | None, ...]:
    return tuple(value if np.isfinite(value) else None for value in row.astype(float).tolist())
