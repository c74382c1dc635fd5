"""Bars that are revised, late, missing or impossible: each is an event on record, and none is decided twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backtesting import Strategy

from Backtest.simulated_terminal import SimulatedTerminal
from Live.live_trader import LiveTrader
from tests.live_runs import Ran, eurusd, loaded, run_live

BARS = eurusd(60, 1000)
EPOCHS = [int(time.timestamp()) for time in BARS.index]


class EveryFive(Strategy):
    """Buys on every tenth bar and closes five bars later."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar % 10 == 0:
            self.buy(size=1000)
        elif bar % 10 == 5:
            self.position.close()


class Altered(SimulatedTerminal):
    """Serves other bars than it has, where a test says so."""

    alter: Callable[[Any], Any] = staticmethod(lambda rates: rates)

    def copy_rates_from_pos(self, *args: Any) -> Any:
        rates = super().copy_rates_from_pos(*args)
        return rates if rates is None else self.alter(rates.copy())


def run(folder: Path, changes: dict[int, Callable[[Any], Any]], **more: Any) -> Ran:
    """Trade; `changes` are what is done to served bars once so many bars are decided."""

    def on_turn(trader: LiveTrader) -> None:
        if trader.bars in changes:
            trader.terminal.functions.alter = changes[trader.bars]

    return run_live(folder, loaded(EveryFive), more.pop("prices", BARS), made_by=Altered, on_turn=more.pop("on_turn", on_turn), **more)


def with_close(place: int, added: float) -> Callable[[Any], Any]:
    def alter(rates: Any) -> Any:
        at = rates["time"] == EPOCHS[place]
        rates["close"][at] += added
        rates["high"][at] = np.maximum(rates["high"][at], rates["close"][at])
        return rates

    return alter


def without(place: int) -> Callable[[Any], Any]:
    return lambda rates: rates[rates["time"] != EPOCHS[place]]


def events(ran: Ran, kind: str) -> list[dict[str, Any]]:
    return [row | {"details": json.loads(row["details"])} for row in ran.rows("SELECT * FROM events WHERE event_type = ?", kind)]


def untouched(rates: Any) -> Any:
    return rates


def test_a_revised_bar_is_one_event_with_both_versions_and_no_second_decision(tmp_path: Path) -> None:
    ran = run(tmp_path, {30: with_close(29, 0.001)})
    [event] = events(ran, "DATA_REVISED")
    before, after = event["details"]["before"], event["details"]["after"]
    assert before["epoch"] == after["epoch"] == EPOCHS[29]
    assert (before["close"], after["close"]) == (BARS["Close"].iloc[29], BARS["Close"].iloc[29] + 0.001)
    assert "was revised: " in event["message"]
    assert ran.rows("SELECT close FROM bars WHERE bar_epoch = ?", EPOCHS[29]) == [{"close": BARS["Close"].iloc[29]}]
    assert ran.count("history", f"bar_epoch = {EPOCHS[29]}") == 1
    assert ran.count("bars") == 59
    assert ran.count("orders", "kind = 'ENTRY'") == 5


def test_a_bar_that_is_revised_back_was_revised_twice(tmp_path: Path) -> None:
    ran = run(tmp_path, {30: with_close(29, 0.001), 31: untouched})
    assert [event["details"]["after"]["close"] for event in events(ran, "DATA_REVISED")] == [
        BARS["Close"].iloc[29] + 0.001,
        BARS["Close"].iloc[29],
    ]


def test_a_bar_that_comes_after_newer_ones_is_not_decided(tmp_path: Path) -> None:
    ran = run(tmp_path, {20: without(22), 24: untouched})
    [event] = events(ran, "BAR_LATE")
    assert event["details"]["bar"]["epoch"] == EPOCHS[22]
    assert ran.count("bars", f"bar_epoch = {EPOCHS[22]}") == 0
    assert ran.count("history", f"bar_epoch = {EPOCHS[22]}") == 1
    assert ran.count("bars") == 58


