"""`python -m tests.faults.kills --kills 500 --seed 1`: the whole trader, killed for real at every labelled point, again and again.

Each seed is one account at a broker that lives on while the traders on it die. Exit code 6 on any breach, with the seed and
the points that found it; `--kills 1 --seed SEED` runs that account once more.
"""

import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.kill_points import POINTS
from tests.faults.series import Series, Told

BREACH_CODE = 6
IN_MEMORY = Path("/dev/shm")  # what a kill leaves does not depend on the disk, and a disk in memory does not wait


@dataclass
class Tally:
    """What a campaign came to."""

    seed: int
    accounts: int = 0
    kills: Counter[str] = field(default_factory=Counter)  # by point
    duplicates: int = 0
    lost: int = 0
    missed_by_safety: int = 0
    late_fills: int = 0
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, told: Told) -> None:
        """Count one account in."""
        self.accounts += 1
        self.kills.update(told.kills)
        self.duplicates += told.duplicates
        self.lost += told.lost
        self.missed_by_safety += told.missed
        self.late_fills += told.late
        where = f"seed {told.seed}, killed {'; '.join(told.kills) or 'never'}"
        self.breaches += [f"{where}: {breach}" for breach in told.breaches]


def campaign(kills: int, seed: int) -> Iterator[Told]:
    """Accounts of consecutive seeds until so many traders have been killed."""
    while kills > 0:
        with tempfile.TemporaryDirectory(prefix="kills-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
            told = Series(seed, Path(folder)).run()
        kills, seed = kills - len(told.kills), seed + 1
        yield told


def table_of(tally: Tally) -> Table:
    """Kills by point, in the order of the protocol."""
    table = Table(box=None, pad_edge=False)
    for name, justify in (("Killed", "right"), ("Step", "left"), ("Point", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for label, point in POINTS.items():
        table.add_row(f"{tally.kills[label]:,}", point.letter, label)
    return table


def summary_of(tally: Tally) -> str:
    """The last line."""
    killed = sum(tally.kills.values())
    return (
        f"{killed:,} kills of {tally.accounts:,} accounts' traders at {len(tally.kills)} of {len(POINTS)} points in {tally.seconds:.0f} s "
        f"({1000 * tally.seconds / max(killed, 1):.0f} ms a kill): {tally.duplicates} duplicates, {tally.lost} lost, "
        f"{len(tally.breaches)} breaches; {tally.missed_by_safety} missed by safety, {tally.late_fills} filled late"
    )


@click.command(help=__doc__)
@click.option("--kills", default=500, show_default=True, type=click.IntRange(1), help="how many traders are to be killed")
@click.option("--seed", default=1, show_default=True, help="of the first account; the next one has the next number")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write what was found to this file, too")
def main(kills: int, seed: int, file: Path | None) -> None:
    out, tally, began = Console(highlight=False), Tally(seed), time.monotonic()
    columns = (TextColumn("Killing traders"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=kills)
        for told in campaign(kills, seed):
            tally.add(told)
            progress.advance(task, len(told.kills))
            for breach in told.breaches:
                progress.console.print(f"seed {told.seed}: {breach}", markup=False, soft_wrap=True)
    tally.seconds = time.monotonic() - began
    out.print(table_of(tally))
    for breach in tally.breaches:
        out.print(breach, markup=False, soft_wrap=True)
    out.print(summary_of(tally), soft_wrap=True)
    if file is not None:
        file.write_text(json.dumps(vars(tally), indent=2) + "\n", encoding="utf-8")
    sys.exit(BREACH_CODE if tally.breaches else 0)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
