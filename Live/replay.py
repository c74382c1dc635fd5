"""`python -m Live replay`: decides a recorded session again, from the bars that the strategy saw and what it was shown.

Each run is replayed as it was made: with the history that it was warmed up with, with its parameters, and with the bars of
all its symbols in the order in which they were decided; but with the strategy file as it is now.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from Backtest.decisions import Account, Bar, ClosedTrade
from Backtest.session import StrategyFailed, StrategySession
from Backtest.strategies import LoadedStrategy, load_strategy
from Live.audit_logger.recorded import Session
from Live.audit_logger.retold import Retold, Told
from Live.errors import Misconfigured
from Live.further_columns import read_again
from Live.model import SymbolSpec
from Live.recorded_bars import warm_up_bars
from Live.report import Wanted, since_of
from Live.reporter import versions
from Live.session_account import frame_of_rows
from Live.symbol_trader import signal_row
from Live.trade_book import TradeBook, account_of, openings_first

CHECK_FAILED = 6
COMPARED = ("leg", "signal", "size", "limit_price", "stop_price", "stop_loss", "take_profit", "tag")
Row = Mapping[str, Any]
Signal = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first bar of a run on which it is decided otherwise now."""

    run_id: int
    symbol: str
    bar: Bar
    then: Sequence[Signal]
    now: Sequence[Signal]
    failure: str  # what the strategy raises now; "" when nothing
    shown: Account
    cause: str = ""


@dataclass(slots=True)
class Replayed:
    """What came of replaying one run."""

    run_id: int
    started_at: str
    changed: bool  # the strategy file is not what traded
    other_versions: Mapping[str, tuple[str, str]]  # of libraries: then and now
    bars: int = 0
    decisions: int = 0
    divergence: Divergence | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sources:
    """What is known of a session."""

    session: Session
    runs: Sequence[Row]
    told: Sequence[Told]
    closed: Mapping[tuple[str, str], Sequence[ClosedTrade]]  # by symbol and timeframe


def replays_of(db: Path, wanted: Wanted) -> list[Replayed]:
    """Every run of a session decided again, each up to its first divergence.

    Raises RecordUnavailable when the record cannot be read or has no such session, BadInput when the strategy file is not
    there any more or cannot be run, and Misconfigured when nothing on record can be decided again.
    """
    since = since_of(wanted.since)
    with Retold(db) as record:
        session = record.session(run=wanted.run, slot=wanted.slot)
        told = [record.told(session, chart) for chart in record.charts(session) if not wanted.symbols or chart[0] in wanted.symbols]
        closed = {(each.symbol, each.timeframe): _closed(record, each) for each in told}
        sources = _Sources(session, record.runs(session), told, closed)
    found = [_replayed(sources, run, since) for run in sources.runs if wanted.run in (None, run["run_id"])]
    if not any(each.bars for each in found):
        raise Misconfigured(f"{db}: no bar of {session.slot} there is on record with what its strategy was shown; nothing can be replayed")
    return [each for each in found if each.bars]


def _closed(record: Retold, told: Told) -> list[ClosedTrade]:
    if not told.spec:
        return []
    spec, book = SymbolSpec(**told.spec), TradeBook()
    rows: Sequence[Row] = told.orders
    tags = {row["mt5_order_id"]: row["tag"] for row in rows if row["kind"] in ("ENTRY", "PENDING")}
    for deal in openings_first(record.deals(told)):
        tag = tags.get(deal.position_id)
        book.add(deal, spec, None if tag is None else json.loads(tag))
    return list(book.closed(told.symbol))


def _replayed(sources: _Sources, run: Row, since: str) -> Replayed:
    loaded = load_strategy(f"{run['strategy_file']}:{run['strategy_class']}")  # anew, as it was for each run
    then, now = json.loads(run["versions"]), versions()
    other = {name: (str(then[name]), str(now.get(name))) for name in then if then[name] != now.get(name)}
    result = Replayed(run["run_id"], run["started_at"], loaded.sha256 != run["strategy_sha256"], other)
    again = _Run(sources, run, loaded, since)
    again.decide(result)
    result.notes += again.notes
    if result.divergence is not None:
        lost = "what the strategy was shown beside the bars cannot be read again" if again.notes else ""
        result.divergence = replace(result.divergence, cause=lost or _cause(sources, run, since, result))
    return result


