"""What people were told: the newest alerts, and what became of each on each channel."""

from pathlib import Path
from typing import Any

from Live.audit_logger.outbox import channels_of, deliveries_of
from Live.audit_logger.reader import Row
from Live.audit_logger.told import AlertReader
from Live.clock import Clock

SHOWN = 50
WAITING = "WAITING"


def alerts(db_path: Path, clock: Clock) -> dict[str, Any]:
    """`/api/v1/alerts`: `alerts`, the newest 50, newest first, each with its `deliveries`, and `channels`.

    A delivery has `channel`, `outcome` (SENT, FOLDED into another message, DROPPED, EXPIRED, GIVEN_UP, WAITING), `at` and
    `detail`; an alert that a channel does not want has none there. A channel has `failures` in a row, the `problem` of the
    last attempt, and of these alerts how many were `delivered`, are `waiting` and were `lost`.
    """
    with AlertReader(db_path, clock) as reader:
        rows, identity = reader.recent_alerts(SHOWN), reader.identity()
    channels = [channel for channel in channels_of(db_path) if channel["record"] == identity]
    made = deliveries_of(db_path, min((_id(row) for row in rows), default=0)) if channels else []
    told = [{**row, "deliveries": _deliveries(row, channels, made)} for row in rows]
    every = [each for row in told for each in row["deliveries"]]  # type: ignore[attr-defined]  # the list just made
    return {"alerts": told, "channels": [_standing(channel, every) for channel in channels]}


def _deliveries(alert: Row, channels: list[Row], made: list[Row]) -> list[Row]:
    found = [
        {name: each[name] for name in ("channel", "outcome", "at", "detail")}
        for each in made
        if (each["alert_id"], each["queued_at"]) == (alert["id"], alert["queued_at"])
    ]
    settled = {each["channel"] for each in found}
    waiting = [channel for channel in channels if channel["channel"] not in settled and _id(alert) > int(str(channel["alert_id"]))]
    return found + [{"channel": each["channel"], "outcome": WAITING, "at": None, "detail": each["problem"]} for each in waiting]


def _standing(channel: Row, every: list[Row]) -> Row:
    outcomes = [each["outcome"] for each in every if each["channel"] == channel["channel"]]
    counts = {
        "delivered": sum(outcome in ("SENT", "FOLDED") for outcome in outcomes),
        "waiting": outcomes.count(WAITING),
        "lost": sum(outcome in ("DROPPED", "EXPIRED", "GIVEN_UP") for outcome in outcomes),
    }
    return {**{name: channel[name] for name in ("channel", "failures", "problem")}, **counts}


def _id(row: Row) -> int:
    return int(str(row["id"]))
