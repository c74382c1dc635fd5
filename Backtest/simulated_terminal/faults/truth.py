"""What is behind the faults: the terminal that is wrapped, the time, and what is still on its way to the server."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from Backtest.simulated_terminal.faults.calls import ALL_DATES, HISTORY, LISTS, Call, Reply

Row = Any  # a structure of the package
Rows = list[Row]
Trace = Callable[[str, Rows, float], Rows]  # the rows of a list as an order has left them to be seen, at a moment


class Truth:
    """The terminal that is wrapped. It is asked and sent to through its own functions only, and never patched.

    `hang(seconds)` lets time pass inside a call.
    """

    def __init__(self, inner: Any, clock: Any, hang: Callable[[float], None]) -> None:
        self.inner, self.wait = inner, hang
        self._clock, self._began = clock, clock.now()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count(1)
        self._traces: list[Trace] = []

    @property
    def now(self) -> float:
        """Seconds since the faults began."""
        return float((self._clock.now() - self._began).total_seconds())

    @property
    def epoch(self) -> int:
        """The clock's second."""
        return int(self._clock.now().timestamp())

    @property
    def waiting(self) -> int:
        """How many requests have not arrived at the server yet."""
        return len(self._due)

    @property
    def touched(self) -> bool:
        """Whether an order is shown otherwise than it is."""
        return bool(self._traces)

    def ask(self, function: str, *args: Any, **options: Any) -> Reply:
        """The terminal's own answer."""
        value = getattr(self.inner, function)(*args, **options)
        return Reply(value, self.inner.last_error())

    def pass_on(self, call: Call) -> Reply:
        """The terminal's own answer to a call."""
        return self.ask(call.function, *call.args, **call.options)

    @property
    def attached(self) -> bool:
        """Whether the terminal is connected to at all: without that nothing leaves Python."""
        return self.inner.terminal_info() is not None

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something as soon as so much time has passed, and the terminal is called or `catch_up` is."""
        heapq.heappush(self._due, (self.now + seconds, next(self._number), action))

    def catch_up(self) -> None:
        """Let arrive what is due."""
        # a server does not care whether a program is connected, but there is no other way to it
        while self._due and self._due[0][0] <= self.now and self.attached:
            heapq.heappop(self._due)[2]()

    def hurry(self) -> None:
        """Let everything that is on its way arrive the next time that something can."""
        self._due = [(self.now, number, action) for _, number, action in sorted(self._due)]

    def raw(self, name: str) -> Rows | None:
        """All rows of a list as they are; None when they cannot be read."""
        rows = self.ask(name, *(ALL_DATES if name in HISTORY else ())).value
        return None if rows is None else list(rows)

    def rows(self, name: str) -> Rows | None:
        """All rows of a list, each order at the stage that it has shown so far."""
        rows = self.raw(name)
        for trace in self._traces if rows is not None else ():
            rows = trace(name, rows or [], self.now)
        return rows

    def trace(self, trace: Trace) -> None:
        """Let the lists show an order otherwise than it is, from now on."""
        self._traces.append(trace)


class Past:
    """The lists as they were: from now on, whenever `note` is called."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._kept: dict[str, list[tuple[float, Rows]]] = {name: [(-1.0, truth.rows(name) or [])] for name in LISTS}

    def note(self, *names: str) -> None:
        """Remember the lists of these names, or all, as they are now."""
        for name in names or LISTS:
            rows = self._truth.rows(name)
            if rows is not None:
                self._kept[name].append((self._truth.now, rows))

    def at(self, name: str, moment: float) -> Rows:
        """A list as it was at a moment, by what was noted."""
        kept = self._kept[name]
        last = max(index for index, (at, _) in enumerate(kept) if at <= max(moment, -1.0))
        self._kept[name] = kept[last:]  # the moments asked for do not go back
        return kept[last][1]
