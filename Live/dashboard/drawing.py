"""The charts, as Bokeh draws them in the browser: no script of ours in them, so that they pass a strict content policy.

A picture is made once in a process, without a number in it, of named sources. The browser fills these when it draws it and
later only puts new numbers into them, so that what the reader has zoomed to stays.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC as _UTC
from datetime import datetime
from functools import lru_cache
from typing import Any

from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.models import (
    BasicTickFormatter,
    ColumnDataSource,
    CrosshairTool,
    DataRange1d,
    DatetimeTickFormatter,
    HoverTool,
    NumeralTickFormatter,
)
from bokeh.models.annotations import Span
from bokeh.plotting import figure
from bokeh.transform import factor_cmap, factor_mark

from Backtest.pages import forget_other_plots
from Live.audit_logger.reader import Row
from Live.audit_logger.shown import ChartRows

Columns = dict[str, list[Any]]
Sources = dict[str, Columns]

MOST_PANELS = 24  # backtesting.py draws all of them; nobody looks at more
ROOM_RIGHT = 3  # bars of empty space beside the newest
MOST_PICTURES = 64  # kept: one for each set of indicators and theme
LONGEST_NAME = 40  # of an indicator; what tells its lines apart is at the end
TOOLS = "xpan,xwheel_zoom,box_zoom,reset"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they mean."""

    ink: str
    quiet: str
    grid: str
    up: str
    down: str
    accent: str
    area: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an indicator: over the prices or in a panel below them, drawn as a line or as dots."""

    name: str
    overlay: bool
    scatter: bool


LIGHT = Palette(
    ink="#14181f",
    quiet="#5b6472",
    grid="#e6e8ec",
    up="#0a7a3d",
    down="#c02626",
    accent="#1d4ed8",
    area="#c02626",
    lines=("#1d4ed8", "#b45309", "#7c3aed", "#0e7490", "#be185d", "#4d7c0f", "#6b7280"),
)
DARK = Palette(
    ink="#e6e9ee",
    quiet="#97a1b0",
    grid="#242b35",
    up="#35b569",
    down="#ff7b72",
    accent="#6ea8fe",
    area="#ff7b72",
    lines=("#6ea8fe", "#e2a03f", "#b79cff", "#4cc3d9", "#f284b5", "#a5d25f", "#97a1b0"),
)
PALETTES = {"light": LIGHT, "dark": DARK}


# the sources


EQUITY = ("time", "equity", "balance", "drawdown")
BARS = ("x", "open", "high", "low", "close", "time", "volume", "rise")
TRADES = ("x0", "x1", "y0", "y1", "side", "result", "text")
LEVELS = ("x0", "x1", "y", "kind", "text")


def _empty(names: Iterable[str]) -> Columns:
    return {name: [] for name in names}


def equity_sources(points: Sequence[Row]) -> Sources:
    """Equity, balance and the fall from the highest equity so far (percent, negative) over time."""
    highest, columns = -math.inf, _empty(EQUITY)
    for point in points:
        equity, at = point["equity"], _milliseconds(point["timestamp"])
        if at is None or not isinstance(equity, int | float) or not math.isfinite(equity):
            continue
        highest = max(highest, equity)
        columns["time"].append(at)
        columns["equity"].append(equity)
        columns["balance"].append(_finite(point["balance"]))
        columns["drawdown"].append(100 * (equity / highest - 1) if highest > 0 else 0.0)
    return {"equity": columns}


def price_sources(rows: ChartRows) -> Sources:
    """Candles with the indicators' values, the trades that were made on them, and the levels of what is open."""
    bars = [*rows.before, *rows.bars]
    columns = Columns(x=list(range(len(bars))), **{name: [bar[name] for bar in bars] for name in ("open", "high", "low", "close")})
    columns["time"] = [_label(bar) for bar in bars]
    columns["volume"] = [bar["tick_volume"] for bar in bars]
    columns["rise"] = ["up" if _number(bar["close"]) >= _number(bar["open"]) else "down" for bar in bars]
    for place, line in enumerate(rows.lines):
        columns[f"line{place}"] = _values_of(line, place, rows)
    offset, opens = _offset(rows.bars), [int(_number(bar["bar_epoch"])) for bar in bars]
    return {"bars": columns, "trades": _trades(rows, opens, offset), "levels": _levels(rows, opens, offset)}


def _values_of(line: Row, place: int, rows: ChartRows) -> list[float | None]:
    told = _list(line["before"])[-len(rows.before) :] if rows.before else []
    missing: list[float | None] = [None] * (len(rows.before) - len(told))
    decided = []
    for bar in rows.bars:
        values = _list(bar["indicators"])
        decided.append(_finite(values[place]) if len(values) == len(rows.lines) else None)
    return [*missing, *map(_finite, told), *decided]


