"""The terminal in a box: a replayed market, a trade server and the functions of the `MetaTrader5` package."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from Backtest.bars import Timeframe
from Backtest.errors import BadInput
from Backtest.simulated_terminal import arguments as a
from Backtest.simulated_terminal.account_functions import AccountFunctions, checked
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.book import Book
from Backtest.simulated_terminal.clock import ReplayClock
from Backtest.simulated_terminal.door import call
from Backtest.simulated_terminal.journal import Journal
from Backtest.simulated_terminal.lookout import Lookout
from Backtest.simulated_terminal.market import Event
from Backtest.simulated_terminal.market_functions import MAX_BARS, MarketFunctions
from Backtest.simulated_terminal.orders import Order
from Backtest.simulated_terminal.replay import ReplayMarket
from Backtest.simulated_terminal.server import TradeServer
from Backtest.simulated_terminal.structs import TerminalInfo
from Backtest.simulated_terminal.surface import NAMES
from Backtest.simulated_terminal.symbols import AccountSpec
from Backtest.simulated_terminal.trade_functions import TradeFunctions

BUILD, BUILT = 5430, "14 Nov 2025"
ANY_LOGIN = 5_000_001  # shown until someone logs in with another
_PING_MICROSECONDS = 50_000
# where a terminal for one user keeps its things: no such folder has to be there
_ROAMING = "C:\\Users\\Trader\\AppData\\Roaming\\MetaQuotes\\Terminal\\"
_FOLDERS = ("C:\\Program Files\\MetaTrader 5", f"{_ROAMING}SIMULATED", f"{_ROAMING}Common")
_MINUTE_MSC = 60_000


class Desk(NamedTuple):
    """One account of the terminal: what it is, what it has, and the server that keeps it."""

    account: AccountSpec
    book: Book
    server: TradeServer
    lookout: Lookout


class SimulatedTerminal(MarketFunctions, TradeFunctions, AccountFunctions):
    """A terminal, and the accounts one can log in to. Its methods are the functions of the `MetaTrader5` package, its attributes
    the package's constants.

    `clock` is the replay's: sleeping on it moves the market. `others` are accounts beside the first, each with a login of
    its own: the market moves all of them, whoever is logged in. `state_file` keeps the account over a restart, also after
    a kill; it keeps one only. `speed`, `real_sleep` and `monotonic` are the clock's: with the last one market time passes
    by itself. Raises BadInput for a file of another account, for accounts that cannot be told apart, and for symbols whose
    money cannot be told in the account's currency.
    """

    def __init__(
        self,
        market: ReplayMarket,
        account: AccountSpec | None = None,
        *,
        others: Sequence[AccountSpec] = (),
        state_file: Path | None = None,
        speed: float = math.inf,
        real_sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        super().__init__()
        self._market = market
        accounts = [account or AccountSpec(), *others]
        _refuse_confusion(accounts, state_file)
        self._desks = [self._desk_of(each) for each in accounts]
        self._sit_down(self._desks[0])
        self.clock = ReplayClock(
            market,
            self._play,
            next_that_matters=self._next_that_matters,
            arrived=self._come_to_rest,
            speed=speed,
            real_sleep=real_sleep,
            monotonic=monotonic,
        )
        self._kept_msc = -1
        self._journal = Journal(state_file, _fingerprint(market, self._account)) if state_file else None
        saved = self._journal.restore(self._book) if self._journal else None
        if saved:
            self.clock.resume(*saved)
        else:
            for desk in self._desks:
                desk.server.arrive(self.clock.now_msc)
                desk.server.deposit(desk.account.balance)
            self.clock.begin()

    def __getattr__(self, name: str) -> Any:
        try:
            return NAMES[name]
        except KeyError:
            raise AttributeError(f"a terminal has no attribute {name!r}", name=name, obj=self) from None

    def trades_now(self) -> bool:
        """Whether there is trading in any symbol at this moment."""
        return any(series.is_open_at(self.clock.now_msc) for series in self._market.series.values())

    def further_columns(self, symbol: str, timeframe: Timeframe) -> pd.DataFrame | None:
        """What a replayed price file has beside the columns of a terminal, by bar; None for none, and in any other timeframe."""
        series = self._market.series.get(symbol)
        further = getattr(series, "further", None)
        return further if series is not None and series.timeframe == timeframe and further is not None and len(further.columns) else None

    def close(self) -> None:
        """Put down how far the market is, and let go of the account's file."""
        if self._journal:
            self._commit()
            self._journal.close()

    # -- connection

    @call(failure=False)
    def initialize(self, *args: Any, **options: Any) -> bool:
        """initialize([path],[server="SERVER"],[login=LOGIN],[password="PASSWORD"])

        Connect to the terminal, and log in where that is asked for; True when done.
        """
        if len(args) > 1:
            raise Refused(a.COUNT)
        for path in args:
            a.text(path, a.MOST_PATH, "Invalid 1st unnamed argument")
        options = checked("initialize", options)
        self._attached = False
        if {"login", "password", "server"} & options.keys():
            self._log_in(options.get("login", 0), options.get("password", ""), options.get("server", ""))
        self._attached = True
        return True

    @call()
    def shutdown(self) -> bool:
        """shutdown()

        End the connection; always True.
        """
        self._attached = False
        return True

    @call()
    def version(self) -> tuple[int, int, str]:
        """version()

        The terminal's version, build and date of build; (0, 0, '') without a connection.
        """
        if not self._attached:
            self._unattached()
            return (0, 0, "")
        return (500, BUILD, BUILT)

    # -- the terminal

    @call()
    def terminal_info(self) -> TerminalInfo:
        """terminal_info()

        What the terminal is and may do.
        """
        self._connected()
        flags = (False, False, True, False, self.autotrading, self.api_disabled, False, False, False, False)
        figures = (BUILD, MAX_BARS, 0, _PING_MICROSECONDS, 0.0, 0.0)
        return TerminalInfo((*flags, *figures, self._account.company, "Simulated Terminal", "English", *_FOLDERS))

    # -- shared

    def _served_by(self) -> TradeServer:
        """The trade server of the account."""
        return TradeServer(self._market, self._account, self._book)

    def _desk_of(self, account: AccountSpec) -> Desk:
        self._account, self._book = account, Book()
        server = self._served_by()
        return Desk(account, self._book, server, Lookout(server, self._market))

    def _sit_down(self, desk: Desk) -> None:
        self._desk, self._account, self._book, self._server = desk, desk.account, desk.book, desk.server
        self._login = desk.account.login or ANY_LOGIN

    def _log_in(self, login: int, password: str, server: str) -> None:
        kept, shown, first = self._desk, self._login, self._desks[0]
        meant = next((desk for desk in self._desks if login and desk.account.login == login), None)
        self._sit_down(meant or (kept if first.account.login or not login else first))
        try:
            super()._log_in(login, password, server)
        except Refused:
            self._sit_down(kept)
            self._login = shown
            raise

    def _next_that_matters(self, first: int, end: int) -> int:
        return min(desk.lookout.next_that_matters(first, end) for desk in self._desks)

    def _arrive(self) -> None:
        self.clock.arrive()
        for desk in self._desks:
            desk.server.arrive(self.clock.now_msc)

    def _play(self, event: Event) -> None:
        with self._lock:
            before = self._orders()
            for desk in self._desks:
                desk.server.play(event)
            if self._orders() != before:
                self._commit()

    def _come_to_rest(self) -> None:
        # where no order has changed, a restart finds all again from the same minute on
        if self.clock.now_msc // _MINUTE_MSC != self._kept_msc // _MINUTE_MSC:
            self._commit()

    def _orders(self) -> tuple[int, list[Order]]:
        return len(self._book.orders), list(self._book.active.values())

    def _commit(self) -> None:
        if self._journal:
            self._kept_msc = self.clock.now_msc
            self._journal.commit(self._book, self._kept_msc, self.clock.played)


def _refuse_confusion(accounts: Sequence[AccountSpec], state_file: Path | None) -> None:
    logins = [account.login for account in accounts[1:]]
    if not all(logins) or len(set(logins)) < len(logins) or accounts[0].login in logins:
        raise BadInput(f"each of several accounts needs a login of its own; those of the others are {', '.join(map(str, logins))}")
    if logins and state_file:
        raise BadInput(f"{state_file}: a file keeps one account; leave the other accounts out, or the file")


def _fingerprint(market: ReplayMarket, account: AccountSpec) -> str:
    """What a saved account belongs to. A commission has no name that survives a restart: what it charges tells it apart."""
    charges = [account.commission(units, price) for units, price in ((1.0, 1.0), (-100_000.0, 1.25), (1_000.0, 100.0))]
    figures = {field.name: getattr(account, field.name) for field in fields(account) if field.name != "commission"}
    return hashlib.sha256(f"{market.fingerprint()}|{figures}|{charges}".encode()).hexdigest()[:16]
