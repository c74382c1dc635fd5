"""`python -m Live alerts`: try every channel, and show what was told to whom."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from Live.alert_kinds import Alert, Level, Type
from Live.alerts.channels import Channel, channels_of
from Live.alerts.letters import Letter, letter_of
from Live.alerts.waiting import Message, Queued
from Live.alerts.web import NotSent, Refused, Web
from Live.audit_logger.outbox import deliveries_of
from Live.audit_logger.told import AlertReader
from Live.clock import SystemClock
from Live.config import LiveConfig
from Live.errors import Misconfigured
from Live.redaction import redacted

CHECK_FAILED = 6


def try_channels(config: LiveConfig) -> int:
    """Send one alert through each channel that is set up, and say how it went; 6 when one did not work."""
    web = Web(config.alert_private_hosts)
    channels = [channel for channel, _ in channels_of(config, web)]
    if not channels and not config.heartbeat_url:
        raise Misconfigured("no channel is set up: see docs/alerts.md, or python -m Live secrets list")
    now = SystemClock().now()
    alert = Alert(Type.SYSTEM, Level.INFO, "TEST", "This is a test: alerts arrive here.")
    letter = letter_of(Message((Queued(0, now, now.isoformat(), alert),)), "AlgoAgent Live", now)
    answers = [(channel.name, _tried(channel, letter)) for channel in channels]
    if config.heartbeat_url:
        answers.append(("heartbeat", _asked(web, config)))
    for name, problem in answers:
        _say(f"{'FAIL' if problem else 'OK':5} {name}{': ' + redacted(problem, config.secrets()) if problem else ''}")
    if not config.enable_alerts:
        _say("ENABLE_ALERTS=false: a trader tells nobody until it is true")
    return CHECK_FAILED if any(problem for _, problem in answers) else 0


def _tried(channel: Channel, letter: Letter) -> str:
    try:
        channel.send(letter)
    except (NotSent, Refused) as error:
        return str(error)
    return ""


def _asked(web: Web, config: LiveConfig) -> str:
    try:
        answer = web.send(config.heartbeat_url.reveal())
    except (NotSent, Refused) as error:
        return str(error)
    return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"


def list_alerts(config: LiveConfig, count: int, *, as_json: bool) -> int:
    """The newest alerts, and what became of each on each channel."""
    with AlertReader(config.audit_db_path) as reader:
        rows = reader.recent_alerts(count)[::-1]
    found = deliveries_of(config.audit_db_path, min((int(str(row["id"])) for row in rows), default=0))
    told = [{**row, "deliveries": [each for each in found if _same(each, row)]} for row in rows]
    if as_json:
        _say(json.dumps([{**row, "details": json.loads(str(row["details"]))} for row in told]))
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("Time", "Level", "Type", "What", "Delivered"):
        table.add_column(name, overflow="fold")
    for row in told:
        outcomes = "\n".join(_outcomes(row)) or "–"
        table.add_row(str(row["queued_at"])[:19].replace("T", " "), str(row["level"]), str(row["type"]), str(row["message"]), outcomes)
    Console(highlight=False, markup=False).print(table)
    return 0


def _same(delivery: dict[str, Any], row: dict[str, Any]) -> bool:
    return bool(delivery["alert_id"] == row["id"] and delivery["queued_at"] == row["queued_at"])


def _outcomes(row: dict[str, Any]) -> Iterator[str]:
    for each in row["deliveries"]:
        yield f"{each['channel']}: {str(each['outcome']).lower().replace('_', ' ')}" + (f" ({each['detail']})" if each["detail"] else "")


def _say(text: str) -> None:
    Console(highlight=False, markup=False, soft_wrap=True).out(text, highlight=False)
