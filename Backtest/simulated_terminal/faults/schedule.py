"""Which faults, and when: by hand, from JSON or from a seed."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.faults.catalogue import KINDS, kind_of
from Backtest.simulated_terminal.faults.kind import Kind
from Backtest.simulated_terminal.faults.streams import Stream
from Backtest.simulated_terminal.faults.triggers import At, Chance, NthCall, Trigger, from_plain, to_plain

_EARLY_CALLS, _AT_A_CALL = 8, 0.4  # of the faults that are often there, so many begin at one of the first calls
_DENSITIES = (0.05, 0.1, 0.2, 0.4)  # of all kinds, how many a seed has


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a schedule. Raises BadInput for a fault or parameter that does not exist."""

    when: Trigger
    fault: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind_of(self.fault).filled_in(self.fault, self.params)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Faults in any order. `seed` is what chance is made of: the same seed and calls have the same faults."""

    plan: tuple[Planned, ...] = ()
    seed: int = 0

    @classmethod
    def from_seed(cls, seed: int, kinds: Collection[str] = tuple(KINDS)) -> "Schedule":
        """What a seed has in store: a random part of these kinds of faults, each with a random rate.

        Each kind has random numbers of its own: without one, or with one more, the others are what they were.
        """
        density = Stream(seed, "density").choice(_DENSITIES)
        plans = (_drawn(name, kind, Stream(seed, f"{name}/plan"), density) for name, kind in KINDS.items() if name in kinds)
        return cls(tuple(plan for plan in plans if plan is not None), seed)

    @classmethod
    def from_json(cls, text: str) -> "Schedule":
        """The schedule that `to_json` made this text of. Raises BadInput for anything else."""
        try:
            plain = json.loads(text)
            plan = tuple(Planned(from_plain(each["when"]), each["fault"], each["params"]) for each in plain["plan"])
            return cls(plan, plain["seed"])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise BadInput(f"this is no schedule of faults: {type(error).__name__}: {error}") from error

    def to_json(self) -> str:
        """The schedule as text."""
        plan = [{"when": to_plain(each.when), "fault": each.fault, "params": dict(each.params)} for each in self.plan]
        return json.dumps({"seed": self.seed, "plan": plan})


def _drawn(name: str, kind: Kind, stream: Stream, density: float) -> Planned | None:
    if not stream.chance(density * kind.odds):
        return None
    params = {each: stream.choice(choices) for each, choices in kind.params.items()}
    return Planned(_begins(kind, stream), name, params)


def _begins(kind: Kind, stream: Stream) -> Trigger:
    if kind.rate is None:
        return At(0.0)
    if len(kind.on) == 1 and stream.chance(_AT_A_CALL):
        return NthCall(next(iter(kind.on)), 1 + int(stream.uniform() * _EARLY_CALLS))
    least, most = kind.rate
    return Chance(float(f"{least * (most / least) ** stream.uniform():.3g}"))
