"""Which differences between a backtest and a recorded run are seen, and which are none."""

from dataclasses import replace

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from Live.comparison import Decided, Difference, Told, Traded, differences

MONDAY = pd.Timestamp("2017-04-17")


def at(hour: int) -> pd.Timestamp:
    return MONDAY + pd.Timedelta(hours=hour)


def bought(hour: int, size: float = 100.0, **more: object) -> Decided:
    return Decided(at(hour), 0, "BUY", size, **more)  # type: ignore[arg-type]


def traded(hour: int, profit: float = 1.0, size: float = 100.0, tag: object = None) -> Traded:
    return Traded(at(hour), at(hour + 1), size, 1.1, 1.2, tag, profit)


def told(*rows: Decided | Traded, equity: float = 10_000.0) -> Told:
    decisions = [row for row in rows if isinstance(row, Decided)]
    return Told(100, decisions, [row for row in rows if isinstance(row, Traded)], equity)


def what(backtest: Told, live: Told) -> list[tuple[str, pd.Timestamp | None]]:
    return [(found.what, found.bar) for found in differences(backtest, live)]


def test_the_same_account_of_a_run_differs_in_nothing() -> None:
    run = told(bought(1), traded(1), traded(3), equity=1.25)
    assert differences(run, run) == []


def test_an_order_that_one_side_lacks_is_one_difference() -> None:
    assert what(told(bought(1), bought(2)), told(bought(1))) == [("order", at(2))]


def test_an_order_of_another_size_limit_stop_level_or_tag_is_a_difference() -> None:
    for changed in ({"size": 99.0}, {"limit": 1.0}, {"stop": 1.0}, {"sl": 1.0}, {"tp": 1.0}, {"tag": "b"}, {"kind": "SELL"}):
        assert what(told(bought(1, tag="a")), told(bought(1, tag="a")._replace(**changed))) == [("order", at(1))]


def test_trades_that_one_bar_closes_may_stand_in_any_order() -> None:
    one, other = traded(1, size=50.0), traded(1, size=70.0)
    assert differences(told(one, other), told(other, one)) == []


def test_equal_trades_are_counted() -> None:
    assert what(told(traded(1), traded(1)), told(traded(1))) == [("trade", at(2))]


def test_a_trade_at_another_price_is_one_difference_not_two() -> None:
    moved = traded(1)._replace(exit_price=1.3)
    (found,) = differences(told(traded(1)), told(moved))
    assert (found.backtest, found.live) == (traded(1), moved)
    assert "exit_price=1.2" in str(found)
    assert "exit_price=1.3" in str(found)


def test_profits_that_differ_by_more_than_the_order_of_a_sum_are_a_difference() -> None:
    assert what(told(traded(1, 1000.0)), told(traded(1, 1000.0000001))) == []
    assert what(told(traded(1, 1000.0)), told(traded(1, 1000.01))) == [("profit", at(2))]


def test_a_tag_may_be_anything() -> None:
    run = told(traded(1, tag={"a": [1, float("nan")]}), traded(2, tag="x"))
    assert differences(run, run) == []


def test_the_first_difference_is_the_earliest_one_whatever_it_is_in() -> None:
    found = what(told(bought(5), traded(1), equity=1.0), told(bought(4), traded(0), equity=2.0))
    assert found == [("trade", at(2)), ("order", at(4)), ("order", at(5)), ("equity", None)]


def test_a_ruined_account_is_empty_for_the_backtest_and_below_zero_at_a_broker() -> None:
    assert differences(told(equity=0.0), told(equity=-12.0)) == []
    assert what(told(equity=0.0), told(equity=12.0)) == [("equity", None)]


def test_other_bars_are_a_difference() -> None:
    assert differences(told(), replace(told(), bars=99)) == [Difference("bars", None, 100, 99)]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(1, 1e6), st.sampled_from(["a", "b", None])), max_size=20), st.randoms())
def test_a_shuffled_list_of_the_same_trades_never_differs(rows: list[tuple[int, float, object]], chance: object) -> None:
    trades = [traded(hour, size=size, tag=tag, profit=size / 3) for hour, size, tag in rows]
    mixed = list(trades)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert differences(told(*trades), told(*mixed)) == []
