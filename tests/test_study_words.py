"""What is typed for a parameter study: `--grid`, `--constraint`, `--maximize`."""

from decimal import Decimal
from typing import Any

import pytest
from backtesting import Strategy
from hypothesis import given
from hypothesis import strategies as st

from Backtest.errors import BadInput
from Backtest.study.constraint import Constraint
from Backtest.study.grid import combinations, parse_grid
from Backtest.study.measure import Measure
from Backtest.study.study import chosen_of
from tests.live_runs import loaded


class Many(Strategy):
    n1 = 10
    n2 = 20
    x = 0.5
    flag = False
    kind = "sma"
    method = 1

    def init(self) -> None: ...

    def next(self) -> None: ...


def values(word: str) -> tuple[Any, ...]:
    [found] = parse_grid([word], Many).values()
    return found


@given(st.integers(-1000, 1000), st.integers(0, 50), st.integers(1, 40), st.integers(0, 39))
def test_a_range_of_whole_numbers_goes_up_to_its_last_value(first: int, count: int, step: int, beyond: int) -> None:
    last = first + count * step + min(beyond, step - 1)
    found = values(f"n1={first}:{last}:{step}")
    assert found == tuple(range(first, last + 1, step))
    assert all(type(value) is int for value in found)


@given(st.integers(-999, 999), st.integers(0, 60), st.integers(1, 99), st.integers(1, 6))
def test_a_range_of_decimals_has_no_binary_noise(first: int, count: int, step: int, digits: int) -> None:
    unit = Decimal(1).scaleb(-digits)
    wanted = [(first + number * step) * unit for number in range(count + 1)]
    found = values(f"x={first * unit}:{wanted[-1]}:{step * unit}")
    assert [Decimal(repr(value)) for value in found] == wanted
    assert all(type(value) is float for value in found)


@given(st.lists(st.one_of(st.integers(-99, 99), st.floats(-9, 9).map(lambda x: round(x, 3))), min_size=1, unique=True))
def test_a_list_is_its_numbers(numbers: list[float]) -> None:
    assert values("x=" + ",".join(map(repr, numbers))) == tuple(numbers)


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("n1=3:5", (3, 4, 5)),
        ("n1=30:5:-10", (30, 20, 10)),
        ("n1=1:2:0.5", (1.0, 1.5, 2.0)),
        ("x=1e-3:3e-3:1e-3", (0.001, 0.002, 0.003)),
        ("flag=true,false", (True, False)),
        ("kind=sma, ema", ("sma", "ema")),
        ("kind=09:30,10:00", ("09:30", "10:00")),
        ("kind=09:30:00", ("09:30:00",)),
        ("n1=7", (7,)),
    ],
)
def test_the_words_of_a_grid(word: str, wanted: tuple[Any, ...]) -> None:
    assert values(word) == wanted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--grid is missing"),
        (["n1"], "--grid 'n1' is no name=values"),
        (["flags=true"], "Many has no parameter flags; it has n1, n2, x, flag, kind, method; did you mean flag?"),
        (["n1=1", "n1=2"], "--grid names n1 twice"),
        (["n1=1:5:0"], "n1=1:5:0 has a step of 0"),
        (["n1=5:1"], "n1=5:1 has no value: its step leads away from 1"),
        (["n1=1:b:2"], "n1=1:b:2 is no range of numbers"),
        (["n1=1:2:3:4"], "n1=1:2:3:4 is no range of numbers"),
        (["n1=1:nan:1"], "is no range of numbers"),
        (["n1=1:1e99999:1"], "is no range of numbers"),
        (["n1=1:1e12:1"], "has 1,000,000,000,000 values, and at most 1,000,000 are tried"),
        (["n1=1:2000", "n2=1:2000"], "--grid has 4,000,000 combinations"),
        (["n1=1,,3"], "n1='1,,3' lacks a value"),
        (["n1="], "n1='' lacks a value"),
        (["n1=1,1.0"], "n1=1,1.0 names a value twice"),
        (["n1=a,b"], "Many parameter n1 is 'a'; want a number"),
        (["flag=1,2"], "Many parameter flag is 1; want true or false"),
        (["method=1,2"], "cannot try a parameter of this name"),
    ],
)
def test_bad_words_of_a_grid(words: list[str], sentence: str) -> None:
    with pytest.raises(BadInput) as fault:
        parse_grid(words, Many)
    assert sentence in str(fault.value)


def test_all_mistakes_of_a_grid_are_told_together() -> None:
    with pytest.raises(BadInput) as fault:
        parse_grid(["m1=1", "n2=9:1", "x=a,b", "flag"], Many)
    assert len(fault.value.mistakes) == 5
    assert all(name in str(fault.value) for name in ("m1", "n2=9:1", "x is 'a'", "x is 'b'", "'flag'"))


NUMBERS = st.integers(-9, 9).map(str) | st.sampled_from(["n1", "n2", "x"])
ARITHMETIC = st.recursive(
    NUMBERS, lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda parts: f"({' '.join(parts)})"), max_leaves=6
)
COMPARED = st.tuples(ARITHMETIC, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), ARITHMETIC).map(" ".join)
CONDITIONS = st.recursive(
    COMPARED,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})") | inner.map("not {}".format)
    ),
    max_leaves=5,
)


