"""What stands between the trader and everything outside of it: terminal, disk, clock. All of it passes the stage's points.

A point is named for what happens there: "call order_send/entry" just before a request leaves, "answer order_send/entry" when
the answer is back and nobody has seen it yet, "commit SUBMITTED" and "committed SUBMITTED" around a transaction that moves an
order there, "write fills" before a row, "sleep", "look for the stop file".
"""

import functools
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Backtest.simulated_terminal import MarketEnded
from Backtest.simulated_terminal.faults.calls import FUNCTIONS
from Live.audit_logger import AuditLogger
from Live.kill_switch import KillSwitchFile
from tests.faults.incidents import SimKill

if TYPE_CHECKING:
    from tests.faults.stage import Stage

_SENDS = {1: "entry", 5: "pending", 6: "levels", 7: "change", 8: "remove"}
_INSERT = re.compile(r"INSERT (?:OR \w+ )?INTO (\w+) \(([^)]*)\)")
_NAMED_AFTER = ("fills", "trades", "runs", "positions", "warm_ups", "history", "account_snapshots", "signals", "events", "state")
_NAMES = {"fills": "deals", "trades": "deals", "runs": "run", "account_snapshots": "snapshot", "events": "event"}


def kind_of_request(request: Any) -> str:
    """What a request asks for, as the points name it."""
    if request["action"] == 1 and request.get("position"):
        return "close"
    return _SENDS.get(request["action"], "other")


class Line:
    """The terminal as the trader has it: every call passes the points and the oracles, every answer the feed's views."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        for name in FUNCTIONS:
            setattr(self, name, functools.partial(self._call, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage.faulty, name)

    def last_error(self) -> Any:
        self._stage.alive()
        return self._stage.faulty.last_error()

    def _call(self, function: str, /, *args: Any, **options: Any) -> Any:
        stage = self._stage
        stage.alive()
        stage.called(function)
        label = f"{function}/{kind_of_request(args[0])}" if function == "order_send" else function
        if function == "order_send":
            stage.sends(args[0])
        stage.passing(f"call {label}")
        value = getattr(stage.faulty, function)(*args, **options)
        stage.traced(function, args, options, value)
        if function == "order_send":
            stage.answered(value)
        elif stage.views:
            value = stage.viewed(function, value)
        stage.saw(function, value)
        stage.passing(f"answer {label}")
        return value


class Ledger:
    """The broker's side of the terminal: what arrives there is put down, whenever it does."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage.terminal, name)

    def order_send(self, request: Any) -> Any:
        result = self._stage.terminal.order_send(request)
        self._stage.arrived(request, result)
        return result


class Disk:
    """A connection to the record. What is not committed when the trader dies is gone, as for a process that is killed."""

    def __init__(self, db: sqlite3.Connection, stage: "Stage") -> None:
        self._db, self._stage = db, stage
        self._tables: list[str] = []
        self._moves: list[tuple[str, str]] = []  # order, status

    def __getattr__(self, name: str) -> Any:
        self._stage.alive()
        return getattr(self._db, name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        stage = self._stage
        stage.alive()
        verb = sql[:6]
        if verb in ("SELECT", "PRAGMA", "ROLLBA"):
            if stage.trouble is not None and verb == "SELECT":
                stage.passing("read")
                stage.trouble.refuse()
            return self._db.execute(sql, values)
        if verb == "COMMIT":
            return self._commit()
        if verb == "BEGIN ":
            self._tables, self._moves = [], []
            stage.passing("begin")
        else:
            self._note(sql, values)
        self._refuse()
        return self._db.execute(sql, values)

    def executemany(self, sql: str, rows: Any) -> Any:
        self._stage.alive()
        self._note(sql, ())
        self._refuse()
        return self._db.executemany(sql, rows)

    def close(self) -> None:
        self._db.close()

    def _refuse(self) -> None:
        if self._stage.trouble is not None:
            self._stage.trouble.refuse()

    def _commit(self) -> Any:
        stage, name = self._stage, self._name()
        stage.passing(f"commit {name}")
        self._refuse()
        done = self._db.execute("COMMIT")
        for order, status in self._moves:
            stage.moved(order, status)
        stage.passing(f"committed {name}")
        return done

    def _note(self, sql: str, values: Sequence[Any]) -> None:
        found = _INSERT.match(sql)
        if found is None:
            return
        table = found[1]
        self._tables.append(table)
        if table in ("orders", "order_events"):
            row = dict(zip(found[2].split(", "), values, strict=True))
            if table == "orders":
                self._stage.kinds[str(row["client_order_id"])] = str(row["kind"])
            else:
                self._moves.append((str(row["client_order_id"]), str(row["to_status"])))
        self._stage.passing(f"write {table}")

    def _name(self) -> str:
        if "bars" in self._tables:
            return "decision" if "orders" in self._tables else "bar"
        if self._moves:
            return self._moves[-1][1]
        table = next((name for name in _NAMED_AFTER if name in self._tables), "state")
        return _NAMES.get(table, table)


class TraderClock:
    """The clock of the trader's machine: the market's, as far off as the stage says."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage

    def now(self) -> datetime:
        return self._stage.terminal.clock.now() + timedelta(seconds=self._stage.skew)

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        stage = self._stage
        stage.alive()
        stage.passing("sleep")
        if stage.over and not stage.last:
            raise MarketEnded("the case ends here")
        until = stage.now + seconds
        while stage.now < until and not interrupted():
            stage.advance(min(until, stage.due()) - stage.now)
            stage.alive()


@contextmanager
def installed(stage: "Stage") -> Iterator[None]:
    """Let the record and the look for the stop file pass the stage, and let locks be of this run alone."""
    writer: Any = sys.modules[AuditLogger.__module__]
    opened, found = writer.open_record, KillSwitchFile.found

    def open_record(path: Path, **options: Any) -> Any:
        stage.alive()
        db, spill = opened(path, **options)
        disk = Disk(db, stage)
        stage.disks.append(disk)
        return disk, spill

    def look(switch: KillSwitchFile) -> Path | None:
        if stage.dead:
            raise SimKill
        stage.passing("look for the stop file")
        return found(switch)

    writer.open_record = open_record
    KillSwitchFile.found = look  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        writer.open_record = opened
        KillSwitchFile.found = found  # type: ignore[method-assign]
