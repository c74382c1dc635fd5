"""The one thing that the page can do, who may ask for it, and who may look at all where a token is set."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from Live.dashboard import Access, create_app
from Live.dashboard.guard import HEADERS
from Live.errors import Misconfigured
from tests.dashboard_page import FixedClock, body_of, client_of, form_token, serving, the_client, the_record  # noqa: F401 - fixtures
from tests.sample_record import WALL, SampleRecord, a_trading_day

HERE = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
TOKEN = "correct-horse-battery-staple-4711"


def stop(client: FlaskClient, headers: dict[str, str], **form: str) -> TestResponse:
    return client.post("/stop", data={"token": form_token(client), "confirm": "yes", **form}, headers=headers)


def test_the_stop_makes_the_stop_file_and_shows_it(client: FlaskClient, tmp_path: Path) -> None:
    answer = stop(client, HERE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/stop")
    assert (tmp_path / "EMERGENCY_STOP").read_text() == "stopped from the dashboard at 2025-11-21T09:30:00+00:00\n"
    assert str(tmp_path / "EMERGENCY_STOP") in client.get("/stop").text
    assert body_of(client.get("/api/status"))["kill_switch"]["active"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "file://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_no_other_page_can_ask_for_the_stop(client: FlaskClient, tmp_path: Path, headers: dict[str, str]) -> None:
    assert stop(client, headers).status_code == 403
    assert not (tmp_path / "EMERGENCY_STOP").exists()


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, HERE])
def test_either_header_of_a_browser_is_enough(client: FlaskClient, tmp_path: Path, headers: dict[str, str]) -> None:
    assert stop(client, headers).status_code == 303
    assert (tmp_path / "EMERGENCY_STOP").exists()


@pytest.mark.parametrize(
    ("form", "code"), [({"token": ""}, 403), ({"token": "0" * 64}, 403), ({"token": "é"}, 403), ({"confirm": ""}, 400)]
)
def test_without_the_forms_token_or_the_confirmation_nothing_is_stopped(
    client: FlaskClient, tmp_path: Path, form: dict[str, str], code: int
) -> None:
    assert stop(client, HERE, **form).status_code == code
    assert not (tmp_path / "EMERGENCY_STOP").exists()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_no_other_method_stops_anything(client: FlaskClient, tmp_path: Path, method: str) -> None:
    client.open("/stop", method=method, data={"token": form_token(client), "confirm": "yes"}, headers=HERE)
    assert not (tmp_path / "EMERGENCY_STOP").exists()


def test_the_stop_works_with_the_record_locked_damaged_or_gone(record: SampleRecord, tmp_path: Path) -> None:
    def locked() -> None:
        record.db.execute("PRAGMA journal_mode = DELETE")
        record.db.execute("BEGIN EXCLUSIVE")

    def damaged() -> None:
        record.close()
        record.path.write_bytes(b"no database" * 500)

    spoilers: list[Callable[[], object]] = [locked, damaged, record.path.unlink]
    client = client_of(record.path)
    for spoil in spoilers:
        spoil()
        assert stop(client, HERE).status_code == 303, spoil
        (tmp_path / "EMERGENCY_STOP").unlink()


def test_a_stop_file_that_cannot_be_made_is_said_with_what_to_do(record: SampleRecord, tmp_path: Path) -> None:
    app = create_app(record.path, stop_file=tmp_path / ("E" * 300), clock=FixedClock(WALL))
    answer = stop(app.test_client(), HERE)
    assert answer.status_code == 500
    assert "cannot be made" in answer.text
    assert "end the trader with Ctrl-C" in answer.text


def test_the_file_that_the_run_looks_for_is_made_too(record: SampleRecord, client: FlaskClient, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    record.run(settings=f'{{"KILL_SWITCH_FILE": "{other / "HALT"}"}}')
    stop(client, HERE)
    assert (other / "HALT").exists()
    assert (tmp_path / "EMERGENCY_STOP").exists()


def test_a_stop_that_is_held_on_record_shows_without_a_file(record: SampleRecord, client: FlaskClient) -> None:
    record.state(stop={"since": WALL.isoformat(), "reason": "somebody stopped it"})
    assert body_of(client.get("/api/status"))["kill_switch"]["active"]


# the token


class MovingClock(FixedClock):
    """Stands still until it is moved."""

    def move(self, seconds: float) -> None:
        self.time = datetime.fromisoformat((self.time + timedelta(seconds=seconds)).isoformat())


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock(WALL)


@pytest.fixture
def guarded(tmp_path: Path, clock: MovingClock) -> FlaskClient:
    a_trading_day(tmp_path / "audit.db").close()
    access = Access("192.0.2.7", TOKEN)
    app = create_app(tmp_path / "audit.db", stop_file=tmp_path / "EMERGENCY_STOP", clock=clock, access=access)
    return app.test_client()


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/api/status", "/api/v1/orders", "/orders/1", "/api/v1/stream", "/health", "/nowhere", "/api/v1/session"])
def test_without_the_token_nothing_is_told(guarded: FlaskClient, path: str) -> None:
    for headers in (
        {},
        shown(""),
        shown("wrong"),
        shown("é"),
        {"Authorization": TOKEN},
        {"Cookie": "algoagent=0"},
        {"Cookie": ";=;\x01"},
        {"Cookie": "algoagent=é"},
    ):
        answer = guarded.get(path, headers=headers)
        assert (answer.status_code, answer.data) == (401, b"")
        assert HEADERS.items() <= dict(answer.headers).items()


def test_a_browser_without_the_token_is_shown_where_to_give_it(guarded: FlaskClient) -> None:
    answer = guarded.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert guarded.get("/login").status_code == 200
    assert guarded.get("/static/login.js", buffered=True).status_code == 200


def test_the_token_opens_everything_and_is_exchanged_for_a_cookie_that_scripts_cannot_read(guarded: FlaskClient) -> None:
    assert guarded.get("/api/status", headers=shown(TOKEN)).status_code == 200
    cookie = guarded.get("/api/v1/session", headers=shown(TOKEN)).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/api/status").status_code == 200  # the client has kept it


def test_after_ten_wrong_tokens_the_right_one_has_to_wait_a_minute(guarded: FlaskClient, clock: MovingClock) -> None:
    for _ in range(10):
        assert guarded.get("/api/status", headers=shown("wrong")).status_code == 401
    assert guarded.get("/api/status", headers=shown(TOKEN)).status_code == 429
    clock.move(61)
    assert guarded.get("/api/status", headers=shown(TOKEN)).status_code == 200


def test_the_address_that_it_listens_at_is_a_name_of_it_and_no_other(guarded: FlaskClient) -> None:
    assert guarded.get("/api/status", headers={"Host": "192.0.2.7:5000", **shown(TOKEN)}).status_code == 200
    for host in ("192.0.2.8", "192a0b2c7", "evil.example"):
        assert guarded.get("/api/status", headers={"Host": host, **shown(TOKEN)}).status_code == 400


def test_other_machines_are_let_in_with_a_token_only() -> None:
    with pytest.raises(Misconfigured, match="set DASHBOARD_TOKEN, too"):
        Access("192.0.2.7")


# the stream


def test_the_stream_tells_of_changes_and_has_places_for_a_few(record: SampleRecord) -> None:
    with serving(record.path) as port:
        streams = [HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(13)]
        answers = []
        for stream in streams:
            stream.request("GET", "/api/v1/stream")
            answers.append(stream.getresponse())
        assert [answer.status for answer in answers] == [200] * 12 + [503]
        first = answers[0]
        assert first.headers["Content-Type"].startswith("text/event-stream")
        assert first.readline() == b"event: change\n"
        writer = threading.Timer(0.2, record.heartbeat, (WALL + timedelta(days=1),))
        writer.start()
        lines = [first.readline() for _ in range(2)]
        while b"change" not in lines[-1]:
            lines.append(first.readline())
        writer.join()
        for stream in streams:
            stream.close()
