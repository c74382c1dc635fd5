"""The whole trader over terminals whose answers go wrong by seed: nothing is sent twice, and nothing ends in a traceback."""

import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy

from Backtest.simulated_terminal import SimulatedTerminal
from Backtest.simulated_terminal.faults import At, Chance, FaultyTerminal, Planned, Schedule
from Live.clock import SystemClock
from Live.errors import LiveError
from Live.live_trader import Chosen, LiveTrader
from tests.live_runs import WIDE_OPEN, eurusd, loaded, settings, simulated
from tests.simulated_terminal.terminals import ALL

FAILED = 1
BARS = 45


class Busy(Strategy):
    """Enters, moves its stop, takes a part and leaves, over and over."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if bar % 5 == 0:
            self.buy(size=3000, sl=price - 0.02)
        elif bar % 5 == 2:
            for trade in self.trades:
                trade.sl = price - 0.015
        elif bar % 5 == 3 and self.trades:
            self.trades[0].close(0.5)
        elif bar % 10 == 4:
            self.position.close()


@dataclass(frozen=True)
class Run:
    """How a run ended, and the terminal that it was made on."""

    code: int
    reason: str
    terminal: FaultyTerminal

    @property
    def orders(self) -> Counter[str]:
        """In truth, by their keys."""
        self.terminal.inner.initialize()
        comments = (row.comment for row in self.terminal.inner.history_orders_get(*ALL))
        return Counter(comment for comment in comments if comment.startswith("q"))


class Standing(SystemClock):
    """How often the page is written does not hang on the speed of the machine."""

    def now(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC)


def run(folder: Path, schedule: Schedule) -> Run:
    def made(*args: Any, **options: Any) -> FaultyTerminal:
        return FaultyTerminal(SimulatedTerminal(*args, **options), schedule)

    strategy, config = loaded(Busy), settings(folder, symbols="EURUSD", **WIDE_OPEN)
    opened = simulated(folder, {"EURUSD": eurusd(BARS)}, strategy, steps=config.timeframe, made_by=made)
    # of any other terminal than a simulated one the trader knows that an order may be in flight
    trader = LiveTrader(config, Chosen(strategy, {}), replace(opened, name="remote", machine=Standing()))
    try:
        code = trader.run()
        return Run(code, trader.end_reason, opened.functions)
    except LiveError as error:
        return Run(error.exit_code, str(error), opened.functions)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other test holds this account."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def finished(ran: Run) -> None:
    ran.terminal.inner.close()


@pytest.mark.parametrize("seed", [0, 4, 23, 28, 29])
def test_whatever_goes_wrong_no_order_is_sent_twice_and_no_run_ends_in_a_traceback(seed: int, tmp_path: Path) -> None:
    ran = run(tmp_path, Schedule.from_seed(seed))
    twice = {key: count for key, count in ran.orders.items() if count > 1}
    finished(ran)
    assert twice == {}
    assert ran.code != FAILED, ran.reason


OFTEN = {"answer_lost": 0.3, "executed_late": 0.3, "unclear": 0.3, "placed": 0.3, "late_lists": 1.0, "wrong_frame": 0.01, "no_answer": 0.02}


@pytest.mark.every(2)
@pytest.mark.parametrize("fault", OFTEN)
def test_a_fault_that_comes_often_makes_no_order_twice(fault: str, tmp_path: Path) -> None:
    ran = run(tmp_path, Schedule((Planned(Chance(OFTEN[fault]), fault),), seed=1))
    orders = ran.orders
    finished(ran)
    assert ran.terminal.log.hits[fault] > 1
    assert set(orders.values()) == {1}
    assert ran.code == 0, ran.reason


def test_the_same_seed_makes_the_same_run(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(run(tmp_path / name, Schedule.from_seed(29)))
        finished(runs[-1])
    first, second = (each.terminal for each in runs)
    assert first.log.entries == second.log.entries
    assert (first.log.hits, first.seen) == (second.log.hits, second.seen)
    assert len(first.log.entries) > 10


def test_what_opened_a_position_is_known_by_its_ticket_where_the_server_forgets_the_magic(tmp_path: Path) -> None:
    schedule = Schedule((Planned(At(0.0), "magic_missing", {"deals": "opening"}),))
    ran = run(tmp_path, schedule)
    assert ran.code == 0
    with sqlite3.connect(tmp_path / "audit.db") as db:
        (recorded,) = db.execute("SELECT count(*) FROM fills").fetchone()
        (trades,) = db.execute("SELECT count(*) FROM trades").fetchone()
    ran.terminal.inner.initialize()
    truth = [deal for deal in ran.terminal.inner.history_deals_get(*ALL) if deal.position_id]
    assert recorded == len(truth)
    assert trades == sum(deal.entry != 0 for deal in truth)
