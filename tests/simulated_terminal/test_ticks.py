from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from Backtest.bars import TIMEFRAMES, read_prices, read_ticks
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, Dealing, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.sessions import sessions
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    BUY_STOP_LIMIT,
    SELL,
    SELL_LIMIT,
    T0,
    bars,
    close,
    deal,
    done,
    exits,
    flat,
    pending,
    protect,
    run_out,
    symbol,
)
from tests.test_price_files import REAL_PRICES, real_prices

M1, M5, H1, D1, W1, MN1 = (TIMEFRAMES[name].mt5 for name in ("M1", "M5", "H1", "D1", "W1", "MN1"))
MILLISECOND = (250, 250, 250)

Tick = tuple[int, float, float]  # milliseconds after T0, bid, ask


def ticks(rows: Sequence[Tick], first: int = T0) -> pd.DataFrame:
    """A tick frame out of (milliseconds, bid, ask) rows."""
    index = pd.DatetimeIndex(pd.to_datetime([first * 1000 + row[0] for row in rows], unit="ms"))
    return pd.DataFrame({"Bid": [row[1] for row in rows], "Ask": [row[2] for row in rows]}, index=index, dtype="float64")


def tick_terminal(rows: Sequence[Tick], account: AccountSpec | None = None, **spec: Any) -> SimulatedTerminal:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(**spec), ticks(rows))}), account or AccountSpec())
    assert made.initialize()
    return made


def path(*bids: float, step: int = 1000, spread: float = 0.0001) -> list[Tick]:
    """Bids, one every `step` milliseconds, the ask above."""
    return [(step * n, bid, round(bid + spread, 5)) for n, bid in enumerate(bids)]


def seen(rows: Any) -> list[tuple[int, float, float, int]]:
    return [(int(row["time_msc"]) - T0 * 1000, float(row["bid"]), float(row["ask"]), int(row["flags"])) for row in rows]


# -- the clock and the quote


def test_a_sleep_ends_at_the_first_tick_at_or_after_the_time_slept_for() -> None:
    made = tick_terminal(path(1.1, 1.2, 1.3, 1.4))
    assert made.clock.progress == (1, 4)
    made.clock.sleep(1.5)
    assert made.symbol_info_tick("EURUSD")[:3] == (T0 + 2, 1.3, 1.3001)
    assert made.clock.progress == (3, 4)
    with pytest.raises(MarketEnded):
        made.clock.sleep(60)
    assert made.clock.now() == datetime(2024, 1, 1, 0, 1, tzinfo=UTC)  # the last tick's minute is over


def test_the_ask_is_the_ticks_own_and_the_flags_say_what_has_changed() -> None:
    made = tick_terminal([(0, 1.1, 1.1002), (100, 1.1, 1.1003), (200, 1.1001, 1.1003)])
    flags = []
    for _ in range(3):
        flags.append((made.symbol_info_tick("EURUSD").ask, made.symbol_info_tick("EURUSD").flags, made.symbol_info("EURUSD").spread))
        if len(flags) < 3:
            made.clock.sleep(0.001)
    assert flags == [(1.1002, 6, 20), (1.1003, 4, 30), (1.1003, 2, 20)]


def test_ticks_of_one_millisecond_reach_the_account_one_after_the_other() -> None:
    made = tick_terminal([(0, 1.1, 1.1), *((250, bid, bid) for bid in (1.2, 1.0, 1.3)), (9000, 1.3, 1.3)])
    done(made.order_send(deal(sl=1.05, tp=1.25)))
    made.clock.sleep(9)
    assert exits(made) == [(T0, 1.0, "[sl 1.05000]")]
    made.clock.sleep(0)
    assert seen(made.copy_ticks_from("EURUSD", T0, 100, -1))[1:4] == [(250, 1.2, 1.2, 6), (250, 1.0, 1.0, 6), (250, 1.3, 1.3, 6)]


