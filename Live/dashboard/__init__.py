"""The web page: its own process, reads the record only, on this machine only, and can do one thing: make the stop file."""

import json
import mimetypes
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import waitress
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from Live.audit_logger.reader import RecordUnavailable
from Live.clock import Clock, SystemClock
from Live.dashboard import answers
from Live.dashboard.api import Source
from Live.dashboard.guard import LOOPBACK, Guard, Token
from Live.dashboard.routes import add_routes
from Live.errors import Misconfigured
from Live.kill_switch import KillSwitchFile

__all__ = ["Access", "create_app", "open_server", "serve"]

THREADS = 24  # of which some follow the trader for as long as a page is open

# Windows takes these from its registry, where other programs may have called scripts text; browsers then refuse them (nosniff).
for _type, _suffix in (("text/javascript", ".js"), ("text/css", ".css"), ("image/svg+xml", ".svg")):
    mimetypes.add_type(_type, _suffix)


@dataclass(frozen=True, slots=True)
class Access:
    """Where the page listens, and the token that opens it; "" opens it to everybody who can reach it."""

    host: str = LOOPBACK[0]
    token: str = ""

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.token:
            raise Misconfigured(f"DASHBOARD_HOST={self.host} lets other machines in: set DASHBOARD_TOKEN, too")


class StrictJSON(DefaultJSONProvider):
    """JSON that every parser reads alike: never NaN or Infinity, no integer beyond 2**53, texts cut to 500 characters."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return json.dumps(answers.plain(obj), allow_nan=False)


def create_app(db_path: Path, *, stop_file: Path, clock: Clock | None = None, access: Access | None = None) -> Flask:
    """The pages and their JSON over the record at `db_path`, which need not exist yet. `clock` is the machine's.

    `stop_file` is the emergency stop file: the page shows it as soon as it exists, without waiting for the trader.
    """
    clock, access = clock or SystemClock(), access or Access()
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.static_folder = "static"  # after the line above, so that its route too answers GET and nothing else
    app.json = StrictJSON(app)
    token = Token(access.token, clock)
    app.wsgi_app = Guard(app.wsgi_app, token, access.host)  # type: ignore[method-assign]  # Flask's own way to put something in front
    add_routes(app, Source(db_path, clock, KillSwitchFile(stop_file.absolute(), enabled=True)), token)
    app.register_error_handler(RecordUnavailable, _unavailable)
    app.register_error_handler(HTTPException, _refused)
    return app


def open_server(db_path: Path, stop_file: Path, port: int, access: Access | None = None) -> Any:
    """A waitress server that holds its port and answers once `run()` is called; `effective_port` names it (0 chooses a free one).

    Raises Misconfigured when the port cannot be had.
    """
    access = access or Access()
    app = create_app(db_path, stop_file=stop_file, access=access)
    listener = _listen(access.host, port)
    return waitress.create_server(app, sockets=[listener], threads=THREADS, ident=None, max_request_body_size=1024, asyncore_use_poll=True)


def serve(db_path: Path, stop_file: Path, port: int, access: Access | None = None) -> None:
    """Answer at `port` until this process is told to end. Raises Misconfigured when the port cannot be had."""
    open_server(db_path, stop_file, port, access).run()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # what the option does on POSIX (take a port whose last owner has just died) Windows does without it; there it would share the port
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise Misconfigured(f"DASHBOARD_PORT={port}: the port cannot be had ({why}); stop what uses it, or choose another port") from error
    return listener


def _unavailable(problem: RecordUnavailable) -> tuple[dict[str, str], int]:
    return {"error": str(problem)}, 503


def _refused(error: HTTPException) -> tuple[dict[str, str], int, list[tuple[str, str]]]:
    """One sentence instead of werkzeug's page; never what went wrong inside."""
    allow = [("Allow", ", ".join(sorted(error.valid_methods or ["GET", "HEAD"])))] if error.code == 405 else []  # type: ignore[attr-defined]
    return {"error": error.description or error.name}, error.code or 500, allow
