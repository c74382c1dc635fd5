"""`python -m Live drift`: what a recorded session earned, what its backtest earns on the same bars, and why that differs.

The backtest begins where the session began: with its balance, without trades, warmed up with the same history. What is open
at the end is valued on both sides at the close of the last bar that was decided, and deals after that are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from Backtest.bars import timeframe
from Backtest.errors import BadInput
from Backtest.session import StrategyFailed
from Backtest.session.backtested import backtested
from Backtest.session.playing import Subject
from Backtest.strategies import LoadedStrategy, load_strategy
from Live.audit_logger.recorded import Session
from Live.audit_logger.retold import Retold, Told
from Live.drift_causes import Cause, Share, shares_of
from Live.drift_sides import Chart, backtest_side, live_side, trades_of, usual_rate
from Live.errors import Misconfigured
from Live.further_columns import read_again
from Live.model import SymbolSpec
from Live.recorded_bars import warm_up_bars
from Live.report import FEWEST_BARS, Wanted, since_of
from Live.session_account import frame_of_rows


@dataclass(frozen=True, slots=True)
class Drift:
    """One symbol of a session: every trade's difference, in cents, by cause."""

    session: Session
    symbol: str
    timeframe: str
    bars: int
    shares: Sequence[Share]
    notes: tuple[str, ...]

    @property
    def backtest(self) -> int:
        """What the backtest made, cents."""
        return sum(share.backtest for share in self.shares)

    @property
    def live(self) -> int:
        """What was made, cents."""
        return sum(share.live for share in self.shares)

    def money(self, cause: Cause) -> int:
        """What a cause has cost (below zero) or brought, cents."""
        return sum(share.causes.get(cause, 0) for share in self.shares)

    def count(self, cause: Cause) -> int:
        """The number of trades that it has touched."""
        return sum(bool(share.causes.get(cause)) for share in self.shares)


def drifts_of(db: Path, wanted: Wanted) -> list[Drift]:
    """The drift of each symbol and timeframe of a session.

    Raises RecordUnavailable when the record cannot be read or has no such session, Misconfigured when nothing was decided
    there or its strategy file is gone, and BadInput when that cannot be run.
    """
    since = since_of(wanted.since)
    with Retold(db) as record:
        session = record.session(run=wanted.run, slot=wanted.slot)
        charts = [chart for chart in record.charts(session) if not wanted.symbols or chart[0] in wanted.symbols]
        told = [each for chart in charts if len((each := record.told(session, chart)).bars) >= FEWEST_BARS]
    if not told:
        raise Misconfigured(f"{db}: {session.slot} has decided fewer than {FEWEST_BARS} bars there; there is nothing to compare yet")
    loaded, notes = strategy_of(session)
    return [_drift(session, each, loaded, notes, since=since) for each in told]


def strategy_of(session: Session) -> tuple[LoadedStrategy, tuple[str, ...]]:
    """The strategy as its file is now, and a note where that is not what traded. Raises BadInput."""
    loaded = load_strategy(f"{session.strategy_file}:{session.strategy_class}")
    if loaded.sha256 == session.strategy_sha256:
        return loaded, ()
    return loaded, (f"{session.strategy_file} has changed since it traded; the backtest is that of the file as it is now.",)


def _drift(session: Session, told: Told, loaded: LoadedStrategy, notes: tuple[str, ...], *, since: str) -> Drift:
    chart = _chart(session, told, loaded)
    history = warm_up_bars(told.warm_ups[0], told.history, told.bars) if told.warm_ups else []
    first = chart.epochs[0]
    rows = [*(row for row in history if row["bar_epoch"] < first), *told.bars]
    shown = told.bars[0]["shown"]
    cash = float(json.loads(str(shown))["cash"]) if shown else session.initial_balance
    subject = Subject(loaded.cls, loaded.backtest, session.params)
    further = read_again(told.events, told.symbol, float(session.settings["SIM_SPREAD_POINTS"]))
    notes += (f"{further.note}.",) if further.note else ()
    try:
        made = backtested(subject, frame_of_rows(rows), since=pd.Timestamp(first, unit="s"), cash=cash, further=further.columns)
    except StrategyFailed as error:
        raise BadInput(f"{loaded.path}: {error}", *notes) from error
    if further.note and not made.decisions:
        raise BadInput(*notes)
    live = live_side(chart)
    backtest = backtest_side(chart, made, [int(str(row["bar_epoch"])) for row in rows], _rate(chart))
    begins = min((int(str(row["bar_epoch"])) for row in told.bars if str(row["bar_time"]) >= since), default=chart.end)
    trades = [trade for trade in trades_of(chart, live, backtest, made) if trade.opener[0] >= begins]
    shares = shares_of(trades)
    return Drift(session, told.symbol, told.timeframe, len(told.bars), shares, (*notes, *_open_at_the_end(shares, chart)))


def _open_at_the_end(shares: Sequence[Share], chart: Chart) -> Iterator[str]:
    still = sum(any(part.exit_bar is None for part in (*share.trade.backtest, *share.trade.live)) for share in shares)
    if still:
        how_many = f"{still} trades are" if still > 1 else "1 trade is"
        yield f"{how_many} open at the end, valued on both sides at {chart.last_close:.10g}, the close of the last bar that was decided."


def _rate(chart: Chart) -> float:
    positions: dict[int, list[Mapping[str, Any]]] = {}
    for fill in chart.fills:
        if fill["epoch"] < chart.end:
            positions.setdefault(fill["position_id"], []).append(fill)
    return usual_rate(positions.values(), chart.contract)


