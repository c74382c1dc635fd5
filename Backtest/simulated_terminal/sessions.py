"""When a symbol is traded (pure): spans of the week on the server's clock."""

import re
from dataclasses import dataclass

from Backtest.errors import BadInput

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_DAY, _WEEK = 86_400, 7 * 86_400
_SUNDAY = 3 * _DAY  # the first Sunday after 1970-01-01, which was a Thursday
_SPAN = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Sessions:
    """The spans of a week in which there is trading, in seconds since Sunday 00:00, ends not included."""

    spans: tuple[tuple[int, int], ...]

    def is_open(self, first: int, end: int | None = None) -> bool:
        """Whether there is trading at a second, or at any second before `end`."""
        since = (first - _SUNDAY) % _WEEK
        until = since + (1 if end is None else end - first)
        return any(begin < until and since < stop for week in (0, _WEEK) for begin, stop in self._in_week(week))

    def next_open(self, second: int) -> int:
        """The first second from this one on at which there is trading; itself where there is never any."""
        since = (second - _SUNDAY) % _WEEK
        return second + min(
            (max(0, begin + week - since) for week in (0, _WEEK) for begin, stop in self.spans if stop + week > since), default=0
        )

    def _in_week(self, shift: int) -> list[tuple[int, int]]:
        return [(begin + shift, end + shift) for begin, end in self.spans]


def sessions(text: str) -> Sessions:
    """The sessions that a text names: days or ranges of days, then their spans. Raises BadInput for another text.

    >>> week = sessions("Mon-Thu 00:05-12:00 13:00-24:00; Fri 00:05-20:00")
    >>> monday = 1_704_067_200
    >>> week.is_open(monday), week.is_open(monday + 300), week.is_open(monday, monday + 3600)
    (False, True, True)
    """
    spans = [span for part in text.split(";") for span in _part(part.split(), text)]
    return Sessions(tuple(sorted(spans)))


def _part(words: list[str], text: str) -> list[tuple[int, int]]:
    days = _days(words[0]) if words else None
    matches = [_SPAN.fullmatch(word) for word in words[1:]]
    if not days or not matches or None in matches:
        raise _unreadable(text)
    found = []
    for match in matches:
        assert match is not None
        hour, minute, last_hour, last_minute = map(int, match.groups())
        begin, end = hour * 3600 + minute * 60, last_hour * 3600 + last_minute * 60
        if not begin < end <= _DAY or max(minute, last_minute) > 59:
            raise _unreadable(text)
        found += [(day * _DAY + begin, day * _DAY + end) for day in days]
    return found


def _days(word: str) -> list[int]:
    first, _, last = word.partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        return []
    return list(range(_DAYS.index(first), _DAYS.index(last or first) + 1))


def _unreadable(text: str) -> BadInput:
    return BadInput(f"sessions {text!r}: want days and spans as in 'Mon-Thu 00:05-23:55; Fri 00:05-20:00 20:30-23:00', from Sun to Sat")
