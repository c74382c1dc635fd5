import pytest

from Backtest.simulated_terminal.groups import mask

NAMES = ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m", "AUDCAD"]


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        (" , ,*CAD ", ["AUDCAD"]),
        ("EURUSD?m", []),
        ("E*R*D*m", ["EURUSD.m"]),
        ("!*JPY,EUR*,!*.m,USD*", ["EURUSD"]),
        (f"{'*' * 60}X,GBPUSD", ["GBPUSD"]),
        ("***USD***", ["EURUSD", "GBPUSD", "USDJPY", "EURUSD.m"]),
    ],
)
def test_items_are_trimmed_stand_for_whole_names_and_a_refusal_counts_wherever_it_stands(group: str, kept: list[str]) -> None:
    assert sorted(filter(mask(group), NAMES)) == sorted(kept)
