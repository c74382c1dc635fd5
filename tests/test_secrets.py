import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from Live.__main__ import main
from Live.config import SECRETS, LiveConfig, load_config
from Live.errors import Misconfigured
from Live.secret_sources import LONGEST, SERVICE

TOKEN = "123456789:" + "Abc-_" * 7
KEYS = tuple(name.upper() for name in SECRETS)


class MemoryKeyring(KeyringBackend):
    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class ChattyKeyring(MemoryKeyring):
    """Repeats what it was given when it fails."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError(f"cannot keep {password}")


@pytest.fixture(autouse=True)
def ring() -> Iterator[MemoryKeyring]:
    before, made = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    file = tmp_path / "own.env"
    file.touch(mode=0o600)
    return file


def loaded(file: Path, text: str = "", **environ: str) -> LiveConfig:
    file.write_text(text)
    return load_config({}, file, environ)


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


# the keyring, from the command line


def test_a_secret_is_kept_listed_used_and_taken_out_and_never_printed(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ring: MemoryKeyring
) -> None:
    typed(monkeypatch, "hunter2 hunter2\n")
    assert main(["secrets", "set", "MT5_PASSWORD"]) == 0
    assert ring.kept == {(SERVICE, "MT5_PASSWORD"): "hunter2 hunter2"}
    assert main(["secrets", "list"]) == 0
    assert loaded(env_file, "MT5_LOGIN=5001").password() == "hunter2 hunter2"
    assert main(["secrets", "delete", "MT5_PASSWORD"]) == 0
    assert main(["secrets", "delete", "MT5_PASSWORD"]) == 1
    assert loaded(env_file, "MT5_LOGIN=5001").password() == ""
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines() if line.endswith("in the keyring")] == ["MT5_PASSWORD"] * 2
    assert "hunter2" not in out + err


@pytest.mark.parametrize("verb", ["set", "delete"])
def test_what_is_no_key_is_not_repeated(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secrets", verb, "hunter2"]) == 2
    error = capsys.readouterr().err
    assert "that is no key of a secret: want one of MT5_PASSWORD" in error or "MT5_PASSWORD" in error
    assert "hunter2" not in error


def test_a_secret_cannot_be_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secrets", "set", "MT5_PASSWORD", "hunter2"]) == 2
    assert "Got unexpected extra argument" in capsys.readouterr().err


def test_nothing_is_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ring: MemoryKeyring) -> None:
    typed(monkeypatch, " \n")
    assert main(["secrets", "set", "SMTP_PASSWORD"]) == 2
    assert "SMTP_PASSWORD: nothing was given, so nothing is kept" in capsys.readouterr().err
    assert ring.kept == {}


@pytest.mark.parametrize("backend", [NoKeyring, ChattyKeyring])
def test_without_a_keyring_there_is_a_sentence(
    backend: type[KeyringBackend], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keyring.set_keyring(backend())
    typed(monkeypatch, "hunter2")
    assert main(["secrets", "set", "SMTP_PASSWORD"]) == 2
    error = capsys.readouterr().err
    assert "this machine has no keyring that can be used" in error
    assert "SMTP_PASSWORD_FILE" in error
    assert "hunter2" not in error


def test_where_there_is_no_keyring_nobody_misses_it(env_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    config = loaded(env_file, "ENABLE_ALERTS=true\nHEARTBEAT_URL=https://hc.example/beat-secret")
    assert not config.telegram_bot_token
    assert caplog.text == ""


def test_the_secrets_of_alerts_are_asked_for_once_alerts_are_on(env_file: Path, ring: MemoryKeyring) -> None:
    ring.kept = {(SERVICE, "TELEGRAM_BOT_TOKEN"): TOKEN, (SERVICE, "TELEGRAM_CHAT_ID"): "77777777"}
    assert not loaded(env_file).telegram_bot_token
    config = loaded(env_file, "ENABLE_ALERTS=true")
    assert config.telegram_bot_token.reveal() == TOKEN
    assert set(config.secrets()) == {TOKEN, "77777777"}


# files


def test_a_secret_may_be_in_a_file_of_its_own(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"\ufeff{TOKEN}\r\n", encoding="utf-8")
    assert loaded(env_file, f"TELEGRAM_BOT_TOKEN_FILE={tmp_path}/token").telegram_bot_token.reveal() == TOKEN
    assert loaded(env_file, MT5_PASSWORD_FILE=f"{tmp_path}/token").mt5_password.reveal() == TOKEN
    assert not loaded(env_file, "MT5_PASSWORD_FILE=").mt5_password


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "want one line, with the secret and nothing else"),
        (b"\n", "want one line, with the secret and nothing else"),
        (b"hunter2\nhunter3", "want one line, with the secret and nothing else"),
        (b"\xff\xfe\xff", "it is not UTF-8 text"),
        (b"x" * (LONGEST + 1), f"it holds more than {LONGEST} bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_mistake(content: bytes | None, reason: str, env_file: Path, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        loaded(env_file, f"SMTP_PASSWORD_FILE={tmp_path}/token")
    assert caught.value.mistakes == (f"SMTP_PASSWORD_FILE={tmp_path}/token (own.env, line 1): cannot be used ({reason})",)


def test_a_secret_and_a_file_for_it_in_one_place_are_a_mistake(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter3")
    with pytest.raises(Misconfigured, match="MT5_PASSWORD and MT5_PASSWORD_FILE are both given") as caught:
        loaded(env_file, f"MT5_PASSWORD=hunter2\nMT5_PASSWORD_FILE={tmp_path}/token")
    assert "hunter" not in str(caught.value)


def test_the_environment_wins_over_the_file_and_both_over_the_keyring(env_file: Path, tmp_path: Path, ring: MemoryKeyring) -> None:
    ring.kept = {(SERVICE, "MT5_PASSWORD"): "of the keyring"}
    (tmp_path / "token").write_text("of its own file")
    text = f"MT5_LOGIN=5001\nMT5_PASSWORD_FILE={tmp_path}/token"
    assert loaded(env_file, "MT5_LOGIN=5001").password() == "of the keyring"
    assert loaded(env_file, text).password() == "of its own file"
    assert loaded(env_file, text, MT5_PASSWORD="of the environment").password() == "of the environment"


def test_only_secrets_have_files(env_file: Path) -> None:
    with pytest.raises(Misconfigured, match=r"MT5_SERVER_FILE \(own.env, line 1\) is no setting"):
        loaded(env_file, "MT5_SERVER_FILE=/etc/hostname")


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps no such bits")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
@pytest.mark.parametrize("key", KEYS)
def test_a_settings_file_with_a_secret_that_others_can_read_is_refused(key: str, mode: int, env_file: Path) -> None:
    env_file.write_text(f"{key}=hunter2")
    env_file.chmod(mode)
    with pytest.raises(Misconfigured) as caught:
        load_config({}, env_file, {})
    expected = f"settings file {env_file} holds {key}, and other users of this machine can read it: chmod 600 {env_file}"
    assert caught.value.mistakes == (expected,)
    env_file.chmod(0o600)
    assert load_config({}, env_file, {}).secrets()


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps no such bits")
def test_a_settings_file_without_secrets_may_be_read_by_everybody(env_file: Path) -> None:
    env_file.write_text("MT5_PASSWORD=\nMT5_PASSWORD_FILE=\nMAX_POSITIONS=3")
    env_file.chmod(0o644)
    assert load_config({}, env_file, {}).max_positions == 3


# what is a secret in an address


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", {"XXXXXXXXXXXXXXXXXXXXXXXX"}),
        ("https://me:a-password@example.org/hook", {"a-password"}),
        ("https://example.org/?token=0123456789abcdef", {"0123456789abcdef", "token=0123456789abcdef"}),
    ],
)
def test_the_parts_of_a_secret_address_are_secrets_too(url: str, parts: set[str], env_file: Path) -> None:
    secrets = set(loaded(env_file, f"ALERT_WEBHOOK_URL={url}").secrets())
    assert {url, *parts} <= secrets
    assert not {"example.org", "hooks.slack.com", "me", "/hook"} & (secrets - {"/hook"})
