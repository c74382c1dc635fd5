"""Planted bugs: how much the fault harness would see.

    python -m tests.faults.planted
    python -m tests.faults.planted --only "no scan" --seeds 200

Each bug is a small patch of the product that somebody could write by mistake (`sends`, `answers`, `records`). It counts as found
when an oracle speaks of a run with it, and not of the same run without it; a run that only ends in an exception does not count.
Most are found by the random schedules, seed after seed; what needs a rare coincidence has a schedule of its own, or a line of the
crash matrix. To add one, give it a row. One that is not found is a hole in the oracles or in the kinds of faults: close it there.

A patch names a function and a piece of its text: where the product has changed so that it would do nothing, it raises, and a test
fails (`tests/test_planted.py`).
"""

from collections.abc import Iterable

from tests.faults.planted.answers import BUGS as _ANSWERS
from tests.faults.planted.bug import Bug as Bug
from tests.faults.planted.hunt import Find as Find
from tests.faults.planted.hunt import hunt as hunt
from tests.faults.planted.patching import Gone as Gone
from tests.faults.planted.patching import patched as patched
from tests.faults.planted.records import BUGS as _RECORDS
from tests.faults.planted.sends import BUGS as _SENDS
from tests.faults.running import silence

BUGS = {bug.name: bug for bug in (*_SENDS, *_ANSWERS, *_RECORDS)}


def look_for(name: str, *, seeds: Iterable[int], by_chance: bool) -> Find:
    """Look for the bug of this name, also in a process of its own."""
    silence()
    return hunt(BUGS[name], seeds, by_chance=by_chance)
