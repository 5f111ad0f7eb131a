"""JSON text that is cut is still JSON, and says how much there was."""

from __future__ import annotations

import json

import pytest

from flask_braintrust_evals.tracing.json_cuts import json_within, pieces_within

LIMIT = 1000


@pytest.mark.parametrize(
    "value", ["x" * 998, "é" * 499, {"a": ["b"] * 100}], ids=["ascii", "two bytes", "object"]
)
def test_what_fits_is_as_it_was(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert len(text.encode()) <= LIMIT
    assert json_within(text.encode(), LIMIT) == text
    assert pieces_within([text.encode()[:7], text.encode()[7:]], LIMIT) == text


@pytest.mark.parametrize("text", ["x" * 999, "é" * 800, "🎈" * 700, '"\\' * 900, "\n\x00" * 900])
def test_what_does_not_is_a_string_that_says_its_size(text: str) -> None:
    data = json.dumps({"t": text}, ensure_ascii=False).encode()
    cut = json_within(data, LIMIT)
    assert len(cut.encode()) <= LIMIT
    kept, _, note = json.loads(cut).partition("… [cut: ")
    assert note == f"{len(data)} bytes]"
    assert len(kept) > 100
    assert data.decode().startswith(kept)


@pytest.mark.parametrize("size", [1, 7, 499, 500, 10_000])
def test_pieces_are_cut_as_the_whole_is(size: int) -> None:
    data = json.dumps(["größe 🎈"] * 300, ensure_ascii=False).encode()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert pieces_within(pieces, LIMIT) == json_within(data, LIMIT)
    assert pieces_within(pieces, None) == json_within(data, None) == data.decode()


def test_a_limit_without_room_for_anything_leaves_the_note() -> None:
    assert json.loads(json_within(b'"' + b"x" * 100 + b'"', 10)) == "… [cut: 102 bytes]"
