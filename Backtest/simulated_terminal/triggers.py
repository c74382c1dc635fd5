"""Whether and where a stop loss, take profit or pending order fills inside a bar (pure): as backtesting.py decides it.

Source: `_Broker._process_orders` of backtesting 0.6.6. A stop is looked at before a limit; a level that the open has
passed fills at the open. Bars are of the side at which the fill happens: bids for sells, asks for buys.
"""

from typing import NamedTuple

from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.money import BUY
from Backtest.simulated_terminal.orders import Order
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


class Touch(NamedTuple):
    """What a bar does to a pending order: `price` is where it fills; `activated`: its stop price was reached."""

    activated: bool = False
    price: float | None = None


def touch(order: Order, bar: Bar) -> Touch:
    """What the whole of `bar` does to a pending order (asks for one that buys, bids for one that sells).

    A stop-limit order whose limit is no worse than its stop does not fill in the bar that activates it: the bar does not
    say which price came first. One whose limit is beyond its stop (only servers that take any price have those) fills at
    the stop, also where the bar opened beyond it: backtesting.py's choice, kept for parity.

    >>> order = Order(1, "EURUSD", 2, 0.1, 1.09, 0.0, 0.0, 0, 0, 3, "", 0.1)
    >>> touch(order, Bar(0, 1.10, 1.11, 1.08, 1.10, 9, 0))
    Touch(activated=False, price=1.09)
    """
    if order.side == BUY:
        return _touch(order.stop, order.limit, bar)
    mirrored = bar._replace(open=-bar.open, high=-bar.low, low=-bar.high, close=-bar.close)
    activated, price = _touch(-order.stop, -order.limit, mirrored)
    return Touch(activated, None if price is None else -price)


def gap_touch(order: Order, bar: Bar) -> Touch:
    """What the very open of `bar` does to a pending order; what it fills, it fills at the open."""
    activated, price = touch(order, bar._replace(high=bar.open, low=bar.open, close=bar.open))
    return Touch(activated, None if price is None else bar.open)


def _touch(stop: float, limit: float, bar: Bar) -> Touch:
    if stop and bar.high < stop:
        return Touch()
    if not limit:
        return Touch(price=max(bar.open, stop) if stop else bar.open)
    if bar.low > limit or (stop and limit <= stop):
        return Touch(activated=bool(stop))
    return Touch(price=min(stop or bar.open, limit))


def takes_profit_at_once(order: Order, bar: Bar) -> bool:
    """Whether the bar that filled a stop order (seen from the side of the exit) also reaches its target, and not its stop loss.

    That is not ambiguous: stop and target lie in the same direction. All other levels of a pending order that filled inside
    a bar wait for the next one.
    """
    if order.limit or not order.stop or not order.tp:
        return False
    if order.side == BUY:
        return order.tp <= bar.high and (not order.sl or order.sl < bar.low)
    return order.tp >= bar.low and (not order.sl or order.sl > bar.high)
