from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountInfo, AccountSpec, ReplayMarket, SimulatedTerminal, TerminalInfo, Tick
from Live.errors import Unreachable, WrongAccount
from Live.model import Side
from Live.mt5_connector import MT5Connector
from tests.faulty_terminal import FaultyTerminal
from tests.live_runs import settings
from tests.simulated_terminal.terminals import H1, T0, bars, deal, flat, symbol

HOUR = 3600


@dataclass
class HandClock:
    """A clock that the test turns."""

    utc: datetime

    def now(self) -> datetime:
        return self.utc

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.utc += timedelta(seconds=seconds)


class ShownTerminal(FaultyTerminal):
    """Shows other things than there are: an account of another kind, ticks of another time, no server."""

    account: dict[str, Any]
    tick: dict[str, Any]
    connected: bool

    def __init__(self) -> None:
        market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
        super().__init__(SimulatedTerminal(market, AccountSpec(login=12345678), speed=1.0, real_sleep=lambda _: None))
        self.account, self.tick, self.connected = {}, {}, True

    def account_info(self) -> Any:
        return _changed(AccountInfo, self._watched("account_info", self.inner.account_info)(), self.account)

    def terminal_info(self) -> Any:
        info = self._watched("terminal_info", self.inner.terminal_info)()
        return _changed(TerminalInfo, info, {"connected": self.connected})

    def symbol_info_tick(self, symbol: str) -> Any:
        return _changed(Tick, super().symbol_info_tick(symbol), self.tick)


def _changed(structure: Any, info: Any, changes: dict[str, Any]) -> Any:
    return info and structure([changes.get(name, value) for name, value in info._asdict().items()])


@pytest.fixture
def terminal() -> ShownTerminal:
    return ShownTerminal()


def connector(folder: Path, terminal: ShownTerminal, *, clock: Any = None, **given: object) -> MT5Connector:
    return MT5Connector(settings(folder, **given), terminal, clock or terminal.clock)


# connecting


def test_a_connection_shows_the_account_and_its_symbols(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    assert found.initialize()
    assert found.account().login == found.get_account_info()["login"] == 12345678
    assert found.get_symbol_info("EURUSD")["volume_min"] == 0.01
    assert found.get_positions() == []
    found.shutdown()
    with pytest.raises(Unreachable, match="account_info"):
        found.account()


def test_settings_log_in_to_their_account(tmp_path: Path, terminal: ShownTerminal) -> None:
    given = {"mt5_login": 12345678, "mt5_password": "x", "mt5_server": "Simulated-Demo"}
    assert connector(tmp_path, terminal, **given).initialize()
    assert not connector(tmp_path, terminal, **(given | {"mt5_login": 7})).initialize()


def test_a_symbol_that_is_not_there_is_named_with_those_that_look_like_it(tmp_path: Path, terminal: ShownTerminal) -> None:
    with pytest.raises(Unreachable, match=r"the terminal has no symbol EURUSD\.m \(SYMBOLS\).*; it has EURUSD"):
        connector(tmp_path, terminal, symbols="EURUSD.m").connect()


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ({"trade_mode": 2}, "is a real-money account; set ALLOW_REAL_ACCOUNT=true"),
        ({"margin_mode": 0}, "keeps one net position a symbol; this version trades hedging accounts only"),
        ({"login": 7}, "is logged in to account 7, the settings say MT5_LOGIN=12345678"),
    ],
)
def test_an_account_that_this_run_may_not_trade_is_refused(
    shown: dict[str, int], sentence: str, tmp_path: Path, terminal: ShownTerminal
) -> None:
    terminal.account = shown
    with pytest.raises(WrongAccount, match=sentence):
        connector(tmp_path, terminal, mt5_login=12345678, mt5_password="x").connect()


def test_a_real_account_is_traded_where_the_settings_allow_it(tmp_path: Path, terminal: ShownTerminal) -> None:
    terminal.account = {"trade_mode": 2}
    assert connector(tmp_path, terminal, allow_real_account=True).initialize()


