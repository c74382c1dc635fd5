"""What must be true when all has been calm for a while: the broker's lists and the record beside each other, once."""

import hashlib
import json
import math
from base64 import b32encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from Live.audit_logger.chain import first_broken_link
from Live.model import AGAIN, MOVES, ClientOrderId, Status, order_key
from Live.order_executor.evidence import SHORTEST_KEY
from tests.faults.journal import Row
from tests.faults.oracles import ACCEPTED, BAR, EPSILON, Breach, Sent

if TYPE_CHECKING:
    from tests.faults.stage import Stage

OPEN = ("PENDING", "SUBMITTED", "UNKNOWN")
FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "DENIED", "LATE_FILLED"})
LATE_ONLY = frozenset({"FAILED", "ABSENT"})
TRADES = (0, 1)  # DEAL_TYPE_BUY, _SELL
MONEY = ("price", "profit", "commission", "swap", "fee")
CONTRACT = 100_000
A_MOMENT = 60  # seconds before the end: what happened since may not be settled yet


@dataclass(frozen=True, slots=True)
class Ending:
    """The broker's truth, as the terminal shows it at last, and the record."""

    orders: Sequence[Row]
    events: Sequence[Row]
    fills: Sequence[Row]
    trades: Sequence[Row]
    bars: Sequence[Row]
    signals: Sequence[Row]
    positions: Sequence[Row]
    runs: Sequence[Row]
    broken_link: int | None
    sents: Sequence[Sent]
    tickets: Mapping[int, str]  # the trader's orders at the broker, by ticket as shown, each with its id
    deals: Sequence[Any]  # all
    held: Sequence[Any]  # positions
    waiting: frozenset[int]  # tickets of orders that are active, or were a moment ago
    settled_until: float  # server seconds: what happens later may not have been seen
    restless: bool  # something has happened later
    netting: bool
    foreigners: bool  # others have traded on the account
    last_closed: int  # open of the last closed bar, server seconds
    excuses: frozenset[str]  # why the trader may have stopped before the end
    code: int
    limits: Any
    strange: frozenset[int]  # deals that a person was told of, as nobody knows whose they are
    step: float
    leaked: Sequence[str]  # files that hold the secret

    @property
    def taken_back(self) -> frozenset[str]:
        """The orders of which the broker has cancelled a deal."""
        return frozenset(self.tickets.get(deal.order, "") for deal in self.deals if deal.type not in TRADES)

    @property
    def orphans(self) -> frozenset[int]:
        """Tickets of orders that were filled after they were given up, without their keys: a person was told, no more can be known."""
        return frozenset(deal.order for deal in self.deals if deal.ticket in self.strange and self._keyless(deal))

    @property
    def booked(self) -> frozenset[int]:
        """Tickets of such orders whose deals are on record all the same: by the position that they close."""
        known = {row["deal_ticket"] for row in self.fills}
        return frozenset(deal.order for deal in self.deals if deal.ticket in known and deal.entry != 0 and self._keyless(deal))

    def _keyless(self, deal: Any) -> bool:
        cid = self.tickets.get(deal.order, "")
        return self.status_of(cid) == "ABSENT" and order_key(ClientOrderId(cid))[:SHORTEST_KEY] not in deal.comment

    def status_of(self, cid: str) -> str:
        """Where the record has an order."""
        return next((str(row["status"]) for row in self.orders if row["client_order_id"] == cid), "")

    def side_of(self, cid: str) -> str:
        """The side of an order."""
        return next((str(row["side"]) for row in self.orders if row["client_order_id"] == cid), "")


