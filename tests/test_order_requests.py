from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.model import Magic, Position, Quote, Side, SymbolSpec, Ticket
from Live.order_requests import (
    EXECUTION_EXCHANGE,
    EXECUTION_INSTANT,
    EXECUTION_MARKET,
    EXECUTION_REQUEST,
    FOK,
    IOC,
    RETURN,
    Label,
    Levels,
    Market,
    Trigger,
    at_quote,
    close_request,
    entry_request,
    faults,
    fillings,
    pending_request,
    protect_request,
    remove_request,
    ticket_of,
)

SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, EXECUTION_MARKET, "USD")
QUOTE = Quote(1.1, 1.1001, 0.0)
LABEL = Label(Magic(7), "qABCDEFGHIJKL", 20)
HELD = Position(
    ticket=Ticket(42),
    identifier=42,
    symbol="EURUSD",
    side=Side.BUY,
    lots=0.3,
    price_open=1.09,
    opened_at=datetime(2024, 1, 1, tzinfo=UTC),
    epoch=0,
    sl=None,
    tp=None,
    price_current=1.1,
    profit=1.0,
    swap=0.0,
    magic=Magic(7),
    comment="",
)
TYPES = {
    **dict.fromkeys(("action", "magic", "position", "type", "type_time", "type_filling", "deviation"), int),
    **dict.fromkeys(("volume", "price", "sl", "tp"), float),
    **dict.fromkeys(("symbol", "comment"), str),
}

sides = st.sampled_from(Side)
prices = st.floats(1e-4, 1e6)
levels = st.builds(Levels, st.none() | prices, st.none() | prices)


@st.composite
def specs(draw: st.DrawFn) -> SymbolSpec:
    digits = draw(st.integers(0, 8))
    step = draw(st.sampled_from([1e-8, 1e-5, 0.01, 0.1, 1.0, 5.0]))
    tick = draw(st.sampled_from([0.0, 10.0**-digits, 5 * 10.0**-digits, 0.25 if digits > 1 else 1.0]))
    return SymbolSpec(
        "X",
        digits=digits,
        point=10.0**-digits,
        tick_size=tick,
        contract_size=draw(st.sampled_from([1.0, 100.0, 1e5])),
        lot_min=step * draw(st.integers(1, 10)),
        lot_step=step,
        lot_max=step * draw(st.integers(10, 10**7)),
        stops_level=draw(st.integers(0, 50)),
        filling_mode=draw(st.integers(0, 7)),
        execution=draw(st.integers(0, 3)),
        profit_currency="USD",
    )


def typed_right(request: dict[str, Any]) -> bool:
    return all(type(value) is TYPES[name] for name, value in request.items())


@given(specs(), sides, st.floats(1e-9, 1e8), prices, levels)
def test_an_entry_is_on_both_grids_has_the_right_types_and_nothing_for_the_package_to_refuse(
    spec: SymbolSpec, side: Side, wanted: float, price: float, given: Levels
) -> None:
    quote = Quote(price, price * 1.001, 0.0)
    lots = spec.tradable_lots(wanted)
    request = entry_request(side, lots, Market(spec, quote), LABEL, given)
    assert typed_right(request)
    assert request["price"] == quote.price_for(side)
    found = faults(request, replace(spec, stops_level=0), quote)
    assert found == ([] if lots else [f"volume 0.0 lots is outside {spec.lot_min} to {spec.lot_max} of X"])
    for name, level in (("sl", given.sl), ("tp", given.tp)):
        assert request[name] == (0.0 if level is None else spec.on_grid(level))
        assert level is None or abs(request[name] - level) <= max(spec.tick_size, 0) / 2 + 1e-9 * level + 10.0**-spec.digits


@given(sides, st.floats(0.01, 5.0), st.floats(0.01, 5.0))
def test_a_close_names_its_position_is_of_the_other_side_and_never_more_than_the_position(side: Side, held: float, lots: float) -> None:
    request = close_request(replace(HELD, side=side, lots=held), lots, Market(SPEC, QUOTE), LABEL)
    assert typed_right(request)
    assert (request["position"], ticket_of(request)) == (42, Ticket(42))
    assert request["type"] == (1 if side is Side.BUY else 0)
    assert request["volume"] == min(lots, held)
    assert request["price"] == QUOTE.price_for(side.opposite)


