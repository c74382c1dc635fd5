"""The fault harness: the whole trader under schedules of faults, in virtual time, judged by oracles that know the broker's truth.

    python -m tests.faults --schedules 1000 --seed 1 --jobs 2
    python -m tests.faults --matrix
    python -m tests.faults --replay tests/faults/regressions/FILE.json
    python -m tests.faults.kills --kills 500 --seed 1          # real processes, the broker living on in another one
    python -m tests.faults.powercuts --cuts 200 --seed 1       # a disk under SQLite that loses what was not synced

A case (`case`) is a world, a schedule of faults and a seed: the same case is the same run, to the last row and call. It is put
on stage (`stage`): a simulated broker that lives on, and one real trader after the other on the same record, each started when
the one before was killed or has ended. Between the trader and everything outside of it stand the seams (`seams`): its terminal,
its disk, its clock and its look for the stop file pass named points, at which faults begin (`engine`). Nothing of this is in
the product. After a number of bars all faults cease; some bars later the last questions are asked.

**A fault** is a row in `kinds.HARNESS_KINDS`: an act at a point (`incidents`, `hands`) or a view of an answer (`feed`). Faults of
the terminal (F01 to F33) are those of `Backtest.simulated_terminal.faults`, with which other programs can be tried, too. A new
row is drawn by the seeds at once, and shows up in the tables.

**An oracle** is a function in `oracles` (when a request is about to leave, when it arrives, after each turn) or in `endings`
(when all is calm again), with the number of its invariant in the table of its moment. `tests/test_fault_harness.py` doctors the
facts of each of them, and asserts that it bites.

**A schedule that fails** is shrunk (`shrinking`) and written to `regressions/`; the everyday tests replay all that are there.
"""

from tests.faults.case import Case as Case
from tests.faults.case import Event as Event
from tests.faults.case import World as World
from tests.faults.running import Result as Result
from tests.faults.running import run_case as run_case
from tests.faults.shrinking import shrunk as shrunk
