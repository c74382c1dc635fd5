"""Why a recorded session earned something else than its backtest: each trade's difference as a sum of named causes (pure).

A trade is what one decision opened. Its two sides are turned into each other in a fixed order: size, then entry, then exit,
then costs; each step is worth what it changes, so that the steps add up to the whole difference. What one side has not got
at all goes whole into the cause that kept it from it. Money is cents at the end, and every cent is in exactly one cause.
"""

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Opener = tuple[int, str]  # the bar's open (server seconds) and the leg of the decision that opened a trade
OPEN = "open"


class Cause(enum.Enum):
    """A reason, in the order in which they are shown; the value is its name for people."""

    DATA = "data"
    TIMING = "timing"
    SPREAD = "spread"
    SLIPPAGE = "slippage"
    ROUNDING = "size rounding"
    SIZING = "sizing rule"
    COMMISSION = "commission"
    SWAP = "swap"
    CURRENCY = "exchange rate, cents"
    REFUSED = "refused by the broker"
    LIMITS = "our own limits"
    MANUAL = "by hand"
    FOLLOWS = "what follows"

    @property
    def meaning(self) -> str:
        """One line about it."""
        return _MEANINGS[self]


_MEANINGS = {
    Cause.DATA: "decided otherwise on the same bars: they were revised or missing, or the backtest knew the future",
    Cause.TIMING: "the price when the order was made, and not the next bar's open",
    Cause.SPREAD: "between bid and ask, beyond what the backtest pays",
    Cause.SLIPPAGE: "between the price that was asked for and the fill",
    Cause.ROUNDING: "lots are traded in steps",
    Cause.SIZING: "SIZING sets another size than the strategy",
    Cause.COMMISSION: "commission and fees, beyond what the backtest pays",
    Cause.SWAP: "interest of positions held overnight",
    Cause.CURRENCY: "money of another currency at the rate of its day, and cents that the broker has rounded",
    Cause.REFUSED: "orders that the broker refused, or filled in part only",
    Cause.LIMITS: "orders that our limits, the age of a decision or the emergency stop held back",
    Cause.MANUAL: "closed by hand, by a stop-out or by the emergency stop",
    Cause.FOLLOWS: "another account led to other decisions, sizes and exits",
}


class Fill(NamedTuple):
    """A price in its three stages: of the chart's side (bid) at that moment, of the side that was asked for, and of the fill."""

    base: float
    asked: float
    price: float


@dataclass(frozen=True, slots=True)
class Part:
    """So many units (negative for short) of a trade, from entry to exit, or to their worth at the end.

    `rate` is what one unit makes in the account's currency while its price rises by 1, and `rest` what it made beside that;
    commission and swap are negative when they cost. Bars are named by their opens in server seconds. `cause` is what ended
    it, where that was no decision of the strategy and none of its stops.
    """

    size: float
    entry: Fill
    entry_bar: int
    exit: Fill
    exit_bar: int | None  # the bar in which it ended; None: it has not
    exit_by: str  # strategy, stop loss, take profit, open, …
    rate: float = 1.0
    commission: float = 0.0
    swap: float = 0.0
    rest: float = 0.0
    cause: Cause | None = None

    @property
    def money(self) -> float:
        """What it made.

        >>> Part(-10.0, Fill(2.0, 2.0, 2.0), 0, Fill(1.5, 1.5, 1.5), None, "open", commission=-1.0).money
        4.0
        """
        return self.size * (self.exit.price - self.entry.price) * self.rate + self.commission + self.swap + self.rest


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a size from the backtest's to the real one: the units that it comes to, and why."""

    cause: Cause
    units: float


@dataclass(frozen=True, slots=True)
class Trade:
    """What one decision opened, on both sides; one of them may be empty.

    `sizes` are the steps between the backtest's size and ours, ours being the last; `held` names, by the bar of the
    backtest's exit, why we did not leave then; `missing` is the cause where a side is empty.
    """

    opener: Opener
    backtest: Sequence[Part]
    live: Sequence[Part]
    sizes: Sequence[Step] = ()
    held: Mapping[int, Cause] = field(default_factory=dict)
    missing: Cause = Cause.DATA
    note: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """One trade's difference in cents, by cause; the causes add up to live minus backtest."""

    trade: Trade
    backtest: int
    live: int
    causes: Mapping[Cause, int]


def shares_of(trades: Sequence[Trade]) -> list[Share]:
    """Every trade's difference in whole cents."""
    shares = []
    for trade in trades:
        backtest, live = (_cents(sum(part.money for part in side)) for side in (trade.backtest, trade.live))
        shares.append(Share(trade, backtest, live, in_cents(_causes(trade), live - backtest)))
    return shares


