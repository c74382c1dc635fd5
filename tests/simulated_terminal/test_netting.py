"""Netting accounts: one position for each symbol, which grows, shrinks and turns round."""

from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_STOP,
    SELL,
    SELL_STOP,
    T0,
    close,
    close_by,
    deal,
    done,
    exits,
    flat,
    market_terminal,
    pending,
    protect,
    run_out,
    symbol,
    terminal,
)

ROWS = [(price,) * 4 for price in (1.1, 1.2, 1.3, 1.25)]
NETTING = AccountSpec(100_000.0, margin_mode=0)


@pytest.fixture(params=[0, 1])
def made(request: pytest.FixtureRequest) -> SimulatedTerminal:
    return terminal(ROWS, account=AccountSpec(100_000.0, margin_mode=request.param))


def trade(made: SimulatedTerminal, side: int, volume: float, **more: Any) -> Any:
    return done(made.order_send(deal(side, volume, **more)))


def code_of(made: SimulatedTerminal, request: dict[str, Any]) -> int:
    check, sent = made.order_check(request), made.order_send(request)
    assert check.retcode == (0 if sent.retcode == 10009 else sent.retcode)
    return int(sent.retcode)


def test_the_account_says_what_it_is(made: SimulatedTerminal) -> None:
    assert made.account_info().margin_mode in (0, 1)
    with pytest.raises(BadInput, match="margin_mode is 0"):
        AccountSpec(margin_mode=3)


def test_a_second_deal_in_the_same_direction_adds_to_the_position_at_the_weighted_price(made: SimulatedTerminal) -> None:
    first = trade(made, BUY, 0.1, magic=1, comment="first", sl=1.0)
    made.clock.sleep(3600)
    second = trade(made, BUY, 0.3, magic=2, comment="second", tp=1.5)
    position = made.positions_get()[0]
    assert made.positions_total() == 1
    assert (position.ticket, position.identifier, position.volume, position.magic) == (first.order, first.order, 0.4, 2)
    assert position.price_open == (0.1 * 1.1 + 0.3 * 1.2) / (0.1 + 0.3)
    assert (position.sl, position.tp, position.time, position.time_update) == (1.0, 1.5, T0, T0 + 3600)
    assert [(each.entry, each.order, each.position_id) for each in made.history_deals_get(position=first.order)] == [
        (0, first.order, first.order),
        (0, second.order, first.order),
    ]


def test_a_smaller_opposite_deal_takes_off_and_realises_its_part(made: SimulatedTerminal) -> None:
    first = trade(made, BUY, 0.4)
    made.clock.sleep(3600)
    answer = trade(made, SELL, 0.1, magic=9, sl=1.4)
    out, position = made.history_deals_get(ticket=answer.deal)[0], made.positions_get()[0]
    assert (out.entry, out.profit, out.position_id, out.volume) == (1, 1000.0, first.order, 0.1)
    assert (position.ticket, position.volume, position.price_open, position.sl, position.magic) == (first.order, 0.3, 1.1, 0.0, 0)


def test_an_equal_opposite_deal_closes_it(made: SimulatedTerminal) -> None:
    trade(made, SELL, 0.4)
    made.clock.sleep(3600)
    answer = trade(made, BUY, 0.4)
    assert (made.positions_get(), made.account_info().balance) == ((), 100_000.0 - 4000.0)
    assert made.history_deals_get(ticket=answer.deal)[0].entry == 1


def test_a_larger_opposite_deal_turns_it_round_under_the_ticket_of_its_order(made: SimulatedTerminal) -> None:
    first = trade(made, BUY, 0.01, sl=1.0, tp=1.5)
    made.clock.sleep(3600)
    second = trade(made, SELL, 0.03, sl=1.4, magic=4)
    position, turn = made.positions_get()[0], made.history_deals_get(ticket=second.deal)[0]
    assert (position.ticket, position.identifier) == (second.order, first.order)
    assert (position.type, position.volume, position.price_open, position.sl, position.tp, position.magic) == (1, 0.02, 1.2, 1.4, 0.0, 4)
    assert (turn.entry, turn.volume, turn.profit, turn.position_id, turn.type) == (2, 0.03, 100.0, first.order, 1)
    assert made.positions_get(ticket=first.order) == ()
    assert len(made.history_orders_get(position=first.order)) == 2
    done(made.order_send(close(position)))
    assert made.positions_total() == 0
    assert [each.entry for each in made.history_deals_get(position=first.order)] == [0, 2, 1]


def test_levels_guard_the_net_position_and_those_of_before_a_reversal_are_gone(made: SimulatedTerminal) -> None:
    first = trade(made, SELL, 0.1, sl=1.25)
    second = trade(made, BUY, 0.2, tp=1.28)
    run_out(made)
    assert exits(made) == [(T0 + 7200, 1.3, "[tp 1.28000]")]
    out = made.history_deals_get(*ALL)[-1]
    assert (out.position_id, out.volume, second.order != first.order) == (first.order, 0.1, True)


