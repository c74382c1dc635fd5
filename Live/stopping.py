"""`stop`, `pause` and `resume`: from outside, by files, which need neither the record nor the trader's attention."""

import contextlib
import getpass
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from Live.audit_logger import AuditLogger, check_record
from Live.audit_logger.listing import LISTINGS, Pages
from Live.audit_logger.reader import AuditReader, RecordUnavailable, Row, Run
from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.errors import Misconfigured
from Live.kill_switch import LIFTED_BY, KillSwitchFile
from Live.locks import hold_record, record_is_held
from Live.logs import terminal
from Live.pause import PauseFile
from Live.stop_latch import Stop, latch_alone, release, stop_on_record, stop_seen

LOOK_SECONDS = 0.1
PATIENCE = 15.0  # seconds until a trader must have seen the file; a supervisor kills it after 3
LEAVING = 60.0  # seconds in which it may take orders away and close positions
NOT_ACKNOWLEDGED = 6


def stop(config: LiveConfig, *, flatten: bool, clock: Clock | None = None) -> int:
    """Stop the trader of these settings, or keep the next one from starting; tell what became of it, and what is still open.

    Returns 0 when the stop is on record or nobody trades, 6 when a trader has not acknowledged it. Raises Misconfigured
    where no stop file can be made.
    """
    clock = clock or SystemClock()
    run = _latest_run(config.audit_db_path)
    for folder_of in dict.fromkeys((config.kill_switch_file, _obeyed(run, config))):
        _make(folder_of, clock, flatten=flatten)
    code = _follow(config, clock)
    _tell_open(config.audit_db_path)
    return code


def pause(config: LiveConfig, clock: Clock | None = None) -> int:
    """Let the trader of these settings send no new entries until `resume`; exits and stops go on.

    Returns 0 when the pause is on record or nobody trades, 6 when a trader has not acknowledged it. Raises Misconfigured
    where the file cannot be made.
    """
    clock = clock or SystemClock()
    for waiting in _pauses(config):
        waiting.put(f"paused by {getpass.getuser()} with python -m Live pause at {clock.now().isoformat(timespec='seconds')}")
        _say(f"{waiting.path} is there: no entries are sent; exits and stops go on")
    return _acknowledged(config, clock, "PAUSED")


def resume(config: LiveConfig, *, confirm: Callable[[str], bool], clock: Clock | None = None) -> int:
    """Remove the files of a stop and of a pause, and lift the stop on record, once `confirm` has said yes to what is told.

    A pause alone is lifted under a trader that runs, a stop is not: then AnotherInstance is raised. Raises Misconfigured for a
    file that cannot be removed. Returns 6 when a trader has not acknowledged that its pause is over.
    """
    clock, path = clock or SystemClock(), config.audit_db_path
    check_record(path)
    paused = [file for file in _pauses(config) if file.is_on()]
    if paused and not _files(config) and _stop_seen(path) is None:
        if not confirm("; ".join(f"{file.path} exists" for file in paused)):
            _say("It stays paused.")
            return 0
        for waiting in paused:
            waiting.lift()
        _say("The pause is lifted: entries are sent again")
        return _acknowledged(config, clock, "UNPAUSED")
    with ExitStack() as resources:
        record = None
        if path.exists():
            hold_record(resources, path)
            record = AuditLogger(path, clock, secrets=config.secrets)
            resources.callback(record.close)
        files, stop = _files(config), None if record is None else stop_on_record(record)
        if not files and stop is None:
            _say("Nothing is stopped or paused.")
            return 0
        found = [*files, *(file.path for file in paused)]
        if not confirm("; ".join([*([str(stop)] if stop else []), *(f"{file} exists" for file in found)])):
            _say("It stays stopped.")
            return 0
        for file in files:
            _remove(file)
        for waiting in paused:
            waiting.lift()
        if record is not None:
            release(record, getpass.getuser(), clock.now(), config.kill_switch_file)
    _say("The stop is lifted: a trader may start.")
    return 0


# the files


def _make(wanted: Path, clock: Clock, *, flatten: bool) -> None:
    switch = KillSwitchFile(wanted, enabled=True, started_in=wanted.parent)
    file = (switch.flattening_path if flatten else switch.path) or wanted
    try:
        file.write_text(f"stopped by {getpass.getuser()} with python -m Live stop at {clock.now().isoformat(timespec='seconds')}\n")
    except OSError as error:
        if file.exists():
            return  # whatever it is, it counts
        raise Misconfigured(f"{file} cannot be made ({error.strerror}): end the trader with Ctrl-C, or by its process number") from error
    _say(f"{file} is there: nothing more is sent")


def _obeyed(run: Run | None, config: LiveConfig) -> Path:
    """The file that the newest run looks for."""
    known = None if run is None else run.settings.get("KILL_SWITCH_FILE")
    return Path(known) if isinstance(known, str) and Path(known).parent.is_dir() else config.kill_switch_file


