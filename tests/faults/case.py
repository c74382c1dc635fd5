"""A case: a world, a schedule of faults, and the seed that chance is made of. The same case is the same run, to the last row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal.faults import KINDS as TERMINAL_KINDS
from Backtest.simulated_terminal.faults import Planned, Schedule
from Backtest.simulated_terminal.faults.streams import Stream
from Backtest.simulated_terminal.faults.triggers import from_plain
from tests.faults.kinds import HARNESS_KINDS, OPENERS, Kind
from tests.faults.strategies import MENUS, WRONG
from tests.faults.tapes import CALENDARS

LONGEST_DELAY = 300.0  # seconds, of what arrives or is shown late: the calm at the end is longer
DENSITIES = (0.03, 0.08, 0.15, 0.3)
NOT_DRAWN = frozenset({"margin_mode", "investor"})  # from the first call on they keep a trader from starting at all
TRADED = frozenset({"hedging", "netting"})


@dataclass(frozen=True, slots=True)
class World:
    """What is there before anything goes wrong: prices, account, symbol, strategy, limits."""

    calendar: str = "plain"
    walk: int = 0
    bars: int = 14  # on which things go wrong
    calm: int = 7  # bars after that, on which nothing does
    spread: int = 10  # points
    netting: bool = False
    execution: int = 2  # 0 request, 1 instant, 2 market, 3 exchange
    filling: int = 3  # bits: 1 FOK, 2 IOC
    stops_level: int = 0
    freeze_level: int = 0
    comment_length: int = 31
    leverage: int = 100
    drift: int = 0
    lots_per_tick: float = 0.0  # 0: any
    commission: bool = False
    menu: str = "mixed"
    levels: bool = True
    both_sides: bool = False
    limits: str = "wide"
    action: str = "halt"


@dataclass(frozen=True, slots=True)
class Event:
    """One fault of a schedule: when it begins, which one, and its parameters."""

    when: Mapping[str, Any]
    fault: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.fault}({told}) when {dict(self.when)}"


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the harness."""

    seed: int = 0
    world: World = field(default_factory=World)
    plan: tuple[Event, ...] = ()

    def with_plan(self, plan: Sequence[Event]) -> "Case":
        """The same world with other faults."""
        return replace(self, plan=tuple(plan))

    @property
    def terminal(self) -> Schedule:
        """The faults of the terminal."""
        mine = (event for event in self.plan if event.fault in TERMINAL_KINDS)
        return Schedule(tuple(Planned(from_plain(event.when), event.fault, event.params) for event in mine), self.seed)

    @property
    def others(self) -> tuple[Event, ...]:
        """The faults that the harness itself makes."""
        return tuple(event for event in self.plan if event.fault in HARNESS_KINDS)

    def to_json(self) -> str:
        """The case as text, one fault a line."""
        plan = ",\n    ".join(
            json.dumps({"when": dict(event.when), "fault": event.fault, "params": dict(event.params)}) for event in self.plan
        )
        return f'{{\n  "seed": {self.seed},\n  "world": {json.dumps(asdict(self.world))},\n  "plan": [\n    {plan}\n  ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """The case that `to_json` made this text of."""
        plain = json.loads(text)
        return cls(plain["seed"], World(**plain["world"]), tuple(Event(**event) for event in plain["plan"]))

    @classmethod
    def from_file(cls, path: Path) -> "Case":
        """The case in a file."""
        return cls.from_json(path.read_text(encoding="utf-8"))

    @classmethod
    def from_seed(cls, seed: int) -> "Case":
        """What a seed has in store: a world, a random part of all kinds of faults, each at a random rate."""
        world = drawn_world(seed)
        density = Stream(seed, "density").choice(DENSITIES)
        drawn = [_terminal_fault(seed, name, density) for name in TERMINAL_KINDS if name not in NOT_DRAWN]
        drawn += [event for name, kind in HARNESS_KINDS.items() for event in _harness_faults(seed, name, kind, density)]
        return cls(seed, world, tuple(event for event in drawn if event is not None))


def drawn_world(seed: int) -> World:
    """The world of a seed."""

    def choice(name: str, *among: Any) -> Any:
        return Stream(seed, f"world/{name}").choice(among)

    netting = choice("netting", False, False, True)
    return World(
        calendar=choice("calendar", *sorted(CALENDARS), "plain", "wild"),
        walk=choice("walk", *range(8)),
        spread=choice("spread", 10, 2, 25),
        netting=netting,
        execution=choice("execution", 2, 2, 1, 0, 3),
        filling=choice("filling", 3, 1, 2),
        stops_level=choice("stops_level", 0, 0, 20),
        freeze_level=choice("freeze_level", 0, 0, 0, 60),
        comment_length=choice("comment_length", 31, 16),
        leverage=choice("leverage", 100, 30, 500),
        drift=choice("drift", 0, 0, 8),
        lots_per_tick=choice("lots_per_tick", 0.0, 0.0, 0.0, 0.02),
        commission=choice("commission", False, True),
        menu=choice("menu", *sorted(MENUS), "mixed"),
        levels=choice("levels", True, not netting),
        both_sides=choice("both_sides", False, not netting),
        limits=choice("limits", "wide", "wide", "tight"),
        action=choice("action", "halt", "halt", "flatten"),
    )


def _terminal_fault(seed: int, name: str, density: float) -> Event | None:
    """As the terminal's own schedules draw it, with delays that end before the calm does."""
    kind = TERMINAL_KINDS[name]
    stream = Stream(seed, f"{name}/plan")
    if not stream.chance(density * kind.odds):
        return None
    params = {each: stream.choice(choices) for each, choices in kind.params.items()}
    if "seconds" in params:
        params["seconds"] = min(params["seconds"], LONGEST_DELAY)
    if kind.rate is None:
        return Event({"at": 0.0}, name, params)
    if len(kind.on) == 1 and stream.chance(0.4):
        return Event({"call": next(iter(kind.on)), "number": 1 + int(stream.uniform() * 12)}, name, params)
    least, most = kind.rate
    return Event({"chance": float(f"{least * (most / least) ** stream.uniform():.3g}")}, name, params)


def _harness_faults(seed: int, name: str, kind: Kind, density: float) -> list[Event]:
    stream = Stream(seed, f"{name}/plan")
    if not stream.chance(min(1.0, density * kind.odds)):
        return []
    return [_harness_fault(name, kind, stream) for _ in range(1 + int(stream.uniform() * kind.most))]


def _harness_fault(name: str, kind: Kind, stream: Stream) -> Event:
    params = {each: stream.choice(choices) for each, choices in kind.params.items()}
    if name == "strategy_fails":
        return Event({"bar": int(stream.uniform() * 14)}, name, {**params, "how": stream.choice(sorted(WRONG))})
    if kind.points and stream.chance(0.6):
        return Event({"point": stream.choice(kind.points), "number": 1 + int(stream.uniform() * 6)}, name, params)
    if stream.chance(0.25):
        return Event({"state": stream.choice(OPENERS)}, name, params)
    if stream.chance(0.3):
        return Event({"at": round(stream.uniform() * 14 * 300, 1)}, name, params)
    least, most = kind.rate
    return Event({"chance": float(f"{least * (most / least) ** stream.uniform():.3g}")}, name, params)
