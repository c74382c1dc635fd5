"""What the simulated server allows on a symbol, and on an account.

Frozen values, checked at birth. Field names are those of `MetaTrader5.symbol_info` and `account_info` where they have one.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.dealing import PLAIN, Dealing
from Backtest.simulated_terminal.sessions import Sessions

Commission = Callable[[float, float], float]  # (units, negative for short; price) -> cost in the account's currency

# Flags that the Python package does not name. SYMBOL_FILLING_*:
FILLING_FOK, FILLING_IOC, FILLING_BOC = 1, 2, 4
# SYMBOL_ORDER_*
ORDER_MARKET, ORDER_LIMIT, ORDER_STOP, ORDER_STOP_LIMIT, ORDER_SL, ORDER_TP, ORDER_CLOSE_BY = 1, 2, 4, 8, 16, 32, 64
ORDER_ALL = 127
EXPIRATION_ALL = 15  # SYMBOL_EXPIRATION_*: one bit for each ORDER_TIME_*
# what these earn or bind is told by the value of a tick
_BY_TICK = frozenset(
    {
        c.SYMBOL_CALC_MODE_FUTURES,
        c.SYMBOL_CALC_MODE_CFDINDEX,
        c.SYMBOL_CALC_MODE_EXCH_FUTURES,
        c.SYMBOL_CALC_MODE_EXCH_OPTIONS,
        c.SYMBOL_CALC_MODE_EXCH_OPTIONS_MARGIN,
    }
)
_MOST_DIGITS = 8
_PARTS_OF_A_LOT = 10.0**_MOST_DIGITS
_PRICES = ("Open", "High", "Low", "Close", "Bid", "Ask")
_CURRENCIES = "AUD CAD CHF CNH CZK DKK EUR GBP HKD HUF JPY MXN NOK NZD PLN RUB SEK SGD TRY USD ZAR"


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """One symbol as the server knows it. Raises BadInput when the figures cannot work together."""

    name: str
    digits: int
    contract_size: float = 100_000.0  # units in one lot
    tick_size: float = 0.0  # the grid of stops; 0.0: none
    volume_min: float = 0.01
    volume_step: float = 0.01
    volume_max: float = 500.0
    volume_limit: float = 0.0  # lots in one direction, positions and pending orders together; 0.0: any
    spread_points: int = 0  # where the prices have no Spread column
    spread_in_prices: bool = True  # that column counts; False: `spread_points` alone, for backtesting.py knows no such column
    stops_level: int = 0  # points
    freeze_level: int = 0  # points
    immediate_stops: bool = False  # a level or pending price on the wrong side is accepted and triggers at once, as backtesting.py does
    gaps_fill_at_open: bool = True  # before a trader can act at the open; False: with the rest of the bar, at the same price
    filling_mode: int = FILLING_FOK | FILLING_IOC
    execution: int = c.SYMBOL_TRADE_EXECUTION_MARKET
    trade_mode: int = c.SYMBOL_TRADE_MODE_FULL
    sessions: Sessions | None = None  # None: whenever the prices have a bar
    order_mode: int = ORDER_ALL
    expiration_mode: int = EXPIRATION_ALL
    order_gtc_mode: int = c.SYMBOL_ORDERS_GTC  # what the end of a day takes away: nothing, orders and levels, or orders only
    calc_mode: int = c.SYMBOL_CALC_MODE_FOREX
    currency_base: str = "USD"
    currency_profit: str = "USD"
    currency_margin: str = "USD"
    tick_value: float = 0.0  # per lot and tick, in currency_profit: futures only
    margin_initial: float = 0.0  # per lot, in currency_margin; 0.0: by the formula
    margin_maintenance: float = 0.0  # the same of an open position; 0.0: as the initial one
    face_value: float = 0.0  # bonds only
    liquidity_rate: float = 0.0  # collateral only: the part of its value that counts
    swap_mode: int = c.SYMBOL_SWAP_MODE_DISABLED
    swap_long: float = 0.0  # for one night; in what, the mode says
    swap_short: float = 0.0
    swap_rollover3days: int = c.DAY_OF_WEEK_WEDNESDAY  # the night after it counts three times
    margin_hedged: float = 100_000.0
    margin_hedged_use_leg: bool = False
    description: str = ""
    path: str = ""
    visible: bool = True  # in Market Watch from the beginning; one that is not has no ticks until it is selected

    def __post_init__(self) -> None:
        if not 0 < self.volume_step <= self.volume_min <= self.volume_max:
            raise BadInput(f"{self.name}: want 0 < volume_step <= volume_min <= volume_max, have {self}")
        if not (self.contract_size > 0 and 0 <= self.digits <= _MOST_DIGITS and self.spread_points >= 0):
            raise BadInput(f"{self.name}: want contract_size > 0, digits from 0 to 8 and spread_points >= 0, have {self}")
        if self.calc_mode in _BY_TICK and not (self.tick_size > 0 and self.tick_value > 0):
            had = f"{self.tick_size} and {self.tick_value}"
            raise BadInput(f"{self.name}: calc_mode {self.calc_mode} wants tick_size > 0 and tick_value > 0, has {had}")
        modes = (("swap_mode", self.swap_mode, c.SYMBOL_SWAP_MODE_REOPEN_BID), ("order_gtc_mode", self.order_gtc_mode, 2))
        for name, mode, last in modes:
            if not 0 <= mode <= last:
                raise BadInput(f"{self.name}: {name} is from 0 to {last}, is {mode}")

    @property
    def holds_margin(self) -> bool:
        """Whether orders that wait bind margin, as on an exchange."""
        return c.SYMBOL_CALC_MODE_EXCH_STOCKS <= self.calc_mode < c.SYMBOL_CALC_MODE_SERV_COLLATERAL

    @property
    def point(self) -> float:
        """One price step: `10**-digits`, as the nearest float to the decimal."""
        return float(f"1e-{self.digits}")

    def units(self, lots: float) -> float:
        """Units in so many lots, without the binary noise of 0.09134 * 100000.

        >>> SymbolSpec("EURUSD", 5).units(0.09134)
        9134.0
        >>> 0.29 * 1e8, SymbolSpec("BIG", 2, contract_size=1e8).units(0.29)
        (28999999.999999996, 29000000.0)
        """
        # both factors are decimals of few digits: fifteen hold their product, and none of the noise beyond it
        return float(f"{lots * self.contract_size:.15g}")

    def points(self, distance: float) -> int:
        """A distance between prices in whole points, so that it can be compared."""
        return round(distance / self.point)


def no_commission(units: float, price: float) -> float:  # noqa: ARG001 - the shape of a commission
    """Trading costs nothing."""
    return 0.0


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account at the start. `money_digits=None`: money is not rounded, as in backtesting.py.

    `commission` is charged for each deal, at entry and at exit, as backtesting.py's callable. `login=0` takes any
    login; a `password` or `server` that is not empty must be given right.
    """

    balance: float = 10_000.0
    leverage: int = 100
    margin_mode: int = c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING  # the other two know one position for each symbol
    currency: str = "USD"
    money_digits: int | None = 2
    commission: Commission = no_commission
    stop_out: float = 30.0  # percent of margin; 0.0: only when nothing is left, judged at the close of a bar
    margin_call: float = 50.0  # percent of margin
    stop_out_mode: int = c.ACCOUNT_STOPOUT_MODE_PERCENT  # or money: both levels are of equity then
    limit_orders: int = 200  # active at once; 0: any number
    limit_positions: int = 0  # open at once; 0: any number
    hedge_allowed: bool = True  # opposite positions on one symbol
    fifo_close: bool = False  # the oldest position of a side is closed first
    comment_length: int = 31  # what the server keeps of a comment
    login: int = 0
    password: str = ""
    server: str = "Simulated-Demo"
    name: str = "Simulated Trader"
    company: str = "Simulated Broker"
    trade_mode: int = c.ACCOUNT_TRADE_MODE_DEMO  # what the account says that it is: a demo, a contest or a real one
    dealing: Dealing = PLAIN
    trade_allowed: bool = True
    trade_expert: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.balance) and self.balance > 0 and self.leverage >= 1):
            raise BadInput(f"an account wants a balance above 0 and a leverage of at least 1, has {self.balance} and {self.leverage}")
        if self.margin_mode not in (0, 1, 2):
            raise BadInput(f"an account's margin_mode is 0 (netting), 1 (exchange) or 2 (hedging), is {self.margin_mode}")
        if self.trade_mode not in (0, 1, 2):
            raise BadInput(f"an account's trade_mode is 0 (demo), 1 (contest) or 2 (real), is {self.trade_mode}")

    @property
    def hedging(self) -> bool:
        """Whether each entry opens a position of its own."""
        return self.margin_mode == c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING

    def rounded(self, money: float) -> float:
        """Money as the account keeps it."""
        return money if self.money_digits is None else round(money, self.money_digits)


