"""The session: one living strategy, its decisions bar by bar."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting._util import _Data, _Indicator, _strategy_indicators
from backtesting.backtesting import Order, Position, Trade, _Broker, _OutOfMoneyError

from Backtest.decisions import Account, Bar, Close, Decision, Enter, Protect
from Backtest.fractional import FractionalUnit
from Backtest.session.account_view import AccountView
from Backtest.session.columns import GrowingBars
from Backtest.session.deciding import Before, decisions
from Backtest.session.grafting import Graft, leaving_no_trace, without_own
from Backtest.session.lines import Line, lines_of
from Backtest.session.window import Window

BROKER_SETTINGS = ("cash", "spread", "commission", "margin", "trade_on_close", "hedging", "exclusive_orders")

# Mistakes in the strategy's text show at once, whatever the length of the data; other errors of init() on the first few
# bars are indicators that need more of them ("window longer than the data").
_NEVER_FOR_WANT_OF_BARS = (NameError, AttributeError, TypeError, ImportError, SyntaxError, NotImplementedError)
BARS_TO_WARM_UP = 1000

_FOREIGN = (Strategy, _Broker, _Data, Order, Trade, Position, type, ModuleType)
_FAILURES = (Exception, SystemExit)  # of the strategy's code: told to the caller, never swallowed


class StrategyFailed(Exception):
    """The strategy's own code raised (the cause is its exception), or it wants what cannot be traded.

    `bars` is how many were over before the one that it failed on; None where its init() failed.
    """

    def __init__(self, sentence: str, bars: int | None = None) -> None:
        super().__init__(sentence)
        self.bars = bars


class StrategySession:
    """One living strategy on one symbol and timeframe.

    `backtest` are `backtesting.Backtest`'s arguments, all of them, and `fractional_unit`; `params` the strategy's; `further`
    what its data have beside Open, High, Low, Close and Volume, see `GrowingBars`. Bars, accounts and decisions are in the
    market's prices and units, whatever the strategy counts in; only the size of an entry is as the strategy gave it.
    With a `window`, init() is evaluated on so many of the newest bars for each new one, see `Window`.
    """

    def __init__(
        self,
        strategy: type[Strategy],
        backtest: Mapping[str, Any],
        params: Mapping[str, Any],
        further: pd.DataFrame | None = None,
        *,
        window: int | None = None,
    ) -> None:
        self._class, self._params = strategy, dict(params)
        self.settings = {name: backtest[name] for name in BROKER_SETTINGS}
        self._unit = FractionalUnit.of(backtest)
        self._bars = GrowingBars(further)
        self.window = Window(window, Graft(_FOREIGN, {}, ()).same)
        if self._bars.has_further:
            self.window.refuse("its bars have further columns")
        self._living: Strategy | None = None
        self._base: Strategy  # what init() made last, untouched by next()
        self._view: AccountView
        self._indicators: dict[str, _Indicator] = {}  # the living one's, in full length
        self._start: int | None = None
        self._ruined = False  # in the warm-up
        self._acting = False  # behind the warm-up: what is decided will be sent
        self._complete = False  # no bars will follow
        self._is_grown = False  # what it has is of the newest bars
        self._from_init: list[Order] = []  # orders of init() that have not been decided yet
        self.warming_up = ""  # why there are no decisions yet; "" once there can be

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def living(self) -> Strategy:
        """The strategy instance. Raises RuntimeError before its first evaluation."""
        if self._living is None:
            raise RuntimeError("the strategy has not been evaluated yet")
        return self._living

    def warm_up(
        self, bars: pd.DataFrame, shown: Mapping[pd.Timestamp, Account] | None = None, *, complete: bool = False
    ) -> list[tuple[pd.Timestamp, tuple[Decision, ...]]]:
        """Run the strategy over closed `bars` against backtesting.py's own broker, as `Backtest.run` would.

        On bars for which `shown` has an account, the strategy is shown that in the broker's place: so a strategy that was
        stopped becomes what it was. Where the bars are `complete`, none will follow: as in `Backtest.run`, what has no value by
        then is not waited for. Returns each bar's time with what was decided there; nothing of it is acted upon.
        Raises StrategyFailed.
        """
        if len(self._bars):
            raise RuntimeError("a session is warmed up once, before its first bar")
        self._complete = complete
        self._bars.extend(self._unit.frame(bars))
        start = self._started_at() if len(bars) and self._evaluate() else None
        if start is None or start >= len(bars):
            return []
        times = list(bars.index)
        first = times[start - 1]
        history = [(first, placed)] if (placed := self._placed_by_init(first)) else []
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", UserWarning)  # the backtest has told; here they would be told twice
            for i, time in enumerate(times[start:], start):
                self._reveal(i + 1)
                if self._is_shown(time, shown or {}):
                    history.append((time, self._next(time)))
        self._reveal(len(bars))
        return history

    def on_bar(self, bar: Bar, account: Account) -> tuple[Decision, ...]:
        """What the strategy decides on this closed bar, being shown this account.

        The decisions come in the order in which they are to be sent. Raises StrategyFailed.
        """
        self._bars.append(self._unit.bar(bar))
        if not self._evaluate():
            return ()
        self._view.show(account, self.living._data.index)
        if self._started_at() is None:
            return ()
        self._acting = True
        with np.errstate(invalid="ignore"):
            return self._next(bar.time)

    def lines(self, newest: int = 1) -> list[Line]:
        """What the strategy declared with self.I, on so many of the newest bars; nothing before its first evaluation."""
        if self._living is None:
            return []
        living = {id(vars(self._base).get(name)): value for name, value in self._indicators.items()}
        declared = (living.get(id(each), each) for each in self._base._indicators)  # also what no attribute holds
        return lines_of(declared, newest, self._unit.size)

    # what init() prepares

    def _evaluate(self) -> bool:
        """Give the living strategy all bars and what init() makes of them; False while init() needs more bars."""
        if self.window.is_trusted and self._grow():
            return True
        try:
            scratch = self._scratch()
            living = self._initialised() if self._living is None else self._living
        except _FAILURES as error:
            cause = error.__cause__ or error  # Strategy.I wraps what an indicator raises in a RuntimeError
            if self._living is not None or len(self._bars) >= BARS_TO_WARM_UP or _is_a_mistake(cause):
                raise StrategyFailed(f"{self._class.__name__}.init() failed: {cause!r}") from error
            self.warming_up = f"init() needs more than {len(self._bars)} bars: {cause}"
            return False
        if self._living is None:
            self._adopt(living, scratch)
        elif self._is_grown:
            self.window.check(scratch)
            self._put({name: value.copy() for name, value in _strategy_indicators(scratch)}, scratch, scratch._data)
            self._is_grown = False
        else:
            self._graft(living, scratch)
        self._try_window()
        return True

    def _scratch(self, newest: int | None = None) -> Strategy:
        with leaving_no_trace(self._class, Strategy):
            return self._initialised(newest)

    def _initialised(self, newest: int | None = None) -> Strategy:
        data = self._bars.data(newest)
        strategy: Strategy = self._class(_Broker(data=data, index=data.index, **self.settings), data, self._params)
        strategy.init()
        data.follow_frame()
        return strategy

    # on the newest bars alone

    def _try_window(self) -> None:
        """See whether the newest bars would have been enough."""
        if self.window.refused or self.window.is_trusted or self._start is None or len(self._bars) <= self.window.bars:
            return
        with self._refused_where_it_fails():
            self.window.try_on(self._base, self._scratch(self.window.bars), self._bars.shared())

    def _grow(self) -> bool:
        """Give the living strategy the new bar, and what init() makes of the newest ones; False where it is to be evaluated on all."""
        with self._refused_where_it_fails():
            newest, data = self._scratch(self.window.bars), self._bars.shared()
            indicators = self.window.grow(self._indicators, newest, data)
            if indicators is not None:
                self._is_grown = True
                self._put(indicators, newest, data)
        return self.window.is_trusted and not self.window.wants_all

    def _put(self, indicators: dict[str, _Indicator], scratch: Strategy, data: _Data) -> None:
        vars(self.living).update(indicators)
        self._indicators = indicators
        self._let_go(scratch)
        self.living._indicators = scratch._indicators
        self.living._data.become(data)

    @contextmanager
    def _refused_where_it_fails(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            self.window.refuse(f"init() fails on them: {error.__cause__ or error!r}")

    def _adopt(self, living: Strategy, scratch: Strategy) -> None:
        self._living, self._base = living, scratch
        self._view = AccountView(living._broker, self._unit)
        self._from_init = list(living._broker.orders)
        self._indicators = dict(_strategy_indicators(living))

    def _graft(self, living: Strategy, scratch: Strategy) -> None:
        twins = {id(scratch): living, id(scratch._broker): living._broker, id(scratch._data): living._data}
        own = {base.__module__ for base in self._class.__mro__ if issubclass(base, Strategy)} - {Strategy.__module__}
        graft = Graft(_FOREIGN, twins, own)
        # Backtest.run puts each indicator back before every next(), whatever next() has put in its place
        vars(living).update(self._indicators)
        graft.merge_mappings(vars(living), without_own(self._base), without_own(scratch))
        self._let_go(scratch)
        self._indicators = {name: vars(living)[name] for name, _ in _strategy_indicators(scratch)}
        living._indicators = scratch._indicators
        living._data.become(scratch._data)

    def _let_go(self, scratch: Strategy) -> None:
        # a broker and its position hold one another until Python looks for such circles: by then all prices of many bars
        del self._base._broker._data, self._base._broker._equity
        self._base = scratch

    def _reveal(self, length: int) -> None:
        living = self.living
        living._data._set_length(length)
        for name, value in self._indicators.items():
            setattr(living, name, value[..., :length])

    def _started_at(self) -> int | None:
        """The first bar on which `next()` is called, as `Backtest.run` counts it; None while nobody can tell."""
        if self._start is None:
            warm = _warm_from(self.living) if self._complete or not self.lacking else None
            self._start = None if warm is None or len(self._bars) <= warm else warm + 1  # two bars at least, as in Backtest.run
        started = self._start is not None and len(self._bars) > self._start
        self.warming_up = "" if started else f"indicators have no value yet after {len(self._bars)} bars"
        return self._start

    @property
    def lacking(self) -> tuple[str, ...]:
        """What has no value on any bar so far, and may have one later: a live trader waits for it, a backtest does not."""
        return () if self._living is None else tuple(_lacking(self._living, self._base._indicators))

    def _is_shown(self, time: pd.Timestamp, shown: Mapping[pd.Timestamp, Account]) -> bool:
        """During the warm-up: the account of that bar, or what the simulated broker makes of it; False when that is ruined."""
        if (account := shown.get(time)) is not None:
            self._view.show(account, self.living._data.index)
            return True
        if self._ruined:
            return False
        try:
            self.living._broker.next()
        except _OutOfMoneyError:
            self._ruined = True
            return False
        except _FAILURES as error:  # of levels that an order may be placed with, and no trade may have
            text = f"backtesting.py cannot fill what {self._class.__name__} has ordered before {time}: {error!r}"
            raise StrategyFailed(text, bars=len(self.living._data) - 1) from error
        self._view.number_simulated()
        return True

    # what next() decides

    def _next(self, time: pd.Timestamp) -> tuple[Decision, ...]:
        """Let the strategy decide, unless it is the bar on which only the orders of init() come before the broker."""
        living, broker = self.living, self.living._broker
        before = Before.of(broker)
        broker.orders += self._from_init
        self._from_init = []
        if len(living._data) > (self._start or 0):
            try:
                living.next()
            except _FAILURES as error:
                raise StrategyFailed(f"{self._class.__name__}.next() failed: {error!r}", bars=len(living._data) - 1) from error
        decided = tuple(decisions(self._view, before, broker.orders, time))
        if self._acting:
            self._check_prices(decided)
        return self._for_the_market(decided)

    def _check_prices(self, decided: tuple[Decision, ...]) -> None:
        """Refuse an entry with a price that no market has; a backtest ends where one with such a stop loss or take profit fills."""
        for each in decided:
            for name in ("limit", "stop", "sl", "tp"):
                level = getattr(each, name) if isinstance(each, Enter) else None
                if level is not None and not 0 < level < math.inf:
                    raise StrategyFailed(f"{self._class.__name__} orders with {name}={level:g}: want a price above 0, or None for none")

    def _placed_by_init(self, bar: pd.Timestamp) -> tuple[Decision, ...]:
        """The orders of init(), which were decided on the bar before the first `next()`."""
        placed = tuple(decisions(self._view, Before((), ()), self._from_init, bar))
        self._from_init = []
        return self._for_the_market(placed)

    def _for_the_market(self, decided: Iterable[Decision]) -> tuple[Decision, ...]:
        """The decisions with the market's prices and units."""
        return tuple(self._in_units(each) for each in decided)

    def _in_units(self, decision: Decision) -> Decision:
        price = self._view.market_price
        if isinstance(decision, Enter):
            limit, stop = price(decision.limit), price(decision.stop)
            return replace(decision, sl=price(decision.sl), tp=price(decision.tp), limit=limit, stop=stop)
        if isinstance(decision, Protect):
            return replace(decision, sl=price(decision.sl), tp=price(decision.tp))
        return replace(decision, units=self._unit.units(decision.units)) if isinstance(decision, Close) else decision