def _trades(rows: ChartRows, opens: list[int], offset: int) -> Columns:
    found = _empty(TRADES)
    for trade in rows.trades:
        x0, x1 = (_place(trade[name], opens, offset) for name in ("entry_time", "exit_time"))
        if x0 is None or x1 is None:
            continue
        net = _number(trade["net_profit"])
        row = (x0, x1, trade["entry_price"], trade["exit_price"], trade["side"], "won" if net > 0 else "lost")
        text = f"{trade['side']} {trade['volume']:g} lots, net {net:+,.2f}, closed by {trade['exit_reason']}"
        for name, value in zip(found, (*row, text), strict=True):
            found[name].append(value)
    return found


def _levels(rows: ChartRows, opens: list[int], offset: int) -> Columns:
    found = _empty(LEVELS)
    for held in rows.positions:
        start = _place(held["entry_time"], opens, offset) or 0
        for kind, name in (("entry", "entry_price"), ("stop", "sl"), ("target", "tp")):
            if (level := _finite(held[name])) is not None:
                row = (start, len(opens) - 1 + ROOM_RIGHT, level, kind, f"{held['side']} {kind} {level:g}")
                for key, value in zip(found, row, strict=True):
                    found[key].append(value)
    return found


# the pictures


@lru_cache(maxsize=len(PALETTES))
def equity_picture(theme: str) -> str:
    """The picture of the equity and, below it, of the drawdown, as JSON for Bokeh's `embed_item`."""
    look = PALETTES[theme]
    source = ColumnDataSource(data=_empty(EQUITY), name="equity")
    above = _figure(look, height=210, x_axis_type="datetime")
    above.line("time", "balance", source=source, color=look.quiet, line_dash="dashed", line_width=1.2)
    line = above.line("time", "equity", source=source, color=look.accent, line_width=2)
    tips = [
        ("time", "@time{%Y-%m-%d %H:%M}"),
        ("equity", "@equity{0,0.00}"),
        ("balance", "@balance{0,0.00}"),
        ("drawdown", "@drawdown{0.00} %"),
    ]
    above.add_tools(HoverTool(tooltips=tips, formatters={"@time": "datetime"}, mode="vline", renderers=[line]))
    above.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    above.xaxis.visible = False
    below = _figure(look, height=110, x_axis_type="datetime", x_range=above.x_range)
    below.varea("time", y1=0, y2="drawdown", source=source, fill_color=look.area, fill_alpha=0.28)
    below.line("time", "drawdown", source=source, color=look.area, line_width=1.2)
    below.yaxis.formatter = NumeralTickFormatter(format="0.[00]")
    below.yaxis.axis_label = "drawdown, %"
    below.yaxis.ticker.desired_num_ticks = 3
    below.xaxis.formatter = DatetimeTickFormatter(
        hours="%m-%d %H:%M", hourmin="%m-%d %H:%M", minutes="%H:%M", days="%Y-%m-%d", months="%Y-%m", years="%Y"
    )
    below.xaxis.ticker.desired_num_ticks = 5
    _cross(look, above, below)
    return _item([above, below], "equity-figure")


def lines_of(rows: Sequence[Row]) -> tuple[Line, ...]:
    """What is drawn of the strategy's indicators."""
    return tuple(Line(str(row["name"]), bool(row["overlay"]), bool(row["scatter"])) for row in rows)


@lru_cache(maxsize=MOST_PICTURES)
def price_picture(lines: tuple[Line, ...], theme: str) -> str:
    """The picture of the candles, and below them a panel for each indicator that is not drawn over the prices; as JSON."""
    look, named = PALETTES[theme], {f"line{place}": line for place, line in enumerate(lines)}
    columns = {"bars": _empty((*BARS, *named)), "trades": _empty(TRADES), "levels": _empty(LEVELS)}
    bars, trades, levels = (ColumnDataSource(data=data, name=name) for name, data in columns.items())
    main = _figure(look, height=380)
    _candles(main, look, bars)
    _drawn_trades(main, look, trades, levels)
    for place, (name, line) in enumerate((name, line) for name, line in named.items() if line.overlay):
        _line(main, bars, (name, line), look.lines[place % len(look.lines)])
    panels = [_panel(look, bars, main, group) for group in _groups(named)[:MOST_PANELS]]
    for each in (main, *panels):
        each.xaxis.visible = each is (panels or [main])[-1]
        each.xaxis.ticker.min_interval = 1
    if main.legend:
        main.legend.location = "top_left"
    _cross(look, main, *panels)
    return _item([main, *panels], "price-figure")


def _candles(main: Any, look: Palette, bars: ColumnDataSource) -> None:
    colour = factor_cmap("rise", [look.up, look.down], ["up", "down"])
    main.segment("x", "high", "x", "low", source=bars, color=colour, line_width=1)
    boxes = main.vbar("x", 0.68, "open", "close", source=bars, fill_color=colour, line_color=colour)
    tips = [
        ("", "@time"),
        ("O", "@open{0.[00000000]}"),
        ("H", "@high{0.[00000000]}"),
        ("L", "@low{0.[00000000]}"),
        ("C", "@close{0.[00000000]}"),
    ]
    main.add_tools(HoverTool(tooltips=tips, mode="vline", renderers=[boxes], point_policy="follow_mouse"))


