"""The life of orders and positions on every terminal, and their money."""

import math
from typing import Any

import pytest

from tests.contract.kinds import MAGIC, Bench
from tests.contract.trading import (
    BUY,
    BUY_LIMIT,
    MODIFY,
    REMOVE,
    SELL,
    SELL_LIMIT,
    SLTP,
    away,
    close,
    deal,
    error,
    eventually,
    history,
    info,
    opened,
    pending,
    sent,
)

CENT = 0.011


def test_a_check_foretells_the_margin_and_changes_nothing(bench: Bench) -> None:
    before = bench.mt5.account_info()
    check = bench.mt5.order_check(deal(bench))
    assert (check.retcode, check.comment) == (0, "Done")
    assert check.balance == pytest.approx(before.balance, abs=CENT)
    assert check.margin > before.margin
    assert check.margin_free == pytest.approx(check.equity - check.margin, abs=CENT)
    assert check.request.symbol == bench.symbol
    assert bench.mt5.positions_total() == len(bench.mt5.positions_get())


def test_the_accounts_figures_agree_with_each_other(bench: Bench) -> None:
    opened(bench)
    account, swaps = bench.mt5.account_info(), sum(each.swap for each in bench.mt5.positions_get())
    assert account.equity == pytest.approx(account.balance + account.credit + account.profit + swaps, abs=CENT)
    assert account.margin_free == pytest.approx(account.equity - account.margin, abs=CENT)
    assert account.margin > 0
    assert account.margin_level == pytest.approx(account.equity / account.margin * 100, rel=1e-4)


def test_a_market_order_makes_a_position_with_the_orders_ticket(bench: Bench) -> None:
    request = deal(bench)
    answer = sent(bench, request)
    assert answer.deal > 0
    assert answer.order > 0
    assert answer.volume == request["volume"]
    assert answer.price > 0
    assert answer.request_id > 0
    assert (answer.request.symbol, answer.request.magic, answer.request.comment) == (bench.symbol, MAGIC, "contract")
    position = eventually(bench, lambda: bench.mt5.positions_get(ticket=answer.order))[0]
    assert (position.ticket, position.identifier, position.type) == (answer.order, answer.order, BUY)
    assert (position.symbol, position.magic, position.comment, position.reason) == (bench.symbol, MAGIC, "contract", 3)
    assert (position.volume, position.sl, position.tp) == (request["volume"], 0.0, 0.0)
    assert position.time == position.time_msc // 1000


def test_closing_a_position_realises_its_profit(bench: Bench) -> None:
    before = bench.mt5.account_info().balance
    position = opened(bench)
    answer = sent(bench, close(bench, position))
    eventually(bench, lambda: not bench.mt5.positions_get(ticket=position.ticket))
    deals = eventually(bench, lambda: _both(bench, position.ticket))
    assert [each.entry for each in deals] == [0, 1]
    assert [each.type for each in deals] == [BUY, SELL]
    assert [each.volume for each in deals] == [position.volume] * 2
    assert [each.order for each in deals] == [position.ticket, answer.order]
    gained = sum(each.profit + each.swap + each.commission + each.fee for each in deals)
    assert bench.mt5.account_info().balance == pytest.approx(before + gained, abs=CENT)
    expected = bench.mt5.order_calc_profit(BUY, bench.symbol, position.volume, deals[0].price, deals[1].price)
    assert deals[1].profit == pytest.approx(expected, abs=CENT)


def _both(bench: Bench, position: int) -> list[Any] | None:
    deals = bench.mt5.history_deals_get(position=position)
    return sorted(deals, key=lambda each: each.ticket) if len(deals) == 2 else None


def test_an_order_that_was_executed_is_history_under_its_ticket_and_its_position(bench: Bench) -> None:
    ticket = opened(bench).ticket
    order = eventually(bench, lambda: bench.mt5.history_orders_get(ticket=ticket))[0]
    assert (order.ticket, order.position_id, order.state, order.volume_current) == (ticket, ticket, 4, 0.0)
    assert [each.ticket for each in bench.mt5.history_orders_get(position=ticket)] == [ticket]
    found = bench.mt5.history_orders_get(*history(bench), group=bench.symbol)
    assert ticket in [each.ticket for each in found]
    assert bench.mt5.history_orders_total(*history(bench)) >= len(found)


def test_a_part_of_a_position_can_be_closed(bench: Bench) -> None:
    smallest = info(bench).volume_min
    position = opened(bench, volume=3 * smallest)
    sent(bench, close(bench, position, volume=smallest))
    left = eventually(bench, lambda: [each for each in bench.mt5.positions_get(ticket=position.ticket) if each.volume < position.volume])
    assert left[0].volume == pytest.approx(2 * smallest)
    assert left[0].price_open == position.price_open


def test_an_opposite_order_opens_a_second_position_or_closes_the_net_one(bench: Bench) -> None:
    long = opened(bench)
    answer = sent(bench, deal(bench, SELL))
    if bench.mt5.account_info().margin_mode == 2:
        assert eventually(bench, lambda: bench.mt5.positions_get(ticket=answer.order))[0].type == SELL
        assert len(bench.mt5.positions_get(ticket=long.ticket)) == 1
    else:
        eventually(bench, lambda: not bench.mt5.positions_get(symbol=bench.symbol))


