import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountInfo, AccountSpec, ReplayMarket, SimulatedTerminal, TerminalInfo, Tick
from Live.errors import LiveError, Misconfigured, Unreachable, WrongAccount
from Live.model import Side
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.admission import objections
from tests.desks import opened as opened_desk
from tests.faulty_terminal import FaultyTerminal, without_answer
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
    refusal: tuple[int, str] | None

    def __init__(self) -> None:
        market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
        super().__init__(SimulatedTerminal(market, AccountSpec(login=12345678), speed=1.0, real_sleep=lambda _: None))
        self.account, self.tick, self.connected, self.refusal = {}, {}, True, None

    def initialize(self, *args: Any, **options: Any) -> Any:
        if self.refusal is None:
            return self._watched("initialize", self.inner.initialize)(*args, **options)
        self.calls.append("initialize")
        self.error = self.refusal
        return False

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
    found = connector(tmp_path, terminal, symbols="EURUSD.m,EURUSD,GBPUSD")
    with pytest.raises(Misconfigured) as error:
        found.connect()
    assert [sentence.split(";")[0] for sentence in error.value.mistakes] == [
        "the terminal has no symbol EURUSD.m (SYMBOLS)",
        "the terminal has no symbol GBPUSD (SYMBOLS), and none that looks like it: see Market Watch, Symbols (Ctrl+U), for its names",
    ]
    assert "this broker has EURUSD: if that is the one, write it in place of EURUSD.m" in error.value.mistakes[0]
    assert not found.initialize()


def test_a_symbol_that_cannot_be_selected_is_no_mistake_in_the_settings_where_the_broker_has_it(
    tmp_path: Path, terminal: ShownTerminal
) -> None:
    terminal.blind.add("symbol_select")
    with pytest.raises(Unreachable, match="EURUSD \\(SYMBOLS\\) cannot be put into Market Watch: Terminal: Call failed"):
        connector(tmp_path, terminal).connect()


def test_a_symbol_list_that_cannot_be_read_accuses_no_symbol(tmp_path: Path, terminal: ShownTerminal) -> None:
    terminal.blind.add("symbols_get")
    with pytest.raises(Unreachable, match="cannot be put into Market Watch"):
        connector(tmp_path, terminal, symbols="GBPUSD").connect()


@pytest.mark.parametrize(
    ("error", "raised", "advice"),
    [
        ((-10003, "IPC initialize failed, MetaTrader 5 x64 not found"), Unreachable, "set MT5_PATH to the full path of terminal64.exe"),
        ((-10005, "IPC timeout"), Unreachable, "raise MT5_TIMEOUT"),
        ((-10004, "No IPC connection"), Unreachable, "Start the terminal and log in"),
        ((-5, "Terminal: Incompatible versions"), Unreachable, "Check for updates"),
        ((-6, "Terminal: Authorization failed"), WrongAccount, "Log in by hand in the terminal with the same three"),
        ((-7, "Unsupported authorization mode"), WrongAccount, "leave MT5_LOGIN, MT5_PASSWORD and MT5_SERVER empty"),
    ],
)
def test_a_terminal_that_does_not_start_is_told_with_what_to_do(
    error: tuple[int, str], raised: type[LiveError], advice: str, tmp_path: Path, terminal: ShownTerminal
) -> None:
    terminal.refusal = error
    with pytest.raises(raised, match=f"{re.escape(error[1])} .*{advice}"):
        connector(tmp_path, terminal).connect()


def test_a_login_that_is_refused_after_the_start_is_an_outage(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    terminal.inner.shutdown()
    terminal.refusal = (-6, "Terminal: Authorization failed")
    assert not found.ensure_connected()  # the broker's server is in maintenance, say
    terminal.refusal = None
    terminal.clock.sleep(60)
    assert found.ensure_connected()


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ({"trade_mode": 2}, "is a real-money account; set ALLOW_REAL_ACCOUNT=true"),
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
    after = len(terminal.calls)
    assert found.ensure_connected()
    # nothing is asked of a terminal that was lost before it is known whose account it shows
    assert terminal.calls[after : after + 4] == ["terminal_info", "shutdown", "initialize", "account_info"]


def test_a_terminal_that_has_lost_its_server_is_waited_for_and_not_started_anew(tmp_path: Path, terminal: ShownTerminal) -> None:
    found = connector(tmp_path, terminal)
    found.connect()
    terminal.connected = False
    for _ in range(4):
        assert not found.ensure_connected()
        terminal.clock.sleep(60)
    assert terminal.calls.count("initialize") == 1
    terminal.clock.sleep(120)
    assert not found.ensure_connected()
    assert terminal.calls.count("initialize") == 2  # it was given five minutes
    terminal.connected = True
    assert found.ensure_connected()
    ended = found.back()
    assert ended is not None
    assert ended.told(terminal.clock.now()).startswith(
        "the terminal is back after 360 seconds and 5 attempts; it was lost at 2024-01-01 00:00"
    )


def test_attempts_to_reach_a_lost_terminal_become_rarer(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0, UTC))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    start = clock.now()
    terminal.inner.shutdown()
    terminal.refusal = (-10003, "IPC initialize failed")
    tried = []
    for _ in range(300):
        before = terminal.calls.count("initialize")
        assert not found.ensure_connected()
        if terminal.calls.count("initialize") > before:
            tried.append((clock.now() - start).total_seconds())
        clock.sleep(1)
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_a_terminal_that_comes_and_goes_causes_no_storm_of_attempts(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0, UTC))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    for _ in range(1800):  # it is lost every second for half an hour, and can be reached each time
        terminal.inner.shutdown()
        if found.ensure_connected():
            found.back()
        clock.sleep(1)
    assert terminal.calls.count("initialize") <= 1 + 6 + 1800 / 60
    clock.sleep(61)
    assert found.ensure_connected()
    found.back()
    clock.sleep(61)
    terminal.inner.shutdown()
    assert found.ensure_connected()  # after a quiet minute it is tried at once again


