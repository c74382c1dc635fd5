"""What a kind of fault is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.faults.calls import LISTS
from Backtest.simulated_terminal.faults.firing import Act, View

OUTERMOST, WAY, ACCOUNT, SERVER = range(4)  # which fault a call meets first
# What a seed makes of it: how likely it begins at one call that it is about, from and to. A trait is there from the start.
OFTEN, SELDOM, RARELY, TRAIT = (0.02, 0.4), (2e-4, 2e-2), (1e-4, 3e-3), None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `params` names what each parameter may be: a seed chooses, and the first is the default.

    Two parameters are there for all: `times`, how many answers it changes, and `lasts`, how many seconds it is at work;
    None: without limit.
    """

    number: str
    sentence: str
    act: Act
    on: frozenset[str]  # functions at which it begins by chance
    given: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    rate: tuple[float, float] | None = OFTEN
    also: frozenset[str] = frozenset()  # functions that it changes, too
    view: View | None = None  # of the lists' rows
    lists: frozenset[str] = LISTS
    anew: bool = False  # its view does not start from what the other views show
    layer: int = SERVER
    odds: float = 1.0  # that a seed has it, against the others

    @property
    def params(self) -> Mapping[str, tuple[Any, ...]]:
        """The parameters, and what each may be."""
        return {"times": (1,), "lasts": (None,), **self.given}

    def filled_in(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """These parameters and the defaults of the others. Raises BadInput for one that the fault does not have."""
        if unknown := sorted(params.keys() - self.params.keys()):
            raise BadInput(f"the fault {name} has no parameter {', '.join(unknown)}; it has {', '.join(self.params)}")
        return {each: choices[0] for each, choices in self.params.items()} | dict(params)
