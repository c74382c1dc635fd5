import contextlib
import json
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.decisions import Bar
from Live.audit_logger import AuditLogger, to_json
from Live.config import load_config
from Live.errors import RecordFailed
from Live.model import MOVES, AccountState, Kind, Position, Side, Status, Ticket
from tests.fresh_record import (  # noqa: F401 - fixtures
    BAR,
    DEAL,
    NOW,
    PRICES,
    RUN,
    SEEN,
    SLOT,
    StoppedClock,
    changed_by_hand,
    filled,
    intent,
    opened,
    rows,
    the_path,
    the_record,
    trade,
)

# secrets


def test_a_secret_reaches_no_text_of_the_record(path: Path) -> None:
    secret, escaped = 'pa"ss\\wörd', json.dumps('pa"ss\\wörd')[1:-1]
    record = AuditLogger(path, StoppedClock(), secrets=lambda: (secret, "10019000"))
    told = f"bad password {secret!r}, {secret}"
    record.start_run(RUN | {"params": to_json({"key": secret})})
    record.event("FAILED", told, details={"why": [told], secret: 1})
    record.add_intent(intent(tag=secret))
    record.move(intent().order_id, Status.DENIED, payload={"answer": {"comment": told}, "position": 10_019_000}, message=told)
    record.add_trade(trade(), tag={"why": told})
    common = {"strategy_id": "sma_cross", "symbol": "EURUSD", "timeframe": "H1", "bar_time": NOW.isoformat()}
    record.add_signal({**common, "signal": "HOLD", "confidence": 0.0, "price": 1.245, "reason": told, "tag": to_json(secret)})
    record.set_state(trading={"enabled": False, "reason": told})
    record.end_run(exit_code=1, reason=told, summary={"why": told})
    with contextlib.closing(sqlite3.connect(path)) as db:
        dump = "\n".join(db.iterdump())
    assert [form for form in (secret, escaped, repr(secret)[1:-1]) if form in dump] == []
    assert rows(path, "SELECT end_reason FROM runs") == [("bad password '***', ***",)]
    assert rows(path, "SELECT payload ->> 'position' FROM order_events ORDER BY seq DESC LIMIT 1") == [(10_019_000,)]
    record.close()
    opened(path).close()  # the chain of what was written holds


# evidence


def one_of_everything(record: AuditLogger) -> None:
    record.add_bar(BAR, PRICES)
    common = {"strategy_id": "sma_cross", "symbol": "EURUSD", "timeframe": "H1", "bar_time": NOW.isoformat()}
    record.add_signal({**common, "signal": "HOLD", "confidence": 0.0, "price": 1.245})
    record.add_intent(intent())
    record.add_fill(DEAL, SLOT, None)
    record.event("STARTUP", "begins")
    record.add_trade(trade(), tag="x")
    record.add_history(SLOT, "EURUSD", "H1", [SEEN])
    record.add_warm_up(SLOT, "EURUSD", "H1", [SEEN], {"contract_size": 100_000.0})


def test_the_money_of_a_trade_has_no_binary_noise_and_its_prices_keep_every_bit(record: AuditLogger, path: Path) -> None:
    noisy = {"profit": -35.54879999999952, "commission": 0.1 + 0.2, "swap": 1e-12, "net_profit": -35.2487999999995}
    record.add_trade(trade() | noisy | {"entry_price": 0.1 + 0.2}, tag=None)
    found = rows(path, "SELECT profit, commission, swap, net_profit, entry_price FROM trades")
    assert found == [(-35.5488, 0.3, 0.0, -35.2488, 0.1 + 0.2)]


@pytest.mark.parametrize("table", ["bars", "history", "warm_ups", "signals", "order_events", "fills", "trades", "events"])
@pytest.mark.parametrize("change", ["UPDATE {} SET run_id = 1", "DELETE FROM {}", "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"])
def test_evidence_is_added_and_never_changed_or_deleted(table: str, change: str, record: AuditLogger, path: Path) -> None:
    one_of_everything(record)
    record.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA recursive_triggers = ON")
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|UNIQUE constraint"):
        db.execute(change.format(table))
    db.close()


def test_an_order_is_never_deleted(record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())
    with pytest.raises(sqlite3.IntegrityError, match="orders are never deleted"):
        changed_by_hand(path, "DELETE FROM orders")


def test_a_bar_is_decided_once_ever(record: AuditLogger, path: Path) -> None:
    record.add_bar(BAR, PRICES)
    with pytest.raises(RecordFailed, match="UNIQUE constraint failed: bars"):
        record.add_bar(BAR, PRICES)
    record.close()
    again = opened(path)
    again.start_run(RUN)
    with pytest.raises(RecordFailed, match="UNIQUE constraint failed: bars"):
        again.add_bar(BAR, PRICES)
    assert again.last_bar(SLOT, "EURUSD", "H1") == BAR.epoch
    assert again.last_bar(SLOT, "EURUSD", "M15") is None
    again.close()


