"""A Dask scheduler and workers on this machine, each a process of its own that knows nothing of this project."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 120  # seconds, for a machine that stalls


class Cluster:
    """One scheduler from `with` to its end, and the workers that are started meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", self._file)
        deadline = time.monotonic() + PATIENCE
        while not (self._file.exists() and self._file.read_text().endswith("}")):
            assert self._processes[0].poll() is None, (self._folder / "scheduler.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = str(json.loads(self._file.read_text())["address"])
        return self

    def __exit__(self, *failure: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    @property
    def scheduler(self) -> "subprocess.Popen[bytes]":
        """Its process."""
        return self._processes[0]

    @property
    def url(self) -> str:
        """As --cluster wants it."""
        return self.address.replace("tcp://", "dask://")

    def worker(self, name: str, *, path: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start one, whose packages are first looked for in `path`."""
        words = [self.address, "--no-nanny", "--nthreads", "1", "--name", name, "--local-directory", self._folder / name]
        return self._start("worker", *words, name=name, path=path)

    def _start(self, program: str, *words: object, name: str = "scheduler", path: Path | None = None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *map(str, words), "--no-dashboard"]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ({"PYTHONPATH": str(path)} if path else {})
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process
