"""The whole trader on netting accounts: one net position a symbol at the server, the backtest's trades in our books."""

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Backtest, Strategy

from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal, parity_account
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.simulated_terminal.faults import At, Chance, FaultyTerminal, Planned, Schedule
from Backtest.sizing import commission_of
from Backtest.strategies import LoadedStrategy
from Live.errors import AnotherInstance, WrongAccount
from Live.live_trader import Chosen, LiveTrader
from Live.locks import hold_symbols
from Live.model import Magic, Slot
from Live.report import Wanted, reports_of
from tests.live_runs import WIDE_OPEN, Ran, eurusd, loaded, run_live, same_trades, settings, simulated
from tests.simulated_terminal.terminals import ALL

BARS = 140


class Pyramid(Strategy):
    """Adds, takes parts of the newest and of the oldest trade, and leaves."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar % 7 == 2 and len(self.trades) < 4:
            self.buy(size=1000 * (1 + bar % 3), tag=bar)
        if bar % 11 == 5 and self.trades:
            self.trades[-1].close(0.5)
        if bar % 13 == 6 and self.trades:
            self.trades[0].close()
        if bar % 40 == 39:
            self.position.close()


class Reverses(Strategy):
    """Orders against what is open: smaller, equal and larger than it."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        sizes = {3: 3000, 6: 2000, 9: -1000, 12: -2500, 15: -4000, 18: 2500, 21: 7000, 24: -7000}
        if size := sizes.get(bar % 27):
            (self.buy if size > 0 else self.sell)(size=abs(size), tag=[bar])


class Fractions(Strategy):
    """Sizes that hang on the equity, while several trades are open and parts are closed."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar % 5 == 1:
            self.buy(size=0.2)
        if bar % 15 == 7 and self.trades:
            self.trades[0].close(0.3)
        if bar % 30 == 29:
            self.sell(size=0.5)


class Protected(Strategy):
    """One trade at a time, with levels that are hit, moved and taken away."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if not self.position and bar % 6 == 1:
            side = 1 if bar % 4 < 2 else -1
            (self.buy if side > 0 else self.sell)(size=2000, sl=price * (1 - 0.002 * side), tp=price * (1 + 0.003 * side))
        elif self.trades and bar % 6 == 4:
            self.trades[0].tp = None  # type: ignore[assignment]


class SharedStop(Strategy):
    """Two trades with the same levels, which are hit together."""

    def init(self) -> None:
        self.levels = (0.0, 0.0)

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if not self.trades and bar % 5 == 0:
            self.levels = (round(price * 0.997, 5), round(price * 1.003, 5))
            self.buy(size=1000, sl=self.levels[0], tp=self.levels[1])
        elif len(self.trades) == 1 and self.levels[0] * 1.001 < price < self.levels[1] * 0.999:
            self.buy(size=2000, sl=self.levels[0], tp=self.levels[1])


class Waits(Strategy):
    """Limits and stops that open, add, take away and turn round; some are cancelled."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if bar % 4 == 0:
            for order in self.orders:
                order.cancel()
            self.buy(size=1000, limit=price * 0.9995)
            self.sell(size=3000, stop=price * 0.998)
        if bar % 9 == 0 and len(self.trades) > 2:
            self.trades[1].close()


def netting(strategy: LoadedStrategy, margin_mode: int = c.ACCOUNT_MARGIN_MODE_RETAIL_NETTING, **more: Any) -> AccountSpec:
    made = parity_account(float(strategy.backtest["cash"]), commission_of(strategy.backtest))
    return replace(made, margin_mode=margin_mode, **more)


def on_netting(folder: Path, strategy: LoadedStrategy, prices: pd.DataFrame, **options: Any) -> Ran:
    return run_live(folder, strategy, prices, account=netting(strategy), **options)


def backtest(strategy: LoadedStrategy, prices: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a trade may be open at the end
        return Backtest(prices, strategy.cls, **strategy.backtest).run()


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("cls", "exclusive", "commission"),
    [
        (Pyramid, False, (3.0, 0.0005)),
        (Reverses, False, 0.001),
        (Reverses, True, 0.0),
        (Protected, False, 0.0),
        (SharedStop, False, 0.0),
        (Waits, False, 0.0),
        (Fractions, False, 0.001),
    ],
)
def test_the_trades_are_those_of_the_backtest(cls: type[Strategy], commission: Any, exclusive: bool, tmp_path: Path) -> None:
    strategy, prices = loaded(cls, exclusive_orders=exclusive, commission=commission, cash=100_000), eurusd(BARS)
    stats = backtest(strategy, prices)
    ran = on_netting(tmp_path, strategy, prices)
    assert ran.code == 0
    assert len(stats._trades) > 5
    assert same_trades(stats._trades, ran.rows("SELECT * FROM trades ORDER BY id")) == []
    assert ran.rows("SELECT equity FROM account_snapshots ORDER BY id DESC")[0]["equity"] == pytest.approx(
        stats["Equity Final [$]"], rel=1e-9
    )


class Stays(Strategy):
    """Holds one trade, and adds to it; closes its first one late."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar in (3, 8, 20):
            self.buy(size=5000)
        if bar == 30:
            self.position.close()


