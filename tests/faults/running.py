"""Running a case: one trader after the other until the prices end, then the last questions."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from Backtest.simulated_terminal import MarketEnded
from Live.errors import LiveError
from Live.live_trader import Chosen, LiveTrader, Watcher
from Live.mt5_connector import OpenedTerminal
from tests.faults import conduct, stops
from tests.faults.case import Case
from tests.faults.endings import at_end
from tests.faults.incidents import SimKill
from tests.faults.oracles import Breach, at_turn
from tests.faults.seams import installed
from tests.faults.stage import Stage, Standing, Stuck, Tally

MEMORY = Path("/dev/shm")  # a file system in memory, where there is one
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
KILLED = 137
HASHED = ("order_events", "bars", "signals", "orders", "fills", "trades", "positions", "history")


@dataclass(frozen=True, slots=True)
class Result:
    """What a case came to."""

    case: Case
    breaches: tuple[Breach, ...]
    tally: Tally
    missed: int
    journal: str  # hash
    trace: str

    @property
    def oracles(self) -> frozenset[str]:
        """The invariants that were broken."""
        return frozenset(breach.oracle for breach in self.breaches)


class _Turns(Watcher):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def started(self, trader: LiveTrader) -> None:
        self._stage.settled()

    def turned(self, trader: LiveTrader) -> None:
        stage = self._stage
        stage.tally.turns += 1
        stage.breaches += [*at_turn(stage), *conduct.at_turn(stage)]


def run_case(case: Case, folder: Path | None = None) -> Result:
    """Run a case in a folder of its own, which is gone afterwards. The same case gives the same result."""
    return _in_a_folder(folder, lambda made: _run(Stage(case, made)))


def staged(case: Case, folder: Path) -> Stage:
    """The stage of a case that was run in this folder, which stays."""
    stage = Stage(case, folder)
    with _alone(folder):
        _run(stage)
    return stage


def points_of(case: Case) -> list[str]:
    """All points that the traders of a case pass, in order."""
    points: list[str] = []

    def noted(made: Path) -> Result:
        stage = Stage(case, made)
        stage.engine.noted = points
        return _run(stage)

    _in_a_folder(None, noted)
    return points


def _in_a_folder(folder: Path | None, run: Callable[[Path], Result]) -> Result:
    made = folder or Path(tempfile.mkdtemp(prefix="faults_", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        with _alone(made):
            return run(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other trader of this machine holds the account: locks are in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _run(stage: Stage) -> Result:
    try:
        with installed(stage):
            code = _play(stage)
            stage.dead = False
        stage.breaches += at_turn(stage)
        if not stage.breaches:  # what has stopped in the middle has not come to an end
            stage.breaches += at_end(stage, code)
        missed = int(stage.journal.has_event("MISSED_BY_SAFETY")) if stage.journal.rows("SELECT 1 FROM runs") else 0
        return Result(stage.case, tuple(stage.breaches), stage.tally, missed, _hash(stage), stage.trace)
    finally:
        stage.journal.close()
        stage.terminal.close()


def _play(stage: Stage) -> int:
    """One trader after the other; the exit code of the last one."""
    pause, code = FIRST_PAUSE, 0
    while True:
        turns = stage.tally.turns
        stops.lift(stage)
        stage.reset()
        code = _one_trader(stage)
        stage.tally.exits[code] += 1
        for disk in stage.disks:
            disk.close()
        stage.disks.clear()
        stage.breaches += at_turn(stage)
        if stage.last or stage.breaches:
            return code
        if stage.over:
            stage.last = True  # one more trader, for one turn: all is settled then
            continue
        pause = FIRST_PAUSE if stage.tally.turns > turns + 1 else min(pause * 2, LONGEST_PAUSE)
        try:
            stage.rest(stage.down if code == KILLED else max(pause, stage.down))
        except MarketEnded:
            return code


def _one_trader(stage: Stage) -> int:
    """Start a trader and let it run; its exit code, 137 when it was killed."""
    stage.tally.runs += 1
    opened = OpenedTerminal("remote", stage.line, stage.clock, machine=Standing())
    trader = LiveTrader(stage.config, Chosen(stage.strategy, {}), opened, once=stage.last, watcher=_Turns(stage))
    stage.trader = trader
    code, reason = 0, ""
    try:
        code = trader.run()
        reason = trader.end_reason
    except SimKill:
        stage.tally.kills += 1
        return KILLED
    except Stuck as stuck:
        stage.stuck = True
        stage.breach("liveness", str(stuck))
        return 1
    except LiveError as error:
        code, reason = error.exit_code, str(error)
    except MarketEnded:  # while it connected
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the harness looks for
        code, reason = 1, f"{type(error).__name__}: {error}"
        stage.breach("liveness", f"a start ended with {reason}")
    stage.ended(code, reason)
    return code


def _hash(stage: Stage) -> str:
    digest = hashlib.sha256()
    for table in HASHED:
        for row in stage.journal.rows(f"SELECT * FROM {table}"):
            digest.update(repr(tuple(row.values())).encode())
    return digest.hexdigest()


def silence() -> None:
    """The trader's log is of no interest here."""
    logging.disable(logging.CRITICAL)
