"""Whether and where a stop loss or take profit fills inside a bar (pure): as backtesting.py decides it.

Source: `_Broker._process_orders` of backtesting 0.6.6. A stop is looked at before a limit; a level that the open has
passed fills at the open; nothing fills outside the bar.
"""

from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.unfolding import Bar


def fill_price(position: Position, bar: Bar, *, is_stop: bool) -> float | None:
    """Where the level fills in the whole of `bar` (bids for a long position, asks for a short one); None: nowhere.

    >>> from Backtest.simulated_terminal.book import Position
    >>> long = Position(1, "EURUSD", 0, 1.0, 1.10, 1.08, 1.12, 0, 0, 0, 3, "")
    >>> fill_price(long, Bar(0, 1.10, 1.11, 1.07, 1.09, 9, 0), is_stop=True)
    1.08
    """
    level = position.sl if is_stop else position.tp
    falling = position.is_long == is_stop  # the side from which the level is reached
    if falling:
        return min(bar.open, level) if bar.low <= level else None
    return max(bar.open, level) if bar.high >= level else None


def gap_price(position: Position, bar: Bar, *, is_stop: bool) -> float | None:
    """Where the level fills at the very open of `bar`; None when it does not, or not yet.

    A limit that the open has passed waits when the same bar also hits the stop: the stop is what backtesting.py fills.
    """
    level = position.sl if is_stop else position.tp
    falling = position.is_long == is_stop
    passed = bar.open <= level if falling else bar.open >= level
    stopped = not is_stop and position.sl and fill_price(position, bar, is_stop=True) is not None
    return bar.open if passed and not stopped else None
