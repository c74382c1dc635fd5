"""Connect, reconnect, translate. What comes out of here is frozen, typed and UTC; a query that failed raises Unreachable."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, TypeVar

from Backtest.bars import Timeframe
from Backtest.decisions import Bar
from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.errors import Misconfigured, Unreachable, WrongAccount
from Live.explanations import in_words
from Live.model import AccountState, Deal, Position, Quote, Side, SymbolSpec
from Live.mt5_connector.admission import HEDGING, Identity, identity_of, objections
from Live.mt5_connector.answer import Answer
from Live.mt5_connector.names import not_found
from Live.mt5_connector.outage import BackOff, Outage
from Live.mt5_connector.server_time import ServerTime
from Live.mt5_connector.shown import Kept, Shown, ShownOrder, account_of, deals_of, money_moved, order_of, positions_of, spec_of, taken_back
from Live.outcomes import NOT_LET_IN, OUT_OF_STEP, SWITCHES

log = logging.getLogger("LiveTrader")

Interrupted = Callable[[], bool]
T = TypeVar("T")
# Matching is by identity, so a window this wide costs nothing and makes the server's time zone irrelevant.
WINDOW = 26 * 3600
FIRST_TICK_SECONDS, LOOK_SECONDS = 5.0, 0.5  # how long a start waits for a tick, and how often it looks
# A terminal that answers finds its trade server again by itself; after this long it is started anew all the same.
PATIENCE = timedelta(minutes=5)


class _ServerLost(Unreachable):
    """The terminal answers, and has no connection to its trade server."""


class MT5Connector:
    """One terminal connection. `terminal` is anything with the functions of the MetaTrader5 package.

    Beside a `paper` account the settings name that of the terminal whose prices it is traded on.
    """

    def __init__(
        self, config: LiveConfig, terminal: Any, clock: Clock | None = None, *, simulated: bool = False, paper: bool = False
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.simulated = simulated
        self._terminal = terminal
        self.paper = paper
        self._time = ServerTime(terminal, self.clock, config.symbols, offset=0 if simulated else None)
        self._identity: Identity | None = None
        self._out_of_step = False
        self._begun = False  # connected once: what fails from now on is an outage, and no mistake in the settings
        self._back_off = BackOff()
        self._told_unmeasured = False
        self._kept = Kept()

    # the seed's interface

    def initialize(self) -> bool:
        """Connect and log in; False with the reason in the log."""
        try:
            self.connect()
        except (Misconfigured, Unreachable, WrongAccount) as error:
            log.error("cannot connect", extra={"extra_data": {"reason": str(error)}})
            return False
        return True

    def shutdown(self) -> None:
        """Let go of the terminal."""
        self._terminal.shutdown()

    def get_account_info(self) -> dict[str, Any]:
        """Balance, equity, margin and so on, as a dict."""
        return asdict(self.account())

    def get_symbol_info(self, symbol: str) -> dict[str, Any]:
        """All fields of MetaTrader's symbol_info, as a dict."""
        return dict(self._query("symbol_info", symbol)._asdict())

    def get_positions(self) -> list[dict[str, Any]]:
        """Our open positions (our magic number only), as dicts."""
        return [asdict(position) for position in self.positions()]

    def send_order(self, order_request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request as it is, once: retcode, deal and order tickets, price, and the error where there was no answer.

        Nothing is recorded and nothing is checked: `OrderExecutor.execute_order` does that.
        """
        answer = self.order_send(order_request)
        found = {} if answer.result is None else dict(answer.result._asdict())
        return found | {"retcode": answer.retcode, "last_error": answer.error}

    # connection

    def connect(self, interrupted: Interrupted = lambda: False) -> None:
        """Initialise, log in where the settings name an account, check that it is the right one, and select the symbols.

        A start waits a few seconds for the tick that tells the server's time, unless it is `interrupted`. Raises
        Unreachable, WrongAccount for a login that is refused or an account that this run may not trade, and
        Misconfigured for symbols that the broker does not have.
        """
        self.start_terminal()
        self.guard()
        self._select_symbols()
        self._time.measure()
        waited = 0.0
        while self._time.offset is None and not self._begun and waited < FIRST_TICK_SECONDS and not interrupted():
            self.clock.sleep(LOOK_SECONDS, interrupted)
            waited += LOOK_SECONDS
            self._time.measure()
        self._begun = True
        if self._time.offset is None and not self._told_unmeasured:
            self._told_unmeasured = True
            log.warning("the server's time offset cannot be measured while no tick comes (the market is closed?); taking 0 until one does")

    def start_terminal(self) -> None:
        """Initialise, and log in where the settings name an account. Raises Unreachable, or WrongAccount for a login that is refused."""
        config = self.config
        options: dict[str, Any] = {} if self.simulated else {"timeout": config.mt5_timeout}
        if config.mt5_login and not self.simulated:
            login = {"login": config.mt5_login, "password": config.password(), "server": config.mt5_server}
            options |= {name: value for name, value in login.items() if value}
        path = [config.mt5_path] if config.mt5_path and not self.simulated else []
        if not self._terminal.initialize(*path, **options):
            error = self._terminal.last_error()
            refused = error[0] in NOT_LET_IN and not self._begun
            raise (WrongAccount if refused else Unreachable)(f"the terminal does not let us in: {in_words(error)}")
        self._out_of_step = False

    def ensure_connected(self) -> bool:
        """Whether the terminal is there, after an attempt to bring it back where it was not and one is due.

        The sequence is shutdown, initialise, account guard, symbols; nothing else is asked before. Raises WrongAccount
        when it is logged in to another account than before.
        """
        try:
            self.check_in()
        except Unreachable as error:
            return self._brought_back(error)
        self._time.measure()
        return True

    def lost(self, error: Unreachable) -> float:
        """Note that the terminal could not be worked with; seconds until the next look: 1, 2, 4 … 60."""
        now = self.clock.now()
        self._back_off.lost(now, str(error))
        if not self._back_off.wait(now):
            self._back_off.tried(now)
        return self._back_off.wait(now)

    def back(self) -> Outage | None:
        """Note that all is well; the outage that is over now, if there was one."""
        return self._back_off.back(self.clock.now())

    @property
    def outage(self) -> Outage | None:
        """What is wrong with the terminal at the moment, and since when."""
        return self._back_off.outage

    def check_in(self) -> None:
        """Prove that what the terminal says now counts: it is connected to its server, on the account that we trade.

        Raises Unreachable or WrongAccount.
        """
        if not self._query("terminal_info").connected:
            raise _ServerLost("the terminal is not connected to its server")
        self.guard()

    @property
    def netting(self) -> bool:
        """Whether the account keeps one net position a symbol; False before it is known."""
        return self._identity is not None and self._identity.margin_mode != HEDGING

    def account(self) -> AccountState:
        """The account's money and kind."""
        return self._read(account_of, "account_info")

    def switched_off(self) -> tuple[str, ...]:
        """What keeps a program from trading at the moment; empty when nothing does."""
        terminal = self._query("terminal_info")
        off = {code for code, is_off in ((10027, not terminal.trade_allowed), (-8, terminal.tradeapi_disabled)) if is_off}
        off.update(self.account_switches_off())
        return tuple(words for code, words in SWITCHES.items() if code in off)

    def account_switches_off(self) -> tuple[int, ...]:
        """Those of them that are the account's own."""
        account = self._query("account_info")
        return tuple(code for code, is_off in ((10017, not account.trade_allowed), (10026, not account.trade_expert)) if is_off)

    def _brought_back(self, error: Unreachable) -> bool:
        now, trouble = self.clock.now(), self._back_off
        trouble.lost(now, str(error))
        if trouble.wait(now):
            return False
        trouble.tried(now)
        if isinstance(error, _ServerLost) and trouble.outage is not None and now - trouble.outage.since < PATIENCE:
            return False
        try:
            self._open_anew()
            self.check_in()
        except Unreachable as again:
            log.debug("terminal not reached", extra={"extra_data": {"reason": str(again)}})
            return False
        return True

    def _open_anew(self) -> None:
        self._terminal.shutdown()
        self.connect()

    def guard(self) -> Identity:
        """Which account the terminal is on, proved to be the one that we trade. Raises WrongAccount, or Unreachable."""
        account = account_of(self._query("source_account" if self.paper else "account_info"))
        identity = identity_of(account)
        if self._identity not in (None, identity):
            raise WrongAccount(f"the terminal has changed from {self._identity} to {identity}; restart to trade that one")
        if found := objections(account, self.config, simulated=self.simulated, paper=self.paper):
            raise WrongAccount("; ".join(found))
        self._identity = identity
        return identity

    def _select_symbols(self) -> None:
        missing = [symbol for symbol in self.config.symbols if not self._terminal.symbol_select(symbol, True)]
        if not missing:
            return
        error = self._terminal.last_error()
        names = [info.name for info in self._terminal.symbols_get() or ()]
        unknown = [] if self._begun or not names else [symbol for symbol in missing if symbol not in names]
        if unknown:
            raise Misconfigured(*(not_found(symbol, names) for symbol in unknown))
        raise Unreachable(f"{', '.join(missing)} (SYMBOLS) cannot be put into Market Watch: {in_words(error)}")

    # time

    def utc(self, epoch: float) -> datetime:
        """Server seconds → aware UTC."""
        return self._time.utc(epoch)

    def server_epoch(self, moment: datetime) -> int:
        """Aware time → server seconds."""
        return self._time.epoch(moment)

    def server_now(self) -> int:
        """The server's clock in seconds, by ours."""
        return self.server_epoch(self.clock.now())

    # market

    def spec(self, symbol: str) -> SymbolSpec:
        """What the broker allows on a symbol."""
        info = self._query("symbol_info", symbol)
        try:
            return spec_of(info)
        except ValueError as error:
            raise Unreachable(f"the terminal's figures of {symbol} make no sense: {error}") from error

    def quote(self, symbol: str) -> Quote:
        """The last tick. Raises Unreachable also for one that cannot be true (crossed, zero, NaN)."""
        tick = self._query("symbol_info_tick", symbol)
        quote = Quote(float(tick.bid), float(tick.ask), float(tick.time))
        self._time.note(symbol, quote.epoch)
        if not quote.is_sane():
            raise Unreachable(f"{symbol} is quoted {quote.bid}/{quote.ask}, which cannot be traded on")
        return quote

    def quote_age(self, symbol: str, quote: Quote) -> float:
        """Seconds since a quote came: by the server's clock, or by ours since we first saw it where that is not measured."""
        return self._time.age(symbol, quote.epoch)

    def closed_bars(self, symbol: str, timeframe: Timeframe, count: int) -> tuple[list[Bar], int | None]:
        """The newest closed bars, oldest first, at most `count`, and the open of the one still forming (server seconds)."""
        rates = self._query("copy_rates_from_pos", symbol, timeframe.mt5, 0, count + 1)
        if not len(rates):
            return [], None
        columns = (rates[name].tolist() for name in ("time", "open", "high", "low", "close", "tick_volume", "spread"))
        bars = [Bar(*values) for values in zip(*columns, strict=True)]
        return bars[:-1], bars[-1].epoch

    def opening_price(self, symbol: str, timeframe: Timeframe) -> float:
        """The price at which the bar that is forming now has opened, of the side that bars are made of (Bid)."""
        rates = self._query("copy_rates_from_pos", symbol, timeframe.mt5, 0, 1)
        if not len(rates):
            raise Unreachable(f"the terminal shows no bar of {symbol}")
        return float(rates["open"][0])

    def money_of(self, symbol: str, side: Side, lots: float, *, entry: float, exit_price: float) -> float:
        """What so many lots make between two prices, account currency. Source: `order_calc_profit`."""
        kind = 0 if side is Side.BUY else 1
        made = float(self._query("order_calc_profit", kind, symbol, float(lots), float(entry), float(exit_price)))
        if not math.isfinite(made):
            raise Unreachable(f"order_calc_profit({symbol}) answers {made}")
        return made

    # what we hold and did

    def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Open positions with our magic number, by ticket."""
        return tuple(held for held in self.all_positions(symbol) if held.magic == self.config.magic_number)

    def all_positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Open positions, whoever opened them, by ticket."""
        options = {"symbol": symbol} if symbol else {}
        found = self._read(lambda rows: positions_of(rows, self.utc), "positions_get", **options)
        return tuple(sorted(found, key=lambda held: held.ticket))

    def active_orders(self) -> tuple[ShownOrder, ...]:
        """Orders that are not done, whoever sent them, by ticket."""
        return tuple(sorted(self._active_orders(), key=lambda order: order.ticket))

    def deals_since(self, epoch: int) -> tuple[Deal, ...]:
        """All trades' deals from then on (server seconds), oldest first; money that only came or went is left out."""
        name = ("deals", epoch, self._time.reckoning)
        return self._read(
            lambda rows: self._kept.made(name, rows, lambda new: deals_of(new, self.utc)), "history_deals_get", *self._range(epoch)
        )

    def money_moved(self, after: int) -> float:
        """Deposits less withdrawals, after a moment (server seconds): account currency."""
        return self._read(lambda rows: money_moved(rows, after), "history_deals_get", *self._range(after))

    def deals_taken_back(self, epoch: int) -> frozenset[int]:
        """The tickets of deals since then (server seconds) that the broker has cancelled."""
        return self._read(taken_back, "history_deals_get", *self._range(epoch))

    def deals_of_position(self, position_id: int) -> tuple[Deal, ...]:
        """All deals of one position, oldest first."""
        return self._read(lambda rows: deals_of(rows, self.utc), "history_deals_get", position=int(position_id))

    def shown_since(self, epoch: int) -> Shown:
        """Everything that could prove what became of an order sent after then (server seconds).

        Raises Unreachable when any of the four queries fails: then nothing is proved.
        """
        # active orders first: one that finishes in between is in the second list, never in neither
        active = self._active_orders()
        finished = self._read(
            lambda rows: self._kept.made(("orders", epoch), rows, lambda new: [order_of(row, active=False) for row in new]),
            "history_orders_get",
            *self._range(epoch),
        )
        orders = {order.ticket: order for order in (*active, *finished)}
        return Shown(tuple(orders.values()), self.deals_since(epoch), self.all_positions())

    def _active_orders(self) -> list[ShownOrder]:
        return self._read(lambda rows: [order_of(row, active=True) for row in rows], "orders_get")

    def _range(self, epoch: int) -> tuple[int, int]:
        # 0 is taken for "not given" by MetaTrader5 5.0.6231
        return max(1, int(epoch)), self.server_now() + WINDOW

    # orders

    def order_check(self, request: Mapping[str, Any]) -> Answer:
        """The terminal's own check; a good one has retcode 0."""
        return self._traded("order_check", dict(request))

    def order_send(self, request: Mapping[str, Any]) -> Answer:
        """Send, once."""
        return self._traded("order_send", dict(request))

    def _traded(self, function: str, request: dict[str, Any]) -> Answer:
        try:
            result = getattr(self._terminal, function)(request)
        except (TypeError, SystemError) as error:
            # an argument could not be converted: it did not leave Python
            return Answer(None, (-2, f"Invalid arguments: {error}"))
        answer = Answer(result, self._terminal.last_error())
        self._out_of_step = result is None and answer.error[0] in OUT_OF_STEP
        return answer

    # asking

    def _read(self, convert: Callable[[Any], T], function: str, *args: Any, **options: Any) -> T:
        """An answer as frozen values. One of another shape than is known proves nothing."""
        answer = self._query(function, *args, **options)
        try:
            return convert(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{function} answers what nobody can read: {type(error).__name__}: {error}") from error

    def _query(self, function: str, *args: Any, **options: Any) -> Any:
        if self._out_of_step:
            self._get_in_step()
        answer = getattr(self._terminal, function)(*args, **options)
        # None is a failed query, which proves nothing; an empty tuple is an answer
        if answer is None:
            error = self._terminal.last_error()
            sentence = f"{function}({', '.join(map(str, args))}) failed: {error}"
            if error[0] in OUT_OF_STEP:
                self._out_of_step = True
                self._back_off.lost(self.clock.now(), sentence)
            raise Unreachable(sentence)
        return answer

    def _get_in_step(self) -> None:
        now, trouble = self.clock.now(), self._back_off
        trouble.lost(now, "an answer did not arrive, so that the next one might be another call's")
        if wait := trouble.wait(now):
            raise Unreachable(f"the terminal is tried again in {wait:.0f} seconds")
        trouble.tried(now)
        self._open_anew()
