"""Values that are made smaller keep their form as long as they can."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.tracing.value_cuts import value_within

LIMIT = 1000


@pytest.mark.parametrize("value", [None, 0, "x" * 990, [1, {"a": None}], {"a": "b"}])
def test_small_values_stay_as_they_are(value: Any) -> None:
    assert value_within(value, LIMIT)[:2] == (value, False)


def test_a_conversation_with_a_long_message_stays_a_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "x" * 5000},
    ]
    cut, was_cut, size = value_within(messages, LIMIT)
    assert was_cut
    assert cut[0] == messages[0]
    assert cut[1]["role"] == "user"
    assert cut[1]["content"].endswith("x… [cut: 5000 characters]")


def test_of_a_long_list_the_first_and_the_last_items_are_kept() -> None:
    cut, *_ = value_within(list(range(10_000)), LIMIT)
    assert (cut[0], cut[-1]) == (0, 9999)
    assert "… [cut: 10000 items]" in cut


def test_of_a_large_object_some_entries_are_kept() -> None:
    cut, *_ = value_within({f"key {n}": n for n in range(1000)}, LIMIT)
    assert cut["key 0"] == 0
    assert cut["…"] == "[cut: 1000 entries]"


def deep(levels: int) -> Any:
    value: Any = "x" * 2000
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        '\\"' * 5000,
        "\u0000" * 5000,
        "😀" * 5000,
        ["x" * 300] * 300,
        {"k" * 5000: 1},
        {f"{n}": {f"{m}": "x" * 50 for m in range(50)} for n in range(50)},
        deep(180),
        [[[list(range(100))] * 20] * 20] * 2,
    ],
    ids=["escaped", "control", "wide", "many", "key", "objects", "deep", "lists"],
)
def test_whatever_it_is_it_fits_and_says_that_it_is_cut(value: Any) -> None:
    cut, was_cut, size = value_within(value, LIMIT)
    assert was_cut
    data = encoded(cut)
    assert len(data) == size <= LIMIT
    assert "…" in json.dumps(cut, ensure_ascii=False)
