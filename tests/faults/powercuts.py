"""`python -m tests.faults.powercuts --cuts 200 --seed 1`: the power goes at any write or sync of the record's database.

Each seed is one run of the trader, cut at 20 places; what was not synced is dropped, kept, out of order or torn by sectors. The
product opens what is left, and trades on to the end. Beside each run goes a control in which FULL is only NORMAL: that must lose
rows. Exit code 6 on any breach, with its seed and step, and where the control loses nothing.
"""

import json
import logging
import random
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

from tests.faults.cut_runs import Cut, Recording, cut, recorded
from tests.faults.disk import LOSSES, is_here

BREACH_CODE = 6
CUTS_A_RUN = 20


@dataclass(frozen=True, slots=True)
class Told:
    """One cut of a run, and whether it was one of the control."""

    seed: int
    control: bool
    cut: Cut
    kind: str  # of the step before it


@dataclass
class Tally:
    """What a campaign came to; counters are by loss, or by the step before the cut."""

    seed: int
    runs: int = 0
    steps: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    control_cuts: Counter[str] = field(default_factory=Counter)
    control_lost: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, told: Told) -> None:
        """Count one cut in."""
        found = told.cut
        if told.control:
            self.control_cuts[found.loss] += 1
            self.control_lost[found.loss] += bool(found.lost)
            return
        self.cuts[found.loss] += 1
        self.places[told.kind] += 1
        self.lost[found.loss] += bool(found.lost)
        where = f"seed {told.seed}, cut after step {found.step} ({told.kind}), {found.loss}"
        self.breaches += [f"{where}: {sentence}" for sentence in (*found.lost, *found.breaches)]


def campaign(cuts: int, seed: int, tally: Tally) -> Iterator[Told]:
    """So many cuts of runs with consecutive seeds, each with those of its control behind it."""
    while cuts > 0:
        count = min(cuts, CUTS_A_RUN)
        for control in (False, True):
            with tempfile.TemporaryDirectory(prefix="powercuts-") as folder:
                recording = recorded(Path(folder), seed, full=not control)
                tally.runs, tally.steps = tally.runs + 1, tally.steps + len(recording.steps)
                yield from _cut(recording, Path(folder), seed, count, control=control)
        cuts, seed = cuts - count, seed + 1


def _cut(recording: Recording, folder: Path, seed: int, count: int, *, control: bool) -> Iterator[Told]:
    draw = random.Random(f"cuts {seed}")
    for _ in range(count):
        step, loss = draw.randrange(1, len(recording.steps) + 1), draw.choice(list(LOSSES))
        with tempfile.TemporaryDirectory(prefix="powercut-") as here:
            found = cut(recording, step, loss, seed=seed, folders=(folder, Path(here)), trade_on=not control)
        before = recording.steps[step - 1]
        yield Told(seed, control, found, f"{Path(before.file).name} {before.what}")


def tell(tally: Tally, out: Console) -> None:
    """The tables, the breaches and the last line."""
    table = Table(box=None, pad_edge=False)
    for name in ("What was not synced is", "Cuts", "Lost", "Cuts with NORMAL", "Lost with NORMAL"):
        table.add_column(name, justify="left" if name.startswith("What") else "right")
    for loss in LOSSES:
        figures = (tally.cuts[loss], tally.lost[loss], tally.control_cuts[loss], tally.control_lost[loss])
        table.add_row(loss, *(f"{figure:,}" for figure in figures))
    out.print(table)
    out.print("Cut after: " + ", ".join(f"{kind} {times}" for kind, times in tally.places.most_common()), soft_wrap=True)
    for breach in tally.breaches:
        out.print(breach, markup=False, soft_wrap=True)
    out.print(
        f"{tally.cuts.total():,} power cuts of {tally.runs // 2} runs ({tally.steps:,} steps of the disk, controls included) in "
        f"{tally.seconds:.0f} s: {tally.lost.total()} lost rows that were to last, {len(tally.breaches)} breaches; of "
        f"{tally.control_cuts.total():,} cuts with NORMAL in place of FULL {tally.control_lost.total():,} lost some",
        soft_wrap=True,
    )
    if not tally.control_lost.total():
        out.print("The control lost nothing: this harness would not have seen a loss.", style="red")


@click.command(help=__doc__)
@click.option("--cuts", default=200, show_default=True, type=click.IntRange(1), help="how often the power goes")
@click.option("--seed", default=1, show_default=True, help="of the first run; the next one has the next number")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="write what was found to this file, too")
def main(cuts: int, seed: int, file: Path | None) -> None:
    out, tally, began = Console(highlight=False), Tally(seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if not is_here(Path(folder)):
            raise click.ClickException("on this machine Python's sqlite3 cannot be given a disk that loses power")
    columns = (TextColumn("Cutting the power"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=2 * cuts)
        for told in campaign(cuts, seed, tally):
            tally.add(told)
            progress.advance(task)
    tally.seconds = time.monotonic() - began
    tell(tally, out)
    if file is not None:
        file.write_text(json.dumps(vars(tally), indent=2) + "\n", encoding="utf-8")
    sys.exit(BREACH_CODE if tally.breaches or not tally.control_lost.total() else 0)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
