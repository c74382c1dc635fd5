"""How fast one more closed bar is decided: `python -m tests.bench.bench_decision [--quick] [--json FILE]`.

The other way is to run the backtest again on all bars, as a bridge does that keeps no session. Both are done in turn, in one process.
Each strategy is decided twice: as it is, and with INDICATOR_BARS=auto, on as many of the newest bars as it is measured to need.
"""

import warnings
from collections.abc import Iterator
from functools import cache
from itertools import count, islice

from backtesting import Strategy
from backtesting.backtesting import Backtest

from Backtest.decisions import Account
from Backtest.session import StrategySession
from Backtest.session.playing import Subject
from Backtest.strategies import DEFAULTS, load_strategy
from Backtest.warmup import shortest_history
from Live.config import PROJECT_ROOT
from Live.strategy_checks import LEAST_OF_INDICATORS
from tests.bench.bench_terminal import bar_frame
from tests.bench.measuring import Aim, Measured, options, per_second, tell
from tests.session_truth import bars_of

HISTORIES = (1_000, 10_000, 100_000)
DECISIONS = 250  # one after the other: with INDICATOR_BARS one of them is checked against all bars, and close calls are evaluated on all
REPEATS, BACKTESTS = 2, 5  # of which the best counts
MEASURED_ON = 3_000  # bars
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


@cache
def window_of(strategy: type[Strategy]) -> int:
    """INDICATOR_BARS=auto of a strategy."""
    needed = shortest_history(Subject(strategy, SETTINGS, {}), bar_frame(MEASURED_ON)).bars
    assert needed is not None
    return max(2 * needed, LEAST_OF_INDICATORS)


def decisions(what: str, strategy: type[Strategy], history: int, window: int | None) -> Measured:
    frame = bar_frame(history + REPEATS * DECISIONS + 1)
    bars = bars_of(frame.iloc[history:])
    session = StrategySession(strategy, SETTINGS, {}, window=window)
    session.warm_up(frame.iloc[:history])
    session.on_bar(bars[0], RICH)  # with a window: its trial
    place, end = iter(bars[1:]), count(history + 1)

    def decide() -> int:
        for bar in islice(place, DECISIONS):
            session.on_bar(bar, RICH)
        return DECISIONS

    def run_again() -> int:
        Backtest(frame.iloc[: next(end)], strategy, **SETTINGS).run()
        return 1

    found = Measured(
        f"{what}, {history:,} bars", per_second(decide, repeats=REPEATS), per_second(run_again, repeats=BACKTESTS), aim=AIMS.get(history)
    )
    assert session.window.is_trusted is (window is not None)
    return found


def figures(*, quick: bool) -> Iterator[Measured]:
    """Each length of history, and how much longer a decision takes on the longest than on the shortest."""
    all_bars = [(name, strategy, None) for name, strategy in strategies().items()]
    newest = [(f"{name} on the newest {window_of(strategy)}", strategy, window_of(strategy)) for name, strategy, _ in all_bars]
    for name, strategy, window in (*all_bars, *newest):
        rows = [decisions(name, strategy, history, window) for history in HISTORIES[: 2 if quick else None]]
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
