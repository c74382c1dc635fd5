"""The command that compares a backtest with the same bars traded one by one: equal where they are, loud where they are not."""

import json
import signal
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from Backtest.bars import builtin_prices, timeframe
from Backtest.errors import BadInput
from Backtest.simulated_terminal import ReplayMarket, SimulatedTerminal, parity_account, parity_symbol
from Live.__main__ import main
from Live.config import PROJECT_ROOT
from Live.verify import BacktestFailed, compare

EVERYTHING = """
from backtesting import Strategy

BACKTEST = dict(cash=20_000, commission=(1, 0.0001), hedging=True, margin=0.1)


class Everything(Strategy):
    waits_for = 3

    def init(self):
        self.fast = self.I(lambda close: close.rolling(5).mean(), self.data.Close.s)

    def next(self):
        bar, price = len(self.data), self.data.Close[-1]
        if bar % 7 == 0:
            self.buy(size=0.2, limit=price * 0.999, sl=price * 0.99, tp=price * 1.01, tag=("limit", bar))
        if bar % 11 == 0:
            self.sell(size=1000, stop=price * 0.999, tag="stop")
        if bar % 13 == 0:
            for order in self.orders:
                order.cancel()
        if bar % 17 == 0 and self.trades:
            self.trades[0].close(0.5)
        if bar % 5 == 0:
            for trade in self.trades:
                trade.sl = price * (0.98 if trade.is_long else 1.02)
        if bar % 40 == 0:
            self.position.close()
"""

KNOWS_THE_FUTURE = """
from backtesting import Strategy
from backtesting.lib import crossover


class Prophet(Strategy):
    def init(self):
        self.next_close = self.I(lambda close: close.shift(-1), self.data.Close.s)

    def next(self):
        if self.next_close[-1] > self.data.Close[-1] * 1.0005:
            self.position.close()
            self.buy(size=1000)
        elif self.next_close[-1] < self.data.Close[-1] * 0.9995:
            self.position.close()
"""


def file_of(folder: Path, text: str) -> str:
    file = folder / "strategy.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def certified(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    path = folder / "certificate.json"
    code = main(["verify", *words, "--certificate", str(path)])
    return code, json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Live.config.DEFAULT_ENV_FILE", tmp_path / "no.env")
    monkeypatch.delenv("SYMBOLS", raising=False)


@pytest.mark.long
def test_a_strategy_that_uses_everything_differs_in_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = certified(tmp_path, file_of(tmp_path, EVERYTHING), "--symbol", "EURUSD", "--bars", "400")
    assert code == 0
    assert found["verdict"] == "equal"
    assert found["compared"]["live"] == {**found["compared"]["backtest"], "equity": found["compared"]["live"]["equity"]}
    assert found["compared"]["live"]["orders"] > 100
    assert found["compared"]["live"]["trades"] > 10
    assert "No differences." in capsys.readouterr().out


def test_a_strategy_that_knew_the_future_differs_and_the_first_difference_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = certified(tmp_path, file_of(tmp_path, KNOWS_THE_FUTURE), "--symbol", "EURUSD", "--bars", "300")
    out = capsys.readouterr().out
    assert code == 6
    assert found["verdict"] == "different"
    assert found["differences"] == int(out.split(" differences.")[0].split()[-1])
    assert found["first_differences"][0].startswith("order of 2018-01-")
    assert "the backtest has kind=BUY size=1000, live has none" in out
    assert "Live lookahead" in found["likely_cause"]


