"""What a price frame must be before anything is decided upon it."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from Backtest.errors import BadInput

PRICES = ("Open", "High", "Low", "Close")
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SHOWN = 5  # rows named per kind of fault; a column full of zeros needs no thousand sentences


def check_prices(frame: pd.DataFrame, source: str) -> None:
    """Raise BadInput unless every bar can be traded upon; one sentence per fault, naming its row (the first bar is row 1).

    Wanted: the four price columns, at least one bar, naive times that ascend and differ, prices that are finite,
    positive and consistent (no High below another price, no Low above one), volumes and spreads that are not negative.
    """
    mistakes = list(shape_faults(frame, PRICES, "bars")) or [*time_faults(frame, repeats=False), *_price_faults(frame)]
    if mistakes:
        raise BadInput(*(f"{source}: {mistake}" for mistake in mistakes))


def shape_faults(frame: pd.DataFrame, wanted: Sequence[str], what: str) -> Iterator[str]:
    """What makes it no frame of these columns, rows (`what` they are) and times at all."""
    missing = [name for name in wanted if name not in frame]
    if missing:
        yield f"no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns)) or 'none'}"
    if frame.empty:
        yield f"it holds no {what}"
    elif not isinstance(frame.index, pd.DatetimeIndex):
        yield "its index holds no times"
    elif frame.index.tz is not None:
        yield f"its times carry the time zone {frame.index.tz}; remove it (times are the broker's clock)"


def time_faults(frame: pd.DataFrame, *, repeats: bool) -> Iterator[str]:
    """Rows without a time, or out of order; `repeats`: two rows may have the same time."""
    times = frame.index.to_numpy()
    if np.isnat(times).any():
        yield from named(frame, np.isnat(times), "it has no time")
        return
    steps = np.diff(times).astype("int64")
    if len(steps) and (steps < 0).all():
        yield f"its newest {'tick' if repeats else 'bar'} comes first; turn it around, so that times ascend"
        return
    if not repeats:
        yield from named(frame, np.append(False, steps == 0), "it has the same time as the row before")
    yield from named(frame, np.append(False, steps < 0), "its time is before that of the row before; sort the prices by time")


def _price_faults(frame: pd.DataFrame) -> Iterator[str]:
    prices = {name: frame[name].to_numpy(dtype="float64") for name in PRICES}
    beside = {name: frame[name].to_numpy(dtype="float64") for name in ("Volume", "Spread") if name in frame}
    for name, values in {**prices, **beside}.items():
        yield from named(frame, np.isnan(values), f"{name} is missing")
    for name, values in prices.items():
        yield from named(frame, np.isinf(values) | (values <= 0), name + " is {value:.10g}; want a price above 0", value=values)
    sound = np.all([np.isfinite(values) & (values > 0) for values in prices.values()], axis=0)
    high, low = prices["High"], prices["Low"]
    for name in ("Open", "Low", "Close"):
        values = prices[name]
        yield from named(frame, sound & (values > high), "High {high:.10g} is below " + name + " {value:.10g}", high=high, value=values)
    for name in ("Open", "Close"):
        values = prices[name]
        yield from named(frame, sound & (values < low), "Low {low:.10g} is above " + name + " {value:.10g}", low=low, value=values)
    for name, values in beside.items():
        yield from named(frame, np.isinf(values) | (values < 0), name + " is {value:g}; want 0 or more", value=values)


def named(frame: pd.DataFrame, bad: Flags, told: str, **values: Values) -> Iterator[str]:
    """A sentence for each bad row, for the first few of them: `told`, formatted with the row's values."""
    rows = np.flatnonzero(bad)
    for row in rows[:SHOWN]:
        yield f"row {row + 1} ({frame.index[row]}): " + told.format(**{name: of_all[row] for name, of_all in values.items()})
    if len(rows) > SHOWN:
        yield f"{len(rows) - SHOWN} more rows like row {rows[0] + 1}"
