"""A terminal whose prices are going on now: recorded ones, put by whole weeks to where the machine's clock is.

The week stays a week: what was a Monday is one, with the sessions and the gaps of then. Symbols without recorded prices have
made-up ones (`synthetic`), and say so in their description. Nothing here reads a clock.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from Backtest.bars import builtin_prices, is_ticks, read_bars_or_ticks
from Backtest.errors import BadInput
from Backtest.simulated_terminal.catalogue import catalogue, retail_symbol
from Backtest.simulated_terminal.minutes import by_the_minute
from Backtest.simulated_terminal.replay import ReplayMarket
from Backtest.simulated_terminal.server_time import ServerTime, server_time
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec
from Backtest.simulated_terminal.synthetic import calendar, can_be_made, synthetic_prices, with_a_past
from Backtest.simulated_terminal.terminal import SimulatedTerminal

_WEEK, _DAY, _HOUR = pd.Timedelta(weeks=1), pd.Timedelta(days=1), pd.Timedelta(hours=1)
_AHEAD = 0.25  # of the prices, about: the rest is history

RECORDED = "EURUSD"  # whose prices of 2017 are in the box
IN_THE_BOX = tuple("EURUSD GBPUSD USDJPY USDCHF AUDUSD USDCAD NZDUSD EURGBP EURJPY GBPJPY XAUUSD XAGUSD US500 BTCUSD".split())

Priced = dict[str, tuple[SymbolSpec, pd.DataFrame]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which market, and which account on it."""

    symbols: tuple[str, ...] = ()  # none: those of `files`, else all that are in the box
    files: Mapping[str, Path] = field(default_factory=dict)  # by symbol; the others have what is in the box
    utc: bool = False  # whether the times of the files are UTC; else they are the server's already
    symbols_file: Path | None = None
    server_time: ServerTime = field(default_factory=lambda: server_time("new-york"))
    speed: float = 1.0  # market seconds in a real one; inf: time passes in the terminal's own clock alone
    account: AccountSpec = field(default_factory=AccountSpec)
    account_file: Path | None = None
    always_open: bool = False  # where there is no trading now: let it be a weekday of the prices, and no sessions
    execution: int | None = None  # SYMBOL_TRADE_EXECUTION_* of every symbol; None: as the symbols are described

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols, whichever way they were wanted."""
        return self.symbols or tuple(self.files) or IN_THE_BOX

    @property
    def made_up(self) -> tuple[str, ...]:
        """The symbols whose prices nobody recorded."""
        return tuple(name for name in self.names if name not in self.files and name != RECORDED)


class Pace:
    """Seconds on the server's clock since it was let go: so many in a real one, through the changes of its summer time."""

    def __init__(self, monotonic: Callable[[], float], clock: ServerTime, speed: float) -> None:
        self._monotonic, self._clock, self._speed = monotonic, clock, speed
        self._begun: tuple[float, float, float] | None = None

    def let_go(self, utc: float, shown: float) -> None:
        """It is this moment now, while the market's clock still shows another time."""
        self._begun = (utc, shown, self._monotonic())

    def __call__(self) -> float:
        if self._begun is None:
            return 0.0
        utc, shown, since = self._begun
        return self._clock.to_server(utc + (self._monotonic() - since) * self._speed) - shown


def open_terminal(wanted: Wanted, now: float, monotonic: Callable[[], float]) -> SimulatedTerminal:
    """A terminal on the prices that are wanted, at the moment `now` (UTC seconds); `monotonic` moves it on from there.

    An account that is on file is continued: at the pace of life with all that has happened since, at another pace where
    it was. Raises BadInput with every mistake of prices, symbols or account.
    """
    specs = _specs(wanted)
    prices = _recorded(wanted, specs)
    mistakes: list[str] = []
    for shift in _places(wanted, prices, now):
        try:
            return _opened(wanted, _all(wanted, specs, prices, shift), now, monotonic)
        except BadInput as error:
            mistakes += [mistake for mistake in error.mistakes if mistake not in mistakes]
    raise BadInput(*mistakes)


def _places(wanted: Wanted, prices: Priced, now: float) -> list[pd.Timedelta]:
    """By how much the prices are to be moved: as they were when the account was begun, where there is one on file."""
    shown = _shown(wanted, now)
    found = list(_placements(prices, shown))
    begun = _begun(wanted.account_file) if wanted.account_file is not None else None
    if begun is not None:  # which was the time of a price, perhaps from before a weekend: the next best place may have been the best
        found = [shift for shift in list(_placements(prices, begun))[:2] if shift in found] or found
    chosen = found[: 1 if begun is None else 2]
    return [_to_trading(prices, shown, shift) for shift in chosen] if wanted.always_open else chosen


def _begun(account_file: Path) -> pd.Timestamp | None:
    """When the account was begun, on the server's clock: the time of its first step. What is wrong with a file is told elsewhere."""
    try:
        with account_file.open(encoding="ascii") as file:
            next(file)
            step = json.loads(next(file))
        return pd.Timestamp(step["now_msc"], unit="ms")
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


def _opened(wanted: Wanted, prices: Priced, now: float, monotonic: Callable[[], float]) -> SimulatedTerminal:
    virtual = math.isinf(wanted.speed)
    continued = wanted.account_file is not None and wanted.account_file.exists()
    pace = Pace(monotonic, wanted.server_time, wanted.speed)
    terminal = SimulatedTerminal(
        ReplayMarket(prices, start=_latest(prices, _shown(wanted, now))),
        wanted.account,
        state_file=wanted.account_file,
        speed=math.inf if virtual else 1.0,
        monotonic=None if virtual else pace,
    )
    reached = terminal.clock.now_msc / 1000
    pace.let_go(wanted.server_time.to_utc(reached) if continued and wanted.speed != 1 else now, reached)
    return terminal


