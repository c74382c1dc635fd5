import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy

from Live.alerts.channels import channels_of
from Live.alerts.delivery import Deliverer
from Live.audit_logger import AuditLogger
from Live.audit_logger.outbox import Outbox, deliveries_of
from Live.audit_logger.outbox import channels_of as standings_of
from Live.clock import SystemClock
from Live.config import PROJECT_ROOT, LiveConfig
from tests.live_runs import eurusd, loaded, run_live, settings
from tests.receivers import Receiver, until, web_receiver

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


class TurningClock:
    """The machine's clock, turned by hand; it does not sleep."""

    def __init__(self) -> None:
        self.utc = START

    def now(self) -> datetime:
        return self.utc

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = bool) -> None:
        self.utc += timedelta(seconds=seconds)


class BuysAndSells(Strategy):
    """In on the 3rd bar that it sees, out on the 6th."""

    bars = 0

    def init(self) -> None:
        pass

    def next(self) -> None:
        self.bars += 1
        if self.bars == 3:
            self.buy(size=1_000, sl=self.data.Close[-1] * 0.9, tp=self.data.Close[-1] * 1.1)
        elif self.bars == 6:
            self.position.close()


def told_by(receiver: Receiver, **given: object) -> dict[str, object]:
    return {
        "enable_alerts": True,
        "alert_webhook_url": receiver.url,
        "alert_private_hosts": "127.0.0.1",
        "webhook_alerts": "INFO",
        **given,
    }


@contextmanager
def delivering(config: LiveConfig, clock: Any) -> Iterator[Deliverer]:
    outbox = Outbox(config.audit_db_path)
    try:
        yield Deliverer(config, outbox, channels_of(config), clock)
    finally:
        outbox.close()


def deliver_all(deliverer: Deliverer) -> None:
    deliverer.turn()
    while not deliverer.idle:
        deliverer.wait(10)
        deliverer.turn()


def recorded(folder: Path, clock: Any, *events: tuple[str, str, str]) -> AuditLogger:
    record = AuditLogger(folder / "audit.db", clock)
    record.tell_people(clock)
    for kind, severity, message in events:
        record.event(kind, message, severity=severity)
    return record


def kinds_of(receiver: Receiver) -> list[str]:
    return [each.json["kind"] for each in receiver.received]


def test_a_run_tells_what_it_did_and_a_second_delivery_tells_nothing_again(tmp_path: Path) -> None:
    with web_receiver() as receiver:
        ran = run_live(tmp_path, loaded(BuysAndSells), eurusd(60), given=told_by(receiver))
        config = ran.trader.config
        for _ in range(2):
            with delivering(config, SystemClock()) as deliverer:
                deliver_all(deliverer)
    assert kinds_of(receiver) == [row["kind"] for row in ran.rows("SELECT kind FROM alerts ORDER BY id")]
    done = [kind for kind in kinds_of(receiver) if kind.startswith(("ORDER", "POSITION"))]
    assert done == ["ORDER_SUBMITTED", "ORDER_FILLED", "POSITION_OPENED", "ORDER_SUBMITTED", "ORDER_FILLED", "POSITION_CLOSED"]
    closed = next(each.json for each in receiver.received if each.json["kind"] == "POSITION_CLOSED")
    trade = ran.rows("SELECT * FROM trades")[0]
    assert f"{trade['net_profit']:+,.2f}" in closed["text"]
    assert "(strategy): BUY 0.01 EURUSD" in closed["message"]
    told = deliveries_of(config.audit_db_path, 0)
    assert {(each["channel"], each["outcome"]) for each in told} == {("webhook", "SENT")}
    assert len(told) == len(receiver.received)


