"""A recorded session as backtesting.py shows a backtest: on a replay, its statistics to the last key."""

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Backtest, Strategy

from Backtest.errors import BadInput
from Backtest.strategies import LoadedStrategy, load_strategy
from Live.__main__ import main
from Live.audit_logger.reader import RecordUnavailable
from Live.config import PROJECT_ROOT
from Live.errors import Misconfigured
from Live.report import Report, Wanted, plain_stats, reports_of
from Live.session_account import equity_at_closes, worth_of_positions
from tests.live_runs import Ran, eurusd, loaded, run_live
from tests.many_strategies import BothSides, Bracketed, TakingParts

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
BARS = eurusd(300, 1000)


def backtested(strategy: LoadedStrategy, bars: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trades remain open
        return Backtest(bars.iloc[:-1], strategy.cls, **strategy.backtest).run()  # the last bar of a replay never closes


def differing(expected: Any, report: Report) -> dict[str, tuple[Any, Any]]:
    """Statistics that are not the same; the record keeps money to the eighth decimal."""
    left, right = plain_stats(expected), plain_stats(report.stats)
    assert list(left) == list(right)
    return {name: (left[name], right[name]) for name in left if not _same(left[name], right[name])}


def _same(left: Any, right: Any) -> bool:
    numbers = isinstance(left, float) and isinstance(right, float)
    return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-9) if numbers else bool(left == right)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("session")
    file = folder / "sma_cross.py"
    shutil.copy(SMA, file)
    return run_live(folder, load_strategy(file), BARS)


def only(folder: Path, wanted: Wanted | None = None) -> Report:
    [report] = reports_of(folder / "audit.db", wanted or Wanted())
    return report


def test_a_replay_is_reported_with_the_statistics_of_its_backtest(session: Ran) -> None:
    expected = backtested(load_strategy(SMA), BARS)
    report = only(session.folder)
    assert differing(expected, report) == {}
    assert expected["# Trades"] > 3
    assert report.notes == ()


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("strategy", "backtest"),
    [
        (Bracketed, {"exclusive_orders": True, "commission": 0.0001}),
        (BothSides, {"hedging": True, "cash": 100_000, "commission": (1, 0.0001)}),
    ],
    ids=["bracketed", "both sides"],
)
def test_stops_and_hedged_trades_are_reported_as_the_backtest_has_them(
    tmp_path: Path, strategy: type[Strategy], backtest: dict[str, Any]
) -> None:
    run_live(tmp_path, loaded(strategy, **backtest), BARS)
    unequal = differing(backtested(loaded(strategy, **backtest), BARS), only(tmp_path))
    assert set(unequal) <= {"Buy & Hold Return [%]", "Alpha [%]"}  # its file is not there: buying and holding begins on the first bar


@pytest.mark.long
def test_a_fixed_commission_of_trades_closed_in_parts_is_what_was_paid(tmp_path: Path) -> None:
    backtest: dict[str, Any] = {"commission": (0.5, 0.0)}
    ran = run_live(tmp_path, loaded(TakingParts, **backtest), BARS)
    expected, report = backtested(loaded(TakingParts, **backtest), BARS), only(tmp_path)
    deals = ran.rows("SELECT count(*) AS n FROM fills WHERE position_id IN (SELECT position_ticket FROM trades)")[0]["n"]
    assert report.stats["Commissions [$]"] == pytest.approx(0.5 * deals, abs=0.5)  # one position may be closed in part only
    assert report.stats["Commissions [$]"] < expected["Commissions [$]"]
    assert report.stats["Equity Final [$]"] == pytest.approx(expected["Equity Final [$]"])


def test_a_part_of_a_session_begins_with_what_was_earned_before(session: Ran) -> None:
    whole = only(session.folder)
    part = only(session.folder, Wanted(since="2017-06-26"))
    curve = whole.stats["_equity_curve"]["Equity"]
    assert part.stats["Start"] == pd.Timestamp("2017-06-26")
    pd.testing.assert_series_equal(part.stats["_equity_curve"]["Equity"], curve.loc["2017-06-26":])
    assert 0 < part.stats["# Trades"] < whole.stats["# Trades"]


def test_a_run_is_reported_alone_when_it_is_asked_for(session: Ran) -> None:
    assert differing(only(session.folder).stats, only(session.folder, Wanted(run=session.trader.run_id))) == {}
    assert differing(only(session.folder).stats, only(session.folder, Wanted(slot=str(session.trader.slot)))) == {}


