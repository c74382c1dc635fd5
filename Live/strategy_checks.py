"""`python -m Live lookahead` and `warmup`: a strategy looked at on prices, without trading it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from Backtest.bars import builtin_prices, read_prices, resample, timeframe, timeframe_of
from Backtest.errors import BadInput
from Backtest.lookahead import Findings, Surprise, look_ahead
from Backtest.lookahead.check import Progress as Told
from Backtest.session.playing import Subject
from Backtest.strategies import LoadedStrategy, load_strategy
from Backtest.study.params_file import read_params
from Backtest.warmup import FEWEST_BARS, Warmup, shortest_history
from Live.backtesting_bridge import frame_of
from Live.config import MEASURED, LiveConfig
from Live.errors import LiveError
from Live.logs import terminal
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.terminals import kind_of, look_at_terminal

CHECK_FAILED = 6
LEAST = 1_000  # bars of a warm-up that was measured: after a pause no longer than that the bars of the pause are decided, too
LEAST_OF_INDICATORS = 100  # bars: fewer are hardly faster
NEWEST = 5_000  # bars that are looked at, when nobody says otherwise
FIGURES = ("Return [%]", "Equity Final [$]", "# Trades", "Win Rate [%]", "Sharpe Ratio", "Max. Drawdown [%]")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a check is about: a strategy, its parameters, and which bars."""

    strategy: str  # file.py or file.py:Class
    params: Sequence[str]  # name=value
    steps: str | None  # the timeframe that was asked for
    newest: int | None  # bars; None: all
    as_json: bool
    params_file: Path | None = None  # of a parameter study


def check_lookahead(asked: Asked, config: LiveConfig) -> int:
    """Look for lookahead in a strategy and print what is found; 0, or 6 where something knew the future.

    Raises BadInput, or LiveError where the bars come from a terminal that cannot be reached.
    """
    loaded, subject = subject_of(asked)
    red = False
    answers = []
    for symbol in config.symbols:
        bars = bars_of(asked, config, symbol)
        with _progress() as told:
            findings = look_ahead(subject, bars, progress=told)
        red = red or findings.is_red
        answers.append({"symbol": symbol, "verdict": _verdict(findings), **as_json(findings)})
        if not asked.as_json:
            _print_findings(Console(highlight=False, soft_wrap=True), f"{loaded.cls.__name__} on {symbol}", findings)
    if asked.as_json:
        Console(highlight=False).out(json.dumps({**_facts(loaded, subject), "checked": answers}, indent=2, allow_nan=False))
    return CHECK_FAILED if red else 0


def measure_warmup(asked: Asked, config: LiveConfig) -> int:
    """Measure how many bars a strategy needs before it decides as with all history, and print it; 0. Raises as `check_lookahead`."""
    loaded, subject = subject_of(asked)
    answers, longest = [], 0
    for symbol in config.symbols:
        bars = bars_of(asked, config, symbol)
        with _progress() as told:
            found = shortest_history(subject, bars, progress=told)
        answers.append({"symbol": symbol, **as_json(found)})
        longest = max(longest, len(bars) if found.bars is None else found.bars)
        if not asked.as_json:
            _print_warmup(Console(highlight=False, soft_wrap=True), f"{loaded.cls.__name__} on {symbol}", found)
    if asked.as_json:
        Console(highlight=False).out(json.dumps({**_facts(loaded, subject), "measured": answers}, indent=2, allow_nan=False))
    else:
        Console(highlight=False).print(f"Setting: WARMUP_BARS={longest}")
    return 0