def in_cents(money: Mapping[Cause, float], total: int) -> dict[Cause, int]:
    """The causes in whole cents that add up to the total: those that are nearest to the next cent get what is left over.

    >>> in_cents({Cause.SPREAD: -0.014, Cause.TIMING: -0.017}, -3)
    {<Cause.SPREAD: 'spread'>: -1, <Cause.TIMING: 'timing'>: -2}
    """
    if not money:
        return {Cause.TIMING: total} if total else {}
    floors = {cause: math.floor(value * 100) for cause, value in money.items()}
    nearest = sorted(money, key=lambda cause: money[cause] * 100 - floors[cause], reverse=True)
    left = total - sum(floors.values())
    each, more = divmod(left, len(nearest))  # of what only rounding has left, each is 0
    return {cause: floors[cause] + each + (cause in nearest[:more]) for cause in money}


def _cents(money: float) -> int:
    return round(money * 100)


def _causes(trade: Trade) -> dict[Cause, float]:
    found: dict[Cause, float] = {}
    for cause, money in _paired(trade) if trade.backtest and trade.live else _unpaired(trade):
        found[cause] = found.get(cause, 0.0) + money
    return {cause: money for cause, money in found.items() if money}


def _unpaired(trade: Trade) -> Iterator[tuple[Cause, float]]:
    yield trade.missing, sum(part.money for part in trade.live) - sum(part.money for part in trade.backtest)


def _paired(trade: Trade) -> Iterator[tuple[Cause, float]]:
    sizes = [sum(part.size for part in side) for side in (trade.backtest, trade.live)]
    for share, one, other in _segments(trade.backtest, trade.live):
        yield from _size_steps(trade, share, sizes, one)
        size = share * sizes[1]
        yield Cause.TIMING, size * (one.exit.price - one.entry.price) * (other.rate - one.rate)
        for cause, price in _between(one.entry, other.entry):
            yield cause, -size * price * other.rate
        whole = _ended_by(trade, one, other)
        moves = _between(one.exit, other.exit) if whole is None else ((whole, other.exit.price - one.exit.price),)
        for cause, price in moves:
            yield cause, size * price * other.rate
    for cause, of in ((Cause.COMMISSION, "commission"), (Cause.SWAP, "swap"), (Cause.CURRENCY, "rest")):
        yield cause, sum(getattr(part, of) for part in trade.live) - sum(getattr(part, of) for part in trade.backtest)


def _size_steps(trade: Trade, share: float, sizes: Sequence[float], one: Part) -> Iterator[tuple[Cause, float]]:
    units, (_, last) = sizes[0], sizes
    worth = share * (one.exit.price - one.entry.price) * one.rate
    for step in trade.sizes:
        yield step.cause, (step.units - units) * worth
        units = step.units
    yield Cause.ROUNDING, (last - units) * worth


def _between(one: Fill, other: Fill) -> Iterator[tuple[Cause, float]]:
    yield Cause.TIMING, other.base - one.base
    yield Cause.SPREAD, (other.asked - other.base) - (one.asked - one.base)
    yield Cause.SLIPPAGE, (other.price - other.asked) - (one.price - one.asked)


def _ended_by(trade: Trade, one: Part, other: Part) -> Cause | None:
    """Why a part ended at all elsewhere than in the backtest; None where it ended as there, at another price at most."""
    if other.cause is not None:
        return other.cause
    if one.exit_bar == other.exit_bar:
        return None
    if one.exit_bar is not None and (other.exit_bar is None or other.exit_bar > one.exit_bar):
        if one.exit_bar in trade.held:
            return trade.held[one.exit_bar]
        by_level = one.exit_by
    else:
        by_level = other.exit_by
    # the stops of a sale are touched by the ask, those of a backtest by the bid
    return Cause.SPREAD if by_level in ("stop loss", "take profit") and other.size < 0 else Cause.FOLLOWS


def _segments(backtest: Sequence[Part], live: Sequence[Part]) -> Iterator[tuple[float, Part, Part]]:
    """Parts of both sides that belong together, with their share of the trade: first those that ended in the same bar."""
    theirs, ours = _portions(backtest), _portions(live)
    for same in (True, False):
        for mine, other in enumerate(live):
            for its, one in enumerate(backtest):
                share = min(theirs[its], ours[mine])
                if share > 0 and (not same or _ended_alike(one, other)):
                    theirs[its] -= share
                    ours[mine] -= share
                    yield share, one, other


def _portions(parts: Sequence[Part]) -> list[float]:
    whole = sum(part.size for part in parts)
    return [part.size / whole for part in parts]


def _ended_alike(one: Part, other: Part) -> bool:
    return other.cause is None and one.exit_bar == other.exit_bar
