"""How long an order lasts on a symbol (pure). Source: https://www.mql5.com/en/docs/constants/tradingconstants/orderproperties."""

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.orders import Order, last_second
from Backtest.simulated_terminal.symbols import SymbolSpec


def end_of(order: Order, spec: SymbolSpec) -> int | None:
    """The second at which the order expires; None: never.

    One for a whole day whose last second is outside of the sessions lasts until there is trading again. Where a symbol
    clears its orders daily, none outlives the day in which it was placed.
    """
    end = order.ends
    if end is not None and spec.sessions is not None and order.type_time == c.ORDER_TIME_SPECIFIED_DAY:
        end = spec.sessions.next_open(end)
    if spec.order_gtc_mode == c.SYMBOL_ORDERS_GTC:
        return end
    today = last_second(order.setup_msc // 1000)
    return today if end is None else min(end, today)
