"""How the trader goes about it: what the protocol demands before a request leaves, and before an order is given up.

The other oracles look at what is true; these look at the order in which things were done. Each yields the number of its invariant
and a sentence.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.oracles import EPSILON, Breach, Sent
from tests.faults.stops import is_latched

if TYPE_CHECKING:
    from tests.faults.stage import Stage

Told = Iterator[tuple[str, str]]
LOOK, MARK, SEND = "look for the stop file", "SUBMITTED", "sent"
LISTS = ("orders_get", "history_orders_get", "history_deals_get", "positions_get")
READS = 3  # that agree, until something is absent
GRID = 1.5e-5  # of prices
CLOSING = ("EXIT", "PARTIAL", "FLATTEN")
NOT_DONE = ("FAILED", "DENIED", "EXPIRED", "CANCELLED")
_NEWEST = "SELECT deal_ticket FROM fills ORDER BY timestamp DESC, deal_ticket DESC LIMIT 1"


@dataclass(slots=True)
class Conduct:
    """What one trader has done, in order."""

    started: float
    last: Counter[str] = field(default_factory=Counter)  # the number of the newest of each
    returned: dict[str, float] = field(default_factory=dict)  # by order, when its newest call came back
    looks: list[float] = field(default_factory=list)  # at the history of orders, answered
    held: frozenset[int] = frozenset()  # positions of ours, at the turn before
    shown: frozenset[int] = frozenset()  # positions in every answer of this turn; in those of the turn before, when there was none
    _asked: bool = False  # whether there was one
    _count: int = 0

    def does(self, what: str) -> None:
        """Something is done now."""
        self._count += 1
        self.last[what] = self._count

    def sees(self, function: str, value: Any, now: float) -> None:
        """A question is answered, or is not."""
        if value is not None and function == "history_orders_get":
            self.looks.append(now)
        elif value is not None and function == "positions_get":
            tickets = frozenset(held.ticket for held in value)
            self.shown, self._asked = self.shown & tickets if self._asked else tickets, True

    def turned(self, held: frozenset[int]) -> frozenset[int]:
        """A turn is over. Returns the positions that are not held any more, although each answer has shown them."""
        forgotten = (self.held - held) & self.shown
        self.held, self._asked = held, False
        return forgotten

    def after(self, one: str, other: str) -> bool:
        """Whether the newest of one is newer than the newest of the other."""
        return self.last[one] > self.last[other]


def settle_seconds(stage: "Stage") -> float:
    """How long a connected terminal may take to show an order; where a dealer confirms each price, that is longer."""
    return 180.0 if stage.case.world.execution == 0 else 30.0


def at_send(stage: "Stage", sent: Sent) -> list[Breach]:
    """Ask everything about a request that is about to leave."""
    questions = (
        looked_at_the_switch,
        scanned,
        quoted,
        with_its_levels,
        near_its_open,
        no_more_than_is_open,
        after_the_quarantine,
        not_latched,
    )
    return [Breach(name, sentence, stage.now) for question in questions for name, sentence in question(stage, sent)]


def looked_at_the_switch(stage: "Stage", sent: Sent) -> Told:
    """The stop file is looked for between the mark and the send."""
    if not stage.conduct.after(LOOK, MARK):
        yield "I11", f"{sent.kind} leaves, and the stop file was not looked for since it was marked"


def scanned(stage: "Stage", sent: Sent) -> Told:
    """Before what must not be done twice all four lists are looked at, once the check has passed."""
    unseen = [name for name in LISTS if not stage.conduct.after(name, "order_check")]
    if sent.request["action"] in (1, 5) and unseen:
        yield "I1", f"{sent.kind} leaves, and {', '.join(unseen)} were not looked at before"


def quoted(stage: "Stage", sent: Sent) -> Told:
    """Each attempt has a quote of its own."""
    if sent.request["action"] == 1 and not stage.conduct.after("symbol_info_tick", SEND):
        yield "I15", f"{sent.kind} leaves on the quote of the attempt before"


def with_its_levels(stage: "Stage", sent: Sent) -> Told:
    """The levels that were decided travel in the request that opens; what was refused may come nearer, at no larger loss."""
    marked = stage.journal.submitted()
    if marked is None or not sent.adds_risk:
        return
    side = 1 if sent.request["type"] % 2 == 0 else -1
    for name, further in (("sl", -side), ("tp", side)):
        given, decided = sent.request.get(name) or 0.0, marked[name] or 0.0
        away = (given - decided) * further
        if bool(given) != bool(decided) or away > GRID or (marked["attempt"] == 1 and away < -GRID):
            yield "I15", f"{sent.kind} leaves with {name} {sent.request.get(name)}, decided was {marked[name]}"


def near_its_open(stage: "Stage", sent: Sent) -> Told:
    """An entry at market is not far from the open of the bar that it is sent in, as the trader was shown both."""
    marked, tick, rates = stage.journal.submitted(), stage.seen.get("symbol_info_tick"), stage.seen.get("copy_rates_from_pos")
    if marked is None or marked["kind"] != "ENTRY" or tick is None or rates is None or not len(rates):
        return
    opened, collar = float(rates["open"][-1]), stage.config.price_collar_pct
    if abs(tick.bid - opened) > opened * collar / 100:
        yield "I15", f"{sent.kind} leaves at {tick.bid}, its bar has opened at {opened}; PRICE_COLLAR_PCT is {collar:g}"


def no_more_than_is_open(stage: "Stage", sent: Sent) -> Told:
    """A close names its position, and asks for no more than the deals on record have left of it."""
    marked = stage.journal.submitted()
    if marked is None:
        return
    if marked["kind"] in CLOSING and sent.request["action"] == 1 and not sent.request.get("position"):
        yield "I10", f"{marked['kind']} leaves, and names no position: it would open another one"
    if sent.kind == "close" and sent.request["volume"] > _left(stage, marked["position_ticket"]) + EPSILON:
        yield "I7", f"close of {sent.request['volume']:g} lots leaves, and {_left(stage, marked['position_ticket']):g} are open"


def _left(stage: "Stage", position: int) -> float:
    sql = "SELECT total(CASE entry WHEN 'IN' THEN volume ELSE -volume END) AS lots, count(*) AS deals FROM fills WHERE position_id = ?"
    [row] = stage.journal.rows(sql, position)
    return row["lots"] if row["deals"] else math.inf  # a person has told the record to take it in, or it was there before


def after_the_quarantine(stage: "Stage", sent: Sent) -> Told:
    """What a trader before this one may have on its way is waited for before anything is opened."""
    runs = stage.now - stage.conduct.started
    if sent.adds_risk and runs < settle_seconds(stage) and not stage.clock_has_stepped:
        yield "I9", f"{sent.kind} leaves {runs:.0f} s after the start"


def not_latched(stage: "Stage", sent: Sent) -> Told:
    """Nothing is opened while a stop is on record that nobody has lifted, whatever has become of the file."""
    if sent.adds_risk and is_latched(stage):
        yield "I11", f"{sent.kind} leaves, and the stop is on record"


def at_move(stage: "Stage", order: str, status: str) -> list[Breach]:
    """Ask everything about a step of an order's life that is committed."""
    told = proved_absent(stage, order) if status == "ABSENT" else surely_not_done(stage, order, status)
    return [Breach(name, sentence, stage.now) for name, sentence in told]


