import copy
import functools
import random
import threading
import warnings
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.session.grafting import Graft, leaving_no_trace

Pair = namedtuple("Pair", "fast slow")


class Foreign:
    """What is never looked into."""

    def __init__(self, content: object = None) -> None:
        self.content = content

    def rule(self) -> object:
        return self.content


class Own:
    """A class of the strategy's own module."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Theirs:
    """A class of another library: nobody knows which of its attributes belong together."""

    def __init__(self, prepared: object, state: object = None) -> None:
        self.prepared, self.state = prepared, state


Own.__module__ = "strategy_file"


def merged(ours: Any, base: Any, theirs: Any, **twins: Any) -> Any:
    return Graft((Foreign,), twins.get("twins", {}), {"strategy_file"}).merged(ours, base, theirs)


def array(*values: float) -> Any:
    return np.array(values, dtype=float)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(np.array_equal(one, other, equal_nan=True))


NAN = float("nan")


@pytest.mark.parametrize(
    ("ours", "base", "theirs", "result"),
    [
        pytest.param(1, 1, 2, 2, id="it follows the data where next() has left it alone"),
        pytest.param(5, 1, 2, 5, id="next() has changed it"),
        pytest.param(5, 1, 1, 5, id="it does not depend on the data"),
        pytest.param(NAN, NAN, 2.0, 2.0, id="NaN is left alone, too"),
        pytest.param(None, None, 3, 3, id="it has come to be"),
        pytest.param(np.float64(1), np.float64(1), np.float64(2), 2.0, id="numpy's scalars"),
        pytest.param("a", "a", "b", "b", id="texts"),
        pytest.param(pd.Timestamp(0), pd.Timestamp(0), pd.Timestamp(1), pd.Timestamp(1), id="times"),
        pytest.param((1, 2), (1, 2), (1, 2, 3), (1, 2, 3), id="a longer tuple"),
        pytest.param((1, [2]), (1, [2]), (1, [2]), (1, [2]), id="a tuple that stays as it is"),
        pytest.param((1, 9), (1, 2), (3, 4), (3, 9), id="each entry of a tuple by itself"),
        pytest.param(Pair(1, 9), Pair(1, 2), Pair(3, 4), Pair(3, 9), id="a tuple with names"),
        pytest.param([1, 2], [1, 2], [1, 2, 3], [1, 2, 3], id="a list that grows with the data"),
        pytest.param([1, 9], [1, 2], [3, 4, 5], [3, 9, 5], id="each entry of a list by itself"),
        pytest.param([1, 2, 7], [1, 2], [1, 2, 3], [1, 2, 7], id="a list that next() has added to"),
        pytest.param([], [], [], [], id="an empty list"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}, id="a dict that grows with the data"),
        pytest.param({"a": 1, "mine": 9}, {"a": 1}, {"a": 2}, {"a": 2, "mine": 9}, id="a dict that next() has added to"),
        pytest.param({}, {"a": 1}, {"a": 2}, {}, id="a dict that next() has taken from"),
        pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"b": 2}, {"b": 2}, id="a dict that has lost a key of the data"),
        pytest.param({"a": 7, "b": 2}, {"a": 1, "b": 2}, {"b": 2}, {"a": 7, "b": 2}, id="a lost key that next() has changed"),
        pytest.param({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, {}, {}, id="a lost dict"),
        pytest.param({1, 2}, {1, 2}, {1, 3}, {1, 3}, id="a set"),
        pytest.param({1, 5}, {1, 2}, {1, 3}, {1, 5}, id="a set that next() has changed"),
        pytest.param(1, [1], 2, 1, id="next() has put something of another kind in its place"),
    ],
)
def test_what_next_has_changed_stays_and_what_it_has_not_follows_the_data(ours: Any, base: Any, theirs: Any, result: Any) -> None:
    assert merged(ours, base, theirs) == result


@pytest.mark.parametrize(
    ("ours", "base", "theirs", "result"),
    [
        pytest.param(array(1, NAN), array(1, NAN), array(1, NAN, 3), array(1, NAN, 3), id="untouched"),
        pytest.param(array(1, 9), array(1, 2), array(5, 2, 3), array(5, 9, 3), id="one entry touched"),
        pytest.param(array(1, NAN), array(1, 2), array(1, 2, 3), array(1, NAN, 3), id="touched with NaN"),
        pytest.param(array(0, 9), array(0, 0), array(0, 0), array(0, 9), id="touched, and as long as ever"),
        pytest.param(array(1, 9), array(1, 2), array(5), array(1, 9), id="touched, and shorter than before"),
        pytest.param(array(1, 2, 3), array(1, 2), array(1, 2, 9), array(1, 2, 3), id="of another length"),
        pytest.param(np.eye(2), np.eye(2), np.ones((2, 3)), np.ones((2, 3)), id="rows"),
        pytest.param(
            np.array([["a", "z"]], object),
            np.array([["a", "b"]], object),
            np.array([list("abc")], object),
            np.array([list("azc")], object),
            id="objects",
        ),
    ],
)
def test_arrays_are_judged_entry_by_entry(ours: Any, base: Any, theirs: Any, result: Any) -> None:
    found = merged(ours, base, theirs)
    np.testing.assert_array_equal(found, result)
    assert found is not theirs


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.data())
def test_an_array_has_ours_where_next_wrote_and_theirs_elsewhere(base: list[int], more: list[int], data: st.DataObject) -> None:
    ours = [data.draw(st.sampled_from([value, value + 10])) for value in base]
    theirs = [value + 100 for value in base + more]
    found = merged(np.array(ours), np.array(base), np.array(theirs)).tolist()
    assert found == [mine if mine != was else now for mine, was, now in zip(ours, base, theirs, strict=False)] + theirs[len(base) :]


def frame(**columns: list[float]) -> pd.DataFrame:
    first = next(iter(columns.values()))
    return pd.DataFrame(columns, index=pd.date_range("2020", periods=len(first)))


def test_a_frame_follows_the_data() -> None:
    pd.testing.assert_frame_equal(merged(frame(a=[1, 2]), frame(a=[1, 2]), frame(a=[1, 2, 3])), frame(a=[1, 2, 3]))


def test_a_frame_keeps_what_next_has_written_into_it() -> None:
    found = merged(frame(a=[1, 9], b=[4, 5]), frame(a=[1, 2], b=[4, 5]), frame(a=[1, 2, 3], b=[7, 5, 6]))
    pd.testing.assert_frame_equal(found, frame(a=[1, 9, 3], b=[7, 5, 6]))


def test_a_frame_to_which_next_has_added_a_column_is_its_own() -> None:
    ours = frame(a=[1, 2], mine=[0, 0])
    assert merged(ours, frame(a=[1, 2]), frame(a=[1, 2, 3])) is ours


def test_a_frame_that_next_has_made_longer_is_its_own() -> None:
    ours = frame(a=[1, 2, 3])
    assert merged(ours, frame(a=[1, 2]), frame(a=[1, 2, 4, 5])) is ours


def test_a_series_keeps_what_next_has_written_into_it() -> None:
    found = merged(frame(a=[1, 9])["a"], frame(a=[1, 2])["a"], frame(a=[1, 2, 3])["a"])
    pd.testing.assert_series_equal(found, frame(a=[1, 9, 3])["a"])


def test_a_series_of_days_that_is_shorter_than_the_data_follows_it_too() -> None:
    found = merged(frame(a=[1])["a"], frame(a=[1])["a"], frame(a=[5])["a"])
    assert found.tolist() == [5]


def test_containers_stay_the_same_objects() -> None:
    inner: list[Any] = [array(1)]
    ours = {"a": inner, "b": inner}
    found = merged(ours, {"a": [array(1)], "b": [array(1)]}, {"a": [array(2, 3)], "b": [array(2, 3)]})
    assert found is ours
    assert found["a"] is found["b"] is inner
    assert same(inner[0], array(2, 3))


def test_one_array_under_two_names_stays_one_array() -> None:
    one = array(1)
    found = merged({"a": one, "b": one}, {"a": array(1), "b": array(1)}, {"a": array(1, 2), "b": array(1, 2)})
    assert found["a"] is found["b"]


def test_equal_numbers_under_two_names_are_judged_apart() -> None:
    assert merged({"a": 0, "b": 0}, {"a": 0, "b": 1}, {"a": 5, "b": 7}) == {"a": 5, "b": 0}


def test_what_holds_itself_is_merged_once() -> None:
    def ring(value: int) -> dict[str, Any]:
        made: dict[str, Any] = {"value": value}
        made["self"] = made
        return made

    ours = ring(1)
    assert merged(ours, ring(1), ring(2))["self"]["value"] == 2


def test_nothing_is_shared_with_the_instance_that_the_values_come_from() -> None:
    theirs: dict[str, Any] = {"a": array(1, 2), "b": [array(1, 2)], "c": {"d": [1]}, "e": (array(3),)}
    found = merged({}, {}, theirs)
    expected = copy.deepcopy(theirs)
    for value in (theirs["a"], theirs["b"][0], theirs["e"][0]):
        value[:] = 9
    theirs["c"]["d"].append(2)
    assert [same(found["a"], expected["a"]), same(found["b"][0], expected["b"][0]), same(found["e"][0], expected["e"][0])] == [True] * 3
    assert found["c"] == {"d": [1]}


@pytest.mark.parametrize("kind", [Own, SimpleNamespace])
def test_objects_of_the_strategys_own_are_merged_attribute_by_attribute(kind: Any) -> None:
    ours = kind(line=array(1), count=5, more=[1])
    found = merged(ours, kind(line=array(1), count=0, more=[]), kind(line=array(1, 2), count=0, more=[]))
    assert found is ours
    assert (found.line.tolist(), found.count, found.more) == ([1, 2], 5, [1])


def test_objects_of_others_are_taken_as_a_whole_until_next_has_changed_them() -> None:
    theirs = Theirs([2])
    found = merged(Theirs([1]), Theirs([1]), theirs)
    assert (found.prepared, found is theirs) == ([2], False)
    ours = Theirs([1], state=1)
    assert merged(ours, Theirs([1]), theirs) is ours


def test_objects_that_nobody_can_look_into_are_left_alone() -> None:
    ours = threading.Lock()
    assert merged(ours, threading.Lock(), threading.Lock()) is ours


def test_objects_that_cannot_be_copied_are_taken_as_they_are() -> None:
    theirs = threading.Lock()
    assert merged({}, {}, {"lock": theirs})["lock"] is theirs


def test_foreign_objects_are_never_looked_into() -> None:
    ours = Foreign(1)
    assert merged(ours, Foreign(1), Foreign(2)) is ours
    assert merged({"a": ours}, {"a": Foreign(1)}, {"a": Foreign(2)}) == {"a": ours}


def test_a_bound_method_stays_bound_to_the_living_one() -> None:
    living, base, scratch = Foreign("living"), Foreign("base"), Foreign("scratch")
    found = merged({"rules": [living.rule]}, {"rules": [base.rule]}, {"rules": [scratch.rule]})
    assert [rule() for rule in found["rules"]] == ["living"]


def test_what_is_new_and_belongs_to_the_scratch_instance_is_made_to_belong_to_the_living_one() -> None:
    living, scratch = Foreign("living"), Foreign("scratch")
    found = merged({}, {}, {"rule": scratch.rule, "helper": Own(of=scratch)}, twins={id(scratch): living})
    assert found["rule"]() == "living"
    assert found["helper"].of is living


def counting(values: Any, start: int) -> Any:
    count = start

    def look() -> tuple[Any, int]:
        nonlocal count
        count += 1
        return values[-1], count

    return look


def test_a_closures_variables_are_merged() -> None:
    ours = counting(array(1), 0)
    ours()
    assert merged(ours, counting(array(1), 0), counting(array(1, 2), 0))() == (2, 2)


def test_a_closure_may_have_a_variable_without_a_value_yet() -> None:
    def made(*values: int) -> Any:
        for value in values:
            later = value
        return lambda: later

    ours = made()
    assert merged(ours, made(), made()) is ours


def test_functions_that_are_not_the_same_are_left_alone() -> None:
    ours = functools.partial(int, "1")
    assert merged(ours, functools.partial(int, "1"), functools.partial(int, "1")) is ours
    assert merged(same, frame, array) is same


class Stateful:
    """A class as people keep state on it."""

    level = 1
    seen: Any = [1]  # noqa: RUF012
    known: Any = {"a": 1}  # noqa: RUF012
    both: Any = {1}  # noqa: RUF012

    def method(self) -> None: ...


class Derived(Stateful):
    level = 2


def test_class_attributes_are_put_back() -> None:
    seen, known, both = Derived.seen, Derived.known, Derived.both
    with leaving_no_trace(Derived, object):
        Derived.level, Stateful.level = 8, 9
        Derived.added = 1  # type: ignore[attr-defined]
        Derived.seen.append(2)
        Derived.known["b"] = 2
        Derived.both.clear()
        Stateful.seen = []
    assert (Derived.level, Stateful.level, hasattr(Derived, "added")) == (2, 1, False)
    assert (Derived.seen is seen, Derived.known is known, Derived.both is both) == (True, True, True)
    assert (seen, known, both) == ([1], {"a": 1}, {1})


def test_classes_at_and_above_the_limit_are_not_looked_at() -> None:
    with leaving_no_trace(Derived, Stateful):
        Derived.level, Stateful.level = 8, 9
    assert (Derived.level, Stateful.level) == (2, 9)
    Stateful.level = 1


def test_random_generators_go_on_where_they_were_also_after_a_failure() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = random.Random(3).random(), np.random.RandomState(3).random_sample()

    def init() -> None:
        random.seed(1)
        np.random.seed(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), leaving_no_trace(Stateful, object):
        init()
    assert (random.random(), np.random.random()) == expected


def test_warnings_have_been_told_by_the_backtest() -> None:
    with leaving_no_trace(Stateful, object):
        warnings.warn("once more", stacklevel=1)
