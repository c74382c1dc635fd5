"""How one bar unfolds in a replay (pure). The only place that knows in which moments a bar comes about.

A bar of open, high, low and close does not say when its extremes were. So it comes about in two moments that carry the
same second, that of its open: first the open, at which a trader who decided on the bar before can act; half a second
later all of the rest. Where a level lies inside the bar, `triggers` says what fills, and in which order. Ticks unfold by
themselves: `tick_series`.
"""

from typing import NamedTuple


class Bar(NamedTuple):
    """A bar or the part of it that is known; `time` is the open in seconds on the server's clock, prices are bids."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: int  # ticks
    spread: int  # points


OPEN_MSC, REST_MSC = 0, 500  # after the bar's open
MOMENTS_MSC = (OPEN_MSC, REST_MSC)


def known(bar: Bar, elapsed_msc: int) -> Bar:
    """The part of `bar` that is known so long after its open.

    >>> known(Bar(0, 1.0, 3.0, 0.5, 2.0, 40, 0), 499)
    Bar(time=0, open=1.0, high=1.0, low=1.0, close=1.0, volume=1, spread=0)
    """
    if elapsed_msc >= REST_MSC:
        return bar
    return Bar(bar.time, bar.open, bar.open, bar.open, bar.open, min(1, bar.volume), bar.spread)


def moment(bar: Bar, elapsed_msc: int) -> int:
    """The millisecond of the bar's latest moment: the stamp of its last tick."""
    return bar.time * 1000 + (REST_MSC if elapsed_msc >= REST_MSC else OPEN_MSC)
