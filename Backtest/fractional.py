"""What `backtesting.lib.FractionalBacktest` makes of a market (pure): parts of a unit, which are traded as whole ones.

Its strategies count in parts and see the price of one part. A market, its requests and the record count in units; only the
size of an order that a strategy gave is kept as it was given, since a fraction of a unit would read as one of the equity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from Backtest.decisions import Bar

_PRICES = ("Open", "High", "Low", "Close")


@dataclass(frozen=True, slots=True)
class FractionalUnit:
    """How many units one part is; 1 where a strategy is backtested through `Backtest` itself, and nothing is changed."""

    size: float = 1.0

    @classmethod
    def of(cls, backtest: Mapping[str, Any]) -> "FractionalUnit":
        """That of a strategy's BACKTEST settings."""
        return cls(backtest.get("fractional_unit", 1.0))

    def frame(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Bars as the strategy sees them."""
        if self.size == 1:
            return bars
        prices = {name: bars[name] * self.size for name in _PRICES}
        return bars.assign(**prices, Volume=bars["Volume"] / self.size)

    def bar(self, bar: Bar) -> Bar:
        """One bar as the strategy sees it."""
        if self.size == 1:
            return bar
        prices = {name: getattr(bar, name) * self.size for name in ("open", "high", "low", "close")}
        return replace(bar, **prices, volume=bar.volume / self.size)

    def price(self, market: float) -> float:
        """The price of one part."""
        return market * self.size

    def market_price(self, price: float) -> float:
        """The market's price, of which one part costs `price`: the one with few digits, if there is one, as a market has it.

        >>> FractionalUnit(1e-8).market_price(35_218.37 * 1e-8)
        35218.37
        """
        if self.size == 1:
            return price
        exact = price / self.size
        plain = float(f"{exact:.15g}")
        return plain if plain * self.size == price else exact

    def parts(self, units: float) -> float:
        """Units of the market as the strategy counts them.

        >>> FractionalUnit(1e-8).parts(0.07)
        7000000.0
        """
        return units if self.size == 1 else float(f"{units / self.size:.14g}")

    def units(self, parts: float) -> float:
        """Parts in units of the market.

        >>> FractionalUnit(0.001).units(3)
        0.003
        """
        return parts if self.size == 1 else float(f"{parts * self.size:.14g}")


WHOLE = FractionalUnit()
