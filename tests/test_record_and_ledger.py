"""The oracles of the kills and power cuts, each shown what it must not let pass."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cut_runs import RECORD, trade
from tests.faults.record_and_ledger import Ledger, Record, is_marked, lost_rows
from tests.faults.series import LISTS, MAGIC

Lists = dict[str, list[Any]]
ORDER, DEAL = "history_orders_get", "history_deals_get"


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lists]:
    """A whole run, and what its broker shows at the end."""
    folder = tmp_path_factory.mktemp("run")
    code, terminal = trade(folder, 3)
    assert code == 0
    return folder / RECORD, {name: list(getattr(terminal, name)(*((1, 2**31 - 1) if "history" in name else ()))) for name in LISTS}


def changed(row: Any, **fields: Any) -> Any:
    """A row of a list with other values."""
    return type(row)((row._asdict() | fields).values())


def breaches(record: Path, lists: Lists) -> list[str]:
    with closing(Record(record)) as opened:
        return [*opened.faults(), *Ledger(lists, MAGIC, looked=2**62, netting=False).breaches(opened)]


def entries(lists: Lists) -> list[Any]:
    return [order for order in lists[ORDER] if order.reason == 3]


def test_a_good_run_passes(traded: tuple[Path, Lists]) -> None:
    assert breaches(*traded) == []


def doubled(lists: Lists) -> Lists:
    return lists | {ORDER: [*lists[ORDER], changed(entries(lists)[0], ticket=99)]}


def unknown_deal(lists: Lists) -> Lists:
    return lists | {DEAL: [*lists[DEAL], changed(lists[DEAL][-1], ticket=99)]}


def other_price(lists: Lists) -> Lists:
    return lists | {DEAL: [*lists[DEAL][:-1], changed(lists[DEAL][-1], price=9.0)]}


def without_a_deal(lists: Lists) -> Lists:
    return lists | {DEAL: lists[DEAL][:-1]}


def orphan(lists: Lists) -> Lists:
    return lists | {"orders_get": [changed(entries(lists)[0], ticket=99, comment="q" + "A" * 12)]}


def another_position(lists: Lists) -> Lists:
    held = {"ticket": 99, "identifier": 99, "symbol": "EURUSD", "type": 0, "volume": 5.0, "magic": MAGIC}
    return lists | {"positions_get": [*lists["positions_get"], type("Held", (), held)()]}


@pytest.mark.parametrize(
    ("doctored", "sentence"),
    [
        (doubled, "was executed more than once (I1)"),
        (unknown_deal, "is not on record (I3)"),
        (other_price, ", and on record as "),
        (without_a_deal, "and the broker does not know them (I3)"),
        (orphan, "waits at the broker, and the record calls it None (orphan)"),
        (orphan, "which is not on record (I2)"),
        (another_position, "the record believes that we hold"),
    ],
)
def test_a_broker_that_shows_something_else_is_noticed(
    doctored: Callable[[Lists], Lists], sentence: str, traded: tuple[Path, Lists]
) -> None:
    record, lists = traded
    assert any(sentence in breach for breach in breaches(record, doctored(lists)))


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("UPDATE orders SET status = 'UNKNOWN' WHERE id = 1", "is still UNKNOWN at the end (I16)"),
        ("UPDATE orders SET status = 'PLACED' WHERE id = 1", "is still PLACED at the end (I16)"),
        ("UPDATE orders SET status = 'UNKNOWN' WHERE id = 1", "the orders are not where their events ended (I4)"),
        ("UPDATE orders SET status = 'ABSENT' WHERE kind = 'ENTRY'", "was executed, and the record never found it (I3)"),
        ("UPDATE orders SET volume = 0.001 WHERE status = 'FILLED'", "asked for 0.001 lots and got"),
        ("UPDATE order_events SET to_status = 'EXPIRED' WHERE to_status = 'FILLED'", "the journal's chain is broken at row"),
        ("UPDATE order_events SET to_status = 'ABSENT' WHERE to_status = 'SUBMITTED'", "went from PENDING to ABSENT (I4)"),
        ("UPDATE order_events SET from_status = 'UNKNOWN' WHERE to_status = 'FILLED'", "moves from UNKNOWN, where it was"),
        ("UPDATE bars SET acted = 0", "was decided on a bar that is not on record, or was not acted upon (I5)"),
        ("UPDATE fills SET run_id = 77", "rows point to what is not there"),
        ("UPDATE fills SET volume = 5.0", ", and on record as "),
    ],
)
def test_a_record_that_says_something_else_is_noticed(sql: str, sentence: str, traded: tuple[Path, Lists], tmp_path: Path) -> None:
    record, lists = traded
    shutil.copy(record, tmp_path / RECORD)
    assert any(sentence in breach for breach in breaches(doctored(tmp_path / RECORD, sql), lists))


def doctored(record: Path, sql: str) -> Path:
    with closing(sqlite3.connect(record)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        assert db.execute(sql).rowcount > 0
        db.commit()
    return record


def test_what_was_given_up_and_not_decided_again_is_noticed(traded: tuple[Path, Lists], tmp_path: Path) -> None:
    record, lists = traded
    shutil.copy(record, tmp_path / RECORD)
    with closing(sqlite3.connect(tmp_path / RECORD)) as db:
        ((ticket, lots),) = db.execute("SELECT position_ticket, volume FROM orders WHERE kind = 'EXIT' AND status = 'FILLED' LIMIT 1")
    doctored(tmp_path / RECORD, "UPDATE orders SET status = 'ABSENT' WHERE kind = 'EXIT'")
    held = {"ticket": ticket, "identifier": ticket, "symbol": "EURUSD", "type": 0, "volume": lots, "magic": MAGIC}
    found = breaches(tmp_path / RECORD, lists | {"positions_get": [type("Held", (), held)()]})
    assert any("was given up and not decided again, and what it is about is still there" in breach for breach in found)


def test_rows_that_are_gone_or_changed_are_noticed(traded: tuple[Path, Lists]) -> None:
    with closing(Record(traded[0])) as record:
        rows = record.evidence()
    assert list(lost_rows(rows, rows)) == []
    for name, found in rows.items():
        if found:
            assert len(list(lost_rows(rows, rows | {name: found[:-1]}))) == 1
            assert len(list(lost_rows(rows, rows | {name: [*found[:-1], ("other",)]}))) == 1


def test_an_order_is_marked_only_while_it_is_being_sent(traded: tuple[Path, Lists], tmp_path: Path) -> None:
    record, lists = traded
    shutil.copy(record, tmp_path / RECORD)
    key = entries(lists)[0].comment
    assert not is_marked(record, key)
    doctored(
        tmp_path / RECORD,
        f"DELETE FROM order_events WHERE seq > (SELECT max(seq) FROM order_events JOIN orders USING (client_order_id) "
        f"WHERE order_key = '{key}' AND to_status = 'SUBMITTED')",
    )
    assert is_marked(tmp_path / RECORD, key)
