"""What we hold, what the day has cost, and whether we may trade: derived from the record and the terminal at any time."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from Backtest.decisions import Account, WaitingOrder
from Live.audit_logger import AuditLogger
from Live.config import LiveConfig
from Live.errors import NeedsPerson, Unreachable
from Live.holds import Holds
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
from Live.mt5_connector.connector import WINDOW
from Live.mt5_connector.outage import FLAP_WINDOW, LOST, unsteady_seconds
from Live.mt5_connector.shown import ShownOrder
from Live.net_book import level_conflict, loosens
from Live.pause import PauseFile
from Live.risk import Denial, Facts, Measured, first_denial, measured
from Live.state_manager.by_broker import ByBroker
from Live.state_manager.cover import Bare, Cover
from Live.state_manager.day import BrokersDay
from Live.state_manager.deals import GIVEN_UP, Deals
from Live.state_manager.doubts import LOOKS, SECONDS_BETWEEN_LOOKS, Doubts
from Live.state_manager.rules import rules_of
from Live.state_manager.strangers import Strangers
from Live.trade_book import account_of, open_trade, waiting_order

log = logging.getLogger("LiveTrader")

LOTS_DIGITS = 8
STOP_OUT = 6  # DEAL_REASON_SO
WAITING = (Status.PLACED, Status.PARTIALLY_FILLED)
LIMIT_TYPES = (2, 3)  # ORDER_TYPE_BUY_LIMIT, ORDER_TYPE_SELL_LIMIT


class StateManager:
    """Our positions, deals and limits on one account. Only what carries our magic number is ours."""

    def __init__(
        self,
        config: LiveConfig,
        connector: MT5Connector,
        record: AuditLogger,
        slot: Slot,
        *,
        look_back: int = WINDOW,
    ) -> None:
        self._look_back = look_back  # seconds before the last look, in which a deal may have appeared since
        self._connector, self._record, self._slot = connector, record, slot
        self.positions: tuple[Position, ...] = ()
        self._others: tuple[Position, ...] = ()
        self._switched_off: tuple[str, ...] = ()
        self._pause, self._was_paused = PauseFile.of(config), False
        self._kinds: dict[int, int] = {}  # ORDER_TYPE_* of active orders, by ticket
        self._ours_waiting: tuple[ShownOrder, ...] = ()  # those of them with our magic number
        self._deals = Deals(connector, record, slot, config.symbols)
        self.strangers = Strangers(record, slot, self._deals)
        self._book, self._net = self._deals.book, self._deals.net
        self._day = BrokersDay(connector, record, slot)
        self.holds = Holds(record, slot, connector.clock)
        self._cover, self._bare = Cover(record, slot, self._deals), list[Bare]()
        self._by_broker = ByBroker(connector, record, self._deals, self.holds)
        self._doubts = Doubts(connector, self._deals, self.holds)
        self._rules = rules_of(config)
        # on an account of our own nothing is in flight once a process has died
        own = connector.simulated or connector.paper
        self._settle = 0.0 if own else max(connector.spec(symbol).settle_seconds for symbol in config.symbols)
        self._quarantined_until = connector.clock.now() + timedelta(seconds=self._settle)
        self._max_lots = config.max_position_size
        self.measured: tuple[Measured, ...] = ()  # the limits, when an entry was last thought of
        self._at_stop: dict[tuple[int, float, float], float] = {}  # by ticket, lots and stop loss
        # server seconds, 0: the whole history. A look has seen all until then when a later one, made when nothing could be on its
        # way any more, has seen no more: a list that is late over a weekend would hide Friday's last deal from all that follow
        self._seen_until = self._looked_at = 0
        self.open_day, self.day_facts = self._day.open, self._day.facts

    # what we hold

    def sync(self) -> bool:
        """Bring positions, deals and trades up to date with the terminal; True when a deal is new. Raises Unreachable."""
        active, held, deals = self._look()
        for _ in range(LOOKS - 1):
            if not self._doubts.about(held, self._deals.fresh(deals)):
                break
            self._connector.clock.sleep(SECONDS_BETWEEN_LOOKS)
            active, held, deals = self._look()
        fresh = self._deals.fresh(deals)
        self._doubts.judge(self._doubts.about(held, fresh))
        rates = self._rates({deal.symbol for deal in fresh} | {position.symbol for position in self.positions})
        self._kinds = {order.ticket: order.kind for order in active}
        self._ours_waiting = tuple(order for order in active if order.magic == self._slot.magic)
        self._note_switches()
        self._note_pause()
        if fresh:
            with self._record.transaction(durable=True):
                for deal in fresh:
                    self._deals.take_in(deal, rates)
                self._see(held, rates)
                self.publish_positions()
        else:
            self._see(held, rates)
        self.strangers.see(self._others, active, deals)
        self._by_broker.note(fresh, max(0, self._seen_until - self._look_back))
        self._bare += self._cover.see(self.positions)
        self._book.note_levels(self.positions)
        self._note_look()
        return bool(fresh)

    def take_bare(self) -> list[Bare]:
        """The positions that have shown up without the stop loss that they were to have, each once."""
        bare, self._bare = self._bare, []
        return bare

    def _look(self) -> tuple[tuple[ShownOrder, ...], tuple[Position, ...], tuple[Deal, ...]]:
        active = self._connector.active_orders()  # before the positions: an order that fills in between is seen twice, not never
        held = self._connector.all_positions()
        deals = self._connector.deals_since(max(0, self._seen_until - self._look_back))
        self._connector.guard()  # what was shown is our account's
        return active, held, deals

    def _note_look(self) -> None:
        now = self._connector.server_now()
        if self._deals.lacks_openings:
            self._seen_until = self._looked_at = 0
        elif now - self._looked_at >= self._settle:
            self._seen_until, self._looked_at = self._looked_at, now

    @property
    def waiting(self) -> tuple[Order, ...]:
        """Our entries that wait for their price, oldest first: what the record knows of them, as far as the terminal showed them."""
        return tuple(order for order in self._record.orders_with(WAITING, self._slot) if self._waits(order))

    @property
    def active(self) -> tuple[Order, ...]:
        """Our orders that may yet be filled: those that wait, and what is left of one that was filled in part."""
        return tuple(order for order in self._record.orders_with(WAITING, self._slot) if order.ticket in self._kinds)

    @property
    def late(self) -> tuple[tuple[int, Order], ...]:
        """Orders that wait at the broker although they were given up, with their tickets there."""
        found = ((shown.ticket, self._deals.order_of(shown.ticket, shown.comment)) for shown in self._ours_waiting)
        return tuple((ticket, order) for ticket, order in found if order is not None and order.status in GIVEN_UP)

    def publish_positions(self) -> None:
        """Put what we hold where readers of the record see it."""
        # a netting account's trades are told apart by their own tickets
        shown = [replace(held, ticket=Ticket(held.identifier)) for held in self.positions] if self._net else list(self.positions)
        self._record.put_positions(self._slot, {held: self._profit_at_stop(held) for held in shown})
        open_now = {held.ticket for held in shown}
        self._at_stop = {key: made for key, made in self._at_stop.items() if key[0] in open_now}

    def limits(self) -> list[dict[str, object]]:
        """How near each limit is that has a number of its own in the settings, without the entry that was thought of."""
        near = [each for each in self.measured if each.rule.startswith("MAX_") and "on this symbol" not in each.rule]
        found: list[dict[str, object]] = [
            {"rule": each.rule.split(",")[0], "measured": each.value - each.itself, "limit": each.limit} for each in near
        ]
        held = sorted({held.symbol for held in self.positions})
        lots = ({"symbol": symbol, "measured": self.open_lots(symbol), "limit": self._max_lots} for symbol in held)
        found += [{"rule": "MAX_POSITION_SIZE", **each} for each in lots]
        return found

    def _profit_at_stop(self, held: Position) -> float | None:
        """What a position makes where its stop loss is hit. Asked for once for each level: a question takes its time."""
        if held.sl is None:
            return None
        key = (held.ticket, held.lots, held.sl)
        if key not in self._at_stop:
            try:
                self._at_stop[key] = self._connector.money_of(held.symbol, held.side, held.lots, entry=held.price_open, exit_price=held.sl)
            except Unreachable:
                return None  # it is asked again
        return self._at_stop[key]

    def check_ownership(self) -> None:
        """Raise NeedsPerson when a position carries our magic number that this record has never opened."""
        if strange := self.strangers.found.positions:
            tickets = ", ".join(map(str, strange))
            own = self._connector.simulated or self._connector.paper
            another = "start a new account with --fresh" if own else "close it by hand"
            first = strange[0]
            remedy = (
                f"use the record that did, {another}, or settle it here: python -m Live reconcile shows both sides, "
                f"reconcile adopt {first} makes it ours, reconcile release {first} leaves it alone"
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

    def open_lots(self, symbol: str, *, asking: ClientOrderId | None = None) -> float:
        """Our lots on a symbol, both sides, with those that wait or may have been filled, but for the order that asks."""
        held = sum(held.lots for held in self.positions if held.symbol == symbol)
        return held + sum(left for order, left in self._may_come(asking) if order.intent.symbol == symbol)

    def _may_come(self, asking: ClientOrderId | None = None) -> list[tuple[Order, float]]:
        """Our entries that may yet add to what is open, at their worst: each with the lots that are not in a position of ours yet."""
        sent = self._record.orders_with((*UNSETTLED, *WAITING), self._slot)
        entries = [order for order in sent if order.intent.is_entry and order.intent.order_id != asking]
        filled = {held.identifier: held.lots for held in self.positions}
        left = [(order, round((order.volume or 0.0) - filled.get(order.ticket or 0, 0.0), LOTS_DIGITS)) for order in entries]
        return [(order, lots) for order, lots in left if lots > 0]

    def shown(self, symbol: str, *, before: int | None = None) -> Account:
        """The account as the strategy is shown it: our trades on this symbol, the rest of the equity as cash in its quote currency.

        With `before` (server seconds), as it was just then: when a bar is seen to be closed, the next one's first
        tick may have hit a stop already, but the strategy decides on the bar that closed, as in the backtest.
        """
        spec, account = self._deals.spec(symbol), self._connector.account()
        ours = sorted((held for held in self.positions if held.symbol == symbol), key=lambda held: self._book.opened_by(held.identifier))
        cash = account.balance + (account.credit + self._worth_beside(symbol, ours))
        trades = [open_trade(held, spec, self._deals.tag_of(held.identifier)) for held in ours]
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
        return self._net.worth_beside(ours, self._deals.spec(symbol), self._rates({symbol})[symbol])

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

    def quarantine_left(self) -> float:
        """Seconds in which entries wait, because a run before this one may still have an order on its way; 0.0 when it is over."""
        return max(0.0, (self._quarantined_until - self._connector.clock.now()).total_seconds())

    def unsteady_left(self) -> float:
        """Seconds in which entries wait, because the terminal was lost again and again; 0.0 while the line holds."""
        now = self._connector.clock.now()
        return unsteady_seconds(self._record.times_of(LOST, now - FLAP_WINDOW), now)

    def entries_wait(self) -> bool:
        """Whether an entry is better sent later, if it is still time then."""
        return self.quarantine_left() > 0 or self.unsteady_left() > 0

    def can_trade(self, symbol: str, quote: Quote, *, asking: ClientOrderId | None = None, lots: float = 0.0) -> Denial | None:
        """Whether an entry of so many lots may be sent on this symbol now; the denial says which limit is in the way.

        `asking` is the entry itself, which an attempt before this one may have put among those that are being sent.
        """
        self.measured = measured(self._rules, self._facts(symbol, quote, asking, lots))
        return first_denial(self.measured)

    def _facts(self, symbol: str, quote: Quote, asking: ClientOrderId | None, lots: float) -> Facts:
        account = self._connector.account()
        now = self._connector.clock.now()
        unsettled = [order.intent.order_id for order in self._record.orders_with(UNSETTLED, self._slot) if order.intent.symbol == symbol]
        closed_side = self._by_broker.closed_side(symbol, None if asking is None else self._record.order(asking))  # may put a hold
        again = asking in unsettled
        held = {position.identifier for position in self.positions}
        return Facts(
            entries_today=self._record.count_entries(self._slot, self._day.start()) - again,
            equity=account.equity,
            opening_equity=self._day.opening_equity(account),
            open_positions=len(self.positions) + sum(order.ticket not in held for order, _ in self._may_come(asking)),
            spread_points=round((quote.ask - quote.bid) / self._deals.spec(symbol).point, 1),
            sends_last_minute=self._record.count_sends(self._slot, now - timedelta(minutes=1)),
            unsettled_orders=len(unsettled) - again,
            strangers=len(self.strangers.found),
            switched_off=(*self._connector.switched_off(), *self._paused()),
            unexplained_lots=0.0 if self._net is None else self._net.unexplained(symbol),
            level_conflict=self._level_conflict(symbol, asking),
            open_lots=self.open_lots(symbol, asking=asking),
            lots=lots,
            holds=tuple(hold.sentence for hold in self.holds.on(symbol)),
            quarantine_seconds=self.quarantine_left(),
            money_moved=self._day.money_moved(),
            failures_in_a_row=self._record.failures_in_a_row(self._slot, self._day.start()),
            stop_outs_today=self._record.count_exits(self._slot, STOP_OUT, self._day.start()),
            quote_age_seconds=self._connector.quote_age(symbol, quote),
            closed_side=closed_side,
            unsteady_seconds=self.unsteady_left(),
        )

    def _see(self, held: Sequence[Position], rates: Mapping[str, float]) -> None:
        """Take in which positions there are."""
        if self._net is None:
            ours = [self._deals.opened(position.magic, position.identifier, position.comment) for position in held]
            self.positions = tuple(position for position, is_ours in zip(held, ours, strict=True) if is_ours)
            self._others = tuple(position for position, is_ours in zip(held, ours, strict=True) if not is_ours)
            for position in self.positions:
                self._deals.take_late(position)
        else:
            self.positions = self._net.see(held, self._deals.spec, rates)
            self._others = tuple(net for net in held if not self._net.book.trades(net.symbol))
        self._note_late_fills()

    def _level_conflict(self, symbol: str, asking: ClientOrderId | None) -> str:
        order = self._record.order(asking) if asking is not None and self._net is not None else None
        if order is None:
            return ""
        trades = [held for held in self.positions if held.symbol == symbol]
        waiting = [each for each in self.waiting if each.intent.symbol == symbol]
        return level_conflict(order.intent, trades, waiting, self._deals.spec(symbol))

    def _rates(self, symbols: Iterable[str]) -> dict[str, float]:
        """What one unit of each symbol's quote currency is worth; empty where it is not needed."""
        if self._net is None or not symbols:
            return {}
        account = self._connector.account()
        return {symbol: self._rate(self._deals.spec(symbol), account) for symbol in symbols}

    def _note_late_fills(self) -> None:
        """No entries on a symbol while something is open there that we had given up."""
        held = {position.identifier for position in self.positions}
        late = self._record.orders_with((Status.LATE_FILLED,), self._slot)
        for order in late:
            name = f"late fill {order.ticket}"
            if order.ticket in held:
                text = f"{order.intent.symbol}: position {order.ticket} was opened by an order that we had given up; close it or release it"
                self.holds.put(name, order.intent.symbol, text, ticket=order.ticket)
            else:
                self.holds.lift(name, "its position is closed")

    def _note_switches(self) -> None:
        found = self._connector.switched_off()
        if found and found != self._switched_off:
            text = f"{'; '.join(found)}: no entries until that is changed, exits are tried"
            self._record.event("TRADING_OFF", text, severity="CRITICAL")
        elif self._switched_off and not found:
            self._record.event("TRADING_ON", "programs may trade again")
        self._switched_off = found

    def _paused(self) -> tuple[str, ...]:
        return (f"{self._pause.path.name} is there",) if self._pause.is_on() else ()

    def _note_pause(self) -> None:
        paused = self._pause.is_on()
        if paused and not self._was_paused:
            self._record.event("PAUSED", f"{self._pause.path.name} is there: no entries until it is gone; exits go on", severity="WARNING")
        elif self._was_paused and not paused:
            self._record.event("UNPAUSED", f"{self._pause.path.name} is gone: entries are sent again")
        self._was_paused = paused

    def _rate(self, spec: SymbolSpec, account: AccountState) -> float:
        """What one unit of the symbol's quote currency is worth in the account's."""
        if spec.profit_currency == account.currency:
            return 1.0
        price = self._connector.quote(spec.name).bid
        below = 0.99 * price  # a profit in the symbol's base currency is converted at the price of the exit
        made = self._connector.money_of(spec.name, Side.BUY, 1.0, entry=below, exit_price=price)
        return made / (spec.contract_size * (price - below))
