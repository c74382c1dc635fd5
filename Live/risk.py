"""The rules that stop entries (pure): small objects that answer with numbers. Money rules round towards less risk."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from Live.model import SymbolSpec


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at, measured from the record and the terminal just before an entry is sent."""

    entries_today: int
    equity: float
    opening_equity: float  # of the broker's day
    open_positions: int  # of ours on all symbols, with the entries that wait or whose outcome is unknown
    spread_points: float
    sends_last_minute: int
    unsettled_orders: int  # of this symbol, outcome unknown
    strangers: int  # positions, orders and deals with our magic number that the record does not know
    switched_off: tuple[str, ...]  # what keeps a program from trading, in words
    unexplained_lots: float = 0.0  # of this symbol's net position, not made by orders of this record
    level_conflict: str = ""  # on a netting account: what has other levels than the entry that asks
    open_lots: float = 0.0  # of ours on this symbol, with the entries that wait or whose outcome is unknown
    lots: float = 0.0  # of the entry that asks
    holds: tuple[str, ...] = ()  # on this symbol, in words
    quarantine_seconds: float = 0.0  # left, after a start
    money_moved: float = 0.0  # deposits less withdrawals since the opening equity was seen
    failures_in_a_row: int = 0  # entries that were sent today and came to nothing
    stop_outs_today: int = 0
    quote_age_seconds: float = 0.0
    unsteady_seconds: float = 0.0  # until a line that is lost again and again counts as one that holds
    closed_side: str = ""  # why the broker lets nobody open on this side


