"""What every terminal says about symbols, bars and ticks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.kinds import Bench
from tests.contract.trading import OK, error, info, now

H1 = 16385
RATES = ["time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume"]
TICKS = ["time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real"]


def column(array: Any, name: str) -> list[Any]:
    return list(array[name].tolist())


def test_all_symbols_are_counted(bench: Bench) -> None:
    assert bench.mt5.symbols_total() == len(bench.mt5.symbols_get()) > 0


def test_symbols_are_found_by_group(bench: Bench) -> None:
    assert [each.name for each in bench.mt5.symbols_get(bench.symbol)] == [bench.symbol]
    assert bench.symbol in [each.name for each in bench.mt5.symbols_get(group=f"*{bench.symbol[1:]}")]
    assert len(bench.mt5.symbols_get("NO SUCH NAME")) == 0


def test_a_symbol_has_a_grid_of_prices_and_one_of_volumes(bench: Bench) -> None:
    symbol = info(bench)
    assert symbol.name == bench.symbol
    assert symbol.select
    assert symbol.visible
    assert abs(symbol.point - 10**-symbol.digits) < 1e-12
    assert 0 < symbol.volume_step <= symbol.volume_min <= symbol.volume_max
    assert symbol.trade_contract_size > 0
    assert symbol.trade_tick_value > 0
    assert symbol.currency_profit


def test_the_last_tick_has_a_bid_and_an_ask(bench: Bench) -> None:
    tick = bench.mt5.symbol_info_tick(bench.symbol)
    assert 0 < tick.bid <= tick.ask
    assert tick.time == tick.time_msc // 1000
    symbol = info(bench)
    assert 0 < symbol.bid <= symbol.ask


def test_a_symbol_that_does_not_exist_reads_as_documented(bench: Bench) -> None:
    mt5, name = bench.mt5, "NO SUCH NAME"
    for answer, expected in (
        (mt5.symbol_info, (-4, "Terminal: Not found")),
        (mt5.symbol_info_tick, (-4, "Terminal: Not found")),
        (lambda name: mt5.copy_rates_from_pos(name, H1, 0, 1), (-1, "Terminal: Call failed")),
    ):
        assert answer(name) is None
        assert error(bench) == expected
    assert mt5.symbol_select(name, True) is False
    assert len(mt5.positions_get(symbol=name)) == 0


def test_bars_are_an_array_of_the_documented_columns_oldest_first(bench: Bench) -> None:
    bars = bench.mt5.copy_rates_from_pos(bench.symbol, H1, 0, 20)
    assert list(bars.dtype.names) == RATES
    assert len(bars) == 20
    assert bars.dtype.itemsize == 60
    times = column(bars, "time")
    assert times == sorted(set(times))
    for o, high, low, close in zip(*(column(bars, name) for name in ("open", "high", "low", "close")), strict=True):
        assert low <= min(o, close) <= max(o, close) <= high


def test_position_0_is_the_forming_bar(bench: Bench) -> None:
    newest = column(bench.mt5.copy_rates_from_pos(bench.symbol, H1, 0, 3), "time")
    closed = column(bench.mt5.copy_rates_from_pos(bench.symbol, H1, 1, 2), "time")
    assert closed == newest[:2] or closed[0] == newest[1]  # a new bar may have begun in between
    assert newest[-1] <= now(bench).timestamp()


def test_bars_from_a_date_end_with_it_and_a_range_has_both_ends(bench: Bench) -> None:
    times = column(bench.mt5.copy_rates_from_pos(bench.symbol, H1, 5, 10), "time")
    first, last = (datetime.fromtimestamp(each, UTC) for each in (times[0], times[-1]))
    assert column(bench.mt5.copy_rates_from(bench.symbol, H1, last, 10), "time") == times
    assert column(bench.mt5.copy_rates_range(bench.symbol, H1, first, last), "time") == times
    later = column(bench.mt5.copy_rates_range(bench.symbol, H1, first + timedelta(seconds=1), last), "time")
    assert later == times[1:]


def test_too_many_bars_and_an_unknown_timeframe_are_refused(bench: Bench) -> None:
    assert bench.mt5.copy_rates_from_pos(bench.symbol, H1, 0, bench.mt5.terminal_info().maxbars) is None
    assert error(bench) == (-2, "Terminal: Invalid params")
    assert bench.mt5.copy_rates_from_pos(bench.symbol, 32768, 0, 1) is None
    assert error(bench) == (-2, "Terminal: Invalid params")


def test_ticks_go_forward_from_a_date(bench: Bench) -> None:
    since = now(bench) - timedelta(days=5)
    ticks = bench.mt5.copy_ticks_from(bench.symbol, since, 10, -1)
    assert error(bench) == OK
    assert list(ticks.dtype.names) == TICKS
    assert len(ticks) == 10
    times = column(ticks, "time_msc")
    assert times == sorted(times)
    assert times[0] >= since.timestamp() * 1000
    assert all(bid <= ask for bid, ask in zip(column(ticks, "bid"), column(ticks, "ask"), strict=True))


def test_a_window_without_ticks_is_empty_and_no_error(bench: Bench) -> None:
    later = now(bench) + timedelta(days=300)
    ticks = bench.mt5.copy_ticks_range(bench.symbol, later, later + timedelta(days=1), -1)
    assert len(ticks) == 0
    assert error(bench) == OK