def test_a_bar_is_known_as_it_was_last_seen(record: AuditLogger) -> None:
    record.add_bar(BAR, PRICES)
    record.add_history(SLOT, "EURUSD", "H1", [SEEN])
    revised = [replace(SEEN, close=1.24), Bar(BAR.epoch, 1.24, 1.25, 1.23, 1.235, 101.0)]
    assert record.seen_bars(SLOT, "EURUSD", "H1", BAR.epoch) == {BAR.epoch: Bar(BAR.epoch, 1.24, 1.25, 1.23, 1.245, 100, 0)}
    record.add_history(SLOT, "EURUSD", "H1", revised)
    assert record.seen_bars(SLOT, "EURUSD", "H1", 0) == {bar.epoch: bar for bar in revised}
    assert record.seen_bars(SLOT, "EURUSD", "M15", 0) == {}


def test_a_warm_up_is_put_down_with_what_was_seen_until_then(record: AuditLogger, path: Path) -> None:
    record.add_history(SLOT, "EURUSD", "H1", [SEEN])
    record.add_warm_up(SLOT, "EURUSD", "H1", [SEEN], {})
    record.add_history(SLOT, "EURUSD", "H1", [replace(SEEN, close=1.24)])
    record.add_warm_up(SLOT, "GBPUSD", "H1", [], {})
    found = rows(path, "SELECT symbol, bars, first_epoch, last_epoch, history_id FROM warm_ups")
    assert found == [("EURUSD", 1, SEEN.epoch, SEEN.epoch, 1), ("GBPUSD", 0, None, None, 2)]


def test_an_intent_is_put_down_once_and_with_its_first_move(record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())
    with pytest.raises(RecordFailed, match="UNIQUE constraint failed: orders"):
        record.add_intent(intent())
    assert rows(path, "SELECT from_status, to_status, attempt FROM order_events") == [(None, "PENDING", 0)]


def test_each_attempt_is_sent_once(record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())
    record.move(intent().order_id, Status.SUBMITTED, payload={})
    record.move(intent().order_id, Status.SUBMITTED, payload={})
    sends = "SELECT attempt FROM order_events WHERE to_status = 'SUBMITTED' ORDER BY seq"
    assert rows(path, sends) == [(1,), (2,)]
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: order_events"):
        changed_by_hand(
            path,
            "INSERT INTO order_events (timestamp, run_id, client_order_id, attempt, to_status, payload, prev_hash, hash) "
            "SELECT timestamp, run_id, client_order_id, attempt, to_status, payload, hash, 'x' FROM order_events WHERE attempt = 2",
        )


def test_a_deal_and_a_trade_count_once(record: AuditLogger, path: Path) -> None:
    for _ in range(2):
        record.add_fill(DEAL, SLOT, None)
        record.add_trade(trade(), tag=None)
    record.add_fill(DEAL, replace(SLOT, login=1), None)  # a deal's ticket is unique on one account only
    assert rows(path, "SELECT count(*) FROM fills") == [(2,)]
    assert rows(path, "SELECT count(*) FROM trades") == [(1,)]


# moves


@pytest.mark.parametrize("old", list(Status))
@pytest.mark.parametrize("new", list(Status))
def test_an_order_moves_as_the_table_says_and_no_other_way(old: Status, new: Status, record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())
    changed_by_hand(path, f"UPDATE orders SET status = '{old.value}'")
    if new in MOVES[old]:
        record.move(intent().order_id, new, payload={})
    else:
        with pytest.raises(ValueError, match=f"cannot go from {old.value} to {new.value}"):
            record.move(intent().order_id, new, payload={})
    known = record.order(intent().order_id)
    assert known is not None
    assert known.status is (new if new in MOVES[old] else old)


def test_an_order_that_is_not_there_cannot_move(record: AuditLogger) -> None:
    with pytest.raises(ValueError, match="there is no order X"):
        record.move("X", Status.FILLED, payload={})  # type: ignore[arg-type]


def test_orders_come_back_as_they_were(record: AuditLogger) -> None:
    order = intent("2.1", Kind.EXIT, size=1000.0, sl=1.2, tp=1.3, position=Ticket(50_000_001), tag={"why": ["cross", 1]})
    record.add_intent(order)
    record.move(order.order_id, Status.SUBMITTED, payload={"before": [7]}, request=to_json({"price": 1.245}), volume=0.01)
    known = record.order(order.order_id)
    assert known is not None
    assert (known.intent, known.status, known.attempts, known.volume) == (order, Status.SUBMITTED, 1, 0.01)
    assert known.request == {"price": 1.245}
    assert known.updated_at == NOW
    assert record.request_sent(order.order_id) == {"before": [7]}
    assert record.request_sent("X") == {}
    assert record.orders_with([Status.SUBMITTED], SLOT) == [known]
    assert record.orders_with([Status.SUBMITTED], replace(SLOT, login=1)) == []


