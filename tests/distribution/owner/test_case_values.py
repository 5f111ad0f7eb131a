"""A case is sent as the task would get it here, or not at all."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import uuid
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.messages import MessageWriter
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder
from flask_braintrust_evals.distribution.owner.case_values import (
    MAX_DEPTH,
    CaseValueError,
    case_fields,
    foreign_value,
)
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.tracing.span_ids import new_ids


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def fields_of(case: EvalCase) -> dict[str, Any]:
    return case_fields(case, foreign_value(case))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "é 😀",
        0,
        -0.0,
        1e300,
        True,
        2**70,
        10**400,
        [],
        {},
        [None, {"a": [1.5, {"": "x"}]}],
        nested(MAX_DEPTH - 1),
    ],
)
def test_values_of_json_are_sent_as_they_are(value: Any) -> None:
    writer = MessageWriter("s", 100_000)
    case = EvalCase(value, expected=value, metadata={"m": value})
    fields = writer.read("order", writer.write("order", fields_of(case)))
    sent = CaseOrder(0, 1, 0, 0, new_ids(), fields).eval_case()
    assert sent == case
    assert repr(sent.input) == repr(value)


class Text(str):
    pass


LOOP: list[Any] = [1]
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "path", "what"),
    [
        ((1, 2), "input", "of the class tuple"),
        ({"a": [0, (1,)]}, "input['a'][1]", "of the class tuple"),
        ({1: "x"}, "a key of input", "of the class int"),
        ({"\ud800": 1}, "a key of input", "with a lone surrogate"),
        (["ok", "\ud800"], "input[1]", "with a lone surrogate"),
        (float("nan"), "input", "a float"),
        ([float("inf")], "input[0]", "a float"),
        (b"bytes", "input", "of the class bytes"),
        (datetime.date(2025, 1, 1), "input", "of the class date"),
        (decimal.Decimal(1), "input", "of the class Decimal"),
        (collections.OrderedDict(a=1), "input", "of the class OrderedDict"),
        (Text("x"), "input", "of the class Text"),
        (nested(MAX_DEPTH + 1), "a part of input", "nested deeper than"),
        (LOOP, "a part of input", "nested deeper than"),
    ],
)
def test_the_first_part_that_json_cannot_hold_is_named(value: Any, path: str, what: str) -> None:
    with pytest.raises(CaseValueError) as raised:
        fields_of(EvalCase(value))
    message = str(raised.value)
    assert message.startswith(f"{path} is ")
    assert what in message
    assert "distributed=False" in message


@pytest.mark.parametrize("name", ["expected", "metadata", "tags"])
def test_all_fields_are_looked_at(name: str) -> None:
    odd: Any = {"expected": {1}, "metadata": {"a": {1}}, "tags": ["t", b"t"]}[name]
    with pytest.raises(CaseValueError, match=name):
        fields_of(EvalCase("in", **{name: odd}))


def test_metadata_and_tags_become_what_every_task_gets() -> None:
    case = EvalCase("in", metadata=collections.OrderedDict(a=1), tags=("a", "b"))  # type: ignore[arg-type]
    assert fields_of(case) == {"input": "in", "metadata": {"a": 1}, "tags": ["a", "b"]}


@pytest.mark.parametrize("id", ["x", 5, 0, 1.5])
def test_ids_of_jsons_types_are_kept(id: Any) -> None:
    assert fields_of(EvalCase("in", id=id))["id"] == id


def test_other_ids_become_their_text() -> None:
    id = uuid.UUID(int=1)
    assert fields_of(EvalCase("in", id=id))["id"] == str(id)
    assert "id" not in fields_of(EvalCase("in"))


def test_nothing_but_the_fields_that_a_worker_needs_is_sent() -> None:
    case = EvalCase("in", expected=1, origin={"id": "o"}, trial_count=3, upsert_id="u")
    sent = {"input": "in", "expected": 1, "origin": {"id": "o"}, "upsert_id": "u"}
    assert json.loads(json.dumps(fields_of(case))) == sent
