"""The whole live stack against `Backtest.run()` on the same bars: every trade to the last bit, and the equity at the end."""

import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.backtesting import Backtest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import SimulatedTerminal
from tests.live_runs import Ran, loaded, run_live
from tests.many_strategies import CASES, FIXED, RELATIVE, Case, Drawn, ReversingByFifo, cheap, fitted

STRETCH = {"EURUSD": ("H1", 1_000, 1_350), "GOOG": ("D1", 300, 650)}


def prices_of(symbol: str) -> pd.DataFrame:
    _, first, last = STRETCH[symbol]
    return builtin_prices(symbol).iloc[first:last]


def backtested(strategy: type[Strategy], frame: pd.DataFrame, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # trades remain open, orders are cancelled for want of margin
        return Backtest(frame, strategy, **settings).run()


def traded(folder: Path, strategy: type[Strategy], symbol: str, frame: pd.DataFrame, **settings: Any) -> Ran:
    return run_live(folder, loaded(strategy, **settings), {symbol: frame}, given={"timeframe": STRETCH[symbol][0]})


def trades_of_backtest(stats: Any) -> list[tuple[Any, ...]]:
    """Sorted: the trades that one bar closes stand in the order of the backtest's queue."""
    columns = ("Size", "EntryPrice", "ExitPrice", "EntryTime", "ExitTime", "Tag")
    rows = zip(*(stats["_trades"][name].tolist() for name in columns), strict=True)
    return sorted(((float(size), *prices, entered, left, _tag(tag)) for size, *prices, entered, left, tag in rows), key=repr)


def trades_of_record(ran: Ran) -> list[tuple[Any, ...]]:
    rows = ran.rows("SELECT size, entry_price, exit_price, entry_time, exit_time, tag FROM trades")
    times = [(pd.Timestamp(row.pop("entry_time")), pd.Timestamp(row.pop("exit_time"))) for row in rows]
    tags = [json.loads(text) if (text := row.pop("tag")) else None for row in rows]
    return sorted(
        (
            (*row.values(), entered.tz_localize(None), left.tz_localize(None), tag)
            for row, (entered, left), tag in zip(rows, times, tags, strict=True)
        ),
        key=repr,
    )


def _tag(tag: Any) -> Any:
    return None if isinstance(tag, float) and tag != tag else tag  # a column of tags has NaN where there is none


def assert_parity(folder: Path, strategy: type[Strategy], symbol: str, frame: pd.DataFrame, **settings: Any) -> int:
    """The number of trades, which are the same on both sides."""
    stats = backtested(strategy, frame, **settings)
    ran = traded(folder, strategy, symbol, frame, **settings)
    assert trades_of_record(ran) == trades_of_backtest(stats)
    assert ran.trader.final_account.equity == pytest.approx(stats["Equity Final [$]"], rel=1e-9)
    return len(stats["_trades"])


# each strategy on one of the two symbols, in turn; test_session.py has them all on both
TURNS = [(case, case.prices[number % len(case.prices)]) for number, case in enumerate(CASES)]


@pytest.mark.parametrize(("case", "symbol"), [pytest.param(*turn, id="-".join(map(str, turn))) for turn in TURNS])
def test_the_live_stack_makes_the_trades_of_the_backtest(tmp_path: Path, case: Case, symbol: str) -> None:
    assert assert_parity(tmp_path, fitted(case, symbol), symbol, prices_of(symbol), **case.backtest) > 2


class DyingTerminal(SimulatedTerminal):
    """Ends its trader at the check of the first entry that follows a close in the same bar."""

    closed = 0

    def order_check(self, request: dict[str, Any]) -> Any:
        if request.get("position"):
            self.closed = self.clock.progress[0]
        elif self.closed == self.clock.progress[0]:
            raise ConnectionResetError("the power is gone")
        return super().order_check(request)


def test_a_reversal_that_was_cut_off_between_its_close_and_its_entry_is_finished_with_the_rest(tmp_path: Path) -> None:
    frame = prices_of("EURUSD")
    strategy = loaded(ReversingByFifo)
    assert run_live(tmp_path, strategy, frame, made_by=DyingTerminal).code == 1
    ran = run_live(tmp_path, strategy, frame)
    assert trades_of_record(ran) == trades_of_backtest(backtested(ReversingByFifo, frame))


FORMS = st.sampled_from([{}, {"commission": RELATIVE}, {"commission": FIXED}, {"commission": cheap}])
WAYS = st.sampled_from([{}, {"hedging": True}, {"exclusive_orders": True}, {"hedging": True, "exclusive_orders": True}])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    symbol=st.sampled_from(sorted(STRETCH)),
    first=st.integers(0, 1_900),
    way=WAYS,
    form=FORMS,
    room=st.floats(0.2, 4.0),
)
def test_any_strategy_that_is_drawn_trades_as_in_its_backtest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, symbol: str, first: int, way: dict[str, Any], form: dict[str, Any], room: float
) -> None:
    strategy = type("Drawn", (fitted(Case(Drawn), symbol),), {"seed": seed, "room": room})
    frame = builtin_prices(symbol).iloc[first : first + 120]
    assert_parity(tmp_path_factory.mktemp("drawn"), strategy, symbol, frame, cash=5_000_000, **way, **form)
