"""Each oracle of the fault harness bites: facts that are as they must be pass, and one that is not is told."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import Case, World
from tests.faults.endings import ENDING, Ending, ending_of, name_of
from tests.faults.journal import Head
from tests.faults.oracles import SENDING, Arrival, Moment, Sent, doubled, forgotten
from tests.faults.running import staged

ORDER_KEY = "qABCDEFGHIJKL"
REQUEST = {"action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.02, "price": 1.1, "sl": 1.09, "comment": ORDER_KEY}
CLOSE = {"action": 1, "symbol": "EURUSD", "type": 1, "volume": 0.02, "price": 1.0999, "position": 7}
MARKED = {"status": "SUBMITTED", "sent": REQUEST, "order_key": ORDER_KEY, "attempt": 1, "bar_epoch": 600, "kind": "ENTRY"}
LIMITS = SimpleNamespace(
    max_retry_attempts=3,
    max_orders_per_minute=5,
    max_daily_trades=5,
    max_position_size=1.0,
    max_positions=3,
    max_spread_points=20,
    max_signal_age_seconds=None,
)
ENTRY = Moment(
    sent=Sent(0, 100.0, "entry", REQUEST),
    marked=MARKED,
    unsettled=(),
    knows_ticket=True,
    foreign_ticket=False,
    stop_sends=0,
    acknowledged=False,
    flattens=False,
    identity=(1, "Demo", 0, 2),
    account=(1, "Demo", 0, 2),
    blind=(),
    check=0,
    tick=SimpleNamespace(bid=1.0999, ask=1.1),
    tick_at=99.0,
    now=100.0,
    epoch=1000.0,
    follower=900.0,
    clock_stepped=False,
    lots=0.5,
    positions=1,
    sends_last_minute=1,
    entries_today=1,
    limits=LIMITS,
    netting=False,
)
EXIT = replace(ENTRY, sent=Sent(0, 100.0, "close", CLOSE), marked={**MARKED, "sent": CLOSE, "kind": "EXIT"})


def asked(**request: Any) -> dict[str, Any]:
    """An entry with another request, marked as such."""
    changed = {**REQUEST, **request}
    return {"sent": Sent(0, 100.0, "entry", changed), "marked": {**MARKED, "sent": changed}}


# By oracle: what makes it speak.
WRONG_SENDS: list[tuple[str, Moment, dict[str, Any]]] = [
    ("I2", ENTRY, {"marked": None}),
    ("I2", ENTRY, {"marked": {**MARKED, "status": "PENDING"}}),
    ("I2", ENTRY, {"marked": {**MARKED, "sent": {**REQUEST, "volume": 0.03}}}),
    ("I2", ENTRY, {"marked": {**MARKED, "order_key": "qZZZZZZZZZZZZ"}}),
    ("I6", ENTRY, {"marked": {**MARKED, "bar_epoch": 900}}),
    ("I6", ENTRY, {"follower": 300.0}),
    ("I8", ENTRY, {"lots": 0.99}),
    ("I8", ENTRY, {"positions": 3}),
    ("I9", ENTRY, {"unsettled": ({"client_order_id": "other", "status": "UNKNOWN"},)}),
    ("I10", EXIT, {"knows_ticket": False}),
    ("I10", EXIT, {"foreign_ticket": True}),
    ("I11", ENTRY, {"stop_sends": 2}),
    ("I11", ENTRY, {"stop_sends": 1, "acknowledged": True}),
    ("I11", EXIT, {"stop_sends": 1, "acknowledged": True}),
    ("I12", ENTRY, {"identity": (2, "Demo", 0, 2)}),
    ("I13", ENTRY, {"blind": ("positions_get",)}),
    ("I13", ENTRY, {"check": 10019}),
    ("I14", ENTRY, {"marked": {**MARKED, "attempt": 4}}),
    ("I14", ENTRY, {"sends_last_minute": 6}),
    ("I14", ENTRY, {"entries_today": 6}),
    ("I15", ENTRY, asked(price=math.nan)),
    ("I15", ENTRY, asked(sl=1.0900001)),
    ("I15", ENTRY, asked(price=1.2)),
    ("I15", ENTRY, {"tick": SimpleNamespace(bid=1.2, ask=1.1)}),
    ("I15", ENTRY, {"tick": SimpleNamespace(bid=1.09, ask=1.1)}),
    ("I15", ENTRY, {"tick_at": 30.0}),
]


def spoken(moment: Moment) -> set[str]:
    return {name for name, question in SENDING.items() if list(question(moment))}


@pytest.mark.parametrize("moment", [ENTRY, EXIT, replace(ENTRY, stop_sends=1)])
def test_what_is_as_it_must_be_passes(moment: Moment) -> None:
    assert spoken(moment) == set()


def test_what_flattens_may_be_sent_after_the_stop() -> None:
    assert spoken(replace(EXIT, stop_sends=3, acknowledged=True, flattens=True)) == set()


@pytest.mark.parametrize(("oracle", "moment", "wrong"), WRONG_SENDS, ids=[f"{row[0]}-{number}" for number, row in enumerate(WRONG_SENDS)])
def test_an_oracle_of_sends_bites(oracle: str, moment: Moment, wrong: dict[str, Any]) -> None:
    assert spoken(replace(moment, **wrong)) == {oracle}


def test_every_oracle_of_sends_is_tried() -> None:
    assert {oracle for oracle, _, _ in WRONG_SENDS} == set(SENDING)


# I1 and the record that only grows


@pytest.mark.parametrize(("kind", "retcodes", "twice"), [("entry", (10009, 10009), True), ("entry", (10004, 10009), False)])
def test_a_second_acceptance_of_one_order_is_told(kind: str, retcodes: tuple[int, ...], twice: bool) -> None:
    sents = [Sent(number, 0.0, kind, REQUEST, "cid", arrivals=[Arrival(0.0, code, 1, 1)]) for number, code in enumerate(retcodes)]
    assert bool(doubled(sents, sents[-1], netting=False)) is twice


@pytest.mark.parametrize(
    ("now", "link"), [(Head({"fills": 2}, 5, "e"), "e"), (Head({"fills": 3}, 5, "e"), "another"), (Head({}, 5, "e"), "e")]
)
def test_what_the_record_has_forgotten_is_told(now: Head, link: str) -> None:
    before = Head({"fills": 3}, 5, "e")
    assert list(forgotten(before, before, lambda _: "e")) == []
    assert list(forgotten(before, now, lambda _: link))


# the end


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    stage = staged(Case(3, World(menu="market", walk=2)), tmp_path_factory.mktemp("stage"))
    try:
        return ending_of(stage, 0)
    finally:
        stage.journal.close()


def changed(rows: Any, number: int = 0, **columns: Any) -> list[Any]:
    return [{**row, **columns} if place == number else row for place, row in enumerate(rows)]


def sent_again(end: Ending) -> dict[str, Any]:
    """A step from FILLED back to SUBMITTED at the end of an order's events."""
    cid = next(row["client_order_id"] for row in end.orders if row["status"] == "FILLED")
    step = {"client_order_id": cid, "from_status": "FILLED", "to_status": "SUBMITTED"}
    orders = [{**row, "status": "SUBMITTED"} if row["client_order_id"] == cid else row for row in end.orders]
    return {"events": [*end.events, step], "orders": orders}


