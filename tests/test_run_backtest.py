import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from backtesting.backtesting import Backtest

from Backtest import run_backtest
from Backtest.bars import TIMEFRAMES, builtin_prices, resample
from Backtest.strategies import load_strategy

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "Backtest" / "run_backtest.py"
SMA_CROSS = ROOT / "Backtest" / "codes" / "sma_cross.py"


def started(
    arguments: list[str], folder: Path, script: str | Path = ROOT / "Backtest" / "run_backtest.py"
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)


def table(printed: str) -> dict[str, str]:
    """The printed statistics, name by name."""
    pairs = (re.fullmatch(r"(\S.*?)\s{2,}(\S.*?)\s*", line) for line in printed.splitlines())
    return {pair[1]: pair[2] for pair in pairs if pair}


def ran(capsys: pytest.CaptureFixture[str], *arguments: str, strategy: str | Path = SMA_CROSS) -> tuple[int, str, list[str]]:
    code = run_backtest.main(["--strategy", str(strategy), *arguments])
    printed = capsys.readouterr()
    told = printed.err.splitlines()
    assert all(line.startswith("error: ") for line in told)
    return code, printed.out, [line.removeprefix("error: ") for line in told]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("folder", "script", "strategy"),
    [
        (ROOT, "Backtest/run_backtest.py", "Backtest/codes/sma_cross.py"),
        (ROOT / "Backtest", "run_backtest.py", "codes/sma_cross.py"),
        (ROOT / "Live", "../Backtest/run_backtest.py", "../Backtest/codes/sma_cross.py:SmaCross"),
    ],
)
def test_it_can_be_started_from_any_folder(folder: Path, script: str, strategy: str) -> None:
    done = started(["--strategy", strategy, "--no-plot"], folder, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5,000 bars H1 of EURUSD" in done.stdout
    assert table(done.stdout)["# Trades"] == "262"


def test_the_statistics_are_backtestings_own(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed, _ = ran(capsys, "--no-plot", "--finalize-trades")
    strategy = load_strategy(SMA_CROSS)
    stats = Backtest(builtin_prices("EURUSD"), strategy.cls, **{**strategy.backtest, "finalize_trades": True}).run()
    shown = table(printed)
    assert list(shown) == [name for name in stats.index if not name.startswith("_")]
    assert shown["Equity Final [$]"] == f"{stats['Equity Final [$]']:,.2f}"
    assert shown["Max. Drawdown Duration"] == str(stats["Max. Drawdown Duration"])


def test_what_backtesting_warns_about_is_told_as_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Note: Some trades remain open at the end of backtest." in ran(capsys, "--no-plot")[1]
    assert "Note: Some prices are larger than initial cash value." in ran(capsys, "--no-plot", "--symbol", "BTCUSD")[1]


def test_many_notes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    printed = ran(capsys, "--no-plot", "--no-exclusive-orders")[1]  # its orders are all too large for the margin that is left
    assert printed.count("Note: time=") == run_backtest.NOTES_SHOWN
    assert re.search(r"Note: \d+ more", printed)


def test_parameters_and_settings_reach_the_backtest(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = ran(capsys, "--no-plot", "--params", "n1=12", "n2=26", "--cash", "5000", "--finalize-trades", "--margin", "0.5")
    strategy = load_strategy(SMA_CROSS)
    settings = {**strategy.backtest, "cash": 5000.0, "finalize_trades": True, "margin": 0.5}
    stats = Backtest(builtin_prices("EURUSD"), strategy.cls, **settings).run(n1=12, n2=26)
    assert (code, "SmaCross" in printed, "with n1=12 n2=26" in printed) == (0, True, True)
    assert table(printed)["Equity Final [$]"] == f"{stats['Equity Final [$]']:,.2f}"


def test_longer_bars_are_made_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    bars = len(resample(builtin_prices("EURUSD"), TIMEFRAMES["H4"]))
    assert f"{bars:,} bars H4 of EURUSD" in ran(capsys, "--no-plot", "--timeframe", "4h")[1]


def test_months_named_by_their_end_stay_as_backtesting_ships_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert table(ran(capsys, "--no-plot", "--symbol", "BTCUSD", "--timeframe", "MN1")[1])["Start"] == "2012-01-31 00:00:00"


def test_a_price_file_of_ones_own_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    builtin_prices("GOOG").iloc[:500].to_csv(tmp_path / "goog.csv.gz")
    code, printed, _ = ran(capsys, "--no-plot", "--data", str(tmp_path / "goog.csv.gz"))
    assert (code, f"500 bars D1 of {tmp_path / 'goog.csv.gz'}" in printed) == (0, True)


def test_a_single_bar_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = written(tmp_path / "one.csv", "time,open,high,low,close\n2017-04-19,1,1,1,1\n")
    code, printed, _ = ran(capsys, "--no-plot", "--data", str(one))
    assert (code, table(printed)["# Trades"], table(printed)["Win Rate [%]"]) == (0, "0", "–")


# --- the plot


def test_the_plot_is_an_html_file_where_it_was_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plot = tmp_path / "new folder" / "plot.html"
    code, printed, _ = ran(capsys, "--symbol", "GOOG", "--output", str(plot))
    assert (code, f"Plot: {plot}" in printed) == (0, True)
    assert "<html" in plot.read_text("utf-8")[:200]


def test_without_a_place_for_it_the_plot_lies_in_the_logs_folder_of_the_project() -> None:
    def place(*arguments: str) -> Path | None:
        return run_backtest.prepare(run_backtest._parser().parse_args(["--strategy", f"{SMA_CROSS}:SmaCross", *arguments])).plot

    assert place() == ROOT / "logs" / "backtest_sma_cross_EURUSD.html"
    assert place("--symbol", "GOOG") == ROOT / "logs" / "backtest_sma_cross_GOOG.html"
    assert place("--no-plot") is None


def test_a_plot_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blocked = written(tmp_path / "a file", "") / "plot.html"
    code, _, told = ran(capsys, "--output", str(blocked))
    assert (code, len(told)) == (2, 1)
    assert told[0].startswith(f"{blocked}: the plot cannot be written")


# --- bad input


def test_all_mistakes_are_told_at_once_each_in_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--params", "n11=1", "--cash", "-1", "--margin", "lots", "--data", str(tmp_path / "no.csv"), "--output", "plot.pdf"]
    code, printed, told = ran(capsys, *arguments)
    assert (code, printed) == (2, "")
    assert told == [
        "SmaCross has no parameter n11; it has n1, n2; did you mean n1?",
        "--cash is -1.0; want a number above 0",
        "--margin is 'lots'; want a number above 0 and at most 1 (1 / leverage)",
        f"{tmp_path / 'no.csv'}: there is no such price file",
        "--output is 'plot.pdf'; want a file that ends in .html",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--params", "n1"], "--params 'n1' is no name=value; write for example n1=12"),
        (["--symbol", "GBPUSD"], "backtesting.py ships no prices of GBPUSD, only EURUSD, GOOG, BTCUSD; name a price file (--data FILE)"),
        (["--timeframe", "M30"], "M30 bars cannot be made from H1 bars: the data are coarser; use H1 or longer"),
        (["--no-plot", "--output", "x.html"], "--output and --no-plot contradict each other; leave one out"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert ran(capsys, *arguments) == (2, "", [told])


def test_a_strategy_that_fails_while_it_runs_is_told_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = "class Bad(Strategy):\n    def init(self):\n        pass\n    def next(self):\n        self.position.no_such_thing\n"
    bad = written(tmp_path / "bad.py", "from backtesting import Strategy\n" + body)
    code, _, told = ran(capsys, "--no-plot", strategy=bad)
    assert (code, told) == (2, [f"{bad}, line 6: Bad fails (AttributeError: 'Position' object has no attribute 'no_such_thing')"])


def test_a_missing_or_unknown_argument_ends_with_exit_code_2(tmp_path: Path) -> None:
    assert started([], tmp_path).returncode == 2
    assert started(["--strategy", str(SMA_CROSS), "--strat"], tmp_path).returncode == 2
    assert started(["--help"], tmp_path).returncode == 0


def test_ctrl_c_ends_it_with_exit_code_130(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ran(capsys, strategy=written(tmp_path / "stopped.py", "raise KeyboardInterrupt\n"))[0] == 130
