import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.decisions import Account, ClosedTrade, OpenTrade, WaitingOrder
from Live.audit_logger import to_json
from Live.model import Deal, Magic, Position, Side, SymbolSpec, Ticket
from Live.trade_book import First, TradeBook, account_of, facts_of, open_trade, openings_first

SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")


def at(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def deal(ticket: int, position: int, entry: str, epoch: int = 100, **given_: Any) -> Deal:
    values: dict[str, Any] = {
        "symbol": "EURUSD",
        "side": Side.BUY if entry == "IN" else Side.SELL,
        "lots": 1.0,
        "price": 1.1,
        "profit": 0.0,
        "commission": 0.0,
        "swap": 0.0,
        "fee": 0.0,
        "reason": 3,
    } | given_
    return Deal(Ticket(ticket), ticket, position, entry=entry, magic=Magic(1), comment="", time=at(epoch), epoch=epoch, **values)


def position(identifier: int, lots: float, epoch: int = 100, **given_: Any) -> Position:
    values: dict[str, Any] = {"side": Side.BUY, "sl": None, "tp": None, "price_open": 1.1} | given_
    return Position(
        Ticket(identifier),
        identifier,
        "EURUSD",
        lots=lots,
        opened_at=at(epoch),
        epoch=epoch,
        price_current=1.1,
        profit=0.0,
        swap=0.0,
        magic=Magic(1),
        comment="",
        **values,
    )


def book_of(*deals: Deal) -> TradeBook:
    book = TradeBook()
    for each in deals:
        book.add(each, SPEC, tag=f"tag {each.position_id}")
    return book


def test_a_close_makes_a_trade_of_its_entry_and_its_exit() -> None:
    book = book_of(deal(1, 10, "IN", 100, lots=0.3, price=1.1, commission=-3.0, fee=-0.3))
    made = book.add(deal(2, 10, "OUT", 200, lots=0.3, price=1.2, commission=-2.0, fee=-0.2, reason=4), SPEC, "tag 10")
    assert made is not None
    assert (made.side, made.reason, made.commission) == (Side.BUY, "stop loss", -5.5)
    (trade,) = book.closed("EURUSD")
    assert (trade.size, trade.entry_price, trade.exit_price, trade.costs, trade.tag) == (30_000, 1.1, 1.2, 5.5, "tag 10")
    assert (trade.entry_time, trade.exit_time) == (pd.Timestamp(100, unit="s"), pd.Timestamp(200, unit="s"))


def test_a_part_bears_its_share_of_the_entrys_costs() -> None:
    book = book_of(deal(1, 10, "IN", lots=1.0, commission=-8.0))
    made = [book.add(deal(ticket, 10, "OUT", lots=lots, commission=-1.0), SPEC, None) for ticket, lots in ((2, 0.25), (3, 0.75))]
    assert [each.commission for each in made if each] == [-3.0, -7.0]


def test_an_entry_that_was_filled_in_parts_is_one_entry_at_its_average_price() -> None:
    book = book_of(
        deal(1, 10, "IN", 100, lots=1.0, price=1.0, commission=-4.0), deal(2, 10, "IN", 101, lots=3.0, price=1.2, commission=-8.0)
    )
    made = book.add(deal(3, 10, "OUT", 200, lots=4.0), SPEC, None)
    assert made is not None
    assert (made.entry.ticket, made.entry.epoch, made.entry.lots, made.commission) == (1, 100, 4.0, -12.0)
    assert made.entry.price == pytest.approx(1.15)


def test_adding_a_deal_twice_changes_nothing() -> None:
    book = book_of(deal(1, 10, "IN"), deal(2, 10, "OUT", 200))
    assert book.add(deal(2, 10, "OUT", 200), SPEC, None) is None
    assert book.add(deal(1, 10, "IN"), SPEC, None) is None
    assert len(book.closed("EURUSD")) == 1
    assert (2 in book.seen, 3 in book.seen, 10 in book, 11 in book) == (True, False, True, False)


def test_a_close_whose_opening_is_not_known_makes_no_trade() -> None:
    book = book_of(deal(2, 10, "OUT"))
    assert book.add(deal(3, 10, "OUT"), SPEC, None) is None
    assert book.closed("EURUSD") == []
    assert 10 not in book


@pytest.mark.parametrize(("reason", "word"), [(0, "manual"), (3, "strategy"), (5, "take profit"), (6, "stop out"), (9, "reason 9")])
def test_an_exit_says_what_closed_it(reason: int, word: str) -> None:
    book = book_of(deal(1, 10, "IN"))
    made = book.add(deal(2, 10, "OUT", reason=reason), SPEC, None)
    assert made is not None
    assert made.reason == word


@pytest.mark.parametrize(("side", "size"), [(Side.BUY, 30_000), (Side.SELL, -30_000)])
def test_a_position_in_backtestings_words(side: Side, size: float) -> None:
    shown = open_trade(position(10, 0.3, side=side, sl=1.0), SPEC, "mine")
    assert shown == OpenTrade(10, size, 1.1, pd.Timestamp(100, unit="s"), 1.0, None, "mine")


def test_a_trade_that_a_stop_has_closed_since_is_shown_as_it_was() -> None:
    book = book_of(deal(1, 10, "IN", 100))
    book.note_levels([position(10, 1.0, sl=1.05, tp=1.3)])
    book.add(deal(2, 10, "OUT", 300, price=1.05), SPEC, "tag 10")
    assert book.as_of([], "EURUSD", SPEC, before=300) == (
        [OpenTrade(10, 100_000, 1.1, pd.Timestamp(100, unit="s"), 1.05, 1.3, "tag 10")],
        [],
    )
    shown, closed = book.as_of([], "EURUSD", SPEC, before=301)
    assert (shown, [trade.deal for trade in closed]) == ([], [2])


def test_a_trade_of_which_a_part_has_been_closed_since_is_shown_whole() -> None:
    book = book_of(deal(1, 10, "IN", 100), deal(2, 10, "OUT", 300, lots=0.4))
    held = open_trade(position(10, 0.6), SPEC, None)
    assert book.as_of([held], "EURUSD", SPEC, before=300) == ([replace(held, size=100_000)], [])


def test_what_was_opened_since_is_not_shown_yet_also_when_it_has_been_closed_again() -> None:
    book = book_of(deal(1, 10, "IN", 300), deal(2, 10, "OUT", 300))
    later = open_trade(position(11, 1.0, epoch=300), SPEC, None)
    assert book.as_of([later], "EURUSD", SPEC, before=300) == ([], [])


def test_what_a_deal_did_to_the_balance_is_all_of_its_money() -> None:
    assert deal(1, 10, "OUT", profit=10.0, commission=-2.0, swap=-0.5, fee=-0.25).money == 7.25


def test_symbols_are_apart() -> None:
    book = book_of(deal(1, 10, "IN"), deal(2, 11, "IN", symbol="GBPUSD"), deal(3, 11, "OUT", symbol="GBPUSD"))
    assert [len(book.closed(name)) for name in ("EURUSD", "GBPUSD", "USDJPY")] == [0, 1, 0]


@st.composite
def histories(draw: st.DrawFn) -> list[Deal]:
    """Deals as a server makes them, oldest first: positions that open, and close in parts."""
    deals: list[Deal] = []
    left: dict[int, int] = {}  # hundredths of a lot
    for number in range(1, draw(st.integers(1, 25))):
        epoch = 100 + 10 * number
        if len(left) > 0 and draw(st.booleans()):
            which = draw(st.sampled_from(sorted(left)))
            part = draw(st.integers(1, left[which]))
            side = next(each.side for each in deals if each.position_id == which).opposite
            deals.append(deal(number, which, "OUT", epoch, lots=part / 100, side=side, commission=-float(draw(st.integers(0, 9)))))
            left[which] -= part
            if not left[which]:
                del left[which]
        else:
            left[number] = draw(st.integers(1, 500))
            side = draw(st.sampled_from(Side))
            deals.append(deal(number, number, "IN", epoch, lots=left[number] / 100, side=side, commission=-float(draw(st.integers(0, 9)))))
    return deals


def held_after(deals: list[Deal]) -> list[OpenTrade]:
    entries = [each for each in deals if each.entry == "IN"]
    held = []
    for entry in entries:
        lots = round(entry.lots - sum(each.lots for each in deals if each.entry == "OUT" and each.position_id == entry.position_id), 8)
        if lots:
            held.append(open_trade(position(entry.position_id, lots, entry.epoch, side=entry.side), SPEC, f"tag {entry.position_id}"))
    return held


def rounded(trades: list[OpenTrade]) -> list[OpenTrade]:
    return [replace(trade, size=round(trade.size, 4)) for trade in trades]


@given(histories(), st.integers(90, 400))
def test_looking_back_shows_what_was_shown_then(deals: list[Deal], moment: int) -> None:
    earlier = [each for each in deals if each.epoch < moment]
    shown, closed = book_of(*deals).as_of(held_after(deals), "EURUSD", SPEC, before=moment)
    assert rounded(shown) == rounded(held_after(earlier))
    assert closed == book_of(*earlier).closed("EURUSD")


@given(histories())
def test_every_lot_and_every_cost_is_in_an_open_or_a_closed_trade(deals: list[Deal]) -> None:
    closed, held = book_of(*deals).closed("EURUSD"), {trade.ticket: trade.size for trade in held_after(deals)}
    costs_of_held = 0.0
    for entry in (each for each in deals if each.entry == "IN"):
        still = held.get(entry.position_id, 0.0)
        parts = [trade.size for trade in closed if trade.ticket == entry.position_id]
        assert sum(parts, still) == pytest.approx(entry.lots * 100_000 * entry.side.sign)
        costs_of_held -= entry.commission * abs(still) / (entry.lots * 100_000)
    assert sum(trade.costs for trade in closed) + costs_of_held == pytest.approx(-sum(each.commission for each in deals))


def test_an_account_on_record_is_read_as_it_was_shown() -> None:
    time = pd.Timestamp("2024-01-02 03:00")
    closed = [ClosedTrade(1, 1, 5.0, 1.0, 1.1, time, time), ClosedTrade(2, 2, 5.0, 1.0, 1.1, time, time)]
    order = WaitingOrder(time, 2, -0.5, 1.2, None, 1.3, 1.1, [1, "a"])
    shown = Account(123.45, (OpenTrade(7, -3.0, 1.05, time, None, 1.0, {"a": 1}),), closed[:1], (order,))
    assert account_of(json.loads(to_json(facts_of(shown))), closed) == shown


def test_the_first_trades_stay_the_same_when_more_are_closed() -> None:
    closed = list(book_of(deal(1, 1, "IN"), deal(2, 1, "OUT"), deal(3, 2, "IN"), deal(4, 2, "OUT")).closed("EURUSD"))
    one, more_than_there_are, all_of_them = First(closed, 1), First(closed, 9), list(closed)
    closed.append(closed[0])
    assert (list(one), list(more_than_there_are)) == (all_of_them[:1], all_of_them)
    assert one == all_of_them[:1]
    assert all_of_them[:1] == one
    assert one != all_of_them
    assert (one[0], one[-1], one[1:], more_than_there_are[1:]) == (all_of_them[0], all_of_them[0], [], all_of_them[1:])
    with pytest.raises(IndexError):
        one[1]


def test_an_account_of_long_ago_does_not_copy_the_trades_before_it() -> None:
    closed = [ClosedTrade(1, 1, 1.0, 1.0, 1.0, pd.Timestamp(0), pd.Timestamp(0), 0.0)] * 100_000
    facts = facts_of(Account(0.0, (), closed))
    tracemalloc.start()
    accounts = [account_of(facts, closed) for _ in range(100)]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert [len(account.closed) for account in accounts] == [100_000] * 100
    assert taken < 100_000


def test_a_close_never_comes_before_the_opening_of_its_position_and_all_else_keeps_its_order() -> None:
    deals = [deal(5, 1, "OUT", 100), deal(6, 2, "IN", 100), deal(7, 1, "IN", 100), deal(8, 2, "OUT", 101), deal(9, 3, "OUT", 102)]
    assert [each.ticket for each in openings_first(deals)] == [6, 7, 5, 8, 9]
