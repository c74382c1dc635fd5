"""How long a start takes with a long journal: from the process's start until the record and the terminal agree.

    python -m tests.bench.bench_recovery [--events 1000000] [--beside 1000] [--keep FOLDER]

Makes two records (long_record.py), each in a folder of its own with the simulated account that it is of, and starts the trader on
each in a process of its own: two orders are open, one of which has reached the broker. `--keep` leaves them in a folder, and
starts on copies of what is there already.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SETTLED = "all of it"  # the stages before it are the recovery
WIDTH = 120  # of the table
STEPS_OF_AN_ORDER = 4
Figures = dict[str, tuple[float, float]]  # by stage: seconds of the wall's clock, and of the processor's


class Stages:
    """Seconds by stage; what a stage calls that is a stage of its own does not count twice."""

    def __init__(self, began: float) -> None:
        self.seconds: Figures = {"the process, and what it imports": (time.time() - began, time.process_time())}
        self._inner = [(0.0, 0.0)]

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """A stage; several with one name are added up."""
        self._inner.append((0.0, 0.0))
        began = (time.perf_counter(), time.process_time())
        try:
            yield
        finally:
            whole = (time.perf_counter() - began[0], time.process_time() - began[1])
            inner, before = self._inner.pop(), self.seconds.get(name, (0.0, 0.0))
            self.seconds[name] = (before[0] + whole[0] - inner[0], before[1] + whole[1] - inner[1])
            self._inner[-1] = (self._inner[-1][0] + whole[0], self._inner[-1][1] + whole[1])

    def watch(self, owner: Any, function: str, name: str) -> None:
        """Make a function of a class a stage."""
        real: Callable[..., Any] = getattr(owner, function)

        def timed(*args: Any, **options: Any) -> Any:
            with self.of(name):
                return real(*args, **options)

        setattr(owner, function, timed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the records, start on each, and print what took how long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="rows of the journal")
    parser.add_argument("--beside", type=int, default=1_000, help="rows of the journal that it is compared with")
    parser.add_argument("--keep", type=Path, help="a folder for what is made")
    parser.add_argument("--start-on", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.start_on:
        start_on(Path(given.start_on[0]), Stages(float(given.start_on[1])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        short, long = (measured(folder, events) for events in (given.beside, given.events))
    tell(short, long, given)


def measured(folder: Path, events: int) -> Figures:
    """Start on a record of so many events; seconds by stage."""
    made = folder / str(events)
    if not made.exists():
        make(made, events)
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(made, name, dirs_exist_ok=True)
        command = [sys.executable, "-m", "tests.bench.bench_recovery", "--start-on", name, str(time.time())]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: Figures = json.loads(told.splitlines()[-1])
    return found


def make(folder: Path, events: int) -> None:
    """A record of so many events, and its account; under its name only when it is whole."""
    from tests.bench.long_record import History, make_account, make_record

    history = History(events // STEPS_OF_AN_ORDER // 2 * 2)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make_record(part / "audit.db", history)
    make_account(part, history)
    part.replace(folder)


def start_on(folder: Path, stages: Stages) -> None:
    """Start the trader on the record in a folder, up to its first turn; print the seconds of its stages as JSON."""
    with stages.of("the process, and what it imports"):
        from Live.live_trader import Chosen, LiveTrader
        from tests.bench import long_record
        from tests.live_runs import WIDE_OPEN, loaded, settings
    _watch(stages)
    strategy = loaded(long_record.Idle)
    config = settings(folder, timeframe="M5", symbols="EURUSD", **WIDE_OPEN)
    with stages.of("the simulated broker reads its books"):
        opened = long_record.opened_terminal(folder)
    trader = LiveTrader(config, Chosen(strategy, {}), opened)
    with trader._resources:
        with stages.of("the rest of the start"):
            trader._start()
            trader._take_up()
        left = trader.executor.has_open_questions()
        stages.seconds[SETTLED] = (0.0, 0.0)
        with stages.of("first turn, with the strategy's warm-up"):
            trader._turn()
    assert not left, "an order is still open"
    print(json.dumps(stages.seconds))  # noqa: T201 - what the process is asked for


def _watch(stages: Stages) -> None:
    from Live.audit_logger import AuditLogger
    from Live.order_executor.settlement import Settlement
    from Live.state_manager import StateManager
    from Live.state_manager.deals import Deals

    stages.watch(AuditLogger, "__init__", "the record is opened and looked at")
    stages.watch(Deals, "__init__", "all deals on record are booked again")
    stages.watch(StateManager, "sync", "the terminal is compared")
    stages.watch(Settlement, "settle", "open orders are settled")


def tell(short: Figures, long: Figures, given: argparse.Namespace) -> None:
    """Print the seconds of both starts, and how many times as long the processor takes with the long journal."""
    title = f"from the process's start until all is settled: {given.events:,} order events, and {given.beside:,}; CPU: of the processor"
    table = Table("stage", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("seconds", "CPU", "seconds", "CPU", "ratio of CPU"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = list(long)
    until = names.index(SETTLED)
    recovery = names[:until]
    for name in recovery:
        _row(table, name, long[name], short[name])
    _row(table, SETTLED, *(_sum(found, recovery) for found in (long, short)))
    for name in names[until + 1 :]:
        _row(table, f"then: {name}", long[name], short[name])
    Console(width=WIDTH).print(table)


def _row(table: Table, name: str, long: tuple[float, float], short: tuple[float, float]) -> None:
    ratio = f"{long[1] / short[1]:,.1f}" if short[1] else ""
    table.add_row(name, *(f"{seconds:,.2f}" for seconds in (*long, *short)), ratio)


def _sum(found: Figures, names: Sequence[str]) -> tuple[float, float]:
    return sum(found[name][0] for name in names), sum(found[name][1] for name in names)


if __name__ == "__main__":
    main()
