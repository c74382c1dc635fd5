"""How other people's programs use the package: `import MetaTrader5 as mt5`, and nothing of ours.

Each test is a program of its own, in the ways that the documentation, wrappers and bots in public repositories have.
"""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import Backtest.simulated_terminal as simulated
from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal
from tests.simulated_terminal.terminals import H1, T0, Row, bars, symbol

MAGIC = 234_000


def wave(count: int, middle: float = 1.1) -> list[Row]:
    """Hourly bars that go up and down by about a hundred points each."""
    closes = [round(middle + 0.01 * float(np.sin(n / 6)), 5) for n in range(count + 1)]
    return [(o, round(max(o, c) + 2e-4, 5), round(min(o, c) - 2e-4, 5), c) for o, c in pairwise(closes)]


@pytest.fixture
def terminal() -> SimulatedTerminal:
    """EURUSD and USDJPY as on a demo server of the documentation: instant execution, in the middle of 400 hours."""
    yen = symbol("USDJPY", digits=3, tick_size=0.001, spread_points=5, execution=1)
    prices = {
        "EURUSD": (symbol(spread_points=10, execution=1, stops_level=20), bars(wave(400))),
        "USDJPY": (yen, bars([tuple(round(price * 100, 3) for price in row) for row in wave(400)])),  # type: ignore[misc]
    }
    start = datetime.fromtimestamp(T0, UTC) + timedelta(hours=200)
    return SimulatedTerminal(ReplayMarket(prices, H1, start=start), AccountSpec(100_000.0))


@pytest.fixture
def mt5(terminal: SimulatedTerminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    simulated.use(terminal)
    monkeypatch.setitem(sys.modules, "MetaTrader5", simulated)
    import MetaTrader5  # as such programs begin

    assert MetaTrader5.initialize()
    yield MetaTrader5
    simulated.use(None)


def hours(terminal: SimulatedTerminal, count: int) -> Iterator[None]:
    """So many turns of a loop that looks at the market now and then."""
    for _ in range(count):
        yield
        try:
            terminal.clock.sleep(1800)
        except MarketEnded:
            return


def market_order(mt5: Any, name: str, side: int, lots: float, **more: Any) -> Any:
    tick = mt5.symbol_info_tick(name)
    request = {
        "action": mt5.TRADE_ACTION_DEAL,
        "symbol": name,
        "volume": lots,
        "type": side,
        "price": tick.ask if side == mt5.ORDER_TYPE_BUY else tick.bid,
        "deviation": 20,
        "magic": MAGIC,
        "comment": "python script open",
        "type_time": mt5.ORDER_TIME_GTC,
        "type_filling": mt5.ORDER_FILLING_RETURN,
        **more,
    }
    return mt5.order_send(request)


# -- the flows of the documentation


def test_open_with_levels_wait_and_close_by_ticket(mt5: Any, terminal: SimulatedTerminal) -> None:
    name = "USDJPY"
    info = mt5.symbol_info(name)
    assert info is not None
    if not info.visible:
        assert mt5.symbol_select(name, True)
    price = mt5.symbol_info_tick(name).ask
    levels = {"sl": price - 3000 * info.point, "tp": price + 3000 * info.point}
    result = market_order(mt5, name, mt5.ORDER_TYPE_BUY, 0.1, **levels)
    assert result.retcode == mt5.TRADE_RETCODE_DONE
    assert result._asdict()["request"]._asdict()["type_filling"] == mt5.ORDER_FILLING_RETURN
    terminal.clock.sleep(2)
    bid = mt5.symbol_info_tick(name).bid
    closed = market_order(mt5, name, mt5.ORDER_TYPE_SELL, 0.1, position=result.order, price=bid, comment="python script close")
    assert closed.retcode == mt5.TRADE_RETCODE_DONE
    assert mt5.positions_get(symbol=name) == ()
    assert [each.comment for each in mt5.history_deals_get(position=result.order)] == ["python script open", "python script close"]


def test_rates_and_ticks_become_data_frames(mt5: Any) -> None:
    rates = mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_H4, 0, 20)
    frame = pd.DataFrame(rates)
    frame["time"] = pd.to_datetime(frame["time"], unit="s")
    assert list(frame.columns) == ["time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume"]
    assert frame["time"].dt.hour.isin([0, 4, 8, 12, 16, 20]).all()
    assert frame.set_index("time")["close"].rolling(5).mean().notna().sum() == 16
    assert pd.DataFrame(rates.tolist(), columns=rates.dtype.names)["close"].tolist() == frame["close"].tolist()
    since = datetime(2024, 1, 5, tzinfo=UTC)
    ticks = pd.DataFrame(mt5.copy_ticks_from("EURUSD", since, 10, mt5.COPY_TICKS_ALL))
    ticks["time"] = pd.to_datetime(ticks["time_msc"], unit="ms")
    assert (ticks["ask"] - ticks["bid"]).round(5).eq(1e-4).all()
    assert len(mt5.copy_ticks_range("EURUSD", since, since + timedelta(hours=1), mt5.COPY_TICKS_INFO)) > 0
    with pytest.raises(ValueError, match="read-only"):
        rates["close"][0] = 0.0
    assert rates["close"].copy().mean() > 0
    assert [bar["close"] for bar in rates] == [bar[4] for bar in rates]


