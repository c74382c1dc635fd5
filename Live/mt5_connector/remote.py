"""A terminal on another machine, through `mt5linux`: the package's functions, with the package's own words for a lost line.

The client hands out references to what the other machine holds, and every look at a field would go over the wire; here a
structure comes over as a whole. What goes wrong on the way is told as the package tells it: None, and `last_error`.
"""

import contextlib
import importlib
import inspect
import socket
from collections import namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from Live.errors import Misconfigured

NEEDED = (
    "MT5_TERMINAL=remote needs the mt5linux package: pip install -r requirements-remote.txt; or set MT5_TERMINAL=native on Windows, "
    "or simulated"
)
# The package's own codes and beginnings. Source: MetaTrader5 5.0.6231.
NOT_STARTED, NOT_CONNECTED, NO_ANSWER = -10003, -10004, -10002
SUCCESS = (1, "Success")
_FALSE = frozenset({"initialize", "login", "symbol_select", "market_book_add", "market_book_release"})  # their failure; None is the others'
# What rpyc raises when the line breaks, or when no answer comes in time (TimeoutError is an OSError).
_LINE_LOST = (EOFError, OSError)

# Runs on the other machine: a structure is a name and its fields, a tuple has no name, and everything else is itself.
_WHOLE = """
def _algoagent_whole(value):
    if hasattr(value, "_asdict"):
        return type(value).__name__, tuple((key, _algoagent_whole(item)) for key, item in value._asdict().items())
    if isinstance(value, tuple):
        return None, tuple(_algoagent_whole(item) for item in value)
    return value
"""


class RemoteTerminal:
    """The functions of the terminal that is served at `host:port`; `initialize` makes the connection.

    `timeout` is how many seconds an answer may take, where the installed client lets that be chosen (mt5linux 0.1.10
    waits 300). Raises Misconfigured when the client is not installed.
    """

    def __init__(self, host: str, port: int, *, timeout: float) -> None:
        try:
            self._make: Callable[..., Any] = importlib.import_module("mt5linux").MetaTrader5
        except ImportError as error:
            raise Misconfigured(NEEDED) from error
        self._host, self._port, self._patience = host, port, timeout
        self._place, self._where = {"host": host, "port": port}, f"{host}:{port}"
        if "timeout" in inspect.signature(self._make).parameters:
            self._place["timeout"] = max(1, round(timeout))
        self._client: Any = None
        self._whole: Any = None
        self._lost: tuple[int, str] | None = None  # the error of a call that did not get through

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self._make, name):
            raise AttributeError(f"a terminal has no attribute {name!r}", name=name, obj=self)
        found = getattr(self._make, name)
        return (lambda *args, **options: self._call(name, args, options)) if callable(found) else found

    def initialize(self, *args: Any, **options: Any) -> bool:
        """Connect anew, and let the other machine start its terminal and log in where that is asked for; True when done."""
        self._close()
        try:
            socket.create_connection((self._host, self._port), self._patience).close()  # the client would wait for minutes
            self._client = self._make(**self._place)
            self._client.execute(_WHOLE)
            self._whole = self._client.eval("_algoagent_whole")
        except (*_LINE_LOST, ValueError, ImportError, AttributeError) as error:
            self._drop(NOT_STARTED, f"IPC initialize failed, {self._unreached(error)}")
            return False
        return bool(self._call("initialize", args, options))

    def shutdown(self) -> bool:
        """End the connection, also where it is lost already; always True."""
        if self._client is not None:
            self._call("shutdown", (), {})
        self._drop(*SUCCESS)
        return True

    def hang_up(self) -> None:
        """End the connection, and leave the terminal over there as it is: others may use it."""
        self._drop(*SUCCESS)

    def last_error(self) -> tuple[int, str]:
        """The code and text of the last call; that of the line, where it did not get through."""
        if self._lost is not None:
            return self._lost
        answer: tuple[int, str] = self._call("last_error", (), {})
        return answer if self._lost is None else self._lost

    def _call(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._client is None:
            self._lost = (NOT_CONNECTED, "No IPC connection")  # certainly nothing was sent
            return False if name in _FALSE else None
        self._lost = None
        try:
            value = getattr(self._client, name)(*args, **options)
        except _LINE_LOST as error:
            self._break(error)
            return False if name in _FALSE else None
        except (NameError, SyntaxError) as error:
            raise TypeError(f"{name}{args} cannot be told to the other machine: {_said(error)}") from error
        try:
            return self._fetched(value)
        except Exception as error:  # noqa: BLE001 - it was carried out: whatever keeps the answer from coming over, it is lost
            self._break(error)
            return None

    def _break(self, error: Exception) -> None:
        # it may have been carried out over there: the same as the package's own "IPC recv failed"
        self._drop(NO_ANSWER, f"IPC recv failed, the line to {self._where} broke: {_said(error)}")

    def _fetched(self, value: Any) -> Any:
        """The value itself, where the client gave a reference to it."""
        if value is None or isinstance(value, bool | int | float | str) or type(value).__module__ == "numpy":
            return value
        return _local(self._whole(value))

    def _drop(self, code: int, text: str) -> None:
        self._close()
        self._lost = (code, text)

    def _close(self) -> None:
        whole, self._client, self._whole = self._whole, None, None
        if whole is not None:
            with contextlib.suppress(*_LINE_LOST):
                getattr(whole, "____conn__").close()  # noqa: B009 - the client itself cannot be closed; rpyc names it so on all it hands out

    def _unreached(self, error: Exception) -> str:
        if isinstance(error, ImportError):
            return f"the Python that serves {self._where} has no MetaTrader5 package: {_said(error)}"
        if isinstance(error, _LINE_LOST):
            return (
                f"nobody serves a terminal at {self._where} (MT5_REMOTE_HOST, MT5_REMOTE_PORT): {_said(error)}; start one there with "
                "python -m mt5linux, or python -m Backtest.simulated_terminal serve"
            )
        return f"{self._where} answers in another way; both ends need the same major version of rpyc: {_said(error)}"


def _said(error: Exception) -> str:
    # rpyc puts the traceback of the other machine below the message
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _local(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    name, items = value
    if name is None:
        return tuple(map(_local, items))
    return _structure(name, tuple(key for key, _ in items))._make(_local(item) for _, item in items)


@lru_cache(maxsize=64)
def _structure(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)  # those that the other machine has
