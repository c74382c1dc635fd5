import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from Live.config import PROJECT_ROOT, LiveConfig, Secret, load_config
from Live.errors import Misconfigured

TEMPLATE = PROJECT_ROOT / ".env.template"
SECRETS = (
    "MT5_PASSWORD",
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_CHAT_ID",
    "ALERT_WEBHOOK_URL",
    "ALERT_WEBHOOK_SECRET",
    "SMTP_PASSWORD",
    "APPRISE_URLS",
    "HEARTBEAT_URL",
)
TOKEN = "123456789:" + "Abc-_" * 7


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env.test"
    path.write_text("")
    path.chmod(0o600)  # it may hold secrets
    return path


def loaded(text: str, path: Path, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> LiveConfig:
    path.write_text(text, encoding="utf-8")
    return load_config(flags or {}, path, environ or {})


def mistakes(text: str, path: Path, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        loaded(text, path, flags, environ)
    return caught.value.mistakes


def test_a_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default(env_file: Path) -> None:
    text = "MAX_POSITIONS=2\nMAX_DAILY_TRADES=2\nDEVIATION_POINTS=2"
    config = loaded(text, env_file, {"max_positions": "4", "MT5_SERVER": None}, {"MAX_POSITIONS": "3", "MAX_DAILY_TRADES": "3"})
    assert (config.max_positions, config.max_daily_trades, config.deviation_points, config.max_retry_attempts) == (4, 3, 2, 3)


def test_another_settings_file_really_selects_other_settings(tmp_path: Path) -> None:
    """D23: the original read its settings at import, so that `--config` changed next to nothing."""
    ema, rsi = tmp_path / ".env.ema", tmp_path / ".env.rsi"
    ema.write_text("MAGIC_NUMBER=1\nDRY_RUN=false\nMAX_DAILY_LOSS_PCT=2")
    rsi.write_text("MAGIC_NUMBER=2\nMAX_DAILY_TRADES=99")
    first, second = load_config({}, ema, {}), load_config({}, rsi, {})
    assert (first.magic_number, first.dry_run, first.max_daily_loss_pct, first.max_daily_trades) == (1, False, 2.0, 10)
    assert (second.magic_number, second.dry_run, second.max_daily_loss_pct, second.max_daily_trades) == (2, True, 5.0, 99)


def test_the_template_holds_every_key_once_with_its_default() -> None:
    assert load_config({}, TEMPLATE, {}) == LiveConfig()
    keys = re.findall(r"^([A-Z0-9_]+)=", TEMPLATE.read_text(), re.MULTILINE)
    assert sorted(keys) == sorted(name.upper() for name in LiveConfig.model_fields)


@pytest.mark.parametrize("name", LiveConfig.model_fields)
def test_the_template_says_what_is_allowed_for(name: str) -> None:
    comment = re.search(rf"((?:^#.*\n)+){name.upper()}=", TEMPLATE.read_text(), re.MULTILINE)
    assert comment is not None
    assert f"({LiveConfig.model_fields[name].description})" in comment[1]


def test_all_mistakes_come_together_and_each_names_key_value_place_and_what_is_allowed(env_file: Path) -> None:
    found = mistakes("DRY_RUN=yes\nMAX_POSITIONS=ten\n\n# why\nTIMEFRAME=7x\n", env_file, {"sizing": "big"}, {"MT5_TIMEOUT": "5"})
    assert found == (
        "MT5_TIMEOUT=5 (environment): want a whole number from 1000 to 600000 milliseconds",
        "DRY_RUN=yes (.env.test, line 1): want true or false",
        "TIMEFRAME=7x (.env.test, line 5): want a MetaTrader timeframe, such as 1m, 5m, 1h, 4h, 1d, 1w, 1mo or M1, H1, D1, W1, MN1",
        "SIZING=big (command line): want auto, risk, strategy or fixed",
        "MAX_POSITIONS=ten (.env.test, line 2): want a whole number from 1 to 10000",
    )


def test_a_misspelt_key_in_the_file_is_a_mistake_and_the_right_one_is_offered(env_file: Path) -> None:
    assert mistakes("MAX_DAILY_TRADE=3\nCOLOUR=red", env_file) == (
        "MAX_DAILY_TRADE (.env.test, line 1) is no setting: did you mean MAX_DAILY_TRADES?",
        "COLOUR (.env.test, line 2) is no setting: see .env.template for those that are",
    )


def test_a_misspelt_key_never_shows_its_value(env_file: Path) -> None:
    assert "hunter2" not in " ".join(mistakes("MT5_PASSWRD=hunter2", env_file))


def test_other_environment_variables_are_none_of_our_business(env_file: Path) -> None:
    assert loaded("", env_file, environ={"MAX_DAILY_TRADE": "3", "PATH": "/bin", "dry_run": "false"}) == LiveConfig()


@pytest.mark.parametrize("text", ["true", "TRUE", " true ", "True", '"true"', "true    # as in the README"])
def test_true_is_spelt(text: str, env_file: Path) -> None:
    assert loaded(f"ALLOW_REAL_ACCOUNT={text}", env_file).allow_real_account is True


@pytest.mark.parametrize("text", ["yes", "1", "on", "t", "y", "wahr", "truee", ""])
def test_no_other_word_switches_real_money_on(text: str, env_file: Path) -> None:
    assert len(mistakes(f"ALLOW_REAL_ACCOUNT={text}", env_file)) == 1


@pytest.mark.parametrize("name", [name for name, field in LiveConfig.model_fields.items() if "number" in str(field.description)])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1_000", "ten", "-1", "1e999", "0x10"])
def test_what_is_not_a_finite_number_is_refused_for(name: str, value: str, env_file: Path) -> None:
    (sentence,) = mistakes(f"{name.upper()}={value}", env_file)
    assert sentence.startswith(f"{name.upper()}={value} (.env.test, line 1): want ")


@given(st.floats() | st.integers())
def test_the_daily_loss_limit_is_a_percentage_or_a_mistake(value: float) -> None:
    flags = {"max_daily_loss_pct": str(value)}
    if 0 < value <= 100:
        assert load_config(flags, TEMPLATE, {}).max_daily_loss_pct == value
    else:
        with pytest.raises(Misconfigured, match="MAX_DAILY_LOSS_PCT="):
            load_config(flags, TEMPLATE, {})


@given(st.dictionaries(st.sampled_from([name.upper() for name in LiveConfig.model_fields]), st.text()))
def test_whatever_the_environment_holds_there_are_settings_or_sentences(environ: dict[str, str]) -> None:
    try:
        load_config({}, TEMPLATE, environ)
    except Misconfigured as error:
        keys = {re.split("[ =]", mistake)[0] for mistake in error.mistakes}
        assert keys <= set(environ)


@pytest.mark.parametrize("key", ["DRY_RUN", "MAX_POSITIONS", "MAX_DAILY_LOSS_PCT", "SYMBOLS", "LOG_DIR", "SIM_SPEED", "SIZING"])
def test_an_empty_value_is_not_silently_the_default(key: str, env_file: Path) -> None:
    (sentence,) = mistakes(f"{key}=", env_file)
    assert sentence.startswith(f"{key} (.env.test, line 1) is empty: want ")


def test_symbols_are_a_list_without_repetition(env_file: Path) -> None:
    assert loaded("SYMBOLS= EURUSD , GBPUSD.m,Volatility 75 Index", env_file).symbols == ("EURUSD", "GBPUSD.m", "Volatility 75 Index")
    for text in ("EURUSD,EURUSD", "EURUSD,,GBPUSD", "EURUSD,", ",", "X" * 32):
        assert "each once" in mistakes(f"SYMBOLS={text}", env_file)[0]


@pytest.mark.parametrize(("text", "name"), [("1h", "H1"), ("H1", "H1"), ("60m", "H1"), ("1d", "D1"), ("5m", "M5"), ("1mo", "MN1")])
def test_a_timeframe_in_either_spelling_has_metatraders_name(text: str, name: str, env_file: Path) -> None:
    assert loaded(f"TIMEFRAME={text}", env_file).timeframe == name


def test_the_magic_number_fills_a_signed_64_bit_number_and_no_more(env_file: Path) -> None:
    assert loaded(f"MAGIC_NUMBER={2**63 - 1}", env_file).magic_number == 2**63 - 1
    assert mistakes(f"MAGIC_NUMBER={2**63}", env_file)
    assert mistakes("MAGIC_NUMBER=0", env_file)


def test_relative_paths_start_at_the_project_and_absolute_ones_stay(env_file: Path, tmp_path: Path) -> None:
    config = loaded(f"LOG_DIR=my logs\nAUDIT_DB_PATH={tmp_path / 'a.db'}", env_file)
    assert config.log_dir == PROJECT_ROOT / "my logs"
    assert config.audit_db_path == tmp_path / "a.db"
    assert config.kill_switch_file == PROJECT_ROOT / "EMERGENCY_STOP"


@pytest.mark.parametrize("path", ["~nobody-of-that-name/logs", "a\0b"])
def test_a_path_that_cannot_be_one_is_a_mistake(path: str, env_file: Path) -> None:
    assert mistakes("", env_file, {"log_dir": path}) == (f"LOG_DIR={path} (command line): want the path of a folder",)


def test_one_price_file_is_for_the_only_symbol(env_file: Path, tmp_path: Path) -> None:
    assert loaded("SYMBOLS=GOOG\nSIM_PRICES=prices/goog.csv", env_file).sim_prices == {"GOOG": PROJECT_ROOT / "prices/goog.csv"}
    config = loaded(f"SYMBOLS=GOOG,SPY\nSIM_PRICES=GOOG=g.csv, SPY={tmp_path}/s.csv", env_file)
    assert config.sim_prices == {"GOOG": PROJECT_ROOT / "g.csv", "SPY": tmp_path / "s.csv"}
    assert loaded("SYMBOLS=GOOG\nSIM_PRICES=runs/n=1/g.csv", env_file).sim_prices == {"GOOG": PROJECT_ROOT / "runs/n=1/g.csv"}
    assert loaded("", env_file).sim_prices == {}


@pytest.mark.parametrize("prices", ["a.csv", "GOOG=a.csv", "GOOG=a.csv,QQQ=b.csv", "GOOG=a.csv,SPY=b.csv,QQQ=c.csv"])
def test_every_symbol_has_one_price_file_or_none_has(prices: str, env_file: Path) -> None:
    assert mistakes(f"SYMBOLS=GOOG,SPY\nSIM_PRICES={prices}", env_file) == (
        "SIM_PRICES wants one file for each of SYMBOLS=GOOG,SPY: write GOOG=FILE,SPY=FILE",
    )


@pytest.mark.parametrize("prices", ["a.csv,b.csv", "GOOG=a.csv,GOOG=b.csv", "GOOG=", "GOOG=a.csv,b.csv"])
def test_price_files_that_cannot_be_told_apart_are_refused(prices: str, env_file: Path) -> None:
    assert mistakes(f"SYMBOLS=GOOG\nSIM_PRICES={prices}", env_file)[0].startswith(f"SIM_PRICES={prices} (.env.test")


def test_the_speed_of_a_replay_is_a_number_or_max(env_file: Path) -> None:
    assert loaded("SIM_SPEED=max", env_file).sim_speed == math.inf
    assert loaded("SIM_SPEED=3600", env_file).sim_speed == 3600.0
    assert mistakes("SIM_SPEED=fast", env_file) == ("SIM_SPEED=fast (.env.test, line 1): want max, or a number above 0",)


def test_optional_numbers_may_be_empty(env_file: Path) -> None:
    config = loaded("MT5_LOGIN=\nMAX_SIGNAL_AGE_SECONDS=\nSIM_BALANCE=", env_file)
    assert (config.mt5_login, config.max_signal_age_seconds, config.sim_balance) == (None, None, None)
    config = loaded("MT5_LOGIN=5001\nMAX_SIGNAL_AGE_SECONDS=90\nSIM_BALANCE=2500.5", env_file)
    assert (config.mt5_login, config.max_signal_age_seconds, config.sim_balance) == (5001, 90.0, 2500.5)


def test_words_are_taken_in_either_case(env_file: Path) -> None:
    config = loaded("LOG_LEVEL=debug\nMT5_TERMINAL=Simulated\nKILL_SWITCH_ACTION=FLATTEN", env_file)
    assert (config.log_level, config.mt5_terminal, config.kill_switch_action) == ("DEBUG", "simulated", "flatten")


def test_alerts_that_nobody_would_get_are_refused(env_file: Path) -> None:
    names = "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, ALERT_WEBHOOK_URL, SMTP_HOST, APPRISE_URLS or HEARTBEAT_URL"
    assert mistakes("ENABLE_ALERTS=true", env_file) == (f"ENABLE_ALERTS=true, and nobody to tell: set {names} (docs/alerts.md)",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"TELEGRAM_BOT_TOKEN={TOKEN}", "TELEGRAM_BOT_TOKEN is set and TELEGRAM_CHAT_ID is empty: Telegram needs both"),
        ("HEARTBEAT_URL=https://hc.example/a\nTELEGRAM_CHAT_ID=12345678", "TELEGRAM_CHAT_ID is set and TELEGRAM_BOT_TOKEN is empty"),
        ("TELEGRAM_BOT_TOKEN=hunter2\nTELEGRAM_CHAT_ID=12345678", "TELEGRAM_BOT_TOKEN=*** is no bot's token: want the one that @BotFather"),
        ("ALERT_WEBHOOK_URL=http://example.org/hunter2", "ALERT_WEBHOOK_URL=***: want https://; http is only for machines of your own"),
        ("ALERT_WEBHOOK_URL=ftp://example.org/hunter2", "ALERT_WEBHOOK_URL=***: want an address that begins with https://"),
        ("ALERT_WEBHOOK_URL=https://[hunter2", "ALERT_WEBHOOK_URL=***: this is no address"),
        ("HEARTBEAT_URL=https:///hunter2", "HEARTBEAT_URL=***: want an address that begins with https://"),
        ("SMTP_HOST=mail.example\nEMAIL_FROM=a@b.example", "SMTP_HOST is set and EMAIL_TO is empty: e-mail needs both"),
        ("SMTP_HOST=mail.example\nEMAIL_TO=a@b.example", "SMTP_HOST is set and EMAIL_FROM is empty: e-mail needs both"),
        (
            "SMTP_HOST=mail.example\nEMAIL_TO=a@b.example\nEMAIL_FROM=a@b.example\nSMTP_SECURITY=none\nSMTP_PASSWORD=hunter2",
            "SMTP_SECURITY=none would send SMTP_PASSWORD in the open: set starttls or ssl",
        ),
    ],
)
def test_a_channel_that_cannot_work_is_refused_when_alerts_are_on(text: str, sentence: str, env_file: Path) -> None:
    (found,) = mistakes(f"ENABLE_ALERTS=true\n{text}", env_file)
    assert found.startswith(sentence)
    assert "hunter2" not in found
    assert loaded(text, env_file).enable_alerts is False


