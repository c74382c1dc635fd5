"""The one way to the web: https to public addresses, no redirects, no proxies, and an end to every wait.

A name is resolved once, and the connection is made to the address that was looked at, so that no second answer of a name
server can lead into the network at home. Machines of one's own have to be named (ALERT_PRIVATE_HOSTS).
"""

import base64
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import certifi

CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 3.0, 5.0, 15.0
MOST = 64 * 1024  # bytes of an answer that are read; the rest is left where it is
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]


class NotSent(Exception):
    """It did not arrive, or nobody said that it did: try again later. The sentence names the machine, and no more of the address."""

    def __init__(self, sentence: str, wait: float | None = None) -> None:
        super().__init__(sentence)
        self.wait = wait  # seconds that the other side asks for


class Refused(Exception):
    """The other side will not take this, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; of the body the beginning."""

    status: int
    body: bytes
    wait: float | None = None  # seconds that it asks to wait


def addresses_of(host: str, port: int) -> list[str]:
    """What the machine's resolver says."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet; one that carries another inside is what that one is.

    >>> [is_public(each) for each in ("93.184.215.14", "10.0.0.1", "::ffff:10.0.0.1", "169.254.169.254", "fd00::1", "2002:0a00:0001::1")]
    [True, False, False, False, False, False]
    """
    found = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


@functools.cache
def trusted() -> ssl.SSLContext:
    """The machine's certificates, and those that come with certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@dataclass(frozen=True, slots=True)
class Web:
    """Sends requests. `private_hosts` may have any address, and may do without https."""

    private_hosts: tuple[str, ...] = ()
    resolve: Resolve = addresses_of
    context: Callable[[], ssl.SSLContext] = trusted
    whole_seconds: float = field(default=WHOLE_SECONDS)

    def send(self, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, *, patience: float = 0.0) -> Answer:
        """POST `body`, or GET without one. `patience` is how many seconds the other side may take on purpose.

        Raises NotSent and Refused.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme != "https" and not (parts.scheme == "http" and host in self.private_hosts):
            raise Refused(f"{host}: want https")
        known = {"User-Agent": "AlgoAgent-Live", "Host": parts.netloc.rpartition("@")[2], **(headers or {})}
        if parts.username:
            known["Authorization"] = f"Basic {_basic(parts.username, parts.password)}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with self._connected(host, port, parts.scheme, patience) as connection:
                connection.request("GET" if body is None else "POST", path, body, known)
                answer = connection.getresponse()
                read = Answer(answer.status, answer.read(MOST), _seconds(answer.getheader("Retry-After")))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotSent(f"{host}: {_why(error)}") from None  # the error may repeat the address
        if 300 <= read.status < 400:
            raise Refused(f"{host} sends us elsewhere ({read.status}): set the final address")
        return read

    @contextmanager
    def _connected(self, host: str, port: int, scheme: str, patience: float) -> Iterator[http.client.HTTPConnection]:
        address = self._address(host, port)
        line = [socket.create_connection((address, port), CONNECT_SECONDS)]
        try:
            with ends_in(self.whole_seconds + patience, lambda: line[-1]):
                line[-1].settimeout(READ_SECONDS + patience)
                if scheme == "https":
                    line.append(self.context().wrap_socket(line[-1], server_hostname=host, do_handshake_on_connect=False))
                    line[-1].do_handshake()  # type: ignore[attr-defined]  # it is an SSLSocket now
                connection = http.client.HTTPConnection(host, port)
                connection.sock = line[-1]  # http.client connects only where there is none
                yield connection
        finally:
            line[-1].close()

    def _address(self, host: str, port: int) -> str:
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NotSent(f"{host}: no such machine ({_why(error)})") from None
        allowed = [each for each in found if host in self.private_hosts or is_public(each)]
        if not allowed:
            raise Refused(f"{host} is no machine of the open internet; name it in ALERT_PRIVATE_HOSTS if it is yours")
        return allowed[0]


@contextmanager
def ends_in(seconds: float, line: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Shuts the line after so many seconds, whatever it does: one that sends a byte now and then never lets a time-out happen.

    What is done on it then ends in a TimeoutError.
    """
    over = threading.Event()

    def shut() -> None:
        over.set()
        found = line()
        with suppress(OSError):
            if found is not None:
                socket.socket.shutdown(found, socket.SHUT_RDWR)  # not SSLSocket's own, which drops what another thread uses

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except OSError as error:
        raise TimeoutError if over.is_set() else error from None
    finally:
        timer.cancel()
    if over.is_set():  # what was cut off may have looked like an end
        raise TimeoutError


def _basic(user: str | None, password: str | None) -> str:
    return base64.b64encode(f"{unquote(user or '')}:{unquote(password or '')}".encode()).decode()


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"no proper answer ({type(error).__name__})"
