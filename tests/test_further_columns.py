"""Columns of a price file that no terminal has: a session with them is told again from the file, or it is said why not."""

from pathlib import Path

import pytest

from Backtest.bars import read_prices
from Backtest.errors import BadInput
from Backtest.strategies import load_strategy
from Live.drift import drifts_of
from Live.replay import replays_of
from Live.report import Wanted, reports_of
from tests.live_runs import Ran, eurusd, run_live

READS_SENTIMENT = """
from backtesting import Strategy


class Mood(Strategy):
    def init(self):
        self.mood = self.I(lambda: self.data.df["Sentiment"].rolling(3).mean(), name="mood")

    def next(self):
        if self.mood[-1] > 0.5 and not self.position:
            self.buy(size=1000, tag=float(self.data.Sentiment[-1]))
        elif self.mood[-1] < -0.5:
            self.position.close()
"""
READS_NONE = """
from backtesting import Strategy


class Plain(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.data) % 20 == 0:
            self.buy(size=1000)
        elif len(self.data) % 20 == 9:
            self.position.close()
"""


def traded(folder: Path, text: str) -> Ran:
    bars = eurusd(150, 1000)
    file = folder / "prices.csv"
    bars.assign(Sentiment=[((number * 7) % 11 - 5) / 2 for number in range(150)]).rename_axis("Time").to_csv(file)
    (folder / "mood.py").write_text(text, encoding="utf-8")
    prices = read_prices(file)
    return run_live(folder, load_strategy(folder / "mood.py"), {"EURUSD": prices}, given={"sim_prices": f"EURUSD={file}"})


@pytest.fixture
def session(tmp_path: Path) -> Ran:
    return traded(tmp_path, READS_SENTIMENT)


def change(folder: Path) -> None:
    file = folder / "prices.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",2.5\n", ",2.4\n"), encoding="utf-8")


def test_the_record_names_them_and_their_file(session: Ran) -> None:
    [row] = session.rows("SELECT message, details FROM events WHERE event_type = 'FURTHER_COLUMNS'")
    assert row["message"] == "EURUSD: the strategy is shown further columns: Sentiment"
    assert str(session.folder / "prices.csv") in row["details"]


def test_they_are_read_again_for_replay_drift_and_report(session: Ran) -> None:
    db = session.folder / "audit.db"
    [replayed] = replays_of(db, Wanted())
    assert (replayed.divergence, replayed.notes) == (None, [])
    assert replayed.decisions > 10
    [drift] = drifts_of(db, Wanted())
    assert [share.causes for share in drift.shares if any(share.causes.values())] == []
    assert len(drift.shares) > 5
    [report] = reports_of(db, Wanted())
    assert report.notes == ()
    assert [indicator.name for indicator in report.stats["_strategy"]._indicators] == ["mood"]


def test_a_file_that_has_changed_is_not_believed(session: Ran) -> None:
    change(session.folder)
    why = (
        f"EURUSD: further columns of the prices (Sentiment) cannot be read again: {session.folder / 'prices.csv'} has changed since. "
        "A strategy that needs them cannot be told again"
    )
    db = session.folder / "audit.db"
    [replayed] = replays_of(db, Wanted())
    assert replayed.notes == [why]
    assert replayed.divergence is not None
    assert replayed.divergence.cause == "what the strategy was shown beside the bars cannot be read again"
    with pytest.raises(BadInput) as fault:
        drifts_of(db, Wanted())
    assert fault.value.mistakes == (f"{why}.",)
    [report] = reports_of(db, Wanted())
    assert report.notes[-1] == f"{why}."


def test_a_file_that_is_gone_is_said_to_be(session: Ran) -> None:
    (session.folder / "prices.csv").unlink()
    [replayed] = replays_of(session.folder / "audit.db", Wanted())
    [note] = replayed.notes
    assert "prices.csv: there is no such" in note


def test_a_strategy_that_does_not_read_them_is_told_again_without_the_file(tmp_path: Path) -> None:
    ran = traded(tmp_path, READS_NONE)
    (tmp_path / "prices.csv").unlink()
    db = ran.folder / "audit.db"
    [replayed] = replays_of(db, Wanted())
    assert replayed.divergence is None
    assert len(replayed.notes) == 1
    [drift] = drifts_of(db, Wanted())
    assert drift.live == drift.backtest
    assert "cannot be told again" in drift.notes[0]
