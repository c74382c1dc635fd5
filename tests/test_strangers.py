"""Whatever carries our magic number and is not on record: a twin, or a record that was set back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from Live.model import Side, order_key
from Live.order_requests import Trigger, pending_request
from tests.desks import Desk, desk_on, opened, reopened
from tests.faulty_terminal import Request, answer_lost

LIMIT = 1.1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = opened(tmp_path)
    made.sync()  # the record is begun
    yield made
    made.record.close()


def twins(desk: Desk, name: str = "of a twin") -> Request:
    """An order with our number that this record does not know."""
    return desk.bid() | {"comment": order_key(name), "magic": desk.config.magic_number}


def waiting(desk: Desk) -> Request:
    return pending_request(Side.BUY, 0.1, desk.market(), desk.label(), trigger=Trigger(limit=LIMIT)) | {"comment": order_key("x")}


def test_an_order_that_waits_with_our_number_and_is_not_on_record_keeps_entries_back_while_it_is_there(desk: Desk) -> None:
    state = desk.sync()
    placed = desk.terminal.inner.order_send(waiting(desk))
    for _ in range(2):
        state.sync()
    assert state.strangers.found.orders == (placed.order,)
    assert "positions, orders and deals with our MAGIC_NUMBER that this record does not know: 1" in desk.denial(state)
    assert len(desk.events("STRANGER")) == 1
    desk.terminal.inner.order_send({"action": 8, "order": placed.order})
    state.sync()
    assert desk.denial(state) == ""


def test_deals_with_our_number_that_are_not_on_record_keep_entries_back_until_a_person_has_looked(desk: Desk) -> None:
    state = desk.sync()
    desk.terminal.inner.order_send(twins(desk))
    (position,) = desk.positions()
    desk.terminal.inner.order_send(twins(desk) | {"type": 1, "position": position.ticket})
    state.sync()
    deals = tuple(deal.ticket for deal in desk.deals())
    assert (state.strangers.found.positions, state.strangers.found.deals) == ((), deals)
    assert str(state.strangers.found) == f"deals {deals[0]}, {deals[1]}"
    assert [severity for severity, _ in desk.events("ROLLBACK_DETECTED")] == ["CRITICAL"]
    desk = reopened(desk)
    state = desk.sync()
    assert desk.denial(state)
    state.strangers.acknowledge(deals)
    state.sync()
    assert desk.denial(state) == ""
    desk = reopened(desk)
    assert desk.denial(desk.sync()) == ""
    desk.record.close()


def test_a_record_that_was_set_back_to_a_backup_is_found_out(desk: Desk, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    desk.record._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(desk.config.audit_db_path, backup)
    desk.buy()
    (position,) = desk.connector.positions()
    desk.close(position)
    desk.sync()
    desk.record.close()
    config = desk.config.model_copy(update={"audit_db_path": backup})
    restored = desk_on(config, desk.terminal, desk.connector)
    state = restored.sync()
    assert len(state.strangers.found.deals) == 2
    assert restored.denial(state)
    restored.record.close()


def test_what_was_there_before_the_record_was_begun_is_not_strange(tmp_path: Path) -> None:
    desk = opened(tmp_path)
    desk.terminal.inner.order_send(twins(desk))
    (position,) = desk.positions()
    desk.terminal.inner.order_send(twins(desk) | {"type": 1, "position": position.ticket})
    state = desk.sync()
    assert (len(state.strangers.found), desk.denial(state)) == (0, "")
    desk.record.close()


def test_orders_of_ours_are_never_strange_whatever_became_of_their_answers_and_comments(desk: Desk) -> None:
    state = desk.sync()
    desk.buy("first")
    desk.terminal.faults.append(answer_lost(comment=""))
    desk.buy()
    state.sync()
    assert len(state.strangers.found.deals) == 0  # it may be the one whose outcome is unknown
    desk.wait(4)
    state.sync()
    for position in state.positions:
        desk.close(position, f"close {position.ticket}")
    desk.executor.execute_order(waiting(desk), "waits")
    state.sync()
    assert (len(state.strangers.found), desk.denial(state)) == (0, "")
    assert desk.events("STRANGER") + desk.events("ROLLBACK_DETECTED") == []


def test_orders_and_deals_of_other_programs_are_none_of_our_business(desk: Desk) -> None:
    state = desk.sync()
    desk.terminal.inner.order_send(twins(desk) | {"magic": 7})
    desk.terminal.inner.order_send(waiting(desk) | {"magic": 0})
    state.sync()
    assert (len(state.strangers.found), desk.denial(state)) == (0, "")
