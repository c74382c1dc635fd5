from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES, builtin_prices
from Backtest.decisions import Account, Close, Decision, Enter, OpenTrade, Protect
from Backtest.errors import BadInput
from Backtest.session import StrategyFailed
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, retail_symbol
from Backtest.strategies import load_strategy
from Live.backtesting_bridge import BacktestingBridge, frame_of, opened_by, signal_of, spec_of
from Live.config import PROJECT_ROOT
from Live.errors import Unreachable
from Live.indicators import INDICATORS
from Live.model import BarId, Kind, Magic, Side, Slot, client_order_id
from tests.many_strategies import Averages, Bracketed, LongOrFlat, Reversing
from tests.session_truth import bars_of, recorded

START = pd.Timestamp("2017-06-01")


def terminal_over(prices: dict[str, pd.DataFrame], *, played: int = 400, balance: float = 10_000.0) -> SimulatedTerminal:
    """A usual broker, so many bars after its prices begin."""
    market = ReplayMarket({name: (retail_symbol(name, frame), frame) for name, frame in prices.items()}, timeframe=TIMEFRAMES["H1"])
    terminal = SimulatedTerminal(market, AccountSpec(balance))
    assert terminal.initialize()
    for name in prices:
        terminal.symbol_select(name, True)
    terminal.clock.sleep((EURUSD.index[played] - EURUSD.index[0]).total_seconds())
    return terminal


def yen(frame: pd.DataFrame) -> pd.DataFrame:
    """Prices of a pair whose profits are in yen."""
    scaled = frame[["Open", "High", "Low", "Close"]].mul(100).round(3)
    return scaled.assign(Volume=frame["Volume"])


EURUSD = builtin_prices("EURUSD").iloc[:600]


@pytest.fixture
def terminal() -> Iterator[SimulatedTerminal]:
    made = terminal_over({"EURUSD": EURUSD, "USDJPY": yen(EURUSD)})
    yield made
    made.close()


def bridge_of(terminal: Any, strategy: type[Strategy] = Reversing, **backtest: Any) -> BacktestingBridge:
    return BacktestingBridge(strategy, terminal=terminal, backtest=backtest or {"exclusive_orders": True})


# signals


def test_signals_have_the_columns_of_the_documentation_and_a_row_for_each_closed_bar(terminal: SimulatedTerminal) -> None:
    first, last = EURUSD.index[100].to_pydatetime(), EURUSD.index[200].to_pydatetime()
    signals = bridge_of(terminal).generate_signals("EURUSD", first, last, "1h")
    assert signals.columns.tolist() == ["signal", "confidence", "price", "strategy_id"]
    pd.testing.assert_index_equal(signals.index, EURUSD.index[100:201])
    assert signals["price"].tolist() == EURUSD["Close"].iloc[100:201].tolist()
    assert set(signals["signal"]) == {"BUY", "SELL", "HOLD"}
    assert set(signals["strategy_id"]) == {"Reversing"}
    assert (signals["confidence"] == (signals["signal"] != "HOLD")).all()


@pytest.mark.parametrize("strategy", [Reversing, LongOrFlat, Bracketed])
def test_signals_are_the_decisions_of_the_backtest(terminal: SimulatedTerminal, strategy: type[Strategy]) -> None:
    backtest = {"exclusive_orders": strategy is Reversing}
    frame = EURUSD.iloc[:300]
    signals = bridge_of(terminal, strategy, **backtest).generate_signals("EURUSD", frame.index[0], frame.index[-1], "H1")
    recorder, _ = recorded(strategy, frame, **backtest)
    last = {frame.index[number]: found[-1] for number, found in recorder.decided.items() if found}
    expected = {time: "CLOSE" if row[0] == "close" else "BUY" if row[1] > 0 else "SELL" for time, row in last.items()}
    assert signals["signal"][signals["signal"] != "HOLD"].to_dict() == expected


def test_the_forming_bar_has_no_signal(terminal: SimulatedTerminal) -> None:
    now = terminal.clock.now()
    signals = bridge_of(terminal).generate_signals("EURUSD", now - timedelta(days=5), now + timedelta(days=9), "1h")
    forming = terminal.copy_rates_from_pos("EURUSD", TIMEFRAMES["H1"].mt5, 0, 1)["time"][0]
    assert signals.index[-1] < pd.Timestamp(forming, unit="s")


