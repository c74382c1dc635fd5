import json
import re
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy
from hypothesis import given
from hypothesis import strategies as st

from Backtest.errors import BadInput
from Backtest.simulated_terminal import SimulatedTerminal, constants
from Live.__main__ import main
from Live.config import LiveConfig
from Live.explanations import REASONS, everything, explain, in_words
from Live.outcomes import ERRORS, RETCODES, SWITCHES, Outcome, Retry, verdict_of
from tests.faulty_terminal import FaultyTerminal, answered, without_answer
from tests.live_runs import eurusd, loaded, run_live

SUCCESS = (1, "Success")


class BuysTwice(Strategy):
    """Buys on bars 5 and 15."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        if len(self.data) in (5, 15):
            self.buy(size=1000)


LAST_ERRORS = {name: value for name, value in vars(constants).items() if name.startswith("RES_")}


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["explain", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


# the tables


def test_every_code_has_a_cause_and_a_remedy_and_nothing_else_has() -> None:
    assert set(REASONS) == {0, *RETCODES, *ERRORS}
    assert [code for code, texts in REASONS.items() if not all(text.endswith(".") for text in texts)] == []


def test_every_error_that_the_package_names_is_known_by_the_same_name() -> None:
    assert {name: code for code, (name, _) in ERRORS.items()} == LAST_ERRORS


def test_every_setting_that_is_named_exists() -> None:
    texts = " ".join(f"{item.meaning} {item.cause} {item.remedy} {item.trader}" for item in everything())
    named = set(re.findall(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", texts))
    assert len(named) > 8
    assert {name.lower() for name in named} <= set(LiveConfig.model_fields)


WORDS = {
    Retry.FRESH_QUOTE: "Tries again with a fresh quote",
    Retry.LATER: "Waits RETRY_BACKOFF_BASE seconds",
    Retry.NEXT_FILLING: "Tries once more with the next filling mode",
    Retry.NEW_STOPS: "moved towards the entry price",
}


@pytest.mark.parametrize("code", sorted(RETCODES))
def test_what_the_trader_does_is_what_its_tables_say(code: int) -> None:
    verdict, said = verdict_of(code, SUCCESS), explain(str(code)).trader
    assert ("outcome for unknown" in said) == (verdict.outcome is Outcome.UNKNOWN)
    assert ("for accepted" in said) == (verdict.outcome is Outcome.ACCEPTED)
    assert ("no entries" in said) == (code in SWITCHES)
    for retry, words in WORDS.items():
        assert (words in said) == (verdict.retry is retry)


@pytest.mark.parametrize("code", sorted(code for code in ERRORS if code < 0))
def test_what_the_trader_does_without_an_answer_is_what_its_tables_say(code: int) -> None:
    verdict, said = verdict_of(None, (code, "Terminal: something")), explain(str(code)).trader
    assert ("takes the outcome for unknown" in said) == (verdict.outcome is Outcome.UNKNOWN)
    assert ("ends the order as FAILED" in said) == (verdict.outcome is Outcome.NOT_SENT)


def test_a_refused_order_names_the_command_that_explains_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        terminal.faults += [answered(10019), without_answer((-10001, "IPC send failed"))]
        return terminal

    run_live(tmp_path, loaded(BuysTwice), eurusd(30), made_by=made)
    told = [record.extra_data["more"] for record in caplog.records if record.message == "order answered"]  # type: ignore[attr-defined]
    assert told == ["python -m Live explain 10019", "python -m Live explain -10001"]
    assert [explain(words.split()[-1]).code for words in told] == [10019, -10001]


# looking one up


@pytest.mark.parametrize("word", ["10016", "INVALID_STOPS", "invalid_stops", "TRADE_RETCODE_INVALID_STOPS", " 10016 "])
def test_a_code_is_found_by_its_number_and_its_names(word: str) -> None:
    assert (explain(word).code, explain(word).name) == (10016, "TRADE_RETCODE_INVALID_STOPS")


@pytest.mark.parametrize("word", ["-6", "AUTH_FAILED", "RES_E_AUTH_FAILED"])
def test_an_error_is_found_by_its_number_and_its_names(word: str) -> None:
    assert explain(word).code == -6


def test_zero_is_the_good_answer_of_a_check() -> None:
    assert "no order was sent" in explain("0").cause


@given(st.text() | st.integers().map(str))
def test_any_other_word_is_refused_in_a_sentence(word: str) -> None:
    try:
        found = explain(word)
    except BadInput:
        found = None
    assert found is None or found.code in REASONS


def test_an_error_in_words_names_its_text_its_code_and_the_remedy() -> None:
    assert in_words((-10005, "IPC timeout")).startswith("IPC timeout (-10005): the terminal did not answer in time. Bring the terminal")
    assert in_words((-99, "News")) == "News (-99), a code that is not documented"


# the command


def test_codes_are_printed_with_cause_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "10016", "-10003")
    assert code == 0
    assert out.count("What to do") == out.count("The trader") == 2
    assert out.splitlines()[0].rstrip() == "10016 TRADE_RETCODE_INVALID_STOPS"
    assert max(map(len, out.splitlines())) <= 80


def test_all_codes_fit_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--all")
    assert code == 0
    assert [int(found) for found in re.findall(r"^ *(-?\d+) ", out, re.MULTILINE)] == [item.code for item in everything()]


def test_programs_read_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "10030", "--json")
    assert (code, json.loads(out)[0]["name"]) == (0, "TRADE_RETCODE_INVALID_FILL")


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (["10037"], ["10037 is no documented code"]),
        (["INVALID_STOP", "-99"], ["did you mean INVALID_STOPS?", "-99 is no documented code"]),
        ([], ["python -m Live explain 10016"]),
    ],
)
def test_an_unknown_code_gets_a_sentence_and_exit_code_2(
    words: list[str], sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert all(sentence in err for sentence in sentences)
