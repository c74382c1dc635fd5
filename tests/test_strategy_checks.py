"""The commands that look at a strategy without trading it: what they print, and their exit codes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import SimulatedTerminal
from Backtest.simulated_terminal.structs import AccountInfo
from Backtest.strategies import load_strategy
from Live.__main__ import main
from Live.config import PROJECT_ROOT
from Live.live_trader import Chosen, LiveTrader
from Live.running import Asked as Trade
from Live.running import _Shown, trade_strategy
from Live.strategy_checks import KnewTheFuture, refuse_lookahead, with_measured_bars
from tests.live_runs import WIDE_OPEN, eurusd, settings, simulated

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
CENTRED = """
import pandas as pd
from backtesting import Strategy

BACKTEST = dict(cash=5_000, commission=0.0001)

class Centred(Strategy):
    n = 11

    def init(self):
        self.middle = self.I(lambda: pd.Series(self.data.Close).rolling(self.n, center=True).mean())

    def next(self):
        if self.data.Close[-1] < self.middle[-1] and not self.position:
            self.buy()
        elif self.data.Close[-1] > self.middle[-1] and self.position:
            self.position.close()
"""


@pytest.fixture
def centred(tmp_path: Path) -> Path:
    file = tmp_path / "centred.py"
    file.write_text(CENTRED)
    return file


def said(words: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, " ".join(out.split()), err


def test_lookahead_names_the_indicator_its_bar_and_the_honest_result(centred: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["lookahead", centred, "--bars", 300, "--params", "n=7"], capsys)
    assert code == 6
    assert "self.middle (ahead)" in out
    assert "values up to 3 bars ahead" in out
    assert "Without the future" in out
    assert "It knew the future." in out


def test_a_clean_strategy_is_told_to_be_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(["lookahead", SMA, "--bars", 300], capsys)[:2] == (
        0,
        "SmaCross on EURUSD: 300 bars, 2018-01-22 04:00:00 to 2018-02-07 15:00:00 Nothing knew the future.",
    )


def test_programs_read_the_findings_of_each_symbol(centred: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["lookahead", centred, "--symbols", "EURUSD,GOOG", "--bars", 200, "--json"], capsys)
    told = json.loads(out)
    assert code == 6
    assert [(each["symbol"], each["verdict"], each["bars"]) for each in told["checked"]] == [("EURUSD", "red", 200), ("GOOG", "red", 200)]
    [found] = told["checked"][0]["surprises"]
    assert (found["name"], found["kind"], found["first_bar"], found["known"]) == ("self.middle", "AHEAD", 5, None)
    assert told["checked"][0]["honest"]["# Trades"] == 0


def test_prices_of_a_file_keep_their_timeframe_unless_another_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "goog.csv"
    builtin_prices("GOOG").iloc[:300].to_csv(file)
    assert "300 bars" in said(["lookahead", SMA, "--data", file], capsys)[1]
    assert "63 bars" in said(["lookahead", SMA, "--data", file, "--timeframe", "1w"], capsys)[1]


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ([], "Missing argument"),
        (["nowhere.py"], "there is no such strategy file"),
        ([SMA, "--bars", "few"], "--bars is 'few'; want a whole number above 0, or all"),
        ([SMA, "--bars", "3"], "3 bars are too few"),
        ([SMA, "--symbols", "XAUUSD"], "backtesting.py ships no prices of XAUUSD"),
        ([SMA, "--params", "n9=3"], "SmaCross has no parameter n9"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(words: Sequence[object], mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(["lookahead", *words], capsys)
    assert code == 2
    assert mistake in err
    assert "Traceback" not in err


class RealMoney(SimulatedTerminal):
    """Says of its account that its money is real."""

    def account_info(self) -> Any:
        return AccountInfo((super().account_info()._asdict() | {"trade_mode": 2}).values())


def traded_for_real(folder: Path, strategy: Path, *, allowed: bool) -> int:
    loaded, prices = load_strategy(strategy), {"EURUSD": eurusd(80)}
    config = settings(folder, dry_run=False, allow_real_account=True, mt5_terminal="simulated", **WIDE_OPEN)
    opened = simulated(folder, prices, loaded, made_by=RealMoney)
    opened.functions.initialize()
    opened.functions.clock.sleep(60 * 3600)
    watcher = _Shown("", with_bar=False)
    watcher.allow_lookahead = allowed
    try:
        return LiveTrader(config, Chosen(loaded, {"n": 5}), opened, watcher=watcher).run()
    finally:
        opened.functions.close()


def test_real_money_is_not_traded_with_lookahead_unless_it_is_allowed(centred: Path, tmp_path: Path) -> None:
    refused, traded = tmp_path / "refused", tmp_path / "traded"
    refused.mkdir()
    traded.mkdir()
    with pytest.raises(KnewTheFuture, match=r"self\.middle uses values up to 2 bars ahead.*--allow-lookahead") as caught:
        traded_for_real(refused, centred, allowed=False)
    assert caught.value.exit_code == 6
    assert traded_for_real(traded, centred, allowed=True) == 0


def test_a_clean_strategy_is_not_refused() -> None:
    refuse_lookahead(load_strategy(SMA), {}, {"EURUSD": builtin_prices("EURUSD").iloc[:300]})


def test_warmup_prints_what_each_indicator_needs_and_the_setting(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["warmup", SMA, "--bars", 300, "--params", "n1=5", "n2=15"], capsys)
    assert code == 0
    assert "self.fast 6 to a millionth" in out
    assert "self.slow 16 to a millionth" in out
    assert "From 16 bars on its decisions are what they are with all history." in out
    assert out.endswith("Setting: WARMUP_BARS=16")


def test_programs_read_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["warmup", SMA, "--bars", 200, "--symbols", "GOOG", "--json"], capsys)
    [told] = json.loads(out)["measured"]
    assert code == 0
    assert (told["symbol"], told["bars"], told["measured_on"]) == ("GOOG", 21, 200)


def test_a_warmup_that_is_measured_is_twice_what_the_strategy_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Live.strategy_checks.LEAST", 200)
    loaded = load_strategy(SMA)
    given = settings(tmp_path, warmup_bars="auto", sim_prices=prices_file(tmp_path))
    config, told = with_measured_bars(given, loaded, {"n1": 20, "n2": 130})
    assert config.warmup_bars == 262
    assert told == "WARMUP_BARS=auto: 262 bars of history; it is measured to need 131"
    config, _ = with_measured_bars(given, loaded, {})
    assert config.warmup_bars == 200  # the least
    assert with_measured_bars(config, loaded, {}) == (config, "")


def test_the_bars_of_indicators_are_measured_as_the_warmup_is(tmp_path: Path) -> None:
    given = settings(tmp_path, indicator_bars="auto", sim_prices=prices_file(tmp_path))
    config, told = with_measured_bars(given, load_strategy(SMA), {"n1": 20, "n2": 130})
    assert (config.warmup_bars, config.indicator_bars) == (5_000, 262)
    assert told == "INDICATOR_BARS=auto: the newest 262 bars; it is measured to need 131"


def test_a_strategy_that_needs_all_history_gets_as_much_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "endless.py"
    file.write_text(CENTRED.replace(".rolling(self.n, center=True)", ".expanding()"))
    given = settings(tmp_path, warmup_bars="auto", indicator_bars="auto", sim_prices=prices_file(tmp_path))
    config, told = with_measured_bars(given, load_strategy(file), {})
    assert (config.warmup_bars, config.indicator_bars) == (5_000, None)
    why = "it needs all of its history, or there is too little to measure it on"
    assert told == f"WARMUP_BARS=auto: 5,000 bars of history; {why}\nINDICATOR_BARS=auto: all bars; {why}"


@pytest.mark.long
def test_a_run_measures_its_warmup_when_it_is_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(tmp_path, warmup_bars="auto", sim_prices=prices_file(tmp_path), sim_account_dir=f"{tmp_path}/accounts")
    assert trade_strategy(Trade(str(SMA), (), None, once=False, fresh=False), given) == 0
    assert "WARMUP_BARS=auto: 1,000 bars of history; it is measured to need 21" in " ".join(capsys.readouterr().err.split())


def prices_file(folder: Path) -> str:
    file = folder / "prices.csv"
    eurusd(500).to_csv(file)
    return str(file)
