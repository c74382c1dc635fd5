"""A broker that outlives its traders: it lives in this process, each of them in another one, at the other end of a pipe.

Time is virtual, and the broker's: it passes while a trader sleeps, and while there is no trader, as `pass_time` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from Backtest.simulated_terminal import MarketEnded, SimulatedTerminal
from Backtest.simulated_terminal.faults.calls import FUNCTIONS
from Backtest.simulated_terminal.surface import STRUCTURES

Request = Mapping[str, Any]
SLEEP = "sleep"  # the clock's function, beside those of the terminal
ENDED = "no prices are left"  # in place of an answer to a sleep


def _structure(name: str, values: tuple[Any, ...]) -> Any:
    return STRUCTURES[name](values)


for _kind in STRUCTURES.values():  # the package's own structures cannot be pickled, and neither can these
    ForkingPickler.register(_kind, lambda value: (_structure, (type(value).__name__, tuple(value))))


@dataclass(frozen=True, slots=True)
class Call:
    """What a trader asks of the broker; `number` counts the calls of this function in the trader's life, from 1."""

    function: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    number: int

    @property
    def request(self) -> Request:
        """What `order_send` is to carry out."""
        found: Request = self.args[0]
        return found


@dataclass(frozen=True, slots=True)
class Killed:
    """The trader dies while it waits for an answer; `then` is what becomes of its call: it is done, at once or `seconds` later, or lost."""

    done: bool
    seconds: float = 0.0


class Broker:
    """One account at a simulated trade server, for as many traders as come, one after the other or at once."""

    def __init__(self, terminal: SimulatedTerminal, until: datetime) -> None:
        self.terminal = terminal
        self.until = until  # when a trader is told that no prices are left
        self.looked = 0  # when finished orders were last asked for, the server's milliseconds
        self._late: list[tuple[datetime, Request]] = []

    @property
    def now(self) -> datetime:
        """The time of its market."""
        return self.terminal.clock.now()

    def serve(self, line: Connection, watch: Callable[[Call], Killed | None], kill: Callable[[], None]) -> None:
        """Answer a trader until it is gone. `watch` sees each call before it is carried out, and may have the trader killed."""
        counts: dict[str, int] = {}
        while True:
            try:
                function, args, options = line.recv()
            except (EOFError, ConnectionError):
                return
            counts[function] = counts.get(function, 0) + 1
            call = Call(function, args, options, counts[function])
            killed = watch(call)
            if killed is not None:
                kill()
                self._after_death(call, killed)
                return
            try:
                line.send(self._answered(call))
            except ConnectionError:
                return

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is still on its way arrive in it. Raises MarketEnded where it is past `until`."""
        if self.now >= self.until:
            raise MarketEnded(ENDED)
        end = self.now + timedelta(seconds=seconds)
        while self._late and self._late[0][0] <= end:
            self._sleep_until(self._late[0][0])
            self.terminal.order_send(self._late.pop(0)[1])
        self._sleep_until(end)

    def shown(self, function: str) -> list[Any]:
        """A list of the terminal, whole: what the server knows, whoever is connected."""
        if self.terminal.terminal_info() is None:
            self.terminal.initialize()
        rows = getattr(self.terminal, function)(*((1, 2**31 - 1) if function.startswith("history") else ()))
        assert rows is not None, self.terminal.last_error()
        return list(rows)

    def _answered(self, call: Call) -> tuple[Any, tuple[int, str], datetime]:
        value: Any = None
        if call.function == SLEEP:
            try:
                self.pass_time(*call.args)
            except MarketEnded:
                value = ENDED
        elif call.function == "order_send":
            value = self.terminal.order_send(call.request)
        elif call.function == "shutdown":
            value = True  # each trader has a connection of its own: one that leaves takes no other's away
        else:
            value = getattr(self.terminal, call.function)(*call.args, **call.options)
            if call.function == "history_orders_get":
                self.looked = self.terminal.clock.now_msc
        return value, self.terminal.last_error(), self.now

    def _after_death(self, call: Call, killed: Killed) -> None:
        if killed.done and not killed.seconds:
            self._answered(call)
        elif killed.done:
            self._late.append((self.now + timedelta(seconds=killed.seconds), call.request))
            self._late.sort(key=lambda each: each[0])

    def _sleep_until(self, moment: datetime) -> None:
        left = (moment - self.now).total_seconds()
        if left > 0:
            self.terminal.clock.sleep(left)


class DistantTerminal:
    """The functions of the broker's terminal, for a trader in another process."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._error: tuple[int, str]
        self.now: datetime
        self.ask("version")  # the first answer tells the time

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"a terminal has no attribute {name!r}", name=name, obj=self)
        return lambda *args, **options: self.ask(name, *args, **options)

    def last_error(self) -> tuple[int, str]:
        """What came with the last answer."""
        return self._error

    def ask(self, function: str, *args: Any, **options: Any) -> Any:
        """One call; the trader waits for its answer, as it waits for a real terminal."""
        self._line.send((function, args, options))
        value, self._error, self.now = self._line.recv()
        return value


class DistantClock:
    """The broker's time, as the trader has heard of it: it stands still between two answers."""

    def __init__(self, terminal: DistantTerminal) -> None:
        self._terminal = terminal

    def now(self) -> datetime:
        return self._terminal.now

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        if seconds > 0 and not interrupted() and self._terminal.ask(SLEEP, seconds) == ENDED:
            raise MarketEnded(ENDED)
