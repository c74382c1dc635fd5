"""The page in a real browser where every name and text is as long as they get."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import ADDRESSES, DESKTOP, PHONE, looking, needs_browser
from tests.dashboard_page import a_rich_record, serving
from tests.sample_record import SampleRecord

SYMBOL = "CRUDEOIL.BRENT_ROLLING_CASH.202"  # 31 characters, the most that MetaTrader 5 has room for
STRATEGY = "mean_reversion_of_opening_range_with_volatility_filter_v2_fi"
CLASS = "MeanReversionOfOpeningRangeWithVolatilityFilterVersionTwo"
SERVER = "ICMarketsSC-Demo-International-Server-03"
EVENT = "STRATEGY_CANNOT_BE_EVALUATED_ANY_MORE"
TEXT = f"the terminal is not connected: IPC timeout (-10005) while asking symbol_info_tick of {SYMBOL}; " * 5
UNBROKEN = f"https://example.com/{'averylongpathwithoutanybreak' * 12}"
BANDS = "BollingerBandsOfTypicalPrice(Close,High,Low,20,2.5)"
LONG_NAMES = {
    "runs": {"strategy_id": STRATEGY, "strategy_class": CLASS, "server": SERVER, "end_reason": TEXT},
    **{table: {"symbol": SYMBOL, "strategy_id": STRATEGY} for table in ("orders", "signals", "trades", "positions")},
    **{table: {"symbol": SYMBOL} for table in ("bars", "warm_ups", "indicators", "fills")},
}
# What is wider than its room, and cut off there or reached only by scrolling sideways. A text of several lines may end in dots.
CUT_OFF = """() => [...document.querySelectorAll('header *, main *')].filter((each) =>
  each.checkVisibility() && !each.closest('.unseen, nav') && each.scrollWidth > each.clientWidth + 1
  && getComputedStyle(each).overflowX !== 'visible').map((each) => `${each.tagName} ${each.className}: ${each.textContent.slice(0, 80)}`)"""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleRecord]:
    made = a_record_of_long_names(tmp_path_factory.mktemp("long") / "audit.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(long: SampleRecord) -> Iterator[int]:
    with serving(long.path) as port:
        yield port


def a_record_of_long_names(path: Path) -> SampleRecord:
    made = a_rich_record(path)
    for (trigger,) in made.db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        made.db.execute(f"DROP TRIGGER {trigger}")  # the names are changed behind the back of a record that nobody may change
    made.db.execute("UPDATE indicators SET name = ?", (f"{BANDS} 1",))
    made.event(EVENT, TEXT, severity="CRITICAL")
    made.event("ERROR", UNBROKEN, severity="WARNING")
    made.order(status="PARTIALLY_FILLED", message=TEXT, sl=1.2345, tp=1.2567)
    made.order(status="FAILED", message=UNBROKEN, retcode=10027)
    made.signal(signal="BUY", reason=TEXT)
    made.trade(exit_reason="stop loss at the server", net_profit=-1_234_567.89)
    made.position(78, sl=1.2345, tp=1.2567, profit_at_stop=-120_345.25)
    settings = (
        '{"SYMBOLS": ["%s", "EURUSD"], "TIMEFRAME": "H1", "AUDIT_DB_PATH": "/home/somebody/with/a/long/home/AlgoAgent/data/audit.db"}'
    )
    made.db.execute(
        "UPDATE runs SET settings = ?, params = ?", (settings % SYMBOL, '{"a_parameter_with_a_rather_long_name_of_its_own": 1}')
    )
    for table, names in LONG_NAMES.items():
        made.db.execute(f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)}", tuple(names.values()))
    return made


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_no_name_however_long_pushes_anything_off_the_screen(
    browser: Browser, long: SampleRecord, port: int, theme: str
) -> None:
    with looking(browser, port, theme=theme, size=PHONE) as page:
        for address in ADDRESSES:
            long.heartbeat(datetime.now(UTC))
            page.goto(address)
            expect(page.locator("#strategy")).to_contain_text(STRATEGY)
            if address not in ("/stop", "/chart"):
                expect(page.locator("td:visible, dd:visible").first).to_be_visible()
            assert page.evaluate(CUT_OFF) == [], address
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address


def test_on_a_desk_names_are_told_whole(browser: Browser, long: SampleRecord, port: int) -> None:
    shown = {
        "/": SYMBOL,
        "/orders": SYMBOL,
        "/signals": SYMBOL,
        "/trades": SYMBOL,
        "/performance": SYMBOL,
        "/events": EVENT,
        "/runs": SERVER,
    }
    with looking(browser, port, size=DESKTOP) as page:
        for address, name in shown.items():
            page.goto(address)
            cell = page.locator("td.name span", has_text=name).first
            expect(cell).to_be_visible()
            assert cell.evaluate("(each) => each.scrollWidth <= each.clientWidth && each.scrollHeight <= each.clientHeight"), address


def test_an_event_is_told_whole_however_long(browser: Browser, long: SampleRecord, port: int) -> None:
    for size in (DESKTOP, PHONE):
        with looking(browser, port, size=size) as page:
            page.goto("/events")
            message = page.locator("#rows td.long span", has_text="https://example.com")
            expect(message).to_have_text(UNBROKEN)
            assert message.evaluate("(each) => each.scrollHeight <= each.clientHeight")


def test_a_long_indicator_keeps_what_tells_its_lines_apart_and_a_chart_its_choice(browser: Browser, long: SampleRecord, port: int) -> None:
    names = "Bokeh.documents[0].roots()[0].children.flatMap((f) => f.center).filter((c) => c.items)"
    names += ".flatMap((legend) => legend.items.map((item) => item.label.value))"
    told = {}
    for size in (DESKTOP, PHONE):
        with looking(browser, port, size=size) as page:
            page.goto("/chart")
            expect(page.locator("#price-figure .bk-Column")).to_have_count(1)
            told[size] = page.evaluate(names)[0]
            assert page.locator("#what").evaluate("(each) => each.selectedOptions[0].textContent") == f"{SYMBOL} H1"
            wide = page.locator("#what").bounding_box()
            assert wide is not None
            assert wide["width"] > 300
    assert told[DESKTOP] == f"{BANDS[:30]}…{BANDS[-7:]} 1"
    assert len(told[PHONE]) < len(told[DESKTOP]) <= 40
    assert told[PHONE].startswith("BollingerBands")
    assert told[PHONE].endswith("…2.5) 1")
