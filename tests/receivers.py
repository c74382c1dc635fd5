"""Real endpoints on loopback that take alerts, or refuse, delay, redirect and hang, as endpoints do."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Behaviour = str  # one of those in `_Handler.behave`, or a number: the status of the answer


@dataclass
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A web server. `behaviours` are used up one by one; after the last one it answers 200."""

    behaviours: list[Behaviour] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    answer: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    let_go: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.receiver.received.append(Received(self.path, dict(self.headers), self.rfile.read(size)))
        behaviour = self.receiver.behaviours.pop(0) if self.receiver.behaviours else "200"
        with suppress(OSError):  # the other side has had enough
            self.behave(behaviour)

    do_GET = do_POST  # noqa: N815

    def behave(self, behaviour: Behaviour) -> None:
        if behaviour == "hang":
            self.receiver.let_go.wait(60)
        elif behaviour == "drip":
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.receiver.let_go.wait(0.05):
                self.connection.sendall(b"x")
        elif behaviour == "redirect":
            self.reply(302, {"Location": "http://127.0.0.1:1/elsewhere"})
        elif behaviour == "huge":
            self.reply(200, {"Content-Length": str(10 * 1024 * 1024)}, b"x" * (10 * 1024 * 1024))
        elif behaviour == "cut":
            self.connection.close()
        elif behaviour == "nonsense":
            self.connection.sendall(b"\x00\xff no http at all\r\n\r\n")
        else:
            self.reply(int(behaviour), self.receiver.headers, self.receiver.answer)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def web_receiver(*behaviours: Behaviour, **settings: Any) -> Iterator[Receiver]:
    """A web server on a port of its own."""
    receiver = Receiver(list(behaviours), **settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": receiver}))
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """What an SMTP server has taken, and how it behaves."""

    user: str = ""
    password: str = ""
    answer: str = "250 taken"
    messages: list[Envelope] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's interface
        if self.answer.startswith("250"):
            self.messages.append(envelope)
        return self.answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword) -> AuthResult:
        known = (given.login, given.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=known, handled=known)


class _AnyPort(Controller):
    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # it serves by now
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_receiver(mailbox: Mailbox, **settings: Any) -> Iterator[Mailbox]:
    """A real SMTP server on a port of its own."""
    if mailbox.user:
        settings |= {"authenticator": mailbox.authenticate, "auth_required": True}
    controller = _AnyPort(mailbox, hostname="127.0.0.1", port=0, ready_timeout=60, **settings)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


def until(true: Any, seconds: float = 30.0) -> None:
    """Wait until something is true; a failure when it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
