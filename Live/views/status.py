"""`status`: how the trader stands, in one block."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from Backtest.bars import TIMEFRAMES
from Live.audit_logger.reader import AuditReader, Row, RunCounts
from Live.clock import Clock
from Live.kill_switch import KillSwitchFile
from Live.logs import one_line
from Live.standing import Standing, Trader, kill_switch_of, trader_of, trading_of
from Live.views.tables import price_of

WIDTH = 62
OPEN_FOR_BARS = 3  # since the open of the newest bar that has closed: one that is longer without a new bar is closed


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that the block says. Money in `currency`; `exposure` is what the positions are worth, by quote currency."""

    running: bool
    market_hours: bool  # of a trader that runs: whether bars come
    paper_trading: bool
    trader: Trader
    mode: str | None
    trading: tuple[bool, str]
    counts: RunCounts | None
    initial: float | None
    current: float | None
    currency: str
    positions: Sequence[Row]
    exposure: Mapping[str, float]
    unsettled: int


def status_of(record: Path, switch: KillSwitchFile, clock: Clock) -> Status:
    """The status by the record and the stop file, now. Raises RecordUnavailable."""
    with AuditReader(record) as reader:
        run, state = reader.latest_run(), reader.state()
        trader = trader_of(run, state.get("heartbeat"), clock.now())
        stop = kill_switch_of(run, state.get("kill_switch"), switch)
        account = state.get("account")
        money: dict[str, Any] = account if isinstance(account, dict) else {}
        held = reader.positions(run) if run else []
        return Status(
            running=trader.standing is Standing.RUNNING,
            market_hours=run is not None
            and trader.standing is Standing.RUNNING
            and _is_open(reader.last_bars(run), state.get("market_time")),
            paper_trading=run is not None and run.mode == "DRY",
            trader=trader,
            mode=run.mode if run else None,
            trading=trading_of(trader, stop, state.get("trading")),
            counts=reader.run_counts(run.run_id) if run else None,
            initial=run.initial_balance if run else None,
            current=money.get("equity"),
            currency=str(money.get("currency", "")),
            positions=held,
            exposure=_exposure(held, reader.contracts(run)) if run else {},
            unsettled=reader.unsettled_orders(),
        )


def block(status: Status) -> RenderableType:
    """The status block."""
    rule = "=" * WIDTH
    told: list[RenderableType] = [rule, "LIVE TRADING ENGINE STATUS", rule]
    told += [f"Running: {status.running}", f"Market Hours: {status.market_hours}", f"Paper Trading: {status.paper_trading}"]
    enabled, reason = status.trading
    told += [f"Trading Enabled: {enabled}", Text(f"  {one_line(reason)}", style="" if enabled else "yellow")]
    if status.unsettled:
        told.append(Text(f"Orders of unknown outcome: {status.unsettled}", style="bold red"))
    told += [*_statistics(status), *_capital(status), rule]
    if status.positions:
        told += ["", "=== OPEN POSITIONS ===", _positions(status), "", *_totals(status), rule]
    return Group(*told)


def as_facts(status: Status) -> dict[str, Any]:
    """The same for programs."""
    counts = status.counts
    return {
        "running": status.running,
        "market_hours": status.market_hours,
        "paper_trading": status.paper_trading,
        "mode": status.mode,
        "trading_enabled": status.trading[0],
        "reason": status.trading[1],
        "trader": {"state": status.trader.standing.value, "last_seen": status.trader.last_seen, "sentence": status.trader.sentence},
        "signals_generated": counts.signals if counts else 0,
        "orders_placed": counts.orders_sent if counts else 0,
        "positions_opened": counts.positions_opened if counts else 0,
        "positions_closed": counts.positions_closed if counts else 0,
        "unsettled_orders": status.unsettled,
        "initial": status.initial,
        "current": status.current,
        "currency": status.currency,
        "positions": list(status.positions),
        "exposure": dict(status.exposure),
    }


def _statistics(status: Status) -> Iterator[str]:
    counts = status.counts
    yield ""
    yield "Statistics:"
    yield f"  Signals Generated: {counts.signals if counts else 0:,}"
    yield f"  Orders Placed: {counts.orders_sent if counts else 0:,}"
    yield f"  Positions Opened: {counts.positions_opened if counts else 0:,}"
    yield f"  Positions Closed: {counts.positions_closed if counts else 0:,}"


def _capital(status: Status) -> Iterator[str]:
    yield ""
    yield "Capital:"
    yield f"  Initial: {_money(status.initial, status.currency)}"
    yield f"  Current: {_money(status.current, status.currency)}"
    if status.initial is not None and status.current is not None:
        yield f"  P&L: {_money(status.current - status.initial, status.currency)}"


def _positions(status: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Symbol", "Side"):
        table.add_column(heading)
    for heading in ("Qty", "Entry", "Current", "P&L", "P&L %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in status.positions:
        moved = _sign(row) * (_number(row["price_current"]) / _number(row["entry_price"]) - 1) * 100
        side = "LONG" if row["side"] == "BUY" else "SHORT"
        prices = (price_of(row["entry_price"]), price_of(row["price_current"]))
        table.add_row(str(row["symbol"]), side, price_of(row["volume"]), *prices, f"{_number(row['profit']):+,.2f}", f"{moved:+.2f}%")
    return table


def _totals(status: Status) -> Iterator[str]:
    profits = [_number(row["profit"]) + _number(row["swap"]) for row in status.positions]
    floating, realized = math.fsum(profits), status.counts.profit if status.counts else 0.0
    yield f"Total Positions: {len(profits)}"
    yield f"Winning: {sum(profit > 0 for profit in profits)} | Losing: {sum(profit < 0 for profit in profits)}"
    yield f"Total Unrealized P&L: {_money(floating, status.currency)}"
    yield f"Total Realized P&L: {_money(realized, status.currency)}"
    yield f"Total P&L: {_money(floating + realized, status.currency)}"
    if status.exposure:
        yield "Total Exposure: " + ", ".join(_money(worth, currency) for currency, worth in status.exposure.items())


def _exposure(held: Sequence[Row], contracts: Mapping[str, tuple[float, str]]) -> dict[str, float]:
    """What the positions are worth: price × lots × units in a lot, by the currency of the price."""
    worth: dict[str, float] = {}
    for row in held:
        units, currency = contracts.get(str(row["symbol"]), (0.0, ""))
        if units:
            worth[currency] = worth.get(currency, 0.0) + _number(row["price_current"]) * _number(row["volume"]) * units
    return worth


def _is_open(bars: Sequence[Row], market_time: object) -> bool:
    """Whether any symbol has closed a bar lately."""
    if not isinstance(market_time, str):
        return False
    now = datetime.fromisoformat(market_time)
    ages = ((now - datetime.fromisoformat(str(bar["bar_time"])), TIMEFRAMES.get(str(bar["timeframe"]))) for bar in bars)
    return any(length is not None and age <= OPEN_FOR_BARS * timedelta(seconds=length.seconds) for age, length in ages)


def _sign(row: Row) -> int:
    return 1 if row["side"] == "BUY" else -1


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _money(value: float | None, currency: str) -> str:
    return "–" if value is None else f"{value:,.2f} {currency}".rstrip()
