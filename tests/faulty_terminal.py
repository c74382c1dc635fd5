"""A real simulated terminal whose answers can go wrong: lost, late, refused, blind. What it wraps stays the broker's truth."""

from collections import deque
from collections.abc import Callable
from typing import Any

from Backtest.simulated_terminal import OrderSendResult, SimulatedTerminal, Tick

Request = dict[str, Any]
Fault = Callable[["FaultyTerminal", Request], Any]

RECV_FAILED = (-10002, "IPC recv failed")
SEND_FAILED = (-10001, "IPC send failed")
CALL_FAILED = (-1, "Terminal: Call failed")
DONE, PLACED, DONE_PARTIAL = 10009, 10008, 10010


class FaultyTerminal:
    """`faults` are used up by order_send, one a call; the calls after them are answered truly.

    `blind` names the functions that fail, `hidden` those that show nothing yet; `points` moves the quotes.
    """

    def __init__(self, inner: SimulatedTerminal) -> None:
        self.inner = inner
        self.faults: deque[Fault] = deque()
        self.checks: deque[int] = deque()  # return codes of the next checks
        self.blind: set[str] = set()
        self.hidden: set[str] = set()
        self.before: dict[str, Callable[[], None]] = {}  # what happens just before a function is called
        self.late: list[Request] = []
        self.sent: list[Request] = []
        self.calls: list[str] = []
        self.points = 0
        self.error: tuple[int, str] | None = None

    @property
    def clock(self) -> Any:
        return self.inner.clock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        return self._watched(name, value) if callable(value) and name.islower() else value

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls.append(name)
            self.error = None
            self.before.get(name, lambda: None)()
            if name in self.blind:
                self.error = CALL_FAILED
                return None
            return () if name in self.hidden else function(*args, **options)

        return call

    def last_error(self) -> tuple[int, str]:
        return self.error or self.inner.last_error()

    def symbol_info_tick(self, symbol: str) -> Any:
        tick = self._watched("symbol_info_tick", self.inner.symbol_info_tick)(symbol)
        shift = self.points * 1e-5
        return tick and Tick((tick.time, tick.bid + shift, tick.ask + shift, *tick[3:]))

    def order_check(self, request: Request) -> Any:
        result = self._watched("order_check", self.inner.order_check)(request)
        if result is None or not self.checks:
            return result
        return type(result)((self.checks.popleft(), *result[1:]))

    def order_send(self, request: Request) -> Any:
        self.calls.append("order_send")
        self.sent.append(request)
        self.error = None
        self.before.get("order_send", lambda: None)()
        return self.faults.popleft()(self, request) if self.faults else self.inner.order_send(request)

    def deliver(self) -> None:
        """What was late arrives at the server."""
        while self.late:
            assert self.inner.order_send(self.late.pop(0)).retcode == DONE

    def result(self, request: Request, retcode: int, *, order: int = 0) -> OrderSendResult:
        """An answer that the server might give."""
        parsed = self.inner.order_check(request).request
        return OrderSendResult((retcode, 0, order, 0.0, 0.0, 0.0, 0.0, f"answer {retcode}", 1, 0, parsed))


def without_answer(error: tuple[int, str] = SEND_FAILED) -> Fault:
    """Never delivered: no answer."""

    def fault(terminal: FaultyTerminal, _: Request) -> None:
        terminal.error = error

    return fault


def answer_lost(error: tuple[int, str] = RECV_FAILED, **changed: Any) -> Fault:
    """Executed, but nobody hears of it; `changed` is what the server makes of the request."""

    def fault(terminal: FaultyTerminal, request: Request) -> None:
        assert terminal.inner.order_send(request | changed).retcode == DONE
        terminal.error = error

    return fault


def late(error: tuple[int, str] = RECV_FAILED) -> Fault:
    """Delivered, but executed only when the test says so (`deliver`)."""

    def fault(terminal: FaultyTerminal, request: Request) -> None:
        terminal.late.append(request)
        terminal.error = error

    return fault


def answered(retcode: int, *, points: int = 0) -> Fault:
    """Not executed, with this answer; the quotes move by so many points."""

    def fault(terminal: FaultyTerminal, request: Request) -> OrderSendResult:
        terminal.points += points
        return terminal.result(request, retcode)

    return fault


def executed_as(retcode: int, *, ticketed: bool = True, **changed: Any) -> Fault:
    """Executed, perhaps changed, with another answer than the usual one."""

    def fault(terminal: FaultyTerminal, request: Request) -> OrderSendResult:
        done = terminal.inner.order_send(request | changed)
        assert done.retcode == DONE
        return terminal.result(request, retcode, order=done.order if ticketed else 0)

    return fault
