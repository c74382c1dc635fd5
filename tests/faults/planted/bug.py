"""What a planted bug is."""

from dataclasses import dataclass

from tests.faults.planted.patching import Patch


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake that somebody could make in the product."""

    name: str
    sentence: str  # what the trader does then
    patches: tuple[Patch, ...]
    on_disk: bool = False  # it is looked for by power cuts
