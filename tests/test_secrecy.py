"""Every secret is a canary; a strategy and its errors sing all of them, and then every artefact is searched."""

import json
import logging
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar

import pytest
from backtesting import Strategy

from Live.__main__ import main
from Live.audit_logger.told import AlertReader
from Live.clock import SystemClock
from Live.config import SECRETS, LiveConfig
from Live.dashboard import create_app
from Live.logs import close_logging, setup_logging
from Live.telegram.answers import Answers
from tests.live_runs import eurusd, loaded, run_live
from tests.receivers import web_receiver
from tests.test_alert_delivery import deliver_all, delivering

TOKEN = "987654321:canaryToken_" + "Zz9-" * 6


class Sings(Strategy):
    """Buys with a tag that holds the secrets, and then dies of an error that repeats them."""

    songs: ClassVar[list[str]] = []
    bars = 0

    def init(self) -> None:
        pass

    def next(self) -> None:
        self.bars += 1
        if self.bars == 2:
            self.buy(size=1_000, tag={"song": list(self.songs)})
        elif self.bars == 5:
            raise ConnectionError(f"Max retries exceeded with url: {' '.join(self.songs)} {self.songs!r} {json.dumps(self.songs)}")


def canaries(url: str) -> dict[str, str]:
    return {
        "mt5_password": 'canary-pass"wörd\\1',
        "telegram_bot_token": TOKEN,
        "telegram_chat_id": "-100555777999",
        "alert_webhook_url": f"{url}/canary-webhook-path",
        "alert_webhook_secret": "canary-webhook-key",
        "smtp_password": "canary-smtp-password",
        "apprise_urls": "json://canary-user:canary-apprise@192.0.2.1/canary-apprise-path",
        "heartbeat_url": f"{url}/canary-heartbeat-path",
        "dashboard_token": "canary-token-of-the-page-" + "t" * 40,
    }


def words_of(secrets: dict[str, str]) -> set[str]:
    """What may stand nowhere: the secrets, in every spelling, and the parts of addresses that give them away."""
    found = {*secrets.values(), "canary-webhook-path", "canary-apprise", "canary-heartbeat-path", "100555777999"}
    for _ in range(2):
        found |= {form for text in found for form in (repr(text)[1:-1], json.dumps(text)[1:-1], urllib.parse.quote(text, safe=""))}
    return found


def test_every_secret_has_a_canary() -> None:
    assert set(canaries("http://x")) == set(SECRETS)


def test_no_secret_is_in_any_artefact(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[str] = []
    with web_receiver() as receiver:
        secrets = canaries(receiver.url)
        urls = [f"https://api.telegram.org/bot{TOKEN}/sendMessage", urllib.parse.urlsplit(secrets["alert_webhook_url"]).path]
        monkeypatch.setattr(Sings, "songs", [*secrets.values(), *urls])
        given: dict[str, object] = {**secrets, "enable_alerts": True, "alert_private_hosts": "127.0.0.1", "webhook_alerts": "INFO"}
        given |= {
            "telegram_api_url": receiver.url.removesuffix("/hook"),
            "telegram_alerts": "INFO",
            "log_level": "DEBUG",
            "alert_pictures": False,
        }
        config = run_and_log(tmp_path, given)
        receiver.behaviours[:] = ["401", "500"]  # failures are noted, too
        with delivering(config, SystemClock()) as deliverer:
            deliverer.turn()
            deliverer.wait(10)
            deliverer.wait(10)
        with delivering(config, SystemClock()) as deliverer:
            deliverer.lines = [line for line in deliverer.lines if line.channel.name in ("telegram", "webhook")]
            deliver_all(deliverer)
        for received in receiver.received:
            told = received.json
            bodies.append(json.dumps({name: value for name, value in told.items() if name != "chat_id"}, ensure_ascii=False))
    assert any("Max retries exceeded" in body for body in bodies), "the song was to be told"
    pages = list(shown(config))
    main(["alerts", "list", "--db", str(config.audit_db_path), "--json"])
    heard = {"console": "".join(capsys.readouterr()), "alerts": "\n".join(bodies), "pages": "\n".join(pages)}
    heard |= {str(path): path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()}
    assert len([name for name in heard if "audit.db" in name]) >= 2
    assert any(name.endswith("live_trader.log") for name in heard)
    assert [(name, word) for name, text in heard.items() for word in words_of(secrets) if word in text] == []


def run_and_log(folder: Path, given: dict[str, object]) -> LiveConfig:
    config: list[LiveConfig] = []

    def begin(trader: Any) -> None:
        if not config:
            config.append(trader.config)
            setup_logging(trader.config, trader.clock)
            logging.getLogger("LiveTrader").warning("a library said: %s", " ".join(Sings.songs))

    try:
        ran = run_live(folder, loaded(Sings), eurusd(40), given=given, on_turn=begin)
    finally:
        close_logging()
    assert ran.count("events", "event_type = 'STRATEGY_FAILED'") == 1
    return config[0]


def shown(config: LiveConfig) -> Any:
    """Whatever the page and the phone show of the record."""
    client = create_app(config.audit_db_path, stop_file=config.kill_switch_file).test_client()
    for path in ("/api/status", "/api/recent_orders", "/api/recent_signals", "/api/summary", "/api/positions"):
        yield client.get(path, headers={"Host": "127.0.0.1"}).get_data(as_text=True)
    with AlertReader(config.audit_db_path) as reader:
        answers = Answers(config, reader, SystemClock().now())
        for command in ("status", "orders", "signals", "logs", "health", "risk"):
            yield answers.answer(command, [])