def doctored(end: Ending) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Endings that are wrong, each with the oracle that must say so."""
    yield "I3", {"fills": end.fills[1:]}
    yield "I3", {"fills": changed(end.fills, volume=7.0)}
    yield "I3", {"fills": changed(end.fills, profit=7.0)}
    yield "I3", {"fills": changed(end.fills, deal_ticket=7)}
    yield "I3", {"trades": end.trades[1:]}
    yield "I4", {"broken_link": 3}
    yield "I4", {"events": end.events[:-1]}
    yield "I4", {"events": end.events[1:]}
    yield "I4", sent_again(end)
    yield "I5", {"bars": [*end.bars, end.bars[0]]}
    yield "I5", {"bars": [row for row in end.bars if row["bar_epoch"] != end.orders[0]["bar_epoch"]]}
    yield "I5", {"signals": changed(end.signals, client_order_id="nobody")}
    yield "I5", {"orders": changed(end.orders, client_order_id="A" * 32)}
    yield "I5", {"orders": changed(end.orders, symbol="GBPUSD")}
    yield "I5", {"orders": changed(end.orders, leg="0+", client_order_id=name_of({**end.orders[0], "leg": "0+"}))}
    first_entry = next(number for number, row in enumerate(end.orders) if row["kind"] == "ENTRY" and row["status"] == "FILLED")
    yield "I7", {"orders": changed(end.orders, first_entry, volume=0.004)}
    yield "I7", {"orders": changed(end.orders, first_entry, volume=0.035)}
    yield "I7", {"orders": changed(end.orders, first_entry, volume=3000.0, size=1e9)}
    yield "I7", {"orders": changed(end.orders, first_entry, size=1.0)}
    yield "I7", {"orders": changed(end.orders, first_entry, kind="PARTIAL", size=1.0)}
    yield "I16", {"orders": changed(end.orders, first_entry, executed_volume=7.0)}
    yield "I16", {"orders": changed(end.orders, first_entry, status="UNKNOWN")}
    yield "I16", {"orders": changed(end.orders, first_entry, status="PLACED")}
    yield "I16", {"orders": changed(end.orders, first_entry, status="ABSENT")}
    yield "I16", {"positions": [*end.positions, {"ticket": 7, "volume": 0.01}]}
    yield "I16", {"positions": [{"ticket": 7, "volume": 0.01}], "netting": True}
    yield "I17", {"leaked": ["audit.db"]}
    yield "liveness", {"code": 3}
    yield "liveness", {"bars": end.bars[:-1]}


def test_the_end_of_a_good_run_passes_and_one_without_any_order_proves_nothing(end: Ending) -> None:
    assert {name: list(question(end)) for name, question in ENDING.items() if list(question(end))} == {}
    assert min(map(len, (end.orders, end.fills, end.deals, end.bars))) > 5


def test_each_oracle_of_the_end_bites(end: Ending) -> None:
    tried = set()
    for oracle, wrong in doctored(end):
        assert list(ENDING[oracle](replace(end, **wrong))), (oracle, wrong.keys())
        tried.add(oracle)
    assert tried == set(ENDING)


def test_the_password_is_found_wherever_it_was_written(tmp_path: Path) -> None:
    stage = staged(Case(3, World(menu="market", bars=2, calm=4)), tmp_path)
    stage.journal.close()
    assert stage.leaked() == []
    (tmp_path / "logs.txt").write_text(f"login with {stage.config.mt5_password.reveal()}")
    assert stage.leaked() == ["logs.txt"]
