"""The whole trader on a paper account: prices of a terminal in this process, of which nothing may be ordered."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.strategies import LoadedStrategy
from Live.errors import AnotherInstance, Unreachable, WrongAccount
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.mt5_connector import OpenedTerminal, kind_of, open_terminal
from tests.live_runs import WIDE_OPEN, Ran, eurusd, loaded, settings
from tests.simulated_terminal.paper_terminals import Watched, paper
from tests.simulated_terminal.terminals import deal, done

NO_WAITING = 1e12  # a replay that takes exactly as long as is slept, and no real time


class InAndOut(Strategy):
    """Long with levels for some bars, then short."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        if len(self.data) % 12 == 3:
            self.buy(size=5_000, sl=self.data.Close[-1] * 0.998, tp=self.data.Close[-1] * 1.002)
        elif len(self.data) % 12 == 9:
            self.position.close()
            self.sell(size=3_000)
        elif len(self.data) % 12 == 0:
            self.position.close()


def of_one_price(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars in which nothing moves: what a replay plays of them is what it shows as ticks."""
    return frame.assign(Open=frame.Close, High=frame.Close, Low=frame.Close)


def replay(frame: pd.DataFrame, account: AccountSpec | None = None, *, speed: float = NO_WAITING, **more: Any) -> SimulatedTerminal:
    market = ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, TIMEFRAMES["H1"])
    return SimulatedTerminal(market, account, speed=speed, real_sleep=lambda _: None, **more)


def trade(folder: Path, opened: OpenedTerminal, strategy: LoadedStrategy, **given: object) -> Ran:
    folder.mkdir(exist_ok=True)
    trader = LiveTrader(settings(folder, **{**WIDE_OPEN, "interval_seconds": 3600, **given}), Chosen(strategy, {}), opened)
    return Ran(trader.run(), trader, opened.functions, folder)


def trades(ran: Ran) -> list[tuple[Any, ...]]:
    rows = ran.rows("SELECT side, volume, entry_price, exit_price, profit, entry_time, exit_time FROM trades ORDER BY rowid")
    return [(*list(row.values())[:5], row["entry_time"][:13], row["exit_time"][:13]) for row in rows]


def test_a_strategy_makes_the_same_trades_on_paper_as_on_that_terminal_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame, strategy = of_one_price(eurusd(60)), loaded(InAndOut)
    direct = replay(frame)
    expected = trade(tmp_path / "direct", OpenedTerminal("simulated", direct, direct.clock), strategy)
    source = Watched(replay(frame))
    source.initialize()
    ours = paper(source, initialized=False)
    with caplog.at_level(logging.INFO, logger="LiveTrader"):
        ran = trade(tmp_path / "paper", OpenedTerminal("paper", ours, source.clock), strategy)
    assert (expected.code, ran.code) == (0, 0)
    assert len(trades(expected)) > 5
    assert trades(ran) == trades(expected)
    assert ran.trader.final_account.balance == expected.trader.final_account.balance
    assert source.initialize()
    assert source.positions_total() == source.history_orders_total(1, 2**31 - 1) == 0
    would = [record for record in caplog.records if record.getMessage().startswith("DRY_RUN: Would send order")]
    assert len(would) == ran.count("orders", "status = 'FILLED'") > 5
    (run,) = ran.rows("SELECT mode, terminal, server, login FROM runs")
    assert run == {"mode": "DRY", "terminal": "paper", "server": "Paper at Simulated-Demo", "login": 77_000_001}


class Losing(Watcher):
    """Loses the source for some hours."""

    def __init__(self, source: Watched) -> None:
        self._source, self._turns = source, 0

    def turned(self, trader: LiveTrader) -> None:
        self._turns += 1
        self._source.lost = 12 <= self._turns < 24


def test_a_source_that_is_lost_for_hours_leaves_no_open_question(tmp_path: Path) -> None:
    source = Watched(replay(of_one_price(eurusd(60))))
    source.initialize()
    ours = paper(source, initialized=False)
    config = settings(tmp_path, **{**WIDE_OPEN, "interval_seconds": 3600})
    trader = LiveTrader(config, Chosen(loaded(InAndOut), {}), OpenedTerminal("paper", ours, source.clock), watcher=Losing(source))
    ran = Ran(trader.run(), trader, ours, tmp_path)
    assert ran.code == 0
    assert [row["event_type"] for row in ran.rows("SELECT event_type FROM events")].count("RECONNECTED") == 1
    assert ran.count("orders", "status NOT IN ('FILLED', 'CANCELLED', 'FAILED', 'EXPIRED')") == 0
    assert ran.count("orders", "status = 'FILLED'") > 5


class Switching(Watcher):
    """Somebody logs the source in to another account."""

    def __init__(self, source: Watched) -> None:
        self._source, self._turns = source, 0

    def turned(self, trader: LiveTrader) -> None:
        self._turns += 1
        if self._turns == 12:
            self._source.inner._login = 999


def test_a_source_that_is_logged_in_to_another_account_ends_the_run(tmp_path: Path) -> None:
    source = Watched(replay(of_one_price(eurusd(30))))
    source.initialize()
    ours = paper(source, initialized=False)
    config = settings(tmp_path, **{**WIDE_OPEN, "interval_seconds": 3600})
    trader = LiveTrader(config, Chosen(loaded(InAndOut), {}), OpenedTerminal("paper", ours, source.clock), watcher=Switching(source))
    with pytest.raises(WrongAccount, match=r"the terminal has changed from account .* to account 999 at"):
        trader.run()


# -- opened as the settings say


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Puts a terminal where the package of Windows would be; its clock is the machine's."""

    def installed(bars: int = 60, account: AccountSpec | None = None, **more: Any) -> Watched:
        source = Watched(replay(of_one_price(eurusd(bars)), account, **more))
        monkeypatch.setitem(sys.modules, "MetaTrader5", source)
        monkeypatch.setattr("Live.mt5_connector.terminals.SystemClock", lambda: source.clock)
        monkeypatch.setattr("Live.mt5_connector.paper.LOOK_SECONDS", 1800.0)
        return source

    return installed


def opened_in(folder: Path, resources: ExitStack, *, fresh: bool = False, **given: object) -> OpenedTerminal:
    folder.mkdir(exist_ok=True)
    config = settings(folder, **{"mt5_terminal": "native", "sim_account_dir": str(folder / "accounts"), **given})
    return open_terminal(config, loaded(InAndOut), {}, resources, fresh=fresh)


def test_a_dry_run_on_a_real_terminal_has_an_account_of_its_own(tmp_path: Path, native: Callable[..., Watched]) -> None:
    source = native(account=AccountSpec(3_000.0, leverage=30))
    with ExitStack() as resources:
        opened = opened_in(tmp_path, resources)
        opened.functions.initialize()
        info = opened.functions.account_info()
        assert (opened.name, info.balance, info.leverage, info.server) == ("paper", 3_000.0, 30, "Paper at Simulated-Demo")
        assert [file.stem for file in (tmp_path / "accounts").glob("*.jsonl")] == [str(info.login)]
        assert info.login != source.account_info().login


def test_the_account_is_the_same_after_a_restart_and_a_new_one_with_fresh(tmp_path: Path, native: Callable[..., Watched]) -> None:
    logins, held = [], []
    for fresh in (False, False, True):
        native()
        with ExitStack() as resources:
            ours = opened_in(tmp_path, resources, fresh=fresh).functions
            ours.initialize()
            logins.append(ours.account_info().login)
            held.append(ours.positions_total())
            done(ours.order_send(deal()))
    assert (logins[0] == logins[1], logins[1] == logins[2]) == (True, False)
    assert held == [0, 1, 0]


def test_the_paper_account_is_held_by_one_trader_at_a_time(tmp_path: Path, native: Callable[..., Watched]) -> None:
    native()
    with ExitStack() as resources:
        opened_in(tmp_path, resources)
        with ExitStack() as others, pytest.raises(AnotherInstance, match="another trader trades the simulated account"):
            opened_in(tmp_path, others)


def test_the_account_that_the_settings_name_is_that_of_the_terminal(tmp_path: Path, native: Callable[..., Watched]) -> None:
    native(account=AccountSpec(login=4711))
    with ExitStack() as resources, pytest.raises(WrongAccount):
        opened_in(tmp_path, resources, mt5_login=4712)
    native(account=AccountSpec(login=4711))
    with ExitStack() as resources:
        assert opened_in(tmp_path, resources, mt5_login=4711).name == "paper"


def test_beside_real_money_there_may_be_paper(tmp_path: Path, native: Callable[..., Watched]) -> None:
    native(account=AccountSpec(trade_mode=2))
    with ExitStack() as resources:
        opened = opened_in(tmp_path, resources)
        opened.functions.initialize()
        assert opened.functions.account_info().trade_mode == 0


def test_the_settings_may_name_the_balance(tmp_path: Path, native: Callable[..., Watched]) -> None:
    native(account=AccountSpec(0.01))
    with ExitStack() as resources:
        ours = opened_in(tmp_path, resources, sim_balance=2_500.0).functions
        ours.initialize()
        assert ours.account_info().balance == 2_500.0


def test_a_terminal_that_does_not_start_is_told(tmp_path: Path, native: Callable[..., Watched]) -> None:
    native().lost = True
    with ExitStack() as resources, pytest.raises(Unreachable, match="the terminal does not let us in"):
        opened_in(tmp_path, resources)


def test_auto_is_native_where_the_package_is_and_no_prices_are_given(tmp_path: Path, native: Callable[..., Watched]) -> None:
    def kind(**given: object) -> str:
        return kind_of(settings(tmp_path, **given))

    if sys.platform != "win32":
        assert (kind(), kind(dry_run=False)) == ("simulated", "native")
    native()
    assert (kind(), kind(dry_run=False), kind(sim_prices={"EURUSD": "prices.csv"})) == ("native", "native", "simulated")
    assert (kind(mt5_terminal="simulated"), kind(mt5_terminal="remote")) == ("simulated", "remote")


def test_auto_trades_on_the_simulated_terminal_where_none_is_installed(
    tmp_path: Path, native: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    source = native()
    source.lost = True
    source.last_error = lambda: (-10003, "IPC initialize failed, MetaTrader 5 x64 not found")  # type: ignore[method-assign]
    with ExitStack() as resources:
        assert opened_in(tmp_path, resources, mt5_terminal="auto").name == "simulated"
    assert "no MetaTrader 5 terminal can be started on this machine" in caplog.text
    with ExitStack() as resources, pytest.raises(Unreachable):
        opened_in(tmp_path, resources, mt5_terminal="native")


def test_stops_are_hit_while_the_trader_waits(tmp_path: Path, native: Callable[..., Watched]) -> None:
    source = native()
    with ExitStack() as resources:
        opened = opened_in(tmp_path, resources)
        opened.functions.initialize()
        price = source.symbol_info_tick("EURUSD").bid
        done(opened.functions.order_send(deal(sl=round(price - 0.0003, 5), tp=round(price + 0.0003, 5))))
        opened.clock.sleep(30 * 3600)
        (file,) = (tmp_path / "accounts").glob("*.jsonl")
        assert json.loads(file.read_text().splitlines()[-1])["positions"] == []


def test_a_run_goes_on_with_its_paper_account_where_the_last_one_ended(tmp_path: Path, native: Callable[..., Watched]) -> None:
    given = {"mt5_terminal": "native", "sim_account_dir": str(tmp_path / "accounts"), **WIDE_OPEN, "interval_seconds": 3600}
    codes, sent = [], 0
    for first, until in ((13, 34), (38, 58)):  # a night in between
        source = native(until)
        source.clock.sleep(first * 3600)
        with ExitStack() as resources:
            config, strategy = settings(tmp_path, **given), loaded(InAndOut)
            trader = LiveTrader(config, Chosen(strategy, {}), open_terminal(config, strategy, {}, resources))
            codes.append(trader.run())
        ran = Ran(codes[-1], trader, None, tmp_path)
        assert ran.count("orders") > sent
        sent = ran.count("orders")
        assert source.called.count("order_send") == 0
    assert codes == [0, 0]
    assert ran.count("orders", "status NOT IN ('FILLED', 'CANCELLED', 'FAILED')") == 0
    assert len(ran.rows("SELECT DISTINCT login FROM runs")) == 1
    (file,) = (tmp_path / "accounts").glob("*.jsonl")
    deals = [deal[0] for line in file.read_text().splitlines() for deal in json.loads(line).get("deals", [])]
    assert [row["deal_ticket"] for row in ran.rows("SELECT deal_ticket FROM fills ORDER BY deal_ticket")] == deals[1:]  # after the deposit
