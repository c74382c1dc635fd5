"""What was decided is decided again from the record alone: identical, or the first divergence and why."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.strategies import load_strategy
from Live.__main__ import main
from Live.audit_logger.reader import RecordUnavailable
from Live.config import PROJECT_ROOT
from Live.errors import Misconfigured
from Live.live_trader import LiveTrader
from Live.replay import Replayed, replays_of
from Live.report import Wanted
from tests.live_runs import Ran, eurusd, run_live

STATEFUL = """
from backtesting import Strategy

BACKTEST = dict(cash=100_000, margin=0.05)


class Stateful(Strategy):
    "Looks at its account, its trades, and what it remembers."

    counted = 0
    size = 1000

    def init(self):
        self.mean = self.I(lambda close: close.s.rolling(5).mean(), self.data.Close)
        self.seen = []

    def next(self):
        self.seen.append(len(self.data))
        if len(self.orders) == 0 and len(self.seen) % 7 == 0 and self.data.Close[-1] > self.mean[-1]:
            self.buy(size=self.size, limit=self.data.Close[-1] * 0.999, sl=self.data.Close[-1] * 0.99, tag=len(self.closed_trades))
        elif len(self.seen) % 11 == 0:
            self.sell(size=0.1 + len(self.closed_trades) / 1000)
        for trade in self.trades:
            if trade.pl > 0 and len(self.data) - trade.entry_bar > 6:
                trade.close(0.5)
            elif trade.is_long and trade.sl and trade.pl > 0:
                trade.sl = max(trade.sl, trade.entry_price)
"""
CHANCE = """
import numpy as np
from backtesting import Strategy


class Chance(Strategy):
    def init(self):
        pass

    def next(self):
        if np.random.rand() < 0.2:
            self.buy(size=1000)