def test_an_order_is_what_was_written_last_whoever_wrote_it(record: AuditLogger, path: Path) -> None:
    order = intent()
    record.add_intent(order)
    assert [known.status for known in record.orders_with([Status.PENDING], SLOT)] == [Status.PENDING]
    record.move(order.order_id, Status.SUBMITTED, payload={})
    assert record.orders_with([Status.PENDING], SLOT) == []
    [known] = record.orders_with([Status.SUBMITTED, Status.UNKNOWN], SLOT)
    assert known.status is Status.SUBMITTED
    with contextlib.closing(opened(path)) as another:
        another.continue_newest_run()
        another.move(order.order_id, Status.UNKNOWN, payload={})
    [known] = record.orders_with([Status.SUBMITTED, Status.UNKNOWN], SLOT)
    assert known.status is Status.UNKNOWN


def test_an_order_whose_transaction_was_taken_back_is_what_it_was(record: AuditLogger) -> None:
    order = intent()
    record.add_intent(order)

    def broken() -> None:
        with record.transaction(durable=True):
            record.move(order.order_id, Status.SUBMITTED, payload={})
            assert record.orders_with([Status.PENDING], SLOT) == []
            raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        broken()
    assert [known.status for known in record.orders_with([Status.PENDING], SLOT)] == [Status.PENDING]


def test_deals_come_back_as_they_were_and_the_newest_is_last(record: AuditLogger) -> None:
    assert record.newest_deal(SLOT) is None
    later = replace(DEAL, ticket=Ticket(70_000_001), time=NOW.replace(hour=11))
    for deal in (later, DEAL):
        record.add_fill(deal, SLOT, None)
    assert record.deals(SLOT) == [DEAL, later]
    assert record.newest_deal(SLOT) == later


def test_what_may_have_reached_the_broker_counts_against_the_limits(record: AuditLogger) -> None:
    ends = {"0": Status.DENIED, "1": Status.SUBMITTED, "2": Status.UNKNOWN, "3": Status.CANCELLED}
    for leg, end in ends.items():
        record.add_intent(intent(leg))
        if end is Status.UNKNOWN:
            record.move(intent(leg).order_id, Status.SUBMITTED, payload={})
        record.move(intent(leg).order_id, end, payload={})
    assert record.count_entries(SLOT, NOW) == 2
    assert record.count_sends(SLOT, NOW) == 2
    assert record.count_sends(SLOT, NOW.replace(hour=11)) == 0
    assert record.execution_counts(SLOT) == {"DENIED": 1, "SUBMITTED": 1, "UNKNOWN": 1, "CANCELLED": 1}


# transactions


def test_a_transaction_is_all_or_nothing(record: AuditLogger, path: Path) -> None:
    record.add_intent(intent())

    def broken() -> None:
        with record.transaction(durable=True):
            record.add_bar(BAR, PRICES)
            filled(record, intent())
            record.add_intent(intent("1"))
            raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        broken()
    assert rows(path, "SELECT count(*) FROM bars") == [(0,)]
    assert rows(path, "SELECT to_status FROM order_events") == [("PENDING",)]
    filled(record, intent())
    record.close()
    opened(path).close()  # the hash chain has no gap where the transaction was


def test_nothing_is_durable_inside_what_is_not(record: AuditLogger) -> None:
    with pytest.raises(RuntimeError, match="must survive a power cut"), record.transaction(durable=False):
        record.add_intent(intent())
    with record.transaction(durable=True), record.transaction(durable=False):
        record.add_intent(intent())


def test_what_is_durable_is_synchronised_fully(record: AuditLogger) -> None:
    for durable, mode in ((True, 2), (False, 1), (True, 2)):
        with record.transaction(durable=durable):
            assert record._rows("PRAGMA synchronous")[0][0] == mode  # NORMAL loses rows when the power fails


def test_the_writer_cannot_replace_a_row_past_the_triggers_and_keeps_its_references(record: AuditLogger) -> None:
    assert [record._rows(f"PRAGMA {name}")[0][0] for name in ("recursive_triggers", "foreign_keys")] == [1, 1]


def test_what_another_program_locks_is_not_written(record: AuditLogger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordFailed, match=r"the record .*audit\.db cannot be written: database is locked"):
        record.add_intent(intent())
    other.execute("ROLLBACK")
    other.close()
    record.add_intent(intent())


