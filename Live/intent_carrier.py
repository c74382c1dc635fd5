"""From intents on record to requests: the position to close, the lots to buy, the limits, and whether it is still time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from Backtest.sizing import Foreseen, Terms
from Live.backtesting_bridge import opened_by
from Live.desk import Desk
from Live.model import AGAIN, Intent, Kind, Order, Quote, Side, Status, SymbolSpec, Ticket, client_order_id, order_key
from Live.order_requests import (
    Label,
    Levels,
    Market,
    Trigger,
    close_request,
    entry_request,
    pending_request,
    protect_request,
    remove_request,
)
from Live.risk import capped
from Live.sizing import Sizing, TooSmall, check_affordable, lots_of_units, risk_lots, strategy_units, terms_at
from Live.state_manager import Bare

# Of a close: it is done, or there was nothing left to close.
CLOSED_WELL = frozenset({Status.FILLED, Status.CANCELLED})
CARRIED_ALONE = (Kind.SLTP, Kind.CANCEL)
RISK_SLACK = 0.1  # by how much the risk of an entry may grow between its sizing and its send


class IntentCarrier:
    """Carries out the intents of one symbol, in the order of their decisions."""

    def __init__(self, symbol: str, desk: Desk) -> None:
        self._symbol, self._desk = symbol, desk
        config = desk.config
        self._sizing = Sizing(config.sizing, config.default_risk_pct / 100, config.fixed_lots, desk.bridge.backtest)
        # the executor puts the order's own key in place of this comment
        self._label = Label(desk.slot.magic, "live", config.deviation_points)
        self._risked: dict[str, Any] = {}  # what the newest size by risk was reckoned from

    def carry_out(self, intents: Sequence[Intent], earlier: Sequence[Order] = ()) -> None:
        """Send one bar's orders; an entry behind a close that failed is not sent, also where an `earlier` run tried that close."""
        blocked = next((_blocking(order.status) for order in earlier if self._failed_to_close(order)), None)
        waits = any(intent.is_entry for intent in intents) and self._desk.state.entries_wait()
        for intent, reducing in _in_groups(intents):
            if intent.is_entry and waits and self._too_late(intent) is None:
                continue  # it stays PENDING, and is taken up again as soon as it may be sent, if it is still time
            if intent.kind is Kind.ENTRY:
                done = [order for order in earlier if order.intent.leg.startswith(f"{intent.leg}.")]
                blocked = self._enter(intent, reducing, blocked, done) or blocked
            elif intent.kind is Kind.PENDING:
                self._place(intent, blocked)
            elif intent.kind in CARRIED_ALONE:
                self._carry(intent)
            else:
                blocked = _blocking(self._close(intent, intent.size)) or blocked

    def decide_again(self, order: Order) -> None:
        """Decide a full close, levels, or a cancellation again whose order is proved not to have happened, if the position is still there.

        Closing all of a position by ticket cannot open anything: the server refuses a second one. Levels are absolute: setting
        them twice is setting them once, unless others were decided since. A part is not closed again: twice would be too much.
        """
        again = _again(order.intent)
        if self._is_wanted_again(order) and self._desk.record.order(again.order_id) is None:
            self._desk.record.add_intent(again)

    def carry_out_again(self, order: Order) -> None:
        """Carry out what was decided in its place."""
        again = self._desk.record.order(_again(order.intent).order_id)
        if again is not None and again.status is Status.PENDING:
            intent = again.intent
            self._close(intent, intent.size) if intent.kind is Kind.EXIT else self._carry(intent)

    def _is_wanted_again(self, order: Order) -> bool:
        old = order.intent
        if old.kind is Kind.CANCEL:
            return True
        position = self._desk.state.position(old.position)
        if position is None or old.kind not in (Kind.EXIT, Kind.SLTP):
            return False
        # an entry may have taken a part only, of a trade that the intent names as a whole
        return (order.volume or 0.0) >= position.lots if old.kind is Kind.EXIT else self._desk.record.is_newest(old)

    def cover(self, bare: Bare) -> None:
        """Give a position the levels that it was to have: a broker may drop them, and a run may die between the fill and its stop."""
        desk, held, levels = self._desk, bare.position, bare.levels
        text = f"position {held.ticket} on {self._symbol} has no stop loss, its order asked for {levels.sl:g}: it is set now"
        desk.record.event("NAKED_POSITION", text, severity="CRITICAL", details={"ticket": held.ticket, "sl": levels.sl, "tp": levels.tp})
        bar, leg = bare.opener.intent.bar, f"{bare.opener.intent.number}{AGAIN}"
        while desk.record.order(client_order_id(bar, Kind.SLTP, leg)) is not None:
            leg += AGAIN
        order_id = client_order_id(bar, Kind.SLTP, leg)
        position = Ticket(held.identifier)
        intent = Intent(order_id, bar, Kind.SLTP, leg, held.side.opposite, sl=levels.sl, tp=levels.tp, position=position)
        desk.record.add_intent(intent)
        if self._protect(intent) not in (Status.FILLED, Status.UNKNOWN):
            desk.record.event("NAKED_POSITION", f"the stop loss of position {held.ticket} could not be set", severity="CRITICAL")

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
        if shared := self._desk.state.loosens(intent):
            return self._end(intent, Status.DENIED, shared)
        return self._send(intent, protect_request(position, Levels(intent.sl, intent.tp), self._market().spec))

    def _carry(self, intent: Intent) -> Status:
        return self._protect(intent) if intent.kind is Kind.SLTP else self._cancel(intent)

    def _cancel(self, intent: Intent) -> Status:
        placed = self._desk.record.order(intent.cancels or "")
        if placed is None or placed.ticket is None or placed not in self._desk.state.waiting:
            return self._end(intent, Status.CANCELLED, "the order does not wait any more")
        status = self._send(intent, remove_request(self._symbol, placed.ticket))
        self._desk.executor.look_at(placed)  # whether it was cancelled, or filled before that
        return status

    # entries

    def _place(self, intent: Intent, blocked: str | None) -> None:
        """Let an entry wait at the server for its price. Its size is that of now: fractions and risks are of today's equity."""
        if refusal := self._refusal(intent, blocked):
            self._end(intent, *refusal)
            return
        market = self._market()
        trigger = Trigger(intent.limit, intent.stop, Levels(intent.sl, intent.tp))
        try:
            lots = self._lots_of_waiting(intent, market, trigger)
        except TooSmall as reason:
            self._end(intent, Status.DENIED, str(reason))
            return
        request = pending_request(intent.side, lots, market, self._label, trigger=trigger)
        self._send(
            intent,
            request,
            gate=lambda quote: self._may_enter(intent, lots, quote),
            instead=lambda quote: self._what_is_left(intent, lots, trigger, quote),
            facts=lambda: self._facts(intent, lots),
        )

    def size_at_fill(self, intent: Intent) -> bool:
        """A backtest sizes a fraction when it fills: let a terminal do the same that can. Whether this one does."""
        foresight, size = self._desk.foresight, intent.size or 0.0
        if foresight is None or not -1 < size < 1 or self._sizing.rule_for(intent.sl) != "strategy":
            return False
        foresight.size_at_fill(order_key(intent.order_id), size)
        return True

    def _lots_of_waiting(self, intent: Intent, market: Market, trigger: Trigger) -> float:
        """Lots of an order that waits, within MAX_POSITION_SIZE. Raises TooSmall."""
        if self.size_at_fill(intent):
            return market.spec.lot_min
        return self._capped(intent, lots_of_units(self._units_of_waiting(intent, market, trigger), market.spec), market.spec)

    def _what_is_left(self, intent: Intent, lots: float, trigger: Trigger, quote: Quote) -> dict[str, Any] | None:
        """The request in place of one whose price the market has passed: a backtest fills it at the next price, or waits for the limit."""
        market, left = Market(self._market().spec, quote), trigger.at(quote, intent.side)
        if left.is_met(quote, intent.side):
            return entry_request(intent.side, lots, market, self._label, trigger.levels)
        return None if left == trigger else pending_request(intent.side, lots, market, self._label, trigger=left)

    def _units_of_waiting(self, intent: Intent, market: Market, trigger: Trigger) -> float:
        price = market.quote.price_for(intent.side) if trigger.is_met(market.quote, intent.side) else trigger.price
        if self._sizing.rule_for(intent.sl) == "strategy":
            terms = terms_at(self._sizing, price, None)
            return abs(strategy_units(intent.size or 0.0, self._desk.state.shown(self._symbol), terms))
        return market.spec.units(self._lots_by_rule(intent, Quote(price, price, market.quote.epoch), market.spec))

    def _foreseen(self) -> Foreseen | None:
        """What only a backtest knows, where the terminal fills as one; what comes before the entry has happened then."""
        if self._desk.foresight is None:
            return None
        known = self._desk.foresight.foresee(self._symbol)
        self._desk.state.sync()
        return known

    def _terms(self, intent: Intent, quote: Quote) -> Terms:
        known = self._foreseen()
        return terms_at(self._sizing, known.price if known else quote.price_for(intent.side), known)

    def _refusal(self, intent: Intent, blocked: str | None) -> tuple[Status, str] | None:
        """Why an entry is not even tried."""
        late = self._too_late(intent)
        return (Status.EXPIRED, late) if late else (Status.DENIED, blocked) if blocked else None

    def _enter(self, intent: Intent, reducing: Sequence[Intent], blocked: str | None, done: Sequence[Order]) -> str | None:
        """Close the opposite trades that the entry takes from, then open what is left of it. Returns what blocks later entries.

        `done` are those that an earlier run has closed for it.
        """
        if refusal := self._refusal(intent, blocked):
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
        for each, ticket in self._standing_against(intent, reducing):
            if left <= 0:
                self._end(each, Status.CANCELLED, "not needed: the order was smaller than the trades before this one")
                continue
            position = self._desk.state.position(ticket)
            held = 0.0 if position is None else market.spec.units(position.lots)  # now: decisions before this one may have taken from it
            failed = _blocking(self._close(replace(each, position=ticket), min(left, held)))
            blocked = blocked or failed  # what the others hold is closed all the same
            left = round(left - held, 12)  # parts of a unit leave the dust of their binary fractions
        self._open(intent, max(0.0, left), blocked)
        return blocked

    def _standing_against(self, intent: Intent, planned: Sequence[Intent]) -> list[tuple[Intent, Ticket | None]]:
        """What an entry takes from now, oldest first: as it was planned, and from what was opened since then by an order that waited."""
        desk = self._desk
        taken = [(each, self._taken_from(each)) for each in planned]
        if desk.bridge.backtest["hedging"]:
            return taken
        opposite = {Ticket(trade.ticket): trade for trade in desk.state.shown(self._symbol).open if trade.size * intent.side.sign < 0}
        known = {ticket for _, ticket in taken}
        for ticket in (each for each in opposite if each not in known):
            leg, bar, trade = f"{intent.leg}.{ticket}", intent.bar, opposite[ticket]
            order_id = client_order_id(bar, Kind.EXIT, leg)
            if desk.record.order(order_id) is None:
                more = Intent(order_id, bar, Kind.EXIT, leg, intent.side, size=abs(trade.size), position=ticket, tag=trade.tag)
                desk.record.add_intent(more)
                taken.append((more, ticket))
        places = list(opposite)
        return sorted(taken, key=lambda each: places.index(each[1]) if each[1] in opposite else -1)

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
        self._send(intent, request, gate=lambda quote: self._gate(intent, lots, quote), facts=lambda: self._facts(intent, lots))

    def _units(self, intent: Intent, quote: Quote) -> float:
        """Units that the whole entry stands for, before opposite trades are taken from."""
        terms = self._terms(intent, quote)
        shown = self._desk.state.shown(self._symbol)
        if self._sizing.rule_for(intent.sl) == "strategy":
            return abs(strategy_units(intent.size or 0.0, shown, terms))
        # a size of our own is the size of the new position: what stands against it is closed beside it
        opposite = sum(abs(trade.size) for trade in shown.open if trade.size * intent.side.sign < 0)
        spec = self._market().spec
        return spec.units(self._lots_by_rule(intent, quote, spec)) + (0.0 if self._desk.bridge.backtest["hedging"] else opposite)

    def _lots_by_rule(self, intent: Intent, quote: Quote, spec: SymbolSpec) -> float:
        if self._sizing.rule_for(intent.sl) == "fixed":
            return self._sizing.fixed_lots
        loss = None if intent.sl is None else self._loss_per_lot(intent.side, quote, intent.sl)
        equity = self._desk.connector.account().equity
        self._risked = {"equity": equity, "risk_pct": self._sizing.risk_fraction * 100, "loss_per_lot": loss}
        return risk_lots(self._sizing, equity, loss, spec)

    def _facts(self, intent: Intent, lots: float) -> dict[str, Any]:
        """What an entry was sized by, and how near the limits were when it was last looked at."""
        rule = self._sizing.rule_for(intent.sl)
        sizing = {"rule": rule, "size": intent.size, "lots": lots, **(self._risked if rule == "risk" else {})}
        gates = [{"rule": each.rule, "measured": each.value, "limit": each.limit} for each in self._desk.state.measured]
        return {"sizing": sizing, "gates": gates}

    def _loss_per_lot(self, side: Side, quote: Quote, sl: float) -> float:
        return -self._desk.connector.money_of(self._symbol, side, 1.0, entry=quote.price_for(side), exit_price=sl)

    def _lots(self, intent: Intent, units: float, market: Market) -> float:
        """Lots of the new position, within MAX_POSITION_SIZE. Raises TooSmall."""
        desk = self._desk
        if self._sizing.rule_for(intent.sl) == "strategy":
            terms = self._terms(intent, market.quote)
            check_affordable(intent.size or 0.0, units, desk.state.shown(self._symbol), terms)
        return self._capped(intent, lots_of_units(units, market.spec), market.spec)

    def _capped(self, intent: Intent, lots: float, spec: SymbolSpec) -> float:
        desk = self._desk
        limit, held = desk.config.max_position_size, desk.state.open_lots(self._symbol)
        allowed = capped(lots, held, limit, spec)
        if not allowed:
            raise TooSmall(f"MAX_POSITION_SIZE={limit:g} lots leaves nothing: {held:g} lots are open")
        if allowed < lots:
            text = f"{self._symbol}: {lots:g} lots were cut to {allowed:g} by MAX_POSITION_SIZE={limit:g}"
            desk.record.event("SIZE_CUT", text, severity="WARNING", details={"client_order_id": intent.order_id, "lots": lots})
        return allowed

    def _gate(self, intent: Intent, lots: float, quote: Quote) -> str | None:
        return self._may_enter(intent, lots, quote) or self._too_far(quote) or self._too_risky(intent, lots, quote)

    def _may_enter(self, intent: Intent, lots: float, quote: Quote) -> str | None:
        denial = self._desk.state.can_trade(self._symbol, quote, asking=intent.order_id, lots=lots)
        return self._too_late(intent) or (None if denial is None else str(denial))

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


def _again(old: Intent) -> Intent:
    leg = f"{old.leg}{AGAIN}"
    return replace(old, leg=leg, order_id=client_order_id(old.bar, old.kind, leg))


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