def by_hand(at_bar: int, side: int, lots: float, done: list[int]) -> Any:
    """Let somebody trade EURUSD at the terminal, once."""

    def turned(trader: LiveTrader) -> None:
        if trader.bars == at_bar and not done:
            done.append(1)
            functions = trader.terminal.functions
            tick = functions.symbol_info_tick("EURUSD")
            request = {"action": 1, "symbol": "EURUSD", "volume": lots, "type": side, "price": tick.bid if side else tick.ask}
            assert functions.order_send(request | {"type_time": 0, "type_filling": 0}).retcode == 10009

    return turned


def net_lots(ran: Ran) -> float:
    ran.terminal.initialize()
    return float(sum(held.volume * (1 if held.type == 0 else -1) for held in ran.terminal.positions_get()))


def events(ran: Ran, kind: str) -> list[str]:
    return [row["message"] for row in ran.rows("SELECT message FROM events WHERE event_type = ? ORDER BY id", kind)]


def test_lots_that_somebody_else_adds_put_the_symbol_on_hold_and_are_not_touched(tmp_path: Path) -> None:
    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=by_hand(12, 0, 0.2, []))
    (hold,) = events(ran, "HOLD")
    assert "differs by 0.2 lots" in hold
    denied = ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")
    assert ["does not explain: 0.2, allowed 0" in row["message"] for row in denied] == [True]
    assert [row["volume"] for row in ran.rows("SELECT volume FROM trades ORDER BY id")] == [0.05, 0.05]
    ran.terminal.initialize()
    (left,) = ran.terminal.positions_get()
    assert (left.type, left.volume) == (0, 0.2)
    assert ran.count("positions") == 0


def test_lots_that_somebody_else_sells_again_end_the_hold(tmp_path: Path) -> None:
    first, second = by_hand(10, 0, 0.2, []), by_hand(14, 1, 0.2, [])

    def both(trader: LiveTrader) -> None:
        first(trader)
        second(trader)

    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=both)
    assert (len(events(ran, "HOLD")), len(events(ran, "HOLD_OVER"))) == (1, 1)
    assert [row["volume"] for row in ran.rows("SELECT volume FROM trades ORDER BY id")] == [0.05, 0.05, 0.05]
    assert ran.rows("SELECT DISTINCT exit_reason FROM trades") == [{"exit_reason": "strategy"}]


def test_what_is_closed_by_hand_is_the_oldest_trade_and_no_reason_to_hold(tmp_path: Path) -> None:
    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=by_hand(12, 1, 0.07, []))
    assert events(ran, "HOLD") == []
    told = [(row["volume"], row["exit_reason"]) for row in ran.rows("SELECT volume, exit_reason FROM trades ORDER BY id")]
    assert told == [(0.05, "manual"), (0.02, "manual"), (0.05, "strategy"), (0.03, "strategy")]


def test_a_position_that_is_turned_round_by_hand_is_not_closed_by_us(tmp_path: Path) -> None:
    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=by_hand(12, 1, 0.3, []))
    assert len(events(ran, "HOLD")) == 1
    assert ran.rows("SELECT DISTINCT exit_reason FROM trades") == [{"exit_reason": "manual"}]
    assert net_lots(ran) == pytest.approx(-0.2)


class Overtaken(Strategy):
    """Buys with levels that are hit, a moment after somebody else has bought the same; then it buys again."""

    somebody: Callable[[], None]
    stop_loss = False

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if bar == 8:
            type(self).somebody()
            self.buy(size=5000, sl=price * (0.9999 if self.stop_loss else 0.5), tp=price * (2 if self.stop_loss else 1.0001))
        if bar == 40:
            self.buy(size=3000)


