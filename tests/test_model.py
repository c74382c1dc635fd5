from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from Live.model import (
    MOVES,
    OVER,
    UNSETTLED,
    BarId,
    Kind,
    Magic,
    Quote,
    Side,
    Slot,
    Status,
    SymbolSpec,
    client_order_id,
    order_key,
)

SLOT = Slot(12345678, "Demo-Server", "sma_cross", Magic(123456))
BAR = BarId(SLOT, "EURUSD", "H1", 1_517_788_800, datetime(2018, 2, 5, tzinfo=UTC))
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")
NAMES = st.text(min_size=1, max_size=20)

OPEN_STATUSES = {Status.PENDING, Status.SUBMITTED, Status.PLACED, Status.PARTIALLY_FILLED, Status.UNKNOWN, Status.UNRESOLVED}


@st.composite
def decisions(draw: st.DrawFn) -> tuple[BarId, Kind, str]:
    slot = Slot(draw(st.integers(1, 10**9)), draw(NAMES), draw(NAMES), Magic(draw(st.integers(1, 2**63 - 1))))
    bar = BarId(slot, draw(NAMES), draw(st.sampled_from(["M1", "H1"])), draw(st.integers(0, 2**31)), BAR.time)
    return bar, draw(st.sampled_from(Kind)), draw(st.sampled_from(["0", "1", "1.0", "1+", "10"]))


# the life of an order


def test_every_status_has_its_moves() -> None:
    assert set(MOVES) == set(Status)


def test_what_is_over_goes_nowhere_but_to_a_late_fill() -> None:
    final = {status for status in Status if MOVES[status] <= {Status.LATE_FILLED}}
    assert final == set(Status) - OPEN_STATUSES
    assert {status for status in Status if Status.LATE_FILLED in MOVES[status]} == final == OVER


def test_an_order_whose_outcome_is_unknown_is_never_sent_again() -> None:
    can_be_sent = {status for status in Status if Status.SUBMITTED in MOVES[status]}
    assert can_be_sent == {Status.PENDING, Status.SUBMITTED}


def test_only_an_unknown_or_unresolved_order_can_be_proved_absent() -> None:
    assert {status for status in Status if Status.ABSENT in MOVES[status]} == {Status.UNKNOWN, Status.UNRESOLVED}


def test_from_everywhere_an_end_can_be_reached() -> None:
    ends = set(Status) - OPEN_STATUSES
    for status in Status:
        reached = {status}
        for _ in Status:
            reached |= {after for each in reached for after in MOVES[each]}
        assert reached & ends


def test_no_risk_is_added_while_an_order_may_have_happened() -> None:
    assert {Status.SUBMITTED, Status.UNKNOWN, Status.UNRESOLVED} == UNSETTLED


# names of decisions


@given(decisions())
def test_the_same_decision_has_the_same_id(decision: tuple[BarId, Kind, str]) -> None:
    bar, kind, leg = decision
    same = replace(bar, slot=replace(bar.slot), time=datetime(2030, 1, 1, tzinfo=UTC))  # the time in UTC is not what was decided
    assert client_order_id(bar, kind, leg) == client_order_id(same, kind, leg)


@given(decisions(), decisions())
def test_different_decisions_have_different_ids_and_keys(one: tuple[BarId, Kind, str], other: tuple[BarId, Kind, str]) -> None:
    assume(one != other)
    assert client_order_id(*one) != client_order_id(*other)
    assert order_key(client_order_id(*one)) != order_key(client_order_id(*other))


@pytest.mark.parametrize(
    "changed",
    [
        {"bar": replace(BAR, slot=replace(SLOT, login=1))},
        {"bar": replace(BAR, slot=replace(SLOT, server="Other"))},
        {"bar": replace(BAR, slot=replace(SLOT, strategy_id="ema_cross"))},
        {"bar": replace(BAR, slot=replace(SLOT, magic=Magic(1)))},
        {"bar": replace(BAR, symbol="GBPUSD")},
        {"bar": replace(BAR, timeframe="M15")},
        {"bar": replace(BAR, epoch=BAR.epoch + 3600)},
        {"kind": Kind.EXIT},
        {"leg": "1"},
    ],
    ids=["login", "server", "strategy", "magic", "symbol", "timeframe", "bar", "kind", "leg"],
)
def test_each_part_of_a_decision_counts(changed: dict[str, Any]) -> None:
    decision: dict[str, Any] = {"bar": BAR, "kind": Kind.ENTRY, "leg": "0"}
    assert client_order_id(**decision) != client_order_id(**(decision | changed))


def test_an_id_is_the_same_in_every_version_of_this_program() -> None:
    assert client_order_id(BAR, Kind.ENTRY, "0") == "KUBN7VC2NFYHG3BMANU5HDVDFDQ43RZM"


@given(decisions())
def test_a_key_fits_into_what_every_server_keeps_of_a_comment(decision: tuple[BarId, Kind, str]) -> None:
    key = order_key(client_order_id(*decision))
    assert len(key) == 13
    assert key.isascii()
    assert key.isalnum()


@given(st.text())
def test_any_id_has_a_key(order_id: str) -> None:
    key = order_key(order_id)
    assert key == order_key(order_id)
    assert len(key) == 13
    assert key.isascii()


# what the broker allows


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_lots_are_rounded_down_onto_the_grid_and_never_up(wanted: float) -> None:
    lots = SPEC.tradable_lots(wanted)
    assert lots == 0.0 or SPEC.lot_min <= lots <= SPEC.lot_max
    assert lots <= max(0.0, wanted + 1e-9) or wanted != wanted
    assert round(lots / SPEC.lot_step) * SPEC.lot_step == pytest.approx(lots, abs=1e-9)


@pytest.mark.parametrize("changed", [{"lot_step": 0.0}, {"lot_min": 0.001}, {"lot_max": 0.001}, {"contract_size": 0.0}])
def test_a_symbol_whose_lots_make_no_sense_cannot_be_described(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="EURUSD: want 0 < volume_step"):
        replace(SPEC, **changed)  # type: ignore[arg-type]


def test_prices_are_rounded_to_the_tick_where_there_is_one() -> None:
    assert SPEC.on_grid(1.234567) == 1.23457
    assert replace(SPEC, tick_size=0.0).on_grid(1.234567) == 1.234567


@pytest.mark.parametrize(("bid", "ask"), [(0.0, 1.0), (1.1, 1.0), (float("nan"), 1.0), (1.0, float("inf")), (-1.0, 1.0)])
def test_a_quote_that_cannot_be_true_is_not_sane(bid: float, ask: float) -> None:
    assert not Quote(bid, ask, 0.0).is_sane()


def test_buys_pay_the_ask_and_sells_get_the_bid() -> None:
    quote = Quote(1.0, 1.1, 0.0)
    assert [quote.price_for(side) for side in (Side.BUY, Side.SELL)] == [1.1, 1.0]
    assert quote.is_sane()
    assert [(side.opposite, side.sign) for side in Side] == [(Side.SELL, 1), (Side.BUY, -1)]
