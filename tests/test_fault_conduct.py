"""The oracles of the trader's conduct bite: what is done in order passes, and each step that is left out is told."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import World, conduct
from tests.faults.conduct import LISTS, LOOK, MARK, SEND, Conduct
from tests.faults.oracles import Arrival, Sent

NOW, ORDER = 1000.0, "cid"
REQUEST = {"action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.02, "price": 1.1, "sl": 1.09, "tp": 0.0}
MARKED = {"kind": "ENTRY", "attempt": 1, "sl": 1.09, "tp": None, "position_ticket": 7}
IN_ORDER = (SEND, "symbol_info_tick", "order_check", *LISTS, MARK, LOOK)
NEWEST, HELD, STOP = "deal_ticket", "total", "value"


def stage(**other: Any) -> Any:
    """What an entry is sent on where all is well."""
    done = Conduct(0.0)
    for what in other.pop("done", IN_ORDER):
        done.does(what)
    done.looks = other.pop("looks", [NOW - 60, NOW - 40, NOW - 20])
    done.returned[ORDER] = other.pop("returned", NOW - 90)
    done.started = other.pop("started", 0.0)
    rows = {
        "deal_ticket": [{"deal_ticket": 5}],
        "total": [{"lots": 0.02, "deals": 1}],
        "value": [{"value": "null"}],
        **other.pop("rows", {}),
    }
    journal = SimpleNamespace(
        submitted=lambda: {**MARKED, **other.get("marked", {})},
        rows=lambda sql, *_: next(found for name, found in rows.items() if f"SELECT {name}" in sql),
    )
    seen = {
        "symbol_info_tick": SimpleNamespace(bid=1.1),
        "copy_rates_from_pos": _Rates(1.1),
        "history_deals_get": (SimpleNamespace(ticket=5),),
    }
    book = SimpleNamespace(deals=SimpleNamespace(between=lambda *_: [SimpleNamespace(order=9)]))
    facts = {"now": NOW, "clock_has_stepped": False, "config": SimpleNamespace(price_collar_pct=1.0), "sents": [], "trader": None}
    facts |= {"case": SimpleNamespace(world=World()), "terminal": SimpleNamespace(book=book), "seen": {**seen, **other.pop("seen", {})}}
    return SimpleNamespace(**{**facts, **other, "conduct": done, "journal": journal})


class _Rates(dict[str, list[float]]):
    def __init__(self, opened: float) -> None:
        super().__init__(open=[opened])


def sent(kind: str = "entry", **request: Any) -> Sent:
    return Sent(0, NOW, kind, {**REQUEST, **request}, ORDER)


def told(found: list[Any]) -> set[str]:
    return {breach.oracle for breach in found}


def test_what_is_done_in_order_passes() -> None:
    assert told(conduct.at_send(stage(), sent())) == set()
    assert told(conduct.at_send(stage(marked={"sl": 1.089, "attempt": 2}), sent())) == set()
    assert told(conduct.at_send(stage(marked={"kind": "EXIT"}), sent("close", position=7))) == set()
    assert told(conduct.at_move(stage(), ORDER, "ABSENT")) == set()
    assert told(conduct.at_move(stage(), ORDER, "FAILED")) == set()


def without(what: str) -> tuple[str, ...]:
    return tuple(each for each in IN_ORDER if each != what)


@pytest.mark.parametrize(
    ("oracle", "wrong"),
    [
        ("I11", {"done": without(LOOK)}),
        *(("I1", {"done": without(name)}) for name in LISTS),
        ("I15", {"done": without("symbol_info_tick")}),
        ("I15", {"marked": {"sl": 1.08}}),
        ("I15", {"marked": {"tp": 1.2}}),
        ("I15", {"marked": {"sl": 1.091, "attempt": 2}}),
        ("I15", {"seen": {"copy_rates_from_pos": _Rates(1.2)}}),
        ("I9", {"started": NOW - 5}),
        ("I11", {"rows": {"value": [{"value": "{}"}]}}),
    ],
    ids=str,
)
def test_a_step_before_a_send_that_is_left_out_is_told(oracle: str, wrong: dict[str, Any]) -> None:
    assert told(conduct.at_send(stage(**wrong), sent())) == {oracle}


def test_a_close_that_names_no_position_or_asks_for_too_much_is_told() -> None:
    closing = {"marked": {"kind": "EXIT", "sl": None}}
    assert told(conduct.at_send(stage(**closing), sent("close", position=7, volume=0.03))) == {"I7"}
    assert "I10" in told(conduct.at_send(stage(**closing), sent()))


@pytest.mark.parametrize("wrong", [{"returned": NOW - 5}, {"looks": [NOW - 1]}, {"seen": {"history_deals_get": ()}}], ids=str)
def test_absence_that_is_not_proved_is_told(wrong: dict[str, Any]) -> None:
    assert told(conduct.at_move(stage(**wrong), ORDER, "ABSENT")) == {"I13"}


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "DENIED", "EXPIRED"])
def test_what_was_filled_and_is_put_down_as_not_done_is_told(status: str) -> None:
    filled = sent()
    filled.arrivals.append(Arrival(NOW, 10009, 9, 9))
    assert told(conduct.at_move(stage(sents=[filled]), ORDER, status)) == {"I4"}


@pytest.mark.parametrize(
    ("now", "answers", "forgets"),
    [
        ((), [(3,)], True),
        ((), [None], True),  # what is not answered takes nothing back
        ((3,), [(3,)], False),
        ((), [()], False),
        ((), [(), (3,)], False),  # it was forgotten when it was not shown; the next turn has it again
    ],
    ids=str,
)
def test_a_position_that_is_shown_and_forgotten_is_told(now: tuple[int, ...], answers: list[tuple[int, ...] | None], forgets: bool) -> None:
    held = [SimpleNamespace(ticket=ticket) for ticket in now]
    on = stage(trader=SimpleNamespace(state=SimpleNamespace(positions=held)))
    on.conduct.held, on.conduct.shown = frozenset({3}), frozenset({3})
    for answer in answers:
        shown = None if answer is None else [SimpleNamespace(ticket=ticket) for ticket in answer]
        on.conduct.sees("positions_get", shown, NOW)
    assert told(conduct.at_turn(on)) == ({"I13"} if forgets else set())


def test_only_an_answer_counts_as_a_look() -> None:
    done, sees = Conduct(0.0), Conduct.sees
    looks: list[Callable[[], None]] = [
        lambda: sees(done, "history_orders_get", None, 1.0),
        lambda: sees(done, "history_orders_get", (), 2.0),
    ]
    for look in looks:
        look()
    assert done.looks == [2.0]