@pytest.mark.parametrize(("stop_loss", "reason"), [(False, "take profit"), (True, "stop loss")])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_level_of_a_net_position_that_somebody_else_has_opened_closes_our_trade(
    stop_loss: bool, reason: str, restarted: bool, tmp_path: Path
) -> None:
    done: list[int] = []
    stops = [8] if restarted else []

    def turned(trader: LiveTrader) -> None:
        Overtaken.somebody = lambda: by_hand(trader.bars, 0, 0.2, done)(trader)
        if trader.bars in stops:
            stops.clear()
            trader._on_signal(15, None)

    strategy, prices, params = loaded(Overtaken, cash=100_000), eurusd(60), {"stop_loss": stop_loss}
    ran = on_netting(tmp_path, strategy, prices, on_turn=turned, params=params)
    if restarted:
        assert (stops, ran.count("positions")) == ([], 1)
        ran = on_netting(tmp_path, strategy, prices, on_turn=turned, params=params)
    assert done == [1]
    told = [(row["volume"], row["exit_reason"]) for row in ran.rows("SELECT volume, exit_reason FROM trades ORDER BY id")]
    assert told[0] == (0.05, reason)
    assert ran.rows("SELECT status FROM orders ORDER BY rowid DESC")[0]["status"] == "FILLED"  # nothing is on hold any more
    assert net_lots(ran) == pytest.approx(0.03)


def test_a_position_that_was_there_before_is_left_alone(tmp_path: Path) -> None:
    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=by_hand(1, 0, 0.5, []))
    assert len(events(ran, "HOLD")) == 1
    assert (ran.count("trades"), ran.count("fills"), net_lots(ran)) == (0, 0, 0.5)


@pytest.mark.parametrize("stop_at", [9, 16, 23])
def test_a_run_that_is_stopped_in_the_middle_goes_on_with_the_same_trades(stop_at: int, tmp_path: Path) -> None:
    strategy, prices = loaded(Pyramid, cash=100_000), eurusd(80)

    def stop(trader: LiveTrader) -> None:
        if trader.bars == stop_at:
            trader._on_signal(15, None)

    stopped = on_netting(tmp_path, strategy, prices, on_turn=stop)
    assert stopped.trader.bars == stop_at
    ran = on_netting(tmp_path, strategy, prices)
    assert stopped.trader.bars + ran.trader.bars == len(prices) - 1
    assert same_trades(backtest(strategy, prices)._trades.sort_index(), ran.rows("SELECT * FROM trades ORDER BY id")) == []


OFTEN = {"answer_lost": 0.3, "executed_late": 0.3, "unclear": 0.3, "placed": 0.3, "late_lists": 1.0, "no_answer": 0.02}


