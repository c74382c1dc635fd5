import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy
from backtesting._util import _Data
from backtesting.backtesting import Backtest
from backtesting.lib import TrailingStrategy

from Backtest.bars import builtin_prices
from Backtest.decisions import Account, Bar, Cancel, Close, ClosedTrade, Decision, Enter, OpenTrade, Protect, WaitingOrder
from Backtest.session import StrategyFailed, StrategySession
from Backtest.strategies import DEFAULTS
from tests.many_strategies import CASES, Case, fitted

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


# each strategy on one of the two symbols, in turn; test_parity.py has it on the other one
TURNS = [(case, case.prices[(number + 1) % len(case.prices)]) for number, case in enumerate(CASES)]


@pytest.mark.every(4)
@pytest.mark.parametrize(("case", "symbol"), [pytest.param(*turn, id="-".join(map(str, turn))) for turn in TURNS])
def test_bar_by_bar_a_session_decides_what_the_backtest_decided(case: Case, symbol: str) -> None:
    recorder, frame = truth(case, symbol), prices_of(symbol)
    assert stepped(session_of(fitted(case, symbol), **case.backtest), frame, recorder) == recorder.decided


@pytest.mark.every(4)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_after_a_warm_up_it_decides_what_the_backtest_decides_from_there(case: Case) -> None:
    symbol, split = case.prices[0], 150
    recorder, frame = truth(case, symbol), prices_of(symbol)
    session = session_of(fitted(case, symbol), **case.backtest)
    history = session.warm_up(frame.iloc[:split])
    before = {frame.index.get_loc(time): [each for each in plain(found) if each[0] == "enter"] for time, found in history}
    assert before == {n: [each for each in found if each[0] == "enter"] for n, found in recorder.decided.items() if n < split}
    after = {number: found for number, found in recorder.decided.items() if number >= split}
    assert stepped(session, frame, recorder, first=split) == after


# small strategies, one fact each


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


def test_the_first_decision_is_on_the_second_bar_as_in_a_backtest() -> None:
    session = session_of(idle(next=lambda self: self.buy()))
    assert [len(found) for found in fed(session, 3)] == [0, 1, 1]


def test_trades_and_their_orders_stay_the_same_objects_from_bar_to_bar() -> None:
    session = session_of(idle())
    seen = []
    for number in range(8, 12):
        fed(session, 1, Account(9_000.0, (held(sl=1.06, tp=1.08, tag="mine"), held(2, -500))), first=number)
        seen.append((*session.living.trades, *session.living.orders))
    assert len(seen[0]) == 4
    assert all(now is then for row in seen for now, then in zip(row, seen[0], strict=True))


def test_a_trade_shows_what_the_account_holds_and_when_it_was_entered() -> None:
    session = session_of(idle())
    session.warm_up(FRAME.iloc[:10])
    fed(session, 1, Account(9_000.0, (held(sl=1.06, tp=1.08, tag={"a": 1}),)), first=10)
    (trade,) = session.living.trades
    assert (trade.size, trade.entry_price, trade.sl, trade.tp, trade.tag) == (1000, 1.07, 1.06, 1.08, {"a": 1})
    assert (trade.entry_bar, trade.entry_time) == (5, FRAME.index[5])
    assert isinstance(trade.size, int)
    assert session.living.equity == 9_000.0 + 1000 * (FRAME["Close"].iloc[10] - 1.07)
    assert [(order.size, order.stop, order.limit, order.is_contingent) for order in session.living.orders] == [
        (-1000, 1.06, None, True),
        (-1000, None, 1.08, True),
    ]


def test_a_trade_that_is_older_than_the_bars_counts_from_the_first_one() -> None:
    session = session_of(idle())
    old = OpenTrade(1, 10, 1.0, FRAME.index[0] - pd.Timedelta("30D"))
    fed(session, 2, Account(1.0, (old,)))
    assert session.living.trades[0].entry_bar == 0


