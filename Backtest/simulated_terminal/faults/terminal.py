"""A terminal whose answers go wrong, by plan: a wrapper around any terminal."""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.clock import MarketEnded
from Backtest.simulated_terminal.faults.calls import FUNCTIONS, LISTS, TOTALS, Call, Error, Reply, wants
from Backtest.simulated_terminal.faults.catalogue import KINDS
from Backtest.simulated_terminal.faults.firing import FaultLog, Firing
from Backtest.simulated_terminal.faults.kind import Kind
from Backtest.simulated_terminal.faults.schedule import Planned, Schedule
from Backtest.simulated_terminal.faults.streams import Stream
from Backtest.simulated_terminal.faults.triggers import At, Chance, NthCall, When
from Backtest.simulated_terminal.faults.truth import Truth

_ACCEPTED = frozenset({10008, 10009, 10010})
_PLACES = {name: (kind.layer, place) for place, (name, kind) in enumerate(KINDS.items())}


@dataclass(slots=True)
class Seen:
    """What the wrapper has seen so far; `PREDICATES` are about it."""

    calls: Counter[str] = field(default_factory=Counter)  # by function
    accepted: int = 0  # order_send
    refused: int = 0
    unanswered: int = 0
    on_the_way: int = 0  # requests that have not arrived yet


PREDICATES: dict[str, Callable[[Seen], bool]] = {
    "an order was sent": lambda seen: seen.calls["order_send"] > 0,
    "an order was accepted": lambda seen: seen.accepted > 0,
    "an order was refused": lambda seen: seen.refused > 0,
    "an order was not answered": lambda seen: seen.unanswered > 0,
    "an order is on its way": lambda seen: seen.on_the_way > 0,
}


@dataclass(slots=True, eq=False)
class _Watch:
    """One planned fault, and whether it is at work."""

    planned: Planned
    kind: Kind
    stream: Stream
    firing: Firing | None = None
    spent: bool = False


