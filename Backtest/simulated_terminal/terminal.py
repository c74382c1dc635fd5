"""The terminal in a box: a replayed market, a trade server and the functions of the `MetaTrader5` package."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

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
_MINUTE_MSC = 60_000


class SimulatedTerminal(MarketFunctions, TradeFunctions, AccountFunctions):
    """A terminal with one account. Its methods are the functions of the `MetaTrader5` package, its attributes
    the package's constants.

    `clock` is the replay's: sleeping on it moves the market. `state_file` keeps the account over a restart, also after
    a kill. `speed`, `real_sleep` and `monotonic` are the clock's: with the last one market time passes by itself. Raises
    BadInput for a file of another account, or for symbols whose money cannot be told in the account's currency.
    """

    def __init__(
        self,
        market: ReplayMarket,
        account: AccountSpec | None = None,
        *,
        state_file: Path | None = None,
        speed: float = math.inf,
        real_sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        super().__init__()
        self._market, self._account, self._book = market, account or AccountSpec(), Book()
        self._server = self._served_by()
        self._login = self._account.login or ANY_LOGIN
        self.clock = ReplayClock(
            market,
            self._play,
            next_that_matters=Lookout(self._server, market).next_that_matters,
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
            self._server.arrive(self.clock.now_msc)
            self._server.deposit(self._account.balance)
            self.clock.begin()

    def __getattr__(self, name: str) -> Any:
        try:
            return NAMES[name]
        except KeyError:
            raise AttributeError(f"a terminal has no attribute {name!r}", name=name, obj=self) from None

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
        return TerminalInfo((*flags, *figures, self._account.company, "Simulated Terminal", "English", "", "", ""))

    # -- shared

    def _served_by(self) -> TradeServer:
        """The trade server of the account."""
        return TradeServer(self._market, self._account, self._book)

    def _arrive(self) -> None:
        self.clock.arrive()
        self._server.arrive(self.clock.now_msc)

    def _play(self, event: Event) -> None:
        before = self._orders()
        self._server.play(event)
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


def _fingerprint(market: ReplayMarket, account: AccountSpec) -> str:
    """What a saved account belongs to. A commission has no name that survives a restart: what it charges tells it apart."""
    charges = [account.commission(units, price) for units, price in ((1.0, 1.0), (-100_000.0, 1.25), (1_000.0, 100.0))]
    figures = {field.name: getattr(account, field.name) for field in fields(account) if field.name != "commission"}
    return hashlib.sha256(f"{market.fingerprint()}|{figures}|{charges}".encode()).hexdigest()[:16]
