import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from Live.dashboard import open_server, serve
from Live.errors import Misconfigured
from tests.dashboard_page import (
    serving,
    the_record,  # noqa: F401 - fixtures
)
from tests.sample_record import SampleRecord

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
