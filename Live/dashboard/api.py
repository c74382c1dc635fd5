"""`/api/…`: what each address answers, from one sitting with the record, and what it may be asked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from werkzeug.exceptions import NotFound

from Live.audit_logger.listing import LISTINGS, MOST_ROWS, Listing, Pages
from Live.audit_logger.newest import NewestSession
from Live.audit_logger.reader import AuditReader
from Live.audit_logger.shown import ChartRows, Shown
from Live.clock import Clock
from Live.dashboard import alerted, answers, drawing, exporting
from Live.dashboard import performance as measuring
from Live.dashboard.asking import Argument, by_name
from Live.dashboard.turns import Turns
from Live.kill_switch import KillSwitchFile
from Live.model import Kind, Side, Status

V1 = "/api/v1"
MOST_EXPORTED = 100_000
MOST_LOOKS = 50  # of an export at 10,000 rows each in which its filters find less than a page
MOST_BARS = 2_000

Given = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Source:
    """Where answers come from."""

    db_path: Path
    clock: Clock
    kill_switch: KillSwitchFile
    turns: Turns = field(default_factory=Turns)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that is asked with GET and answers with a JSON object."""

    path: str
    says: str
    answer: Callable[[Source, Given], Any]
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    listing: Listing | None = None


def _read(answer: Callable[[AuditReader, Source, Given], Any]) -> Callable[[Source, Given], Any]:
    def answered(source: Source, given: Given) -> Any:
        with AuditReader(source.db_path, source.clock) as reader:
            return answer(reader, source, given)

    return answered


# lists

BEFORE = Argument("before", "Only rows below this key: `older` of the page before.", "integer")
LIMIT = Argument("limit", "At most so many rows.", "integer", 50, 1, MOST_ROWS)
FILTERS = by_name(
    Argument("run", "Of this run.", "integer", least=1),
    Argument("symbol", "Of this symbol."),
    Argument("status", "In this state.", one_of=tuple(status.value for status in Status)),
    Argument("kind", "Of this kind.", one_of=tuple(kind.value for kind in Kind)),
    Argument("side", "BUY or SELL.", one_of=tuple(side.value for side in Side)),
    Argument("acting", "true leaves out HOLD.", "boolean"),
    Argument("signal", "What was decided.", one_of=("BUY", "SELL", "CLOSE", "PROTECT", "CANCEL", "HOLD")),
    Argument("exit_reason", "What closed it."),
    Argument("severity", "Of this severity.", one_of=("INFO", "WARNING", "ERROR", "CRITICAL")),
    Argument("type", "Of this type, such as STARTUP."),
    Argument("text", "With this text in its message, in capitals or not."),
    Argument("mode", "DRY, DEMO or REAL.", one_of=("DRY", "DEMO", "REAL")),
)
LIST_SAYS = {
    "orders": "Orders, newest first.",
    "signals": "Decisions, newest first; `reason` says why one did not become an order.",
    "trades": "Closed trades, newest first.",
    "events": "What happened, newest first.",
    "runs": "Starts of the trader with their totals, newest first.",
}


def _filters(listing: Listing) -> dict[str, Argument]:
    return {name: FILTERS[name] for name in listing.names}


def _chosen(listing: Listing, given: Given) -> dict[str, object]:
    """The filters that are in force; a switch that is off is none."""
    return {name: given[name] for name in listing.names if name in given and not (name in listing.switches and given[name] is False)}


def _page_of(listing: Listing) -> Callable[[Source, Given], Any]:
    def answered(source: Source, given: Given) -> Any:
        before, limit = given.get("before"), given["limit"]
        assert isinstance(limit, int)
        with Pages(source.db_path, source.clock) as pages:
            page = pages.page(listing, _chosen(listing, given), before=before if isinstance(before, int) else None, limit=limit)
        return {"rows": page.rows, "older": page.older}

    return answered


def exported(source: Source, listing: Listing, given: Given) -> Iterator[str]:
    """The rows that pass the filters, newest first, as lines of CSV. Each page is a sitting of its own: nobody is held up."""
    pages = _all_pages(source, listing, _chosen(listing, given), given["limit"])
    first = next(pages)  # what cannot be read is said before the answer begins
    return chain([exporting.header(listing.names_of_columns), first], pages)


def _all_pages(source: Source, listing: Listing, chosen: dict[str, object], most: object) -> Iterator[str]:
    left, before, looks = most if isinstance(most, int) else 0, None, MOST_LOOKS
    while left > 0 and looks > 0:
        part = before, min(left, MOST_ROWS)
        question = ("csv", listing.table, *sorted(chosen.items()), *part)
        rows, before, text = source.turns.shared(question, partial(_exported_page, source, listing, chosen, part))
        yield text
        left -= rows
        looks -= rows < part[1]
        if before is None:
            return


def _exported_page(
    source: Source, listing: Listing, chosen: dict[str, object], part: tuple[int | None, int]
) -> tuple[int, int | None, str]:
    before, limit = part
    with Pages(source.db_path, source.clock) as pages:
        page = pages.page(listing, chosen, before=before, limit=limit)
    return len(page.rows), page.older, exporting.lines(page.rows, listing.names_of_columns)


# everything else


