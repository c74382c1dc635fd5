"""A disk that can lose its power: it remembers what SQLite wrote, and what of that was synced.

It is a layer of SQLite itself (a VFS), registered as the default one of the very library that Python's `sqlite3` speaks to: the
product opens its files as always. The files go on as if nothing were; what a power cut at any moment would have left of them is
made from the memory. Only calls that change a disk are seen; all others are those of the system's own layer.
Source: sqlite.org/vfs.html, sqlite3.h 3.40.1.
"""

import ctypes
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
NAME = b"losing-power"
OK = 0
MAIN_DB, MAIN_JOURNAL, WAL = 0x100, 0x800, 0x80000  # SQLITE_OPEN_*
SYNCS_ITS_FOLDER = MAIN_JOURNAL | WAL  # the first sync of such a new file makes its name, and those beside it, last
_INT, _I64, _PTR, _TEXT = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p


class NotHere(Exception):
    """The library that `sqlite3` speaks to cannot be reached from Python on this machine."""


class _Methods(ctypes.Structure):
    """sqlite3_io_methods."""

    _fields_ = [
        ("version", _INT),
        ("close", ctypes.CFUNCTYPE(_INT, _PTR)),
        ("read", _PTR),
        ("write", ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _INT, _I64)),
        ("truncate", ctypes.CFUNCTYPE(_INT, _PTR, _I64)),
        ("sync", ctypes.CFUNCTYPE(_INT, _PTR, _INT)),
        ("others", _PTR * 13),
    ]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs."""

    _fields_ = [
        ("version", _INT),
        ("file_size", _INT),
        ("longest_path", _INT),
        ("next", _PTR),
        ("name", _TEXT),
        ("data", _PTR),
        ("open", ctypes.CFUNCTYPE(_INT, _PTR, _PTR, ctypes.POINTER(_File), _INT, _PTR)),
        ("delete", ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _INT)),
        ("others", _PTR * 14),
    ]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the disk: `found`, `made`, `written`, `cut` (to `offset`), `synced` or `deleted`.

    `lasting` is, of a deletion, whether the folder is synced with it, and of a sync, whether it makes the names in its folder last.
    """

    what: str
    file: str
    offset: int = 0
    data: bytes = b""
    lasting: bool = False


class Disk:
    """What happened on it, in order, while it was `recording`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._open: dict[int, tuple[str, int]] = {}  # by SQLite's own handle: the path and what kind of file it is
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}  # by address: the system's functions, and ours in front of them

    @contextmanager
    def recording(self) -> Iterator["Disk"]:
        """Every database that is opened in this block, by whomever, is on this disk; all must be closed at its end."""
        library = _library()
        system = library.sqlite3_vfs_find(None)
        self._system = system.contents
        ours = _Vfs.from_buffer_copy(self._system)
        ours.name, ours.open, ours.delete = NAME, type(ours.open)(self._opened), type(ours.delete)(self._deleted)
        if library.sqlite3_vfs_register(ctypes.byref(ours), 1) != OK:
            raise NotHere("SQLite takes no layer of ours")
        try:
            yield self
        finally:
            library.sqlite3_vfs_unregister(ctypes.byref(ours))

    # what SQLite calls

    def _opened(self, _vfs: int, name: int, file: Any, flags: int, told: int) -> int:
        path = ctypes.string_at(name).decode() if name else ""
        content = Path(path).read_bytes() if path and Path(path).exists() else None
        code: int = self._system.open(ctypes.addressof(self._system), name, file, flags, told)
        kind = flags & (MAIN_DB | MAIN_JOURNAL | WAL)
        if code != OK or not path or not kind:
            return code
        if path not in {known for known, _ in self._open.values()} and not self._is_known(path):
            self.steps.append(Step("made", path) if content is None else Step("found", path, data=content))
        self._open[ctypes.addressof(file.contents)] = path, kind
        file.contents.methods = ctypes.pointer(self._in_front_of(file.contents.methods))
        return code

    def _is_known(self, path: str) -> bool:
        return next((step.what != "deleted" for step in reversed(self.steps) if step.file == path), False)

    def _in_front_of(self, methods: Any) -> _Methods:
        address = ctypes.addressof(methods.contents)
        if address not in self._tables:
            system = methods.contents
            ours = _Methods.from_buffer_copy(system)
            ours.close = type(system.close)(lambda file: self._closed(file, system))
            ours.write = type(system.write)(lambda file, data, size, offset: self._written(file, data, size, offset, system))
            ours.truncate = type(system.truncate)(lambda file, size: self._truncated(file, size, system))
            ours.sync = type(system.sync)(self._synced)
            self._tables[address] = system, ours
        return self._tables[address][1]

    def _closed(self, file: int, system: _Methods) -> int:
        self._open.pop(file)
        code: int = system.close(file)
        return code

    def _written(self, file: int, data: int, size: int, offset: int, system: _Methods) -> int:
        self.steps.append(Step("written", self._open[file][0], offset, ctypes.string_at(data, size)))
        code: int = system.write(file, data, size, offset)
        return code

    def _truncated(self, file: int, size: int, system: _Methods) -> int:
        self.steps.append(Step("cut", self._open[file][0], size))
        code: int = system.truncate(file, size)
        return code

    def _synced(self, file: int, _flags: int) -> int:
        path, kind = self._open[file]
        self.steps.append(Step("synced", path, lasting=bool(kind & SYNCS_ITS_FOLDER)))
        return OK  # the disk under it need not wait: this one knows what would last

    def _deleted(self, _vfs: int, name: int, folder_too: int) -> int:
        code: int = self._system.delete(ctypes.addressof(self._system), name, folder_too)
        path = ctypes.string_at(name).decode()
        if code == OK and self._is_known(path):
            self.steps.append(Step("deleted", path, lasting=bool(folder_too)))
        return code


def _library() -> Any:
    """The library behind `sqlite3`. Raises NotHere."""
    try:
        import _sqlite3

        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_libversion.restype = _TEXT
        if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
            raise NotHere("the library that is found is not the one that sqlite3 speaks to")
    except (ImportError, OSError, AttributeError, TypeError) as error:
        raise NotHere(f"the library behind sqlite3 is not found: {error}") from error
    return library


def is_here(folder: Path) -> bool:
    """Whether Python's `sqlite3` writes through a disk of ours on this machine."""
    disk = Disk()
    try:
        with disk.recording(), closing(sqlite3.connect(folder / "probe.db")) as db:
            db.execute("CREATE TABLE probe (x)")
    except NotHere:
        return False
    return any(step.what == "synced" for step in disk.steps)