def test_levels_of_a_position_are_set_and_removed(bench: Bench) -> None:
    ticket = opened(bench).ticket
    levels = {"sl": away(bench, -5), "tp": away(bench, 5)}
    request = {"action": SLTP, "symbol": bench.symbol, "position": ticket, **levels}
    answer = sent(bench, request)
    assert (answer.deal, answer.volume) == (0, 0.0)
    eventually(bench, lambda: [each for each in bench.mt5.positions_get(ticket=ticket) if (each.sl, each.tp) == tuple(levels.values())])
    assert bench.mt5.order_send(request).retcode == 10025
    sent(bench, request | {"sl": 0.0})
    eventually(bench, lambda: [each for each in bench.mt5.positions_get(ticket=ticket) if (each.sl, each.tp) == (0.0, levels["tp"])])


def test_a_pending_order_waits_is_changed_and_is_taken_back(bench: Bench) -> None:
    answer = sent(bench, pending(bench))
    assert (answer.deal, answer.price) == (0, 0.0)
    order = eventually(bench, lambda: bench.mt5.orders_get(ticket=answer.order))[0]
    assert (order.type, order.state, order.magic, order.position_id) == (BUY_LIMIT, 1, MAGIC, 0)
    assert (order.volume_initial, order.volume_current) == (info(bench).volume_min,) * 2
    assert bench.mt5.orders_total() >= 1
    price = away(bench, -6)
    sent(bench, {"action": MODIFY, "order": order.ticket, "symbol": bench.symbol, "price": price, "type_time": 0})
    eventually(bench, lambda: [each for each in bench.mt5.orders_get(ticket=order.ticket) if each.price_open == price])
    sent(bench, {"action": REMOVE, "order": order.ticket})
    eventually(bench, lambda: not bench.mt5.orders_get(ticket=order.ticket))
    done = eventually(bench, lambda: bench.mt5.history_orders_get(ticket=order.ticket))[0]
    assert (done.state, done.position_id, done.volume_current) == (2, 0, order.volume_initial)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"volume": 1e9}, {10014}),
        ({"volume": 0.0}, {10014, 10013}),
        ({"symbol": "NO SUCH NAME"}, {10013}),
        ({"action": 99}, {10013}),
        ({"type": 99}, {10013, 10035}),
    ],
)
def test_an_order_that_no_server_can_take_is_refused_and_a_check_says_so(
    bench: Bench, changes: dict[str, float | str], codes: set[int]
) -> None:
    request = deal(bench) | changes
    assert bench.mt5.order_check(request).retcode in codes
    answer = bench.mt5.order_send(request)
    assert answer.retcode in codes
    assert (answer.deal, answer.order) == (0, 0)


def test_levels_on_the_wrong_side_are_refused(bench: Bench) -> None:
    assert bench.mt5.order_check(deal(bench, sl=away(bench, 5))).retcode == 10016
    assert bench.mt5.order_send(deal(bench, tp=away(bench, -5))).retcode == 10016


def test_a_pending_price_on_the_wrong_side_is_refused(bench: Bench) -> None:
    if info(bench).trade_exemode != 3:  # an exchange would fill it
        assert bench.mt5.order_send(pending(bench, BUY_LIMIT, 5)).retcode == 10015
        assert bench.mt5.order_send(pending(bench, SELL_LIMIT, -5)).retcode == 10015


def test_what_is_gone_can_not_be_closed_or_changed_again(bench: Bench) -> None:
    position = opened(bench)
    request = close(bench, position)
    sent(bench, request)
    eventually(bench, lambda: not bench.mt5.positions_get(ticket=position.ticket))
    assert bench.mt5.order_send(request).retcode in {10036, 10013}
    assert bench.mt5.order_send({"action": SLTP, "position": position.ticket, "sl": away(bench, -5)}).retcode in {10036, 10013}
    assert bench.mt5.order_send({"action": REMOVE, "order": 1}).retcode in {10036, 10013}


def test_deals_are_found_by_their_time_and_by_their_ticket(bench: Bench) -> None:
    position = opened(bench)
    sent(bench, close(bench, position))
    eventually(bench, lambda: _both(bench, position.ticket))
    first, last = history(bench)
    deals = bench.mt5.history_deals_get(first, last)
    assert bench.mt5.history_deals_total(first, last) >= len(deals) >= 2
    assert len({each.ticket for each in deals}) == len(deals)
    one = bench.mt5.history_deals_get(ticket=deals[-1].ticket)
    assert [each.ticket for each in one] == [deals[-1].ticket]
    assert error(bench) == (1, "Success")


def test_profit_and_margin_can_be_calculated(bench: Bench) -> None:
    symbol = info(bench)
    up = symbol.ask + 100 * symbol.point
    gain = bench.mt5.order_calc_profit(BUY, bench.symbol, 1.0, symbol.ask, up)
    loss = bench.mt5.order_calc_profit(SELL, bench.symbol, 1.0, symbol.ask, up)
    assert gain > 0 > loss
    assert bench.mt5.order_calc_profit(BUY, bench.symbol, 2.0, symbol.ask, up) == pytest.approx(2 * gain, rel=1e-3)
    margin = bench.mt5.order_calc_margin(BUY, bench.symbol, symbol.volume_min, symbol.ask)
    assert math.isfinite(margin)
    assert bench.mt5.order_check(deal(bench)).margin == pytest.approx(bench.mt5.account_info().margin + margin, rel=0.01, abs=CENT)
