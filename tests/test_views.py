"""The record in a terminal: what `status`, the lists and `logs` show."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Live.__main__ import main
from Live.clock import SystemClock
from Live.errors import Misconfigured
from Live.views.log_lines import LogFile, wanted_from
from Live.views.moments import moment_of
from Live.views.tables import span_of
from tests.sample_record import START, WALL, SampleRecord, a_trading_day

NOW = datetime(2026, 1, 31, 14, 30, tzinfo=UTC)


@pytest.fixture
def record(tmp_path: Path) -> SampleRecord:
    return a_trading_day(tmp_path / "audit.db")


def shown(record: SampleRecord, *words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--db", str(record.path)]) == 0
    return capsys.readouterr().out


# status

BLOCK = """\
==============================================================
LIVE TRADING ENGINE STATUS
==============================================================
Running: False
Market Hours: False
Paper Trading: True
Trading Enabled: False
  The trader has given no sign of life since 2025-11-21 09:30:00 UTC; it may
have been killed.

Statistics:
  Signals Generated: 5
  Orders Placed: 4
  Positions Opened: 2
  Positions Closed: 2

Capital:
  Initial: 10,000.00 USD
  Current: 10,025.25 USD
  P&L: 25.25 USD
==============================================================

=== OPEN POSITIONS ===
Symbol  Side   Qty   Entry  Current     P&L   P&L %
EURUSD  SHORT  0.1  1.2451   1.2471  +20.00  -0.16%

