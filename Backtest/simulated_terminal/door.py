"""What all functions of the terminal share: the connection, the last error, and how a call is refused."""

import functools
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.book import Book
from Backtest.simulated_terminal.market import Market, Quoted
from Backtest.simulated_terminal.server import TradeServer

OK = (c.RES_S_OK, "Success")
NOT_CONNECTED = Refused("No IPC connection", c.RES_E_INTERNAL_FAIL_CONNECT)
NOT_FOUND = "Terminal: Not found"
FAILED = "Terminal: Call failed"


class Door:
    """The terminal as its functions see it; they are in the subclasses."""

    _market: Market
    _server: TradeServer
    _book: Book

    def __init__(self) -> None:
        self._error = OK
        self._attached = False
        # the package keeps Python's lock during a call: threads of a program never meet inside one
        self._lock = threading.RLock()

    def last_error(self) -> tuple[int, str]:
        """last_error()

        The code and text of the last call; (1, 'Success') after a good one. Does not change anything.
        """
        return self._error

    def _arrive(self) -> None:
        """Let the server's time be the clock's."""

    def _watched(self, name: str) -> bool:  # noqa: ARG002 - a terminal without a Market Watch shows all that it has
        """Whether the terminal gets ticks of a symbol."""
        return True

    def _unattached(self) -> None:
        self._error = (NOT_CONNECTED.code, NOT_CONNECTED.text)

    def _connected(self) -> None:
        if not self._attached:
            raise NOT_CONNECTED

    def _known(self, name: str) -> Quoted:
        series = self._market.series.get(name)
        if series is None:
            raise Refused(NOT_FOUND, c.RES_E_NOT_FOUND)
        return series


Given = ParamSpec("Given")
Result = TypeVar("Result")
Self = TypeVar("Self", bound=Door)


def call(
    failure: bool | None = None,
) -> Callable[[Callable[Concatenate[Self, Given], Result]], Callable[Concatenate[Self, Given], Result | Any]]:
    """Make a method a terminal function: it sets the last error, and returns `failure` when it is refused."""

    def wrap(method: Callable[Concatenate[Self, Given], Result]) -> Callable[Concatenate[Self, Given], Result | Any]:
        @functools.wraps(method)
        def function(self: Self, /, *args: Given.args, **kwargs: Given.kwargs) -> Result | Any:
            with self._lock:
                self._error = OK
                self._arrive()
                try:
                    return method(self, *args, **kwargs)
                except Refused as refusal:
                    self._error = (refusal.code, refusal.text)
                    return failure

        return function

    return wrap
