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
    exit_bar: int | None
    exit_price: float  # of an open trade the last close
    exit_by: str  # strategy, stop loss, take profit, open
    costs: float


@dataclass(frozen=True, slots=True)
class Backtested:
    """What the strategy decided, bar by bar, and its trades; those that are open at the end stay open."""

    decisions: Mapping[pd.Timestamp, tuple[Decision, ...]]
    trades: tuple[BacktestTrade, ...]


def backtested(subject: Subject, bars: pd.DataFrame, *, since: pd.Timestamp, cash: float) -> Backtested:
    """The backtest of a strategy that begins with `cash` and no trades on the bar `since`; the bars before are its history.

    Raises StrategyFailed.
    """
    session = _Watched(subject.cls, {**subject.backtest, "cash": cash}, subject.params)
    decided = {time: decisions for time, decisions in session.warm_up(bars, {since: Account(cash)}) if time >= since}
    if not session.adopted:
        return Backtested({}, ())
    broker = session.living._broker
    last_close = float(bars["Close"].iloc[-1])
    trades = [_told(trade, subject.backtest["spread"], last_close) for trade in (*broker.closed_trades, *broker.trades)]
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
        order = _order_in(inspect.currentframe())
        placed = None if order is None else view.placed_as(order)
        open_trade(price, size, *rest)
        # copies of the trade, which stand for its closed parts, carry this along
        broker.trades[-1].__dict__["_entered"] = (placed, size, broker._commission(size, price))

    def closed(trade: Trade, price: float, *rest: Any) -> None:
        order = _order_in(inspect.currentframe())
        by = STRATEGY if order is None or order not in (trade._sl_order, trade._tp_order) else TAKE_PROFIT
        trade.__dict__["_closed_by"] = STOP_LOSS if order is not None and order is trade._sl_order else by
        trade.__dict__["_exit_costs"] = broker._commission(trade.size, price)
        close_trade(trade, price, *rest)

    vars(broker).update(_open_trade=opened, _close_trade=closed)


def _order_in(frame: FrameType | None) -> Order | None:
    """The order that is being processed; None where a ruined account is emptied."""
    while frame is not None and frame.f_code.co_name != "_process_orders":
        frame = frame.f_back
    return None if frame is None else frame.f_locals["order"]


def _told(trade: Trade, spread: float, last_close: float) -> BacktestTrade:
    facts: dict[str, Any] = vars(trade)
    placed, whole, entry_costs = facts.get("_entered", (None, trade.size, 0.0))
    ended = trade.exit_price is not None
    return BacktestTrade(
        opener=placed,
        size=float(trade.size),
        entry_bar=int(trade.entry_bar),
        entry_price=float(trade.entry_price),
        unspread_price=float(trade.entry_price) / (1 + (spread if trade.size > 0 else -spread)),
        exit_bar=None if trade.exit_bar is None else int(trade.exit_bar),
        exit_price=last_close if trade.exit_price is None else float(trade.exit_price),
        exit_by=facts.get("_closed_by", OPEN) if ended else OPEN,
        costs=float(entry_costs * abs(trade.size / whole) + facts.get("_exit_costs", 0.0)),
    )
