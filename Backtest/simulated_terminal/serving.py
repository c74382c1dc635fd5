"""The terminal served to other programs, over the RPyC that the `mt5linux` client speaks.

That client sends Python code, which runs here: whoever reaches the port can do anything that this user can. So it listens
on this machine only; from another one it is reached through an SSH tunnel.
"""

import logging
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.in_use import use

PORT = 18_812  # where mt5linux looks
NEEDED = "serving needs the rpyc package: pip install -r requirements-remote.txt"


class OneAtATime:
    """A terminal whose functions wait for each other: as with the real one, several clients share its one connection."""

    def __init__(self, terminal: Any) -> None:
        self._terminal, self._busy = terminal, threading.RLock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._terminal, name)
        if not callable(found):
            return found

        def function(*args: Any, **options: Any) -> Any:
            with self._busy:
                return found(*args, **options)

        return function


def stand_in(terminal: Any) -> None:
    """Let this process's `import MetaTrader5` be the simulated terminal, and its functions those of `terminal`."""
    import Backtest.simulated_terminal as package

    use(terminal)
    sys.modules["MetaTrader5"] = package


def check_host(host: str) -> None:
    """Raise BadInput for an address that other machines could reach."""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise BadInput(
            f"--host {host}: a client can run any code here, so only 127.0.0.1 is served; on the other machine open a tunnel: "
            f"ssh -L {PORT}:127.0.0.1:{PORT} this-machine, and let the client connect to 127.0.0.1 there"
        )


def serve(terminal: Any, host: str, port: int, *, listening: Callable[[int], None]) -> None:
    """Serve the terminal until the process is interrupted; port 0 takes a free one. `listening` is told the port.

    Raises BadInput when it cannot be served there.
    """
    server = make_server(terminal, host, port)
    threading.excepthook = _client_left
    try:
        listening(server.port)
        server.start()
    finally:
        server.close()


def _client_left(args: threading.ExceptHookArgs) -> None:
    # in place of the traceback of a client's thread
    said = str(args.exc_value)
    remedy = "; both ends need the same major version of rpyc" if "message type" in said else ""
    sys.stderr.write(f"a client was let go: {args.exc_type.__name__}: {said}{remedy}\n")


def make_server(terminal: Any, host: str, port: int) -> Any:
    """The RPyC server, listening already: `start()` serves until `close()`. Raises BadInput when it cannot be there."""
    check_host(host)
    try:
        from rpyc.core import SlaveService
        from rpyc.utils.server import ThreadedServer
    except ImportError as error:
        raise BadInput(NEEDED) from error
    quiet = logging.getLogger("Backtest.simulated_terminal.serving")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # a client that leaves is nothing to report
    try:
        server = ThreadedServer(SlaveService, hostname=host, port=port, reuse_addr=sys.platform != "win32", logger=quiet)
        server.listener.listen(server.backlog)  # now, so that a client may come as soon as the port is told
    except OSError as error:
        raise BadInput(f"--port {port}: cannot listen on {host}:{port} ({error.strerror or error}); choose another port") from error
    stand_in(OneAtATime(terminal))
    return server
