"""Steps a backtesting.py strategy bar by bar; the only package that touches backtesting.py's private names.

`Backtest.run` reveals prepared arrays one bar at a time. A live strategy gets its bars one at a time instead, so for each
new bar `init()` is evaluated again on the longer data in a scratch instance, and what it prepared is grafted onto the
living one, whose own state is never reset. The broker that the living instance talks to is backtesting.py's own
`_Broker` with the market taken out: its trades are the account's, and the orders that appear in its book during
`next()` are the strategy's decisions. Written against backtesting 0.6.6.
"""

from Backtest.session.stepping import StrategyFailed, StrategySession

__all__ = ["StrategyFailed", "StrategySession"]