def parity_account(balance: float, commission: Commission = no_commission, currency: str = "USD") -> AccountSpec:
    """The account that backtesting.py assumes: nothing is rounded, any number of orders waits, and its own margin rule decides."""
    account = AccountSpec(balance, leverage=10_000, currency=currency, money_digits=None, commission=commission)
    return replace(account, stop_out=0.0, margin_call=0.0, limit_orders=0)


def parity_symbol(name: str, frame: pd.DataFrame, *, currency: str = "USD", spread_points: int = 0, unit: float = 1.0) -> SymbolSpec:
    """What backtesting.py assumes of a symbol: whole units, any price, no distance for stops, no conversion.

    Its strategies decide before they can know of a gap, so nothing triggers before they have acted at the open. A `unit`
    below 1 is the part of one that `FractionalBacktest` trades.
    """
    pair = is_pair(name)
    contract = min(100_000.0 if pair else 1.0, unit * _PARTS_OF_A_LOT)
    step = round(unit / contract, _MOST_DIGITS)
    return SymbolSpec(
        name,
        digits=digits_of(frame),
        contract_size=contract,
        volume_min=step,
        volume_step=step,
        volume_max=1e14,
        spread_points=spread_points,
        immediate_stops=True,
        gaps_fill_at_open=False,
        calc_mode=c.SYMBOL_CALC_MODE_CFDLEVERAGE,
        currency_base=name[:3] if pair else currency,
        currency_profit=currency,
        currency_margin=currency,
        margin_hedged=contract,
        description=name,
        path=f"Parity\\{name}",
    )


def is_pair(name: str) -> bool:
    """Whether a name is that of a pair of currencies: EURUSD is one, BTCUSD and GOOGLE are not."""
    known = _CURRENCIES.split()
    return name[:3] in known and name[3:] in known


def digits_of(frame: pd.DataFrame) -> int:
    """Decimals that the prices of a frame of bars or ticks need, eight at most."""
    values = np.unique(frame[[name for name in _PRICES if name in frame]].to_numpy(dtype="float64"))
    return next((digits for digits in range(_MOST_DIGITS) if _all_on_grid(values, digits)), _MOST_DIGITS)


def _all_on_grid(values: Iterable[float], digits: int) -> bool:
    array = np.asarray(values)
    return bool(np.all(np.abs(np.round(array, digits) - array) <= 1e-9 * np.abs(array)))
