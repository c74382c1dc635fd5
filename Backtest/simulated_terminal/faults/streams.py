"""Random numbers that belong to a name (pure): one more name does not change what the others draw."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
_BYTES = 7  # 56 bits: more than a float can tell apart


class Stream:
    """The numbers that a seed has for a name; the same in every process and version of Python."""

    def __init__(self, seed: int, name: str) -> None:
        self._key, self._drawn = f"{seed}|{name}", 0

    def uniform(self) -> float:
        """The next number, at least 0 and below 1.

        >>> [round(Stream(7, "answer_lost").uniform(), 3), round(Stream(7, "requote").uniform(), 3)]
        [0.58, 0.792]
        """
        self._drawn += 1
        drawn = hashlib.blake2b(f"{self._key}|{self._drawn}".encode(), digest_size=_BYTES).digest()
        return (int.from_bytes(drawn, "big") >> 3) / 2.0**53

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return self.uniform() < probability

    def choice(self, among: Sequence[Item]) -> Item:
        """One of several, each as likely."""
        return among[int(self.uniform() * len(among))]
