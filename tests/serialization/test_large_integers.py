"""Integers beyond 64 bits are written as they are, and values around them as always."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_writing import dumps, encoded
from flask_braintrust_evals.serialization.large_integers import with_fragments
from flask_braintrust_evals.serialization.plain_values import Converter

LEAVES = st.none() | st.booleans() | st.integers() | st.integers(2**63, 2**80) | st.text('a"é\n')
VALUES = st.recursive(
    LEAVES,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=12,
)


@pytest.mark.slow
@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_any_integer_is_written_with_all_its_digits(value: Any) -> None:
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert loads(encoded(value)) == value


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**300])
def test_the_value_itself_is_left_as_it_is(number: int) -> None:
    inner = [number]
    value = {"a": inner, "b": (inner, {"c": [1]}), "d": number}
    assert dumps(value) == f'{{"a":[{number}],"b":[[{number}],{{"c":[1]}}],"d":{number}}}'
    assert value == {"a": [number], "b": ([number], {"c": [1]}), "d": number}
    assert value["a"] is inner


def test_what_else_has_no_form_of_its_own_is_written_as_without_them() -> None:
    value = [10**30, math.nan, None, "\ud800", {1: 2**70}, {10**30}]
    assert json.loads(dumps(value)) == [10**30, "NaN", None, "\ufffd", {"1": 2**70}, [10**30]]


@pytest.mark.parametrize("width", [1, 2])
def test_a_value_that_contains_itself_is_refused_at_once(width: int) -> None:
    value: list[Any] = [10**30]
    value += [value] * width
    with pytest.raises(SerializationError, match="contains itself"):
        dumps(value)


def test_shared_parts_are_looked_into_once() -> None:
    value: Any = [10**30]
    for _ in range(60):
        value = [value, value]
    with_fragments(value)  # 2 ** 60 steps otherwise


def test_too_many_digits_are_refused() -> None:
    with pytest.raises(SerializationError):
        dumps([10**5000])


def test_one_large_integer_does_not_make_all_the_rest_slow() -> None:
    value = [10**30, *([] for _ in range(100_000))]
    began = time.process_time()
    encoded(value[1:])
    usual = time.process_time() - began
    began = time.process_time()
    encoded(value)
    # It was a hundred times as long.
    assert time.process_time() - began < 0.05 + 20 * usual


def test_many_large_integers_are_written_in_steps_between_which_the_value_may_change() -> None:
    inner: list[Any] = [10**30] * 3_000
    value: dict[str, Any] = {"a": inner, "b": [10**30]}
    expected = json.dumps(value, separators=(",", ":"))
    steps = []

    def pause() -> None:
        steps.append(len(inner))
        inner.clear()  # as a task that goes on in another greenlet may
        value.clear()

    assert encoded(value, pause=pause).decode() == expected
    assert len(steps) > 3


def test_the_word_null_beside_large_integers_is_no_reason_to_convert_each_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = ["null", None, 10**30, {"null": -(10**30)}]
    with monkeypatch.context() as patched:
        patched.setattr(Converter, "simplify", lambda *_: pytest.fail("was converted"))
        assert json.loads(encoded(value)) == value
    # A NaN among them still is.
    assert encoded([*value, math.nan]).endswith(b',"NaN"]')
    assert json.loads(encoded([*value, math.nan])) == [*value, "NaN"]