@dataclass(frozen=True, slots=True)
class Measured:
    """How near one limit is."""

    rule: str
    value: float
    limit: float
    itself: float = 0.0  # what of the value is the entry that asks
    reaching: bool = False  # the limit itself is too much already

    def denial(self) -> "Denial | None":
        """The denial, or None where the entry may go."""
        # what cannot be measured (NaN) is not within the limit
        within = self.value < self.limit if self.reaching else self.value <= self.limit
        return None if within else Denial(self.rule, self.value, self.limit)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why an entry is not sent: what was measured and what is allowed."""

    rule: str
    measured: float
    limit: float

    def __str__(self) -> str:
        return f"{self.rule}: {self.measured:g}, allowed {self.limit:g}"


class Rule(ABC):
    """One limit: what it measures, and the denial that follows."""

    __slots__ = ()

    @abstractmethod
    def measure(self, facts: Facts) -> Measured | None:
        """How near the limit is; None where there is none."""

    def check(self, facts: Facts) -> Denial | None:
        """The denial, or None where the entry may go."""
        measured = self.measure(facts)
        return None if measured is None else measured.denial()


@dataclass(frozen=True, slots=True)
class MaxDailyTrades(Rule):
    """At most so many entries on one day of the broker."""

    limit: int

    def measure(self, facts: Facts) -> Measured | None:
        """Counts the entry that asks."""
        return Measured("MAX_DAILY_TRADES, entries today with this one", facts.entries_today + 1, self.limit, itself=1)


@dataclass(frozen=True, slots=True)
class MaxDailyLoss(Rule):
    """No entries once the day has lost this percentage of its opening equity, floating losses included."""

    limit: float

    def measure(self, facts: Facts) -> Measured | None:
        """Reached counts as exceeded."""
        lost = daily_loss_pct(facts.equity, facts.opening_equity, facts.money_moved)
        return Measured("MAX_DAILY_LOSS_PCT, percent lost today", lost, self.limit, reaching=True)


@dataclass(frozen=True, slots=True)
class MaxPositions(Rule):
    """At most so many open positions."""

    limit: int

    def measure(self, facts: Facts) -> Measured | None:
        """Counts the position that the entry would open."""
        return Measured("MAX_POSITIONS, positions with this one", facts.open_positions + 1, self.limit, itself=1)


@dataclass(frozen=True, slots=True)
class MaxPositionSize(Rule):
    """At most so many lots on one symbol."""

    limit: float

    def measure(self, facts: Facts) -> Measured | None:
        """Counts the entry that asks, as it is about to be sent."""
        lots = round(facts.open_lots + facts.lots, 8)
        return Measured("MAX_POSITION_SIZE, lots on this symbol with this entry", lots, self.limit, itself=facts.lots)


@dataclass(frozen=True, slots=True)
class MaxSpread(Rule):
    """No entries while the spread is wider than this (points); 0 is no limit."""

    limit: float

    def measure(self, facts: Facts) -> Measured | None:
        """Looks at the quote that the entry would be sent with."""
        return Measured("MAX_SPREAD_POINTS, spread in points", facts.spread_points, self.limit) if self.limit else None


@dataclass(frozen=True, slots=True)
class MaxOrdersPerMinute(Rule):
    """A brake on runaway loops: at most so many sends within 60 seconds."""

    limit: int

    def measure(self, facts: Facts) -> Measured | None:
        """Counts the send that asks."""
        rule = "MAX_ORDERS_PER_MINUTE, sends in the last minute with this one"
        return Measured(rule, facts.sends_last_minute + 1, self.limit, itself=1)


@dataclass(frozen=True, slots=True)
class NothingUnsettled(Rule):
    """No new risk on a symbol while the outcome of one of its orders is unknown."""

    def measure(self, facts: Facts) -> Measured | None:
        """Any unsettled order blocks."""
        return Measured("orders of this symbol with an unknown outcome", facts.unsettled_orders, 0)


@dataclass(frozen=True, slots=True)
class NoStrangers(Rule):
    """No new risk while somebody else trades with our magic number: a twin, or a record that was set back."""

    def measure(self, facts: Facts) -> Measured | None:
        """Anything that the record does not know blocks."""
        return Measured("positions, orders and deals with our MAGIC_NUMBER that this record does not know", facts.strangers, 0)


@dataclass(frozen=True, slots=True)
class QuarantineOver(Rule):
    """No new risk just after a start: a trader that was killed a moment ago may still have an order on its way."""

    def measure(self, facts: Facts) -> Measured | None:
        """Entries wait for it."""
        return Measured("seconds left in which only what an earlier run sent is looked for", facts.quarantine_seconds, 0.0)


@dataclass(frozen=True, slots=True)
class LineHolds(Rule):
    """No new risk over a line that is lost and found again every few minutes: whoever enters may not be able to leave."""

    def measure(self, facts: Facts) -> Measured | None:
        """Entries wait for it."""
        return Measured("seconds until the line to the terminal, which was lost again and again, is trusted", facts.unsteady_seconds, 0.0)


@dataclass(frozen=True, slots=True)
class MaxFailuresInARow(Rule):
    """A brake on what goes wrong over and over: after so many failures in a row, no entry on this day of the broker."""

    limit: int

    def measure(self, facts: Facts) -> Measured | None:
        """Reached counts as exceeded. Only what was sent counts."""
        return Measured("MAX_FAILURES_IN_A_ROW, entries in a row that came to nothing", facts.failures_in_a_row, self.limit, reaching=True)


@dataclass(frozen=True, slots=True)
class MaxQuoteAge(Rule):
    """No entry at a price that stands still (seconds); 0 is no limit."""

    limit: float

    def measure(self, facts: Facts) -> Measured | None:
        """Looks at the quote that the entry would be sent with."""
        return Measured("MAX_QUOTE_AGE_SECONDS, age of the quote", facts.quote_age_seconds, self.limit) if self.limit else None


@dataclass(frozen=True, slots=True)
class NoStopOut(Rule):
    """No new risk on a day on which the broker has closed a position of ours for want of margin."""

    def measure(self, facts: Facts) -> Measured | None:
        """One is enough."""
        return Measured("positions that the broker has closed today for want of margin", facts.stop_outs_today, 0)


@dataclass(frozen=True, slots=True)
class OpenToSide(Rule):
    """No entry on a side that the broker has closed: only closing, long only, short only."""

    def measure(self, facts: Facts) -> Measured | None:
        """As the symbol is just before the send."""
        return Measured(f"sides closed by the broker ({facts.closed_side})", float(bool(facts.closed_side)), 0.0)


@dataclass(frozen=True, slots=True)
class NotHeld(Rule):
    """No new risk where something is on hold until it is over, or a person has looked."""

    def measure(self, facts: Facts) -> Measured | None:
        """One hold is enough."""
        return Measured(f"holds ({'; '.join(facts.holds)})" if facts.holds else "holds", len(facts.holds), 0)


@dataclass(frozen=True, slots=True)
class NetExplained(Rule):
    """No new risk on a netting account's symbol while its net position is not what our own orders have made it."""

    def measure(self, facts: Facts) -> Measured | None:
        """Too much and too little both block."""
        return Measured("lots of this symbol's net position that this record does not explain", facts.unexplained_lots, 0.0)


