"""Which values of a strategy knew the future, and what its backtest would have earned without them.

A value that uses no bar after its own is the same whether or not there are later bars. So init() is evaluated on the first
n bars alone, for many n, and what it makes of them is compared with what it makes of all bars; the decisions of whole
backtests are compared in the same way, since next() can look beyond its bar, too.
"""

from Backtest.lookahead.check import Findings, Surprise, look_ahead
from Backtest.lookahead.kinds import Kind

__all__ = ["Findings", "Kind", "Surprise", "look_ahead"]
