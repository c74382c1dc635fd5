"""What Bokeh has drawn, as HTML files that need nothing else and ask nobody for anything.

Bokeh is imported where it is wanted: who may write a page and writes none does not wait for it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Backtest.files import write_whole


def write_page(plot: Any, file: Path, title: str) -> None:
    """Write it at once, or leave the file that is there. Raises OSError."""
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    if plot.document is not None:
        plot.document.clear()
    forget_other_plots()
    write_whole(file, file_html(plot, INLINE, title))


def forget_other_plots() -> None:
    """Let what is made from now on be free of what backtesting.py puts into each page that follows a plot of its own.

    That asks a server of its author's for a picture (`_add_popcon` in its `_plotting.py`, 0.6.2 and later).
    """
    from bokeh.io.state import curstate

    curstate().reset()


def drawn_aside(draw: Callable[[str], Any]) -> Any:
    """What a function of backtesting.py draws that wants a file for it: that page, which fetches scripts from the net, is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return draw(str(Path(folder) / "plot.html"))