def test_commands_need_a_bot_and_somebody_who_may_give_them(env_file: Path) -> None:
    assert mistakes("TELEGRAM_COMMANDS=true", env_file) == (
        "TELEGRAM_COMMANDS=true needs a bot: set TELEGRAM_BOT_TOKEN",
        "TELEGRAM_COMMANDS=true, and nobody may give any: set TELEGRAM_USERS to the numbers of those who may",
    )
    config = loaded(f"TELEGRAM_COMMANDS=true\nTELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_USERS=17, 18", env_file)
    assert config.telegram_users == (17, 18)


def test_a_machine_of_ones_own_may_be_named_and_then_needs_no_https(env_file: Path) -> None:
    text = "ENABLE_ALERTS=true\nALERT_WEBHOOK_URL=http://nas.local:8080/hook\nALERT_PRIVATE_HOSTS=nas.local, 192.168.1.5"
    assert loaded(text, env_file).alert_private_hosts == ("nas.local", "192.168.1.5")


@pytest.mark.parametrize("text", ["LOUD", "INFO order", "INFO orders=off", "INFO order=LOUD", "order=INFO", "INFO,order=off"])
def test_a_route_is_a_level_and_the_types_that_differ(text: str, env_file: Path) -> None:
    (found,) = mistakes(f"TELEGRAM_ALERTS={text}", env_file)
    assert found == f"TELEGRAM_ALERTS={text} (.env.test, line 1): want {LiveConfig.model_fields['telegram_alerts'].description}"
    assert loaded("TELEGRAM_ALERTS=  error  Order=info signal=OFF ", env_file).telegram_alerts == "error Order=info signal=OFF"


