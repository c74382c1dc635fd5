"""The log as it grows: the newest lines of `live_trader.log`, those of the file put aside before it among them."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from Live.clock import Clock
from Live.errors import Misconfigured
from Live.logs import FILE_NAME

CHUNK = 65_536  # bytes read at once
LOOK_SECONDS = 0.5
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Facts = dict[str, Any]


class LogFile:
    """The log in the folder `LOG_DIR`. Raises Misconfigured where there is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        if not self._path.is_file():
            raise Misconfigured(f"LOG_DIR={folder}: there is no {FILE_NAME} yet; start the trader, or name the folder of its settings")

    def newest(self, most: int, wanted: Callable[[Facts], bool]) -> list[Facts]:
        """The last lines that are `wanted`, at most so many, oldest first."""
        found: list[Facts] = []
        for file in (self._path, self._path.with_name(f"{FILE_NAME}.1")):
            if not file.is_file():
                break
            with file.open("rb") as log:
                for line in _backwards(log):
                    if len(found) == most:
                        return found[::-1]
                    if (facts := facts_of(line)) is not None and wanted(facts):
                        found.append(facts)
        return found[::-1]

    def follow(self, clock: Clock, wanted: Callable[[Facts], bool]) -> Iterator[Facts]:
        """Every line that is added from now on, also behind a change of files; it ends with KeyboardInterrupt."""
        log: BinaryIO = self._path.open("rb")
        try:
            log.seek(0, SEEK_END)
            while True:
                line = log.readline()
                if not line.endswith(b"\n"):
                    log.seek(-len(line), 1)  # the other half is still being written
                    log = self._current(log) if not line else log
                    clock.sleep(LOOK_SECONDS)
                elif (facts := facts_of(line)) is not None and wanted(facts):
                    yield facts
        finally:
            log.close()

    def _current(self, log: BinaryIO) -> BinaryIO:
        """The file that is written now: the one that was may have been put aside, or emptied."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return log
        ours = os.fstat(log.fileno())
        if log.tell() <= now.st_size and (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino):
            return log
        log.close()
        return self._path.open("rb")


def facts_of(line: bytes) -> Facts | None:
    """What one line says; None for one that is not ours."""
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and {"timestamp", "level", "message"} <= facts.keys() else None


def wanted_from(level: str, since: datetime | None) -> Callable[[Facts], bool]:
    """Whether a line is at least so severe, and not older."""
    least, text = LEVELS.index(level), "" if since is None else since.isoformat()
    return lambda facts: facts["level"] in LEVELS[least:] and str(facts["timestamp"]) >= text


def _backwards(log: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, the last one first, without reading more of it than is asked for."""
    log.seek(0, SEEK_END)
    place, tail = log.tell(), b""
    while place > 0:
        place -= (step := min(CHUNK, place))
        log.seek(place)
        first, *lines = (log.read(step) + tail).split(b"\n")
        yield from (line for line in reversed(lines) if line)
        tail = first
    if tail:
        yield tail
