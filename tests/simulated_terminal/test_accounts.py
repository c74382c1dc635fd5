"""Several accounts in one terminal, and what it says of itself."""

from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, H1, SELL, bars, close, deal, done, flat, symbol, terminal

FIRST = AccountSpec(10_000.0, login=1, password="one", server="Broker-Demo")
SECOND = AccountSpec(500.0, login=2, password="two", server="Broker-Live", margin_mode=0, currency="USD", trade_mode=2)


def several(first: AccountSpec = FIRST, *others: AccountSpec, **more: Any) -> SimulatedTerminal:
    prices = {"EURUSD": (symbol(), bars([*flat(1.1), *flat(1.2, 3)]))}
    made = SimulatedTerminal(ReplayMarket(prices, H1), first, others=others, **more)
    assert made.initialize()
    return made


def test_a_login_switches_to_an_account_with_its_own_money_positions_and_history() -> None:
    made = several(FIRST, SECOND)
    first = done(made.order_send(deal(volume=0.5))).order
    assert made.login(2, "two", "Broker-Live") is True
    account = made.account_info()
    assert (account.login, account.balance, account.server, account.margin_mode, account.trade_mode) == (2, 500.0, "Broker-Live", 0, 2)
    assert (made.positions_get(), len(made.history_deals_get(*ALL))) == ((), 1)
    done(made.order_send(deal(SELL, 0.01)))
    assert made.initialize(login=1, password="one", server="Broker-Demo") is True
    assert [(each.ticket, each.volume) for each in made.positions_get()] == [(first, 0.5)]


def test_the_market_moves_all_accounts_whoever_is_logged_in() -> None:
    made = several(FIRST, SECOND)
    done(made.order_send(deal(volume=0.1, tp=1.15)))
    made.login(2)  # the terminal has kept the password
    assert made.account_info().login == 2
    done(made.order_send(deal(SELL, 0.01, sl=1.18)))
    for _ in range(4):
        made.clock.sleep(3600)
    assert [each.reason for each in made.history_deals_get(*ALL)][-1] == 4
    made.login(1)
    assert made.positions_total() == 0
    assert made.account_info().balance == 11_000.0  # the gap fills at the open


def test_a_login_that_fails_keeps_the_account_and_the_connection() -> None:
    made = several(FIRST, SECOND)
    made.login(2, "two")
    for wrong in ((1, "two"), (2, "one"), (3, "x"), (1, "one", "Broker-Live")):
        assert made.login(*wrong) is False
        assert made.last_error() == (-6, "Terminal: Authorization failed")
        assert made.account_info().login == 2
    assert made.initialize(login=1, password="no") is False
    assert made.account_info() is None
    assert made.initialize() is True
    assert made.account_info().login == 2


def test_where_the_first_account_takes_any_login_all_but_those_of_the_others_are_its_own() -> None:
    made = several(AccountSpec(), SECOND)
    assert made.login(77) is True
    assert (made.account_info().login, made.account_info().balance) == (77, 10_000.0)
    assert made.login(2) is True
    assert made.account_info().balance == 500.0
    assert made.login(78) is True
    assert (made.account_info().login, made.account_info().balance) == (78, 10_000.0)


def test_each_account_needs_a_login_of_its_own_and_a_file_keeps_one(tmp_path: Path) -> None:
    for others in ((AccountSpec(),), (FIRST,), (SECOND, SECOND)):
        with pytest.raises(BadInput, match="each of several accounts needs a login of its own"):
            several(FIRST, *others)
    with pytest.raises(BadInput, match="a file keeps one account"):
        several(FIRST, SECOND, state_file=tmp_path / "account.jsonl")


def test_the_terminal_says_where_it_is_installed_and_how_far_away_its_server_is() -> None:
    info = terminal(flat(1.1)).terminal_info()
    assert info.path.startswith("C:\\Program Files\\")
    assert info.data_path != info.commondata_path
    assert info.commondata_path.endswith("Terminal\\Common")
    assert (info.ping_last, info.codepage, info.language) == (50_000, 0, "English")  # microseconds


def test_a_position_is_closed_by_whom_it_belongs_to() -> None:
    made = several(FIRST, SECOND)
    done(made.order_send(deal(volume=0.1)))
    position = made.positions_get()[0]
    made.login(2)
    assert made.order_send(close(position)).retcode == 10036
    made.login(1)
    done(made.order_send(close(position)))
