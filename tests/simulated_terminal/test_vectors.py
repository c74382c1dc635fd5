"""The figures that MetaTrader 5's documentation, the MQL5 book and published logs print, each under a name of its own.

Sources: https://www.mql5.com/en/docs/python_metatrader5 ("py doc"), https://www.mql5.com/en/docs/trading ("mql doc"),
https://www.mql5.com/en/book ("book"), https://www.mql5.com/en/articles/2555 ("article"), logs in public repositories ("log"),
and the compiled core of MetaTrader5 5.0.6231 ("core").
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.groups import mask
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    H1,
    SELL,
    bars,
    close,
    close_by,
    deal,
    done,
    flat,
    market_terminal,
    pending,
    protect,
    symbol,
    terminal,
)

OK = (1, "Success")
INSTANT = 1  # SYMBOL_TRADE_EXECUTION_INSTANT
CFDLEVERAGE = 4  # SYMBOL_CALC_MODE_CFDLEVERAGE


def jpy(name: str, **changes: Any) -> SymbolSpec:
    return symbol(name, **({"digits": 3, "tick_size": 0.001} | changes))


GOLD = symbol("XAUUSD", digits=2, tick_size=0.01, contract_size=100.0, calc_mode=CFDLEVERAGE, currency_margin="USD")
CHF = symbol("USDCHF")


def holding(margin: float, profit: float, balance: float, *others: tuple[SymbolSpec, float], swap: float = 0.0) -> SimulatedTerminal:
    """An account with one position that binds so much margin and has so much profit, a night after it was opened."""
    held = SymbolSpec(
        "HELD", 2, 1.0, tick_size=0.01, volume_min=1.0, volume_step=1.0, margin_initial=margin, calc_mode=4, swap_mode=4, swap_long=swap
    )
    rows = [(price,) * 4 for price in (50_000.0, round(50_000.0 + profit, 2))]
    prices = {"HELD": (held, bars(rows, step=86_400))}
    prices |= {spec.name: (spec, bars(flat(price, 2), step=86_400)) for spec, price in others}
    made = SimulatedTerminal(ReplayMarket(prices, TIMEFRAMES["D1"]), AccountSpec(balance, margin_call=0.0, stop_out=1.0))
    assert made.initialize()
    done(made.order_send(deal(volume=1.0, symbol="HELD")))
    made.clock.sleep(86_400)
    return made


# -- margin and profit


@pytest.mark.parametrize(
    ("name", "expected"),
    [("EURUSD", 109.91), ("GBPUSD", 122.73), ("USDJPY", 100.0), ("USDCHF", 100.0), ("EURJPY", 109.91), ("GBPJPY", 122.73)],
)
def test_margin_py_doc(name: str, expected: float) -> None:
    asks = {"EURUSD": 1.0991, "GBPUSD": 1.2273, "USDJPY": 108.48, "USDCHF": 0.97, "EURJPY": 119.2, "GBPJPY": 133.1}
    made = market_terminal({each: (jpy(each) if each.endswith("JPY") else symbol(each), flat(ask)) for each, ask in asks.items()})
    assert made.order_calc_margin(BUY, name, 0.1, asks[name]) == expected


@pytest.mark.parametrize(
    ("action", "price", "margin"),
    [
        (BUY, 1.31668, 1316.68),
        (SELL, 1.31661, 1316.61),
        (BUY, 1.31568, 1315.68),
        (SELL, 1.31761, 1317.61),
        (BUY, 1.31768, 1317.68),
        (SELL, 1.31561, 1315.61),
        (BUY, 1.31718, 1317.18),
        (SELL, 1.31611, 1316.11),
    ],
)
def test_margin_gbpusd_prices_mql_doc(action: int, price: float, margin: float) -> None:
    made = terminal(flat(1.31661), symbol("GBPUSD", spread_points=7))
    assert made.order_calc_margin(action, "GBPUSD", 1.0, price) == margin


def test_margin_xauusd_book() -> None:
    made = terminal(flat(1899.97), GOLD, AccountSpec(15_565.22))
    assert made.order_calc_margin(BUY, "XAUUSD", 0.01, 1899.97) == 19.0
    check = made.order_check(deal(volume=0.01, symbol="XAUUSD", price=1899.97))
    assert check[:6] == (0, 15565.22, 15565.22, 0.0, 19.0, 15546.22)
    assert (round(check.margin_level, 2), check.comment) == (81922.21, "Done")


def test_check_adds_margin_book() -> None:
    share = SymbolSpec("PLZL.MM", 1, 1.0, tick_size=0.1, volume_min=1.0, volume_step=1.0, margin_initial=79.04, calc_mode=CFDLEVERAGE)
    made = holding(79.22, -0.83, 10_000.87, (share, 12642.0), swap=-0.5)
    now = made.account_info()
    assert (now.margin, now.margin_free, now.margin_level) == (79.22, 9920.32, 12622.49431961626)
    assert made.order_calc_margin(BUY, "PLZL.MM", 1.0, 12642.0) == pytest.approx(79.04, abs=1e-9)
    check = made.order_check(deal(volume=1.0, symbol="PLZL.MM", price=12642.0))
    assert check[:6] == (0, 10000.87, 9999.54, -0.83, 158.26, 9841.28)
    assert (round(check.margin_level, 2), check.comment) == (6318.43, "Done")


def test_check_py_doc() -> None:
    made = holding(50_193.67, -32_981.0, 101_300.53, (jpy("USDJPY", execution=INSTANT), 108.081))
    request = deal(volume=1.0, symbol="USDJPY", price=108.081, sl=107.981, tp=108.181, deviation=10, type_filling=2)
    assert made.order_check(request)[:8] == (0, 101300.53, 68319.53, -32981.0, 51193.67, 17125.86, 133.45308121101692, "Done")


def test_check_py_book() -> None:
    made = terminal(flat(144.128), jpy("USDJPY", execution=INSTANT), AccountSpec(10_000.17))
    terms: dict[str, Any] = {"sl": 144.028, "tp": 144.228, "deviation": 10, "magic": 234000, "comment": "python script", "type_filling": 2}
    check = made.order_check(deal(symbol="USDJPY", volume=1.0, price=144.128, **terms))
    assert check[:8] == (0, 10000.17, 10000.17, 0.0, 1000.0, 9000.17, 1000.017, "Done")


@pytest.mark.parametrize(
    ("price", "lots", "margin", "free", "level"), [(1.10479, 1.0, 1104.79, 9674.71, 975.71), (1.1046, 0.1, 110.46, 10669.04, 9758.74)]
)
def test_check_mql_doc(price: float, lots: float, margin: float, free: float, level: float) -> None:
    made = terminal(flat(price), account=AccountSpec(10_779.50))
    check = made.order_check(deal(volume=lots))
    assert (check.retcode, check.margin, check.margin_free, round(check.margin_level, 2)) == (0, margin, free, level)
    made.autotrading = False
    assert (made.order_check(deal()).retcode, made.order_check(deal()).comment) == (10027, "AutoTrading disabled by client")
    made.autotrading = True
    done(made.order_send(deal(volume=lots)))


def test_check_mql_doc_does_not_see_a_closed_session() -> None:
    frame = bars(flat(1.10479, 2), step=86_400)  # an hour, then nothing for a day
    clock: list[float] = []
    market = ReplayMarket({"EURUSD": (symbol(), frame)}, H1)
    made = SimulatedTerminal(market, AccountSpec(10_779.50), speed=3600.0, real_sleep=clock.append)
    made.initialize()
    made.clock.sleep(7200)
    check, sent = made.order_check(deal(volume=1.0)), made.order_send(deal(volume=1.0))
    assert check[:6] == (0, 10779.5, 10779.5, 0.0, 1104.79, 9674.71)
    assert (sent.retcode, sent.deal, sent.order) == (10018, 0, 0)


@pytest.mark.parametrize(
    ("side", "name", "opened", "closed", "expected"),
    [
        (BUY, "EURUSD", 1.0991, 1.0991 + 0.003, 300.0),
        (SELL, "EURUSD", 1.0991, 1.0991 - 0.003, 300.0),
        (BUY, "GBPUSD", 1.2273, 1.2273 + 0.003, 300.0),
        (SELL, "GBPUSD", 1.2273, 1.2273 - 0.003, 300.0),
        (BUY, "USDJPY", 108.183, 108.483, 276.54),
        (SELL, "USDJPY", 108.1787, 107.8787, 278.09),
    ],
)
def test_profit_py_doc(side: int, name: str, opened: float, closed: float, expected: float) -> None:
    spec = jpy(name) if name.endswith("JPY") else symbol(name)
    assert terminal(flat(opened), spec).order_calc_profit(side, name, 1.0, opened, closed) == expected


@pytest.mark.parametrize(("side", "opened", "closed", "expected"), [(BUY, 1.10757, 1.10881, 124.0), (SELL, 1.10753, 1.10881, -128.0)])
def test_profit_mql_doc(side: int, opened: float, closed: float, expected: float) -> None:
    assert terminal(flat(1.1)).order_calc_profit(side, "EURUSD", 1.0, opened, closed) == expected


@pytest.mark.parametrize(
    ("side", "spec", "lots", "opened", "closed", "expected"),
    [
        pytest.param(BUY, CHF, 0.01, 0.97898, 0.95758, -22.35, id="py doc"),
        pytest.param(SELL, CHF, 0.1, 0.93475, 0.93751, -29.44, id="py doc"),
        pytest.param(BUY, symbol("AUDUSD"), 0.1, 0.66336, 0.66327, -0.9, id="py doc"),
        pytest.param(BUY, GOLD, 0.01, 1970.98, 1970.09, -0.89, id="book"),
        pytest.param(SELL, GOLD, 0.01, 1969.98, 1970.17, -0.19, id="book"),
        pytest.param(SELL, GOLD, 0.1, 1970.09, 1970.22, -1.3, id="book"),
        pytest.param(SELL, GOLD, 1.1, 1969.95, 1969.88, 7.7, id="book"),
        pytest.param(BUY, jpy("USDJPY"), 0.1, 144.132, 144.124, -0.56, id="book"),
    ],
)
def test_deals_py_doc_and_deals_book(side: int, spec: SymbolSpec, lots: float, opened: float, closed: float, expected: float) -> None:
    made = terminal([*flat(opened, 1), *flat(closed, 2)], spec)
    done(made.order_send(deal(side, lots, symbol=spec.name)))
    made.clock.sleep(3600)
    done(made.order_send(close(made.positions_get()[0])))
    assert made.history_deals_get(*ALL)[-1].profit == expected


@pytest.mark.parametrize(
    ("side", "lots", "opened", "expected"),
    [
        (SELL, 0.01, 1.09301, -8.03),
        (BUY, 0.01, 1.08676, 14.23),
        (BUY, 0.01, 1.0864, 14.59),
        (BUY, 0.01, 1.09545, 5.54),
        (BUY, 0.02, 1.09536, 11.26),
    ],
)
def test_positions_py_doc(side: int, lots: float, opened: float, expected: float) -> None:
    spread = 0 if side == SELL else 5  # opened where the spread takes the fill to the printed price
    start = round(opened - spread * 1e-5, 5)
    made = terminal([*flat(start, 1), *flat(1.10099, 2)], symbol(spread_points=5))
    done(made.order_send(deal(side, lots)))
    made.clock.sleep(3600)
    position = made.positions_get()[0]
    assert (position.price_open, position.price_current, position.profit) == (opened, 1.10104 if side == SELL else 1.10099, expected)


def test_position_book() -> None:
    rows = [*flat(0.99145, 1), *flat(0.9853, 2)]
    spec = symbol("USDCHF", swap_mode=4, swap_short=-1.0)
    made = SimulatedTerminal(ReplayMarket({"USDCHF": (spec, bars(rows, step=86_400))}, TIMEFRAMES["D1"]), AccountSpec())
    made.initialize()
    done(made.order_send(deal(SELL, 0.01, symbol="USDCHF")))
    made.clock.sleep(86_400)
    position = made.positions_get()[0]
    assert (position.price_current, position.swap, position.profit) == (0.9853, -0.01, 6.24)  # the swap is not in the profit


@pytest.mark.parametrize(
    ("crossed", "pair", "bid", "gain", "loss"),
    [
        pytest.param(
            jpy("EURJPY"), jpy("USDJPY", spread_points=7), 111.38, 0.8977708350166538, 0.8978272580355541, id="tick_value_eurjpy py doc"
        ),
        pytest.param(
            symbol("EURCAD"),
            symbol("USDCAD", spread_points=18),
            1.41954,
            0.7043642408362214,
            0.7044535553770941,
            id="tick_value_eurcad py doc",
        ),
    ],
)
def test_tick_value(crossed: SymbolSpec, pair: SymbolSpec, bid: float, gain: float, loss: float) -> None:
    made = market_terminal({crossed.name: (crossed, flat(1.5)), pair.name: (pair, flat(bid)), "EURUSD": (symbol(), flat(1.1))})
    info = made.symbol_info(crossed.name)
    shown = (info.trade_tick_value, info.trade_tick_value_profit, info.trade_tick_value_loss)
    assert shown == pytest.approx((gain, gain, loss), rel=3e-16)


def test_account_identities_py_doc() -> None:
    account = holding(98.18, 41.82, 99_511.4).account_info()
    assert (account.balance, account.credit, account.profit, account.margin) == (99511.4, 0.0, 41.82, 98.18)
    assert (account.equity, account.margin_free, account.margin_level) == (99553.22, 99455.04, 101398.67590140559)


@pytest.mark.parametrize(
    ("margin", "profit", "expected"), [(1000.0, -78.76, (9921.24, 8921.24, 992.12)), (2000.0, -1486.07, (8513.93, 6513.93, 425.7))]
)
def test_margin_level_book(margin: float, profit: float, expected: tuple[float, float, float]) -> None:
    account = holding(margin, profit, 10_000.0).account_info()
    assert (account.equity, account.margin_free, round(account.margin_level, 2)) == expected


# -- the distance of stops, to the point (article)


@pytest.mark.parametrize(
    ("level", "price", "bid", "code"),
    [
        ("sl", 1.11404, 1.1143, 10016),
        ("sl", 1.11404, 1.11431, 10016),
        ("sl", 1.11402, 1.1143, 10016),
        ("sl", 1.11399, 1.11428, 10016),
        ("sl", 1.11398, 1.11428, 10009),
        ("tp", 1.11478, 1.11452, 10016),
        ("tp", 1.11479, 1.11452, 10016),
        ("tp", 1.1148, 1.11452, 10016),
        ("tp", 1.11481, 1.11452, 10016),
        ("tp", 1.11482, 1.11452, 10009),
    ],
)
def test_stops_level_sl_and_stops_level_tp(level: str, price: float, bid: float, code: int) -> None:
    made = terminal(flat(bid), symbol(stops_level=30, execution=INSTANT))
    request = deal(BUY, price=bid) | {level: price}
    assert made.order_check(request).retcode == (0 if code == 10009 else code)
    assert made.order_send(request).retcode == code


@pytest.mark.parametrize(
    ("order_type", "price", "level", "at", "code"),
    [
        (BUY_STOP, 1.11019, "sl", 1.10993, 10016),
        (BUY_STOP, 1.11019, "sl", 1.10992, 10016),
        (BUY_STOP, 1.1102, "sl", 1.10992, 10016),
        (BUY_STOP, 1.11021, "sl", 1.10992, 10016),
        (BUY_STOP, 1.11021, "sl", 1.10991, 10009),
        (BUY_LIMIT, 1.10621, "tp", 1.10647, 10016),
        (BUY_LIMIT, 1.10621, "tp", 1.10648, 10016),
        (BUY_LIMIT, 1.10621, "tp", 1.10649, 10016),
        (BUY_LIMIT, 1.10619, "tp", 1.10648, 10016),
        (BUY_LIMIT, 1.10619, "tp", 1.10649, 10009),
    ],
)
def test_stops_level_pending(order_type: int, price: float, level: str, at: float, code: int) -> None:
    made = terminal(flat(1.108), symbol(stops_level=30))
    assert made.order_send(pending(order_type, price) | {level: at}).retcode == code


# -- answers of the server


def test_send_market_log() -> None:
    made = terminal(flat(1.24491), symbol("GBPUSD", spread_points=9))
    levels: dict[str, Any] = {"sl": 1.2440000000000002, "tp": 1.246}
    request = deal(symbol="GBPUSD", price=1.245, deviation=20, magic=234000, comment="python script open", type_filling=1, **levels)
    answer = made.order_send(request)
    assert (answer.retcode, answer.volume, answer.price, answer.bid, answer.ask) == (10009, 0.1, 1.245, 1.24491, 1.245)
    assert (answer.comment, answer.retcode_external) == ("Request executed", 0)
    assert min(answer.deal, answer.order, answer.request_id) > 0
    assert {name: value for name, value in answer.request._asdict().items() if name in request} == request


def test_send_close_py_doc() -> None:
    made = terminal(flat(108.015), jpy("USDJPY", spread_points=5, execution=INSTANT))
    opened = done(made.order_send(deal(symbol="USDJPY", price=108.02, deviation=20)))
    answer = made.order_send(close(made.positions_get()[0], price=108.018, deviation=20))
    assert (answer.retcode, answer.volume, answer.price, answer.bid, answer.ask) == (10009, 0.1, 108.015, 108.015, 108.02)
    assert answer.request.position == opened.order  # the position's ticket is that of its order
    assert made.positions_total() == 0


def test_send_pending_log() -> None:
    made = terminal(flat(65348.46), symbol("BTCUSD", digits=2, tick_size=0.01, spread_points=3188, contract_size=1.0))
    answer = made.order_send(pending(BUY_LIMIT, 59000.0, 0.05, symbol="BTCUSD", comment="limit order"))
    assert (answer.retcode, answer.deal, answer.volume, answer.price) == (10009, 0, 0.05, 0.0)
    assert (answer.bid, answer.ask, answer.retcode_external) == (65348.46, 65380.34, 0)
    assert min(answer.order, answer.request_id) > 0


def test_send_sltp_log() -> None:
    made = terminal(flat(139.0), jpy("USDJPY"))
    ticket = done(made.order_send(deal(symbol="USDJPY"))).order
    answer = made.order_send(protect(ticket, 138.574) | {"symbol": "USDJPY", "magic": 234000, "deviation": 20})
    assert answer[:8] == (10009, 0, 0, 0.0, 0.0, 0.0, 0.0, "Request executed")
    assert (answer.request_id > 0, answer.retcode_external) == (True, 0)


def test_send_autotrading_off_log() -> None:
    made = terminal(flat(2326.08), GOLD)
    made.autotrading = False
    answer = made.order_send(deal(volume=0.01, symbol="XAUUSD", price=2326.08))
    assert answer[:10] == (10027, 0, 0, 0.0, 0.0, 0.0, 0.0, "AutoTrading disabled by client", 0, 0)


def test_send_deal_with_pending_type_book() -> None:
    made = terminal(flat(1.12449), symbol(spread_points=3, execution=INSTANT))
    answer = made.order_send(deal(BUY_STOP, 0.01, price=1.12452, type_filling=0))
    assert (answer.retcode, answer.bid, answer.ask, answer.comment) == (10004, 1.12449, 1.12452, "Requote")


def test_comment_truncation_book() -> None:
    made = terminal(flat(1.1), account=AccountSpec(comment_length=16))
    opened = done(made.order_send(deal(comment="python script open")))
    closed = done(made.order_send(close(made.positions_get()[0], comment="python script close")))
    assert [each.comment for each in made.history_deals_get(position=opened.order)] == ["python script op", "python script cl"]
    assert [each.request.comment for each in (opened, closed)] == ["python script open", "python script close"]


def test_netting_reversal_book() -> None:
    made = terminal(flat(70.0), symbol("XTIUSD", digits=2, tick_size=0.01, contract_size=100.0), AccountSpec(margin_mode=0))
    first = done(made.order_send(deal(BUY, 0.01, symbol="XTIUSD")))
    second = done(made.order_send(deal(SELL, 0.02, symbol="XTIUSD")))
    position = made.positions_get()[0]
    assert (position.ticket, position.identifier) == (second.order, first.order)


def test_close_by_book() -> None:
    made = terminal([*flat(1831.13, 1), *flat(1826.22, 1), *flat(1900.0, 2)], GOLD)
    long = done(made.order_send(deal(BUY, 0.01, symbol="XAUUSD"))).order
    made.clock.sleep(3600)
    short = done(made.order_send(deal(SELL, 0.01, symbol="XAUUSD"))).order
    made.clock.sleep(3600)
    order = done(made.order_send(close_by(short, long))).order
    first, second = made.history_deals_get(*ALL)[-2:]
    assert [(each.order, each.type, each.volume, each.price) for each in (first, second)] == [
        (order, BUY, 0.01, 1831.13),
        (order, SELL, 0.01, 1826.22),
    ]
    assert (first.profit, second.profit) == (-4.91, 0.0)


# -- arguments, groups and prices


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(lambda mt5: mt5.order_send(deal(comment="x" * 30)), (-2, 'Invalid "comment" argument'), id="comment of 30"),
        pytest.param(lambda mt5: mt5.order_send(deal(volume=1)), (-2, 'Invalid "volume" argument'), id="volume=1"),
        pytest.param(lambda mt5: mt5.order_send(deal(sl=0)), (-2, 'Invalid "sl" argument'), id="sl=0"),
        pytest.param(lambda mt5: mt5.order_send(deal(sl=None)), (-2, 'Invalid "sl" argument'), id="sl=None"),
        pytest.param(lambda mt5: mt5.order_send(deal(magic=np.int64(1))), (-2, 'Invalid "magic" argument'), id="magic=int64"),
        pytest.param(lambda mt5: mt5.order_send(deal(deviation=10.0)), (-2, 'Invalid "deviation" argument'), id="deviation=10.0"),
        pytest.param(lambda mt5: mt5.order_send([]), (-2, "Invalid arguments"), id="order_send([])"),
        pytest.param(lambda mt5: mt5.order_send(), (-2, "Invalid number of arguments"), id="order_send()"),
        pytest.param(lambda mt5: mt5.positions_get("EURUSD"), (-2, "Unnamed arguments not allowed"), id="positions_get unnamed"),
        pytest.param(lambda mt5: mt5.symbol_info("NOPE"), (-4, "Terminal: Not found"), id="symbol_info"),
        pytest.param(lambda mt5: mt5.symbol_info_tick("NOPE"), (-4, "Terminal: Not found"), id="symbol_info_tick"),
        pytest.param(lambda mt5: mt5.copy_rates_from_pos("NOPE", 1, 0, 10), (-1, "Terminal: Call failed"), id="copy_rates"),
        pytest.param(lambda mt5: mt5.copy_ticks_range("NOPE", *ALL, -1), (-4, "Terminal: Not found"), id="copy_ticks"),
        pytest.param(lambda mt5: mt5.copy_rates_from_pos("EURUSD", 1, 0, 100_000), (-2, "Terminal: Invalid params"), id="100000 bars"),
        pytest.param(lambda mt5: mt5.copy_rates_from_pos("EURUSD", 32768, 0, 1), (-2, "Terminal: Invalid params"), id="timeframe 32768"),
    ],
)
def test_py_arg_errors_core_none(call: Any, error: tuple[int, str]) -> None:
    made = terminal(flat(1.1))
    assert call(made) is None
    assert made.last_error() == error


@pytest.mark.parametrize(
    ("call", "answer", "error"),
    [
        pytest.param(lambda mt5: mt5.symbol_select("EURUSD"), False, (-10004, "No IPC connection"), id="symbol_select"),
        pytest.param(lambda mt5: mt5.market_book_add("EURUSD"), False, OK, id="market_book_add"),
        pytest.param(lambda mt5: mt5.positions_get(), None, (-10004, "No IPC connection"), id="a read"),
        pytest.param(lambda mt5: mt5.symbols_get(5), False, (-2, "Invalid 1st unnamed argument"), id="symbols_get(5)"),
    ],
)
def test_py_arg_errors_core_before_initialize(call: Any, answer: bool | None, error: tuple[int, str]) -> None:
    made = terminal(flat(1.1))
    made.shutdown()
    assert call(made) is answer
    assert made.last_error() == error


def test_py_arg_errors_core_accepted() -> None:
    made = terminal(flat(1.1))
    done(made.order_send(deal(comment="x" * 29, volume=np.float64(0.1))))
    assert (made.positions_get(ticket=0), made.last_error()) == ((), OK)
    assert (len(made.copy_ticks_range("EURUSD", 5, 6, -1)), made.last_error()) == (0, OK)


def test_py_arg_errors_core_one_bar_less_than_maxbars() -> None:
    index = pd.date_range("2024-01-01", periods=100_100, freq="min", unit="s")
    frame = pd.DataFrame(1.1, columns=["Open", "High", "Low", "Close"], index=index)
    market = ReplayMarket({"EURUSD": (symbol(), frame)}, TIMEFRAMES["M1"], start=index[-1].to_pydatetime().replace(tzinfo=UTC))
    made = SimulatedTerminal(market)
    made.initialize()
    assert made.terminal_info().maxbars == 100_000
    assert len(made.copy_rates_from_pos("EURUSD", 1, 0, 99_999)) == 99_999


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ("*USD*", ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m"]),
        ("EURUSD", ["EURUSD"]),
        ("EUR", []),
        ("EUR*", ["EURUSD", "EURUSD.m"]),
        ("*,!*EUR*", ["GBPUSD", "USDJPY", "AUDCAD"]),
        ("!*EUR*,*", ["GBPUSD", "USDJPY", "AUDCAD"]),
        ("!*EUR*", []),
        ("*, !EURUSD", ["GBPUSD", "USDJPY", "EURUSD.m", "AUDCAD"]),
        ("*usd*", []),
        ("EUR*,GBP*", ["EURUSD", "EURUSD.m", "GBPUSD"]),
        ("", []),
    ],
)
def test_group_mask_core(group: str, kept: list[str]) -> None:
    names = ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m", "AUDCAD"]
    assert sorted(filter(mask(group), names)) == sorted(kept)


def test_copy_rates_from_py_doc() -> None:
    first, last = 1578484800, 1578614400  # 2020-01-08 12:00 and 2020-01-10 00:00
    frame = bars(flat(1.11, 30), step=14_400, first=first - 10 * 14_400).assign(Spread=1.0)
    frame.loc[pd.Timestamp(last, unit="s"), ["Open", "High", "Low", "Close", "Volume"]] = [1.11051, 1.11093, 1.11017, 1.11041, 2448]
    market = ReplayMarket({"EURUSD": (symbol(), frame)}, TIMEFRAMES["H4"], start=datetime(2020, 1, 10, 8, tzinfo=UTC))
    made = SimulatedTerminal(market)
    made.initialize()
    rates = made.copy_rates_from("EURUSD", 16388, datetime(2020, 1, 10, tzinfo=UTC), 10)
    assert (len(rates), rates[0]["time"], rates[-1]["time"]) == (10, first, last)
    assert rates[-1].tolist() == (last, 1.11051, 1.11093, 1.11017, 1.11041, 2448, 1, 0)
    assert (np.diff(rates["time"]) > 0).all()


def test_copy_ticks_from_py_doc() -> None:
    first = 1578614400987
    stamps = [first - 5000, first - 4000, *(first + 250 * n for n in range(100_010))]
    index = pd.DatetimeIndex(pd.to_datetime(stamps, unit="ms"))
    frame = pd.DataFrame({"Bid": 1.11051, "Ask": 1.11069}, index=index)
    made = SimulatedTerminal(ReplayMarket({"EURUSD": (symbol(), frame)}, start=index[-1].to_pydatetime().replace(tzinfo=UTC)))
    made.initialize()
    ticks = made.copy_ticks_from("EURUSD", datetime(2020, 1, 10, tzinfo=UTC), 100_000, made.COPY_TICKS_ALL)
    assert len(ticks) == 100_000
    row = dict(zip(ticks.dtype.names or (), ticks[0].tolist(), strict=True))
    assert row.pop("flags") & 6 == 6  # bid and ask; the documentation's 134 has an undocumented bit more
    assert tuple(row.values()) == (1578614400, 1.11051, 1.11069, 0.0, 0, first, 0.0)
