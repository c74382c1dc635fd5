"""The words of a message (pure), and its form for each kind of receiver: plain text, which no receiver takes for markup."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from Live.alert_kinds import Level
from Live.alerts.waiting import Message, Queued, counted

LATE = timedelta(seconds=60)
LONGEST = 3500  # characters of a text; Telegram takes 4096, and markup that is escaped grows
SHOWN_IN_DIGEST = 10
SIGNS = {Level.INFO: "ℹ️", Level.WARNING: "⚠️", Level.ERROR: "❌", Level.CRITICAL: "🛑"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in words, for any channel."""

    title: str  # one line
    text: str
    level: Level
    facts: Mapping[str, Any]  # for programs
    picture: bytes | None = None  # PNG

    @property
    def whole(self) -> str:
        """Title and text."""
        return f"{SIGNS[self.level]} {self.title}\n{self.text}"


def letter_of(message: Message, sender: str, now: datetime, picture: bytes | None = None) -> Letter:
    """What a message says at this moment; `sender` names the trader."""
    first, newest = message.alerts[0], message.alerts[-1]
    text = _digest(message) if message.digest else flat(newest.alert.text)
    times = "" if message.digest or len(message.alerts) == 1 else f" ×{len(message.alerts)} in {lasting(newest.at - first.at)}"
    late = f" (late: {lasting(now - first.at)})" if now - first.at > LATE and len(message.alerts) == 1 else ""
    lost = f"\n({message.lost} alerts before this one were given up: python -m Live alerts list)" if message.lost else ""
    what = "alerts" if message.digest else newest.alert.type.value
    title = flat(f"{message.level.name} {sender}: {what}{times}{late}")
    return Letter(title, cut(text) + lost, message.level, _facts(message, now), picture)


def _digest(message: Message) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in counted(message.alerts))
    shown = "\n".join(flat(queued.alert.text) for queued in message.alerts[-SHOWN_IN_DIGEST:])
    return f"{len(message.alerts)} alerts at once ({kinds}); the newest:\n{shown}"


def _facts(message: Message, now: datetime) -> dict[str, Any]:
    newest: Queued = message.alerts[-1]
    alert = newest.alert
    named = {"type": alert.type.value, "level": message.level.name, "kind": alert.kind, "symbol": alert.symbol, "message": alert.text}
    times = {"timestamp": newest.happened, "queued_at": newest.at.isoformat(), "late_seconds": round((now - newest.at).total_seconds(), 1)}
    whole = {"id": newest.id, "run_id": newest.run_id, "count": len(message.alerts), "given_up_before": message.lost}
    return {"source": "AlgoAgent Live", **named, **times, **whole, "details": dict(alert.facts)}


def flat(text: str) -> str:
    """One line: what brokers and strategies wrote cannot look like a line of its own."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def cut(text: str, longest: int = LONGEST) -> str:
    """Not longer than a receiver takes."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def lasting(time: timedelta) -> str:
    """A duration as people say it.

    >>> lasting(timedelta(minutes=12, seconds=20)), lasting(timedelta(hours=30)), lasting(timedelta(seconds=5))
    ('12 min', '30 h', '5 s')
    """
    seconds = max(0, round(time.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def for_slack(letter: Letter) -> dict[str, Any]:
    """Source: docs.slack.dev/messaging/formatting-message-text: these three signs begin everything that is not plain."""
    text = letter.whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": cut(text, 4000), "mrkdwn": False, "link_names": False, "unfurl_links": False}


def for_discord(letter: Letter) -> dict[str, Any]:
    """Source: docs.discord.com/developers/resources/webhook: 2000 characters, and nobody is mentioned."""
    text = re.sub(r"([\\*_~`|>#\[\]()<@:-])", r"\\\1", letter.whole)
    return {"content": cut(text, 2000), "allowed_mentions": {"parse": []}, "flags": 4}  # 4: no previews of links


def for_programs(letter: Letter) -> dict[str, Any]:
    """The facts, and the words."""
    return {**letter.facts, "title": letter.title, "text": letter.text}