def with_measured_bars(config: LiveConfig, loaded: LoadedStrategy, params: Mapping[str, Any]) -> tuple[LiveConfig, str]:
    """The settings with a number for WARMUP_BARS=auto and INDICATOR_BARS=auto, and a line about each; "" where neither is auto.

    It is twice what the strategy is measured to need on the newest bars of SYMBOLS, for bars that were not looked at; where it
    needs all there are, or there are too few to measure it on, 5,000 and all. Raises BadInput and LiveError as `measure_warmup`.
    """
    if MEASURED not in (config.warmup_bars, config.indicator_bars):
        return config, ""
    asked = Asked(str(loaded.path), (), config.timeframe, NEWEST, as_json=False)
    needed: list[int | None] = []
    for symbol in config.symbols:
        bars = bars_of(asked, config, symbol)
        with _progress() as told:
            enough = len(bars) >= FEWEST_BARS
            needed.append(shortest_history(Subject(loaded.cls, loaded.backtest, params), bars, progress=told).bars if enough else None)
    known = [count for count in needed if count is not None]
    twice = 2 * max(known) if len(known) == len(needed) else None
    why = f"it is measured to need {max(known):,}" if twice else "it needs all of its history, or there is too little to measure it on"
    found: dict[str, int | None] = {}
    lines = []
    if config.warmup_bars == MEASURED:
        found["warmup_bars"] = count = NEWEST if twice is None else max(twice, LEAST)
        lines.append(f"WARMUP_BARS=auto: {count:,} bars of history; {why}")
    if config.indicator_bars == MEASURED:
        found["indicator_bars"] = window = None if twice is None else max(twice, LEAST_OF_INDICATORS)
        lines.append(f"INDICATOR_BARS=auto: {'all bars' if window is None else f'the newest {window:,} bars'}; {why}")
    return config.model_copy(update=found), "\n".join(lines)


class KnewTheFuture(LiveError):
    """A strategy that is about to trade real money decided with what nobody could know."""

    exit_code = CHECK_FAILED


def refuse_lookahead(loaded: LoadedStrategy, params: Mapping[str, Any], bars: Mapping[str, pd.DataFrame]) -> None:
    """Raise KnewTheFuture when the strategy knows the future on these bars, by symbol; BadInput when that cannot be found out.

    As strict as `check_lookahead`, and quicker: it does not play the strategy without the future.
    """
    for symbol, frame in bars.items():
        found = look_ahead(Subject(loaded.cls, loaded.backtest, params), frame, honest=False).surprises
        if found:
            first = found[0]
            raise KnewTheFuture(
                f"{symbol}: {first.name} {first.sentence}, from {first.first_time} on"
                + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
                + f"; see python -m Live lookahead {loaded.path}. Real money is not traded with that unless you add --allow-lookahead"
            )


