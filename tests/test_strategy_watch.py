"""A strategy file that changes while it trades: told and recorded once, the old code goes on."""

import shutil
from pathlib import Path

from Backtest.strategies import load_strategy
from Live.config import PROJECT_ROOT
from Live.live_trader import LiveTrader
from tests.live_runs import Ran, eurusd, loaded, run_live
from tests.test_bar_watch import EveryFive

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"


def traded(folder: Path, changes: dict[int, str | None]) -> Ran:
    file = folder / "strategy.py"
    shutil.copy(SMA, file)

    def on_turn(trader: LiveTrader) -> None:
        if trader.bars in changes:
            text = changes[trader.bars]
            if text is None:
                file.unlink(missing_ok=True)
            elif not file.exists() or file.read_text() != text:
                file.write_text(text)

    return run_live(folder, load_strategy(file), eurusd(60, 1000), on_turn=on_turn)


def told(ran: Ran) -> list[str]:
    return [
        row["message"].removeprefix(str(ran.folder)) for row in ran.rows("SELECT message FROM events WHERE event_type = 'STRATEGY_CHANGED'")
    ]


def test_a_file_that_does_not_change_is_not_told(tmp_path: Path) -> None:
    assert told(traded(tmp_path, {20: SMA.read_text()})) == []


def test_a_change_is_told_once_and_the_old_code_goes_on(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    ran = traded(tmp_path / "one", {20: "this is not even Python"})
    assert told(ran) == ["/strategy.py has changed while it trades: the code from before goes on until the next start"]
    decisions = "SELECT bar_time, signal, size FROM signals ORDER BY id"
    assert ran.rows(decisions) == traded(tmp_path / "other", {}).rows(decisions)


def test_a_file_that_goes_and_comes_back_is_told_both_times(tmp_path: Path) -> None:
    sentences = told(traded(tmp_path, {20: None, 30: SMA.read_text()}))
    assert sentences == [
        "/strategy.py is not there any more while it trades: the code from before goes on until the next start",
        "/strategy.py is again what is running",
    ]


def test_a_strategy_without_a_file_is_not_watched(tmp_path: Path) -> None:
    assert told(run_live(tmp_path, loaded(EveryFive), eurusd(20, 1000))) == []
