"""A MetaTrader 5 terminal in a box.

This package can stand in for the module `MetaTrader5`: its functions, constants and structures are here, over a
replayed market and a trade server. `use(terminal)` says which terminal the functions talk to; without it, it is one
on the usual symbols whose market goes on in real time. A program that wants several terminals calls their methods instead.
"""

from Backtest.simulated_terminal.catalogue import retail_symbol as retail_symbol
from Backtest.simulated_terminal.clock import MarketEnded as MarketEnded
from Backtest.simulated_terminal.clock import ReplayClock as ReplayClock
from Backtest.simulated_terminal.constants import *  # noqa: F403 - all 223
from Backtest.simulated_terminal.dealing import Dealing as Dealing
from Backtest.simulated_terminal.functions import Buy as Buy
from Backtest.simulated_terminal.functions import Close as Close
from Backtest.simulated_terminal.functions import Function as _Function
from Backtest.simulated_terminal.functions import Sell as Sell
from Backtest.simulated_terminal.functions import _RawOrder as _RawOrder
from Backtest.simulated_terminal.in_use import use as use
from Backtest.simulated_terminal.replay import ReplayMarket as ReplayMarket
from Backtest.simulated_terminal.structs import AccountInfo as AccountInfo
from Backtest.simulated_terminal.structs import BookInfo as BookInfo
from Backtest.simulated_terminal.structs import OrderCheckResult as OrderCheckResult
from Backtest.simulated_terminal.structs import OrderSendResult as OrderSendResult
from Backtest.simulated_terminal.structs import SymbolInfo as SymbolInfo
from Backtest.simulated_terminal.structs import TerminalInfo as TerminalInfo
from Backtest.simulated_terminal.structs import Tick as Tick
from Backtest.simulated_terminal.structs import TradeDeal as TradeDeal
from Backtest.simulated_terminal.structs import TradeOrder as TradeOrder
from Backtest.simulated_terminal.structs import TradePosition as TradePosition
from Backtest.simulated_terminal.structs import TradeRequest as TradeRequest
from Backtest.simulated_terminal.symbols import AccountSpec as AccountSpec
from Backtest.simulated_terminal.symbols import SymbolSpec as SymbolSpec
from Backtest.simulated_terminal.symbols import parity_account as parity_account
from Backtest.simulated_terminal.symbols import parity_symbol as parity_symbol
from Backtest.simulated_terminal.terminal import SimulatedTerminal as SimulatedTerminal

__version__ = "5.0.6231"  # of the package whose surface this is
__author__ = "MetaQuotes Ltd."

account_info = _Function("account_info")
copy_rates_from = _Function("copy_rates_from")
copy_rates_from_pos = _Function("copy_rates_from_pos")
copy_rates_range = _Function("copy_rates_range")
copy_ticks_from = _Function("copy_ticks_from")
copy_ticks_range = _Function("copy_ticks_range")
history_deals_get = _Function("history_deals_get")
history_deals_total = _Function("history_deals_total")
history_orders_get = _Function("history_orders_get")
history_orders_total = _Function("history_orders_total")
initialize = _Function("initialize")
last_error = _Function("last_error")
login = _Function("login")
market_book_add = _Function("market_book_add")
market_book_get = _Function("market_book_get")
market_book_release = _Function("market_book_release")
order_calc_margin = _Function("order_calc_margin")
order_calc_profit = _Function("order_calc_profit")
order_check = _Function("order_check")
order_send = _Function("order_send")
orders_get = _Function("orders_get")
orders_total = _Function("orders_total")
positions_get = _Function("positions_get")
positions_total = _Function("positions_total")
shutdown = _Function("shutdown")
symbol_info = _Function("symbol_info")
symbol_info_tick = _Function("symbol_info_tick")
symbol_select = _Function("symbol_select")
symbols_get = _Function("symbols_get")
symbols_total = _Function("symbols_total")
terminal_info = _Function("terminal_info")
version = _Function("version")
