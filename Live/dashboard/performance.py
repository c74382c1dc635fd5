"""What backtesting.py would say of the trades that were made live, and how orders were carried out."""

import statistics as numbers
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from Backtest.bars import timeframe
from Backtest.session.reporting import statistics
from Live.audit_logger.newest import NewestSession
from Live.audit_logger.reader import Row
from Live.outcomes import RETCODES
from Live.session_account import equity_at_closes, frame_of_rows, trades_frame, worth_of_positions

FEWEST_BARS = 2
PERCENTILES = (0.5, 0.95, 1.0)


def live_statistics(record: NewestSession) -> list[dict[str, Any]]:
    """The statistics of each symbol and timeframe of the newest session, over its newest bars; no code of the strategy is run."""
    return [found for chart in record.newest_charts() if (found := _chart(record, *chart)) is not None]


def _chart(record: NewestSession, symbol: str, steps: str) -> dict[str, Any] | None:
    part = record.part(symbol, steps)
    if len(part.bars) < FEWEST_BARS:
        return None
    first, end = _whole(part.bars[0]["bar_epoch"]), timeframe(steps).next_open(_whole(part.bars[-1]["bar_epoch"]))
    fills = [fill for fill in part.fills if _whole(fill["epoch"]) < end]
    trades = [trade for trade in part.trades if first <= _whole(trade["exit_epoch"]) < end]
    frame = frame_of_rows(part.bars)
    equity = equity_at_closes(fills, part.bars, part.balance, worth_of_positions(part.trades, part.positions))
    stats = statistics(frame, trades_frame(trades, pd.DatetimeIndex(frame.index)), equity)
    plain = {str(name): _plain(value) for name, value in stats.items() if not str(name).startswith("_")}
    return {"symbol": symbol, "timeframe": steps, "bars": len(part.bars), "all_bars": part.whole, "stats": plain}


def slippage(orders: Iterable[Row]) -> list[dict[str, Any]]:
    """By symbol, how much worse than asked for market orders were filled, in price; negative is better."""
    found: dict[str, list[float]] = defaultdict(list)
    for order in orders:
        asked, got = order["price"], order["executed_price"]
        if order["order_type"] == "MARKET" and isinstance(asked, int | float) and isinstance(got, int | float) and asked > 0:
            found[str(order["symbol"])].append((got - asked) * (1 if order["side"] == "BUY" else -1))
    return [{"symbol": symbol, "orders": len(worse), **_spread(worse)} for symbol, worse in sorted(found.items())]


def latency(times: Iterable[Row]) -> dict[str, Any]:
    """From the send to the next thing on record about the order, in milliseconds."""
    waits = [wait for row in times if (wait := _milliseconds(row)) is not None]
    if not waits:
        return {"sends": 0, "median": None, "p95": None, "worst": None}
    middle, high, worst = (round(float(np.quantile(waits, share)), 1) for share in PERCENTILES)
    return {"sends": len(waits), "median": middle, "p95": high, "worst": worst}


def refusals(orders: Iterable[Row]) -> list[dict[str, Any]]:
    """The broker's refusals by code, the most frequent first."""
    codes = Counter(row["retcode"] for row in orders if row["status"] == "FAILED")
    return [{"retcode": code, "name": _name(code), "orders": count} for code, count in codes.most_common(50)]


def outcomes(orders: Iterable[Row]) -> list[dict[str, Any]]:
    """How orders ended, the most frequent first."""
    return [{"status": status, "orders": count} for status, count in Counter(row["status"] for row in orders).most_common()]


def _name(code: object) -> str:
    return RETCODES[code][0] if isinstance(code, int) and code in RETCODES else "no answer" if code is None else "not documented"


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": round(numbers.fmean(values), 8), "median": round(numbers.median(values), 8), "worst": round(max(values), 8)}


def _milliseconds(row: Row) -> float | None:
    try:
        sent, answered = (datetime.fromisoformat(str(row[name])) for name in ("sent_at", "answered_at"))
    except ValueError:
        return None
    return (answered - sent).total_seconds() * 1000


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp | pd.Timedelta):
        return str(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return None if pd.isna(value) or np.isinf(value) else float(value)