def surely_not_done(stage: "Stage", order: str, status: str) -> Told:
    """What was filled is not put down as something that did not happen."""
    tickets = {each.order for sent in stage.sents if sent.cid == order and sent.kind != "remove" for each in sent.arrivals if each.order}
    filled = sorted({deal.order for deal in stage.terminal.book.deals.between(1, 2**31) if deal.order in tickets})
    if status in NOT_DONE and filled:
        yield "I4", f"order {order} is {status}, and the broker has filled it as {filled}"


def at_turn(stage: "Stage") -> list[Breach]:
    """I13: a position of ours that the terminal goes on to show is not forgotten, whatever was not answered."""
    trader = stage.trader
    if trader is None or stage.case.world.netting:
        return []
    held = frozenset(position.ticket for position in trader.state.positions)
    forgotten = stage.conduct.turned(held)
    return [Breach("I13", f"position {ticket} is forgotten, and the terminal shows it", stage.now) for ticket in sorted(forgotten)]


def proved_absent(stage: "Stage", order: str) -> Told:
    """Nothing is absent before the settle time is over, by several looks, at a history that is loaded."""
    conduct, seen = stage.conduct, stage.seen.get("history_deals_get")
    since = max(conduct.started, conduct.returned.get(order, 0.0))
    looks = sum(at >= since for at in conduct.looks)
    if stage.now - since < settle_seconds(stage) and not stage.clock_has_stepped:
        yield "I13", f"order {order} is absent after {stage.now - since:.0f} s"
    if looks < READS:
        yield "I13", f"order {order} is absent after {looks} looks"
    newest = stage.journal.rows(_NEWEST)
    if newest and newest[0]["deal_ticket"] not in {deal.ticket for deal in seen or ()}:
        yield "I13", f"order {order} is absent, and the history does not even show deal {newest[0]['deal_ticket']}"
