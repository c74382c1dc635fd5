"""A waterfall of money as an HTML file that needs nothing else, drawn with the Bokeh that backtesting.py brings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from Backtest.pages import write_page
from Live.errors import Misconfigured

WHOLE, GAIN, LOSS = "#4c72b0", "#55a868", "#c44e52"


def draw(title: str, steps: Sequence[tuple[str, int]], end: int, file: Path) -> None:
    """The first step and the end as whole columns, every other step from where the one before it has led; money in cents.

    Raises Misconfigured for a file that cannot be written.
    """
    try:
        write_page(_figure(title, columns(steps, end)), file, title)
    except OSError as error:
        raise Misconfigured(f"{file}: the plot cannot be written ({error.strerror or error}); name another file with --html") from error


def columns(steps: Sequence[tuple[str, int]], end: int) -> dict[str, Any]:
    """The columns of the waterfall: name, what each is worth, from where to where, its colour and its label.

    >>> columns([("Backtest", 1000), ("spread", -250)], 750)["top"]
    [10.0, 10.0, 7.5]
    """
    (first, begin), *changes = steps
    names, worth, bottoms, tops = [first], [begin], [0], [begin]
    level = begin
    for name, change in changes:
        names.append(name)
        worth.append(change)
        bottoms.append(min(level, level + change))
        tops.append(max(level, level + change))
        level += change
    return {
        "name": [*names, "Live"],
        "worth": [cents / 100 for cents in (*worth, end)],
        "bottom": [cents / 100 for cents in (*bottoms, 0)],
        "top": [cents / 100 for cents in (*tops, end)],
        "colour": [WHOLE, *(GAIN if change > 0 else LOSS for _, change in changes), WHOLE],
        "label": [f"{cents / 100:+,.2f}" for cents in (*worth, end)],
    }


def _figure(title: str, found: dict[str, Any]) -> figure:
    source = ColumnDataSource(found)
    plot = figure(x_range=found["name"], title=title, height=520, sizing_mode="stretch_width", toolbar_location="above")
    bars = plot.vbar(x="name", top="top", bottom="bottom", width=0.7, color="colour", source=source)
    plot.text(x="name", y="top", text="label", text_align="center", y_offset=-4, text_font_size="12px", source=source)
    plot.add_tools(HoverTool(renderers=[bars], tooltips=[("", "@name"), ("", "@label")]))
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.00")
    plot.yaxis.axis_label = "P/L"
    plot.xaxis.major_label_orientation = 0.6
    plot.xgrid.grid_line_color = None
    return plot
