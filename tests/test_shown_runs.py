"""What a run puts on record for the page, from the strategy to the answer: indicators, sizing, the loss at the stop, limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy

from Live.audit_logger.shown import Shown
from Live.dashboard import create_app
from Live.dashboard.story import Step, story
from Live.live_trader import LiveTrader
from tests.dashboard_page import get
from tests.live_runs import Ran, eurusd, loaded, run_live

BARS, STOP_DISTANCE = 60, 0.004


def mean_of(values: Any, n: int) -> Any:
    return pd.Series(values).rolling(n).mean()


def range_of(high: Any, low: Any) -> Any:
    return high - low


class BuysWithAStop(Strategy):
    """Buys once, with a stop loss, and keeps it; shows a line over the prices and one below them."""

    n = 5

    def init(self) -> None:
        self.mean = self.I(mean_of, self.data.Close, self.n, name="mean", overlay=True)
        self.range = self.I(range_of, self.data.High, self.data.Low, name="range", overlay=False)

    def next(self) -> None:
        if len(self.data) == 20:
            self.buy(sl=self.data.Close[-1] - STOP_DISTANCE)


def shown_by(folder: Path, on_turn: Callable[[LiveTrader], None] = lambda _: None, **given: object) -> Ran:
    """A run whose entry is sized by the risk of its stop."""
    return run_live(folder, loaded(BuysWithAStop, cash=10_000), eurusd(BARS), given={"sizing": "risk", **given}, on_turn=on_turn)


def client_of(folder: Path) -> Any:
    return create_app(folder / "audit.db", stop_file=folder / "EMERGENCY_STOP").test_client()


def test_the_chart_has_the_values_that_the_strategy_saw_on_each_bar(tmp_path: Path) -> None:
    ran = shown_by(tmp_path)
    answer = get(client_of(tmp_path), f"/api/v1/chart?bars={2 * BARS}")
    assert [(line["name"], line["overlay"]) for line in answer["lines"]] == [("mean", True), ("range", False)]
    bars = answer["sources"]["bars"]
    assert len(bars["x"]) >= ran.count("bars") > 0
    frame = pd.DataFrame({name: bars[name] for name in ("close", "high", "low")})
    mean = frame["close"].rolling(BuysWithAStop.n).mean()
    known = np.array([value is not None for value in bars["line0"]])
    assert known.sum() >= ran.count("bars") - BuysWithAStop.n
    assert np.array(bars["line0"])[known].astype(float) == pytest.approx(mean[known])
    assert np.array(bars["line1"])[known].astype(float) == pytest.approx((frame["high"] - frame["low"])[known])


def steps_of_the_entry(folder: Path) -> tuple[dict[str, Any], dict[str, Step]]:
    with Shown(folder / "audit.db") as reader:
        rows = reader.order_rows(1)
    assert rows is not None
    return dict(rows.order), {step.title: step for step in story(rows)}


def test_the_story_of_an_order_says_how_its_size_came_about(tmp_path: Path) -> None:
    shown_by(tmp_path, default_risk_pct=2.0)
    order, steps = steps_of_the_entry(tmp_path)
    facts = dict(steps["Sized"].facts)
    assert steps["Sized"].text.startswith("By risk: so many lots that the stop loss costs what DEFAULT_RISK_PCT allows")
    assert (facts["rule"], float(facts["risk pct"])) == ("risk", 2.0)
    assert float(facts["equity"]) == 10_000.0
    assert float(facts["lots"]) == order["volume"]
    loss = float(facts["lots"]) * 100_000 * (order["price"] - order["sl"])
    assert 0.9 * 200 < loss <= 200 + 1e-6


def test_the_loss_at_the_stop_is_what_the_terminal_says_it_is(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def ask(trader: LiveTrader) -> None:
        if trader.state.positions and trader.bars > 30:
            told.append(get(client_of(tmp_path), "/api/v1/limits") | get(client_of(tmp_path), "/api/positions"))

    shown_by(tmp_path, ask)
    (position,) = told[-1]["positions"]
    at_stop = position["volume"] * 100_000 * (position["sl"] - position["entry_price"])
    assert position["profit_at_stop"] == pytest.approx(at_stop, abs=0.01)
    worst = told[-1]["worst"]
    assert (worst["positions"], worst["unprotected"], worst["unknown"]) == (1, 0, 0)
    assert worst["change"] == pytest.approx(position["profit_at_stop"] - position["profit"], abs=0.01)


def test_each_limit_is_told_as_the_trader_measures_it(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def ask(trader: LiveTrader) -> None:
        if trader.state.positions and trader.bars > 30:
            told.append(get(client_of(tmp_path), "/api/v1/limits"))

    shown_by(tmp_path, ask, max_positions=4, max_daily_trades=7, max_position_size=5.0)
    gauges = {row["rule"]: row for row in told[-1]["limits"]}
    positions, lots = gauges["MAX_POSITIONS"], gauges["MAX_POSITION_SIZE"]
    assert (positions["measured"], positions["limit"], positions["left"], positions["used"]) == (1, 4, 3, 25.0)
    assert (lots["symbol"], lots["limit"]) == ("EURUSD", 5.0)
    assert 0 < lots["measured"] == pytest.approx(5.0 - lots["left"])
    assert gauges["MAX_DAILY_TRADES"]["limit"] == 7
