import hashlib
import hmac
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message as Mail
from pathlib import Path

import pytest
from aiosmtpd.smtp import Envelope
from PIL import Image

from Live.__main__ import main
from Live.alert_kinds import Level
from Live.alerts.channels import Apprise, Email, Telegram, Webhook, channels_of
from Live.alerts.letters import Letter
from Live.alerts.picture import Line, draw
from Live.alerts.web import NotSent, Refused, Web
from Live.config import LiveConfig, Secret
from Live.errors import Misconfigured
from tests.live_runs import settings
from tests.receivers import Mailbox, mail_receiver, web_receiver

TOKEN = "123456789:" + "Abc-_" * 7
WEB = Web(("127.0.0.1",), whole_seconds=3)
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
LETTER = Letter("WARNING DRY sma: order", "BUY <b>0.1</b> *EURUSD* & more @everyone", Level.WARNING, {"kind": "X"})
BARS = [
    {"open": 1.0 + n / 100, "high": 1.05 + n / 100, "low": 0.95, "close": 1.01 + n / 100, "bar_time": "2017-04-19T09:00:00"}
    for n in range(30)
]
PICTURE = draw("closed: BUY 0.1 EURUSD", BARS, [Line(1.1, "BUY", "#2b6cb0"), Line(1.1001, "exit", "#805ad5"), Line(0.9, "SL", "#c53030")])


def with_picture(letter: Letter = LETTER) -> Letter:
    return Letter(letter.title, letter.text, letter.level, letter.facts, PICTURE)


# Telegram


def telegram(url: str) -> Telegram:
    return Telegram("telegram", WEB, Secret(TOKEN), Secret("-100200300"), url.removesuffix("/hook"))


def test_telegram_gets_plain_text_in_the_chat() -> None:
    with web_receiver() as receiver:
        telegram(receiver.url).send(LETTER)
        (received,) = receiver.received
    assert received.path == f"/bot{TOKEN}/sendMessage"
    assert received.json["chat_id"] == "-100200300"
    assert received.json["text"].endswith(LETTER.text)
    assert "parse_mode" not in received.json
    assert received.json["disable_notification"] is False


def test_telegram_makes_no_sound_for_what_is_no_warning() -> None:
    with web_receiver() as receiver:
        telegram(receiver.url).send(Letter("a", "b", Level.INFO, {}))
        assert receiver.received[0].json["disable_notification"] is True


def parts_of(body: bytes, kind: str) -> dict[str, Mail]:
    mail = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = mail.get_payload()
    assert isinstance(parts, list)
    found = {part.get_param("name", header="Content-Disposition"): part for part in parts if isinstance(part, Mail)}
    return {str(name): part for name, part in found.items()}


def test_a_picture_is_sent_as_a_photo_with_the_words_below_it() -> None:
    assert PICTURE is not None
    with web_receiver() as receiver:
        telegram(receiver.url).send(with_picture(Letter("t", "x" * 3000, Level.ERROR, {})))
        (received,) = receiver.received
    parts = parts_of(received.body, received.headers["Content-Type"])
    assert received.path.endswith("/sendPhoto")
    assert parts["photo"].get_payload(decode=True) == PICTURE
    caption = parts["caption"].get_payload(decode=True)
    assert isinstance(caption, bytes)
    assert len(caption.decode()) == 1024


@pytest.mark.parametrize(
    ("status", "answer", "error", "wait"),
    [
        ("400", b'{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}', Refused, None),
        ("401", b'{"ok":false,"description":"Unauthorized"}', NotSent, None),
        ("429", b'{"ok":false,"description":"Too Many Requests: retry after 14","parameters":{"retry_after":14}}', NotSent, 14.0),
        ("502", b"<html>not json", NotSent, None),
    ],
)
def test_what_telegram_says_is_told(status: str, answer: bytes, error: type[Exception], wait: float | None) -> None:
    with web_receiver(status, answer=answer) as receiver, pytest.raises(error) as caught:
        telegram(receiver.url).send(LETTER)
    said = json.loads(answer)["description"] if answer.startswith(b"{") else ""
    assert str(caught.value) == f"Telegram answers {status}" + (f": {said}" if said else "")
    assert getattr(caught.value, "wait", None) == wait


# webhooks


def webhook(url: str, form: str, key: str = "") -> Webhook:
    return Webhook("webhook", WEB, Secret(url), form, Secret(key))


def test_programs_get_the_facts_and_a_signature_of_what_they_get() -> None:
    with web_receiver() as receiver:
        webhook(receiver.url, "json", "a key of ours").send(LETTER)
        (received,) = receiver.received
    assert received.json == {"kind": "X", "title": LETTER.title, "text": LETTER.text}
    expected = hmac.new(b"a key of ours", received.body, hashlib.sha256).hexdigest()
    assert received.headers["X-Signature-256"] == f"sha256={expected}"


