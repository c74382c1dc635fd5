import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.alerts.web import Web
from Live.config import PROJECT_ROOT, LiveConfig
from Live.kill_switch import KillSwitchFile
from Live.pause import PauseFile
from Live.telegram.bot import Bot, said_in
from Live.telegram.confirming import Question, Questions
from tests.bot_api import TOKEN, BotApi, bot_api
from tests.live_runs import eurusd, loaded, run_live, settings
from tests.receivers import until
from tests.test_alert_delivery import BuysAndSells

OURS, STRANGER = 17, 99
START = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.utc = START

    def now(self) -> datetime:
        return self.utc

    def sleep(self, seconds: float, interrupted: Any = bool) -> None:
        self.utc += timedelta(seconds=seconds)


class Phone:
    """Somebody with a phone, the bot, and the double of Telegram between them."""

    def __init__(self, api: BotApi, config: LiveConfig, clock: Clock) -> None:
        self.api, self.config, self.clock = api, config, clock
        self.bot = Bot(config, Web(("127.0.0.1",)), clock, poll_seconds=0)
        self.bot.turn()  # what was there before is passed over

    def say(self, text: str, user: int = OURS, at: datetime | None = None) -> list[str]:
        """What comes back."""
        before = len(self.api.sent)
        self.api.write(text, user, at or self.clock.utc)
        self.bot.turn()
        return [each["text"] for each in self.api.sent[before:]]

    def press(self, data: str, user: int = OURS) -> list[str]:
        before = len(self.api.sent)
        self.api.press(data, user, self.clock.utc)
        self.bot.turn()
        return [each["text"] for each in self.api.sent[before:]]

    def code(self) -> str:
        """What the buttons of the last question carry."""
        yes, _ = self.api.sent[-1]["reply_markup"]["inline_keyboard"][0]
        return str(yes["callback_data"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@contextmanager
def on_the_phone(folder: Path) -> Iterator[Phone]:
    with bot_api() as api:
        given = {"telegram_bot_token": TOKEN, "telegram_commands": True, "telegram_users": str(OURS)}
        config = settings(folder, **given, telegram_api_url=api.url, alert_private_hosts="127.0.0.1")
        yield Phone(api, config, Clock())


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traded")
    run_live(folder, loaded(BuysAndSells), eurusd(60))
    return folder


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/status", "DRY buysandsells on account 12345678"),
        ("/positions", "No open positions."),
        ("/orders", "EXIT SELL EURUSD: FILLED (/why 2)"),
        ("/trades", "(strategy)"),
        ("/profit", "1 trades closed"),
        ("/daily", "trades closed, net"),
        ("/balance", "Equity: "),
        ("/risk", "Lost today: "),
        ("/signals", "BUY EURUSD at"),
        ("/why 1", "ENTRY BUY EURUSD, decided on the bar of"),
        ("/why 1", "SUBMITTED"),
        ("/why", "Say which one, as in /why 17"),
        ("/why 17", "There is no order 17 here."),
        ("/why 99999999999999999999999", "There is no order"),
        ("/logs", "SHUTDOWN: the replayed prices end here"),
        ("/health", "STOPPED: The trader stopped at"),
        ("/help", "/flatten"),
        ("/start", "/flatten"),
        ("/STATUS@our_bot", "DRY buysandsells"),
        ("/nonsense", "/nonsense is no command"),
        ("hello", "/hello is no command"),
    ],
)
def test_a_command_is_answered_from_the_record(command: str, expected: str, traded: Path) -> None:
    with on_the_phone(traded) as phone:
        (text,) = phone.say(command)
        assert expected in text
        assert "parse_mode" not in phone.api.sent[-1]


def test_a_chart_is_a_picture(traded: Path) -> None:
    with on_the_phone(traded) as phone:
        assert phone.say("/chart EURUSD") == []
        assert phone.api.photos[-1].startswith(b"\x89PNG")
        phone.say("/chart")
        assert len(phone.api.photos) == 2
        assert phone.say("/chart GOOG") == ["No bar of GOOG was decided yet."]


