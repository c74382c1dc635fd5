"""A slice of the campaign that `python -m tests.parity_campaign` runs on all prices."""

from pathlib import Path

import pytest

from Backtest.bars import builtin_prices
from tests.documented_strategies import DOCUMENTED, write
from tests.parity_campaign import CODES, Prices, compared, main
from tests.suite_strategies import SUITE, TrailingByPercent
from tests.wide_strategies import WAYS, WIDE, write_wide

BARS = {"learning": 300, "four_averages": 400}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_documentation_of_backtesting_teaches_trades_live_as_in_its_backtest(tmp_path: Path, name: str) -> None:
    bars = builtin_prices("GOOG").iloc[: BARS.get(name, 150)]
    row = compared(write(tmp_path, name, cash=10_000, slower="W-FRI"), Prices("GOOG", "GOOG", bars))
    assert (row.differences, row.problem) == (0, "")
    assert row.counts[2] > 0


@pytest.mark.parametrize("name", [f"tests.suite_strategies.{strategy.__name__}" for strategy in SUITE if strategy is not TrailingByPercent])
def test_what_the_strategies_of_its_own_test_suite_do_is_done_live_as_in_their_backtest(tmp_path: Path, name: str) -> None:
    number = WIDE.index(name)
    prices = builtin_prices("EURUSD").iloc[300:400] if number % 2 else builtin_prices("GOOG").iloc[300:400]
    file = write_wide(tmp_path, 7 * number % len(WAYS), name, prices)
    row = compared(file, Prices("", ("GOOG", "EURUSD")[number % 2], prices))
    assert (row.differences, row.problem) == (0, "")
    assert row.counts[1] > 0


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
