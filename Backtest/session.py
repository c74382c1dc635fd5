"""Steps a backtesting.py strategy bar by bar; the only place that touches backtesting.py's private names.

`Backtest.run` reveals prepared arrays one bar at a time. A live strategy gets its bars one at a time instead, so for each
new bar `init()` is evaluated again on the longer data in a scratch instance, and what it prepared is grafted onto the
living one, whose own state is never reset. The broker that the living instance talks to is backtesting.py's own
`_Broker` with the market taken out: its trades are the account's, and the orders that appear in its book during
`next()` are the strategy's decisions. Written against backtesting 0.6.6.
"""

import warnings
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting._util import _Data, _Indicator, _strategy_indicators
from backtesting.backtesting import Order, Trade, _Broker, _OutOfMoneyError

from Backtest.decisions import Account, Bar, Close, ClosedTrade, Decision, Enter, OpenTrade, Protect
from Backtest.errors import BadInput

BROKER_SETTINGS = ("cash", "spread", "commission", "margin", "trade_on_close", "hedging", "exclusive_orders")
COLUMNS = ("Open", "High", "Low", "Close", "Volume")

# Mistakes in the strategy's text show at once, whatever the length of the data; other errors of init() on the first few
# bars are indicators that need more of them ("window longer than the data").
_NEVER_FOR_WANT_OF_BARS = (NameError, AttributeError, TypeError, ImportError, SyntaxError, NotImplementedError)
BARS_TO_WARM_UP = 1000


class StrategyFailed(Exception):
    """The strategy's own code raised; the cause is its exception."""


