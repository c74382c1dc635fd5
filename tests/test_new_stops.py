"""What is asked for where a broker has refused a stop loss or take profit: never more loss than before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.model import Magic, Position, Quote, Side, SymbolSpec, Ticket
from Live.order_executor.stops import with_new_stops
from Live.order_requests import Label, Levels, Market, entry_request, faults, protect_request

PRICES = st.integers(119_000, 121_000).map(lambda points: points / 100_000)
LEVELS = st.none() | PRICES
OPENED = datetime(2024, 1, 1, tzinfo=UTC)


def market(bid: float, stops_level: int = 0, tick_size: float = 1e-5) -> Market:
    spec = SymbolSpec("EURUSD", 5, 1e-5, tick_size, 1e5, 0.01, 0.01, 50.0, stops_level, 3, 2, "USD")
    return Market(spec, Quote(bid, bid + 1e-4, 0.0))


def held(side: Side, price: float, sl: float | None) -> Position:
    return Position(Ticket(1), 1, "EURUSD", side, 0.1, price, OPENED, 0, sl, None, price, 0.0, 0.0, Magic(1), "")


@given(st.sampled_from(Side), PRICES, PRICES, LEVELS, LEVELS, st.sampled_from([0, 1, 50, 300]), st.sampled_from([1e-5, 5e-5, 2.5e-4]))
def test_a_position_never_has_more_to_lose_than_before_and_the_broker_takes_what_is_asked_for(
    side: Side, bid: float, opened: float, in_force: float | None, wanted: float | None, stops_level: int, tick_size: float
) -> None:
    at, position = market(bid, stops_level, tick_size), held(side, opened, in_force)
    asked = protect_request(position, Levels(sl=wanted), at.spec)
    new = with_new_stops(asked, at, position)
    if new is None or not asked["sl"]:
        return
    price = at.quote.price_for(side.opposite)
    assert round((price - new["sl"]) * side.sign / 1e-5) >= max(1, stops_level)
    if new["sl"] != asked["sl"]:
        towards = (asked["sl"] - new["sl"]) * side.sign
        assert towards > 0
        assert (new["sl"] - opened) * side.sign >= 0
        assert in_force is None or (new["sl"] - in_force) * side.sign >= 0


@given(st.sampled_from(Side), PRICES, LEVELS, LEVELS, st.sampled_from([0, 1, 50, 300]))
def test_the_stop_loss_of_an_entry_stays_as_it_is(side: Side, bid: float, sl: float | None, tp: float | None, stops_level: int) -> None:
    at = market(bid, stops_level)
    asked = entry_request(side, 0.1, at, Label(Magic(1), "live", 20), Levels(sl, tp))
    new = with_new_stops(asked, at, None)
    if new is not None:
        assert {**new, "tp": 0.0} == {**asked, "tp": 0.0}
        assert (new["tp"] - asked["tp"]) * side.sign >= 0
        assert faults(new, at.spec, at.quote) == []


@pytest.mark.parametrize(
    ("wanted", "in_force", "moved"),
    [(1.204, None, 1.2015), (1.204, 1.201, 1.2015), (1.204, 1.2018, None), (1.199, None, 1.199), (1.202, None, 1.2015)],
)
def test_a_trailing_stop_moves_back_to_where_the_broker_takes_it(wanted: float, in_force: float | None, moved: float | None) -> None:
    at, position = market(1.202, stops_level=50), held(Side.BUY, 1.2, in_force)
    new = with_new_stops(protect_request(position, Levels(sl=wanted), at.spec), at, position)
    assert (None if new is None else new["sl"]) == moved


def test_a_position_that_is_gone_gets_no_levels() -> None:
    at = market(1.2)
    assert with_new_stops(protect_request(held(Side.BUY, 1.2, None), Levels(sl=1.3), at.spec), at, None) is None


@pytest.mark.parametrize(("tp", "moved"), [(1.2001, 1.2005), (1.2005, 1.2005), (1.2, None), (1.19, None)])
def test_a_take_profit_moves_away_from_the_market_unless_that_has_passed_it(tp: float, moved: float | None) -> None:
    at = market(1.2, stops_level=50)
    new = with_new_stops(entry_request(Side.BUY, 0.1, at, Label(Magic(1), "live", 20), Levels(tp=tp)), at, None)
    assert (None if new is None else new["tp"]) == moved