def test_two_trades_of_one_bar_are_taken_over_from_the_warm_up_once_each() -> None:
    kept: list[Any] = []

    def enter_twice(self: Any) -> None:
        if len(self.data) == 4:
            self.buy(size=100)
            self.buy(size=200)
        kept[:] = self.trades

    session = session_of(idle(next=enter_twice))
    session.warm_up(FRAME.iloc[:10])
    known = {trade.size: trade for trade in kept}
    fed(session, 1, Account(9_000.0, (held(1, 200, entered=4), held(2, 100, entered=4))), first=10)
    assert [trade.size for trade in kept] == [200, 100]
    assert [trade is known[trade.size] for trade in kept] == [True, True]


def closed(deal: int, size: float, left: int, entered: int = 5, ticket: int = 1) -> ClosedTrade:
    return ClosedTrade(deal, ticket, size, 1.07, 1.08, FRAME.index[entered], FRAME.index[left], costs=0.5, tag="t")


def test_parts_that_are_closed_are_copies_and_the_last_part_is_the_trade_itself() -> None:
    session = session_of(idle())
    fed(session, 8, Account(9_000.0, (held(),)))
    (trade,) = session.living.trades
    fed(session, 1, Account(9_000.0, (held(size=400),), (closed(1, 600, 8),)), first=8)
    assert session.living.trades[0] is trade
    (part,) = session.living.closed_trades
    assert part is not trade
    assert (trade.size, trade.exit_price, part.size, part.exit_price, part.exit_bar) == (400, None, 600, 1.08, 8)
    fed(session, 1, Account(9_000.0, (), (closed(1, 600, 8), closed(2, 400, 9))), first=9)
    assert not session.living.trades
    assert session.living.closed_trades == (part, trade)
    assert (trade.exit_time, trade.pl) == (FRAME.index[9], 400 * (1.08 - 1.07) - 0.5)


def test_a_trade_closed_during_the_warm_up_is_the_same_object_in_the_account_afterwards() -> None:
    kept: list[Any] = []

    def round_trip(self: Any) -> None:
        if len(self.data) == 4:
            self.buy(size=100)
        for trade in self.trades:
            kept.append(trade)
            trade.close()

    session = session_of(idle(next=round_trip))
    session.warm_up(FRAME.iloc[:10])
    fed(session, 1, Account(9_000.0, (), (closed(1, 100, 5, entered=4), closed(2, 7, 9, ticket=2))), first=10)
    assert session.living.closed_trades[0] is kept[0]
    assert session.living.closed_trades[1] not in kept


def decided(next: Any, account: Account, **backtest: Any) -> list[Any]:
    session = session_of(idle(next=next), **backtest)
    session.warm_up(FRAME.iloc[:1])
    return plain(fed(session, 10, account, first=1)[-1])


def test_closing_a_part_and_the_rest_of_it_are_two_decisions() -> None:
    def halves(self: Any) -> None:
        for _ in range(2):
            self.trades[0].close(0.5)

    assert decided(halves, Account(1.0, (held(),))) == [("close", 1, 500), ("close", 1, 500)]


def test_exclusive_orders_close_what_is_held_before_they_enter() -> None:
    def enter(self: Any) -> None:
        self.sell(size=3, tag="x")

    shown = Account(1.0, (held(), held(2)))
    assert decided(enter, shown, exclusive_orders=True) == [
        ("close", 2, 1000),
        ("close", 1, 1000),
        ("enter", -3, None, None, None, None, "x"),
    ]
    assert decided(enter, shown) == [("enter", -3, None, None, None, None, "x")]


def test_an_order_that_is_cancelled_in_the_bar_in_which_it_was_placed_is_no_decision() -> None:
    assert decided(lambda self: self.buy().cancel(), CASH) == []


