"""The settings of alerts, and what of them does not fit together."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict

from Live.alert_kinds import Route
from Live.redaction import SHORTEST
from Live.setting_kinds import ANY_TEXT, TRUE_FALSE, Flag, Number, Secret, SecretText, Whole, above_zero, count, lower, refuse, setting

ROUTE = "a level, then TYPE=LEVEL or TYPE=off for types that differ, separated by spaces"
BOT_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{30,}")


def _route(value: object) -> object:
    if not isinstance(value, str):
        refuse()
    try:
        Route.of(value)
    except ValueError:
        refuse()
    return " ".join(value.split())


def _words(value: object) -> object:
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if not isinstance(words, tuple | list) or any(not isinstance(word, str) or re.search(r"\s", word) for word in words):
        refuse()
    return tuple(filter(None, words))


def _users(value: object) -> object:
    words = _words(value) if isinstance(value, str) else value
    if not isinstance(words, tuple | list) or not all(re.fullmatch("[0-9]{1,19}", str(word)) for word in words):
        refuse()
    return tuple(int(word) for word in words)


RouteText = Annotated[str, BeforeValidator(_route)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Users = Annotated[tuple[int, ...], BeforeValidator(_users)]
WORDS = "separated by commas, or empty"


class AlertSettings(BaseModel):
    """The part of the settings that says who is told what, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True)

    enable_alerts: Flag = setting(False, TRUE_FALSE)
    alert_pictures: Flag = setting(True, TRUE_FALSE)
    alert_private_hosts: Words = setting("", f"names or addresses of machines {WORDS}")

    telegram_bot_token: SecretText = setting("", ANY_TEXT)
    telegram_chat_id: SecretText = setting("", ANY_TEXT)
    telegram_alerts: RouteText = setting("INFO signal=off order=WARNING", ROUTE)
    telegram_commands: Flag = setting(False, TRUE_FALSE)
    telegram_users: Users = setting("", f"the numbers of users {WORDS}")
    telegram_api_url: str = setting("https://api.telegram.org", "the address of a Bot API server", pattern=r"^https?://[^/@?#]+$")

    alert_webhook_url: SecretText = setting("", ANY_TEXT)
    alert_webhook_format: Annotated[Literal["auto", "json", "slack", "discord"], BeforeValidator(lower)] = setting(
        "auto", "auto, json, slack or discord"
    )
    alert_webhook_secret: SecretText = setting("", ANY_TEXT)
    webhook_alerts: RouteText = setting("INFO signal=off order=WARNING", ROUTE)

    smtp_host: str = setting("", "the name or address of a machine, or empty")
    smtp_port: Whole = count(587, 1, 65_535)
    smtp_security: Annotated[Literal["starttls", "ssl", "none"], BeforeValidator(lower)] = setting("starttls", "starttls, ssl or none")
    smtp_user: str = setting("", ANY_TEXT)
    smtp_password: SecretText = setting("", ANY_TEXT)
    email_from: str = setting("", "an e-mail address, or empty", pattern=r"^([^\s,<>]+@[^\s,<>]+)?$")
    email_to: Words = setting("", f"e-mail addresses {WORDS}")
    email_alerts: RouteText = setting("WARNING performance=INFO", ROUTE)

    apprise_urls: SecretText = setting("", ANY_TEXT)
    apprise_alerts: RouteText = setting("INFO signal=off order=WARNING", ROUTE)

    heartbeat_url: SecretText = setting("", ANY_TEXT)
    heartbeat_seconds: Number = above_zero(60.0, 86_400, " seconds")


ALERT_SECRETS = tuple(name for name, field in AlertSettings.model_fields.items() if field.annotation is Secret)


def contradictions(config: AlertSettings) -> Iterator[str]:
    """What does not fit together, one sentence each."""
    if config.telegram_commands:
        yield from _commands(config)
    if not config.enable_alerts:
        return
    channels = (config.telegram_bot_token, config.alert_webhook_url, config.smtp_host, config.apprise_urls, config.heartbeat_url)
    if not any(channels):
        names = "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, ALERT_WEBHOOK_URL, SMTP_HOST, APPRISE_URLS or HEARTBEAT_URL"
        yield f"ENABLE_ALERTS=true, and nobody to tell: set {names} (docs/alerts.md)"
    if bool(config.telegram_bot_token) != bool(config.telegram_chat_id):
        missing, there = (
            ("TELEGRAM_CHAT_ID", "TELEGRAM_BOT_TOKEN") if config.telegram_bot_token else ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID")
        )
        yield f"{there} is set and {missing} is empty: Telegram needs both"
    yield from _token(config)
    for name in ("alert_webhook_url", "heartbeat_url"):
        value = getattr(config, name).reveal()
        if value and (fault := url_fault(value, config.alert_private_hosts)):
            yield f"{name.upper()}=***: {fault}"
    yield from _email(config)


def _commands(config: AlertSettings) -> Iterator[str]:
    if not config.telegram_bot_token:
        yield "TELEGRAM_COMMANDS=true needs a bot: set TELEGRAM_BOT_TOKEN"
    if not config.telegram_users:
        yield "TELEGRAM_COMMANDS=true, and nobody may give any: set TELEGRAM_USERS to the numbers of those who may"
    if not config.enable_alerts:
        yield from _token(config)


def _token(config: AlertSettings) -> Iterator[str]:
    if config.telegram_bot_token and not BOT_TOKEN.fullmatch(config.telegram_bot_token.reveal()):
        yield "TELEGRAM_BOT_TOKEN=*** is no bot's token: want the one that @BotFather gave, digits, a colon, and 35 characters"
    if fault := url_fault(config.telegram_api_url, config.alert_private_hosts):
        yield f"TELEGRAM_API_URL={config.telegram_api_url}: {fault}"


def _email(config: AlertSettings) -> Iterator[str]:
    if not config.smtp_host:
        return
    for name in ("email_from", "email_to"):
        if not getattr(config, name):
            yield f"SMTP_HOST is set and {name.upper()} is empty: e-mail needs both"
    if config.smtp_security == "none" and config.smtp_password:
        yield "SMTP_SECURITY=none would send SMTP_PASSWORD in the open: set starttls or ssl"


def url_fault(url: str, private_hosts: tuple[str, ...]) -> str:
    """Why nothing is sent to this address, without repeating it; "" when it may be."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is no address"
    if parts.scheme not in ("http", "https") or not host:
        return "want an address that begins with https://"
    if parts.scheme == "http" and host not in private_hosts:
        return "want https://; http is only for machines of your own that ALERT_PRIVATE_HOSTS names"
    return ""


def secret_parts(url: str) -> tuple[str, ...]:
    """What of a secret address may turn up alone, in a library's error say: path and query, long parts of it, user and password."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return ()
    found: list[Any] = [f"{parts.path}?{parts.query}" if parts.query else parts.path, parts.query, user, password]
    found += [part for part in re.split("[/?&=]", f"{parts.path}?{parts.query}") if len(part) >= 16]
    return tuple(part for part in found if part and len(part) >= SHORTEST)
