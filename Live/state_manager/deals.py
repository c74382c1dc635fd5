"""Which deals are ours, and what each of them did to our trades: put down once, as they appear."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from Live.audit_logger import AuditLogger
from Live.audit_logger.writer import MONEY_DECIMALS
from Live.model import OVER, UNSETTLED, Deal, Kind, Order, Position, Slot, Status, SymbolSpec, keys_in, order_key
from Live.mt5_connector import MT5Connector
from Live.net_account import NetAccount
from Live.net_book import Booked
from Live.trade_book import BY_HAND, EXPERT, KILL_SWITCH, Exit, TradeBook, openings_first

log = logging.getLogger("LiveTrader")

EPSILON = 1e-9  # lots
GIVEN_UP = (Status.ABSENT, Status.FAILED)


class Deals:
    """The deals of one slot: those on record, and those that the terminal shows since. `net` is there on a netting account."""

    def __init__(self, connector: MT5Connector, record: AuditLogger, slot: Slot, symbols: Sequence[str]) -> None:
        self.book = TradeBook()
        self.net = NetAccount(record, slot, symbols) if connector.netting else None
        self.slot = slot
        self._connector, self._record, self._slot = connector, record, slot
        self._tags = record.tags(slot)
        self._specs: dict[str, SymbolSpec] = {}
        self.given_up = frozenset[int](record.state(f"acknowledged {slot}") or ())  # tickets of positions that a person has released
        self._shared = set[int]()  # net positions in which an order of ours has traded, and which another has opened
        self.lacks_openings = False  # closing deals were shown, and what they close was not
        for deal in openings_first(record.deals(slot)):
            self.book.add(deal, self.spec(deal.symbol), self._tags.get(deal.position_id))
            if self.net is not None:
                self.net.book.add(deal)

    def fresh(self, deals: Iterable[Deal]) -> list[Deal]:
        """Deals of ours that are new. Closing deals may carry a foreign magic or comment: they are ours when their position's
        opening was, which may be among the new ones; until that is shown, they wait."""
        fresh: dict[int, Deal] = {}
        unsure: set[str] = set()
        self.lacks_openings = False
        if self.net is not None:
            shown = list(openings_first(deals))
            self._note_shared(shown)
        else:  # those that are on record have been looked at: of thousands one is new
            shown = list(openings_first(self.unbooked(deals), self.book))
        opened = set(self._shared)
        for deal in shown:
            if deal.position_id in self.given_up:
                continue
            known = deal.position_id in self.book or deal.position_id in opened
            if not self._is_booked(deal) and (known or self.opened(deal.magic, deal.order, deal.comment)):
                if deal.symbol in unsure or self._may_be_ours(deal):
                    unsure.add(deal.symbol)  # those after it are booked after it
                    continue
                if self.net is None and deal.entry != "IN" and not known:
                    self.lacks_openings = True
                    continue
                fresh[deal.ticket] = deal
                opened.add(deal.position_id)
        return list(fresh.values())

    def _note_shared(self, deals: Sequence[Deal]) -> None:
        """A net position that somebody else has opened has his order's number, also when we have traded in it since: what closes it
        closes our part, and what he did in it before is what of it is his."""
        strange = (deal for deal in deals if deal.position_id not in self._shared and deal.position_id not in self.book)
        ours = {deal.position_id for deal in strange if self._is_booked(deal) or self.opened(deal.magic, deal.order, deal.comment)}
        self._shared |= ours

    def unbooked(self, deals: Iterable[Deal]) -> list[Deal]:
        """Those that are not on record."""
        booked = (self.net.book if self.net else self.book).seen
        return [deal for deal in deals if deal.ticket not in booked]

    def _is_booked(self, deal: Deal) -> bool:
        return deal.ticket in (self.net.book if self.net else self.book).seen

    def is_known(self, deal: Deal) -> bool:
        """Whether it is on record, or will be: an order or a position of ours made it."""
        known = self._is_booked(deal) or deal.position_id in self.book or deal.position_id in self._shared
        return known or self.opened(deal.magic, deal.order, deal.comment)

    def _may_be_ours(self, deal: Deal) -> bool:
        """On a netting account: whether a program's deal that names no order of ours may be one whose outcome is still unknown."""
        if self.net is None or deal.reason != EXPERT or self.order_of(deal.order, deal.comment) is not None:
            return False
        return self.is_asked(deal.symbol)

    def is_asked(self, symbol: str) -> bool:
        """Whether the outcome of an order of ours on this symbol is unknown: it may explain what nothing else does."""
        return any(order.intent.symbol == symbol for order in self._record.orders_with(UNSETTLED, self._slot))

    def opened(self, magic: int, ticket: int, comment: str) -> bool:
        """Whether an order of this record opened it; the magic number alone may be that of an older record, or of a twin.

        The ticket is proof enough, or a whole key: a server may forget the magic number.
        """
        if ticket in self.given_up:
            return False
        if ticket in self.book or self._record.order_by_ticket(self._slot, ticket) is not None:
            return True
        order = self._by_comment(comment)
        if order is None or order.intent.bar.slot != self._slot:
            return False
        return magic == self._slot.magic or order_key(order.intent.order_id).upper() in comment.upper()

    def order_of(self, ticket: int, comment: str) -> Order | None:
        """Our order that has this ticket, or whose key is the comment."""
        return self._record.order_by_ticket(self._slot, ticket) or self._by_comment(comment)

    def _by_comment(self, comment: str) -> Order | None:
        return next(filter(None, map(self._record.order_by_key, keys_in(comment))), None)

    def take_in(self, deal: Deal, rates: Mapping[str, float]) -> None:
        """Put a deal down: the fill, what it says of its order, and the trade that it closes. `rates` are only needed on a netting
        account: what one unit of each symbol's quote currency is worth."""
        order = self.order_of(deal.order, deal.comment)
        parts = self._parts(deal, order, rates)
        for part in parts:
            self._record.add_fill(part, self._slot, order.intent.order_id if order else None)
        if order is not None and order.status in OVER and order.intent.side is deal.side:
            self._note_late_fill(order, deal)
        if order is not None and order.intent.kind is Kind.ENTRY and order.intent.side is deal.side:
            self._note_slippage(order, deal)
        for part in parts:
            made = self.book.add(part, self.spec(part.symbol), self.tag_of(part.position_id))
            if made is not None:
                flattened = order is not None and order.intent.kind is Kind.FLATTEN
                by_others = self.net is not None and order is None and deal.reason == EXPERT
                self._add_trade(made, KILL_SWITCH if flattened else BY_HAND if by_others else made.reason)

    def _note_slippage(self, order: Order, deal: Deal) -> None:
        """Market execution knows no limit of slippage: what was filled too far from the price that was sent is told."""
        asked = (order.request or {}).get("price")
        limit = self._connector.config.price_collar_pct
        worse = (deal.price / asked - 1) * 100 * deal.side.sign if isinstance(asked, float) and asked > 0 else 0.0
        if worse > limit:
            name = f"deal {deal.ticket} on {deal.symbol}"
            text = f"{name} was filled at {deal.price:g}, {worse:.3g} % worse than {asked:g}; PRICE_COLLAR_PCT allows {limit:g}"
            self._record.event("SLIPPAGE", text, severity="CRITICAL", details={"deal": deal.ticket, "percent": worse})

    def _note_late_fill(self, order: Order, deal: Deal) -> None:
        """An order that was over, for all we knew, has been filled, or filled further: it is kept, and a person must know."""
        lots, price = self._record.filled(order)
        if lots <= (order.executed_volume or 0.0) + EPSILON:
            return
        columns = {"mt5_order_id": deal.order, "mt5_deal_id": deal.ticket, "executed_volume": lots, "executed_price": price}
        self._tell_late_fill(order, {"deal": deal.ticket}, columns)

    def take_late(self, held: Position) -> None:
        """A position may carry the key of an order that we had given up while its deal carries none: it is a late fill as well, and its
        ticket tells the deal."""
        order = None if held.identifier in self.book else self.order_of(held.identifier, held.comment)
        if order is not None and order.status in GIVEN_UP:
            columns = {"mt5_order_id": held.identifier, "executed_volume": held.lots, "executed_price": held.price_open}
            self._tell_late_fill(order, {"position": held.identifier}, columns)

    def _tell_late_fill(self, order: Order, by: Mapping[str, int], columns: Mapping[str, Any]) -> None:
        [(kind, ticket)] = by.items()
        name = f"order {order.intent.order_id} on {order.intent.symbol}"
        text = f"{name} was {order.status.value}, and {kind} {ticket} has filled it all the same"
        with self._record.transaction(durable=True):
            self._record.move(order.intent.order_id, Status.LATE_FILLED, payload=by, message=text, **columns)
            details = {**by, "lots": columns["executed_volume"]}
            self._record.event("LATE_FILL", f"{text}; it is kept", severity="CRITICAL", details=details)

    def _parts(self, deal: Deal, order: Order | None, rates: Mapping[str, float]) -> Sequence[Deal]:
        """The deal, or on a netting account what it did to each of our trades."""
        if self.net is None:
            return (deal,)
        # a stop's deal may carry the comment of the order that opened the position: it is on the other side
        ours = order is not None and order.intent.side is deal.side
        closes = order.intent.position if order is not None and ours else None
        return self.net.book.book(deal, Booked(ours, closes, rates[deal.symbol], self.spec(deal.symbol)))

    def _add_trade(self, made: Exit, reason: str) -> None:
        deal, entry = made.deal, made.entry
        opener = self._record.order_by_ticket(self._slot, entry.order)
        self._record.add_trade(
            {
                "timestamp": deal.time.isoformat(),
                "slot": str(self._slot),
                "strategy_id": self._slot.strategy_id,
                "symbol": deal.symbol,
                "side": made.side.value,
                "entry_time": entry.time.isoformat(),
                "exit_time": deal.time.isoformat(),
                "entry_price": entry.price,
                "exit_price": deal.price,
                "volume": deal.lots,
                "size": self.spec(deal.symbol).units(deal.lots) * made.side.sign,
                "profit": deal.profit,
                "commission": made.commission,
                "swap": deal.swap,
                "net_profit": deal.profit + deal.swap + made.commission,
                "duration_seconds": float(deal.epoch - entry.epoch),
                "exit_reason": reason,
                "position_ticket": deal.position_id,
                "exit_deal": deal.ticket,
            },
            tag=opener.intent.tag if opener else None,
        )
        profit = round(deal.profit, MONEY_DECIMALS)
        log.info(
            "trade closed",
            extra={"extra_data": {"symbol": deal.symbol, "side": made.side, "volume": deal.lots, "profit": profit, "reason": reason}},
        )

    def tag_of(self, position_id: int) -> object:
        """What the strategy has tagged a position with."""
        if position_id not in self._tags:
            order = self._record.order_by_ticket(self._slot, position_id)
            if order is None:
                return None
            self._tags[position_id] = order.intent.tag
        return self._tags[position_id]

    def spec(self, symbol: str) -> SymbolSpec:
        """The symbol as it was when this run first looked."""
        if symbol not in self._specs:
            self._specs[symbol] = self._connector.spec(symbol)
        return self._specs[symbol]
