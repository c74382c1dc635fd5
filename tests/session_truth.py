"""What a session is compared with: what a backtest showed before each bar, and what that decided. And small strategies."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
from backtesting import Strategy
from backtesting.backtesting import Backtest

from Backtest.bars import builtin_prices
from Backtest.decisions import Account, Bar, Cancel, Close, ClosedTrade, Decision, Enter, OpenTrade, Protect, WaitingOrder
from Backtest.session import StrategySession
from Backtest.strategies import DEFAULTS
from tests.many_strategies import Case, fitted

BARS = {"EURUSD": (1_000, 1_250), "GOOG": (300, 550)}


def prices_of(symbol: str) -> pd.DataFrame:
    first, last = BARS[symbol]
    return builtin_prices(symbol).iloc[first:last]


def bars_of(frame: pd.DataFrame) -> list[Bar]:
    epochs = frame.index.to_numpy().astype("datetime64[s]").astype("int64").tolist()
    rows = frame[["Open", "High", "Low", "Close", "Volume"]].to_numpy().tolist()
    return [Bar(epoch, *row) for epoch, row in zip(epochs, rows, strict=True)]


class Recorder:
    """What a backtest showed its strategy before each next(), and what that decided: the truth that a session is compared with."""

    def __init__(self) -> None:
        self.shown: dict[int, Account] = {}  # by the number of the bar
        self.decided: dict[int, list[Any]] = {}
        self._tickets: dict[int, int] = {}
        self._closed: list[ClosedTrade] = []
        self._kept: list[Any] = []  # so that no id is used twice
        self._placed: dict[int, tuple[pd.Timestamp, int]] = {}

    def before(self, strategy: Strategy) -> tuple[list[Any], list[Any]]:
        broker = strategy._broker
        for trade in broker.trades:
            if id(trade) not in self._tickets:
                self._tickets[id(trade)] = 100 + len(self._tickets)
                self._kept.append(trade)
        for trade in broker.closed_trades[len(self._closed) :]:
            self._closed.append(self._of_closed(trade, broker))
        self.shown[len(strategy.data) - 1] = Account(
            broker._cash,
            tuple(self._of_open(trade) for trade in broker.trades),
            tuple(self._closed),
            tuple(self._of_waiting(order) for order in broker.orders if not order.parent_trade),
        )
        return list(broker.orders), [(trade, trade.sl, trade.tp) for trade in broker.trades]

    def after(self, strategy: Strategy, before: tuple[list[Any], list[Any]]) -> None:
        book, levels = before
        queue = strategy._broker.orders
        cancelled = [("cancel", *self._placed[id(order)]) for order in book if order not in queue and id(order) in self._placed]
        steps: list[Any] = list(cancelled)
        moved = {self._tickets[id(trade)]: (trade.sl, trade.tp) for trade, sl, tp in levels if (trade.sl, trade.tp) != (sl, tp)}
        for order in [order for order in queue if order not in book]:
            ticket = self._tickets[id(order.parent_trade)] if order.parent_trade else None
            if ticket is None:
                self._placed[id(order)] = (strategy.data.index[-1], len(steps))
                self._kept.append(order)
                steps.append(("enter", order.size, order.limit, order.stop, order.sl, order.tp, order.tag))
            elif _closes(order):
                steps.append(("close", ticket, abs(order.size)))
                moved = {one: levels for one, levels in moved.items() if one != ticket or abs(order.size) < abs(order.parent_trade.size)}
            elif ticket in moved:
                steps.append(("protect", ticket, *moved.pop(ticket)))
        taken_away = [("protect", ticket, *now) for ticket, now in moved.items()]
        self.decided[len(strategy.data) - 1] = steps[: len(cancelled)] + taken_away + steps[len(cancelled) :]

    def _of_open(self, trade: Any) -> OpenTrade:
        return OpenTrade(self._tickets[id(trade)], trade.size, trade.entry_price, trade.entry_time, trade.sl, trade.tp, trade.tag)

    def _of_waiting(self, order: Any) -> WaitingOrder:
        return WaitingOrder(*self._placed[id(order)], order.size, order.limit, order.stop, order.sl, order.tp, order.tag)

    def _of_closed(self, trade: Any, broker: Any) -> ClosedTrade:
        ticket = self._tickets.get(id(trade)) or self._ticket_of_part(trade, broker)
        prices = (trade.entry_price, trade.exit_price, trade.entry_time, trade.exit_time)
        return ClosedTrade(len(self._closed), ticket, trade.size, *prices, trade._commissions, trade.tag)

    def _ticket_of_part(self, part: Any, broker: Any) -> int:
        twins = [each for each in self._kept if hasattr(each, "entry_bar") and each.entry_bar == part.entry_bar and each.tag == part.tag]
        if not twins:  # opened and closed within one bar
            self._tickets[id(part)] = 100 + len(self._tickets)
            self._kept.append(part)
            return self._tickets[id(part)]
        return self._tickets[id(twins[0])]


def _closes(order: Any) -> bool:
    return order.parent_trade is not None and not order.is_contingent


def plain(decisions: Sequence[Decision]) -> list[Any]:
    rows: list[Any] = []
    for each in decisions:
        if isinstance(each, Close):
            rows.append(("close", each.ticket, each.units))
        elif isinstance(each, Protect):
            rows.append(("protect", each.ticket, each.sl, each.tp))
        elif isinstance(each, Cancel):
            rows.append(("cancel", each.order_bar, each.order_leg))
        else:
            assert isinstance(each, Enter)
            rows.append(("enter", each.size, each.limit, each.stop, each.sl, each.tp, each.tag))
    return rows


def recorded(strategy: type[Strategy], frame: pd.DataFrame, **backtest: Any) -> tuple[Recorder, Any]:
    """A backtest, listened to."""
    recorder = Recorder()

    class Listening(strategy):  # type: ignore[misc, valid-type]
        def next(self) -> None:
            before = recorder.before(self)
            super().next()
            recorder.after(self, before)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        stats = Backtest(frame, Listening, **{**DEFAULTS, **backtest}).run()
    return recorder, stats


def session_of(strategy: type[Strategy], params: dict[str, Any] | None = None, **backtest: Any) -> StrategySession:
    return StrategySession(strategy, {**DEFAULTS, **backtest}, params or {})


@cache
def truth(case: Case, symbol: str) -> Recorder:
    recorder, _ = recorded(fitted(case, symbol), prices_of(symbol), **case.backtest)
    assert sum(map(len, recorder.decided.values())) > 4, "the strategy does nothing: the case proves nothing"
    return recorder


def stepped(session: StrategySession, frame: pd.DataFrame, recorder: Recorder, first: int = 0) -> dict[int, list[Any]]:
    """What a session decides on each bar, being shown what the backtest was shown."""
    decided = {}
    for number, bar in enumerate(bars_of(frame)):
        if number >= first:
            found = session.on_bar(bar, recorder.shown.get(number, Account(float(session.settings["cash"]))))
            if number in recorder.decided or found:
                decided[number] = plain(found)
    return decided


class Idle(Strategy):
    """Does nothing, until a test gives it something to do."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        pass


def idle(init: Any = None, next: Any = None) -> type[Strategy]:
    methods = {"init": init, "next": next}
    return type("Idle", (Idle,), {name: method for name, method in methods.items() if method})


FRAME = builtin_prices("EURUSD").iloc[:60]
BARS_60 = bars_of(FRAME)
CASH = Account(10_000.0)


def fed(session: StrategySession, count: int, account: Account = CASH, first: int = 0) -> list[tuple[Decision, ...]]:
    return [session.on_bar(bar, account) for bar in BARS_60[first : first + count]]


def held(number: int = 1, size: float = 1000, entered: int = 5, **given: Any) -> OpenTrade:
    return OpenTrade(number, size, 1.07, FRAME.index[entered], **given)
