"""`python -m Live verify`: the same bars through `Backtest.run()` and, one at a time, through the whole live stack."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from Backtest.bars import fingerprint, timeframe_of
from Backtest.decisions import Cancel, Close, Decision, Enter, Protect
from Backtest.errors import BadInput
from Backtest.fractional import FractionalUnit
from Backtest.parity_terminal import ParityTerminal
from Backtest.run_backtest import Job, run
from Backtest.session import StrategyFailed, StrategySession
from Backtest.simulated_terminal import ReplayMarket, SymbolSpec, parity_account, parity_symbol
from Backtest.sizing import market_commission_of
from Backtest.strategies import LoadedStrategy, load_strategy
from Live.audit_logger import to_json
from Live.audit_logger.recorded import Recorded
from Live.backtesting_bridge import signal_of
from Live.clock import SystemClock
from Live.comparison import Decided, Difference, Told, Traded, differences
from Live.config import PROJECT_ROOT, LiveConfig, load_config
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.logs import close_logging, setup_logging, terminal
from Live.mt5_connector import OpenedTerminal
from Live.reporter import versions
from Live.strategy_checks import Asked, bars_of, subject_of

CHECK_FAILED = 6
CERTIFICATES = PROJECT_ROOT / "data" / "certificates"
ROUNDED = 1e-12  # of a price that a fractional_unit has multiplied and divided
LISTED = 20  # differences that a certificate names; the first is the one that leads to the others

# Nothing of our own may stand between a decision and its order: a backtest has no such limits, however high.
_WITHOUT_LIMIT = (
    *("max_position_size", "max_positions", "max_daily_trades", "max_daily_loss_pct", "max_spread_points"),
    *("max_orders_per_minute", "max_failures_in_a_row", "max_quote_age_seconds", "max_signal_age_seconds", "price_collar_pct"),
)


class BacktestFailed(BadInput):
    """A strategy fails in its own backtest; `bars` is how many were over by then, None where its init() failed."""

    def __init__(self, sentence: str, bars: int | None) -> None:
        super().__init__(sentence)
        self.bars = bars


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison on one symbol came to; `waited` names what the live side waited for, where that is all of the difference."""

    symbol: str
    timeframe: str
    bars: pd.DataFrame
    backtest: Told
    live: Told
    differences: Sequence[Difference]
    notes: Sequence[str]
    waited: str


def verify(asked: Asked, config: LiveConfig, certificate: Path | None) -> int:
    """Compare a strategy's backtest with its run through the live stack, and print and certify what is found; 0, or 6 where they differ.

    `certificate` is a file for it; None: one in data/certificates. Raises BadInput for a strategy or prices that cannot be
    used, and LiveError where the bars come from a terminal that cannot be reached.
    """
    loaded, subject = subject_of(asked)
    if certificate is not None and len(config.symbols) > 1:
        raise BadInput("--certificate names one file, and there are several symbols; verify them one at a time, or leave it out")
    if asked.as_json:
        terminal().quiet = True
    out, different = Console(highlight=False, soft_wrap=True), False
    for symbol in config.symbols:
        verdict = compare(asked.strategy, subject.params, bars_of(asked, config, symbol), symbol)
        different |= bool(verdict.differences)
        facts = _certified(loaded, subject.params, verdict)
        path = certificate or CERTIFICATES / f"{loaded.path.stem}_{loaded.cls.__name__}_{symbol}_{verdict.timeframe}.json"
        _write(path, facts)
        if asked.as_json:
            out.out(json.dumps(facts, indent=2))
        else:
            _show(out, loaded, verdict, path)
    return CHECK_FAILED if different else 0


