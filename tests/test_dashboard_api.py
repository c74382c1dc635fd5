"""`/api/v1`: its lists page by page, its exports, its description, and what may be asked of it."""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok

from Live.alert_kinds import Delivery
from Live.audit_logger.listing import LISTINGS, WINDOW, Listing, Pages, page_sql, window_sql
from Live.audit_logger.outbox import Outbox, Standing, outbox_of
from Live.audit_logger.shown import Shown
from Live.dashboard import create_app
from Live.dashboard.api import ENDPOINTS, SEEDS, V1
from Live.dashboard.openapi import description
from Live.dashboard.story import story
from tests.dashboard_page import HOSTILE, FixedClock, a_hostile_record, a_rich_record, body_of, client_of, get, the_client, the_record  # noqa: F401
from tests.sample_record import WALL, SampleRecord

# lists


def test_a_list_is_read_page_by_page_without_a_row_twice_or_none(record: SampleRecord, client: FlaskClient) -> None:
    for n in range(120):
        record.event("NOISE", str(n))
    seen, before = [], ""
    while True:
        answer = get(client, f"/api/v1/events?limit=50{before}")
        seen += [row["message"] for row in answer["rows"]]
        if answer["older"] is None:
            break
        before = f"&before={answer['older']}"
        record.event("NOISE", "came in between")
    assert seen == [str(n) for n in reversed(range(120))]


def test_filters_pick_rows_and_go_together(record: SampleRecord, client: FlaskClient) -> None:
    assert [row["client_order_id"] for row in get(client, "/api/v1/orders?status=FAILED")["rows"]] == ["FOURTH"]
    assert [row["client_order_id"] for row in get(client, "/api/v1/orders?side=SELL&kind=EXIT")["rows"]] == ["SECOND"]
    assert get(client, "/api/v1/orders?status=FAILED&side=SELL")["rows"] == []
    assert get(client, "/api/v1/orders?symbol=GBPUSD")["rows"] == []
    assert {row["signal"] for row in get(client, "/api/v1/signals?acting=true")["rows"]} == {"BUY", "SELL", "CLOSE"}
    assert len(get(client, "/api/v1/signals?acting=false&limit=500")["rows"]) == 57
    record.event("NOISE", "Something HAPPENED")
    assert len(get(client, "/api/v1/events?text=happened")["rows"]) == 1


def test_one_run_is_found_among_others_without_looking_through_them(record: SampleRecord, client: FlaskClient) -> None:
    record.run()
    record.order(run_id=2, client_order_id="OF TWO")
    record.run()
    record.order(run_id=3, client_order_id="OF THREE")
    assert [row["client_order_id"] for row in get(client, "/api/v1/orders?run=2")["rows"]] == ["OF TWO"]
    assert len(get(client, "/api/v1/orders?run=1")["rows"]) == 5
    assert [row["run_id"] for row in get(client, "/api/v1/runs")["rows"]] == [3, 2, 1]


def test_a_signal_that_became_no_order_says_why(record: SampleRecord, client: FlaskClient) -> None:
    newest = get(client, "/api/v1/signals?limit=1")["rows"][0]
    assert (newest["order_status"], newest["reason"], newest["order_id"]) == ("DENIED", "max positions: 1 of 1", 5)


def test_a_page_whose_filters_let_nothing_pass_goes_on_with_the_next_rows(record: SampleRecord, client: FlaskClient) -> None:
    record.order(kind="CANCEL")
    row = "INSERT INTO orders SELECT NULL, timestamp, updated_at, 'c' || value, 'k' || value"
    columns = [column[1] for column in record.db.execute("PRAGMA table_info(orders)")][5:]
    more = f"WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {WINDOW}) "
    record.db.execute(f"{more}{row}, {', '.join(columns)} FROM n, orders WHERE orders.id = 1")
    first = get(client, "/api/v1/orders?kind=CANCEL")
    assert (first["rows"], first["older"]) == ([], 7)
    assert [row["kind"] for row in get(client, f"/api/v1/orders?kind=CANCEL&before={first['older']}")["rows"]] == ["CANCEL"]


def combinations() -> Iterator[tuple[str, Listing, dict[str, object]]]:
    for name, listing in LISTINGS.items():
        filters = [filter for filter in listing.names if filter != "run"]
        for count in range(3):
            for chosen in itertools.combinations(filters, count):
                yield name, listing, dict.fromkeys(chosen, "x")


