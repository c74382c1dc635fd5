"""`bench`: one terminal of each kind in turn, as the test before has left none of its orders behind."""

from collections.abc import Iterator

import pytest

from tests.contract.kinds import BY_HAND, KINDS, Bench
from tests.contract.trading import clear


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--terminal", choices=sorted(BY_HAND), help="try the contract on this terminal instead: native trades on a DEMO account (Windows)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        by_hand = metafunc.config.getoption("--terminal", default=None)
        metafunc.parametrize("kind", [by_hand] if by_hand else list(KINDS), scope="module")


@pytest.fixture(scope="module")
def _kept(kind: str) -> Iterator[Bench]:
    with (KINDS | BY_HAND)[kind]() as bench:
        yield bench


@pytest.fixture
def bench(_kept: Bench) -> Iterator[Bench]:
    assert _kept.mt5.initialize(), _kept.mt5.last_error()
    assert _kept.mt5.symbol_select(_kept.symbol, True)
    yield _kept
    assert _kept.mt5.initialize()
    clear(_kept)
