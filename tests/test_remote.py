"""The trader on a terminal that is served elsewhere, through the client of the package `mt5linux`."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, retail_symbol
from Backtest.simulated_terminal.minutes import by_the_minute
from Backtest.simulated_terminal.server_time import ServerTime, server_time
from Live.config import PROJECT_ROOT
from Live.errors import Misconfigured, Unreachable
from Live.live_trader import Chosen, LiveTrader
from Live.mt5_connector import MT5Connector, OpenedTerminal
from Live.mt5_connector.remote import RemoteTerminal
from Live.outcomes import Outcome, verdict_of
from tests.live_runs import WIDE_OPEN, loaded, settings
from tests.served import served_here, serving, ticks_around_the_clock

ALWAYS_BUYS = """
from backtesting import Strategy

class AlwaysBuys(Strategy):
    def init(self):
        pass

    def next(self):
        if not self.position:
            self.buy(size=1)
"""


def live(*arguments: str, **given: str) -> "subprocess.CompletedProcess[str]":
    """The trader as a person starts it."""
    command = [sys.executable, "-m", "Live", "run", "--no-dashboard", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MT5_")} | given
    return subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """Settings for one decision on a market around the clock."""
    (tmp_path / "always_buys.py").write_text(ALWAYS_BUYS)
    (tmp_path / "empty.env").touch()
    return {
        "MT5_TERMINAL": "remote",
        "DRY_RUN": "false",
        "SYMBOLS": "BTCUSD",
        "TIMEFRAME": "1m",
        "WARMUP_BARS": "200",
        "SIZING": "fixed",
        "FIXED_LOTS": "0.1",
        "MAX_SIGNAL_AGE_SECONDS": "86400",
        "PRICE_COLLAR_PCT": "50",
        "AUDIT_DB_PATH": str(tmp_path / "audit.db"),
        "LOG_DIR": str(tmp_path / "logs"),
        "KILL_SWITCH_FILE": str(tmp_path / "EMERGENCY_STOP"),
    }


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(folder / "audit.db")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_the_trader_trades_on_a_terminal_that_another_process_serves(tmp_path: Path, given: dict[str, str]) -> None:
    strategy = ("--strategy", str(tmp_path / "always_buys.py"), "--config", str(tmp_path / "empty.env"), "--once")
    with serving("--data", f"BTCUSD={ticks_around_the_clock(tmp_path)}", "--leverage", "500") as other:
        ran = live(*strategy, **given, MT5_REMOTE_PORT=str(other.port))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "LIVE, DEMO account 5000001 at Simulated-Demo" in ran.stderr
        remote = RemoteTerminal("127.0.0.1", other.port, timeout=60)
        assert remote.initialize()
        (position,) = remote.positions_get()
        remote.shutdown()
        assert (position.symbol, position.volume, position.magic) == ("BTCUSD", 0.1, 123456)
    assert rows(tmp_path, "SELECT status, symbol, side, volume FROM orders") == [("FILLED", "BTCUSD", "BUY", 0.1)]
    (opened,) = rows(tmp_path, "SELECT timestamp FROM fills")[0]
    ago = datetime.now(UTC) - datetime.fromisoformat(opened)
    assert abs(ago.total_seconds()) < 900  # the server's clock is hours ahead: that much was measured and taken off


def test_a_port_at_which_nobody_serves_is_told_in_a_sentence_with_the_remedy(tmp_path: Path, given: dict[str, str]) -> None:
    strategy = ("--strategy", str(tmp_path / "always_buys.py"), "--config", str(tmp_path / "empty.env"), "--once")
    ran = live(*strategy, **given, MT5_REMOTE_PORT="1")
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "nobody serves a terminal at 127.0.0.1:1 (MT5_REMOTE_HOST, MT5_REMOTE_PORT)" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_missing_client_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mt5linux", None)
    with pytest.raises(Misconfigured, match=r"MT5_TERMINAL=remote needs the mt5linux package: pip install -r requirements-remote\.txt"):
        RemoteTerminal("127.0.0.1", 1, timeout=5)


# what comes over the wire


@pytest.fixture
def euro() -> SimulatedTerminal:
    """A usual broker in the middle of the prices that backtesting.py ships."""
    frame = builtin_prices("EURUSD")
    return SimulatedTerminal(ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, start=datetime(2017, 11, 7, 10, tzinfo=UTC)))


@pytest.fixture
def remote(euro: SimulatedTerminal) -> Iterator[RemoteTerminal]:
    with served_here(euro) as port:
        made = RemoteTerminal("127.0.0.1", port, timeout=60)
        assert made.initialize()
        yield made
        made.shutdown()


def test_structures_come_over_as_a_whole_and_equal_those_of_the_terminal(remote: RemoteTerminal, euro: SimulatedTerminal) -> None:
    for name, args in (("account_info", ()), ("terminal_info", ()), ("symbol_info", ("EURUSD",)), ("symbol_info_tick", ("EURUSD",))):
        there, here = getattr(remote, name)(*args), getattr(euro, name)(*args)
        assert type(there).__name__ == type(here).__name__
        assert there._asdict() == here._asdict()
        assert tuple(there) == tuple(here)
    answer = remote.order_send({"action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.1, "comment": "a 'quoted' ü", "magic": 7})
    assert (answer.retcode, answer.request.comment, answer.request._asdict()["magic"]) == (10009, "a 'quoted' ü", 7)
    assert remote.positions_get() == euro.positions_get()
    assert remote.history_deals_get(1, 2_000_000_000) == euro.history_deals_get(1, 2_000_000_000)
    assert remote.orders_get(symbol="EURUSD") == ()
    assert remote.TRADE_RETCODE_DONE == 10009


def test_bars_come_over_as_the_arrays_that_they_are(remote: RemoteTerminal, euro: SimulatedTerminal) -> None:
    there, here = remote.copy_rates_from_pos("EURUSD", 16385, 0, 500), euro.copy_rates_from_pos("EURUSD", 16385, 0, 500)
    assert there.dtype == here.dtype
    assert there.tobytes() == here.tobytes()


def test_a_refused_call_has_the_last_error_of_the_terminal(remote: RemoteTerminal) -> None:
    assert remote.symbol_info("NONE") is None
    assert remote.last_error() == (-4, "Terminal: Not found")
    assert remote.symbol_select("NONE", True) is False
    assert remote.account_info() is not None
    assert remote.last_error() == (1, "Success")
    assert not hasattr(remote, "clock")


def test_a_request_that_cannot_be_written_down_never_leaves(remote: RemoteTerminal) -> None:
    with pytest.raises(TypeError, match="order_send"):
        remote.order_send({"action": 1, "symbol": "EURUSD", "volume": float("nan")})
    with pytest.raises(SystemError):
        remote.order_send({"action": 1, "magic": -5})
    assert remote.positions_get() == ()


# the line


class _Breaks:
    """A terminal whose line breaks during the calls that are named, after they were carried out."""

    def __init__(self, terminal: SimulatedTerminal, error: type[Exception]) -> None:
        self.during: set[str] = set()
        self._terminal, self._error = terminal, error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._terminal, name)
        if name not in self.during:
            return found

        def function(*args: Any, **options: Any) -> Any:
            found(*args, **options)
            raise self._error("stream has been closed")

        return function


@pytest.fixture(params=[EOFError, ConnectionResetError, TimeoutError])
def flaky(request: pytest.FixtureRequest, euro: SimulatedTerminal) -> Iterator[tuple[_Breaks, RemoteTerminal]]:
    breaks = _Breaks(euro, request.param)
    with served_here(breaks) as port:
        made = RemoteTerminal("127.0.0.1", port, timeout=60)
        yield breaks, made
        breaks.during.clear()
        made.shutdown()


def test_an_order_whose_answer_was_lost_is_one_of_which_nothing_is_known(flaky: tuple[_Breaks, RemoteTerminal], tmp_path: Path) -> None:
    breaks, remote = flaky
    connector = MT5Connector(settings(tmp_path), remote, VirtualClock(breaks._terminal, server_time("utc")))
    connector.connect()
    breaks.during = {"order_send"}
    answer = connector.order_send({"action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.1, "magic": 123456})
    assert answer.result is None
    assert answer.error[0] == -10002
    assert verdict_of(answer.retcode, answer.error).outcome is Outcome.UNKNOWN
    assert len(connector.positions()) == 1  # a new line was made by itself: it had been carried out, and nobody sent it again
    breaks.during = {"positions_get"}
    with pytest.raises(Unreachable, match="IPC recv failed"):
        connector.positions()
    breaks.during = {"initialize"}
    with pytest.raises(Unreachable):
        connector.positions()
    breaks.during = set()
    connector.clock.sleep(120)  # as long as it lets a terminal alone that has just failed
    assert connector.ensure_connected()
    assert len(connector.positions()) == 1


def test_without_a_line_every_call_says_so() -> None:
    with serving("--symbols", "EURUSD") as other:
        remote = RemoteTerminal("127.0.0.1", other.port, timeout=60)
        assert remote.account_info() is None
        assert remote.last_error() == (-10004, "No IPC connection")
        assert remote.initialize()
    assert remote.account_info() is None
    assert remote.last_error()[0] == -10002
    assert remote.symbol_select("EURUSD", True) is False
    assert remote.last_error()[0] == -10004  # and an order that is sent now has certainly not left
    assert remote.shutdown()
    assert remote.initialize() is False
    assert remote.last_error()[0] == -10003
    assert "nobody serves a terminal at" in remote.last_error()[1]


# many bars


class Restless(Strategy):
    """In and out again, long when the last bar rose."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        if self.position:
            self.position.close()
        elif self.data.Close[-1] > self.data.Open[-1]:
            self.buy(size=0.3)
        else:
            self.sell(size=0.3)


