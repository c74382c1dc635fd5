import ast
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from Live.dashboard import create_app
from Live.dashboard.answers import LONGEST_SHOWN, plain
from Live.dashboard.guard import HEADERS
from tests.dashboard_page import (  # noqa: F401 - fixtures
    ENDPOINTS,
    FREE_TEXT,
    HOSTILE,
    ROOT,
    FixedClock,
    a_hostile_record,
    body_of,
    client_of,
    get,
    the_client,
    the_record,
)
from tests.sample_record import START, WALL, SampleRecord

DASHBOARD = ROOT / "Live" / "dashboard"
SCRIPTS = sorted((DASHBOARD / "static").glob("*.js"))
OUTSIDE = ["nothing.js", "../guard.py", "%2e%2e/guard.py", "..%5cguard.py"]
PAGES = [
    "/",
    "/orders",
    "/settings",
    "/stop",
    "/login",
    *ENDPOINTS,
    "/static/overview.js",
    "/static/dashboard.css",
    "/nowhere",
    "/static/../guard.py",
]
FOREIGN_HOSTS = ["evil.example", "evil.example:5000", "", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example"]
FOREIGN_HOSTS += ["localhost:5000, evil.example", "[::2]:5000", "localhost:5000:80", "0.0.0.0:5000", "127.1:5000"]
FOREIGN_HOSTS += ["localhost.", " localhost", "localhost\n", "localhost:٥"]


class BrokenClock(FixedClock):
    """A mistake of ours, inside."""

    def now(self) -> datetime:
        raise RuntimeError("a detail that nobody outside may read")


def without_nonce(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with a policy that a page with charts has, too, but for what Bokeh needs."""
    policy = re.sub(r" 'nonce-[\w-]{20,}'|(?<=img-src 'self') data:", "", headers["Content-Security-Policy"])
    return {**headers, "Content-Security-Policy": policy}


# who may ask, and how


@pytest.mark.every(9)
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_gets_400_and_not_a_byte_more(client: FlaskClient, path: str, host: str) -> None:
    answer = client.get(path, environ_overrides={"HTTP_HOST": host})
    assert (answer.status_code, answer.data) == (400, b"")
    assert HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:5000", "localhost:5000", "LOCALHOST", "[::1]:5000", "localhost:8080"])
def test_this_machines_own_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_carries_the_headers_that_bind_a_browser(client: FlaskClient, path: str) -> None:
    answer = client.get(path, buffered=True)
    assert without_nonce(HEADERS).items() <= without_nonce(dict(answer.headers)).items()
    assert len(answer.headers.getlist("Cache-Control")) == 1
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_the_policy_allows_no_inline_script_and_no_stranger(client: FlaskClient) -> None:
    for page in ("/", "/chart", "/orders", "/stop", "/login"):
        policy = client.get(page).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "http" not in policy


def test_a_page_with_charts_has_another_nonce_each_time_and_no_other_page_has_one(client: FlaskClient) -> None:
    policies = [client.get(page).headers["Content-Security-Policy"] for page in ("/", "/", "/chart", "/chart")]
    assert len(set(re.findall(r"'nonce-([\w-]+)'", " ".join(policies)))) == 4
    assert all("nonce" not in client.get(page).headers["Content-Security-Policy"] for page in ("/orders", "/stop", "/api/status"))


def test_one_route_alone_changes_anything(client: FlaskClient) -> None:
    changing = [(rule.rule, rule.methods) for rule in client.application.url_map.iter_rules() if (rule.methods or set()) - {"GET", "HEAD"}]
    assert changing == [("/stop", {"POST"})]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_is_refused_in_a_sentence(client: FlaskClient, method: str) -> None:
    answer = client.open("/api/status", method=method)
    assert answer.status_code == 405
    assert body_of(answer) == {"error": "The method is not allowed for the requested URL."}


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/", "/static/nothing.js", "/static/../guard.py", "/static/%2e%2e/guard.py", "/static/..%5cguard.py"]
)
def test_what_is_not_there_is_said_in_a_sentence(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert list(body_of(answer)) == ["error"]


def test_a_mistake_of_ours_shows_nothing_of_the_inside(record: SampleRecord) -> None:
    app = create_app(record.path, stop_file=Path("EMERGENCY_STOP"), clock=BrokenClock(WALL))
    answer = app.test_client().get("/api/status")
    assert answer.status_code == 500
    assert "detail" not in answer.text
    assert "Traceback" not in answer.text
    assert list(body_of(answer)) == ["error"]


# text from strangers


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_column_comes_back_as_it_is_and_cut(tmp_path: Path, text: str) -> None:
    made = a_hostile_record(tmp_path / "audit.db", text)
    client = client_of(made.path)
    for endpoint in ENDPOINTS:
        get(client, endpoint)
    shown = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    order, signal = get(client, "/api/recent_orders")["orders"][0], get(client, "/api/recent_signals")["signals"][0]
    assert {order[name] for name in FREE_TEXT["orders"]} == {shown}
    assert {signal[name] for name in FREE_TEXT["signals"]} == {shown}
    assert client.get("/").status_code == 200
    made.close()


def test_a_hostile_path_of_the_record_is_escaped_on_the_page(tmp_path: Path) -> None:
    page = client_of(tmp_path / "<script>alert(1)</script>.db").get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_numbers_that_json_does_not_know_are_null_and_large_integers_are_text(record: SampleRecord) -> None:
    record.order(volume=float("inf"), price=-float("inf"), magic=2**63 - 1, mt5_order_id=2**53, position_ticket=2**53 + 1)
    record.trade(START + timedelta(days=2), net_profit=float("inf"))
    record.trade(START + timedelta(days=2), net_profit=-float("inf"))
    record.snapshot(START, float("inf"))
    record.position(2**62, profit=float("inf"))
    client = client_of(record.path)
    order = get(client, "/api/recent_orders")["orders"][0]
    assert (order["volume"], order["price"], order["magic"]) == (None, None, "9223372036854775807")
    assert (order["mt5_order_id"], order["position_ticket"]) == (9007199254740992, "9007199254740993")
    for endpoint in ENDPOINTS:
        get(client, endpoint)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(JSON_LIKE)
def test_any_value_becomes_strict_json(value: object) -> None:
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == plain(value)


def test_a_value_that_is_nested_without_end_is_cut() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(json.dumps(plain(deep))) < 100


# the page's own files


def test_the_page_has_no_inline_script_style_or_handler(client: FlaskClient) -> None:
    for address in ("/", "/chart", "/orders", "/orders/1", "/performance", "/settings", "/stop", "/login"):
        page = client.get(address).text
        assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert all(re.match(r"/[\w.-]*|#page", source) for source in re.findall(r'(?:src|href)="([^"]*)"', page))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_write_text_and_never_markup(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|setTimeout\(\s*[\"'`]|localStorage|\.cookie"
    assert re.findall(forbidden, source) == []
    assert [url for url in re.findall(r"https?://[^\"'\s]+", source) if url != "http://www.w3.org/2000/svg"] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("overview.js", "text/javascript"), ("bokeh.min.js", "text/javascript"), ("dashboard.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
def test_static_files_say_what_they_are_whatever_the_machine_thinks(client: FlaskClient, name: str, kind: str) -> None:
    assert client.get(f"/static/{name}", buffered=True).mimetype == kind


def test_the_templates_never_switch_escaping_off() -> None:
    for template in (DASHBOARD / "templates").iterdir():
        assert not re.search(r"\|\s*safe|autoescape|Markup", template.read_text(encoding="utf-8"))


def test_every_endpoint_of_the_seed_is_documented_where_it_is_answered() -> None:
    source = (DASHBOARD / "answers.py").read_text(encoding="utf-8")
    docs = [ast.get_docstring(node) or "" for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    for endpoint in ENDPOINTS:
        assert any(doc.startswith(f"`{endpoint}`") for doc in docs), endpoint
