"""Terminals that are served over RPyC: in a process of their own, or by a thread of this one."""

import gc
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from Backtest.simulated_terminal import in_use
from Backtest.simulated_terminal.serving import make_server
from Live.config import PROJECT_ROOT

DAYS = 8  # a week and more, so that now is always inside


@dataclass(frozen=True, slots=True)
class Serving:
    """A process that serves a terminal."""

    process: "subprocess.Popen[str]"
    port: int


def ticks_around_the_clock(folder: Path) -> Path:
    """A file with a tick of BTCUSD every other second of eight days: a market that is open on every day that tests run."""
    seconds = np.arange(0, DAYS * 86_400, 2)
    bids = np.round(60_000 + 500 * np.sin(seconds / 7_000) + 20 * np.sin(seconds / 90), 2)
    frame = pd.DataFrame({"time_msc": (1_704_067_200 + seconds) * 1000 + 250, "bid": bids, "ask": np.round(bids + 15, 2)})
    frame.to_parquet(folder / "ticks.parquet")
    return folder / "ticks.parquet"


@contextmanager
def serving(*options: str) -> Iterator[Serving]:
    """`python -m Backtest.simulated_terminal serve` on a free port, until the block ends."""
    command = [sys.executable, "-m", "Backtest.simulated_terminal", "serve", "--port", "0", *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        if " at 127.0.0.1:" not in told:
            raise AssertionError(f"it does not serve: {told}{process.communicate(timeout=60)}")
        yield Serving(process, int(told.split("127.0.0.1:")[1].split()[0]))
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def served_here(terminal: Any) -> Iterator[int]:
    """The port at which a thread of this process serves a terminal; whoever has the terminal can move its market."""
    before, current = sys.modules.get("MetaTrader5"), in_use._terminal
    server = make_server(terminal, "127.0.0.1", 0)
    thread = threading.Thread(target=server.start, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        deadline = time.monotonic() + 60
        while server.clients and time.monotonic() < deadline:  # they leave when the last reference to them does
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # a client in a cycle may lose its socket before itself
                gc.collect()
            time.sleep(0.01)
        server.close()
        thread.join(60)
        in_use.use(current)
        sys.modules.pop("MetaTrader5")
        if before is not None:
            sys.modules["MetaTrader5"] = before
