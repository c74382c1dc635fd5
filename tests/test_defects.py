"""The defects of an earlier implementation of this design, one regression test each. Their numbers are used in the project's history."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy

import Backtest.simulated_terminal as mt5
from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import SimulatedTerminal, parity_symbol, retail_symbol
from Backtest.strategies import load_strategy
from Live.backtesting_bridge import BacktestingBridge, spec_of
from Live.config import load_config
from Live.logs import close_logging, setup_logging
from Live.model import BarId, Kind, Magic, Slot, client_order_id, order_key
from Live.order_requests import fillings
from Live.outcomes import RETCODES, Outcome, Retry, verdict_of
from tests.live_runs import WIDE_OPEN, eurusd, loaded, run_live, settings


class BuysThenCloses(Strategy):
    """In from bar 5 to bar 10 of every 12."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        phase = (len(self.data) - 1) % 12
        if phase == 5 and not self.position:
            self.buy(size=1000)
        elif phase == 10:
            self.position.close()


class WithStops(BuysThenCloses):
    def next(self) -> None:
        close = self.data.Close[-1]
        if (len(self.data) - 1) % 12 == 5 and not self.position:
            self.buy(size=1000, sl=close - 0.0123, tp=close + 0.0234)


def test_d1_d2_retcodes_are_those_of_the_package() -> None:
    names = {10008: "PLACED", 10009: "DONE", 10010: "DONE_PARTIAL", 10011: "ERROR", 10012: "TIMEOUT"}
    assert {code: RETCODES[code][0] for code in names} == names
    for code, (name, _) in RETCODES.items():
        if code != 10046:  # the package has no name for it
            assert getattr(mt5, f"TRADE_RETCODE_{name}") == code
    assert verdict_of(10010, (1, "Success")).outcome is Outcome.ACCEPTED
    assert verdict_of(10012, (1, "Success")).retry is Retry.NO


def test_d3_an_order_check_of_0_is_good_so_orders_are_sent(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    assert ran.count("orders", "status = 'FILLED'") == 4


def test_d4_the_same_decision_has_the_same_id_and_it_travels_to_the_broker(tmp_path: Path) -> None:
    when = datetime(2024, 5, 1, tzinfo=UTC)
    bars = [BarId(Slot(1, "s", "x", Magic(7)), "EURUSD", "H1", epoch, when) for epoch in (3600, 3600, 7200)]
    first, second, other = (client_order_id(bar, Kind.ENTRY, "0") for bar in bars)
    assert first == second != other
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    ran.terminal.initialize()
    comments = {deal.comment for deal in ran.terminal.history_deals_get(0, 2_000_000_000) if deal.order}
    assert comments == {order_key(row["client_order_id"]) for row in ran.rows("SELECT client_order_id FROM orders")}


def test_d5_an_order_that_got_no_answer_is_never_sent_again(tmp_path: Path) -> None:
    class LosesAnswers(SimulatedTerminal):
        sends = 0

        def order_send(self, *args: Any, **request: Any) -> Any:
            LosesAnswers.sends += 1
            super().order_send(*args, **request)
            return None

        def last_error(self) -> tuple[int, str]:
            return (-10002, "IPC recv failed")

    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(8), made_by=LosesAnswers)
    assert LosesAnswers.sends == 1
    assert ran.rows("SELECT status FROM orders") == [{"status": "FILLED"}]
    assert len(ran.trader.final_positions) == 1


def test_d6_exits_go_through_when_a_limit_is_reached(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(60), given={"max_daily_trades": 1, "max_positions": 1})
    assert ran.count("orders", "kind = 'EXIT' AND status = 'FILLED'") == ran.count("orders", "kind = 'ENTRY' AND status = 'FILLED'")


def test_d7_the_daily_loss_limit_is_a_percentage_and_counts_floating_losses(tmp_path: Path) -> None:
    class PilesUp(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            self.buy(size=10_000)

    prices = eurusd(20).copy()
    prices.iloc[8:, :4] *= 0.98  # the open positions lose more than 2 % of the account, nothing is realised
    ran = run_live(tmp_path, loaded(PilesUp, margin=0.01), prices, given={"max_daily_loss_pct": 2.0})
    denied = ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")
    assert ran.count("trades") == 0
    assert denied
    assert "MAX_DAILY_LOSS_PCT" in denied[0]["message"]


def test_d8_a_closed_trade_counts_once(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    closing = ran.count("fills", "entry = 'OUT'")
    assert ran.count("trades") == closing == 2
    profits = [ran.rows(f"SELECT sum(profit) AS p FROM {table}")[0]["p"] for table in ("trades", "fills")]
    assert profits[0] == pytest.approx(profits[1])


def test_d9_a_restart_resets_no_counter(tmp_path: Path) -> None:
    given = {"max_daily_trades": 1}
    first = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30), given=given, once=True)
    again = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30), given=given)
    assert first.count("runs") == again.count("runs") == 2
    entries = again.rows("SELECT DATE(timestamp) AS day, count(*) AS n FROM orders WHERE kind = 'ENTRY' AND status = 'FILLED' GROUP BY 1")
    assert all(row["n"] == 1 for row in entries)


