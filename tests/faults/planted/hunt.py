"""Looking for a planted bug: case by case, until an oracle speaks, and beside it the product as it is."""

import itertools
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.case import Case
from tests.faults.cut_runs import cut, recorded
from tests.faults.disk import LOSSES
from tests.faults.matrix import Cell, kills, points
from tests.faults.planted.bug import Bug
from tests.faults.planted.patching import patched
from tests.faults.planted.plays import PLAYS
from tests.faults.running import run_case

# A patch that only raises an exception is no bug that anybody has to look for: this does not count as found.
NOT_ENOUGH = "liveness"
CUTS = 20  # of one run


@dataclass(frozen=True, slots=True)
class Find:
    """How a bug was found."""

    bug: str
    oracle: str  # "": it was not found
    sentence: str
    where: str
    tried: int
    seconds: float
    clean: bool  # the product as it is breaks nothing in the same case


def hunt(bug: Bug, seeds: Iterable[int], *, by_chance: bool = False) -> Find:
    """Look for a bug in the play that was written for it, or by these seeds: where there is none, or it shall be left to chance."""
    began = time.monotonic()
    found = _by_power_cuts(bug, seeds) if bug.on_disk else _by_cases(bug, cases_of(bug, seeds, by_chance=by_chance))
    oracle, sentence, where, tried, clean = found
    return Find(bug.name, oracle, sentence, where, tried, time.monotonic() - began, clean)


def cases_of(bug: Bug, seeds: Iterable[int], *, by_chance: bool) -> Iterator[tuple[str, Case]]:
    """Where a bug is looked for: what it is called, and the case."""
    case = None if by_chance else PLAYS.get(bug.name)
    if isinstance(case, Case):
        yield "a schedule of its own", case
    elif isinstance(case, Cell):
        cell = case
        account = "netting" if cell.netting else "hedging"
        for passage in kills(cell):
            yield f"crash matrix: {cell.scene}, {account}, {cell.outcome}; killed at {points(cell)[passage - 1]!r}", cell.killed_at(passage)
    else:
        yield from ((f"seed {seed}", Case.from_seed(seed)) for seed in seeds)


def _by_cases(bug: Bug, cases: Iterator[tuple[str, Case]]) -> tuple[str, str, str, int, bool]:
    tried = 0
    for where, case in cases:
        tried += 1
        with patched(bug.patches):
            result = run_case(case)
        first = next(iter(result.breaches), None)
        if first is not None and first.oracle != NOT_ENOUGH:
            return first.oracle, first.sentence, where, tried, not run_case(case).breaches
    return "", "", "", tried, True


def _by_power_cuts(bug: Bug, seeds: Iterable[int]) -> tuple[str, str, str, int, bool]:
    """What was to last is not there after the power has gone: what the control of the power cuts looks for, with a real patch."""
    tried = 0
    for seed in seeds:
        for where, lost in _cuts(bug, seed):
            tried += 1
            if lost:
                clean = not any(found for _, found in itertools.islice(_cuts(None, seed), tried))
                return "I3", lost[0], where, tried, clean
    return "", "", "", tried, True


def _cuts(bug: Bug | None, seed: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    with tempfile.TemporaryDirectory(prefix="powercuts-") as folder:
        with patched(bug.patches if bug else ()):
            recording = recorded(Path(folder), seed)
        draw = random.Random(f"cuts {seed}")
        for _ in range(CUTS):
            step, loss = draw.randrange(1, len(recording.steps) + 1), draw.choice(list(LOSSES))
            with tempfile.TemporaryDirectory(prefix="powercut-") as here:
                found = cut(recording, step, loss, seed=seed, folders=(Path(folder), Path(here)), trade_on=False)
            yield f"power cut of seed {seed} after step {step}, what was not synced is {loss}", found.lost