def test_what_an_order_gets_is_the_tick_that_stands() -> None:
    made = tick_terminal([(0, 1.1, 1.1002), (100, 1.1005, 1.1006)])
    assert done(made.order_send(deal(BUY))).price == 1.1002
    made.clock.sleep(0.1)
    assert done(made.order_send(close(made.positions_get()[0]))).price == 1.1005


# -- what a tick fills


@pytest.mark.parametrize(
    ("side", "levels", "bids", "filled"),
    [
        (BUY, {"sl": 1.09}, (1.1, 1.095, 1.0895, 1.08), (2, 1.0895)),
        (BUY, {"tp": 1.11}, (1.1, 1.1099, 1.1102, 1.12), (2, 1.1102)),
        (SELL, {"sl": 1.11}, (1.1, 1.1098, 1.1099, 1.12), (2, 1.11)),  # the ask reaches it, a point above
        (SELL, {"tp": 1.09}, (1.1, 1.09, 1.0898, 1.08), (2, 1.0899)),
    ],
)
def test_a_level_fills_at_the_first_tick_that_reaches_it(
    side: int, levels: dict[str, float], bids: tuple[float, ...], filled: tuple[int, float]
) -> None:
    made = tick_terminal(path(*bids))
    done(made.order_send(deal(side, **levels)))
    run_out(made)
    assert [(second - T0, price) for second, price, _ in exits(made)] == [filled]


@pytest.mark.parametrize(
    ("request_", "bids", "filled"),
    [
        (pending(BUY_LIMIT, 1.0995), (1.1, 1.0995, 1.0993), (2, 1.0994)),  # better than its limit
        (pending(SELL_LIMIT, 1.1005), (1.1, 1.1004, 1.1007), (2, 1.1007)),
        (pending(BUY_STOP, 1.1010), (1.1, 1.1008, 1.1011), (2, 1.1012)),  # worse than its stop
        (pending(BUY_STOP_LIMIT, 1.1010, stoplimit=1.1005), (1.1, 1.1012, 1.1006, 1.1003), (3, 1.1004)),
    ],
)
def test_a_pending_order_fills_at_the_price_of_the_tick(
    request_: dict[str, Any], bids: tuple[float, ...], filled: tuple[int, float]
) -> None:
    made = tick_terminal(path(*bids))
    done(made.order_send(request_))
    run_out(made)
    assert [(each.time - T0, each.price) for each in made.history_deals_get(*ALL) if each.order] == [filled]


def test_a_level_that_a_pending_order_brings_is_judged_from_the_next_tick_on() -> None:
    made = tick_terminal(path(1.1, 1.0990, 1.0990, 1.0990, spread=0.0010))
    done(made.order_send(pending(BUY_LIMIT, 1.1005, sl=1.0995)))
    run_out(made)
    assert [(each.time - T0, each.entry, each.price) for each in made.history_deals_get(*ALL) if each.order] == [(1, 0, 1.1), (2, 1, 1.099)]


def test_the_stop_out_is_judged_at_every_tick() -> None:
    made = tick_terminal(path(1.1, 1.0001, 1.1), AccountSpec(1_200.0, leverage=100))
    done(made.order_send(deal(BUY, 1.0)))
    made.clock.sleep(2)
    (out,) = exits(made)
    assert out[:2] == (T0 + 1, 1.0001)
    assert out[2].startswith("[so ")


def test_between_a_request_and_its_execution_the_price_moves_no_further_than_the_next_tick() -> None:
    made = tick_terminal(path(1.1, 1.10003, 1.10003), AccountSpec(dealing=Dealing(seed=1, drift_points=40)))
    for _ in range(20):
        done(made.order_send(deal(BUY, 0.01)))
    prices = {each.price_open for each in made.positions_get()}
    assert prices <= {1.1001, 1.10011, 1.10012, 1.10013}
    assert len(prices) > 1


# -- when there is trading


