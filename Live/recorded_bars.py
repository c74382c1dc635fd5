"""What a strategy saw, out of the rows of the record (pure)."""

from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


def warm_up_bars(warm_up: Row, history: Iterable[Row], bars: Iterable[Row]) -> list[Row]:
    """The bars that a run's strategy was warmed up with, as they were then, oldest first."""
    if warm_up["first_epoch"] is None:
        return []
    then = {row["bar_epoch"]: row for row in bars}
    then |= {row["bar_epoch"]: row for row in history if row["id"] <= warm_up["history_id"]}
    return [then[epoch] for epoch in sorted(then) if warm_up["first_epoch"] <= epoch <= warm_up["last_epoch"]]
