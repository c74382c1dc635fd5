import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from backtesting.backtesting import Backtest, Strategy
from hypothesis import given
from hypothesis import strategies as st

from Backtest import strategies
from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.strategies import DEFAULTS, check_params, entry_strategy, load_strategy, params_of, parse_params

HEAD = "from backtesting import Strategy\n"
BODY = "    n = 5\n    def init(self): pass\n    def next(self): pass\n"


def strategy(name: str, base: str = "Strategy") -> str:
    return f"class {name}({base}):\n{BODY}"


ONE = HEAD + strategy("Mine")
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TWO = ONE + strategy("Yours")


def written(folder: Path, source: str | bytes, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path


def refusal(spec: str | Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_strategy(spec)
    (mistake,) = caught.value.mistakes
    return mistake


class Sample(Strategy):
    n = 5
    factor = 1.5
    fast = False
    label = "abc"
    _hidden = 1

    def init(self) -> None: ...

    def next(self) -> None: ...


# --- loading


def test_a_file_with_one_strategy_is_loaded_with_the_hash_of_what_was_run(tmp_path: Path) -> None:
    path = written(tmp_path, ONE)
    loaded = load_strategy(path)
    assert (loaded.cls.__name__, loaded.path) == ("Mine", path)
    assert loaded.sha256 == hashlib.sha256(ONE.encode()).hexdigest()


def test_loading_leaves_no_cache_beside_the_file(tmp_path: Path) -> None:
    load_strategy(written(tmp_path, ONE))
    assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]


def test_a_changed_file_is_loaded_as_it_is_now(tmp_path: Path) -> None:
    path = written(tmp_path, ONE)
    load_strategy(path)
    assert load_strategy(written(tmp_path, ONE.replace("n = 5", "n = 6"))).cls.n == 6  # type: ignore[attr-defined]


def test_a_class_is_named_after_a_colon(tmp_path: Path) -> None:
    assert load_strategy(f"{written(tmp_path, TWO)}:Yours").cls.__name__ == "Yours"


def test_the_marked_class_is_meant_when_none_is_named(tmp_path: Path) -> None:
    source = "from Backtest.strategies import entry_strategy\n" + TWO.replace("class Yours", "@entry_strategy\nclass Yours")
    path = written(tmp_path, source)
    assert load_strategy(path).cls.__name__ == "Yours"
    assert load_strategy(f"{path}:Mine").cls.__name__ == "Mine"


def test_a_mark_is_not_inherited() -> None:
    child = type("Child", (entry_strategy(type("Parent", (Sample,), {})),), {})
    assert strategies._chosen(Path("x.py"), SimpleNamespace(__name__=child.__module__, Child=child), "") is child  # type: ignore[arg-type]


def test_imported_and_abstract_classes_do_not_count(tmp_path: Path) -> None:
    source = (
        "from backtesting import Strategy\nfrom backtesting.lib import SignalStrategy, TrailingStrategy\n"
        "class UnfinishedStrategy(Strategy):\n    pass\nclass NotAStrategy:\n    pass\nMyStrategy = TrailingStrategy\n"
    )
    path = written(tmp_path, source + strategy("Real", "UnfinishedStrategy") + "Alias = Real\n")
    assert load_strategy(path).cls.__name__ == "Real"
    assert refusal(f"{path}:TrailingStrategy") == f"{path}: it defines no strategy TrailingStrategy, it has Real"


def test_the_strategies_of_backtesting_lib_can_be_built_upon(tmp_path: Path) -> None:
    source = (
        "from backtesting.lib import TrailingStrategy\nclass Mine(TrailingStrategy):\n    n = 5\n"
        "    def init(self):\n        super().init()\n    def next(self):\n        super().next()\n"
    )
    cls = load_strategy(written(tmp_path, source)).cls
    assert params_of(cls) == {"n": 5}


def test_a_strategy_may_import_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    written(tmp_path, "PERIOD = 7\n", "my_neighbour_for_tests.py")
    source = "from my_neighbour_for_tests import PERIOD\n" + ONE.replace("n = 5", "n = PERIOD")
    assert load_strategy(written(tmp_path, source)).cls.n == 7  # type: ignore[attr-defined]


def test_a_loaded_strategy_runs_in_backtesting(tmp_path: Path) -> None:
    loaded = load_strategy(written(tmp_path, ONE))
    stats = Backtest(builtin_prices("GOOG").iloc[:50], loaded.cls, **loaded.backtest).run(n=3)
    assert stats["# Trades"] == 0


def test_a_windows_path_is_no_class(tmp_path: Path) -> None:
    assert strategies._split(r"C:\codes\sma.py") == (Path(r"C:\codes\sma.py"), "")
    assert strategies._split(r"C:\codes\sma.py:Sma") == (Path(r"C:\codes\sma.py"), "Sma")


# --- what is refused, each in a sentence


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", ": it defines no strategy; want a class like 'class MyStrategy(backtesting.Strategy)' with init() and next()"),
        (HEAD, ": it defines no strategy; want a class like 'class MyStrategy(backtesting.Strategy)' with init() and next()"),
        (TWO, ": it defines several strategies (Mine, Yours); name one, as in mine.py:Mine"),
        (ONE + "def broken(:\n", ", line 6: this is not Python (invalid syntax)"),
        (ONE + "1 / 0\n", ", line 6: it fails when it is run (ZeroDivisionError: division by zero)"),
        ("import no_such_package\n" + ONE, ", line 1: it fails when it is run (ModuleNotFoundError: No module named 'no_such_package')"),
        ("raise SystemExit(3)\n", ", line 1: it fails when it is run (SystemExit: 3)"),
    ],
)
def test_a_file_without_a_usable_strategy_is_refused_in_one_sentence(tmp_path: Path, source: str, told: str) -> None:
    path = written(tmp_path, source)
    assert refusal(path) == f"{path}{told}"


