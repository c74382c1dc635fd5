"""Between the values of `Live.model` and the rows of the record."""

import json
import math
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from Live.model import BarId, ClientOrderId, Deal, Intent, Kind, Magic, Order, Position, Side, Slot, Status, Ticket, order_key

# Columns that are called as in `Live.model`, and hold the same.
DEAL_AS_IT_IS = "position_id symbol entry price profit commission swap fee reason magic comment epoch".split()
ORDER_AS_IT_IS = "attempts volume retcode message executed_price executed_volume".split()


def to_json(value: Any) -> str:
    """Canonical JSON; what JSON does not know is written as its text. NaN and infinity are written as null."""
    try:
        return _canonical(value)
    except (ValueError, TypeError):  # NaN, or keys of several types
        return json.dumps(_without_nan(value), sort_keys=True, default=_plain)


def storable(value: Any) -> Any:
    """Text without lone surrogates, which SQLite does not take; anything else as it is."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


def row_of_intent(intent: Intent, now: str) -> dict[str, Any]:
    """The columns of a new order."""
    bar = intent.bar
    return {
        "timestamp": now,
        "updated_at": now,
        "client_order_id": intent.order_id,
        "order_key": order_key(intent.order_id),
        "slot": str(bar.slot),
        "strategy_id": bar.slot.strategy_id,
        "magic": bar.slot.magic,
        "symbol": bar.symbol,
        "timeframe": bar.timeframe,
        "bar_time": bar.time.isoformat(),
        "bar_epoch": bar.epoch,
        "kind": intent.kind.value,
        "leg": intent.leg,
        "side": intent.side.value,
        "order_type": intent.order_type,
        "size": intent.size,
        "limit_price": intent.limit,
        "stop_price": intent.stop,
        "sl": intent.sl,
        "tp": intent.tp,
        "position_ticket": intent.position,
        "cancels": intent.cancels,
        "tag": None if intent.tag is None else to_json(intent.tag),
        "status": Status.PENDING.value,
    }


def row_of_deal(deal: Deal, slot: Slot, order_id: str | None) -> dict[str, Any]:
    """The columns of a fill."""
    return {name: getattr(deal, name) for name in DEAL_AS_IT_IS} | {
        "deal_ticket": deal.ticket,
        "timestamp": deal.time.isoformat(),
        "slot": str(slot),
        "order_ticket": deal.order,
        "client_order_id": order_id,
        "side": deal.side.value,
        "volume": deal.lots,
    }


def row_of_position(held: Position, slot: Slot, now: str) -> dict[str, Any]:
    """The columns of an open position."""
    return {
        "ticket": held.ticket,
        "updated_at": now,
        "slot": str(slot),
        "strategy_id": slot.strategy_id,
        "symbol": held.symbol,
        "side": held.side.value,
        "volume": held.lots,
        "entry_price": held.price_open,
        "entry_time": held.opened_at.isoformat(),
        "sl": held.sl,
        "tp": held.tp,
        "price_current": held.price_current,
        "profit": held.profit,
        "swap": held.swap,
    }


def deal_of(row: sqlite3.Row) -> Deal:
    """A row of `fills`."""
    return Deal(
        ticket=Ticket(row["deal_ticket"]),
        order=row["order_ticket"],
        side=Side(row["side"]),
        lots=row["volume"],
        time=datetime.fromisoformat(row["timestamp"]),
        **{name: row[name] for name in DEAL_AS_IT_IS},
    )


def order_of(row: Mapping[str, Any] | sqlite3.Row) -> Order:
    """A row of `orders`."""
    return Order(
        intent=_intent_of(row),
        status=Status(row["status"]),
        ticket=row["mt5_order_id"],
        request=None if row["request"] is None else json.loads(row["request"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        **{name: row[name] for name in ORDER_AS_IT_IS},
    )


def _intent_of(row: Mapping[str, Any] | sqlite3.Row) -> Intent:
    return Intent(
        order_id=ClientOrderId(row["client_order_id"]),
        bar=BarId(_slot_of(row), row["symbol"], row["timeframe"], row["bar_epoch"], datetime.fromisoformat(row["bar_time"])),
        kind=Kind(row["kind"]),
        leg=row["leg"],
        side=Side(row["side"]),
        size=row["size"],
        sl=row["sl"],
        tp=row["tp"],
        position=None if row["position_ticket"] is None else Ticket(row["position_ticket"]),
        tag=None if row["tag"] is None else json.loads(row["tag"]),
        limit=row["limit_price"],
        stop=row["stop_price"],
        cancels=None if row["cancels"] is None else ClientOrderId(row["cancels"]),
    )


def _slot_of(row: Mapping[str, Any] | sqlite3.Row) -> Slot:
    # login@server/strategy_id/magic, where the server's name may hold anything
    login, rest = row["slot"].split("@", 1)
    return Slot(int(login), rest.rsplit("/", 2)[0], row["strategy_id"], Magic(row["magic"]))


def _plain(value: Any) -> Any:
    """A number of numpy as a number, anything else as its text."""
    number = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else None
    return number if isinstance(number, int | float | str) else str(value)


_canonical = json.JSONEncoder(sort_keys=True, default=_plain, allow_nan=False).encode


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