@pytest.mark.parametrize("command", ["/status", "/positions", "/why 1", "/chart", "/logs", "/health"])
def test_without_a_record_there_is_a_sentence(command: str, folder: Path) -> None:
    with on_the_phone(folder) as phone:
        (text,) = phone.say(command)
        assert text.startswith("There is no record at ")


@pytest.mark.parametrize("command", ["/status", "/stop", "/pause", "/confirm 1", "/help"])
def test_a_stranger_is_not_answered_and_changes_nothing(command: str, folder: Path) -> None:
    with on_the_phone(folder) as phone:
        assert phone.say(command, STRANGER) == []
        assert phone.press(command, STRANGER) == []
        assert {path.name for path in folder.iterdir()} == {"empty.env"}


@pytest.mark.parametrize(
    ("command", "file"), [("pause", "PAUSE_ENTRIES"), ("stop", "EMERGENCY_STOP"), ("flatten", "EMERGENCY_STOP_FLATTEN")]
)
def test_what_changes_anything_is_done_once_it_is_confirmed(command: str, file: str, folder: Path) -> None:
    with on_the_phone(folder) as phone:
        (question,) = phone.say(f"/{command}")
        assert "press a button, or send /confirm" in question
        assert not (folder / file).exists()
        code = phone.code()
        assert phone.press(code, STRANGER) == []
        assert phone.say(code, STRANGER) == []
        assert not (folder / file).exists()
        phone.press(code)
        assert (folder / file).read_text().startswith(f"{command} by Telegram user {OURS}")
        assert phone.press(code) == ["There is nothing to confirm: ask again."]
        assert KillSwitchFile.of(phone.config).is_on() is (command != "pause")


def test_a_code_may_be_sent_as_words_too(folder: Path) -> None:
    with on_the_phone(folder) as phone:
        phone.say("/pause")
        assert phone.say(phone.code()) == ["Paused: no entries are sent until /resume. Exits and stops go on."]
        phone.say("/resume")
        assert phone.say(phone.code()) == ["Entries are sent again."]
        assert not PauseFile.of(phone.config).is_on()


def test_no_is_no(folder: Path) -> None:
    with on_the_phone(folder) as phone:
        phone.say("/stop")
        code = phone.code()
        assert phone.press(code.replace("confirm", "cancel")) == ["Nothing was done."]
        assert phone.press(code) == ["There is nothing to confirm: ask again."]
        assert not KillSwitchFile.of(phone.config).is_on()


def test_a_confirmation_holds_for_a_minute(folder: Path) -> None:
    with on_the_phone(folder) as phone:
        phone.say("/stop")
        phone.clock.utc += timedelta(seconds=61)
        assert phone.press(phone.code()) == ["There is nothing to confirm: ask again."]
        assert not KillSwitchFile.of(phone.config).is_on()


def test_what_was_asked_long_ago_is_not_done(folder: Path) -> None:
    with on_the_phone(folder) as phone:
        (text,) = phone.say("/flatten", at=START - timedelta(minutes=5))
        assert "was sent more than a minute ago, so it is not done" in text


def test_what_was_written_before_the_bot_listened_is_passed_over(folder: Path) -> None:
    with bot_api() as api:
        for _ in range(3):
            api.write("/stop", OURS, START)
        given = {"telegram_bot_token": TOKEN, "telegram_commands": True, "telegram_users": str(OURS)}
        phone = Phone(api, settings(folder, **given, telegram_api_url=api.url, alert_private_hosts="127.0.0.1"), Clock())
        phone.bot.turn()
        assert api.sent == []
        assert len(phone.say("/help")) == 1


def test_the_emergency_stop_cannot_be_lifted_from_afar(folder: Path) -> None:
    with on_the_phone(folder) as phone:
        (folder / "EMERGENCY_STOP").touch()
        phone.say("/resume")
        (text,) = phone.press(phone.code())
        assert text == "The emergency stop stays: EMERGENCY_STOP can only be lifted on the machine itself."
        assert KillSwitchFile.of(phone.config).is_on()


