import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Live.audit_logger import belief, newest, recorded, shown, told, verifying
from Live.audit_logger import reader as reader_module
from Live.audit_logger.reader import CURVE_POINTS, AuditReader, RecordUnavailable, Run, RunCounts
from Live.audit_logger.recorded import Recorded
from Live.audit_logger.writer import SCHEMA_VERSION
from tests.sample_record import SLOT, START, WALL, SampleRecord, a_trading_day

VALUES = {"run": 1, "slot": "x", "day": "2018-02-07", "page": 50, "hold": 0, "look_back": 5000}
VALUES |= {"first": 1, "end": 100, "last": 99, "points": 600, "symbol": "EURUSD", "timeframe": "H1"}
LARGE = {"bars", "signals", "s", "orders", "o", "trades", "t", "account_snapshots", "events", "order_events", "fills"}


@pytest.fixture
def record(tmp_path: Path) -> Iterator[SampleRecord]:
    made = SampleRecord(tmp_path / "audit.db")
    yield made
    made.close()


@pytest.fixture
def trading_day(tmp_path: Path) -> Iterator[SampleRecord]:
    made = a_trading_day(tmp_path / "audit.db")
    yield made
    made.close()


class JumpyClock:
    """Two seconds pass between any two looks."""

    def __init__(self) -> None:
        self.time = WALL

    def now(self) -> datetime:
        self.time += timedelta(seconds=2)
        return self.time

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        raise AssertionError("a reader does not wait")


def counts(path: Path, run_id: int = 1) -> RunCounts:
    with AuditReader(path) as reader:
        return reader.run_counts(run_id)


def latest(reader: AuditReader) -> Run:
    run = reader.latest_run()
    assert run is not None
    return run


def questions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in vars(reader_module).items():
        texts = {f"{name} of {table}": sql for table, sql in value.items()} if isinstance(value, dict) else {name: value}
        found |= {key: sql for key, sql in texts.items() if name.isupper() and re.match(r"\s*(SELECT|WITH)\b", str(sql))}
    return found


# what people read when there is nothing to read


def test_a_record_that_is_not_there_yet_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordUnavailable, match=r"There is no record at .*none\.db yet"):
        AuditReader(tmp_path / "none.db")


def test_a_file_without_a_byte_is_an_empty_record(tmp_path: Path) -> None:
    (tmp_path / "audit.db").touch()
    with pytest.raises(RecordUnavailable, match="is empty: the trader has not written to it yet"):
        AuditReader(tmp_path / "audit.db")


def test_a_database_without_tables_is_an_empty_record(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "audit.db")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    with pytest.raises(RecordUnavailable, match="is empty: the trader has not written to it yet"):
        AuditReader(tmp_path / "audit.db")


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, -1])
def test_a_record_of_another_version_is_refused_naming_both(record: SampleRecord, version: int) -> None:
    record.db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(RecordUnavailable, match=f"has version {version}, this program reads version {SCHEMA_VERSION}"):
        AuditReader(record.path)


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_bytes(b"timestamp,symbol\n" * 500)
    with pytest.raises(RecordUnavailable, match="it is no SQLite database"):
        AuditReader(tmp_path / "audit.db")


def test_a_folder_in_place_of_the_record_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordUnavailable, match="is a folder"):
        AuditReader(tmp_path)


def test_a_damaged_page_is_called_damage(trading_day: SampleRecord) -> None:
    trading_day.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    trading_day.close()
    raw = bytearray(trading_day.path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    trading_day.path.write_bytes(raw)
    with pytest.raises(RecordUnavailable, match="is damaged"):
        counts(trading_day.path)


def test_a_record_that_another_program_locks_is_called_locked(record: SampleRecord) -> None:
    record.db.execute("PRAGMA journal_mode = DELETE")
    record.db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RecordUnavailable, match="is locked by another program"):
        AuditReader(record.path).latest_run()


def test_a_record_without_its_tables_is_said_in_a_sentence(record: SampleRecord) -> None:
    record.db.execute("DROP TABLE positions")
    record.run()
    with AuditReader(record.path) as reader, pytest.raises(RecordUnavailable, match="cannot be read: no such table: positions"):
        reader.run_counts(1)


def test_a_path_with_the_signs_of_an_address_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "50% off? #1 & more ü"
    folder.mkdir()
    made = a_trading_day(folder / "audit.db")
    assert counts(made.path).bars == 52
    made.close()


# promises of the door


def test_sqlite_itself_refuses_a_write(record: SampleRecord) -> None:
    with AuditReader(record.path) as reader, pytest.raises(RecordUnavailable, match="readonly database"):
        reader._rows("DELETE FROM state")


