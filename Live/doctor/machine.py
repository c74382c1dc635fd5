"""This machine: Python, packages, clock."""

import platform
import re
import struct
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from Live.config import PROJECT_ROOT
from Live.doctor.findings import Finding, fail, ok, warn

OLDEST_PYTHON = (3, 11)
SET_UP = "python run.py doctor sets up .venv with the tested versions"
TERMINAL_PACKAGES = {"native": ("MetaTrader5",), "remote": ("mt5linux", "rpyc"), "simulated": ()}
INSTALL = {
    "native": "python -m pip install MetaTrader5 (Windows only); elsewhere set MT5_TERMINAL=remote or simulated",
    "remote": "python -m pip install -r requirements-remote.txt",
}


def machine(kind: str, now: datetime) -> Iterator[Finding]:
    """Python, the packages that a terminal of this kind needs, and the time zone."""
    yield _python()
    yield from _packages()
    yield _terminal_package(kind)
    local = now.astimezone()
    zone = f"{local:%z}"
    yield ok("Time zone", f"{local.tzname()} (UTC{zone[:3]}:{zone[3:5]}), here it is {local:%Y-%m-%d %H:%M}; record and log are in UTC")


def _python() -> Finding:
    bits = struct.calcsize("P") * 8
    text = f"Python {platform.python_version()}, {bits} bit, on {platform.platform()}"
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python", text, "install Python 3.11 or newer from https://www.python.org/downloads/")
    if bits == 32:
        return fail("Python", text, "install the 64-bit Python: MetaTrader 5 and its package are 64-bit programs")
    return ok("Python", text)


def _packages() -> Iterator[Finding]:
    wanted = _pinned((PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8"))
    have = {name: _version(name) for name in wanted}
    missing = [name for name, found in have.items() if found is None]
    other = [f"{name} {found} in place of {wanted[name]}" for name, found in have.items() if found not in (None, wanted[name])]
    if missing:
        yield fail("Packages", f"not installed: {', '.join(missing)}", SET_UP)
    if other:
        yield warn("Packages", f"not the tested versions: {', '.join(other)}", SET_UP)
    if not missing and not other:
        yield ok("Packages", f"{len(wanted)} packages in the tested versions, among them backtesting {wanted['backtesting']}")


def _pinned(requirements: str) -> dict[str, str]:
    """Names and versions of the lines that are for every system.

    >>> _pinned('a==1.0\\n# b==2\\nMetaTrader5==5.0 ; platform_system == "Windows"')
    {'a': '1.0'}
    """
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)\s*$", requirements, re.MULTILINE))


def _terminal_package(kind: str) -> Finding:
    found = {name: _version(name) for names in TERMINAL_PACKAGES.values() for name in names}
    text = ", ".join(f"{name} {is_there or 'not installed'}" for name, is_there in found.items())
    missing = [name for name in TERMINAL_PACKAGES[kind] if found[name] is None]
    if missing:
        return fail("Terminal package", f"{text}; MT5_TERMINAL={kind} needs {' and '.join(missing)}", INSTALL[kind])
    return ok("Terminal package", text if TERMINAL_PACKAGES[kind] else f"{text}; the simulated terminal needs none")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