def _chart(session: Session, told: Told, loaded: LoadedStrategy) -> Chart:
    if not told.spec:
        raise Misconfigured(f"{session.slot} was recorded by an older version, without what {told.symbol} is: its drift cannot be told")
    epochs = [int(str(row["bar_epoch"])) for row in told.bars]
    events = [json.loads(str(row["details"])) for row in told.events if row["event_type"] == "SIZE_CUT"]
    return Chart(
        epochs=epochs,
        end=timeframe(told.timeframe).next_open(epochs[-1]),
        last_close=float(str(told.bars[-1]["close"])),
        bars=told.bars,
        signals=told.signals,
        orders=told.orders,
        sent=told.sent,
        fills=told.fills,
        swaps=told.swaps,
        cuts={event["client_order_id"]: event["lots"] for event in events if "lots" in event},
        spec=SymbolSpec(**told.spec),
        sizing=str(session.settings["SIZING"]),
        backtest=loaded.backtest,
    )


# telling it


def print_drifts(db: Path, wanted: Wanted, html: Path | None, *, trades: bool = False, as_json: bool = False) -> list[Path]:
    """Print each symbol's table and, with `html`, write the waterfalls; the files that were written.

    Raises what `drifts_of` does, and Misconfigured for a file that cannot be written.
    """
    from Live.drift_plot import draw  # late: it takes a second to import

    drifts = drifts_of(db, wanted)
    alone = len(drifts) == 1
    files = []
    for drift in drifts if html is not None else ():
        assert html is not None
        file = html if alone else html.with_name(f"{html.stem}_{drift.symbol}_{drift.timeframe}{html.suffix}")
        title = f"{drift.session.strategy_class} on {drift.symbol} {drift.timeframe}: from the backtest to what was earned"
        draw(title, [("Backtest", drift.backtest), *((cause.value, drift.money(cause)) for cause in _touched(drift))], drift.live, file)
        files.append(file)
    out = Console(highlight=False, soft_wrap=True)
    if as_json:
        out.out(json.dumps([_facts(drift) for drift in drifts], indent=2))
        return files
    for drift in drifts:
        _print(out, drift, trades=trades)
    for file in files:
        out.print(f"Waterfall: {file}", markup=False)
    return files


def _touched(drift: Drift) -> list[Cause]:
    return [cause for cause in Cause if drift.count(cause)]


def _print(out: Console, drift: Drift, *, trades: bool) -> None:
    session = drift.session
    out.print(f"[bold]{session.strategy_class} on {drift.symbol} {drift.timeframe}[/bold]: {drift.bars:,} bars of {session.slot}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("", "left"), ("Money", "right"), ("Trades", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    table.add_row("Backtest", _money(drift.backtest), str(sum(bool(share.trade.backtest) for share in drift.shares)), "its P/L")
    for cause in _touched(drift):
        table.add_row(f"  {cause.value}", _signed(drift.money(cause)), str(drift.count(cause)), cause.meaning)
    table.add_row("Live", _money(drift.live), str(sum(bool(share.trade.live) for share in drift.shares)), "what the record says")
    out.print(table)
    if not _touched(drift):
        out.print("[green]No drift: every trade made what it makes in the backtest.[/green]")
    if trades:
        out.print(_trades(drift))
    for note in drift.notes:
        out.print(f"Note: {note}", markup=False)


def _trades(drift: Drift) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("Decided", "left"), ("Units", "right"), ("Backtest", "right"), ("Live", "right"), ("Why", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for share in drift.shares:
        size = sum(part.size for part in share.trade.live or share.trade.backtest)
        why = [f"{cause.value} {_signed(cents)}" for cause, cents in share.causes.items() if cents]
        why += [share.trade.note] if share.trade.note else []
        sides = (_money(cents) if parts else "–" for cents, parts in _sides(share))
        table.add_row(f"{pd.Timestamp(share.trade.opener[0], unit='s'):%Y-%m-%d %H:%M}", f"{size:,.10g}", *sides, ", ".join(why))
    return table


def _sides(share: Share) -> tuple[tuple[int, Sequence[Any]], tuple[int, Sequence[Any]]]:
    return (share.backtest, share.trade.backtest), (share.live, share.trade.live)


def _facts(drift: Drift) -> dict[str, Any]:
    session = drift.session
    return {
        "slot": session.slot,
        "mode": session.mode,
        "strategy": session.strategy_class,
        "params": dict(session.params),
        "symbol": drift.symbol,
        "timeframe": drift.timeframe,
        "bars": drift.bars,
        "backtest": drift.backtest / 100,
        "live": drift.live / 100,
        "causes": {cause.value: {"money": drift.money(cause) / 100, "trades": drift.count(cause)} for cause in Cause},
        "trades": [_trade_facts(share) for share in drift.shares],
        "notes": list(drift.notes),
    }


def _trade_facts(share: Share) -> dict[str, Any]:
    trade, (backtest, live) = share.trade, _sides(share)
    return {
        "decided": str(pd.Timestamp(trade.opener[0], unit="s")),
        "leg": trade.opener[1],
        "backtest": backtest[0] / 100 if backtest[1] else None,
        "live": live[0] / 100 if live[1] else None,
        "causes": {cause.value: cents / 100 for cause, cents in share.causes.items() if cents},
        "note": trade.note,
    }


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _signed(cents: int) -> str:
    return f"{cents / 100:+,.2f}"
