"""What must be true, whatever goes wrong: the invariants I1 to I16, each as a question to the broker's truth and the record.

To add one: write a function that yields a sentence for each breach, and put it into the table of its moment: `SENDING` (a
request is about to leave), `TURNING` (a turn of the loop is done, or a trader has died) or `ENDING` (`endings`, when all has
been calm for a while). Each of them gets everything as plain values, so that a test can doctor one and see that it bites.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.journal import Head

if TYPE_CHECKING:
    from tests.faults.stage import Stage

ACCEPTED = (10008, 10009, 10010)
RISING = ("entry", "pending")
EPSILON = 1e-9
DIGITS = 5
BAR = 300
OLDEST_QUOTE = 60.0  # seconds: what is sent on an older one was not looked at again after something took long
NEEDED = ("positions_get", "orders_get", "history_orders_get", "history_deals_get", "account_info", "terminal_info", "order_check")
NEVER_COUNTED = ("PENDING", "DENIED", "EXPIRED", "CANCELLED", "FAILED", "ABSENT", "LATE_FILLED")


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that does not hold."""

    oracle: str
    sentence: str
    at: float

    def __str__(self) -> str:
        return f"{self.oracle} after {self.at:.1f} s: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that has come to the broker."""

    at: float
    retcode: int | None
    order: int
    deal: int


@dataclass(slots=True)
class Sent:
    """A request that the trader has let go of, and what became of it in truth."""

    number: int
    at: float
    kind: str  # entry, pending, close, levels, remove
    request: Mapping[str, Any]
    cid: str = ""
    retcode: int | None = None  # as the trader was told
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def adds_risk(self) -> bool:
        """Whether it opens something."""
        return self.kind in RISING


@dataclass(frozen=True, slots=True)
class Moment:
    """What is true when a request is about to leave."""

    sent: Sent
    marked: Mapping[str, Any] | None  # the newest order that was marked as being sent, committed
    unsettled: tuple[Mapping[str, Any], ...]  # other orders on the symbol whose outcome is open
    knows_ticket: bool  # what the request names is in the record
    foreign_ticket: bool  # what it names was opened by somebody else
    stop_sends: int  # with this one, since a stop file has been there; 0: there is none
    acknowledged: bool  # the record says that the trader has seen it
    flattens: bool
    identity: tuple[Any, ...]  # of the account, as the trader was told last
    account: tuple[Any, ...]  # as it must be
    blind: tuple[str, ...]  # functions whose last answer was none
    check: int | None  # what order_check said last
    tick: Any
    tick_at: float  # when the trader was told
    now: float
    epoch: float
    follower: float  # open of the bar after the one that was decided
    clock_stepped: bool  # lately
    lots: float  # own, open, waiting or of unknown outcome, on the symbol
    positions: int
    sends_last_minute: int
    entries_today: int
    limits: Any
    netting: bool


Question = Callable[[Moment], Iterator[str]]


def marked_before(moment: Moment) -> Iterator[str]:
    """I2: the order is on record as being sent, with this very request, before the broker can have it."""
    marked, sent = moment.marked, moment.sent
    if marked is None or marked["status"] != "SUBMITTED" or marked["sent"] != dict(sent.request):
        has = None if marked is None else (marked["status"], marked["sent"])
        yield f"{sent.kind} {dict(sent.request)} leaves, and the record has {has}"
    elif sent.adds_risk and marked["order_key"] != sent.request.get("comment"):
        yield f"the comment is {sent.request.get('comment')!r}, the order's key {marked['order_key']}"


def unknown_blocks(moment: Moment) -> Iterator[str]:
    """I9: no entry while the outcome of another order on the symbol is open."""
    if moment.sent.adds_risk and moment.unsettled:
        yield f"{moment.sent.kind} leaves while {[dict(row) for row in moment.unsettled]}"


def hands_off(moment: Moment) -> Iterator[str]:
    """I10: no request is about what this record has not opened."""
    if not moment.sent.adds_risk and (moment.foreign_ticket or not moment.knows_ticket):
        yield f"{moment.sent.kind} {dict(moment.sent.request)} is about what is not ours"


def stopped(moment: Moment) -> Iterator[str]:
    """I11: at most one send begins after the stop file has appeared, none after it was acknowledged; what the stop itself does may."""
    its_own = moment.sent.kind == "remove" or (moment.flattens and moment.sent.kind == "close")
    if moment.stop_sends and not (its_own and moment.acknowledged):
        if moment.acknowledged:
            yield f"{moment.sent.kind} leaves after the stop was acknowledged"
        elif moment.stop_sends > 1:
            yield f"{moment.sent.kind} is send number {moment.stop_sends} since the stop file has been there"


def right_account(moment: Moment) -> Iterator[str]:
    """I12: what is sent goes to the account that the trader was started for."""
    if moment.identity != moment.account:
        yield f"{moment.sent.kind} leaves to {moment.identity}, the account is {moment.account}"