def _is_a_mistake(error: BaseException) -> bool:
    """Whether more bars would not help. Libraries that answer None where they have too few bars make a TypeError of it."""
    return isinstance(error, (*_NEVER_FOR_WANT_OF_BARS, SystemExit)) and "NoneType" not in str(error)


def _warm_from(strategy: Strategy) -> int:
    """The bar from which on all indicators have values, but for those that never have one (backtesting's `_indicator_warmup_nbars`)."""
    missing = [np.atleast_2d(np.isnan(each.astype(float))) for _, each in _strategy_indicators(strategy) if not each._opts["scatter"]]
    return max((int(each.argmin(axis=-1).max()) for each in missing), default=0)


def _lacking(strategy: Strategy, declared: Sequence[_Indicator]) -> Iterator[str]:
    """The attributes that hold an indicator without any value.

    What is computed from `declared` indicators, and has no value although all of these have, will never have one, as the sum of a
    line whose first values are missing: as in a backtest it is not waited for.
    """
    # backtesting.lib.TrailingStrategy's range: backfilled in a backtest, live there is nothing to fill it from yet
    trailing = vars(strategy).get("_TrailingStrategy__atr")
    if isinstance(trailing, np.ndarray) and np.isnan(trailing).all():
        yield "the range of TrailingStrategy"
    if any(_has_nothing(each) for each in declared):
        yield from (f"self.{name}" for name, each in _strategy_indicators(strategy) if _has_nothing(each))


def _has_nothing(indicator: _Indicator) -> bool:
    """Whether a line of it has no value on any bar; words are values."""
    missing = np.atleast_2d(pd.isna(np.asarray(indicator)))
    return not indicator._opts["scatter"] and bool(missing.all(axis=-1).any())
