"""The web page: its own process, reads the record only, on this machine only, and changes nothing."""

import json
import mimetypes
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import waitress
from flask import Flask, Response, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from Live.audit_logger.reader import AuditReader, RecordUnavailable
from Live.clock import Clock, SystemClock
from Live.dashboard import answers
from Live.dashboard.guard import Guard
from Live.errors import Misconfigured
from Live.kill_switch import KillSwitchFile

__all__ = ["create_app", "open_server", "serve"]

HOST = "127.0.0.1"
THREADS = 4

# Windows takes these from its registry, where other programs may have called scripts text; browsers then refuse them (nosniff).
for _type, _suffix in (("text/javascript", ".js"), ("text/css", ".css"), ("image/svg+xml", ".svg")):
    mimetypes.add_type(_type, _suffix)


class StrictJSON(DefaultJSONProvider):
    """JSON that every parser reads alike: never NaN or Infinity, no integer beyond 2**53, texts cut to 500 characters."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return json.dumps(answers.plain(obj), allow_nan=False)


def create_app(db_path: Path, *, stop_file: Path, clock: Clock | None = None) -> Flask:
    """The page and its JSON endpoints over the record at `db_path`, which need not exist yet. `clock` is the machine's.

    `stop_file` is the emergency stop file: the page shows it as soon as it exists, without waiting for the trader.
    """
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.static_folder = "static"  # after the line above, so that its route too answers GET and nothing else
    app.add_url_rule("/static/<path:filename>", "static", app.send_static_file, methods=["GET"])
    app.json = StrictJSON(app)
    app.wsgi_app = Guard(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way to put something in front
    _add_endpoints(app, db_path, KillSwitchFile(stop_file.absolute(), enabled=True), clock or SystemClock())
    app.register_error_handler(RecordUnavailable, _unavailable)
    app.register_error_handler(HTTPException, _refused)
    return app


def open_server(db_path: Path, stop_file: Path, port: int) -> Any:
    """A waitress server that holds its port and answers once `run()` is called; `effective_port` names it (0 chooses a free one).

    Raises Misconfigured when the port cannot be had.
    """
    app = create_app(db_path, stop_file=stop_file)
    return waitress.create_server(app, sockets=[_listen(port)], threads=THREADS, ident=None, max_request_body_size=1024)


def serve(db_path: Path, stop_file: Path, port: int) -> None:
    """Answer at http://127.0.0.1:`port` until this process is told to end. Raises Misconfigured when the port cannot be had."""
    open_server(db_path, stop_file, port).run()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # what the option does on POSIX (take a port whose last owner has just died) Windows does without it; there it would share the port
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise Misconfigured(f"DASHBOARD_PORT={port}: the port cannot be had ({why}); stop what uses it, or choose another port") from error
    return listener


def _add_endpoints(app: Flask, db_path: Path, kill_switch: KillSwitchFile, clock: Clock) -> None:
    def add(path: str, answer: Callable[[AuditReader], object]) -> None:
        def view() -> Response:
            with AuditReader(db_path, clock) as reader:
                return jsonify(answer(reader))

        app.add_url_rule(path, path, view, methods=["GET"])

    def health() -> tuple[Response, int]:
        with AuditReader(db_path, clock) as reader:
            answer, code = answers.health(reader, clock.now())
        return jsonify(answer), code

    def page() -> tuple[str, int]:
        try:
            AuditReader(db_path, clock).close()
        except RecordUnavailable as problem:
            return render_template("dashboard.html", problem=str(problem)), 503
        return render_template("dashboard.html", problem=""), 200

    add("/api/status", lambda reader: answers.status(reader, clock.now(), kill_switch))
    add("/api/summary", answers.summary)
    add("/api/positions", answers.positions)
    add("/api/recent_orders", answers.recent_orders)
    add("/api/recent_signals", lambda reader: answers.recent_signals(reader, hold=_with_hold()))
    add("/api/recent_trades", answers.recent_trades)
    add("/api/equity", answers.equity)
    add("/api/overview", lambda reader: answers.overview(reader, clock.now(), kill_switch, hold=_with_hold()))
    app.add_url_rule("/health", "/health", health, methods=["GET"])
    app.add_url_rule("/", "/", page, methods=["GET"])


def _with_hold() -> bool:
    return request.args.get("hold") != "false"


def _unavailable(problem: RecordUnavailable) -> tuple[dict[str, str], int]:
    return {"error": str(problem)}, 503


def _refused(error: HTTPException) -> tuple[dict[str, str], int, list[tuple[str, str]]]:
    """One sentence instead of werkzeug's page; never what went wrong inside."""
    allow = [("Allow", "GET, HEAD")] if error.code == 405 else []
    return {"error": error.description or error.name}, error.code or 500, allow