"""


def strategy(folder: Path, text: str = STATEFUL) -> Any:
    (folder / "strategy.py").write_text(text)
    return load_strategy(folder / "strategy.py")


def traded(folder: Path, text: str = STATEFUL, bars: int = 150, **more: Any) -> Ran:
    account = AccountSpec(100_000.0, commission=lambda size, _: 3.5e-5 * abs(size))
    return run_live(folder, strategy(folder, text), eurusd(bars, 1000), spec=retail_symbol, account=account, **more)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return traded(tmp_path_factory.mktemp("session"))


def replays(ran: Ran, **wanted: Any) -> list[Replayed]:
    return replays_of(ran.folder / "audit.db", Wanted(**wanted))


def test_a_session_is_decided_again_identically(session: Ran) -> None:
    [found] = replays(session)
    assert (found.divergence, found.changed, found.other_versions) == (None, False, {})
    assert found.bars == 149
    assert found.decisions == session.count("signals", "signal <> 'HOLD'") > 20


def stopping_at(bar: int) -> Any:
    def look(trader: LiveTrader) -> None:
        if trader.bars >= bar:
            trader._on_signal(15, None)

    return look


def test_sessions_that_were_stopped_and_started_again_are_replayed_run_by_run(tmp_path: Path) -> None:
    for bar in (40, 50):
        traded(tmp_path, on_turn=stopping_at(bar))
    ran = traded(tmp_path)
    found = replays(ran)
    assert [each.divergence for each in found] == [None, None, None]
    assert sum(each.bars for each in found) == 149
    assert [each.bars for each in replays(ran, run=2)] == [found[1].bars]
    assert sum(each.decisions for each in found) == ran.count("signals", "signal <> 'HOLD'")


@pytest.mark.long
def test_a_strategy_that_was_stopped_decides_what_it_would_have_decided(session: Ran, tmp_path: Path) -> None:
    traded(tmp_path, on_turn=stopping_at(60))
    ran = traded(tmp_path)
    columns = "SELECT bar_time, signal, size, limit_price, stop_loss, tag FROM signals WHERE signal <> 'HOLD' ORDER BY id"
    assert ran.rows(columns) == session.rows(columns)


def test_bars_that_were_missed_are_replayed_too(tmp_path: Path) -> None:
    def away(trader: LiveTrader) -> None:
        if trader.bars == 50:
            trader.clock.sleep(9 * 3600)

    ran = traded(tmp_path, on_turn=away)
    assert ran.count("bars", "NOT acted") > 5
    [found] = replays(ran)
    assert (found.bars, found.divergence) == (ran.count("bars"), None)


def test_a_changed_file_diverges_on_the_first_bar_that_it_decides_otherwise(session: Ran, tmp_path: Path) -> None:
    ran = Ran(session.code, session.trader, session.terminal, tmp_path / "copy")
    shutil.copytree(session.folder, ran.folder)
    file = session.folder / "strategy.py"
    try:
        file.write_text(STATEFUL.replace("size = 1000", "size = 2000"))
        [found] = replays(ran)
    finally:
        file.write_text(STATEFUL)
    first = found.divergence
    assert found.changed
    assert first is not None
    bought = ran.rows("SELECT bar_time FROM signals WHERE signal = 'BUY' ORDER BY id LIMIT 1")[0]["bar_time"]
    assert first.bar.time.isoformat() == bought[:19]
    assert [each["size"] for each in first.then if each["signal"] == "BUY"] == [1000]
    assert [each["size"] for each in first.now if each["signal"] == "BUY"] == [2000]
    assert "the strategy file has changed" in first.cause


def test_a_file_that_was_changed_in_words_only_is_told_and_decides_the_same(session: Ran) -> None:
    file = session.folder / "strategy.py"
    try:
        file.write_text(STATEFUL + "\n# nothing\n")
        [found] = replays(session)
    finally:
        file.write_text(STATEFUL)
    assert (found.changed, found.divergence) == (True, None)


def test_a_strategy_that_fails_now_diverges_with_what_it_says(session: Ran) -> None:
    file = session.folder / "strategy.py"
    try:
        file.write_text(
            STATEFUL.replace("        self.seen.append", "        assert len(self.data) < 60, 'too long'\n        self.seen.append")
        )
        [found] = replays(session)
    finally:
        file.write_text(STATEFUL)
    assert found.divergence is not None
    assert "too long" in found.divergence.failure
    assert found.bars == 60


def test_chance_is_named(tmp_path: Path) -> None:
    [found] = replays(traded(tmp_path, CHANCE, bars=80))
    assert found.divergence is not None
    assert "by chance" in found.divergence.cause


def test_other_versions_are_named(session: Ran, tmp_path: Path) -> None:
    ran = Ran(session.code, session.trader, session.terminal, tmp_path / "copy")
    shutil.copytree(session.folder, ran.folder)
    db = sqlite3.connect(ran.folder / "audit.db")
    db.execute("UPDATE runs SET versions = json_set(versions, '$.numpy', '0.1')")
    db.execute("DROP TRIGGER signals_are_evidence_u")
    db.execute("UPDATE signals SET size = 5 WHERE id = (SELECT max(id) FROM signals WHERE signal = 'SELL')")
    db.commit()
    db.close()
    [found] = replays(ran)
    assert list(found.other_versions) == ["numpy"]
    assert found.divergence is not None
    assert "other versions than then: numpy 0.1 →" in found.divergence.cause


def test_two_symbols_of_a_strategy_that_counts_in_its_class_are_replayed_together(tmp_path: Path) -> None:
    counting = "type(self).counted += 1\n        self.seen.append"
    text = STATEFUL.replace("self.seen.append", counting).replace("% 11 == 0", "% 11 == self.counted % 3")
    frames = {"EURUSD": eurusd(80, 1000), "GBPUSD": eurusd(80, 1200).set_axis(eurusd(80, 1000).index)}
    run_live(tmp_path, strategy(tmp_path, text), frames)
    [found] = replays_of(tmp_path / "audit.db", Wanted())
    assert (found.bars, found.divergence) == (158, None)


def test_the_command_says_identical_or_shows_the_divergence(session: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    db, file = str(session.folder / "audit.db"), session.folder / "strategy.py"
    assert main(["replay", "--db", db]) == 0
    assert "identical" in capsys.readouterr().out
    try:
        file.write_text(STATEFUL.replace("% 11", "% 12"))
        assert main(["replay", "--db", db]) == 6
        out = capsys.readouterr().out
        assert main(["replay", "--db", db, "--json"]) == 6
        [told] = json.loads(capsys.readouterr().out)
    finally:
        file.write_text(STATEFUL)
    for words in (
        "diverges",
        "then: SELL size=-0.1",
        "now:  ",
        "it was shown: cash 100,000.00",
        "Likely cause: the strategy file has changed",
    ):
        assert words in out
    assert told["divergence"]["then"][0]["signal"] == "SELL"
    assert told["strategy_file"] == "changed"


def test_what_is_not_there_is_told_in_a_sentence(session: Ran, tmp_path: Path) -> None:
    with pytest.raises(RecordUnavailable, match="has no run 9"):
        replays(session, run=9)
    with pytest.raises(Misconfigured, match="nothing can be replayed"):
        replays(session, since="2030-01-01")
    file = session.folder / "strategy.py"
    try:
        file.unlink()
        with pytest.raises(BadInput, match="there is no such strategy file"):
            replays(session)
    finally:
        file.write_text(STATEFUL)


def test_every_shipped_strategy_is_replayed_identically(tmp_path: Path) -> None:
    for path in sorted((PROJECT_ROOT / "Backtest" / "codes").glob("*.py")):
        folder = tmp_path / path.stem
        folder.mkdir()
        shutil.copy(path, folder / path.name)
        run_live(folder, load_strategy(folder / path.name), eurusd(120, 1000))
        [found] = replays_of(folder / "audit.db", Wanted())
        assert found.divergence is None
        assert found.bars == 119
