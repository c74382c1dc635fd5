"""`python -m Live secrets`: put secrets into the operating system's keyring, and see which there are. Never prints one."""

import getpass
import sys

from rich.console import Console

from Live.config import SECRETS
from Live.errors import Misconfigured
from Live.secret_sources import forget, in_keyring, keep

KEYS = tuple(name.upper() for name in SECRETS)


def set_secret(key: str) -> int:
    """Ask for a secret without showing it, or read one line from a pipe, and keep it."""
    _check(key)
    value = getpass.getpass(f"{key}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not value.strip():
        raise Misconfigured(f"{key}: nothing was given, so nothing is kept")
    keep(key, value)
    _say(f"{key} is in the keyring; leave it empty in .env, and no {key}_FILE")
    return 0


def list_secrets() -> int:
    """Which secrets the keyring holds."""
    for key in KEYS:
        _say(f"{key:22} {'in the keyring' if in_keyring(key) else '–'}")
    return 0


def delete_secret(key: str) -> int:
    """Take one out."""
    _check(key)
    there = forget(key)
    _say(f"{key} was taken out of the keyring" if there else f"{key} is not in the keyring")
    return 0 if there else 1


def _check(key: str) -> None:
    if key not in KEYS:
        # a password may have been typed here by mistake: it is not repeated
        raise Misconfigured(f"that is no key of a secret: want one of {', '.join(KEYS)}")


def _say(text: str) -> None:
    Console(highlight=False, markup=False, soft_wrap=True).out(text, highlight=False)
