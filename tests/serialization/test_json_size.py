"""How many values a JSON text has and how deep they are, found without parsing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.serialization import json_size
from flask_braintrust_evals.serialization.json_size import exceeds

TEXTS = st.text('ab\\",:[]{}\u00e9\n', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, list | dict) else 0


def commas_and_brackets(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(map(commas_and_brackets, inner))


@pytest.mark.slow
@pytest.mark.parametrize("slice_length", [1, 2, 3, 7, 65536])
@pytest.mark.parametrize("ensure_ascii", [True, False])
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_values_and_levels_are_counted_exactly(
    slice_length: int, ensure_ascii: bool, value: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "_SLICE", slice_length)
        text = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        count, depth = commas_and_brackets(value), depth_of(value)
        assert exceeds(text, count, depth) is None
        assert count == 0 or exceeds(text, count - 1, depth) == "values"
        assert depth == 0 or exceeds(text, count, depth - 1) == "depth"


@pytest.mark.parametrize("text", [b"", b'"', b"\\", b"]" * 1000, b"[" * 300 + b'"', b"\xff{" * 300])
def test_what_is_not_json_is_measured_all_the_same(text: bytes) -> None:
    assert exceeds(text, 10_000) in (None, "depth")
