"""The trader's terminal on a file of ticks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy

from Backtest.errors import BadInput
from Live.mt5_connector import OpenedTerminal, open_terminal
from tests.live_runs import loaded, settings


class Idle(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        pass


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., OpenedTerminal]]:
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(range(0, 1_200, 30), unit="s")
    frame = pd.DataFrame({"time": times, "bid": [round(1.1 + n / 1e5, 5) for n in range(40)]})
    frame.assign(ask=(frame["bid"] + 1e-5).round(5)).to_csv(tmp_path / "ticks.csv", index=False)
    with ExitStack() as resources:

        def make(**given: Any) -> OpenedTerminal:
            given = {"sim_prices": {"EURUSD": str(tmp_path / "ticks.csv")}, "sim_account_dir": str(tmp_path), "timeframe": "5m", **given}
            return open_terminal(settings(tmp_path, **given), loaded(Idle), {}, resources)

        yield make


def test_the_bars_that_are_traded_are_built_from_the_ticks(opened: Callable[..., OpenedTerminal]) -> None:
    terminal = opened(sim_broker="retail")
    terminal.functions.initialize()
    terminal.clock.sleep(600)
    rates = terminal.functions.copy_rates_from_pos("EURUSD", 5, 0, 10)
    assert [(int(row["tick_volume"]), float(row["open"])) for row in rates] == [(10, 1.1), (10, 1.1001), (1, 1.1002)]
    tick = terminal.functions.symbol_info_tick("EURUSD")
    assert (tick.bid, tick.ask) == (1.1002, 1.10021)


def test_a_wider_spread_is_added_to_the_ticks_own(opened: Callable[..., OpenedTerminal]) -> None:
    terminal = opened(sim_broker="retail", sim_spread_points=7)
    terminal.functions.initialize()
    assert terminal.functions.symbol_info("EURUSD").spread == 8


def test_a_replay_that_is_to_equal_the_backtest_wants_bars(opened: Callable[..., OpenedTerminal]) -> None:
    with pytest.raises(BadInput, match=r"ticks.csv: it holds ticks, and SIM_BROKER=parity replays bars, .* set SIM_BROKER=retail"):
        opened(sim_broker="parity")
