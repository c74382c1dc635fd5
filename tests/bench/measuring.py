"""What all benchmarks share: how often something can be done in a second, and how that is told."""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """How many of something were done in a second; `beside` is the same done another way in the same run, where there is one."""

    what: str
    per_second: float
    beside: float | None = None
    aim: float | None = None  # what we want at least, on a usual machine; nothing fails by it

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the other way."""
        return self.per_second / self.beside if self.beside else None


def per_second(once: Callable[[], int], *, repeats: int) -> float:
    """The best of several runs, by the processor time of this process: `once` returns how much it has done."""
    best = 0.0
    for _ in range(repeats):
        began = time.process_time()
        count = once()
        best = max(best, count / (time.process_time() - began))
    return best


def options(about: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of a benchmark: `quick` and `json`."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first impression")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file, too")
    return parser.parse_args(arguments)


def tell(title: str, measured: Iterable[Measured], file: Path | None) -> None:
    """Print the figures as a table, each as it comes, and write them to a file where one is named."""
    rows = list(measured)
    table = Table("what", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("per second", "other way", "ratio", "aim"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.what, *(_shown(value) for value in (row.per_second, row.beside, row.ratio, row.aim)))
    Console().print(table)
    if file is not None:
        machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
        file.write_text(
            json.dumps({"title": title, "machine": machine, "figures": [asdict(row) for row in rows]}, indent=1), encoding="utf-8"
        )


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
