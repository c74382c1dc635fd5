"""The terminal of a paper account: prices of another terminal, account and trade server of our own."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.account_functions import AccountFunctions
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.book import Book
from Backtest.simulated_terminal.door import FAILED, Door
from Backtest.simulated_terminal.journal import Journal
from Backtest.simulated_terminal.market import Quoted
from Backtest.simulated_terminal.paper.quotes import LiveMarket
from Backtest.simulated_terminal.paper.source import Source
from Backtest.simulated_terminal.paper.tape import Tape, Tell
from Backtest.simulated_terminal.server import TradeServer
from Backtest.simulated_terminal.structs import TerminalInfo, TradeRequest
from Backtest.simulated_terminal.surface import NAMES
from Backtest.simulated_terminal.symbols import AccountSpec
from Backtest.simulated_terminal.trade_functions import TradeFunctions

_HOUR_MSC = 3_600_000


def _nobody(_sentence: str) -> None:
    pass


def _of_the_source(name: str) -> Callable[..., Any]:
    def function(self: "PaperTerminal", /, *args: Any, **options: Any) -> Any:
        answer = getattr(self._source, name)(*args, **options)
        self._error = self._source.last_error()
        return answer

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of the terminal whose prices these are."
    return function


class PaperTerminal(TradeFunctions, AccountFunctions):
    """A terminal whose market is that of another one, and whose account is ours: nothing is ever ordered there.

    `source` is anything with the functions of the `MetaTrader5` package. What it says of symbols and prices is passed on;
    orders, positions, history and money are those of our own trade server, to which each tick of the source is played, also
    those that came since the last call or since the account was last open. Stamps are the source's server time.

    `account` is the account when it is new (`paper_account`), `symbols` are taken up before the first call, others when an
    order or a question names them. `now` is the machine's clock: it only tells whether a symbol is quoted at the moment.
    `state_file` keeps the account over a restart, also after a kill. `tell` is given sentences for people. Any call raises
    BadInput while the money of one of `symbols` cannot be told in the account's currency.

    While the source does not answer, or is logged in to another account than before, questions fail with its error, and
    requests are answered as without a server (10031).
    """

    def __init__(
        self,
        source: Any,
        account: AccountSpec,
        *,
        now: Callable[[], datetime],
        symbols: Sequence[str] = (),
        state_file: Path | None = None,
        tell: Tell = _nobody,
    ) -> None:
        super().__init__()
        self._source, self._account, self._login, self._symbols = source, account, account.login, tuple(symbols)
        self._market, self._book = LiveMarket(), Book()
        self._server = TradeServer(self._market, account, self._book)
        self._asked = Source(source)
        self._tape = Tape(self._asked, self._market, self._server, now=now, tell=tell)
        self._tell = tell
        self._identity: tuple[int, str] | None = None  # login and server of the source
        self._lost: Refused | None = None
        self._journal = Journal(state_file, _belongs_to(account)) if state_file else None
        saved = self._journal.restore(self._book) if self._journal else None
        self._place: Any = None  # on file, from which the next look goes on
        self._server.now_msc, self._place = saved or (0, None)
        self._kept_msc = self._server.now_msc

    def __getattr__(self, name: str) -> Any:
        try:
            return NAMES[name]
        except KeyError:
            raise AttributeError(f"a terminal has no attribute {name!r}", name=name, obj=self) from None

    def close(self) -> None:
        """Put down how far the prices were played, and let go of the account's file."""
        if self._journal:
            if self._book.deals:
                self._commit()
            self._journal.close()

    def look(self) -> None:
        """Let the account see what has been quoted since the last call."""
        self._arrive()

    # -- what the source answers

    copy_rates_from = _of_the_source("copy_rates_from")
    copy_rates_from_pos = _of_the_source("copy_rates_from_pos")
    copy_rates_range = _of_the_source("copy_rates_range")
    copy_ticks_from = _of_the_source("copy_ticks_from")
    copy_ticks_range = _of_the_source("copy_ticks_range")
    market_book_add = _of_the_source("market_book_add")
    market_book_get = _of_the_source("market_book_get")
    market_book_release = _of_the_source("market_book_release")
    symbol_info = _of_the_source("symbol_info")
    symbol_info_tick = _of_the_source("symbol_info_tick")
    symbol_select = _of_the_source("symbol_select")
    symbols_get = _of_the_source("symbols_get")
    symbols_total = _of_the_source("symbols_total")
    version = _of_the_source("version")
    source_account = _of_the_source("account_info")
    _terminal_info = _of_the_source("terminal_info")
    _initialize = _of_the_source("initialize")
    _shutdown = _of_the_source("shutdown")

    def initialize(self, *args: Any, **options: Any) -> bool:
        """Connect the source; a login, password and server are those of its account. True when done."""
        self._attached = bool(self._initialize(*args, **options))
        return self._attached

    def shutdown(self) -> bool:
        """End the connection; always True."""
        self._attached = False
        return bool(self._shutdown())

    def terminal_info(self) -> TerminalInfo | None:
        """The source's, but for the switches: what forbids programs to trade there does not forbid it on paper."""
        info = self._terminal_info()
        if info is None:
            return None
        shown = {name: getattr(info, name) for name in TerminalInfo.__match_args__}
        return TerminalInfo((shown | {"trade_allowed": self.autotrading, "tradeapi_disabled": self.api_disabled}).values())

    # -- what the account sees of it

    def _arrive(self) -> None:
        self._lost = None
        if self._attached:
            try:
                self._look()
            except Refused as lost:
                self._lost = lost

    def _look(self) -> None:
        identity = self._asked.identity()
        if self._identity not in (None, identity):
            raise Refused("Terminal: Authorization failed", c.RES_E_AUTH_FAILED)  # these are another server's prices
        self._identity = identity
        if self._place is not None:
            self._tape.resume(self._place)
            self._place = None
        for name in self._symbols:
            self._tape.follow(name)
        before = self._orders()
        self._tape.look()
        if not self._book.deals:
            self._open()
        elif self._orders() != before or self._server.now_msc - self._kept_msc >= _HOUR_MSC:
            self._commit()

    def _open(self) -> None:
        """The first deal: the balance with which the account begins."""
        self._server.now_msc = self._server.now_msc or self._asked.newest_msc()
        self._server.deposit(self._account.balance)
        self._commit()

    def _orders(self) -> tuple[int, list[Any]]:
        return len(self._book.orders), list(self._book.active.values())

    def _connected(self) -> None:
        super()._connected()
        if self._lost is not None:
            raise self._lost

    def _known(self, name: str) -> Quoted:
        try:
            self._take_up(name)
        except BadInput as error:
            raise Refused(FAILED, c.RES_E_FAIL) from error
        return super()._known(name)

    def _take_up(self, name: str) -> None:
        """A symbol that somebody asks about: with its quote, and what the broker allows on it now."""
        if name not in self._market.series and self._tape.follow(name):
            self._look()
        if name in self._market.series:
            self._tape.renew(name)

    def _barred(self, request: TradeRequest) -> int:
        Door._connected(self)
        try:
            if self._lost is not None or not self._asked.online():
                return c.TRADE_RETCODE_CONNECTION
            for name in self._meant(request):
                self._take_up(name)
        except Refused:
            return c.TRADE_RETCODE_CONNECTION
        except BadInput as error:
            self._tell(str(error))
            return c.TRADE_RETCODE_TRADE_DISABLED
        return super()._barred(request)

    def _meant(self, request: TradeRequest) -> set[str]:
        position, order = self._book.positions.get(request.position), self._book.active.get(request.order)
        return {request.symbol, position.symbol if position else "", order.symbol if order else ""} - {""}

    def _commit(self) -> None:
        self._kept_msc = self._server.now_msc
        if self._journal:
            self._journal.commit(self._book, self._server.now_msc, self._tape.place())


def _belongs_to(account: AccountSpec) -> str:
    """What a saved account belongs to. Leverage, levels and limits may change in the life of an account."""
    return f"{account.login} {account.server} {account.currency} {account.margin_mode}"
