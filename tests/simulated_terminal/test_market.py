from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from Backtest.bars import TIMEFRAMES, builtin_prices
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal, parity_symbol, retail_symbol
from tests.simulated_terminal.terminals import D1, H1, T0, bars, deal, done, flat, market_terminal, run_out, symbol, terminal

RISING = [(1.0 + n, 1.5 + n, 0.5 + n, 1.2 + n) for n in range(10)]
M1, H4 = TIMEFRAMES["M1"], TIMEFRAMES["H4"]


def closes(rates: Any) -> list[float]:
    return [float(value) for value in rates["close"]]


def at(hours: float) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


# -- the clock


def test_the_replay_begins_at_the_open_of_the_first_bar() -> None:
    made = terminal(RISING)
    assert made.clock.now() == at(0)
    assert made.clock.progress == (1, 10)
    assert made.symbol_info_tick("EURUSD")[:3] == (T0, 1.0, 1.0)


def test_sleeping_wakes_at_the_first_event_at_or_after_the_time_slept_for() -> None:
    made = terminal(RISING)
    made.clock.sleep(0.2)
    assert made.clock.now() == at(0) + timedelta(seconds=0.5)
    made.clock.sleep(60)
    assert made.clock.now() == at(1)
    made.clock.sleep(2 * 3600)
    assert made.clock.now() == at(3)
    assert made.clock.progress == (4, 10)


def test_no_time_passes_in_a_sleep_of_nothing_or_one_that_is_interrupted_at_once() -> None:
    made = terminal(RISING)
    made.clock.sleep(0)
    made.clock.sleep(60, lambda: True)
    assert made.clock.now() == at(0)


def test_the_market_ends_when_the_last_bars_own_time_is_over() -> None:
    made = terminal(RISING)
    run_out(made)
    assert made.clock.now() == at(10)
    assert made.clock.progress == (10, 10)
    assert closes(made.copy_rates_from_pos("EURUSD", 16385, 0, 1)) == [10.2]
    with pytest.raises(MarketEnded):
        made.clock.sleep(60)


def test_a_replay_may_begin_later_with_the_bars_before_as_history() -> None:
    market = ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1, start=at(4.5))
    made = SimulatedTerminal(market)
    made.initialize()
    assert made.clock.now() == at(5)
    assert len(made.copy_rates_from_pos("EURUSD", 16385, 0, 100)) == 6
    assert [each.time for each in made.history_deals_get(0, 2**31 - 1)] == [T0 + 5 * 3600]


def test_nothing_to_replay_is_said_in_a_sentence() -> None:
    with pytest.raises(BadInput, match="EURUSD: no bars to replay"):
        ReplayMarket({"EURUSD": (symbol(), bars([]))}, H1)
    with pytest.raises(BadInput, match="no bars to replay from 2025-01-01 00:00: the prices end before"):
        ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1, start=datetime(2025, 1, 1, tzinfo=UTC))
    with pytest.raises(BadInput, match="no bars to replay"):
        ReplayMarket({})


class Waiting:
    """Counts the real seconds that a clock has asked for."""

    def __init__(self) -> None:
        self.slices: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slices.append(seconds)


def paced(speed: float, waiting: Waiting) -> SimulatedTerminal:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1), speed=speed, real_sleep=waiting)
    made.initialize()
    return made


def test_at_a_speed_a_sleep_takes_real_time_in_slices_and_ends_where_it_should() -> None:
    waiting = Waiting()
    made = paced(3600, waiting)
    made.clock.sleep(5400)
    assert made.clock.now() == at(1.5)
    assert sum(waiting.slices) == pytest.approx(1.5)
    assert max(waiting.slices) <= 0.2
    assert made.symbol_info_tick("EURUSD").time_msc == (T0 + 3600) * 1000 + 500


def test_at_a_speed_a_sleep_ends_early_when_interrupted() -> None:
    waiting = Waiting()
    made = paced(3600, waiting)
    made.clock.sleep(36_000, lambda: len(waiting.slices) >= 3)
    assert len(waiting.slices) == 3
    assert made.clock.now() == at(0.6)


def test_at_a_speed_the_market_ends_too() -> None:
    made = paced(36_000, Waiting())
    with pytest.raises(MarketEnded):
        made.clock.sleep(11 * 3600)
    assert made.clock.now() == at(10)


def test_a_speed_needs_something_that_waits() -> None:
    with pytest.raises(BadInput, match="speed 0 needs"):
        paced(0, Waiting())
    with pytest.raises(BadInput, match="speed 10 needs"):
        SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1), speed=10)


# -- bars