def test_a_changed_strategy_file_is_noted_and_not_run(session: Ran, tmp_path: Path) -> None:
    shutil.copytree(session.folder, tmp_path / "copy")
    file = session.folder / "sma_cross.py"
    text = file.read_text()
    try:
        file.write_text(text + "\nraise SystemExit\n")
        assert "not there any more, or cannot be run" in only(session.folder).notes[0]
        file.write_text(text + "\n# another line\n")
        assert "has changed since it traded" in only(session.folder).notes[0]
    finally:
        file.write_text(text)
    assert only(session.folder).notes == ()


def test_the_command_prints_the_statistics_and_writes_the_plot(session: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "plots" / "session.html"
    assert main(["report", "--db", str(session.folder / "audit.db"), "--html", str(html)]) == 0
    out = capsys.readouterr().out
    assert "SmaCross on EURUSD H1" in out
    assert "Buy & Hold Return [%]" in out
    page = html.read_text(encoding="utf-8")
    assert "SMA" in page or "sma" in page  # the indicators are drawn
    assert "Trades" in page
    assert f"Plot: {html}" in out


def test_programs_read_the_statistics(session: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--db", str(session.folder / "audit.db"), "--no-plot", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert told["slot"] == "12345678@Simulated-Demo/sma_cross/123456"
    assert told["bars"] == 299
    assert told["stats"]["# Trades"] == session.count("trades")


def test_two_symbols_are_two_reports(tmp_path: Path) -> None:
    run_live(tmp_path, loaded(Bracketed), {"EURUSD": BARS.iloc[:80], "GBPUSD": BARS.iloc[:80]})
    reports = reports_of(tmp_path / "audit.db", Wanted())
    assert [report.symbol for report in reports] == ["EURUSD", "GBPUSD"]
    assert len(reports_of(tmp_path / "audit.db", Wanted(symbols=("GBPUSD",)))) == 1


def test_a_session_without_trades_has_a_report_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_live(tmp_path, loaded(Bracketed), BARS.iloc[:12])
    assert main(["report", "--db", str(tmp_path / "audit.db"), "--html", str(tmp_path / "plot.html")]) == 0
    assert "# Trades" in capsys.readouterr().out
    assert (tmp_path / "plot.html").exists()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(run=9), "has no run 9; it has the slots 12345678@Simulated-Demo/sma_cross/123456"),
        (Wanted(slot="1@x/y/2"), "has no slot 1@x/y/2"),
        (Wanted(since="2030-01-01"), "fewer than 2 bars"),
        (Wanted(symbols=("XAUUSD",)), "fewer than 2 bars"),
        (Wanted(since="soon"), "--since is 'soon'"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(session: Ran, wanted: Wanted, words: str) -> None:
    with pytest.raises((RecordUnavailable, Misconfigured, BadInput)) as caught:
        reports_of(session.folder / "audit.db", wanted)
    assert words in str(caught.value)


def fill(epoch: int, side: str, entry: str, volume: float, price: float, **money: float) -> dict[str, Any]:
    deal = {"epoch": epoch, "position_id": 7, "side": side, "entry": entry, "volume": volume, "price": price}
    return deal | {"profit": 0.0, "commission": 0.0, "swap": 0.0, "fee": 0.0} | money


def test_a_net_position_that_is_turned_round_is_worth_its_new_side() -> None:
    bars = [{"bar_epoch": 60 * number, "close": price} for number, price in enumerate((10.0, 11.0, 12.0, 11.5))]
    fills = [fill(60, "BUY", "IN", 1, 10.0, commission=-1), fill(120, "SELL", "INOUT", 3, 12.0, profit=20.0, swap=-0.5)]
    assert equity_at_closes(fills, bars, 100.0, {7: 10.0}).tolist() == [100.0, 109.0, 118.5, 128.5]


def test_a_part_that_goes_leaves_the_rest_at_its_price() -> None:
    bars = [{"bar_epoch": 60 * number, "close": price} for number, price in enumerate((10.0, 11.0, 12.0))]
    fills = [fill(0, "SELL", "IN", 2, 10.0), fill(60, "BUY", "OUT", 1, 11.0, profit=-1.0)]
    assert equity_at_closes(fills, bars, 100.0, {7: 1.0}).tolist() == [100.0, 98.0, 97.0]


def test_what_a_lot_is_worth_is_measured_on_what_was_made() -> None:
    trade = {"position_ticket": 1, "size": -1000, "volume": 0.01, "entry_price": 150.0, "exit_price": 149.0, "profit": 6.5}
    held = {"ticket": 2, "side": "BUY", "volume": 0.1, "entry_price": 150.0, "price_current": 151.0, "profit": 66.0}
    worth = worth_of_positions([trade], [held])
    assert worth[1] == pytest.approx(650.0)
    assert worth[2] == pytest.approx(660.0)
    assert worth[3] == pytest.approx(655.0)
