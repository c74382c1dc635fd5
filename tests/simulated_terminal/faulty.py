"""Terminals with faults, at a market where nothing moves, and what they and the broker show."""

from typing import Any

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.faults import At, FaultyTerminal, NthCall, Planned, Schedule, Trigger
from tests.simulated_terminal.terminals import ALL, H1, bars, flat, symbol

FIRST_SEND, FROM_THE_START = NthCall("order_send"), At(0.0)


def faulty(fault: str, when: Trigger = FIRST_SEND, **params: Any) -> FaultyTerminal:
    """A connected terminal with this fault, at a market where nothing moves and a sleep lasts as long as it is asked to."""
    return with_faults(Planned(when, fault, params))


def with_faults(*plan: Planned, account: AccountSpec | None = None) -> FaultyTerminal:
    market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
    inner = SimulatedTerminal(market, account or AccountSpec(), speed=1.0, real_sleep=lambda _: None)
    made = FaultyTerminal(inner, Schedule(plan))
    assert made.initialize()
    return made


def held(terminal: Any) -> list[float]:
    """The lots of each open position that this terminal shows: the faulty one, or the one inside."""
    return [position.volume for position in terminal.positions_get()]


def traded(terminal: Any) -> list[float]:
    """The lots of each deal."""
    return [row.volume for row in terminal.history_deals_get(*ALL) if row.type in (0, 1)]


def counted(terminal: FaultyTerminal) -> dict[str, int]:
    return dict(terminal.log.hits)