def test_without_sessions_half_an_hour_without_a_tick_is_a_closed_market() -> None:
    made = tick_terminal([(0, 1.1, 1.1001), (20 * 60_000, 1.1, 1.1001), (60 * 60_000, 1.2, 1.2001)])
    at = [made._server.market.series["EURUSD"].is_open_at(T0 * 1000 + minute * 60_000) for minute in (0, 10, 20, 21, 59, 60, 61)]
    assert at == [True, True, True, False, False, True, False]


def test_out_of_the_sessions_a_tick_fills_nothing() -> None:
    made = tick_terminal(path(1.1, 1.0, 1.0, 1.0), sessions=sessions("Mon 00:00-24:00"))
    done(made.order_send(deal(BUY, sl=1.05)))
    run_out(made)
    assert len(exits(made)) == 1
    later = tick_terminal(path(1.1, 1.0, 1.0, step=43_200_000), sessions=sessions("Mon 00:00-00:10; Tue 00:00-24:00"))
    done(later.order_send(deal(BUY, sl=1.05)))
    run_out(later)
    assert [second - T0 for second, *_ in exits(later)] == [86_400]


# -- bars of ticks


def test_the_forming_bar_moves_with_each_tick() -> None:
    made = tick_terminal([(0, 1.10, 1.1003), (5_000, 1.12, 1.1202), (30_000, 1.09, 1.0909), (60_000, 1.11, 1.1101)])
    shown = []
    for _ in range(4):
        row = made.copy_rates_from_pos("EURUSD", M1, 0, 1)[0]
        shown.append(tuple(row))
        if len(shown) < 4:
            made.clock.sleep(1)
    assert shown == [
        (T0, 1.10, 1.10, 1.10, 1.10, 1, 30, 0),
        (T0, 1.10, 1.12, 1.10, 1.12, 2, 20, 0),
        (T0, 1.10, 1.12, 1.09, 1.09, 3, 20, 0),
        (T0 + 60, 1.11, 1.11, 1.11, 1.11, 1, 10, 0),
    ]
    assert [tuple(row) for row in made.copy_rates_from_pos("EURUSD", M5, 0, 9)] == [(T0, 1.10, 1.12, 1.09, 1.11, 4, 10, 0)]


def test_there_are_no_bars_for_minutes_without_a_tick() -> None:
    made = tick_terminal([(0, 1.1, 1.1), (600_000, 1.1, 1.1)])
    made.clock.sleep(1)
    assert made.copy_rates_from_pos("EURUSD", M1, 0, 9)["time"].tolist() == [T0, T0 + 600]