def nothing_lost(end: Ending) -> Iterator[str]:
    """I3: each deal of ours is on record once, with its figures, and no other is."""
    recorded: dict[int, list[Row]] = defaultdict(list)
    for row in end.fills:
        recorded[row["deal_ticket"]].append(row)
    ours = {ticket for ticket, cid in end.tickets.items() if end.status_of(cid) != "UNRESOLVED"} - end.orphans
    opened = {deal.position_id for deal in end.deals if deal.order in ours and deal.entry == 0 and deal.type in TRADES}
    for deal in end.deals:
        if (
            deal.time > end.settled_until
            or deal.type not in TRADES
            or not (deal.order in ours or (not end.netting and deal.position_id in opened))
        ):
            continue
        rows = recorded.get(deal.ticket, [])
        lots = sum(row["volume"] for row in rows)
        if not rows or (abs(lots - deal.volume) > EPSILON and not (end.netting and end.foreigners)):
            yield f"deal {deal.ticket} of order {deal.order} has {deal.volume:g} lots, the record {lots:g}"
        elif not end.netting and any(not math.isclose(rows[0][name], getattr(deal, name), abs_tol=1e-9) for name in MONEY):
            figures = {name: (rows[0][name], getattr(deal, name)) for name in MONEY}
            yield f"deal {deal.ticket} has other figures on record (record, broker): {figures}"
    shown = {deal.ticket for deal in end.deals}
    yield from (f"the record has deal {ticket}, the broker has not" for ticket in recorded if ticket not in shown)
    closed = {row["exit_deal"] for row in end.trades}
    for row in end.fills:
        if row["entry"] in ("OUT", "OUT_BY") and row["deal_ticket"] not in closed:
            yield f"deal {row['deal_ticket']} closes something, and there is no trade of it"


def lawful(end: Ending) -> Iterator[str]:
    """I4: each order's events are a path of its life, and its row stands where they end; the chain is whole."""
    if end.broken_link is not None:
        yield f"row {end.broken_link} of order_events breaks the chain"
    paths: dict[str, list[Row]] = defaultdict(list)
    for row in end.events:
        paths[row["client_order_id"]].append(row)
    for order in end.orders:
        cid, before = order["client_order_id"], None
        for row in paths.pop(cid, []):
            yield from _step(cid, before, row)
            before = row["to_status"]
        if before != order["status"]:
            yield f"order {cid} is {order['status']}, its events end at {before}"
    yield from (f"order {cid} has events and no row" for cid in paths)


def _step(cid: str, before: str | None, row: Row) -> Iterator[str]:
    old, new = row["from_status"], row["to_status"]
    if old != before:
        yield f"order {cid} goes from {old} to {new}, and was {before}"
    elif old is None:
        if new != "PENDING":
            yield f"order {cid} begins as {new}"
    elif Status(new) not in MOVES[Status(old)]:
        yield f"order {cid} goes from {old} to {new}, which is no step of its life"
    elif (old in FINAL and not old == new == "LATE_FILLED") or (old in LATE_ONLY and new != "LATE_FILLED"):  # one more part of it
        yield f"order {cid} was {old} at last, and goes on to {new}"
    elif new == "SUBMITTED" and old not in ("PENDING", "SUBMITTED"):
        yield f"order {cid} is sent again from {old}"


def decided_once(end: Ending) -> Iterator[str]:
    """I5: each bar is decided once, and each order belongs to a bar that was, is named by what was decided, and opens nothing again."""
    keys = [(row["slot"], row["symbol"], row["timeframe"], row["bar_epoch"]) for row in end.bars]
    acted = {key for key, row in zip(keys, end.bars, strict=True) if row["acted"]}
    if len(set(keys)) < len(keys):
        yield "a bar was decided twice"
    known = {row["client_order_id"] for row in end.orders}
    for row in end.orders:
        key = (row["slot"], row["symbol"], row["timeframe"], row["bar_epoch"])
        again = row["leg"].endswith(AGAIN)
        if row["client_order_id"] != name_of(row):
            yield f"{row['kind']} {row['client_order_id']} is not named by what was decided"
        if again and row["kind"] in ("ENTRY", "PENDING", "PARTIAL"):
            yield f"{row['kind']} {row['client_order_id']} of leg {row['leg']} was decided a second time"
        apart = row["kind"] in ("FLATTEN", "CANCEL") or again
        if not apart and key not in acted:
            yield f"{row['kind']} {row['client_order_id']} is of bar {row['bar_epoch']}, which was not decided"
    for row in end.signals:
        if row["client_order_id"] and row["client_order_id"] not in known:
            yield f"signal {row['signal']} of {row['bar_time']} has an order that is not there"


