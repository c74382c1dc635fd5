"""What is looked at just before an entry is sent, measured on a terminal and a record."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from Live.model import Side, Status, SymbolSpec
from Live.risk import MaxDailyLoss, MaxFailuresInARow, MaxQuoteAge, NoStopOut, OpenToSide, Rule
from tests.desks import BOUGHT, Desk, opened, reopened
from tests.faulty_terminal import answered, without_answer
from tests.test_risk import QUIET

SPEC = SymbolSpec("EURUSD", 5, 1e-5, 1e-5, 1e5, 0.01, 0.01, 50.0, 0, 3, 2, "USD")
BALANCE, SPLIT, STOP_OUT, CANCELLED = 2, 9, 6, 13


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def changed(asked: Callable[..., Any], change: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
    """A list or a value of the terminal with other figures."""

    def made(row: Any) -> Any:
        return type(row)(tuple((row._asdict() | change(row)).values()))

    def function(*args: Any, **options: Any) -> Any:
        found = asked(*args, **options)
        return tuple(map(made, found)) if isinstance(found, tuple) and not hasattr(found, "_asdict") else made(found)

    return function


@pytest.mark.parametrize(
    ("rule", "allowed", "too_much"),
    [
        (MaxFailuresInARow(5), {"failures_in_a_row": 4}, {"failures_in_a_row": 5}),
        (MaxQuoteAge(300), {"quote_age_seconds": 300.0}, {"quote_age_seconds": 300.1}),
        (MaxQuoteAge(300), {"quote_age_seconds": -7200.0}, {"quote_age_seconds": float("nan")}),
        (NoStopOut(), {"stop_outs_today": 0}, {"stop_outs_today": 1}),
        (OpenToSide(), {"closed_side": ""}, {"closed_side": "only closing"}),
        (MaxDailyLoss(5.0), {"equity": 14_600.0, "money_moved": 5_000.0}, {"equity": 14_400.0, "money_moved": 5_000.0}),
        (MaxDailyLoss(5.0), {"equity": 4_800.0, "money_moved": -5_000.0}, {"equity": 4_700.0, "money_moved": -5_000.0}),
        (MaxDailyLoss(5.0), {"equity": 9_501.0, "money_moved": 0.0}, {"equity": 0.0, "money_moved": -10_000.0}),
    ],
)
def test_a_rule_lets_its_limit_through_and_nothing_beyond_it(rule: Rule, allowed: dict[str, Any], too_much: dict[str, Any]) -> None:
    assert rule.check(replace(QUIET, **allowed)) is None
    assert rule.check(replace(QUIET, **too_much)) is not None


def test_a_quote_may_be_of_any_age_where_that_is_asked_for() -> None:
    assert MaxQuoteAge(0).check(replace(QUIET, quote_age_seconds=1e9)) is None


@pytest.mark.parametrize(("mode", "closed"), [(0, "BS"), (1, "S"), (2, "B"), (3, "BS"), (4, "")])
def test_a_symbol_may_be_closed_to_a_side(mode: int, closed: str) -> None:
    spec = replace(SPEC, trade_mode=mode)
    assert "".join(side.value[0] for side in Side if spec.closed_to(side)) == closed


def test_prices_that_stand_still_while_the_terminal_is_connected_let_no_entry_out(desk: Desk) -> None:
    state = desk.sync()
    assert desk.denial(state) == ""
    desk.terminal.clock.sleep(301)
    assert "MAX_QUOTE_AGE_SECONDS, age of the quote: 301, allowed 300" in desk.denial(state)


def test_over_a_line_that_is_lost_again_and_again_no_entry_goes_out_until_it_holds(tmp_path: Path) -> None:
    desk = opened(tmp_path, max_quote_age_seconds=0)
    state = desk.sync()
    for _ in range(3):
        assert desk.denial(state) == ""
        desk.record.event("DISCONNECTED", "No IPC connection", severity="ERROR")
        desk.terminal.clock.sleep(60)
    assert "seconds until the line to the terminal, which was lost again and again, is trusted: 420" in desk.denial(state)
    restarted = reopened(desk)
    assert "was lost again and again" in restarted.denial(restarted.sync())
    desk.terminal.clock.sleep(420)
    assert restarted.denial(restarted.sync()) == ""
    restarted.record.close()


def test_after_failures_in_a_row_no_entry_goes_out_until_the_next_day_also_after_a_restart(tmp_path: Path) -> None:
    desk = opened(tmp_path, max_failures_in_a_row=3, max_quote_age_seconds=0)
    for number in range(3):
        assert desk.denial(desk.sync()) == ""
        desk.terminal.faults.append(answered(10006) if number else without_answer())
        desk.buy(f"order {number}")
        desk.wait(40)
    desk = reopened(desk)
    state = desk.sync()
    assert "MAX_FAILURES_IN_A_ROW, entries in a row that came to nothing: 3, allowed 3" in desk.denial(state)
    desk.terminal.clock.sleep(86_400)
    assert desk.denial(state) == ""
    desk.record.close()


def test_an_entry_that_came_through_ends_a_row_of_failures(tmp_path: Path) -> None:
    desk = opened(tmp_path, max_failures_in_a_row=2)
    desk.terminal.faults.append(answered(10006))
    for number in range(2):
        desk.buy(f"order {number}")
    desk.terminal.faults.append(answered(10006))
    desk.buy("another")
    assert desk.denial(desk.sync()) == ""
    desk.record.close()


@pytest.mark.parametrize(("money", "lost"), [(5_000.0, 2_000.0), (-5_000.0, 2_000.0)])
def test_money_that_comes_or_goes_is_neither_won_nor_lost(money: float, lost: float, desk: Desk) -> None:
    state = desk.sync()
    account = desk.connector.account()
    state.open_day(account)
    desk.terminal.clock.sleep(60)
    inner = desk.terminal.inner
    now = int(desk.connector.server_now())
    deal = inner.history_deals_get(0, 2**31 - 1)[0]
    deposit = type(deal)(tuple((deal._asdict() | {"ticket": 7, "order": 0, "type": BALANCE, "profit": money, "time": now}).values()))
    before = inner.history_deals_get
    inner.history_deals_get = lambda *given, **more: (*before(*given, **more), deposit)  # type: ignore[method-assign]
    inner.account_info = changed(inner.account_info, lambda row: {"equity": row.equity + money})  # type: ignore[method-assign]
    assert desk.denial(state) == ""
    inner.account_info = changed(inner.account_info, lambda row: {"equity": row.equity - lost})  # type: ignore[method-assign]
    assert "MAX_DAILY_LOSS_PCT" in desk.denial(state)


def closed_by(desk: Desk, reason: int) -> None:
    """A position of ours that something else than an order of ours has closed."""
    desk.buy("before")
    position = desk.positions()[0]
    desk.terminal.inner.order_send({**desk.bid(), "type": 1, "position": position.ticket, "magic": 0, "comment": ""})
    inner = desk.terminal.inner
    change = changed(inner.history_deals_get, lambda row: {"reason": reason} if row.entry == 1 else {})
    inner.history_deals_get = change  # type: ignore[method-assign]


def test_after_a_stop_out_no_entry_goes_out_on_that_day(tmp_path: Path) -> None:
    desk = opened(tmp_path, max_quote_age_seconds=0)
    closed_by(desk, STOP_OUT)
    state = desk.sync()
    assert "for want of margin: 1, allowed 0" in desk.denial(state)
    desk.terminal.clock.sleep(86_400)
    assert desk.denial(state) == ""
    desk.record.close()


def test_after_a_split_a_person_has_to_look(desk: Desk) -> None:
    closed_by(desk, SPLIT)
    state = desk.sync()
    assert "was made by a split or the like: no entries until a person has looked" in desk.denial(state)
    assert state.holds.release(state.holds.open[0].name)
    assert desk.denial(state) == ""


def test_a_deal_on_record_that_the_broker_cancels_needs_a_person(desk: Desk) -> None:
    desk.buy("before")
    position = desk.connector.positions()[0]
    desk.close(position)
    state = desk.sync()
    inner, ticket = desk.terminal.inner, desk.deals()[-1].ticket
    change = changed(inner.history_deals_get, lambda row: {"type": CANCELLED, "profit": 0.0} if row.ticket == ticket else {})
    inner.history_deals_get = change  # type: ignore[method-assign]
    state.sync()
    assert f"the broker has cancelled deal {ticket}, which is on record" in desk.denial(state)


def test_an_order_in_doubt_is_given_up_although_the_newest_deal_that_we_know_was_cancelled(desk: Desk) -> None:
    desk.buy("before")
    desk.sync()
    desk.terminal.faults.append(without_answer())
    desk.buy()
    inner, ticket = desk.terminal.inner, desk.deals()[-1].ticket
    change = changed(inner.history_deals_get, lambda row: {"type": CANCELLED, "profit": 0.0} if row.ticket == ticket else {})
    inner.history_deals_get = change  # type: ignore[method-assign]
    desk.wait(60)
    assert desk.status() is Status.ABSENT


@pytest.mark.parametrize(("mode", "words"), [(0, "trading EURUSD"), (2, "buying EURUSD"), (3, "opening EURUSD"), (1, "")])
def test_a_side_that_the_broker_closes_meanwhile_gets_no_entry(mode: int, words: str, desk: Desk) -> None:
    state = desk.sync()
    desk.terminal.clock.sleep(30)
    desk.terminal.inner.symbol_info = changed(desk.terminal.inner.symbol_info, lambda _: {"trade_mode": mode})  # type: ignore[method-assign]
    desk.buy(gate=lambda quote: str(state.can_trade("EURUSD", quote, asking=desk.order().intent.order_id) or "") or None)
    assert (words in str(desk.order().message)) if words else desk.order(BOUGHT).message is not None
    assert (desk.terminal.sent == []) is bool(words)


@pytest.mark.parametrize("name", ["trade_contract_size", "digits"])
def test_a_symbol_whose_lots_become_something_else_needs_a_person(name: str, desk: Desk) -> None:
    desk.buy("before")
    state = desk.sync()
    inner = desk.terminal.inner
    inner.symbol_info = changed(inner.symbol_info, lambda row: {name: getattr(row, name) // 5})  # type: ignore[method-assign]
    assert "has changed from" in desk.denial(state)