@pytest.mark.parametrize("source", [b"x = '\xff'\n", b"\x00"])
def test_a_binary_file_is_no_strategy(tmp_path: Path, source: bytes) -> None:
    assert "this is not Python" in refusal(written(tmp_path, source))


def test_two_marks_are_one_too_many(tmp_path: Path) -> None:
    source = "from Backtest.strategies import entry_strategy\n" + TWO.replace("class", "@entry_strategy\nclass")
    assert "marks several strategies with @entry_strategy (Mine, Yours)" in refusal(written(tmp_path, source))


def test_a_misspelt_class_or_file_is_asked_back(tmp_path: Path) -> None:
    path = written(tmp_path, TWO)
    assert refusal(f"{path}:Mime") == f"{path}: it defines no strategy Mime, it has Mine, Yours; did you mean Mine?"
    assert refusal(tmp_path / "mime.py") == f"{tmp_path / 'mime.py'}: there is no such strategy file; did you mean mine.py?"
    assert refusal(tmp_path / "none" / "x.py") == f"{tmp_path / 'none' / 'x.py'}: there is no such strategy file"
    assert "the strategy file cannot be read" in refusal(tmp_path / ("x" * 300))
    assert refusal(tmp_path) == f"{tmp_path}: this is a folder; name the strategy file in it"
    assert refusal(f"{written(tmp_path, HEAD)}:Mine") == f"{path}: it defines no strategy Mine, it has none"


# --- BACKTEST


def test_without_backtest_settings_backtestings_defaults_hold(tmp_path: Path) -> None:
    loaded = load_strategy(written(tmp_path, ONE))
    assert loaded.backtest == DEFAULTS
    assert (DEFAULTS["cash"], DEFAULTS["margin"], DEFAULTS["exclusive_orders"]) == (10_000, 1.0, False)


