"""What every terminal does about its connection, its last error, and calls that make no sense."""

from typing import Any

import pytest

from tests.contract.kinds import Bench
from tests.contract.trading import OK, deal, error, opened

NO_CONNECTION = (-10004, "No IPC connection")


def test_a_good_call_ends_with_success(bench: Bench) -> None:
    assert bench.mt5.terminal_info() is not None
    assert error(bench) == OK


def test_the_last_error_is_that_of_the_last_call_and_asking_does_not_change_it(bench: Bench) -> None:
    assert bench.mt5.symbol_info("NO SUCH NAME") is None
    assert error(bench) == error(bench) == (-4, "Terminal: Not found")
    assert bench.mt5.positions_total() is not None
    assert error(bench) == OK


@pytest.mark.parametrize("name", ["account_info", "terminal_info", "positions_get", "orders_get", "symbols_get", "positions_total"])
def test_without_a_connection_every_question_is_none(bench: Bench, name: str) -> None:
    assert bench.mt5.shutdown()
    assert getattr(bench.mt5, name)() is None
    assert error(bench) == NO_CONNECTION


def test_without_a_connection_nothing_is_sent(bench: Bench) -> None:
    request = deal(bench)
    assert bench.mt5.shutdown()
    assert bench.mt5.order_send(request) is None
    assert error(bench) == NO_CONNECTION


def test_shutdown_is_true_also_when_there_is_nothing_to_end(bench: Bench) -> None:
    assert bench.mt5.shutdown() is True
    assert bench.mt5.shutdown() is True
    assert error(bench) == OK


def test_the_connection_can_be_made_again(bench: Bench) -> None:
    bench.mt5.shutdown()
    assert bench.mt5.initialize() is True
    assert bench.mt5.terminal_info().connected


def test_the_version_is_three_values(bench: Bench) -> None:
    version, build, released = bench.mt5.version()
    assert version == 500
    assert build > 0
    assert released


def test_the_terminal_says_what_it_is(bench: Bench) -> None:
    info = bench.mt5.terminal_info()
    assert info.trade_allowed
    assert not info.tradeapi_disabled
    assert info.build > 0
    assert info.maxbars > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("volume", 1), ("sl", 0), ("tp", None), ("price", "1.1"), ("magic", 1.0), ("deviation", 10.0), ("comment", "x" * 30), ("symbol", 5)],
)
def test_a_request_with_a_field_of_the_wrong_type_is_refused_before_it_is_sent(bench: Bench, field: str, value: Any) -> None:
    assert bench.mt5.order_send(deal(bench) | {field: value}) is None
    assert error(bench) == (-2, f'Invalid "{field}" argument')


def test_positions_and_orders_are_asked_for_by_name(bench: Bench) -> None:
    for ask in (bench.mt5.positions_get, bench.mt5.orders_get):
        assert ask(bench.symbol) is None
        assert error(bench) == (-2, "Unnamed arguments not allowed")


def test_what_is_not_there_is_an_empty_list_and_no_error(bench: Bench) -> None:
    for found in (bench.mt5.positions_get(ticket=1), bench.mt5.orders_get(ticket=1), bench.mt5.history_deals_get(ticket=1)):
        assert found is not None
        assert len(found) == 0
        assert error(bench) == OK


def test_a_position_is_found_by_ticket_symbol_and_group(bench: Bench) -> None:
    ticket = opened(bench).ticket
    tickets = [[each.ticket for each in found] for found in _ways(bench, ticket)]
    assert all(ticket in found for found in tickets)
    assert tickets[0] == [ticket]
    assert len(bench.mt5.positions_get(group=f"!{bench.symbol}")) == 0


def _ways(bench: Bench, ticket: int) -> list[Any]:
    ask = bench.mt5.positions_get
    return [ask(ticket=ticket), ask(), ask(symbol=bench.symbol), ask(group=f"{bench.symbol[:2]}*")]