def test_a_gap_in_the_hours_of_a_market_is_an_event(tmp_path: Path) -> None:
    prices = eurusd(260, 1000)
    hidden = int(prices.index[240].timestamp())
    ran = run(tmp_path, {200: lambda rates: rates[rates["time"] != hidden]}, prices=prices)
    [event] = events(ran, "BARS_MISSING")
    assert (event["details"]["before"], event["details"]["after"]) == (hidden - 3600, hidden + 3600)


@pytest.mark.parametrize("seconds", [3_600, -3_600])
def test_a_broker_that_moves_its_clock_gets_no_second_decision_on_a_bar(tmp_path: Path, seconds: int) -> None:
    hourly = eurusd(240, 1000)
    how = {"Open": "first", "High": "max", "Low": "min", "Close": "last", "Volume": "sum"}
    prices = hourly.resample("4h").agg(how).dropna()

    def shifted(rates: Any) -> Any:
        rates["time"] += seconds
        return rates

    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    undisturbed = run(tmp_path / "before", {}, prices=prices, given={"timeframe": "H4"})
    ran = run(tmp_path / "after", {30: shifted}, prices=prices, given={"timeframe": "H4"})
    assert [event["details"]["bar"]["epoch"] % 14_400 for event in events(ran, "SKIPPED_CALENDAR")] == [3_600] * (seconds > 0)
    assert (ran.count("bars"), ran.count("orders")) == (undisturbed.count("bars"), undisturbed.count("orders"))


def doubled(rates: Any) -> Any:
    return np.concatenate([rates[:1], rates])


def turned(rates: Any) -> Any:
    return rates[::-1]


def with_nan(rates: Any) -> Any:
    rates["close"][0] = np.nan
    return rates


def crossed(rates: Any) -> Any:
    rates["high"][-2] = rates["low"][-2] - 0.01
    return rates


def negative(rates: Any) -> Any:
    rates["low"][0] = -1.0
    return rates


@pytest.mark.parametrize("wrong", [doubled, turned, with_nan, crossed, negative])
def test_bars_that_cannot_be_true_are_refused_for_that_turn_and_decided_once_they_are_sound(
    tmp_path: Path, wrong: Callable[[Any], Any]
) -> None:
    turns = iter(range(1_000_000))

    def on_turn(trader: LiveTrader) -> None:
        terminal = trader.terminal.functions
        if trader.bars == 20 and terminal.alter is not wrong:
            terminal.alter, terminal.until = wrong, next(turns) + 3
        elif terminal.alter is wrong and next(turns) >= terminal.until:
            terminal.alter = untouched

    ran = run(tmp_path, {}, on_turn=on_turn)
    assert len(events(ran, "BARS_REFUSED")) >= 1
    assert "nothing is decided on bars that cannot be true" in events(ran, "BARS_REFUSED")[0]["message"]
    assert ran.count("bars") == 59
    assert events(ran, "DATA_REVISED") == []


def test_bars_that_stay_impossible_are_told_once_and_nothing_is_decided(tmp_path: Path) -> None:
    ran = run(tmp_path, {20: with_nan_at(19)})
    assert len(events(ran, "BARS_REFUSED")) == 1
    assert ran.count("bars") == 20


def test_a_history_that_cannot_be_true_is_told_once_and_nothing_is_decided(tmp_path: Path) -> None:
    def late(market: Any, *args: Any, **options: Any) -> Altered:
        market.first = market.events.first_from(EPOCHS[30] * 1000)
        return starting_with(with_nan_at(0))(market, *args, **options)

    ran = run_live(tmp_path, loaded(EveryFive), BARS, made_by=late)
    assert len(events(ran, "BARS_REFUSED")) == 1
    assert ran.count("bars") == ran.count("warm_ups") == 0