def test_levels_are_decided_only_where_they_change_and_not_for_a_trade_that_is_being_closed() -> None:
    def protect(self: Any) -> None:
        first, second, third = self.trades
        first.sl, first.tp = 1.06, None
        second.sl = 1.05  # as it is
        third.sl = 1.04
        third.close()

    trades = (held(1, tp=1.2), held(2, sl=1.05), held(3))
    assert decided(protect, Account(1.0, trades)) == [("close", 3, 1000), ("protect", 1, 1.06, None)]


def test_closing_a_trade_that_is_closed_already_does_nothing() -> None:
    kept: list[Any] = []

    def close_again(self: Any) -> None:
        kept.extend(self.trades)
        for trade in kept:
            trade.close()

    session = session_of(idle(next=close_again))
    fed(session, 8, Account(1.0, (held(),)))
    assert fed(session, 2, CASH, first=8) == [(), ()]


# what goes wrong


def failure(strategy: type[Strategy], bars: int = 3) -> str:
    with pytest.raises(StrategyFailed) as raised:
        fed(session_of(strategy), bars)
    return str(raised.value)


def fail(error: BaseException) -> Any:
    def method(self: Any) -> None:
        raise error

    return method


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), AssertionError("size"), SystemExit(3)], ids=repr)
def test_what_next_raises_is_told_with_its_cause(error: BaseException) -> None:
    session = session_of(idle(next=fail(error)))
    with pytest.raises(StrategyFailed, match=r"Idle\.next\(\) failed") as raised:
        fed(session, 3)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(("name", "order"), [("sl", {"sl": -1}), ("tp", {"tp": math.inf}), ("limit", {"limit": -1, "sl": -2})])
def test_an_entry_with_a_price_that_no_market_has_is_not_sent(name: str, order: dict[str, float]) -> None:
    told = failure(idle(next=lambda self: self.buy(size=1000, **order)))
    assert told == f"Idle orders with {name}={order[name]:g}: want a price above 0, or None for none"


def test_a_mistake_in_the_text_of_init_is_told_on_the_first_bar() -> None:
    assert failure(idle(init=lambda self: self.no_such_thing), bars=1).startswith("Idle.init() failed: AttributeError")


def test_a_mistake_within_an_indicator_is_told_on_the_first_bar() -> None:
    def indicator(values: Any) -> Any:
        return undefined  # type: ignore[name-defined]  # noqa: F821

    assert "undefined" in failure(idle(init=lambda self: self.I(indicator, self.data.Close)), bars=1)


@pytest.mark.parametrize(
    "library", [lambda values: None, lambda values: values[9], lambda values: dict[str, Any]()["rows"] if len(values) < 10 else values]
)
def test_an_indicator_that_needs_more_bars_is_waited_for(library: Any) -> None:
    def init(self: Any) -> None:
        self.line = self.I(
            lambda: self.data.Close * (library(self.data.Close) is not None) if len(self.data) > 9 else library(self.data.Close)
        )

    session = session_of(idle(init=init, next=lambda self: self.buy()))
    found = fed(session, 12)
    assert [bool(each) for each in found] == [False] * 9 + [True] * 3
    assert session.warming_up == ""


def test_a_library_that_answers_none_for_few_bars_is_waited_for() -> None:
    def init(self: Any) -> None:
        table = {"fast": self.data.Close} if len(self.data) > 5 else None
        self.fast = self.I(lambda: table["fast"])  # type: ignore[index]

    session = session_of(idle(init=init))
    fed(session, 5)
    assert session.warming_up.startswith("init() needs more than 5 bars")
    assert session_is_awake(session)


def session_is_awake(session: StrategySession) -> bool:
    fed(session, 2, first=len(session))
    return session.warming_up == ""


def test_an_init_that_still_fails_after_a_thousand_bars_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Backtest.session.stepping.BARS_TO_WARM_UP", 4)
    session = session_of(idle(init=fail(ValueError("window longer than the data"))))
    fed(session, 3)
    with pytest.raises(StrategyFailed, match="window longer"):
        fed(session, 1, first=3)