def test_where_no_file_is_looked_for_that_is_said(folder: Path) -> None:
    with bot_api() as api:
        given = {"telegram_bot_token": TOKEN, "telegram_commands": True, "telegram_users": str(OURS), "enable_kill_switch": False}
        phone = Phone(api, settings(folder, **given, telegram_api_url=api.url, alert_private_hosts="127.0.0.1"), Clock())
        phone.say("/stop")
        assert phone.press(phone.code()) == ["ENABLE_KILL_SWITCH=false: the trader does not look for a stop file. End it on its machine."]


def test_a_hostile_text_comes_back_as_text_and_a_secret_not_at_all(traded: Path) -> None:
    with on_the_phone(traded) as phone:
        (text,) = phone.say(f"/<b>{TOKEN}</b>")
        assert TOKEN not in text
        (text,) = phone.say("/" + "x" * 4000)
        assert len(text) < 100


LIKE_UPDATES = st.dictionaries(
    st.sampled_from(["message", "callback_query", "edited_message"]), st.recursive(st.none() | st.text() | st.integers(), st.lists)
)


@given(LIKE_UPDATES)
def test_an_update_that_is_not_as_documented_is_passed_over(update: dict[str, Any]) -> None:
    assert said_in({"update_id": 1, **update}) is None


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([1, 2]), st.integers(0, 90), st.booleans()), max_size=40))
def test_a_question_is_confirmed_once_by_who_was_asked_and_in_time(steps: list[tuple[int, int, int, bool]]) -> None:
    questions, now = Questions(), START
    open_: dict[str, Question] = {}
    for number, user, passed, asks in steps:
        now += timedelta(seconds=passed)
        if asks:
            open_ = {code: other for code, other in open_.items() if other.user != user}
            question = Question("stop", user, now)
            open_[questions.ask(number, question)] = question
            continue
        known = open_.get(str(number))
        expected = known if known and known.user == user and now - known.asked_at <= timedelta(seconds=60) else None
        assert questions.confirm(str(number), user, now) == expected
        if known and known.user == user:
            del open_[str(number)]


def test_while_it_is_paused_no_entry_is_sent_and_exits_are(folder: Path) -> None:
    def pause_after_the_entry(trader: Any) -> None:
        if trader.state.positions:
            PauseFile.of(trader.config).put("a test")

    ran = run_live(folder, loaded(BuysAndSells), eurusd(60), on_turn=pause_after_the_entry)
    assert ran.count("trades") == 1
    (folder / "second").mkdir()
    PauseFile(folder / "second").put("a test")
    ran = run_live(folder / "second", loaded(BuysAndSells), eurusd(60))
    assert ran.rows("SELECT status FROM orders WHERE kind = 'ENTRY'") == [{"status": "DENIED"}]
    assert "PAUSE_ENTRIES" in ran.rows("SELECT message FROM orders")[0]["message"]
    assert ran.count("events", "event_type = 'PAUSED'") == 1


def test_a_folder_that_cannot_be_read_counts_as_a_pause(folder: Path) -> None:
    (folder / "file").touch()
    assert PauseFile(folder / "file").is_on()
    assert not PauseFile(folder).is_on()


def test_the_process_answers_through_the_documented_interface_and_ends_with_its_parent(folder: Path) -> None:
    with bot_api() as api:
        lines = [f"TELEGRAM_BOT_TOKEN={TOKEN}", "TELEGRAM_COMMANDS=true", f"TELEGRAM_USERS={OURS}", f"TELEGRAM_API_URL={api.url}"]
        lines += ["ALERT_PRIVATE_HOSTS=127.0.0.1", f"AUDIT_DB_PATH={folder}/audit.db", f"KILL_SWITCH_FILE={folder}/EMERGENCY_STOP"]
        file = folder / "own.env"
        file.write_text("\n".join(lines))
        file.chmod(0o600)
        command = [sys.executable, "-m", "Live", "telegram", "--with-parent", "--config", str(file)]
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            until(lambda: api.polls >= 2, 120)
            api.write("/help", OURS, datetime.now(UTC))
            until(lambda: api.sent, 120)
            said, _ = process.communicate(timeout=60)  # closes its standard input
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()
    assert TOKEN not in said.decode()
