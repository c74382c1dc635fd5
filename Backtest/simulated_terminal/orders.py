"""An order as the server works on it (pure): what it waits for, how long, and how the terminal shows it."""

from dataclasses import dataclass, replace

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.structs import TradeOrder

DAY_SECONDS = 86_400
LIMITS = frozenset({c.ORDER_TYPE_BUY_LIMIT, c.ORDER_TYPE_SELL_LIMIT})
STOPS = frozenset({c.ORDER_TYPE_BUY_STOP, c.ORDER_TYPE_SELL_STOP})
STOP_LIMITS = frozenset({c.ORDER_TYPE_BUY_STOP_LIMIT, c.ORDER_TYPE_SELL_STOP_LIMIT})
PENDING = LIMITS | STOPS | STOP_LIMITS


def side_of(order_type: int) -> int:
    """ORDER_TYPE_BUY or ORDER_TYPE_SELL of any order type: even numbers buy."""
    return order_type % 2


def last_second(of_day: int) -> int:
    """The second before midnight of the day in which a second lies.

    >>> last_second(5)
    86399
    """
    return of_day - of_day % DAY_SECONDS + DAY_SECONDS - 1


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to buy or sell: at market, or when its price comes."""

    ticket: int
    symbol: str
    type: int
    volume: float  # lots that are not filled yet
    price: float  # of a market order: where it was filled
    sl: float  # 0.0: none
    tp: float
    setup_msc: int
    magic: int
    reason: int
    comment: str
    volume_initial: float
    stoplimit: float = 0.0
    filling: int = c.ORDER_FILLING_FOK
    type_time: int = c.ORDER_TIME_GTC
    expiration: int = 0  # second on the server's clock; of a day order any of its day
    position_id: int = 0  # of the position that its first fill opened or met
    closes: int = 0  # ticket of the position that it closes
    closes_by: int = 0  # identifier of the opposite position that closes it

    @property
    def side(self) -> int:
        """ORDER_TYPE_BUY or ORDER_TYPE_SELL."""
        return side_of(self.type)

    @property
    def stop(self) -> float:
        """The price that must be reached before anything else; 0.0: none."""
        return self.price if self.type in STOPS or self.type in STOP_LIMITS else 0.0

    @property
    def limit(self) -> float:
        """The worst price at which it may fill; 0.0: any."""
        return self.stoplimit if self.type in STOP_LIMITS else self.price if self.type in LIMITS else 0.0

    @property
    def ends(self) -> int | None:
        """The second at which it expires; None: never."""
        if self.type_time == c.ORDER_TIME_GTC:
            return None
        if self.type_time == c.ORDER_TIME_SPECIFIED:
            return self.expiration
        return last_second(self.expiration)

    def tidy(self) -> "Order":
        """Without the fields that mean nothing to its type and lifetime."""
        dated = self.type_time != c.ORDER_TIME_GTC
        return replace(self, stoplimit=self.stoplimit if self.type in STOP_LIMITS else 0.0, expiration=self.expiration if dated else 0)

    def activated(self) -> "Order":
        """The limit order that a stop-limit order becomes, under the same ticket, when its stop price is reached."""
        limit = c.ORDER_TYPE_BUY_LIMIT if self.side == c.ORDER_TYPE_BUY else c.ORDER_TYPE_SELL_LIMIT
        return replace(self, type=limit, price=self.stoplimit, stoplimit=0.0)

    def at_market(self) -> "Order":
        """The market order that a stop order is once its price was reached."""
        return replace(self, type=self.side) if self.type in STOPS else self

    def active(self, price_current: float) -> TradeOrder:
        """As orders_get shows it."""
        state = c.ORDER_STATE_PLACED if self.volume == self.volume_initial else c.ORDER_STATE_PARTIAL
        return self._shown(state, 0, price_current)

    def done(self, state: int, done_msc: int, price_current: float) -> TradeOrder:
        """As the history shows it."""
        return self._shown(state, done_msc, price_current)

    def _shown(self, state: int, done_msc: int, price_current: float) -> TradeOrder:
        expiration = 0 if self.type_time == c.ORDER_TIME_DAY else self.expiration  # [I] nobody named one
        times = (self.setup_msc // 1000, self.setup_msc, done_msc // 1000, done_msc, expiration)
        kinds = (self.type, self.type_time, self.filling, state, self.magic, self.position_id, self.closes_by, self.reason)
        prices = (self.volume_initial, self.volume, self.price, self.sl, self.tp, price_current, self.stoplimit)
        return TradeOrder((self.ticket, *times, *kinds, *prices, self.symbol, self.comment, ""))