def test_at_its_open_a_bar_shows_nothing_but_the_open_and_then_all_of_the_rest() -> None:
    made = terminal(RISING)
    made.clock.sleep(60)
    forming = made.copy_rates_from_pos("EURUSD", 16385, 0, 1)[0]
    assert tuple(forming) == (T0 + 3600, 2.0, 2.0, 2.0, 2.0, 1, 0, 0)
    made.clock.sleep(0.5)
    assert tuple(made.copy_rates_from_pos("EURUSD", 16385, 0, 1)[0]) == (T0 + 3600, 2.0, 2.5, 1.5, 2.2, 100, 0, 0)


def test_positions_count_from_the_forming_bar_and_rows_ascend() -> None:
    made = terminal(RISING)
    made.clock.sleep(4 * 3600)
    assert closes(made.copy_rates_from_pos("EURUSD", 16385, 0, 3)) == [3.2, 4.2, 5.0]
    assert closes(made.copy_rates_from_pos("EURUSD", 16385, 1, 2)) == [3.2, 4.2]
    assert closes(made.copy_rates_from_pos("EURUSD", 16385, 3, 100)) == [1.2, 2.2]


def test_arrays_are_packed_read_only_and_of_the_documented_type() -> None:
    rates = terminal(RISING).copy_rates_from_pos("EURUSD", 16385, 0, 1)
    assert (rates.dtype.itemsize, rates.ndim, rates.flags.owndata) == (60, 1, True)
    assert rates.dtype.names == ("time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume")
    with pytest.raises(ValueError, match="read-only"):
        rates["close"] = 0.0


def test_copy_rates_from_goes_back_from_the_date_and_includes_it() -> None:
    made = terminal(RISING)
    made.clock.sleep(5 * 3600)
    assert closes(made.copy_rates_from("EURUSD", 16385, at(2), 2)) == [2.2, 3.2]
    assert closes(made.copy_rates_from("EURUSD", 16385, at(2.5), 1)) == [3.2]
    assert closes(made.copy_rates_from("EURUSD", 16385, at(500), 2)) == [5.2, 6.0]


def test_copy_rates_range_includes_both_ends_and_no_bar_that_opened_before() -> None:
    made = terminal(RISING)
    made.clock.sleep(5 * 3600)
    assert closes(made.copy_rates_range("EURUSD", 16385, at(1), at(3))) == [2.2, 3.2, 4.2]
    assert closes(made.copy_rates_range("EURUSD", 16385, at(1) + timedelta(seconds=1), at(3))) == [3.2, 4.2]
    assert closes(made.copy_rates_range("EURUSD", 16385, 0, at(500)))[-1] == 6.0


def test_a_window_without_bars_is_empty_and_one_before_all_bars_fails() -> None:
    made = terminal(RISING)
    assert len(made.copy_rates_range("EURUSD", 16385, at(1), at(2))) == 0
    assert made.last_error() == (1, "Success")
    assert made.copy_rates_range("EURUSD", 16385, 0, T0 - 1) is None
    assert made.last_error() == (-1, "Terminal: Call failed")
    assert made.copy_rates_from("EURUSD", 16385, T0 - 1, 5) is None


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("NOPE", 1, 0, 10), (-1, "Terminal: Call failed")),
        (("EURUSD", 16385, 5, 10), (-1, "Terminal: Call failed")),
        (("EURUSD", 1, 0, 10), (-1, "Terminal: Call failed")),  # the replay has nothing finer than its bars
        (("EURUSD", 16385, 0, 100_000), (-2, "Terminal: Invalid params")),
        (("EURUSD", 32768, 0, 10), (-2, "Terminal: Invalid params")),
        (("EURUSD", 16385, 0, 0), (-2, "Terminal: Invalid params")),
        (("EURUSD", 16385, -1, 1), (-2, "Terminal: Invalid params")),
    ],
)
def test_what_the_terminal_cannot_serve_is_none(args: tuple[Any, ...], error: tuple[int, str]) -> None:
    made = terminal(RISING)
    assert made.copy_rates_from_pos(*args) is None
    assert made.last_error() == error


def test_a_range_that_ends_before_it_begins_or_holds_too_many_bars_is_refused() -> None:
    minutes = bars(flat(1.1), step=60)
    many = pd.concat([minutes.iloc[:1]] * 100_001)
    many.index = pd.DatetimeIndex(pd.to_datetime(T0 + 60 * np.arange(len(many)), unit="s"))
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), many)}, M1, start=datetime(2024, 3, 10, 10, 40, tzinfo=UTC)))
    made.initialize()
    assert len(made.copy_rates_from_pos("EURUSD", 1, 0, 99_999)) == 99_999
    assert made.copy_rates_range("EURUSD", 1, 0, 2**31 - 1) is None
    assert made.last_error() == (-2, "Terminal: Invalid params")
    assert made.copy_rates_range("EURUSD", 1, 10, 5) is None