def compare(strategy: str, params: Mapping[str, Any], bars: pd.DataFrame, symbol: str) -> Verdict:
    """Both accounts of the bars, and where they differ. `strategy` is file.py or file.py:Class.

    Raises BadInput, which is BacktestFailed where there is no backtest to compare with.
    """
    bars, notes = _as_a_terminal_has_them(bars)
    # each side has the file for itself: what one leaves in its classes and modules, the other must not find
    loaded = load_strategy(strategy)
    backtest, lacking = backtest_told(loaded, params, bars)
    live = live_told(load_strategy(strategy), params, bars, symbol)
    if backtest.bars < len(bars) - 1:
        ruin = bars.index[backtest.bars]
        failure = live.failure if live.bars < backtest.bars else ""  # what a ruined account leads to is no difference
        backtest, live = _before(ruin, backtest), replace(_before(ruin, live), bars=backtest.bars, failure=failure)
        notes.append(f"the account is ruined on the bar of {ruin}; the backtest ends there, and what is compared is what was over before")
    if not backtest.decisions and not live.decisions:
        notes.append("the strategy ordered nothing on these bars, so that there was nothing to compare")
    tolerance = 0.0 if FractionalUnit.of(loaded.backtest).size == 1 else ROUNDED
    found = differences(backtest, live, tolerance=tolerance)
    waited = ", ".join(lacking) if found and not (live.decisions or live.trades or live.failure) else ""
    return Verdict(symbol, timeframe_of(bars).name, bars, backtest, live, found, notes, waited)


def _before(end: pd.Timestamp, told: Told) -> Told:
    decisions = [each for each in told.decisions if each.bar < end]
    trades = [each for each in told.trades if each.exit_bar is not None and each.exit_bar < end]
    return replace(told, decisions=decisions, trades=trades)


def _as_a_terminal_has_them(bars: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    volume = bars.get("Volume")
    if volume is None or (volume == volume.round()).all():
        return bars, []
    return bars.assign(Volume=volume.round()), ["volumes are rounded to whole numbers on both sides: a terminal has no others"]


# the backtest


def backtest_told(loaded: LoadedStrategy, params: Mapping[str, Any], bars: pd.DataFrame) -> tuple[Told, Sequence[str]]:
    """`Backtest.run()` on the bars, and what it does not wait for: indicators that have no value on any of them.

    What is open at the end stays open. Raises BacktestFailed.
    """
    settings = {**loaded.backtest, "finalize_trades": False}
    session = StrategySession(loaded.cls, settings, params, bars)
    try:
        history = session.warm_up(bars, complete=True)
    except StrategyFailed as error:
        raise BacktestFailed(f"{loaded.path}: {error}", error.bars) from error
    stats = run(Job(loaded, params, settings, bars, source="", plot=None)).stats
    # nobody can act on the last bar: the prices end with it
    decisions = [_decided(time, each) for time, decided in history if time != bars.index[-1] for each in decided]
    ended = int(bars.index.searchsorted(history[-1][0])) + 1 if history else len(bars)
    trades = list(_backtest_trades(stats, FractionalUnit.of(loaded.backtest)))
    return Told(min(ended, len(bars) - 1), decisions, trades, float(stats["Equity Final [$]"])), session.lacking


def _decided(bar: pd.Timestamp, decision: Decision) -> Decided:
    kind = signal_of(decision)
    if isinstance(decision, Enter):
        limit, stop, sl, tp = map(_number, (decision.limit, decision.stop, decision.sl, decision.tp))
        return Decided(bar, decision.leg, kind, float(decision.size), limit, stop, sl, tp, _tag(decision.tag))
    if isinstance(decision, Close):
        return Decided(bar, decision.leg, kind, float(decision.units), tag=_tag(decision.tag))
    if isinstance(decision, Protect):
        return Decided(bar, decision.leg, kind, sl=_number(decision.sl), tp=_number(decision.tp))
    assert isinstance(decision, Cancel)
    return Decided(bar, decision.leg, kind)


def _backtest_trades(stats: "pd.Series[Any]", unit: FractionalUnit) -> Iterator[Traded]:
    """In the market's units and prices, which FractionalBacktest gives only as far as they survive its rounding."""
    rows, strategy = stats["_trades"], stats["_strategy"]
    columns = ("EntryTime", "ExitTime", "PnL", "Commission")
    # not the columns of rows: one of tags makes floats of whole numbers where others have none
    for trade, entered, left, net, commission in zip(strategy.closed_trades, *(rows[name].tolist() for name in columns), strict=True):
        entry, leaving = (unit.market_price(float(price)) for price in (trade.entry_price, trade.exit_price))
        yield Traded(entered, left, unit.units(float(trade.size)), entry, leaving, _tag(trade.tag), net + commission)
    for trade in strategy.trades:
        size, price = unit.units(float(trade.size)), unit.market_price(float(trade.entry_price))
        yield Traded(pd.Timestamp(trade.entry_time), None, size, price, None, _tag(trade.tag), 0.0)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _tag(tag: object) -> object:
    return None if tag is None else json.loads(to_json(tag))  # as the record keeps it


# the live stack


def live_told(loaded: LoadedStrategy, params: Mapping[str, Any], bars: pd.DataFrame, symbol: str) -> Told:
    """What the record says after the bars went through loop, bridge, executor and simulated terminal, one at a time."""
    with tempfile.TemporaryDirectory(prefix="verify_") as name:
        folder = Path(name)
        config = _settings(folder, symbol, timeframe_of(bars).name)
        spec = replace(parity_symbol(symbol, bars, unit=FractionalUnit.of(loaded.backtest).size), spread_in_prices=False)
        market = ReplayMarket({symbol: (spec, bars)}, timeframe=timeframe_of(bars))
        account = parity_account(float(loaded.backtest["cash"]), market_commission_of(loaded.backtest))
        functions = ParityTerminal(market, account, backtest=loaded.backtest)
        setup_logging(config, functions.clock, console=False)
        try:
            with _Shown() as watcher:
                trader = LiveTrader(
                    config, Chosen(loaded, params), OpenedTerminal("simulated", functions, functions.clock), watcher=watcher
                )
                code = trader.run()
        finally:
            close_logging()
        if trader.end_reason.startswith("stopped by"):
            raise KeyboardInterrupt
        told = _recorded(config, symbol, spec)
        return replace(told, equity=trader.final_account.equity, failure=trader.end_reason if code else "")


def _settings(folder: Path, symbol: str, steps: str) -> LiveConfig:
    files = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "KILL_SWITCH_FILE": "EMERGENCY_STOP", "SIM_ACCOUNT_DIR": "accounts"}
    paths = {key: str(folder / file) for key, file in files.items()}
    fixed = {"SYMBOLS": symbol, "TIMEFRAME": steps, "SIZING": "strategy", "MT5_TERMINAL": "simulated", "DRY_RUN": "true"}
    quiet = {"DASHBOARD": "false", "LOG_LEVEL": "ERROR", "SNAPSHOT_SECONDS": "86400"}
    nothing = folder / "nothing.env"
    nothing.touch()
    return load_config({**fixed, **paths, **quiet}, nothing, {}).model_copy(update=dict.fromkeys(_WITHOUT_LIMIT, math.inf))


