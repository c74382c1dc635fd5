"""Connect, reconnect, translate. What comes out of here is frozen, typed and UTC; a query that failed raises Unreachable."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from Backtest.bars import Timeframe
from Backtest.decisions import Bar
from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.errors import Unreachable, WrongAccount
from Live.model import AccountState, Deal, Position, Quote, Side, SymbolSpec
from Live.mt5_connector.shown import Shown, account_of, deals_of, order_of, position_of, spec_of

log = logging.getLogger("LiveTrader")

DAY = 86_400
# Matching is by identity, so a window this wide costs nothing and makes the server's time zone irrelevant.
WINDOW = 26 * 3600
HALF_HOUR, FRESH = 1800, 60  # seconds: the grid of time zones, and how old a tick may be that tells them
FIRST_TICK_SECONDS, LOOK_SECONDS = 5.0, 0.5  # how long a start waits for a tick, and how often it looks
REAL_ACCOUNT = 2
HEDGING = 2
# After these the stream between package and terminal may be out of step: what is read next may be another call's answer.
OUT_OF_STEP = frozenset({-10000, -10001, -10002})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from `order_send` or `order_check`: the result, or None with the error that was set."""

    result: Any | None
    error: tuple[int, str]

    @property
    def retcode(self) -> int | None:
        """The server's answer; None where there was none."""
        return getattr(self.result, "retcode", None)

    def field(self, name: str) -> Any:
        """A field of the result; None where it is missing, empty or 0."""
        return getattr(self.result, name, None) or None


