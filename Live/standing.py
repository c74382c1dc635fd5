"""Is somebody trading, and may they? Old numbers must never pass for fresh ones."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from Live.audit_logger.reader import Run
from Live.kill_switch import KillSwitchFile

# The trader beats at least once a turn of its loop, and a turn may wait for INTERVAL_SECONDS.
SLACK_SECONDS = 15.0
DEFAULT_INTERVAL_SECONDS = 60.0


class Standing(enum.Enum):
    """What the record says of the trader's process."""

    NONE = "none"  # never started
    RUNNING = "running"
    SILENT = "silent"  # it has not ended, but gives no sign of life
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Trader:
    """The trader's process as the record shows it. `age_seconds` is how old its last sign of life is; None when there is none."""

    standing: Standing
    sentence: str
    last_seen: str | None
    age_seconds: float | None
    silent_after_seconds: float
    pid: int | None


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """The emergency stop: on when the trader said so, or when the file is there and the run obeys it.

    `file` is the one that is there, or the one that would stop the trader.
    """

    active: bool
    enabled: bool
    file: str


def trader_of(run: Run | None, heartbeat: object, now: datetime) -> Trader:
    """Whether the trader of `run` lives, by its heartbeat `{"at", "wall", "pid"}` and the machine's clock `now`."""
    beat = heartbeat if isinstance(heartbeat, Mapping) else {}
    seen, limit = _time(beat.get("wall")), _silent_after(run)
    age = None if seen is None else (now - seen).total_seconds()
    standing = _standing(run, age, limit)
    last_seen = None if seen is None else _iso(seen)
    pid = beat.get("pid")
    return Trader(
        standing=standing,
        sentence=_sentence(standing, run, last_seen),
        last_seen=last_seen,
        age_seconds=None if age is None else max(0.0, age),
        silent_after_seconds=limit,
        pid=pid if isinstance(pid, int) else None,
    )


def kill_switch_of(run: Run | None, said: object, switch: KillSwitchFile, *, held: object = None) -> KillSwitch:
    """The kill switch by what the trader `said` (`{"active", "file"}`), what is in the stop file's folder now, and the stop
    that is `held` on record until somebody lifts it.
    """
    state = said if isinstance(said, Mapping) else {}
    enabled = run is None or run.settings.get("ENABLE_KILL_SWITCH") is not False
    found = switch.found()
    said_so = state.get("file") if state.get("active") is True else None
    active = isinstance(held, Mapping) or (enabled and (found is not None or state.get("active") is True))
    would_be = None if isinstance(held, Mapping) else switch.path
    return KillSwitch(active=active, enabled=enabled, file=str(found or said_so or would_be or ""))


def trading_of(trader: Trader, kill_switch: KillSwitch, said: object) -> tuple[bool, str]:
    """Whether new entries go out now, and in one sentence why or why not. `said` is `{"enabled", "reason"}`."""
    if trader.standing is not Standing.RUNNING:
        return False, trader.sentence
    if kill_switch.active:
        return False, f"The kill switch is on: {kill_switch.file} exists." if kill_switch.file else "The kill switch is on."
    state = said if isinstance(said, Mapping) else {}
    enabled = state.get("enabled") is True
    reason = state.get("reason")
    if isinstance(reason, str) and reason:
        return enabled, reason
    return enabled, "Entries and exits are sent." if enabled else "The trader has not said yet that it may trade."


def day_of(said: object, market_time: object) -> str | None:
    """The broker's day, 2017-04-19: the one that the trader counts by, else that of the last market time it saw."""
    state = said if isinstance(said, Mapping) else {}
    for text in (state.get("date"), market_time):
        if (time := _time(text)) is not None:
            return time.date().isoformat()
    return None


def _standing(run: Run | None, age: float | None, limit: float) -> Standing:
    if run is None:
        return Standing.NONE
    if run.ended_at is not None:
        return Standing.STOPPED
    # a heartbeat from the future proves as little as an old one: the machine's clock was set back
    return Standing.RUNNING if age is not None and -limit < age < limit else Standing.SILENT


def _sentence(standing: Standing, run: Run | None, last_seen: str | None) -> str:
    when = _readable(last_seen) if last_seen else _readable(run.ended_at or run.started_at) if run else ""
    if standing is Standing.NONE:
        return "No trader has run on this record yet."
    if standing is Standing.SILENT:
        return f"The trader has given no sign of life since {when}; it may have been killed."
    if standing is Standing.STOPPED:
        reason = f": {run.end_reason}" if run and run.end_reason else ""
        return f"The trader stopped at {when}{reason}{'' if reason.endswith('.') else '.'}"
    return "The trader is running."


def _silent_after(run: Run | None) -> float:
    said = run.settings.get("INTERVAL_SECONDS") if run else None
    known = isinstance(said, int | float) and 0 < said <= 86_400
    return SLACK_SECONDS + (float(said) if known and isinstance(said, int | float) else DEFAULT_INTERVAL_SECONDS)


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _readable(text: str) -> str:
    time = _time(text)
    return text if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
