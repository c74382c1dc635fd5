import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.simulated_terminal import constants
from Live.outcomes import RETCODES, Outcome, Retry, verdict_of

SUCCESS = (1, "Success")
DOCUMENTED = {name: value for name, value in vars(constants).items() if name.startswith("TRADE_RETCODE_")}
ACCEPTED = {10008, 10009, 10010, 10025}
UNKNOWN = {10011, 10012, 10023, 10028, 10029, 10031, 10039}
AGAIN = {
    10004: Retry.FRESH_QUOTE,
    10020: Retry.FRESH_QUOTE,
    10021: Retry.FRESH_QUOTE,
    10024: Retry.LATER,
    10030: Retry.NEXT_FILLING,
    10016: Retry.NEW_STOPS,
}
NEVER_LEFT = [
    (-2, "Invalid arguments"),
    (-2, "Invalid number of arguments"),
    (-2, 'Invalid "comment" argument'),
    (-2, "Invalid 1st unnamed argument"),
    (-2, "Unnamed arguments not allowed"),
    (-8, "Auto-Trading using Python API disabled in Terminal"),
    (-10004, "No IPC connection"),
]
MAY_HAVE_LEFT = [
    SUCCESS,
    (-1, "Terminal: Call failed"),
    (-2, "Terminal: Invalid params"),
    (-2, "something new"),
    (-3, "Terminal: Out of memory"),
    (-4, "Terminal: Not found"),
    (-5, "Terminal: Incompatible versions, please install the latest version of Terminal and Python module"),
    (-6, "Terminal: Authorization failed"),
    (-7, "Terminal: Unsupported function"),
    (-10000, "IPC call failed"),
    (-10001, "IPC send failed"),
    (-10002, "IPC recv failed"),
    (-10003, "IPC initialize failed, MetaTrader 5 x64 not found"),
    (-10005, "IPC timeout"),
]


def test_every_retcode_that_the_package_names_is_known_by_the_same_name() -> None:
    assert {f"TRADE_RETCODE_{name}": code for code, (name, _) in RETCODES.items() if name != "HEDGE_PROHIBITED"} == DOCUMENTED


@pytest.mark.parametrize("retcode", sorted(RETCODES))
def test_every_documented_retcode_has_its_class(retcode: int) -> None:
    expected = Outcome.ACCEPTED if retcode in ACCEPTED else Outcome.UNKNOWN if retcode in UNKNOWN else Outcome.REFUSED
    verdict = verdict_of(retcode, SUCCESS)
    assert verdict.outcome is expected
    assert verdict.retry is AGAIN.get(retcode, Retry.NO)
    assert verdict.sentence.startswith(f"{retcode} {RETCODES[retcode][0]}: ")


def test_timeout_is_10012_and_error_is_10011_and_neither_is_tried_again() -> None:
    assert (RETCODES[10011][0], RETCODES[10012][0]) == ("ERROR", "TIMEOUT")
    assert [verdict_of(code, SUCCESS).retry for code in (10011, 10012)] == [Retry.NO, Retry.NO]


def test_a_partial_fill_is_accepted_and_not_an_error() -> None:
    assert verdict_of(10010, SUCCESS).outcome is Outcome.ACCEPTED


def test_placed_without_an_order_ticket_promises_nothing() -> None:
    assert verdict_of(10008, SUCCESS, ticketed=False).outcome is Outcome.UNKNOWN
    assert verdict_of(10009, SUCCESS, ticketed=False).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("error", NEVER_LEFT)
def test_what_never_left_this_machine_was_not_sent(error: tuple[int, str]) -> None:
    assert verdict_of(None, error).outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("error", MAY_HAVE_LEFT)
def test_any_other_silence_is_unknown(error: tuple[int, str]) -> None:
    assert verdict_of(None, error).outcome is Outcome.UNKNOWN


@given(st.integers() | st.none(), st.tuples(st.integers(), st.text()), st.booleans())
def test_every_answer_has_a_verdict_and_what_is_not_listed_is_unknown(retcode: int | None, error: tuple[int, str], ticketed: bool) -> None:
    verdict = verdict_of(retcode, error, ticketed=ticketed)
    listed = retcode in RETCODES or (retcode is None and error[0] in (-2, -8, -10004))
    assert listed or verdict.outcome is Outcome.UNKNOWN
    assert verdict.sentence


@given(st.sampled_from(sorted(RETCODES)) | st.none(), st.sampled_from(NEVER_LEFT + MAY_HAVE_LEFT))
def test_only_what_certainly_did_not_happen_may_be_tried_again(retcode: int | None, error: tuple[int, str]) -> None:
    verdict = verdict_of(retcode, error)
    assert verdict.retry is Retry.NO or verdict.outcome in (Outcome.REFUSED, Outcome.NOT_SENT)
