"""backtesting.py's own `Backtest.optimize`, whose combinations are tried by somebody else (backtesting 0.6.4 to 0.6.6).

`optimize` asks `backtesting.Pool()` for a pool and calls its `imap` with `Backtest._mp_task` and items of three: a backtest without
bars, the bars in shared memory, and a batch of combinations, whose size goes by the processors of this machine. For each item it wants
a list with the statistics of each combination, or None where nothing was traded, and gives each to `maximize`. Which backtest it belongs
to, and with what bars, the one who tries the combinations knows; here `optimize` is called on an empty one.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import backtesting
import pandas as pd
from backtesting import backtesting as core
from backtesting.backtesting import Backtest, Strategy

from Backtest.errors import BadInput

Params = Mapping[str, Any]
Stats = Mapping[str, Any]
CarryOut = Callable[[Sequence[Params]], Sequence[Stats | None]]
"""Tries combinations: the statistics of each, in their order; None for one that could not be tried."""

RESERVED = frozenset(inspect.signature(Backtest.optimize).parameters)
"""Names that `optimize` has arguments of, so that it cannot try parameters of these names."""


def measures() -> tuple[str, ...]:
    """The statistics that a combination can be measured by: numbers and lengths of time.

    Raises BadInput where this backtesting.py is older than 0.6.4, whose pool cannot be replaced.
    """
    if not hasattr(backtesting, "Pool"):
        raise BadInput(f"parameter studies need backtesting.py 0.6.4 or newer; this is {backtesting.__version__}")
    from backtesting._stats import dummy_stats  # not there before that, either

    return tuple(name for name, value in dummy_stats().items() if not name.startswith("_") and not isinstance(value, pd.Timestamp))


def heatmap_of(
    grid: Mapping[str, Sequence[Any]], chosen: Sequence[Params], score: Callable[[Stats], float], carry_out: CarryOut
) -> "pd.Series[float]":
    """What `Backtest.optimize(…, return_heatmap=True)` answers: the score of each of the chosen combinations of a grid.

    It is NaN where nothing was traded, and where the combination could not be tried.
    """
    wanted = {tuple(params.values()) for params in chosen}
    with (
        warnings.catch_warnings(),
        _replaced(backtesting, "Pool", lambda: _Pool(carry_out)),
        _replaced(core, "SharedMemoryManager", _NothingShared),
        _replaced(core, "_tqdm", lambda items, **_: items),
    ):
        warnings.simplefilter("ignore")  # that there are many combinations, and no bars
        study: Any = _Study(pd.DataFrame({name: [1.0] for name in ("Open", "High", "Low", "Close")}), _Nobody)
        _, heatmap = study.optimize(
            **{name: list(values) for name, values in grid.items()},
            maximize=score,
            constraint=lambda params: tuple(params.values()) in wanted,
            return_heatmap=True,
        )
    return heatmap  # type: ignore[no-any-return]


class _Nobody(Strategy):
    def init(self) -> None: ...

    def next(self) -> None: ...


class _Study(Backtest):
    def run(self, **_params: Any) -> "pd.Series[Any]":
        """The best combination, once more: its statistics are known."""
        return pd.Series(dtype=object)


class _Pool:
    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def imap(self, _task: object, items: Iterable[tuple[Backtest, object, Sequence[Params]]]) -> Iterator[list[Stats | None]]:
        batches = [batch for _, _, batch in items]
        found = iter(self._carry_out([params for batch in batches for params in batch]))
        for batch in batches:
            yield [stats if stats is not None and stats["# Trades"] else None for _, stats in zip(batch, found, strict=False)]


class _NothingShared:
    """In place of shared memory with a copy of the bars for each batch, which a container may not have."""

    def __enter__(self) -> "_NothingShared":
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def df2shm(self, _bars: pd.DataFrame) -> tuple[()]:
        return ()


@contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
