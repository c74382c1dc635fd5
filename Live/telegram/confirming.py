"""What must be confirmed before it is done (pure): each question has a number, belongs to who was asked, and holds for a minute."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

VALID = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody asked for something that changes what the trader does."""

    command: str
    user: int
    asked_at: datetime


@dataclass(slots=True)
class Questions:
    """Those that are open."""

    _open: dict[str, Question] = field(default_factory=dict)

    def ask(self, number: int, question: Question) -> str:
        """The code that confirms it; another question of the same person is withdrawn."""
        self._open = {code: other for code, other in self._open.items() if other.user != question.user}
        code = str(number % 1_000_000)
        self._open[code] = question
        return code

    def confirm(self, code: str, user: int, now: datetime) -> Question | None:
        """The question, once; None when there is none, it is another's, or too old."""
        question = self._open.get(code)
        if question is None or question.user != user:
            return None
        del self._open[code]
        return question if timedelta(0) <= now - question.asked_at <= VALID else None

    def withdraw(self, code: str, user: int) -> None:
        """It is not to be done."""
        if (question := self._open.get(code)) is not None and question.user == user:
            del self._open[code]
