"""What a client sees when questions are not answered, or lists show other things than there are, and what the broker's truth is."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from Backtest.simulated_terminal import AccountSpec
from Backtest.simulated_terminal.faults import At, FaultyTerminal, NthCall, Planned
from Backtest.simulated_terminal.faults.tickets import large
from tests.simulated_terminal.faulty import FROM_THE_START, counted, faulty, held, traded, with_faults
from tests.simulated_terminal.terminals import ALL, BUY_LIMIT, T0, close, deal, modify, pending, protect, remove

READS = ["positions_get", "orders_get", "positions_total", "account_info", "terminal_info", "symbols_get"]

# no answer, or an empty one


@pytest.mark.parametrize("function", READS)
@pytest.mark.parametrize("times", [1, 3, None])
def test_a_question_is_not_answered_once_several_times_or_for_ever(function: str, times: int | None) -> None:
    terminal = faulty("no_answer", NthCall(function), times=times)
    answers = [getattr(terminal, function)() for _ in range(5)]
    silent = 5 if times is None else times
    assert [answer is None for answer in answers] == [True] * silent + [False] * (5 - silent)
    assert counted(terminal) == {"no_answer": silent}


def test_a_question_that_is_not_answered_has_its_error_and_the_next_one_none() -> None:
    terminal = faulty("no_answer", NthCall("positions_get"), error=-10005)
    assert (terminal.positions_get(), terminal.last_error()) == (None, (-10005, "IPC timeout"))
    assert (terminal.positions_get(), terminal.last_error()) == ((), (1, "Success"))


@pytest.mark.parametrize(("function", "args"), [("positions_get", ()), ("history_deals_get", ALL), ("positions_total", ())])
def test_a_list_that_is_not_empty_is_shown_empty_and_there_is_no_error(function: str, args: tuple[int, ...]) -> None:
    terminal = faulty("empty_list", NthCall(function))
    terminal.order_send(deal())
    assert getattr(terminal, function)(*args) in ((), 0)
    assert terminal.last_error() == (1, "Success")
    assert getattr(terminal, function)(*args)


def test_a_list_that_is_empty_in_truth_is_no_fault() -> None:
    terminal = faulty("empty_list", NthCall("positions_get"))
    assert terminal.positions_get() == ()
    assert counted(terminal) == {}


# late


@pytest.mark.parametrize("order", list(itertools.permutations(["positions", "history_orders", "history_deals"])))
def test_lists_show_what_has_happened_in_any_order(order: tuple[str, ...]) -> None:
    delays = {name: 5.0 * place for place, name in enumerate(order)}
    terminal = faulty("late_lists", FROM_THE_START, orders=0.0, **delays)
    terminal.order_send(deal())
    for seen in range(1, 4):
        shown = {"positions": held(terminal), "history_orders": terminal.history_orders_get(*ALL), "history_deals": traded(terminal)}
        assert [name for name in order if shown[name]] == list(order[:seen])
        terminal.clock.sleep(5)
    assert held(terminal.inner) == [0.1]


def test_an_order_that_fills_is_in_neither_list_for_a_while() -> None:
    terminal = faulty("late_lists", FROM_THE_START, orders=0.0, positions=0.0, history_orders=2.0, history_deals=0.0)
    ticket = terminal.order_send(deal()).order
    assert (terminal.orders_get(ticket=ticket), terminal.history_orders_get(ticket=ticket)) == ((), ())
    terminal.clock.sleep(2)
    assert [row.ticket for row in terminal.history_orders_get(ticket=ticket)] == [ticket]


def test_a_position_stays_in_its_list_for_a_while_after_it_was_closed() -> None:
    terminal = faulty("late_lists", FROM_THE_START, positions=0.8)
    terminal.order_send(deal())
    terminal.clock.sleep(1)
    (position,) = terminal.positions_get()
    assert terminal.order_send(close(position)).retcode == 10009
    assert (held(terminal), terminal.positions_total(), held(terminal.inner)) == ([0.1], 1, [])
    terminal.clock.sleep(0.9)
    assert (held(terminal), terminal.positions_total()) == ([], 0)


# not all of the history


@pytest.mark.parametrize(("oldest", "newest", "left"), [(1, 0, [0.1, 0.2, 0.3]), (0, 1, [0.1, 0.2]), (2, 1, [0.2]), (9, 9, [])])
def test_the_oldest_or_newest_rows_of_the_history_are_missing(oldest: int, newest: int, left: list[float]) -> None:
    terminal = faulty("history_truncated", FROM_THE_START, lasts=60.0, oldest=oldest, newest=newest)
    for lots in (0.1, 0.2, 0.3):
        terminal.order_send(deal(volume=lots))
    assert (traded(terminal), traded(terminal.inner)) == (left, [0.1, 0.2, 0.3])
    terminal.clock.sleep(60)
    assert traded(terminal) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("moment", [int, float, lambda second: datetime.fromtimestamp(second, UTC)])
def test_the_window_of_a_question_is_off_by_the_servers_time_zone(moment: Any) -> None:
    terminal = faulty("window_off", FROM_THE_START, hours=3)
    terminal.order_send(deal())

    def found(*window: int) -> int:
        return len([row for row in terminal.history_deals_get(*map(moment, window)) if row.order])

    assert (found(T0 - 3600, T0 + 3600), found(T0 + 7200, T0 + 4 * 3600)) == (0, 1)
    assert terminal.history_deals_get(position=terminal.positions_get()[0].ticket)


# other words

KEY = "qABCDEFGHIJKL and more"


@pytest.mark.parametrize(
    ("how", "comment"),
    [("cut", KEY[:16]), ("blank", ""), ("overwritten", "[sl 1.00000]"), ("upper", KEY.upper()), ("lower", KEY.lower())],
)
def test_the_server_makes_something_else_of_a_comment(how: str, comment: str) -> None:
    terminal = faulty("comment_changed", FROM_THE_START, how=how)
    terminal.order_send(deal(comment=KEY))
    rows = [*terminal.positions_get(), *terminal.history_orders_get(*ALL), terminal.history_deals_get(*ALL)[-1]]
    assert [row.comment for row in rows] == [comment] * 3
    assert terminal.inner.positions_get()[0].comment == KEY


@pytest.mark.parametrize("where", ["positions", "orders", "deals"])
def test_a_comment_can_be_lost_in_one_list_only(where: str) -> None:
    terminal = faulty("comment_changed", FROM_THE_START, how="blank", where=where)
    terminal.order_send(deal(comment=KEY))
    comments = {
        "positions": terminal.positions_get()[0].comment,
        "orders": terminal.history_orders_get(*ALL)[0].comment,
        "deals": terminal.history_deals_get(*ALL)[-1].comment,
    }
    assert comments == {"positions": KEY, "orders": KEY, "deals": KEY} | {where: ""}


@pytest.mark.parametrize(("deals", "magics"), [("closing", [7, 0]), ("opening", [0, 7])])
def test_deals_have_no_magic_number(deals: str, magics: list[int]) -> None:
    terminal = faulty("magic_missing", FROM_THE_START, deals=deals)
    terminal.order_send(deal(magic=7))
    terminal.order_send(close(terminal.positions_get()[0], magic=7))
    assert [row.magic for row in terminal.history_deals_get(*ALL) if row.order] == magics
    assert [row.magic for row in terminal.inner.history_deals_get(*ALL) if row.order] == [7, 7]


# rows that nobody expects


def test_the_broker_takes_back_a_deal_and_what_it_opened_is_gone() -> None:
    terminal = faulty("deal_cancelled", NthCall("history_deals_get", 2))
    terminal.order_send(deal())
    assert traded(terminal) == [0.1]
    assert [row.type for row in terminal.history_deals_get(*ALL)] == [2, 13]
    assert (held(terminal), held(terminal.inner)) == ([], [0.1])


def test_the_profit_of_a_deal_that_is_taken_back_goes_by_a_row_of_money() -> None:
    terminal = faulty("deal_cancelled", NthCall("history_deals_get"))
    terminal.order_send(deal())
    terminal.order_send(close(terminal.positions_get()[0]))
    lost = terminal.inner.history_deals_get(*ALL)[-1].profit
    assert lost < 0
    assert [(row.type, row.profit) for row in terminal.history_deals_get(*ALL)] == [(2, 10_000.0), (0, 0.0), (14, 0.0), (2, -lost)]


@pytest.mark.parametrize(("kind", "field"), [(2, "balance"), (3, "credit"), (4, "balance")])
def test_money_comes_or_goes_without_a_trade(kind: int, field: str) -> None:
    terminal = faulty("money_came", NthCall("history_deals_get"), type=kind, amount=-100.0)
    before = terminal.account_info()
    assert [(row.type, row.profit) for row in terminal.history_deals_get(*ALL)] == [(2, 10_000.0), (kind, -100.0)]
    after = terminal.account_info()
    assert (getattr(after, field) - getattr(before, field), after.equity - before.equity) == (-100.0, -100.0)
    assert terminal.history_deals_total(*ALL) == 2
    assert len(terminal.inner.history_deals_get(*ALL)) == 1


def test_commissions_are_rows_of_their_own() -> None:
    account = AccountSpec(10_000.0, commission=lambda units, price: 3.5)
    terminal = with_faults(Planned(FROM_THE_START, "commission_apart"), account=account)
    terminal.order_send(deal())
    assert [(row.type, row.profit, row.commission) for row in terminal.history_deals_get(*ALL)] == [
        (2, 10_000.0, 0.0),
        (0, 0.0, 0.0),
        (7, -3.5, 0.0),
    ]


# tickets


def renumbered() -> FaultyTerminal:
    return with_faults(Planned(At(0.0), "large_tickets"))


def test_tickets_are_larger_than_a_float_can_hold_and_in_no_order() -> None:
    terminal = renumbered()
    tickets = [terminal.order_send(deal()).order for _ in range(6)]
    assert [row.ticket for row in terminal.positions_get()] == tickets
    assert all(2**62 <= ticket < 2**63 and int(float(ticket)) != ticket for ticket in tickets)
    assert len(set(tickets)) == 6
    assert tickets != sorted(tickets)


def test_requests_and_questions_are_understood_by_the_numbers_that_are_shown() -> None:
    terminal = renumbered()
    ticket = terminal.order_send(deal()).order
    assert terminal.order_send(protect(ticket, sl=1.1)).request.position == ticket
    (position,) = terminal.positions_get(ticket=ticket)
    assert (position.sl, position.identifier) == (1.1, ticket)
    waiting = terminal.order_send(pending(BUY_LIMIT, 1.1)).order
    assert terminal.order_send(modify(waiting, 1.15)).retcode == 10009
    assert [(row.ticket, row.price_open) for row in terminal.orders_get(ticket=waiting)] == [(waiting, 1.15)]
    assert terminal.order_send(remove(waiting)).retcode == 10009
    assert terminal.order_send(close(position)).retcode == 10009
    deals = terminal.history_deals_get(position=ticket)
    assert [(row.position_id, row.entry) for row in deals] == [(ticket, 0), (ticket, 1)]
    assert terminal.history_deals_get(ticket=deals[0].ticket) == (deals[0],)
    assert terminal.order_send(**close(position)).retcode != 10009


def test_the_servers_own_numbers_mean_nothing_to_a_terminal_that_shows_others() -> None:
    terminal = renumbered()
    true = terminal.inner.order_send(deal()).order
    assert terminal.positions_get(ticket=true) == ()
    assert terminal.order_send(protect(true, sl=1.1)).retcode != 10009
    assert [row.ticket for row in terminal.positions_get()] == [large(true)]