def test_an_init_that_fails_later_has_failed() -> None:
    def init(self: Any) -> None:
        if len(self.data) == 5:
            raise ValueError("odd")

    assert "odd" in failure(idle(init=init), bars=6)


def test_orders_of_init_are_decided_on_the_bar_before_the_first_next() -> None:
    def init(self: Any) -> None:
        self.line = self.I(lambda: pd.Series(self.data.Close).rolling(4).mean())
        self.buy(size=1)
        self.sell(size=2, limit=2.0)

    session = session_of(idle(init=init, next=lambda self: self.buy(size=len(self.data))))
    found = [plain(each) for each in fed(session, 6)]
    assert found == [[], [], [], [enter(1.0), enter(-2.0, limit=2.0)], [enter(5.0)], [enter(6.0)]]


def test_orders_of_init_belong_to_the_history_of_a_session_that_is_warmed_up() -> None:
    session = session_of(idle(init=lambda self: self.buy(size=1)))
    session.warm_up(FRAME.iloc[:10])
    assert [trade.entry_bar for trade in session.living.trades] == [1]
    assert fed(session, 2, first=10) == [(), ()]


def enter(size: float, **prices: float) -> tuple[Any, ...]:
    return ("enter", size, prices.get("limit"), prices.get("stop"), prices.get("sl"), prices.get("tp"), None)


def waiting(number: int, leg: int = 0, size: float = 5.0, **given: Any) -> WaitingOrder:
    return WaitingOrder(FRAME.index[number], leg, size, **given)


def test_an_order_that_waits_is_the_object_that_buy_returned_and_can_be_cancelled() -> None:
    placed: list[Any] = []

    def act(self: Any) -> None:
        if not placed:
            placed.extend([self.buy(size=5, limit=1.0, sl=0.9, tp=1.2, tag="a"), self.sell(size=6, stop=1.01)])
        elif len(self.data) == 4:
            assert list(self.orders) == placed
            placed[0].cancel()

    session = session_of(idle(next=act))
    shown = Account(10_000.0, orders=(waiting(1, size=5.0, limit=1.0, sl=0.9, tp=1.2, tag="a"), waiting(1, 1, -6.0, stop=1.01)))
    fed(session, 2)
    assert [plain(each) for each in fed(session, 2, shown, first=2)] == [[], [("cancel", FRAME.index[1], 0)]]
    session.on_bar(BARS_60[4], CASH)
    assert session.living.orders == ()


def test_the_stop_of_a_stop_limit_order_is_none_once_it_was_reached() -> None:
    session = session_of(idle(next=lambda self: self.buy(size=5, stop=1.2, limit=1.1) if len(self.data) == 2 else None))
    fed(session, 2)
    (order,) = session.living.orders
    session.on_bar(BARS_60[2], Account(10_000.0, orders=(waiting(1, stop=None, limit=1.1),)))
    assert session.living.orders == (order,)
    assert (order.stop, order.limit) == (None, 1.1)


def test_an_order_that_waits_since_the_warm_up_is_the_same_object_afterwards() -> None:
    placed: list[Any] = []

    def act(self: Any) -> None:
        if len(self.data) == 5:
            placed.append(self.buy(size=5, limit=1.0))

    session = session_of(idle(next=act))
    session.warm_up(FRAME.iloc[:8])
    session.on_bar(BARS_60[8], Account(10_000.0, orders=(waiting(4, leg=3, limit=1.0), waiting(0, limit=0.5))))
    assert session.living.orders[0] is placed[0]
    assert [order.limit for order in session.living.orders] == [1.0, 0.5]


def test_a_bar_whose_account_is_on_record_is_decided_upon_that_account() -> None:
    seen: list[tuple[int, ...]] = []

    def look(self: Any) -> None:
        seen.append(tuple(trade.size for trade in self.trades))
        if len(self.data) == 3:
            self.buy(size=7)

    shown = {FRAME.index[number]: Account(9_000.0, (held(1, 500, entered=3),)) for number in (5, 6)}
    session_of(idle(next=look)).warm_up(FRAME.iloc[:7], shown)
    assert seen == [(), (), (7,), (7,), (500,), (500,)]


