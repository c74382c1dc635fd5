"""Our trades as the deals tell them (pure): deals in, open and closed trades out."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, overload

import pandas as pd

from Backtest.decisions import Account, ClosedTrade, OpenTrade, WaitingOrder
from Live.model import Deal, Order, Position, Side, SymbolSpec

EXPERT = 3
BY_HAND = "manual"
EXIT_REASONS = {0: BY_HAND, 1: BY_HAND, 2: BY_HAND, EXPERT: "strategy", 4: "stop loss", 5: "take profit", 6: "stop out"}
LAST = 2**63
KILL_SWITCH = "kill switch"  # to the server it is a program's order like any other


@dataclass(frozen=True, slots=True)
class Exit:
    """One closing deal with the entry that it closes: a row of `trades`."""

    deal: Deal
    entry: Deal  # all of the position's opening deals as one: their lots and costs together, at their average price
    commission: float  # the entry's share and the exit's, negative is a cost

    @property
    def side(self) -> Side:
        """The side that the position had."""
        return self.entry.side

    @property
    def reason(self) -> str:
        """What closed it."""
        return EXIT_REASONS.get(self.deal.reason, f"reason {self.deal.reason}")


class First(Sequence[ClosedTrade]):
    """The first of many trades, seen and not copied: each bar of a warm-up has a number of its own, and all trades of years before it.

    The trades may become more meanwhile, never others.
    """

    __slots__ = ("_seen", "_trades")

    def __init__(self, trades: Sequence[ClosedTrade], count: int) -> None:
        self._trades, self._seen = trades, range(min(count, len(trades)))

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, index: int) -> ClosedTrade: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ClosedTrade]: ...

    def __getitem__(self, index: int | slice) -> ClosedTrade | Sequence[ClosedTrade]:
        if isinstance(index, slice):
            return [self._trades[number] for number in self._seen[index]]
        return self._trades[self._seen[index]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as that of a list


class TradeBook:
    """The deals of our positions, by position: each names its position. Adding a deal twice changes nothing."""

    def __init__(self) -> None:
        self._entries: dict[int, Deal] = {}  # by position
        self._known: set[tuple[int, int]] = set()  # deals, with their positions
        self._seen: set[int] = set()  # deals
        self._exits: dict[str, list[Exit]] = defaultdict(list)  # by symbol, oldest first
        self._levels: dict[int, tuple[float | None, float | None]] = {}
        self._closed: dict[str, list[ClosedTrade]] = defaultdict(list)
        self._left: dict[int, tuple[str, float]] = {}  # symbol and lots of open positions

    def __contains__(self, position_id: object) -> bool:
        return position_id in self._entries

    @property
    def seen(self) -> Set[int]:
        """The deals that were added."""
        return self._seen

    def left(self) -> dict[int, tuple[str, float]]:
        """What the deals have left open: symbol and lots, by position."""
        return dict(self._left)

    def opened_by(self, position_id: int) -> int:
        """The deal that opened a position: positions were opened in the order of these. One that is not known comes last."""
        entry = self._entries.get(position_id)
        return LAST if entry is None else entry.ticket

    def late_orders(self, symbol: str, before: int) -> set[int]:
        """The orders that opened positions at or after a moment (server seconds)."""
        late = takewhile(lambda entry: entry.epoch >= before, reversed(self._entries.values()))
        return {entry.order for entry in late if entry.symbol == symbol}

    def add(self, deal: Deal, spec: SymbolSpec, tag: object) -> Exit | None:
        """Take a deal in; for a closing one, the exit that it makes. A close whose opening is not known makes none."""
        if (deal.ticket, deal.position_id) in self._known:
            return None
        self._known.add((deal.ticket, deal.position_id))
        self._seen.add(deal.ticket)
        entry = self._entries.get(deal.position_id)
        self._note_left(deal)
        if deal.entry == "IN":
            self._entries[deal.position_id] = deal if entry is None else _together(entry, deal)
            return None
        if entry is None:
            return None
        # the part of the entry's costs that belongs to what is closed now
        share = (entry.commission + entry.fee) * (deal.lots / entry.lots)
        made = Exit(deal, entry, share + deal.commission + deal.fee)
        self._exits[deal.symbol].append(made)
        self._closed[deal.symbol].append(_closed_trade(made, spec, tag))
        return made

    def _note_left(self, deal: Deal) -> None:
        _, before = self._left.get(deal.position_id, ("", 0.0))
        lots = round(before + (deal.lots if deal.entry == "IN" else -deal.lots), 8)
        self._left[deal.position_id] = (deal.symbol, lots)
        if lots <= 0:
            del self._left[deal.position_id]

    def note_levels(self, positions: Iterable[Position]) -> None:
        """Remember the stops of open positions, for when they are gone."""
        self._levels.update({position.identifier: (position.sl, position.tp) for position in positions})

    def closed(self, symbol: str) -> list[ClosedTrade]:
        """All closed trades of a symbol, oldest first."""
        return self._closed[symbol]

    def late(self, symbol: str, before: int) -> list[Exit]:
        """The exits at or after a moment (server seconds)."""
        late: list[Exit] = []
        for made in reversed(self._exits[symbol]):
            if made.deal.epoch < before:
                break
            late.insert(0, made)
        return late

    def as_of(self, held: Iterable[OpenTrade], symbol: str, spec: SymbolSpec, before: int) -> tuple[list[OpenTrade], list[ClosedTrade]]:
        """Open and closed trades as they were just before a moment, given those `held` now."""
        moment = pd.Timestamp(before, unit="s")
        late = self.late(symbol, before)
        shown = {trade.ticket: trade for trade in held if trade.entry_time < moment}
        for made in late:
            if made.entry.epoch < before:
                part = spec.units(made.deal.lots) * made.side.sign
                there = shown.get(made.deal.position_id)
                shown[made.deal.position_id] = replace(there, size=there.size + part) if there else self._reopened(made, symbol, part)
        closed = self._closed[symbol]
        return [shown[ticket] for ticket in sorted(shown, key=self.opened_by)], closed[: len(closed) - len(late)]

    def _reopened(self, made: Exit, symbol: str, size: float) -> OpenTrade:
        sl, tp = self._levels.get(made.deal.position_id, (None, None))
        name = (made.deal.ticket, made.deal.position_id)
        tag = next(trade.tag for trade in self._closed[symbol] if (trade.deal, trade.ticket) == name)
        return OpenTrade(made.deal.position_id, size, made.entry.price, pd.Timestamp(made.entry.epoch, unit="s"), sl, tp, tag)


def openings_first(deals: Iterable[Deal], known: Container[int] = ()) -> Iterator[Deal]:
    """The deals in their order, save that none which closes comes before the one that opened its position; that of `known` ones has been.

    Neither the tickets of one second nor times that were taken while a clock was wrong tell which of them came first.
    """
    opened, waiting = set[int](), defaultdict[int, list[Deal]](list)
    for deal in deals:
        if deal.entry != "IN" and deal.position_id not in opened and deal.position_id not in known:
            waiting[deal.position_id].append(deal)
            continue
        opened.add(deal.position_id)
        yield deal
        yield from waiting.pop(deal.position_id, ())
    for left in waiting.values():
        yield from left


def open_trade(position: Position, spec: SymbolSpec, tag: object) -> OpenTrade:
    """A position in backtesting.py's words."""
    size = spec.units(position.lots) * position.side.sign
    return OpenTrade(position.identifier, size, position.price_open, pd.Timestamp(position.epoch, unit="s"), position.sl, position.tp, tag)


