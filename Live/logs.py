"""Where log lines go: one JSON object per line in a file, readable lines on the console, and secrets nowhere.

The record of what was decided and done is the audit database; the log is for people.
"""

import contextlib
import functools
import json
import logging
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from logging.handlers import RotatingFileHandler
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.text import Text

from Live.clock import Clock
from Live.config import LiveConfig, Secret
from Live.errors import Misconfigured
from Live.redaction import redacted

FILE_NAME = "live_trader.log"
OUR_LOGGERS = ("LiveTrader", "Live", "Backtest")
MEGABYTE = 1024 * 1024
MAY_HOLD_SECRETS = frozenset({"message", "extra_data", "traceback"})
DEEPEST = 8  # levels of nesting that are written out; below, and around a circle, the text of the value stands

_STYLES = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


@functools.cache
def terminal() -> Console:
    """The console that log lines and progress bars share, so that they do not write over each other; it is stderr."""
    return _Terminal(stderr=True, highlight=False, soft_wrap=True)


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Go on silently: rich would end the whole program when nobody reads it any more."""
        self.quiet = True


def setup_logging(config: LiveConfig, clock: Clock, *, console: bool = True, console_level: str | None = None) -> None:
    """Send what `LiveTrader`, `Live` and `Backtest` log to `LOG_DIR`/live_trader.log and, with `console`, to the console.

    `console_level` keeps lines below it off the console only, so that a progress bar can be seen; other libraries are heard from
    WARNING on. A second call takes the place of the first. Raises Misconfigured when the file cannot be written.
    """
    file = _file_handler(config)
    close_logging()
    formatter = _JsonFormatter(clock, config.secrets)
    file.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(file)
    if console:
        shown = _ConsoleHandler(terminal(), formatter)
        shown.setLevel(console_level or logging.NOTSET)
        root.addHandler(shown)
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[config.log_level]))
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(config.log_level)


def close_logging() -> None:
    """Undo `setup_logging`: close the file, leave other handlers alone."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _JsonFile | _ConsoleHandler)]:
        root.removeHandler(handler)
        handler.close()
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.setLevel(logging.WARNING)


class _NeverRepeatsALostLine(logging.Handler):
    """logging's own report of a line that cannot be written repeats the line, with its secrets, for every line."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's interface
        if self._told:
            return
        self._told = True
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr is closed, or there is none
            sys.stderr.write(f"a log line could not be written, nor perhaps later ones: {sys.exc_info()[1]!r}\n")


class _JsonFile(_NeverRepeatsALostLine, RotatingFileHandler):
    def close(self) -> None:
        """Let go of the file, also when there is no room for its last lines."""
        with contextlib.suppress(OSError):
            super().close()


def _file_handler(config: LiveConfig) -> RotatingFileHandler:
    path = config.log_dir / FILE_NAME
    try:
        config.log_dir.mkdir(parents=True, exist_ok=True)
        size = max(1, int(config.max_log_size_mb * MEGABYTE))
        return _JsonFile(path, maxBytes=size, backupCount=config.log_backup_count, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or error
        raise Misconfigured(
            f"LOG_DIR={config.log_dir}: {path} cannot be written ({reason}); choose a folder that you may write to"
        ) from error


class _JsonFormatter(logging.Formatter):
    """One JSON object per line, in the order in which a person reads it."""

    def __init__(self, clock: Clock, secrets: Callable[[], Iterable[str]]) -> None:
        super().__init__()
        self._clock = clock
        self._secrets = secrets

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """The record as plain JSON values, without secrets."""
        found = {
            "timestamp": self._clock.now().isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": _safely(record.getMessage, lambda: f"{record.msg!r} {record.args!r}"),
            "module": record.module,
            "function": record.funcName,
            "line": record.lineno,
            "extra_data": plain(getattr(record, "extra_data", {})),
        }
        if record.exc_info:
            found["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        secrets = tuple(self._secrets())
        return {key: redacted(value, secrets) if key in MAY_HOLD_SECRETS else value for key, value in found.items()}

    def format(self, record: logging.LogRecord) -> str:
        # allow_nan would write NaN, which is no JSON; `plain` has made texts of such numbers
        return json.dumps(self.facts(record), ensure_ascii=False, allow_nan=False)


class _ConsoleHandler(_NeverRepeatsALostLine):
    """Coloured lines on a terminal; anywhere else the form that other trading programs write, without colours."""

    def __init__(self, console: Console, formatter: _JsonFormatter) -> None:
        super().__init__()
        self._console = console
        self._formatter = formatter

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._console.print(self._line(record))
        except (OSError, ValueError):  # the console went away
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> Text:
        return line_of(self._formatter.facts(record), coloured=self._console.is_terminal)


def line_of(facts: Mapping[str, Any], *, coloured: bool) -> Text:
    """What a log line says, for people: coloured, or in the form that other trading programs write."""
    extra = facts.get("extra_data", {})
    pairs = one_line(" ".join(f"{key}={value}" for key, value in extra.items()) if isinstance(extra, dict) else str(extra))
    at, level, said = str(facts["timestamp"])[:19].replace("T", " "), str(facts["level"]), one_line(str(facts["message"]))
    if coloured:
        line = Text.assemble((at, "dim"), " ", (f"{level:8}", _STYLES.get(level, "")), " ", said, "  " if pairs else "", (pairs, "dim"))
    else:
        line = Text(" - ".join((at, str(facts.get("logger", "")), level, said)) + (f" {pairs}" if pairs else ""))
    if "traceback" in facts:
        line.append("\n" + str(facts["traceback"]))
    return line


def one_line(text: str) -> str:
    """Nothing that is logged can look like a second line, or move the cursor."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def plain(value: object, depth: int = 0) -> Any:
    """`value` as JSON can hold it; whatever cannot be, as its text. Never raises.

    Times become ISO 8601, enums their values, Decimals and numbers that are not finite their text.
    """
    if value is None or type(value) in (bool, str):
        return value
    return _safely(lambda: _plain(value, depth), lambda: f"<{type(value).__name__} that cannot be shown>")


def _plain(value: object, depth: int) -> Any:
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # numpy's arrays and single values; its times only have a text
        return str(value) if value.dtype.kind in "mM" else plain(value.tolist(), depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | PurePath | Secret):
        return str(value)
    if depth < DEEPEST and (inner := _parts(value)) is not None:
        return _plain_parts(inner, depth + 1)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _plain_parts(parts: Mapping[Any, Any] | list[Any], depth: int) -> Any:
    if isinstance(parts, list):
        return [plain(item, depth) for item in parts]
    return {str(plain(key, DEEPEST)): plain(item, depth) for key, item in parts.items()}


def _parts(value: Any) -> Mapping[Any, Any] | list[Any] | None:
    """What a composite value consists of, None for a single one."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):  # named tuples, and the structures of the terminal
        return dict(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return None


def _safely(attempt: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    try:
        return attempt()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything, and a log line must not stop the trader
        return otherwise()
