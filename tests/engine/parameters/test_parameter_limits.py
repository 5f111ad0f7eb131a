"""Values of parameters that callers make large or odd: refused in time, with a short message."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
from pydantic import BaseModel

from flask_braintrust_evals.engine.parameters import check_work
from flask_braintrust_evals.engine.parameters.bounded_keywords import matches
from flask_braintrust_evals.engine.parameters.check_work import Work, current
from flask_braintrust_evals.engine.parameters.declare import declare
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schema_check import SchemaCheck
from flask_braintrust_evals.errors import RequestError

SECONDS = 5.0
"""Far more than a bounded check takes on a busy machine, and far less than one that is not."""
MANY = 20_000

TYPES = ["string", "number", "boolean", "object"]


class Texts(BaseModel):
    value: list[str]


class Either(BaseModel):
    value: list[str | bool | dict[str, int] | Texts]


class Named(BaseModel):
    texts: list[str]
    counts: dict[str, int] = {}


def refusal(declaration: Any, value: Any) -> str:
    """Return the message of a refused parameter ``p``, once time and length are checked."""
    parameters = declare({"p": declaration}, "e")
    start = time.monotonic()
    with pytest.raises(RequestError) as caught:
        parameters.validate({"p": value})
    assert time.monotonic() - start < SECONDS
    assert len(str(caught.value)) < 3_000
    return str(caught.value)


@pytest.mark.parametrize(
    "items",
    [
        {"type": "string"},
        {"anyOf": [{"type": kind} for kind in TYPES]},
        {"oneOf": [{"type": kind} for kind in TYPES]},
        {"allOf": [{"type": kind} for kind in TYPES]},
        {"type": "string", "enum": ["a", "b"]},
    ],
    ids=["type", "anyOf", "oneOf", "allOf", "enum"],
)
def test_of_many_wrong_items_only_the_first_are_looked_at(items: dict[str, Any]) -> None:
    steps = Work.step
    count = 0

    def counting(work: Work) -> None:
        nonlocal count
        count += 1
        steps(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "step", counting)
        text = refusal({"type": "array", "items": items}, [[]] * MANY)
    assert re.match(r"parameter 'p'\[\d+\]: \[\] is not ", text)
    assert count < 500


@pytest.mark.parametrize("model", [Texts, Either, Named])
def test_models_report_the_first_of_many_wrong_items(model: type[BaseModel]) -> None:
    wrong: Any = [1.5] * MANY
    is_named = model is Named
    text = refusal(model, {"texts": wrong} if is_named else wrong)
    place = "['texts'][0]" if is_named else "[0]"
    assert text.startswith(f"parameter 'p'{place}")
    assert text.count("; ") == 4


def test_few_wrong_items_of_a_model_are_reported_with_their_types() -> None:
    text = refusal(Texts, ["a", 1, None])
    assert text == (
        "parameter 'p'[1]: input should be a valid string (got integer);"
        " parameter 'p'[2]: input should be a valid string (got null)"
    )


def test_prompts_report_the_first_of_many_wrong_parts() -> None:
    wrong = {"prompt": {"type": "chat", "messages": [{"role": "user", "content": [1] * MANY}]}}
    text = refusal({"type": "prompt"}, wrong)
    assert text.startswith("parameter 'p'['prompt']['messages'][0]['content']")


@pytest.mark.slow
@pytest.mark.parametrize("build", [list, lambda items: [*items, items[0]]], ids=["unique", "not"])
@pytest.mark.parametrize(
    "item",
    [lambda n: {"a": n}, lambda n: [n, {"b": n}], lambda n: n * 2.0**61, lambda n: f"{n}"],
    ids=["objects", "lists", "numbers", "texts"],
)
def test_items_are_compared_in_linear_time(
    item: Callable[[int], Any], build: Callable[[list[Any]], list[Any]]
) -> None:
    unique = declare({"p": {"type": "array", "uniqueItems": True}}, "e")
    items = build([item(n) for n in range(MANY)])
    start = time.monotonic()
    if build is list:
        unique.validate({"p": items})
    else:
        with pytest.raises(RequestError, match="has non-unique elements"):
            unique.validate({"p": items})
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, True], True),
        ([0, False, None, "", [], {}], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}], False),
        ([[1, 2], [2, 1]], True),
        (["1", 1], True),
        ([1e300, 1e300], False),
        ([-0.0, 0], False),
        ([{"a": None}, {}], True),
        ([2**63, 2**63], False),
        ([10**20, 1e20], False),
        ([10**23, 1e23], True),
        ([[True], [1]], True),
    ],
)
def test_items_are_equal_as_in_json_schema(items: list[Any], unique: bool) -> None:
    check = SchemaCheck({"type": "array", "uniqueItems": True})
    assert (check.error(items) is None) is unique
    assert Draft202012Validator({"uniqueItems": True}).is_valid(items) is unique


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^([a-z0-9]+[.-]?)+@example[.]com$", "a" * 40 + "!"),
        (r"^(a|aa)+$", "a" * 10_000 + "!"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 100),
        (r"(.*a){20}$", "a" * 1_000 + "b"),
    ],
)
@pytest.mark.parametrize("keyword", ["pattern", "patternProperties", "additionalProperties"])
def test_patterns_that_take_exponential_time_do_not(pattern: str, text: str, keyword: str) -> None:
    schemas: dict[str, Any] = {
        "pattern": {"type": "string", "pattern": pattern},
        "patternProperties": {"type": "object", "patternProperties": {pattern: {"type": "null"}}},
        "additionalProperties": {
            "type": "object",
            "patternProperties": {pattern: {}},
            "additionalProperties": False,
        },
    }
    parameters = declare({"p": schemas[keyword]}, "e")
    start = time.monotonic()
    try:
        parameters.validate({"p": text if keyword == "pattern" else {text: 1}})
    except RequestError as error:
        assert (
            "does not match" in str(error) or "takes too long" in str(error) or "un" in str(error)
        )
    assert time.monotonic() - start < SECONDS


def test_a_text_that_is_too_long_for_patterns_is_refused() -> None:
    text = refusal({"type": "string", "pattern": r"\d+$"}, "1" * 50_001 + "x")
    assert text == (
        r"parameters: a text has 50002 characters, and one that must match the pattern '\\d+$' may"
        " have 50000"
    )


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("b", "abc", True), ("^b", "abc", False), (r"^\w+$", "é", True), ("(?i)^B$", "b", True)],
)
def test_patterns_match_as_in_python(pattern: str, text: str, found: bool) -> None:
    token = current.set(Work())
    try:
        assert matches(pattern, text) is found
    finally:
        current.reset(token)


def test_many_texts_for_a_slow_pattern_end_with_the_time_of_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_work, "MAX_SECONDS", 0.2)
    texts = {f"{'a' * 3_000}{n}": 1 for n in range(1_000)}
    schema = {"type": "object", "patternProperties": {r"a.*b.*c": {}}}
    start = time.monotonic()
    with pytest.raises(RequestError, match="takes more than 0.2 seconds|takes too long to match"):
        declare({"p": schema}, "e").validate({"p": texts})
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("keyword", ["unevaluatedItems", "unevaluatedProperties"])
def test_what_is_compared_in_pairs_may_have_few_items(keyword: str) -> None:
    kind = "array" if keyword == "unevaluatedItems" else "object"
    names = map(str, range(MANY))
    value: Any = [0] * MANY if kind == "array" else dict.fromkeys(names)
    text = refusal({"type": kind, keyword: False}, value)
    assert text.startswith(f"parameters: a value has {MANY} items, and may have 1000 where")
    few: Any = [0] if kind == "array" else {"a": 0}
    assert "unexpected" in refusal({"type": kind, keyword: False}, few)


def test_a_check_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_work, "MAX_SECONDS", -1.0)
    text = refusal({"type": "array", "items": {"type": "integer"}}, [1] * 100)
    assert text == "parameters: checking them takes more than -1 seconds"


@pytest.mark.parametrize(
    ("target", "depth"), [({"items": {"$ref": "#/$defs/T"}}, 250), ({"$ref": "#/$defs/T"}, 0)]
)
def test_references_that_lead_back_to_themselves_are_followed_within_bounds(
    target: dict[str, Any], depth: int
) -> None:
    schema = {"properties": {"p": {"$ref": "#/$defs/T"}}, "$defs": {"T": target}}
    value: Any = 1
    for _ in range(depth):
        value = [value]
    with pytest.raises(RequestError, match="nested too deep for its schema"):
        SavedParameterSet(schema, {}, {}).validate({"p": value})


@pytest.mark.slow
def test_messages_quote_an_excerpt_of_a_large_value() -> None:
    tracemalloc.start()
    try:
        for value in ("x" * 300_000, [["y" * 300_000]], {"k" * 300_000: "z" * 300_000}):
            schema = {"anyOf": [{"type": "integer"}, {"type": "null"}] * 50, "type": ["integer"]}
            refusal(schema, value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_messages_quote_small_values_as_they_are() -> None:
    text = refusal({"type": "array", "maxItems": 1}, [{"a": [1, 2, 3, 4, 5, 6, 7, 8]}, "b" * 300])
    assert f"""[{{'a': [1, 2, 3, 4, 5, 6, 7, 8]}}, '{"b" * 300}'] is too long""" in text


@pytest.mark.parametrize("version", [Draft4Validator, Draft7Validator, Draft202012Validator])
def test_the_bounds_hold_in_every_version_and_behind_references(version: Any) -> None:
    schema = {
        "$schema": version.META_SCHEMA.get("$id") or version.META_SCHEMA["id"],
        "type": "object",
        "properties": {
            "inner": {"$ref": "#"},
            "mail": {"type": "string", "pattern": r"^(a|aa)+$"},
        },
    }
    source = dict.fromkeys(("id", "project_id", "name", "slug", "version"))
    saved = SavedParameterSet(schema, {}, source)
    with pytest.raises(RequestError, match="takes too long to match"):
        saved.validate({"inner": {"inner": {"mail": "a" * 10_000 + "!"}}})
    assert saved.validate({"inner": {"mail": "a"}}) == {"inner": {"mail": "a"}}


@pytest.mark.parametrize(
    ("value", "fits"), [(10**400, True), (10**400 + 1, False)], ids=["multiple", "none"]
)
def test_multiples_are_found_among_integers_that_no_float_can_hold(value: int, fits: bool) -> None:
    check = SchemaCheck({"multipleOf": 2.5})
    assert (check.error(value) is None) is fits
