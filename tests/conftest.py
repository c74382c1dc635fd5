"""What every test shares: none sees the settings of the machine that it runs on, or its keyring, and none fails by the clock."""

import os
from collections.abc import Iterator

import keyring
import pytest
from hypothesis import HealthCheck, settings
from keyring.backends.fail import Keyring as NoKeyring

from Live.config import LiveConfig

# What is drawn at random is drawn anew at every desk, so that something new is tried each day; in CI it is always the same,
# so that a change is judged by what it changes.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower() in LiveConfig.model_fields]:
            patch.delenv(name)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # of child processes
        keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
        yield