class VirtualClock:
    """The clock of whoever watches a replay from outside: UTC, while the terminal shows its server's time."""

    def __init__(self, terminal: SimulatedTerminal, zone: ServerTime) -> None:
        self._clock, self._zone = terminal.clock, zone

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._zone.to_utc(self._clock.now_msc / 1000), UTC)

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._clock.sleep(seconds, interrupted)


def minutes_over_the_change(zone: ServerTime) -> SimulatedTerminal:
    """The days around the change of New York's clocks, in minutes on the server's clock; the first days are history."""
    frame = zone.frame(by_the_minute(builtin_prices("EURUSD").loc["2017-10-31":"2017-11-06"]))
    start = datetime.fromtimestamp(zone.to_server(datetime(2017, 11, 3, 13, tzinfo=UTC).timestamp()), UTC)
    market = ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, start=start)
    return SimulatedTerminal(market, AccountSpec(100_000.0))


def traded(folder: Path, opened: OpenedTerminal) -> dict[str, list[tuple[Any, ...]]]:
    """What a run of some days has left in the record."""
    folder.mkdir()
    given = {**WIDE_OPEN, "dry_run": opened.name == "simulated", "mt5_terminal": opened.name, "interval_seconds": 1500, "warmup_bars": 60}
    trader = LiveTrader(settings(folder, **given), Chosen(loaded(Restless), {}), opened)
    assert trader.run() == 0
    return {
        "signals": rows(folder, "SELECT bar_time, signal, price FROM signals ORDER BY id"),
        "trades": rows(folder, "SELECT entry_time, exit_time, side, volume, entry_price, exit_price, profit FROM trades ORDER BY id"),
        "bars": rows(folder, "SELECT bar_time, open, close FROM bars ORDER BY id"),
    }


