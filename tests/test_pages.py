"""Every page that is drawn with Bokeh, looked at in a browser that notes what it asks for: nothing, from nobody."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from backtesting import Backtest
from playwright.sync_api import Browser, expect

from Backtest import run_backtest
from Backtest.files import write_whole
from Backtest.session.reporting import draw
from Backtest.strategies import load_strategy
from Backtest.study import heatmap
from Live import drift_plot
from Live.config import PROJECT_ROOT
from Live.dashboard.drawing import Line, equity_picture, price_picture
from tests.browsing import looking_alone, needs_browser
from tests.live_runs import eurusd

SMA = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
AUTHORS = "https://kernc"  # where backtesting.py's pages ask for a picture; its watermark only names the place, with http


def of_a_backtest(file: Path) -> None:
    eurusd(300).to_csv(file.with_suffix(".csv"))
    told = ["--strategy", str(SMA), "--data", str(file.with_suffix(".csv")), "--output", str(file)]
    assert run_backtest.main(told) == 0


def of_a_report(file: Path) -> None:
    strategy, bars = load_strategy(SMA), eurusd(300)
    draw(Backtest(bars, strategy.cls, **{**strategy.backtest, "finalize_trades": True}).run(), bars, file)


def of_a_study(file: Path) -> None:
    pairs = pd.MultiIndex.from_tuples([(5, 20), (5, 30), (10, 20)], names=["n1", "n2"])
    heatmap.draw(pd.Series([1.0, 2.0, 3.0], index=pairs, name="SQN"), file, title="two", minimize=False)


def of_one_parameter(file: Path) -> None:
    heatmap.draw(pd.Series([1.0, 2.0], index=pd.Index([5, 10], name="n1"), name="SQN"), file, title="one", minimize=True)


def of_a_drift(file: Path) -> None:
    drift_plot.draw("drift", [("Backtest", 1000), ("spread", -250)], 750, file)


WRITTEN = [of_a_backtest, of_a_report, of_a_study, of_one_parameter, of_a_drift]


@pytest.mark.filterwarnings("ignore:Some trades remain open:UserWarning")
@pytest.mark.parametrize("write", WRITTEN, ids=lambda write: write.__name__)
@needs_browser
def test_a_written_page_draws_itself_and_asks_for_nothing(browser: Browser, tmp_path: Path, write: Callable[[Path], None]) -> None:
    of_a_report(tmp_path / "before.html")  # backtesting.py's plots leave something to what follows them in the same process
    file = tmp_path / "page.html"
    write(file)
    with looking_alone(browser) as (page, asked):
        page.goto(file.as_uri())
        expect(page.locator(".bk-Figure").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.locator("iframe").count() == 0
    assert asked == [file.as_uri()]
    assert AUTHORS not in file.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Some trades remain open:UserWarning")
def test_the_pictures_of_the_dashboard_are_the_same_after_a_plot_of_backtesting(tmp_path: Path) -> None:
    of_a_report(tmp_path / "before.html")
    for picture in (equity_picture.__wrapped__("dark"), price_picture.__wrapped__((Line("SMA", True, False),), "light")):
        assert AUTHORS not in picture
        assert "js_event_callbacks" not in json.dumps(json.loads(picture)["doc"].get("callbacks"))


def test_a_page_that_cannot_be_written_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_whole(file, "the old one")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "half of it \ud800")
    assert file.read_text(encoding="utf-8") == "the old one"
    assert list(tmp_path.iterdir()) == [file]
