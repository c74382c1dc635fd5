"""`python -m Live reconcile`: what we believe beside what the terminal shows, and the ways to settle what needs a person.

A look changes nothing, and a trader may go on meanwhile. What settles something changes the record only, never the account:
each step is an event with who, when and why.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from Backtest.strategies import load_strategy
from Live.audit_logger import AuditLogger
from Live.audit_logger.belief import Belief
from Live.audit_logger.recorded import Session
from Live.care.reconciliation import Believed, Row, compare
from Live.config import LiveConfig
from Live.errors import Misconfigured, NeedsPerson, WrongAccount
from Live.holds import Holds
from Live.locks import hold_record
from Live.model import BarId, ClientOrderId, Intent, Kind, Magic, Order, Position, Slot, Status, keys_in
from Live.mt5_connector import MT5Connector, open_copy, open_terminal
from Live.mt5_connector.connector import WINDOW
from Live.order_executor.evidence import by_key, by_tickets, conclusion
from Live.state_manager import StateManager

# What a run was started with, whatever the settings say now: without these it is another account, or another trader.
_OF_THE_RUN = ("SYMBOLS", "TIMEFRAME", "MAGIC_NUMBER", "DRY_RUN", "ALLOW_REAL_ACCOUNT")
_OF_THE_REPLAY = ("SIM_BROKER", "SIM_BALANCE", "SIM_SPREAD_POINTS", "SIM_PRICES", "SIM_SYMBOLS", "SIM_ACCOUNT_DIR")
OWN_ACCOUNTS = ("simulated", "paper")
RESOLVABLE = (Status.UNRESOLVED, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Person:
    """Who settles something, and why."""

    name: str
    reason: str

    @property
    def facts(self) -> dict[str, str]:
        """For the record."""
        return {"by": self.name, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: FILLED or ABSENT, and which of the terminal's orders it is, where that must be told."""

    status: Status
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The session of a record that is looked at, and the terminal beside it."""

    config: LiveConfig
    session: Session
    slot: Slot
    connector: MT5Connector


@dataclass(frozen=True, slots=True)
class _Still:
    """The clock of an account that is only looked at: its market must not move, or it would show what has not happened yet."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Time stands still."""


def settings_of(session: Session) -> dict[str, object]:
    """The flags that bring the settings of a recorded run back, as far as they say what was traded."""
    kind = {"simulated": "simulated", "paper": None}.get(session.terminal, session.terminal)
    names = [*_OF_THE_RUN, *(_OF_THE_REPLAY if session.terminal in OWN_ACCOUNTS else ())]
    given = {name.lower(): session.settings.get(name) for name in names}
    return {**given, "strategy_id": session.strategy_id, "mt5_terminal": kind}


def session_of(config: LiveConfig, slot: str | None) -> Session:
    """The session that is looked at: the newest one, or that of a slot."""
    with Belief(config.audit_db_path) as record:
        return record.session(slot=slot)


@contextlib.contextmanager
def _at(config: LiveConfig, session: Session) -> Iterator[Place]:
    """The terminal as the session's runs had it; a simulated or paper account as a copy."""
    login, rest = session.slot.split("@", 1)
    slot = Slot(int(login), rest.rsplit("/", 2)[0], session.strategy_id, Magic(int(rest.rsplit("/", 1)[1])))
    strategy = load_strategy(f"{session.strategy_file}:{session.strategy_class}")
    with contextlib.ExitStack() as resources:
        own = session.terminal in OWN_ACCOUNTS
        opened = open_copy(config, strategy, slot.login, resources) if own else open_terminal(config, strategy, session.params, resources)
        kinds = {"simulated": opened.name == "simulated", "paper": opened.name == "paper"}
        clock = _Still(opened.clock.now()) if own else opened.clock
        connector = MT5Connector(config, opened.functions, clock, **kinds)
        connector.connect()
        resources.callback(connector.shutdown)
        account = connector.account()
        if (account.login, account.server) != (slot.login, slot.server):
            raise WrongAccount(
                f"the terminal is logged in to account {account.login} at {account.server}, the record's newest session is {slot}; "
                "name another one with --slot, or log in to that account"
            )
        yield Place(config, session, slot, connector)


# looking


def look(config: LiveConfig, session: Session, *, as_json: bool) -> int:
    """Print both sides; 5 where something needs a person, else 0."""
    with _at(config, session) as place:
        rows = _rows_of(place)
    if as_json:
        Console().print_json(
            json.dumps({"slot": session.slot, "needs_person": any(row.needs_person for row in rows), "rows": [*map(asdict, rows)]})
        )
    else:
        _print(session, rows)
    return NeedsPerson.exit_code if any(row.needs_person for row in rows) else 0