@pytest.mark.parametrize("token", ["", "x" * 31])
def test_a_dashboard_that_lets_other_machines_in_needs_a_long_token(env_file: Path, token: str) -> None:
    assert mistakes(f"DASHBOARD_HOST=192.0.2.7\nDASHBOARD_TOKEN={token}", env_file) == (
        "DASHBOARD_HOST=192.0.2.7 lets other machines in: set a DASHBOARD_TOKEN of 32 characters or more",
    )
    config = loaded(f"DASHBOARD_HOST=192.0.2.7\nDASHBOARD_TOKEN={'x' * 32}", env_file)
    assert (config.dashboard_host, "x" * 32 in config.secrets()) == ("192.0.2.7", True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "example.org", "224.0.0.1", "127.0.0.1:5000"])
def test_the_dashboard_listens_at_one_address_and_not_at_all_of_them(env_file: Path, host: str) -> None:
    (mistake,) = mistakes(f"DASHBOARD_HOST={host}", env_file)
    assert mistake.startswith(f"DASHBOARD_HOST={host} ")
    assert mistake.endswith("want one address of this machine, such as 127.0.0.1")


def test_a_fixed_size_above_the_limit_is_refused_at_the_start(env_file: Path) -> None:
    assert mistakes("SIZING=fixed\nFIXED_LOTS=20", env_file) == (
        "FIXED_LOTS=20 is more than MAX_POSITION_SIZE=10: every entry would be refused",
    )
    assert loaded("FIXED_LOTS=20", env_file).fixed_lots == 20


