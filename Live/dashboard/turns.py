"""Many ask at once, few are answered at a time: a crowd of readers makes no more work than a few, and none is cut off for the others."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from werkzeug.exceptions import HTTPException

from Live.errors import LiveError

T = TypeVar("T")

AT_ONCE = 3  # more would only take the interpreter from one another, until a question's second is over before its answer is there


@dataclass(slots=True)
class _Line:
    """Those who ask one question. `coming` is the answer that has not been begun: everybody who asks now gets that one."""

    busy: threading.Lock = field(default_factory=threading.Lock)
    people: int = 0
    coming: "Future[object] | None" = None


class Turns:
    """Lets in so many at a time, and answers equal questions that wait once for all of them.

    Whoever asks gets what was true at that moment or later, never an answer that was begun before.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def alone(self, make: Callable[[], T]) -> T:
        """What `make` gives, as soon as there is a place."""
        with self._places:
            return make()

    def shared(self, question: Hashable, make: Callable[[], T]) -> T:
        """The same; who asks the same question before `make` begins gets the same answer, or the same exception."""
        with self._lock:
            line = self._lines.setdefault(question, _Line())
            line.people += 1
            answer, leads = line.coming or Future(), line.coming is None
            line.coming = answer
        try:
            if leads:
                self._make(line, answer, make)
            return answer.result()  # type: ignore[return-value]  # equal questions have answers of one kind
        finally:
            with self._lock:
                line.people -= 1
                if not line.people:
                    del self._lines[question]

    def _make(self, line: _Line, answer: "Future[object]", make: Callable[[], object]) -> None:
        with line.busy, self._places:
            with self._lock:
                line.coming = None
            try:
                answer.set_result(make())
            except (LiveError, HTTPException) as problem:
                answer.set_exception(problem)
            finally:
                answer.cancel()  # nothing where it is there; else nobody waits for what has failed in another way
