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
from Live.model import AccountState, Deal, Magic, Position, Quote, Side, SymbolSpec, Ticket

log = logging.getLogger("LiveTrader")

DAY = 86_400
# Matching is by identity, so a window this wide costs nothing and makes the server's time zone irrelevant (FAULTS.md §2.5).
WINDOW = 26 * 3600
ENTRY_NAMES = {0: "IN", 1: "OUT", 2: "INOUT", 3: "OUT_BY"}
REAL_ACCOUNT = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from `order_send` or `order_check`: the result, or None with the error that was set."""

    result: Any | None
    error: tuple[int, str]

    @property
    def retcode(self) -> int | None:
        """The server's answer; None where there was none."""
        return None if self.result is None else int(self.result.retcode)


class MT5Connector:
    """One terminal connection. `terminal` is anything with the functions of the MetaTrader5 package."""

    def __init__(self, config: LiveConfig, terminal: Any, clock: Clock | None = None, *, simulated: bool = False) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.simulated = simulated
        self._terminal = terminal
        self._offset: int | None = 0 if simulated else None
        self._identity: tuple[int, str] | None = None

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
        return dict(self._ask(f"symbol_info({symbol})", self._terminal.symbol_info(symbol))._asdict())

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
        self._guard(self.account())
        for symbol in config.symbols:
            if not self._terminal.symbol_select(symbol, True):
                raise Unreachable(f"the terminal has no symbol {symbol} (SYMBOLS): {self._terminal.last_error()}{self._similar(symbol)}")
        self._measure_offset()

    def ensure_connected(self) -> bool:
        """Whether the terminal is there, after one attempt to bring it back where it was not."""
        info = self._terminal.terminal_info()
        if info is not None and info.connected:
            return True
        self._terminal.shutdown()
        return self.initialize()

    def account(self) -> AccountState:
        """The account's money and kind."""
        info = self._ask("account_info", self._terminal.account_info())
        names = (
            "login",
            "server",
            "trade_mode",
            "margin_mode",
            "leverage",
            "currency",
            "balance",
            "credit",
            "equity",
            "margin",
            "margin_free",
            "profit",
        )
        values = {name: getattr(info, name) for name in names}
        return AccountState(**values, trade_allowed=bool(info.trade_allowed and info.trade_expert))

    def _guard(self, account: AccountState) -> None:
        identity = (account.login, account.server)
        if self.config.mt5_login and not self.simulated and account.login != self.config.mt5_login:
            raise WrongAccount(f"the terminal is logged in to account {account.login}, the settings say MT5_LOGIN={self.config.mt5_login}")
        if self._identity not in (None, identity):
            raise WrongAccount(f"the terminal has changed from account {self._identity} to {identity}; restart to trade that one")
        if account.trade_mode == REAL_ACCOUNT and not self.config.allow_real_account:
            raise WrongAccount(f"account {account.login} is a real-money account; set ALLOW_REAL_ACCOUNT=true if that is what you want")
        self._identity = identity

    def _similar(self, symbol: str) -> str:
        infos = self._terminal.symbols_get(f"*{symbol[:6]}*") or ()
        names = ", ".join(info.name for info in infos[:5])
        return f"; it has {names}" if names else ""

    def _measure_offset(self) -> None:
        """Seconds that the server's wall clock is ahead of UTC: a multiple of half an hour, read off a fresh tick."""
        if self.simulated:
            return
        now = self.clock.now().timestamp()
        for symbol in self.config.symbols:
            tick = self._terminal.symbol_info_tick(symbol)
            ahead = tick.time - now if tick is not None else math.inf
            rounded = round(ahead / 1800) * 1800 if math.isfinite(ahead) else 0
            if abs(ahead - rounded) < 60 and abs(rounded) <= 14 * 3600:
                self._offset = rounded
                return
        if self._offset is None:
            log.warning("the server's time offset cannot be measured while the market is closed; taking 0")

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
        info = self._ask(f"symbol_info({symbol})", self._terminal.symbol_info(symbol))
        try:
            return SymbolSpec(
                name=info.name,
                digits=info.digits,
                point=info.point,
                tick_size=info.trade_tick_size,
                contract_size=info.trade_contract_size,
                lot_min=info.volume_min,
                lot_step=info.volume_step,
                lot_max=info.volume_max,
                stops_level=info.trade_stops_level,
                filling_mode=info.filling_mode,
                execution=info.trade_exemode,
                profit_currency=info.currency_profit,
            )
        except ValueError as error:
            raise Unreachable(f"the terminal's figures of {symbol} make no sense: {error}") from error

    def quote(self, symbol: str) -> Quote:
        """The last tick. Raises Unreachable also for one that cannot be true (crossed, zero, NaN)."""
        tick = self._ask(f"symbol_info_tick({symbol})", self._terminal.symbol_info_tick(symbol))
        quote = Quote(float(tick.bid), float(tick.ask), float(tick.time))
        if not quote.is_sane():
            raise Unreachable(f"{symbol} is quoted {quote.bid}/{quote.ask}, which cannot be traded on")
        return quote

    def closed_bars(self, symbol: str, timeframe: Timeframe, count: int) -> tuple[list[Bar], int | None]:
        """The newest closed bars, oldest first, at most `count`, and the open of the one still forming (server seconds)."""
        rates = self._ask(f"copy_rates_from_pos({symbol})", self._terminal.copy_rates_from_pos(symbol, timeframe.mt5, 0, count + 1))
        if not len(rates):
            return [], None
        columns = (rates[name].tolist() for name in ("time", "open", "high", "low", "close", "tick_volume", "spread"))
        bars = [Bar(*values) for values in zip(*columns, strict=True)]
        return bars[:-1], bars[-1].epoch

    def money_of(self, symbol: str, side: Side, lots: float, *, entry: float, exit_price: float) -> float:
        """What so many lots make between two prices, account currency. Source: `order_calc_profit`."""
        made = self._terminal.order_calc_profit(0 if side is Side.BUY else 1, symbol, float(lots), float(entry), float(exit_price))
        return float(self._ask(f"order_calc_profit({symbol})", made))

    # what we hold and did

    def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Open positions with our magic number, by ticket."""
        return tuple(held for held in self.all_positions(symbol) if held.magic == self.config.magic_number)

    def all_positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """Open positions, whoever opened them, by ticket."""
        rows = self._terminal.positions_get(symbol=symbol) if symbol else self._terminal.positions_get()
        return tuple(sorted((self._position(row) for row in self._ask("positions_get", rows)), key=lambda held: held.ticket))

    def deals_since(self, epoch: int) -> tuple[Deal, ...]:
        """All trades' deals from then on (server seconds), oldest first; money that only came or went is left out."""
        rows = self._ask("history_deals_get", self._terminal.history_deals_get(int(epoch), self.server_now() + WINDOW))
        return tuple(self._deal(row) for row in rows if row.type in (0, 1))

    def deals_of_position(self, position_id: int) -> tuple[Deal, ...]:
        """All deals of one position, oldest first."""
        rows = self._ask("history_deals_get(position)", self._terminal.history_deals_get(position=int(position_id)))
        return tuple(self._deal(row) for row in rows if row.type in (0, 1))

    def order_tickets_marked(self, key: str, since: int) -> set[int]:
        """Order tickets of everything the terminal shows with this key in its comment: active orders, history, deals, positions.

        Raises Unreachable when any of the four queries fails: then nothing is proved.
        """
        until = self.server_now() + WINDOW
        active = self._ask("orders_get", self._terminal.orders_get())
        past = self._ask("history_orders_get", self._terminal.history_orders_get(int(since), until))
        deals = self._ask("history_deals_get", self._terminal.history_deals_get(int(since), until))
        held = self._ask("positions_get", self._terminal.positions_get())
        mark = key.upper()
        found = {row.ticket for row in (*active, *past, *held) if row.comment.upper().startswith(mark)}
        return {int(ticket) for ticket in found | {deal.order for deal in deals if deal.comment.upper().startswith(mark)}}

    # orders

    def order_check(self, request: Mapping[str, Any]) -> Answer:
        """The terminal's own check; a good one has retcode 0."""
        result = self._terminal.order_check(dict(request))
        return Answer(result, self._terminal.last_error())

    def order_send(self, request: Mapping[str, Any]) -> Answer:
        """Send, once."""
        result = self._terminal.order_send(dict(request))
        return Answer(result, self._terminal.last_error())

    def _position(self, row: Any) -> Position:
        return Position(
            ticket=Ticket(int(row.ticket)),
            identifier=int(row.identifier),
            symbol=row.symbol,
            side=Side.BUY if row.type == 0 else Side.SELL,
            lots=row.volume,
            price_open=row.price_open,
            opened_at=self.utc(row.time),
            epoch=int(row.time),
            sl=row.sl or None,
            tp=row.tp or None,
            price_current=row.price_current,
            profit=row.profit,
            swap=row.swap,
            magic=Magic(int(row.magic)),
            comment=row.comment,
        )

    def _deal(self, row: Any) -> Deal:
        return Deal(
            ticket=Ticket(int(row.ticket)),
            order=int(row.order),
            position_id=int(row.position_id),
            symbol=row.symbol,
            side=Side.BUY if row.type == 0 else Side.SELL,
            entry=ENTRY_NAMES[row.entry],
            lots=row.volume,
            price=row.price,
            profit=row.profit,
            commission=row.commission,
            swap=row.swap,
            fee=row.fee,
            reason=int(row.reason),
            magic=Magic(int(row.magic)),
            comment=row.comment,
            time=self.utc(row.time),
            epoch=int(row.time),
        )

    def _ask(self, what: str, answer: Any) -> Any:
        # None is a failed query, which proves nothing; an empty tuple is an answer (mt5/reference.md §0)
        if answer is None:
            raise Unreachable(f"{what} failed: {self._terminal.last_error()}")
        return answer
