import copy
import inspect
import pickle
import types
from collections.abc import Iterator
from typing import Any

import pytest

import Backtest.simulated_terminal as mt5
from Backtest.simulated_terminal.surface import CONSTANTS, STRUCTURES
from tests.simulated_terminal.terminals import flat, terminal

FUNCTIONS = """initialize shutdown login version terminal_info account_info copy_ticks_from copy_ticks_range copy_rates_from
copy_rates_from_pos copy_rates_range positions_total positions_get orders_total orders_get history_orders_total history_orders_get
history_deals_total history_deals_get order_check order_send order_calc_margin order_calc_profit symbol_info symbol_info_tick
symbol_select symbols_total symbols_get market_book_add market_book_release market_book_get last_error""".split()
NO_ARGUMENTS = "shutdown version last_error account_info terminal_info symbols_total positions_total orders_total".split()


@pytest.fixture(autouse=True)
def _in_use() -> Iterator[None]:
    mt5.use(terminal(flat(1.1)))
    yield
    mt5.use(None)


def test_the_package_is_a_module_with_32_functions_223_constants_and_11_structures() -> None:
    assert isinstance(mt5, types.ModuleType)
    assert len(FUNCTIONS) == 32
    assert all(callable(getattr(mt5, name)) for name in FUNCTIONS)
    assert len(CONSTANTS) == 223
    assert len(STRUCTURES) == 11
    assert all(getattr(mt5, name) is value for name, value in (CONSTANTS | STRUCTURES).items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADE_RETCODE_PLACED", 10008),
        ("TRADE_RETCODE_DONE", 10009),
        ("TRADE_RETCODE_DONE_PARTIAL", 10010),
        ("TRADE_RETCODE_ERROR", 10011),
        ("TRADE_RETCODE_TIMEOUT", 10012),
        ("TRADE_RETCODE_INVALID_FILL", 10030),
        ("TIMEFRAME_H1", 16385),
        ("TIMEFRAME_MN1", 49153),
        ("ORDER_FILLING_RETURN", 2),
        ("TRADE_ACTION_CLOSE_BY", 10),
        ("RES_E_INTERNAL_FAIL_TIMEOUT", -10005),
        ("COPY_TICKS_ALL", -1),
        ("DEAL_TAX", 17),
    ],
)
def test_constants_have_the_wheels_values(name: str, value: int) -> None:
    assert getattr(mt5, name) == value


@pytest.mark.parametrize(
    ("name", "fields", "first", "last"),
    [
        ("Tick", 8, "time", "volume_real"),
        ("BookInfo", 4, "type", "volume_dbl"),
        ("AccountInfo", 28, "login", "company"),
        ("TerminalInfo", 22, "community_account", "commondata_path"),
        ("TradePosition", 19, "ticket", "external_id"),
        ("TradeOrder", 24, "ticket", "external_id"),
        ("TradeDeal", 18, "ticket", "external_id"),
        ("TradeRequest", 17, "action", "position_by"),
        ("OrderCheckResult", 9, "retcode", "request"),
        ("OrderSendResult", 11, "retcode", "request"),
        ("SymbolInfo", 96, "custom", "path"),
    ],
)
def test_structures_have_the_wheels_fields(name: str, fields: int, first: str, last: str) -> None:
    names = STRUCTURES[name].__match_args__
    assert (len(names), STRUCTURES[name].n_fields, names[0], names[-1]) == (fields, fields, first, last)


def test_a_structure_behaves_as_a_struct_sequence() -> None:
    tick = mt5.symbol_info_tick("EURUSD")
    assert tick == tuple(tick)
    assert tick.bid == tick[1] == tick._asdict()["bid"] == 1.1
    assert repr(tick).startswith("Tick(time=1704067200, bid=1.1, ask=1.1, last=0.0, ")
    assert copy.deepcopy(tick) == tick
    assert not hasattr(tick, "_fields")
    with pytest.raises(AttributeError):
        tick.bid = 2.0
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(tick)
    with pytest.raises(TypeError, match=r"takes a 8-sequence \(2-sequence given\)"):
        mt5.Tick((1, 2))


def test_a_nested_request_stays_a_structure() -> None:
    answer = mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 0.1})
    assert answer._asdict()["request"]._asdict()["volume"] == 0.1


def test_functions_do_not_bind_when_a_program_puts_them_into_its_class() -> None:
    class Broker:
        info = mt5.account_info

        def balance(self) -> Any:
            return self.info().balance

    assert Broker().balance() == 10_000.0


def test_the_first_line_of_a_docstring_names_the_parameters() -> None:
    assert _first(mt5.copy_rates_range) == "copy_rates_range(symbol, timeframe, date_from, date_to)"
    assert _first(mt5.initialize) == 'initialize([path],[server="SERVER"],[login=LOGIN],[password="PASSWORD"])'
    assert _first(mt5.positions_get) == 'positions_get([symbol="SYMBOL"],[ticket=TICKET],[group="GROUP"])'
    assert _first(mt5.order_calc_margin) == "order_calc_margin(action, symbol, volume, price,)"
    assert all(_first(getattr(mt5, name)).startswith(f"{name}(") for name in FUNCTIONS)