@pytest.mark.parametrize("commission", ["0.0002", "(1, 0.0002)", "-0.05", "lambda size, price: 1.0"])
def test_the_files_settings_go_over_the_defaults(tmp_path: Path, commission: str) -> None:
    source = ONE + f"BACKTEST = dict(cash=5_000, commission={commission}, exclusive_orders=True)\n"
    backtest = load_strategy(written(tmp_path, source)).backtest
    assert (backtest["cash"], backtest["exclusive_orders"], backtest["spread"]) == (5_000, True, 0.0)
    Backtest(builtin_prices("EURUSD").iloc[:9], Sample, **backtest).run()


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    settings = "cash=0, spread=1, commission=(-1, 0), margin=True, trade_on_close=1, hedgin=True"
    path = written(tmp_path, ONE + f"BACKTEST = dict({settings})\n")
    with pytest.raises(BadInput) as caught:
        load_strategy(path)
    assert [mistake.removeprefix(f"{path}: ") for mistake in caught.value.mistakes] == [
        "BACKTEST cash is 0; want a number above 0",
        "BACKTEST spread is 1; want a fraction of the price between 0 and 1, such as 0.0001",
        "BACKTEST commission is (-1, 0); want a fraction between -0.1 and 0.1, a pair (fixed, fraction) or a function of (size, price)",
        "BACKTEST margin is True; want a number above 0 and at most 1 (1 / leverage)",
        "BACKTEST trade_on_close is 1; want True or False",
        f"BACKTEST has no setting hedgin; it may have {', '.join(DEFAULTS)}, fractional_unit; did you mean hedging?",
    ]


@pytest.mark.parametrize("value", ["'5%'", "0.1", "float('nan')", "(1, 2, 3)", "None"])
def test_a_commission_that_backtesting_refuses_is_refused_here(tmp_path: Path, value: str) -> None:
    assert "BACKTEST commission is" in refusal(written(tmp_path, ONE + f"BACKTEST = dict(commission={value})\n"))


def test_backtest_must_be_a_dict(tmp_path: Path) -> None:
    assert "BACKTEST is 10000; want a dict" in refusal(written(tmp_path, ONE + "BACKTEST = 10_000\n"))


# --- parameters


def test_parameters_are_the_public_class_variables() -> None:
    assert params_of(Sample) == {"n": 5, "factor": 1.5, "fast": False, "label": "abc"}
    assert params_of(type("Child", (Sample,), {"n": 7, "more": 1})) == {"n": 7, "factor": 1.5, "fast": False, "label": "abc", "more": 1}


def test_right_parameters_pass() -> None:
    check_params(Sample, {"n": 7, "factor": 2, "fast": True, "label": "x"})


def test_wrong_parameters_are_told_all_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        check_params(Sample, {"fasst": 1, "n": "many", "fast": 1, "factor": True})
    assert caught.value.mistakes == (
        "Sample has no parameter fasst; it has n, factor, fast, label; did you mean fast?",
        "Sample parameter n is 'many'; want a number, as its default 5 is",
        "Sample parameter fast is 1; want true or false",
        "Sample parameter factor is True; want a number, as its default 1.5 is",
    )


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
    )
)
def test_parameters_survive_being_written_as_words(params: dict[str, float]) -> None:
    assert parse_params([f"{name}={value}" for name, value in params.items()]) == params


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "", "a=b", "1,5"])
def test_what_is_no_finite_number_is_a_text(text: str) -> None:
    assert parse_params([f"x={text}"]) == {"x": text}


def test_words_that_name_no_value_are_told_all_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        parse_params(["n1", "2n=3", "a=1", "a=2"])
    assert caught.value.mistakes == (
        "--params 'n1' is no name=value; write for example n1=12",
        "--params '2n=3' is no name=value; write for example n1=12",
        "--params names a twice",
    )


def test_a_file_that_is_not_named_like_a_strategy_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"settings\.env: this is no strategy file; want one whose name ends in \.py"):
        load_strategy(written(tmp_path, "raise SystemExit('it was run')", "settings.env"))
