"""How long a start takes: `python -m tests.bench.bench_start [--quick] [--json FILE]`.

From the command to the first decision and out again (`python -m Live run --once`, caches warm). The other way is a Python that imports
backtesting.py and does nothing. By the processor time of these processes, the least of several, in turn.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from Live.config import PROJECT_ROOT
from tests.bench.measuring import Aim, Measured, options, tell

STRATEGY = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"


def processor_seconds(words: Sequence[str], folder: str) -> float:
    """What a process takes of the processor, itself and its children."""
    environ = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "SIZING": "strategy", "DASHBOARD": "false"}
    before = os.times()
    subprocess.run([sys.executable, *words], cwd=folder, env=environ, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def figures(*, quick: bool) -> Iterator[Measured]:
    """The least of several starts."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "some.env"
        config.write_text(f"AUDIT_DB_PATH={folder}/audit.db\nLOG_DIR={folder}/logs\nKILL_SWITCH_FILE={folder}/EMERGENCY_STOP\n")
        config.chmod(0o600)
        once = ["-m", "Live", "run", "--config", str(config), "--strategy", str(STRATEGY), "--dry-run", "--once", "--fresh"]
        ours, bare = [], []
        for _ in range(3 if quick else 10):
            ours.append(processor_seconds(once, folder))
            bare.append(processor_seconds(["-c", "import backtesting"], folder))
    yield Measured("command to first decision, and out again", min(ours), min(bare), "s of the processor", Aim("<=", 1.5))


def main() -> None:
    """Measure and tell it."""
    asked = options(str(__doc__).partition(":")[0])
    tell("A start, against importing backtesting.py", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
