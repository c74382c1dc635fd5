"""A double of Telegram's Bot API as it is documented (core.telegram.org/bots/api), as far as a bot of ours speaks it."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "123456789:" + "Abc-_" * 7
UPDATES_AT_ONCE = 100


@dataclass
class BotApi:
    """What users write waits here until the bot confirms it with a higher offset; what the bot sends is kept."""

    updates: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    photos: list[bytes] = field(default_factory=list)
    polls: int = 0
    url: str = ""
    _number: int = 1000
    _news: threading.Condition = field(default_factory=threading.Condition)

    def write(self, text: str, user: int, at: datetime) -> None:
        """A user writes to the bot."""
        message = {"message_id": 1, "from": {"id": user, "is_bot": False}, "chat": {"id": user, "type": "private"}, "text": text}
        self._add({"message": {**message, "date": int(at.timestamp())}})

    def press(self, data: str, user: int, at: datetime) -> None:
        """A user presses a button of a message of the bot."""
        message = {"message_id": 2, "chat": {"id": user, "type": "private"}, "date": int(at.timestamp())}
        self._add({"callback_query": {"id": "77", "from": {"id": user, "is_bot": False}, "message": message, "data": data}})

    def _add(self, update: dict[str, Any]) -> None:
        with self._news:
            self._number += 1
            self.updates.append({"update_id": self._number, **update})
            self._news.notify_all()

    def get_updates(self, offset: int = 0, limit: int = UPDATES_AT_ONCE, timeout: int = 0, **_: Any) -> list[dict[str, Any]]:
        """A negative offset counts from the end and forgets what is before; any other forgets what is below it."""
        self.polls += 1
        with self._news:
            self.updates = self.updates[offset:] if offset < 0 else [each for each in self.updates if each["update_id"] >= offset]
            if not self.updates and timeout:
                self._news.wait(timeout)
            return self.updates[:limit]

    def answer(self, method: str, body: bytes, kind: str) -> tuple[int, Any]:
        """Status and result of one call."""
        if method == "sendPhoto":
            self.photos.append(body[body.index(b"\x89PNG") :])
            return 200, {"message_id": 3}
        given = json.loads(body or b"{}") if "json" in kind else {}
        if method == "getUpdates":
            return 200, self.get_updates(**given)
        if method == "sendMessage":
            if not 0 < len(given["text"]) <= 4096:
                return 400, "Bad Request: message is too long"
            self.sent.append(given)
            return 200, {"message_id": 4}
        return (200, True) if method == "answerCallbackQuery" else (404, "Not Found")


class _Handler(BaseHTTPRequestHandler):
    api: BotApi

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", self.path)
        if found is None or found[1] != TOKEN:
            status, result = 401, "Unauthorized"
        else:
            status, result = self.api.answer(found[2], body, self.headers.get("Content-Type", ""))
        said = {"ok": True, "result": result} if status == 200 else {"ok": False, "error_code": status, "description": result}
        answer = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def bot_api() -> Iterator[BotApi]:
    """The double on a port of its own."""
    api = BotApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