def test_d11_a_close_names_its_position_so_nothing_opposite_is_opened(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    closes = [json.loads(row["request"]) for row in ran.rows("SELECT request FROM orders WHERE kind = 'EXIT'")]
    assert all(request["position"] for request in closes)
    assert ran.trader.final_positions == ()


def test_d12_a_dry_run_needs_no_metatrader_and_holds_its_positions(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(8))
    assert ran.rows("SELECT mode FROM runs") == [{"mode": "DRY"}]
    assert len(ran.trader.final_positions) == 1


def test_d13_the_strategy_has_its_history_before_the_first_decision(tmp_path: Path) -> None:
    seen: list[int] = []

    class NeedsFifty(Strategy):
        def init(self) -> None:
            self.mean = self.I(lambda close: pd.Series(close).rolling(50).mean(), self.data.Close)

        def next(self) -> None:
            seen.append(len(self.data))
            assert not np.isnan(self.mean[-1])

    def late(market: Any, account: Any, state_file: Path) -> SimulatedTerminal:
        terminal = SimulatedTerminal(market, account, state_file=state_file)
        terminal.clock.sleep(100 * 3600)
        return terminal

    ran = run_live(tmp_path, loaded(NeedsFifty), eurusd(200), made_by=late, once=True)
    assert ran.count("bars") == 1
    assert seen[-1] > 50  # bars that the strategy saw when it made its first decision


def test_d14_d15_decisions_rest_on_closed_bars_of_the_terminal_that_trades(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    prices = eurusd(30)
    rows = ran.rows("SELECT open, high, low, close FROM bars ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [tuple(bar) for bar in prices.iloc[:-1, :4].itertuples(index=False)]
    decided = ran.rows("SELECT decided_at, bar_time FROM bars")
    assert all(row["decided_at"] >= row["bar_time"] for row in decided)


def test_d16_times_are_aware_utc_everywhere_in_the_record(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    for table in ("signals", "orders", "order_events", "fills", "trades", "events", "account_snapshots"):
        stamps = [row["timestamp"] for row in ran.rows(f"SELECT timestamp FROM {table}")]
        assert stamps
        assert all(datetime.fromisoformat(stamp).utcoffset() == timedelta(0) for stamp in stamps)


def test_d17_closing_while_flat_opens_nothing(tmp_path: Path) -> None:
    class ClosesAlways(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            self.position.close()

    ran = run_live(tmp_path, loaded(ClosesAlways), eurusd(30))
    assert ran.count("orders") == 0
    assert ran.count("signals", "signal != 'HOLD'") == 0


def test_d18_the_strategys_own_stop_and_target_reach_the_broker(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(WithStops), eurusd(8))
    position, close = ran.trader.final_positions[0], eurusd(8).Close.iloc[5]
    assert (position.sl, position.tp) == (close - 0.0123, close + 0.0234)


def test_d19_risk_is_measured_by_what_one_lot_really_loses() -> None:
    class Idle(Strategy):
        def init(self) -> None: ...

        def next(self) -> None: ...

    bridge = BacktestingBridge(Idle)
    price = builtin_prices("EURUSD").Close.iloc[-1]
    lots = bridge.position_size(account_balance=10_000, risk_pct=1.0, stop_loss_price=price - 0.0030, entry_price=price, symbol="EURUSD")
    # 100 dollars at risk, 30 pips of 10 dollars a lot: a third of a lot
    assert lots == pytest.approx(0.33, abs=0.004)


def test_d20_the_filling_mode_is_one_that_the_symbol_allows() -> None:
    info = {
        **dict.fromkeys(("name", "currency_profit"), "EURUSD"),
        "digits": 5,
        "point": 1e-5,
        "trade_tick_size": 1e-5,
        "trade_contract_size": 1e5,
        "volume_min": 0.01,
        "volume_step": 0.01,
        "volume_max": 50.0,
        "trade_stops_level": 0,
        "trade_exemode": 2,
    }
    assert fillings(spec_of(info | {"filling_mode": 1})) == (0,)
    assert fillings(spec_of(info | {"filling_mode": 2})) == (1,)
    assert fillings(spec_of(info | {"filling_mode": 0, "trade_exemode": 3})) == (2,)


def test_d21_a_comment_is_ascii_and_short_enough_for_every_server(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30), given={"strategy_id": "a_very_long_strategy_name_that_would_not_fit"})
    comments = [json.loads(row["request"])["comment"] for row in ran.rows("SELECT request FROM orders")]
    assert comments
    assert all(comment.isascii() and len(comment) <= 16 for comment in comments)


def test_d23_two_settings_files_make_two_different_settings(tmp_path: Path) -> None:
    for name, magic in (("a", 1), ("b", 2)):
        (tmp_path / name).write_text(f"MAGIC_NUMBER={magic}\nMAX_DAILY_TRADES={magic * 5}\nTIMEFRAME={magic}h\nSTRATEGY_ID={name}\n")
    a, b = (load_config({}, tmp_path / name, {}) for name in ("a", "b"))
    assert (a.magic_number, a.max_daily_trades, a.timeframe, a.strategy_id) == (1, 5, "H1", "a")
    assert (b.magic_number, b.max_daily_trades, b.timeframe, b.strategy_id) == (2, 10, "H2", "b")


def test_d25_the_kill_switch_is_looked_for_just_before_a_send(tmp_path: Path) -> None:
    class StopsDuringTheCheck(SimulatedTerminal):
        def order_check(self, *args: Any, **request: Any) -> Any:
            (tmp_path / "EMERGENCY_STOP").touch()
            return super().order_check(*args, **request)

        def order_send(self, *args: Any, **request: Any) -> Any:
            raise AssertionError("sent after the stop file was there")

    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30), made_by=StopsDuringTheCheck)
    assert ran.code == 10
    assert ran.trader.final_positions == ()


def test_d26_thirty_days_of_trades_can_be_asked_for_on_any_date(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysThenCloses), eurusd(30))
    exits = [datetime.fromisoformat(row["timestamp"]) for row in ran.rows("SELECT timestamp FROM trades")]
    assert exits
    for day in range(1, 32):
        asked = datetime(2017, 5, day, tzinfo=UTC)
        found = ran.rows("SELECT count(*) AS n FROM trades WHERE datetime(timestamp) >= datetime(?, '-30 days')", asked.isoformat())
        assert found[0]["n"] == sum(left >= asked - timedelta(days=30) for left in exits)


def test_d27_the_imported_base_class_is_not_the_strategy(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from backtesting import Strategy\nfrom backtesting.lib import SignalStrategy\n"
        "class Cross(SignalStrategy):\n    def init(self):\n        super().init()\n    def next(self):\n        super().next()\n"
    )
    assert load_strategy(file).cls.__name__ == "Cross"


def test_d28_extra_data_is_nested_and_whatever_is_in_it_can_be_written(tmp_path: Path) -> None:
    class Frozen:
        def now(self) -> datetime:
            return datetime(2024, 5, 1, tzinfo=UTC)

        def sleep(self, seconds: float, interrupted: Any = None) -> None: ...

    setup_logging(settings(tmp_path), Frozen(), console=False)
    extra = {"when": datetime(2024, 1, 1, tzinfo=UTC), "price": np.float64(1.5), "volume": np.int64(3), "kind": Kind.ENTRY}
    logging.getLogger("LiveTrader").info("order", extra={"extra_data": extra})
    close_logging()
    line = json.loads((tmp_path / "logs" / "live_trader.log").read_text())
    assert line["extra_data"] == {"when": "2024-01-01T00:00:00+00:00", "price": 1.5, "volume": 3, "kind": "ENTRY"}


def test_lots_are_rounded_down_where_the_broker_has_a_coarse_grid(tmp_path: Path) -> None:
    class BuysOddSizes(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            if len(self.data) == 6:
                self.buy(size=2_999)
            elif len(self.data) == 8:
                self.buy(size=999)

    ran = run_live(tmp_path, loaded(BuysOddSizes), eurusd(12), spec=retail_symbol)
    assert [(row["status"], row["volume"]) for row in ran.rows("SELECT status, volume FROM orders ORDER BY id")] == [
        ("FILLED", 0.02),
        ("DENIED", None),
    ]
    assert parity_symbol("EURUSD", eurusd(12)).volume_step == 0.00001
    assert set(WIDE_OPEN) < set(dict(ran.trader.config))