@given(CONDITIONS, st.integers(-9, 9), st.integers(-9, 9), st.integers(-90, 90).map(lambda n: n / 10))
def test_a_constraint_means_what_it_means_in_python(text: str, n1: int, n2: int, x: float) -> None:
    params = {"n1": n1, "n2": n2, "x": x}
    assert Constraint(text, params)(params) is eval(text, {}, params)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("5 <= n1 < n2", True),
        ("n2 % 10 == 0 and n2 // 3 == 6 and n2 / 8 == 2.5", True),
        ("kind == 'sma' and not flag", True),
        ("flag == false", True),
        ("-n1 > -n2", True),
        (f"{'-' * 190}n1 == 10", True),
        ("true", True),
    ],
)
def test_what_a_constraint_may_hold(text: str, holds: bool) -> None:
    params = {"n1": 10, "n2": 20, "kind": "sma", "flag": False}
    assert Constraint(text, params)(params) is holds


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os').system('true')", "__import__('os').system('true')"),
        ("n1.real < 3", "n1.real"),
        ("n1 ** 9 > 1", "n1 ** 9"),
        ("n1 << 9 > 1", "n1 << 9"),
        ("[1][0] == 1", "[1][0]"),
        ("n1 in (1, 2)", "n1 in (1, 2)"),
        ("(lambda: n1)() < 1", "(lambda: n1)()"),
        ("n1 if flag else n2", "n1 if flag else n2"),
        ("(n3 := 1) < 2", "(n3 := 1)"),
        ("f'{n1}' == '1'", "f'{n1}'"),
        ("n1 < ...", "..."),
        ("n1 is n2", "n1 is n2"),
    ],
)
def test_what_a_constraint_may_not_hold_is_named(text: str, part: str) -> None:
    with pytest.raises(BadInput) as fault:
        Constraint(text, {"n1", "n2", "flag"})
    assert str(fault.value).startswith("--constraint may hold parameter names, numbers")
    assert str(fault.value).endswith(f"not {part}")


@pytest.mark.parametrize("text", ["", "n1 <", "n1 < n2; n1", "n1 = 3", "(" * 200, "\0", "n" * 201])
def test_what_is_no_condition_at_all(text: str) -> None:
    with pytest.raises(BadInput, match="--constraint"):
        Constraint(text, {"n1", "n2"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("n1 / (n2 - 20) > 1", "has no answer for n1=10 n2=20 kind=sma (division by zero)"),
        ("kind < 3", "has no answer for n1=10"),
        ("kind * 99 == 'a'", "'sma' is no number"),
        ("n1 + n2", "is 30 for n1=10 n2=20 kind=sma; want a condition"),
    ],
)
def test_a_constraint_without_an_answer_names_the_parameters(text: str, sentence: str) -> None:
    params = {"n1": 10, "n2": 20, "kind": "sma"}
    with pytest.raises(BadInput) as fault:
        Constraint(text, params)(params)
    assert sentence in str(fault.value)


def test_a_constraint_may_name_parameters_that_are_not_varied() -> None:
    grid = parse_grid(["n1=5:30:5"], Many)
    assert [each["n1"] for each in chosen_of(loaded(Many), grid, {}, "n1 < n2", None)] == [5, 10, 15]
    assert [each["n1"] for each in chosen_of(loaded(Many), grid, {"n2": 11}, "n1 < n2", None)] == [5, 10]
    with pytest.raises(BadInput, match="allows no combination"):
        chosen_of(loaded(Many), grid, {}, "n1 > 99", None)


def test_tries_are_drawn_the_same_ones_each_time_and_no_more_than_asked_for() -> None:
    grid = parse_grid(["n1=1:40", "n2=1:40"], Many)
    drawn = chosen_of(loaded(Many), grid, {}, "", 50)
    everything = list(combinations(grid))
    assert len(drawn) == 50
    assert [each for each in everything if each in drawn] == drawn  # in the order of the grid
    assert chosen_of(loaded(Many), grid, {}, "", 50) == drawn
    assert chosen_of(loaded(Many), grid, {}, "", 5000) == everything


@pytest.mark.parametrize(
    ("maximize", "minimize", "sentence"),
    [
        ("sqn", None, "--maximize 'sqn' is no statistic of backtesting.py; did you mean 'SQN'?"),
        ("Sharpe", None, "did you mean 'Sharpe Ratio'?"),
        (None, "Max Drawdown", "--minimize 'Max Drawdown' is no statistic of backtesting.py; did you mean 'Max. Drawdown [%]'?"),
        (None, "Volatility", "did you mean 'Volatility (Ann.) [%]'?"),
        ("Start", None, "--maximize 'Start' is no statistic"),
        ("qqqq", None, "it has Duration, Exposure Time [%]"),
        ("SQN", "SQN", "--maximize and --minimize contradict each other"),
    ],
)
def test_a_misspelt_statistic_is_asked_back(maximize: str | None, minimize: str | None, sentence: str) -> None:
    with pytest.raises(BadInput) as fault:
        Measure.of(maximize, minimize)
    assert sentence in str(fault.value)
