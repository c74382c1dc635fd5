"""The trades of a netting account (pure): one net position a symbol at the server, our own trades in it by our own book-keeping.

Each order of ours that adds to the net opens a trade, which has the ticket of that order, as a position of a hedging
account has. A deal against it takes from the trade that its order names, then from the oldest ones. What others do on the
symbol is theirs until it is gone; only what then still goes against our trades has closed them by hand.
"""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from Live.model import Deal, Intent, Kind, Order, Position, SymbolSpec

LOTS_DIGITS = 8
STOP_LOSS = 4  # DEAL_REASON_SL
SAME_PRICE = 1e-12  # relative: two prices that differ by less are one, averaged


@dataclass(frozen=True, slots=True)
class NetTrade:
    """A trade that is open in a net position."""

    entry: Deal  # the first one of its order
    lots: float  # that are left
    price: float  # average of its entries

    @property
    def signed(self) -> float:
        """Its lots, negative of a sale."""
        return self.lots * self.entry.side.sign


@dataclass(frozen=True, slots=True)
class Booked:
    """How a deal is to be booked."""

    ours: bool  # an order of ours made it
    closes: int | None  # the trade that its order names
    rate: float  # what one unit of the symbol's quote currency is worth in the account's
    spec: SymbolSpec


class NetBook:
    """The open trades of a netting account, by symbol and age."""

    def __init__(self) -> None:
        self._trades: dict[str, dict[int, NetTrade]] = {}
        self._since_flat: dict[str, set[int]] = {}  # the trades that have been in the net position that is open
        self._foreign: dict[str, float] = {}  # signed lots that others hold in a position of ours
        self._seen: set[int] = set()

    @property
    def seen(self) -> Set[int]:
        """The deals that were booked, also those that were not ours in any part."""
        return self._seen

    def trades(self, symbol: str) -> Sequence[NetTrade]:
        """The open trades of a symbol, oldest first."""
        return tuple(self._trades.get(symbol, {}).values())

    def held_symbols(self) -> list[str]:
        """Those on which our deals have left something open."""
        return [symbol for symbol in self._trades if self.lots(symbol)]

    def lots(self, symbol: str) -> float:
        """What our deals explain of the net position: signed lots."""
        return round(math.fsum(trade.signed for trade in self.trades(symbol)), LOTS_DIGITS)

    def note_flat(self, symbol: str) -> None:
        """There is no net position: nobody holds anything in it."""
        self._foreign.pop(symbol, None)

    def add(self, part: Deal) -> None:
        """Take in a part of a deal that is on record: its position is the trade that it opens or closes."""
        self._seen.add(part.ticket)
        trades = self._trades.setdefault(part.symbol, {})
        old = trades.get(part.position_id)
        if not trades:
            self._since_flat[part.symbol] = set()
        if part.entry == "IN":
            self._since_flat[part.symbol].add(part.position_id)
            trades[part.position_id] = NetTrade(part, part.lots, part.price) if old is None else _enlarged(old, part)
        elif old is not None:
            left = round(old.lots - part.lots, LOTS_DIGITS)
            trades[part.position_id] = replace(old, lots=left)
            if left <= 0:
                del trades[part.position_id]

    def book(self, deal: Deal, how: Booked) -> list[Deal]:
        """The parts of a new deal that are ours, taken in: of each trade that it closes, oldest first, then of the one that it opens."""
        self._seen.add(deal.ticket)
        left = deal.lots if how.ours else self._taken_by_others(deal)
        closing: list[tuple[NetTrade, float]] = []
        for trade in self._against(deal, how.closes):
            if taken := round(min(left, trade.lots), LOTS_DIGITS):
                closing.append((trade, taken))
                left = round(left - taken, LOTS_DIGITS)
        alone = len(self._since_flat.get(deal.symbol, ())) == 1
        parts = [_closing_part(deal, trade, lots, how, alone=alone) for trade, lots in closing]
        if left and how.ours:
            parts.append(replace(_share(deal, left, position_id=deal.order, profit=0.0), entry="IN", swap=0.0))
        elif left:
            self._foreign[deal.symbol] = self._foreign.get(deal.symbol, 0.0) + left * deal.side.sign
        for part in parts:
            self.add(part)
        return parts

    def shown(self, net: Position, spec: SymbolSpec, rate: float) -> tuple[Position, ...]:
        """Our trades as positions, as far as the net position covers them, oldest first.

        Each has the net's ticket, by which the server knows it, its levels, and its share of its swap; the identifier is the trade's
        own. `rate` is what one unit of the quote currency is worth in the account's.
        """
        found, room = [], net.lots
        for trade in reversed(self.trades(net.symbol)):  # where something is missing, the oldest have been closed
            lots = round(min(trade.lots, room), LOTS_DIGITS)
            if trade.entry.side is net.side and lots > 0:
                share = net.profit * lots / net.lots
                apart = (net.price_open - trade.price) * spec.units(lots) * net.side.sign
                found.append(_as_position(trade, lots, net, share + apart * rate))
                room -= lots
        return tuple(reversed(found))

    def _against(self, deal: Deal, closes: int | None) -> Iterator[NetTrade]:
        opposite = [trade for trade in self.trades(deal.symbol) if trade.entry.side is not deal.side]
        if deal.reason == STOP_LOSS:  # a backtest looks at the newest stop first (`_Broker.new_order`)
            opposite.reverse()
        yield from (trade for trade in opposite if trade.entry.position_id == closes)
        yield from (trade for trade in opposite if trade.entry.position_id != closes)

    def _taken_by_others(self, deal: Deal) -> float:
        """What a deal of somebody else leaves when it has taken from what is theirs."""
        held, wanted = self._foreign.get(deal.symbol, 0.0), deal.lots * deal.side.sign
        if held * wanted >= 0:
            return deal.lots
        taken = min(abs(held), deal.lots)
        self._foreign[deal.symbol] = round(held + taken * deal.side.sign, LOTS_DIGITS)
        return round(deal.lots - taken, LOTS_DIGITS)


