"""What readers of the record see while a run goes on: signs of life, the account, and its history."""

import os
import platform
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from Live.audit_logger import AuditLogger
from Live.clock import Clock
from Live.config import LiveConfig
from Live.errors import Unreachable
from Live.kill_switch import KillSwitchFile
from Live.mt5_connector import MT5Connector
from Live.state_manager import StateManager
from Live.stop_latch import stop_on_record

STATE_SECONDS = 0.5  # of the machine's clock, between two updates of what the page shows
BEAT_SECONDS = 2.0  # between two signs of life
VERSIONED = ("backtesting", "pandas", "numpy", "MetaTrader5")


class Reporter:
    """Writes no more often than people can read, by the `machine`'s clock: in a replay thousands of bars pass in a second."""

    def __init__(self, config: LiveConfig, connector: MT5Connector, record: AuditLogger, state: StateManager, machine: Clock) -> None:
        self._config, self._connector, self._record, self._state = config, connector, record, state
        self._kill_switch = KillSwitchFile.of(config)
        self._machine = machine
        self._beat_due = self._publish_due = self._machine.now()
        self._snapshot_due = connector.clock.now()

    def beat(self) -> None:
        """A sign of life, also while the trader waits."""
        wall = self._machine.now()
        if wall >= self._beat_due:
            self._beat_due = wall + timedelta(seconds=BEAT_SECONDS)
            self._write_beat(wall)

    def publish(self, why_not: Callable[[], str], *, force: bool = False) -> None:
        """Why entries are not sent ("" when they are), the account, the positions and how far the replay is."""
        wall = self._machine.now()
        if not force and wall < self._publish_due:
            return
        self._publish_due = wall + timedelta(seconds=STATE_SECONDS)
        stop, money = self._kill_switch.found(), self._money()
        latched = stop_on_record(self._record)
        reason = why_not() or (f"{stop} exists" if stop else str(latched or ""))
        done, total = getattr(self._connector.clock, "progress", (None, None))
        with self._record.transaction(durable=False):
            self._write_beat(wall)
            self._state.publish_positions()
            self._record.set_state(
                trading={"enabled": not reason, "reason": reason},
                kill_switch={"active": (stop or latched) is not None, "file": str(stop or self._kill_switch.path or "")},
                limits=self._state.limits(),
                progress={"bars": done, "total": total},
                **self._state.day_facts(),
                **money,
            )

    def snapshot(self, *, force: bool = False) -> None:
        """The account's money, every SNAPSHOT_SECONDS of the market's time."""
        now = self._connector.clock.now()
        if force or now >= self._snapshot_due:
            self._snapshot_due = now + timedelta(seconds=self._config.snapshot_seconds)
            self._record.snapshot(self._connector.account(), len(self._state.positions))

    def _money(self) -> dict[str, Any]:
        try:
            account = self._connector.account()
        except Unreachable:
            return {}  # what was last known stays on the page; why nothing is traded is beside it
        shown = {name: getattr(account, name) for name in ("balance", "equity", "margin", "currency", "leverage")}
        return {"account": shown | {"free_margin": account.margin_free}}

    def _write_beat(self, wall: datetime) -> None:
        at = self._connector.clock.now().isoformat()
        self._record.set_state(heartbeat={"at": at, "wall": wall.isoformat(), "pid": os.getpid()}, market_time=at)


def versions() -> dict[str, Any]:
    """What a run is made of: Python, the machine, and the packages that decide."""

    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return {"python": platform.python_version(), "platform": platform.platform(), **{package: of(package) for package in VERSIONED}}
