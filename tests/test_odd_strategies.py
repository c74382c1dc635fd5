"""Unusual strategies are traded as in their backtest, too; and one thing that cannot be."""

from pathlib import Path

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


@pytest.mark.parametrize("name", ["Super", "Floats", "Stateful", "Frames"])
def test_a_strategy_that_is_written_unusually_trades_as_in_its_backtest(name: str) -> None:
    verdict = compare(f"{Path(__file__).with_name('odd_strategies.py')}:{name}", {}, BARS, "EURUSD")
    assert list(map(str, verdict.differences)) == []
    assert len(verdict.live.trades) > 2


def test_what_init_sets_in_its_module_is_set_on_each_bar(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text(COUNTS_IN_ITS_MODULE, encoding="utf-8")
    verdict = compare(str(file), {}, BARS, "EURUSD")
    assert len(verdict.backtest.decisions) > 10
    assert verdict.live.decisions == []
