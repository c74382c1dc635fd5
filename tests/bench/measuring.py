"""What all benchmarks share: what one figure is, how it is taken, and how figures are told."""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

PER_SECOND = "per second"
WIDTH = 120  # of a table, also where nobody looks at it


class Aim(NamedTuple):
    """Where we want to get to on a usual machine, with the figure or with its ratio. Nothing fails by it."""

    sign: str  # ">=" or "<="
    value: float
    of_ratio: bool = True

    def __str__(self) -> str:
        return f"{self.sign} {self.value:,g}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure, and where there is one the same done another way in the same run."""

    what: str
    value: float
    beside: float | None = None
    unit: str = PER_SECOND
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        """This way over the other one."""
        return self.value / self.beside if self.beside else None

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None where there is none, or nothing to measure it by."""
        measured = self.ratio if self.aim is not None and self.aim.of_ratio else self.value
        if self.aim is None or measured is None:
            return None
        return measured >= self.aim.value if self.aim.sign == ">=" else measured <= self.aim.value


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
    """Print the figures as a table, and write them to a file where one is named."""
    rows = list(measured)
    Console(width=WIDTH).print(table_of(title, rows))
    if file is not None:
        write(file, {title: rows})


def table_of(title: str, rows: Iterable[Measured]) -> Table:
    """The figures, one a line."""
    table = Table("what", width=WIDTH, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("measured", "", "other way", "ratio", "aim", "reached"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for row in rows:
        reached = "" if row.reached is None else "yes" if row.reached else "no"
        table.add_row(row.what, _shown(row.value), row.unit, _shown(row.beside), _shown(row.ratio), str(row.aim or ""), reached)
    return table


def write(file: Path, tables: dict[str, list[Measured]]) -> None:
    """The figures, and the machine that they were taken on."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
    told: dict[str, Any] = {
        title: [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows] for title, rows in tables.items()
    }
    file.write_text(json.dumps({"machine": machine, "figures": told}, indent=1), encoding="utf-8")


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if value < 1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
