import json
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path

import pytest

from Live.dashboard import open_server, serve
from Live.dashboard.answers import LONGEST_SHOWN
from Live.errors import Misconfigured
from tests.dashboard_page import (
    HOSTILE,
    a_hostile_record,
    serving,
    the_record,  # noqa: F401 - fixtures
)
from tests.sample_record import SampleRecord

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


# the server


def test_a_port_in_use_is_a_setting_to_change(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"^DASHBOARD_PORT={port}: .*; stop what uses it, or choose another port$"):
            serve(tmp_path / "audit.db", tmp_path / "EMERGENCY_STOP", port)


def test_a_port_that_does_not_exist_is_a_setting_to_change(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="DASHBOARD_PORT=70000"):
        serve(tmp_path / "audit.db", tmp_path / "EMERGENCY_STOP", 70_000)


def test_the_server_listens_on_this_machine_only(tmp_path: Path) -> None:
    server = open_server(tmp_path / "audit.db", tmp_path / "EMERGENCY_STOP", 0)
    assert server.socket.getsockname()[0] == "127.0.0.1"
    server.task_dispatcher.shutdown()
    server.close()


@pytest.fixture
def served(record: SampleRecord) -> Iterator[int]:
    with serving(record.path) as port:
        yield port


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_real_server_refuses_foreign_missing_and_double_hosts(served: int) -> None:
    refused = [
        b"GET /api/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /api/status HTTP/1.0\r\n\r\n",
        b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/api/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ]
    for request in refused:
        answer = raw(served, request)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), request
        assert b"DRY" not in answer
    answer = raw(served, b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nServer:" not in answer


def test_twenty_clients_and_a_writing_trader_do_not_disturb_each_other(served: int, record: SampleRecord) -> None:
    failures: list[object] = []

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", served, timeout=30)
        for _ in range(5):
            connection.request("GET", "/api/overview")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            if answer.status != 200 or body["summary"]["bars"] < 52:
                failures.append(body)
        connection.close()

    clients = [threading.Thread(target=ask) for _ in range(20)]
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        with record.db:
            record.db.execute("BEGIN IMMEDIATE")
            record.bar()
            record.heartbeat()
    assert failures == []


# a real browser


class Page(HTMLParser):
    """The texts of the elements that have an id, of the rows of the tables, and the names of all elements."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.texts: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self._open: list[str] = []
        self._in_cell = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        if tag not in ("meta", "link", "input"):
            name = dict(attrs).get("id") or ""
            self._open.append(name)
            self.attributes[name] = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        for name in filter(None, self._open):
            self.texts[name] = self.texts.get(name, "") + data
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[int], Page]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")

    def look(port: int) -> Page:
        command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
        command += [f"--user-data-dir={tmp_path / 'browser'}", f"http://127.0.0.1:{port}/"]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
        return Page(done.stdout)

    return look


def test_a_browser_shows_the_numbers_of_the_record(served: int, record: SampleRecord, browse: Callable[[int], Page]) -> None:
    record.heartbeat(datetime.now(UTC))
    page = browse(served)
    assert (page.texts["mode"], page.attributes["banner"]["data-mode"]) == ("DRY", "DRY")
    assert page.texts["strategy"] == "sma_cross · EURUSD H1"
    assert page.texts["lamp-trader"] == "TraderRunningprocess 4711"
    assert page.texts["lamp-trading"].startswith("TradingEnabled")
    assert page.texts["lamp-kill"] == "Kill switchOffcreate the file EMERGENCY_STOP to stop"
    assert page.texts["equity"] == "10,025.25"
    assert page.texts["equity-note"].strip() == "+25.25 since 10,000.00"
    assert (page.texts["day-title"], page.texts["day"]) == ("Today, 2018-02-07", "+10.25")
    assert (page.texts["open"], page.texts["success"], page.texts["winning"], page.texts["run"]) == ("1", "75.0 %", "50.0 %", "52 bars")
    assert page.texts["success-note"].strip() == "3 of 4 filled, 1 refused, 1 denied"
    assert "hidden" in page.attributes["notice"]
    assert ["EURUSD", "SELL", "0.10", "+20.00", "1.2451", "1.2471", "1.2600", "–", "−0.50", "2018-02-05 00:00", "77"] in page.rows
    assert any(row[3] == "FAILED" and row[-1] == "no money: margin 120.00 of 80.00" for row in page.rows if len(row) == 11)
    assert page.names.count("polyline") == 2


def test_a_browser_shows_a_silent_trader_as_silent(served: int, browse: Callable[[int], Page]) -> None:
    page = browse(served)
    assert "hidden" not in page.attributes["notice"]
    assert page.texts["notice"].startswith("The trader has given no sign of life since 2025-11-21 09:30:00 UTC")
    assert page.texts["lamp-trader"].startswith("TraderSilent")
    assert page.texts["lamp-trading"].startswith("TradingNot enabled")


def test_a_browser_shows_hostile_text_as_text(tmp_path: Path, browse: Callable[[int], Page]) -> None:
    made = a_hostile_record(tmp_path / "audit.db", HOSTILE[0])
    for text in HOSTILE[1:]:
        made.order(symbol=text, status=text, message=text)
    with serving(made.path) as port:
        page = browse(port)
    made.close()
    assert page.names.count("script") == 1
    assert not {"img", "b", "iframe"} & set(page.names)
    assert page.texts["strategy"].startswith("<script>document.title = 'owned'</script>")
    shown = {cell for row in page.rows for cell in row}
    assert {text for text in HOSTILE if len(text) < LONGEST_SHOWN and "\0" not in text} <= shown


def test_a_browser_says_that_there_is_no_record_yet(tmp_path: Path, browse: Callable[[int], Page]) -> None:
    with serving(tmp_path / "none.db") as port:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        page = browse(port)
    assert page.texts["mode"] == "NO RECORD"
    assert page.texts["notice"].startswith("There is no record at ")
