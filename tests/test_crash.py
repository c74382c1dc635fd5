"""A trader is killed and started again: each bar is decided once, each order is sent once, nothing is lost and nothing is hidden."""

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import TradeDeal, TradeOrder
from Live.audit_logger.chain import first_broken_link
from Live.config import PROJECT_ROOT
from tests.crash_points import POINTS, trade

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing there kills like SIGKILL")

CANARY = "canary-of-the-password"
# Decides by the last price alone, so that a missed order changes no later decision. Opens with stop and limit, moves stops, closes.
STRATEGY = """
from backtesting import Strategy

BACKTEST = dict(cash=10_000, exclusive_orders=True)


class Busy(Strategy):
    def init(self):
        pass

    def next(self):
        price = self.data.Close[-1]
        chance = round(price * 1e5) % 8
        if chance == 0:
            self.buy(size=1000, sl=price - 0.002, tp=price + 0.003)
        elif chance == 1:
            self.sell(size=1000, sl=price + 0.002, tp=price - 0.003)
        elif chance == 2:
            self.position.close()
        elif chance == 3:
            for trade in self.trades:
                trade.sl = price - 0.004 if trade.is_long else price + 0.004
"""
OPEN = ("PENDING", "SUBMITTED", "PLACED", "PARTIALLY_FILLED", "UNKNOWN", "UNRESOLVED")
TRADES = "SELECT entry_time, exit_time, side, size, entry_price, exit_price, exit_reason FROM trades ORDER BY exit_time, entry_time"


@dataclass(frozen=True)
class Account:
    """What a trader leaves on disk: its record and the broker's own file."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "SIM_ACCOUNT_DIR": "sim", "KILL_SWITCH_FILE": "EMERGENCY_STOP"}
        limits = dict.fromkeys(("MAX_DAILY_TRADES", "MAX_POSITIONS", "MAX_ORDERS_PER_MINUTE"), "10000")
        more = {"SIZING": "strategy", "MT5_TERMINAL": "simulated", "DASHBOARD": "false", "MT5_PASSWORD": CANARY, "INTERVAL_SECONDS": "3600"}
        return {**{name: str(self.folder / file) for name, file in paths.items()}, **limits, **more, "MAX_DAILY_LOSS_PCT": "100"}

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(f"file:{self.folder}/audit.db?mode=ro", uri=True)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def count(self, table: str, where: str = "1") -> int:
        return int(self.rows(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])

    def at_the_broker(self, kind: str, structure: type[Any]) -> list[Any]:
        (file,) = (self.folder / "sim").glob("*.jsonl")
        lines = file.read_bytes().splitlines(keepends=True)
        steps = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [structure(row) for step in steps[1:] for row in step[kind]]

    def orders(self) -> list[Any]:
        """Those that a program sent; a stop's carry the server's words."""
        return [order for order in self.at_the_broker("orders", TradeOrder) if order.reason == 3]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    builtin_prices("EURUSD").iloc[1000:1160].to_csv(folder / "prices.csv")
    (folder / "busy.py").write_text(STRATEGY)
    (folder / "empty.env").touch()
    return folder


@pytest.fixture(scope="module")
def arguments(shared: Path) -> list[str]:
    files = ["--strategy", shared / "busy.py", "--data", shared / "prices.csv", "--config", shared / "empty.env"]
    return ["run", "--dry-run", *map(str, files)]


@pytest.fixture(scope="module")
def uninterrupted(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Account:
    account = Account(tmp_path_factory.mktemp("uninterrupted"))
    with started(account, arguments) as trader:
        trader.communicate()
    assert trader.returncode == 0
    return account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@contextlib.contextmanager
def started(account: Account, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m Live run …`, as a user starts it."""
    command = [sys.executable, "-m", "Live", *arguments]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env={**os.environ, **account.environment}, stderr=subprocess.DEVNULL) as trader:
        try:
            yield trader
        finally:
            trader.kill()