def test_the_certificate_names_what_was_compared_with_its_hashes(tmp_path: Path) -> None:
    _, found = certified(tmp_path, str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--symbol", "GOOG", "--bars", "300")
    assert (found["strategy"]["class"], found["data"]["symbol"], found["data"]["timeframe"]) == ("SmaCross", "GOOG", "D1")
    assert len(found["strategy"]["sha256"]) == len(found["data"]["sha256"]) == 64
    assert found["data"]["bars"] == found["compared"]["live"]["bars"] + 1 == 300
    assert found["backtest"]["exclusive_orders"] is True
    assert found["versions"]["backtesting"]


def test_parameters_and_price_files_are_those_of_the_command_line(tmp_path: Path) -> None:
    builtin_prices("EURUSD").iloc[:300].to_csv(tmp_path / "prices.csv")
    words = [str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--data", str(tmp_path / "prices.csv"), "--params", "n1=3", "n2=8"]
    code, found = certified(tmp_path, *words)
    assert code == 0
    assert found["strategy"]["params"] == {"n1": 3, "n2": 8}
    assert found["data"]["last"] == str(builtin_prices("EURUSD").index[299])


def test_volumes_that_no_terminal_can_have_are_rounded_on_both_sides(tmp_path: Path) -> None:
    bars = builtin_prices("EURUSD").iloc[:300].assign(Volume=lambda frame: frame["Volume"] + 0.25)
    verdict = compare(str(PROJECT_ROOT / "Backtest/codes/volume_breakout.py"), {}, bars, "EURUSD")
    assert not verdict.differences
    assert "volumes are rounded" in verdict.notes[0]


RUINED = """
from backtesting import Strategy

BACKTEST = dict(cash=1_000, margin=0.01)


class AllIn(Strategy):
    def init(self):
        pass

    def next(self):
        if len(self.data) == 3:
            self.buy(size=90)
"""


def test_an_account_that_is_ruined_is_compared_up_to_there(tmp_path: Path) -> None:
    index = pd.date_range("2020-01-01", periods=30, freq="D")
    close = pd.Series([100.0] * 10 + [100 - 2 * day for day in range(20)], index=index)
    bars = pd.DataFrame({"Open": close, "High": close, "Low": close, "Close": close, "Volume": 1})
    verdict = compare(file_of(tmp_path, RUINED), {}, bars, "STOCK")
    assert not verdict.differences, verdict.differences
    assert "ruined on the bar of" in verdict.notes[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no_such.py"], "no_such.py"),
        ([str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--params", "n3=1"], "n3"),
        ([str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--data", "no_such.csv"], "no_such.csv"),
        ([str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--symbol", "NOSUCH"], "NOSUCH"),
        ([str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--symbols", "EURUSD,GOOG", "--certificate", "c.json"], "--certificate"),
        ([str(PROJECT_ROOT / "Backtest/codes/sma_cross.py"), "--symbol", "EURUSD", "--bars", "few"], "--bars"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *words]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("error: ")
    assert sentence in told


def test_a_strategy_that_fails_is_bad_input_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EVERYTHING.replace("bar, price = len(self.data), self.data.Close[-1]", "raise ValueError('planted')")
    assert main(["verify", file_of(tmp_path, text), "--symbol", "EURUSD", "--bars", "100"]) == 2
    assert "planted" in capsys.readouterr().err


READS_SENTIMENT = """
from backtesting import Strategy


class Believer(Strategy):
    def init(self):
        self.mood = self.I(lambda values: values.rolling(3).mean(), self.data.Sentiment.s)

    def next(self):
        if self.mood[-1] > 0.5 and not self.position and self.data.Word[-1] == "up":
            self.buy(size=1000, tag=float(self.data.Sentiment[-1]))
        elif self.mood[-1] < -0.5:
            self.position.close()
"""


def test_further_columns_of_replayed_prices_are_those_of_the_backtest(tmp_path: Path) -> None:
    bars = builtin_prices("EURUSD").iloc[:150]
    mood = [((number * 7) % 11 - 5) / 2 for number in range(150)]
    bars = bars.assign(Sentiment=mood, Word=["up" if number % 3 else "down" for number in range(150)], Spread=2.0)
    verdict = compare(file_of(tmp_path, READS_SENTIMENT), {}, bars, "EURUSD")
    assert verdict.differences == []
    assert len(verdict.backtest.trades) > 10


def test_a_strategy_that_fails_in_its_backtest_is_no_difference_but_bad_input(tmp_path: Path) -> None:
    below_zero = EVERYTHING.replace("sl=price * 0.99", "sl=-1")
    with pytest.raises(BadInput, match=r"strategy\.py: backtesting\.py cannot fill what Everything has ordered before 2017"):
        compare(file_of(tmp_path, below_zero), {}, builtin_prices("EURUSD").iloc[:100], "EURUSD")


SHORT_WITH_A_TARGET = """
from backtesting import Strategy


class Short(Strategy):
    def init(self):
        pass

    def next(self):
        if not self.position:
            price = self.data.Close[-1]
            self.sell(size=1000, tp=price * 0.999, sl=price * 1.001)
"""


@pytest.mark.long
def test_a_spread_column_of_the_prices_costs_nothing_where_the_terminal_fills_as_the_backtest(tmp_path: Path) -> None:
    bars = builtin_prices("EURUSD").iloc[:300].assign(Spread=40)
    verdict = compare(file_of(tmp_path, SHORT_WITH_A_TARGET), {}, bars, "EURUSD")
    assert len(verdict.live.trades) > 20
    assert not verdict.differences


def test_bars_on_which_nothing_is_ordered_prove_nothing_and_that_is_said(tmp_path: Path) -> None:
    verdict = compare(file_of(tmp_path, EVERYTHING), {}, builtin_prices("EURUSD").iloc[:5], "EURUSD")
    assert verdict.notes == ["the strategy ordered nothing on these bars, so that there was nothing to compare"]


def test_a_stop_by_a_signal_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Live.verify._Shown.turned", lambda *_: signal.raise_signal(signal.SIGTERM))
    words = [file_of(tmp_path, SHORT_WITH_A_TARGET), "--symbol", "EURUSD", "--bars", "50", "--certificate", str(tmp_path / "c.json")]
    assert main(["verify", *words]) == 130
    assert not (tmp_path / "c.json").exists()


EMPTY_BUT = """
from backtesting import Strategy

BACKTEST = dict({settings})


class EmptyBut(Strategy):
    def init(self):
        pass

    def next(self):
        bar = len(self.data)
{body}
"""


def test_no_limit_of_our_own_cuts_what_a_backtest_buys(tmp_path: Path) -> None:
    body = "if bar % 9 == 2:\n    self.buy(size=10**11)\nelif bar % 9 == 7:\n    self.position.close()"
    text = EMPTY_BUT.format(settings="cash=1e15, margin=0.01", body=textwrap.indent(body, 8 * " "))
    verdict = compare(file_of(tmp_path, text), {}, builtin_prices("GOOG").iloc[:12], "GOOG")
    assert list(map(str, verdict.differences)) == []
    assert [trade.size for trade in verdict.live.trades] == [1e11, 1e11]


def test_as_many_orders_wait_as_a_strategy_wants() -> None:
    bars = builtin_prices("GOOG").iloc[:12]
    market = ReplayMarket({"GOOG": (parity_symbol("GOOG", bars), bars)}, timeframe=timeframe("D1"))
    terminal = SimulatedTerminal(market, parity_account(1e9))
    assert terminal.initialize()
    order = {"action": 5, "symbol": "GOOG", "volume": 1.0, "type": 2, "price": 1.0, "type_filling": 2}  # limits far below
    answers = [terminal.order_send(order).retcode for _ in range(201)]
    assert set(answers) == {10009}
    assert terminal.orders_total() == 201


def test_an_entry_while_the_day_has_lost_more_than_all_at_the_open_and_won_it_back_by_the_close_is_made(tmp_path: Path) -> None:
    body = "if bar == 3:\n    self.buy(size=900)\nelif bar == 10:\n    self.buy(size=10)"
    text = EMPTY_BUT.format(settings="cash=1_000, margin=0.01", body=textwrap.indent(body, 8 * " "))
    index = pd.date_range("2020-01-01", periods=20, freq="h")
    opened = pd.Series(100.0, index=index)
    opened.iloc[10] = 98.0  # 900 units have lost 1,800 of 1,000
    bars = pd.DataFrame({"Open": opened, "High": 101.0, "Low": opened, "Close": 100.5, "Volume": 1})
    verdict = compare(file_of(tmp_path, text), {}, bars, "EURUSD")
    assert list(map(str, verdict.differences)) == []
    assert [trade.entry_price for trade in verdict.live.trades] == [100.0, 98.0]


CANCELS_NEAR_RUIN = """
from backtesting.lib import TrailingStrategy

BACKTEST = dict(cash=1_000, margin=0.02, trade_on_close={on_close})


class CancelsNearRuin(TrailingStrategy):
    def init(self):
        super().init()
        self.set_atr_periods(2)
        self.set_trailing_sl(8)
        self.line = self.I(lambda close: close.rolling(3).mean(), self.data.Close.s)

    def next(self):
        super().next()
        bar = len(self.data)
        if bar == 4:
            self.buy(size=450)
        elif bar == 10:
            self.buy(size=10, limit=95.0)
        elif bar == 13:
            for order in self.orders:
                if not order.is_contingent:
                    order.cancel()
"""


@pytest.mark.parametrize("on_close", [False, True])
def test_an_order_that_is_placed_while_nothing_is_left_waits_and_can_be_cancelled(tmp_path: Path, on_close: bool) -> None:
    index = pd.date_range("2020-01-01", periods=20, freq="h")
    opened = pd.Series(100.0, index=index)
    opened.iloc[10] = 97.0  # 450 units have lost 1,350 of 1,000; by the close all is well
    bars = pd.DataFrame({"Open": opened, "High": 101.0, "Low": opened, "Close": 100.5, "Volume": 1})
    verdict = compare(file_of(tmp_path, CANCELS_NEAR_RUIN.format(on_close=on_close)), {}, bars, "EURUSD")
    assert list(map(str, verdict.differences)) == []
    assert "CANCEL" in [decided.kind for decided in verdict.live.decisions]


DERIVED = """
import numpy as np
from backtesting import Strategy


class Derived(Strategy):
    def init(self):
        line = self.I(lambda close: close.rolling(20).mean(), self.data.Close.s)
        {derived}

    def next(self):
        if len(self.data) % 4 == 0:
            self.buy(size=10)
        elif len(self.data) % 4 == 2:
            self.position.close()
"""


@pytest.mark.parametrize(
    ("derived", "first"),
    [
        ("self.filled = self.I(lambda: np.nan_to_num(line))", 4),
        ("self.higher = np.fmax(line, 0)", 4),
        ("self.lines = [line]; self.sum = np.nancumsum(line)", 4),
        ("self.line = line; self.filled = np.fmax(line, 0)", 24),
        ("self.line = line; self.sum = np.cumsum(line)", 24),
    ],
)
def test_a_line_that_begins_before_what_it_is_computed_from_begins_on_both_sides(tmp_path: Path, derived: str, first: int) -> None:
    bars = builtin_prices("GOOG").iloc[:40]
    verdict = compare(file_of(tmp_path, DERIVED.format(derived=derived)), {}, bars, "GOOG")
    assert list(map(str, verdict.differences)) == []
    assert verdict.live.decisions[0].bar == bars.index[first - 1]


WAITS_FOR_ITS_LINE = """
from backtesting import Strategy


class Waits(Strategy):
    def init(self):
        self.slow = self.I(lambda close: close.rolling(500).mean(), self.data.Close.s)
        self.fast = self.I(lambda close: close.rolling(5).mean(), self.data.Close.s)

    def next(self):
        if not self.position:
            self.buy(size=1000)
"""


def test_what_differs_as_a_backtest_does_not_wait_for_an_indicator_without_a_value_has_that_as_its_cause(tmp_path: Path) -> None:
    code, found = certified(tmp_path, file_of(tmp_path, WAITS_FOR_ITS_LINE), "--symbol", "EURUSD", "--bars", "60")
    assert code == 6
    assert found["first_differences"][0].endswith("the backtest has kind=BUY size=1000, live has none")
    assert found["likely_cause"].startswith("self.slow has no value on any of these bars")


def test_a_strategy_that_fails_in_its_own_backtest_says_after_how_many_bars(tmp_path: Path) -> None:
    body = "if bar == 30:\n    raise ValueError('enough')"
    text = EMPTY_BUT.format(settings="cash=1_000", body=textwrap.indent(body, 8 * " "))
    with pytest.raises(BacktestFailed, match="enough") as failure:
        compare(file_of(tmp_path, text), {}, builtin_prices("GOOG").iloc[:60], "GOOG")
    assert failure.value.bars == 29
