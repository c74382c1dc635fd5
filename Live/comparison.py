"""What a backtest and a recorded run made of the same bars, side by side, and where they differ (pure)."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

import pandas as pd

# Sums of the same money in another order differ in their last digits; one more trade, or one other price, in far earlier ones.
SAME_MONEY = 1e-9


class Decided(NamedTuple):
    """One order of a strategy: `kind` is BUY, SELL, CLOSE, PROTECT or CANCEL, `leg` its place among those of the bar."""

    bar: pd.Timestamp  # that it was decided on, by its open
    leg: int
    kind: str
    size: float | None = None  # units, or a fraction of the equity; of a close the units
    limit: float | None = None
    stop: float | None = None
    sl: float | None = None
    tp: float | None = None
    tag: object = None


class Traded(NamedTuple):
    """One trade, or what is open at the end: then `exit_bar` and `exit_price` are None.

    The profit is that before commission: of a trade that is closed in parts backtesting.py counts the fixed part of the
    entry's commission in each of them, though its cash pays it once. What is paid in all is in the equity.
    """

    entry_bar: pd.Timestamp
    exit_bar: pd.Timestamp | None
    size: float  # units, negative for short
    entry_price: float
    exit_price: float | None
    tag: object
    profit: float


@dataclass(frozen=True, slots=True)
class Told:
    """One side's account of a run."""

    bars: int
    decisions: Sequence[Decided]
    trades: Sequence[Traded]
    equity: float
    failure: str = ""  # why it ended before the bars did


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the two sides do not agree on; None is what one of them does not have at all."""

    what: str  # order, trade, profit, end, bars, equity
    bar: pd.Timestamp | None
    backtest: Any
    live: Any

    def __str__(self) -> str:
        when = "" if self.bar is None else f" of {self.bar}"
        return f"{self.what}{when}: the backtest has {_told(self.backtest)}, live has {_told(self.live)}"


def differences(backtest: Told, live: Told, *, tolerance: float = 0.0) -> list[Difference]:
    """Everything that the sides do not agree on, in the order of the bars; the equity last.

    `tolerance` is the part of a price by which the sides may differ and still agree on it.
    """
    decisions = _decisions(backtest.decisions, live.decisions, tolerance)
    found = [*decisions, *_trades(backtest.trades, live.trades, tolerance)]
    found.sort(key=lambda each: (each.bar is None, each.bar or 0))
    if backtest.failure != live.failure:
        found.append(Difference("end", None, backtest.failure or "the end of the bars", live.failure or "the end of the bars"))
    if backtest.bars != live.bars:
        found.append(Difference("bars", None, backtest.bars, live.bars))
    if not _same_equity(backtest.equity, live.equity):
        found.append(Difference("equity", None, backtest.equity, live.equity))
    return found


def _decisions(backtest: Iterable[Decided], live: Iterable[Decided], tolerance: float) -> Iterator[Difference]:
    sides = [{(each.bar, each.leg): each for each in side} for side in (backtest, live)]
    for bar, leg in sorted({*sides[0], *sides[1]}):
        one, other = (side.get((bar, leg)) for side in sides)
        if one is None or other is None or not all(map(partial(_same, tolerance), _plain(one), _plain(other))):
            yield Difference("order", bar, one, other)


def _trades(backtest: Sequence[Traded], live: Sequence[Traded], tolerance: float) -> Iterator[Difference]:
    """Trades are matched by all that they are but their prices and profit: one bar may close many, in any order."""
    sides = [_numbered(side) for side in (backtest, live)]
    only = [sorted((side[key] for key in side.keys() - other.keys()), key=_when) for side, other in (sides, sides[::-1])]
    for one, other in zip_longest(*only):
        yield Difference("trade", _left_at(one or other), one, other)
    for key in sides[0].keys() & sides[1].keys():
        one, other = sides[0][key], sides[1][key]
        prices = zip((one.entry_price, one.exit_price), (other.entry_price, other.exit_price), strict=True)
        if not all(_same(tolerance, *pair) for pair in prices):
            yield Difference("trade", _left_at(one), one, other)
        elif not math.isclose(one.profit, other.profit, rel_tol=SAME_MONEY, abs_tol=1e-6):
            yield Difference("profit", _left_at(one), one, other)


def _numbered(trades: Sequence[Traded]) -> dict[tuple[Any, ...], Traded]:
    """Each trade by what it is, and by which one of its kind, in the order of their prices and profits."""
    seen: Counter[tuple[Any, ...]] = Counter()
    found = {}
    for trade in sorted(trades, key=lambda each: (each.entry_price, each.exit_price or 0.0, each.profit)):
        key = (trade.entry_bar, trade.exit_bar, trade.size, repr(trade.tag))
        found[(*key, seen[key])] = trade
        seen[key] += 1
    return found


def _same(tolerance: float, one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=tolerance)
    return bool(one == other)


def _same_equity(backtest: float, live: float) -> bool:
    # backtesting.py calls a ruined account empty; a broker's is what is left of it, below zero if need be
    ruined = backtest == 0 and live <= 0
    return ruined or math.isclose(backtest, live, rel_tol=SAME_MONEY)


def _left_at(trade: Traded) -> pd.Timestamp:
    return trade.exit_bar if trade.exit_bar is not None else trade.entry_bar


def _when(trade: Traded) -> tuple[Any, ...]:
    return (_left_at(trade), trade.entry_bar, trade.size, trade.entry_price)


def _plain(row: Decided | Traded) -> tuple[Any, ...]:
    """With a tag that can be compared and hashed: a tag may be anything."""
    return tuple(repr(value) if name == "tag" else value for name, value in row._asdict().items())


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:,.10g}"
    if isinstance(value, (Decided, Traded)):
        return _in_words(value)
    return str(value)


def _in_words(row: Decided | Traded) -> str:
    hidden = {"bar", "leg"}
    shown = {name: value for name, value in row._asdict().items() if value is not None and name not in hidden}
    return " ".join(f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value}" for name, value in shown.items())
