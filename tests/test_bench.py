"""The benchmarks' own figures: what a ratio is, when an aim is reached, and how a table and a file tell it."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.__main__ import BENCHMARKS, main
from tests.bench.measuring import Aim, Measured, table_of, write

FAST = Measured("decision", 300.0, 2.0, aim=Aim(">=", 150))
SLOW = Measured("growth", 3.0, 1.0, "ms", Aim("<=", 1.5))
ALONE = Measured("orders", 10.0, aim=Aim(">=", 20_000, of_ratio=False))


@pytest.mark.parametrize(("row", "reached"), [(FAST, True), (SLOW, False), (ALONE, False), (Measured("no aim", 1.0, 2.0), None)])
def test_an_aim_is_of_the_ratio_or_of_the_figure_itself(row: Measured, reached: bool | None) -> None:
    assert row.reached is reached


def test_an_aim_of_a_ratio_is_neither_reached_nor_missed_without_another_way() -> None:
    assert Measured("decision", 300.0, aim=Aim(">=", 150)).reached is None


def test_table_and_file_tell_the_same(tmp_path: Path) -> None:
    console = Console(width=120, record=True)
    console.print(table_of("Some", [FAST, SLOW, ALONE]))
    lines = console.export_text().splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["decision", "300", "per", "second", "2.00", "150", ">=", "150", "yes"],
        ["growth", "3.00", "ms", "1.00", "3.00", "<=", "1.5", "no"],
        ["orders", "10.00", "per", "second", ">=", "20,000", "no"],
    ]
    write(tmp_path / "figures.json", {"Some": [FAST]})
    [row] = json.loads((tmp_path / "figures.json").read_text())["figures"]["Some"]
    assert (row["ratio"], row["reached"], row["aim"]) == (150.0, True, [">=", 150, True])


def test_a_benchmark_that_nobody_knows_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "record", "speed"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert f"speed: want some of {', '.join(BENCHMARKS)}" in capsys.readouterr().err