def _files(config: LiveConfig) -> list[Path]:
    places = dict.fromkeys((config.kill_switch_file, _obeyed(_latest_run(config.audit_db_path), config)))
    found = (file for place in places for file in KillSwitchFile(place, enabled=True).all_found())
    return list(dict.fromkeys(found))


def _pauses(config: LiveConfig) -> list[PauseFile]:
    """That of the settings, and that which the newest run looks for, if it is another."""
    folders = (config.kill_switch_file.parent, _obeyed(_latest_run(config.audit_db_path), config).parent)
    return [PauseFile(folder) for folder in dict.fromkeys(folders)]


def _remove(file: Path) -> None:
    try:
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink()
    except OSError as error:
        raise Misconfigured(f"{file} cannot be removed ({error.strerror}): remove it by hand, then resume again") from error


# the trader


def _follow(config: LiveConfig, clock: Clock) -> int:
    """Wait until the stop is on record."""
    path = config.audit_db_path
    for _ in _looks(PATIENCE, clock):
        if (seen := _stop_seen(path)) is not None:
            _say(f"On record: {seen}")
            return _wait_for_the_end(path, clock)
        if not record_is_held(path):
            return _without_a_trader(config)
    run = _latest_run(path)
    if run is not None and run.settings.get("ENABLE_KILL_SWITCH") is False:
        why = "it was started with ENABLE_KILL_SWITCH=false, and does not look for the file"
    else:
        why = "it may be in a call of the terminal, or in its strategy, and sends nothing more after that"
    _say(f"NOT acknowledged after {PATIENCE:.0f} seconds: {why}. End process {_process(path)}: the record makes that safe")
    return NOT_ACKNOWLEDGED


def _acknowledged(config: LiveConfig, clock: Clock, event: str) -> int:
    """Wait until a trader that runs has put down that it is paused, or that it is not any more. It looks once a turn."""
    path = config.audit_db_path
    run = _latest_run(path)
    interval = run.settings.get("INTERVAL_SECONDS") if run is not None else None
    patience = PATIENCE + (interval if isinstance(interval, int | float) else config.interval_seconds)
    for _ in _looks(patience, clock):
        if not record_is_held(path):
            _say("No trader runs: the next one finds it so")
            return 0
        if (noted := _newest_note(path)) is not None and noted["event_type"] == event:
            _say(f"On record: {noted['message']}")
            return 0
    _say(f"NOT acknowledged after {patience:.0f} seconds: the trader may be in a call of the terminal; it looks again before each entry")
    return NOT_ACKNOWLEDGED


def _newest_note(path: Path) -> Row | None:
    """What the newest run has last put down about a pause."""
    with contextlib.suppress(RecordUnavailable), Pages(path) as pages:
        run = pages.latest_run()
        given = [{"run": run.run_id, "type": kind} for kind in ("PAUSED", "UNPAUSED")] if run is not None else []
        found = [row for each in given for row in pages.page(LISTINGS["events"], each, limit=1).rows]
        return max(found, key=lambda row: int(str(row["id"])), default=None)
    return None


def _wait_for_the_end(path: Path, clock: Clock) -> int:
    for _ in _looks(LEAVING, clock):
        if not record_is_held(path):
            _say(f"No trader runs; {LIFTED_BY}")
            return 0
    _say("The trader has not ended yet")
    return 0


def _without_a_trader(config: LiveConfig) -> int:
    path = config.audit_db_path
    latched = path.exists() and latch_alone(config, "stopped with python -m Live stop while no trader ran")
    _say(f"No trader runs, and none starts: {'it is on record' if latched else 'the file is there'}; {LIFTED_BY}")
    return 0


def _tell_open(path: Path) -> None:
    try:
        with AuditReader(path) as reader:
            run = reader.latest_run()
            held = [] if run is None else reader.positions(run)
            unsettled = reader.unsettled_orders()
    except RecordUnavailable as error:
        _say(f"What is open is not known: {error}")
        return
    for row in held:
        _say(f"Open on record: {row['side']} {row['volume']:g} {row['symbol']}, ticket {row['ticket']}, stop loss {row['sl'] or 'none'}")
    _say("No position of ours is open on record" if not held else f"{len(held)} open: they keep their stops at the server")
    if unsettled:
        _say(f"{unsettled} order(s) whose outcome is unknown")


def _latest_run(path: Path) -> Run | None:
    with contextlib.suppress(RecordUnavailable), AuditReader(path) as reader:
        return reader.latest_run()
    return None


def _stop_seen(path: Path) -> Stop | None:
    with contextlib.suppress(RecordUnavailable):
        return stop_seen(path)
    return None


def _process(path: Path) -> str:
    with contextlib.suppress(RecordUnavailable), AuditReader(path) as reader:
        beat = reader.state().get("heartbeat")
        return str(beat.get("pid")) if isinstance(beat, dict) else "of the trader"
    return "of the trader"


def _looks(seconds: float, clock: Clock) -> Iterator[None]:
    for _ in range(round(seconds / LOOK_SECONDS)):
        yield
        clock.sleep(LOOK_SECONDS)


def _say(sentence: str) -> None:
    terminal().print(sentence, markup=False)
