"""The one thing that the page can do: make the emergency stop file. It needs neither the record nor the trader's attention."""

import contextlib
from pathlib import Path

from Live.audit_logger.reader import AuditReader, RecordUnavailable
from Live.clock import Clock
from Live.kill_switch import KillSwitchFile


def stop_files(db_path: Path, switch: KillSwitchFile) -> list[Path]:
    """The files that stop the trader: that of the settings, and that which the newest run looks for, if it is another."""
    wanted = [switch.path] if switch.path else []
    with contextlib.suppress(RecordUnavailable), AuditReader(db_path) as reader:
        run = reader.latest_run()
        known = run.settings.get("KILL_SWITCH_FILE") if run else None
        if isinstance(known, str) and Path(known).is_absolute() and Path(known).parent.is_dir():
            wanted.append(Path(known))
    return list(dict.fromkeys(wanted))


def make_stop_files(db_path: Path, switch: KillSwitchFile, clock: Clock) -> tuple[list[Path], list[str]]:
    """Make them. Returns those that are there now, and a sentence for each that is not. A file that exists is left as it is."""
    made, problems = [], []
    for file in stop_files(db_path, switch):
        try:
            with contextlib.suppress(FileExistsError), file.open("x", encoding="utf-8") as stream:
                stream.write(f"stopped from the dashboard at {clock.now().isoformat(timespec='seconds')}\n")
            made.append(file)
        except OSError as error:
            problems.append(f"{file} cannot be made ({error.strerror}): make it by hand, or end the trader with Ctrl-C")
    return made, problems