def test_weeks_open_on_sunday_and_months_on_day_one() -> None:
    day = 86_400_000
    made = tick_terminal([(day * n, 1.1, 1.1) for n in range(40)])  # from Monday 2024-01-01
    run_out(made)
    weeks, months = (made.copy_rates_from_pos("EURUSD", each, 0, 9)["time"].tolist() for each in (W1, MN1))
    assert {(week - T0) // 86_400 % 7 for week in weeks} == {6}
    assert [pd.Timestamp(month, unit="s").strftime("%Y-%m-%d") for month in months] == ["2024-01-01", "2024-02-01"]


def test_the_day_of_symbol_info_is_that_of_its_ticks() -> None:
    made = tick_terminal([(0, 1.0, 1.5), (86_400_000, 1.2, 1.21), (86_401_000, 1.3, 1.32), (86_402_000, 1.1, 1.11)])
    made.clock.sleep(86_402)
    info = made.symbol_info("EURUSD")
    assert (info.session_open, info.bidhigh, info.bidlow, info.askhigh, info.asklow) == (1.2, 1.3, 1.1, 1.32, 1.11)


# -- copy_ticks


def some() -> SimulatedTerminal:
    made = tick_terminal([(0, 1.1, 1.11), (400, 1.1, 1.12), (1000, 1.11, 1.12), (1000, 1.12, 1.12), (1001, 1.13, 1.14), (3000, 1.2, 1.3)])
    made.clock.sleep(2)
    return made


def test_copy_ticks_from_goes_forward_from_the_date_which_it_includes() -> None:
    made = some()
    assert seen(made.copy_ticks_from("EURUSD", T0, 3, -1)) == [(0, 1.1, 1.11, 6), (400, 1.1, 1.12, 4), (1000, 1.11, 1.12, 2)]
    assert [row[0] for row in seen(made.copy_ticks_from("EURUSD", T0 + 1, 10, -1))] == [1000, 1000, 1001, 3000]
    assert [row[0] for row in seen(made.copy_ticks_from("EURUSD", datetime(2024, 1, 1, 0, 0, 2, tzinfo=UTC), 10, -1))] == [3000]


def test_copy_ticks_range_ends_at_the_very_second() -> None:
    made = some()
    assert [row[0] for row in seen(made.copy_ticks_range("EURUSD", T0, T0 + 1, -1))] == [0, 400, 1000, 1000]
    assert [row[0] for row in seen(made.copy_ticks_range("EURUSD", T0 + 1, T0 + 1, -1))] == [1000, 1000]


def test_ticks_that_have_not_come_are_not_shown() -> None:
    made = tick_terminal(path(1.1, 1.2, 1.3))
    made.clock.sleep(1)
    assert len(made.copy_ticks_from("EURUSD", 0, 100, -1)) == 2


def test_a_span_without_ticks_is_empty_with_success() -> None:
    made = some()
    for empty in (made.copy_ticks_range("EURUSD", T0 + 2, T0 + 2, -1), made.copy_ticks_range("EURUSD", T0 + 1, T0, -1)):
        assert (len(empty), made.last_error()) == (0, (1, "Success"))
    assert made.copy_ticks_from("NOPE", T0, 1, -1) is None
    assert made.last_error() == (-4, "Terminal: Not found")


def test_the_array_of_ticks_is_packed_and_read_only() -> None:
    rows = some().copy_ticks_from("EURUSD", T0, 100, -1)
    assert (rows.dtype.itemsize, rows.dtype.names) == (60, ("time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real"))
    with pytest.raises(ValueError, match="read-only"):
        rows["bid"] = 0.0


def test_the_mask_chooses_ticks_that_change_prices_or_bring_trades() -> None:
    frame = ticks([(0, 1.1, 1.2), (100, 1.1, 1.2), (200, 1.1, 1.3)]).assign(Last=[0.0, 1.15, 1.15], Volume=[0.0, 3.0, 3.0])
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}))
    made.initialize()
    made.clock.sleep(0.15)
    chosen = {flags: [row[0] for row in seen(made.copy_ticks_from("EURUSD", T0, 9, flags))] for flags in (-1, 1, 2)}
    assert chosen == {-1: [0, 100, 200], 1: [0, 200], 2: [100]}
    (trade,) = made.copy_ticks_from("EURUSD", T0, 9, made.COPY_TICKS_TRADE)
    assert (trade["last"], trade["volume"], trade["volume_real"], trade["flags"]) == (1.15, 3, 3.0, 24)


# -- several symbols


def test_ticks_and_bars_of_other_timeframes_go_in_step() -> None:
    minutes = bars([(1.0 + n, 1.5 + n, 0.5 + n, 1.2 + n) for n in range(120)], step=60)
    hours = bars([(2.0, 2.5, 1.5, 2.2)] * 2)
    came = ticks([(30_000, 3.0, 3.1), (3_600_000, 3.2, 3.3), (3_660_500, 3.4, 3.5)])
    prices = {name: (symbol(name), frame) for name, frame in (("EURUSD", minutes), ("GBPUSD", hours), ("AUDUSD", came))}
    made = SimulatedTerminal(ReplayMarket(prices))
    made.initialize()
    bids = []
    for seconds in (30, 3570, 0.5, 60):
        made.clock.sleep(seconds)
        bids.append([(tick := made.symbol_info_tick(name)) and tick.bid for name in prices])
    assert bids == [[1.2, 2.2, 3.0], [61.0, 2.0, 3.2], [61.2, 2.2, 3.2], [62.2, 2.2, 3.4]]
    assert [len(made.copy_rates_from_pos(name, H1, 0, 9)) for name in prices] == [2, 2, 2]
    assert made.copy_rates_from_pos("GBPUSD", M1, 0, 9) is None
    assert made.last_error() == (-1, "Terminal: Call failed")