def test_longer_timeframes_are_built_from_the_bars_with_the_forming_one() -> None:
    made = terminal(RISING)
    made.clock.sleep(5 * 3600)
    rates = made.copy_rates_from_pos("EURUSD", H4.mt5, 0, 5)
    assert [tuple(row) for row in rates] == [
        (T0, 1.0, 4.5, 0.5, 4.2, 400, 0, 0),
        (T0 + 4 * 3600, 5.0, 6.0, 4.5, 6.0, 101, 0, 0),
    ]
    assert len(made.copy_rates_from_pos("EURUSD", D1.mt5, 0, 5)) == 1


def test_any_longer_timeframe_equals_the_resampled_prices() -> None:
    frame = builtin_prices("EURUSD").iloc[:500]
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}, H1))
    made.initialize()
    run_out(made)
    for name, rule in (("H4", "4h"), ("D1", "1D"), ("W1", "W-SUN")):
        rates = made.copy_rates_from_pos("EURUSD", TIMEFRAMES[name].mt5, 0, 500)
        grouped = (
            frame.resample(rule, closed="left", label="left").agg({"Open": "first", "High": "max", "Low": "min", "Close": "last"}).dropna()
        )
        for column in ("Open", "High", "Low", "Close"):
            assert rates[column.lower()].tolist() == grouped[column].tolist()


def test_ticks_are_the_two_moments_of_each_bar() -> None:
    made = terminal(RISING)
    made.clock.sleep(3600)
    ticks = made.copy_ticks_from("EURUSD", 0, 100, -1)
    assert [(int(row["time_msc"]) - T0 * 1000, float(row["bid"])) for row in ticks] == [(0, 1.0), (500, 1.2), (3_600_000, 2.0)]
    assert (ticks.dtype.itemsize, ticks.flags.writeable) == (60, False)
    assert len(made.copy_ticks_range("EURUSD", T0 + 1, T0 + 3600, 1)) == 1
    assert len(made.copy_ticks_range("EURUSD", at(-5), at(-4), -1)) == 0
    assert made.last_error() == (1, "Success")
    assert len(made.copy_ticks_from("EURUSD", 0, 100, made.COPY_TICKS_TRADE)) == 0
    assert made.copy_ticks_range("NOPE", 0, T0, -1) is None
    assert made.last_error() == (-4, "Terminal: Not found")


# -- symbols and quotes


def test_the_ask_is_a_spread_of_points_above_the_bid() -> None:
    made = terminal(flat(1.07), symbol(spread_points=12))
    tick, info = made.symbol_info_tick("EURUSD"), made.symbol_info("EURUSD")
    assert (tick.bid, tick.ask, info.spread) == (1.07, 1.07012, 12)
    assert (info.askhigh, info.asklow, info.bidhigh) == (1.07012, 1.07012, 1.07)


def test_a_spread_column_of_the_prices_is_the_spread() -> None:
    frame = bars(flat(1.07), spread=7)
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, H1))
    made.initialize()
    assert made.symbol_info("EURUSD").spread == 7
    assert made.copy_rates_from_pos("EURUSD", 16385, 0, 1)["spread"][0] == 7


def test_symbol_info_shows_the_specification_and_the_day() -> None:
    made = terminal(RISING, symbol(stops_level=30, freeze_level=5, volume_max=50.0))
    made.clock.sleep(3 * 3600)
    info = made.symbol_info("EURUSD")
    assert (info.digits, info.point, info.trade_tick_size, info.trade_contract_size) == (5, 1e-5, 1e-5, 100_000.0)
    assert (info.volume_min, info.volume_step, info.volume_max) == (0.01, 0.01, 50.0)
    assert (info.trade_stops_level, info.trade_freeze_level, info.filling_mode, info.trade_exemode) == (30, 5, 3, 2)
    assert (info.currency_base, info.currency_profit, info.name, info.select, info.visible) == ("EUR", "USD", "EURUSD", True, True)
    assert (info.bid, info.bidhigh, info.bidlow, info.session_open, info.time) == (4.0, 4.0, 0.5, 1.0, T0 + 3 * 3600)


def test_symbols_can_be_hidden_unless_they_are_held() -> None:
    made = terminal(RISING)
    assert made.symbol_select("EURUSD", False) is True
    info = made.symbol_info("EURUSD")
    assert (info.select, info.visible, info.bid, info.ask, info.time, info.digits) == (False, False, 0.0, 0.0, 0, 5)
    assert made.symbol_info_tick("EURUSD") is None
    assert made.last_error() == (-4, "Terminal: Not found")
    assert made.order_check(deal()).retcode == made.order_send(deal()).retcode == made.TRADE_RETCODE_PRICE_OFF
    assert len(made.copy_rates_from_pos("EURUSD", 16385, 0, 1)) == 1  # bars are there all the same
    assert made.symbol_select("EURUSD") is True
    done(made.order_send(deal(volume=0.01)))
    assert made.symbol_select("EURUSD", 0) is False
    assert made.symbol_select("NOPE") is False
    assert made.last_error() == (-4, "Terminal: Not found")


