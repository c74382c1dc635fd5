"""Workers of a Dask cluster: other machines that have backtesting.py and pandas in the same versions, and nothing of this project.

The function that runs a backtest goes there by value, with the strategy, its settings and the bars in it. It is the result of a task, which
the workers hand to each other, once each: unlike data that were scattered, it is made again when the workers that had it are lost. What the
scheduler and the workers are asked to call by name is Python's own: `pickle.loads` and `operator.call`.
"""

import logging
import operator
import pickle
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from Backtest.errors import BadInput
from Backtest.strategies import LoadedStrategy
from Backtest.study import task as of_tasks
from Backtest.study.task import Answer, Task, answer

SCHEME = "dask://"
PATIENCE = 20  # seconds, for a scheduler to answer, and for the first worker to be there
SAME = ("backtesting", "pandas", "numpy")


class ClusterPool:
    """The workers of the scheduler at `dask://HOST:PORT`, from `with` to its end."""

    def __init__(self, address: str, loaded: LoadedStrategy, fixed: Mapping[str, Any], bars: pd.DataFrame) -> None:
        """Raises BadInput for an address that is none, and where Dask's distributed is not installed."""
        if not address.startswith(SCHEME) or not address.rpartition(":")[2].isdecimal():
            raise BadInput(f"--cluster is '{address}'; want {SCHEME}HOST:PORT, such as {SCHEME}192.168.1.20:8786")
        try:
            import cloudpickle
            import distributed
        except ImportError as error:
            raise BadInput("--cluster needs Dask, which is not installed: pip install -r requirements-cluster.txt") from error
        self._dask: Any = distributed  # which has its types for itself only
        self._cloudpickle = cloudpickle
        self._address, self._strategy = address, loaded
        self._answering = partial(answer, (loaded.cls, dict(loaded.backtest), dict(fixed), bars))
        self._resources = ExitStack()

    def __enter__(self) -> "ClusterPool":
        """Raises BadInput when nobody answers, no worker comes, or one has other versions."""
        with ExitStack() as resources:
            scheduler = self._address.removeprefix(SCHEME)
            resources.enter_context(_told_by_us_alone())
            try:
                self._client = resources.enter_context(self._dask.Client(f"tcp://{scheduler}", timeout=PATIENCE, set_as_default=False))
            except (OSError, TimeoutError) as error:
                raise BadInput(f"--cluster {self._address}: no scheduler answers there; start one with: dask scheduler") from error
            self.wait_for(1)
            self._check_versions()
            for module in (of_tasks, *_modules_of(self._strategy)):
                self._cloudpickle.register_pickle_by_value(module)
                resources.callback(self._cloudpickle.unregister_pickle_by_value, module)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dask would rather have it scattered
                self._there = self._client.submit(pickle.loads, self._cloudpickle.dumps(self._answering), pure=False)
            resources.callback(self._there.release)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._resources.close()

    def wait_for(self, workers: int) -> None:
        """Until there are so many. Raises BadInput where they do not come."""
        try:
            self._client.wait_for_workers(workers, timeout=PATIENCE)
        except TimeoutError as error:
            where = self._address.removeprefix(SCHEME)
            raise BadInput(f"--cluster {self._address}: the scheduler has no worker; start one with: dask worker {where}") from error

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """The place of each task and its answer, each once, as they come. Raises BadInput when the scheduler is gone.

        A task whose worker is lost is done by another one; one that has lost several is given up, and that is its answer. While no
        worker is left, it waits for one.
        """
        futures = self._client.map(operator.call, [self._there] * len(tasks), tasks, pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        coming = self._dask.as_completed(futures, loop=self._client.loop, with_results=True, raise_errors=False)
        del futures  # a result that was fetched is forgotten by the cluster, too
        for future, found in coming:
            if future.status == "error":
                _, error, _ = found
                found = None, f"{type(error).__name__}: {error}"
            elif future.status != "finished":
                raise BadInput(f"--cluster {self._address}: the scheduler is gone, or has dropped the study; start it again")
            yield places.pop(future.key), found
        self._check_versions()  # of those that have joined since

    def _check_versions(self) -> None:
        versions = self._client.get_versions(packages=list(SAME))
        ours = _versions(versions["client"])
        mistakes = [
            f"--cluster {self._address}: the worker {name} has {_told(theirs, ours)}; install there what this machine has: "
            f"Python {ours['python']}, {' '.join(f'{package}=={ours[package]}' for package in SAME)}"
            for name, each in versions["workers"].items()
            if (theirs := _versions(each)) != ours
        ]
        if mistakes:
            raise BadInput(*mistakes)


@contextmanager
def _told_by_us_alone() -> Iterator[None]:
    """Without what Dask prints of a scheduler that is lost."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    before = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [logging.NullHandler()]
    try:
        yield
    finally:
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers = handlers


def _versions(of: Any) -> dict[str, str | None]:
    packages = of["packages"]
    return {"python": ".".join(packages["python"].split(".")[:2]), **{name: packages.get(name) for name in SAME}}


def _told(theirs: Mapping[str, str | None], ours: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {theirs[name]}" if theirs[name] else f"no {name}" for name in ours if theirs[name] != ours[name])


def _modules_of(strategy: LoadedStrategy) -> Iterator[ModuleType]:
    """The strategy's own module, and what was imported from beside its file."""
    yield sys.modules[strategy.cls.__module__]
    folder = strategy.path.resolve().parent
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." not in name and file is not None and name not in ("__main__", strategy.cls.__module__):
            place = Path(file)
            if folder == (place.parent.parent if place.name == "__init__.py" else place.parent):
                yield module
