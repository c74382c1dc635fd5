"""A random trader on years of real prices: `python -m tests.simulated_terminal.long_replay [--seed N]`.

No invariant may break: it ends at the first that does. The prices are real ones that are not part of the project.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress, TaskID

from Backtest.bars import read_prices, read_ticks
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec
from tests.simulated_terminal.random_trader import RandomTrader, replayed

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EURUSD_HOURS, USDJPY_HOURS, EURUSD_TICKS = (
    DATA / name for name in ("EURUSD_H1_2007_2018_oanda.parquet", "USDJPY_H1_2012_2022.parquet", "EURUSD_ticks_201405_oanda.parquet")
)
ACCOUNT = AccountSpec(200_000.0, commission=lambda units, price: abs(units) * 3e-5, limit_orders=30)
EURUSD = SymbolSpec("EURUSD", 5, tick_size=1e-5, currency_base="EUR", currency_margin="EUR", swap_mode=1, swap_long=-7.9, swap_short=3.4)
USDJPY = SymbolSpec(
    "USDJPY",
    3,
    tick_size=1e-3,
    currency_profit="JPY",
    spread_points=12,
    swap_mode=1,
    swap_long=4.5,
    swap_short=-7.3,
    margin_hedged=50_000.0,
)
TEN_YEARS = ("2009-01-01", "2019-01-01")

Done = Callable[[float], None]


def on_hours(seed: int, span: tuple[str, str], done: Done) -> RandomTrader:
    """Hourly bars of two symbols in step, acting at each bar."""
    prices = {}
    for spec, path in ((EURUSD, EURUSD_HOURS), (USDJPY, USDJPY_HOURS)):
        frame = read_prices(path)
        frame = frame[(frame.index >= span[0]) & (frame.index < span[1])]
        frame = frame if "Spread" in frame else frame.assign(Spread=float(spec.spread_points))
        frame.attrs["point"] = spec.point
        prices[spec.name] = (spec, frame)
    return _traded(seed, prices, 60.0, done)


def on_ticks(seed: int, count: int | None, done: Done) -> RandomTrader:
    """Two weeks of ticks, or the first so many, acting every minute."""
    return _traded(seed, {"EURUSD": (EURUSD, read_ticks(EURUSD_TICKS).iloc[:count])}, 60.0, done)


def _traded(seed: int, prices: dict[str, tuple[SymbolSpec, pd.DataFrame]], step: float, done: Done) -> RandomTrader:
    made = SimulatedTerminal(ReplayMarket(prices), ACCOUNT)
    assert made.initialize()
    trader = RandomTrader(made, seed)
    for part in replayed(made, {name: frame for name, (_, frame) in prices.items()}, trader, step=step):
        done(part)
    return trader


def main() -> None:
    """Replay everything, with a bar for the progress, and tell what was done."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--seed", type=int, default=1, help="another seed is another trader")
    seed = parser.parse_args().seed
    missing = [path.name for path in (EURUSD_HOURS, USDJPY_HOURS, EURUSD_TICKS) if not path.is_file()]
    if missing:
        parser.error(f"{DATA} has no {', '.join(missing)}")
    replays: dict[str, Callable[[Done], RandomTrader]] = {
        "ten years of hours": lambda done: on_hours(seed, TEN_YEARS, done),
        "two weeks of ticks": lambda done: on_ticks(seed, None, done),
    }
    with Progress(console=Console()) as progress:
        for told, replay in replays.items():
            task = progress.add_task(told, total=1.0)
            trader = replay(partial(_show, progress, task))
            answers = ", ".join(f"{code}: {count:,}" for code, count in sorted(trader.answers.items()))
            deals = trader.made.history_deals_total(0, 2**31 - 1)
            progress.console.print(f"{told}: no invariant broken; {deals:,} deals; answers {answers}")


def _show(progress: Progress, task: TaskID, part: float) -> None:
    progress.update(task, completed=part)


if __name__ == "__main__":
    main()
