from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.model import MOVES, BarId, Deal, Intent, Kind, Magic, Position, Side, Slot, Status, Ticket, client_order_id, order_key
from Live.mt5_connector.shown import Shown, ShownOrder
from Live.order_executor.evidence import Evidence, by_key, by_tickets, carries, conclusion, contradicts, lookalikes

NOW = datetime(2018, 2, 5, tzinfo=UTC)
SLOT = Slot(12345678, "Demo-Server", "sma_cross", Magic(123456))
BAR = BarId(SLOT, "EURUSD", "H1", 1_517_788_800, NOW)
ENTRY = Intent(client_order_id(BAR, Kind.ENTRY, "0"), BAR, Kind.ENTRY, "0", Side.BUY)
EXIT = Intent(client_order_id(BAR, Kind.EXIT, "0"), BAR, Kind.EXIT, "0", Side.SELL, position=Ticket(50))
KEY = order_key(ENTRY.order_id)
FILLED, CANCELED, PARTIAL, REJECTED, EXPIRED = 4, 2, 3, 5, 6  # ORDER_STATE_*
STOP_LOSS, BY_HAND = 4, 0  # ORDER_REASON_*
EARLIER = (98, 99, 300)  # tickets need not ascend


def order(ticket: int = 100, **changed: Any) -> ShownOrder:
    usual = ShownOrder(ticket, "EURUSD", Side.BUY, 0.1, 0.0, False, FILLED, 3, ticket, SLOT.magic, KEY)
    return replace(usual, **changed)


def deal(ticket: int = 200, of: int = 100, lots: float = 0.1, **changed: Any) -> Deal:
    usual = Deal(Ticket(ticket), of, of, "EURUSD", Side.BUY, "IN", lots, 1.2, 0.0, 0.0, 0.0, 0.0, 3, SLOT.magic, KEY, NOW, BAR.epoch)
    return replace(usual, **changed)


def position(ticket: int = 100, **changed: Any) -> Position:
    usual = Position(Ticket(ticket), ticket, "EURUSD", Side.BUY, 0.1, 1.2, NOW, BAR.epoch, None, None, 1.2, 0.0, 0.0, SLOT.magic, KEY)
    return replace(usual, **changed)


def shown(*facts: ShownOrder | Deal | Position) -> Shown:
    return Shown(
        tuple(each for each in facts if isinstance(each, ShownOrder)),
        tuple(each for each in facts if isinstance(each, Deal)),
        tuple(each for each in facts if isinstance(each, Position)),
    )


# whose is it?


@pytest.mark.parametrize("fact", [order(active=True), order(), deal(), position()], ids=["active", "finished", "deal", "position"])
def test_an_order_is_found_in_each_of_the_four_lists(fact: ShownOrder | Deal | Position) -> None:
    assert by_key(shown(fact), ENTRY).tickets == {100}


def test_a_position_is_evidence_of_the_order_that_opened_it_only() -> None:
    closing = replace(EXIT, side=Side.BUY)
    assert not by_key(shown(position(comment=order_key(closing.order_id))), closing).tickets


@pytest.mark.parametrize("other", [{"side": Side.SELL}, {"symbol": "GBPUSD"}, {"comment": order_key("another")}, {"comment": ""}])
def test_what_is_on_another_side_or_symbol_or_has_another_comment_is_another_order(other: dict[str, Any]) -> None:
    assert by_key(shown(order(**other), deal(**other), position(**other)), ENTRY) == Evidence(frozenset())


def test_an_order_that_is_not_shown_is_no_evidence() -> None:
    assert by_tickets(shown(order(7), deal(of=7)), {100}) == Evidence(frozenset())


@given(st.text(), st.text())
def test_a_key_is_found_inside_any_words_and_never_by_chance(left: str, right: str) -> None:
    assert carries(left + KEY + right, KEY)
    assert not carries(left[:7], KEY)


@given(st.integers(0, 13))
def test_a_key_that_was_cut_counts_from_eight_characters(length: int) -> None:
    assert carries(KEY[:length], KEY) is (length >= 8)


BLANK = order(comment="")


def test_a_fingerprint_fits_an_order_that_has_lost_its_comment() -> None:
    assert lookalikes(shown(BLANK), ENTRY, 0.1, before=EARLIER) == {100}
    assert lookalikes(shown(order(comment="", active=True, position_id=0)), ENTRY, 0.1, before=EARLIER) == {100}
    closing = order(comment="", side=Side.SELL, position_id=50)
    assert lookalikes(shown(closing), EXIT, 0.1, before=EARLIER) == {100}


def test_an_order_whose_deal_has_kept_the_key_of_another_is_not_this_one() -> None:
    assert lookalikes(shown(BLANK, deal(of=100, comment="qAAAAAAAAAAAA")), ENTRY, 0.1, before=EARLIER) == frozenset()
    assert lookalikes(shown(BLANK, deal(of=100, comment="")), ENTRY, 0.1, before=EARLIER) == {100}


@pytest.mark.parametrize("lost", [{"magic": Magic(0)}, {"ticket": 5, "position_id": 5}, {"ticket": 2**62, "position_id": 2**62}])
def test_a_fingerprint_needs_neither_a_magic_number_nor_tickets_that_ascend(lost: dict[str, Any]) -> None:
    assert lookalikes(shown(replace(BLANK, **lost)), ENTRY, 0.1, before=EARLIER) == {lost.get("ticket", 100)}


