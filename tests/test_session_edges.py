import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy
from backtesting._util import _Data
from backtesting.backtesting import Backtest
from backtesting.lib import TrailingStrategy

from Backtest.bars import builtin_prices
from Backtest.decisions import Account, WaitingOrder
from Backtest.session import StrategyFailed, StrategySession
from Backtest.strategies import DEFAULTS
from tests.session_truth import (
    BARS_60,
    CASH,
    FRAME,
    Idle,
    bars_of,
    fed,
    held,
    idle,
    plain,
    session_of,
)

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
