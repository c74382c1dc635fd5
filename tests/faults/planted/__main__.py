"""`python -m tests.faults.planted`: plant each bug, and look for it."""

import functools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from Live.config import PROJECT_ROOT
from tests.faults.planted import BUGS, Find, look_for

NOT_FOUND = 6
SEEDS = 200
DOCS = PROJECT_ROOT / "docs" / "planted.md"
PREFACE = """# What the fault harness would see

Mistakes that somebody could make in the trader, each planted as a small patch, and what finds it: the number of the invariant that
is told to be broken, where, how many runs that took, and how long. A run that only ends in an exception does not count; the trader
without the patch breaks nothing in the same run. Seeds begin at {first} for each bug.
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, metavar="NAME", help="This bug alone, or all whose names hold this; several times: each of them.")
@click.option("--seeds", type=click.IntRange(1), default=SEEDS, show_default=True, help="How many random schedules are tried at most.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The first of them.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--by-chance", is_flag=True, help="Look for all of them by random schedules, also for those that have a play of their own.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table to this file, too.")
@click.option("--write-docs", is_flag=True, help="Write the table to docs/planted.md.")
@click.pass_context
def main(context: click.Context, /, only: Sequence[str], seeds: int, seed: int, jobs: int, **asked: Any) -> None:
    """Plant bugs in the trader, one at a time, and look whether the harness finds them. The exit code is 6 where one is not found."""
    names = [name for name in BUGS if not only or any(part in name for part in only)]
    if not names:
        raise click.UsageError(f"no bug has {' or '.join(only)} in its name; there are: {', '.join(BUGS)}")
    console = Console(highlight=False)
    finds = _hunted(names, functools.partial(look_for, seeds=range(seed, seed + seeds), by_chance=asked["by_chance"]), jobs)
    console.print(_table(finds))
    missed = [find.bug for find in finds if not (find.oracle and find.clean)]
    console.print(_sum(finds), soft_wrap=True)
    if (file := asked["file"]) is not None:
        file.write_text(json.dumps([asdict(find) for find in finds], indent=1) + "\n", encoding="utf-8")
    if asked["write_docs"]:
        chance = " --by-chance" if asked["by_chance"] else ""
        DOCS.write_text(_as_text(finds, seed, f"python -m tests.faults.planted --seeds {seeds}{chance} --write-docs"), encoding="utf-8")
    context.exit(NOT_FOUND if missed else 0)


def _hunted(names: Sequence[str], look: Callable[[str], Find], jobs: int) -> list[Find]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("bugs", total=len(names))
        finds = {}
        for find in _finds(names, look, jobs):
            finds[find.bug] = find
            progress.update(task, advance=1, description=find.bug)
        return [finds[name] for name in names]


def _finds(names: Sequence[str], look: Callable[[str], Find], jobs: int) -> Iterator[Find]:
    if jobs == 1:
        yield from map(look, names)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.planted"])
    with context.Pool(jobs) as pool:
        yield from pool.imap_unordered(look, names)


def _table(finds: Sequence[Find]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("bug", "found by", "where", "runs", "seconds"):
        table.add_column(name, justify="right" if name in ("runs", "seconds") else "left", overflow="fold")
    for find in finds:
        table.add_row(find.bug, _found_by(find), find.where, str(find.tried), f"{find.seconds:.1f}")
    return table


def _found_by(find: Find) -> str:
    return "NOT FOUND" if not find.oracle else find.oracle if find.clean else f"{find.oracle}, and so is the product"


def _sum(finds: Sequence[Find]) -> str:
    found = sum(bool(find.oracle and find.clean) for find in finds)
    by_seeds = [find.tried for find in finds if find.where.startswith("seed ")]
    text = f"{len(finds)} bugs planted, {found} found"
    return f"{text}; {len(by_seeds)} of them by random schedules, within {max(by_seeds)} seeds at most" if by_seeds else text


def _as_text(finds: Sequence[Find], first: int, command: str) -> str:
    lines = [PREFACE.format(first=first), f"`{command}`", "", f"{_sum(finds)}.", ""]
    lines += ["| bug | what the trader does then | found by | what is told | where | runs | seconds |", "|---|---|---|---|---|---|---|"]
    for find in finds:
        sentence = find.sentence if len(find.sentence) <= 120 else f"{find.sentence[:117]}…"
        cells = (find.bug, BUGS[find.bug].sentence, _found_by(find), sentence, find.where, str(find.tried), f"{find.seconds:.1f}")
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main(prog_name="python -m tests.faults.planted")