def test_a_symbol_without_a_quote_yet_has_no_tick_and_cannot_be_traded() -> None:
    late = (bars(flat(1.3), first=T0 + 7200), symbol("GBPUSD"))
    market = ReplayMarket({"EURUSD": (symbol(), bars(RISING)), "GBPUSD": (late[1], late[0])}, H1)
    made = SimulatedTerminal(market, AccountSpec(1e6))
    made.initialize()
    assert made.symbol_info_tick("GBPUSD") is None
    assert made.symbol_info("GBPUSD").bid == 0.0
    assert made.order_send(deal(symbol="GBPUSD")).retcode == made.TRADE_RETCODE_MARKET_CLOSED
    assert made.order_check(deal(symbol="GBPUSD")).retcode == made.TRADE_RETCODE_PRICE_OFF
    made.clock.sleep(7200)
    done(made.order_send(deal(symbol="GBPUSD")))


def test_several_symbols_run_on_one_timeline() -> None:
    prices = {"EURUSD": (symbol(), RISING), "GBPUSD": (symbol("GBPUSD"), [(2.0, 2.0, 2.0, 2.0)] * 4)}
    made = market_terminal(prices)
    assert made.clock.progress == (1, 10)
    made.clock.sleep(3 * 3600)
    assert [made.symbol_info_tick(name).bid for name in prices] == [4.0, 2.0]
    assert made.symbols_total() == 2


def test_the_market_depth_is_one_line_of_each_side_for_those_who_asked() -> None:
    made = terminal(flat(1.1), symbol(spread_points=10))
    assert made.market_book_get("EURUSD") is None
    assert made.market_book_add("EURUSD") is True
    assert [(row.type, row.price) for row in made.market_book_get("EURUSD")] == [(1, 1.1001), (2, 1.1)]
    assert made.market_book_release("EURUSD") is True
    assert made.market_book_release("EURUSD") is False
    assert made.market_book_add("NOPE") is False
    assert made.market_book_add(5) is None


# -- specifications


def test_the_parity_symbol_trades_single_units_and_takes_any_price() -> None:
    made = terminal(flat(1.1))
    assert made.symbol_info("EURUSD").trade_tick_size == 1e-5
    for name, contract, step, digits in (("EURUSD", 100_000.0, 0.00001, 5), ("GOOG", 1.0, 1.0, 2), ("BTCUSD", 1.0, 1.0, 2)):
        spec = parity_symbol(name, builtin_prices(name))
        assert (spec.contract_size, spec.volume_min, spec.volume_step, spec.digits, spec.tick_size) == (contract, step, step, digits, 0.0)
        assert (spec.currency_profit, spec.spread_points, spec.stops_level, spec.immediate_stops) == ("USD", 0, 0, True)


def test_the_retail_symbol_has_the_usual_grid_and_the_pairs_currencies() -> None:
    spec = retail_symbol("EURUSD", builtin_prices("EURUSD"))
    assert (spec.volume_min, spec.volume_step, spec.volume_max, spec.tick_size, spec.spread_points) == (0.01, 0.01, 500.0, 1e-5, 10)
    assert (spec.currency_base, spec.currency_profit, spec.currency_margin) == ("EUR", "USD", "EUR")
    share = retail_symbol("GOOG", builtin_prices("GOOG"))
    assert (share.contract_size, share.volume_min, share.currency_profit) == (1.0, 1.0, "USD")


@pytest.mark.parametrize(
    "changes", [{"volume_min": 0.005}, {"volume_max": 0.001}, {"contract_size": 0.0}, {"digits": 9}, {"spread_points": -1}]
)
def test_a_specification_whose_figures_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="EURUSD: want"):
        symbol(**changes)


def test_an_account_needs_money_and_a_leverage() -> None:
    for bad in ({"balance": 0.0}, {"balance": float("nan")}, {"leverage": 0}):
        with pytest.raises(BadInput, match="an account wants"):
            AccountSpec(**bad)


def test_a_symbol_whose_money_cannot_be_converted_is_refused() -> None:
    with pytest.raises(BadInput, match="EURJPY: needs prices that turn EUR into USD") as caught:
        terminal(flat(120.0), symbol("EURJPY", digits=3, tick_size=0.001))
    assert len(caught.value.mistakes) == 2
    with pytest.raises(BadInput, match="calculation mode 35 is not simulated"):
        terminal(flat(1.1), symbol(calc_mode=35))