# what is left

Loss = Callable[[Step, random.Random], list[Step]]  # the part of a change that reached the disk


def _torn(step: Step, draw: random.Random) -> list[Step]:
    if step.what != "written":
        return [step] if draw.random() < 0.5 else []
    pieces = range(0, len(step.data), SECTOR)
    return [Step("written", step.file, step.offset + at, step.data[at : at + SECTOR]) for at in pieces if draw.random() < 0.5]


# What becomes of changes that were not synced. A later one that is there without an earlier one has overtaken it.
LOSSES: dict[str, Loss] = {
    "dropped": lambda _step, _draw: [],
    "kept": lambda step, _draw: [step],
    "out of order": lambda step, draw: [step] if draw.random() < 0.5 else [],
    "torn by sectors": _torn,
}


@dataclass(slots=True)
class _Content:
    """One file: what has lasted, what was not synced yet, and whether its name would be there."""

    lasting: bytearray
    named: bool
    changes: list[Step] = field(default_factory=list)
    before: bytes | None = None  # what could be found under its name while that does not last
    gone: bool = False  # deleted, and the folder was not synced since

    def after(self, loss: Loss, draw: random.Random) -> bytes | None:
        if self.gone:
            return bytes(self.lasting) if self.named and draw.random() < 0.5 else None
        if not self.named and draw.random() < 0.5:
            return self.before
        content = bytearray(self.lasting)
        for change in self.changes:
            for part in loss(change, draw):
                _apply(content, part)
        return bytes(content)


def left_after(steps: Sequence[Step], loss: Loss, draw: random.Random) -> dict[str, bytes]:
    """The files that a power cut after these steps leaves, by path."""
    files: dict[str, _Content] = {}
    for step in steps:
        _take(files, step)
    contents = {path: content.after(loss, draw) for path, content in files.items()}
    return {path: content for path, content in contents.items() if content is not None}


def _take(files: dict[str, _Content], step: Step) -> None:
    if step.what == "found":
        files[step.file] = _Content(bytearray(step.data), named=True)
    elif step.what == "made":
        old = files.get(step.file)
        files[step.file] = _Content(bytearray(), named=False, before=bytes(old.lasting) if old and old.named else None)
    elif step.what == "synced":
        content = files[step.file]
        for change in content.changes:
            _apply(content.lasting, change)
        content.changes.clear()
        if step.lasting and not content.named:
            _names_last(files)
    elif step.what == "deleted":
        files[step.file].gone = True
        if step.lasting:
            _names_last(files)
    else:
        files[step.file].changes.append(step)


def _names_last(files: dict[str, _Content]) -> None:
    for path in [path for path, content in files.items() if content.gone]:
        del files[path]
    for content in files.values():
        content.named = True


def _apply(content: bytearray, change: Step) -> None:
    if change.what == "cut":
        del content[change.offset :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data