class _Run:
    """One run, decided again."""

    def __init__(self, sources: _Sources, run: Row, loaded: LoadedStrategy, since: str) -> None:
        self._sources, self._run, self._loaded, self._since = sources, run, loaded, since
        self._sessions: dict[tuple[str, str], StrategySession] = {}
        self.notes: list[str] = []
        self._signals: dict[tuple[str, str, Any], list[Signal]] = defaultdict(list)
        for told in sources.told:
            for row in told.signals:
                if row["run_id"] == run["run_id"] and row["signal"] != "HOLD":
                    self._signals[told.symbol, told.timeframe, row["bar_time"]].append({name: row[name] for name in COMPARED})

    def decide(self, result: Replayed) -> None:
        """Go on until something is decided otherwise."""
        for told, row in self._bars():
            if row["shown"] is None:
                result.notes.append(f"{told.symbol}: the account that was shown is not on record; its bars are left out")
                return
            found = self._decided(told, row)
            if row["bar_time"] >= self._since:
                result.bars += 1
                result.decisions += len(found.then)
            if found.failure or not _same(found.then, found.now):
                result.divergence = found
                return

    def all_decisions(self) -> Iterator[tuple[Sequence[Signal], str]]:
        """What is decided now on each bar, whatever was decided then; up to the first failure."""
        for told, row in self._bars():
            if row["shown"] is None:
                return
            found = self._decided(told, row)
            yield found.now, found.failure
            if found.failure:
                return

    def _bars(self) -> Iterator[tuple[Told, Row]]:
        """All bars of the run, in the order in which they were decided."""
        run_id = self._run["run_id"]
        rows: list[tuple[Told, Row]] = [(told, row) for told in self._sources.told for row in told.bars if row["run_id"] == run_id]
        return iter(sorted(rows, key=lambda each: int(each[1]["id"])))

    def _decided(self, told: Told, row: Row) -> Divergence:
        bar = Bar(row["bar_epoch"], row["open"], row["high"], row["low"], row["close"], float(row["tick_volume"]), row["spread"])
        shown = self._account(told, row)
        then = self._signals.get((told.symbol, told.timeframe, row["bar_time"]), [])
        now, failure = [], ""
        try:
            decisions = self._session(told).on_bar(bar, shown)
            now = [_plain(signal_row(decision)) for decision in decisions]
        except StrategyFailed as error:
            failure = str(error)
        return Divergence(row["run_id"], told.symbol, bar, then, now, failure, shown)

    def _session(self, told: Told) -> StrategySession:
        chart = (told.symbol, told.timeframe)
        if chart not in self._sessions:
            run_id, points = self._run["run_id"], float(self._sources.session.settings["SIM_SPREAD_POINTS"])
            further = read_again((row for row in told.events if row["run_id"] == run_id), told.symbol, points)
            self.notes += [further.note] if further.note else []
            session = StrategySession(self._loaded.cls, self._loaded.backtest, json.loads(self._run["params"]), further.columns)
            rows: Sequence[Row] = told.warm_ups
            warm_up = next((row for row in rows if row["run_id"] == run_id), None)
            if warm_up is not None and warm_up["bars"]:
                history = warm_up_bars(warm_up, told.history, told.bars)
                session.warm_up(frame_of_rows(history), self._shown_until(told, warm_up["last_epoch"]))
            self._sessions[chart] = session
        return self._sessions[chart]

    def _shown_until(self, told: Told, epoch: int) -> dict[pd.Timestamp, Account]:
        rows: list[Row] = [row for row in told.bars if row["shown"] is not None]
        return {pd.Timestamp(row["bar_epoch"], unit="s"): self._account(told, row) for row in rows if row["bar_epoch"] <= epoch}

    def _account(self, told: Told, row: Row) -> Account:
        return account_of(json.loads(row["shown"]), self._sources.closed[told.symbol, told.timeframe])


def _plain(row: Signal) -> Signal:
    """As the record keeps it: NaN is nothing there."""
    values = {name: row.get(name) for name in COMPARED}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def _same(then: Sequence[Signal], now: Sequence[Signal]) -> bool:
    return list(then) == list(now)


def _is_left_to_chance(sources: _Sources, run: Row, since: str) -> bool:
    """Whether two more replays of the whole run, with the file as it is now, differ from each other."""
    spec = f"{run['strategy_file']}:{run['strategy_class']}"
    first, second = (list(_Run(sources, run, load_strategy(spec), since).all_decisions()) for _ in range(2))
    return first != second


