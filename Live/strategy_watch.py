"""Notices that the file of a running strategy has changed: the old code goes on, and the record says since when that matters."""

import hashlib
import logging
from pathlib import Path

from Backtest.strategies import LoadedStrategy
from Live.audit_logger import AuditLogger

log = logging.getLogger("LiveTrader")

GONE = "gone"


class StrategyWatch:
    """The file of one strategy. One that is not there from the start is not watched."""

    def __init__(self, strategy: LoadedStrategy, record: AuditLogger) -> None:
        self._strategy, self._record = strategy, record
        self._told = strategy.sha256 if strategy.path.is_file() else GONE
        self._seen: tuple[int, ...] = ()

    def look(self) -> None:
        """Compare the file with the code that runs; each change is one event and one line of the log."""
        path = self._strategy.path
        state = _state_of(path)
        if state == self._seen:
            return
        self._seen = state
        if (now := _sha256_of(path)) != self._told:
            self._told = now
            self._tell(now)

    def _tell(self, now: str) -> None:
        running, path = self._strategy.sha256, self._strategy.path
        if now == running:
            text = f"{path} is again what is running"
        else:
            what = "is not there any more" if now == GONE else "has changed"
            text = f"{path} {what} while it trades: the code from before goes on until the next start"
        details = {"file": str(path), "running": running, "now": now}
        self._record.event("STRATEGY_CHANGED", text, severity="INFO" if now == running else "WARNING", details=details)
        log.warning(text)


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes with the content of a file, without reading it; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0,)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _sha256_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return GONE
