"""A paper account whose source does not answer, has no prices, or is another one."""

from typing import Any

import pandas as pd
import pytest

from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from tests.simulated_terminal.paper_terminals import HOUR, LOGIN, LOST, NOT_CONNECTED, Watched, paper, prices, watched
from tests.simulated_terminal.terminals import (
    ALL,
    T0,
    deal,
    done,
    exits,
    flat,
    terminal,
)


def test_while_the_source_does_not_answer_nothing_is_known_and_nothing_is_done() -> None:
    source = watched(1.1, 1.09, 1.12)
    ours = paper(source)
    done(ours.order_send(deal(sl=1.095)))
    source.lost = True
    source.clock.sleep(60)
    for question in (ours.account_info, ours.positions_get, ours.orders_get, ours.positions_total, lambda: ours.history_deals_get(*ALL)):
        assert question() is None
        assert ours.last_error() == LOST
    assert ours.order_calc_margin(0, "EURUSD", 0.1, 1.1) is None
    assert ours.order_send(deal()).retcode == ours.order_check(deal()).retcode == 10031
    assert ours.order_send(deal(comment="x" * 40)) is None  # what is wrong with the request itself is told all the same
    assert ours.last_error()[0] == -2
    source.lost = False
    source.clock.sleep(60)
    assert exits(ours) == [(T0 + HOUR, 1.09, "[sl 1.09500]")]  # type: ignore[arg-type]
    done(ours.order_send(deal()))


def test_without_its_server_the_source_takes_no_order_and_the_account_is_still_shown() -> None:
    source = watched(1.1, 1.1)
    ours = paper(source)
    source.offline = True
    assert ours.terminal_info().connected is False  # type: ignore[union-attr]
    assert ours.order_send(deal()).retcode == 10031
    assert ours.account_info().balance == 10_000.0
    source.offline = False
    done(ours.order_send(deal()))


def test_before_it_is_connected_and_after_it_was_shut_down_there_is_no_account() -> None:
    ours = paper(watched(1.1), initialized=False)
    for _ in range(2):
        assert (ours.account_info(), ours.last_error()) == (None, NOT_CONNECTED)
        assert (ours.order_send(deal()), ours.last_error()) == (None, NOT_CONNECTED)
        assert ours.initialize()
        assert ours.account_info().balance == 10_000.0
        assert ours.shutdown()


def test_a_source_that_was_logged_in_to_another_account_is_not_believed() -> None:
    source = watched(1.1, 1.09)
    ours = paper(source)
    done(ours.order_send(deal(sl=1.095)))
    before = source.inner._login
    source.inner._login = 999
    source.clock.sleep(60)
    assert (ours.positions_get(), ours.last_error()[0]) == (None, -6)
    assert ours.order_send(deal()).retcode == 10031
    source.inner._login = before
    assert exits(ours) == [(T0 + HOUR, 1.09, "[sl 1.09500]")]  # type: ignore[arg-type]


def test_without_a_history_of_ticks_the_newest_one_counts_and_that_is_said_once() -> None:
    source = watched(1.1, 1.09, 1.12, 1.08)
    told: list[str] = []
    ours = paper(source, tell=told.append)
    done(ours.order_send(deal(sl=1.095)))
    source.blind = {"copy_ticks_from"}
    source.clock.sleep(60)
    source.clock.sleep(60)
    assert ours.positions_total() == 1  # the 1.09 in between cannot be known
    source.clock.sleep(60)
    assert exits(ours) == [(T0 + 3 * HOUR, 1.08, "[sl 1.09500]")]  # type: ignore[arg-type]
    assert told == ["EURUSD: the terminal gives no history of ticks; stops and pending orders are looked at on the newest one only"]


def test_a_market_without_ticks_for_long_is_closed_for_requests() -> None:
    source = watched(1.1, 1.1)
    now = source.clock.now()
    ours = PaperTerminal(source, paper_account(source.account_info(), login=LOGIN), now=lambda: now)
    ours.initialize()
    done(ours.order_send(deal()))
    now += pd.Timedelta(minutes=11)
    assert ours.order_check(deal()).retcode == 0
    assert ours.order_send(deal()).retcode == 10018
    source.clock.sleep(60)  # the next tick
    now += pd.Timedelta(minutes=49)
    done(ours.order_send(deal()))


class Unquoted(Watched):
    """A symbol that has never had a tick."""

    def symbol_info_tick(self, _symbol: str) -> None:
        self._failed = (-4, "Terminal: Not found")


def test_a_symbol_that_was_never_quoted_has_no_price() -> None:
    ours = paper(Unquoted(terminal(flat(1.1))))
    assert ours.order_send(deal()).retcode == 10021


class Crossed(Watched):
    """A feed that sometimes shows no price, or crossed ones."""

    wrong: tuple[float, float] | None = None

    def symbol_info_tick(self, symbol: str) -> Any:
        tick = self.inner.symbol_info_tick(symbol)
        return tick if self.wrong is None else type(tick)((tick._asdict() | dict(zip(("bid", "ask"), self.wrong, strict=True))).values())


@pytest.mark.parametrize("wrong", [(0.0, 1.1), (1.2, 1.1), (float("nan"), 1.1), (1.1, float("inf")), (0.0, 0.0)])
def test_prices_that_cannot_be_true_are_no_quote(wrong: tuple[float, float]) -> None:
    source = Crossed(terminal(flat(1.1)))
    ours = paper(source)
    done(ours.order_send(deal(sl=1.0)))
    source.wrong = wrong
    assert ours.order_send(deal()).retcode == 10031  # what the open position is worth is not known
    assert ours.account_info() is None
    source.wrong = None
    assert ours.account_info().profit == 0.0


class PutBack(Watched):
    """A server whose clock is put back by an hour."""

    back = 0

    def symbol_info_tick(self, symbol: str) -> Any:
        tick = self.inner.symbol_info_tick(symbol)
        moved = {"time": tick.time - self.back, "time_msc": tick.time_msc - self.back * 1000}
        return type(tick)((tick._asdict() | moved).values())


def test_prices_go_on_when_the_servers_clock_is_put_back() -> None:
    source = PutBack(terminal(prices(1.1, 1.12, 1.13, 1.09, 1.09)))
    ours = paper(source)
    source.clock.sleep(0.5)
    done(ours.order_send(deal(sl=1.095)))
    source.back = 2 * HOUR
    source.clock.sleep(60)
    assert ours.positions_get()[0].price_current == 1.12
    source.clock.sleep(60)
    assert done(ours.order_send(deal())).price == 1.13
    source.clock.sleep(60)
    assert [price for _, price, _ in exits(ours)] == [1.09]  # type: ignore[arg-type]
    deals = ours.history_deals_get(*ALL)
    assert [each.time_msc for each in deals] == sorted(each.time_msc for each in deals)