def _rows_of(place: Place) -> list[Row]:
    session, connector = place.session, place.connector
    with Belief(place.config.audit_db_path) as record:
        orders = record.open_orders(session)
        oldest = min((order.intent.bar.epoch for order in orders), default=connector.server_now())
        shown = connector.shown_since(min(oldest, connector.server_now()) - WINDOW)
        believed = Believed(
            magic=place.slot.magic,
            positions=record.held(session),
            orders=orders,
            holds=(record.saved(session, "holds") or {}).get("open", ()),
            given_up=frozenset(record.saved(session, "acknowledged") or ()),
            opened=lambda ticket, comment: record.opened(session, ticket, keys_in(comment)),
        )
        return compare(believed, shown, netting=connector.netting)


def _print(session: Session, rows: Sequence[Row]) -> None:
    out = Console(highlight=False, soft_wrap=not rows)
    table = Table(title=f"{session.slot}, {session.terminal}", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "what", "name", "symbol", "the record", "the terminal", "difference"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        mark = "[red]![/red]" if row.needs_person else "[yellow]~[/yellow]" if row.difference else "[green]=[/green]"
        table.add_row(mark, *(escape(text) for text in (row.what, row.name, row.symbol, row.ours, row.theirs, row.difference)))
    out.print(table if rows else f"{session.slot}: nothing is open, on either side", markup=bool(rows))
    for row in rows:
        if row.remedy:
            out.print(f"{row.name}: {row.remedy}", markup=False, soft_wrap=True)


# settling


@contextlib.contextmanager
def _settling(config: LiveConfig, session: Session, *, set_back: bool = False) -> Iterator[tuple[Place, AuditLogger]]:
    """The record for writing, which no trader may hold, beside the terminal. What is put down belongs to the session's newest run."""
    with contextlib.ExitStack() as resources:
        hold_record(resources, config.audit_db_path)
        place = resources.enter_context(_at(config, session))
        record = AuditLogger(config.audit_db_path, place.connector.clock, secrets=config.secrets, set_back=set_back)
        resources.callback(record.close)
        record.continue_run(session.run_id)
        yield place, record


def adopt(config: LiveConfig, session: Session, ticket: int | None, person: Person) -> str:
    """Make a position ours that this record did not open; without a `ticket`, take a record that was set back, with all such
    positions. Returns what was done.
    """
    with _settling(config, session, set_back=ticket is None) as (place, record):
        if place.connector.netting:
            raise Misconfigured(
                "on a netting account nobody can tell which part of a net position was ours: close it by hand, or release it"
            )
        state = StateManager(config, place.connector, record, place.slot)
        state.sync()
        ours = {held.ticket for held in state.positions}
        strange = [held for held in place.connector.positions() if held.ticket not in ours]
        wanted = strange if ticket is None else [held for held in strange if held.ticket == ticket]
        if ticket is not None and not wanted:
            raise Misconfigured(
                f"{ticket} is no position that could be adopted: "
                + ("this record has opened it" if ticket in ours else f"want one that carries MAGIC_NUMBER={place.slot.magic}, and is open")
            )
        for held in wanted:
            _adopt(place, record, held, person)
        state.sync()
        if ticket is None:
            record.accept_set_back()
            record.event(
                "RESTORED_ADOPTED",
                f"the record was taken as it is by {person.name}: {person.reason}",
                severity="WARNING",
                details=person.facts,
            )
        return f"adopted: {', '.join(str(held.ticket) for held in wanted) or 'no position'}"


def _adopt(place: Place, record: AuditLogger, held: Position, person: Person) -> None:
    """An order on record for each that has opened the position: with it, its deals are ours, and the next look takes them in."""
    deals = [deal for deal in place.connector.deals_of_position(held.identifier) if deal.entry == "IN"]
    for ticket in sorted({held.identifier, *(deal.order for deal in deals)}):
        bar = BarId(place.slot, held.symbol, str(place.session.settings.get("TIMEFRAME", "")), held.epoch, held.opened_at)
        order_id = ClientOrderId(f"adopted {place.slot.login} {ticket}")
        lots = round(sum(deal.lots for deal in deals if deal.order == ticket), 8) or held.lots
        text = f"adopted by {person.name}: {person.reason}"
        with record.transaction(durable=True):
            record.add_intent(Intent(order_id, bar, Kind.ENTRY, "0", held.side))
            record.move(order_id, Status.UNKNOWN, payload=person.facts | {"position": held.ticket}, message=text)
            columns = {"mt5_order_id": ticket, "volume": lots, "executed_volume": lots, "executed_price": held.price_open, "message": text}
            record.move(order_id, Status.FILLED, payload=person.facts | {"position": held.ticket}, **columns)
    text = f"position {held.ticket} on {held.symbol} is ours from now on: adopted by {person.name}: {person.reason}"
    record.event("POSITION_ADOPTED", text, severity="WARNING", details=person.facts | {"ticket": held.ticket, "lots": held.lots})


def release(config: LiveConfig, session: Session, name: str, person: Person) -> str:
    """Let go of a hold, or give a position or an order up: it is not ours, and keeps no entry back. Returns what was done."""
    with _settling(config, session) as (place, record):
        text = f"{name} was released by {person.name}: {person.reason}"
        if Holds(record, place.slot, place.connector.clock).release(name):
            record.event("RELEASED", text, severity="WARNING", details=person.facts | {"name": name})
            return text
        if not name.isdigit():
            raise Misconfigured(f"there is no hold {name!r}, and a ticket is a number; python -m Live reconcile shows what there is")
        ticket = int(name)
        deals = place.connector.deals_of_position(ticket)
        there = {held.ticket for held in place.connector.all_positions()} | {order.ticket for order in place.connector.active_orders()}
        if not deals and ticket not in there:
            raise Misconfigured(f"the terminal shows no position and no order {ticket}")
        key = f"acknowledged {place.slot}"
        known: Iterable[int] = record.state(key) or ()
        with record.transaction(durable=True):
            record.set_state(**{key: sorted({*known, ticket, *(deal.ticket for deal in deals)})})
            record.event("RELEASED", text, severity="WARNING", details=person.facts | {"ticket": ticket})
        return text


def resolve(config: LiveConfig, session: Session, name: str, outcome: Outcome, person: Person) -> str:
    """Say what became of an order of which nobody knows. Returns what was done."""
    with Belief(config.audit_db_path) as reader:
        order = reader.named(name)
    if order is None:
        raise Misconfigured(f"the record has no order {name}: want its client order id, its 13-character key, or the number of its row")
    if order.status not in RESOLVABLE:
        raise Misconfigured(f"order {name} is {order.status.value}; only one that is UNRESOLVED or UNKNOWN is for a person to resolve")
    with _settling(config, session) as (place, record):
        text = f"{outcome.status.value} by the word of {person.name}: {person.reason}"
        columns: Mapping[str, Any] = {} if outcome.status is Status.ABSENT else _fill_of(place, order, outcome.ticket)
        record.move(order.intent.order_id, outcome.status, payload=person.facts | {"ticket": outcome.ticket}, message=text, **columns)
        record.event("RESOLVED", f"order {order.intent.order_id}: {text}", severity="WARNING", details=person.facts)
        StateManager(config, place.connector, record, place.slot).sync()
        return f"order {order.intent.order_id}: {text}"


def _fill_of(place: Place, order: Order, ticket: int | None) -> dict[str, Any]:
    """The columns that an order gets with its fill, by what the terminal shows of it."""
    shown = place.connector.shown_since(order.intent.bar.epoch - WINDOW if ticket is None else 0)
    named = {ticket} if ticket is not None else ({order.ticket} if order.ticket else set())
    evidence = by_tickets(shown, named) if named else by_key(shown, order.intent, netting=place.connector.netting)
    if not order.intent.is_entry and not evidence.deals:
        return {}
    if len({deal.order for deal in evidence.deals}) != 1 or conclusion(evidence, None) is None:
        raise Misconfigured(
            f"which of the terminal's orders is it? Name the one with --ticket N: {ticket or 'without a ticket'} the terminal shows "
            f"{len(evidence.deals)} deals that could be its fill"
        )
    first = evidence.deals[0]
    if (first.symbol, first.side) != (order.intent.symbol, order.intent.side):
        raise Misconfigured(
            f"order {first.order} is {first.side.value} {first.symbol}, this one is {order.intent.side.value} {order.intent.symbol}"
        )
    return {
        "mt5_order_id": first.order,
        "mt5_deal_id": evidence.deals[-1].ticket,
        "executed_volume": evidence.lots,
        "executed_price": evidence.price,
    }
