"""What a campaign is told as: one summary, and the tables of the faults."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from Backtest.simulated_terminal.faults import KINDS as TERMINAL_KINDS
from Live.config import PROJECT_ROOT
from Live.model import Status
from tests.faults.campaign import Matrix, Summary
from tests.faults.kinds import HARNESS_KINDS
from tests.faults.matrix import OUTCOMES, Cell
from tests.faults.scenes import SCENES

ORDER_KINDS = ("ENTRY", "PENDING", "EXIT", "PARTIAL", "SLTP", "CANCEL", "FLATTEN")
STATES = tuple(status.value for status in Status)
DOUBLED, LOST = "I1", "I3"
DOCS = PROJECT_ROOT / "docs" / "faults.md"
PREFACE = """# What was made to go wrong

The whole trader runs under faults in virtual time, against a simulated broker whose own books tell what is true (`tests/faults`).
The tables below are written by the commands above them.
"""


def faults() -> dict[str, tuple[str, str]]:
    """All kinds of faults: number and sentence, by name."""
    known = {name: (kind.number, kind.sentence) for name, kind in TERMINAL_KINDS.items()}
    return known | {name: (kind.number, kind.sentence) for name, kind in HARNESS_KINDS.items()}


def tell(summary: Summary, console: Console, title: str) -> None:
    """Print the summary."""
    table = Table(title=title, box=None, show_header=False, title_justify="left", pad_edge=False)
    for name, value in figures(summary):
        table.add_row(name, value)
    console.print(table)
    hits = Table(title="faults injected", box=None, title_justify="left", pad_edge=False)
    for name in ("fault", "number", "times"):
        hits.add_column(name, justify="right" if name == "times" else "left")
    for name, (number, _) in faults().items():
        if summary.hits[name]:
            hits.add_row(name, number, f"{summary.hits[name]:,}")
    console.print(hits)


def figures(summary: Summary) -> Iterator[tuple[str, str]]:
    """The lines of the summary."""
    yield "schedules", f"{summary.schedules:,}"
    yield "steps (calls of the terminal)", f"{summary.calls:,}"
    yield "turns of the loop", f"{summary.turns:,}"
    yield "traders started", f"{summary.runs:,}"
    yield "killed", f"{summary.kills:,}"
    yield "faults injected", f"{summary.hits.total():,} of {sum(count > 0 for count in summary.hits.values())} kinds"
    yield "run twice and compared (I18)", f"{summary.twice:,}"
    yield "duplicates (I1)", f"{summary.broken[DOUBLED]:,}"
    yield "lost (I3)", f"{summary.broken[LOST]:,}"
    yield "breaches", ", ".join(f"{name}: {count}" for name, count in sorted(summary.broken.items())) or "0"
    yield "missed by safety", f"{summary.missed:,}"
    yield "exit codes", ", ".join(f"{code}: {count:,}" for code, count in sorted(summary.exits.items()))
    yield "seconds", f"{summary.seconds:,.1f}"
    yield "schedules a second", f"{summary.speed:.2f}"


def tell_matrix(rows: Matrix, console: Console) -> None:
    """Print the crash matrix: kills in each cell, and what was missed by safety."""
    table = Table(title="single crashes: times killed (breaches)", box=None, title_justify="left", pad_edge=False)
    for name in ("order", "account", *OUTCOMES):
        table.add_column(name, justify="left" if name in ("order", "account") else "right", overflow="fold")
    for line in _matrix_lines(rows):
        table.add_row(*line)
    console.print(table)


def _matrix_lines(rows: Matrix) -> Iterator[list[str]]:
    for scene in SCENES:
        for netting in (False, True):
            found = [rows.get(Cell(scene, netting, outcome)) for outcome in OUTCOMES]
            counts = ["-" if each is None else f"{each.schedules:,} ({len(each.failures)})" for each in found]
            yield [scene, "netting" if netting else "hedging", *counts]


def write_section(name: str, text: str) -> None:
    """Put a section of docs/faults.md in place of the one that is there; all others stay."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = DOCS.read_text(encoding="utf-8") if DOCS.exists() else PREFACE
    section = f"{begin}\n{text.strip()}\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    whole = pattern.sub(lambda _: section, whole) if pattern.search(whole) else f"{whole.rstrip()}\n\n{section}\n"
    DOCS.write_text(whole, encoding="utf-8")


def schedules_as_text(summary: Summary, command: str) -> str:
    """The section about the random schedules."""
    lines = ["## Random schedules", "", f"`{command}`", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in figures(summary)]
    lines += ["", "### How often each fault was at work, by the order that was under way", ""]
    lines += [f"| fault | number | what happens | hits | {' | '.join(ORDER_KINDS)} | none yet |", f"|{'---|' * (len(ORDER_KINDS) + 5)}"]
    for name, (number, sentence) in faults().items():
        by_kind = Counter[str]()
        for (fault, kind, _), hits in summary.cells.items():
            by_kind[kind] += hits if fault == name else 0
        counts = (f"{by_kind[kind]:,}" for kind in (*ORDER_KINDS, "none"))
        lines.append(f"| `{name}` | {number} | {sentence} | {summary.hits[name]:,} | {' | '.join(counts)} |")
    lines += ["", "### The same, by the state of that order", "", f"| fault | {' | '.join(STATES)} |", f"|{'---|' * (len(STATES) + 1)}"]
    for name in faults():
        by_state = Counter[str]()
        for (fault, _, state), hits in summary.cells.items():
            by_state[state] += hits if fault == name else 0
        lines.append(f"| `{name}` | {' | '.join(f'{by_state[state]:,}' for state in STATES)} |")
    met = sum(hits > 0 for hits in summary.cells.values())
    return "\n".join([*lines, "", f"{met:,} different cells of fault × kind of order × state of the order were met."])


def matrix_as_text(rows: Matrix, command: str) -> str:
    """The section about the crash matrix."""
    killed, failed = (sum(map(count, rows.values())) for count in (lambda row: row.schedules, lambda row: len(row.failures)))
    told = f"The trader was killed {killed:,} times, at points that the order passes; {failed:,} of these runs broke an invariant."
    lines = [
        "## Single crashes",
        "",
        f"`{command}`",
        "",
        told,
        "In each cell: times killed, and in brackets the runs that broke something.",
    ]
    lines += ["", f"| order | account | {' | '.join(OUTCOMES)} |", f"|{'---|' * (len(OUTCOMES) + 2)}"]
    return "\n".join([*lines, *(f"| {' | '.join(line)} |" for line in _matrix_lines(rows))])


def to_json(summary: Summary, file: Path) -> None:
    """Write the summary as JSON."""
    cells = [{"fault": cell[0], "kind": cell[1], "state": cell[2], "hits": hits} for cell, hits in sorted(summary.cells.items())]
    numbers = {name: getattr(summary, name) for name in ("schedules", "calls", "turns", "runs", "kills", "missed", "twice", "seconds")}
    counts = {"hits": dict(sorted(summary.hits.items())), "breaches": dict(sorted(summary.broken.items()))}
    failing = [
        {"seed": each.case.seed, "world": asdict(each.case.world), "breaches": list(map(str, each.breaches))} for each in summary.failures
    ]
    file.write_text(json.dumps({**numbers, **counts, "cells": cells, "failures": failing}, indent=1) + "\n", encoding="utf-8")
