"""A MetaTrader 5 terminal in a box: the surface of the `MetaTrader5` package over a replayed market and a trade server."""

from Backtest.simulated_terminal.clock import MarketEnded, ReplayClock
from Backtest.simulated_terminal.market import ReplayMarket
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec, parity_account, parity_symbol, retail_symbol
from Backtest.simulated_terminal.terminal import SimulatedTerminal

__all__ = [
    "AccountSpec",
    "MarketEnded",
    "ReplayClock",
    "ReplayMarket",
    "SimulatedTerminal",
    "SymbolSpec",
    "parity_account",
    "parity_symbol",
    "retail_symbol",
]