@given(levels)
def test_protection_names_its_position_and_takes_away_what_is_none(given: Levels) -> None:
    request = protect_request(HELD, given, SPEC)
    assert typed_right(request)
    assert faults(request, SPEC, QUOTE) == []
    assert request["position"] == 42
    assert [request[name] == 0.0 for name in ("sl", "tp")] == [level is None or SPEC.on_grid(level) == 0 for level in (given.sl, given.tp)]


def test_a_levels_price_is_exactly_the_given_one_where_there_is_no_grid() -> None:
    request = protect_request(HELD, Levels(1.0712345678, None), replace(SPEC, tick_size=0.0))
    assert (request["sl"], request["tp"]) == (1.0712345678, 0.0)


@pytest.mark.parametrize("key", ["", "seventeen letters", "schlüssel"])
def test_a_comment_is_short_and_plain(key: str) -> None:
    with pytest.raises(ValueError, match="1 to 16 ASCII"):
        Label(Magic(1), key, 20)


# Source: mql5.com, Order Properties (ENUM_ORDER_TYPE_FILLING)
@pytest.mark.parametrize(
    ("execution", "flags", "modes"),
    [
        (EXECUTION_REQUEST, 0, (FOK, IOC, RETURN)),
        (EXECUTION_INSTANT, 1, (FOK, IOC, RETURN)),
        (EXECUTION_MARKET, 0, (FOK,)),
        (EXECUTION_MARKET, 1, (FOK,)),
        (EXECUTION_MARKET, 2, (IOC,)),
        (EXECUTION_MARKET, 3, (FOK, IOC)),
        (EXECUTION_MARKET, 7, (FOK, IOC)),
        (EXECUTION_EXCHANGE, 0, (RETURN,)),
        (EXECUTION_EXCHANGE, 2, (IOC, RETURN)),
    ],
)
def test_filling_modes_are_those_that_the_symbol_allows(execution: int, flags: int, modes: tuple[int, ...]) -> None:
    assert fillings(replace(SPEC, execution=execution, filling_mode=flags)) == modes


@pytest.mark.parametrize("side", Side)
def test_a_retry_is_the_same_order_at_the_fresh_quote(side: Side) -> None:
    request = entry_request(side, 0.1, Market(SPEC, QUOTE), LABEL)
    fresh = Quote(1.2, 1.3, 1.0)
    again = at_quote(request, fresh, filling=IOC)
    assert again == request | {"price": fresh.price_for(side), "type_filling": IOC}
    assert at_quote(request, QUOTE) == request


def test_protection_has_no_price_to_refresh() -> None:
    request = protect_request(HELD, Levels(1.0, None), SPEC)
    assert at_quote(request, Quote(1.2, 1.3, 1.0)) == request
    assert ticket_of(entry_request(Side.BUY, 0.1, Market(SPEC, QUOTE), LABEL)) is None


