"""Whatever is traded on whatever prices: money is conserved, volumes add up, tickets are unique, nothing fills outside the bar."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal import AccountSpec, Dealing, MarketEnded, ReplayMarket, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.sessions import sessions
from tests.simulated_terminal.terminals import ALL, DEAL, T0, Row, bars, close, close_by, deal, modify, pending, protect, remove, symbol

POINT = 1e-5
SPECS = [
    symbol(),
    symbol(spread_points=13),
    symbol(spread_points=3, stops_level=20, freeze_level=4),
    symbol(gaps_fill_at_open=False, immediate_stops=True, tick_size=0.0),
    symbol(spread_points=5, execution=1),
    symbol(spread_points=5, execution=3, volume_limit=3.0),
    symbol(swap_mode=4, swap_long=-7.0, swap_short=3.0, sessions=sessions("Mon-Tue 00:00-12:00 16:00-20:00")),
    symbol(spread_points=4, execution=0, swap_mode=7, swap_long=-90.0, swap_short=-40.0),
    symbol(spread_points=4, execution=1, swap_mode=8, swap_long=30.0, swap_short=-40.0, order_gtc_mode=1, stops_level=15),
    symbol(
        execution=3,
        filling_mode=7,
        order_gtc_mode=2,
        calc_mode=33,
        tick_value=1.0,
        margin_initial=900.0,
        margin_maintenance=700.0,
        margin_hedged=800.0,
    ),
    symbol(spread_points=2, trade_mode=1, order_mode=0b1010111, expiration_mode=3, volume_max=0.5),
]
ACCOUNTS = [
    AccountSpec(10_000.0),
    AccountSpec(600.0, commission=lambda units, price: abs(units) * price * 3e-5),
    AccountSpec(10_000.0, leverage=10_000, money_digits=None, stop_out=0.0),
    AccountSpec(10_000.0, margin_mode=0),
    AccountSpec(10_000.0, fifo_close=True, hedge_allowed=False, limit_positions=3, limit_orders=4),
    AccountSpec(10_000.0, dealing=Dealing(seed=5, drift_points=40, lots_per_tick=0.4)),
    AccountSpec(10_000.0, margin_mode=1, dealing=Dealing(seed=6, drift_points=40, lots_per_tick=0.4)),
    AccountSpec(700.0, margin_mode=1, commission=lambda units, price: abs(units) * price * 3e-5),
]


STEP = 14_400  # seconds in a bar: a plan takes up to two days


def started(prices: list[Row], spec: SymbolSpec, account: AccountSpec) -> SimulatedTerminal:
    market = ReplayMarket({spec.name: (spec, bars(prices, step=STEP))}, TIMEFRAMES["H4"])
    made = SimulatedTerminal(market, account)
    assert made.initialize()
    return made


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    prices, made = 110_000, []
    for _ in range(draw(st.integers(2, 12))):
        opened = prices + draw(st.integers(-400, 400))
        closed = opened + draw(st.integers(-400, 400))
        high, low = max(opened, closed) + draw(st.integers(0, 300)), min(opened, closed) - draw(st.integers(0, 300))
        made.append(tuple(round(points * POINT, 5) for points in (opened, high, low, closed)))
        prices = closed
    return made  # type: ignore[return-value]


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "part", "protect", "pending", "pending", "modify", "remove", "close by", "nonsense"]),
        st.integers(0, 1),
        st.integers(1, 60),
        st.integers(-300, 300),
        st.integers(-300, 300),
    ),
    max_size=5,
)


def request_of(made: SimulatedTerminal, order: tuple[str, int, int, int, int]) -> dict[str, Any]:
    kind, side, size, stop, limit = order
    tick, positions = made.symbol_info_tick("EURUSD"), made.positions_get()
    away = [-1 if stop % 10 else 1, 1 if limit % 10 else -1]  # now and then on the wrong side
    sl, tp = (
        round(tick.bid + (1 - 2 * side) * sign * (abs(points) + 20) * POINT, 5) for sign, points in zip(away, (stop, limit), strict=True)
    )
    levels = {"sl": sl if stop % 3 else 0.0, "tp": tp if limit % 3 else 0.0}
    if kind == "nonsense":
        return {
            "action": size % 11,
            "symbol": "EURUSD",
            "type": limit % 9,
            "volume": stop / 100,
            "position": positions[0].ticket if positions else 3,
        }
    if kind in ("pending", "modify", "remove"):
        return about_an_order(made, order)
    opposite = [(one, other) for one in positions for other in positions if one.type != other.type]
    if kind == "close by" and opposite:
        return close_by(*(each.ticket for each in opposite[size % len(opposite)]))
    if kind == "open" or not positions:
        return deal(side, size / 100, price=tick.bid if side else tick.ask, type_filling=size % 3, **levels)
    position = positions[size % len(positions)]
    if kind == "protect":
        return protect(position.ticket, **levels)
    request = close(position, position.volume if kind == "close" else size / 100)
    return request | {"price": tick.bid if position.type == 0 else tick.ask}


def about_an_order(made: SimulatedTerminal, order: tuple[str, int, int, int, int]) -> dict[str, Any]:
    """Most are right, some are not: the server must say so."""
    kind, side, size, stop, limit = order
    bid, waiting = made.symbol_info_tick("EURUSD").bid, made.orders_get()
    terms = {"type_time": size % 4, "expiration": T0 + (stop % 40) * 7200} if size % 3 == 0 else {}
    if kind == "pending" or not waiting:
        order_type = 2 + (size + side) % 6
        rising = (order_type % 2 == 0) != (order_type < 4)
        sign = (1 if rising else -1) if limit % 10 else -1
        price = round(bid + sign * (abs(stop) + 20) * POINT, 5)
        gap = (limit % 50) * POINT * (1 if order_type % 2 == 0 else -1)
        levels = {"sl": round(price - 3 * gap, 5), "tp": round(price + 2 * gap, 5)} if size % 2 else {}
        return pending(order_type, price, size / 100, stoplimit=round(price - gap, 5), type_filling=size % 3, **levels, **terms)
    chosen = waiting[size % len(waiting)]
    if kind == "remove":
        return remove(chosen.ticket)
    moved = stop // 3 * POINT  # the limit moves along: one beyond its stop may fill outside the bar, as in backtesting.py
    return modify(chosen.ticket, round(chosen.price_open + moved, 5), stoplimit=round(chosen.price_stoplimit + moved, 5), **terms)


def assert_foretold(made: SimulatedTerminal, request: dict[str, Any], account: AccountSpec, spec: SymbolSpec) -> None:
    """What order_check objects to, order_send objects to, with the same code; what it lets pass is done."""
    check = made.order_check(request)
    before = made.account_info()
    answer = made.order_send(request)
    closed = spec.sessions is not None and not spec.sessions.is_open(int(made.clock.now().timestamp()))
    if closed and answer.retcode == 10018:
        return  # a check cannot see it, nor what the server would have looked at after it
    unseen = {10009} if account.dealing == Dealing() else {10009, 10004, 10006, 10008, 10010, 10020}  # moved prices, scarce lots
    assert answer.retcode in ({check.retcode} if check.retcode else unseen)
    hedging = before.margin_mode == 2
    if answer.retcode == 10009 and account.dealing == Dealing() and request["action"] == DEAL and hedging and not request.get("position"):
        assert check.margin == pytest.approx(
            before.margin + made.order_calc_margin(request["type"], "EURUSD", request["volume"], answer.price)
        )
        assert made.account_info().margin <= check.margin + 0.0101  # the check adds two rounded figures


def assert_sound(made: SimulatedTerminal, account: AccountSpec, spec: SymbolSpec, prices: list[Row]) -> None:
    deals, info = made.history_deals_get(*ALL), made.account_info()
    conserved = sum(each.profit + each.swap + each.commission + each.fee for each in deals)
    assert info.balance == pytest.approx(conserved, abs=1e-6)
    nights = sum(each.swap for each in made.positions_get())
    assert info.equity == pytest.approx(info.balance + info.profit + nights, abs=1e-6)
    assert info.margin_free == pytest.approx(info.equity - info.margin, abs=1e-6)
    assert info.profit == pytest.approx(sum(each.profit for each in made.positions_get()), abs=1e-6)
    assert len({each.ticket for each in deals}) == len(deals)
    orders = made.history_orders_get(*ALL)
    assert sorted(each.ticket for each in orders if each.position_id) == sorted(
        {each.order for each in deals if each.order} - {each.ticket for each in made.orders_get()}
    )
    filled = {each.ticket: each.volume_initial - each.volume_current for each in (*orders, *made.orders_get())}
    for ticket, volume in filled.items():
        of_it = [each for each in deals if each.order == ticket]
        closed_by = bool(of_it) and of_it[0].entry == 3  # its volume is in two deals
        assert volume == pytest.approx(sum(each.volume for each in of_it) / (1 + closed_by), abs=1e-9)
    assert len({each.ticket for each in (*orders, *made.orders_get())}) == len(orders) + made.orders_total()
    assert [each.time_done_msc for each in orders] == sorted(each.time_done_msc for each in orders)
    assert_volumes_add_up(made, deals)
    traded = [each for each in deals if each.order and each.entry != 3]
    assert_inside_the_bars(traded, spec, prices)
    for moment in {each.time_msc for each in traded}:  # levels and stop-outs find no more takers than orders do
        assert sum(each.volume for each in traded if each.time_msc == moment) <= account.dealing.lots_per_tick + 1e-9
    assert all(each.volume > 0 and each.identifier for each in made.positions_get())


def assert_volumes_add_up(made: SimulatedTerminal, deals: tuple[Any, ...]) -> None:
    signed = sum(each.volume * (1 - 2 * each.type) for each in deals if each.order)
    assert signed == pytest.approx(sum(each.volume * (1 - 2 * each.type) for each in made.positions_get()), abs=1e-9)
    if made.account_info().margin_mode != 2:
        assert made.positions_total() <= 1
        return
    still = {each.identifier: each.volume for each in made.positions_get()}
    for ticket in {each.position_id for each in deals if each.position_id}:
        volumes = {entry: sum(each.volume for each in deals if each.position_id == ticket and each.entry == entry) for entry in (0, 1, 3)}
        assert volumes[0] == pytest.approx(volumes[1] + volumes[3] + still.get(ticket, 0.0), abs=1e-9)


def assert_inside_the_bars(deals: list[Any], spec: SymbolSpec, prices: list[Row]) -> None:
    for each in deals:
        _, high, low, _ = prices[(each.time - T0) // STEP]
        spread = spec.spread_points * POINT if each.type == 0 else 0.0  # buys at the ask, sells at the bid
        assert low + spread - 1e-9 <= each.price <= high + spread + 1e-9


@settings(max_examples=300)
@given(prices=rows(), spec=st.sampled_from(SPECS), account=st.sampled_from(ACCOUNTS), plan=st.lists(ORDERS, min_size=1, max_size=14))
def test_no_sequence_of_orders_breaks_the_books(prices: list[Row], spec: SymbolSpec, account: AccountSpec, plan: list[Any]) -> None:
    made = started(prices, spec, account)
    for orders in plan:
        for order in orders:
            assert_foretold(made, request_of(made, order), account, spec)
        assert_sound(made, account, spec, prices)
        try:
            made.clock.sleep(0.3 if len(orders) == 3 else 60)
        except MarketEnded:
            break
    assert_sound(made, account, spec, prices)


@settings(max_examples=100)
@given(prices=rows(), plan=st.lists(ORDERS, min_size=1, max_size=14))
def test_without_rounding_the_balance_is_the_sum_of_the_deals_to_the_last_bit(prices: list[Row], plan: list[Any]) -> None:
    account = AccountSpec(
        10_000.0, leverage=10_000, money_digits=None, stop_out=0.0, commission=lambda units, price: abs(units) * price * 3e-5
    )
    made = started(prices, SPECS[3], account)
    for orders in plan:
        for order in orders:
            made.order_send(request_of(made, order))
        try:
            made.clock.sleep(60)
        except MarketEnded:
            break
    balance = 0.0
    for each in made.history_deals_get(*ALL):
        balance += each.profit + each.swap + each.commission + each.fee
    assert made.account_info().balance == balance