def test_nothing_is_told_that_is_not_committed(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver() as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        record = recorded(tmp_path, clock)

        def fails_in_the_middle() -> None:
            with record.transaction(durable=True):
                record.event("KILL_SWITCH", "never happened", severity="CRITICAL")
                deliver_all(deliverer)
                raise RuntimeError("as if the power failed")

        with pytest.raises(RuntimeError, match="as if the power failed"):
            fails_in_the_middle()
        record.event("STARTUP", "this one did")
        record.close()
        deliver_all(deliverer)
    assert [each.json["message"] for each in receiver.received] == ["this one did"]


@pytest.mark.every(3)
@pytest.mark.parametrize("behaviour", ["hang", "drip", "redirect", "500", "huge", "cut", "nonsense"])
def test_a_trader_never_waits_for_an_endpoint_because_it_talks_to_none(behaviour: str, tmp_path: Path) -> None:
    """The rows of a run are the same, whatever its endpoint does: nothing in the trader's process opens a connection."""

    def went(folder: Path, receiver: Receiver) -> tuple[list[Any], int]:
        folder.mkdir()
        ran = run_live(folder, loaded(BuysAndSells), eurusd(60), given=told_by(receiver))
        return ran.rows("SELECT kind, message, timestamp FROM alerts ORDER BY id"), len(receiver.received)

    with web_receiver(*[behaviour] * 100) as bad, web_receiver() as good:
        assert went(tmp_path / "bad", bad) == went(tmp_path / "good", good)
        assert went(tmp_path / "again", bad)[1] == 0


def test_an_endpoint_that_hangs_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver("hang") as hook, web_receiver() as bot:
        telegram = {
            "telegram_bot_token": "1:" + "a" * 35,
            "telegram_chat_id": "77777777",
            "telegram_api_url": bot.url.removesuffix("/hook"),
        }
        with delivering(settings(tmp_path, **told_by(hook, **telegram)), clock) as deliverer:
            record = recorded(tmp_path, clock, ("STARTUP", "INFO", "one"), ("DISCONNECTED", "ERROR", "two"))
            record.close()
            deliverer.turn()
            while len(bot.received) < 2:
                deliverer.wait(0.1)
                deliverer.turn()
            assert len(hook.received) == 1
            assert not deliverer.idle


def test_what_could_not_be_told_is_told_by_the_next_process_stamped_as_late(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver("500", "500") as receiver:
        config = settings(tmp_path, **told_by(receiver))
        record = recorded(tmp_path, clock, ("DISCONNECTED", "ERROR", "the terminal is gone"))
        for _ in range(2):
            with delivering(config, clock) as deliverer:
                deliverer.turn()
                deliverer.wait(10)
                deliverer.turn()
            standing = {"channel": "webhook", "failures": 1, "problem": "the webhook answers 500"}
            assert [row | standing for row in standings_of(config.audit_db_path)] == standings_of(config.audit_db_path)
            assert [row["alert_id"] for row in standings_of(config.audit_db_path)] == [0]
        clock.utc += timedelta(minutes=12)
        with delivering(config, clock) as deliverer:
            deliver_all(deliverer)
        record.close()
    assert [each.json["title"] for each in receiver.received][-1] == "ERROR AlgoAgent Live: system (late: 12 min)"
    assert receiver.received[-1].json["late_seconds"] == 720
    assert [each["outcome"] for each in deliveries_of(config.audit_db_path, 0)] == ["SENT"]


def test_attempts_grow_rarer_and_end_with_the_first_that_works(tmp_path: Path) -> None:
    clock, tried = TurningClock(), []
    with web_receiver(*["500"] * 5) as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        recorded(tmp_path, clock, ("STARTUP", "INFO", "one")).close()
        while len(receiver.received) < 6:
            before = len(receiver.received)
            deliverer.turn()
            if not deliverer.idle and any(line.sending for line in deliverer.lines):
                deliverer.wait(10)
            if len(receiver.received) > before:
                tried.append((clock.utc - START).total_seconds())
            clock.utc += timedelta(seconds=1)
    assert [later - earlier for earlier, later in itertools.pairwise(tried)] == [1, 2, 4, 8, 16]


def test_the_wait_that_the_other_side_asks_for_is_kept(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver("429") as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        receiver.headers["Retry-After"] = "40"
        recorded(tmp_path, clock, ("STARTUP", "INFO", "one")).close()
        deliverer.turn()
        deliverer.wait(10)
        clock.utc += timedelta(seconds=39)
        deliverer.turn()
        assert len(receiver.received) == 1
        clock.utc += timedelta(seconds=2)
        deliver_all(deliverer)
        assert len(receiver.received) == 2


def test_a_message_that_is_refused_for_good_does_not_keep_the_next_one(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver("400") as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        recorded(tmp_path, clock, ("STARTUP", "INFO", "one"), ("SHUTDOWN", "INFO", "two")).close()
        deliver_all(deliverer)
        assert [each["outcome"] for each in deliveries_of(tmp_path / "audit.db", 0)] == ["GIVEN_UP", "SENT"]
        assert "1 alerts before this one were given up" in receiver.received[-1].json["text"]


def test_the_same_thing_again_is_told_once_in_five_minutes_with_how_often(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver() as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        record = recorded(tmp_path, clock)
        for number in range(15):
            record.event("DISCONNECTED", f"no answer after {number} seconds", severity="ERROR")
            deliver_all(deliverer) if number == 0 else deliverer.turn()
            clock.utc += timedelta(seconds=22)
        record.close()
        deliver_all(deliverer)
    assert [each.json["title"] for each in receiver.received] == [
        "ERROR AlgoAgent Live: system",
        "ERROR AlgoAgent Live: system ×14 in 4 min",
    ]
    outcomes = [each["outcome"] for each in deliveries_of(tmp_path / "audit.db", 0)]
    assert outcomes == ["SENT", *["FOLDED"] * 13, "SENT"]


def test_a_channel_that_is_new_is_told_the_news_and_not_the_history(tmp_path: Path) -> None:
    clock = TurningClock()
    record = recorded(tmp_path, clock, ("STARTUP", "INFO", "long ago"))
    clock.utc += timedelta(hours=1)
    record.event("SHUTDOWN", "just now")
    record.close()
    with web_receiver() as receiver, delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
        deliver_all(deliverer)
    assert [each.json["message"] for each in receiver.received] == ["just now"]


def test_another_record_in_the_same_place_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver() as receiver:
        for text in ("the first record", "the second record"):
            with delivering(settings(tmp_path, **told_by(receiver)), clock) as deliverer:
                recorded(tmp_path, clock, ("STARTUP", "INFO", text)).close()
                deliver_all(deliverer)
            for file in tmp_path.glob("audit.db*"):
                if "alerts" not in file.name:
                    file.unlink()
            clock.utc += timedelta(seconds=1)
    assert [each.json["message"] for each in receiver.received] == ["the first record", "the second record"]


def test_each_channel_gets_what_its_route_wants(tmp_path: Path) -> None:
    clock = TurningClock()
    with web_receiver() as receiver:
        config = settings(tmp_path, **told_by(receiver, webhook_alerts="ERROR order=INFO system=off"))
        with delivering(config, clock) as deliverer:
            events = (
                ("STARTUP", "INFO", "1"),
                ("DISCONNECTED", "ERROR", "2"),
                ("ADOPTED", "WARNING", "3"),
                ("STRATEGY_FAILED", "CRITICAL", "4"),
            )
            recorded(tmp_path, clock, *events).close()
            deliver_all(deliverer)
    assert sorted(each.json["message"] for each in receiver.received) == ["3", "4"]


def test_without_alerts_none_are_put_down(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(BuysAndSells), eurusd(40))
    assert ran.count("trades") == 1
    assert ran.count("alerts") == 0


# the process


def child(config_file: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "Live", *words, "--config", str(config_file)]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def config_file(folder: Path, receiver: Receiver, **given: str) -> Path:
    file = folder / "own.env"
    lines = {
        "ENABLE_ALERTS": "true",
        "ALERT_WEBHOOK_URL": receiver.url,
        "ALERT_PRIVATE_HOSTS": "127.0.0.1",
        "WEBHOOK_ALERTS": "INFO",
        "AUDIT_DB_PATH": f"{folder}/audit.db",
        "LOG_DIR": f"{folder}/logs",
        "KILL_SWITCH_FILE": f"{folder}/EMERGENCY_STOP",
        "SIM_ACCOUNT_DIR": f"{folder}/accounts",
        "DASHBOARD": "false",
        **given,
    }
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    file.chmod(0o600)
    return file


def test_a_trader_that_is_killed_is_told_of_by_its_messenger_which_then_ends(tmp_path: Path) -> None:
    with web_receiver() as receiver:
        strategy = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
        words = ("run", "--strategy", str(strategy), "--dry-run", "--speed", "3600")
        trader = child(config_file(tmp_path, receiver, MT5_TERMINAL="simulated"), *words)
        try:
            until(lambda: "STARTUP" in kinds_of(receiver), 120)
        finally:
            trader.kill()
            trader.communicate()
        until(lambda: "TRADER_DIED" in kinds_of(receiver), 120)


def test_a_whole_run_ends_with_its_last_words_delivered(tmp_path: Path) -> None:
    with web_receiver() as receiver:
        strategy = PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py"
        words = ("run", "--strategy", str(strategy), "--dry-run", "--once", "--timeframe", "1d")
        trader = child(config_file(tmp_path, receiver, MT5_TERMINAL="simulated"), *words)
        said, _ = trader.communicate(timeout=180)
        assert trader.returncode == 0, said
        until(lambda: "SHUTDOWN" in kinds_of(receiver), 120)
        assert "TRADER_DIED" not in kinds_of(receiver)


def test_a_delivery_by_itself_ends_when_it_is_told_to(tmp_path: Path) -> None:
    clock = SystemClock()
    with web_receiver() as receiver:
        recorded(tmp_path, clock, ("STARTUP", "INFO", "one")).close()
        process = child(config_file(tmp_path, receiver), "alerts", "deliver")
        try:
            until(lambda: receiver.received, 120)
            second = child(config_file(tmp_path, receiver), "alerts", "list", "--json")
            listed, _ = second.communicate(timeout=120)
            until(lambda: deliveries_of(tmp_path / "audit.db", 0))
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, b"")
        assert [row["message"] for row in json.loads(listed)] == ["one"]