def test_the_orders_of_init_are_told_on_the_bar_on_which_they_are_decided() -> None:
    def order(self: Any) -> None:
        self.buy(size=2, limit=1.0, tag="waits")
        self.sell(size=3, stop=0.9)

    live, warmed = session_of(idle(init=order)), session_of(idle(init=order))
    decided = [(time, each) for time, each in zip(FRAME.index, fed(live, 5), strict=False) if each]
    assert [(time, each) for time, each in warmed.warm_up(FRAME.iloc[:5]) if each] == decided
    assert [(each.leg, each.size, each.tag) for each in decided[0][1]] == [(0, 2, "waits"), (1, -3, None)]  # type: ignore[union-attr]


def test_there_is_one_warm_up_and_it_comes_first() -> None:
    session = session_of(Idle)
    fed(session, 2)
    with pytest.raises(RuntimeError, match="before its first bar"):
        session.warm_up(FRAME)


def test_there_is_no_living_strategy_before_the_first_bar() -> None:
    session = session_of(Idle)
    assert session.warm_up(FRAME.iloc[:0]) == []
    with pytest.raises(RuntimeError, match="not been evaluated"):
        _ = session.living


def test_a_backtest_that_is_ruined_in_the_warm_up_leaves_a_strategy_that_can_go_on() -> None:
    def gamble(self: Any) -> None:
        if not self.position:
            self.buy()

    session = session_of(idle(next=gamble), margin=0.0005)
    assert 0 < len(session.warm_up(FRAME)) < len(FRAME)
    assert len(session.living.data) == len(FRAME)


# what init() prepares


def prepared(init: Any, bars: int = 30) -> Any:
    session = session_of(idle(init=init))
    fed(session, bars)
    return session.living


def test_a_new_bar_costs_one_evaluation_of_init_and_the_first_one_two() -> None:
    calls = []

    def init(self: Any) -> None:
        self.line = self.I(lambda: calls.append(len(self.data)) or self.data.Close * 1)  # type: ignore[func-returns-value]

    session = session_of(idle(init=init))
    session.warm_up(FRAME.iloc[:20])
    fed(session, 5, first=20)
    assert calls == [20, 20, 21, 22, 23, 24, 25]


def test_next_is_called_once_for_each_bar() -> None:
    calls: list[int] = []
    session = session_of(idle(next=lambda self: calls.append(len(self.data))))
    session.warm_up(FRAME.iloc[:20])
    fed(session, 5, first=20)
    assert calls == list(range(2, 26))


def test_the_data_is_that_of_a_backtest_in_names_times_and_values() -> None:
    living = prepared(None)
    expected = _Data(FRAME.iloc[:30])
    for name in ("Open", "High", "Low", "Close", "Volume"):
        mine, theirs = living.data[name], expected[name]
        assert mine.tobytes() == theirs.tobytes()
        assert (mine.name, mine.dtype) == (theirs.name, theirs.dtype)
        pd.testing.assert_series_equal(mine.s, theirs.s)
    pd.testing.assert_index_equal(living.data.index, expected.index)
    pd.testing.assert_frame_equal(living.data.df, expected.df)
    assert (len(living.data), living.data.pip, repr(living.data)) == (30, expected.pip, repr(expected))


def test_more_bars_than_fit_at_first_are_kept_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Backtest.session.columns._ROOM", 4)
    session = session_of(Idle)
    session.warm_up(FRAME.iloc[:9])
    fed(session, 40, first=9)
    pd.testing.assert_frame_equal(session.living.data.df, FRAME.iloc[:49])


