"""What we hold, what the day has cost, and whether we may trade: derived from the record and the terminal at any time."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from Backtest.decisions import Account, WaitingOrder
from Live.audit_logger import AuditLogger
from Live.config import LiveConfig
from Live.errors import NeedsPerson
from Live.model import (
    UNSETTLED,
    AccountState,
    ClientOrderId,
    Deal,
    Intent,
    Kind,
    Order,
    Position,
    Quote,
    Side,
    Slot,
    Status,
    SymbolSpec,
    Ticket,
)
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.connector import DAY, WINDOW
from Live.net_account import NetAccount
from Live.net_book import Booked, level_conflict, loosens
from Live.risk import (
    Denial,
    Facts,
    MaxDailyLoss,
    MaxDailyTrades,
    MaxOrdersPerMinute,
    MaxPositions,
    MaxSpread,
    NetExplained,
    NoStrangers,
    NothingUnsettled,
    SameLevels,
    TradingSwitchedOn,
    first_denial,
)
from Live.trade_book import BY_HAND, EXPERT, KILL_SWITCH, Exit, TradeBook, account_of, open_trade, waiting_order

log = logging.getLogger("LiveTrader")

WAITING = (Status.PLACED, Status.PARTIALLY_FILLED)
LIMIT_TYPES = (2, 3)  # ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_LIMIT
KEY_LENGTH = 13  # characters of an order's key in a comment


class StateManager:
    """Our positions, deals and limits on one account. Only what carries our magic number is ours."""

    def __init__(self, config: LiveConfig, connector: MT5Connector, record: AuditLogger, slot: Slot, *, look_back: int = WINDOW) -> None:
        self._look_back = look_back  # seconds before the last look, in which a deal may have appeared since
        self._connector, self._record, self._slot = connector, record, slot
        self.positions: tuple[Position, ...] = ()
        self._strangers: tuple[Position, ...] = ()  # our magic number, but not opened by this record
        self._others: tuple[Position, ...] = ()
        self._switched_off: tuple[str, ...] = ()
        self._kinds: dict[int, int] = {}  # ORDER_TYPE_* of active orders, by ticket
        self._book = TradeBook()
        self._net = NetAccount(record, slot, config.symbols) if connector.netting else None
        self._tags: dict[int, object] = {}
        self._rules = (
            TradingSwitchedOn(),
            NothingUnsettled(),
            NoStrangers(),
            NetExplained(),
            SameLevels(),
            MaxDailyTrades(config.max_daily_trades),
            MaxDailyLoss(config.max_daily_loss_pct),
            MaxPositions(config.max_positions),
            MaxSpread(config.max_spread_points),
            MaxOrdersPerMinute(config.max_orders_per_minute),
        )
        self._specs: dict[str, SymbolSpec] = {}
        for deal in record.deals(slot):
            self._book.add(deal, self._spec(deal.symbol), self._tag_of(deal.position_id))
            if self._net is not None:
                self._net.book.add(deal)
        self._looked_until = 0  # server seconds; 0: the whole history
        self._day: tuple[str, float] | None = None

    # what we hold

    def sync(self) -> bool:
        """Bring positions, deals and trades up to date with the terminal; True when a deal is new. Raises Unreachable."""
        active = self._connector.active_orders()  # before the positions: an order that fills in between is seen twice, not never
        held = self._connector.all_positions()
        deals = self._connector.deals_since(max(0, self._looked_until - self._look_back))
        fresh = self._fresh(deals)
        rates = self._rates({deal.symbol for deal in fresh} | {position.symbol for position in self.positions})
        self._kinds = {order.ticket: order.kind for order in active}
        self._note_switches()
        if fresh:
            with self._record.transaction(durable=True):
                for deal in fresh:
                    self._take_in(deal, rates)
                self._see(held, rates)
                self.publish_positions()
        else:
            self._see(held, rates)
        self._book.note_levels(self.positions)
        self._looked_until = self._connector.server_now()
        return bool(fresh)

    @property
    def waiting(self) -> tuple[Order, ...]:
        """Our entries that wait for their price, oldest first: what the record knows of them, as far as the terminal showed them."""
        return tuple(order for order in self._record.orders_with(WAITING, self._slot) if self._waits(order))

    def publish_positions(self) -> None:
        """Put what we hold where readers of the record see it."""
        # a netting account's trades are told apart by their own tickets
        shown = (replace(held, ticket=Ticket(held.identifier)) for held in self.positions) if self._net else self.positions
        self._record.put_positions(self._slot, shown)

    def check_ownership(self) -> None:
        """Raise NeedsPerson when a position carries our magic number that this record has never opened."""
        if self._strangers:
            tickets = ", ".join(str(held.ticket) for held in self._strangers)
            by_hand = "use the record that did, close it by hand, or trade with another MAGIC_NUMBER"
            remedy = (
                "use the record that did, or start a new account with --fresh"
                if self._connector.simulated or self._connector.paper
                else by_hand
            )
            raise NeedsPerson(
                f"position {tickets} of account {self._slot.login} carries our MAGIC_NUMBER={self._slot.magic}, but this record did not "
                f"open it: {remedy}"
            )

    def position(self, ticket: int | None) -> Position | None:
        """One of our open positions, by its ticket or identifier."""
        # trades of a netting account have the net's ticket in common
        return next((held for held in self.positions if ticket == held.identifier or (ticket == held.ticket and self._net is None)), None)

    def loosens(self, intent: Intent) -> str:
        """Why new levels may not be set, on an account where several trades have one stop loss; "" when they may."""
        return "" if self._net is None else loosens(intent, self.positions)

    def open_lots(self, symbol: str) -> float:
        """Our lots on a symbol, both sides, with those that wait for their price."""
        wanted = sum(order.volume or 0.0 for order in self.waiting if order.intent.symbol == symbol)
        return sum(held.lots for held in self.positions if held.symbol == symbol) + wanted

    def shown(self, symbol: str, *, before: int | None = None) -> Account:
        """The account as the strategy is shown it: our trades on this symbol, the rest of the equity as cash in its quote currency.

        With `before` (server seconds), as it was just then: when a bar is seen to be closed, the next one's first
        tick may have hit a stop already, but the strategy decides on the bar that closed, as in the backtest.
        """
        spec, account = self._spec(symbol), self._connector.account()
        ours = sorted((held for held in self.positions if held.symbol == symbol), key=lambda held: self._book.opened_by(held.identifier))
        cash = account.balance + (account.credit + self._worth_beside(symbol, ours))
        trades = [open_trade(held, spec, self._tag_of(held.identifier)) for held in ours]
        closed = self._book.closed(symbol)
        if before is not None:
            cash -= sum(made.deal.money for made in self._book.late(symbol, before))
            trades, closed = self._book.as_of(trades, symbol, spec, before)
        return Account(cash / self._rate(spec, account), tuple(trades), closed, tuple(self._orders_shown(symbol, before)))

    def _worth_beside(self, symbol: str, ours: Sequence[Position]) -> float:
        """What is in the equity beside the balance and the profits of these trades: account currency."""
        if self._net is None:
            elsewhere = [*self._others, *(held for held in self.positions if held.symbol != symbol)]
            return sum(held.profit + held.swap for held in elsewhere) + sum(held.swap for held in ours)
        return self._net.worth_beside(ours, self._spec(symbol), self._rates({symbol})[symbol])

    def shown_before(self, symbol: str, timeframe: str, since: int) -> dict[pd.Timestamp, Account]:
        """The accounts that the strategy was shown on the bars from `since` on (server seconds), as they are on record."""
        found, closed = self._record.accounts_shown(self._slot, symbol, timeframe, since), self._book.closed(symbol)
        return {pd.Timestamp(epoch, unit="s"): account_of(facts, closed) for epoch, facts in found.items()}

    def _orders_shown(self, symbol: str, before: int | None) -> Iterator[WaitingOrder]:
        """Our entries that wait; with `before` also those that have been filled since then."""
        waiting = [order for order in self.waiting if order.intent.symbol == symbol]
        if before is not None:
            filled = (self._record.order_by_ticket(self._slot, ticket) for ticket in self._book.late_orders(symbol, before))
            waiting += [order for order in filled if order is not None and order.intent.kind is Kind.PENDING]
            waiting.sort(key=lambda order: order.ticket or 0)
        for order in waiting:
            activated = self._kinds.get(order.ticket or 0) in LIMIT_TYPES and order.intent.stop is not None
            yield waiting_order(order, pd.Timestamp(order.intent.bar.epoch, unit="s"), activated=activated)

    def _waits(self, order: Order) -> bool:
        return order.intent.kind is Kind.PENDING and order.ticket in self._kinds

    # may we trade?

    def open_day(self, account: AccountState) -> None:
        """Note the broker's day and, on a new one, the equity that it opens with: what was last seen on the day before, if anything."""
        date = self._today()
        if self._day is None:
            saved = self._record.state(f"day {self._slot}")
            self._day = (saved["date"], saved["opening_equity"]) if saved else None
        if self._day is None or self._day[0] != date:
            start = self._day_start()
            before = self._record.last_equity(self._slot, start - timedelta(days=1), start)
            self._day = (date, account.equity if before is None else before)
            self._record.set_state(**{f"day {self._slot}": {"date": date, "opening_equity": self._day[1]}})
        self._record.set_state(day={"date": date, "opening_equity": self._day[1]})

    def can_trade(self, symbol: str, quote: Quote, *, asking: ClientOrderId | None = None) -> Denial | None:
        """Whether an entry may be sent on this symbol now; the denial says which limit is in the way.

        `asking` is the entry itself, which an attempt before this one may have put among those that are being sent.
        """
        return first_denial(self._rules, self._facts(symbol, quote, asking))

    def _facts(self, symbol: str, quote: Quote, asking: ClientOrderId | None) -> Facts:
        account = self._connector.account()
        now = self._connector.clock.now()
        unsettled = [order.intent.order_id for order in self._record.orders_with(UNSETTLED, self._slot) if order.intent.symbol == symbol]
        again = asking in unsettled
        return Facts(
            entries_today=self._record.count_entries(self._slot, self._day_start()) - again,
            equity=account.equity,
            opening_equity=self._day[1] if self._day else account.equity,
            open_positions=len(self.positions) + sum(order.intent.order_id != asking for order in self.waiting),
            spread_points=round((quote.ask - quote.bid) / self._spec(symbol).point, 1),
            sends_last_minute=self._record.count_sends(self._slot, now - timedelta(minutes=1)),
            unsettled_orders=len(unsettled) - again,
            strangers=len(self._strangers),
            switched_off=self._connector.switched_off(),
            unexplained_lots=0.0 if self._net is None else self._net.unexplained(symbol),
            level_conflict=self._level_conflict(symbol, asking),
        )

    def _today(self) -> str:
        return datetime.fromtimestamp(self._connector.server_now(), UTC).date().isoformat()

    def _day_start(self) -> datetime:
        now = self._connector.server_now()
        return self._connector.utc(now - now % DAY)

    # deals

    def _fresh(self, deals: Iterable[Deal]) -> list[Deal]:
        """Deals of ours that are new. Closing deals may carry a foreign magic or comment: they are ours when their position's
        opening was, which may be among the new ones."""
        fresh: dict[int, Deal] = {}
        opened: set[int] = set()
        unsure: set[str] = set()
        for deal in deals:
            known = deal.position_id in self._book or deal.position_id in opened
            if not (self._net.book if self._net else self._book).knows(deal.ticket) and (
                known or self._opened(deal.magic, deal.order, deal.comment)
            ):
                if deal.symbol in unsure or self._may_be_ours(deal):
                    unsure.add(deal.symbol)  # those after it are booked after it
                    continue
                fresh[deal.ticket] = deal
                opened.add(deal.position_id)
        return list(fresh.values())

    def _may_be_ours(self, deal: Deal) -> bool:
        """On a netting account: whether a program's deal that names no order of ours may be one whose outcome is still unknown."""
        if self._net is None or deal.reason != EXPERT or self._order_of(deal.order, deal.comment) is not None:
            return False
        return any(order.intent.symbol == deal.symbol for order in self._record.orders_with(UNSETTLED, self._slot))

    def _opened(self, magic: int, ticket: int, comment: str) -> bool:
        """Whether an order of this record opened it; the magic number alone may be that of an older record, or of a twin.

        The ticket is proof enough: a server may forget the magic number.
        """
        if ticket in self._book or self._record.order_by_ticket(self._slot, ticket) is not None:
            return True
        return magic == self._slot.magic and self._record.order_by_key(comment[:KEY_LENGTH]) is not None

    def _order_of(self, ticket: int, comment: str) -> Order | None:
        return self._record.order_by_ticket(self._slot, ticket) or self._record.order_by_key(comment[:KEY_LENGTH])

    def _see(self, held: Sequence[Position], rates: Mapping[str, float]) -> None:
        """Take in which positions there are."""
        if self._net is None:
            self.positions = tuple(position for position in held if self._opened(position.magic, position.identifier, position.comment))
            self._others = tuple(position for position in held if position not in self.positions)
        else:
            self.positions = self._net.see(held, self._spec, rates)
            self._others = tuple(net for net in held if not self._net.book.trades(net.symbol))
        self._note_strangers()

    def _level_conflict(self, symbol: str, asking: ClientOrderId | None) -> str:
        order = self._record.order(asking) if asking is not None and self._net is not None else None
        if order is None:
            return ""
        trades = [held for held in self.positions if held.symbol == symbol]
        waiting = [each for each in self.waiting if each.intent.symbol == symbol]
        return level_conflict(order.intent, trades, waiting, self._spec(symbol))

    def _rates(self, symbols: Iterable[str]) -> dict[str, float]:
        """What one unit of each symbol's quote currency is worth; empty where it is not needed."""
        if self._net is None or not symbols:
            return {}
        account = self._connector.account()
        return {symbol: self._rate(self._spec(symbol), account) for symbol in symbols}

    def _note_strangers(self) -> None:
        strangers = tuple(held for held in self._others if held.magic == self._slot.magic)
        for held in strangers:
            if held.ticket not in {known.ticket for known in self._strangers}:
                who = f"position {held.ticket} on {held.symbol}"
                text = f"{who} carries our MAGIC_NUMBER, but this record did not open it: no entries while it is open"
                self._record.event("STRANGER", text, severity="CRITICAL", details={"ticket": held.ticket, "lots": held.lots})
        self._strangers = strangers

    def _note_switches(self) -> None:
        found = self._connector.switched_off()
        if found and found != self._switched_off:
            text = f"{'; '.join(found)}: no entries until that is changed, exits are tried"
            self._record.event("TRADING_OFF", text, severity="CRITICAL")
        elif self._switched_off and not found:
            self._record.event("TRADING_ON", "programs may trade again")
        self._switched_off = found

    def _take_in(self, deal: Deal, rates: Mapping[str, float]) -> None:
        order = self._order_of(deal.order, deal.comment)
        parts = self._parts(deal, order, rates)
        for part in parts:
            self._record.add_fill(part, self._slot, order.intent.order_id if order else None)
        if order is not None and order.status in (Status.FAILED, Status.ABSENT):
            text = (
                f"order {order.intent.order_id} was {order.status.value} and has been filled all the same by deal {deal.ticket}; it is kept"
            )
            self._record.move(
                order.intent.order_id, Status.LATE_FILLED, payload={"deal": deal.ticket}, message=text, mt5_order_id=deal.order
            )
            self._record.event("LATE_FILL", text, severity="CRITICAL")
        for part in parts:
            made = self._book.add(part, self._spec(part.symbol), self._tag_of(part.position_id))
            if made is not None:
                flattened = order is not None and order.intent.kind is Kind.FLATTEN
                by_others = self._net is not None and order is None and deal.reason == EXPERT
                self._add_trade(made, KILL_SWITCH if flattened else BY_HAND if by_others else made.reason)

    def _parts(self, deal: Deal, order: Order | None, rates: Mapping[str, float]) -> Sequence[Deal]:
        """The deal, or on a netting account what it did to each of our trades."""
        if self._net is None:
            return (deal,)
        # a stop's deal may carry the comment of the order that opened the position: it is on the other side
        ours = order is not None and order.intent.side is deal.side
        closes = order.intent.position if order is not None and ours else None
        return self._net.book.book(deal, Booked(ours, closes, rates[deal.symbol], self._spec(deal.symbol)))

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
                "size": self._spec(deal.symbol).units(deal.lots) * made.side.sign,
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
        log.info(
            "trade closed",
            extra={"extra_data": {"symbol": deal.symbol, "side": made.side, "volume": deal.lots, "profit": deal.profit, "reason": reason}},
        )

    def _tag_of(self, position_id: int) -> object:
        if position_id not in self._tags:
            order = self._record.order_by_ticket(self._slot, position_id)
            if order is None:
                return None
            self._tags[position_id] = order.intent.tag
        return self._tags[position_id]

    def _spec(self, symbol: str) -> SymbolSpec:
        if symbol not in self._specs:
            self._specs[symbol] = self._connector.spec(symbol)
        return self._specs[symbol]

    def _rate(self, spec: SymbolSpec, account: AccountState) -> float:
        """What one unit of the symbol's quote currency is worth in the account's."""
        if spec.profit_currency == account.currency:
            return 1.0
        price = self._connector.quote(spec.name).bid
        below = 0.99 * price  # a profit in the symbol's base currency is converted at the price of the exit
        made = self._connector.money_of(spec.name, Side.BUY, 1.0, entry=below, exit_price=price)
        return made / (spec.contract_size * (price - below))
