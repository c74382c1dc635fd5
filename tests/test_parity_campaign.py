"""A slice of the campaign that `python -m tests.parity_campaign` runs on all prices."""

from pathlib import Path

import pytest

from Backtest.bars import BUILTIN, builtin_prices
from tests.documented_strategies import DOCUMENTED, write
from tests.parity_campaign import BY_PERCENT, CODES, ENDED, STOPPED, WAITED, Prices, compared, main, turns
from tests.suite_strategies import SUITE, TrailingByPercent
from tests.wide_strategies import WAYS, WIDE, write_wide

BARS = {"learning": 300, "four_averages": 400}


@pytest.mark.every(3)
@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_documentation_of_backtesting_teaches_trades_live_as_in_its_backtest(tmp_path: Path, name: str) -> None:
    bars = builtin_prices("GOOG").iloc[: BARS.get(name, 150)]
    row = compared(write(tmp_path, name, cash=10_000, slower="W-FRI"), Prices("GOOG", "GOOG", bars))
    assert (row.differences, row.problem) == (0, "")
    assert row.counts[2] > 0


@pytest.mark.every(4)
@pytest.mark.parametrize("name", [f"tests.suite_strategies.{strategy.__name__}" for strategy in SUITE if strategy is not TrailingByPercent])
def test_what_the_strategies_of_its_own_test_suite_do_is_done_live_as_in_their_backtest(tmp_path: Path, name: str) -> None:
    number = WIDE.index(name)
    prices = builtin_prices("EURUSD").iloc[300:400] if number % 2 else builtin_prices("GOOG").iloc[300:400]
    file = write_wide(tmp_path, 7 * number % len(WAYS), name, prices)
    row = compared(file, Prices("", ("GOOG", "EURUSD")[number % 2], prices))
    assert (row.differences, row.problem) == (0, "")
    assert row.counts[1] > 0


@pytest.mark.every(3)
@pytest.mark.parametrize("strategy", sorted(CODES.glob("*.py")), ids=lambda file: file.stem)
def test_every_strategy_in_the_box_trades_live_as_in_its_backtest(strategy: Path) -> None:
    row = compared(strategy, Prices("EURUSD", "EURUSD", builtin_prices("EURUSD").iloc[-250:]))
    assert (row.differences, row.problem) == (0, "")
    assert row.counts[1] > 0


def test_the_campaign_tells_where_prices_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.parity_campaign.BUILTIN", {})
    assert main(["--prices", str(tmp_path / "none")]) == 0
    assert f"no further prices: there is no folder {tmp_path / 'none'}" in capsys.readouterr().out


@pytest.mark.parametrize("shards", [3, 7])
def test_each_shard_of_the_wide_campaign_holds_what_the_others_do_not(shards: int) -> None:
    parts = [turns(3, (number, shards)) for number in range(1, shards + 1)]
    assert [each for part in parts for each in part] == turns(3)
    assert len(set(turns(3))) == len(turns(3)) == len(WIDE) * len(WAYS) * 3


def test_one_of_as_many_shards_as_there_are_prices_has_every_strategy_in_every_way_and_all_prices() -> None:
    part = turns(11, (4, 11))
    assert {each[:2] for each in part} == {(name, way) for name in range(len(WIDE)) for way in range(len(WAYS))}
    assert {each[2] for each in part} == set(range(11))


def test_a_shard_of_the_wide_campaign_is_compared_in_several_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = len(turns(3)) // 4
    words = ["--wide", "--bars", "40", "--shard", f"2/{shards}", "--jobs", "2", "--prices", str(tmp_path)]
    assert main(words) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    named = [(WIDE[name].rpartition(".")[2] + f"_{way}", list(BUILTIN)[place]) for name, way, place in turns(3, (2, shards))]
    assert [tuple(row.split()[:2]) for row in rows[: len(named)]] == named
    assert {(row.split()[2], row.split()[5]) for row in rows[: len(named)]} == {("40", "0")}  # bars and differences
    assert rows[-1].startswith(f"{len(named)} comparisons of ")
    assert rows[-1].endswith(": 0 differ")


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b"])
def test_a_shard_that_is_none_is_refused(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--wide", "--shard", shard])
    assert left.value.code == 2
    assert "want I/N with I from 1 to N" in capsys.readouterr().err


LACKING = """
from backtesting import Strategy

BACKTEST = dict(cash=10_000)


class Lacking(Strategy):
    def init(self):
        self.line = self.I(lambda close: close.rolling(500).mean(), self.data.Close.s)

    def next(self):
        if len(self.data) % 7 == 0:
            self.buy(size=1)
"""

FAILING = """
from backtesting import Strategy

BACKTEST = dict(cash=10_000)


class Failing(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.data) % 7 == 0:
            self.buy(size=1)
        if len(self.data) == 25:
            raise ValueError("enough")
"""


BELOW_ZERO = FAILING.replace('raise ValueError("enough")', "self.sell(size=1, limit=10_000, tp=-1)")

BY_THE_MEAN = """
from backtesting.lib import TrailingStrategy

BACKTEST = dict(cash=10_000)


class ByTheMean(TrailingStrategy):
    def init(self):
        super().init()
        self.set_atr_periods(4)
        self.set_trailing_pct(0.05)
        self.line = self.I(lambda: self.data.Close.s.rolling(5).mean())

    def next(self):
        super().next()
        if not self.position:
            self.buy(size=10{more})
"""
LOOKS_AHEAD = ", tag=float(self._TrailingStrategy__atr[-1])"  # another difference beside that of the mean


@pytest.mark.parametrize(
    ("text", "bars", "differs", "ground"),
    [
        (LACKING, 40, True, WAITED),
        (FAILING, 24, False, ENDED),
        (BELOW_ZERO, 25, False, STOPPED),
        (BY_THE_MEAN.format(more=""), 40, True, BY_PERCENT),
        (BY_THE_MEAN.format(more=LOOKS_AHEAD), 40, True, ""),
    ],
    ids=["lacking", "failing", "below zero", "percent", "percent and more"],
)
def test_what_cannot_be_compared_to_its_end_or_cannot_be_equal_is_named(
    tmp_path: Path, text: str, bars: int, differs: bool, ground: str
) -> None:
    file = tmp_path / "strategy.py"
    file.write_text(text, encoding="utf-8")
    row = compared(file, Prices("GOOG", "GOOG", builtin_prices("GOOG").iloc[:40]))
    assert (row.counts[0], bool(row.differences), row.ground) == (bars, differs, ground)
    assert row.counts[1] > 0
