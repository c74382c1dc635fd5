"""Orders go to the account that was proved to be ours, and to no other one: looked at before each send, and after each look."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from Backtest.simulated_terminal import SimulatedTerminal, parity_account
from Live.errors import WrongAccount
from Live.live_trader import Chosen, LiveTrader
from Live.model import Status
from tests.desks import BOUGHT, Desk, opened
from tests.faulty_terminal import FaultyTerminal, answer_lost
from tests.live_runs import WIDE_OPEN, Ran, eurusd, loaded, settings, simulated
from tests.test_live_faults import InAndOut

OTHERS = [{"login": 1}, {"server": "Other-Live"}, {"trade_mode": 2}, {"margin_mode": 0}, {"currency": "JPY"}]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other test holds this account."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def become(terminal: FaultyTerminal, **changed: Any) -> None:
    """Somebody logs in to another account in the terminal's window."""
    asked = terminal.inner.account_info

    def account_info() -> Any:
        info = asked()
        return type(info)(tuple((info._asdict() | changed).values()))

    terminal.inner.account_info = account_info  # type: ignore[method-assign]


@pytest.mark.parametrize("function", ["terminal_info", "symbol_info_tick", "order_check", "history_deals_get", "positions_get"])
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_nothing_is_sent_to_another_account_whenever_the_terminal_was_logged_in_to_it(
    function: str, other: dict[str, Any], desk: Desk
) -> None:
    request = desk.bid()

    def logs_in() -> None:
        desk.terminal.before.clear()
        become(desk.terminal, **other)

    desk.terminal.before[function] = logs_in
    with pytest.raises(WrongAccount):
        desk.executor.execute_order(request, BOUGHT)
    assert (desk.status(), desk.terminal.sent) == (Status.PENDING, [])


def test_the_account_is_named_in_the_row_of_each_send(desk: Desk) -> None:
    desk.buy()
    ((_, payload),) = [move for move in desk.moves() if move[0] == "SUBMITTED"]
    account = desk.terminal.inner.account_info()
    wanted = {name: getattr(account, name) for name in ("login", "server", "trade_mode", "margin_mode", "currency")}
    assert payload["account"] == wanted


def test_what_another_account_shows_settles_nothing(desk: Desk) -> None:
    desk.terminal.faults.append(answer_lost())
    desk.buy()
    desk.terminal.before["history_deals_get"] = lambda: become(desk.terminal, login=1)
    with pytest.raises(WrongAccount):
        desk.executor.settle()
    assert desk.status() is Status.UNKNOWN


def test_what_another_account_shows_is_not_taken_for_what_we_hold(desk: Desk) -> None:
    state = desk.sync()
    desk.buy()
    desk.terminal.before["history_deals_get"] = lambda: become(desk.terminal, login=1)
    with pytest.raises(WrongAccount):
        state.sync()
    assert (state.positions, desk.record.deals(desk.slot)) == ((), [])


def run(folder: Path, *, name: str = "simulated", **account: Any) -> Ran:
    strategy, config = loaded(InAndOut), settings(folder, symbols="EURUSD", **WIDE_OPEN)
    made = replace(parity_account(10_000.0), **account)
    opened_one = simulated(folder, {"EURUSD": eurusd(40)}, strategy, steps=config.timeframe, account=made, made_by=SimulatedTerminal)
    trader = LiveTrader(config, Chosen(strategy, {}), replace(opened_one, name=name))
    try:
        code = trader.run()
    finally:
        opened_one.functions.close()
    return Ran(code, trader, opened_one.functions, folder)


def test_an_account_that_keeps_its_books_in_another_way_than_the_record_knows_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path).code == 0
    (tmp_path / "account.jsonl").unlink()
    with pytest.raises(WrongAccount, match=r"has traded account 12345678 at .* \(demo, hedging, USD\), and now it is account 12345678"):
        run(tmp_path, currency="EUR")


@pytest.mark.parametrize(("switch", "words"), [("trade_allowed", "an investor's password"), ("trade_expert", "the server forbids")])
def test_a_live_run_does_not_start_on_an_account_that_may_only_look(switch: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(WrongAccount, match=words):
        run(tmp_path, name="remote", **{switch: False})