@pytest.mark.every(3)
@pytest.mark.parametrize("comments", ["kept", "blank"])
@pytest.mark.parametrize("fault", OFTEN)
def test_answers_that_go_wrong_make_no_order_twice_and_leave_nothing_unexplained(
    fault: str, comments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # no other test holds this account
    strategy, config = loaded(Reverses, cash=100_000), settings(tmp_path, symbols="EURUSD", **WIDE_OPEN)
    blank = [Planned(At(0.0), "comment_changed", {"how": "blank", "where": "everywhere"})] if comments == "blank" else []
    schedule = Schedule((*blank, Planned(Chance(OFTEN[fault]), fault)), seed=1)

    def made(*args: Any, **options: Any) -> FaultyTerminal:
        return FaultyTerminal(SimulatedTerminal(*args, **options), schedule)

    opened = simulated(tmp_path, {"EURUSD": eurusd(60)}, strategy, account=netting(strategy), made_by=made)
    # of any other terminal than a simulated one the trader knows that an order may be in flight
    trader = LiveTrader(config, Chosen(strategy, {}), replace(opened, name="remote", machine=opened.clock))
    code = trader.run()
    terminal = opened.functions.inner
    terminal.initialize()
    orders = Counter(row.comment for row in terminal.history_orders_get(*ALL))
    held = sum(row.volume * (1 if row.type == 0 else -1) for row in terminal.positions_get())
    opened.functions.close()
    assert opened.functions.log.hits[fault] > 1
    assert (code, set(orders.values())) == (0, {1})
    assert held == pytest.approx(sum(row.lots * row.side.sign for row in trader.final_positions))
    assert events(Ran(code, trader, terminal, tmp_path), "HOLD") == []


def test_a_recorded_run_is_reported_with_the_statistics_of_its_backtest(tmp_path: Path) -> None:
    strategy, prices = loaded(Pyramid, cash=100_000), eurusd(100)
    on_netting(tmp_path, strategy, prices)
    [report] = reports_of(tmp_path / "audit.db", Wanted())
    closed = backtest(strategy, prices.iloc[:-1])  # the last bar of a replay never closes
    for name in ("Equity Final [$]", "# Trades", "Max. Drawdown [%]", "Win Rate [%]", "Profit Factor"):
        assert report.stats[name] == pytest.approx(closed[name], rel=1e-9)


class AddsAndLeaves(Strategy):
    """Several trades of which the first is closed alone, and all at the end."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar in (3, 9, 15):
            self.buy(size=10_000)
        elif bar == 20:
            self.trades[0].close()
        elif bar == 30:
            self.position.close()


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_once_all_is_closed_the_trades_have_made_what_the_balance_has(currency: str, tmp_path: Path) -> None:
    account = AccountSpec(100_000.0, margin_mode=0, currency=currency)
    ran = run_live(tmp_path, loaded(AddsAndLeaves, cash=100_000), eurusd(40), account=account, spec=retail_symbol)
    made = [row["net_profit"] for row in ran.rows("SELECT net_profit FROM trades")]
    ran.terminal.initialize()
    assert (len(made), len(ran.terminal.positions_get())) == (3, 0)
    assert sum(made) == pytest.approx(ran.terminal.account_info().balance - 100_000, abs=0.05)


def test_the_emergency_stop_closes_our_trades_and_not_what_others_hold(tmp_path: Path) -> None:
    others = by_hand(10, 0, 0.2, [])

    def stop(trader: LiveTrader) -> None:
        others(trader)
        if trader.bars == 15:
            Path(trader.config.kill_switch_file).touch()

    ran = on_netting(tmp_path, loaded(Stays, cash=100_000), eurusd(50), on_turn=stop, given={"kill_switch_action": "flatten"})
    assert ran.code == 10
    told = [(row["volume"], row["exit_reason"]) for row in ran.rows("SELECT volume, exit_reason FROM trades ORDER BY id")]
    assert told == [(0.05, "kill switch"), (0.05, "kill switch")]
    assert len(ran.trader.final_positions) == 0
    assert net_lots(ran) == pytest.approx(0.2)


def test_a_strategy_that_holds_both_sides_at_once_is_refused_at_the_start(tmp_path: Path) -> None:
    strategy = loaded(Pyramid, hedging=True)
    with pytest.raises(WrongAccount, match=r"keeps one net position a symbol, and pyramid\.py asks for hedging=True"):
        on_netting(tmp_path, strategy, eurusd(20))


def test_an_exchange_account_is_traded_as_a_netting_one(tmp_path: Path) -> None:
    strategy, prices = loaded(Reverses, cash=100_000), eurusd(100)
    ran = run_live(tmp_path, strategy, prices, account=netting(strategy, c.ACCOUNT_MARGIN_MODE_EXCHANGE))
    assert same_trades(backtest(strategy, prices)._trades, ran.rows("SELECT * FROM trades ORDER BY id")) == []


class OtherLevels(Strategy):
    """A second trade with another stop, one without, and then a wider stop for both."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar == 3:
            self.buy(size=1000, sl=0.9, tag="first")
        elif bar == 5:
            self.buy(size=1000, sl=0.8, tag="other stop")
        elif bar == 6:
            self.buy(size=1000, tag="no stop")
        elif bar == 7:
            self.buy(size=1000, limit=1.0, sl=0.9, tag="waits")
        elif bar == 8:
            self.buy(size=1000, sl=0.9, tag="same stop")
        elif bar == 10:
            self.trades[0].sl = 0.85
        elif bar == 12:
            self.trades[0].sl = 0.95


def test_levels_that_one_net_position_cannot_keep_are_refused_with_a_sentence(tmp_path: Path) -> None:
    ran = on_netting(tmp_path, loaded(OtherLevels), eurusd(20))
    told = {row["tag"]: (row["status"], row["message"]) for row in ran.rows("SELECT tag, status, message FROM orders WHERE kind <> 'SLTP'")}
    assert {tag: status for tag, (status, _) in told.items()} == {
        '"first"': "FILLED",
        '"other stop"': "DENIED",
        '"no stop"': "DENIED",
        '"waits"': "DENIED",
        '"same stop"': "FILLED",
    }
    assert "has sl 0.9, this entry wants sl 0.8" in told['"other stop"'][1]
    assert "has sl 0.9, this entry wants no levels" in told['"no stop"'][1]
    assert "an order that waits with levels must be alone" in told['"waits"'][1]
    moved = ran.rows("SELECT status, message FROM orders WHERE kind = 'SLTP' ORDER BY id")
    assert [row["status"] for row in moved] == ["DENIED", "FILLED"]
    assert "may only be tightened" in moved[0]["message"]
    assert [row["sl"] for row in ran.rows("SELECT sl FROM positions")] == [0.95, 0.95]


def test_a_second_trader_of_the_symbol_is_refused_whatever_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second = (Slot(7, "Broker", "any", Magic(number)) for number in (1, 2))
    with ExitStack() as one, ExitStack() as two:
        hold_symbols(one, first, ["EURUSD"])
        hold_symbols(two, second, ["GBPUSD"])
        with pytest.raises(AnotherInstance, match="another trader on this machine trades EURUSD on account 7 at Broker"):
            hold_symbols(two, second, ["EURUSD"])
