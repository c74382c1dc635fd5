"""From intents on record to requests: the position to close, the lots to buy, the limits, and whether it is still time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from Live.backtesting_bridge import opened_by
from Live.desk import Desk
from Live.model import Intent, Kind, Order, Quote, Side, Status, SymbolSpec, Ticket, client_order_id
from Live.order_requests import Label, Levels, Market, close_request, entry_request, protect_request
from Live.risk import capped
from Live.sizing import Sizing, TooSmall, check_affordable, lots_of_units, risk_lots, strategy_units

# Of a close: it is done, or there was nothing left to close.
CLOSED_WELL = frozenset({Status.FILLED, Status.CANCELLED})
RISK_SLACK = 0.1  # by how much the risk of an entry may grow between its sizing and its send
AGAIN = "+"  # behind the leg of an order that is decided a second time


class IntentCarrier:
    """Carries out the intents of one symbol, in the order of their decisions."""

    def __init__(self, symbol: str, desk: Desk) -> None:
        self._symbol, self._desk = symbol, desk
        config = desk.config
        self._sizing = Sizing(config.sizing, config.default_risk_pct / 100, config.fixed_lots, desk.bridge.backtest)
        # the executor puts the order's own key in place of this comment
        self._label = Label(desk.slot.magic, "live", config.deviation_points)

    def carry_out(self, intents: Sequence[Intent], earlier: Sequence[Order] = ()) -> None:
        """Send one bar's orders; an entry behind a close that failed is not sent, also where an `earlier` run tried that close."""
        blocked = next((_blocking(order.status) for order in earlier if self._failed_to_close(order)), None)
        for intent, reducing in _in_groups(intents):
            if intent.kind is Kind.ENTRY:
                done = [order for order in earlier if order.intent.leg.startswith(f"{intent.leg}.")]
                blocked = self._enter(intent, reducing, blocked, done) or blocked
            elif intent.kind is Kind.SLTP:
                self._protect(intent)
            else:
                blocked = _blocking(self._close(intent, intent.size)) or blocked

    def reclose(self, order: Order) -> None:
        """Decide a full close, or levels, again whose order is proved not to have happened, if the position is still there.

        Closing all of a position by ticket cannot open anything: the server refuses a second one. Levels are absolute: setting
        them twice is setting them once, unless others were decided since. A part is not closed again: twice would be too much.
        """
        old, record = order.intent, self._desk.record
        position = self._desk.state.position(old.position)
        if position is None or old.kind not in (Kind.EXIT, Kind.SLTP):
            return
        # an entry may have taken a part only, of a trade that the intent names as a whole
        wanted = (order.volume or 0.0) >= position.lots if old.kind is Kind.EXIT else record.is_newest(old)
        leg = f"{old.leg}{AGAIN}"
        again = replace(old, leg=leg, order_id=client_order_id(old.bar, old.kind, leg))
        if wanted and record.order(again.order_id) is None:
            record.add_intent(again)
            self._close(again, again.size) if old.kind is Kind.EXIT else self._protect(again)

    def _failed_to_close(self, order: Order) -> bool:
        closes = order.intent.kind in (Kind.EXIT, Kind.PARTIAL) and order.status is not Status.PENDING
        return closes and order.status not in CLOSED_WELL and self._desk.state.position(order.intent.position) is not None

    def too_old(self, follower: int) -> str | None:
        """Why a decision is not acted upon any more; its age counts from the open of the bar that followed (server seconds)."""
        age, allowed = self._desk.connector.server_now() - follower, self._desk.max_signal_age
        return f"expired: {age:.0f} s old, MAX_SIGNAL_AGE_SECONDS allows {allowed:.0f}" if age > allowed else None

    # closes and stops

    def _close(self, intent: Intent, units: float | None) -> Status:
        """Close so many units of the intent's position, or all of it."""
        desk = self._desk
        position = desk.state.position(intent.position)
        if position is None:
            return self._end(intent, Status.CANCELLED, "the position is closed already")
        market = self._market()
        lots = position.lots
        if units is not None and units < market.spec.units(lots):
            try:
                lots = lots_of_units(units, market.spec)
            except TooSmall as reason:
                return self._end(intent, Status.DENIED, str(reason))
        return self._send(intent, close_request(position, lots, market, self._label))

    def _protect(self, intent: Intent) -> Status:
        position = self._desk.state.position(intent.position)
        if position is None:
            return self._end(intent, Status.CANCELLED, "the position is closed already")
        return self._send(intent, protect_request(position, Levels(intent.sl, intent.tp), self._market().spec))

    # entries

    def _enter(self, intent: Intent, reducing: Sequence[Intent], blocked: str | None, done: Sequence[Order]) -> str | None:
        """Close the opposite trades that the entry takes from, then open what is left of it. Returns what blocks later entries.

        `done` are those that an earlier run has closed for it.
        """
        refusal = (Status.EXPIRED, late) if (late := self._too_late(intent)) else (Status.DENIED, blocked) if blocked else None
        if refusal is not None:
            for each in (*reducing, intent):
                self._end(each, *refusal)
            return blocked
        try:
            market = self._market()
            left = self._units(intent, market.quote) - sum(market.spec.units(order.executed_volume or 0.0) for order in done)
        except TooSmall as reason:
            for each in (*reducing, intent):
                self._end(each, Status.DENIED, str(reason))
            return None
        for each in reducing:
            if left <= 0:
                self._end(each, Status.CANCELLED, "not needed: the order was smaller than the trades before this one")
                continue
            ticket = self._taken_from(each)
            position = self._desk.state.position(ticket)
            held = 0.0 if position is None else market.spec.units(position.lots)  # now: decisions before this one may have taken from it
            blocked = blocked or _blocking(self._close(replace(each, position=ticket), min(left, held)))
            left -= held
        self._open(intent, max(0.0, left), blocked)
        return blocked

    def _taken_from(self, intent: Intent) -> Ticket | None:
        """The position that an entry of the opposite side takes from: a known one, or the one that an entry before it in the bar opened."""
        if intent.position is not None:
            return intent.position
        opener = self._desk.record.order(client_order_id(intent.bar, Kind.ENTRY, opened_by(intent.leg)))
        return None if opener is None or opener.ticket is None else Ticket(opener.ticket)

    def _open(self, intent: Intent, units: float, blocked: str | None) -> None:
        if blocked or not units:
            status = Status.DENIED if blocked else Status.CANCELLED
            self._end(intent, status, blocked or "the order was used up by closing opposite trades")
            return
        market = self._market()
        try:
            lots = self._lots(intent, units, market)
        except TooSmall as reason:
            self._end(intent, Status.DENIED, str(reason))
            return
        request = entry_request(intent.side, lots, market, self._label, Levels(intent.sl, intent.tp))
        self._send(intent, request, gate=lambda quote: self._gate(intent, lots, quote))

    def _units(self, intent: Intent, quote: Quote) -> float:
        """Units that the whole entry stands for, before opposite trades are taken from."""
        shown = self._desk.state.shown(self._symbol)
        if self._sizing.rule_for(intent.sl) == "strategy":
            return abs(strategy_units(self._sizing, intent.size or 0.0, shown, quote))
        # a size of our own is the size of the new position: what stands against it is closed beside it
        opposite = sum(abs(trade.size) for trade in shown.open if trade.size * intent.side.sign < 0)
        spec = self._market().spec
        return spec.units(self._lots_by_rule(intent, quote, spec)) + (0.0 if self._desk.bridge.backtest["hedging"] else opposite)

    def _lots_by_rule(self, intent: Intent, quote: Quote, spec: SymbolSpec) -> float:
        if self._sizing.rule_for(intent.sl) == "fixed":
            return self._sizing.fixed_lots
        loss = None if intent.sl is None else self._loss_per_lot(intent.side, quote, intent.sl)
        return risk_lots(self._sizing, self._desk.connector.account().equity, loss, spec)

    def _loss_per_lot(self, side: Side, quote: Quote, sl: float) -> float:
        return -self._desk.connector.money_of(self._symbol, side, 1.0, entry=quote.price_for(side), exit_price=sl)

    def _lots(self, intent: Intent, units: float, market: Market) -> float:
        """Lots of the new position, within MAX_POSITION_SIZE. Raises TooSmall."""
        desk = self._desk
        if self._sizing.rule_for(intent.sl) == "strategy":
            check_affordable(self._sizing, intent.size or 0.0, units, desk.state.shown(self._symbol), market.quote)
        lots = lots_of_units(units, market.spec)
        limit, held = desk.config.max_position_size, desk.state.open_lots(self._symbol)
        allowed = capped(lots, held, limit, market.spec)
        if not allowed:
            raise TooSmall(f"MAX_POSITION_SIZE={limit:g} lots leaves nothing: {held:g} lots are open")
        if allowed < lots:
            text = f"{self._symbol}: {lots:g} lots were cut to {allowed:g} by MAX_POSITION_SIZE={limit:g}"
            desk.record.event("SIZE_CUT", text, severity="WARNING", details={"client_order_id": intent.order_id})
        return allowed

    def _gate(self, intent: Intent, lots: float, quote: Quote) -> str | None:
        denial = self._desk.state.can_trade(self._symbol, quote, asking=intent.order_id)
        return (
            self._too_late(intent)
            or (None if denial is None else str(denial))
            or self._too_far(quote)
            or self._too_risky(intent, lots, quote)
        )

    def _too_far(self, quote: Quote) -> str | None:
        """What a crash or a silent terminal has held up is not sent far from where the backtest would have entered: its bar's open."""
        desk = self._desk
        opened, collar = desk.connector.opening_price(self._symbol, desk.timeframe), desk.config.price_collar_pct
        if abs(quote.bid - opened) <= opened * collar / 100:
            return None
        return f"a bid of {quote.bid:g} is too far from {opened:g}, at which its bar has opened; PRICE_COLLAR_PCT allows {collar:g} %"

    def _too_risky(self, intent: Intent, lots: float, quote: Quote) -> str | None:
        """What was sized by its risk on one quote must not be sent on another where it risks much more."""
        if intent.sl is None or self._sizing.rule_for(intent.sl) != "risk":
            return None
        lost = lots * self._loss_per_lot(intent.side, quote, intent.sl)
        allowed = self._desk.connector.account().equity * self._sizing.risk_fraction
        if lost <= allowed * (1 + RISK_SLACK):
            return None
        return f"the price has moved: {lost:,.2f} would be lost at the stop, DEFAULT_RISK_PCT allows {allowed:,.2f}"

    def _too_late(self, intent: Intent) -> str | None:
        closed, forming = self._desk.connector.closed_bars(self._symbol, self._desk.timeframe, 1)
        if not closed or forming is None or closed[-1].epoch > intent.bar.epoch:
            return "expired: a newer bar has closed since the decision"
        return self.too_old(forming)

    # the executor

    def _market(self) -> Market:
        return Market(self._desk.connector.spec(self._symbol), self._desk.connector.quote(self._symbol))

    def _end(self, intent: Intent, status: Status, sentence: str) -> Status:
        self._desk.executor.refuse(intent.order_id, status, sentence)
        return status

    def _send(self, intent: Intent, request: dict[str, Any], **more: Any) -> Status:
        told = self._desk.executor.execute_order(request, intent.order_id, **more)
        self._desk.state.sync()
        return Status(told["status"])


def _in_groups(intents: Sequence[Intent]) -> list[tuple[Intent, list[Intent]]]:
    """Each intent with the closes that belong to it: legs "2.0" and "2.1" are there for the entry with leg "2"."""
    reducing: dict[str, list[Intent]] = {}
    for intent in intents:
        if _belongs_to_entry(intent):
            reducing.setdefault(intent.leg.split(".")[0], []).append(intent)
    return [(intent, reducing.get(intent.leg, [])) for intent in intents if not _belongs_to_entry(intent)]


def _belongs_to_entry(intent: Intent) -> bool:
    # when a close is decided again, its entry has ended
    return "." in intent.leg and not intent.leg.endswith(AGAIN)


def _blocking(close: Status) -> str | None:
    return None if close in CLOSED_WELL else f"a close before it ended {close.value}: an entry behind a failed close is not sent"
