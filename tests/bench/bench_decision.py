"""How fast one more closed bar is decided: `python -m tests.bench.bench_decision [--quick] [--json FILE]`.

The other way is to run the backtest again on all bars, as a bridge does that keeps no session. Both are done in turn, in one process.
"""

import warnings
from collections.abc import Iterator
from itertools import count

from backtesting import Strategy
from backtesting.backtesting import Backtest

from Backtest.decisions import Account, Bar
from Backtest.session import StrategySession
from Backtest.strategies import DEFAULTS, load_strategy
from Live.config import PROJECT_ROOT
from tests.bench.bench_terminal import bar_frame
from tests.bench.measuring import Aim, Measured, options, per_second, tell

HISTORIES = (1_000, 10_000, 100_000)
ROUNDS = 5
AIMS = {10_000: Aim(">=", 150), 100_000: Aim(">=", 1_500)}
SETTINGS = {**DEFAULTS, "exclusive_orders": True}  # trades that pile up would be what is measured
RICH = Account(10_000.0)


class Crossing(Strategy):
    """The least that a strategy can want: what is left is the cost of the stepping itself."""

    def init(self) -> None:
        self.line = self.I(lambda values: values, self.data.Open)

    def next(self) -> None:
        if self.data.Close[-2] < self.line[-2] and self.data.Close[-1] > self.line[-1]:
            self.buy(size=1)


def strategies() -> dict[str, type[Strategy]]:
    codes = PROJECT_ROOT / "Backtest" / "codes"
    return {"nothing much": Crossing} | {name: load_strategy(str(codes / f"{name}.py")).cls for name in ("sma_cross", "rsi_atr")}


def decisions(what: str, strategy: type[Strategy], history: int) -> Measured:
    frame = bar_frame(history + 2 * ROUNDS)
    session = StrategySession(strategy, SETTINGS, {})
    session.warm_up(frame.iloc[:history])
    place, end = count(history), count(history + 1)

    def decide() -> int:
        row = frame.iloc[now := next(place)]
        session.on_bar(Bar(int(frame.index[now].timestamp()), row.Open, row.High, row.Low, row.Close, row.Volume), RICH)
        return 1

    def run_again() -> int:
        Backtest(frame.iloc[: next(end)], strategy, **SETTINGS).run()
        return 1

    return Measured(
        f"{what}, {history:,} bars", per_second(decide, repeats=ROUNDS), per_second(run_again, repeats=ROUNDS), aim=AIMS.get(history)
    )


def figures(*, quick: bool) -> Iterator[Measured]:
    """Each length of history, and how much longer a decision takes on the longest than on the shortest."""
    for name, strategy in strategies().items():
        rows = [decisions(name, strategy, history) for history in HISTORIES[: 2 if quick else None]]
        yield from rows
        longest, shortest = 1_000 / rows[-1].value, 1_000 / rows[0].value
        what = f"{name}, {HISTORIES[len(rows) - 1]:,} bars against {HISTORIES[0]:,}"
        yield Measured(what, longest, shortest, "ms a decision", Aim("<=", 1.5))


def main() -> None:
    asked = options(__doc__ or "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trades that stay open, of bars without a yearly return
        tell("Decisions", figures(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