@pytest.mark.parametrize("change", [{"login": 7}, {"server": "Other"}, {"trade_mode": 1}])
def test_another_account_between_two_turns_ends_the_run(change: dict[str, Any], tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    assert found.ensure_connected()
    terminal.account = change
    for ask in (found.ensure_connected, found.check_in):
        with pytest.raises(WrongAccount, match="the terminal has changed from account"):
            ask()


def test_a_lost_terminal_is_brought_back_by_one_attempt(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    terminal.inner.shutdown()
    assert found.ensure_connected()
    terminal.connected = False
    assert not found.ensure_connected()  # it is there, but has no server
    terminal.connected = True
    assert found.ensure_connected()


# asking


def test_a_query_that_fails_says_which_and_is_not_an_empty_answer(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    assert found.all_positions() == ()
    terminal.blind.add("positions_get")
    with pytest.raises(Unreachable, match=r"positions_get\(\) failed: \(-1, 'Terminal: Call failed'\)"):
        found.all_positions()


def test_a_stream_that_may_be_out_of_step_is_opened_anew_before_the_next_question(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()

    def out_of_step(terminal: FaultyTerminal, _: object) -> None:
        terminal.error = (-10000, "IPC call failed")

    terminal.faults.append(out_of_step)
    assert found.order_send(deal()).retcode is None
    after = len(terminal.calls)
    found.all_positions()
    assert terminal.calls[after : after + 2] == ["shutdown", "initialize"]
    after = len(terminal.calls)
    found.all_positions()
    assert terminal.calls[after:] == ["positions_get"]


@pytest.mark.parametrize("quote", [{"bid": 0.0}, {"ask": 1.1}, {"bid": float("nan")}, {"ask": float("inf")}])
def test_a_quote_that_cannot_be_true_is_no_quote(quote: dict[str, float], tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    terminal.tick = quote
    with pytest.raises(Unreachable, match="which cannot be traded on"):
        found.quote("EURUSD")


def test_the_forming_bar_is_not_among_the_closed_ones(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    assert found.closed_bars("EURUSD", TIMEFRAMES["H1"], 10) == ([], T0)
    terminal.clock.sleep(2 * HOUR)
    closed, forming = found.closed_bars("EURUSD", TIMEFRAMES["H1"], 10)
    assert ([bar.epoch for bar in closed], forming) == ([T0, T0 + HOUR], T0 + 2 * HOUR)


def test_only_positions_with_our_magic_are_ours(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    for magic in (0, 123456, 7):
        terminal.inner.order_send(deal(magic=magic))
    assert [position.magic for position in found.positions()] == [123456]
    assert [position.magic for position in found.all_positions("EURUSD")] == [0, 123456, 7]
    assert len(found.deals_since(0)) == 3  # the deposit is none
    assert [order.magic for order in found.shown_since(0).orders] == [0, 123456, 7]


def test_money_of_a_move_is_what_the_terminal_calculates(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    assert found.money_of("EURUSD", Side.SELL, 1.0, entry=1.2, exit_price=1.19) == pytest.approx(1000.0)


def test_send_order_tells_what_came_back(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    result = found.send_order(deal())
    assert {"retcode", "deal", "order", "price", "last_error"} <= result.keys()
    assert found.send_order({"action": "buy"})["retcode"] is None


# the server's time


@dataclass
class Ticking(HandClock):
    """A clock with whose seconds a tick comes."""

    terminal: ShownTerminal
    ahead: int
    slept: float = 0.0

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        super().sleep(seconds, interrupted)
        self.slept += seconds
        self.terminal.tick = {"time": int(self.utc.timestamp()) + self.ahead}


@pytest.mark.parametrize("minutes", [10, 29, 30])
def test_the_last_tick_before_the_weekend_does_not_tell_the_servers_clock(
    minutes: int, tmp_path: Path, terminal: ShownTerminal, caplog: pytest.LogCaptureFixture
) -> None:
    start = datetime.fromtimestamp(T0 - 2 * HOUR + 60 * minutes, UTC)
    clock = HandClock(start)
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    for _ in range(60):
        clock.sleep(60)
        found.ensure_connected()
    assert found.utc(T0) == datetime.fromtimestamp(T0, UTC)
    assert [record.message for record in caplog.records if "cannot be measured" in record.message] == [caplog.records[0].message]


@pytest.mark.parametrize("hours", [0, 2, 3, -5, 5.5])
def test_the_servers_clock_is_read_off_a_fresh_tick(hours: float, tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = Ticking(datetime.fromtimestamp(T0 - hours * HOUR + 4, UTC), terminal, ahead=int(hours * HOUR))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    assert found.server_now() == int(T0 + 4 + clock.slept)
    assert found.utc(T0) == datetime.fromtimestamp(T0 - hours * HOUR, UTC)
    assert found.server_epoch(found.utc(T0)) == T0


def test_an_old_tick_does_not_tell_the_servers_clock_and_a_new_one_does(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0 + 2 * HOUR + 600, UTC))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    assert found.utc(T0) == datetime.fromtimestamp(T0, UTC)  # not measured yet
    clock.sleep(10)
    terminal.tick = {"time": int(clock.utc.timestamp()) + 3 * HOUR}
    found.ensure_connected()
    assert found.server_now() == int(clock.utc.timestamp()) + 3 * HOUR


def test_a_market_that_stands_still_does_not_move_the_servers_clock(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = Ticking(datetime.fromtimestamp(T0 - 3 * HOUR, UTC), terminal, ahead=3 * HOUR)
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    last = dict(terminal.tick)  # no more come from here on
    for _ in range(90):
        clock.sleep(60)
        terminal.tick = last
        found.ensure_connected()
    assert found.utc(T0) == datetime.fromtimestamp(T0 - 3 * HOUR, UTC)


def test_the_servers_clock_is_followed_when_its_summer_time_begins(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = Ticking(datetime.fromtimestamp(T0 - 2 * HOUR, UTC), terminal, ahead=2 * HOUR)
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    assert found.utc(T0) == datetime.fromtimestamp(T0 - 2 * HOUR, UTC)
    clock.ahead = 3 * HOUR
    clock.sleep(60)
    found.ensure_connected()
    assert found.utc(T0 + HOUR) == datetime.fromtimestamp(T0 - 2 * HOUR, UTC)