@pytest.mark.long
def test_a_run_over_the_wire_and_over_the_change_of_the_clocks_decides_what_a_run_here_decides(tmp_path: Path) -> None:
    utc, zone = server_time("utc"), server_time("new-york")
    here = minutes_over_the_change(utc)
    expected = traded(tmp_path / "here", OpenedTerminal("simulated", here, here.clock))
    there = minutes_over_the_change(zone)
    with served_here(there) as port:
        remote = RemoteTerminal("127.0.0.1", port, timeout=60)
        found = traded(tmp_path / "there", OpenedTerminal("remote", remote, VirtualClock(there, zone)))
    assert len(expected["trades"]) > 7
    # the start over there waits for the tick that tells the server's time, and comes a minute late to its first trade
    assert found["trades"].pop(0)[1:3] == expected["trades"].pop(0)[1:3]
    differing = [pair for name in expected for pair in zip(found[name], expected[name], strict=True) if pair[0] != pair[1]]
    # at the week's first tick nobody can know yet that the server's clock was put back: that one entry is an hour off in the record
    ((there_row, here_row),) = differing
    assert (there_row[0], here_row[0]) == ("2017-11-05T21:00:00+00:00", "2017-11-05T22:00:00+00:00")
    assert there_row[1:] == here_row[1:]
