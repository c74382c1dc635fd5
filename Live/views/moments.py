"""What `--since` may say (pure)."""

import re
from datetime import UTC, datetime, timedelta

from Live.errors import Misconfigured

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WANTED = "want 90m, 2h, 3d or 1w, today, or a date or time (UTC) such as 2026-01-31 or '2026-01-31 14:00'"


def moment_of(text: str, now: datetime) -> datetime:
    """The moment that a text names, UTC. Raises Misconfigured for a text that names none.

    >>> now = datetime(2026, 1, 31, 14, 30, tzinfo=UTC)
    >>> [str(moment_of(text, now))[:16] for text in ("90m", "today", "2026-01-30 08:00")]
    ['2026-01-31 13:00', '2026-01-31 00:00', '2026-01-30 08:00']
    """
    if (span := re.fullmatch(r"(\d{1,6})([smhdw])", text.strip().lower())) is not None:
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    if text.strip().lower() == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Misconfigured(f"--since is '{text}'; {_WANTED}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