def unrealised_beside(ours: Sequence[Position], net: Position | None, rate: float, spec: SymbolSpec) -> float:
    """What the net position's profit is more than that of our trades, each from its own entry price: account currency.

    After a part was closed the server keeps the average price of all, and our book the prices of what is left: the difference
    is on the balance already, or is still to come.
    """
    if net is None:
        return 0.0
    lots = sum(held.lots for held in ours)
    apart = sum(spec.units(held.lots) * (held.price_open - net.price_open) for held in ours) * net.side.sign
    noise = SAME_PRICE * spec.units(lots) * net.price_open
    covered = 1.0 if round(lots - net.lots, LOTS_DIGITS) == 0 else lots / net.lots
    return net.profit * (1.0 - covered) + (0.0 if abs(apart) <= noise else apart * rate)


def _as_position(trade: NetTrade, lots: float, net: Position, profit: float) -> Position:
    entry = trade.entry
    return replace(
        net,
        identifier=entry.position_id,
        lots=lots,
        price_open=trade.price,
        opened_at=entry.time,
        epoch=entry.epoch,
        profit=profit,
        swap=net.swap * lots / net.lots,
        magic=entry.magic,
        comment=entry.comment,
    )


def _enlarged(old: NetTrade, part: Deal) -> NetTrade:
    lots = round(old.lots + part.lots, LOTS_DIGITS)
    return replace(old, lots=lots, price=(old.price * old.lots + part.price * part.lots) / (old.lots + part.lots))


def _closing_part(deal: Deal, trade: NetTrade, lots: float, how: Booked, *, alone: bool) -> Deal:
    """A trade's part of a closing deal, with what the trade has made: the server reckons from the average price of all."""
    made = (deal.price - trade.price) * trade.entry.side.sign * how.spec.units(lots) * how.rate
    profit = deal.profit if alone and deal.entry == "OUT" and lots == deal.lots else made
    return replace(_share(deal, lots, position_id=trade.entry.position_id, profit=profit), entry="OUT")


def _share(deal: Deal, lots: float, *, position_id: int, profit: float) -> Deal:
    part = lots / deal.lots
    commission, swap, fee = (money * part for money in (deal.commission, deal.swap, deal.fee))
    return replace(deal, lots=lots, position_id=position_id, profit=profit, commission=commission, swap=swap, fee=fee)


def level_conflict(intent: Intent, trades: Sequence[Position], waiting: Sequence[Order], spec: SymbolSpec) -> str:
    """Why an entry may not share the net position's stop loss and take profit; "" when it may.

    The server keeps one of each for the whole position, and an order's own levels replace them when it fills. So all on one side
    have the same, and an order that waits with levels is alone there: a stop may have been moved when it fills.
    """
    beside = [(f"trade {held.identifier}", held.sl, held.tp, False) for held in trades if held.side is intent.side]
    beside += [
        (f"order {order.ticket}", order.intent.sl, order.intent.tp, True)
        for order in waiting
        if order.intent.side is intent.side and order.intent.order_id != intent.order_id
    ]
    wanted = _on_grid(spec, intent.sl, intent.tp)
    for name, sl, tp, waits in beside:
        if _on_grid(spec, sl, tp) != wanted:
            return f"{name} has {_in_words(sl, tp)}, this entry wants {_in_words(intent.sl, intent.tp)}"
        if (waits or intent.kind is Kind.PENDING) and wanted != (None, None):
            return f"{name} is on its side, and an order that waits with levels must be alone"
    return ""


def loosens(intent: Intent, trades: Sequence[Position]) -> str:
    """Why a trade's levels may not be changed so on a netting account; "" when they may: others share its stop loss."""
    held = next((each for each in trades if each.identifier == intent.position), None)
    others = [each for each in trades if held is not None and each.symbol == held.symbol and each is not held]
    if held is None or held.sl is None or not others:
        return ""
    if intent.sl is not None and (intent.sl - held.sl) * held.side.sign >= 0:
        return ""
    shared = ", ".join(str(each.identifier) for each in others)
    return f"the account keeps one stop loss for all trades of a symbol: {held.sl:g} is also that of {shared}, and may only be tightened"


def _on_grid(spec: SymbolSpec, *levels: float | None) -> tuple[float | None, ...]:
    return tuple(None if level is None else spec.on_grid(level) for level in levels)


def _in_words(sl: float | None, tp: float | None) -> str:
    named = [f"{name} {level:g}" for name, level in (("sl", sl), ("tp", tp)) if level is not None]
    return " and ".join(named) or "no levels"
