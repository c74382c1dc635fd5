import ast
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting.backtesting import Backtest
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.bars import builtin_prices
from Backtest.strategies import LoadedStrategy, load_strategy

CODES = Path(__file__).resolve().parents[1] / "Backtest" / "codes"
NAMES = ["ema_cross", "rsi_atr", "sma_cross", "volume_breakout", "vwap"]
each_strategy = pytest.mark.parametrize("name", NAMES)


@cache
def loaded(name: str) -> LoadedStrategy:
    return load_strategy(CODES / f"{name}.py")


def run(name: str, prices: pd.DataFrame, **params: Any) -> Any:
    strategy = loaded(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # trades remain open at the end
        return Backtest(prices, strategy.cls, **strategy.backtest).run(**params)


@cache
def on_eurusd(name: str) -> Any:
    return run(name, builtin_prices("EURUSD"))


def indicators(name: str, prices: pd.DataFrame) -> dict[str, bytes]:
    """All values of all indicators, bit by bit."""
    strategy = run(name, prices)._strategy
    return {attribute: np.asarray(value).tobytes() for attribute, value in vars(strategy).items() if hasattr(value, "_opts")}


@cache
def indicators_on_all(name: str) -> dict[str, bytes]:
    return indicators(name, builtin_prices("EURUSD"))


def test_these_are_the_strategies_that_are_shipped() -> None:
    assert sorted(path.stem for path in CODES.glob("*.py")) == NAMES


@each_strategy
def test_a_shipped_strategy_is_a_plain_backtesting_file(name: str) -> None:
    nodes = list(ast.walk(ast.parse((CODES / f"{name}.py").read_text("utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported <= {"backtesting", "backtesting.lib", "numpy", "pandas"}


@each_strategy
def test_a_shipped_strategy_is_backtested_with_a_commission_and_without_a_spread(name: str) -> None:
    backtest = loaded(name).backtest
    assert (backtest["cash"], backtest["spread"], backtest["commission"]) == (10_000, 0.0, 0.00002)
    assert {backtest["trade_on_close"], backtest["hedging"]} == {False}


@each_strategy
def test_a_shipped_strategy_trades_the_shipped_hours_on_both_sides_without_ruin(name: str) -> None:
    stats = on_eurusd(name)
    sides = np.sign(stats._trades["Size"])
    assert min((sides > 0).sum(), (sides < 0).sum()) >= 30
    assert stats["Max. Drawdown [%]"] > -15
    assert stats["Commissions [$]"] > 0


@each_strategy
def test_a_shipped_strategy_holds_one_position_at_a_time(name: str) -> None:
    trades = on_eurusd(name)._trades.sort_values("EntryBar")
    assert (trades["EntryBar"].to_numpy()[1:] >= trades["ExitBar"].to_numpy()[:-1]).all()


@pytest.mark.every(5)
@each_strategy
@settings(max_examples=25)
@given(length=st.integers(2, 5_000))
def test_an_indicator_never_knows_more_than_its_bars(name: str, length: int) -> None:
    prefix = indicators(name, builtin_prices("EURUSD").iloc[:length])
    for attribute, values in indicators_on_all(name).items():
        assert values.startswith(prefix[attribute]), attribute


@each_strategy
def test_the_trades_of_a_shorter_history_are_the_first_trades_of_a_longer_one(name: str) -> None:
    columns = ["Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice"]
    shorter = run(name, builtin_prices("EURUSD").iloc[:2_500])._trades[columns]
    assert shorter.equals(on_eurusd(name)._trades[columns].iloc[: len(shorter)].sort_index().reset_index(drop=True))


@each_strategy
@pytest.mark.parametrize("length", [1, 2, 3, 15])
def test_a_shipped_strategy_bears_a_very_short_history(name: str, length: int) -> None:
    assert run(name, builtin_prices("EURUSD").iloc[:length])["# Trades"] <= 1


@each_strategy
def test_a_shipped_strategy_bears_prices_that_stand_still_without_volume(name: str) -> None:
    index = pd.date_range("2017-04-19", periods=300, freq="h")
    still = pd.DataFrame(1.1, columns=["Open", "High", "Low", "Close", "Volume"], index=index).assign(Volume=0.0)
    assert run(name, still)["# Trades"] == 0


def test_the_sma_crosses_parameters_are_its_two_lengths() -> None:
    assert run("sma_cross", builtin_prices("EURUSD"), n1=40, n2=80)["# Trades"] < on_eurusd("sma_cross")["# Trades"] / 2


def test_the_vwap_strategy_is_flat_overnight() -> None:
    trades = on_eurusd("vwap")._trades
    assert (trades["EntryTime"].dt.date == trades["ExitTime"].dt.date).all()


def test_the_vwap_begins_anew_each_day_and_is_the_typical_price_of_the_first_bar() -> None:
    strategy, prices = on_eurusd("vwap")._strategy, builtin_prices("EURUSD")
    day = prices.index.to_series().dt.normalize()
    first = (day != day.shift()).to_numpy()
    typical = (prices["High"] + prices["Low"] + prices["Close"]) / 3
    np.testing.assert_allclose(np.asarray(strategy.vwap)[first], typical[first])


def test_every_rsi_entry_has_a_stop_loss_and_a_take_profit_in_the_ratio_of_its_atrs() -> None:
    trades = on_eurusd("rsi_atr")._trades
    assert trades["SL"].notna().all()
    assert trades["TP"].notna().all()
    assert (np.sign(trades["TP"] - trades["SL"]) == np.sign(trades["Size"])).all()
    distance = (trades["TP"] - trades["SL"]).abs()
    atrs = distance / (loaded("rsi_atr").cls.stop_atrs + loaded("rsi_atr").cls.target_atrs)  # type: ignore[attr-defined]
    assert atrs.between(0.0002, 0.01).all()


def test_the_ema_cross_enters_only_in_the_direction_of_its_trend() -> None:
    stats, prices = on_eurusd("ema_cross"), builtin_prices("EURUSD")
    decided = stats._trades["EntryBar"] - 1
    above = prices["Close"].to_numpy()[decided] > np.asarray(stats._strategy.ema_trend)[decided]
    assert (above == (stats._trades["Size"] > 0)).all()


def test_the_breakout_enters_only_on_unusual_volume() -> None:
    stats, prices = on_eurusd("volume_breakout"), builtin_prices("EURUSD")
    decided = stats._trades["EntryBar"] - 1
    assert (prices["Volume"].to_numpy()[decided] > 1.5 * np.asarray(stats._strategy.usual_volume)[decided]).all()


def test_rsi_atr_leaves_out_levels_below_zero_after_a_split_that_the_prices_keep() -> None:
    days = pd.date_range("2020-01-01", periods=120, freq="D")
    wave = [10 * math.sin(day / 4) for day in range(120)]
    close = pd.Series([400 + 2 * day if day < 60 else 40 + wave[day] for day in range(120)], index=days)
    bars = pd.DataFrame({"Open": close.shift().fillna(400), "Close": close, "Volume": 1.0})
    bars["High"], bars["Low"] = bars[["Open", "Close"]].max(axis=1), bars[["Open", "Close"]].min(axis=1)
    rsi_atr = loaded("rsi_atr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(Backtest(bars, rsi_atr.cls, **rsi_atr.backtest).run()["_trades"]) > 0