def fails_closed(moment: Moment) -> Iterator[str]:
    """I13: no answer, and no entry behind it."""
    if moment.sent.adds_risk and moment.blind:
        yield f"{moment.sent.kind} leaves, and nothing was answered by {', '.join(moment.blind)}"
    if moment.check != 0:
        yield f"{moment.sent.kind} leaves, and order_check said {moment.check}"


def throttled(moment: Moment) -> Iterator[str]:
    """I14: attempts, sends a minute and entries a day, over all restarts."""
    sent, limits, marked = moment.sent, moment.limits, moment.marked
    allowed = max(1, limits.max_retry_attempts) + (sent.kind == "pending" or (marked or {}).get("kind") == "PENDING")
    if marked is not None and marked["attempt"] > allowed:
        yield f"attempt {marked['attempt']} of {allowed}"
    if not sent.adds_risk:
        return
    if moment.sends_last_minute > limits.max_orders_per_minute and not moment.clock_stepped:
        yield f"{moment.sends_last_minute} sends in a minute, MAX_ORDERS_PER_MINUTE is {limits.max_orders_per_minute}"
    if moment.entries_today > limits.max_daily_trades:
        yield f"entry {moment.entries_today} of the day, MAX_DAILY_TRADES is {limits.max_daily_trades}"


def exposed(moment: Moment) -> Iterator[str]:
    """I8: what we hold, want and may have on the symbol stays within the limits."""
    if not moment.sent.adds_risk or moment.netting:
        return
    lots = moment.lots + moment.sent.request["volume"]
    if lots > moment.limits.max_position_size + EPSILON:
        yield f"{lots:g} lots on the symbol, MAX_POSITION_SIZE is {moment.limits.max_position_size:g}"
    if moment.positions + 1 > moment.limits.max_positions:
        yield f"position {moment.positions + 1}, MAX_POSITIONS is {moment.limits.max_positions}"


def sane(moment: Moment) -> Iterator[str]:
    """I15: finite prices on the grid, from a quote that is fresh and can be; the spread within its limit."""
    request, tick = moment.sent.request, moment.tick
    for name in ("price", "sl", "tp", "stoplimit", "volume"):
        value = request.get(name)
        if value is not None and (not math.isfinite(value) or value < 0 or (name != "volume" and round(value, DIGITS) != value)):
            yield f"{name} is {value!r}"
    if request["action"] != 1:
        return
    side = "ask" if request["type"] == 0 else "bid"
    if tick is None or not 0 < tick.bid <= tick.ask < math.inf:
        yield f"the quote is {tick}"
    elif request["price"] != getattr(tick, side):
        yield f"the price is {request['price']}, the {side} was {getattr(tick, side)}"
    elif moment.sent.adds_risk and 0 < moment.limits.max_spread_points < round((tick.ask - tick.bid) * 1e5):
        yield f"the spread is {round((tick.ask - tick.bid) * 1e5)} points, MAX_SPREAD_POINTS is {moment.limits.max_spread_points}"
    if moment.now - moment.tick_at > OLDEST_QUOTE:
        yield f"the quote was looked at {moment.now - moment.tick_at:.0f} s ago"


def closed_and_fresh(moment: Moment) -> Iterator[str]:
    """I6: the bar is closed, and the decision not older than it may be when the attempt begins."""
    if not moment.sent.adds_risk or moment.marked is None or moment.clock_stepped:
        return
    if moment.marked["bar_epoch"] + BAR > moment.epoch:
        yield f"the bar of {moment.marked['bar_epoch']} is not closed at {moment.epoch:.0f}"
    age = moment.epoch - (moment.now - moment.tick_at) - moment.follower
    if age > (moment.limits.max_signal_age_seconds or BAR) + 1:
        yield f"the decision is {age:.0f} s old"


SENDING: Mapping[str, Question] = {
    "I2": marked_before,
    "I6": closed_and_fresh,
    "I8": exposed,
    "I9": unknown_blocks,
    "I10": hands_off,
    "I11": stopped,
    "I12": right_account,
    "I13": fails_closed,
    "I14": throttled,
    "I15": sane,
}


def at_send(stage: "Stage", sent: Sent) -> list[Breach]:
    """The breaches of a request that is about to leave."""
    moment = moment_of(stage, sent)
    if moment.marked is not None:
        sent.cid = moment.marked["client_order_id"]
    return [Breach(name, sentence, stage.now) for name, question in SENDING.items() for sentence in question(moment)]


