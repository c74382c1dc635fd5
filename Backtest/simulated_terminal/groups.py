"""Group masks: which symbols `*USD*,!EURUSD` means (pure). Source: the filter in MetaTrader5 5.0.6231's core."""

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=64)
def mask(group: str) -> Callable[[str], bool]:
    """Whether a name belongs to the group: it fits one item, and none of those that begin with `!`.

    Items stand for whole names, letter case counts, `*` is any run of characters. An empty group has no members.

    >>> in_group = mask("*USD*,!EUR*")
    >>> [name for name in ("EURUSD", "GBPUSD", "EURJPY") if in_group(name)]
    ['GBPUSD']
    """
    items = [item.strip(" ") for item in group.split(",")]
    wanted = _patterns([item for item in items if item and not item.startswith("!")])
    unwanted = _patterns([item[1:] for item in items if item.startswith("!")])

    def belongs(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in wanted) and not any(pattern.fullmatch(name) for pattern in unwanted)

    return belongs


def _patterns(items: list[str]) -> list[re.Pattern[str]]:
    # a run of stars is one star: else a mask of hundreds of them would keep the matcher busy for years
    parts = (re.split(r"\*+", item) for item in items)
    return [re.compile(".*".join(map(re.escape, each)), re.DOTALL) for each in parts]
