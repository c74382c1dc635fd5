"""The page in a real browser: Chromium, headless, driven by Playwright."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from Live.audit_logger.outbox import Outbox, Standing
from Live.dashboard.answers import LONGEST_SHOWN
from Live.dashboard.routes import PAGES
from tests.browsing import (
    ADDRESSES,
    DESKTOP,
    PATIENCE,
    PHONE,
    looking,
    needs_browser,
    patient_page,
)
from tests.dashboard_page import HOSTILE, ROOT, a_hostile_record, a_rich_record, serving
from tests.sample_record import SampleRecord

KILLED = 10

pytestmark = needs_browser


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleRecord]:
    made = a_rich_record(tmp_path_factory.mktemp("rich") / "audit.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(rich: SampleRecord) -> Iterator[int]:
    with serving(rich.path) as port:
        yield port


def text_of(page: Page, name: str) -> str:
    return " ".join(page.locator(f"#{name}").inner_text().split())


def wait_for(page: Page, name: str, text: str | re.Pattern[str]) -> None:
    expect(page.locator(f"#{name}")).to_contain_text(text, timeout=PATIENCE)


@pytest.mark.parametrize(("theme", "size"), [("light", DESKTOP), ("dark", PHONE)])
def test_every_page_shows_itself_without_a_mistake_and_within_its_width(
    browser: Browser, rich: SampleRecord, port: int, theme: str, size: tuple[int, int]
) -> None:
    with looking(browser, port, theme=theme, size=size) as page:
        for address in ADDRESSES:
            rich.heartbeat(datetime.now(UTC))
            page.goto(address)
            expect(page.locator("h1")).to_have_count(1)
            wait_for(page, "mode", "DRY")
            expect(page.locator("#notice")).to_be_hidden()
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
            assert dark is (theme == "dark"), address


def test_the_charts_are_drawn_under_the_strict_policy_with_the_strategys_own_indicators(
    browser: Browser, rich: SampleRecord, port: int
) -> None:
    names = "Bokeh.documents[0].roots()[0].children.flatMap((f) => f.center).filter((c) => c.items)"
    names += ".flatMap((legend) => legend.items.map((item) => item.label.value))"
    with looking(browser, port) as page:
        page.goto("/chart")
        expect(page.locator("#price-figure .bk-Column")).to_have_count(1, timeout=PATIENCE)
        assert page.evaluate(names) == ["SMA(C,10)", "RSI(C,14)"]
        page.goto("/")
        expect(page.locator("#equity-figure .bk-Column")).to_have_count(1, timeout=PATIENCE)


def test_a_bar_without_a_value_of_an_indicator_has_none_on_the_chart_either(browser: Browser, rich: SampleRecord, port: int) -> None:
    source = "Bokeh.documents[0].get_model_by_name('bars').data.line0"
    with looking(browser, port) as page:
        page.goto("/chart")
        expect(page.locator("#price-figure .bk-Column")).to_have_count(1, timeout=PATIENCE)
        values = page.evaluate(f"Array.from({source}).map((value) => Number.isNaN(value) ? null : value)")
        assert values == [None] * 52 + [pytest.approx(1.24 + n / 10_000) for n in range(30)]
        lowest = page.wait_for_function("Bokeh.documents[0].roots()[0].children[0].y_range.start || null").json_value()
        assert 1.2 < lowest < 1.25


def test_on_a_phone_the_page_that_is_open_and_the_long_texts_of_a_list_are_on_the_screen(
    browser: Browser, rich: SampleRecord, port: int
) -> None:
    with looking(browser, port, size=PHONE) as page:
        for name in PAGES:
            page.goto("/" if name == "overview" else f"/{name}")
            wait_for(page, "mode", "DRY")
            box = page.locator("nav a[aria-current]").bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE[0], name
        for address, text in (("/events", "the terminal is not connected"), ("/orders", "no money: margin 120.00 of 80.00")):
            page.goto(address)
            message = page.locator("#rows td.long", has_text=text)
            expect(message).to_have_count(1, timeout=PATIENCE)
            box = message.bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE[0], address


def test_what_the_machines_death_would_cost_is_told_from_the_stops_at_the_server(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    with serving(made.path) as port, looking(browser, port) as page:
        page.goto("/")
        wait_for(page, "worst-figure", "NOT KNOWN")
        assert text_of(page, "worst-note") == "Of 1 position the cost is not known."
        assert page.locator("#worst").get_attribute("data-colour") == "amber"
        made.db.execute("UPDATE positions SET profit_at_stop = -80.25")
        made.heartbeat(datetime.now(UTC))
        wait_for(page, "worst-figure", re.compile("^\u2212100.25$"))  # it makes 20.00 now
        assert text_of(page, "worst-note").startswith("if every stop loss at the server is hit (\u22121.00 %): equity 9,925.00.")
        made.position(78, side="BUY", sl=1.2, profit=5.0, profit_at_stop=-20.0)
        made.heartbeat(datetime.now(UTC))
        wait_for(page, "worst-figure", re.compile("^\u2212125.25$"))
        made.db.execute("DELETE FROM positions")
        made.heartbeat(datetime.now(UTC))
        wait_for(page, "worst-figure", "nothing is open")
    made.close()


def test_the_events_page_tells_what_became_of_alerts(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    queued_at = datetime.now(UTC).isoformat()
    alert = {"timestamp": queued_at, "queued_at": queued_at, "type": "risk", "level": "CRITICAL", "message": HOSTILE[0], "details": "{}"}
    made.insert("alerts", alert)
    with closing(Outbox(made.path)) as outbox:
        outbox.put("telegram", Standing(0, queued_at, 2, "it answers 500"), [], datetime.now(UTC))
    with serving(made.path) as port, looking(browser, port, size=PHONE) as page:
        page.goto("/events")
        wait_for(page, "told-hint", "telegram: 0 delivered, 1 waiting, 0 lost")
        expect(page.locator("#alerts")).to_be_hidden()
        page.locator("#told summary").click()
        expect(page.locator("#alerts td.long").last).to_have_text("telegram: waiting (it answers 500)", timeout=PATIENCE)
        assert page.locator("#alerts td.long").first.inner_text() == HOSTILE[0]
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    made.close()


def test_the_overview_shows_the_numbers_of_the_record(browser: Browser, rich: SampleRecord, port: int) -> None:
    rich.heartbeat(datetime.now(UTC))
    with looking(browser, port) as page:
        page.goto("/")
        wait_for(page, "equity", "10,025.25")
        assert page.locator("#banner").get_attribute("data-mode") == "DRY"
        assert text_of(page, "strategy") == "sma_cross · EURUSD H1"
        assert text_of(page, "lamp-trader") == "Trader Running process 4711"
        assert text_of(page, "lamp-trading") == "Trading Enabled Entries and exits are sent."
        assert text_of(page, "lamp-kill") == "Kill switch Off create the file EMERGENCY_STOP to stop"
        assert text_of(page, "lamp-bar").startswith("Next bar Replay last: EURUSD H1")
        assert text_of(page, "equity-note") == "+25.25 since 10,000.00"
        assert (text_of(page, "day-title"), text_of(page, "day")) == ("Today, 2018-02-07", "+10.25")
        assert (text_of(page, "open"), text_of(page, "success"), text_of(page, "winning")) == ("1", "75.0 %", "50.0 %")
        assert text_of(page, "success-note") == "3 of 4 filled, 1 refused, 1 denied"
        row = page.locator("#positions tbody tr").inner_text().split()
        assert row[:9] == ["EURUSD", "SELL", "0.10", "+20.00", "1.2451", "1.2471", "1.2600", "–", "–"]
        assert "no money: margin 120.00 of 80.00" in text_of(page, "orders")


def test_limits_are_gauges_with_the_distance_to_them(browser: Browser, port: int) -> None:
    with looking(browser, port) as page:
        page.goto("/")
        expect(page.locator("#limits li")).to_have_count(2, timeout=PATIENCE)
        items = page.locator("#limits li")
        assert [" ".join(item.split()) for item in items.all_inner_texts()] == [
            "Open positions 1 of 10, 9 left",
            "Trades today 10 of 10, 0 left",
        ]
        assert [item.get_attribute("data-colour") for item in items.all()] == ["green", "red"]
        assert items.nth(0).locator("meter").evaluate("meter => meter.value") == 10


def test_a_position_without_a_stop_loss_turns_the_worst_loss_red(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    made.position(78, side="BUY", sl=None)
    with serving(made.path) as port, looking(browser, port, size=PHONE) as page:
        page.goto("/")
        wait_for(page, "worst-figure", "NO LIMIT")
        assert page.locator("#worst").get_attribute("data-colour") == "red"
        assert text_of(page, "worst-note").startswith("1 position has no stop loss at the server.")
        assert page.locator("#positions td.alarm").inner_text() == "NO STOP"
    made.close()


def test_a_silent_trader_is_shown_as_silent_in_red(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")  # its heartbeat is of another year
    with serving(made.path) as port, looking(browser, port) as page:
        page.goto("/")
        wait_for(page, "notice", re.compile(r"^The trader has been silent for \d+ days\. .* since 2025-11-21 09:30:00 UTC"))
        assert page.locator("#notice").get_attribute("data-colour") == "red"
        assert text_of(page, "lamp-trader").startswith("Trader Silent")
        assert text_of(page, "lamp-trading").startswith("Trading Not enabled")
        assert page.locator("body").get_attribute("data-fresh") == "no"
    made.close()


def test_without_a_record_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "none.db") as port:
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
        page = patient_page(context)
        answer = page.goto("/")
        assert answer is not None
        assert answer.status == 503
        assert text_of(page, "mode") == "NO RECORD"
        wait_for(page, "notice", "There is no record at ")
        context.close()


def test_hostile_text_in_every_field_stays_text_on_every_page(browser: Browser, tmp_path: Path) -> None:
    made = a_hostile_record(tmp_path / "audit.db", HOSTILE[0])
    for text in HOSTILE[1:]:
        made.order(symbol=text, status=text, message=text)
    with serving(made.path) as port, looking(browser, port) as page:
        for address in ADDRESSES:
            page.goto(address)
            wait_for(page, "strategy", "<script>document.title = 'owned'</script>") if address != "/stop" else None
            if address not in ("/stop", "/chart"):
                expect(page.locator("td:visible, dd:visible").first).to_be_visible(timeout=PATIENCE)
            assert page.locator("img, iframe, b > *, td script, main script").count() == 0, address
            assert page.title() != "owned"
        page.goto("/orders")
        expect(page.locator("#rows tbody tr")).to_have_count(len(HOSTILE), timeout=PATIENCE)
        shown = set(page.locator("#rows td").all_text_contents())
        assert {text for text in HOSTILE if len(text) < LONGEST_SHOWN and "\0" not in text} <= shown
    made.close()


def test_a_page_of_a_list_filters_turns_and_keeps_its_filters_in_the_address(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    for n in range(250):
        made.event("NOISE", f"event {n}", severity="CRITICAL" if n == 3 else "INFO")
    with serving(made.path) as port, looking(browser, port) as page:
        page.goto("/events")
        expect(page.locator("#rows tbody tr")).to_have_count(100, timeout=PATIENCE)
        page.locator("#older").click()
        expect(page.locator("#rows tbody tr").first).to_contain_text("event 149", timeout=PATIENCE)
        page.locator("#newer").click()
        expect(page.locator("#rows tbody tr").first).to_contain_text("event 249", timeout=PATIENCE)
        page.locator("select[name=severity]").select_option("CRITICAL")
        expect(page.locator("#rows tbody tr")).to_have_count(1, timeout=PATIENCE)
        assert page.url.endswith("/events?severity=CRITICAL")
        page.reload()
        expect(page.locator("#rows tbody tr")).to_have_count(1, timeout=PATIENCE)
        assert page.locator("#csv").get_attribute("href") == "/api/v1/events.csv?severity=CRITICAL"
    made.close()


def test_the_page_goes_on_where_the_stream_is_cut_off_and_keeps_what_is_scrolled_and_selected(browser: Browser, tmp_path: Path) -> None:
    made = a_rich_record(tmp_path / "audit.db")
    for _ in range(60):
        made.order()
    with serving(made.path) as port:
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}", viewport={"width": 1280, "height": 600})
        page = patient_page(context)
        page.route("**/api/v1/stream", lambda route: route.abort())
        page.goto("/orders")
        expect(page.locator("#rows tbody tr")).to_have_count(65, timeout=PATIENCE)
        page.locator("#rows tbody tr").nth(30).evaluate(
            "row => { row.id = 'looked-at'; row.scrollIntoView(); getSelection().selectAllChildren(row); }"
        )
        looked_at = "(box => [box.top, box.height, String(getSelection())])(document.getElementById('looked-at').getBoundingClientRect())"
        top, height, selected = page.evaluate(looked_at)
        made.order(message="it came while the page was open")
        expect(page.locator("#rows tbody tr")).to_have_count(66, timeout=PATIENCE)
        top_after, _, selected_after = page.evaluate(looked_at)
        assert selected_after == selected != ""
        # The browser keeps what is read in its place, whatever came above it: a row of the list, or a notice over the page.
        assert abs(top_after - top) < height / 2
        context.close()
    made.close()


def test_an_order_can_be_shared_as_a_file_that_needs_nothing_else(browser: Browser, rich: SampleRecord, port: int, tmp_path: Path) -> None:
    with looking(browser, port) as page:
        page.goto("/orders/1")
        with page.expect_download() as downloading:
            page.locator("#file").click()
        file = tmp_path / "order.html"
        downloading.value.save_as(file)
    source = file.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|<script|@import|url\(", source)
    context = browser.new_context(offline=True)
    page = patient_page(context)
    page.goto(file.as_uri())
    steps = [" ".join(step.split()) for step in page.locator(".step h3").all_text_contents()]
    assert steps == [
        "The strategy decided: BUY",
        "Put on record before anything is sent",
        "Sized",
        "Limits",
        "Checked by the terminal (order_check)",
        "Sent",
        "Accepted",
        "Filled",
        "Deal",
    ]
    assert page.locator(".gates tbody tr").inner_text().split("\t") == ["MAX_POSITIONS, positions with this one", "1", "10", "passed"]
    context.close()


def test_the_page_follows_a_dry_run_and_its_stop_button_ends_it_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "AUDIT_DB_PATH": f"{tmp_path}/audit.db",
        "LOG_DIR": f"{tmp_path}/logs",
        "SIM_ACCOUNT_DIR": f"{tmp_path}/accounts",
        "KILL_SWITCH_FILE": f"{tmp_path}/EMERGENCY_STOP",
        "DASHBOARD": "false",
        "SIZING": "strategy",
        "SIM_SPEED": "20000",
    }
    command = [sys.executable, "-m", "Live", "run", "-s", "Backtest/codes/sma_cross.py", "--dry-run"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=quiet, stderr=quiet) as trader, serving(tmp_path / "audit.db") as port:
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
        page = patient_page(context)
        page.goto("/")
        expect(page.locator("#run")).to_contain_text(re.compile(r"[1-9]\d* bars"), timeout=PATIENCE)
        bars = page.locator("#run").inner_text()
        expect(page.locator("#run")).not_to_have_text(bars, timeout=PATIENCE)
        assert trader.poll() is None
        focus_by_tab(page, "a.stop")
        page.keyboard.press("Enter")
        page.wait_for_url("**/stop")
        focus_by_tab(page, "input[name=confirm]")
        page.keyboard.press("Space")
        focus_by_tab(page, "button.danger")
        page.keyboard.press("Enter")
        expect(page.locator("#stopped")).to_be_visible(timeout=PATIENCE)
        assert (tmp_path / "EMERGENCY_STOP").read_text().startswith("stopped from the dashboard at ")
        assert trader.wait(120) == KILLED
        context.close()


def test_all_pages_are_reached_by_keyboard(browser: Browser, port: int) -> None:
    with looking(browser, port) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        for name in PAGES[1:]:
            focus_by_tab(page, f"nav a[href='/{name}']")
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/{name}")


def focus_by_tab(page: Page, wanted: str) -> None:
    """Press the tabulator until this element has the focus, as somebody without a mouse does."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(wanted)})"):
            return
    raise AssertionError(f"{wanted} is not reached by the keyboard")