def as_json(findings: Any) -> dict[str, Any]:
    """A frozen record as JSON can hold it: enums by name, what is missing or endless as null."""
    return {name: _plain(value) for name, value in asdict(findings).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    if isinstance(value, float):  # NumPy's, too
        return float(value) if abs(value) < float("inf") else None
    return value.item() if hasattr(value, "item") else str(value)


def _facts(loaded: LoadedStrategy, subject: Subject) -> dict[str, Any]:
    return {"strategy": str(loaded.path), "class": loaded.cls.__name__, "sha256": loaded.sha256, "params": dict(subject.params)}


def subject_of(asked: Asked) -> tuple[LoadedStrategy, Subject]:
    """The strategy and its parameters. Raises BadInput."""
    loaded = load_strategy(asked.strategy)
    params, _ = read_params(loaded, asked.params, asked.params_file)
    return loaded, Subject(loaded.cls, loaded.backtest, params)


def bars_of(asked: Asked, config: LiveConfig, symbol: str) -> pd.DataFrame:
    """The bars that are asked for: of a price file, shipped ones, or those of a real terminal. Raises BadInput and LiveError."""
    if config.sim_prices or kind_of(config) == "simulated":
        frame = read_prices(config.sim_prices[symbol]) if config.sim_prices else builtin_prices(symbol)
        if asked.steps and timeframe(asked.steps) != timeframe_of(frame):
            frame = resample(frame, timeframe(asked.steps))
    else:
        frame = _bars_of_terminal(config, symbol, asked.newest or NEWEST)
    return frame if asked.newest is None else frame.iloc[-asked.newest :]


def _bars_of_terminal(config: LiveConfig, symbol: str, count: int) -> pd.DataFrame:
    opened = look_at_terminal(config)
    connector = MT5Connector(config, opened.functions, opened.clock)
    connector.connect()
    try:
        return frame_of(connector.closed_bars(symbol, timeframe(config.timeframe), count)[0])
    finally:
        connector.shutdown()


@contextmanager
def _progress() -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal(), transient=True, disable=not terminal().is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _verdict(findings: Findings) -> str:
    return "red" if findings.is_red else "random" if findings.random else "clean"


def _print_findings(out: Console, what: str, findings: Findings) -> None:
    out.print(f"[bold]{what}[/bold]: {findings.bars:,} bars, {findings.start} to {findings.end}")
    for found in findings.surprises:
        out.print()
        out.print(_card(found, findings.bars))
    if findings.is_red:
        out.print()
        out.print(_results(findings))
        out.print("[red]It knew the future.[/red] What it earned in its backtest it cannot earn live.")
    else:
        out.print("[green]Nothing knew the future.[/green]" if not findings.random else "Nothing that can be compared knew the future.")
    if findings.random:
        out.print(f"Left to chance, so that it cannot be compared: {', '.join(findings.random)}", markup=False)
    for note in findings.notes:
        out.print(f"Note: {note}.", markup=False)


def _card(found: Surprise, bars: int) -> Table:
    card = Table(
        title=f"{found.name} ({found.kind.name.lower()})", title_justify="left", title_style="bold red", show_header=False, box=None
    )
    card.add_column(style="dim", no_wrap=True)
    card.add_column()
    card.add_row("What", f"it {found.sentence}")
    card.add_row("From", f"bar {found.first_bar:,}, {found.first_time}")
    if found.shown == found.shown or found.known == found.known:
        card.add_row("There", f"the backtest saw {_number(found.shown)}; known was {_number(found.known)}")
    if found.largest == found.largest:
        card.add_row("Size", f"up to {found.largest:.2g} times the range of the middle half of its values")
    if found.wrong is not None:
        card.add_row("Wrong on", f"{found.wrong:,} of {bars:,} bars")
    card.add_row("Cure", found.cure)
    return card


def _results(findings: Findings) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("Result")
    table.add_column("Backtest", justify="right")
    table.add_column("Without the future", justify="right")
    for name in FIGURES:
        honest = "–" if findings.honest is None else _number(findings.honest.get(name, float("nan")))
        table.add_row(name.replace("[", r"\["), _number(findings.plain[name]), honest)
    table.caption = findings.honest_failure or None
    return table


def _print_warmup(out: Console, what: str, found: Warmup) -> None:
    out.print(f"[bold]{what}[/bold]: measured on {found.measured_on:,} bars, verified at {found.places} of them")
    table = Table(box=None, pad_edge=False)
    table.add_column("What")
    table.add_column("Bars needed", justify="right")
    table.add_column("Then it is the same")
    for need in found.needs:
        words = "never: its memory has no end" if need.bars is None else "bit for bit" if need.exact else "to a millionth"
        table.add_row(need.name.replace("[", r"\["), "all" if need.bars is None else f"{need.bars:,}", words)
    out.print(table)
    if found.bars is None:
        out.print("It needs all of its history: what it decides depends on the bar on which it begins.")
    else:
        out.print(f"From {found.bars:,} bars on its decisions are what they are with all history.")
    for note in found.notes:
        out.print(f"Note: {note}.", markup=False)


def _number(value: Any) -> str:
    return "nothing" if value != value else f"{value:,.6g}"


def newest_of(text: str) -> int | None:
    """How many bars `--bars` asks for; None is all of them. Raises BadInput."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"--bars is '{text}'; want a whole number above 0, or all")
    return int(text)