def test_a_question_that_takes_longer_than_a_second_is_cut_off(record: SampleRecord) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS found FROM n"
    with AuditReader(record.path, JumpyClock()) as reader, pytest.raises(RecordUnavailable, match="took too long"):
        reader._rows(endless)


def test_a_whole_session_is_waited_for_on_a_slow_machine_too(record: SampleRecord) -> None:
    count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT count(*) AS found FROM n"
    with AuditReader(record.path, JumpyClock()) as reader, pytest.raises(RecordUnavailable, match="took too long"):
        reader._rows(count)
    with Recorded(record.path, JumpyClock()) as reader:
        assert reader._rows(count) == [{"found": 50_000}]


def test_all_answers_of_one_sitting_come_from_one_moment(trading_day: SampleRecord) -> None:
    with AuditReader(trading_day.path) as reader:
        assert reader.run_counts(1).trades == 2
        trading_day.trade(START + timedelta(days=2, hours=13))
        trading_day.state(market_time="2030-01-01T00:00:00+00:00")
        assert reader.run_counts(1).trades == 2
        assert len(reader.recent_trades(latest(reader))) == 2
        assert reader.state()["market_time"] == "2018-02-07T12:00:00+00:00"
    assert counts(trading_day.path).trades == 3


def test_a_reader_never_meets_an_error_while_the_trader_writes(record: SampleRecord) -> None:
    record.run()
    seen, last = [], 300

    def write() -> None:
        for n in range(last):
            with record.db:
                record.db.execute("BEGIN IMMEDIATE")
                record.bar()
                record.order(START + timedelta(hours=n))
                record.snapshot(START + timedelta(hours=n), 10_000.0 + n)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        with AuditReader(record.path) as reader:
            found = reader.run_counts(1)
            assert found.bars == found.orders_sent == len(reader.equity_curve(1))
            seen.append(found.bars)
    writer.join()
    assert seen == sorted(seen)
    assert counts(record.path).bars == last


@pytest.mark.parametrize("name", sorted(questions()))
def test_no_question_reads_a_large_table_from_end_to_end(record: SampleRecord, name: str) -> None:
    sql = questions()[name]
    plan = [row[3] for row in record.db.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) if "?" in sql else VALUES)]
    scanned = {found[1] for line in plan if (found := re.match(r"SCAN (\w+)", line))} & LARGE
    # the newest rows, in the order in which they lie there: it stops at the limit
    from_the_end = sql.strip().endswith("ORDER BY id DESC LIMIT :page") and not any("TEMP B-TREE" in line for line in plan)
    assert not scanned or from_the_end, plan


def test_the_questions_are_found_for_their_plans() -> None:
    assert {"RECENT_ORDERS", "DAY_TOTALS", "CURVE", "RUN_FROM of orders"} <= set(questions())


# SQLite knows nothing of how the rows are spread, and takes an index of which it can use the slot alone: that is the whole table
# where one strategy trades. A page of the performance took minutes so, for it asked for the entry of each of its trades.
INSIDE = {
    f"{module.__name__.split('.')[-1]} {name}": sql
    for module in (newest, recorded, shown, told, belief, verifying)
    for name, sql in vars(module).items()
    if isinstance(sql, str) and re.match(r"\s*SELECT", sql)
}
WHOLE_SLOT = {
    "newest FAR_BACK": "to the end, as many as are to be passed over",
    "recorded CHARTS": "a report is of a whole session",
}


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_no_question_goes_through_all_rows_of_one_strategy_for_each_row(record: SampleRecord, name: str) -> None:
    sql = INSIDE[name]
    plan = [row[3] for row in record.db.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(re.findall(r":(\w+)", sql), 1))]
    found = [line for line in plan if re.search(r"\(slot=\?\)$", line) and "positions" not in line and "SEARCH p " not in line]
    assert bool(found) is (name in WHOLE_SLOT), plan


# what the rows say


def test_a_record_before_its_first_run_has_no_run(record: SampleRecord) -> None:
    with AuditReader(record.path) as reader:
        assert reader.latest_run() is None
        assert reader.state() == {}


def test_the_latest_run_is_the_one_with_the_highest_number(record: SampleRecord) -> None:
    record.run()
    record.run(mode="REAL", strategy_id="other")
    with AuditReader(record.path) as reader:
        run = latest(reader)
    assert (run.run_id, run.mode, run.strategy_id) == (2, "REAL", "other")
    assert (run.slot, run.settings["TIMEFRAME"]) == (SLOT, "H1")


