"""The border between a strategy and whoever trades for it: the account that it is shown, and what it decided.

All in backtesting.py's words: sizes are units (or a fraction of the equity), negative for short; times are the
index that the strategy's data has (the broker's clock, naive).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar, named by its open; `epoch` is that time in seconds on the broker's clock."""

    epoch: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    spread: int = 0  # points

    @property
    def time(self) -> pd.Timestamp:
        """The open as the strategy's index shows it."""
        return pd.Timestamp(self.epoch, unit="s")


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A position of this strategy on this symbol, as the account holds it."""

    ticket: int
    size: float  # units, negative for short
    entry_price: float
    entry_time: pd.Timestamp
    sl: float | None = None
    tp: float | None = None
    tag: object = None


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A position, or a part of one, that was closed by one deal."""

    deal: int
    ticket: int
    size: float  # units of the part, with the sign that the position had
    entry_price: float
    exit_price: float
    entry_time: pd.Timestamp
    exit_time: pd.Timestamp
    costs: float = 0.0  # commissions of entry and exit, in cash, positive is a cost
    tag: object = None


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An entry of this strategy that waits at the broker for its price. `bar` and `leg` name the decision that placed it."""

    bar: pd.Timestamp
    leg: int
    size: float  # as it was decided: units, or a fraction of the equity
    limit: float | None = None
    stop: float | None = None  # None also once a stop-limit order's stop price was reached
    sl: float | None = None
    tp: float | None = None
    tag: object = None


@dataclass(frozen=True, slots=True)
class Account:
    """What the strategy is shown: `cash` is the equity without the open trades below, in the symbol's quote currency."""

    cash: float
    open: tuple[OpenTrade, ...] = ()  # in the order in which they were opened
    closed: Sequence[ClosedTrade] = ()  # all of them, oldest first
    orders: tuple[WaitingOrder, ...] = ()  # in the order in which they were placed


@dataclass(frozen=True, slots=True)
class Enter:
    """`Strategy.buy` or `sell`: `size` is units, or a fraction of the equity where it lies between -1 and 1.

    With a `limit` or a `stop` it waits for its price, else it is filled at the next one.
    """

    leg: int
    size: float
    sl: float | None = None
    tp: float | None = None
    limit: float | None = None
    stop: float | None = None
    tag: object = None


@dataclass(frozen=True, slots=True)
class Close:
    """`Trade.close`: `units` (positive) of the position; `full` when that is all of it."""

    leg: int
    ticket: int
    units: float
    full: bool
    tag: object = None


@dataclass(frozen=True, slots=True)
class Protect:
    """`Trade.sl = …`, `Trade.tp = …`: the levels that the position shall have; None is no level."""

    leg: int
    ticket: int
    sl: float | None
    tp: float | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """`Order.cancel` of an entry that waits: the one that was decided as `order_leg` on the bar `order_bar`."""

    leg: int
    order_bar: pd.Timestamp
    order_leg: int


Decision = Enter | Close | Protect | Cancel