def _first(function: Any) -> str:
    return str(function.__doc__).splitlines()[0]


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_functions_without_parameters_raise_a_type_error_for_any_argument(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(mt5, name)(1)
    with pytest.raises(TypeError):
        getattr(mt5, name)(symbol="EURUSD")


@pytest.mark.parametrize(
    "name",
    ["symbol_info", "symbol_info_tick", "symbol_select", "market_book_add", "copy_rates_from_pos", "order_calc_margin", "copy_ticks_from"],
)
def test_functions_of_positional_arguments_take_no_keywords(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(mt5, name)(symbol="EURUSD")


def test_without_a_terminal_in_use_there_is_one_on_which_any_program_can_trade_at_once() -> None:
    mt5.use(None)
    assert mt5.symbols_total() is None
    assert mt5.initialize()
    assert len(mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 50_000)) == 50_000
    bought = mt5.Buy("EURUSD", 0.1)
    assert bought.retcode == mt5.TRADE_RETCODE_DONE
    assert mt5.history_deals_get(position=bought.order)[0].time >= mt5.symbol_info_tick("EURUSD").time - 60
    assert all(mt5.order_check(_market_order(filling)).retcode == 0 for filling in range(3))


def _market_order(filling: int) -> dict[str, Any]:
    price = mt5.symbol_info_tick("EURUSD").ask
    return {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": price, "deviation": 20, "type_filling": filling}


def test_an_attribute_that_the_module_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ORDER_TYPE_MAYBE"):
        _ = terminal(flat(1.1)).ORDER_TYPE_MAYBE
    assert terminal(flat(1.1)).ORDER_TYPE_SELL == 1


def test_functions_print_as_built_in_ones() -> None:
    assert repr(mt5.order_send) == "<built-in function order_send>"
    assert mt5.order_send.__name__ == "order_send"
    assert len(inspect.getmembers(mt5, inspect.isbuiltin)) == 32
    assert {name for name, _ in inspect.getmembers(mt5, inspect.isfunction)} >= {"Buy", "Sell", "Close"}
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(mt5.order_send)
    assert mt5.orders_total() == 0


def test_buy_tries_again_when_there_is_a_new_price() -> None:
    made = terminal(flat(1.1))
    requoting = _Requotes(made)
    mt5.use(requoting)
    assert mt5.Buy("EURUSD", 0.1).retcode == mt5.TRADE_RETCODE_DONE
    assert requoting.asked == 3
    requoting.asked = -100
    assert mt5.Sell("EURUSD", 0.1).retcode == mt5.TRADE_RETCODE_REQUOTE
    assert requoting.asked == -90


def test_buy_sell_and_close_trade_at_market() -> None:
    assert mt5.Buy("EURUSD", 0.2, comment="first").volume == 0.2
    second = mt5.Sell("EURUSD", 0.1, 1.1)
    assert [each.comment for each in mt5.positions_get()] == ["first", ""]
    assert mt5.Close("EURUSD", ticket=second.order) is True
    assert mt5.Close("EURUSD") is True
    assert mt5.Close("EURUSD") is False
    assert mt5.positions_total() == 0


def test_close_says_so_when_not_all_positions_could_be_closed() -> None:
    mt5.Buy("EURUSD", 0.2)
    made = terminal(flat(1.1))
    mt5.use(_ClosesOnlyOnce(made))
    made.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1})
    made.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.2})
    assert mt5.Close("EURUSD") == "Partially"


def test_close_returns_none_when_the_price_or_the_answer_is_missing() -> None:
    made = terminal(flat(1.1))
    mt5.use(made)
    mt5.Buy("EURUSD", 0.2)
    made.api_disabled = True
    assert mt5.Close("EURUSD") is None
    mt5.use(_Quoteless(made))
    assert mt5.Close("EURUSD") is None
    mt5.shutdown()
    with pytest.raises(TypeError):
        mt5.Close("EURUSD")


class _Quoteless:
    def __init__(self, made: Any) -> None:
        self.made = made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)

    def symbol_info_tick(self, symbol: str) -> None:
        return None


class _Requotes(_Quoteless):
    asked = 0

    def symbol_info_tick(self, symbol: str) -> Any:
        return self.made.symbol_info_tick(symbol)

    def order_send(self, request: dict[str, Any]) -> Any:
        self.asked += 1
        answer = self.made.order_send(request | ({"volume": 0.0} if self.asked < 3 else {}))
        return answer if self.asked >= 3 else mt5.OrderSendResult((mt5.TRADE_RETCODE_REQUOTE, *answer[1:]))


class _ClosesOnlyOnce(_Quoteless):
    closed = 0

    def symbol_info_tick(self, symbol: str) -> Any:
        return self.made.symbol_info_tick(symbol)

    def order_send(self, request: dict[str, Any]) -> Any:
        self.closed += 1
        return self.made.order_send(request if self.closed == 1 else request | {"volume": 99.0})
