"""The stop on record: what has once stopped a trader keeps the next one from starting, whatever becomes of the file."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from Live.audit_logger import AuditLogger
from Live.audit_logger.reader import AuditReader, RecordUnavailable
from Live.clock import SystemClock
from Live.config import LiveConfig
from Live.errors import KillSwitch, LiveError
from Live.kill_switch import LIFTED_BY, KillSwitchFile
from Live.locks import hold_record
from Live.model import Status

log = logging.getLogger("LiveTrader")


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that nobody has lifted yet. `since` is the machine's time, UTC."""

    since: str
    reason: str

    def __str__(self) -> str:
        return f"stopped since {self.since[:19].replace('T', ' ')} UTC: {self.reason}"


def latch(record: AuditLogger, reason: str, at: datetime, *, flatten: bool = False) -> None:
    """Put the stop on record, and take back all that was decided before it and not sent. A second one changes nothing."""
    if stop_on_record(record) is not None:
        return
    record.continue_newest_run()  # a start that is stopped has begun none yet
    sentence = "the emergency stop came before it was sent"
    with record.transaction(durable=True):
        record.set_state(stop={"since": at.isoformat(), "reason": reason})
        record.event("KILL_SWITCH", reason, severity="CRITICAL", details={"flatten": flatten})
        for order in record.orders_with((Status.PENDING,), None):
            record.move(order.intent.order_id, Status.CANCELLED, payload={"reason": sentence}, message=sentence)


def release(record: AuditLogger, who: str, at: datetime, file: Path) -> None:
    """Let traders start again; `file` is the one that would stop them."""
    stop = stop_on_record(record)
    with record.transaction(durable=True):
        record.set_state(stop=None, kill_switch={"active": False, "file": str(file)})
        record.event("RESUMED", f"{who} lets it trade again", details={"at": at.isoformat(), "stop": str(stop or "")})


def stop_on_record(record: AuditLogger) -> Stop | None:
    """The stop that holds, as the writer of the record sees it."""
    return _stop(record.state("stop"))


def stop_seen(path: Path) -> Stop | None:
    """The same for everybody else. Raises RecordUnavailable."""
    with AuditReader(path) as reader:
        return _stop(reader.state().get("stop"))


def refuse_while_stopped(config: LiveConfig) -> None:
    """Raise KillSwitch where the stop file exists, which goes on record then, or where an earlier stop holds."""
    path, switch = config.audit_db_path, KillSwitchFile.of(config)
    try:
        switch.check()
    except KillSwitch as stop:
        if path.exists():
            latch_alone(config, str(stop))
        raise KillSwitch(f"{stop}; {LIFTED_BY}") from stop
    with contextlib.suppress(RecordUnavailable):  # then the trader looks when it has opened it
        refuse(stop_seen(path))


def refuse(stop: Stop | None) -> None:
    """Raise KillSwitch for a stop that holds."""
    if stop is not None:
        raise KillSwitch(f"{stop}; {LIFTED_BY}")


def latch_alone(config: LiveConfig, reason: str) -> bool:
    """Put the stop on record where no trader writes it; whether it is there now. Without that the file alone has to do."""
    return _write_alone(config, lambda record: latch(record, reason, SystemClock().now()))


def note_alone(config: LiveConfig, event: str, text: str) -> bool:
    """Put down what happened to a trader that cannot do so itself; whether that could be done."""
    return _write_alone(config, lambda record: record.event(event, text, severity="CRITICAL"))


def _write_alone(config: LiveConfig, write: Callable[[AuditLogger], None]) -> bool:
    try:
        with ExitStack() as resources:
            hold_record(resources, config.audit_db_path)
            record = AuditLogger(config.audit_db_path, SystemClock(), secrets=config.secrets)
            resources.callback(record.close)
            write(record)
    except LiveError as error:
        log.error("the record cannot be written", extra={"extra_data": {"reason": str(error)}})
        return False
    return True


def _stop(said: object) -> Stop | None:
    return Stop(str(said.get("since")), str(said.get("reason"))) if isinstance(said, Mapping) else None