class _Shown(Watcher):
    """A bar while the replay runs."""

    def __init__(self) -> None:
        columns = (TextColumn("Trading bar by bar"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"))
        self._bar = Progress(*columns, console=terminal(), transient=True, disable=not terminal().is_terminal)

    def __enter__(self) -> "_Shown":
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.stop()

    def turned(self, trader: LiveTrader) -> None:
        done, total = trader.clock.progress  # type: ignore[attr-defined]  # a replay's clock
        self._bar.update(self._task, completed=done, total=total)


def _recorded(config: LiveConfig, symbol: str, spec: SymbolSpec) -> Told:
    with Recorded(config.audit_db_path) as record:
        session = record.session()
        bars = len(record.bars(session, symbol, config.timeframe))
        decisions = [_of_signal(row) for row in record.decisions(session, symbol)]
        closed = [_of_trade(row) for row in record.trades(session, symbol)]
        held = [_of_position(row, spec) for row in record.open_positions(session, symbol)]
    return Told(bars, decisions, [*closed, *held], 0.0)


def _of_signal(row: Mapping[str, Any]) -> Decided:
    limit, stop, sl, tp = (row[name] for name in ("limit_price", "stop_price", "stop_loss", "take_profit"))
    return Decided(_time(row["bar_time"]), row["leg"], row["signal"], row["size"], limit, stop, sl, tp, _stored_tag(row["tag"]))


def _of_trade(row: Mapping[str, Any]) -> Traded:
    entered, left = (pd.Timestamp(row[name], unit="s") for name in ("entry_epoch", "exit_epoch"))
    return Traded(entered, left, row["size"], row["entry_price"], row["exit_price"], _stored_tag(row["tag"]), row["profit"])


def _of_position(row: Mapping[str, Any], spec: SymbolSpec) -> Traded:
    size = spec.units(row["volume"]) * (1 if row["side"] == "BUY" else -1)
    return Traded(_time(row["entry_time"]), None, size, row["entry_price"], None, _stored_tag(row["tag"]), 0.0)


def _time(iso: str) -> pd.Timestamp:
    # a replay's clock counts as UTC, and a strategy's index is naive
    return pd.Timestamp(iso).tz_localize(None).floor("s")


def _stored_tag(text: str | None) -> object:
    return None if text is None else json.loads(text)


# telling it


def _cause(verdict: Verdict) -> str:
    """Where to look first, by what the first difference is."""
    first = verdict.differences[0]
    if verdict.waited:
        return f"{verdict.waited} has no value on any of these bars, for which a backtest does not wait, and live a value may come"
    if verdict.live.failure:
        return f"the live run ended early: {verdict.live.failure}"
    if first.what == "order":
        return (
            "both sides agree on every bar before, so the strategy saw something else here: an indicator that knew the future (python -m "
            "Live lookahead tells), chance, the machine's clock, or a file that it writes"
        )
    if first.what in ("trade", "profit"):
        return "the same orders were filled otherwise; docs/parity.md names what cannot be equal"
    return "no order and no trade differs; docs/parity.md names what cannot be equal"


def _show(out: Console, loaded: LoadedStrategy, verdict: Verdict, path: Path) -> None:
    bars, live = verdict.bars, verdict.live
    out.print(f"[bold]{loaded.cls.__name__}[/bold] on {verdict.symbol} {verdict.timeframe}, {bars.index[0]} to {bars.index[-1]}")
    table = Table(box=None, pad_edge=False)
    for name, justify in (("", "left"), ("Backtest", "right"), ("Live", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    sides = (verdict.backtest, live)
    table.add_row("Bars decided", *(f"{side.bars:,}" for side in sides))
    table.add_row("Orders", *(f"{len(side.decisions):,}" for side in sides))
    table.add_row("Trades", *(f"{len(side.trades):,}" for side in sides))
    table.add_row("Final equity", *(f"{side.equity:,.2f}" for side in sides))
    out.print(table)
    for note in verdict.notes:
        out.print(f"Note: {note}.")
    if not verdict.differences:
        out.print("[green]No differences.[/green]")
    else:
        out.print(f"[red]{len(verdict.differences):,} differences.[/red] The first:")
        _show_first(out, verdict)
    out.print(f"Certificate: {path}")


def _show_first(out: Console, verdict: Verdict) -> None:
    first = verdict.differences[0]
    out.print(f"  {first}", markup=False)
    if first.bar in verdict.bars.index:
        row = verdict.bars.loc[first.bar]
        out.print("  that bar: " + " ".join(f"{name}={row[name]:.10g}" for name in ("Open", "High", "Low", "Close")), markup=False)
    out.print(f"  Likely cause: {_cause(verdict)}.", markup=False)


def _certified(loaded: LoadedStrategy, params: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    found, bars = verdict.differences, verdict.bars
    sides = {"backtest": verdict.backtest, "live": verdict.live}
    counts = {
        name: {"bars": side.bars, "orders": len(side.decisions), "trades": len(side.trades), "equity": side.equity}
        for name, side in sides.items()
    }
    data = {"symbol": verdict.symbol, "timeframe": verdict.timeframe, "bars": len(bars), "first": str(bars.index[0])}
    facts = {
        "verdict": "different" if found else "equal",
        "made_at": SystemClock().now().isoformat(timespec="seconds"),
        "strategy": {"file": str(loaded.path), "class": loaded.cls.__name__, "sha256": loaded.sha256, "params": dict(params)},
        "backtest": dict(loaded.backtest),
        "data": {**data, "last": str(bars.index[-1]), "columns": list(bars.columns), "sha256": fingerprint(bars)},
        "versions": versions(),
        "compared": counts,
        "differences": len(found),
        "first_differences": [str(each) for each in found[:LISTED]],
        "likely_cause": _cause(verdict) if found else None,
        "notes": list(verdict.notes),
    }
    return json.loads(to_json(facts))  # type: ignore[no-any-return]


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"{path}: the certificate cannot be written ({error.strerror or error}); name another file with --certificate"
        ) from error
