"""What a client sees when the terminal, its connection or its account is not what it was, and what the broker's truth is."""

from typing import Any

import pytest

from Backtest.simulated_terminal.faults import At, FaultyTerminal, NthCall, Planned
from tests.simulated_terminal.faulty import FIRST_SEND, FROM_THE_START, counted, faulty, held, with_faults
from tests.simulated_terminal.terminals import ALL, deal, parity_terminal

FIRST_LOOK = NthCall("terminal_info")
NO_CONNECTION = (-10004, "No IPC connection")


def codes(terminal: FaultyTerminal, *functions: str) -> list[int]:
    """The last error of each of these calls."""
    found = []
    for name in functions:
        getattr(terminal, name)()
        found.append(terminal.last_error()[0])
    return found


# the way to the terminal


def test_a_dead_terminal_answers_nothing_until_it_is_initialised_again() -> None:
    terminal = faulty("terminal_died", NthCall("positions_get"))
    assert codes(terminal, "positions_get", "account_info", "terminal_info", "orders_total") == [-10004] * 4
    assert (terminal.order_send(deal()), terminal.last_error(), terminal.version()) == (None, NO_CONNECTION, (0, 0, ""))
    assert terminal.shutdown()
    assert terminal.positions_get() is None
    assert terminal.initialize()
    assert (terminal.order_send(deal()).retcode, held(terminal)) == (10009, [0.1])


def test_after_a_wrong_frame_each_answer_is_that_of_the_call_before() -> None:
    terminal = faulty("wrong_frame", NthCall("positions_get"))
    assert (terminal.positions_get(), terminal.last_error()) == (None, (-10000, "IPC call failed"))
    terminal.inner.order_send(deal())
    assert terminal.positions_get() == ()
    assert held(terminal) == [0.1]
    first = terminal.order_send(deal(volume=0.2))
    assert (first, held(terminal.inner)) == (None, [0.1, 0.2])
    assert terminal.order_send(deal(volume=0.3)).volume == 0.2
    assert terminal.initialize()
    assert held(terminal) == held(terminal.inner) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("arrives", ["now", "never"])
def test_a_terminal_that_restarts_in_the_middle_of_a_call_has_half_its_history_for_a_while(arrives: str) -> None:
    terminal = faulty("restarted", NthCall("order_send", 4), arrives=arrives, seconds=60.0)
    for _ in range(3):
        terminal.order_send(deal())
    assert (terminal.order_send(deal()), terminal.last_error()[0]) == (None, -10002)
    assert codes(terminal, "positions_get", "terminal_info") == [-10004, -10004]
    assert terminal.initialize()
    executed = 4 if arrives == "now" else 3
    assert len(terminal.inner.history_deals_get(*ALL)) == executed + 1  # one is the deposit
    assert (len(terminal.history_deals_get(*ALL)), terminal.history_deals_total(*ALL)) == (2, 2)
    assert len(held(terminal)) == executed
    terminal.clock.sleep(60)
    assert len(terminal.history_deals_get(*ALL)) == executed + 1


@pytest.mark.parametrize(("error", "seconds"), [(-10005, 60.0), (-10003, 0.0), (-6, 0.0)])
def test_initialize_fails_at_once_or_after_a_long_time(error: int, seconds: float) -> None:
    terminal = faulty("cannot_initialize", NthCall("initialize", 2), error=error, seconds=seconds, times=2)
    before = terminal.clock.now()
    for _ in range(2):
        assert (terminal.initialize(), terminal.last_error()[0]) == (False, error)
        assert (terminal.positions_get(), terminal.last_error()) == (None, NO_CONNECTION)
    assert (terminal.clock.now() - before).total_seconds() == 2 * seconds
    assert terminal.initialize()


@pytest.mark.parametrize("executed", [True, False])
def test_on_a_shared_pipe_a_call_fails_once_in_a_while(executed: bool) -> None:
    terminal = with_faults(
        Planned(NthCall("account_info"), "crossed"), Planned(FIRST_SEND, "crossed", {"executed": executed}), Planned(FIRST_LOOK, "slow")
    )
    assert codes(terminal, "account_info", "account_info") == [-10001, 1]
    assert (terminal.order_send(deal()), terminal.last_error()[0]) == (None, -10001)
    assert len(held(terminal.inner)) == executed
    before = terminal.clock.now()
    assert terminal.terminal_info().connected
    assert (terminal.clock.now() - before).total_seconds() == 0.5


# the terminal's way to its server


def at_sea(**params: Any) -> FaultyTerminal:
    """A terminal over real prices that loses its server when it is looked at."""
    made = parity_terminal("EURUSD", 10_000.0)
    faults = FaultyTerminal(made, with_faults(Planned(FIRST_LOOK, "offline", params)).schedule)
    assert faults.initialize()
    return faults


