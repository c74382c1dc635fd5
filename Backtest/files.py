"""Files that are there whole, or as they were."""

import os
from pathlib import Path

from Backtest.errors import BadInput


def check_place(file: Path, option: str) -> None:
    """Make the folder of a file that will be written later. Raises BadInput where it cannot be there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{file}: no such file can be written ({error.strerror or error}); name another one with {option}") from error
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        reason = "it is a folder" if file.is_dir() else "its folder is read-only"
        raise BadInput(f"{file}: no such file can be written ({reason}); name another one with {option}")


def write_whole(file: Path, text: str) -> None:
    """Write a file at once, or leave the one that is there. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
