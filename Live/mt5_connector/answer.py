"""What a terminal answers to a request."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from `order_send` or `order_check`: the result, or None with the error that was set."""

    result: Any | None
    error: tuple[int, str]

    @property
    def retcode(self) -> int | None:
        """The server's answer; None where there was none."""
        return getattr(self.result, "retcode", None)

    def field(self, name: str) -> Any:
        """A field of the result; None where it is missing, empty or 0."""
        return getattr(self.result, name, None) or None
