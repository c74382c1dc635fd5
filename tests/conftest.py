"""What every test shares: no test sees the settings of the machine that it runs on, or its keyring."""

import os
from collections.abc import Iterator

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from Live.config import LiveConfig


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower() in LiveConfig.model_fields]:
            patch.delenv(name)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # of child processes
        keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
        yield
