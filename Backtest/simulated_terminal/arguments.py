"""The argument rules of the package's compiled core (pure): what a call may be given, and how it is refused.

Two kinds of refusal, as there: `Refused` ends the call with None (or False) and a last_error; SystemError reaches the
caller, as when CPython finds a value together with a pending exception. Source: the compiled core of MetaTrader5 5.0.6231.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.structs import TradeRequest

MOST_NAME, MOST_GROUP, MOST_SECRET, MOST_PATH = 29, 1997, 253, 258  # characters
INVALID = "Invalid arguments"
UNNAMED = "Unnamed arguments not allowed"
COUNT = "Invalid number of arguments"
_INT32, _UINT32, _UINT64 = 2**31, 2**32, 2**64


class Refused(Exception):
    """The call is over; `code` and `text` become the last error."""

    def __init__(self, text: str = INVALID, code: int = c.RES_E_INVALID_PARAMS) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def exactly(count: int, args: tuple[Any, ...]) -> None:
    """Refuse any other number of positional arguments."""
    if len(args) != count:
        raise Refused


def pending(function: str, error: Exception) -> SystemError:
    """What CPython raises when C code returned a value and left an exception behind."""
    made = SystemError(f"<built-in function {function}> returned a result with an exception set")
    made.__cause__ = error
    return made


def c_int(function: str, value: Any) -> int:
    """A C int (format `i`): ints and what has `__index__`; a float or text is a SystemError."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise pending(function, error) from error
    if not -_INT32 <= number < _INT32:
        raise pending(function, OverflowError("Python int too large to convert to C int"))
    return number


def c_ulong(function: str, value: Any) -> int:
    """A C unsigned long (format `k`), which takes ints only and cuts them to 32 bits."""
    if not isinstance(value, int):
        raise pending(function, TypeError(f"argument must be int, not {type(value).__name__}"))
    return value % _UINT32


def c_double(function: str, value: Any) -> float:
    """A C double (format `d`): ints, floats and what has `__float__`."""
    try:
        if isinstance(value, str):
            raise TypeError("must be real number, not str")
        return float(value)
    except (TypeError, OverflowError) as error:
        raise pending(function, error) from error


def symbol(value: Any) -> str:
    """A symbol's name of at most 29 characters."""
    return text(value, MOST_NAME, INVALID)


def text(value: Any, longest: int, otherwise: str) -> str:
    """A str of at most so many characters."""
    if not isinstance(value, str) or len(value) > longest:
        raise Refused(otherwise)
    return value


def date(function: str, value: Any) -> int:
    """Seconds on the server's clock from an int, a float or a datetime (by its `timestamp()`).

    32 bits: a later int is an OverflowError in a SystemError, a later float or datetime wraps to the smallest number.
    """
    if isinstance(value, int):
        if not -_INT32 <= value < _INT32:
            raise pending(function, OverflowError("Python int too large to convert to C long"))
        return value
    if not isinstance(value, (float, datetime)):
        raise Refused
    try:
        seconds = value.timestamp() if isinstance(value, datetime) else value
    except (ValueError, OverflowError, OSError) as error:  # the year 1 in some zones, pandas' NaT
        raise pending(function, error) from error
    return int(seconds) if -_INT32 <= seconds < _INT32 else -_INT32


def ticket(function: str, value: Any, name: str) -> int:
    """An unsigned 64-bit number; only an int is one."""
    return _unsigned(function, value, name, _UINT64)


def request(function: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> TradeRequest:
    """The request of order_check and order_send: one dict, or its fields as keywords."""
    if fields and args:
        raise Refused(UNNAMED)
    if not fields and len(args) != 1:
        raise Refused(COUNT)
    given = fields or args[0]
    if not isinstance(given, dict):
        raise Refused
    return TradeRequest([read(function, given[name], name) if name in given else nothing for name, (read, nothing) in _IN_ORDER])


def _unsigned(function: str, value: Any, name: str, limit: int) -> int:
    if not isinstance(value, int):
        raise Refused(f'Invalid "{name}" argument')
    if not 0 <= value < limit:
        raise pending(function, OverflowError("can't convert negative int to unsigned" if value < 0 else "int too big to convert"))
    return int(value)


def _unsigned32(function: str, value: Any, name: str) -> int:
    return _unsigned(function, value, name, _UINT32)


def _seconds(function: str, value: Any, name: str) -> int:
    if not isinstance(value, int):
        raise Refused(f'Invalid "{name}" argument')
    if not -_UINT64 // 2 <= value < _UINT64 // 2:
        raise pending(function, OverflowError("int too big to convert"))
    return int(value)


def _number(function: str, value: Any, name: str) -> float:  # noqa: ARG001 - one shape for all fields
    if not isinstance(value, float):
        raise Refused(f'Invalid "{name}" argument')
    return float(value)


def _words(function: str, value: Any, name: str) -> str:  # noqa: ARG001
    return text(value, MOST_NAME, f'Invalid "{name}" argument')


_Reader = Callable[[str, Any, str], Any]
_FIELDS: dict[str, tuple[_Reader, Any]] = {
    **dict.fromkeys(("action", "type", "type_filling", "type_time"), (_unsigned32, 0)),
    **dict.fromkeys(("magic", "order", "deviation", "position", "position_by"), (ticket, 0)),
    **dict.fromkeys(("volume", "price", "stoplimit", "sl", "tp"), (_number, 0.0)),
    **dict.fromkeys(("symbol", "comment"), (_words, "")),
    "expiration": (_seconds, 0),
}
_IN_ORDER = tuple((name, _FIELDS[name]) for name in TradeRequest.__match_args__)
