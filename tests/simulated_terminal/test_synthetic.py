"""What an unknown program finds that asks for nothing special: many symbols, fresh quotes, years of history."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

import Backtest.simulated_terminal as mt5
from Backtest.simulated_terminal.catalogue import catalogue
from Backtest.simulated_terminal.in_use import default_terminal
from Backtest.simulated_terminal.running_market import IN_THE_BOX
from Backtest.simulated_terminal.synthetic import calendar, can_be_made, synthetic_prices
from Backtest.simulated_terminal.terminal import SimulatedTerminal

END = 1_704_000_000  # 2023-12-31
WEEK = 7 * 86_400


@pytest.fixture(scope="module")
def terminal() -> Iterator[SimulatedTerminal]:
    made = default_terminal()
    made.initialize()
    yield made
    made.close()


def test_the_default_terminal_knows_what_programs_ask_for(terminal: SimulatedTerminal) -> None:
    every, dollars = (terminal.symbols_get(group) or () for group in ("", "*USD*,!*EUR*"))
    assert {each.name for each in every} == set(IN_THE_BOX)
    assert {each.name for each in dollars} == {name for name in IN_THE_BOX if "USD" in name and "EUR" not in name}
    now = terminal.symbol_info_tick("EURUSD").time
    for name in IN_THE_BOX:
        info, tick = terminal.symbol_info(name), terminal.symbol_info_tick(name)
        assert now - 60 <= tick.time <= now
        assert info.visible
        assert tick.ask - tick.bid == pytest.approx(info.spread * info.point)
        assert "synthetic" in info.description
        assert ("2017" in info.description) == (name == "EURUSD")


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY", "XAUUSD", "US500"])
def test_the_documentations_order_opens_and_closes_a_position_and_leaves_a_profit(terminal: SimulatedTerminal, name: str) -> None:
    tick, lots = terminal.symbol_info_tick(name), 0.1
    request = {"action": mt5.TRADE_ACTION_DEAL, "symbol": name, "volume": lots, "type": mt5.ORDER_TYPE_BUY, "price": tick.ask}
    usual = {"deviation": 20, "magic": 234000, "type_time": mt5.ORDER_TIME_GTC, "type_filling": mt5.ORDER_FILLING_RETURN}
    opened = terminal.order_send({**request, **usual, "comment": "python script open"})
    assert opened.retcode == mt5.TRADE_RETCODE_DONE
    [position] = terminal.positions_get(ticket=opened.order)
    back = {"type": mt5.ORDER_TYPE_SELL, "position": position.ticket, "price": terminal.symbol_info_tick(name).bid}
    closed = terminal.order_send({**request, **usual, **back, "comment": "python script close"})
    assert closed.retcode == mt5.TRADE_RETCODE_DONE
    assert terminal.history_deals_get(position=opened.order)[-1].profit < 0  # the spread


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY", "AUDUSD"])
def test_the_days_of_the_documentations_examples_have_prices(terminal: SimulatedTerminal, name: str) -> None:
    since, until = datetime(2020, 1, 28, tzinfo=UTC), datetime(2020, 1, 29, tzinfo=UTC)
    assert len(terminal.copy_rates_from(name, mt5.TIMEFRAME_H4, since, 10)) == 10
    assert len(terminal.copy_rates_range(name, mt5.TIMEFRAME_H1, since, until)) == 25
    assert len(terminal.copy_rates_range(name, mt5.TIMEFRAME_M5, since, until)) > 0
    assert len(terminal.copy_ticks_from(name, since, 10, mt5.COPY_TICKS_ALL)) == 10
    assert len(terminal.copy_ticks_range(name, since, until, mt5.COPY_TICKS_INFO)) > 20


def test_the_walk_goes_on_where_recorded_prices_begin(terminal: SimulatedTerminal) -> None:
    for name in ("EURUSD", "EURGBP"):
        hours = terminal.copy_rates_from_pos(name, mt5.TIMEFRAME_H1, 0, 99_999)
        jumps = np.abs(np.log(hours["open"][1:] / hours["close"][:-1]))
        assert jumps.max() < 0.02


def test_a_cross_is_what_its_two_pairs_make_of_it(terminal: SimulatedTerminal) -> None:
    pairs = ("EURGBP", "EURUSD", "GBPUSD", "EURJPY", "USDJPY")
    eurgbp, eurusd, gbpusd, eurjpy, usdjpy = (terminal.symbol_info_tick(name).bid for name in pairs)
    assert eurgbp == pytest.approx(eurusd / gbpusd, rel=2e-3)  # inside of a minute the recorded price goes its own way
    assert eurjpy == pytest.approx(eurusd * usdjpy, rel=2e-3)


@pytest.mark.parametrize("name", [name for name, spec in catalogue().items() if can_be_made(spec)])
def test_made_up_bars_are_bars_on_the_symbols_grid(name: str) -> None:
    spec = catalogue()[name]
    frame = synthetic_prices(spec, calendar(END, slip=0)[::97], recorded={})
    assert (frame["Low"] > 0).all()
    assert (frame["Low"] <= frame[["Open", "Close"]].min(axis=1)).all()
    assert (frame["High"] >= frame[["Open", "Close"]].max(axis=1)).all()
    steps = frame["Close"] / spec.tick_size
    assert np.allclose(steps, steps.round(), atol=1e-6)


def test_every_symbol_of_the_catalogue_can_be_made_up() -> None:
    assert [name for name, spec in catalogue().items() if not can_be_made(spec)] == []


def test_what_has_been_stays_as_it_was() -> None:
    gold = catalogue()["XAUUSD"]
    now, later = (synthetic_prices(gold, calendar(end, slip=0), recorded={}) for end in (END, END + 5 * WEEK))
    year = slice("2020-01-01", "2020-12-31")
    pd.testing.assert_frame_equal(now.loc[year, ["Open", "Close"]], later.loc[year, ["Open", "Close"]])
