"""What stands in front of every answer, also static files and errors: who may ask, and what a browser may do with it."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# localhost is not private: a web page can point its own name at 127.0.0.1 (DNS rebinding), but it cannot change the name
# that the browser then puts into `Host`. Any port: behind `ssh -L 8000:localhost:5000` it is another than ours.
OUR_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Wraps a WSGI application: foreign `Host` headers get 400 and nothing else, every answer gets `HEADERS`."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            kept = [(name, value) for name, value in headers if name.title() not in HEADERS]
            return start_response(status, [*kept, *HEADERS.items()], exc_info)  # type: ignore[arg-type]  # passed on as it came

        if not OUR_NAMES.fullmatch(environ.get("HTTP_HOST", "")):
            start("400 Bad Request", [("Content-Length", "0")])
            return []
        return self._app(environ, start)  # type: ignore[arg-type]