def test_positions_orders_and_deals_become_data_frames(mt5: Any) -> None:
    market_order(mt5, "EURUSD", mt5.ORDER_TYPE_BUY, 0.1)
    market_order(mt5, "EURUSD", mt5.ORDER_TYPE_SELL, 0.2)
    positions = mt5.positions_get(group="*USD*")
    frame = pd.DataFrame(list(positions), columns=positions[0]._asdict().keys())
    frame["time"] = pd.to_datetime(frame["time"], unit="s")
    frame = frame.drop(["time_update", "time_msc", "time_update_msc", "external_id"], axis=1)
    assert frame["volume"].tolist() == [0.1, 0.2]
    deals = mt5.history_deals_get(datetime(2020, 1, 1), datetime.now() + timedelta(days=1))  # noqa: DTZ005 - as they do
    assert pd.DataFrame([each._asdict() for each in deals])["symbol"].tolist() == ["", "EURUSD", "EURUSD"]
    account = pd.DataFrame(list(mt5.account_info()._asdict().items()), columns=["property", "value"])
    assert account.set_index("property").loc["balance", "value"] == 100_000.0
    symbols = pd.DataFrame([each._asdict() for each in mt5.symbols_get()])
    assert symbols[["name", "digits"]].to_numpy().tolist() == [["EURUSD", 5], ["USDJPY", 3]]


def test_margin_and_profit_are_calculated_for_a_list_of_symbols(mt5: Any) -> None:
    for name in ("EURUSD", "USDJPY"):
        if not mt5.symbol_info(name).visible:
            mt5.symbol_select(name, True)
        ask, point = mt5.symbol_info_tick(name).ask, mt5.symbol_info(name).point
        assert mt5.order_calc_margin(mt5.ORDER_TYPE_BUY, name, 0.1, ask) > 0
        assert mt5.order_calc_profit(mt5.ORDER_TYPE_BUY, name, 1.0, ask, ask + 300 * point) > 0
        assert mt5.order_calc_profit(mt5.ORDER_TYPE_SELL, name, 1.0, ask, ask + 300 * point) < 0
    assert mt5.order_calc_margin(mt5.ORDER_TYPE_BUY, "NOPE", 0.1, 1.0) is None


# -- bots


def test_a_trailing_stop_only_ever_comes_nearer(mt5: Any, terminal: SimulatedTerminal) -> None:
    ticket = market_order(mt5, "EURUSD", mt5.ORDER_TYPE_BUY, 0.5, sl=1.05, tp=0.0).order
    point, distance, stops = mt5.symbol_info("EURUSD").point, 300, []
    for _ in hours(terminal, 300):
        position = next(iter(mt5.positions_get(ticket=ticket)), None)
        if position is None:
            break
        wanted = round(position.price_current - distance * point, 5)
        if position.profit > 0 and wanted > position.sl:
            request = {"action": mt5.TRADE_ACTION_SLTP, "symbol": "EURUSD", "position": ticket, "sl": wanted, "tp": position.tp}
            assert mt5.order_send(request).retcode == mt5.TRADE_RETCODE_DONE
            stops.append(wanted)
    assert len(stops) > 2
    assert stops == sorted(stops)
    out = mt5.history_deals_get(position=ticket)[-1]
    assert (out.reason, out.comment) == (mt5.DEAL_REASON_SL, f"[sl {stops[-1]:.5f}]")