@pytest.mark.parametrize(("name", "listing", "chosen"), list(combinations()))
def test_no_page_sorts_and_none_reads_a_table_from_end_to_end(
    record: SampleRecord, name: str, listing: Listing, chosen: dict[str, object]
) -> None:
    values = {**chosen, "before": 9, "floor": 0, "low": 0, "limit": 5, "window": 5}
    for sql in (page_sql(listing, chosen), window_sql(listing, [name for name in listing.by_index if name in chosen][:1])):
        plan = [row[3] for row in record.db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert not [line for line in plan if re.match(r"SCAN (?!\(subquery)|USE TEMP B-TREE", line)], plan
        assert any(re.search(r"SEARCH t USING .*(<|>)", line) for line in plan), plan


@pytest.mark.parametrize(("name", "listing", "filter"), [(n, each, filter) for n, each in LISTINGS.items() for filter in each.by_index])
def test_a_filter_with_an_index_finds_its_rows_by_that(record: SampleRecord, name: str, listing: Listing, filter: str) -> None:
    values = {filter: "x", "before": 9, "floor": 0, "low": 0, "limit": 5, "window": 5}
    for sql in (page_sql(listing, {filter: "x"}), window_sql(listing, [filter])):
        plan = [row[3] for row in record.db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert any(re.search(r"SEARCH t USING (COVERING )?INDEX \w+ \(.*(rowid|id)[<>]", line) for line in plan), plan


# what may be asked


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/api/v1/orders?stauts=FAILED", "stauts is no argument of this address; it takes run, status, symbol"),
        ("/api/v1/orders?status=failed", "status: want one of PENDING, SUBMITTED"),
        ("/api/v1/orders?limit=501", "limit: want a whole number from 1 to 500."),
        ("/api/v1/orders?limit=0", "limit: want a whole number from 1 to 500."),
        ("/api/v1/orders?before=-1", "before: want a whole number"),
        ("/api/v1/orders?before=99999999999999999999", "before: want a whole number"),
        ("/api/v1/orders?limit=1&limit=2", "limit is given twice."),
        ("/api/v1/orders?symbol=", "symbol: want a text of 1 to 100 characters."),
        ("/api/v1/signals?acting=yes", "acting: want true or false."),
        ("/api/v1/status?x=1", "x is no argument of this address; it takes none."),
        ("/api/v1/chart?bars=5", "bars: want a whole number from 10 to 2000."),
        ("/figures/price.json?theme=pink", "theme: want one of light, dark."),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence(client: FlaskClient, address: str, sentence: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 400
    assert body_of(answer)["error"].startswith(sentence)


def test_a_chart_that_nobody_traded_and_an_order_that_is_not_there_are_not_found(client: FlaskClient) -> None:
    for address in ("/api/v1/chart?symbol=NOPE", "/orders/77", f"/orders/{10**30}", "/orders/x", "/orders/-1"):
        assert client.get(address).status_code == 404, address


# exports


def test_an_export_has_every_row_that_passes_and_runs_nothing_in_a_spreadsheet(record: SampleRecord, client: FlaskClient) -> None:
    for n in range(700):
        record.event("NOISE", "=cmd|' /C calc'!A0" if n == 0 else "-2" if n == 1 else f"@{n}")
    record.trade(net_profit=-4.25, exit_reason="+x")
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/events.csv").text)))
    assert len(rows) == 700
    assert [row["message"] for row in rows[-2:]] == ["'-2", "'=cmd|' /C calc'!A0"]
    trade = next(csv.DictReader(io.StringIO(client.get("/api/v1/trades.csv?limit=1").text)))
    assert (trade["net_profit"], trade["exit_reason"]) == ("-4.25", "'+x")
    answer = client.get("/api/v1/orders.csv?status=FAILED")
    assert (answer.mimetype, answer.headers["Content-Disposition"]) == ("text/csv", 'attachment; filename="orders.csv"')
    assert len(answer.text.splitlines()) == 2


# the rest


def test_limits_come_with_the_distance_and_the_worst_loss_with_what_has_no_stop(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    made.position(78, sl=1.24, profit=20.0, profit_at_stop=-51.0)
    made.position(79, sl=None)
    answer = get(client_of(made.path), "/api/v1/limits")
    assert answer["limits"][0] == {"rule": "MAX_POSITIONS", "measured": 1, "limit": 10, "left": 9, "used": 10.0}
    worst = answer["worst"]
    assert (worst["positions"], worst["unprotected"], worst["unknown"], worst["change"], worst["equity"]) == (3, 1, 1, -71.0, 9_954.25)
    made.close()


def test_the_chart_has_the_indicators_values_bar_by_bar(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    answer = get(client_of(made.path), "/api/v1/chart?bars=40")
    bars = answer["sources"]["bars"]
    assert [line["name"] for line in answer["lines"]] == ["SMA(C,10)", "RSI(C,14)"]
    assert len(bars["x"]) == 40
    assert bars["line0"][:10] == [None] * 10  # bars of before there were any
    assert bars["line1"][10:] == [50.0 + n for n in range(30)]
    made.close()


def test_performance_measures_slippage_latency_and_refusals(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    made.order(side="BUY", price=1.2, executed_price=1.2002)
    answer = get(client_of(made.path), "/api/v1/performance")
    assert answer["refusals"] == [{"retcode": 10019, "name": "NO_MONEY", "orders": 1}]
    slippage = answer["slippage"][0]
    assert (slippage["symbol"], slippage["worst"]) == ("EURUSD", 0.0002)
    assert answer["latency"] == {"sends": 1, "median": 1000.0, "p95": 1000.0, "worst": 1000.0}
    chart = answer["charts"][0]
    assert (chart["bars"], chart["all_bars"], chart["stats"]["# Trades"]) == (82, True, 0)  # trades of no deal on record
    made.close()


def an_alert(made: SampleRecord, number: int, message: str) -> str:
    """One that waits in the record; when it was put down."""
    queued_at = (WALL + timedelta(seconds=number)).isoformat()
    made.insert(
        "alerts", {"timestamp": queued_at, "queued_at": queued_at, "type": "risk", "level": "WARNING", "message": message, "details": "{}"}
    )
    return queued_at


def test_alerts_are_shown_with_what_became_of_them_on_each_channel(record: SampleRecord, client: FlaskClient) -> None:
    assert get(client, "/api/v1/alerts") == {"alerts": [], "channels": []}
    queued = [an_alert(record, number, f"alert {number}") for number in (1, 2, 3)]
    with closing(Outbox(record.path)) as outbox:
        sent, lost = Delivery(1, queued[0], "SENT"), Delivery(2, queued[1], "GIVEN_UP", "it answers 500 for a day")
        outbox.put("telegram", Standing(3, queued[0]), [sent], WALL)
        outbox.put("webhook", Standing(2, queued[0], 4, "it answers 500"), [lost], WALL)
        outbox.put("email", Standing(9, "of another record"), [Delivery(3, queued[2], "SENT")], WALL)
    answer = get(client, "/api/v1/alerts")
    told = [[(each["channel"], each["outcome"], each["detail"]) for each in row["deliveries"]] for row in answer["alerts"]]
    assert [row["message"] for row in answer["alerts"]] == ["alert 3", "alert 2", "alert 1"]
    assert told[0][-1] == ("webhook", "WAITING", "it answers 500")
    assert told[1:] == [[("webhook", "GIVEN_UP", "it answers 500 for a day")], [("telegram", "SENT", "")]]
    assert answer["channels"] == [
        {"channel": "telegram", "failures": 0, "problem": "", "delivered": 1, "waiting": 0, "lost": 0},
        {"channel": "webhook", "failures": 4, "problem": "it answers 500", "delivered": 0, "waiting": 1, "lost": 1},
    ]


def test_a_file_of_deliveries_that_cannot_be_read_is_said_in_a_sentence(record: SampleRecord, client: FlaskClient) -> None:
    outbox_of(record.path).write_bytes(b"nothing of the kind" * 100)
    answer = client.get("/api/v1/alerts")
    assert answer.status_code == 503
    assert "what became of alerts is not known" in body_of(answer)["error"]


def test_settings_are_shown_as_they_went_on_record(client: FlaskClient) -> None:
    answer = get(client, "/api/v1/settings")
    assert answer["settings"]["SYMBOLS"] == ["EURUSD"]
    strategy = {"id": "sma_cross", "class": "SmaCross", "file": "Backtest/codes/sma_cross.py", "sha256": "0" * 64}
    assert answer["strategy"] == {**strategy, "params_file": None, "params_sha256": None}


def test_an_order_tells_its_story_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    with Shown(made.path) as reader:
        rows = reader.order_rows(1)
    assert rows is not None
    steps = {step.title: step for step in story(rows)}
    assert dict(steps["Sized"].facts)["risk pct"] == "1"
    assert steps["Limits"].gates[0].passed
    assert dict(steps["Sent"].facts) | {"x": ""} == {
        "bid": "1.245",
        "ask": "1.2451",
        "action": "DEAL",
        "type": "BUY",
        "volume": "0.1",
        "price": "1.2451",
        "comment": "q1",
        "x": "",
    }
    assert dict(steps["Accepted"].facts)["retcode"] == "10009 DONE"
    assert dict(steps["Deal"].facts)["against the price asked for"] == "0.0001 worse"
    made.close()


def test_an_order_shows_a_deal_that_was_put_down_before_the_order_was_found_by_its_ticket(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    made.order(client_order_id="LOST", kind="EXIT", side="SELL", position_ticket=50, mt5_order_id=77)
    for ticket, order, position in ((900, 77, 50), (901, 78, 50), (902, 77, 51)):
        made.fill("", ticket, client_order_id=None, side="SELL", entry="OUT", order_ticket=order, position_id=position)
    [(order_id,)] = made.db.execute("SELECT id FROM orders WHERE client_order_id = 'LOST'")
    with Shown(made.path) as reader:
        rows = reader.order_rows(order_id)
    assert rows is not None
    assert [row["deal_ticket"] for row in rows.fills] == [900]
    made.close()


def test_a_refused_order_says_which_limit_was_in_the_way_and_what_the_code_means(tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    gates = [{"rule": "MAX_DAILY_LOSS_PCT, percent lost today", "measured": 5.0, "limit": 5.0}]
    made.life_of("FIFTH", ("PENDING", {}), ("DENIED", {"reason": "too much was lost", "gates": gates}))
    made.life_of("FOURTH", ("PENDING", {}), ("FAILED", {"answer": {"retcode": 10019}}))
    with Shown(made.path) as reader:
        denied, failed = reader.order_rows(5), reader.order_rows(4)
    assert denied is not None
    assert failed is not None
    assert [gate.passed for step in story(denied) for gate in step.gates] == [False]
    assert [step.text for step in story(denied)][-1] == "too much was lost"
    assert story(failed)[-1].text.startswith("TRADE_RETCODE_NO_MONEY (10019): ")
    made.close()


# the description

WALKED = settings(max_examples=10, suppress_health_check=list(HealthCheck), database=None)
RECORDS = {"a trading day": a_rich_record, "hostile": lambda path: a_hostile_record(path, HOSTILE[1]), "empty": SampleRecord}


@pytest.mark.parametrize("kind", RECORDS)
def test_whatever_is_asked_is_answered_as_described(tmp_path: Path, kind: str) -> None:
    made = RECORDS[kind](tmp_path / "audit.db")
    app = create_app(made.path, stop_file=tmp_path / "EMERGENCY_STOP", clock=FixedClock(WALL))
    described = schemathesis.openapi.from_wsgi(f"{V1}/openapi.json", app, config=SchemathesisConfig())
    operations = [found.ok() for found in described.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == len(description()["paths"])
    for operation in operations:

        @WALKED
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate()

        ask()
    made.close()


def test_the_description_names_every_address_that_answers(client: FlaskClient) -> None:
    served = {rule.rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith("/api/") or rule.rule == "/health"}
    outside = {f"{V1}/openapi.json", f"{V1}/stream", f"{V1}/session"}
    assert set(description()["paths"]) == served - outside
    assert len({endpoint.path for endpoint in (*SEEDS, *ENDPOINTS)}) == len(SEEDS) + len(ENDPOINTS)


def test_every_page_of_a_list_is_bounded(record: SampleRecord) -> None:
    for n in range(600):
        record.event("NOISE", str(n))
    with Pages(record.path) as pages:
        assert len(pages.page(LISTINGS["events"], {}, limit=10_000).rows) == 500
        assert pages.row(LISTINGS["events"], 1) is not None
