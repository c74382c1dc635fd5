from typing import Any

import pandas as pd
import pytest

from Backtest.decisions import Account, ClosedTrade, OpenTrade
from tests.many_strategies import CASES, Case, fitted
from tests.session_truth import CASH, FRAME, fed, held, idle, plain, prices_of, session_of, stepped, truth

# beside a backtest

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
