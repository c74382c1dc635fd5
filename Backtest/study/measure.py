"""What the best combination is best at."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from Backtest.errors import BadInput
from Backtest.session.optimizing import measures
from Backtest.strategies import did_you_mean

SIZED = ("Max. Drawdown [%]", "Avg. Drawdown [%]")
"""Negative in backtesting.py; their smallest is the one nearest to 0, not the deepest."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One of backtesting.py's statistics, to be as high as possible, or as low."""

    name: str
    minimize: bool = False

    @classmethod
    def of(cls, maximize: str | None, minimize: str | None) -> "Measure":
        """What the command line asks for; SQN, as in backtesting.py, when it says nothing. Raises BadInput."""
        if maximize and minimize:
            raise BadInput("--maximize and --minimize contradict each other; leave one out")
        name, option = (minimize, "--minimize") if minimize else (maximize or "SQN", "--maximize")
        known = measures()
        if name not in known:
            by_lower = {each.lower(): each for each in known}
            question = did_you_mean(name.lower(), by_lower)
            for lower, each in by_lower.items():
                question = question.replace(f" {lower}?", f" '{each}'?")
            raise BadInput(f"{option} '{name}' is no statistic of backtesting.py{question or '; it has ' + ', '.join(known)}")
        return cls(name, minimize=bool(minimize))

    def value(self, stats: Mapping[str, Any]) -> float:
        """The number in these statistics; days where it is a length of time, NaN where it is missing."""
        value = stats.get(self.name)
        if isinstance(value, pd.Timedelta):
            return value / pd.Timedelta(days=1)
        return math.nan if value is None or pd.isna(value) else float(value)

    def score(self, stats: Mapping[str, Any]) -> float:
        """The higher the better.

        >>> Measure("Max. Drawdown [%]", minimize=True).score({"Max. Drawdown [%]": -12.5})
        -12.5
        """
        value = self.value(stats)
        return -abs(value) if self.minimize and self.name in SIZED else -value if self.minimize else value

    def __str__(self) -> str:
        return f"{'lowest' if self.minimize else 'highest'} {self.name}"