Total Positions: 1
Winning: 1 | Losing: 0
Total Unrealized P&L: 19.50 USD
Total Realized P&L: 5.75 USD
Total P&L: 25.25 USD
==============================================================
"""


def test_the_status_block_has_its_lines_in_their_order(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.rstrip() for line in shown(record, "status", capsys=capsys).splitlines()] == BLOCK.splitlines()


def test_status_says_the_same_to_programs(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(shown(record, "status", "--json", capsys=capsys))
    assert (facts["running"], facts["mode"], facts["orders_placed"], facts["current"]) == (False, "DRY", 4, 10_025.25)
    assert facts["trader"]["state"] == "silent"
    assert [each["ticket"] for each in facts["positions"]] == [77]


def test_exposure_is_the_price_of_all_units_by_the_currency_of_the_price(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    spec = json.dumps({"contract_size": 100_000.0, "profit_currency": "USD"})
    record.insert(
        "warm_ups", {"run_id": 1, "slot": record.db.execute("SELECT slot FROM runs").fetchone()[0], "symbol": "EURUSD", "spec": spec}
    )
    assert "Total Exposure: 12,471.00 USD" in shown(record, "status", capsys=capsys)


def test_a_trader_that_was_never_started_has_a_status_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(SampleRecord(tmp_path / "audit.db"), "status", capsys=capsys)
    assert "Running: False" in told
    assert "No trader has run on this record yet." in told


# lists


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["positions"], ["77", "EURUSD", "SELL", "1.2451", "1.2471", "1.26", "+20.00"]),
        (["orders"], ["FAILED", "no money: margin 120.00 of 80.00", "DENIED", "max positions: 1 of 1"]),
        (["trades"], ["+10.25", "-4.50", "2 h", "strategy"]),
        (["signals"], ["CLOSE", "DENIED", "max positions: 1 of 1"]),
        (["runs"], ["sma_cross", "DRY"]),
    ],
)
def test_a_list_shows_what_became_of_things_and_why(
    words: list[str], expected: list[str], record: SampleRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(record, *words, capsys=capsys)
    assert [text for text in expected if text not in told] == []


def test_prices_of_a_symbol_stand_under_one_another(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record.order(START + timedelta(days=3), executed_price=1.24512)
    lines = shown(record, "orders", capsys=capsys).splitlines()
    ends = {line.index(price) + len(price) for line in lines for price in ("1.24512", "1.24510", "1.24610") if price in line}
    assert len(ends) == 1


def test_the_newest_come_first_and_n_bounds_them(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(shown(record, "orders", "-n", "2", "--json", capsys=capsys))
    assert [row["client_order_id"] for row in rows] == ["FIFTH", "FOURTH"]


def test_since_leaves_out_what_is_older_by_the_clock_of_the_replay(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(shown(record, "orders", "--since", "150m", "--json", capsys=capsys))
    assert [row["client_order_id"] for row in rows] == ["FIFTH", "FOURTH"]
    assert json.loads(shown(record, "orders", "--since", "2018-02-07 11:00", "--json", capsys=capsys))[0]["client_order_id"] == "FIFTH"


def test_since_counts_back_from_the_machines_clock_where_the_market_is_real(
    record: SampleRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record.db.execute("UPDATE runs SET terminal = 'native'")
    assert json.loads(shown(record, "orders", "--since", "1w", "--json", capsys=capsys)) == []


def test_only_chooses_rows_by_their_columns(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(shown(record, "orders", "--only", "status=FAILED", "--only", "symbol=EURUSD", "--json", capsys=capsys))
    assert [row["client_order_id"] for row in rows] == ["FOURTH"]
    assert shown(record, "orders", "--only", "symbol=GOOG", capsys=capsys) == "Nothing to show.\n"


def test_hold_is_shown_when_it_is_asked_for(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    without, among = (json.loads(shown(record, "signals", "-n", "99", "--json", *more, capsys=capsys)) for more in ([], ["--hold"]))
    assert (len(without), len(among)) == (5, 57)


def test_csv_has_a_heading_and_no_cell_that_a_spreadsheet_would_run(record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record.order(START + timedelta(days=3), message="=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(shown(record, "orders", "--csv", capsys=capsys))))
    assert (rows[0]["message"], rows[0]["price"]) == ("'=HYPERLINK(1)", "1.2451")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "[bold]x[/bold]", "\u202eabc"])
def test_a_text_of_the_broker_stays_on_its_line_and_colours_nothing(
    text: str, record: SampleRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record.insert("events", {"timestamp": START.isoformat(), "event_type": "X", "severity": "INFO", "message": text, "details": "{}"})
    told = shown(record, "events", capsys=capsys)
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert len(told.splitlines()) == 2
    assert "[bold]x[/bold]" in told or text != "[bold]x[/bold]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["orders", "--since", "yesterday"], "--since is 'yesterday'; want 90m, 2h"),
        (["orders", "--only", "state=X"], "--only state: these rows are told apart by run, status"),
        (["orders", "--only", "run=x"], "--only run=x: want the number of a run"),
        (["orders", "--json", "--csv"], "--json and --csv do not go together"),
        (["orders", "--watch", "--csv"], "--csv and --watch do not go together"),
        (["orders", "-n", "0"], "0 is not in the range"),
        (["status", "--json", "--watch"], "--json and --watch do not go together"),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], sentence: str, record: SampleRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--db", str(record.path)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_record_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--db", str(tmp_path / "none.db")]) == 1
    assert "There is no record at" in capsys.readouterr().err


# moments and spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", NOW - timedelta(seconds=45)),
        (" 3D ", NOW - timedelta(days=3)),
        ("2w", NOW - timedelta(weeks=2)),
        ("TODAY", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
        ("2026-01-30T10:00+02:00", datetime(2026, 1, 30, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_may_be_said_in_many_ways(text: str, expected: datetime) -> None:
    assert moment_of(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "2 fortnights", "-3d", "99", "2026-13-01", "1.5h"])
def test_other_words_name_no_moment(text: str) -> None:
    with pytest.raises(Misconfigured, match="--since is"):
        moment_of(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.6, "1 m"), (3_600, "1 h"), (93_784, "1 d 2 h"), (3_661, "1 h 1 m"), (7 * 86_400, "7 d")]
)
def test_a_span_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span_of(seconds) == words


# the log


def line(message: str, *, level: str = "INFO", at: datetime = WALL) -> str:
    return (
        json.dumps({"timestamp": at.isoformat(), "level": level, "logger": "LiveTrader", "message": message, "extra_data": {"n": 1}}) + "\n"
    )


def messages(lines: list[dict[str, Any]]) -> list[str]:
    return [facts["message"] for facts in lines]


EVERYTHING = wanted_from("DEBUG", None)


def test_the_newest_lines_are_read_from_the_end_and_from_the_file_put_aside(tmp_path: Path) -> None:
    (tmp_path / "live_trader.log.1").write_text("".join(line(f"old {n}") for n in range(2_000)))
    (tmp_path / "live_trader.log").write_text("not ours\n" + line("new ä") + line("newer"), encoding="utf-8")
    log = LogFile(tmp_path)
    assert messages(log.newest(4, EVERYTHING)) == ["old 1998", "old 1999", "new ä", "newer"]
    assert len(log.newest(5_000, EVERYTHING)) == 2_002


def test_lines_are_chosen_by_level_and_time(tmp_path: Path) -> None:
    (tmp_path / "live_trader.log").write_text(line("bad", level="ERROR") + line("worse", level="ERROR", at=NOW) + line("well", at=NOW))
    assert messages(LogFile(tmp_path).newest(9, wanted_from("WARNING", NOW))) == ["worse"]


def test_the_log_is_shown_as_the_trader_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "live_trader.log").write_text(line("order answered"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    assert main(["logs"]) == 0
    assert capsys.readouterr().out == "2025-11-21 09:30:00 - LiveTrader - INFO - order answered n=1\n"
    assert main(["logs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["message"] == "order answered"


def test_a_log_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOG_DIR", str(tmp_path))
    assert main(["logs", "-f"]) == 2
    assert "there is no live_trader.log yet" in capsys.readouterr().err


class Writing(SystemClock):
    """Sleeping lets the trader write: one step of `steps` at a time."""

    def __init__(self, steps: list[Any]) -> None:
        self._steps = steps

    def sleep(self, seconds: float, interrupted: Any = None) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


def test_following_goes_on_behind_a_half_line_and_behind_a_change_of_files(tmp_path: Path) -> None:
    file = tmp_path / "live_trader.log"
    file.write_text(line("before"))
    whole = line("in two halves")

    def append(text: str) -> None:
        with file.open("a") as log:
            log.write(text)

    def change_files() -> None:
        append(line("last of the old"))
        file.rename(tmp_path / "live_trader.log.1")
        file.write_text(line("first of the new"))

    steps = [lambda: append(whole[:20]), lambda: append(whole[20:]), change_files, lambda: append(line("second of the new"))]
    heard: list[dict[str, Any]] = []
    with pytest.raises(KeyboardInterrupt):
        heard.extend(LogFile(tmp_path).follow(Writing(steps), EVERYTHING))
    assert messages(heard) == ["in two halves", "last of the old", "first of the new", "second of the new"]


def test_watching_shows_the_record_anew_until_it_is_interrupted(
    record: SampleRecord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Writing([lambda: record.order(START + timedelta(days=9), message="seen later"), lambda: None])
    monkeypatch.setattr("Live.views.commands.SystemClock", lambda: clock)
    assert main(["orders", "--watch", "--db", str(record.path)]) == 130
    assert "seen later" in capsys.readouterr().out