def test_slack_and_discord_get_their_own_form_in_which_nothing_is_markup() -> None:
    with web_receiver() as receiver:
        webhook(receiver.url, "slack").send(LETTER)
        webhook(receiver.url, "discord").send(LETTER)
        slack, discord = (each.json for each in receiver.received)
    assert "BUY &lt;b&gt;0.1&lt;/b&gt; *EURUSD* &amp; more" in slack["text"]
    assert slack["mrkdwn"] is False
    assert r"BUY \<b\>0.1\</b\> \*EURUSD\* & more \@everyone" in discord["content"]
    assert discord["allowed_mentions"] == {"parse": []}


def test_discord_gets_the_picture_beside_the_words() -> None:
    with web_receiver() as receiver:
        webhook(receiver.url, "discord").send(with_picture())
        (received,) = receiver.received
    parts = parts_of(received.body, received.headers["Content-Type"])
    assert parts["files[0]"].get_payload(decode=True) == PICTURE
    words = parts["payload_json"].get_payload(decode=True)
    assert isinstance(words, bytes)
    assert json.loads(words)["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_webhook_that_will_never_take_it_is_not_asked_again(status: str) -> None:
    with web_receiver(status) as receiver, pytest.raises(Refused, match=f"the webhook answers {status}"):
        webhook(receiver.url, "json").send(LETTER)


@pytest.mark.parametrize("status", ["401", "403", "404", "429", "500", "503"])
def test_a_webhook_that_may_take_it_later_is(status: str) -> None:
    with web_receiver(status) as receiver, pytest.raises(NotSent, match=f"the webhook answers {status}"):
        webhook(receiver.url, "json").send(LETTER)


# e-mail


def email(folder: Path, port: int, **given: object) -> LiveConfig:
    known = {"smtp_host": "127.0.0.1", "smtp_port": port, "email_from": "bot@example.org", "email_to": "a@example.org, b@example.org"}
    return settings(folder, enable_alerts=True, **{**known, "smtp_security": "none", **given})


def message_of(envelope: Envelope) -> Mail:
    assert isinstance(envelope.content, bytes)
    return message_from_bytes(envelope.content)


def test_a_mail_arrives_at_everybody_with_its_picture(tmp_path: Path) -> None:
    with mail_receiver(Mailbox()) as mailbox:
        Email("email", email(tmp_path, mailbox.port)).send(with_picture())
    (envelope,) = mailbox.messages
    mail = message_of(envelope)
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    assert mail["Subject"] == "WARNING DRY sma: order"
    text, picture = (part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart())
    assert isinstance(text, bytes)
    assert LETTER.text in text.decode()
    assert picture == PICTURE


def test_a_subject_cannot_smuggle_a_header_in(tmp_path: Path) -> None:
    with mail_receiver(Mailbox()) as mailbox:
        Email("email", email(tmp_path, mailbox.port)).send(Letter("one\r\nBcc: everybody@example.org", "text", Level.INFO, {}))
    mail = message_of(mailbox.messages[0])
    assert (mail["Subject"], mail["Bcc"]) == ("one Bcc: everybody@example.org", None)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate") / "own.pem")


def make_certificate(file: Path) -> Path:
    from datetime import timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=9)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=str(certificate))


def test_a_mail_goes_over_starttls_with_a_login(tmp_path: Path, certificate: Path) -> None:
    with mail_receiver(Mailbox("me", "a password"), tls_context=serving(certificate), require_starttls=True) as mailbox:
        given = {"smtp_security": "starttls", "smtp_user": "me"}
        Email("email", email(tmp_path, mailbox.port, **given, smtp_password="a password"), trusting(certificate)).send(LETTER)
        assert len(mailbox.messages) == 1
        wrong = Email("email", email(tmp_path, mailbox.port, **given, smtp_password="hunter2"), trusting(certificate))
        with pytest.raises(NotSent, match="does not let SMTP_USER in \\(535\\)") as caught:
            wrong.send(LETTER)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(NotSent, match="its certificate is not trusted"):
            Email("email", email(tmp_path, mailbox.port, **given, smtp_password="a password")).send(LETTER)
    assert len(mailbox.messages) == 1


def test_a_mail_is_not_sent_in_the_open_where_starttls_is_wanted(tmp_path: Path) -> None:
    with mail_receiver(Mailbox()) as mailbox, pytest.raises(NotSent, match="knows no STARTTLS"):
        Email("email", email(tmp_path, mailbox.port, smtp_security="starttls")).send(LETTER)
    assert mailbox.messages == []