def name_of(row: Row) -> str:
    """The id of a decision, made here once more: of who decides, on what, and the decision's own place, and of nothing else."""
    who, strategy_id, magic = str(row["slot"]).rsplit("/", 2)
    login, server = who.split("@", 1)
    decision = (row["symbol"], row["timeframe"], row["bar_epoch"], row["kind"], row["leg"])
    fact = json.dumps([1, int(login), server, strategy_id, int(magic), *decision])
    return b32encode(hashlib.sha256(fact.encode()).digest()[:20]).decode()


def sized(end: Ending) -> Iterator[str]:
    """I7: no more is filled than was asked for, and no more is asked for than was decided and allowed, on the broker's grid."""
    filled: dict[str, float] = defaultdict(float)
    for deal in end.deals:
        if deal.type in TRADES and deal.order in end.tickets:
            filled[end.tickets[deal.order]] += deal.volume
    for row in end.orders:
        volume = row["volume"]
        if volume is None:
            continue
        if filled[row["client_order_id"]] > volume + EPSILON:
            yield f"{row['kind']} {row['client_order_id']} asked for {volume:g} lots, {filled[row['client_order_id']]:g} were filled"
        steps = volume / end.step
        if abs(steps - round(steps)) > 1e-6 or volume < end.step - EPSILON:
            yield f"{row['kind']} {row['client_order_id']} asks for {volume!r} lots, which is not on the grid"
        if row["kind"] in ("ENTRY", "PENDING", "PARTIAL") and row["size"] and row["size"] >= 1 and volume * CONTRACT > row["size"] + 1e-3:
            yield f"{row['kind']} {row['client_order_id']} asks for {volume:g} lots, decided were {row['size']:g} units"
        if row["kind"] in ("ENTRY", "PENDING") and volume > end.limits.max_position_size + EPSILON:
            yield f"{row['kind']} {row['client_order_id']} asks for {volume:g} lots at once"


def converged(end: Ending) -> Iterator[str]:
    """I16: no outcome is open any more but what a person must settle, and we hold what the record says."""
    for row in end.orders:
        if row["status"] == "PENDING" and "a person must look at the account" in end.excuses:
            continue  # nothing goes on before that, and nothing was sent
        if row["status"] in OPEN and "no trader may begin" in end.excuses:
            continue  # nobody could ask the broker
        if row["status"] in OPEN:
            yield f"{row['kind']} {row['client_order_id']} is still {row['status']}: {row['message']}"
        elif (
            row["status"] in ("PLACED", "PARTIALLY_FILLED")
            and row["mt5_order_id"] not in end.waiting
            and row["client_order_id"] not in end.taken_back
        ):
            yield f"{row['kind']} {row['client_order_id']} is {row['status']}, and does not wait at the broker"
    if end.restless:
        return
    yield from _unaccounted(end)
    yield from _filled_by_deals(end)
    gone = {
        deal.position_id for deal in end.deals if deal.type not in TRADES and deal.symbol
    }  # it may have been taken back after the last look
    held = {each.ticket: round(each.volume, 8) for each in end.held if each.identifier in end.tickets and each.identifier not in gone}
    on_hold = {ticket for ticket, cid in end.tickets.items() if end.status_of(cid) == "UNRESOLVED"} | end.orphans
    recorded = {row["ticket"]: round(row["volume"], 8) for row in end.positions if row["ticket"] not in gone}
    if end.netting:
        yield from _net(end, recorded) if not end.foreigners and not on_hold and not gone else ()
    elif not on_hold and held != recorded:
        yield f"the broker has {held}, the record {recorded}"


def _unaccounted(end: Ending) -> Iterator[str]:
    """What was accepted and is not known as such."""
    excused = end.taken_back | {end.tickets[ticket] for ticket in end.orphans | end.booked}
    for sent in end.sents:
        happened = sent.cid not in excused and any(arrival.retcode in ACCEPTED and arrival.deal for arrival in sent.arrivals)
        status = end.status_of(sent.cid)
        if happened and sent.kind in ("entry", "close") and status not in ("FILLED", "PARTIALLY_FILLED", "LATE_FILLED", "UNRESOLVED"):
            yield f"{sent.kind} {sent.cid} was filled, and is {status or 'unknown to the record'}"


