"""What a terminal shows is read once, and is what it shows now."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from Live.mt5_connector.shown import MOST_LISTS, Kept

lists = st.lists(st.integers(0, 3), max_size=6).map(tuple)


def doubled(rows: tuple[int, ...]) -> list[Any]:
    return [2 * row for row in rows if row]  # a 0 makes nothing


@given(st.lists(st.tuples(st.integers(0, MOST_LISTS + 1), lists), max_size=40))
def test_what_was_kept_is_what_would_be_made_anew(asked: list[tuple[int, tuple[int, ...]]]) -> None:
    kept = Kept()
    for name, rows in asked:
        assert kept.made(name, rows, doubled) == tuple(doubled(rows))


def test_rows_that_were_there_before_are_not_looked_at_again() -> None:
    kept, looked_at = Kept(), list[tuple[int, ...]]()

    def make(rows: tuple[int, ...]) -> tuple[int, ...]:
        looked_at.append(rows)
        return rows

    for rows in ((1, 2), (1, 2), (1, 2, 3), (2, 3)):
        assert kept.made("deals", rows, make) == rows
    assert looked_at == [(1, 2), (), (3,), (2, 3)]
