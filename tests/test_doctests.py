import doctest
import importlib

import pytest

from tests.test_architecture import MODULES


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if ">>> " in path.read_text(encoding="utf-8")])
def test_the_cases_in_the_docstrings_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