@pytest.mark.parametrize(
    ("answer", "error"), [("554 spam", Refused), ("552 too big", Refused), ("451 later", NotSent), ("550 no", NotSent)]
)
def test_a_server_that_does_not_take_a_mail_is_told_of(answer: str, error: type[Exception], tmp_path: Path) -> None:
    with mail_receiver(Mailbox(answer=answer)) as mailbox, pytest.raises(error, match=f"answers {answer[:3]}"):
        Email("email", email(tmp_path, mailbox.port)).send(LETTER)


@contextmanager
def speaking(words: bytes, pause: float) -> Iterator[int]:
    """A server that says this again and again, whatever it is told."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def speak() -> None:
        connection, _ = listener.accept()
        with connection:
            while not over.wait(pause):
                try:
                    connection.sendall(words)
                except OSError:
                    return

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(("words", "pause"), [(b"2", 0.05), (b"", 60), (b"hello\r\n", 0.05), (b"220-more\r\n", 0.01)])
def test_a_mail_server_that_never_comes_to_an_end_is_left(words: bytes, pause: float, tmp_path: Path) -> None:
    with speaking(words, pause) as port, pytest.raises(NotSent, match=rf"127\.0\.0\.1:{port}: |answers"):
        Email("email", email(tmp_path, port), whole_seconds=0.5).send(LETTER)


# Apprise


def test_apprise_carries_it_to_whatever_it_knows() -> None:
    with web_receiver() as receiver:
        Apprise("apprise", Secret(receiver.url.replace("http:", "json:"))).send(LETTER)
        assert receiver.received[0].json["message"] == LETTER.text
        assert receiver.received[0].json["type"] == "warning"


def test_apprise_tells_no_address_when_it_fails(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with web_receiver("500") as receiver, pytest.raises(NotSent, match="the service did not take it"):
        Apprise("apprise", Secret(receiver.url.replace("http:", "json:") + "/secret-path")).send(LETTER)
    with pytest.raises(Refused, match="Apprise does not know this address"):
        Apprise("apprise", Secret("nonsense://secret-path")).send(LETTER)
    assert "secret-path" not in "".join([caplog.text, *capsys.readouterr()])


def test_without_the_package_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Misconfigured, match=r"APPRISE_URLS needs a package that is not installed: pip install -r requirements-alerts\.txt"):
        channels_of(settings(tmp_path, enable_alerts=True, apprise_urls="json://127.0.0.1"))


# all together


def test_every_channel_that_is_set_up_is_there_with_its_route(tmp_path: Path) -> None:
    given = {
        "telegram_bot_token": TOKEN,
        "telegram_chat_id": "11111111, 22222222",
        "alert_webhook_url": "https://hooks.slack.com/services/T/B/X",
    }
    given |= {"smtp_host": "mail.example", "email_from": "a@example.org", "email_to": "a@example.org", "email_alerts": "CRITICAL"}
    config = settings(tmp_path, enable_alerts=True, **given, apprise_urls="json://a json://b")
    found = {channel.name: route for channel, route in channels_of(config)}
    assert list(found) == ["telegram", "telegram 2", "webhook", "email", "apprise", "apprise 2"]
    assert found["email"] == "CRITICAL"


def test_every_channel_is_tried_and_what_became_of_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.env"
    with web_receiver("200", "500") as receiver:
        lines = ["ENABLE_ALERTS=true", "ALERT_PRIVATE_HOSTS=127.0.0.1", f"ALERT_WEBHOOK_URL={receiver.url}/secret-path"]
        file.write_text("\n".join([*lines, f"HEARTBEAT_URL={receiver.url}/secret-beat"]))
        file.chmod(0o600)
        assert main(["alerts", "test", "--config", str(file)]) == 6
        assert capsys.readouterr().out == "OK    webhook\nFAIL  heartbeat: it answers 500\n"
        assert main(["alerts", "test", "--config", str(file)]) == 0
        assert "This is a test" in receiver.received[0].json["text"]
    file.write_text("")
    assert main(["alerts", "test", "--config", str(file)]) == 2
    assert "error: no channel is set up: see docs/alerts.md" in capsys.readouterr().err


# pictures


def test_a_picture_is_a_png_of_the_bars_with_every_level_in_it(tmp_path: Path) -> None:
    assert PICTURE is not None
    (tmp_path / "trade.png").write_bytes(PICTURE)
    with Image.open(tmp_path / "trade.png") as image:
        assert (image.format, image.size) == ("PNG", (900, 500))
        colours = {pixel for _, pixel in image.convert("RGB").getcolors(1_000_000) or ()}
    assert {(0x2B, 0x6C, 0xB0), (0x80, 0x5A, 0xD5), (0xC5, 0x30, 0x30), (0x2F, 0x85, 0x5A)} <= colours


def test_without_bars_there_is_no_picture_and_one_flat_bar_is_enough() -> None:
    assert draw("nothing", [], []) is None
    assert draw("flat", [{"open": 1, "high": 1, "low": 1, "close": 1, "bar_time": "2017"}], [])
