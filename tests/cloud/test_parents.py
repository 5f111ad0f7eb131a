"""What a run's spans belong to, in every form that the wire has for it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.errors import RequestError

TYPES = "playground_logs, playground_id, experiment, project_logs"


@pytest.mark.parametrize("type", [None, "", "dataset", "Experiment", 5, ["experiment"], {"a": 1}])
def test_an_unknown_type_is_reported_with_the_known_ones(type: Any) -> None:
    with pytest.raises(RequestError) as caught:
        Parent.of({"object_type": type, "object_id": "x"})
    assert str(caught.value) == f"parent.object_type: expected one of {TYPES}, got {type!r}"


@pytest.mark.parametrize("id", [None, "", 5, [], "a\nb", "a\x00", "a\tb", "\u2028"])
def test_an_id_must_be_a_text_that_a_header_can_carry(id: Any) -> None:
    with pytest.raises(RequestError) as caught:
        Parent.of({"object_type": "experiment", "object_id": id})
    assert str(caught.value) == f"parent.object_id: expected an id, got {id!r}"


def test_what_every_span_has_of_its_parent_is_small() -> None:
    event = {"span_attributes": {"generation": "x" * 50_000}}
    with pytest.raises(RequestError) as caught:
        Parent.of({"object_type": "experiment", "object_id": "x", "propagated_event": event})
    text = "parent: has 50101 bytes of JSON, and may have 50000"
    assert str(caught.value) == text


@pytest.mark.parametrize("value", ["", "a\nb", "a\r\nX-Evil: 1", "a\x00"])
def test_an_exported_span_must_be_a_text_that_a_header_can_carry(value: str) -> None:
    with pytest.raises(RequestError) as caught:
        Parent.of(value)
    assert str(caught.value) == "parent: expected an object, or the text of an exported span"


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        ({"object_type": "playground_logs", "object_id": "p"}, "playground_id:p"),
        ({"object_type": "playground_id", "object_id": "p"}, "playground_id:p"),
        ({"object_type": "experiment", "object_id": "e"}, "experiment_id:e"),
        ({"object_type": "project_logs", "object_id": "l"}, "project_id:l"),
        (
            {"object_type": "experiment", "object_id": "e", "row_ids": {"id": "r"}},
            "experiment_id:e",
        ),
        ("an-opaque-text", "an-opaque-text"),
    ],
)
def test_spans_name_their_parent_by_kind_and_id(value: Any, attribute: str) -> None:
    assert Parent.of(value).attribute == attribute


@pytest.mark.parametrize(
    ("event", "generation"),
    [
        (None, None),
        ("text", None),
        ([], None),
        ({}, None),
        ({"span_attributes": None}, None),
        ({"span_attributes": []}, None),
        ({"span_attributes": {}}, None),
        ({"span_attributes": {"generation": None}}, None),
        ({"span_attributes": {"generation": "v1"}}, "v1"),
        ({"span_attributes": {"generation": 0}}, 0),
        ({"span_attributes": {"generation": {"a": [1]}, "other": 1}}, {"a": [1]}),
    ],
)
def test_the_generation_is_found_where_it_is_given(event: Any, generation: Any) -> None:
    parent = Parent.of(
        {"object_type": "playground_logs", "object_id": "p", "propagated_event": event}
    )
    assert parent.generation == generation


def test_an_exported_span_has_no_generation() -> None:
    assert Parent.of("text").generation is None


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (None, {"span_attributes": {"purpose": "scorer"}}),
        ([], {"span_attributes": {"purpose": "scorer"}}),
        ({"span_attributes": None}, {"span_attributes": {"purpose": "scorer"}}),
        (
            {"span_attributes": {"generation": "v1", "purpose": "x"}, "metadata": {"a": 1}},
            {"span_attributes": {"generation": "v1", "purpose": "scorer"}, "metadata": {"a": 1}},
        ),
    ],
)
def test_the_spans_below_a_scorer_are_marked_as_those_of_a_scorer(event: Any, sent: Any) -> None:
    value = {
        "object_type": "experiment",
        "object_id": "e",
        "row_ids": {"id": "old"},
        "propagated_event": event,
        "more": 1,
    }
    before = copy.deepcopy(value)
    assert Parent.of(value).of_scorer("trace", "span") == {
        "object_type": "experiment",
        "object_id": "e",
        "row_ids": {"id": "span", "span_id": "span", "root_span_id": "trace"},
        "propagated_event": sent,
        "more": 1,
    }
    assert value == before


def test_below_a_scorer_an_exported_text_stays_as_it_is() -> None:
    assert Parent.of("text").of_scorer("trace", "span") == "text"