def test_the_counts_of_a_run_are_those_of_its_rows(trading_day: SampleRecord) -> None:
    assert counts(trading_day.path) == RunCounts(
        bars=52,
        signals=5,
        orders_sent=4,
        orders_filled=3,
        orders_refused=1,
        orders_denied=1,
        positions_opened=2,
        positions_closed=2,
        trades=2,
        winning_trades=1,
        losing_trades=1,
        profit=5.75,
    )


def test_a_run_that_has_done_nothing_counts_nothing(trading_day: SampleRecord) -> None:
    trading_day.run()
    assert counts(trading_day.path, 2) == RunCounts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert counts(trading_day.path, 1).bars == 52


def test_a_position_that_was_closed_in_part_is_not_closed(record: SampleRecord) -> None:
    record.run()
    record.trade(position_ticket=77, exit_deal=1)
    record.position(77)
    record.trade(position_ticket=78, exit_deal=2)
    record.trade(position_ticket=78, exit_deal=3)
    found = counts(record.path)
    assert (found.trades, found.positions_closed) == (3, 1)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
def test_the_rows_of_each_run_are_found_without_reading_those_of_the_others(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, int, int, int]]
) -> None:
    record = SampleRecord(tmp_path_factory.mktemp("runs") / "audit.db")
    for run_id, (bars, signals, orders, trades) in enumerate(runs, start=1):
        record.run()
        for _ in range(bars):
            record.bar(run_id=run_id)
        for _ in range(signals):
            record.signal(run_id=run_id, signal="BUY")
        for _ in range(orders):
            record.order(run_id=run_id)
        for _ in range(trades):
            record.trade(run_id=run_id)
    for run_id, wanted in enumerate(runs, start=1):
        found = counts(record.path, run_id)
        assert (found.bars, found.signals, found.orders_sent, found.trades) == wanted
    record.close()


def test_the_trades_of_a_day_are_this_strategys_in_any_run(record: SampleRecord) -> None:
    record.run()
    record.trade(START + timedelta(hours=23, minutes=59, seconds=59), net_profit=-1.0)
    record.trade(START + timedelta(days=1), net_profit=2.0)
    record.trade(START + timedelta(days=1, hours=3), net_profit=100.0, slot="1@elsewhere/other/1")
    record.run()
    record.trade(START + timedelta(days=1, hours=23, minutes=59), run_id=2, net_profit=4.0)
    record.trade(START + timedelta(days=2), run_id=2, net_profit=8.0)
    with AuditReader(record.path) as reader:
        assert reader.day_totals(latest(reader), "2018-02-06") == (2, 6.0)
        assert reader.day_totals(latest(reader), "2018-02-09") == (0, 0.0)


def test_positions_of_another_strategy_are_not_shown(trading_day: SampleRecord) -> None:
    trading_day.position(78, slot="1@elsewhere/other/1")
    with AuditReader(trading_day.path) as reader:
        assert [row["ticket"] for row in reader.positions(latest(reader))] == [77]


def test_the_recent_rows_are_those_of_this_account_and_strategy_in_any_run(record: SampleRecord) -> None:
    for run_id, slot in enumerate((SLOT, "1@elsewhere/other/1", SLOT), start=1):
        record.run(slot=slot)
        for add in (record.order, record.trade):
            add(run_id=run_id, slot=slot)
        record.signal(run_id=run_id, signal="BUY")
    with AuditReader(record.path) as reader:
        run = latest(reader)
        for rows in (reader.recent_orders(run), reader.recent_trades(run), reader.recent_signals(run)):
            assert [row["run_id"] for row in rows] == [3, 1]


def test_a_signal_carries_what_became_of_its_order(trading_day: SampleRecord) -> None:
    trading_day.signal(signal="BUY", reason="warming up")
    with AuditReader(trading_day.path) as reader:
        newest, denied, refused = reader.recent_signals(latest(reader))[:3]
    assert (newest["order_status"], newest["reason"]) == (None, "warming up")
    assert (denied["order_status"], denied["reason"]) == ("DENIED", "max positions: 1 of 1")
    assert (refused["order_status"], refused["reason"]) == ("FAILED", "no money: margin 120.00 of 80.00")


def test_hold_can_be_left_out_of_the_recent_signals(trading_day: SampleRecord) -> None:
    for _ in range(60):
        trading_day.signal()
    with AuditReader(trading_day.path) as reader:
        assert {row["signal"] for row in reader.recent_signals(latest(reader))} == {"HOLD"}
        assert [row["signal"] for row in reader.recent_signals(latest(reader), hold=False)] == ["BUY", "BUY", "SELL", "CLOSE", "BUY"]