def waiting_order(order: Order, bar: pd.Timestamp, *, activated: bool) -> WaitingOrder:
    """An order that waits, in backtesting.py's words; `activated`: its stop price was reached."""
    intent = order.intent
    stop = None if activated else intent.stop
    return WaitingOrder(bar, intent.number, intent.size or 0.0, intent.limit, stop, intent.sl, intent.tp, intent.tag)


def facts_of(account: Account) -> dict[str, object]:
    """An account as it is put on record; of the closed trades only how many there were, since they are on record themselves."""
    trades = [(each.ticket, each.size, each.entry_price, each.entry_time.isoformat(), each.sl, each.tp, each.tag) for each in account.open]
    orders = [(each.bar.isoformat(), each.leg, each.size, each.limit, each.stop, each.sl, each.tp, each.tag) for each in account.orders]
    return {"cash": account.cash, "open": trades, "orders": orders, "closed": len(account.closed)}


def account_of(facts: Mapping[str, Any], closed: Sequence[ClosedTrade]) -> Account:
    """The account that was put on record; `closed` are all trades that were closed since, and before."""
    trades = tuple(OpenTrade(ticket, size, price, pd.Timestamp(time), *rest) for ticket, size, price, time, *rest in facts["open"])
    orders = tuple(WaitingOrder(pd.Timestamp(bar), *rest) for bar, *rest in facts["orders"])
    return Account(facts["cash"], trades, First(closed, facts["closed"]), orders)


def _together(first: Deal, more: Deal) -> Deal:
    """An entry that was filled in parts, as one deal with the name and the time of the first."""
    lots = round(first.lots + more.lots, 8)
    price = (first.price * first.lots + more.price * more.lots) / (first.lots + more.lots)
    return replace(first, lots=lots, price=price, commission=first.commission + more.commission, fee=first.fee + more.fee)


def _closed_trade(made: Exit, spec: SymbolSpec, tag: object) -> ClosedTrade:
    return ClosedTrade(
        deal=made.deal.ticket,
        ticket=made.deal.position_id,
        size=spec.units(made.deal.lots) * made.side.sign,
        entry_price=made.entry.price,
        exit_price=made.deal.price,
        entry_time=pd.Timestamp(made.entry.epoch, unit="s"),
        exit_time=pd.Timestamp(made.deal.epoch, unit="s"),
        costs=-made.commission,
        tag=tag,
    )