def _cause(sources: _Sources, run: Row, since: str, result: Replayed) -> str:
    """Where to look first."""
    found = result.divergence
    assert found is not None
    if result.changed:
        return f"the strategy file has changed since: it was {run['strategy_sha256'][:12]}…"
    if _is_left_to_chance(sources, run, since):
        return "the strategy decides by chance, by the clock, or by something that it keeps outside: two replays differ from each other"
    if result.other_versions:
        named = ", ".join(f"{name} {then} → {now}" for name, (then, now) in result.other_versions.items())
        return f"other versions than then: {named}"
    if not any(row["run_id"] == run["run_id"] for told in sources.told if told.symbol == found.symbol for row in told.warm_ups):
        return "the history that the strategy was warmed up with is not on record"
    return "chance or the clock, or a file or module that the strategy reads and that has changed since; nothing that is on record differs"


# telling it


def print_replays(db: Path, wanted: Wanted, *, as_json: bool = False) -> int:
    """Print what came of every run; 0, or 6 when one of them diverges. Raises what `replays_of` does."""
    found = replays_of(db, wanted)
    out = Console(highlight=False, soft_wrap=True)
    if as_json:
        out.out(json.dumps([_facts(each) for each in found], indent=2, default=str))
    else:
        _print(out, found)
    return CHECK_FAILED if any(each.divergence for each in found) else 0


def _print(out: Console, found: Sequence[Replayed]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("Run", "right"), ("Started", "left"), ("Bars", "right"), ("Decisions", "right"), ("File", "left"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for each in found:
        file, verdict = "changed" if each.changed else "the same", "[red]diverges[/red]" if each.divergence else "[green]identical[/green]"
        table.add_row(str(each.run_id), each.started_at[:16], f"{each.bars:,}", f"{each.decisions:,}", file, verdict)
    out.print(table)
    for each in found:
        for note in each.notes:
            out.print(f"Note: run {each.run_id}: {note}.", markup=False)
    first = next((each.divergence for each in found if each.divergence), None)
    if first is not None:
        _print_divergence(out, first)


def _print_divergence(out: Console, first: Divergence) -> None:
    bar = first.bar
    prices = f"open={bar.open:.10g} high={bar.high:.10g} low={bar.low:.10g} close={bar.close:.10g}"
    lines = (
        f"The first divergence: run {first.run_id}, {first.symbol}, the bar of {bar.time} ({prices})",
        f"  then: {_in_words(first.then)}",
        f"  now:  {first.failure or _in_words(first.now)}",
        f"  it was shown: {_account_in_words(first.shown)}",
        f"  Likely cause: {first.cause}.",
    )
    for line in lines:
        out.print(line, markup=False)


def _in_words(signals: Sequence[Signal]) -> str:
    def words(signal: Signal) -> str:
        given = (f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value}" for name, value in signal.items())
        return " ".join(
            text for text, name in zip(given, signal, strict=True) if signal[name] is not None and name not in ("leg", "signal")
        )

    return "; ".join(f"{signal['signal']} {words(signal)}".strip() for signal in signals) or "nothing"


def _account_in_words(account: Account) -> str:
    held = ", ".join(f"{trade.size:,g} units from {trade.entry_price:.10g}" for trade in account.open) or "no trades"
    number = len(account.orders)
    waiting = f", {number} {'orders that wait' if number > 1 else 'order that waits'}" if number else ""
    return f"cash {account.cash:,.2f}, {held}{waiting}, {len(account.closed)} closed trades"


def _facts(each: Replayed) -> dict[str, Any]:
    first = each.divergence
    told = None
    if first is not None:
        shown = {"cash": first.shown.cash, "open": [trade.size for trade in first.shown.open], "closed": len(first.shown.closed)}
        decided = {"then": list(first.then), "now": list(first.now), "failure": first.failure}
        told = {"symbol": first.symbol, "bar": str(first.bar.time), **decided, "shown": shown, "likely_cause": first.cause}
    return {
        "run": each.run_id,
        "started_at": each.started_at,
        "strategy_file": "changed" if each.changed else "the same",
        "other_versions": {name: {"then": then, "now": now} for name, (then, now) in each.other_versions.items()},
        "bars": each.bars,
        "decisions": each.decisions,
        "divergence": told,
        "notes": each.notes,
    }
