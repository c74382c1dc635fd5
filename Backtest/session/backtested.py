"""A backtest as `Backtest.run` makes it (backtesting 0.6.6), of which every trade names the decision that opened it.

It is `StrategySession.warm_up` on backtesting.py's own broker; two of that broker's private functions are watched. Which
order a trade comes from is nowhere kept: it is the local variable `order` of `_Broker._process_orders`, which calls them.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pandas as pd
from backtesting import Strategy
from backtesting.backtesting import Order, Trade, _Broker

from Backtest.decisions import Account, Decision
from Backtest.fractional import FractionalUnit
from Backtest.session.account_view import AccountView, Placed
from Backtest.session.playing import Subject
from Backtest.session.stepping import StrategySession

STRATEGY, STOP_LOSS, TAKE_PROFIT, OPEN = "strategy", "stop loss", "take profit", "open"


@dataclass(frozen=True, slots=True)
class BacktestTrade:
    """A trade, or a part of one that was closed by itself. `costs` are its commissions, its share of the entry's among them."""

    opener: Placed | None  # bar and leg of the decision
    size: float  # units, negative for short
    entry_bar: int
    entry_price: float
    unspread_price: float  # the entry without the spread of the settings
    entry_level: float | None  # the price that the entry waited for
    exit_bar: int | None
    exit_price: float  # of an open trade the last close
    exit_by: str  # strategy, stop loss, take profit, open
    exit_level: float | None  # the stop loss or take profit that was hit
    costs: float


@dataclass(frozen=True, slots=True)
class Backtested:
    """What the strategy decided, bar by bar, and its trades; those that are open at the end stay open."""

    decisions: Mapping[pd.Timestamp, tuple[Decision, ...]]
    trades: tuple[BacktestTrade, ...]


def backtested(
    subject: Subject, bars: pd.DataFrame, *, since: pd.Timestamp, cash: float, further: pd.DataFrame | None = None
) -> Backtested:
    """The backtest of a strategy that begins with `cash` and no trades on the bar `since`; the bars before are its history.

    `further` are columns that its data have beside those of the bars.
    Raises StrategyFailed.
    """
    session = _Watched(subject.cls, {**subject.backtest, "cash": cash}, subject.params, further)
    decided = {time: decisions for time, decisions in session.warm_up(bars, {since: Account(cash)}) if time >= since}
    if not session.adopted:
        return Backtested({}, ())
    broker = session.living._broker
    last_close, unit = float(bars["Close"].iloc[-1]), FractionalUnit.of(subject.backtest)
    trades = [_told(trade, subject.backtest["spread"], last_close, unit) for trade in (*broker.closed_trades, *broker.trades)]
    return Backtested(decided, tuple(trade for trade in trades if trade.opener is None or trade.opener[0] >= since))


class _Watched(StrategySession):
    adopted = False

    def _adopt(self, living: Strategy, scratch: Strategy) -> None:
        super()._adopt(living, scratch)
        self.adopted = True
        _watch(living._broker, self._view)

    def _is_shown(self, time: pd.Timestamp, shown: Mapping[pd.Timestamp, Account]) -> bool:
        self._ruined = self._ruined and time not in shown  # a history that ruins its account does not end what comes after it
        return super()._is_shown(time, shown)


def _watch(broker: _Broker, view: AccountView) -> None:
    open_trade, close_trade = broker._open_trade, broker._close_trade

    def opened(price: float, size: int, *rest: Any) -> None:
        order, level = _order_in(inspect.currentframe())
        placed = None if order is None else view.placed_as(order)
        open_trade(price, size, *rest)
        # copies of the trade, which stand for its closed parts, carry this along
        broker.trades[-1].__dict__["_entered"] = (placed, size, broker._commission(size, price), level)

    def closed(trade: Trade, price: float, *rest: Any) -> None:
        order, level = _order_in(inspect.currentframe())
        levels = {id(trade._sl_order): STOP_LOSS, id(trade._tp_order): TAKE_PROFIT}
        by = STRATEGY if order is None else levels.get(id(order), STRATEGY)
        trade.__dict__["_left"] = (by, broker._commission(trade.size, price), None if by == STRATEGY else level)
        close_trade(trade, price, *rest)

    vars(broker).update(_open_trade=opened, _close_trade=closed)


def _order_in(frame: FrameType | None) -> tuple[Order | None, float | None]:
    """The order that is being processed, and the price that it waited for; None where a ruined account is emptied."""
    while frame is not None and frame.f_code.co_name != "_process_orders":
        frame = frame.f_back
    if frame is None:
        return None, None
    order: Order = frame.f_locals["order"]
    return order, order.limit or frame.f_locals["stop_price"]  # the order itself has forgotten a stop that was reached


def _told(trade: Trade, spread: float, last_close: float, unit: FractionalUnit) -> BacktestTrade:
    facts: dict[str, Any] = vars(trade)
    entry_price = unit.market_price(float(trade.entry_price))
    placed, whole, entry_costs, entry_level = facts.get("_entered", (None, trade.size, 0.0, None))
    by, exit_costs, exit_level = facts.get("_left", (OPEN, 0.0, None)) if trade.exit_price is not None else (OPEN, 0.0, None)
    return BacktestTrade(
        opener=placed,
        size=unit.units(float(trade.size)),
        entry_bar=int(trade.entry_bar),
        entry_price=entry_price,
        unspread_price=entry_price / (1 + (spread if trade.size > 0 else -spread)),
        exit_bar=None if trade.exit_bar is None else int(trade.exit_bar),
        exit_price=last_close if trade.exit_price is None else unit.market_price(float(trade.exit_price)),
        exit_by=by,
        costs=float(entry_costs * abs(trade.size / whole) + exit_costs),
        entry_level=entry_level and unit.market_price(entry_level),
        exit_level=exit_level and unit.market_price(exit_level),
    )