def _performance(source: Source, _given: Given) -> Any:
    with Shown(source.db_path, source.clock) as reader:
        if reader.latest_run() is None:
            return {"charts": [], "slippage": [], "latency": measuring.latency([]), "refusals": [], "outcomes": [], "measured_orders": 0}
        orders, times = reader.executions(), reader.answer_times()
    with NewestSession(source.db_path, source.clock) as session:
        charts = measuring.live_statistics(session)
    return {
        "charts": charts,
        "slippage": measuring.slippage(orders),
        "latency": measuring.latency(times),
        "refusals": measuring.refusals(orders),
        "outcomes": measuring.outcomes(orders),
        "measured_orders": len(orders),
    }


def _settings(reader: AuditReader, _source: Source, _given: Given) -> Any:
    return answers.settings(reader)


def chart_rows(source: Source, given: Given) -> tuple[dict[str, Any], ChartRows]:
    """What is drawn: its name and its rows. Raises NotFound for a symbol that nobody traded."""
    with Shown(source.db_path, source.clock) as reader:
        run = reader.latest_run()
        charts = reader.charts_of(run) if run else []
        wanted = {name: given[name] for name in ("symbol", "timeframe") if name in given}
        chart = next((chart for chart in charts if wanted.items() <= chart.items()), None)
        about = {"charts": charts, "symbol": None, "timeframe": None}
        if chart is None or run is None:
            if wanted:
                raise NotFound("The newest session has no such symbol and timeframe.")
            return about, ChartRows([], [], [], [], [])
        most = given["bars"]
        assert isinstance(most, int)
        return {**about, **chart}, reader.chart_rows(run, str(chart["symbol"]), str(chart["timeframe"]), most)


def _chart(source: Source, given: Given) -> Any:
    about, rows = chart_rows(source, given)
    lines = [{"name": line["name"], "overlay": bool(line["overlay"]), "scatter": bool(line["scatter"])} for line in rows.lines]
    return {**about, "lines": lines, "sources": drawing.price_sources(rows)}


CHART = by_name(
    Argument("symbol", "Of this symbol; else of that which the newest session traded last."),
    Argument("timeframe", "Of these bars, such as H1."),
    Argument("bars", "So many of the newest.", "integer", 300, 10, MOST_BARS),
)
HOLD = by_name(Argument("hold", "false leaves out HOLD.", "boolean"))

ENDPOINTS = [
    Endpoint(
        "/status", "Who trades what in which mode, and may it?", _read(lambda r, s, _: answers.status(r, s.clock.now(), s.kill_switch))
    ),
    Endpoint("/summary", "How it goes: orders, the day, the money, the run.", _read(lambda r, _s, _g: answers.summary(r))),
    Endpoint("/positions", "What is open, and what it makes.", _read(lambda r, _s, _g: answers.positions(r))),
    Endpoint("/limits", "Each limit with the distance to it, and the worst loss.", _read(lambda r, _s, _g: answers.limits(r))),
    Endpoint("/equity", "Equity and balance over time, at most 600 points.", _read(lambda r, _s, _g: answers.equity(r))),
    Endpoint(
        "/overview",
        "Status, summary, positions, limits, equity and the newest orders, signals and trades, all of one moment.",
        _read(lambda r, s, g: answers.overview(r, s.clock.now(), s.kill_switch, hold=g.get("hold") is not False)),
        HOLD,
    ),
    *(
        Endpoint(f"/{name}", LIST_SAYS[name], _page_of(listing), {**_filters(listing), **by_name(BEFORE, LIMIT)}, listing)
        for name, listing in LISTINGS.items()
    ),
    Endpoint("/chart", "The newest bars, the strategy's indicators on them, trades and levels.", _chart, CHART),
    Endpoint("/performance", "backtesting.py's statistics of the live trades; slippage, latency, refusals.", _performance),
    Endpoint("/alerts", "The newest 50 alerts, and what became of each on each channel.", lambda s, _: alerted.alerts(s.db_path, s.clock)),
    Endpoint("/settings", "What the newest run was started with; secrets are masked.", _read(_settings)),
]
SEEDS = [
    Endpoint("/api/status", "As /api/v1/status.", ENDPOINTS[0].answer),
    Endpoint("/api/summary", "As /api/v1/summary.", ENDPOINTS[1].answer),
    Endpoint("/api/positions", "As /api/v1/positions.", ENDPOINTS[2].answer),
    Endpoint("/api/recent_orders", "The newest 50 orders of the newest session.", _read(lambda r, _s, _g: answers.recent_orders(r))),
    Endpoint(
        "/api/recent_signals",
        "Its newest 50 signals.",
        _read(lambda r, _s, g: answers.recent_signals(r, hold=g.get("hold") is not False)),
        HOLD,
    ),
    Endpoint("/api/recent_trades", "Its newest 50 closed trades.", _read(lambda r, _s, _g: answers.recent_trades(r))),
    Endpoint("/api/equity", "As /api/v1/equity.", ENDPOINTS[4].answer),
    Endpoint("/api/overview", "As /api/v1/overview.", ENDPOINTS[5].answer, HOLD),
]
EXPORT_LIMIT = Argument("limit", "At most so many rows.", "integer", 10_000, 1, MOST_EXPORTED)


def export_arguments(listing: Listing) -> dict[str, Argument]:
    """What a CSV export may be asked."""
    return {**_filters(listing), **by_name(EXPORT_LIMIT)}
