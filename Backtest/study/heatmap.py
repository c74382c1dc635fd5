"""The measure over the parameters as an HTML file that needs nothing else: backtesting.py's heatmaps, or a line for one parameter."""

from pathlib import Path
from typing import Any

import pandas as pd
from backtesting.lib import plot_heatmaps
from bokeh.models import FactorRange, HoverTool
from bokeh.plotting import figure

from Backtest.errors import BadInput
from Backtest.pages import drawn_aside, write_page

COLOUR = "#4c72b0"


def draw(heatmap: "pd.Series[float]", file: Path, *, title: str, minimize: bool) -> None:
    """Draw it; of several combinations that fall on one field the best is shown. Raises BadInput for a file that cannot be written."""
    plot = _heatmaps(heatmap, "min" if minimize else "max") if heatmap.index.nlevels > 1 else _line(heatmap, title)
    try:
        write_page(plot, file, title)
    except OSError as error:
        raise BadInput(f"{file}: the plot cannot be written ({error.strerror or error}); name another file with --html") from error


def _heatmaps(heatmap: "pd.Series[float]", best: str) -> Any:
    return drawn_aside(lambda page: plot_heatmaps(heatmap, agg=best, filename=page, open_browser=False))


def _line(heatmap: "pd.Series[float]", title: str) -> Any:
    name = heatmap.index.names[0]
    tried = [str(value) for value in heatmap.index.get_level_values(0)]
    plot = figure(x_range=FactorRange(factors=tried), title=title, height=520, sizing_mode="stretch_width", toolbar_location="above")
    plot.line(tried, heatmap.to_list(), line_width=2, color=COLOUR)
    points = plot.scatter(tried, heatmap.to_list(), size=8, color=COLOUR)
    plot.add_tools(HoverTool(renderers=[points], tooltips=[(str(name), "@x"), (str(heatmap.name), "@y")]))
    plot.xaxis.axis_label, plot.yaxis.axis_label = str(name), str(heatmap.name)
    return plot
