"""`python -m Live audit verify` and `backup`: whether the record is as it was written, and a copy of it while it is traded on."""

import json
import re
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from Live.audit_logger.chain import Head
from Live.audit_logger.copying import CopyIsBroken, copy_record
from Live.audit_logger.opening import check_record
from Live.audit_logger.verifying import Verified, verify
from Live.clock import Clock
from Live.errors import Misconfigured
from Live.logs import terminal

CHECK_FAILED = 6


def print_verified(path: Path, noted: str | None, *, as_json: bool) -> int:
    """Verify the record and tell what was found; 6 where anything is wrong."""
    head = None if noted is None else _head(noted)
    with _bar() as bar:
        task = bar.add_task("Verifying", total=None)
        found = verify(path, head, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json = {"whole": found.is_whole, "head": str(found.head), "rows": found.rows}
        Console().print_json(json.dumps({**print_json, "findings": [asdict(each) for each in found.findings]}))
    else:
        _print(path, found)
    return 0 if found.is_whole else CHECK_FAILED


def back_up(path: Path, target: Path | None, folder: Path, clock: Clock) -> int:
    """Copy the record to `target`, by default into `folder` under a name that tells the time. Raises Misconfigured."""
    file = target or folder / f"{path.stem}-{clock.now():%Y%m%d-%H%M%S}.db"
    if not path.exists():
        raise Misconfigured(f"there is no record at {path} yet: start the trader, and it appears there")
    check_record(path)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _bar() as bar:
            task = bar.add_task("Copying", total=None)
            copy_record(path, file, lambda done, total: bar.update(task, completed=done, total=total))
    except FileExistsError as error:
        raise Misconfigured(f"{error}: a backup takes the place of no other file; name another one") from error
    except CopyIsBroken as error:
        raise Misconfigured(f"the copy of {path} is of no use, and was removed: {error}; see python -m Live audit verify") from error
    except OSError as error:
        raise Misconfigured(f"{path} cannot be copied to {file}: {error.strerror or error}") from error
    Console(highlight=False, soft_wrap=True).print(f"{file}: {file.stat().st_size:,} bytes, whole, verified", markup=False)
    return 0


def _head(text: str) -> Head:
    if (found := re.fullmatch(r"(\d+):([0-9a-f]{64})", text)) is None:
        raise Misconfigured(f"--head {text}: want the head that audit verify printed, as in 1234:5f0c… with all 64 digits")
    return Head(int(found[1]), found[2])


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, console=terminal(), transient=True, disable=not terminal().is_terminal)


def _print(path: Path, found: Verified) -> None:
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{path}: {found.rows:,} rows in its journal", markup=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    for each in found.findings:
        table.add_row("[red]wrong[/red]" if each.wrong else "[green]good[/green]", each.what, each.wrong)
    out.print(table)
    if found.is_whole:
        out.print(f"Head of the chain: {found.head}")
        out.print("Note it elsewhere: audit verify --head … tells later whether anything before it was changed.")
    else:
        out.print("The record is not as it was written: keep the file as evidence, and put a copy from a backup in its place.")
