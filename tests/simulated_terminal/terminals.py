"""Terminals and small price frames for the tests of the simulated terminal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from Backtest.bars import TIMEFRAMES, builtin_prices
from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec, parity_account, parity_symbol
from Backtest.simulated_terminal.symbols import Commission, no_commission

H1, D1 = TIMEFRAMES["H1"], TIMEFRAMES["D1"]
T0 = 1_704_067_200  # Monday 2024-01-01 00:00
ALL = (0, 2**31 - 1)  # every date
DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY = 1, 5, 6, 7, 8, 10
BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP, BUY_STOP_LIMIT, SELL_STOP_LIMIT = range(2, 8)
BUY, SELL = 0, 1

Row = tuple[float, float, float, float]


def bars(rows: Sequence[Row], *, step: int = 3600, first: int = T0, volume: float = 100.0, spread: int | None = None) -> pd.DataFrame:
    """A price frame out of (open, high, low, close) rows, one every `step` seconds."""
    index = pd.DatetimeIndex(pd.to_datetime([first + step * n for n in range(len(rows))], unit="s"))
    frame = pd.DataFrame(rows, columns=["Open", "High", "Low", "Close"], index=index, dtype="float64").assign(Volume=volume)
    return frame if spread is None else frame.assign(Spread=float(spread))


def flat(price: float, count: int = 3) -> list[Row]:
    """Bars in which nothing moves."""
    return [(price, price, price, price)] * count


def symbol(name: str = "EURUSD", **changes: Any) -> SymbolSpec:
    """A dealer's EURUSD: five digits, 0.01 lots, no spread unless told."""
    settings: dict[str, Any] = {
        "digits": 5,
        "tick_size": 1e-5,
        "currency_base": name[:3],
        "currency_profit": name[3:],
        "currency_margin": name[:3],
    }
    return SymbolSpec(name, **(settings | changes))


def terminal(
    rows: Sequence[Row], spec: SymbolSpec | None = None, account: AccountSpec | None = None, *, state_file: Path | None = None
) -> SimulatedTerminal:
    """A connected terminal with hourly bars of one symbol, standing at the first open."""
    spec = spec or symbol()
    made = SimulatedTerminal(ReplayMarket({spec.name: (spec, bars(rows))}, H1), account or AccountSpec(), state_file=state_file)
    assert made.initialize()
    return made


def market_terminal(prices: Mapping[str, tuple[SymbolSpec, Sequence[Row]]], account: AccountSpec | None = None) -> SimulatedTerminal:
    """A connected terminal with hourly bars of several symbols."""
    made = SimulatedTerminal(
        ReplayMarket({name: (spec, bars(rows)) for name, (spec, rows) in prices.items()}, H1), account or AccountSpec()
    )
    assert made.initialize()
    return made


def parity_terminal(
    name: str, cash: float, commission: Commission = no_commission, *, frame: pd.DataFrame | None = None, state_file: Path | None = None
) -> SimulatedTerminal:
    """A connected terminal as backtesting.py would have it, on the prices that it ships."""
    frame = builtin_prices(name) if frame is None else frame
    market = ReplayMarket({name: (parity_symbol(name, frame), frame)})
    made = SimulatedTerminal(market, parity_account(cash, commission), state_file=state_file)
    assert made.initialize()
    return made


def deal(side: int = BUY, volume: float = 0.1, **more: Any) -> dict[str, Any]:
    """A market order on EURUSD."""
    return {"action": DEAL, "symbol": "EURUSD", "type": side, "volume": volume, **more}


def close(position: Any, volume: float | None = None, **more: Any) -> dict[str, Any]:
    """The market order that closes a position, or a part of it."""
    lots = position.volume if volume is None else volume
    return {"action": DEAL, "symbol": position.symbol, "type": 1 - position.type, "volume": lots, "position": position.ticket, **more}


def protect(ticket: int, sl: float = 0.0, tp: float = 0.0) -> dict[str, Any]:
    """The request that sets both levels of a position."""
    return {"action": SLTP, "position": ticket, "sl": sl, "tp": tp}


def pending(order_type: int, price: float, volume: float = 0.1, **more: Any) -> dict[str, Any]:
    """A pending order on EURUSD."""
    return {"action": PENDING, "symbol": "EURUSD", "type": order_type, "price": price, "volume": volume, "type_filling": 2, **more}


def modify(ticket: int, price: float, **more: Any) -> dict[str, Any]:
    """The request that changes a pending order."""
    return {"action": MODIFY, "order": ticket, "price": price, **more}


def remove(ticket: int) -> dict[str, Any]:
    """The request that takes a pending order back."""
    return {"action": REMOVE, "order": ticket}


def close_by(ticket: int, other: int, **more: Any) -> dict[str, Any]:
    """The request that closes two opposite positions by each other."""
    return {"action": CLOSE_BY, "position": ticket, "position_by": other, **more}


def done(answer: Any) -> Any:
    """The answer, proved to be one of success."""
    assert answer is not None
    assert answer.retcode == 10009, answer
    return answer


def run_out(made: SimulatedTerminal, at_open: Callable[[], None] = lambda: None) -> None:
    """Let the market play to its end, acting at each open."""
    try:
        while True:
            at_open()
            made.clock.sleep(60)
    except MarketEnded:
        return


def exits(made: SimulatedTerminal) -> list[tuple[int, float, str]]:
    """(second, price, comment) of each deal that closed something."""
    return [(each.time, each.price, each.comment) for each in made.history_deals_get(*ALL) if each.entry == 1]
