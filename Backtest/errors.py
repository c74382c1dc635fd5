"""What a user of `Backtest` can get wrong."""

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


class BadInput(ValueError):
    """A strategy file, price file or argument that cannot be used. `mistakes` holds one sentence each."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Mistakes(list[str]):
    """The sentences of all that is wrong, so that they can be told together: `raise BadInput(*mistakes)`."""

    def tried(self, step: Callable[..., _T], *given: Any) -> _T | None:
        """What the step answers; None where it raises BadInput, whose sentences are kept."""
        try:
            return step(*given)
        except BadInput as fault:
            self.extend(fault.mistakes)
        return None
