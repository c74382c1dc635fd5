"""Worker processes on this machine, which load the strategy's file by themselves.

They work with every start method of multiprocessing. A process that dies takes one combination with it, which another one
does again; of multiprocessing's own pool it would never be answered.
"""

import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd

from Backtest.errors import BadInput
from Backtest.strategies import load_strategy
from Backtest.study.task import Answer, Task, answer

DEATHS = 3  # of the processes that tried one combination, or in a row of those that have only started


@dataclass(frozen=True, slots=True)
class Given:
    """What every worker gets once: where the strategy is and what its file must be, the parameters that stay, and all bars."""

    spec: str  # file.py:Class
    sha256: str
    fixed: Mapping[str, Any]
    bars: pd.DataFrame


class _Worker:
    def __init__(self, context: Any, given: Given) -> None:
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, given), daemon=True)
        with _no_interrupts():
            self.process.start()
        theirs.close()
        self.is_ready = False
        self.doing: int | None = None

    def give(self, index: int, task: Task) -> None:
        self.doing = index
        with suppress(OSError):  # it is dead, which is seen when its answer is waited for
            self.pipe.send((index, task))

    def hear(self) -> tuple[int, Answer] | None:
        """What it answers; None where it has only begun. Raises EOFError or OSError for a dead one, BadInput for one that cannot begin."""
        told = self.pipe.recv()
        if isinstance(told, BadInput):
            raise told
        if not self.is_ready:
            self.is_ready = True
            return None
        self.doing = None
        index, found = told
        return index, found

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class LocalPool:
    """So many processes, from `with` to its end."""

    def __init__(self, given: Given, jobs: int, method: str = "spawn") -> None:
        self._given, self._jobs, self._context = given, jobs, multiprocessing.get_context(method)
        self._workers: list[_Worker] = []
        self._stillborn = 0

    def __enter__(self) -> "LocalPool":
        return self

    def __exit__(self, *failure: object) -> None:
        while self._workers:
            self._workers.pop().end()

    @property
    def processes(self) -> list[int]:
        """Their ids."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The place of each task and its answer, each once, as they come. Raises BadInput when the processes cannot do their work."""
        waiting, deaths = deque(range(len(tasks))), Counter[int]()
        left = len(tasks)
        while left:
            while len(self._workers) < min(self._jobs, left):
                self._workers.append(_Worker(self._context, self._given))
            for worker in self._workers:
                if waiting and worker.is_ready and worker.doing is None:
                    index = waiting.popleft()
                    worker.give(index, tasks[index])
            for pipe in wait([worker.pipe for worker in self._workers]):
                worker = next(each for each in self._workers if each.pipe is pipe)
                try:
                    told = worker.hear()
                except (EOFError, OSError):
                    told = self._bury(worker, waiting, deaths)
                if told is not None:
                    left -= 1
                    yield told

    def _bury(self, worker: _Worker, waiting: "deque[int]", deaths: "Counter[int]") -> tuple[int, Answer] | None:
        """Another one does what it was doing, unless it is that which kills them; then that is the answer."""
        self._workers.remove(worker)
        worker.end()
        index, code = worker.doing, worker.process.exitcode
        self._stillborn = 0 if worker.is_ready else self._stillborn + 1
        if self._stillborn == DEATHS:
            raise BadInput(f"the worker processes die as soon as they have started (exit code {code})")
        if index is None:
            return None
        deaths[index] += 1
        if deaths[index] == DEATHS:
            return index, (None, f"the process that tried it died {DEATHS} times (exit code {code})")
        waiting.appendleft(index)
        return None


def _work(pipe: Connection, given: Given) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the one who has started us ends us
    with Path(os.devnull).open("w", encoding="utf-8") as sys.stdout:
        try:
            loaded = load_strategy(given.spec)
            if loaded.sha256 != given.sha256:
                raise BadInput(f"{loaded.path} has changed while it was studied; start the study again")
        except BadInput as fault:
            pipe.send(fault)
            return
        subject = (loaded.cls, loaded.backtest, given.fixed, given.bars)
        pipe.send("ready")
        with suppress(EOFError, OSError):  # nobody is there any more
            while True:
                index, task = pipe.recv()
                pipe.send((index, answer(subject, task)))


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process that is started here has no Ctrl-C until it says itself what it does with one; ours comes after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would start with the first process, and let signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
