"""What the JSON endpoints say. Each function answers from one sitting of the record and gives plain values."""

import dataclasses
import json
import math
from datetime import datetime

from Live.audit_logger.reader import AuditReader, Row, Run, RunCounts
from Live.dashboard.nearness import gauge_of, last_bar, worst_loss
from Live.kill_switch import KillSwitchFile
from Live.standing import Standing, day_of, kill_switch_of, trader_of, trading_of

Answer = dict[str, object]

EXACT = 2**53  # JavaScript's numbers are exact up to here; what is larger travels as text
CENTS = 8  # decimals: sums of money without the binary noise of 0.1 + 0.2
LONGEST_SHOWN = 500  # characters
DEEPEST_SHOWN = 8  # lists and objects in one another; ours are 4 deep
OWN_DEPTH = 60  # of pictures, which we make ourselves


def status(reader: AuditReader, now: datetime, kill_switch: KillSwitchFile) -> Answer:
    """`/api/status`: who trades what in which mode, and may it?

    `mode` (DRY, DEMO, REAL; null before the first run), `trading_enabled`, `reason` (one sentence), `kill_switch` {`active`,
    `enabled`, `file`}, `trader` {`state`: none, running, silent or stopped; `sentence`, `last_seen`, `age_seconds`,
    `silent_after_seconds`, `pid`}, `run` {`run_id`, `started_at`, `ended_at`, `exit_code`, `end_reason`, `terminal`, `server`,
    `account` (masked), `strategy_id`, `strategy_class`, `symbols`, `timeframe`} or null, `market_time`, `progress` {`bars`,
    `total`} or null, `unsettled_orders`, `stopped` {`since`, `reason`} while a stop is on record, `bars`: of each symbol the
    last decided one (`symbol`, `timeframe`, `bar_time`) and when the next is due to close (`next_close`). Times are UTC; those
    of the run and the market are virtual in a replay.
    """
    run, state = reader.latest_run(), reader.state()
    trader = trader_of(run, state.get("heartbeat"), now)
    stop = kill_switch_of(run, state.get("kill_switch"), kill_switch, held=state.get("stop"))
    enabled, reason = trading_of(trader, stop, state.get("trading"))
    return {
        "mode": run.mode if run else None,
        "trading_enabled": enabled,
        "reason": reason,
        "kill_switch": dataclasses.asdict(stop),
        "trader": {"state": trader.standing.value, **{k: v for k, v in dataclasses.asdict(trader).items() if k != "standing"}},
        "run": _run(run) if run else None,
        "market_time": state.get("market_time"),
        "progress": state.get("progress"),
        "unsettled_orders": reader.unsettled_orders(),
        "stopped": state.get("stop"),
        "bars": [last_bar(row) for row in reader.last_bars(run)] if run else [],
    }


def summary(reader: AuditReader) -> Answer:
    """`/api/summary`: how it goes. Money in `currency`, lots and counts of the latest run unless said otherwise.

    Orders: `total_orders` (sent), `executed`, `failed` (refused by the broker), `denied` (by our own rules, never sent),
    `success_rate` (percent of those sent; null before the first). The day, over all runs: `day`, `daily_trades` (closed),
    `daily_pnl` (their net profit), `daily_change` (equity against the day's opening equity, open positions included).
    Money: `initial_balance`, `balance`, `equity`, `margin`, `free_margin`, `profit` (equity against the initial balance),
    `open_positions`, `floating_profit`. The run: `bars`, `signals` (HOLD not counted), `positions_opened`, `positions_closed`,
    `trades`, `winning_trades`, `losing_trades`, `win_rate` (percent), `realized_profit`.
    """
    run = reader.latest_run()
    if run is None:
        return {}
    state, held = reader.state(), reader.positions(run)
    money = _money(reader, run, state.get("account"))
    return {
        **_counts(reader.run_counts(run.run_id)),
        **_day(reader, run, state),
        "daily_change": _difference(money["equity"], _of(state.get("day"), "opening_equity")),
        "initial_balance": run.initial_balance,
        **money,
        "profit": _difference(money["equity"], run.initial_balance),
        "open_positions": len(held),
        "floating_profit": _floating(held),
    }


def positions(reader: AuditReader) -> Answer:
    """`/api/positions`: `positions` with the columns of the table of that name, `count`, and their `profit` with swap."""
    run = reader.latest_run()
    held = reader.positions(run) if run else []
    return {"positions": held, "count": len(held), "profit": _floating(held)}


def limits(reader: AuditReader) -> Answer:
    """`/api/v1/limits`: how near each limit is, and what would be lost if nobody looked after the positions any more.

    `limits`: `rule`, `measured`, `limit`, `left`, `used` (percent), and `symbol` for those of one symbol, as the trader last
    measured them. `worst`: `change` (equity if every stop loss at the server is hit now), `equity` after it, `percent`,
    `unprotected` (positions without a stop loss), `unknown` (with one whose cost is not known), `positions`, `waiting_orders`.
    """
    run = reader.latest_run()
    if run is None:
        return {"limits": [], "worst": None}
    state = reader.state()
    said = state.get("limits")
    near = [gauge for row in (said if isinstance(said, list) else []) if (gauge := gauge_of(row)) is not None]
    equity = _money(reader, run, state.get("account"))["equity"]
    return {"limits": near, "worst": {**worst_loss(reader.positions(run), equity), "waiting_orders": reader.waiting_orders(run)}}


