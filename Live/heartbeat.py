"""Signs of life that another process can read, also while this one hangs: what it does, as a few whole numbers in shared memory.

No clock, no lock and no disk: a beat costs less than a microsecond, and whoever watches counts the time between two of them.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

BEATS, PHASE, SYMBOL, BAR, TURNS, ACKNOWLEDGED, ENDED = range(7)
CELLS = 7
CONNECTING_CALLS = frozenset({"initialize", "login", "shutdown"})
FETCHING_CALLS = ("copy_", "history_")
NOTHING_GIVEN_UP: Mapping[str, str] = {}


class Phase(enum.IntEnum):
    """What the trader is doing."""

    STARTING = 0
    WORKING = 1
    WAITING = 2  # it looks around at least four times a second
    CONNECTING = 3  # from here on calls of the terminal
    READING = 4
    FETCHING = 5  # what the terminal may have to get from its server first
    SENDING = 6
    WARMING_UP = 7  # the strategy's own code
    DECIDING = 8

    @property
    def is_thought(self) -> bool:
        """Whether it is in the strategy."""
        return self in (Phase.WARMING_UP, Phase.DECIDING)


@dataclass(frozen=True, slots=True)
class Beat:
    """The trader at one moment. `symbol` is a place in SYMBOLS, `bar` the open of the bar that is decided (server seconds)."""

    beats: int
    phase: Phase
    symbol: int
    bar: int
    has_traded: bool  # came to the end of a turn
    acknowledged: bool  # has seen an emergency stop
    ended: bool  # in order


class Heartbeat:
    """What the trader's process writes, into shared `cells`; without them nobody listens.

    `given_up` names the symbols that its supervisor lets it decide no more, with the reason; `is_alone` tells whether the
    supervisor has gone.
    """

    def __init__(
        self,
        cells: MutableSequence[int] | None = None,
        *,
        given_up: Mapping[str, str] = NOTHING_GIVEN_UP,
        is_alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cells = [0] * CELLS if cells is None else cells
        self.given_up, self.is_alone = given_up, is_alone

    def beat(self) -> None:
        """A sign of life."""
        self._cells[BEATS] += 1

    @contextmanager
    def during(self, phase: Phase) -> Iterator[None]:
        """Something that has an end; what was done before goes on then."""
        before = self._cells[PHASE]
        self._cells[PHASE] = phase
        self.beat()
        try:
            yield
        finally:
            self._cells[PHASE] = before
            self.beat()

    @contextmanager
    def thinking(self, phase: Phase, symbol: int, bar: int) -> Iterator[None]:
        """The strategy's own code, on one bar."""
        self._cells[SYMBOL], self._cells[BAR] = symbol, bar
        with self.during(phase):
            yield

    def turned(self) -> None:
        """A turn of the loop is done."""
        self._cells[PHASE] = Phase.WORKING
        self._cells[TURNS] += 1
        self.beat()

    def acknowledge(self) -> None:
        """The emergency stop was seen."""
        self._cells[ACKNOWLEDGED] = 1
        self.beat()

    def end(self) -> None:
        """The trader leaves in order: it need not be started again."""
        self._cells[ENDED] = 1


def read(cells: Sequence[int]) -> Beat:
    """What the process that watches sees."""
    flags = (bool(cells[cell]) for cell in (TURNS, ACKNOWLEDGED, ENDED))
    return Beat(cells[BEATS], Phase(cells[PHASE]), cells[SYMBOL], cells[BAR], *flags)


class WatchedTerminal:
    """A terminal whose calls are phases of the heartbeat: no call of the real one can be interrupted from within.

    One of our `own` may have much to do in any call: the market of a pause passes in it.
    """

    def __init__(self, inner: Any, heartbeat: Heartbeat, *, own: bool) -> None:
        self._inner, self._heartbeat, self._own = inner, heartbeat, own

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value) or not name.islower():
            return value
        heartbeat, phase = self._heartbeat, self._phase_of(name)

        def call(*args: Any, **options: Any) -> Any:
            with heartbeat.during(phase):
                return value(*args, **options)

        setattr(self, name, call)  # the next look-up finds it at once
        return call

    def _phase_of(self, function: str) -> Phase:
        if function == "order_send":
            return Phase.SENDING
        if function in CONNECTING_CALLS:
            return Phase.CONNECTING
        return Phase.FETCHING if self._own or function.startswith(FETCHING_CALLS) else Phase.READING
