"""The vocabulary of `Live`: MetaTrader 5's words as frozen values, and the life of an order as one table."""

import enum
import hashlib
import json
import math
import re
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

Ticket = NewType("Ticket", int)
Magic = NewType("Magic", int)
ClientOrderId = NewType("ClientOrderId", str)


class Side(enum.Enum):
    """The direction of an order, deal or position."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The side that closes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class Kind(enum.Enum):
    """What an order is for. ENTRY and PENDING add risk; all others take it away or limit it."""

    ENTRY = "ENTRY"  # at market
    PENDING = "PENDING"  # an entry that waits at the server for its price
    CANCEL = "CANCEL"  # takes such an order away
    EXIT = "EXIT"  # closes all of a position
    PARTIAL = "PARTIAL"  # closes a part
    SLTP = "SLTP"  # sets stop loss and take profit
    FLATTEN = "FLATTEN"  # closes a position at the kill switch


class Status(enum.Enum):
    """Where an order stands."""

    PENDING = "PENDING"  # the intent is on record, nothing was sent
    SUBMITTED = "SUBMITTED"  # being sent
    PLACED = "PLACED"  # acknowledged, not filled yet
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"  # the broker refused it
    DENIED = "DENIED"  # our own rules refused it
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"  # it may have happened
    ABSENT = "ABSENT"  # proved not to have happened
    LATE_FILLED = "LATE_FILLED"
    UNRESOLVED = "UNRESOLVED"  # a person must look


_S = Status
# What is over is left for late evidence only. SUBMITTED to SUBMITTED is a new attempt, after a proved refusal; PARTIALLY_FILLED
# and LATE_FILLED to themselves are one more part.
MOVES: dict[Status, frozenset[Status]] = {
    _S.PENDING: frozenset({_S.SUBMITTED, _S.DENIED, _S.FAILED, _S.EXPIRED, _S.CANCELLED, _S.UNKNOWN}),
    _S.SUBMITTED: frozenset(
        {_S.SUBMITTED, _S.PLACED, _S.PARTIALLY_FILLED, _S.FILLED, _S.FAILED, _S.DENIED, _S.EXPIRED, _S.CANCELLED, _S.UNKNOWN}
    ),
    _S.PLACED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.FAILED, _S.UNKNOWN, _S.UNRESOLVED}),
    _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.UNRESOLVED}),
    _S.UNKNOWN: frozenset({_S.PLACED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.FAILED, _S.EXPIRED, _S.ABSENT, _S.UNRESOLVED}),
    _S.UNRESOLVED: frozenset({_S.FILLED, _S.ABSENT, _S.CANCELLED}),
    **dict.fromkeys((_S.FAILED, _S.ABSENT, _S.DENIED, _S.EXPIRED, _S.CANCELLED, _S.FILLED, _S.LATE_FILLED), frozenset({_S.LATE_FILLED})),
}
OVER = frozenset(status for status, moves in MOVES.items() if moves <= {_S.LATE_FILLED})
AGAIN = "+"  # behind the leg of an order that is decided a second time
UNSETTLED = frozenset({_S.SUBMITTED, _S.UNKNOWN, _S.UNRESOLVED})  # it may have happened: no new risk on this symbol


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """What the broker allows on one symbol. Source: `MetaTrader5.symbol_info`."""

    name: str
    digits: int  # decimals of a price
    point: float  # one price step, 10**-digits
    tick_size: float  # the grid of prices; 0.0: none
    contract_size: float  # units in one lot
    lot_min: float
    lot_step: float
    lot_max: float
    stops_level: int  # points between the market and a stop
    filling_mode: int  # bits: 1 FOK, 2 IOC
    execution: int  # 0 request, 1 instant, 2 market, 3 exchange
    profit_currency: str
    trade_mode: int = 4  # 0 disabled, 1 long only, 2 short only, 3 close only, 4 full

    def __post_init__(self) -> None:
        if not 0 < self.lot_step <= self.lot_min <= self.lot_max or not self.contract_size > 0:
            raise ValueError(f"{self.name}: want 0 < volume_step <= volume_min <= volume_max and a contract size, have {self}")

    def tradable_lots(self, wanted: float) -> float:
        """Round down to the broker's grid of lots; 0.0 means too small: do not trade.

        >>> SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD").tradable_lots(0.0299)
        0.02
        """
        if not wanted > 0 or not math.isfinite(wanted):
            return 0.0
        steps = min(wanted, self.lot_max) / self.lot_step
        # 0.3 / 0.1 is 2.9999999999999996: the noise of a division, which grows with its result, is not a smaller order
        lots = round(math.floor(steps + max(1e-9, steps * 1e-14)) * self.lot_step, 8)
        return lots if lots >= self.lot_min else 0.0

    def on_grid(self, price: float) -> float:
        """The nearest price that the broker accepts."""
        return round(round(price / self.tick_size) * self.tick_size, self.digits) if self.tick_size else price

    def closed_to(self, side: Side) -> str:
        """Why no position may be opened on this side; "" when one may."""
        words = {0: "trading", 3: "opening"} | ({1: "selling"} if side is Side.SELL else {2: "buying"})
        return f"{words[self.trade_mode]} {self.name} is not allowed by the broker" if self.trade_mode in words else ""

    @property
    def settle_seconds(self) -> float:
        """A connected terminal must have shown an order within this; where a dealer confirms each price, that takes longer."""
        return 180.0 if self.execution == 0 else 30.0

    def units(self, lots: float) -> float:
        """Units in so many lots, without the binary noise of 0.09321 * 100000."""
        return float(f"{lots * self.contract_size:.14g}")


@dataclass(frozen=True, slots=True)
class Quote:
    """One bid-ask update; `epoch` is the server's clock in seconds."""

    bid: float
    ask: float
    epoch: float

    def price_for(self, side: Side) -> float:
        """Buys pay the ask, sells get the bid."""
        return self.ask if side is Side.BUY else self.bid

    def is_sane(self) -> bool:
        """Both sides finite and positive, and not crossed."""
        return math.isfinite(self.bid) and math.isfinite(self.ask) and 0 < self.bid <= self.ask


