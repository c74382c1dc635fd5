"""The terminal's functions about the account: who is logged in, and the account's money."""

from typing import Any

from Backtest.simulated_terminal import arguments as a
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.arguments import Refused
from Backtest.simulated_terminal.door import Door, call
from Backtest.simulated_terminal.structs import AccountInfo
from Backtest.simulated_terminal.symbols import AccountSpec


class AccountFunctions(Door):
    """login and account_info: shapes and errors of the package's functions of these names."""

    _account: AccountSpec
    _login: int

    @call(failure=False)
    def login(self, *args: Any, **options: Any) -> bool:
        """login(login,[server="SERVER"],[password="PASSWORD"])

        Log in to an account; True when done. Unnamed arguments are login, password, server, in this order.
        """
        if len(args) > 3:
            raise Refused(a.COUNT)
        unnamed = dict(zip(("login", "password", "server"), args, strict=False))
        for (name, value), place in zip(unnamed.items(), ("1st", "2nd", "3rd"), strict=False):
            _of_type(name, value, f"Invalid {place} unnamed argument")
        options = checked("login", options | unnamed)
        if not options.get("login"):
            raise Refused('Invalid "login" argument')
        self._connected()
        self._log_in(options["login"], options.get("password", ""), options.get("server", ""))
        return True

    @call()
    def account_info(self) -> AccountInfo:
        """account_info()

        The account and its money now.
        """
        self._connected()
        spec, now = self._account, self._server.figures()
        mode = (self._login, spec.trade_mode, spec.leverage, spec.limit_orders, spec.stop_out_mode)
        may = (spec.trade_allowed, spec.trade_expert, spec.margin_mode)
        digits = 2 if spec.money_digits is None else spec.money_digits
        money = (now.balance, 0.0, now.profit, now.equity, now.margin, now.margin_free, now.margin_level)
        limits = (spec.margin_call, spec.stop_out, 0.0, 0.0, now.assets, 0.0, 0.0)
        return AccountInfo((*mode, *may, digits, spec.fifo_close, *money, *limits, spec.name, spec.server, spec.currency, spec.company))

    def _log_in(self, login: int, password: str, server: str) -> None:
        spec = self._account
        wrong = (spec.login and login and login != spec.login) or (spec.password and password and password != spec.password)
        if wrong or (server and server != spec.server and spec.login):
            raise Refused("Terminal: Authorization failed", c.RES_E_AUTH_FAILED)
        self._login = login or self._login


def checked(function: str, options: dict[str, Any]) -> dict[str, Any]:
    """The known options, each of its type; unknown ones are ignored."""
    known: dict[str, Any] = {name: options[name] for name in ("login", "server", "password", "timeout", "path") if name in options}
    for name, value in known.items():
        _of_type(name, value, f'Invalid "{name}" argument')
        if isinstance(value, int) and value < 0:
            raise a.pending(function, OverflowError("can't convert negative int to unsigned"))
    return known


def _of_type(name: str, value: Any, otherwise: str) -> None:
    if name in ("login", "timeout"):
        if not isinstance(value, int):
            raise Refused(otherwise)
    else:
        a.text(value, a.MOST_PATH if name == "path" else a.MOST_SECRET, otherwise)