def test_the_recent_rows_come_newest_first_and_never_more_than_a_page(record: SampleRecord) -> None:
    record.run()
    for n in range(70):
        record.order(START + timedelta(hours=n))
    with AuditReader(record.path) as reader:
        assert [row["id"] for row in reader.recent_orders(latest(reader))] == list(range(70, 20, -1))


def test_orders_of_unknown_outcome_are_counted_over_all_runs(trading_day: SampleRecord) -> None:
    trading_day.order(status="UNKNOWN")
    trading_day.run()
    trading_day.order(run_id=2, status="UNRESOLVED")
    with AuditReader(trading_day.path) as reader:
        assert reader.unsettled_orders() == 2


# the equity curve


@pytest.mark.parametrize("rows", [0, 1, 2, 599, 600, 601, 1801])
def test_the_curve_has_both_ends_and_at_most_600_points(record: SampleRecord, rows: int) -> None:
    record.run()
    record.db.execute("BEGIN")
    for n in range(rows):
        record.snapshot(START + timedelta(hours=n), float(n))
    record.db.execute("COMMIT")
    with AuditReader(record.path) as reader:
        found = [row["equity"] for row in reader.equity_curve(1)]
    assert len(found) == min(rows, CURVE_POINTS)
    assert found == sorted(set(found))  # type: ignore[type-var]
    assert not rows or (found[0], found[-1]) == (0.0, rows - 1.0)


def test_the_curve_survives_snapshots_that_somebody_has_deleted(record: SampleRecord) -> None:
    record.run()
    for n in range(1000):
        record.snapshot(START + timedelta(hours=n), float(n))
    record.db.execute("DELETE FROM account_snapshots WHERE id BETWEEN 200 AND 800")
    with AuditReader(record.path) as reader:
        found = [row["equity"] for row in reader.equity_curve(1)]
    assert (found[0], found[-1]) == (0.0, 999.0)
    assert 200 < len(found) <= CURVE_POINTS


def test_the_curve_goes_back_over_earlier_runs_of_the_same_strategy_and_account(record: SampleRecord) -> None:
    for run_id, (slot, days) in enumerate([(SLOT, 0), ("1@elsewhere/other/1", 1), (SLOT, 2), (SLOT, 3)], start=1):
        record.run(slot=slot, started_at=(START + timedelta(days=days)).isoformat())
        record.snapshot(START + timedelta(days=days, hours=1), float(run_id), run_id=run_id)
    with AuditReader(record.path) as reader:
        assert [row["equity"] for row in reader.equity_curve(4)] == [3.0, 4.0]
        assert [row["equity"] for row in reader.equity_curve(2)] == [2.0]


def test_another_replay_of_the_same_days_begins_another_curve(record: SampleRecord) -> None:
    for run_id, slot in enumerate((SLOT, SLOT.replace("12345678", "12345679")), start=1):
        record.run(slot=slot)
        record.snapshot(START, float(run_id), run_id=run_id)
    with AuditReader(record.path) as reader:
        assert [row["equity"] for row in reader.equity_curve(2)] == [2.0]


def test_a_replay_that_goes_on_before_it_was_stopped_goes_on_with_its_curve(record: SampleRecord) -> None:
    for run_id in (1, 2):
        record.run(started_at=(START + timedelta(hours=8)).isoformat(), ended_at=(START + timedelta(hours=9)).isoformat())
        record.snapshot(START, float(run_id), run_id=run_id)
    with AuditReader(record.path) as reader:
        assert [row["equity"] for row in reader.equity_curve(2)] == [1.0, 2.0]


# what others wrote into the record


def test_a_text_that_is_not_utf8_is_read_with_replacement_marks(record: SampleRecord) -> None:
    record.run()
    record.order(client_order_id="ODD")
    record.db.execute("UPDATE orders SET message = CAST(X'61EDA08062FF' AS TEXT)")
    with AuditReader(record.path) as reader:
        message = str(reader.recent_orders(latest(reader))[0]["message"])
    assert message.startswith("a\ufffd")
    assert message.endswith("b\ufffd")


def test_a_text_of_a_megabyte_is_cut_and_a_nul_in_it_hides_nothing(record: SampleRecord) -> None:
    record.run()
    record.order(message="a\0b" + "x" * 1_000_000)
    with AuditReader(record.path) as reader:
        message = str(reader.recent_orders(latest(reader))[0]["message"])
    assert message.startswith("a\0bx")
    assert len(message) == reader_module.LONGEST_TEXT


@pytest.mark.parametrize("text", ["[" * 900 + "]" * 900, '"x"', "null", "[]"])
def test_settings_that_are_no_object_are_no_settings(record: SampleRecord, text: str) -> None:
    record.run(settings=text)
    with AuditReader(record.path) as reader:
        assert latest(reader).settings == {}
