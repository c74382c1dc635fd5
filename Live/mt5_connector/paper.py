"""The paper account: a dry run on the live prices of a real terminal, to which no order is sent."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from Backtest.sizing import market_commission_of
from Live.clock import Clock
from Live.config import LiveConfig
from Live.errors import Unreachable, WrongAccount
from Live.locks import hold_simulated_account
from Live.mt5_connector.admission import objections
from Live.mt5_connector.connector import MT5Connector
from Live.mt5_connector.own_accounts import Traded, account_file, keeping
from Live.mt5_connector.shown import account_of

log = logging.getLogger("LiveTrader")

LOOK_SECONDS = 5.0  # between two looks at the ticks while the trader waits


def open_paper(config: LiveConfig, traded: Traded, source: tuple[Any, Clock], resources: ExitStack) -> tuple[PaperTerminal, Clock]:
    """The paper account of a strategy beside the account that the terminal `source` is logged in to, and the clock for it.

    It is ours alone until `resources` are let go. Raises AnotherInstance, Unreachable, WrongAccount for an account that
    the settings do not name, and BadInput for one without money beside which SIM_BALANCE is not set.
    """
    functions, clock = source
    connector = MT5Connector(config, functions, clock)
    connector.start_terminal()
    resources.callback(functions.shutdown)
    info = functions.account_info()
    if info is None:
        raise Unreachable(f"account_info() failed: {functions.last_error()}")
    if found := objections(account_of(info), config, paper=True):
        raise WrongAccount("; ".join(found))
    path, login = account_file(config, traded, f"paper beside {info.login} at {info.server}")
    hold_simulated_account(resources, path)
    account = paper_account(info, login=login, balance=config.sim_balance, commission=market_commission_of(traded.strategy.backtest))
    terminal = _KeptPaper(functions, account, now=clock.now, symbols=config.symbols, state_file=path, tell=log.warning)
    resources.callback(terminal.close)
    return terminal, _LookingClock(clock, terminal.look)


class _KeptPaper(PaperTerminal):
    def _commit(self) -> None:
        with keeping():
            super()._commit()


class _LookingClock:
    """A clock that lets the paper account see the ticks that come while the trader waits."""

    def __init__(self, clock: Clock, look: Callable[[], None]) -> None:
        self._clock, self._look = clock, look

    def now(self) -> datetime:
        return self._clock.now()

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        left = seconds
        while left > 0 and not interrupted():
            step = min(left, LOOK_SECONDS)
            self._clock.sleep(step, interrupted)
            self._look()
            left -= step
