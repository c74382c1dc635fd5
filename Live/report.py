"""`python -m Live report`: a recorded session as backtesting.py shows a backtest.

On a replay with `SIZING=strategy` the statistics are those of `Backtest.run` on the recorded bars, key by key, but for one
thing: backtesting.py counts a fixed commission of the entry again for every part of a trade that is closed in parts
(`_Broker._close_trade` of 0.6.6), though it was paid once. The record has what was paid, so that the commissions and the
figures of single trades differ there; the equity does not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from Backtest.bars import timeframe
from Backtest.errors import BadInput
from Backtest.session.playing import InitFailed, Subject
from Backtest.session.reporting import draw, prepared_strategy, statistics
from Backtest.strategies import load_strategy
from Live.audit_logger.recorded import Recorded, Session
from Live.errors import Misconfigured
from Live.further_columns import read_again
from Live.session_account import equity_at_closes, frame_of_rows, trades_frame, worth_of_positions

FEWEST_BARS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of the record a report is about. Without any of it: the newest session, all of it."""

    run: int | None = None  # only the bars that this run decided
    slot: str | None = None  # login@server/strategy_id/magic
    since: str | None = None  # a date or time, UTC
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One symbol of a session: the statistics of `Backtest.run`, the bars they are about, and what is to be known of both."""

    session: Session
    symbol: str
    timeframe: str
    bars: pd.DataFrame
    stats: "pd.Series[Any]"
    notes: tuple[str, ...]


def reports_of(db: Path, wanted: Wanted) -> list[Report]:
    """A report for each symbol and timeframe of a session.

    Raises RecordUnavailable when the record cannot be read or has no such session, Misconfigured when nothing was decided there.
    """
    since = since_of(wanted.since)
    with Recorded(db) as record:
        session = record.session(run=wanted.run, slot=wanted.slot)
        charts = [chart for chart in record.charts(session) if not wanted.symbols or chart[0] in wanted.symbols]
        found = [report for chart in charts if (report := _report(record, session, chart, run=wanted.run, since=since))]
    if not found:
        raise Misconfigured(f"{db}: {session.slot} has decided fewer than {FEWEST_BARS} bars there; nothing can be reported yet")
    return found


def print_reports(db: Path, wanted: Wanted, html: Path | None, *, as_json: bool = False) -> list[Path]:
    """Print the statistics and, with `html`, write the plots; the files that were written.

    Several symbols make several files, each with its symbol in the name. Raises what `reports_of` does, and Misconfigured
    for a file that cannot be written.
    """
    reports = reports_of(db, wanted)
    out = Console(highlight=False, soft_wrap=True)
    files = [] if html is None else [_drawn(report, _file_of(report, html, alone=len(reports) == 1)) for report in reports]
    if as_json:
        out.out(json.dumps([{**_facts(report), "stats": plain_stats(report.stats)} for report in reports], indent=2))
    else:
        for report in reports:
            _print(out, report)
        for file in files:
            out.print(f"Plot: {file}", markup=False)
    return files


def _report(record: Recorded, session: Session, chart: tuple[str, str], *, run: int | None, since: str) -> Report | None:
    symbol, steps = chart
    bars = record.bars(session, symbol, steps)
    shown = np.array([run in (None, bar["run_id"]) and str(bar["bar_time"]) >= since for bar in bars], dtype=bool)
    if shown.sum() < FEWEST_BARS:
        return None
    chosen = [bar for bar, is_shown in zip(bars, shown, strict=True) if is_shown]
    first, end = _whole(chosen[0]["bar_epoch"]), timeframe(steps).next_open(_whole(chosen[-1]["bar_epoch"]))
    all_fills, all_trades = record.fills(session, symbol), record.trades(session, symbol)
    fills = [fill for fill in all_fills if _whole(fill["epoch"]) < end]
    trades = [trade for trade in all_trades if first <= _whole(trade["exit_epoch"]) < end]
    frame = frame_of_rows(chosen)
    worth = worth_of_positions(all_trades, record.open_positions(session, symbol))
    equity = equity_at_closes(fills, bars, session.initial_balance, worth)[shown]
    further = read_again(record.events(session), symbol, float(session.settings["SIM_SPREAD_POINTS"]))
    strategy, notes = _strategy(session, frame if further.columns is None else frame.join(further.columns))
    notes += (f"{further.note}.",) if further.note else ()
    stats = statistics(frame, trades_frame(trades, pd.DatetimeIndex(frame.index)), equity, strategy=strategy)
    if later := len(all_fills) - len(fills):
        notes += (f"{later} deals came after the last bar that is shown; they are not in it.",)
    return Report(session, symbol, steps, frame, stats, notes)


def _strategy(session: Session, bars: pd.DataFrame) -> tuple[Any, tuple[str, ...]]:
    """The strategy with its indicators, if it still is what traded; else a note."""
    without = "no indicators are drawn, and buying and holding begins on the first bar"
    try:
        loaded = load_strategy(f"{session.strategy_file}:{session.strategy_class}")
        if loaded.sha256 != session.strategy_sha256:
            return None, (f"{session.strategy_file} has changed since it traded: {without}.",)
        return prepared_strategy(Subject(loaded.cls, loaded.backtest, session.params), bars), ()
    except BadInput:
        return None, (f"{session.strategy_file} is not there any more, or cannot be run: {without}.",)
    except InitFailed as error:
        return None, (f"The strategy's init() fails on the recorded bars alone ({error}): {without}.",)


def _drawn(report: Report, file: Path) -> Path:
    try:
        draw(report.stats, report.bars, file)
    except OSError as error:
        raise Misconfigured(f"{file}: the plot cannot be written ({error.strerror or error}); name another file with --html") from error
    return file


def _file_of(report: Report, html: Path, *, alone: bool) -> Path:
    return html if alone else html.with_name(f"{html.stem}_{report.symbol}_{report.timeframe}{html.suffix}")


def plain_stats(stats: "pd.Series[Any]") -> dict[str, Any]:
    """The statistics as JSON can hold them: times as text, what is missing or endless as null."""
    return {str(name): _plain(value) for name, value in stats.items() if not str(name).startswith("_")}


def _plain(value: Any) -> Any:
    if isinstance(value, (pd.Timestamp, pd.Timedelta)):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return None if pd.isna(value) or np.isinf(value) else float(value)


def _facts(report: Report) -> Mapping[str, Any]:
    session = report.session
    facts = {"slot": session.slot, "mode": session.mode, "strategy": session.strategy_class, "params": dict(session.params)}
    return {**facts, "symbol": report.symbol, "timeframe": report.timeframe, "bars": len(report.bars), "notes": list(report.notes)}


def _print(out: Console, report: Report) -> None:
    session = report.session
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in plain_stats(report.stats).items():
        table.add_row(name.replace("[", r"\["), _readable(value))
    out.print(f"[bold]{session.strategy_class} on {report.symbol} {report.timeframe}[/bold]: {len(report.bars):,} bars of {session.slot}")
    out.print(table)
    for note in report.notes:
        out.print(f"Note: {note}", markup=False)


def _readable(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"
    return "–" if value is None or value == "NaT" else str(value).removesuffix(" 00:00:00")


def since_of(text: str | None) -> str:
    """The moment as the record writes it; "" is before everything. Raises BadInput for a text that names none."""
    if text is None:
        return ""
    try:
        moment = pd.Timestamp(text)
    except ValueError as error:
        raise BadInput(f"--since is '{text}'; want a date or a time such as 2026-01-31 or '2026-01-31 14:00' (UTC)") from error
    if pd.isna(moment):
        raise BadInput(f"--since is '{text}'; want a date or a time such as 2026-01-31")
    return (moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")).isoformat()


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