def settings(reader: AuditReader) -> Answer:
    """`/api/v1/settings`: what the newest run was started with: `settings` (secrets are ***), `versions`, `params`, `strategy`."""
    run = reader.latest_run()
    if run is None:
        return {"run_id": None, "settings": {}, "versions": {}, "params": {}, "strategy": {}}
    strategy = {"id": run.strategy_id, "class": run.strategy_class, **reader.made_of(run.run_id)}
    return {"run_id": run.run_id, "settings": run.settings, "strategy": strategy, **reader.started_with(run.run_id)}


def recent_orders(reader: AuditReader) -> Answer:
    """`/api/recent_orders`: `orders`, the newest 50 of this strategy on this account, newest first; columns as in that table."""
    run = reader.latest_run()
    return {"orders": reader.recent_orders(run) if run else []}


def recent_signals(reader: AuditReader, *, hold: bool) -> Answer:
    """`/api/recent_signals`: `signals`, the newest 50 of this strategy on this account, newest first; columns as in that table.

    With `order_status`; `reason` says why a signal did not become an order. `?hold=false` leaves out HOLD. All three lists
    look back over the record's last 5,000 rows of their kind.
    """
    run = reader.latest_run()
    return {"signals": reader.recent_signals(run, hold=hold) if run else []}


def recent_trades(reader: AuditReader) -> Answer:
    """`/api/recent_trades`: `trades`, the last 50 closed by this strategy on this account, newest first; columns as in that table."""
    run = reader.latest_run()
    return {"trades": reader.recent_trades(run) if run else []}


def equity(reader: AuditReader) -> Answer:
    """`/api/equity`: `points` of `timestamp`, `equity` and `balance`, oldest first, at most 600 at even distances.

    They reach back over earlier runs of the same strategy on the same account, if no other traded in between.
    """
    run = reader.latest_run()
    rows = reader.equity_curve(run.run_id) if run else []
    return {"points": [{name: row[name] for name in ("timestamp", "equity", "balance")} for row in rows]}


def overview(reader: AuditReader, now: datetime, kill_switch: KillSwitchFile, *, hold: bool) -> Answer:
    """`/api/overview`: all of the above in one answer from one moment, under the names of their endpoints; the page shows this."""
    return {
        "status": status(reader, now, kill_switch),
        "summary": summary(reader),
        "positions": positions(reader),
        "limits": limits(reader),
        "recent_orders": recent_orders(reader),
        "recent_signals": recent_signals(reader, hold=hold),
        "recent_trades": recent_trades(reader),
        "equity": equity(reader),
    }


def health(reader: AuditReader, now: datetime) -> tuple[Answer, int]:
    """`/health`, for monitors: `status` (ok or silent), `trader`, `message`; 503 when a trader that has not ended is silent."""
    trader = trader_of(reader.latest_run(), reader.state().get("heartbeat"), now)
    silent = trader.standing is Standing.SILENT
    return {"status": "silent" if silent else "ok", "trader": trader.standing.value, "message": trader.sentence}, 503 if silent else 200


def plain(value: object, depth: int = 0) -> object:
    """The same value as strict JSON can hold it: no NaN, no integer that JavaScript would round, no text of a megabyte."""
    if isinstance(value, dict | list | tuple) and depth == DEEPEST_SHOWN:
        return None
    if isinstance(value, dict):
        return {_cut(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) <= EXACT):
        return value
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _run(run: Run) -> Answer:
    return {
        "run_id": run.run_id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "exit_code": run.exit_code,
        "end_reason": run.end_reason,
        "terminal": run.terminal,
        "server": run.server,
        "account": f"…{str(run.login)[-3:]}",
        "strategy_id": run.strategy_id,
        "strategy_class": run.strategy_class,
        "symbols": run.settings.get("SYMBOLS"),
        "timeframe": run.settings.get("TIMEFRAME"),
    }


def _counts(counts: RunCounts) -> Answer:
    return {
        "total_orders": counts.orders_sent,
        "executed": counts.orders_filled,
        "failed": counts.orders_refused,
        "denied": counts.orders_denied,
        "success_rate": _percent(counts.orders_filled, counts.orders_sent),
        "bars": counts.bars,
        "signals": counts.signals,
        "positions_opened": counts.positions_opened,
        "positions_closed": counts.positions_closed,
        "trades": counts.trades,
        "winning_trades": counts.winning_trades,
        "losing_trades": counts.losing_trades,
        "win_rate": _percent(counts.winning_trades, counts.trades),
        "realized_profit": round(counts.profit, CENTS),
    }


def _day(reader: AuditReader, run: Run, state: dict[str, object]) -> Answer:
    day = day_of(state.get("day"), state.get("market_time"))
    trades, profit = reader.day_totals(run, day) if day else (0, 0.0)
    return {"day": day, "daily_trades": trades, "daily_pnl": round(profit, CENTS)}


def _money(reader: AuditReader, run: Run, said: object) -> Answer:
    """What the trader last said of its account; before it said anything, the run's last snapshot."""
    known = said if isinstance(said, dict) else reader.last_snapshot(run.run_id) or {}
    return {name: known.get(name) for name in ("balance", "equity", "margin", "free_margin", "currency")}


def _of(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _difference(new: object, old: object) -> float | None:
    return round(float(new) - float(old), CENTS) if isinstance(new, int | float) and isinstance(old, int | float) else None


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def _floating(held: list[Row]) -> float:
    numbers = [row[name] for row in held for name in ("profit", "swap")]
    return round(math.fsum(number for number in numbers if isinstance(number, int | float) and math.isfinite(number)), CENTS)


def whole_json(value: object) -> str:
    """Strict JSON of a value of our own making, however deep: no NaN, no integer that JavaScript would round."""
    return json.dumps(plain(value, depth=-OWN_DEPTH), allow_nan=False, separators=(",", ":"))