@dataclass(frozen=True, slots=True)
class SameLevels(Rule):
    """On a netting account no entry with another stop loss or take profit than what is open on its side: there is one of each."""

    def measure(self, facts: Facts) -> Measured | None:
        """One that differs is enough."""
        one = "a netting account keeps one stop loss and take profit a symbol"
        text = f"{one}, and {facts.level_conflict}: entries that differ" if facts.level_conflict else f"{one}: entries that differ"
        return Measured(text, float(bool(facts.level_conflict)), 0.0)


@dataclass(frozen=True, slots=True)
class TradingSwitchedOn(Rule):
    """No entries while the terminal, the account or the server does not let a program trade."""

    def measure(self, facts: Facts) -> Measured | None:
        """One switch that is off is enough."""
        names = f" ({'; '.join(facts.switched_off)})" if facts.switched_off else ""
        return Measured(f"switches that are off{names}", len(facts.switched_off), 0)


def measured(rules: Iterable[Rule], facts: Facts) -> tuple[Measured, ...]:
    """How near each limit is, in the order of the rules."""
    return tuple(found for rule in rules if (found := rule.measure(facts)) is not None)


def first_denial(found: Iterable[Measured]) -> Denial | None:
    """The first of them that says no."""
    return next((denial for each in found if (denial := each.denial()) is not None), None)


def daily_loss_pct(equity: float, opening_equity: float, money_moved: float = 0.0) -> float:
    """Percent of the day's opening equity that are gone; 0.0 on a day that has won, 100.0 where that cannot be told.

    Money that came or went is neither won nor lost; a deposit does not allow for more loss, a withdrawal for less.

    >>> daily_loss_pct(9_700.0, 10_000.0), daily_loss_pct(14_700.0, 10_000.0, 5_000.0), daily_loss_pct(4_850.0, 10_000.0, -5_000.0)
    (3.0, 3.0, 3.0)
    """
    base = min(opening_equity, opening_equity + money_moved)
    if not base > 0 or not math.isfinite(equity):
        return 100.0
    return max(0.0, (opening_equity + money_moved - equity) * 100 / base)


def lots_for_risk(equity: float, risk_fraction: float, loss_per_lot: float, spec: SymbolSpec) -> float:
    """Lots that lose at most `equity * risk_fraction` at the stop, where one lot loses `loss_per_lot` (both in account currency).

    0.0 means that the smallest lot already risks too much. Raises ValueError unless the loss is above zero: a stop
    on the wrong side has no risk to size by; and unless the fraction is between 0 and 1.

    >>> spec = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")
    >>> lots_for_risk(10_000, 0.01, 200.0, spec)
    0.5
    """
    if not loss_per_lot > 0:
        raise ValueError(f"one lot must lose something at the stop, it makes {-loss_per_lot:g}")
    if not 0 <= risk_fraction <= 1:
        raise ValueError(f"the risk is a fraction of the equity, 0 to 1, not {risk_fraction:g}")
    return spec.tradable_lots(equity * risk_fraction / loss_per_lot)


def capped(lots: float, open_lots: float, limit: float, spec: SymbolSpec) -> float:
    """The part of `lots` that keeps the symbol's total within `limit` lots (MAX_POSITION_SIZE)."""
    return spec.tradable_lots(min(lots, max(0.0, limit - open_lots)))