@pytest.fixture(scope="module")
def run(arguments: list[str]) -> Callable[..., int]:
    """One life of the trader, in a child of a process that has imported everything; its exit code, -9 when it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash_points"])

    def life(account: Account, point: str | None = None, nth: int = 1) -> int:
        child = context.Process(target=trade, args=(arguments, account.environment, point, nth))
        child.start()
        child.join()
        assert child.exitcode is not None
        return child.exitcode

    return life


def missed(account: Account) -> set[str]:
    """When the entries were due that were given up for safety; closes and levels are decided again."""
    return {time for (time,) in account.rows("SELECT timestamp FROM orders WHERE status = 'ABSENT' AND kind = 'ENTRY'")}


def same_trades(account: Account, uninterrupted: Account) -> bool:
    found, expected = ([row for row in each.rows(TRADES) if row[0] not in missed(account)] for each in (account, uninterrupted))
    return found == expected and len(expected) > 20


def check(account: Account, uninterrupted: Account) -> None:
    """The oracle: what must hold after any number of kills, once the trader has come to the end."""
    decided = "SELECT bar_epoch, open, close, acted FROM bars ORDER BY bar_epoch"
    assert account.rows(decided) == uninterrupted.rows(decided)
    # an order that was missed leaves nothing to close later; what is entered, and when, does not depend on it
    signals = "SELECT bar_time, signal, size FROM signals WHERE signal IN ('BUY', 'SELL') OR ? ORDER BY bar_time, leg"
    assert account.rows(signals, not missed(account)) == uninterrupted.rows(signals, not missed(account))

    keys = Counter(order.comment for order in account.orders())
    assert [key for key, times in keys.items() if times > 1] == []
    sent = "SELECT order_key FROM orders JOIN order_events USING (client_order_id) WHERE to_status = 'SUBMITTED'"
    assert set(keys) <= {key for (key,) in account.rows(sent)}

    marks = ", ".join("?" * len(OPEN))
    assert account.rows(f"SELECT client_order_id, status FROM orders WHERE status IN ({marks})", *OPEN) == []
    at_the_broker = {deal.ticket: deal.price for deal in account.at_the_broker("deals", TradeDeal) if deal.order}
    assert dict(account.rows("SELECT deal_ticket, price FROM fills")) == at_the_broker
    assert account.count("orders", "status = 'FILLED' AND kind <> 'SLTP'") == len(keys)

    assert same_trades(account, uninterrupted)
    assert account.count("events", "event_type = 'MISSED_BY_SAFETY'") == account.count("orders", "status = 'ABSENT'")

    db = sqlite3.connect(account.folder / "audit.db")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert first_broken_link(db) is None
    db.close()
    assert not any(CANARY.encode() in file.read_bytes() for file in account.folder.rglob("*") if file.is_file())


# killed by somebody else, at some moment


def killed_when(account: Account, arguments: list[str], condition: str) -> None:
    with started(account, arguments) as trader:
        while trader.poll() is None:
            with contextlib.suppress(sqlite3.Error):
                if account.rows(condition)[0][0]:
                    break
        trader.send_signal(signal.SIGKILL)
        trader.wait()
    assert trader.returncode == -signal.SIGKILL, "it came to its end before the condition was seen"


@pytest.mark.long
def test_a_trader_that_is_killed_at_any_moment_goes_on_from_where_it_was(
    account: Account, arguments: list[str], uninterrupted: Account, run: Callable[..., int]
) -> None:
    slowly = [*arguments, "--speed", str(3600 * 60)]  # 60 bars a second: the end is far when the condition is seen
    for condition in ("SELECT count(*) >= 20 FROM bars", "SELECT count(*) >= 25 FROM orders", "SELECT count(*) >= 20 FROM trades"):
        killed_when(account, slowly, condition)
    assert run(account) == 0
    check(account, uninterrupted)
    assert account.count("runs") == 4


def test_a_second_run_over_the_same_bars_sends_nothing(uninterrupted: Account, run: Callable[..., int]) -> None:
    before = (uninterrupted.rows("SELECT * FROM orders"), uninterrupted.count("bars"), len(uninterrupted.orders()))
    assert run(uninterrupted) == 0
    assert (uninterrupted.rows("SELECT * FROM orders"), uninterrupted.count("bars"), len(uninterrupted.orders())) == before


# killed by its own hand, at each point

GIVES_UP = {
    "between the mark and the send of an entry": ["ENTRY"],
    "between the mark and the send of an exit": ["EXIT"],
    "between the mark and the send of levels": ["SLTP"],
    "in the middle of the account's line": ["EXIT"],
}
NEEDS_ANOTHER = {"while an order is settled", "before the run is closed"}
IN_A_ROW = [
    "between the mark and the send of an entry",
    "while an order is settled",
    "between the send of an exit and its answer",
    "while an order is settled",
    "before a deal is put down",
    "before the run is closed",
]


@pytest.mark.every(3)
@pytest.mark.parametrize("point", sorted(POINTS.keys() - NEEDS_ANOTHER))
def test_a_trader_that_is_killed_at_a_point_goes_on_from_where_it_was(
    point: str, account: Account, uninterrupted: Account, run: Callable[..., int]
) -> None:
    assert run(account, point, nth=3) == -signal.SIGKILL
    assert run(account) == 0
    check(account, uninterrupted)
    assert [kind for (kind,) in account.rows("SELECT kind FROM orders WHERE status = 'ABSENT'")] == GIVES_UP.get(point, [])


def test_a_trader_that_is_killed_again_and_again_goes_on_from_where_it_was(
    account: Account, uninterrupted: Account, run: Callable[..., int]
) -> None:
    assert [run(account, point) for point in IN_A_ROW] == [-signal.SIGKILL] * len(IN_A_ROW)
    assert run(account) == 0
    check(account, uninterrupted)
