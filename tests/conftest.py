"""What every test shares: none sees the settings of the machine that it runs on, or its keyring, and none fails by the clock."""

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.util import get_temp_dir
from pathlib import Path

import keyring
import pytest
from hypothesis import HealthCheck, settings
from keyring.backends.fail import Keyring as NoKeyring

from Live.config import LiveConfig
from tests.browsing import the_browser  # noqa: F401 - a fixture

# What is drawn at random is drawn anew at every desk, so that something new is tried each day; in CI it is always the same,
# so that a change is judged by what it changes.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
settings.register_profile("long", UNHURRIED, max_examples=100)
settings.register_profile("every day", UNHURRIED, max_examples=40)


# Each commit of a record waits for the disk. What survives a power cut is tried on a disk of its own making (tests.faults.powercuts),
# and a killed process leaves its files in memory as on a disk.
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Draw less where a part of the suite runs, and keep files in memory where there is room."""
    settings.load_profile("long" if config.getoption("long") else "every day")
    if _has_room(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def _has_room(folder: Path) -> bool:
    """Whether it is there, has room for all that a run leaves, and lets programs run."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    return shutil.disk_usage(folder).free >= ROOM and not os.statvfs(folder).f_flag & os.ST_NOEXEC


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: the whole suite, of which a part runs each day."""
    parser.addoption("--long", action="store_true", help="Also run what is marked long, and all cases of what is marked every(n).")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long: in an order of its own, since the items may come shuffled. What is named with `::` runs anyway."""
    if config.getoption("long") or any("::" in word for word in config.args):
        return
    cases = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        cases[item.nodeid.split("[")[0]].append(item)
    left_out = {case.nodeid for some in cases.values() for n, case in enumerate(sorted(some, key=_name)) if _is_left_out(case, n)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


def _name(item: pytest.Item) -> str:
    return item.nodeid


def _is_left_out(case: pytest.Item, number: int) -> bool:
    every = case.get_closest_marker("every")
    return case.get_closest_marker("long") is not None or (every is not None and number % every.args[0] > 0)


@pytest.fixture(autouse=True, scope="session")
def _a_machine_of_its_own() -> Iterator[None]:
    """Traders of other processes of the tests have accounts of the same numbers: the locks of a machine are in its folder for what
    does not last, and children take that over."""
    get_temp_dir()  # what multiprocessing clears away at the very end is not in ours, which is gone by then
    root = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    with tempfile.TemporaryDirectory(prefix="machine_", dir=root) as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o755)  # for tests that are nobody for a while
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower() in LiveConfig.model_fields]:
            patch.delenv(name)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # of child processes
        keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
        yield