def test_a_grid_of_pending_orders_fills_step_by_step_and_what_is_left_is_removed(mt5: Any, terminal: SimulatedTerminal) -> None:
    middle = round(mt5.symbol_info_tick("EURUSD").bid, 4)
    for step in range(1, 6):
        for order_type, sign in ((mt5.ORDER_TYPE_BUY_LIMIT, -1), (mt5.ORDER_TYPE_SELL_LIMIT, 1)):
            price = round(middle + sign * step * 0.002, 5)
            request = {
                "action": mt5.TRADE_ACTION_PENDING,
                "symbol": "EURUSD",
                "volume": 0.01 * step,
                "type": order_type,
                "price": price,
                "tp": round(price - sign * 0.002, 5),
                "magic": MAGIC,
                "type_time": mt5.ORDER_TIME_SPECIFIED,
                "expiration": int(mt5.symbol_info_tick("EURUSD").time) + 86_400 * 3,
                "type_filling": mt5.ORDER_FILLING_RETURN,
            }
            assert mt5.order_check(request).retcode == 0
            assert mt5.order_send(request).retcode == mt5.TRADE_RETCODE_DONE
    assert mt5.orders_total() == 10
    for _ in hours(terminal, 40):
        pass
    filled = [each for each in mt5.history_orders_get(T0, T0 + 10**7, group="EUR*") if each.state == mt5.ORDER_STATE_FILLED]
    assert filled
    for order in mt5.orders_get(symbol="EURUSD"):
        assert mt5.order_send({"action": mt5.TRADE_ACTION_REMOVE, "order": order.ticket}).retcode == mt5.TRADE_RETCODE_DONE
    assert mt5.orders_get() == ()


def test_close_all_leaves_nothing_open_and_the_balance_is_the_equity(mt5: Any) -> None:
    for side in (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL, mt5.ORDER_TYPE_BUY):
        market_order(mt5, "EURUSD", side, 0.1)
        market_order(mt5, "USDJPY", side, 0.1)
    for position in mt5.positions_get():
        opposite = mt5.ORDER_TYPE_SELL if position.type == mt5.POSITION_TYPE_BUY else mt5.ORDER_TYPE_BUY
        done = market_order(mt5, position.symbol, opposite, position.volume, position=position.ticket)
        assert done.retcode == mt5.TRADE_RETCODE_DONE, (done.comment, mt5.last_error())
    account = mt5.account_info()
    assert (mt5.positions_total(), account.margin, account.equity) == (0, 0.0, account.balance)