def _shown(wanted: Wanted, now: float) -> pd.Timestamp:
    return pd.Timestamp(wanted.server_time.to_server(now), unit="s")


def _latest(prices: Priced, moment: pd.Timestamp) -> datetime:
    """The last price of any symbol at the moment or before."""
    latest: pd.Timestamp = max(frame.index[frame.index <= moment][-1] for _, frame in prices.values())
    return latest.to_pydatetime().replace(tzinfo=UTC)


def _placements(prices: Priced, moment: pd.Timestamp) -> Iterator[pd.Timedelta]:
    """By how many weeks the prices may be moved so that the moment falls into those of every symbol; the best first."""
    first: pd.Timestamp = max(frame.index[0] for _, frame in prices.values())
    last: pd.Timestamp = min(frame.index[-1] for _, frame in prices.values())
    fewest, most = math.floor((moment - last) / _WEEK) + 1, math.floor((moment - first) / _WEEK)
    if fewest > most:
        raise BadInput(
            f"the prices that all symbols have reach from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}: "
            "want a week or more, so that any moment of a week falls into them"
        )
    best = (moment - last + _AHEAD * (last - first)) / _WEEK
    yield from (weeks * _WEEK for weeks in sorted(range(fewest, most + 1), key=lambda weeks: abs(weeks - best)))


def _to_trading(prices: Priced, moment: pd.Timestamp, shift: pd.Timedelta) -> pd.Timedelta:
    """The shift, or so many days more that every symbol has prices in the hour that begins; the shift where no days help."""
    for moved in (shift + days * _DAY for days in range(7)):
        then = (moment - moved).floor("s")
        last = [frame.index[: frame.index.searchsorted(then, side="right")][-1] for _, frame in prices.values()]
        if all(then - each < _HOUR for each in last):
            return moved
    return shift


def _moved(frame: pd.DataFrame, shift: pd.Timedelta) -> pd.DataFrame:
    return frame.set_axis(frame.index + shift, axis=0)


def _specs(wanted: Wanted) -> dict[str, SymbolSpec]:
    """What is known about the symbols that need no file."""
    offered = catalogue(wanted.symbols_file)
    own = {name: offered[name] for name in wanted.names if name in offered and name not in wanted.files}
    without = [name for name in wanted.made_up if name not in own or not can_be_made(own[name])]
    mistakes = [f"no prices for {name}: name a file with --data {name}=FILE" for name in without]
    unused = [name for name in wanted.files if wanted.symbols and name not in wanted.symbols]
    mistakes += [f"there are prices for {name}, which is none of the symbols {','.join(wanted.symbols)}: add it to them" for name in unused]
    if mistakes:
        raise BadInput(*mistakes)
    return own


def _recorded(wanted: Wanted, specs: Mapping[str, SymbolSpec]) -> Priced:
    """What somebody recorded, on the server's clock; where that is nothing, the prices in the box say where the market is."""
    offered = {**catalogue(wanted.symbols_file), **specs}
    found: Priced = {}
    mistakes: list[str] = []
    for name in [name for name in wanted.names if name not in wanted.made_up] or [RECORDED]:
        try:
            frame = _frame(wanted, name)
            found[name] = (retail_symbol(name, frame, offered), frame)
        except BadInput as error:
            mistakes += error.mistakes
    if mistakes:
        raise BadInput(*mistakes)
    return found


def _all(wanted: Wanted, specs: Mapping[str, SymbolSpec], recorded: Priced, shift: pd.Timedelta) -> Priced:
    """Every symbol that is wanted, with its prices where the market is."""
    moved = {name: (spec, _moved(frame, shift)) for name, (spec, frame) in recorded.items()}
    end = min(frame.index[-1] for _, frame in moved.values())
    times = calendar(int(end.timestamp()), slip=int((shift % _WEEK).total_seconds()))
    euros = moved.get(RECORDED, (None, None))[1]
    worth = {} if euros is None else {"EUR": euros["Bid" if is_ticks(euros) else "Open"]}
    made = {}
    for name in wanted.names:
        if name in wanted.made_up:
            spec = specs[name]
            made[name] = (_said(spec, "synthetic prices"), synthetic_prices(spec, times, recorded=worth))
        elif name in wanted.files:
            made[name] = moved[name]
        else:
            spec, frame = moved[name]
            made[name] = (_said(spec, "prices of 2017, synthetic before"), with_a_past(spec, frame, times))
    return {name: (_opened_symbol(wanted, spec), frame) for name, (spec, frame) in made.items()}


def _said(spec: SymbolSpec, of_its_prices: str) -> SymbolSpec:
    return replace(spec, description=f"{spec.description} ({of_its_prices})")


def _opened_symbol(wanted: Wanted, spec: SymbolSpec) -> SymbolSpec:
    open_hours = None if wanted.always_open else spec.sessions
    return replace(spec, sessions=open_hours, execution=spec.execution if wanted.execution is None else wanted.execution)


def _frame(wanted: Wanted, name: str) -> pd.DataFrame:
    if name in wanted.files:
        frame = by_the_minute(read_bars_or_ticks(wanted.files[name]))
        return wanted.server_time.frame(frame) if wanted.utc else frame
    return wanted.server_time.frame(by_the_minute(builtin_prices(name)))
