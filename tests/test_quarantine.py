"""After a start, what a run before it sent may still be on its way: entries wait, exits do not."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Backtest.simulated_terminal import SimulatedTerminal
from Live.live_trader import Chosen, LiveTrader
from Live.state_manager import StateManager
from tests.desks import Desk, opened
from tests.faulty_terminal import FaultyTerminal
from tests.live_runs import WIDE_OPEN, Ran, eurusd, loaded, settings, simulated
from tests.test_live_faults import InAndOut


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other test holds this account."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    yield made
    made.record.close()


def run(folder: Path, *, dies_at: int = 0, once: bool = False, **given: object) -> Ran:
    """On a terminal of which the trader knows that an order may be in flight; the trader dies before its n-th send."""

    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options, speed=600.0, real_sleep=lambda _: None))

        def die() -> None:
            if dies_at and len(terminal.sent) == dies_at - 1:
                raise ConnectionResetError

        terminal.before["order_check"] = die
        return terminal

    strategy, config = loaded(InAndOut), settings(folder, symbols="EURUSD", **WIDE_OPEN, **given)
    terminal = simulated(folder, {"EURUSD": eurusd(40)}, strategy, steps=config.timeframe, made_by=made)
    trader = LiveTrader(config, Chosen(strategy, {}), replace(terminal, name="remote"), once=once)
    try:
        code = trader.run()
    finally:
        terminal.functions.close()
    return Ran(code, trader, terminal.functions, folder)


def waited(ran: Ran, kind: str) -> float:
    """Seconds from the newest start to the send of the newest order of this kind."""
    sent = ran.rows(
        "SELECT max(e.timestamp) AS at FROM order_events AS e JOIN orders AS o USING (client_order_id) "
        "WHERE e.to_status = 'SUBMITTED' AND o.kind = ?",
        kind,
    )[0]["at"]
    started = ran.rows("SELECT max(started_at) AS at FROM runs")[0]["at"]
    return (datetime.fromisoformat(sent) - datetime.fromisoformat(started)).total_seconds()


def test_just_after_a_start_nothing_that_adds_risk_may_be_sent_and_the_reason_is_told(desk: Desk) -> None:
    state = desk.sync()
    denied = state.can_trade("EURUSD", desk.connector.quote("EURUSD"))
    assert str(denied) == "seconds left in which only what an earlier run sent is looked for: 30, allowed 0"
    desk.terminal.clock.sleep(30)
    assert state.can_trade("EURUSD", desk.connector.quote("EURUSD")) is None


def test_where_a_dealer_confirms_each_price_it_is_longer(tmp_path: Path) -> None:
    desk = opened(tmp_path, execution=0)
    assert desk.sync().quarantine_left() == 180
    desk.record.close()


@pytest.mark.parametrize("kind", ["simulated", "paper"])
def test_on_an_account_of_our_own_nothing_is_in_flight(kind: str, desk: Desk) -> None:
    setattr(desk.connector, kind, True)
    assert StateManager(desk.config, desk.connector, desk.record, desk.slot).quarantine_left() == 0


@pytest.mark.every(2)
@pytest.mark.parametrize("once", [False, True])
def test_an_entry_waits_until_it_is_over_and_is_sent_then(once: bool, tmp_path: Path) -> None:
    died = run(tmp_path, dies_at=1)
    assert (died.code, died.count("orders", "status = 'PENDING'")) == (1, 1)
    ran = run(tmp_path, once=once)
    assert ran.rows("SELECT status FROM orders ORDER BY id LIMIT 1")[0]["status"] == "FILLED"
    assert 30 <= waited(ran, "ENTRY") < 60


@pytest.mark.long
def test_an_entry_that_waits_for_too_long_expires_while_it_waits(tmp_path: Path) -> None:
    run(tmp_path, dies_at=1)
    ran = run(tmp_path, max_signal_age_seconds=10)
    expired = "SELECT timestamp FROM order_events WHERE to_status = 'EXPIRED'"
    began, ended = ran.rows("SELECT max(started_at) AS at FROM runs")[0]["at"], ran.rows(expired)[0]["timestamp"]
    assert datetime.fromisoformat(ended) - datetime.fromisoformat(began) < timedelta(seconds=30)


def test_an_exit_does_not_wait(tmp_path: Path) -> None:
    died = run(tmp_path, dies_at=3)
    assert died.rows("SELECT kind, status FROM orders ORDER BY id DESC LIMIT 1") == [{"kind": "EXIT", "status": "PENDING"}]
    ran = run(tmp_path)
    assert ran.rows("SELECT status FROM orders WHERE kind = 'EXIT'") == [{"status": "FILLED"}]
    assert waited(ran, "EXIT") < 30