def test_the_filling_mode_is_found_by_trying(mt5: Any, terminal: SimulatedTerminal) -> None:
    terminal._server.specs["EURUSD"] = symbol(spread_points=10, filling_mode=2)  # market execution, IOC only
    tick = mt5.symbol_info_tick("EURUSD")
    request = {"action": mt5.TRADE_ACTION_DEAL, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": tick.ask}
    fillings = (mt5.ORDER_FILLING_FOK, mt5.ORDER_FILLING_RETURN, mt5.ORDER_FILLING_IOC)
    codes = [mt5.order_check({**request, "type_filling": each}).retcode for each in fillings]
    assert codes == [mt5.TRADE_RETCODE_INVALID_FILL, mt5.TRADE_RETCODE_INVALID_FILL, 0]


def test_history_tells_the_profit_of_each_position(mt5: Any, terminal: SimulatedTerminal) -> None:
    before, tickets = mt5.account_info().balance, []
    for _, side in zip(hours(terminal, 12), [mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL] * 6, strict=True):
        tickets.append(market_order(mt5, "EURUSD", side, 0.1).order)
        if len(tickets) > 3:
            assert mt5.Close("EURUSD", ticket=tickets[len(tickets) - 4])
    deals = mt5.history_deals_get(0, int(mt5.symbol_info_tick("EURUSD").time) + 86_400)
    frame = pd.DataFrame([each._asdict() for each in deals])
    trades = frame[frame["position_id"] > 0].groupby("position_id")[["profit", "swap", "commission", "fee"]].sum().sum(axis=1)
    assert set(trades.index) == set(tickets)
    assert mt5.account_info().balance - before == pytest.approx(trades.sum())
    closed = frame[frame["entry"] == mt5.DEAL_ENTRY_OUT]
    assert len(closed) == 9
    assert mt5.history_deals_total(0, 2**31 - 1) == len(deals)


def test_lots_are_sized_by_risk_on_the_symbols_grid(mt5: Any) -> None:
    info, account = mt5.symbol_info("EURUSD"), mt5.account_info()
    stop_points = 250
    loss_per_lot = stop_points * info.point / info.trade_tick_size * info.trade_tick_value
    lots = np.floor(account.balance * 0.01 / loss_per_lot / info.volume_step) * info.volume_step
    lots = float(min(max(lots, info.volume_min), info.volume_max))
    result = market_order(mt5, "EURUSD", mt5.ORDER_TYPE_BUY, round(lots, 2), sl=info.ask - stop_points * info.point)
    assert result.retcode == mt5.TRADE_RETCODE_DONE
    lost = mt5.order_calc_profit(mt5.ORDER_TYPE_BUY, "EURUSD", result.volume, result.price, result.price - stop_points * info.point)
    assert 0.95 * account.balance * 0.01 <= -lost <= account.balance * 0.01


# -- the surroundings of programs


def test_threads_that_share_the_terminal_never_meet_inside_a_call(mt5: Any, terminal: SimulatedTerminal) -> None:
    errors: list[str] = []

    def trade(side: int) -> None:
        for _ in range(30):
            opened = market_order(mt5, "EURUSD", side, 0.01)
            closed = market_order(mt5, "EURUSD", 1 - side, 0.01, position=opened.order)
            if (opened.retcode, closed.retcode) != (10009, 10009):
                errors.append(f"{opened.comment}, {closed.comment}")

    def look() -> None:
        for _ in range(200):
            account, positions = mt5.account_info(), mt5.positions_get()
            if account is None or positions is None:
                errors.append(str(mt5.last_error()))

    threads = [threading.Thread(target=trade, args=(side,)) for side in (0, 1)] + [threading.Thread(target=look)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    deals = mt5.history_deals_get(0, 2**31 - 1)
    assert len({each.ticket for each in deals}) == len(deals) == 121
    assert mt5.positions_total() == 0


def test_a_program_logs_in_and_looks_which_account_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = {"EURUSD": (symbol(), bars(wave(10)))}
    mine = SimulatedTerminal(ReplayMarket(prices, H1), AccountSpec(login=5_001, password="right", server="Broker-Demo"))
    simulated.use(mine)
    monkeypatch.setitem(sys.modules, "MetaTrader5", simulated)
    import MetaTrader5 as mt5  # noqa: N813 - as they do

    assert mt5.initialize(login=5_001, password="wrong", server="Broker-Demo") is False
    assert mt5.last_error() == (mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed")
    assert mt5.account_info() is None  # a failed initialize leaves no connection
    assert mt5.initialize() is True
    assert mt5.login(5_001, password="wrong") is False
    assert mt5.account_info().login == 5_001  # a failed login leaves it
    assert mt5.login(5_001, "right", "Broker-Demo") is True
    assert mt5.login(login=5_001, password="right", server="Broker-Demo", timeout=1000) is True
    assert mt5.account_info().server == "Broker-Demo"
    simulated.use(None)


def test_a_wrapper_keeps_the_functions_in_its_class_and_looks_for_the_constants_by_prefix(mt5: Any) -> None:
    class Broker:
        account = mt5.account_info
        send = mt5.order_send

        def balance(self) -> float:
            return float(self.account().balance)

    assert Broker().balance() == 100_000.0
    assert Broker().send({}).retcode == mt5.TRADE_RETCODE_INVALID
    timeframes = {name.removeprefix("TIMEFRAME_"): value for name, value in vars(mt5).items() if name.startswith("TIMEFRAME_")}
    assert len(timeframes) == 21
    assert {value: name for name, value in vars(mt5).items() if name.startswith("TRADE_RETCODE_")}[10009] == "TRADE_RETCODE_DONE"
    assert isinstance(mt5, ModuleType)
    assert isinstance(mt5.account_info(), mt5.AccountInfo)
    assert isinstance(mt5.symbol_info_tick("EURUSD"), tuple)


def test_a_programs_own_tests_put_others_in_for_the_functions(mt5: Any) -> None:
    answer = mt5.OrderSendResult((10009, 1, 2, 0.1, 1.1, 1.1, 1.1, "Request executed", 1, 0, mt5.TradeRequest([0] * 17)))
    with mock.patch("MetaTrader5.order_send", return_value=answer) as sent:
        assert mt5.order_send({"action": 1}).order == 2
    sent.assert_called_once_with({"action": 1})
    with mock.patch.object(mt5, "symbol_info", return_value=None):
        assert mt5.symbol_info("EURUSD") is None
    assert mt5.symbol_info("EURUSD") is not None


def test_structures_are_kept_compared_and_matched(mt5: Any) -> None:
    tick = mt5.symbol_info_tick("EURUSD")
    assert tick in {tick: "hashable"}
    assert tick == mt5.symbol_info_tick("EURUSD")
    time, bid, ask, *_ = tick
    assert (time, bid, ask) == (tick.time, tick.bid, tick.ask)
    match mt5.account_info():
        case mt5.AccountInfo(balance=balance, currency="USD"):
            assert balance == 100_000.0
        case _:
            pytest.fail("an account is matched by its fields")
    assert list(tick._asdict()) == ["time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real"]
    assert (mt5.Tick.n_fields, mt5.Tick.n_sequence_fields, mt5.Tick.n_unnamed_fields) == (8, 8, 0)
    assert repr(tick) == f"Tick(time={time}, bid={bid}, ask={ask}, last=0.0, volume=0, time_msc={tick.time_msc}, flags=6, volume_real=0.0)"
