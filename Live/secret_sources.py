"""Where secrets come from beside the settings themselves: the operating system's keyring, and files of their own (`KEY_FILE`)."""

import logging
import os
import stat
from pathlib import Path

from Live.errors import Misconfigured

SERVICE = "AlgoAgent Live"  # in the keyring; the user name is the setting's key
LOGIN_SERVICE = "MT5"  # where a password of MetaTrader 5 is looked for, too, under the login as user name
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
LONGEST = 4096  # bytes of a file that holds one secret

logger = logging.getLogger("LiveTrader")


def from_keyring(key: str, service: str = SERVICE) -> str:
    """What the keyring holds for `key`; empty when it holds nothing, or there is none that can be asked."""
    import keyring.errors  # late: its backends start services, and most runs need none

    try:
        return keyring.get_password(service, key) or ""
    except keyring.errors.NoKeyringError:
        return ""
    except Exception as error:  # noqa: BLE001 - the door to whichever keyring plug-in the machine has
        logger.warning("No password from the keyring", extra={"extra_data": {"error": type(error).__name__}})
        return ""


def keep(key: str, value: str) -> None:
    """Put a secret into the keyring. Raises Misconfigured, in one sentence, when there is none that takes it."""
    import keyring

    try:
        keyring.set_password(SERVICE, key, value)
    except Exception as error:  # noqa: BLE001 - as above
        raise _no_keyring(key, error) from None


def forget(key: str) -> bool:
    """Take a secret out of the keyring; False when it was not in there. Raises Misconfigured when there is none to ask."""
    import keyring

    try:
        if keyring.get_password(SERVICE, key) is None:
            return False
        keyring.delete_password(SERVICE, key)
    except Exception as error:  # noqa: BLE001 - as above
        raise _no_keyring(key, error) from None
    return True


def in_keyring(key: str) -> bool:
    """Whether the keyring holds it. Raises Misconfigured when there is none to ask."""
    import keyring

    try:
        return keyring.get_password(SERVICE, key) is not None
    except Exception as error:  # noqa: BLE001 - as above
        raise _no_keyring(key, error) from None


def _no_keyring(key: str, error: Exception) -> Misconfigured:
    # never the error's text: a plug-in may repeat what it was given
    return Misconfigured(
        f"this machine has no keyring that can be used ({type(error).__name__}): on Linux a desktop's, or a service such as gnome-keyring; "
        f"else write {key} into a .env that only you can read, or its file's name as {key}_FILE"
    )


def read_secret_file(path: Path) -> str:
    """The secret in a file, without the line's end. Raises OSError or ValueError with a reason that does not repeat it."""
    with path.open("rb") as stream:
        raw = stream.read(LONGEST + 1)
    if len(raw) > LONGEST:
        raise ValueError(f"it holds more than {LONGEST} bytes")
    try:
        text = raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if not text.strip() or "\n" in text:
        raise ValueError("want one line, with the secret and nothing else")
    return text


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine can read a file. Where files have no mode of their own (Windows): False."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & OF_OTHERS)
    except OSError:
        return False