def test_symbols_of_ones_own_are_for_the_retail_broker(env_file: Path) -> None:
    (told,) = mistakes("SIM_SYMBOLS=mine.toml", env_file)
    assert told.endswith("mine.toml has no say with SIM_BROKER=parity: set SIM_BROKER=retail, or leave it empty")
    assert loaded("SIM_SYMBOLS=mine.toml\nSIM_BROKER=retail", env_file).sim_symbols == PROJECT_ROOT / "mine.toml"
    assert loaded("SIM_SYMBOLS=", env_file).sim_symbols is None


def test_the_settings_file_must_be_there_and_readable(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere: cannot be read \(No such file or directory\); copy \.env\.template to it"):
        load_config({}, tmp_path / "nowhere", {})
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_config({}, tmp_path, {})
    (tmp_path / "utf16").write_text("DRY_RUN=true", encoding="utf-16")
    with pytest.raises(Misconfigured, match="is not UTF-8 text"):
        load_config({}, tmp_path / "utf16", {})


def test_the_byte_order_mark_and_line_ends_of_windows_are_read_over(env_file: Path) -> None:
    env_file.write_bytes(b"\xef\xbb\xbfDRY_RUN=false\r\nMT5_PATH=C:\\Program Files\\MetaTrader 5\\terminal64.exe\r\n")
    config = load_config({}, env_file, {})
    assert config.dry_run is False
    assert config.mt5_path == r"C:\Program Files\MetaTrader 5\terminal64.exe"


def test_a_password_is_taken_as_it_is_written(env_file: Path) -> None:
    assert loaded("MT5_PASSWORD=a$b${HOME}%c#d", env_file).password() == "a$b${HOME}%c#d"
    assert loaded("MT5_PASSWORD='a #b '", env_file).password() == "a #b "


def test_lines_that_say_nothing_or_say_it_twice_are_named_without_their_text(env_file: Path) -> None:
    found = mistakes("DRY_RUN=true\nhunter2\nMT5_PASSWORD='unclosed\nDRY_RUN=false\n", env_file)
    said = [sentence.split("line ")[1] for sentence in found]
    assert said == [
        "2: want KEY=value",
        "3: want KEY=value",
        "4) stands there a second time: keep one of them",
    ]
    assert "hunter2" not in " ".join(found)
    assert "unclosed" not in " ".join(found)


@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_is_never_printed(key: str, env_file: Path) -> None:
    config = loaded(f"{key}=s3cret-word", env_file)
    assert getattr(config, key.lower()).reveal() == "s3cret-word"
    assert config.public()[key] == "***"
    everything = (repr(config), str(config), json.dumps(config.public()), f"{config.model_dump()}", f"{dict(config)}")
    assert not any("s3cret-word" in text for text in everything)
    assert config.secrets() == ("s3cret-word",)


def test_a_secret_that_is_not_set_is_seen_to_be_empty() -> None:
    assert LiveConfig().public()["MT5_PASSWORD"] == ""
    assert LiveConfig().secrets() == ()
    assert not Secret("")


def test_the_public_settings_are_plain_json() -> None:
    public = json.loads(json.dumps(LiveConfig().public(), allow_nan=False))
    assert public["SYMBOLS"] == ["EURUSD"]
    assert public["SIM_SPEED"] == "max"
    assert public["TIMEFRAME"] == "H1"
    assert public["MT5_LOGIN"] is None
    assert list(public) == [name.upper() for name in LiveConfig.model_fields]


class MemoryKeyring(KeyringBackend):
    priority = 1
    passwords: ClassVar[dict[tuple[str, str], str]] = {("MT5", "5001"): "from the ring"}

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        return self.passwords.get((service, username))


class BrokenKeyring(MemoryKeyring):
    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("no D-Bus here")


@pytest.fixture
def _keyring_is_put_back() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("_keyring_is_put_back")
def test_an_empty_password_is_looked_up_in_the_keyring_under_the_login(env_file: Path) -> None:
    keyring.set_keyring(MemoryKeyring())  # type: ignore[no-untyped-call]
    config = loaded("MT5_LOGIN=5001", env_file)
    assert config.secrets() == ()
    assert config.password() == "from the ring"
    assert config.secrets() == ("from the ring",)
    assert "from the ring" not in repr(config)
    assert loaded("MT5_LOGIN=5002", env_file).password() == ""
    assert loaded("MT5_LOGIN=5001\nMT5_PASSWORD=own", env_file).password() == "own"


@pytest.mark.usefixtures("_keyring_is_put_back")
def test_a_keyring_that_fails_is_an_empty_one(env_file: Path) -> None:
    keyring.set_keyring(BrokenKeyring())  # type: ignore[no-untyped-call]
    assert loaded("MT5_LOGIN=5001", env_file).password() == ""


def test_without_a_login_nobody_asks_the_keyring(env_file: Path) -> None:
    program = "import sys; from Live.config import LiveConfig; LiveConfig().password(); sys.exit('keyring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, check=False).returncode == 0


def test_settings_cannot_be_changed_after_the_start() -> None:
    with pytest.raises(ValueError, match="frozen"):
        LiveConfig().dry_run = False  # type: ignore[misc]


def test_a_wrong_secret_is_not_shown_in_its_mistake() -> None:
    with pytest.raises(Misconfigured, match=r"MT5_PASSWORD=\*\*\* \(command line\): want any text"):
        load_config({"mt5_password": 12345}, TEMPLATE, {})
