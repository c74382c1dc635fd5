"""What a terminal shows, as frozen values: MetaTrader's rows go in, aware times and typed numbers come out (pure)."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, TypeVar

from Live.model import AccountState, Deal, Magic, Position, Side, SymbolSpec, Ticket

T = TypeVar("T")
ToUtc = Callable[[float], datetime]
KEPT = 10_000  # rows of orders and deals whose values are kept: each order looks at all that were made lately
MOST_POSITIONS = 1_000  # that are kept: each is another one with every tick
MOST_LISTS = 8  # that are kept, by what was asked for
ENTRY_NAMES = {0: "IN", 1: "OUT", 2: "INOUT", 3: "OUT_BY"}


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as the terminal shows it, still active or finished."""

    ticket: int
    symbol: str
    side: Side
    lots: float  # asked for
    lots_left: float  # not filled
    active: bool
    state: int  # ORDER_STATE_*
    reason: int  # ORDER_REASON_*; 3 is a program
    position_id: int
    magic: Magic
    comment: str
    kind: int = 0  # ORDER_TYPE_*
    sl: float = 0.0  # as it was asked for, 0.0: none
    tp: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """All four lists of the terminal: active and finished orders, deals, positions."""

    orders: tuple[ShownOrder, ...]
    deals: tuple[Deal, ...]
    positions: tuple[Position, ...]


@lru_cache(KEPT, typed=True)
def order_of(row: Any, *, active: bool) -> ShownOrder:
    """A row of orders_get (`active`) or history_orders_get."""
    return ShownOrder(
        ticket=int(row.ticket),
        symbol=row.symbol,
        side=_side(row.type % 2),  # even numbers buy, whatever the kind of order
        lots=row.volume_initial,
        lots_left=row.volume_current,
        active=active,
        state=int(row.state),
        reason=int(row.reason),
        position_id=int(row.position_id),
        magic=Magic(int(row.magic)),
        comment=row.comment,
        kind=int(row.type),
        sl=row.sl,
        tp=row.tp,
    )


class Kept:
    """What was made of lists that mostly become longer: rows that were there the last time are not looked at again."""

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[Any, tuple[Any, ...]]] = {}  # rows and what was made of them

    def made(self, name: Hashable, rows: Any, make: Callable[[Any], Iterable[T]]) -> tuple[T, ...]:
        """What `make` makes of the rows, one by one; `name` is what was asked for."""
        before, known = self._last.pop(name, ((), ()))
        begins_alike = rows[: len(before)] == before
        made = (*known, *make(rows[len(before) :])) if begins_alike else tuple(make(rows))
        if len(self._last) >= MOST_LISTS:
            del self._last[next(iter(self._last))]
        self._last[name] = rows, made
        return made


def positions_of(rows: Any, utc: ToUtc) -> list[Position]:
    """Rows of positions_get."""
    at = cache(utc)
    return [_position_of(row, at(row.time)) for row in rows]


@lru_cache(MOST_POSITIONS, typed=True)
def _position_of(row: Any, opened_at: datetime) -> Position:
    return Position(
        ticket=Ticket(int(row.ticket)),
        identifier=int(row.identifier),
        symbol=row.symbol,
        side=_side(row.type),
        lots=row.volume,
        price_open=row.price_open,
        opened_at=opened_at,
        epoch=int(row.time),
        sl=row.sl or None,
        tp=row.tp or None,
        price_current=row.price_current,
        profit=row.profit,
        swap=row.swap,
        magic=Magic(int(row.magic)),
        comment=row.comment,
    )


def deals_of(rows: Any, utc: ToUtc) -> tuple[Deal, ...]:
    """Rows of history_deals_get; money that only came or went is left out."""
    at = cache(utc)  # those of one bar have one time
    return tuple(_deal_of(row, at(row.time)) for row in rows if row.type in (0, 1))


def money_moved(rows: Any, after: int) -> float:
    """What came to the account, or went, after a moment (server seconds) without being traded: deposits, credits, bonuses."""
    return float(sum(row.profit for row in rows if row.type in (2, 3, 6) and row.time > after))  # DEAL_TYPE_BALANCE, _CREDIT, _BONUS


def taken_back(rows: Any) -> frozenset[int]:
    """The deals that the broker has cancelled afterwards."""
    return frozenset(int(row.ticket) for row in rows if row.type in (13, 14))  # DEAL_TYPE_BUY_CANCELED, _SELL_CANCELED


@lru_cache(KEPT, typed=True)
def _deal_of(row: Any, time: datetime) -> Deal:
    return Deal(
        ticket=Ticket(int(row.ticket)),
        order=int(row.order),
        position_id=int(row.position_id),
        symbol=row.symbol,
        side=_side(row.type),
        entry=ENTRY_NAMES[row.entry],
        lots=row.volume,
        price=row.price,
        profit=row.profit,
        commission=row.commission,
        swap=row.swap,
        fee=row.fee,
        reason=int(row.reason),
        magic=Magic(int(row.magic)),
        comment=row.comment,
        time=time,
        epoch=int(row.time),
    )


def account_of(info: Any) -> AccountState:
    """account_info's answer."""
    return AccountState(
        login=int(info.login),
        server=info.server,
        trade_mode=int(info.trade_mode),
        margin_mode=int(info.margin_mode),
        leverage=int(info.leverage),
        currency=info.currency,
        balance=info.balance,
        credit=info.credit,
        equity=info.equity,
        margin=info.margin,
        margin_free=info.margin_free,
        profit=info.profit,
        trade_allowed=bool(info.trade_allowed and info.trade_expert),
    )


def spec_of(info: Any) -> SymbolSpec:
    """symbol_info's answer. Raises ValueError for figures that make no sense."""
    return SymbolSpec(
        name=info.name,
        digits=info.digits,
        point=info.point,
        tick_size=info.trade_tick_size,
        contract_size=info.trade_contract_size,
        lot_min=info.volume_min,
        lot_step=info.volume_step,
        lot_max=info.volume_max,
        stops_level=info.trade_stops_level,
        filling_mode=info.filling_mode,
        execution=info.trade_exemode,
        profit_currency=info.currency_profit,
        trade_mode=int(info.trade_mode),
    )


def _side(kind: int) -> Side:
    return Side.BUY if kind == 0 else Side.SELL
