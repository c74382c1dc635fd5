"""What every test shares: no test sees the settings of the machine that it runs on."""

import os

import pytest

from Live.config import LiveConfig


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LiveConfig.model_fields:
        for spelling in (name, name.upper()):
            if spelling in os.environ:
                monkeypatch.delenv(spelling)
