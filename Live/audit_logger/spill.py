"""The spill file beside the record, `audit.db.spill`: what must not be lost when the database cannot be written.

It is made with all of its room before anything is sent, so that a full disk has a place for the one answer that came after a
send. It also holds the head of the journal's hash chain: a record that ends before it was set back, or has lost its log.

A block of head slots, written in turn so that a torn one leaves the other; behind it the entries, one after the other. Each
is a length, the SHA-256 of what follows, and JSON.
"""

import contextlib
import errno
import hashlib
import json
import os
import struct
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from Live.audit_logger.chain import START, Head

SUFFIX = ".spill"
SIZE = 256 * 1024  # bytes
_FRAME = struct.Struct(">I32s")
_SLOT, _SLOTS = 512, 2
_ENTRIES_AT = 4096
_BINARY = getattr(os, "O_BINARY", 0)


def spill_of(record: Path) -> Path:
    """Where the spill file of a record is."""
    return record.with_name(record.name + SUFFIX)


class Spill:
    """The open spill file; `made` where there is none. Raises OSError when it cannot be made, read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            _allocate(path)
        self._file = os.open(path, os.O_RDWR | _BINARY)
        self.close = weakref.finalize(self, _let_go, self._file)  # lets go of the file, with the newest head on the disk
        self._turn, self._head = _newest_head(self._read(0, _SLOT * _SLOTS))
        found = list(_frames(self._read(_ENTRIES_AT, SIZE - _ENTRIES_AT)))
        self.entries: tuple[Mapping[str, Any], ...] = tuple(entry for entry in found if entry is not None)
        self.torn = None in found  # something was being written when the machine stopped
        self._end = _ENTRIES_AT if not found else SIZE  # entries that nobody has read back are not written over

    @property
    def head(self) -> Head:
        """The newest head that was noted; number 0 where none was."""
        return self._head

    def note(self, head: Head) -> None:
        """Put down the newest row of the journal, which is on the disk by now; this note may reach it later."""
        self._turn += 1
        self._write(_SLOT * (self._turn % _SLOTS), _framed({"turn": self._turn, "seq": head.seq, "hash": head.hash}))
        self._head = head

    def keep(self, entry: Mapping[str, Any]) -> None:
        """Put down what the database has not taken; it is on the disk when this returns. Raises OSError where there is no room."""
        frame = _framed(entry)
        if self._end + len(frame) + _FRAME.size > SIZE:
            raise OSError(f"{self.path} has no room left")
        self._write(self._end, frame)
        os.fsync(self._file)
        self._end += len(frame)

    def forget_entries(self) -> None:
        """Make room again, once the entries are in the database."""
        self._write(_ENTRIES_AT, bytes(SIZE - _ENTRIES_AT))
        os.fsync(self._file)
        self.entries, self.torn, self._end = (), False, _ENTRIES_AT

    def _read(self, at: int, size: int) -> bytes:
        os.lseek(self._file, at, os.SEEK_SET)
        return os.read(self._file, size)

    def _write(self, at: int, content: bytes) -> None:
        os.lseek(self._file, at, os.SEEK_SET)
        if os.write(self._file, content) != len(content):
            raise OSError(f"{self.path} cannot be written as a whole")


def _let_go(file: int) -> None:
    with contextlib.suppress(OSError):  # the note is a convenience: what it says is in the database
        os.fsync(file)
    os.close(file)


def noted_head(record: Path) -> Head | None:
    """The head that the spill file of a record holds; None where there is no such file, or nothing in it. Changes nothing."""
    try:
        with spill_of(record).open("rb") as file:
            _, head = _newest_head(file.read(_SLOT * _SLOTS))
    except OSError:
        return None
    return head if head.seq else None


def _allocate(path: Path) -> None:
    """The whole file, on the disk, readable by its owner only; never a part of it under its name."""
    part = path.with_name(path.name + ".part")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
    try:
        if os.write(file, bytes(SIZE)) != SIZE:
            raise OSError(errno.ENOSPC, f"no room for {path}")
        os.fsync(file)
    except OSError:
        part.unlink()
        raise
    finally:
        os.close(file)
    part.replace(path)


def _framed(entry: Mapping[str, Any]) -> bytes:
    body = json.dumps(entry, sort_keys=True).encode()
    return _FRAME.pack(len(body), hashlib.sha256(body).digest()) + body


def _frames(content: bytes) -> Iterator[dict[str, Any] | None]:
    """The entries, and at last a None where something is there that is not whole."""
    at = 0
    while at + _FRAME.size <= len(content):
        size, digest = _FRAME.unpack_from(content, at)
        if not size:
            return
        body = content[at + _FRAME.size : at + _FRAME.size + size]
        if len(body) < size or hashlib.sha256(body).digest() != digest:
            yield None
            return
        yield json.loads(body)
        at += _FRAME.size + size


def _newest_head(content: bytes) -> tuple[int, Head]:
    slots = (content[at : at + _SLOT] for at in range(0, _SLOT * _SLOTS, _SLOT))
    whole = [found for slot in slots if (found := next(_frames(slot), None)) is not None]
    newest = max(whole, key=lambda found: int(found["turn"]), default=None)
    return (0, START) if newest is None else (newest["turn"], Head(newest["seq"], newest["hash"]))