def test_a_moment_with_a_time_zone_is_that_moment(terminal: SimulatedTerminal) -> None:
    bridge = bridge_of(terminal)
    naive, aware = (datetime(2017, 4, 25, 3, tzinfo=zone) for zone in (None, UTC))
    last = naive + timedelta(days=1)
    pd.testing.assert_frame_equal(
        bridge.generate_signals("EURUSD", naive, last, "1h"), bridge.generate_signals("EURUSD", aware, last, "1h")
    )


def test_a_wanted_indicator_is_a_column(terminal: SimulatedTerminal) -> None:
    wanted = {"RSI": {"timeperiod": 14}, "SMA": {"timeperiod": 5}, "EMA": {}, "ATR": {}, "BOLLINGER": {"timeperiod": 20, "nbdevup": 2}}
    last = EURUSD.index[300]
    signals = bridge_of(terminal).generate_signals("EURUSD", EURUSD.index[100], last, "1h", wanted)
    names = ["RSI_14", "SMA_5", "EMA_30", "ATR_14", "BOLLINGER_UPPER", "BOLLINGER_MIDDLE", "BOLLINGER_LOWER"]
    assert signals.columns.tolist()[4:] == names
    assert not signals[names].isna().any().any()
    assert signals["SMA_5"].iloc[-1] == pytest.approx(EURUSD["Close"].iloc[296:301].mean())
    assert signals["RSI_14"].between(0, 100).all()
    assert (signals["BOLLINGER_UPPER"] >= signals["BOLLINGER_LOWER"]).all()


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [({"MACD": {}}, f"MACD is not known; known are {', '.join(INDICATORS)}"), ({"SMA": {"length": 3}}, "SMA does not take")],
)
def test_an_indicator_that_is_not_known_is_said(terminal: SimulatedTerminal, wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        bridge_of(terminal).generate_signals("EURUSD", EURUSD.index[0], EURUSD.index[50], "1h", wanted)


@given(st.integers(1, 40), st.integers(2, 60))
def test_the_indicators_of_a_price_that_stands_still_are_that_price_and_no_range(period: int, length: int) -> None:
    bars = pd.DataFrame(1.25, index=range(length), columns=["Open", "High", "Low", "Close"])
    for name, values in {name: INDICATORS[name](bars, timeperiod=period) for name in ("SMA", "EMA", "ATR", "BOLLINGER")}.items():
        for column in values.values():
            assert np.allclose(column.dropna(), 0.0 if name == "ATR" else 1.25)


def test_the_range_after_a_gap_reaches_from_the_close_before_it() -> None:
    bars = pd.DataFrame({"High": [10.0, 20.0], "Low": [9.0, 19.0], "Close": [9.5, 19.5]})
    assert INDICATORS["ATR"](bars, timeperiod=1)["ATR_1"].tolist() == [1.0, 10.5]


def test_a_price_that_only_rises_has_an_rsi_of_100() -> None:
    rising = pd.DataFrame({"Close": np.arange(1.0, 40.0)})
    assert set(INDICATORS["RSI"](rising)["RSI_14"].dropna()) == {100.0}


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"timeframe": "7x"}, BadInput, "7x"),
        ({"symbol": "NOSUCH"}, Unreachable, "no answer about NOSUCH"),
        ({"to_ts": datetime(2017, 1, 1)}, BadInput, "from_ts .* is after to_ts"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    terminal: SimulatedTerminal, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    asked = {"symbol": "EURUSD", "from_ts": EURUSD.index[0], "to_ts": EURUSD.index[50], "timeframe": "1h"} | arguments
    with pytest.raises(error, match=sentence):
        bridge_of(terminal).generate_signals(**asked)


def test_what_a_strategy_raises_is_told(terminal: SimulatedTerminal) -> None:
    class Broken(Averages):
        def next(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(StrategyFailed, match=r"Broken\.next\(\) failed"):
        bridge_of(terminal, Broken).generate_signals("EURUSD", EURUSD.index[0], EURUSD.index[50], "1h")


def test_only_a_strategy_can_be_bridged() -> None:
    with pytest.raises(BadInput, match="not a subclass of"):
        BacktestingBridge(dict)  # type: ignore[arg-type]


def test_a_strategys_own_settings_hold_unless_others_are_given() -> None:
    strategy = load_strategy(PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py").cls
    bridge = BacktestingBridge(strategy, backtest={"cash": 7.0}, params={"n1": 3}, strategy_id="mine")
    assert (bridge.backtest["exclusive_orders"], bridge.backtest["commission"], bridge.backtest["cash"]) == (True, 0.00002, 7.0)
    assert (bridge.strategy_id, bridge.params) == ("mine", {"n1": 3})


def test_without_a_terminal_it_is_the_simulated_one() -> None:
    bridge = BacktestingBridge(Reversing)
    assert bridge.position_size(10_000, 1.0, 1.0650, 1.0750, "EURUSD") > 0


# sizes


def test_a_size_loses_the_risk_between_entry_and_stop(terminal: SimulatedTerminal) -> None:
    assert bridge_of(terminal).position_size(10_000, 1.0, 1.0920, 1.0950, "EURUSD") == 0.33  # 300 a lot; 100 may be lost


@settings(max_examples=40)
@given(
    symbol=st.sampled_from(["EURUSD", "USDJPY"]),
    balance=st.floats(100, 1e6),
    risk=st.floats(0.01, 10),
    entry=st.floats(0.9, 1.3),
    distance=st.floats(-0.05, 0.05),
)
def test_the_loss_at_the_stop_by_the_terminals_own_figures_is_within_the_risk(
    symbol: str, balance: float, risk: float, entry: float, distance: float
) -> None:
    terminal = SHARED
    scale = 100 if symbol == "USDJPY" else 1
    entry, stop = round(entry * scale, 3), round((entry + distance) * scale, 3)
    if entry == stop:
        return
    lots = bridge_of(terminal).position_size(balance, risk, stop, entry, symbol)
    assert lots == 0 or 0.01 <= lots <= 500
    lost = -terminal.order_calc_profit(0 if stop < entry else 1, symbol, lots, entry, stop) if lots else 0.0
    cents = 0.01 + 0.005 * lots  # the terminal rounds what one lot makes to the cent
    assert lost <= balance * risk / 100 + cents
    a_step_more = -terminal.order_calc_profit(0 if stop < entry else 1, symbol, lots + 0.01, entry, stop)
    assert lots >= 499.99 or a_step_more > balance * risk / 100 - 2 * cents


SHARED = terminal_over({"EURUSD": EURUSD, "USDJPY": yen(EURUSD)})


def test_a_yen_pair_is_sized_in_the_accounts_currency() -> None:
    yen_lost = 100_000 * (110.0 - 109.0)
    rate = SHARED.symbol_info_tick("USDJPY").bid
    lots = bridge_of(SHARED).position_size(100_000, 1.0, 109.0, 110.0, "USDJPY")
    assert lots == pytest.approx(1_000 / (yen_lost / rate), rel=0.05)
    assert 0.9 < lots < 1.3


@pytest.mark.parametrize(
    ("risk", "stop", "sentence"),
    [(1.0, 1.1, "no risk to size by"), (101.0, 1.0, "want a percentage"), (float("nan"), 1.0, "want a percentage")],
)
def test_a_size_without_a_sensible_risk_is_refused(terminal: SimulatedTerminal, risk: float, stop: float, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        bridge_of(terminal).position_size(10_000, risk, stop, 1.1, "EURUSD")


# requests


def request_of(terminal: SimulatedTerminal, signal: str = "BUY", volume: float = 0.1, **meta: Any) -> dict[str, Any]:
    row = pd.Series({"signal": signal, "confidence": 1.0, "price": 1.07, "strategy_id": "x"})
    return bridge_of(terminal).build_order_request(
        row, volume, {"symbol": "EURUSD", "magic": 123456} | meta, terminal.symbol_info("EURUSD")
    )


@pytest.mark.parametrize("signal", ["BUY", "SELL"])
def test_a_request_is_accepted_by_the_terminal_as_it_is(terminal: SimulatedTerminal, signal: str) -> None:
    request = request_of(terminal, signal, 0.129, comment="a comment that is too long")
    assert request["volume"] == 0.12
    assert request["comment"] == "a comment that i"
    assert terminal.order_check(request).retcode == 0
    assert terminal.order_send(request).retcode == 10009


def test_stops_of_the_meta_are_in_the_request_on_the_price_grid(terminal: SimulatedTerminal) -> None:
    request = request_of(terminal, sl=1.0600049, tp=1.2, deviation=7)
    assert (request["sl"], request["tp"], request["deviation"], request["magic"]) == (1.06, 1.2, 7, 123456)


def test_a_close_names_the_position_and_is_of_the_other_side(terminal: SimulatedTerminal) -> None:
    opened = terminal.order_send(request_of(terminal))
    request = request_of(terminal, "CLOSE", position=opened.order, side="BUY")
    assert (request["position"], request["type"]) == (opened.order, 1)
    assert terminal.order_send(request).retcode == 10009
    assert terminal.positions_get() == ()


def test_a_dict_of_the_symbol_is_as_good_and_may_have_no_quote(terminal: SimulatedTerminal) -> None:
    info = terminal.symbol_info("EURUSD")._asdict()
    row = {"signal": "BUY", "price": 1.07}
    bridge = bridge_of(terminal)
    assert bridge.build_order_request(row, 0.1, {}, info)["price"] == info["ask"]
    without = {name: value for name, value in info.items() if name not in ("bid", "ask")}
    assert bridge.build_order_request(row, 0.1, {}, without)["price"] == 1.07


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"signal": "HOLD"}, "signal 'HOLD' makes no order"),
        ({"signal": "CLOSE"}, "want BUY or SELL, or CLOSE with the position's ticket and side"),
        ({"signal": "CLOSE", "position": 5, "side": "LONG"}, "want BUY or SELL, or CLOSE"),
        ({"volume": 0.001}, "less than the smallest order of EURUSD, 0.01 lots"),
        ({"volume": float("nan")}, "less than the smallest order"),
        ({"symbol": "GBPUSD"}, "meta is about GBPUSD, symbol_info about EURUSD"),
    ],
)
def test_what_makes_no_order_is_said(terminal: SimulatedTerminal, given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        request_of(terminal, **given_)


def test_a_symbol_that_makes_no_sense_is_said(terminal: SimulatedTerminal) -> None:
    info = terminal.symbol_info("EURUSD")._asdict()
    with pytest.raises(BadInput, match="symbol_info cannot be used"):
        spec_of(info | {"volume_step": 0.0})
    with pytest.raises(BadInput, match="symbol_info cannot be used"):
        spec_of({"name": "EURUSD"})


# prechecks


def checked(terminal: SimulatedTerminal, request: dict[str, Any], **account: Any) -> dict[str, Any]:
    return bridge_of(terminal).simulate_precheck(request, terminal.account_info()._asdict() | account)


def test_a_good_request_passes_and_nothing_is_sent(terminal: SimulatedTerminal) -> None:
    assert checked(terminal, request_of(terminal, sl=1.0)) == {"pass": True, "reason": "", "warnings": []}
    assert (terminal.positions_get(), terminal.history_deals_get(0, 2_000_000_000)[1:]) == ((), ())


def test_the_account_may_be_metatraders_own_answer(terminal: SimulatedTerminal) -> None:
    assert bridge_of(terminal).simulate_precheck(request_of(terminal), terminal.account_info())["pass"]


def test_an_order_without_a_stop_or_with_a_large_margin_is_warned_about(terminal: SimulatedTerminal) -> None:
    result = checked(terminal, request_of(terminal), margin_free=200.0)
    assert result["pass"]
    assert result["warnings"] == [
        f"the order binds {margin_of(terminal):,.2f}, more than half of the free margin of 200.00",
        "the order has no stop loss",
    ]


def margin_of(terminal: SimulatedTerminal) -> float:
    request = request_of(terminal)
    return float(terminal.order_calc_margin(request["type"], "EURUSD", request["volume"], request["price"]))


@pytest.mark.parametrize(
    ("changed", "account", "reason"),
    [
        ({}, {"margin_free": 10.0}, "the order needs a margin of"),
        ({"volume": 0.015}, {}, "off the 0.01 lot step"),
        ({"volume": 1}, {}, "volume must be a float, is 1"),
        ({"price": float("nan")}, {}, "price must be finite"),
    ],
)
def test_a_request_that_would_be_refused_does_not_pass(
    terminal: SimulatedTerminal, changed: dict[str, Any], account: dict[str, Any], reason: str
) -> None:
    result = checked(terminal, request_of(terminal) | changed, **account)
    assert not result["pass"]
    assert reason in result["reason"]


def test_a_close_needs_no_margin(terminal: SimulatedTerminal) -> None:
    request = request_of(terminal, "CLOSE", position=5, side="BUY")
    assert checked(terminal, request, margin_free=0.0) == {"pass": True, "reason": "", "warnings": []}


def test_a_request_without_a_symbol_is_told(terminal: SimulatedTerminal) -> None:
    with pytest.raises(Unreachable, match="a request without a symbol"):
        checked(terminal, {"action": 1})


# decisions → intents

SLOT = Slot(1, "Server", "x", Magic(7))
BAR = BarId(SLOT, "EURUSD", "H1", 3600, datetime(2024, 1, 1, tzinfo=UTC))
TIME = pd.Timestamp(0)
LONG, OLDER, SHORT = OpenTrade(1, 1000, 1.1, TIME, tag="l"), OpenTrade(2, 500, 1.1, TIME), OpenTrade(3, -700, 1.1, TIME)


def planned(*decisions: Decision, hedging: bool = False, shown: tuple[OpenTrade, ...] = (LONG, OLDER, SHORT)) -> list[tuple[Any, ...]]:
    bridge = BacktestingBridge(Reversing, backtest={"hedging": hedging})
    plan = bridge.plan(decisions, Account(1.0, shown), BAR)
    assert [decision for decision, _ in plan] == list(decisions)
    intents = [intent for _, needed in plan for intent in needed]
    assert [intent.order_id for intent in intents] == [client_order_id(BAR, intent.kind, intent.leg) for intent in intents]
    return [(intent.kind, intent.leg, intent.side, intent.size, intent.position) for intent in intents]


def test_an_entry_on_a_hedging_backtest_is_one_order() -> None:
    assert planned(Enter(0, -0.5, sl=1.2), hedging=True) == [(Kind.ENTRY, "0", Side.SELL, -0.5, None)]


def test_an_entry_otherwise_first_takes_from_the_opposite_trades_oldest_first() -> None:
    assert planned(Enter(0, -2000)) == [
        (Kind.EXIT, "0.0", Side.SELL, 1000, 1),
        (Kind.EXIT, "0.1", Side.SELL, 500, 2),
        (Kind.ENTRY, "0", Side.SELL, -2000, None),
    ]


def test_what_a_decision_closes_is_not_there_for_an_entry_to_take_from() -> None:
    assert planned(Close(0, 1, 1000, full=True), Close(1, 2, 200, full=False), Enter(2, -2000)) == [
        (Kind.EXIT, "0", Side.SELL, 1000, 1),
        (Kind.PARTIAL, "1", Side.SELL, 200, 2),
        (Kind.EXIT, "2.0", Side.SELL, 500, 2),
        (Kind.ENTRY, "2", Side.SELL, -2000, None),
    ]


def test_an_entry_takes_from_what_an_entry_before_it_in_the_bar_opens() -> None:
    found = planned(Enter(0, 10), Enter(1, 20), Enter(2, -15), Enter(3, 5), shown=())
    assert [leg for _, leg, *_ in found] == ["0", "1", "2.e0", "2.e1", "2", "3.e2", "3"]
    assert [opened_by(leg) for _, leg, *_ in found if "e" in leg] == ["0", "1", "2"]


def test_protection_names_its_position() -> None:
    assert planned(Protect(0, 3, 1.2, None)) == [(Kind.SLTP, "0", Side.SELL, None, 3)]


@pytest.mark.parametrize(
    ("decision", "word"),
    [(Enter(0, 0.5), "BUY"), (Enter(0, -3), "SELL"), (Close(0, 1, 5, full=True), "CLOSE"), (Protect(0, 1, None, None), "PROTECT")],
)
def test_each_decision_has_a_word(decision: Decision, word: str) -> None:
    assert signal_of(decision) == word


def test_bars_as_a_frame_are_the_prices_that_they_came_from() -> None:
    pd.testing.assert_frame_equal(frame_of(bars_of(EURUSD)), EURUSD)
    assert frame_of([]).empty


def test_a_bar_knows_its_time() -> None:
    assert [bar.time for bar in bars_of(EURUSD.iloc[:2])] == EURUSD.index[:2].tolist()
