"""The ways to people: Telegram, a webhook, e-mail, and whatever Apprise knows. Each sends one letter, or says why not."""

import contextlib
import hashlib
import hmac
import json
import logging
import smtplib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import urlsplit

from Live.alert_settings import AlertSettings
from Live.alerts.letters import Letter, cut, flat, for_discord, for_programs, for_slack
from Live.alerts.web import Answer, NotSent, Refused, Web, ends_in, trusted
from Live.errors import Misconfigured
from Live.setting_kinds import Secret

TELEGRAM_TEXT, TELEGRAM_CAPTION = 4096, 1024  # characters. Source: core.telegram.org/bots/api#sendmessage, #sendphoto
SMTP_WAIT, SMTP_SECONDS = 10.0, 30.0  # for one answer, and for the whole of it
BOUNDARY = "algoagent-live-b7a1c9"  # between the parts of a post with a picture
NEVER = frozenset({400, 413, 422})  # answers that say that it is the message
SLACK, DISCORD = "hooks.slack.com", ("discord.com", "discordapp.com")


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str:
        """What it is called where people read of it."""

    def send(self, letter: Letter) -> None:
        """Deliver it. Raises NotSent when it may arrive another time, Refused when it never will."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """A chat. What is no warning comes without a sound."""

    name: str
    web: Web
    token: Secret
    chat: Secret
    api_url: str

    def send(self, letter: Letter) -> None:
        """As a message, or with its picture as a photo."""
        chat: dict[str, Any] = {"chat_id": self.chat.reveal(), "disable_notification": letter.level.name == "INFO"}
        if letter.picture is None:
            words = {"text": cut(letter.whole, TELEGRAM_TEXT), "link_preview_options": {"is_disabled": True}}
            answer = self._call("sendMessage", json.dumps({**chat, **words}).encode(), "application/json")
        else:
            form = {"chat_id": chat["chat_id"], "disable_notification": json.dumps(chat["disable_notification"])}
            form["caption"] = cut(letter.whole, TELEGRAM_CAPTION)
            answer = self._call("sendPhoto", *form_body(form, "photo", letter.picture))
        _judge("Telegram", answer)

    def _call(self, method: str, body: bytes, kind: str) -> Answer:
        return self.web.send(f"{self.api_url}/bot{self.token.reveal()}/{method}", body, {"Content-Type": kind})


@dataclass(frozen=True, slots=True)
class Webhook:
    """A post to an address, in the form that its receiver reads."""

    name: str
    web: Web
    url: Secret
    form: str  # json, slack or discord
    key: Secret

    def send(self, letter: Letter) -> None:
        """Signed where there is a key; with its picture where the receiver takes one."""
        payload = {"slack": for_slack, "discord": for_discord}.get(self.form, for_programs)(letter)
        body, kind = json.dumps(payload, ensure_ascii=False, default=str).encode(), "application/json"
        if self.form == "discord" and letter.picture is not None:
            body, kind = form_body({"payload_json": body.decode()}, "files[0]", letter.picture)
        headers = {"Content-Type": kind}
        if self.key:
            headers["X-Signature-256"] = "sha256=" + hmac.new(self.key.reveal().encode(), body, hashlib.sha256).hexdigest()
        _judge("the webhook", self.web.send(self.url.reveal(), body, headers))


@dataclass(frozen=True, slots=True)
class Email:
    """One e-mail to all of its receivers."""

    name: str
    settings: AlertSettings
    context: Callable[[], ssl.SSLContext] = trusted
    whole_seconds: float = SMTP_SECONDS

    def send(self, letter: Letter) -> None:
        """Through the SMTP server of the settings."""
        where = f"{self.settings.smtp_host}:{self.settings.smtp_port}"
        try:
            with contextlib.ExitStack() as session:
                server = session.enter_context(self._connected(session))
                if self.settings.smtp_security == "starttls":
                    server.starttls(context=self.context())
                if self.settings.smtp_user:
                    server.login(self.settings.smtp_user, self.settings.smtp_password.reveal())
                server.send_message(self._message(letter))
        except smtplib.SMTPRecipientsRefused:
            raise Refused(f"{where} takes no mail for EMAIL_TO") from None
        except smtplib.SMTPAuthenticationError as error:
            raise NotSent(f"{where} does not let SMTP_USER in ({error.smtp_code}): look at SMTP_USER and SMTP_PASSWORD") from None
        except smtplib.SMTPResponseException as error:
            # 552, 554: this message; anything else may pass. Source: RFC 5321, 4.2.3
            kind = Refused if error.smtp_code in (552, 554) else NotSent
            raise kind(f"{where} answers {error.smtp_code}") from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(f"{where}: its certificate is not trusted ({error.verify_message})") from None
        except smtplib.SMTPNotSupportedError:
            raise NotSent(f"{where} knows no STARTTLS or no login: look at SMTP_PORT and SMTP_SECURITY") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotSent(f"{where}: {getattr(error, 'strerror', None) or type(error).__name__}") from None

    def _connected(self, session: contextlib.ExitStack) -> smtplib.SMTP:
        where = (self.settings.smtp_host, self.settings.smtp_port)

        def watch(server: smtplib.SMTP) -> None:
            session.enter_context(ends_in(self.whole_seconds, lambda: server.sock))

        if self.settings.smtp_security == "ssl":
            return _Secured(watch, *where, timeout=SMTP_WAIT, context=self.context())
        return _Plain(watch, *where, timeout=SMTP_WAIT)

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = cut(flat(letter.title), 200)
        message["From"] = self.settings.email_from
        message["To"] = ", ".join(self.settings.email_to)
        message.set_content(f"{letter.title}\n\n{letter.text}\n")
        if letter.picture is not None:
            message.add_attachment(letter.picture, maintype="image", subtype="png", filename="trade.png")
        return message


class _Plain(smtplib.SMTP):
    """Hands itself out before it connects, which it does when it is made: so that somebody can end that, too."""

    def __init__(self, watch: Callable[[smtplib.SMTP], None], *where: Any, **how: Any) -> None:
        watch(self)
        super().__init__(*where, **how)


class _Secured(smtplib.SMTP_SSL):
    """The same, with TLS from the beginning."""

    def __init__(self, watch: Callable[[smtplib.SMTP], None], *where: Any, **how: Any) -> None:
        watch(self)
        super().__init__(*where, **how)


@dataclass(frozen=True, slots=True)
class Apprise:
    """Any service that the apprise package knows, by its own kind of address."""

    name: str
    url: Secret

    def send(self, letter: Letter) -> None:
        """Through the package, which tells whether it worked, and no more."""
        service = _apprise().Apprise()
        if not service.add(self.url.reveal()):
            raise Refused("Apprise does not know this address")
        kind = {"INFO": "info", "WARNING": "warning"}.get(letter.level.name, "failure")
        if not service.notify(title=letter.title, body=letter.text, notify_type=kind, body_format="text"):
            raise NotSent("the service did not take it")


def _apprise() -> Any:
    try:
        import apprise
    except ImportError:
        raise Misconfigured("APPRISE_URLS needs a package that is not installed: pip install -r requirements-alerts.txt") from None
    silent = logging.getLogger("apprise")  # its lines repeat addresses
    silent.handlers, silent.propagate = [logging.NullHandler()], False
    return apprise


def channels_of(config: AlertSettings, web: Web | None = None) -> list[tuple[Channel, str]]:
    """Every channel that is set up, each with its route. Raises Misconfigured where a package is missing."""
    return list(_channels(config, web or Web(config.alert_private_hosts)))


def _channels(config: AlertSettings, web: Web) -> Iterator[tuple[Channel, str]]:
    chats = [chat.strip() for chat in config.telegram_chat_id.reveal().split(",") if chat.strip()]
    for name, chat in _numbered("telegram", chats):
        yield Telegram(name, web, config.telegram_bot_token, Secret(chat), config.telegram_api_url), config.telegram_alerts
    if config.alert_webhook_url:
        form = form_of(config.alert_webhook_url.reveal()) if config.alert_webhook_format == "auto" else config.alert_webhook_format
        yield Webhook("webhook", web, config.alert_webhook_url, form, config.alert_webhook_secret), config.webhook_alerts
    if config.smtp_host:
        yield Email("email", config), config.email_alerts
    for name, url in _numbered("apprise", config.apprise_urls.reveal().split()):
        _apprise()
        yield Apprise(name, Secret(url)), config.apprise_alerts


def _numbered(name: str, values: list[str]) -> Iterator[tuple[str, str]]:
    for number, value in enumerate(values, 1):
        yield (name if number == 1 else f"{name} {number}"), value


def form_of(url: str) -> str:
    """Who reads what is posted there.

    >>> form_of("https://hooks.slack.com/services/T/B/X"), form_of("https://discord.com/api/webhooks/1/x"), form_of("https://example.org/")
    ('slack', 'discord', 'json')
    """
    host = urlsplit(url).hostname or ""
    return "slack" if host == SLACK else "discord" if host in DISCORD or host.endswith(".discord.com") else "json"


def form_body(fields: dict[str, str], name: str, picture: bytes) -> tuple[bytes, str]:
    """A body with fields and a picture, and its type. Source: RFC 7578."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="trade.png"\r\nContent-Type: image/png\r\n\r\n'
    return b"".join([*parts, head.encode(), picture, f"\r\n--{BOUNDARY}--\r\n".encode()]), f"multipart/form-data; boundary={BOUNDARY}"


def _judge(who: str, answer: Answer) -> None:
    """Whether an answer says that the letter arrived."""
    if 200 <= answer.status < 300:
        return
    said = _said(answer.body)
    sentence = f"{who} answers {answer.status}" + (f": {said}" if said else "")
    if answer.status in NEVER:
        raise Refused(sentence)
    raise NotSent(sentence, answer.wait or _retry_after(answer.body))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(body: bytes) -> str:
    """Telegram's own words for what is wrong; nobody else's: a page of HTML helps nobody."""
    said = _parsed(body).get("description")
    return cut(flat(said), 200) if isinstance(said, str) else ""


def _retry_after(body: bytes) -> float | None:
    """Source: core.telegram.org/bots/api#responseparameters; Discord has it beside."""
    found = _parsed(body)
    parameters = found.get("parameters")
    wait = parameters.get("retry_after") if isinstance(parameters, dict) else found.get("retry_after")
    return float(wait) if isinstance(wait, int | float) and 0 <= wait < 86_400 else None
