"""What we believe beside what the terminal shows (pure): where they agree, what settles itself, what needs a person."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from Live.model import Magic, Order, Position, Status, order_key
from Live.mt5_connector.shown import Shown
from Live.order_executor.evidence import by_key, by_tickets, conclusion

EPSILON = 1e-9  # lots
SETTLED_BY_ITSELF = "the next start settles it"
COMMAND = "python -m Live reconcile"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, as each side has it; `difference` is empty where they agree."""

    what: str  # position, order, hold
    name: str  # ticket, key, or the hold's name
    symbol: str
    ours: str
    theirs: str
    difference: str = ""
    remedy: str = ""
    needs_person: bool = False


@dataclass(frozen=True, slots=True)
class Believed:
    """What the record says."""

    magic: Magic
    positions: Sequence[Mapping[str, Any]]
    orders: Sequence[Order]
    holds: Sequence[Mapping[str, Any]]  # name, symbol, sentence
    given_up: frozenset[int]  # tickets that a person has released
    opened: Callable[[int, str], bool]  # whether an order of the record has this ticket, or the key in this comment


def compare(believed: Believed, shown: Shown, *, netting: bool) -> list[Row]:
    """All that is open on either side, positions first."""
    positions = _nets(believed, shown) if netting else [*_ours(believed, shown), *_strangers(believed, shown)]
    orders = [_order(order, shown, netting=netting) for order in believed.orders]
    return [*positions, *orders, *_strange_orders(believed, shown), *map(_hold, believed.holds)]


def _ours(believed: Believed, shown: Shown) -> Iterable[Row]:
    there = {held.ticket: held for held in shown.positions}
    for row in believed.positions:
        held = there.get(row["ticket"])
        ours = f"{row['side']} {row['volume']:g}{_levels(row['sl'], row['tp'])}"
        if held is None:
            closed = any(deal.position_id == row["ticket"] and deal.entry != "IN" for deal in shown.deals)
            why = "closed since the trader last looked" if closed else "gone, and the terminal shows no deal that closed it"
            yield Row("position", str(row["ticket"]), row["symbol"], ours, "–", why, SETTLED_BY_ITSELF)
        else:
            theirs = _told(held)
            differs = "changed since the trader last looked" if ours != theirs else ""
            yield Row("position", str(held.ticket), held.symbol, ours, theirs, differs, SETTLED_BY_ITSELF if differs else "")


def _strangers(believed: Believed, shown: Shown) -> Iterable[Row]:
    known = {row["ticket"] for row in believed.positions}
    for held in shown.positions:
        if held.ticket in known or held.ticket in believed.given_up:
            continue
        if believed.opened(held.identifier, held.comment):
            yield Row("position", str(held.ticket), held.symbol, "–", _told(held), "opened by an order of ours", SETTLED_BY_ITSELF)
        elif held.magic == believed.magic:
            remedy = f"{COMMAND} adopt {held.ticket}, or release {held.ticket}"
            why = "carries our MAGIC_NUMBER, and this record did not open it"
            yield Row("position", str(held.ticket), held.symbol, "–", _told(held), why, remedy, needs_person=True)


def _nets(believed: Believed, shown: Shown) -> Iterable[Row]:
    ours: dict[str, float] = {}
    for row in believed.positions:
        ours[row["symbol"]] = ours.get(row["symbol"], 0.0) + row["volume"] * (1 if row["side"] == "BUY" else -1)
    nets = {held.symbol: held for held in shown.positions if held.symbol in ours or held.magic == believed.magic}
    for symbol in sorted({*ours, *nets}):
        net = nets.get(symbol)
        lots = 0.0 if net is None else net.lots * net.side.sign
        differs = "the net position is not what our trades make" if abs(lots - ours.get(symbol, 0.0)) > EPSILON else ""
        name = "–" if net is None else str(net.ticket)
        yield Row("net position", name, symbol, f"{ours.get(symbol, 0.0):+g}", f"{lots:+g}", differs, SETTLED_BY_ITSELF if differs else "")


def _order(order: Order, shown: Shown, *, netting: bool) -> Row:
    intent, key = order.intent, order_key(order.intent.order_id)
    ours = f"{intent.kind.value} {intent.side.value} {order.volume or 0:g} {order.status.value}"
    evidence = by_key(shown, intent, netting=netting)
    if not evidence.tickets and order.ticket:
        evidence = by_tickets(shown, {order.ticket})
    found = conclusion(evidence, order.volume)
    theirs = "nothing" if found is None else f"{found.status.value} {evidence.lots:g}"
    if order.status is Status.UNRESOLVED:
        remedy = f"{COMMAND} resolve {key} --as filled --ticket N, or --as absent"
        return Row("order", key, intent.symbol, ours, theirs, order.message or "a person must look", remedy, needs_person=True)
    agrees = found is not None and found.status is order.status
    return Row("order", key, intent.symbol, ours, theirs, "" if agrees else "its outcome is open", "" if agrees else SETTLED_BY_ITSELF)


def _strange_orders(believed: Believed, shown: Shown) -> Iterable[Row]:
    for order in shown.orders:
        ours = order.magic == believed.magic and order.active and order.ticket not in believed.given_up
        if ours and not believed.opened(order.ticket, order.comment):
            why = "waits with our MAGIC_NUMBER, and is not of this record"
            remedy = f"remove it in the terminal, or {COMMAND} release {order.ticket}"
            yield Row("order", str(order.ticket), order.symbol, "–", f"{order.side.value} {order.lots:g}", why, remedy, needs_person=True)


def _hold(hold: Mapping[str, Any]) -> Row:
    remedy = f'{COMMAND} release "{hold["name"]}"'
    return Row("hold", hold["name"], hold["symbol"] or "all", "no entries", "–", hold["sentence"], remedy, needs_person=True)


def _told(held: Position) -> str:
    return f"{held.side.value} {held.lots:g}{_levels(held.sl, held.tp)}"


def _levels(sl: float | None, tp: float | None) -> str:
    return "".join(f" {name} {price:g}" for name, price in (("sl", sl), ("tp", tp)) if price is not None)
