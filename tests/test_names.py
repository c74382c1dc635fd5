import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.mt5_connector.names import ALIASES, MOST, not_found, similar

BROKER = ["AUDUSD", "USDJPY", "AAPL.NAS", "GOLDMANSACHS", "XAUEUR", "US3000"]


@pytest.mark.parametrize(
    "found", ["EURUSD.m", "EURUSDm", "EURUSD.pro", "#EURUSD", "EURUSD_SB", "EURUSD-ECN", "m.EURUSD", "eurusd", "EURUSD."]
)
def test_a_name_is_found_with_the_marks_that_brokers_put_on_it(found: str) -> None:
    assert similar("EURUSD", [*BROKER, found]) == (found,)
    assert similar(found, [*BROKER, "EURUSD"]) == ("EURUSD",)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("XAUUSD", "GOLD"),
        ("XAUUSD", "GOLD.i#"),
        ("GOLD", "XAUUSDm"),
        ("US500", "SPX500"),
        ("US500.cash", "SPX500"),
        ("US30", "DJ30.x"),
        ("NAS100", "USTEC"),
        ("GER40", "DE40"),
        ("USOIL", "XTIUSD"),
        ("BTCUSD", "BTCUSDT"),
    ],
)
def test_a_thing_is_found_under_its_other_names(wanted: str, found: str) -> None:
    assert similar(wanted, [*BROKER, found])[0] == found


def test_a_slip_of_the_keyboard_is_found() -> None:
    assert similar("EURSUD", [*BROKER, "EURUSD"]) == ("EURUSD",)
    assert similar("APPL", ["AAPL", "MSFT"]) == ("AAPL",)


def test_the_same_name_comes_before_one_with_marks_and_that_before_an_alias() -> None:
    assert similar("XAUUSD", ["GOLD", "XAUUSD.pro", "xauusd"]) == ("xauusd", "XAUUSD.pro", "GOLD")


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        ("US30", "US3000"),
        ("US100", "US500"),
        ("EURUSD", "USDJPY"),
        ("EURUSD", "EURAUD"),
        ("GOLD", "GOLDMANSACHS"),
        ("CL", "CLOROX"),
        ("NOTHING", "AUDUSD"),
        ("#", "#"),
    ],
)
def test_other_things_are_not_suggested(wanted: str, other: str) -> None:
    assert similar(wanted, [other]) == ()


def test_no_alias_belongs_to_two_things() -> None:
    names = [name for group in ALIASES for name in group]
    assert len(names) == len(set(names))


def test_the_sentence_says_what_to_write() -> None:
    assert "EURUSD.m: if that is the one, write it in place of EURUSD" in not_found("EURUSD", ["EURUSD.m"])
    assert "EURUSD.a, EURUSD.b: write the one that you mean in place of EURUSD" in not_found("EURUSD", ["EURUSD.a", "EURUSD.b"])
    assert "see Market Watch" in not_found("EURUSD", [])


@given(st.text(max_size=31), st.lists(st.text(max_size=31)))
def test_suggestions_are_few_and_names_of_the_broker(wanted: str, names: list[str]) -> None:
    found = similar(wanted, names)
    assert len(found) <= MOST
    assert set(found) <= set(names)
    assert len(set(found)) == len(found)
