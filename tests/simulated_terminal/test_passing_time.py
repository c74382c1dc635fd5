"""A market whose time passes by itself: for programs that call time.sleep, not our clock."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import MarketEnded, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.running_market import Wanted, open_terminal
from tests.simulated_terminal.terminals import ALL, H1, T0, bars, deal, done, exits, flat, symbol

RISING = [
    (1.1, 1.105, 1.095, 1.102),
    (1.11, 1.115, 1.105, 1.112),
    (1.12, 1.125, 1.115, 1.122),
    (1.13, 1.135, 1.125, 1.132),
    (1.14, 1.145, 1.135, 1.142),
]


class Stopwatch:
    """Real seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def passing(real: Stopwatch, *, speed: float = 1.0, state_file: Path | None = None) -> SimulatedTerminal:
    market = ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1)
    made = SimulatedTerminal(market, speed=speed, monotonic=real, state_file=state_file)
    assert made.initialize()
    return made


def test_the_market_is_where_the_real_seconds_have_brought_it_when_it_is_asked() -> None:
    real = Stopwatch()
    made = passing(real)
    assert made.symbol_info_tick("EURUSD").bid == 1.1
    real.seconds += 0.4
    assert made.symbol_info_tick("EURUSD").bid == 1.1
    real.seconds += 0.1
    assert made.symbol_info_tick("EURUSD").bid == 1.102
    real.seconds += 7_200
    assert made.symbol_info_tick("EURUSD")[:2] == (T0 + 7_200, 1.122)


def test_at_a_speed_it_is_so_many_times_further() -> None:
    real = Stopwatch()
    made = passing(real, speed=3_600)
    real.seconds += 2
    assert made.symbol_info_tick("EURUSD").time == T0 + 7_200


def test_all_that_happened_since_the_last_call_has_happened_in_its_order() -> None:
    real = Stopwatch()
    made = passing(real)
    opened = done(made.order_send(deal(sl=1.0, tp=1.12)))
    done(made.order_send(deal(sl=1.099)))
    real.seconds += 4 * 3_600
    assert made.positions_total() == 0
    assert exits(made) == [(T0, 1.099, "[sl 1.09900]"), (T0 + 7_200, 1.12, "[tp 1.12000]")]
    assert opened.order in {each.position_id for each in made.history_deals_get(*ALL)}


def test_after_the_end_of_the_prices_it_stays_connected_with_the_last_quote_and_a_closed_market() -> None:
    real = Stopwatch()
    made = passing(real)
    real.seconds += 50 * 3_600
    assert made.terminal_info().connected is True
    assert made.symbol_info_tick("EURUSD")[:2] == (T0 + 4 * 3_600, 1.142)
    assert made.order_check(deal()).retcode == 0
    assert made.order_send(deal()).retcode == made.TRADE_RETCODE_MARKET_CLOSED
    assert made.copy_rates_from_pos("EURUSD", 16385, 0, 1)["time"].tolist() == [T0 + 4 * 3_600]
    assert made.clock.now() == datetime(2024, 1, 3, 2, tzinfo=UTC)


def test_where_only_sleeping_moves_the_market_its_end_is_still_said() -> None:
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1))
    made.initialize()
    with pytest.raises(MarketEnded):
        made.clock.sleep(50 * 3_600)
    assert made.order_send(deal()).retcode == made.TRADE_RETCODE_MARKET_CLOSED


def test_a_weekend_has_the_last_quote_a_check_that_passes_and_a_refusal() -> None:
    friday, monday = bars(flat(1.1, 2), first=T0 + 4 * 86_400), bars(flat(1.2, 2), first=T0 + 7 * 86_400)
    real = Stopwatch()
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), pd.concat([friday, monday]))}, H1), speed=1, monotonic=real)
    made.initialize()
    real.seconds += 86_400
    assert made.symbol_info_tick("EURUSD").time == T0 + 4 * 86_400 + 3_600
    assert made.copy_rates_from_pos("EURUSD", 16385, 0, 1)["time"].tolist() == [T0 + 4 * 86_400 + 3_600]
    assert len(made.copy_rates_range("EURUSD", 16385, T0 + 5 * 86_400, T0 + 6 * 86_400)) == 0
    assert made.last_error() == (1, "Success")
    assert (made.order_check(deal()).retcode, made.order_send(deal()).retcode) == (0, made.TRADE_RETCODE_MARKET_CLOSED)


def test_the_clock_never_goes_back() -> None:
    real = Stopwatch()
    made = passing(real)
    real.seconds += 10
    made.account_info()
    real.seconds -= 5
    made.account_info()
    assert made.clock.now() == datetime(2024, 1, 1, 0, 0, 10, tzinfo=UTC)


def test_an_account_on_file_goes_on_where_it_was(tmp_path: Path) -> None:
    real = Stopwatch()
    made = passing(real, state_file=tmp_path / "account.jsonl")
    done(made.order_send(deal(sl=1.0)))
    real.seconds += 3_700
    made.account_info()
    made.close()
    again = passing(Stopwatch(), state_file=tmp_path / "account.jsonl")
    assert again.clock.now() == datetime(2024, 1, 1, 1, 1, 40, tzinfo=UTC)
    assert again.positions_total() == 1
    again.close()


def test_such_a_clock_sleeps_where_it_has_something_to_wait_with() -> None:
    real = Stopwatch()

    def real_sleep(seconds: float) -> None:
        real.seconds += seconds

    market = ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1)
    made = SimulatedTerminal(market, speed=3_600, monotonic=real, real_sleep=real_sleep)
    made.clock.sleep(1_800)
    assert made.clock.now() == datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
    made.clock.sleep(50 * 3_600)  # beyond the prices, where it goes on
    assert made.clock.now() == datetime(2024, 1, 3, 2, 30, tzinfo=UTC)
    with pytest.raises(BadInput, match="cannot be slept away"):
        passing(real).clock.sleep(1)


def test_time_that_passes_by_itself_has_a_speed() -> None:
    with pytest.raises(BadInput, match="speed inf needs"):
        SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), bars(RISING))}, H1), monotonic=Stopwatch())


@pytest.mark.parametrize("day", range(7))
def test_a_terminal_that_is_always_open_can_be_traded_on_any_day_with_quotes_of_now(day: int) -> None:
    now, real = datetime(2031, 5, 5 + day, 13, 7, 30, tzinfo=UTC).timestamp(), Stopwatch()
    made = open_terminal(Wanted(symbols=("EURUSD",), always_open=True), now, real)
    made.initialize()
    tick = made.symbol_info_tick("EURUSD")
    assert 0 <= now + 3 * 3_600 - tick.time < 60  # New York's summer: the server's clock is three hours ahead
    done(made.order_send(deal()))
    real.seconds += 600
    assert made.symbol_info_tick("EURUSD").time > tick.time
    assert made.copy_rates_from_pos("EURUSD", 1, 0, 20_000)["time"][-1] >= tick.time + 540
