"""How near things are: limits, the worst that can happen to the positions, the next bar (pure)."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from Backtest.bars import TIMEFRAMES
from Live.audit_logger.reader import Row

CENTS = 8


def gauge_of(said: object) -> dict[str, object] | None:
    """One limit as a gauge; None for what is none.

    >>> gauge_of({"rule": "MAX_POSITIONS", "measured": 2, "limit": 8})
    {'rule': 'MAX_POSITIONS', 'measured': 2, 'limit': 8, 'left': 6, 'used': 25.0}
    """
    if not isinstance(said, dict):
        return None
    measured, limit = said.get("measured"), said.get("limit")
    if not isinstance(measured, int | float) or not isinstance(limit, int | float) or not math.isfinite(measured - limit):
        return None
    left = max(0, round(limit - measured, CENTS))
    used = 100.0 if limit <= 0 else max(0.0, min(100.0, 100 * measured / limit))
    symbol = {"symbol": said["symbol"]} if "symbol" in said else {}
    return {"rule": said.get("rule"), **symbol, "measured": measured, "limit": limit, "left": left, "used": round(used, 2)}


def worst_loss(held: Iterable[Row], equity: object) -> dict[str, object]:
    """What becomes of the equity if every stop loss that lies at the server is hit now, and what has none.

    Slippage and gaps come on top; the swap stays what it is.
    """
    held = list(held)
    unprotected = [row for row in held if row["sl"] is None]
    known = [row for row in held if row["sl"] is not None and _is_number(row["profit_at_stop"]) and _is_number(row["profit"])]
    change = math.fsum(float(str(row["profit_at_stop"])) - float(str(row["profit"])) for row in known)
    after = float(str(equity)) + change if _is_number(equity) else None
    percent = 100 * change / float(str(equity)) if _is_number(equity) and equity else None
    return {
        "positions": len(held),
        "change": round(change, CENTS),
        "equity": None if after is None else round(after, CENTS),
        "percent": percent,
        "unprotected": len(unprotected),
        "unknown": len(held) - len(unprotected) - len(known),
    }


def last_bar(row: Row) -> dict[str, object]:
    """The last decided bar of a symbol, and when the next one is due to close (UTC); null where that cannot be told."""
    bar = {name: row[name] for name in ("symbol", "timeframe", "bar_time")}
    frame, epoch, opened = TIMEFRAMES.get(str(row["timeframe"])), row["bar_epoch"], _time(row["bar_time"])
    if frame is None or opened is None or not isinstance(epoch, int) or not 0 < epoch < 2**40:
        return {**bar, "next_close": None}
    behind = epoch - int(opened.timestamp())  # the server's clock is so far ahead of UTC
    due = frame.next_open(frame.next_open(epoch)) - behind
    return {**bar, "next_close": datetime.fromtimestamp(due, UTC).isoformat()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