def with_nan_at(place: int) -> Callable[[Any], Any]:
    def alter(rates: Any) -> Any:
        rates["close"][rates["time"] == EPOCHS[place]] = np.nan
        return rates

    return alter


def stopping_at(bar: int) -> Callable[[LiveTrader], None]:
    def look(trader: LiveTrader) -> None:
        if trader.bars >= bar:
            trader._on_signal(15, None)

    return look


def starting_with(alter: Callable[[Any], Any]) -> Callable[..., Altered]:
    def made(*args: Any, **options: Any) -> Altered:
        terminal = Altered(*args, **options)
        terminal.alter = alter
        return terminal

    return made


def test_what_was_revised_while_the_trader_was_away_is_told_once(tmp_path: Path) -> None:
    run(tmp_path, {}, on_turn=stopping_at(20))
    again = starting_with(with_close(10, 0.002))
    for bars in (10, 100):
        ran = run_live(tmp_path, loaded(EveryFive), BARS, made_by=again, on_turn=stopping_at(bars))
    [event] = events(ran, "DATA_REVISED")
    assert event["details"]["after"]["epoch"] == EPOCHS[10]
    assert ran.count("bars") == 59
    windows = ran.rows("SELECT run_id, bars, first_epoch, last_epoch, history_id FROM warm_ups ORDER BY id")
    assert [row["bars"] for row in windows] == [windows[0]["bars"], 20 + windows[0]["bars"], 30 + windows[0]["bars"]]
    assert windows[1]["history_id"] == windows[0]["history_id"] + 1


def test_the_history_of_the_first_run_is_on_record_bar_by_bar(tmp_path: Path) -> None:
    def late(market: Any, *args: Any, **options: Any) -> SimulatedTerminal:
        market.first = market.events.first_from(EPOCHS[30] * 1000)
        return SimulatedTerminal(market, *args, **options)

    ran = run_live(tmp_path, loaded(EveryFive), BARS, made_by=late)
    seen = ran.rows("SELECT bar_epoch, open, high, low, close FROM history ORDER BY bar_epoch")
    decided = ran.rows("SELECT min(bar_epoch) AS first FROM bars")[0]["first"]
    assert [row["bar_epoch"] for row in seen] == [epoch for epoch in EPOCHS if epoch < decided]
    assert [row["close"] for row in seen] == BARS["Close"].iloc[: len(seen)].tolist()
    [warm_up] = ran.rows("SELECT bars, first_epoch, last_epoch, spec ->> 'contract_size' AS contract FROM warm_ups")
    assert warm_up == {"bars": len(seen), "first_epoch": EPOCHS[0], "last_epoch": seen[-1]["bar_epoch"], "contract": 100_000.0}


def test_a_bar_that_is_served_again_long_after_its_decision_is_compared_with_the_record(tmp_path: Path) -> None:
    bars = eurusd(400, 1000)
    epoch = int(bars.index[100].timestamp())

    def everything_again(rates: Any) -> Any:
        """What a terminal serves that has just loaded its history anew: one old bar is revised, and an older one is not."""
        at = rates["time"] == epoch
        rates["high"][at] += 0.01
        return rates

    kept: list[int] = []

    def on_turn(trader: LiveTrader) -> None:
        kept.append(len(trader.traders["EURUSD"]._watch._seen))
        if trader.bars == 300:
            trader.terminal.functions.alter = everything_again
            trader.traders["EURUSD"]._watch.compare(trader.connector.closed_bars("EURUSD", trader.timeframe, 5_000)[0])

    ran = run(tmp_path, {}, prices=bars, on_turn=on_turn)
    [event] = events(ran, "DATA_REVISED")
    assert event["details"]["before"]["epoch"] == epoch
    assert not events(ran, "BAR_LATE")
    assert len(ran.rows("SELECT * FROM bars")) == len(bars) - 1
    assert max(kept[:300]) <= 130
