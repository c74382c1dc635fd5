"""`python -m tests.faults`: schedules of faults over the whole trader, the crash matrix, and the replay of one case."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.faults import campaign, matrix, report
from tests.faults.campaign import Summary
from tests.faults.case import Case
from tests.faults.running import Result, run_case, silence

Came = TypeVar("Came")
BROKEN = 6


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--schedules", type=click.IntRange(1), default=1000, show_default=True, help="How many random schedules.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The first seed; the others follow it.")
@click.option("--matrix", is_flag=True, help="Kill the trader once at every point that an order passes, in place of random schedules.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Of the matrix, only every so many-th point.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary of the schedules to this file, too."
)
@click.option("--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Run the one case in this file.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Shrink what fails, and write it to tests/faults/regressions.")
@click.option("--write-docs", is_flag=True, help="Write the tables to docs/faults.md.")
@click.pass_context
def main(context: click.Context, /, schedules: int, seed: int, jobs: int, file: Path | None, **asked: Any) -> None:
    """The whole trader under random schedules of faults, in virtual time. The exit code is 6 on any breach."""
    console = Console(highlight=False)
    silence()
    if asked["replay"] is not None:
        context.exit(_replayed(asked["replay"], console))
    if asked["matrix"]:
        context.exit(_crashed(jobs, console, every=asked["every"], write=asked["write_docs"]))
    summary = _with_a_bar(schedules, lambda told: campaign.of_seeds(range(seed, seed + schedules), jobs, told))
    report.tell(summary, console, f"seeds {seed} to {seed + schedules - 1}")
    if file is not None:
        report.to_json(summary, file)
    if asked["write_docs"]:
        command = f"python -m tests.faults --schedules {schedules} --seed {seed} --write-docs"
        report.write_section("schedules", report.schedules_as_text(summary, command))
    context.exit(_told(summary, console, keep=asked["keep"]))


def _crashed(jobs: int, console: Console, *, every: int, write: bool) -> int:
    killed = [(cell, passage) for cell in matrix.cells() for passage in matrix.kills(cell)][::every]
    rows = _with_a_bar(len(killed), lambda told: campaign.of_matrix(killed, jobs, told))
    report.tell_matrix(rows, console)
    if write:
        report.write_section(
            "crashes",
            report.matrix_as_text(rows, f"python -m tests.faults --matrix{f' --every {every}' if every > 1 else ''} --write-docs"),
        )
    failures = [failure for row in rows.values() for failure in row.failures]
    for failure in failures:
        killed_at = failure.case.plan[-1].when["passage"]
        console.print(f"{failure.case.world.menu}, killed at {killed_at}: {failure.breaches[0]}", markup=False, soft_wrap=True)
    console.print(f"killed {len(killed):,} times, {len(failures):,} runs broke an invariant")
    return BROKEN if failures else 0


def _with_a_bar(total: int, run: Callable[[Callable[[Result], None]], Came]) -> Came:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[bad]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("runs", total=total, bad="")
        bad: list[int] = []

        def told(result: Result) -> None:
            if result.breaches:
                bad.append(result.case.seed)
                progress.console.print(f"seed {result.case.seed}: {result.breaches[0]}", markup=False, highlight=False, soft_wrap=True)
            progress.update(task, advance=1, bad=f"{len(bad)} fail" if bad else "")

        return run(told)


def _told(summary: Summary, console: Console, *, keep: bool) -> int:
    for failure in summary.failures:
        console.print(f"seed {failure.case.seed}: {failure.breaches[0]}", markup=False, soft_wrap=True)
    for failure in summary.failures[: campaign.A_FEW] if keep else ():
        kept = campaign.kept(failure)
        console.print(f"seed {failure.case.seed} shrunk to {kept}:", markup=False, soft_wrap=True)
        console.print(kept.read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    return BROKEN if summary.failures else 0


def _replayed(file: Path, console: Console) -> int:
    try:
        case = Case.from_file(file)
    except (KeyError, TypeError, json.JSONDecodeError) as mistake:
        raise click.UsageError(f"{file} holds no case: {type(mistake).__name__}: {mistake}") from mistake
    result = run_case(case)
    for event in case.plan:
        console.print(f"  {event}", markup=False, soft_wrap=True)
    for breach in result.breaches:
        console.print(str(breach), markup=False, soft_wrap=True)
    console.print(
        f"{result.tally.runs} traders, {result.tally.kills} killed, {len(result.breaches)} breaches; journal {result.journal[:16]}"
    )
    return BROKEN if result.breaches else 0


if __name__ == "__main__":
    main(prog_name="python -m tests.faults")
