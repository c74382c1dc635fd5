"""What a position costs or earns overnight (pure). Modes: https://www.mql5.com/en/docs/constants/environment_state/marketinfoconstants."""

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import money
from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.market import Quote
from Backtest.simulated_terminal.orders import DAY_SECONDS
from Backtest.simulated_terminal.symbols import SymbolSpec

_THURSDAY = 4  # 1970-01-01
_SATURDAY, _SUNDAY = 6, 0
_YEAR = 360  # days, of a bank
REOPENING = frozenset({c.SYMBOL_SWAP_MODE_REOPEN_CURRENT, c.SYMBOL_SWAP_MODE_REOPEN_BID})
_PERCENT = frozenset({c.SYMBOL_SWAP_MODE_INTEREST_CURRENT, c.SYMBOL_SWAP_MODE_INTEREST_OPEN})


def day_of(second: int) -> int:
    """The number of a day on the server's clock."""
    return second // DAY_SECONDS


def nights(first_day: int, day: int, triple: int) -> int:
    """How many nights are charged from one day to another: the night after the weekday `triple` (0 Sunday) counts three
    times, for the weekend, whose own nights are free.

    >>> monday = 19723
    >>> nights(monday, monday + 1, 3), nights(monday, monday + 7, 3), nights(monday + 4, monday + 7, 3)
    (1, 7, 1)
    """
    weekdays = ((each + _THURSDAY) % 7 for each in range(first_day, day))
    return sum(3 if weekday == triple else 1 for weekday in weekdays if weekday not in (_SATURDAY, _SUNDAY))


def swap(spec: SymbolSpec, position: Position, price: float, exchange: money.Exchange) -> float | None:
    """What one night brings, in the account's currency, not rounded; `price` is that at which the position would close.

    None when a rate is missing. [I] interest is of the profit currency, by a year of 360 days.
    """
    rate, units = spec.swap_long if position.is_long else spec.swap_short, spec.units(position.volume)
    if spec.swap_mode == c.SYMBOL_SWAP_MODE_DISABLED or not rate:
        return 0.0
    if spec.swap_mode == c.SYMBOL_SWAP_MODE_POINTS:
        return money.profit_in_account(spec, units * spec.point * rate, price, exchange)
    if spec.swap_mode in _PERCENT:
        of = price if spec.swap_mode == c.SYMBOL_SWAP_MODE_INTEREST_CURRENT else position.price_open
        return money.profit_in_account(spec, units * of * rate / 100 / _YEAR, price, exchange)
    return _per_lot(spec, position.volume * rate, price, exchange)


def reopening(spec: SymbolSpec, position: Position, quotes: tuple[Quote, Quote], nights: int) -> tuple[float, float]:
    """The prices at which a position is closed in the evening and opened again in the morning, where that is its swap.

    `quotes` are the last one of the evening and the first one of the morning. A negative swap makes the price worse [I].
    """
    evening, morning = quotes
    closed = evening.bid if position.is_long else evening.ask
    base = closed if spec.swap_mode == c.SYMBOL_SWAP_MODE_REOPEN_CURRENT else morning.bid
    points = nights * (-spec.swap_long if position.is_long else spec.swap_short)
    return closed, round(base + points * spec.point, spec.digits)


def _per_lot(spec: SymbolSpec, amount: float, price: float, exchange: money.Exchange) -> float | None:
    if spec.swap_mode == c.SYMBOL_SWAP_MODE_CURRENCY_DEPOSIT:
        return amount
    base = spec.swap_mode == c.SYMBOL_SWAP_MODE_CURRENCY_SYMBOL
    currency = spec.currency_base if base else spec.currency_margin
    if currency == spec.currency_base and spec.currency_profit == exchange.account != currency:
        return amount * price
    return exchange.into_account(amount, currency, selling=amount > 0)