class FaultyTerminal:
    """`inner`, with the faults of a schedule: the same functions, constants and attributes.

    `inner` is anything with the functions of the `MetaTrader5` package; it is the broker's truth, and used through these
    functions only. `clock` is anything with `now()` (aware); without one it is `inner.clock`. `hang(seconds)` lets time
    pass inside a call; without one it is the clock's `sleep`. `predicates` are more names that a schedule may wait for.
    `log` tells what was injected. Raises BadInput for a schedule with a name that nobody knows, or without any clock.
    """

    def __init__(
        self,
        inner: Any,
        schedule: Schedule,
        clock: Any = None,
        *,
        hang: Callable[[float], None] | None = None,
        predicates: Mapping[str, Callable[[], bool]] | None = None,
    ) -> None:
        clock = clock or getattr(inner, "clock", None)
        if clock is None:
            raise BadInput("faults need a clock: this terminal has none of its own")
        self.inner, self.schedule, self.log, self.seen = inner, schedule, FaultLog(), Seen()
        self._truth = Truth(inner, clock, hang or functools.partial(_sleep, clock))
        self._predicates = {name: functools.partial(about, self.seen) for name, about in PREDICATES.items()} | dict(predicates or {})
        self._watches = _watches(schedule, self._predicates)
        self._error: Error | None = None
        for name in FUNCTIONS:
            vars(self)[name] = functools.partial(self._call, name)

    @classmethod
    def from_seed(cls, inner: Any, seed: int, clock: Any = None) -> "FaultyTerminal":
        """A terminal with the faults that a seed has in store."""
        return cls(inner, Schedule.from_seed(seed), clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def last_error(self) -> Error:
        """last_error()

        The code and text of the last call, as it was answered.
        """
        return self._error or self.inner.last_error()

    def catch_up(self) -> None:
        """Let arrive at the server what is due by now. Calls do that, too."""
        self._truth.catch_up()
        self.seen.on_the_way = self._truth.waiting

    def cease(self, keep: Collection[str] = ()) -> None:
        """From now on nothing goes wrong but the faults named in `keep`; what is on its way arrives with the next call."""
        self._watches = [watch for watch in self._watches if watch.planned.fault in keep]
        self._truth.hurry()

    # -- a call

    def _call(self, function: str, /, *args: Any, **options: Any) -> Any:
        self._error = None
        self.catch_up()
        self.seen.calls[function] += 1
        call = Call(function, args, options, self.seen.calls[function], self._truth.now)
        active = self._active(call)
        if not active and not self._truth.touched:
            value = getattr(self.inner, function)(*args, **options)
        else:
            reply = self._answered(call, active)
            value, self._error = reply.value, reply.error
        if function == "order_send":
            self._count(value)
        return value

    def _active(self, call: Call) -> list[_Watch]:
        """The faults at work, those that a call meets first in front."""
        for watch in self._watches:
            if watch.firing is not None and watch.firing.ended_at(call.at):
                watch.firing = None
            if self._begins(watch, call) and watch.firing is None:
                watch.firing = self._fired(watch)
        at_work = [watch for watch in self._watches if watch.firing is not None]
        return sorted(at_work, key=lambda watch: _PLACES[watch.planned.fault])

    def _begins(self, watch: _Watch, call: Call) -> bool:
        match watch.planned.when:
            case Chance() as trigger:
                # drawn also while it is at work: what it does must not move what comes later
                return call.function in watch.kind.on and trigger.covers(call.at) and watch.stream.chance(trigger.chance)
            case _ if watch.spent:
                return False
            case NthCall(function, number):
                watch.spent = (call.function, call.number) == (function, number)
            case At(at):
                watch.spent = call.at >= at
            case When(name):
                watch.spent = self._predicates[name]()
        return watch.spent

    def _fired(self, watch: _Watch) -> Firing:
        params = watch.kind.filled_in(watch.planned.fault, watch.planned.params)
        now = self._truth.now
        until = None if params["lasts"] is None else now + params["lasts"]
        return Firing(watch.planned.fault, params, self._truth, self.log, since=now, left=params["times"], until=until)

    def _answered(self, call: Call, active: list[_Watch]) -> Reply:
        """The call's way through the faults, from the outermost to the terminal, and the answer's way back."""
        concerned = [watch for watch in active if call.function in watch.kind.on | watch.kind.also]

        def down(call: Call, left: list[_Watch]) -> Reply:
            if not left:
                return self._shown(call, active)
            watch, *rest = left
            assert watch.firing is not None
            return watch.kind.act(call, lambda changed: down(changed, rest), watch.firing)

        return down(call, concerned)

    # -- lists

    def _shown(self, call: Call, active: list[_Watch]) -> Reply:
        """The terminal's answer; a list as the faults let it be seen."""
        name = TOTALS.get(call.function, call.function)
        views = [watch for watch in reversed(active) if watch.kind.view is not None and name in watch.kind.lists]
        if name not in LISTS or not (views or self._truth.touched):
            return self._truth.pass_on(call)
        reply = self._listed(replace(call, function=name), sorted(views, key=lambda watch: not watch.kind.anew))
        if name == call.function or reply.value is None:
            return reply
        return Reply(len(reply.value), reply.error)

    def _listed(self, call: Call, views: list[_Watch]) -> Reply:
        reply, raw = self._truth.pass_on(call), self._truth.raw(call.function)
        if reply.value is None or raw is None:
            return reply
        rows = self._truth.rows(call.function) or []
        for watch in views:
            assert watch.kind.view is not None
            assert watch.firing is not None
            rows = watch.kind.view(call, rows, watch.firing)
        # the terminal knows best which of its own rows were asked for
        known, chosen = {row.ticket for row in raw}, {row.ticket for row in reply.value}
        return Reply(tuple(row for row in rows if (row.ticket in chosen if row.ticket in known else wants(call, row))), reply.error)

    def _count(self, value: Any) -> None:
        self.seen.on_the_way = self._truth.waiting
        retcode = getattr(value, "retcode", None)
        self.seen.unanswered += value is None
        self.seen.accepted += retcode in _ACCEPTED
        self.seen.refused += value is not None and retcode not in _ACCEPTED


def _sleep(clock: Any, seconds: float) -> None:
    # where prices end, time does: no function of a terminal says so, the next sleep of the program itself does
    with contextlib.suppress(MarketEnded):
        clock.sleep(seconds)


def _watches(schedule: Schedule, predicates: Mapping[str, Any]) -> list[_Watch]:
    made, ordinals = [], Counter[str]()
    for planned in schedule.plan:
        if isinstance(planned.when, When) and planned.when.when not in predicates:
            raise BadInput(f"a fault waits for {planned.when.when!r}, which nobody knows; known are {', '.join(predicates)}")
        ordinals[planned.fault] += 1
        stream = Stream(schedule.seed, f"{planned.fault}/{ordinals[planned.fault]}")
        made.append(_Watch(planned, KINDS[planned.fault], stream))
    return made
