"""A call of a terminal's function, its answer, and the rows that it shows (pure)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from Backtest.simulated_terminal import arguments as a
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.groups import mask
from Backtest.simulated_terminal.retcodes import TEXTS
from Backtest.simulated_terminal.structs import OrderSendResult, TradeRequest
from Backtest.simulated_terminal.surface import STRUCTURES

Error = tuple[int, str]
OK: Error = (c.RES_S_OK, "Success")

# Source of the texts: the strings in the core of MetaTrader5 5.0.6231.
ERRORS: dict[int, str] = {
    c.RES_E_FAIL: "Terminal: Call failed",
    c.RES_E_INVALID_PARAMS: 'Invalid "comment" argument',
    c.RES_E_AUTH_FAILED: "Terminal: Authorization failed",
    c.RES_E_AUTO_TRADING_DISABLED: "Auto-Trading using Python API disabled in Terminal",
    c.RES_E_INTERNAL_FAIL: "IPC call failed",
    c.RES_E_INTERNAL_FAIL_SEND: "IPC send failed",
    c.RES_E_INTERNAL_FAIL_RECEIVE: "IPC recv failed",
    c.RES_E_INTERNAL_FAIL_INIT: "IPC initialize failed, Process create failed",
    c.RES_E_INTERNAL_FAIL_CONNECT: "No IPC connection",
    c.RES_E_INTERNAL_FAIL_TIMEOUT: "IPC timeout",
}

SEND, CHECK = frozenset({"order_send"}), frozenset({"order_check"})
CONNECTING = frozenset({"initialize", "login", "shutdown", "version"})
ABOUT = frozenset({"terminal_info", "account_info"})
TOTALS = {
    "positions_total": "positions_get",
    "orders_total": "orders_get",
    "history_orders_total": "history_orders_get",
    "history_deals_total": "history_deals_get",
}
LISTS = frozenset(TOTALS.values())
HISTORY = frozenset({"history_orders_get", "history_deals_get"})
HISTORY_CALLS = HISTORY | {"history_orders_total", "history_deals_total"}
TICKS = frozenset({"symbol_info_tick"})
PRICES = TICKS | {"symbol_info", "copy_rates_from_pos", "copy_rates_from", "copy_rates_range", "copy_ticks_from", "copy_ticks_range"}
SYMBOLS = frozenset({"symbols_total", "symbols_get", "symbol_select", "market_book_add", "market_book_release", "market_book_get"})
CALCULATIONS = frozenset({"order_calc_margin", "order_calc_profit"})
READS = ABOUT | LISTS | PRICES | TOTALS.keys() | {"symbols_total", "symbols_get", "market_book_get"} | CALCULATIONS
FUNCTIONS = SEND | CHECK | CONNECTING | READS | SYMBOLS  # all but last_error
_ANSWERS_FALSE = frozenset({"initialize", "login", "symbol_select", "market_book_add", "market_book_release"})
ALL_DATES = (1, 2**31 - 1)  # 0 is taken for "not given" by MetaTrader5 5.0.6231


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it goes down to the terminal."""

    function: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1  # of this function's calls
    at: float = 0.0  # seconds since the faults began

    @property
    def request(self) -> TradeRequest | None:
        """The trade request; None where the package itself would refuse it, so that nothing leaves Python."""
        try:
            return a.request(self.function, self.args, self.options)
        except (a.Refused, SystemError):
            return None

    def with_request(self, **changes: Any) -> "Call":
        """The same call with a changed request."""
        given = dict(self.options) or dict(self.args[0])
        return replace(self, args=(given | changes,), options={})


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back: the answer, and the last error that goes with it."""

    value: Any
    error: Error = OK


Go = Callable[[Call], Reply]


def failed(function: str, code: int) -> Reply:
    """The answer of a call that failed with this error.

    >>> failed("initialize", -10005), failed("positions_get", -1).value is None
    (Reply(value=False, error=(-10005, 'IPC timeout')), True)
    """
    error = (code, ERRORS.get(code, "Terminal: Call failed"))
    if function == "version":
        return Reply((0, 0, ""), error)
    return Reply(False if function in _ANSWERS_FALSE else None, error)


def changed(row: Any, **fields: Any) -> Any:
    """A structure with other values in some of its fields."""
    # a structure of another process may not be made here: ours has the same fields in the same order
    kind = STRUCTURES.get(type(row).__name__.rpartition(".")[2], type(row))
    return kind([fields.get(name, value) for name, value in row._asdict().items()])


def answer(call: Call, request: TradeRequest, retcode: int, **figures: Any) -> Reply:
    """An answer of the trade server: what it says, and nothing else unless `figures` has it."""
    text = TEXTS.get(retcode, f"Unknown error {retcode}")
    fields = {"retcode": retcode, "comment": text, "request_id": call.number, "request": request} | figures
    numbers = {"deal": 0, "order": 0, "volume": 0.0, "price": 0.0, "bid": 0.0, "ask": 0.0, "retcode_external": 0}
    return Reply(OrderSendResult([(numbers | fields)[name] for name in OrderSendResult.__match_args__]))


def wants(call: Call, row: Any) -> bool:
    """Whether a row of a list fits the filters of a call: by ticket, position, symbol, group or dates, in this order."""
    options = call.options
    for name, own in (("ticket", "ticket"), ("position", "position_id"), ("symbol", "symbol")):
        if name in options:
            return bool(getattr(row, own) == options[name])
    if "group" in options and not mask(options["group"])(row.symbol):
        return False
    if len(call.args) == 2:
        first, last = (a.date(call.function, value) for value in call.args)
        moment = row.time_done if hasattr(row, "time_done") else row.time
        return bool(first <= moment <= last)
    return True