class MT5Connector:
    """One terminal connection. `terminal` is anything with the functions of the MetaTrader5 package."""

    def __init__(self, config: LiveConfig, terminal: Any, clock: Clock | None = None, *, simulated: bool = False) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.simulated = simulated
        self._terminal = terminal
        self._offset: int | None = 0 if simulated else None
        self._identity: tuple[int, str, int, int] | None = None
        self._looks: dict[str, tuple[int, float]] = {}  # by symbol: the tick seen last, and when
        self._out_of_step = False
        self._told_unmeasured = False

    # the seed's interface

    def initialize(self) -> bool:
        """Connect and log in; False with the reason in the log."""
        try:
            self.connect()
        except (Unreachable, WrongAccount) as error:
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

    def connect(self) -> None:
        """Initialise, log in where the settings name an account, and check that it is the right one.

        Raises Unreachable, or WrongAccount for an account that this run may not trade.
        """
        config = self.config
        login: dict[str, Any] = {}
        if config.mt5_login and not self.simulated:
            login = {"login": config.mt5_login, "password": config.password(), "server": config.mt5_server, "timeout": config.mt5_timeout}
        path = [config.mt5_path] if config.mt5_path and not self.simulated else []
        if not self._terminal.initialize(*path, **{name: value for name, value in login.items() if value}):
            raise Unreachable(f"the terminal did not start or let us in: {self._terminal.last_error()}")
        self._out_of_step = False
        self._guard(self.account())
        for symbol in config.symbols:
            if not self._terminal.symbol_select(symbol, True):
                raise Unreachable(f"the terminal has no symbol {symbol} (SYMBOLS): {self._terminal.last_error()}{self._similar(symbol)}")
        self._measure_offset()
        waited = 0.0
        while self._offset is None and waited < FIRST_TICK_SECONDS:
            self.clock.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS
            self._measure_offset()
        if self._offset is None and not self._told_unmeasured:
            self._told_unmeasured = True
            log.warning("the server's time offset cannot be measured while no tick comes (the market is closed?); taking 0 until one does")

    def ensure_connected(self) -> bool:
        """Whether the terminal is there, after one attempt to bring it back where it was not.

        Raises WrongAccount when it is logged in to another account than before.
        """
        try:
            self.check_in()
        except Unreachable:
            return self._brought_back()
        self._measure_offset()
        return True

    def check_in(self) -> None:
        """Prove that what the terminal says now counts: it is connected to its server, on the account that we trade.

        Raises Unreachable or WrongAccount.
        """
        if not self._query("terminal_info").connected:
            raise Unreachable("the terminal is not connected to its server")
        self._guard(self.account())

    def account(self) -> AccountState:
        """The account's money and kind."""
        return account_of(self._query("account_info"))

    def switched_off(self) -> tuple[str, ...]:
        """What keeps a program from trading at the moment; empty when nothing does."""
        terminal, account = self._query("terminal_info"), self._query("account_info")
        switches = {
            "the Algo Trading button of the terminal is off": not terminal.trade_allowed,
            "the terminal's options forbid the Python package to trade": terminal.tradeapi_disabled,
            "the account may not trade (an investor's password?)": not account.trade_allowed,
            "the server forbids automated trading on the account": not account.trade_expert,
        }
        return tuple(words for words, off in switches.items() if off)

    def _brought_back(self) -> bool:
        try:
            self._terminal.shutdown()
            self.connect()
            self.check_in()
        except Unreachable as error:
            log.warning("terminal not reached", extra={"extra_data": {"reason": str(error)}})
            return False
        return True

    def _guard(self, account: AccountState) -> None:
        identity = (account.login, account.server, account.trade_mode, account.margin_mode)
        if self.config.mt5_login and not self.simulated and account.login != self.config.mt5_login:
            raise WrongAccount(f"the terminal is logged in to account {account.login}, the settings say MT5_LOGIN={self.config.mt5_login}")
        if self._identity not in (None, identity):
            raise WrongAccount(f"the terminal has changed from account {self._identity} to {identity}; restart to trade that one")
        if account.trade_mode == REAL_ACCOUNT and not self.config.allow_real_account:
            raise WrongAccount(f"account {account.login} is a real-money account; set ALLOW_REAL_ACCOUNT=true if that is what you want")
        if account.margin_mode != HEDGING:
            raise WrongAccount(f"account {account.login} keeps one net position a symbol; this version trades hedging accounts only")
        self._identity = identity

    def _similar(self, symbol: str) -> str:
        infos = self._terminal.symbols_get(f"*{symbol[:6]}*") or ()
        names = ", ".join(info.name for info in infos[:5])
        return f"; it has {names}" if names else ""

    # time

    def _measure_offset(self) -> None:
        """Seconds that the server's wall clock is ahead of UTC: a multiple of half an hour, read off a tick that has just come."""
        if self.simulated:
            return
        measured = next(filter(None, map(self._offset_by, self.config.symbols)), None)
        if measured is not None and measured != (self._offset,):
            log.info("server time", extra={"extra_data": {"hours_ahead_of_utc": measured[0] / 3600}})
            self._offset = measured[0]

    def _offset_by(self, symbol: str) -> tuple[int] | None:
        """What one symbol's tick says, if it says anything: the age of an old tick looks like an offset."""
        tick, now = self._terminal.symbol_info_tick(symbol), self.clock.now().timestamp()
        if tick is None:
            return None
        before, looked = self._looks.get(symbol, (tick.time, now))
        self._looks[symbol] = (tick.time, now)
        new = tick.time != before and now - looked < HALF_HOUR - FRESH
        ahead = tick.time - now
        rounded = round(ahead / HALF_HOUR) * HALF_HOUR
        plausible = abs(ahead - rounded) < FRESH and abs(rounded) <= 14 * 3600
        return (rounded,) if plausible and new else None

    def utc(self, epoch: float) -> datetime:
        """Server seconds → aware UTC."""
        return datetime.fromtimestamp(epoch - (self._offset or 0), UTC)

    def server_epoch(self, moment: datetime) -> int:
        """Aware time → server seconds."""
        return int(moment.timestamp()) + (self._offset or 0)

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
        if not quote.is_sane():
            raise Unreachable(f"{symbol} is quoted {quote.bid}/{quote.ask}, which cannot be traded on")
        return quote

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
        rows = self._query("positions_get", **({"symbol": symbol} if symbol else {}))
        return tuple(sorted((position_of(row, self.utc) for row in rows), key=lambda held: held.ticket))

    def deals_since(self, epoch: int) -> tuple[Deal, ...]:
        """All trades' deals from then on (server seconds), oldest first; money that only came or went is left out."""
        return deals_of(self._query("history_deals_get", *self._range(epoch)), self.utc)

    def deals_of_position(self, position_id: int) -> tuple[Deal, ...]:
        """All deals of one position, oldest first."""
        return deals_of(self._query("history_deals_get", position=int(position_id)), self.utc)

    def shown_since(self, epoch: int) -> Shown:
        """Everything that could prove what became of an order sent after then (server seconds).

        Raises Unreachable when any of the four queries fails: then nothing is proved.
        """
        # active orders first: one that finishes in between is in the second list, never in neither
        active = self._query("orders_get")
        finished = self._query("history_orders_get", *self._range(epoch))
        orders = {row.ticket: order_of(row, active=True) for row in active}
        orders |= {row.ticket: order_of(row, active=False) for row in finished}
        return Shown(tuple(orders.values()), self.deals_since(epoch), self.all_positions())

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

    def _query(self, function: str, *args: Any, **options: Any) -> Any:
        if self._out_of_step:
            self._terminal.shutdown()
            self.connect()
        answer = getattr(self._terminal, function)(*args, **options)
        # None is a failed query, which proves nothing; an empty tuple is an answer
        if answer is None:
            error = self._terminal.last_error()
            self._out_of_step = error[0] in OUT_OF_STEP
            raise Unreachable(f"{function}({', '.join(map(str, args))}) failed: {error}")
        return answer