def test_a_terminal_without_its_server_says_so_and_everything_stands_still() -> None:
    terminal = at_sea(lasts=86_400.0)
    terminal.order_send(deal())
    assert not terminal.terminal_info().connected
    tick, bars = terminal.symbol_info_tick("EURUSD"), terminal.copy_rates_from_pos("EURUSD", 16385, 0, 3)
    terminal.inner.order_send(deal(volume=0.2))
    terminal.clock.sleep(6 * 3600)
    assert terminal.symbol_info_tick("EURUSD") == tick != terminal.inner.symbol_info_tick("EURUSD")
    assert (terminal.copy_rates_from_pos("EURUSD", 16385, 0, 3) == bars).all()
    assert (held(terminal), held(terminal.inner), terminal.positions_total()) == ([0.1], [0.1, 0.2], 1)
    assert (terminal.order_send(deal()).retcode, len(held(terminal.inner))) == (10031, 2)
    terminal.clock.sleep(20 * 3600)
    assert terminal.terminal_info().connected
    assert held(terminal) == [0.1, 0.2]
    assert terminal.symbol_info_tick("EURUSD") == terminal.inner.symbol_info_tick("EURUSD")


def test_a_connection_comes_and_goes() -> None:
    terminal = faulty("flapping", FIRST_LOOK, period=5.0, lasts=30.0)
    seen, codes = [], []
    for _ in range(8):
        seen.append(terminal.terminal_info().connected)
        codes.append(terminal.order_send(deal()).retcode)
        terminal.clock.sleep(5)
    assert seen == [False, True, False, True, False, True, True, True]
    assert codes == [10009 if connected else 10031 for connected in seen]
    assert len(held(terminal.inner)) == seen.count(True)


# who is logged in


def test_while_another_account_is_logged_in_its_figures_are_shown_and_orders_go_there() -> None:
    terminal = faulty(
        "another_account", NthCall("account_info", 2), lasts=60.0, server="Another-Server", trade_mode=2, currency="JPY", leverage=30
    )
    terminal.order_send(deal())
    ours, theirs = terminal.account_info(), terminal.account_info()
    assert (theirs.login, theirs.server, theirs.trade_mode, theirs.currency, theirs.leverage) == (7_654_321, "Another-Server", 2, "JPY", 30)
    assert (terminal.positions_get(), terminal.positions_total(), terminal.history_deals_get(*ALL)) == ((), 0, ())
    assert terminal.order_send(deal()).retcode == 10009
    assert held(terminal.inner) == [0.1]
    assert "SENT TO ANOTHER ACCOUNT" in [entry.happened for entry in terminal.log.entries]
    terminal.clock.sleep(60)
    assert (terminal.account_info().login, held(terminal)) == (ours.login, [0.1])


@pytest.mark.parametrize("mode", [0, 1])
def test_an_account_is_of_another_kind_than_it_was_said_to_be(mode: int) -> None:
    terminal = faulty("margin_mode", FROM_THE_START, margin_mode=mode)
    assert (terminal.account_info().margin_mode, terminal.inner.account_info().margin_mode) == (mode, 2)


def test_an_account_of_the_kind_that_a_fault_shows_is_not_changed() -> None:
    terminal = faulty("margin_mode", FROM_THE_START, margin_mode=2)
    assert terminal.account_info().margin_mode == 2
    assert counted(terminal) == {}


# what may be done


def test_while_the_button_is_off_checks_and_orders_are_refused_on_this_machine() -> None:
    terminal = faulty("button_off", FIRST_LOOK, lasts=60.0)
    assert not terminal.terminal_info().trade_allowed
    assert terminal.order_check(deal()).retcode == 10027
    answer = terminal.order_send(deal())
    assert (answer.retcode, answer.request_id, held(terminal.inner)) == (10027, 0, [])
    terminal.clock.sleep(60)
    assert terminal.terminal_info().trade_allowed
    assert terminal.order_send(deal()).retcode == 10009


def test_while_the_package_may_not_trade_orders_get_no_answer() -> None:
    terminal = faulty("api_disabled", FIRST_LOOK, lasts=60.0)
    assert terminal.terminal_info().tradeapi_disabled
    assert (terminal.order_send(deal()), terminal.last_error()[0], held(terminal.inner)) == (None, -8, [])
    terminal.clock.sleep(60)
    assert terminal.order_send(deal()).retcode == 10009


def test_an_investors_password_looks_and_does_not_trade() -> None:
    terminal = faulty("investor", At(0.0))
    assert not terminal.account_info().trade_allowed
    assert terminal.order_check(deal()).retcode == 10017
    assert (terminal.order_send(deal()).retcode, held(terminal.inner)) == (10017, [])