def _drawn_trades(main: Any, look: Palette, trades: ColumnDataSource, levels: ColumnDataSource) -> None:
    result = factor_cmap("result", [look.up, look.down], ["won", "lost"])
    kinds = factor_cmap("kind", [look.accent, look.down, look.up], ["entry", "stop", "target"])
    side = factor_mark("side", ["triangle", "inverted_triangle"], ["BUY", "SELL"])
    main.segment("x0", "y0", "x1", "y1", source=trades, color=result, line_width=2, line_dash="dotted")
    entries = main.scatter("x0", "y0", source=trades, marker=side, size=11, color=look.accent, line_color=look.ink)
    exits = main.scatter("x1", "y1", source=trades, marker="square", size=7, color=result, line_color=look.ink)
    main.add_tools(HoverTool(tooltips=[("", "@text")], renderers=[entries, exits]))
    main.segment("x0", "y", "x1", "y", source=levels, color=kinds, line_width=1.5, line_dash="dashed")


def _panel(look: Palette, bars: ColumnDataSource, main: Any, group: Sequence[tuple[str, Line]]) -> Any:
    panel = _figure(look, height=120, x_range=main.x_range)
    for place, named in enumerate(group):
        _line(panel, bars, named, look.lines[place % len(look.lines)])
    panel.legend.location = "top_left"
    panel.yaxis.ticker.desired_num_ticks = 4
    return panel


def _line(drawn: Any, bars: ColumnDataSource, named: tuple[str, Line], colour: str) -> None:
    name, line = named
    text = line.name if len(line.name) <= LONGEST_NAME else f"{line.name[: LONGEST_NAME - 10]}…{line.name[-9:]}"
    if line.scatter:
        drawn.scatter("x", name, source=bars, size=4, color=colour, legend_label=text)
    else:
        drawn.line("x", name, source=bars, color=colour, line_width=1.6, legend_label=text)


def _groups(named: Mapping[str, Line]) -> list[list[tuple[str, Line]]]:
    """The lines below the prices; those of one indicator, "Bands 1" and "Bands 2", together."""
    groups: dict[str, list[tuple[str, Line]]] = {}
    for name, line in named.items():
        if not line.overlay:
            groups.setdefault(re.sub(r" \d+$", "", line.name), []).append((name, line))
    return list(groups.values())


def _figure(look: Palette, *, height: int, **more: Any) -> Any:
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        tools=TOOLS if "x_range" not in more else "",
        toolbar_location="above" if "x_range" not in more else None,
        active_drag="xpan" if "x_range" not in more else None,
        active_scroll=None,
        y_range=DataRange1d(only_visible=True, range_padding=0.08),
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_left=64,
        min_border_right=8,
        **more,
    )
    made.toolbar.logo = None
    for axis in (made.xaxis, made.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = look.quiet
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
    made.yaxis.formatter = BasicTickFormatter(use_scientific=False)
    made.grid.grid_line_color = look.grid
    made.xgrid.grid_line_color = None
    return made


def _cross(look: Palette, *figures: Any) -> None:
    upright = Span(dimension="height", line_color=look.quiet, line_dash="dotted", line_width=1)
    for each in figures:
        across = Span(dimension="width", line_color=look.quiet, line_dash="dotted", line_width=1)
        each.add_tools(CrosshairTool(overlay=(upright, across)))
        if each.legend:
            each.legend.background_fill_alpha = 0.0
            each.legend.border_line_color = None
            each.legend.label_text_color = look.ink
            each.legend.label_text_font_size = "12px"
            each.legend.padding = each.legend.spacing = 2


def _item(figures: Sequence[Any], target: str) -> str:
    forget_other_plots()
    return json.dumps(json_item(column(*figures, sizing_mode="stretch_width", spacing=0), ID(target)), allow_nan=False)


# rows


def decimals(bars: Columns) -> int:
    """Of prices at the steps that an axis of this range has."""
    prices = [price for price in (*bars["high"], *bars["low"]) if isinstance(price, int | float) and math.isfinite(price)]
    span = max(prices) - min(prices) if prices else 0.0
    return max(0, min(8, 1 + math.ceil(-math.log10(span)))) if span > 0 else 5


def _label(bar: Row) -> str:
    time = datetime.fromtimestamp(int(_number(bar["bar_epoch"])), tz=_UTC)
    return f"{time:%Y-%m-%d}" if not time.hour and not time.minute else f"{time:%m-%d %H:%M}"


def _offset(bars: Sequence[Row]) -> int:
    """Seconds from UTC to the server's clock, by the first bar that has both."""
    at = _milliseconds(bars[0]["bar_time"]) if bars else None
    return 0 if at is None else int(_number(bars[0]["bar_epoch"])) - at // 1000


def _place(time: object, opens: list[int], offset: int) -> int | None:
    """The bar in which a moment lies; None where it lies before all of them."""
    at = _milliseconds(time)
    place = -1 if at is None else bisect_right(opens, at // 1000 + offset) - 1
    return place if place >= 0 else None


def _milliseconds(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _list(text: object) -> list[Any]:
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0