@pytest.mark.parametrize(
    "other",
    [
        {"ticket": 300, "position_id": 300},
        {"ticket": 99, "position_id": 99},
        {"lots": 0.11},
        {"side": Side.SELL},
        {"symbol": "GBPUSD"},
        {"magic": Magic(7)},
        {"reason": STOP_LOSS},
        {"reason": BY_HAND},
        {"position_id": 50},
        {"comment": order_key("another")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_fingerprint_fits_nothing_else(other: dict[str, Any]) -> None:
    assert lookalikes(shown(replace(BLANK, **other)), ENTRY, 0.1, before=EARLIER) == frozenset()


REQUEST = {"sl": 1.09, "tp": 1.12}


@pytest.mark.parametrize(
    ("levels", "request_", "other"),
    [
        ({"sl": 1.09, "tp": 1.12}, REQUEST, False),
        ({"sl": 1.0900000000000003, "tp": 1.12}, REQUEST, False),  # as a server has read it
        ({}, {"sl": 0.0, "tp": 0.0}, False),
        ({}, {}, False),
        ({}, REQUEST, True),
        ({"sl": 1.09}, REQUEST, True),
        ({"tp": 1.12}, {}, True),
        ({"sl": 1.08, "tp": 1.12}, REQUEST, True),
        ({"sl": 1.09}, {"position": 50}, False),  # a close, shown with the levels of its position
    ],
    ids=str,
)
def test_an_order_with_other_levels_than_were_asked_for_contradicts(
    levels: dict[str, float], request_: dict[str, Any], *, other: bool
) -> None:
    assert contradicts(replace(BLANK, **levels), request_) is other  # type: ignore[arg-type]


# what does it prove?


def test_without_evidence_nothing_is_concluded() -> None:
    assert conclusion(Evidence(frozenset()), 0.1) is None


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([order(), deal()], Status.FILLED),
        ([deal()], Status.FILLED),
        ([order(active=True, lots_left=0.0), deal()], Status.FILLED),  # the lists do not change at the same moment
        ([deal(200, lots=0.04), deal(201, lots=0.06), order()], Status.FILLED),
        ([order(active=True, lots_left=0.1, state=1)], Status.PLACED),
        ([order(active=True, lots_left=0.06, state=PARTIAL), deal(lots=0.04)], Status.PARTIALLY_FILLED),
        ([position()], Status.PLACED),  # its deal will come
        ([order()], Status.PLACED),
        ([order(), deal(lots=0.04)], Status.PARTIALLY_FILLED),
        ([deal(lots=0.04)], Status.PARTIALLY_FILLED),
        ([order(state=CANCELED, lots_left=0.06), deal(lots=0.04)], Status.FILLED),
        ([order(state=CANCELED, lots_left=0.1)], Status.CANCELLED),
        ([order(state=REJECTED, lots_left=0.1)], Status.FAILED),
        ([order(state=EXPIRED, lots_left=0.1)], Status.EXPIRED),
        ([order(state=9, lots_left=0.1)], Status.PLACED),
    ],
)
def test_fills_come_from_deals_and_ends_from_finished_orders(facts: list[ShownOrder | Deal | Position], status: Status) -> None:
    found = conclusion(by_key(shown(*facts), ENTRY), 0.1)
    assert found is not None
    assert found.status is status


def test_what_the_status_does_not_say_is_said_in_a_sentence() -> None:
    partly = conclusion(by_key(shown(order(state=CANCELED, lots_left=0.06), deal(lots=0.04)), ENTRY), 0.1)
    assert partly is not None
    assert partly.sentence == "filled 0.04 of 0.1 lots; the rest is not chased"
    refused = conclusion(by_key(shown(order(state=REJECTED, lots_left=0.1)), ENTRY), 0.1)
    assert refused is not None
    assert refused.sentence == "the server ended it as FAILED without a fill"


def test_an_order_that_somebody_else_sent_is_as_large_as_its_deals() -> None:
    for facts, status in (([deal()], Status.FILLED), ([order(active=True), deal()], Status.PARTIALLY_FILLED)):
        found = conclusion(by_key(shown(*facts), ENTRY), None)
        assert found is not None
        assert found.status is status


def test_the_price_is_the_average_of_the_deals() -> None:
    evidence = by_key(shown(deal(200, lots=0.01, price=1.0), deal(201, lots=0.03, price=2.0)), ENTRY)
    assert (evidence.lots, evidence.price) == (0.04, 1.75)
    assert by_key(shown(deal(price=1.23456789)), ENTRY).price == 1.23456789


@given(
    st.lists(
        st.one_of(
            st.builds(order, active=st.booleans(), state=st.integers(0, 9), lots_left=st.sampled_from([0.0, 0.04, 0.1])),
            st.builds(deal, ticket=st.integers(200, 300), lots=st.sampled_from([0.02, 0.04, 0.1])),
            st.builds(position),
        ),
        max_size=4,
    )
)
def test_every_conclusion_is_one_that_an_unknown_order_may_come_to(facts: list[Any]) -> None:
    found = conclusion(by_key(shown(*facts), ENTRY), 0.1)
    assert (found is None) is (not facts)
    assert found is None or found.status in MOVES[Status.UNKNOWN] - {Status.ABSENT, Status.UNRESOLVED}
    lots = sum(each.lots for each in facts if isinstance(each, Deal))
    assert found is None or (found.status is not Status.FILLED or lots > 0)