class StrategySession:
    """One living strategy on one symbol and timeframe.

    `backtest` are `backtesting.Backtest`'s arguments, all of them; `params` the strategy's. Raises BadInput when
    the settings ask for something that cannot be carried to an account.
    """

    def __init__(self, strategy: type[Strategy], backtest: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        refuse_what_cannot_be_carried(backtest)
        self.strategy_class = strategy
        self.settings = {name: backtest[name] for name in BROKER_SETTINGS}
        self._params = dict(params)
        self._bars = _Bars()
        self._living: Strategy | None = None
        self._broker: _AccountBroker
        self._grafted: dict[str, Any] = {}
        self._start: int | None = None
        self._trades: dict[int, Trade] | None = None  # by ticket; None until the account has been seen
        self._closed_seen = 0
        self.warming_up = ""  # why there are no decisions yet; "" once there can be

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def living(self) -> Strategy:
        """The strategy instance. Raises RuntimeError before its first evaluation."""
        if self._living is None:
            raise RuntimeError("the strategy has not been evaluated yet")
        return self._living

    def warm_up(self, bars: pd.DataFrame) -> list[tuple[pd.Timestamp, tuple[Decision, ...]]]:
        """Run the strategy over closed `bars` against backtesting.py's own broker, as `Backtest.run` would.

        Returns each bar's time with what was decided there; nothing of it is acted upon. Raises StrategyFailed.
        """
        if self._living is not None:
            raise RuntimeError("a session is warmed up once, before its first bar")
        self._bars.extend(bars)
        if not len(bars) or not self._evaluate():
            return []
        start, broker = self._started_at(), self._broker
        if start is None:
            return []
        history = []
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", UserWarning)  # the backtest has told; here they would be told twice
            for i in range(start, len(bars)):
                self._reveal(i + 1)
                try:
                    broker.next()
                except _OutOfMoneyError:
                    break
                history.append((bars.index[i], self._next()))
        self._reveal(len(bars))
        return history

    def on_bar(self, bar: Bar, account: Account) -> tuple[Decision, ...]:
        """What the strategy decides on this closed bar, being shown this account.

        The decisions come in the order in which they are to be sent. Raises StrategyFailed.
        """
        self._bars.append(bar)
        if not self._evaluate():
            return ()
        self._show(account)
        if self._started_at() is None:
            return ()
        with np.errstate(invalid="ignore"):
            return self._next()

    def _evaluate(self) -> bool:
        """Give the living strategy all bars and fresh indicators; False while init() needs more bars."""
        frame = self._bars.frame()
        data = _Data(frame)
        strategy = self.strategy_class(_AccountBroker(data=data, index=frame.index, **self.settings), data, self._params)
        try:
            strategy.init()
        except Exception as error:  # the strategy's code: told to the caller, never swallowed
            if self._living is None and len(frame) < BARS_TO_WARM_UP and not _is_a_mistake(error):
                self.warming_up = f"init() needs more than {len(frame)} bars: {error}"
                return False
            raise StrategyFailed(f"{self.strategy_class.__name__}.init() failed: {error!r}") from error
        data._update()  # init() may have added columns to data.df
        if self._living is None:
            self._living, self._broker = strategy, strategy._broker
            self._grafted = {name: value for name, value in vars(strategy).items() if _is_parallel(value, len(frame))}
        else:
            self._graft(strategy, len(frame))
        return True

    def _graft(self, scratch: Strategy, length: int) -> None:
        living = self.living
        for name, value in vars(scratch).items():
            if name in _OWN_ATTRIBUTES or not _is_parallel(value, length):
                continue
            # an array that next() has put something else in the place of is the strategy's state: leave it
            if isinstance(value, _Indicator) or vars(living).get(name) is self._grafted.get(name):
                setattr(living, name, value)
                self._grafted[name] = value
        living._indicators = scratch._indicators
        # the same _Data object throughout: strategies keep references to it
        vars(living._data).update(vars(scratch._data))

    def _reveal(self, length: int) -> None:
        living = self.living
        living._data._set_length(length)
        for name, value in self._grafted.items():
            if isinstance(value, _Indicator):
                setattr(living, name, value[..., :length])

    def _started_at(self) -> int | None:
        """The first bar on which `next()` is called, as `Backtest.run` counts it; None while it has not come."""
        if self._start is None:
            warm = _warm_from(self.living)
            if warm is None or len(self._bars) < warm + 2:
                self.warming_up = f"indicators have no value yet after {len(self._bars)} bars"
                return None
            self._start = warm + 1  # two bars at least, as in Backtest.run
            self.warming_up = ""
        return self._start

    def _next(self) -> tuple[Decision, ...]:
        broker = self._broker
        book, levels = list(broker.orders), {id(trade): (trade.sl, trade.tp) for trade in broker.trades}
        try:
            self.living.next()
        except Exception as error:  # the strategy's code: told to the caller, never swallowed
            raise StrategyFailed(f"{self.strategy_class.__name__}.next() failed: {error!r}") from error
        return tuple(self._decisions(book, levels))

    def _decisions(self, book: list[Order], levels: dict[int, tuple[float | None, float | None]]) -> Iterator[Decision]:
        """What next() has changed: closes in the order of the book, then protection, then entries."""
        broker, legs, tickets = self._broker, count(), self._tickets()
        known = {id(order) for order in book}
        added = [order for order in broker.orders if id(order) not in known and not order.is_contingent]
        closing: set[int] = set()
        for order in added:
            trade = order.parent_trade
            if trade is not None:
                full = abs(order.size) >= abs(trade.size)
                closing |= {id(trade)} if full else set()
                yield Close(next(legs), tickets[id(trade)], abs(order.size), full, trade.tag)
        for trade in broker.trades:
            now = (trade.sl, trade.tp)
            if id(trade) not in closing and now != levels.get(id(trade), now):
                yield Protect(next(legs), tickets[id(trade)], *now)
        for order in added:
            if order.parent_trade is None:
                yield Enter(next(legs), order.size, order.sl, order.tp, order.limit, order.stop, order.tag)

    def _tickets(self) -> dict[int, int]:
        # during the warm-up there are no tickets: backtesting's trades are numbered as they stand
        named = {id(trade): ticket for ticket, trade in (self._trades or {}).items()}
        return named or {id(trade): number for number, trade in enumerate(self._broker.trades)}

    def _show(self, account: Account) -> None:
        """Make the broker's trades, closed trades, orders and cash those of the account."""
        broker, index = self._broker, self._bars.index()
        if self._trades is None:
            self._trades = _adopted(broker.trades, account.open, index)
            broker.closed_trades.clear()
        fresh = account.closed[self._closed_seen :]
        self._closed_seen = len(account.closed)
        still_open = {trade.ticket for trade in account.open}
        for part in fresh:
            broker.closed_trades.append(
                self._closed(part, index, last=part is _last_of(fresh, part.ticket) and part.ticket not in still_open)
            )
        self._trades = {shown.ticket: self._opened(shown, index) for shown in account.open}
        broker.trades[:] = self._trades.values()
        _rebuild_book(broker)
        broker._cash = account.cash
        broker._trades_cache_clear()

    def _opened(self, shown: OpenTrade, index: pd.DatetimeIndex) -> Trade:
        assert self._trades is not None  # set by _show
        trade = self._trades.get(shown.ticket)
        if trade is None:
            trade = Trade(self._broker, _whole(shown.size), shown.entry_price, _bar_of(index, shown.entry_time), shown.tag)
        trade._replace(size=_whole(shown.size), entry_price=shown.entry_price)
        _set_level(trade, self._broker, "sl", shown.sl)
        _set_level(trade, self._broker, "tp", shown.tp)
        return trade

    def _closed(self, part: ClosedTrade, index: pd.DatetimeIndex, *, last: bool) -> Trade:
        assert self._trades is not None  # set by _show
        trade = self._trades.get(part.ticket)
        entry_bar = _bar_of(index, part.entry_time)
        if trade is None:
            trade = Trade(self._broker, _whole(part.size), part.entry_price, entry_bar, part.tag)
        elif not last:
            trade = trade._copy(sl_order=None, tp_order=None)
        trade._replace(size=_whole(part.size), exit_price=part.exit_price, exit_bar=_bar_of(index, part.exit_time))
        trade._commissions = part.costs
        return trade


def refuse_what_cannot_be_carried(backtest: Mapping[str, Any]) -> None:
    """Raise BadInput for settings of a backtest that no account can follow (yet)."""
    if backtest["trade_on_close"]:
        raise BadInput(
            "BACKTEST trade_on_close=True cannot be traded: when a close is known it is over, and an order fills at the next quote; "
            "set it to False"
        )


class _AccountBroker(_Broker):  # type: ignore[misc]
    """backtesting.py's broker, as it is in the warm-up; afterwards its trades and its cash are put in from outside."""


class _Bars:
    """Closed bars, oldest first, in arrays that grow."""

    def __init__(self) -> None:
        self._length = 0
        self._epochs = np.empty(0, dtype="int64")
        self._values = np.empty((len(COLUMNS), 0), dtype="float64")

    def __len__(self) -> int:
        return self._length

    def append(self, bar: Bar) -> None:
        self._reserve(self._length + 1)
        self._epochs[self._length] = bar.epoch
        self._values[:, self._length] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        self._length += 1

    def extend(self, frame: pd.DataFrame) -> None:
        end = self._length + len(frame)
        self._reserve(end)
        self._epochs[self._length : end] = frame.index.to_numpy().astype("datetime64[s]").astype("int64")
        self._values[:, self._length : end] = frame[list(COLUMNS)].to_numpy(dtype="float64").T
        self._length = end

    def _reserve(self, wanted: int) -> None:
        if wanted > len(self._epochs):
            room = max(wanted, 2 * len(self._epochs), 1024) - len(self._epochs)
            self._epochs = np.concatenate([self._epochs, np.empty(room, dtype="int64")])
            self._values = np.concatenate([self._values, np.empty((len(COLUMNS), room))], axis=1)

    def index(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self._epochs[: self._length].astype("datetime64[s]"))

    def frame(self) -> pd.DataFrame:
        columns = {name: self._values[row, : self._length].copy() for row, name in enumerate(COLUMNS)}
        return pd.DataFrame(columns, index=self.index(), copy=False)


_OWN_ATTRIBUTES = frozenset({"_indicators", "_broker", "_data", "_params"})


def _is_a_mistake(error: BaseException) -> bool:
    causes = {type(error), type(error.__cause__)}  # Strategy.I wraps what an indicator raises in a RuntimeError
    return any(issubclass(cause, _NEVER_FOR_WANT_OF_BARS) for cause in causes)


def _is_parallel(value: Any, length: int) -> bool:
    """Whether a value has one entry a bar, or is made of such: then init() prepared it, and it grows with the data."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and value.shape[-1] == length
    if isinstance(value, (pd.Series, pd.DataFrame)):
        return len(value) == length
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_parallel(item, length) for item in value)
    return isinstance(value, dict) and bool(value) and all(_is_parallel(item, length) for item in value.values())


def _warm_from(strategy: Strategy) -> int | None:
    """The bar from which on all indicators have values (backtesting's `_indicator_warmup_nbars`); None: not yet."""
    warm = 0
    for _, indicator in _strategy_indicators(strategy):
        if not indicator._opts["scatter"]:
            missing = np.atleast_2d(np.isnan(indicator.astype(float)))
            if missing.all(axis=-1).any():
                return None
            warm = max(warm, int(missing.argmin(axis=-1).max()))
    return warm


def _whole(size: float) -> float:
    # backtesting's sizes are whole numbers, and its plots and statistics count on it
    return int(size) if float(size).is_integer() else size


def _bar_of(index: pd.DatetimeIndex, time: pd.Timestamp) -> int:
    return int(index.searchsorted(time, side="right")) - 1


def _last_of(parts: Any, ticket: int) -> ClosedTrade | None:
    return next((part for part in reversed(parts) if part.ticket == ticket), None)


def _adopted(simulated: list[Trade], shown: tuple[OpenTrade, ...], index: pd.DatetimeIndex) -> dict[int, Trade]:
    """The warm-up's trades that the account holds too (same bar, same side): strategies may have kept references to them."""
    by_entry = {(trade.entry_bar, trade.size > 0): trade for trade in simulated}
    found = {trade.ticket: by_entry.get((_bar_of(index, trade.entry_time), trade.size > 0)) for trade in shown}
    return {ticket: trade for ticket, trade in found.items() if trade is not None}


def _set_level(trade: Trade, broker: _Broker, kind: str, price: float | None) -> None:
    order: Order | None = getattr(trade, f"_{kind}_order")
    field = "stop_price" if kind == "sl" else "limit_price"
    if price is None:
        order = None
    elif order is None:
        order = Order(broker, -trade.size, parent_trade=trade, tag=trade.tag, **{field: price})
    else:
        order._replace(size=-trade.size, **{field: price})
    trade._replace(**{f"{kind}_order": order})


def _rebuild_book(broker: _Broker) -> None:
    """Only the stops and targets of open trades wait in the book: market orders are filled or refused by now."""
    wanted = [order for trade in broker.trades for order in (trade._sl_order, trade._tp_order) if order is not None]
    waiting = [order for order in broker.orders if any(order is other for other in wanted)]
    for order in wanted:
        if not any(order is other for other in waiting):
            waiting.insert(0 if order.stop else len(waiting), order)
    broker.orders[:] = waiting