def _filled_by_deals(end: Ending) -> Iterator[str]:
    """What is said to be filled, and is not, or not as far."""
    lots: dict[str, float] = defaultdict(float)
    for row in end.fills:
        # a deal without a key, that was put down before its order was known by its ticket, is told by that ticket
        cid = row["client_order_id"] or end.tickets.get(row["order_ticket"], "")
        lots[cid] += row["volume"] if row["side"] == end.side_of(cid) else 0.0
    for row in end.orders:
        if row["client_order_id"] in end.taken_back:
            continue
        told, deals = row["executed_volume"] or 0.0, lots[row["client_order_id"]]
        if row["status"] == "FILLED" and row["kind"] not in ("SLTP", "CANCEL") and (not deals or abs(told - deals) > EPSILON):
            yield f"{row['kind']} {row['client_order_id']} is filled with {told:g} lots, by its deals {deals:g}"


def _net(end: Ending, recorded: Mapping[int, float]) -> Iterator[str]:
    truth = round(sum(each.volume for each in end.held), 8)
    if abs(truth - round(sum(recorded.values()), 8)) > EPSILON:
        yield f"the net position has {truth:g} lots, the record {recorded}"


def kept_secret(end: Ending) -> Iterator[str]:
    """I17: the password is in nothing that was written."""
    yield from (f"the password is in {name}" for name in end.leaked)


def alive_to_the_end(end: Ending) -> Iterator[str]:
    """Liveness: the trader works when nothing goes wrong any more, and has looked at every bar."""
    if end.excuses:
        return
    if end.code != 0:
        yield f"the last run ended with {end.code}: {end.runs[-1]['end_reason'] if end.runs else 'it never began'}"
    newest = max((row["bar_epoch"] for row in end.bars), default=0)
    if newest < end.last_closed:
        yield f"the last bar that was decided is {(end.last_closed - newest) // BAR} bars old"


ENDING: Mapping[str, Callable[[Ending], Iterator[str]]] = {
    "I3": nothing_lost,
    "I4": lawful,
    "I5": decided_once,
    "I7": sized,
    "I16": converged,
    "I17": kept_secret,
    "liveness": alive_to_the_end,
}


def at_end(stage: "Stage", code: int) -> list[Breach]:
    """The breaches that are left when all has been calm."""
    end = ending_of(stage, code)
    return [Breach(name, sentence, stage.now) for name, question in ENDING.items() for sentence in question(end)]


def ending_of(stage: "Stage", code: int) -> Ending:
    """What is true at the end."""
    rows, faulty = stage.journal.rows, stage.faulty
    faulty.initialize()
    always = (86_400, 2**31 - 86_400)
    listed = (faulty.history_deals_get(*always), faulty.history_orders_get(*always), faulty.positions_get(), faulty.orders_get())
    deals, done, held, active = (found or () for found in listed)
    arrivals = [(sent.cid, arrival.order) for sent in stage.sents if sent.kind != "remove" for arrival in sent.arrivals]
    tickets = {stage.shown_ticket(order): cid for cid, order in arrivals if order}
    strange = rows("SELECT details FROM events WHERE event_type = 'ROLLBACK_DETECTED'")
    return Ending(
        orders=rows("SELECT * FROM orders ORDER BY id"),
        events=rows("SELECT * FROM order_events ORDER BY seq"),
        fills=rows("SELECT * FROM fills"),
        trades=rows("SELECT * FROM trades"),
        bars=rows("SELECT * FROM bars"),
        signals=rows("SELECT * FROM signals"),
        positions=rows("SELECT * FROM positions"),
        runs=rows("SELECT * FROM runs ORDER BY run_id"),
        broken_link=stage.journal.broken_link(first_broken_link),
        sents=stage.sents,
        tickets=tickets,
        deals=deals,
        held=held,
        waiting=frozenset(order.ticket for order in (*active, *done) if not order.time_done or order.time_done > stage.epoch - A_MOMENT),
        settled_until=stage.epoch - A_MOMENT,
        restless=bool(stage.terminal.book.deals.between(int(stage.epoch - A_MOMENT) + 1, 2**31)),  # whether it is shown yet or not
        netting=stage.case.world.netting,
        foreigners=stage.has_foreigners,
        last_closed=stage.last_closed(),
        excuses=stage.excuses(),
        code=code,
        limits=stage.config,
        strange=frozenset(deal for row in strange for deal in json.loads(row["details"]).get("deals", ())),
        step=0.01,
        leaked=stage.leaked(),
    )
