"""What calls may be given, and how they are refused: the rules of the compiled core of MetaTrader5 5.0.6231."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from Backtest.simulated_terminal import SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, T0, deal, done, flat, terminal

OK = (1, "Success")
NO_CONNECTION = (-10004, "No IPC connection")
INVALID = (-2, "Invalid arguments")


@pytest.fixture
def made() -> SimulatedTerminal:
    return terminal(flat(1.1))


def refused(made: SimulatedTerminal, error: tuple[int, str], answer: Any) -> bool:
    assert made.last_error() == error
    return answer is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("comment", "x" * 30),
        ("comment", 5),
        ("comment", None),
        ("symbol", "E" * 30),
        ("volume", 1),
        ("volume", Decimal("0.1")),
        ("volume", np.float32(0.1)),
        ("sl", 0),
        ("sl", None),
        ("tp", "1.2"),
        ("price", True),
        ("magic", np.int64(1)),
        ("magic", 1.0),
        ("deviation", 10.0),
        ("type", "BUY"),
        ("type_filling", None),
        ("action", 1.0),
        ("position", None),
        ("expiration", datetime(2024, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_before_anything_is_sent(made: SimulatedTerminal, field: str, value: Any) -> None:
    error = (-2, f'Invalid "{field}" argument')
    assert refused(made, error, made.order_send(deal() | {field: value}))
    assert refused(made, error, made.order_check(deal() | {field: value}))
    assert made.positions_total() == 0


@pytest.mark.parametrize("field", ["magic", "deviation", "position", "type", "action"])
def test_a_negative_number_for_an_unsigned_field_is_a_system_error(made: SimulatedTerminal, field: str) -> None:
    with pytest.raises(SystemError, match="order_send> returned a result with an exception set") as caught:
        made.order_send(deal() | {field: -5})
    assert isinstance(caught.value.__cause__, OverflowError)


@pytest.mark.parametrize("field", ["type", "magic", "expiration"])
def test_a_number_that_does_not_fit_its_field_is_a_system_error(made: SimulatedTerminal, field: str) -> None:
    with pytest.raises(SystemError):
        made.order_send(deal() | {field: 2**64})


@pytest.mark.parametrize(
    "accepted", [{"comment": "x" * 29}, {"volume": np.float64(0.1)}, {"magic": True}, {"unknown": object()}, {"expiration": 0}]
)
def test_what_the_core_accepts_is_accepted(made: SimulatedTerminal, accepted: dict[str, Any]) -> None:
    done(made.order_send(deal() | accepted))
    assert made.last_error() == OK


def test_the_first_bad_field_is_named_in_the_order_in_which_they_are_read(made: SimulatedTerminal) -> None:
    made.order_send(deal() | {"comment": 1, "volume": 1, "magic": 1.0})
    assert made.last_error() == (-2, 'Invalid "magic" argument')


def test_the_request_is_one_dict_or_its_fields_as_keywords(made: SimulatedTerminal) -> None:
    done(made.order_send(**deal()))
    assert refused(made, (-2, "Invalid number of arguments"), made.order_send())
    assert refused(made, (-2, "Invalid number of arguments"), made.order_send(deal(), deal()))
    assert refused(made, (-2, "Unnamed arguments not allowed"), made.order_send(deal(), volume=0.1))
    assert refused(made, INVALID, made.order_send([]))
    assert refused(made, INVALID, made.order_check(None))


def test_a_request_handed_over_by_keyword_is_a_request_of_zeros(made: SimulatedTerminal) -> None:
    answer = made.order_send(request=deal())
    assert (answer.retcode, answer.request.symbol, answer.request.volume) == (10013, "", 0.0)


def test_the_request_is_checked_before_the_connection(made: SimulatedTerminal) -> None:
    made.shutdown()
    assert refused(made, (-2, 'Invalid "volume" argument'), made.order_send(deal(volume=1)))
    assert refused(made, NO_CONNECTION, made.order_send(deal()))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("account_info", ()),
        ("terminal_info", ()),
        ("positions_get", ()),
        ("positions_total", ()),
        ("orders_get", ()),
        ("orders_total", ()),
        ("symbols_total", ()),
        ("symbols_get", ()),
        ("symbol_info", ("EURUSD",)),
        ("symbol_info_tick", ("EURUSD",)),
        ("copy_rates_from_pos", ("EURUSD", 16385, 0, 1)),
        ("copy_rates_range", ("EURUSD", 16385, 0, T0)),
        ("copy_ticks_from", ("EURUSD", 0, 1, -1)),
        ("copy_ticks_range", ("EURUSD", 0, T0, -1)),
        ("history_deals_get", (0, T0)),
        ("history_orders_total", (0, T0)),
        ("order_calc_margin", (0, "EURUSD", 1.0, 1.1)),
        ("order_calc_profit", (0, "EURUSD", 1.0, 1.1, 1.2)),
        ("market_book_get", ("EURUSD",)),
    ],
)
def test_reading_without_a_connection_is_none_and_says_so(made: SimulatedTerminal, name: str, args: tuple[Any, ...]) -> None:
    made.shutdown()
    assert refused(made, NO_CONNECTION, getattr(made, name)(*args))


def test_the_exceptions_without_a_connection(made: SimulatedTerminal) -> None:
    assert made.shutdown() is True
    assert made.shutdown() is True
    assert made.last_error() == OK
    assert made.symbol_select("EURUSD") is False
    assert made.last_error() == NO_CONNECTION
    assert made.market_book_add("EURUSD") is False
    assert made.last_error() == OK
    assert made.version() == (0, 0, "")
    assert made.last_error() == NO_CONNECTION
    assert made.login(1) is False
    assert made.last_error() == NO_CONNECTION


def test_every_call_sets_the_last_error_and_asking_for_it_does_not_change_it(made: SimulatedTerminal) -> None:
    made.symbol_info("NOPE")
    assert made.last_error() == made.last_error() == (-4, "Terminal: Not found")
    made.positions_total()
    assert made.last_error() == OK


def test_positions_and_orders_take_only_named_filters(made: SimulatedTerminal) -> None:
    unnamed = (-2, "Unnamed arguments not allowed")
    assert refused(made, unnamed, made.positions_get("EURUSD"))
    assert refused(made, unnamed, made.orders_get("EURUSD"))
    assert refused(made, (-2, 'Invalid "ticket" argument'), made.positions_get(ticket="1"))
    assert refused(made, (-2, 'Invalid "ticket" argument'), made.orders_get(ticket=np.int64(1)))
    assert refused(made, (-2, 'Invalid "symbol" argument'), made.positions_get(symbol=5))
    assert refused(made, (-2, 'Invalid "group" argument'), made.positions_get(group="x" * 1998))
    with pytest.raises(SystemError):
        made.positions_get(ticket=-1)


def test_an_empty_list_is_a_tuple_and_a_success(made: SimulatedTerminal) -> None:
    for found in (
        made.positions_get(ticket=0),
        made.positions_get(symbol="NOPE"),
        made.orders_get(ticket=1),
        made.history_orders_get(*ALL),
    ):
        assert found == ()
        assert made.last_error() == OK


def test_positions_are_filtered_by_ticket_then_symbol_then_group(made: SimulatedTerminal) -> None:
    first, second = (done(made.order_send(deal())).order for _ in range(2))
    assert [each.ticket for each in made.positions_get()] == [first, second]
    assert [each.ticket for each in made.positions_get(ticket=second, symbol="NOPE")] == [second]
    assert made.positions_get(symbol="NOPE", group="*") == ()
    assert len(made.positions_get(group="EUR*", unknown=1)) == 2
    assert made.positions_get(group="") == ()


def test_history_has_three_forms(made: SimulatedTerminal) -> None:
    answer = done(made.order_send(deal()))
    assert len(made.history_deals_get(*ALL)) == 2  # with the deposit
    assert [each.ticket for each in made.history_deals_get(*ALL, group="EUR*", ticket=1)] == [answer.deal]
    assert made.history_deals_get(ticket=answer.deal, position=1)[0].position_id == answer.order
    assert made.history_deals_get(position=answer.order)[0].ticket == answer.deal
    assert made.history_orders_get(ticket=answer.order)[0].position_id == answer.order
    assert made.history_deals_get(ticket=1) == ()
    assert (made.history_deals_total(*ALL), made.history_orders_total(*ALL)) == (2, 1)


def test_other_forms_of_history_are_refused(made: SimulatedTerminal) -> None:
    assert refused(made, INVALID, made.history_deals_get())
    assert refused(made, INVALID, made.history_deals_get(date_from=0, date_to=T0))
    assert refused(made, INVALID, made.history_orders_get(0))
    assert refused(made, INVALID, made.history_deals_get("2024-01-01", "2024-01-02"))
    assert refused(made, INVALID, made.history_deals_total(0))
    assert refused(made, (-2, "Unnamed arguments not allowed"), made.history_deals_get(0, ticket=1))
    assert refused(made, (-2, 'Invalid "position" argument'), made.history_deals_get(position=1.0))
    assert refused(made, (-2, 'Invalid "group" argument'), made.history_deals_get(*ALL, group=1))


@pytest.mark.parametrize(
    "when",
    [
        T0,
        float(T0),
        np.float64(T0 + 0.9),
        datetime(2024, 1, 1, tzinfo=UTC),
        pd.Timestamp("2024-01-01", tz="UTC"),
        datetime.fromtimestamp(T0),  # noqa: DTZ006 - naive: the zone of this machine, as the real package reads it
    ],
)
def test_dates_are_ints_floats_or_datetimes(made: SimulatedTerminal, when: Any) -> None:
    assert len(made.copy_rates_range("EURUSD", 16385, when, when)) == 1


@pytest.mark.parametrize("when", ["2024-01-01", date(2024, 1, 1), np.datetime64("2024-01-01"), None, np.int64(T0)])
def test_other_dates_are_refused(made: SimulatedTerminal, when: Any) -> None:
    assert refused(made, INVALID, made.copy_rates_range("EURUSD", 16385, when, T0))


def test_dates_after_2038_do_not_fit(made: SimulatedTerminal) -> None:
    with pytest.raises(SystemError) as caught:
        made.history_deals_get(0, 2**31)
    assert isinstance(caught.value.__cause__, OverflowError)
    assert made.history_deals_get(0, datetime(2040, 1, 1, tzinfo=UTC)) == ()  # it wraps to the year 1901


def test_a_date_that_has_no_second_is_a_system_error(made: SimulatedTerminal) -> None:
    with pytest.raises(SystemError, match="history_deals_get> returned a result with an exception set"):
        made.history_deals_get(pd.NaT, T0)


def test_a_wrong_count_of_arguments_is_refused_and_a_wrong_type_for_a_c_number_is_a_system_error(made: SimulatedTerminal) -> None:
    assert refused(made, INVALID, made.copy_rates_from_pos("EURUSD", 16385, 0))
    assert refused(made, INVALID, made.symbol_info())
    assert made.symbol_select() is False
    assert made.last_error() == INVALID
    assert refused(made, INVALID, made.symbol_info_tick(5))
    assert refused(made, INVALID, made.symbol_info("E" * 30))
    assert refused(made, INVALID, made.order_calc_profit(0, "EURUSD", 1.0, 1.1))
    for bad in (("EURUSD", "H1", 0, 1), ("EURUSD", 16385, 0, 10.0), ("EURUSD", 16385, 2**40, 1)):
        with pytest.raises(SystemError):
            made.copy_rates_from_pos(*bad)
    with pytest.raises(SystemError):
        made.order_calc_margin(0.0, "EURUSD", 1.0, 1.1)
    with pytest.raises(SystemError):
        made.order_calc_margin(0, "EURUSD", "1", 1.1)
    with pytest.raises(SystemError):
        made.order_calc_margin(0, "EURUSD", 1.0, None)


def test_calculations_take_ints_too(made: SimulatedTerminal) -> None:
    assert made.order_calc_profit(0, "EURUSD", 1, 1, 2) == 100_000.0


def test_symbols_get_refuses_with_false(made: SimulatedTerminal) -> None:
    assert made.symbols_get(5) is False
    assert made.last_error() == (-2, "Invalid 1st unnamed argument")
    assert made.symbols_get(group=5) is False
    assert made.last_error() == (-2, 'Invalid "group" argument')
    assert made.symbols_get("a", "b") is False
    assert made.last_error() == (-2, "Invalid number of arguments")
    assert [each.name for each in made.symbols_get("") or ()] == ["EURUSD"]
    assert made.symbols_get("GBP*") == ()


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        (("a", "b"), {}, "Invalid number of arguments"),
        ((5,), {}, "Invalid 1st unnamed argument"),
        ((), {"login": "5"}, 'Invalid "login" argument'),
        ((), {"password": 5}, 'Invalid "password" argument'),
        ((), {"server": "x" * 254}, 'Invalid "server" argument'),
        ((), {"timeout": 1.5}, 'Invalid "timeout" argument'),
        ((), {"path": b"x"}, 'Invalid "path" argument'),
    ],
)
def test_initialize_refuses_bad_arguments(made: SimulatedTerminal, args: Any, options: Any, error: str) -> None:
    assert made.initialize(*args, **options) is False
    assert made.last_error() == (-2, error)


def test_initialize_and_login_ignore_unknown_keywords_and_take_the_known(made: SimulatedTerminal) -> None:
    assert made.initialize("C:\\terminal64.exe", login=77, password="x", server="y", timeout=5000, portable=False, account=5) is True
    assert made.account_info().login == 77
    assert made.login(78, "x", "y", timeout=1) is True
    assert made.account_info().login == 78
    assert made.login(password="x") is False
    assert made.last_error() == (-2, 'Invalid "login" argument')
    assert made.login("78") is False
    assert made.last_error() == (-2, "Invalid 1st unnamed argument")
    assert made.login(1, "x", "y", "z") is False
    with pytest.raises(SystemError):
        made.login(-1)
