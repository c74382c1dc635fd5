"""What stands in front of every answer, also static files and errors: who may ask, and what a browser may do with it."""

import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.sansio.http import parse_cookie

from Live.clock import Clock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# localhost is not private: a web page can point its own name at 127.0.0.1 (DNS rebinding), but it cannot change the name
# that the browser then puts into `Host`. Any port: behind `ssh -L 8000:localhost:5000` it is another than ours.
OUR_NAMES = r"127\.0\.0\.1|localhost|\[::1\]"
LOOPBACK = ("127.0.0.1", "::1")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
NONCE = "live.dashboard.nonce"  # in the WSGI environment: of the style sheets that Bokeh makes, on pages with charts
COOKIE = "algoagent"
OPEN_PATHS = re.compile(r"/login|/static/[\w.-]+")  # what a browser needs before it has shown the token
WRONG_TOKENS = 10
WITHIN = timedelta(minutes=1)


class Token:
    """The token that opens the page where it is set, and the cookie that it is exchanged for. Empty: nobody is asked."""

    def __init__(self, text: str, clock: Clock) -> None:
        self._text, self._clock = text.encode(), clock
        self._key = secrets.token_bytes(32)  # of this process: when it ends, nobody is logged in any more
        self._wrong: list[datetime] = []

    @property
    def is_asked_for(self) -> bool:
        """Whether anybody needs it."""
        return bool(self._text)

    @property
    def cookie(self) -> str:
        """What a browser has that has shown the token."""
        return hmac.new(self._key, b"session" + self._text, "sha256").hexdigest()

    @property
    def form_token(self) -> str:
        """What only a page of ours can know: it travels with the one POST."""
        return hmac.new(self._key, b"form", "sha256").hexdigest()

    def is_tired(self) -> bool:
        """Whether too many wrong tokens came within a minute."""
        self._wrong = [at for at in self._wrong if self._clock.now() - at < WITHIN]
        return len(self._wrong) >= WRONG_TOKENS

    def is_shown_by(self, authorization: str) -> bool:
        """Whether a header `Authorization: Bearer …` has it."""
        kind, _, given = authorization.partition(" ")
        well = kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._text)
        if not well and authorization:
            self._wrong.append(self._clock.now())
        return well

    def is_logged_in(self, cookies: str) -> bool:
        """Whether a header `Cookie` has what the token is exchanged for."""
        found = parse_cookie(cookies).get(COOKIE, "")
        return hmac.compare_digest(found.encode("utf-8", "replace"), self.cookie.encode())


class Guard:
    """Wraps a WSGI application: foreign `Host` headers get 400 and nothing else, every answer gets `HEADERS`.

    `host` is the address that it listens at, beside the names of this machine. Without the token, where one is asked for,
    there is a way to show it, and nothing else.
    """

    def __init__(self, app: "WSGIApplication", token: Token, host: str = LOOPBACK[0]) -> None:
        self._app, self._token = app, token
        shown = f"[{host}]" if ":" in host else host
        names = OUR_NAMES if host in LOOPBACK else f"{OUR_NAMES}|{re.escape(shown)}"
        self._names = re.compile(rf"({names})(:[0-9]{{1,5}})?", re.IGNORECASE | re.ASCII)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            ours = with_nonce(HEADERS, environ.get(NONCE))
            kept = [(name, value) for name, value in headers if name.title() not in HEADERS]
            return start_response(status, [*kept, *ours.items()], exc_info)  # type: ignore[arg-type]  # passed on as it came

        def refuse(status: str, *more: tuple[str, str]) -> list[bytes]:
            start(status, [("Content-Length", "0"), *more])
            return []

        if not self._names.fullmatch(environ.get("HTTP_HOST", "")):
            return refuse("400 Bad Request")
        if not self._token.is_asked_for or OPEN_PATHS.fullmatch(environ.get("PATH_INFO", "")):
            return self._app(environ, start)  # type: ignore[arg-type]
        if self._token.is_logged_in(environ.get("HTTP_COOKIE", "")):
            return self._app(environ, start)  # type: ignore[arg-type]
        if self._token.is_tired():
            return refuse("429 Too Many Requests", ("Retry-After", "60"))
        if self._token.is_shown_by(environ.get("HTTP_AUTHORIZATION", "")):
            return self._app(environ, start)  # type: ignore[arg-type]
        if "text/html" in environ.get("HTTP_ACCEPT", "") and environ.get("REQUEST_METHOD") == "GET":
            return refuse("303 See Other", ("Location", "/login"))
        return refuse("401 Unauthorized", ("WWW-Authenticate", "Bearer"))


def with_nonce(headers: dict[str, str], nonce: object) -> dict[str, str]:
    """The headers of a page with charts: Bokeh makes style sheets, which carry this nonce, and draws its icons from data."""
    if not isinstance(nonce, str):
        return headers
    policy = headers["Content-Security-Policy"]
    policy = policy.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'").replace("img-src 'self'", "img-src 'self' data:")
    return {**headers, "Content-Security-Policy": policy}


def comes_from_us(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a POST was made by a page of this very address, by the headers that a browser sets and a page cannot.

    One of them is needed, and none may say otherwise.

    >>> comes_from_us("localhost:5000", "http://localhost:5000", "same-origin"), comes_from_us("localhost:5000", None, None)
    (True, False)
    """
    if origin is not None and (urlsplit(origin).netloc.lower() != host.lower() or urlsplit(origin).scheme not in ("http", "https")):
        return False
    if site is not None and site != "same-origin":
        return False
    return origin is not None or site is not None