def moment_of(stage: "Stage", sent: Sent) -> Moment:
    """What is true now."""
    journal, request, seen = stage.journal, sent.request, stage.seen
    marked = journal.submitted()
    cid = "" if marked is None else marked["client_order_id"]
    ticket = int(request.get("position") or request.get("order") or 0)
    told = seen.get("account_info")
    stops = [stop for stop in stage.stops if stop.path.exists()]
    status = {row["client_order_id"]: row["status"] for row in journal.rows("SELECT client_order_id, status FROM orders")}
    since = _day_start(stage)
    earlier = [each for each in stage.sents if each is not sent and each.adds_risk and each.cid != cid]
    counted = {each.cid for each in earlier if each.at >= since and status.get(each.cid) not in NEVER_COUNTED}
    return Moment(
        sent=sent,
        marked=marked,
        unsettled=tuple(row for row in journal.unsettled(stage.symbol) if row["client_order_id"] != cid),
        knows_ticket=not ticket or journal.knows(ticket) or (stage.case.world.netting and request["action"] in (1, 6)),
        foreign_ticket=_is_foreign(stage, stage.own_ticket(ticket)) if ticket else False,
        stop_sends=max((stop.sends for stop in stops), default=0),
        acknowledged=any(journal.has_event("KILL_SWITCH") > stop.acknowledged for stop in stops),
        flattens=stage.config.kill_switch_action == "flatten",
        identity=() if told is None else (told.login, told.server, told.trade_mode, told.margin_mode),
        account=(stage.terminal.account_info_of()),
        blind=tuple(name for name in NEEDED if name in seen and seen[name] is None),
        check=getattr(seen.get("order_check"), "retcode", None),
        tick=seen.get("symbol_info_tick"),
        tick_at=stage.asked_at.get("symbol_info_tick", -math.inf),
        now=stage.now,
        epoch=stage.epoch,
        follower=math.inf if marked is None else stage.follower(marked["bar_epoch"]),
        clock_stepped=stage.clock_has_stepped,
        lots=_lots(stage, status),
        positions=_count(stage, status),
        sends_last_minute=sum(stage.now - each.at < 60 for each in stage.sents),
        entries_today=len(counted) + 1,
        limits=stage.config,
        netting=stage.case.world.netting,
    )


def _day_start(stage: "Stage") -> float:
    return stage.now - stage.epoch % 86_400


def _is_foreign(stage: "Stage", ticket: int) -> bool:
    """Whether a ticket is a position or an order that none of the trader's requests has made."""
    book = stage.terminal.book
    if stage.case.world.netting:
        held = book.positions.get(ticket)
        return held is not None and not any(sent.adds_risk and sent.arrivals for sent in stage.sents)
    there = ticket in book.positions or ticket in book.active
    return there and ticket not in {arrival.order for sent in stage.sents for arrival in sent.arrivals}


def _own(stage: "Stage", status: Mapping[str, str]) -> dict[int, str]:
    """The trader's entries by their tickets, but for those that it has proved absent or was refused, and that happened all the same,
    and for those that it is told are taken back."""
    return {
        arrival.order: sent.cid
        for sent in stage.sents
        if sent.adds_risk and status.get(sent.cid) not in NEVER_COUNTED
        for arrival in sent.arrivals
        if arrival.order and arrival.order not in stage.taken_back
    }


def _lots(stage: "Stage", status: Mapping[str, str]) -> float:
    own, book = _own(stage, status), stage.terminal.book
    held: float = sum(position.volume for position in book.positions.values() if position.ticket in own)
    waiting: float = sum(order.volume for order in book.active.values() if order.ticket in own)
    return held + waiting


def _count(stage: "Stage", status: Mapping[str, str]) -> int:
    own, book = _own(stage, status), stage.terminal.book
    return len(own.keys() & {*book.positions, *book.active})  # what is left of an order fills the position that it has opened


def at_arrival(stage: "Stage", sent: Sent | None, result: Any, request: Mapping[str, Any]) -> list[Breach]:
    """I1: of what may happen once only, no second one is accepted, over all attempts and all traders."""
    if sent is None:
        return [Breach("I1", f"the broker got {dict(request)}, which nobody has sent", stage.now)]
    retcode = getattr(result, "retcode", None)
    sent.arrivals.append(Arrival(stage.now, retcode, getattr(result, "order", 0), getattr(result, "deal", 0)))
    twice = doubled(stage.sents, sent, netting=stage.case.world.netting)
    return [Breach("I1", twice, stage.now)] if twice else []


def doubled(sents: list[Sent], sent: Sent, *, netting: bool) -> str:
    """Why a request was carried out twice; "" when it was not. Closing all of a hedging account's position twice is impossible."""
    kind = sent.kind
    if kind in ("levels", "remove"):
        return ""
    accepted = [each for other in sents if other.cid == sent.cid for each in other.arrivals if each.retcode in ACCEPTED]
    return f"{kind} {sent.cid} was accepted {len(accepted)} times: {accepted}" if len(accepted) > 1 else ""


def at_turn(stage: "Stage") -> list[Breach]:
    """I3, I20: what was committed is still there, in the same order."""
    head = stage.journal.head()
    found = [Breach("I3", sentence, stage.now) for sentence in forgotten(stage.head, head, stage.journal.link)]
    stage.head = head
    return found


def forgotten(before: Head | None, now: Head, link: Callable[[int], str]) -> Iterator[str]:
    """What the record had, and has no more."""
    if before is None:
        return
    for table, count in before.counts.items():
        if now.counts.get(table, 0) < count:
            yield f"{table} had {count} rows, and has {now.counts.get(table, 0)}"
    if before.seq and link(before.seq) != before.link:
        yield f"row {before.seq} of order_events is another one than it was"