def test_levels_are_set_by_the_symbol_alone(made: SimulatedTerminal) -> None:
    trade(made, BUY, 0.1)
    done(made.order_send({"action": 6, "symbol": "EURUSD", "sl": 1.0, "tp": 1.5}))
    position = made.positions_get()[0]
    assert (position.sl, position.tp) == (1.0, 1.5)
    assert code_of(made, protect(position.ticket, 1.0, 1.5)) == 10025
    assert code_of(made, {"action": 6, "symbol": "EURUSD", "sl": 1.2}) == 10016
    done(made.order_send(close(position)))
    assert code_of(made, {"action": 6, "symbol": "EURUSD", "sl": 1.0}) == 10036
    assert code_of(made, protect(position.ticket, 1.0)) == 10036


def test_pending_orders_meet_the_net_position() -> None:
    made = terminal([(1.1, 1.1, 1.1, 1.1), (1.1, 1.12, 1.05, 1.1)], account=NETTING)
    first = trade(made, BUY, 0.1)
    more = done(made.order_send(pending(BUY_STOP, 1.11, 0.1))).order
    turn = done(made.order_send(pending(SELL_STOP, 1.06, 0.5, sl=1.2))).order
    run_out(made)
    position = made.positions_get()[0]
    assert (position.ticket, position.identifier, position.type, position.volume, position.sl) == (turn, first.order, 1, 0.3, 1.2)
    assert [made.history_orders_get(ticket=each)[0].position_id for each in (more, turn)] == [first.order, first.order]
    assert [each.entry for each in made.history_deals_get(position=first.order)] == [0, 0, 2]


def test_positions_of_two_symbols_do_not_meet() -> None:
    made = market_terminal({name: (symbol(name), flat(1.1)) for name in ("EURUSD", "GBPUSD")}, NETTING)
    trade(made, BUY, 0.1)
    trade(made, SELL, 0.1, symbol="GBPUSD")
    assert [(each.symbol, each.type) for each in made.positions_get()] == [("EURUSD", 0), ("GBPUSD", 1)]


def test_a_close_by_is_refused(made: SimulatedTerminal) -> None:
    ticket = trade(made, BUY, 0.1).order
    assert code_of(made, close_by(ticket, ticket)) == 10035


@pytest.mark.parametrize(
    ("changes", "volume", "code"),
    [
        ({}, 0.1, 10009),
        ({"trade_mode": 3}, 0.1, 10009),
        ({"trade_mode": 3}, 0.2, 10044),
        ({"trade_mode": 1}, 0.1, 10009),
        ({"trade_mode": 1}, 0.11, 10042),
        ({"volume_min": 0.05}, 0.06, 10014),
        ({"volume_min": 0.05}, 0.12, 10014),
        ({"volume_limit": 0.15}, 0.25, 10009),
        ({"volume_limit": 0.15}, 0.26, 10034),
    ],
)
def test_what_closes_is_always_allowed_and_what_opens_is_judged(changes: dict[str, Any], volume: float, code: int, tmp_path: Path) -> None:
    file = tmp_path / "account"  # the position comes from a session under other rules
    made = terminal(ROWS, symbol(), NETTING, state_file=file)
    trade(made, BUY, 0.1)
    made.close()
    made = terminal(ROWS, symbol(**changes), NETTING)
    made._book.open(terminal(ROWS, symbol(), NETTING, state_file=file)._book.net("EURUSD"))  # type: ignore[arg-type]
    assert code_of(made, deal(SELL, volume)) == code


def test_money_is_asked_only_for_what_opens() -> None:
    made = terminal(flat(1.1), account=AccountSpec(1_200.0, margin_mode=0))
    trade(made, BUY, 1.0)
    assert code_of(made, deal(BUY, 0.1)) == 10019
    check = made.order_check(deal(SELL, 0.5))
    assert (check.retcode, check.margin) == (0, 1100.0)  # an opposite order adds nothing
    trade(made, SELL, 2.05)
    assert (made.positions_get()[0].volume, made.account_info().margin) == (1.05, 1155.0)
    assert code_of(made, deal(BUY, 2.2)) == 10019


def test_a_reversed_position_is_the_same_after_a_restart(tmp_path: Path) -> None:
    first = terminal(ROWS, account=NETTING, state_file=tmp_path / "a")
    trade(first, BUY, 0.1, tp=1.5)
    trade(first, SELL, 0.3, sl=1.5)
    expected = first.positions_get()
    first.close()
    assert terminal(ROWS, account=NETTING, state_file=tmp_path / "a").positions_get() == expected
