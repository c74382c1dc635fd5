"""How much an entry is, in lots (pure): backtesting.py's sizes or a risk per trade, rounded towards less risk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from Backtest.decisions import Account
from Backtest.fractional import FractionalUnit
from Backtest.sizing import Foreseen, Terms, can_pay, commission_of, margin_available, units_of
from Live.model import SymbolSpec
from Live.risk import lots_for_risk


@dataclass(frozen=True, slots=True)
class Sizing:
    """The rule in force (`SIZING`), and the backtest's terms that `strategy` needs."""

    mode: str  # auto, risk, strategy, fixed
    risk_fraction: float
    fixed_lots: float
    backtest: Mapping[str, Any]

    def rule_for(self, sl: float | None) -> str:
        """risk, strategy or fixed: `auto` risks where there is a stop loss to measure by."""
        return self.mode if self.mode != "auto" else "strategy" if sl is None else "risk"


class TooSmall(Exception):
    """Nothing is to be bought; the message says why."""


def terms_at(sizing: Sizing, price: float, foreseen: Foreseen | None) -> Terms:
    """What a unit costs at a price; with what only a backtest knows, as it reckons."""
    backtest = sizing.backtest
    unit = FractionalUnit.of(backtest)
    if foreseen is None:  # a quote has the spread in it, and is what trades are worth now
        return Terms(price, backtest["margin"], commission_of(backtest), unit=unit)
    return Terms(price, backtest["margin"], commission_of(backtest), backtest["spread"], foreseen.close, unit)


def strategy_units(size: float, account: Account, terms: Terms) -> float:
    """Units, with the sign of `size`, that the backtest would trade on these terms. Raises TooSmall."""
    available = margin_available(account.cash, account.open, terms)
    units = units_of(size, available, terms)
    if not units:
        asked = f"{abs(size):.4g} of the free margin of {available:,.2f}"
        least = "one unit" if terms.unit.size == 1 else f"{terms.unit.size:g} units"
        raise TooSmall(f"{asked} does not pay for {least} at {terms.price}; the backtest would have cancelled it")
    return units


def check_affordable(size: float, units: float, account: Account, terms: Terms) -> None:
    """Raise TooSmall where the backtest would cancel an entry of so many units for want of margin."""
    available = margin_available(account.cash, account.open, terms)
    if not can_pay(units, size, available, terms):
        asked = f"{abs(units):,.14g} units at {terms.price}"
        raise TooSmall(f"{asked} need more than the free margin of {available:,.2f}; the backtest would have cancelled it")


def risk_lots(sizing: Sizing, equity: float, loss_per_lot: float | None, spec: SymbolSpec) -> float:
    """Lots that lose DEFAULT_RISK_PCT of the equity at the stop. Raises TooSmall, also without a stop."""
    if loss_per_lot is None:
        raise TooSmall("SIZING=risk needs a stop loss to measure the risk by, and the order has none")
    if not loss_per_lot > 0:
        raise TooSmall(f"the market is beyond the stop loss: one lot would make {-loss_per_lot:,.2f} there")
    lots = lots_for_risk(equity, sizing.risk_fraction, loss_per_lot, spec)
    if not lots:
        allowed, smallest = equity * sizing.risk_fraction, spec.lot_min * loss_per_lot
        raise TooSmall(f"the smallest order, {spec.lot_min:g} lots, risks {smallest:,.2f}; DEFAULT_RISK_PCT allows {allowed:,.2f}")
    return lots


def lots_of_units(units: float, spec: SymbolSpec) -> float:
    """Units in lots, rounded down to the grid. Raises TooSmall when that is less than the smallest order."""
    wanted = abs(units) / spec.contract_size
    lots = spec.tradable_lots(wanted)
    if not lots:
        raise TooSmall(f"{abs(units):,g} units are {wanted:.6g} lots, less than the smallest order of {spec.name}, {spec.lot_min:g} lots")
    return lots