def faults_of(**changed: Any) -> list[str]:
    return faults(entry_request(Side.BUY, 0.1, Market(SPEC, QUOTE), LABEL) | changed, SPEC, QUOTE)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"volume": 0.001}, "volume 0.001 lots is outside 0.01 to 50.0 of EURUSD"),
        ({"volume": 0.015}, "volume 0.015 lots is off the 0.01 lot step of EURUSD"),
        ({"volume": float("nan")}, "volume must be finite, is nan"),
        ({"volume": 1}, "volume must be a float, is 1"),
        ({"price": 0.0}, "price must be above 0, is 0.0"),
        ({"price": float("inf")}, "price must be finite, is inf"),
        ({"sl": None}, "sl must be a float, is None"),
        ({"type": 0.0}, "type must be an int, is 0.0"),
        ({"symbol": 5}, "symbol must be a str, is 5"),
    ],
)
def test_each_fault_is_a_sentence(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in faults_of(**changed)


@pytest.mark.parametrize(
    ("request_", "sentences"),
    [
        ({}, ["action is missing"]),
        ({"action": 1, "symbol": "EURUSD", "volume": 0.1}, ["type is missing", "price is missing"]),
        ({"action": 6, "symbol": "EURUSD"}, ["position is missing", "sl is missing", "tp is missing"]),
    ],
)
def test_what_is_missing_is_said(request_: dict[str, Any], sentences: list[str]) -> None:
    assert faults(request_, SPEC, QUOTE) == sentences


def test_a_request_without_faults_has_none() -> None:
    assert faults_of() == faults_of(sl=1.09, tp=1.11) == []


# Distances are inclusive, from the bid for buys and from the ask for sells
@pytest.mark.parametrize(
    ("side", "given", "sentences"),
    [
        (Side.BUY, Levels(1.0990, 1.1010), []),
        (Side.BUY, Levels(1.09901, None), ["sl 1.09901 is 99 points from the market, EURUSD wants 100 (its stops level)"]),
        (Side.BUY, Levels(None, 1.10099), ["tp 1.10099 is 99 points from the market, EURUSD wants 100 (its stops level)"]),
        (Side.SELL, Levels(1.1011, 1.0991), []),
        (Side.SELL, Levels(1.10109, 1.09911), 2),
        (Side.BUY, Levels(), []),
    ],
)
def test_stops_keep_their_distance_from_the_market(side: Side, given: Levels, sentences: list[str] | int) -> None:
    spec = replace(SPEC, stops_level=100)
    found = faults(entry_request(side, 0.1, Market(spec, QUOTE), LABEL, given), spec, QUOTE)
    assert len(found) == sentences if isinstance(sentences, int) else found == sentences


def test_a_close_has_no_stops_to_keep_away() -> None:
    spec = replace(SPEC, stops_level=100)
    assert faults(close_request(HELD, 0.1, Market(spec, QUOTE), LABEL), spec, QUOTE) == []


@pytest.mark.parametrize(
    ("side", "limit", "stop", "kind"),
    [
        (Side.BUY, 1.09, None, 2),
        (Side.SELL, 1.21, None, 3),
        (Side.BUY, None, 1.21, 4),
        (Side.SELL, None, 1.09, 5),
        (Side.BUY, 1.215, 1.21, 6),
        (Side.SELL, 1.085, 1.09, 7),
    ],
)
def test_an_order_that_waits_names_its_kind_its_prices_and_how_long_it_waits(
    side: Side, limit: float | None, stop: float | None, kind: int
) -> None:
    market = Market(SPEC, Quote(1.1, 1.1002, 0.0))
    request = pending_request(side, 0.1, market, LABEL, trigger=Trigger(limit, stop, Levels(1.0, 1.3)))
    assert (request["action"], request["type"], request["volume"], request["magic"], request["comment"]) == (5, kind, 0.1, 7, LABEL.key)
    assert (request["price"], request.get("stoplimit")) == ((limit, None) if stop is None else (stop, limit))
    assert (request["sl"], request["tp"], request["type_time"]) == (1.0, 1.3, 0)
    assert faults(request, market.spec, market.quote) == []


@pytest.mark.parametrize(
    ("limit", "stop", "met", "left"),
    [
        (1.2, None, True, None),  # buys at 1.1002, which is better
        (1.0, None, False, None),
        (None, 1.05, True, None),  # the market is above it already
        (None, 1.15, False, 1.15),
        (1.2, 1.05, True, None),
        (1.0, 1.05, False, None),  # waits for its limit alone
    ],
)
def test_what_the_market_has_reached_is_not_waited_for(limit: float | None, stop: float | None, met: bool, left: float | None) -> None:
    quote, trigger = Quote(1.1, 1.1002, 0.0), Trigger(limit, stop)
    assert trigger.is_met(quote, Side.BUY) is met
    assert trigger.at(quote, Side.BUY).stop == left


def test_a_waiting_order_keeps_its_price_at_a_fresh_quote() -> None:
    market = Market(SPEC, Quote(1.1, 1.1002, 0.0))
    request = pending_request(Side.BUY, 0.1, market, LABEL, trigger=Trigger(1.05))
    assert at_quote(request, Quote(1.2, 1.2002, 0.0))["price"] == 1.05
    assert remove_request("EURUSD", 9) == {"action": 8, "symbol": "EURUSD", "order": 9}
