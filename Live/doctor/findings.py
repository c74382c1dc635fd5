"""What the doctor finds (pure)."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Grade(enum.Enum):
    """How well it is; the words also read without colours."""

    OK = "OK"
    WARN = "WARN"  # it works, and a person should know
    FAIL = "FAIL"  # a start would be refused, or would not trade


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it where it is not well."""

    topic: str
    grade: Grade
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if (self.grade is Grade.OK) == bool(self.remedy):
            raise ValueError(f"{self.topic}: a finding has a remedy exactly when it is not well, this one is {self}")


def ok(topic: str, text: str) -> Finding:
    """All is well."""
    return Finding(topic, Grade.OK, text)


def warn(topic: str, text: str, remedy: str) -> Finding:
    """It works, and a person should know."""
    return Finding(topic, Grade.WARN, text, remedy)


def fail(topic: str, text: str, remedy: str) -> Finding:
    """A start would be refused, or would not trade."""
    return Finding(topic, Grade.FAIL, text, remedy)


def worst(findings: Iterable[Finding]) -> Grade:
    """The worst grade among them; OK where there are none.

    >>> worst([ok("a", "well"), warn("b", "old", "update it")])
    <Grade.WARN: 'WARN'>
    """
    order = list(Grade)
    return max((finding.grade for finding in findings), key=order.index, default=Grade.OK)
