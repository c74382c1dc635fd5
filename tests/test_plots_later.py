"""Importing backtesting.py costs no bokeh until somebody wants a plot, and a plot is then what it always was."""

import subprocess
import sys
from pathlib import Path

import pytest

from Live.config import PROJECT_ROOT

PLOT = """
import sys
import backtesting
from backtesting import Backtest, Strategy
from backtesting.lib import plot_heatmaps
from backtesting.test import GOOG

class Once(Strategy):
    def init(self):
        pass

    def next(self):
        if not self.position:
            self.buy()
"""


def said(program: str, folder: Path) -> str:
    """What a program of a process of its own prints."""
    environ = {"PYTHONPATH": str(PROJECT_ROOT)}
    words = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(words, check=False, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["Live.live_trader", "Live.verify", "Backtest.run_backtest"])
def test_bokeh_is_not_imported_for_a_run(module: str, tmp_path: Path) -> None:
    assert said(f"import sys, {module}; print('backtesting' in sys.modules, 'bokeh' in sys.modules)", tmp_path) == "True False\n"


def test_the_first_plot_brings_the_real_module(tmp_path: Path) -> None:
    plot = f"import Backtest\n{PLOT}\nbt = Backtest(GOOG, Once)\nbt.run()\nbt.plot(filename='x.html', open_browser=False)"
    shown = "print('bokeh' in sys.modules, sys.modules['backtesting._plotting'].__file__ == backtesting._plotting.__file__)"
    assert said(f"{plot}\n{shown}", tmp_path) == "True True\n"
    assert "Bokeh" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_a_private_name_of_the_module_of_plots_is_found(tmp_path: Path) -> None:
    assert said("import Backtest\nfrom backtesting._plotting import lightness\nprint(callable(lightness))", tmp_path) == "True\n"


def test_a_program_that_has_imported_backtesting_before_keeps_what_it_has(tmp_path: Path) -> None:
    asked = "before = sys.modules['backtesting._plotting']; import Backtest; print(sys.modules['backtesting._plotting'] is before)"
    assert said(f"import sys, backtesting; {asked}", tmp_path) == "True\n"
