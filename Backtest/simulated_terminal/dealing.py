"""How the server deals (pure): how far prices move before a request is executed, and how much can be had at once."""

import hashlib
import math
from dataclasses import dataclass

from Backtest.errors import BadInput


@dataclass(frozen=True, slots=True)
class Dealing:
    """The prices move by up to `drift_points` either way between a request and its execution, never out of the bar that
    plays; `lots_per_tick` can be bought or sold at one tick, of all orders together.

    The same seed deals in the same way. Raises BadInput for a drift below 0, and for lots that are not above 0.
    """

    seed: int = 0
    drift_points: int = 0
    lots_per_tick: float = math.inf

    def __post_init__(self) -> None:
        if self.drift_points < 0 or not self.lots_per_tick > 0:
            raise BadInput(f"dealing wants drift_points >= 0 and lots_per_tick > 0, has {self.drift_points} and {self.lots_per_tick}")

    def drift(self, request: int) -> int:
        """Points by which the price moves before the request with this number is executed.

        >>> {Dealing(seed=7, drift_points=2).drift(number) for number in range(100)} == {-2, -1, 0, 1, 2}
        True
        """
        if not self.drift_points:
            return 0
        chance = hashlib.blake2b(f"{self.seed}|{request}".encode(), digest_size=8).digest()
        return int.from_bytes(chance, "big") % (2 * self.drift_points + 1) - self.drift_points


PLAIN = Dealing()  # what is asked for is done, at the price that was shown
