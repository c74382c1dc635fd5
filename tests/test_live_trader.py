import json
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Backtest, Strategy

from Backtest.simulated_terminal import SimulatedTerminal, parity_account
from Backtest.sizing import commission_of
from Backtest.strategies import load_strategy
from Live.audit_logger.opening import schema
from Live.errors import KillSwitch, NeedsPerson
from Live.live_trader import LiveTrader
from Live.stopping import resume
from tests.faulty_terminal import FaultyTerminal, answered
from tests.live_runs import LOGIN, eurusd, loaded, run_live, same_trades, settings

CODES = Path(__file__).parent.parent / "Backtest" / "codes"


class EveryTen(Strategy):
    """Buys on every tenth bar when flat, and closes five bars later."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data) - 1
        if bar % 10 == 0 and not self.position:
            self.buy(size=1000, tag=f"bar {bar}")
        elif bar % 10 == 5:
            self.position.close()


class BuysEveryBar(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        self.buy(size=100)


class HoldsFromTheStart(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        if not self.position:
            self.buy(size=5000)


class TellsItsSecret(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        raise ValueError("cannot log in with hunter2hunter2")


@pytest.mark.every(5)
@pytest.mark.parametrize("name", ["sma_cross", "ema_cross", "vwap", "volume_breakout", "rsi_atr"])
def test_the_record_holds_the_trades_of_the_backtest_one_by_one(name: str, tmp_path: Path) -> None:
    strategy, prices = load_strategy(CODES / f"{name}.py"), eurusd(1200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a trade may be open at the end
        stats = Backtest(prices, strategy.cls, **strategy.backtest).run()
    ran = run_live(tmp_path, strategy, prices)
    assert len(stats._trades) > 5
    assert same_trades(stats._trades, ran.rows("SELECT * FROM trades ORDER BY id")) == []
    assert ran.rows("SELECT equity FROM account_snapshots ORDER BY id DESC")[0]["equity"] == pytest.approx(
        stats["Equity Final [$]"], rel=1e-12
    )


def test_a_strategy_that_tells_a_password_does_not_tell_it_to_the_record(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(TellsItsSecret), eurusd(20), given={"mt5_password": "hunter2hunter2"})
    assert any("cannot log in with ***" in row["message"] for row in ran.rows("SELECT message FROM events"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2hunter2" in path.read_bytes()]


def test_every_bar_has_a_signal_and_every_order_its_moves(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), eurusd(60))
    assert ran.count("bars") == 59  # the last one was still forming
    assert {row["bar_time"] for row in ran.rows("SELECT bar_time FROM signals")} == {
        row["bar_time"] for row in ran.rows("SELECT bar_time FROM bars")
    }
    moves = ran.rows("SELECT to_status FROM order_events JOIN orders USING (client_order_id) WHERE orders.id = 1 ORDER BY seq")
    assert [row["to_status"] for row in moves] == ["PENDING", "SUBMITTED", "PLACED", "FILLED"]
    assert ran.count("fills") == ran.count("orders")
    assert ran.rows("SELECT tag FROM trades")[0]["tag"] == '"bar 10"'


def test_every_key_of_the_state_is_explained_in_the_schema(tmp_path: Path) -> None:
    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        terminal.faults.append(answered(10099))  # which nobody has read: it puts the first hold
        return terminal

    def stop(trader: LiveTrader) -> None:
        if trader.bars == 11:
            (tmp_path / "EMERGENCY_STOP").touch()

    ran = run_live(tmp_path, loaded(EveryTen), eurusd(14), made_by=made, on_turn=stop)
    found = {row["key"].split()[0] for row in ran.rows("SELECT key FROM state")}
    assert found == set(re.findall(r"^--   (\w+)", schema(), re.MULTILINE))


def test_a_second_run_over_the_same_bars_sends_nothing(tmp_path: Path) -> None:
    first = run_live(tmp_path, loaded(EveryTen), eurusd(60))
    orders = first.count("orders")
    again = run_live(tmp_path, loaded(EveryTen), eurusd(60))
    assert (again.count("orders"), again.trader.bars) == (orders, 0)


def test_more_bars_later_go_on_where_the_first_run_ended(tmp_path: Path) -> None:
    strategy = loaded(EveryTen)
    halves = [eurusd(31), eurusd(60)]
    # the same account on longer prices: a broker whose history has grown
    run_live(tmp_path, strategy, halves[0], made_by=_without_file)
    ran = run_live(tmp_path, strategy, halves[1], made_by=_without_file)
    assert ran.count("bars") == 59
    assert ran.count("bars", "acted = 0") == 0


def _without_file(market: Any, account: Any, state_file: Path) -> SimulatedTerminal:
    return SimulatedTerminal(market, account)


def test_the_daily_limit_stops_entries_and_lets_exits_through(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), eurusd(120), given={"max_daily_trades": 1})
    denied = ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")
    assert denied
    assert all("MAX_DAILY_TRADES" in row["message"] for row in denied)
    assert ran.count("orders", "kind = 'EXIT' AND status != 'FILLED'") == 0


def test_a_day_opens_with_the_equity_of_the_evening_before_also_when_the_trader_starts_later(tmp_path: Path) -> None:
    strategy = loaded(EveryTen)
    run_live(tmp_path, strategy, eurusd(9), made_by=_without_file)
    poorer = parity_account(9_400.0, commission_of(strategy.backtest))
    limits = {"max_daily_loss_pct": 5.0}
    ran = run_live(tmp_path, strategy, eurusd(13, first=25), given=limits, account=poorer, made_by=_without_file)
    assert json.loads(ran.rows("SELECT value FROM state WHERE key = 'day'")[0]["value"])["opening_equity"] == 10_000.0
    assert "MAX_DAILY_LOSS_PCT" in ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")[0]["message"]


def test_a_day_opens_with_the_equity_that_is_found_when_nothing_was_seen_the_day_before(tmp_path: Path) -> None:
    strategy = loaded(EveryTen)
    run_live(tmp_path, strategy, eurusd(9), made_by=_without_file)
    poorer = parity_account(9_400.0, commission_of(strategy.backtest))
    ran = run_live(tmp_path, strategy, eurusd(13, first=49), account=poorer, made_by=_without_file)
    assert json.loads(ran.rows("SELECT value FROM state WHERE key = 'day'")[0]["value"])["opening_equity"] == 9_400.0


def test_a_floating_loss_trips_the_daily_loss_limit(tmp_path: Path) -> None:
    prices = eurusd(40).copy()
    prices.iloc[20:, :4] *= 0.9  # a crash, with the position still open
    ran = run_live(tmp_path, loaded(BuysEveryBar, margin=0.01), prices, given={"max_daily_loss_pct": 0.5})
    late = ran.rows("SELECT status, message FROM orders WHERE bar_time >= ? ORDER BY id", prices.index[20].isoformat())
    assert late
    assert all(row["status"] == "DENIED" and "MAX_DAILY_LOSS_PCT" in row["message"] for row in late[:3])


def test_the_limits_count_from_the_record_so_a_restart_resets_nothing(tmp_path: Path) -> None:
    stop = tmp_path / "EMERGENCY_STOP"

    def stop_after_two(trader: LiveTrader) -> None:
        if trader.bars == 4:
            stop.touch()

    given = {"max_daily_trades": 2}
    assert run_live(tmp_path, loaded(BuysEveryBar), eurusd(12), given=given, on_turn=stop_after_two).code == KillSwitch.exit_code
    assert resume(settings(tmp_path, **given), confirm=lambda _: True) == 0
    ran = run_live(tmp_path, loaded(BuysEveryBar), eurusd(12), given=given)
    assert ran.count("orders", "status = 'FILLED'") == 2


def test_positions_of_others_are_neither_counted_nor_touched(tmp_path: Path) -> None:
    class WithAStranger(SimulatedTerminal):
        def initialize(self, *args: Any, **options: Any) -> bool:
            done = super().initialize(*args, **options)
            if done and not self.positions_get():
                tick = self.symbol_info_tick("EURUSD")
                request = {"action": 1, "symbol": "EURUSD", "volume": 0.5, "type": 0, "price": tick.ask, "type_filling": 0, "magic": 777}
                assert self.order_send(request).retcode == 10009
            return bool(done)

    ran = run_live(tmp_path, loaded(EveryTen), eurusd(60), made_by=WithAStranger)
    ran.terminal.initialize()
    strangers = [position for position in ran.terminal.positions_get() if position.magic == 777]
    assert [position.volume for position in strangers] == [0.5]
    assert ran.count("fills", "magic = 777") == 0
    assert ran.count("trades") == 5


def test_positions_with_our_magic_that_the_record_does_not_know_need_a_person(tmp_path: Path) -> None:
    run_live(tmp_path, loaded(HoldsFromTheStart), eurusd(20))
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    with pytest.raises(NeedsPerson, match=f"account {LOGIN} carries our MAGIC_NUMBER.* start a new account with --fresh"):
        run_live(tmp_path, loaded(HoldsFromTheStart), eurusd(20))


def test_the_kill_switch_leaves_positions_alone_by_default(tmp_path: Path) -> None:
    ran = _stopped_at_bar_five(tmp_path, {})
    assert ran.code == KillSwitch.exit_code
    assert len(ran.trader.final_positions) == 1
    assert ran.count("events", "event_type = 'KILL_SWITCH'") == 1


def test_the_kill_switch_flattens_where_that_is_asked_for(tmp_path: Path) -> None:
    ran = _stopped_at_bar_five(tmp_path, {"kill_switch_action": "flatten"})
    assert ran.code == KillSwitch.exit_code
    assert ran.trader.final_positions == ()
    assert ran.count("orders", "kind = 'FLATTEN' AND status = 'FILLED'") == 1
    assert ran.rows("SELECT exit_reason FROM trades") == [{"exit_reason": "kill switch"}]


class WaitsFromTheStart(EveryTen):
    """Has an order that waits far away."""

    def next(self) -> None:
        if not self.orders:
            self.buy(size=1000, limit=self.data.Close[-1] * 0.5)


@pytest.mark.parametrize("action", ["flatten", "halt"])
def test_the_kill_switch_takes_waiting_orders_away(tmp_path: Path, action: str) -> None:
    def stop(trader: LiveTrader) -> None:
        if trader.bars == 5:
            (tmp_path / "EMERGENCY_STOP.txt").touch()

    ran = run_live(tmp_path, loaded(WaitsFromTheStart), eurusd(20), given={"kill_switch_action": action}, on_turn=stop)
    assert ran.code == KillSwitch.exit_code
    assert [row["status"] for row in ran.rows("SELECT status FROM orders WHERE kind = 'PENDING'")] == ["CANCELLED"]
    ran.terminal.initialize()
    assert ran.terminal.orders_get() == ()


def _stopped_at_bar_five(folder: Path, given: dict[str, object]) -> Any:
    def stop(trader: LiveTrader) -> None:
        if trader.bars == 5:
            (folder / "EMERGENCY_STOP.txt").touch()

    return run_live(folder, loaded(HoldsFromTheStart), eurusd(20), given=given, on_turn=stop)


def test_a_trader_does_not_start_while_the_stop_file_exists(tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP").mkdir()
    with pytest.raises(KillSwitch, match="exists: nothing more is sent; python -m Live resume"):
        run_live(tmp_path, loaded(EveryTen), eurusd(20))


def test_a_strategy_that_fails_stops_its_symbol_and_no_other(tmp_path: Path) -> None:
    class FailsOnHighPrices(EveryTen):
        def next(self) -> None:
            if self.data.Close[-1] > 50 and len(self.data) > 15:
                raise ZeroDivisionError("one over nothing")
            super().next()

    prices = {"EURUSD": eurusd(60), "USDJPY": eurusd(60) * 100}
    ran = run_live(tmp_path, loaded(FailsOnHighPrices, cash=1e6), prices)
    failure = ran.rows("SELECT message, details FROM events WHERE event_type = 'STRATEGY_FAILED'")
    assert [row["message"].startswith("USDJPY: FailsOnHighPrices.next() failed") for row in failure] == [True]
    assert "one over nothing" in failure[0]["details"]
    assert (ran.count("bars", "symbol = 'EURUSD'"), ran.count("bars", "symbol = 'USDJPY'")) == (59, 15)
    assert ran.code == 0


def test_two_symbols_are_each_decided_on_all_of_their_bars(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), {"EURUSD": eurusd(40), "GBPUSD": eurusd(30, first=5)})
    assert ran.rows("SELECT symbol, count(*) AS n FROM bars GROUP BY symbol ORDER BY symbol") == [
        {"symbol": "EURUSD", "n": 39},
        {"symbol": "GBPUSD", "n": 29},
    ]


def test_once_decides_one_bar_and_leaves(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), eurusd(60), once=True)
    assert (ran.code, ran.count("bars")) == (0, 1)


def test_bars_that_closed_while_the_trader_was_away_are_replayed_without_acting(tmp_path: Path) -> None:
    run_live(tmp_path, loaded(EveryTen), eurusd(30), made_by=_without_file, once=True)

    def from_bar_25(market: Any, account: Any, state_file: Path) -> SimulatedTerminal:
        terminal = SimulatedTerminal(market, account)
        terminal.clock.sleep(25 * 3600)
        return terminal

    ran = run_live(tmp_path, loaded(EveryTen), eurusd(30), made_by=from_bar_25)
    missed = ran.rows("SELECT signal, reason, client_order_id FROM signals WHERE reason LIKE 'missed%' AND signal != 'HOLD'")
    assert [row["signal"] for row in missed] == ["BUY", "BUY"]
    assert all(row["client_order_id"] is None for row in missed)
    assert ran.count("events", "event_type = 'MISSED_SIGNAL'") == 2


def test_a_signal_older_than_allowed_is_recorded_as_expired_and_not_sent(tmp_path: Path) -> None:
    def late(market: Any, account: Any, state_file: Path) -> SimulatedTerminal:
        terminal = SimulatedTerminal(market, account)
        terminal.clock.sleep(12 * 3600)
        terminal.clock.resume(terminal.clock.now_msc + 1_800_000, terminal.clock.played)  # half an hour into a bar
        return terminal

    ran = run_live(tmp_path, loaded(BuysEveryBar), eurusd(30), made_by=late, given={"max_signal_age_seconds": 600}, once=True)
    assert ran.count("orders") == 0
    assert ran.count("signals", "reason LIKE 'expired%' AND signal = 'BUY'") == 1


def test_the_account_is_recorded_every_five_minutes_and_at_the_end(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), eurusd(30), given={"snapshot_seconds": 7200})
    assert 14 <= ran.count("account_snapshots") <= 17


def test_the_three_queries_of_the_readme_give_rows(tmp_path: Path) -> None:
    class AsksTooMuch(EveryTen):
        """Its stop is on the wrong side of a market that has moved on."""

        def next(self) -> None:
            if len(self.data) == 20:
                self.buy(size=1000, sl=self.data.Close[-1] - 0.00001)
            else:
                super().next()

    from Backtest.simulated_terminal import retail_symbol

    ran = run_live(tmp_path, loaded(AsksTooMuch, margin=0.02), eurusd(60), spec=retail_symbol)
    assert ran.rows("SELECT * FROM trades ORDER BY timestamp DESC LIMIT 10")
    summary = ran.rows("""
        SELECT
          DATE(timestamp) as date,
          COUNT(*) as trades,
          SUM(profit) as total_pnl
        FROM trades
        GROUP BY DATE(timestamp);
    """)
    assert sum(row["trades"] for row in summary) == ran.count("trades")
    failed = ran.rows("SELECT * FROM orders WHERE status = 'FAILED'")
    assert [row["retcode"] for row in failed] == [10016]


def test_the_sum_of_what_deals_did_is_the_change_of_the_balance(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen, commission=0.0002), eurusd(100))
    money = ran.rows("SELECT sum(profit + commission + swap + fee) AS money FROM fills")[0]["money"]
    assert ran.trader.final_account.balance == pytest.approx(10_000 + money)
    held = ran.rows("SELECT sum(net_profit) AS money FROM trades")[0]["money"]
    assert held == pytest.approx(money)


def test_a_run_is_on_record_with_what_it_was_made_of(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(EveryTen), eurusd(20), given={"telegram_bot_token": "canary-token"})
    run = ran.rows("SELECT * FROM runs")[0]
    assert (run["mode"], run["exit_code"], run["end_reason"]) == ("DRY", 0, "the replayed prices end here")
    assert "canary" not in pd.Series(run).to_json()
    assert ran.rows("SELECT event_type FROM events ORDER BY id DESC")[0]["event_type"] == "SHUTDOWN"


def test_a_twin_with_our_magic_number_stops_entries_and_stays_untouched(tmp_path: Path) -> None:
    class WithATwin(SimulatedTerminal):
        def order_check(self, *args: Any, **request: Any) -> Any:
            if len(self.positions_get()) == 1 and self.positions_get()[0].volume < 0.5:
                twin = {"action": 1, "symbol": "EURUSD", "volume": 0.5, "type": 0, "price": 1.0, "type_filling": 0, "magic": 123456}
                assert super().order_send(twin).retcode == 10009
            return super().order_check(*args, **request)

    ran = run_live(tmp_path, loaded(EveryTen), eurusd(60), made_by=WithATwin)
    assert ran.count("events", "event_type = 'STRANGER'") == 1
    denied = ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")
    assert denied
    assert all("MAGIC_NUMBER" in row["message"] for row in denied)
    assert ran.count("fills", "volume = 0.5") == 0
    assert [position.lots for position in ran.trader.final_positions] == []


def test_a_run_whose_strategy_has_failed_ends_with_exit_code_1_and_says_why(tmp_path: Path) -> None:
    class FailsLate(HoldsFromTheStart):
        def next(self) -> None:
            if len(self.data) > 20:
                raise ZeroDivisionError("one over nothing")
            super().next()

    ran = run_live(tmp_path, loaded(FailsLate), eurusd(100))
    assert ran.code == 1
    assert "one over nothing" in ran.rows("SELECT end_reason FROM runs")[0]["end_reason"]
    assert ran.count("bars") == 20
    (event,) = ran.rows("SELECT message FROM events WHERE event_type = 'STRATEGY_FAILED'")
    assert event["message"].endswith(f"open without a stop loss: {ran.trader.final_positions[0].ticket}")


def test_a_position_that_cannot_be_closed_does_not_keep_the_others_open(tmp_path: Path) -> None:
    class LosesQuotes(SimulatedTerminal):
        lost = False

        def symbol_info_tick(self, symbol: str) -> Any:
            return None if self.lost and symbol == "EURUSD" else super().symbol_info_tick(symbol)

    def stop(trader: LiveTrader) -> None:
        if trader.bars >= 10:
            trader.terminal.functions.lost = True
            (tmp_path / "EMERGENCY_STOP").touch()

    prices = {"EURUSD": eurusd(60), "GBPUSD": eurusd(60)}
    given = {"kill_switch_action": "flatten"}
    ran = run_live(tmp_path, loaded(HoldsFromTheStart), prices, given=given, on_turn=stop, made_by=LosesQuotes)
    assert ran.code == KillSwitch.exit_code
    assert [position.symbol for position in ran.trader.final_positions] == ["EURUSD"]
    assert "still open" in ran.rows("SELECT end_reason FROM runs")[0]["end_reason"]
    assert ran.count("events", "event_type = 'NOT_FLATTENED'") > 0


def test_why_no_entries_are_sent_is_where_readers_see_it(tmp_path: Path) -> None:
    reasons = set()

    def note(trader: LiveTrader) -> None:
        trader.reporter.publish(trader.why_not, force=True)
        reasons.add(trader.record.state("trading")["reason"])

    run_live(tmp_path, loaded(BuysEveryBar), eurusd(30), given={"max_daily_trades": 2}, on_turn=note)
    assert "" in reasons
    assert any("MAX_DAILY_TRADES" in reason for reason in reasons)
