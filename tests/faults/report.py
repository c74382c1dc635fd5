"""What a campaign is told as: one summary, and the tables of the faults."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from Backtest.simulated_terminal.faults import KINDS as TERMINAL_KINDS
from tests.faults.campaign import Summary
from tests.faults.kinds import HARNESS_KINDS

ORDER_KINDS = ("ENTRY", "PENDING", "EXIT", "PARTIAL", "SLTP", "CANCEL", "FLATTEN")
DOUBLED, LOST = "I1", "I3"


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


def to_json(summary: Summary, file: Path) -> None:
    """Write the summary as JSON."""
    cells = [{"fault": cell[0], "kind": cell[1], "state": cell[2], "hits": hits} for cell, hits in sorted(summary.cells.items())]
    numbers = {name: getattr(summary, name) for name in ("schedules", "calls", "turns", "runs", "kills", "missed", "twice", "seconds")}
    counts = {"hits": dict(sorted(summary.hits.items())), "breaches": dict(sorted(summary.broken.items()))}
    failing = [
        {"seed": each.case.seed, "world": asdict(each.case.world), "breaches": list(map(str, each.breaches))} for each in summary.failures
    ]
    file.write_text(json.dumps({**numbers, **counts, "cells": cells, "failures": failing}, indent=1) + "\n", encoding="utf-8")
