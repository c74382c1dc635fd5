"""The life of a trader: the whole Python path in a process of its own, over a broker in another one, until it ends or is killed."""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

from Live.errors import LiveError
from Live.live_trader import Chosen, LiveTrader
from Live.locks import hold_record
from Live.mt5_connector import OpenedTerminal
from tests.crash_points import Countdown
from tests.faults.distant_broker import DistantClock, DistantTerminal
from tests.faults.kill_points import POINTS
from tests.faults.strategies import MENUS, Worker
from tests.live_runs import WIDE_OPEN, loaded, settings

CANARY = "canary-of-the-password"
CONSOLE = "console.txt"


@dataclass(frozen=True, slots=True)
class Life:
    """One start of the trader of a folder; at the n-th passage of `point` it kills itself."""

    folder: Path
    menu: str
    point: str | None = None
    nth: int = 1
    machine: Path | None = None  # where the locks of accounts are; None: in the folder, for other series have the same account


class _Still(DistantClock):
    """For what is published for people to see every half second: nobody looks, and each look costs a talk with the broker."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


def live(line: Connection, life: Life) -> None:
    """Live it; to be the target of a process. Its exit code is the trader's."""
    with life.folder.joinpath(CONSOLE).open("ab") as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    tempfile.tempdir = str(life.machine or life.folder)
    arm = None if life.point is None else POINTS[life.point].arm
    if arm is not None:
        arm(Countdown(life.nth))
    raise SystemExit(_trade(DistantTerminal(line), life))


def _trade(terminal: DistantTerminal, life: Life) -> int:
    given = {"symbols": "EURUSD", "timeframe": "M5", "dry_run": False, "kill_switch_action": "flatten", "mt5_password": CANARY}
    config = settings(life.folder, **WIDE_OPEN, **given, warmup_bars=20, interval_seconds=3600)
    strategy = type("Worker", (Worker,), {"menu": MENUS[life.menu]})
    clock = DistantClock(terminal)
    try:
        with ExitStack() as resources:
            hold_record(resources, config.audit_db_path)
            opened = OpenedTerminal("remote", terminal, clock, machine=_Still(terminal.now))
            return LiveTrader(config, Chosen(loaded(strategy, margin=0.05), {}), opened).run()
    except LiveError as error:
        os.write(2, f"{error}\n".encode())
        return error.exit_code
