"""Every secret is a canary; a strategy or a terminal and their errors sing all of them, and then every artefact is searched."""

import json
import logging
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar

import pytest
from backtesting import Strategy

from Backtest.simulated_terminal import OrderSendResult, SimulatedTerminal
from Live.__main__ import main
from Live.audit_logger.told import AlertReader
from Live.clock import SystemClock
from Live.config import SECRETS, LiveConfig
from Live.dashboard import create_app
from Live.logs import close_logging, setup_logging
from Live.telegram.answers import Answers
from tests.faulty_terminal import FaultyTerminal, Request, answer_lost
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
            raise ConnectionError(song())


class Trades(Sings):
    """The same without the error: three entries, one at a time."""

    def next(self) -> None:
        self.bars += 1
        if self.bars % 4 == 0:
            self.buy(size=1_000)
        elif self.bars % 4 == 2:
            self.position.close()


def song() -> str:
    songs = Sings.songs
    return f"Max retries exceeded with url: {' '.join(songs)} {songs!r} {json.dumps(songs)}"


class Betrays(FaultyTerminal):
    """Says all secrets where a terminal says what went wrong: in its last error, in answers and checks, and in what it raises."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(SimulatedTerminal(*args, **options))
        self.faults += [answer_lost((-10002, song())), refused_with_a_song]
        self.looks = 0
        self.before["positions_get"] = self.look

    def look(self) -> None:
        self.looks += 1
        self.blind = {"positions_get"} if 20 <= self.looks < 24 else set()
        if self.looks >= 60:  # also when the run ends and looks once more
            raise ConnectionError(song())

    def last_error(self) -> tuple[int, str]:
        code, _ = super().last_error()
        return code, song()

    def order_check(self, request: Request) -> Any:
        found = super().order_check(request)
        return type(found)((*found[:6], song(), *found[7:]))


def refused_with_a_song(terminal: FaultyTerminal, request: Request) -> OrderSendResult:
    said = terminal.result(request, 10013)
    return OrderSendResult((*said[:7], song(), *said[8:]))


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


@pytest.mark.parametrize("singer", ["strategy", "terminal"])
def test_no_secret_is_in_any_artefact(
    singer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
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
        config = run_and_log(tmp_path, given, singer)
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


def run_and_log(folder: Path, given: dict[str, object], singer: str) -> LiveConfig:
    config: list[LiveConfig] = []

    def begin(trader: Any) -> None:
        if not config:
            config.append(trader.config)
            setup_logging(trader.config, trader.clock)
            logging.getLogger("LiveTrader").warning("a library said: %s", " ".join(Sings.songs))

    try:
        if singer == "strategy":
            ran = run_live(folder, loaded(Sings), eurusd(40), given=given, on_turn=begin)
        else:
            ran = run_live(folder, loaded(Trades), eurusd(40), given=given, on_turn=begin, made_by=Betrays)
    finally:
        close_logging()
    if singer == "strategy":
        assert ran.count("events", "event_type = 'STRATEGY_FAILED'") == 1
    else:
        assert ran.count("order_events", "payload LIKE '%Max retries%'") >= 2
        assert ran.count("orders", "status = 'FAILED'") == 1
        assert ran.count("events", "event_type = 'DISCONNECTED'") >= 1
        assert ran.count("events", "event_type = 'SHUTDOWN' AND message LIKE 'ConnectionError: Max retries%'") == 1
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