def test_no_ticks_are_said_in_a_sentence() -> None:
    with pytest.raises(BadInput, match="EURUSD: no ticks to replay"):
        ReplayMarket({"EURUSD": (symbol(), ticks([(0, 1.0, 1.0)]).iloc[:0])})


def test_other_ticks_make_another_market() -> None:
    prints = {ReplayMarket({"EURUSD": (symbol(), ticks(rows))}).fingerprint() for rows in (path(1.1, 1.2), path(1.1, 1.3), path(1.1, 1.2))}
    assert len(prints) == 2


# -- real ticks


@real_prices
def test_the_bars_of_half_a_month_of_real_ticks_are_those_of_the_same_broker() -> None:
    pytest.importorskip("pyarrow")
    spec = SymbolSpec("EURUSD", 5, currency_base="EUR", currency_margin="EUR")
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (spec, read_ticks(REAL_PRICES / "EURUSD_ticks_201405_oanda.parquet"))}))
    made.initialize()
    expected = read_prices(REAL_PRICES / "EURUSD_M1_201405_oanda_from_ticks.parquet")
    with pytest.raises(MarketEnded):
        made.clock.sleep(30 * 86_400)
    rates = made.copy_rates_from_pos("EURUSD", M1, 0, 99_999)
    assert rates["time"].tolist() == expected.index.to_numpy().astype("datetime64[s]").astype("int64").tolist()
    for ours, theirs in (
        ("open", "Open"),
        ("high", "High"),
        ("low", "Low"),
        ("close", "Close"),
        ("tick_volume", "Volume"),
        ("spread", "Spread"),
    ):
        assert np.array_equal(rates[ours], expected[theirs].to_numpy()), ours


@real_prices
def test_the_forming_bar_of_real_ticks_is_what_its_ticks_say() -> None:
    pytest.importorskip("pyarrow")
    frame = read_ticks(REAL_PRICES / "USDJPY_ticks_20130101_truefx.parquet")
    spec = SymbolSpec("USDJPY", 3, currency_base="USD", currency_profit="JPY", currency_margin="USD")
    made = SimulatedTerminal(ReplayMarket({"USDJPY": (spec, frame)}))
    made.initialize()
    while made.clock.progress[0] < 900:
        made.clock.sleep(7)
        for timeframe in (M1, H1, D1):
            row = made.copy_rates_from_pos("USDJPY", timeframe, 0, 1)[0]
            known = made.copy_ticks_from("USDJPY", int(row["time"]), 10_000, -1)
            bids = known["bid"]
            assert (row["open"], row["high"], row["low"], row["close"]) == (bids[0], bids.max(), bids.min(), bids[-1])
            assert row["tick_volume"] == len(known)


def test_a_flat_bar_replay_shows_its_ticks_by_the_same_masks() -> None:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(flat(1.1)))}))
    made.initialize()
    assert [len(made.copy_ticks_from("EURUSD", 0, 9, flags)) for flags in (-1, 1, 2)] == [1, 1, 0]


def test_levels_can_be_set_between_two_ticks() -> None:
    made = tick_terminal(path(1.1, 1.1, 1.08))
    opened = done(made.order_send(deal()))
    made.clock.sleep(1)
    done(made.order_send(protect(opened.order, sl=1.09)))
    run_out(made)
    assert exits(made) == [(T0 + 2, 1.08, "[sl 1.09000]")]