def test_a_column_that_init_has_looked_at_and_then_changed_is_the_changed_one() -> None:
    def init(self: Any) -> None:
        self.line = self.I(lambda: self.data.Close * 1)
        self.data.df["Close"] = self.data.df["Close"].round(2)

    assert prepared(init).data.Close[-1] == round(FRAME["Close"].iloc[29], 2)


def test_a_value_that_init_writes_into_the_frame_is_in_the_data() -> None:
    def init(self: Any) -> None:
        self.data.df.iloc[3, 0] = 7.0

    assert prepared(init).data.Open[3] == 7.0


def test_references_to_the_data_go_on_showing_it() -> None:
    def init(self: Any) -> None:
        self.prices, self.close, self.frame = self.data, self.data.Close, self.data.df

    living = prepared(init)
    assert living.prices is living.data
    assert len(living.close) == len(living.frame) == 30


def test_what_a_helper_of_lib_derives_from_all_bars_follows_the_bars() -> None:
    class Percent(TrailingStrategy):
        def init(self) -> None:
            super().init()  # type: ignore[no-untyped-call]
            self.set_atr_periods(5)
            self.set_trailing_pct(0.01)

    session = session_of(Percent)
    fed(session, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = Backtest(FRAME.iloc[:40], Percent).run()._strategy
    name = "_TrailingStrategy__n_atr"
    assert getattr(session.living, name) == getattr(strategy, name)


def test_a_closure_over_a_local_array_follows_the_bars() -> None:
    def init(self: Any) -> None:
        line = self.I(lambda: self.data.Close * 2)
        self.now = lambda: line[len(self.data) - 1]

    assert prepared(init).now() == 2 * FRAME["Close"].iloc[29]


def test_an_object_of_another_library_is_replaced_as_a_whole_until_next_has_changed_it() -> None:
    def init(self: Any) -> None:
        close = self.data.Close[:20]
        self.curve = np.polynomial.Polynomial.fit(np.arange(len(close)), close, 1) if len(close) > 2 else None
        self.random = np.random.default_rng(1)

    session = session_of(idle(init=init, next=lambda self: self.random.random()))
    fed(session, 30)
    expected = np.polynomial.Polynomial.fit(np.arange(20), FRAME["Close"].iloc[:20], 1)
    living: Any = session.living
    assert living.curve == expected
    assert living.random.random() == np.random.default_rng(1).random(30)[29]


def test_an_indicator_without_any_value_is_waited_for() -> None:
    def init(self: Any) -> None:
        self.never = self.I(lambda: np.full(len(self.data), np.nan))

    session = session_of(idle(init=init, next=lambda self: self.buy()))
    assert not any(fed(session, 30))
    assert session.warming_up == "indicators have no value yet after 30 bars"


def test_a_scatter_without_any_value_is_not_waited_for() -> None:
    def init(self: Any) -> None:
        self.never = self.I(lambda: np.full(len(self.data), np.nan), scatter=True)

    assert all(fed(session_of(idle(init=init, next=lambda self: self.buy())), 30)[1:])


def test_parameters_are_those_that_are_given() -> None:
    strategy = idle(next=lambda self: self.buy(size=self.units))
    strategy.units = 1  # type: ignore[attr-defined]
    session = session_of(strategy, {"units": 7})
    assert plain(fed(session, 2)[1]) == [enter(7.0)]


def test_a_trailing_strategy_waits_until_its_range_has_a_value() -> None:
    class EntersAtOnce(TrailingStrategy):
        def init(self) -> None:
            super().init()  # type: ignore[no-untyped-call]
            self.set_trailing_sl(2)

        def next(self) -> None:
            super().next()  # type: ignore[no-untyped-call]
            if not self.position:
                self.buy(size=100)

    session = StrategySession(EntersAtOnce, DEFAULTS, {})
    decided = [session.on_bar(bar, Account(10_000.0)) for bar in bars_of(builtin_prices("EURUSD").iloc[:120])]
    assert [bool(decisions) for decisions in decided].index(True) == 100  # the first bar has no range: there is no close before it
