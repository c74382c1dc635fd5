"""Many cases in several processes, and what they come to."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tests.faults.case import Case
from tests.faults.matrix import Cell
from tests.faults.oracles import Breach
from tests.faults.running import Result, run_case, silence
from tests.faults.shrinking import shrunk

Item = TypeVar("Item")
Came = TypeVar("Came")
REGRESSIONS = Path(__file__).parent / "regressions"
TWICE = 50  # every so many seeds, a case is run twice, the second time in another time zone
ZONES = ("Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "UTC")
A_FEW = 8  # of the cases that fail are shrunk


@dataclass(slots=True)
class Summary:
    """What a campaign came to."""

    schedules: int = 0
    calls: int = 0
    turns: int = 0
    runs: int = 0
    kills: int = 0
    missed: int = 0
    twice: int = 0  # cases that were run a second time, to compare
    seconds: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)  # breaches by invariant
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one case."""
        tally = result.tally
        self.schedules += 1
        self.calls += tally.calls
        self.turns += tally.turns
        self.runs += tally.runs
        self.kills += tally.kills
        self.missed += result.missed
        self.hits += tally.hits
        self.cells += tally.cells
        self.exits += tally.exits
        self.broken.update(breach.oracle for breach in result.breaches)
        if result.breaches:
            self.failures.append(result)

    @property
    def speed(self) -> float:
        """Schedules in a second."""
        return self.schedules / self.seconds if self.seconds else 0.0


Matrix = dict[Cell, Summary]


def of_seeds(seeds: Sequence[int], jobs: int, told: Callable[[Result], None] = lambda _: None) -> Summary:
    """Run the cases of these seeds."""
    return _counted(_results(_of_seed, seeds, jobs), told)


def of_matrix(killed: Sequence[tuple[Cell, int]], jobs: int, told: Callable[[Result], None] = lambda _: None) -> Matrix:
    """Kill the trader at each of these points."""
    rows: Matrix = {}
    for cell, result in _results(_of_kill, killed, jobs):
        rows.setdefault(cell, Summary()).add(result)
        told(result)
    return rows


def _of_kill(killed: tuple[Cell, int]) -> tuple[Cell, Result]:
    cell, passage = killed
    return cell, run_case(cell.killed_at(passage))


def _counted(results: Iterable[Result], told: Callable[[Result], None]) -> Summary:
    summary, began = Summary(), time.monotonic()
    for result in results:
        summary.add(result)
        told(result)
        summary.seconds = time.monotonic() - began
    summary.twice = summary.schedules // TWICE
    return summary


def _results(run: Callable[[Item], Came], among: Sequence[Item], jobs: int) -> Iterator[Came]:
    if jobs == 1:
        silence()
        yield from map(run, among)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.campaign"])
    with context.Pool(jobs, initializer=silence) as pool:
        yield from pool.imap_unordered(run, among, chunksize=4)


def _of_seed(seed: int) -> Result:
    case = Case.from_seed(seed)
    result = run_case(case)
    return result if seed % TWICE else compared(result, ZONES[seed // TWICE % len(ZONES)])


def compared(result: Result, zone: str) -> Result:
    """The result, with a breach of I18 where a second run in another time zone is not the same."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        again = run_case(result.case)
    finally:
        os.environ.pop("TZ") if before is None else os.environ.__setitem__("TZ", before)
        time.tzset()
    differs = [name for name in ("journal", "trace") if getattr(result, name) != getattr(again, name)]
    breaches = (Breach("I18", f"a second run in {zone} has another {name}", 0.0) for name in differs)
    return replace(result, breaches=(*result.breaches, *breaches))


def kept(failure: Result) -> Path:
    """The file to which a failing case was written, shrunk."""
    oracle = failure.breaches[0].oracle
    case = failure.case if oracle == "I18" else shrunk(failure.case, oracle)
    REGRESSIONS.mkdir(exist_ok=True)
    file = REGRESSIONS / f"{oracle.lower()}_{failure.case.seed}.json"
    file.write_text(case.to_json(), encoding="utf-8")
    return file
