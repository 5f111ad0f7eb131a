"""Copies of values, which are those of ``copy.deepcopy``."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest

from flask_braintrust_evals.engine.values.copies import deep_copy


class Opaque:
    def __init__(self) -> None:
        self.items = [1]


class Entries(dict[str, Any]):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5, "x", True, None, {"b": []}], "c": {"d": {}}},
        [[[]], [{}]],
        Entries(a=[1]),
        {"t": ([1], {2})},
        {1: "a", (2, 3): "b"},
    ],
)
def test_a_copy_is_equal_and_shares_nothing_that_can_change(value: Any) -> None:
    copied = deep_copy(value)
    assert copied == value == copy.deepcopy(value)
    assert type(copied) is type(value)
    if isinstance(value, dict | list):
        assert copied is not value
    if type(value) is dict and "a" in value:
        value["a"].append("later")
        assert copied["a"][-1] != "later"


def test_objects_of_other_classes_are_copied_once() -> None:
    opaque = Opaque()
    copied = deep_copy({"a": opaque, "b": [opaque]})
    assert copied["a"] is copied["b"][0] is not opaque
    assert copied["a"].items is not opaque.items


def test_a_value_that_contains_itself_is_copied() -> None:
    value: list[Any] = [1]
    value.append({"again": value})
    copied = deep_copy(value)
    assert copied is not value
    assert copied[1]["again"] is copied


def test_what_cannot_be_copied_raises() -> None:
    with pytest.raises(TypeError):
        deep_copy({"a": [threading.Lock()]})
