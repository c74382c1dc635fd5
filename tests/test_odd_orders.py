"""Whatever a caller asks for ends in a valid request of no more than that, or in a sentence: never in a traceback."""

import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from backtesting import Strategy
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest import simulated_terminal
from Backtest.errors import BadInput
from Live.backtesting_bridge import BacktestingBridge
from Live.model import SymbolSpec
from Live.risk import lots_for_risk
from tests.desks import opened

WHOLE = st.integers(-5, 2_000_000)
NUMBERS = st.floats() | st.floats(0.0, 1.0) | WHOLE | st.sampled_from([0, 1, -1, 1e9, 1e300, math.nan, math.inf, -math.inf])
SIZES = st.one_of(
    NUMBERS,
    st.booleans(),
    st.decimals(allow_nan=True) | st.sampled_from([Decimal("0.5"), Decimal(1000)]),
    NUMBERS.map(np.float64),
    st.integers(-5, 100_000).map(np.int64),
    st.floats(0.0, 1.0, width=32).map(np.float32),
)


class Nothing(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        pass


BRIDGE = BacktestingBridge(Nothing)
BRIDGE_SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")


VALUES = st.one_of(SIZES, st.none(), st.text(max_size=3))


@given(equity=st.floats(), risk=st.floats(), loss=st.floats())
def test_lots_by_risk_lose_no_more_than_the_risk_or_nothing_is_bought(equity: float, risk: float, loss: float) -> None:
    spec = BRIDGE_SPEC
    try:
        lots = lots_for_risk(equity, risk, loss, spec)
    except ValueError:
        return  # with a sentence
    assert lots == 0 or spec.lot_min <= lots <= spec.lot_max
    assert lots == 0 or lots * loss <= equity * risk * (1 + 1e-9) + 1e-9


@given(balance=NUMBERS, risk=NUMBERS, stop=NUMBERS, entry=NUMBERS)
@settings(max_examples=25)
def test_the_bridge_sizes_anything_or_says_why_not(balance: Any, risk: Any, stop: Any, entry: Any) -> None:
    try:
        lots = BRIDGE.position_size(balance, risk, stop, entry, "EURUSD")
    except BadInput:
        return  # with a sentence
    info = simulated_terminal.symbol_info("EURUSD")
    assert info is not None
    assert lots == 0 or info.volume_min <= lots <= info.volume_max


@given(st.dictionaries(st.sampled_from(["volume", "price", "sl", "tp", "deviation", "magic", "type"]), VALUES, min_size=1))
@settings(max_examples=25)
def test_a_request_of_anything_is_denied_refused_or_sent_as_it_was_asked_for(changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        desk = opened(Path(name))
        try:
            request = desk.bid() | changes
            told = desk.executor.execute_order(request, "an odd one")
        except ValueError:
            told = {"message": "a sentence"}
        finally:
            desk.record.close()
        assert told["message"]
        for sent in desk.terminal.sent:
            assert sent["volume"] == request["volume"]
            assert type(sent["volume"]) in (float, np.float64)