def test_a_line_that_loses_every_answer_causes_no_storm_either(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0, UTC))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    lost = 0
    for _ in range(600):
        terminal.faults.append(without_answer((-10002, "IPC recv failed")))
        found.order_send(deal())
        try:
            found.all_positions()
        except Unreachable:
            lost += 1
        clock.sleep(1)
    assert terminal.calls.count("initialize") <= 1 + 6 + 600 / 60
    assert lost == 600 + 1 - terminal.calls.count("initialize")


def test_a_clock_that_is_put_back_does_not_stretch_the_wait(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0, UTC))
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    terminal.inner.shutdown()
    terminal.refusal = (-10003, "IPC initialize failed")
    assert not found.ensure_connected()
    terminal.refusal = None
    clock.sleep(-3600)
    assert found.ensure_connected()


def test_a_start_that_waits_for_a_tick_ends_when_it_is_interrupted(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = HandClock(datetime.fromtimestamp(T0 + 600, UTC))
    connector(tmp_path, terminal, clock=clock).connect(lambda: clock.now().timestamp() >= T0 + 601)
    assert clock.now().timestamp() == T0 + 601


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
    assert found.utc(T0 + HOUR + 60) == datetime.fromtimestamp(T0 - 2 * HOUR + 60, UTC)
    assert found.server_now() == int(clock.utc.timestamp()) + 3 * HOUR
    assert found.utc(T0) == datetime.fromtimestamp(T0 - 2 * HOUR, UTC)  # what was before stays where it was


def test_the_servers_clock_is_followed_when_its_summer_time_ends(tmp_path: Path, terminal: ShownTerminal) -> None:
    clock = Ticking(datetime.fromtimestamp(T0 - 3 * HOUR, UTC), terminal, ahead=3 * HOUR)
    found = connector(tmp_path, terminal, clock=clock)
    found.connect()
    clock.sleep(60)
    found.ensure_connected()
    clock.ahead = 2 * HOUR
    clock.sleep(48 * HOUR)  # over the weekend
    found.ensure_connected()
    assert found.utc(T0) == datetime.fromtimestamp(T0 - 3 * HOUR, UTC)
    clock.sleep(60)
    found.ensure_connected()
    assert found.server_now() == int(clock.utc.timestamp()) + 2 * HOUR
    assert found.utc(T0) == datetime.fromtimestamp(T0 - 3 * HOUR, UTC)
    assert found.utc(found.server_now()) == clock.utc.replace(microsecond=0)


# accounts of ours


def test_a_paper_account_has_a_number_of_its_own_and_the_account_beside_it_may_hold_real_money(
    tmp_path: Path, terminal: ShownTerminal
) -> None:
    config = settings(tmp_path, mt5_login=7, mt5_password="x", mt5_server="Simulated-Demo")
    connected = MT5Connector(config, terminal.inner, terminal.clock, simulated=True)
    connected.connect()
    ours = connected.account()
    assert objections(ours, config, simulated=True) == ()
    assert objections(replace(ours, login=7, trade_mode=2), config, paper=True) == ()
    assert len(objections(ours, config, paper=True)) == 1  # not the account that the settings name
    assert len(objections(replace(ours, trade_mode=2), config)) == 2
    assert "MT5_SERVER=Simulated-Demo" in objections(replace(ours, login=7, server="Another"), config)[0]  # numbers are a server's own


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        ("positions_get", lambda connector: connector.all_positions()),
        ("orders_get", lambda connector: connector.active_orders()),
        ("history_deals_get", lambda connector: connector.deals_since(1)),
        ("history_orders_get", lambda connector: connector.shown_since(1)),
        ("account_info", lambda connector: connector.account()),
    ],
)
def test_rows_of_another_shape_than_is_known_prove_nothing(function: str, asked: Any, tmp_path: Path) -> None:
    desk = opened_desk(tmp_path)
    desk.buy()
    setattr(desk.terminal.inner, function, lambda *_, **__: (object(),))
    with pytest.raises(Unreachable, match=f"{function} answers what nobody can read: AttributeError"):
        asked(desk.connector)
    desk.record.close()