@pytest.mark.parametrize(
    "value", ["a\x00b", "\ud800", "<script>alert(1)</script>", "'; DROP TABLE orders; --", "\u202e🙂", "x" * 1_000_000]
)
def test_any_text_can_be_put_down(value: str, record: AuditLogger, path: Path) -> None:
    record.event("ERROR", value, severity="ERROR", details={"text": value})
    ((message, details),) = rows(path, "SELECT message, details FROM events")
    assert message == value.encode("utf-8", "replace").decode()
    assert json.loads(details) == {"text": value}


def test_a_number_that_has_no_room_is_a_failure_and_not_a_crash(record: AuditLogger) -> None:
    with pytest.raises(RecordFailed, match="cannot be written: Python int too large"):
        record.add_fill(replace(DEAL, ticket=Ticket(2**64)), SLOT, None)


# what is true now


def test_the_last_word_on_a_state_is_the_one_that_counts(record: AuditLogger) -> None:
    assert record.state("day") is None
    record.set_state(day={"date": "2018-02-05"}, other=1)
    record.set_state(day={"date": "2018-02-06"})
    assert (record.state("day"), record.state("other")) == ({"date": "2018-02-06"}, 1)


HELD = Position(Ticket(1), 1, "EURUSD", Side.BUY, 0.1, 1.2, NOW, BAR.epoch, None, None, 1.3, 5.0, 0.0, SLOT.magic, "")
LISTS = st.dictionaries(st.integers(1, 4), st.tuples(st.sampled_from([0.5, 1.5]), st.sampled_from([None, -7.0])), max_size=4)


@given(st.lists(st.tuples(LISTS, st.sampled_from(["put", "put and undone", "put by a new process"])), max_size=5))
def test_positions_on_record_are_what_is_held_now(steps: list[tuple[dict[int, Any], str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, on_record = Path(folder) / "audit.db", dict[int, Any]()
        record = opened(path)
        for shown, how in steps:
            positions = {replace(HELD, ticket=Ticket(ticket), profit=profit): at_stop for ticket, (profit, at_stop) in shown.items()}
            if how == "put by a new process":
                record.close()
                record = opened(path)
            with contextlib.suppress(ZeroDivisionError), record.transaction(durable=True):
                record.put_positions(SLOT, positions)
                if how == "put and undone":
                    raise ZeroDivisionError
                on_record = shown
            assert {row[0]: tuple(row[1:]) for row in rows(path, "SELECT ticket, profit, profit_at_stop FROM positions")} == on_record
        record.close()


def test_a_run_begins_and_ends_and_has_snapshots(record: AuditLogger, path: Path) -> None:
    account = AccountState(1, "s", 0, 2, 100, "USD", 10_000.0, 0.0, 10_001.0, 5.0, 9_996.0, 1.0, True)
    record.snapshot(account, 3)
    record.end_run(exit_code=10, reason="stopped", summary={"bars": 7})
    assert rows(path, "SELECT equity, free_margin, open_positions FROM account_snapshots") == [(10_001.0, 9_996.0, 3)]
    assert rows(path, "SELECT exit_code, end_reason, summary, ended_at FROM runs") == [(10, "stopped", '{"bars": 7}', NOW.isoformat())]


def test_no_secret_gets_into_the_record(record: AuditLogger, path: Path, tmp_path: Path) -> None:
    secrets = {"MT5_PASSWORD": "canary-1", "TELEGRAM_BOT_TOKEN": "canary-2", "ALERT_WEBHOOK_URL": "https://canary-3"}
    (tmp_path / "empty.env").touch()
    config = load_config({}, tmp_path / "empty.env", secrets)
    record.start_run({**RUN, "settings": to_json(config.public())})
    record.event("STARTUP", str(config), details={"config": config, "password": config.mt5_password})
    record.close()
    assert b"canary" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


# JSON

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_json_knows_comes_back_and_what_it_does_not_know_is_null(value: object) -> None:
    def plain(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: plain(item) for key, item in each.items()}
        if isinstance(each, list):
            return [plain(item) for item in each]
        return None if isinstance(each, float) and not np.isfinite(each) else each

    assert json.loads(to_json(value)) == plain(value)


def test_numbers_of_numpy_stay_numbers_and_anything_else_is_its_text() -> None:
    values = [np.int64(5), np.float64(0.5), np.bool_(True), NOW, Path("a"), {1, 2}, np.array([1, 2])]
    assert json.loads(to_json(values)) == [5, 0.5, True, str(NOW), "a", "{1, 2}", "[1 2]"]
    assert json.loads(to_json({1: "one", "1": "two", None: float("nan")})) == {"1": "two", "None": None}
