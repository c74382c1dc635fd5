import pytest

from Backtest.simulated_terminal.groups import mask

NAMES = ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m", "AUDCAD"]


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ("*USD*", ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m"]),
        ("EURUSD", ["EURUSD"]),
        ("EUR", []),
        ("EUR*", ["EURUSD", "EURUSD.m"]),
        ("*,!*EUR*", ["GBPUSD", "USDJPY", "AUDCAD"]),
        ("!*EUR*,*", ["GBPUSD", "USDJPY", "AUDCAD"]),
        ("!*EUR*", []),
        ("*, !EURUSD", ["GBPUSD", "USDJPY", "EURUSD.m", "AUDCAD"]),
        ("*usd*", []),
        ("EUR*,GBP*", ["EURUSD", "EURUSD.m", "GBPUSD"]),
        ("", []),
        (" , ,*CAD ", ["AUDCAD"]),
        ("EURUSD?m", []),
    ],
)
def test_a_group_keeps_the_names_that_the_core_keeps(group: str, kept: list[str]) -> None:
    assert sorted(filter(mask(group), NAMES)) == sorted(kept)