@dataclass(frozen=True, slots=True)
class AccountState:
    """Money of the whole account, in its currency. Source: `MetaTrader5.account_info`."""

    login: int
    server: str
    trade_mode: int  # 0 demo, 1 contest, 2 real
    margin_mode: int  # 0 netting, 1 exchange, 2 hedging
    leverage: int
    currency: str
    balance: float
    credit: float
    equity: float
    margin: float
    margin_free: float
    profit: float
    trade_allowed: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Open exposure, as the terminal shows it."""

    ticket: Ticket
    identifier: int
    symbol: str
    side: Side
    lots: float
    price_open: float
    opened_at: datetime
    epoch: int  # opened, on the server's clock
    sl: float | None
    tp: float | None
    price_current: float
    profit: float
    swap: float
    magic: Magic
    comment: str


@dataclass(frozen=True, slots=True)
class Deal:
    """One execution, never edited. Money in account currency; commission and fee negative when they cost."""

    ticket: Ticket
    order: int
    position_id: int
    symbol: str
    side: Side
    entry: str  # IN, OUT, INOUT, OUT_BY
    lots: float
    price: float
    profit: float
    commission: float
    swap: float
    fee: float
    reason: int  # DEAL_REASON_*
    magic: Magic
    comment: str
    time: datetime
    epoch: int  # the server's clock, seconds

    @property
    def money(self) -> float:
        """What the deal did to the balance."""
        return self.profit + self.commission + self.swap + self.fee


@dataclass(frozen=True, slots=True)
class Slot:
    """Who trades: one strategy with its magic number on one account."""

    login: int
    server: str
    strategy_id: str
    magic: Magic

    def __str__(self) -> str:
        return f"{self.login}@{self.server}/{self.strategy_id}/{self.magic}"


@dataclass(frozen=True, slots=True)
class BarId:
    """The bar that a decision was made on, and who made it."""

    slot: Slot
    symbol: str
    timeframe: str  # MetaTrader's name, H1
    epoch: int  # its open on the server's clock, seconds
    time: datetime  # the same, UTC


def client_order_id(bar: BarId, kind: Kind, leg: str) -> ClientOrderId:
    """The name of one decision, today and after a crash: 32 characters A-Z2-7.

    Made from what was decided, never from price, size, time of day or chance: the same decision has the same id.
    """
    slot = bar.slot
    fact = json.dumps([1, slot.login, slot.server, slot.strategy_id, slot.magic, bar.symbol, bar.timeframe, bar.epoch, kind.value, leg])
    return ClientOrderId(b32encode(hashlib.sha256(fact.encode()).digest()[:20]).decode())


def order_key(order_id: str) -> str:
    """The 13 characters of an order's id that travel as its comment.

    Servers may cut comments to 16 characters. An id that somebody else made is hashed first.

    >>> order_key("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    'qABCDEFGHIJKL'
    """
    ours = re.fullmatch("[A-Z2-7]{32}", order_id)
    return "q" + (order_id if ours else b32encode(hashlib.sha256(order_id.encode()).digest()).decode())[:12]


def keys_in(comment: str) -> list[str]:
    """What may be an order's key, or the first part of one, in a comment that a server has cut, or put words around.

    >>> keys_in("#7 QABCDEFGHIJKL"), keys_in("qABCDEFG"), keys_in("[sl 1.2]")
    (['qABCDEFGHIJKL'], ['qABCDEFG'], [])
    """
    return ["q" + found[1:] for found in re.findall("Q[A-Z2-7]{7,12}", comment.upper())]


@dataclass(frozen=True, slots=True)
class Intent:
    """An order on record before anything is sent: what was decided, not yet how much it is in lots."""

    order_id: ClientOrderId
    bar: BarId
    kind: Kind
    leg: str
    side: Side
    size: float | None = None  # units, or a fraction of the equity, as the strategy gave it
    sl: float | None = None
    tp: float | None = None
    position: Ticket | None = None
    tag: object = None
    limit: float | None = None  # of PENDING: the worst price at which it may fill
    stop: float | None = None  # of PENDING: the price that must be reached first
    cancels: ClientOrderId | None = None  # of CANCEL: the order that is taken away

    @property
    def is_entry(self) -> bool:
        """Whether it adds risk."""
        return self.kind in (Kind.ENTRY, Kind.PENDING)

    @property
    def order_type(self) -> str:
        """MARKET, LIMIT, STOP or STOP_LIMIT."""
        waits_for = [name for name, price in (("STOP", self.stop), ("LIMIT", self.limit)) if price is not None]
        return "_".join(waits_for) or "MARKET"

    @property
    def number(self) -> int:
        """The decision's ordinal among those of its bar, also where it was decided again, or belongs to another one."""
        return int(self.leg.rstrip(AGAIN).split(".")[0])

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.bar.symbol


@dataclass(frozen=True, slots=True)
class Order:
    """An intent and what has become of it: a row of `orders`."""

    intent: Intent
    status: Status
    attempts: int
    volume: float | None
    retcode: int | None
    message: str | None
    ticket: int | None  # MetaTrader's order
    executed_price: float | None
    executed_volume: float | None
    request: dict[str, object] | None
    updated_at: datetime
