"""A position has the stop loss that it was to have, or gets it; what somebody changes by hand is told and kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_terminal import FaultyTerminal, Request, answered, executed_as
from tests.live_runs import Ran
from tests.test_live_faults import InAndOut, InAndOutAgain, at_send, run, statuses


def without_stop(terminal: FaultyTerminal, request: Request) -> Any:
    """Some brokers take no levels with a market order, and say nothing."""
    return executed_as(10009, sl=0.0)(terminal, request)


def by_hand(bar: int, **levels: float) -> Callable[[FaultyTerminal], None]:
    def arrange(terminal: FaultyTerminal) -> None:
        def change() -> None:
            held = terminal.inner.positions_get()
            if held and terminal.clock.progress[0] == bar and held[0].sl != levels["sl"]:
                terminal.inner.order_send({"action": 6, "symbol": "EURUSD", "position": held[0].ticket, **levels})

        terminal.before["terminal_info"] = change

    return arrange


def events(ran: Ran, kind: str) -> list[str]:
    return [row["message"] for row in ran.rows("SELECT message FROM events WHERE event_type = ?", kind)]


def test_a_stop_loss_that_the_broker_has_dropped_is_set_at_once(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, without_stop))
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "FILLED")]
    wanted = ran.rows("SELECT sl FROM orders WHERE kind = 'ENTRY'")[0]["sl"]
    assert next(request["sl"] for request in ran.terminal.sent if request["action"] == 6) == pytest.approx(wanted, abs=1e-5)
    assert len(events(ran, "NAKED_POSITION")) == 1


def test_a_run_that_died_between_the_fill_and_its_stop_sets_it_when_it_starts_again_before_anything_else(tmp_path: Path) -> None:
    def dies(terminal: FaultyTerminal, request: Request) -> None:
        without_stop(terminal, request)
        raise ConnectionResetError

    assert run(tmp_path, at_send(1, dies)).code == 1
    ran = run(tmp_path, lambda terminal: None)
    assert statuses(ran)[:2] == [("ENTRY", "FILLED"), ("SLTP", "FILLED")]
    assert ran.terminal.sent[0]["action"] == 6
    assert len(events(ran, "NAKED_POSITION")) == 1


def test_a_stop_loss_that_cannot_be_set_is_an_alarm(tmp_path: Path) -> None:
    def refused(terminal: FaultyTerminal) -> None:
        terminal.faults.extend([without_stop, answered(10013)])

    ran = run(tmp_path, refused)
    assert statuses(ran)[:2] == [("ENTRY", "FILLED"), ("SLTP", "FAILED")]
    assert events(ran, "NAKED_POSITION")[1].endswith("could not be set")


@pytest.mark.parametrize("sl", [0.0, 1.0])
def test_a_stop_loss_that_somebody_has_changed_is_kept_and_told(sl: float, tmp_path: Path) -> None:
    ran = run(tmp_path, by_hand(13, sl=sl, tp=0.0))
    assert events(ran, "NAKED_POSITION") == []
    assert "were changed to" in events(ran, "LEVELS_BY_HAND")[0]
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "FILLED")]


def test_a_strategy_that_wants_no_stop_gets_none_and_moves_of_its_own_are_no_news(tmp_path: Path) -> None:
    ran = run(tmp_path, lambda terminal: None, InAndOutAgain)
    assert ran.count("orders", "kind = 'SLTP'") == 0
    (tmp_path / "other").mkdir()
    ran = run(tmp_path / "other", lambda terminal: None, InAndOut)
    assert events(ran, "NAKED_POSITION") + events(ran, "LEVELS_BY_HAND") == []


@pytest.mark.parametrize(("points", "told"), [(500, 0), (2_000, 1)])
def test_a_fill_that_is_much_worse_than_the_price_that_was_sent_is_an_alarm(points: int, told: int, tmp_path: Path) -> None:
    def slipped(terminal: FaultyTerminal, request: Request) -> Any:
        answer = terminal.inner.order_send(request)
        terminal.inner.history_deals_get = moved(terminal.inner.history_deals_get, points)  # type: ignore[method-assign]
        return answer

    ran = run(tmp_path, at_send(1, slipped))
    assert len(events(ran, "SLIPPAGE")) == told


def moved(asked: Callable[..., Any], points: int) -> Callable[..., Any]:
    def history_deals_get(*args: Any, **options: Any) -> Any:
        rows = asked(*args, **options)
        return tuple(type(row)(tuple((row._asdict() | {"price": row.price + points * 1e-5 * (row.type == 0)}).values())) for row in rows)

    return history_deals_get
