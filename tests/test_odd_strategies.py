"""Unusual strategies are traded as in their backtest, too; and one thing that cannot be."""

from pathlib import Path

import pandas as pd
import pytest

from Backtest.bars import builtin_prices
from Live.verify import compare

BARS = builtin_prices("EURUSD").iloc[2000:2100]
COUNTS_IN_ITS_MODULE = """
from backtesting import Strategy

COUNT = {"bars": 0}


class Counting(Strategy):
    def init(self):
        COUNT["bars"] = 0

    def next(self):
        COUNT["bars"] += 1
        if COUNT["bars"] % 7 == 0:
            self.buy(size=1000)
"""


@pytest.mark.every(2)
@pytest.mark.parametrize("name", ["Super", "Floats", "Stateful", "Frames"])
def test_a_strategy_that_is_written_unusually_trades_as_in_its_backtest(name: str) -> None:
    verdict = compare(f"{Path(__file__).with_name('odd_strategies.py')}:{name}", {}, BARS, "EURUSD")
    assert list(map(str, verdict.differences)) == []
    assert len(verdict.live.trades) > 2


SUMMED = """
import numpy as np
from backtesting import Strategy
from tests.many_strategies import sma


class Summed(Strategy):
    def init(self):
        self.upper, self.line = self.I(lambda: (sma(self.data.High, 4), sma(self.data.Close, 7)))
        self.total = np.cumsum(self.line)

    def next(self):
        if len(self.data) % 9 == 0:
            self.buy(size=1000)
        elif len(self.data) % 9 == 4:
            self.position.close()
"""


def test_what_is_computed_from_indicators_and_never_has_a_value_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "summed.py"
    file.write_text(SUMMED, encoding="utf-8")
    verdict = compare(str(file), {}, BARS, "EURUSD")
    assert list(map(str, verdict.differences)) == []
    assert len(verdict.live.trades) == 11


TRAILING = """
from backtesting.lib import SignalStrategy, TrailingStrategy
from tests.many_strategies import sma


class Early(SignalStrategy, TrailingStrategy):
    first = 0

    def init(self):
        super().init()
        rises = (self.data.Close.s.diff() > 0).astype(int)
        rises.iloc[: self.first] = 0
        self.set_signal(rises * 0.2)
        self.set_atr_periods(7)
        self.set_trailing_sl(2)


class ByPercent(TrailingStrategy):
    def init(self):
        super().init()
        self.set_atr_periods(7)
        self.set_trailing_pct(0.001)
        self.line = self.I(sma, self.data.Close, 10)

    def next(self):
        super().next()
        if not self.position and self.data.Close > self.line:
            self.buy(size=1000)
"""


@pytest.mark.long
def test_a_trailing_strategy_waits_for_its_range_and_all_that_differs_comes_of_what_it_ordered_before(tmp_path: Path) -> None:
    file = tmp_path / "trailing.py"
    file.write_text(TRAILING, encoding="utf-8")
    early = compare(f"{file}:Early", {}, BARS, "EURUSD")
    assert early.differences[0].bar < BARS.index[7]
    assert min(each.bar for each in early.live.decisions) >= BARS.index[7]
    later = compare(f"{file}:Early", {"first": 8}, BARS, "EURUSD")
    assert list(map(str, later.differences)) == []
    assert len(later.live.trades) > 5


def test_a_trailing_stop_in_percent_is_a_mean_over_bars_to_come(tmp_path: Path) -> None:
    file = tmp_path / "trailing.py"
    file.write_text(TRAILING, encoding="utf-8")
    verdict = compare(f"{file}:ByPercent", {}, BARS, "EURUSD")
    first = verdict.differences[0]
    assert first.what == "order"
    assert "PROTECT" in str(first)


PIPS = """
from backtesting import Strategy


class ByPip(Strategy):
    def init(self):
        pass

    def next(self):
        self.buy(size=1000, limit=self.data.Close[-1] - 10 * self.data.pip)
"""


def test_a_pip_is_counted_from_the_decimals_of_the_closes_so_far(tmp_path: Path) -> None:
    file = tmp_path / "pips.py"
    file.write_text(PIPS, encoding="utf-8")
    coarse = BARS.iloc[:30].round(4).iloc[:10]
    verdict = compare(str(file), {}, pd.concat([coarse, BARS.iloc[10:40]]), "EURUSD")
    (backtest, live) = (side.decisions[0] for side in (verdict.backtest, verdict.live))
    assert backtest.bar == live.bar
    close = float(coarse["Close"].loc[live.bar])
    assert [close - side.limit for side in (backtest, live) if side.limit] == pytest.approx([0.0001, 0.001])


def test_what_init_sets_in_its_module_is_set_on_each_bar(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text(COUNTS_IN_ITS_MODULE, encoding="utf-8")
    verdict = compare(str(file), {}, BARS, "EURUSD")
    assert len(verdict.backtest.decisions) > 10
    assert verdict.live.decisions == []
