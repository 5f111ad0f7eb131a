"""Parameters saved in Braintrust: listed as they are, validated by their schema, received."""

from __future__ import annotations

from typing import Any

import pytest
from braintrust.parameters import RemoteEvalParameters, validate_parameters

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.engine.parameters.declare import declare
from flask_braintrust_evals.engine.parameters.prompts import Prompt
from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.web.descriptions.manifest import manifest

PROMPT = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "Hi {{name}}"}]},
    "options": {"model": "m"},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "main": {"type": "object", "x-bt-type": "prompt", "default": PROMPT},
        "model": {"type": "string", "x-bt-type": "model", "default": "small"},
        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
        "style": {
            "type": "object",
            "properties": {"tone": {"type": "string", "default": "calm"}, "words": {}},
            "default": {},
        },
        "steps": {
            "type": "array",
            "items": {"type": "object", "properties": {"times": {"default": 1}}},
        },
    },
    "required": ["threshold"],
    "additionalProperties": True,
}


def saved(schema: Any = SCHEMA, data: Any = None, **source: Any) -> RemoteEvalParameters:
    fields = {"id": "par-1", "project_id": "pro-1", "version": "17", **source}
    return RemoteEvalParameters(
        name="Settings",
        slug="settings",
        schema=schema,
        data={"threshold": 0.5} if data is None else data,
        **fields,
    )


def test_saved_parameters_are_listed_with_their_schema_and_where_they_are() -> None:
    evaluator = Evaluator("e", lambda input: input, parameters=saved())
    assert manifest([evaluator])["e"]["parameters"] == {
        "type": "braintrust.parameters",
        "schema": SCHEMA,
        "source": {
            "parametersId": "par-1",
            "slug": "settings",
            "name": "Settings",
            "projectId": "pro-1",
            "version": "17",
        },
    }
    evaluator = Evaluator("e", lambda input: input, parameters=saved(version=None))
    assert "version" not in manifest([evaluator])["e"]["parameters"]["source"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"threshold": 0.9, "model": "large"},
        {"style": {"words": 5}},
        {"steps": [{}, {"times": 3}]},
    ],
)
def test_values_are_those_given_over_those_saved_over_the_defaults_as_in_the_sdk(
    given: dict[str, Any],
) -> None:
    ours = dict(declare(saved(), "e").validate(given))
    theirs = validate_parameters(given, saved())
    assert ours.pop("main").build(name="Ada") == theirs.pop("main").build(name="Ada")
    assert ours == theirs


def test_a_prompt_among_them_renders() -> None:
    chosen = {**PROMPT, "options": {"model": "large"}}
    prompt = declare(saved(), "e").validate({"main": chosen})["main"]
    assert isinstance(prompt, Prompt)
    assert prompt.build(name="Ada")["model"] == "large"


def test_names_that_the_schema_does_not_have_are_ignored() -> None:
    assert "other" not in declare(saved(), "e").validate({"other": 1})


def test_runs_do_not_share_what_is_saved() -> None:
    declared = declare(saved(data={"threshold": 0.5, "style": {"words": []}}), "e")
    declared.validate({})["style"]["words"].append("x")
    assert declared.validate({})["style"]["words"] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threshold": "0.5"}, "parameter 'threshold': '0.5' is not of type 'number' (got string)"),
        (
            {"threshold": 2},
            "parameter 'threshold': 2 is greater than the maximum of 1 (got integer)",
        ),
        ({"model": 5}, "parameter 'model': 5 is not of type 'string' (got integer)"),
        (
            {"style": {"tone": 1}},
            "parameter 'style'['tone']: 1 is not of type 'string' (got integer)",
        ),
        ({"main": {"prompt": {"type": "poem"}}}, "parameter 'main'['prompt']: not a prompt: "),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(given: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        declare(saved(), "e").validate(given)
    assert str(refused.value).startswith(message)


def test_one_that_is_required_and_not_saved_is_asked_for() -> None:
    declared = declare(saved(data={}), "e")
    with pytest.raises(RequestError) as refused:
        declared.validate({})
    assert str(refused.value) == "parameters: 'threshold' is a required property"
    assert declared.validate({"threshold": 1})["threshold"] == 1


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        *(
            (
                saved(schema=schema),
                "evaluator 'e': the saved parameters 'settings' have a schema that is no JSON"
                " Schema: ",
            )
            for schema in ({"type": "thing"}, {"$id": 5})
        ),
        (
            saved(data={"threshold": 7}),
            "evaluator 'e': the saved parameters 'settings' have values that do not fit their"
            " schema: parameter 'threshold': 7 is greater than the maximum of 1 (got integer)",
        ),
    ],
)
def test_what_is_saved_is_checked_where_the_evaluator_is_defined(broken: Any, message: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        declare(broken, "e")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            saved(schema={"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}, data={"a": 1}),
            "http://127.0.0.1:9/x",
        ),
        (saved(schema={"properties": {"a": {"$ref": "#/no"}}}, data={"a": 1}), "/no"),
        (
            saved(schema={"properties": {"a": {"$ref": "#/x"}}, "x": [1]}, data={"a": 1}),
            "a reference in their schema leads to what is no JSON Schema",
        ),
        (saved(schema={"$schema": [1]}), "[1] is not of type 'string'"),
        (saved(schema=True), "no objects"),
        (saved(data=[]), "no objects"),
        (saved(data={"main": {"prompt": {"type": "poem"}}}), "not a prompt"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_fetched(broken: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match="saved parameters 'settings' have") as refused:
        declare(broken, "e")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("#/no", "leads nowhere: /no"),
        ("#/x", "leads to what is no JSON Schema"),
        ("#/x/0", "leads to what is no JSON Schema"),
    ],
)
def test_a_reference_without_a_target_is_reported_when_it_is_followed(
    reference: str, message: str
) -> None:
    schema = {"properties": {"a": {"$ref": reference}}, "x": [{"multipleOf": 0}]}
    declared = declare(saved(schema=schema, data={}), "e")
    with pytest.raises(RequestError, match=message):
        declared.validate({"a": 1})


def test_nulls_in_a_saved_schema_do_not_reach_the_list() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": None}}}
    evaluator = Evaluator("e", lambda input: input, parameters=saved(schema=schema, data={}))
    shown = manifest([evaluator])["e"]["parameters"]["schema"]
    assert shown == {"type": "object", "properties": {"a": {"type": "string"}}}


def test_a_schema_without_properties_takes_nothing_and_keeps_what_is_saved() -> None:
    declared = declare(saved(schema={}, data={"a": 1}), "e")
    assert declared.validate({"b": 2}) == {"a": 1}
