"""The kinds of terminal that the contract holds for. Whoever makes a new one adds a line to KINDS.

A kind is a function that gives a context manager: inside it there is one connected terminal of that kind.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, retail_symbol
from Backtest.simulated_terminal.faults import At, FaultyTerminal, Planned, Schedule
from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from Live.mt5_connector.remote import RemoteTerminal
from tests.served import served_here

MAGIC = 770_077  # of all that the contract trades: nothing else is touched


@dataclass(frozen=True)
class Bench:
    """One connected terminal: the package's functions, a symbol that can be traded, and what lets seconds pass there."""

    mt5: Any
    symbol: str
    wait: Callable[[float], None]


@contextmanager
def in_process(account: AccountSpec | None = None) -> Iterator[Bench]:
    """The simulated terminal, in this process, in the middle of the hourly EURUSD prices that backtesting.py ships."""
    frame = builtin_prices("EURUSD")
    market = ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, start=datetime(2017, 11, 7, 10, tzinfo=UTC))
    terminal = SimulatedTerminal(market, account)
    assert terminal.initialize()
    yield Bench(terminal, "EURUSD", terminal.clock.sleep)
    terminal.close()


def in_process_netting() -> AbstractContextManager[Bench]:
    """The same with one position for each symbol."""
    return in_process(AccountSpec(margin_mode=0))


@contextmanager
def without_a_fault() -> Iterator[Bench]:
    """The simulated terminal behind faults that change nothing."""
    lists = dict.fromkeys(("positions", "orders", "history_orders", "history_deals"), 0.0)
    schedule = Schedule((Planned(At(0.0), "late_lists", lists), Planned(At(0.0), "window_off", {"hours": 0})))
    with in_process() as bench:
        yield replace(bench, mt5=FaultyTerminal(bench.mt5, schedule))


@contextmanager
def paper() -> Iterator[Bench]:
    """A paper account on the prices of the first kind."""
    with in_process() as lent:
        account = paper_account(lent.mt5.account_info(), login=77_000_001)
        terminal = PaperTerminal(lent.mt5, account, now=lent.mt5.clock.now)
        assert terminal.initialize()
        yield Bench(terminal, lent.symbol, lent.wait)
        terminal.close()


@contextmanager
def over_rpyc() -> Iterator[Bench]:
    """The simulated terminal served over RPyC, and the client of the package `mt5linux` as it is."""
    with in_process() as served, served_here(served.mt5) as port:
        client = importlib.import_module("mt5linux").MetaTrader5(host="127.0.0.1", port=port)
        yield replace(served, mt5=client)
        client.eval("[]").____conn__.close()  # the client itself cannot be closed; rpyc names it so on all that it hands out


@contextmanager
def remote() -> Iterator[Bench]:
    """The same as the trader has it."""
    with in_process() as served, served_here(served.mt5) as port:
        terminal = RemoteTerminal("127.0.0.1", port, timeout=60)
        assert terminal.initialize()
        yield replace(served, mt5=terminal)
        terminal.shutdown()


@contextmanager
def native() -> Iterator[Bench]:
    """The real package and the terminal that it finds on this machine (Windows); a DEMO account, or nothing."""
    mt5 = importlib.import_module("MetaTrader5")  # exists on Windows only
    assert mt5.initialize(), mt5.last_error()
    account = mt5.account_info()
    assert account is not None, mt5.last_error()
    if account.trade_mode != mt5.ACCOUNT_TRADE_MODE_DEMO:
        mt5.shutdown()
        raise AssertionError(
            f"account {account.login} on {account.server} is not a demo account: the contract trades, so it does not run there"
        )
    try:
        yield Bench(mt5, next(each.name for each in mt5.symbols_get() if each.visible and each.trade_mode == 4), time.sleep)
    finally:
        mt5.shutdown()


KINDS: dict[str, Callable[[], AbstractContextManager[Bench]]] = {
    "in process": in_process,
    "in process, netting": in_process_netting,
    "paper": paper,
    "without a fault": without_a_fault,
    "over RPyC with mt5linux": over_rpyc,
    "remote": remote,
}
BY_HAND = {"native": native}  # pytest tests/contract --terminal=native
