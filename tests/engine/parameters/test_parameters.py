"""Parameters: their declaration, and the values of a run."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.parameters.declare import declare as declare_for
from flask_braintrust_evals.engine.parameters.schemas import json_type
from flask_braintrust_evals.engine.parameters.values import UNSET, Parameters, ParameterSet
from flask_braintrust_evals.errors import RegistrationError, RequestError
from tests.engine.support import inputs


def declare(declaration: Any) -> ParameterSet:
    declared = declare_for(declaration, "greeter")
    assert isinstance(declared, ParameterSet)
    return declared


def test_a_declaration_is_read() -> None:
    greeting, model = declare(
        {
            "greeting": {"type": "string", "default": "hi", "description": "First", "minLength": 1},
            "model": {"type": "model"},
        }
    )

    assert (greeting.name, greeting.kind, greeting.default, greeting.description) == (
        "greeting",
        "data",
        "hi",
        "First",
    )
    assert greeting.schema == {"type": "string", "minLength": 1}
    assert (model.name, model.kind, model.default, model.description) == (
        "model",
        "model",
        UNSET,
        None,
    )


@pytest.mark.parametrize("declaration", [None, {}], ids=["none", "empty"])
def test_there_may_be_no_parameters(declaration: Any) -> None:
    parameters = Evaluator("e", str, parameters=declaration).parameter_set

    assert (len(parameters), parameters.names) == (0, ())
    assert dict(parameters.validate({"a": 1})) == {}


def test_a_set_of_parameters_is_taken_as_it_is() -> None:
    parameters = declare({"a": {"type": "string"}})

    assert declare(parameters) is parameters


TYPES = "string, number, integer, boolean, array, object, null, model or prompt"


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        pytest.param(
            ["a"],
            "evaluator 'greeter': parameters must be a mapping of names to schemas, or a pydantic"
            " model class, not ['a']",
            id="list",
        ),
        pytest.param(
            {1: {"type": "string"}},
            "evaluator 'greeter', parameter 1: a parameter's name must be a string",
            id="number as name",
        ),
        pytest.param(
            {"": {"type": "string"}},
            "evaluator 'greeter', parameter '': a parameter's name must be a string",
            id="empty name",
        ),
        pytest.param(
            {"a": "string"},
            "evaluator 'greeter', parameter 'a': must be a dict with a 'type', a pydantic model"
            " class, or None, not 'string'",
            id="no dict",
        ),
        pytest.param(
            {"a": {}},
            f"evaluator 'greeter', parameter 'a': 'type' is None, but must be one of {TYPES}",
            id="no type",
        ),
        pytest.param(
            {"a": {"type": "str"}},
            f"evaluator 'greeter', parameter 'a': 'type' is 'str', but must be one of {TYPES}",
            id="unknown type",
        ),
        pytest.param(
            {"a": {"type": ["string", "text"]}},
            "evaluator 'greeter', parameter 'a': 'type' is ['string', 'text'], but must be one of"
            f" {TYPES}",
            id="unknown type among others",
        ),
        pytest.param(
            {"a": {"type": str}},
            "evaluator 'greeter', parameter 'a': 'type' is <class 'str'>, but must be one of"
            f" {TYPES}",
            id="a Python type",
        ),
        pytest.param(
            {"a": {"type": "string", "description": 5}},
            "evaluator 'greeter', parameter 'a': 'description' must be a string, not 5",
            id="description",
        ),
        pytest.param(
            {"a": {"type": "string", "defualt": "x", "x-unit": "s"}},
            "evaluator 'greeter', parameter 'a': no key 'defualt'; did you mean 'default'?",
            id="misspelled",
        ),
        pytest.param(
            {"m": {"type": "model", "descripton": "x"}},
            "evaluator 'greeter', parameter 'm': no key 'descripton'; did you mean 'description'?",
            id="misspelled for a model",
        ),
        pytest.param(
            {"a": {"type": "string", "min_length": 1}},
            "evaluator 'greeter', parameter 'a': no key 'min_length'; did you mean 'minLength'?",
            id="as in pydantic",
        ),
        pytest.param(
            {"a": {"type": "string", "minLength": "one"}},
            "evaluator 'greeter', parameter 'a': not a JSON Schema: 'one' is not of type 'integer'",
            id="no schema",
        ),
        pytest.param(
            {"a": {"type": "string", "$dynamicRef": "#/no", "default": "x"}},
            "evaluator 'greeter', parameter 'a': wrong default: parameters: a reference in their"
            " schema leads nowhere: /no",
            id="no target",
        ),
        pytest.param(
            {"a": {"type": "string", "default": 5}},
            "evaluator 'greeter', parameter 'a': wrong default: parameter 'a': 5 is not of type"
            " 'string' (got integer)",
            id="wrong default",
        ),
        pytest.param(
            {"m": {"type": "model", "default": 5}},
            "evaluator 'greeter', parameter 'm': wrong default: parameter 'm': 5 is not of type"
            " 'string' (got integer)",
            id="wrong default of a model",
        ),
        pytest.param(
            {"a": {"type": "integer", "default": True}},
            "evaluator 'greeter', parameter 'a': wrong default: parameter 'a': True is not of type"
            " 'integer' (got boolean)",
            id="a bool is no integer",
        ),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(declaration: Any, message: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        declare(declaration)

    assert str(refused.value) == message


@pytest.mark.parametrize("annotation", ["cost", "const", "descriptions", "types", "_type", "$type"])
def test_an_annotation_that_is_like_a_key_beside_it_is_ignored(annotation: str) -> None:
    declared = declare({"a": {"type": "integer", "description": "A number", annotation: 1}})
    assert dict(declared.validate({"a": 1})) == {"a": 1}


def test_a_reference_that_leads_nowhere_is_refused_when_it_is_declared() -> None:
    properties = {"b": {"$ref": "#/$defs/missing"}}

    with pytest.raises(RegistrationError, match="parameter 'a'"):
        declare({"a": {"type": "object", "properties": properties, "default": {"b": 1}}})


def test_a_value_is_taken_over_the_default() -> None:
    parameters = declare(
        {"a": {"type": "string", "default": "x"}, "b": {"type": "integer", "default": 1}}
    )

    assert dict(parameters.validate({"b": 2})) == {"a": "x", "b": 2}
    assert dict(parameters.validate(None)) == {"a": "x", "b": 1}


def test_names_that_are_not_declared_are_ignored() -> None:
    assert dict(declare({"a": {"type": "string"}}).validate({"a": "x", "b": 1})) == {"a": "x"}


@pytest.mark.parametrize("empty", [0, "", False, [], {}], ids=repr)
def test_an_empty_value_counts_as_given(empty: Any) -> None:
    types = ["integer", "string", "boolean", "array", "object"]
    parameters = declare({"a": {"type": types, "default": "full"}})

    assert parameters.validate({"a": empty})["a"] == empty


def test_a_default_of_none_needs_no_type_of_null() -> None:
    assert declare({"a": {"type": "string", "default": None}}).validate({})["a"] is None


def test_none_is_a_value_where_null_is_allowed() -> None:
    parameters = declare({"a": {"type": ["string", "null"], "default": "x"}})

    assert parameters.validate({"a": None})["a"] is None


def test_a_task_that_changes_a_default_changes_it_for_itself_alone() -> None:
    default: dict[str, Any] = {"deep": [1]}
    parameters = declare({"a": {"type": "object", "default": default}})

    parameters.validate({})["a"]["deep"].append(2)

    assert parameters.validate({})["a"] == {"deep": [1]}
    assert default == {"deep": [1]}


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        pytest.param(
            {"type": "string"},
            5,
            "parameter 'a': 5 is not of type 'string' (got integer)",
            id="integer for string",
        ),
        pytest.param(
            {"type": "string", "default": None},
            None,
            "parameter 'a': None is not of type 'string' (got null)",
            id="null for string",
        ),
        pytest.param(
            {"type": "number"},
            "5",
            "parameter 'a': '5' is not of type 'number' (got string)",
            id="string for number",
        ),
        pytest.param(
            {"type": "integer"},
            1.5,
            "parameter 'a': 1.5 is not of type 'integer' (got number)",
            id="number for integer",
        ),
        pytest.param(
            {"type": ["integer", "null"]},
            [],
            "parameter 'a': [] is not of type 'integer', 'null' (got array)",
            id="array for several",
        ),
        pytest.param(
            {"type": "model"},
            {"model": "x"},
            "parameter 'a': {'model': 'x'} is not of type 'string' (got object)",
            id="object for model",
        ),
        pytest.param(
            {"type": "string", "enum": ["x", "y"]},
            "z",
            "parameter 'a': 'z' is not one of ['x', 'y'] (got string)",
            id="enum",
        ),
        pytest.param(
            {"type": "integer", "maximum": 5},
            6,
            "parameter 'a': 6 is greater than the maximum of 5 (got integer)",
            id="maximum",
        ),
        pytest.param(
            {"type": "object", "properties": {"b": {"type": "array", "items": {"type": "string"}}}},
            {"b": ["x", 1]},
            "parameter 'a'['b'][1]: 1 is not of type 'string' (got integer)",
            id="deep within",
        ),
        pytest.param(
            {"type": "object", "required": ["b"]},
            {},
            "parameter 'a': 'b' is a required property (got object)",
            id="missing property",
        ),
    ],
)
def test_a_wrong_value_is_refused(spec: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        declare({"a": spec}).validate({"a": value})

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "model"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
    ],
    ids=["string", "model", "several"],
)
def test_a_value_that_is_missing_is_asked_for(spec: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError) as refused:
        declare({"a": spec}).validate({"b": 1})

    assert str(refused.value) == (
        f"parameter 'a' is required and has no default; expected {expected}"
    )


def test_parameters_are_a_mapping_whose_items_are_attributes() -> None:
    parameters = Parameters({"a": 1, "b": None})

    assert dict(parameters) == {"a": 1, "b": None}
    assert (parameters.a, parameters.b, len(parameters), "a" in parameters) == (1, None, 2, True)
    assert parameters.get("c", 3) == 3
    assert repr(parameters) == "Parameters({'a': 1, 'b': None})"
    with pytest.raises(KeyError):
        parameters["c"]


@pytest.mark.parametrize(
    ("parameters", "known"),
    [(Parameters({"a": 1, "b": 2}), "a, b"), (Parameters(), "none")],
    ids=["some", "none"],
)
def test_a_parameter_that_does_not_exist_is_refused_with_those_that_do(
    parameters: Parameters, known: str
) -> None:
    with pytest.raises(AttributeError) as refused:
        _ = parameters.c

    assert str(refused.value) == f"no parameter 'c'; this evaluator has: {known}"
    assert not hasattr(parameters, "c")


def test_parameters_are_a_dict_in_all_that_code_may_do_with_one() -> None:
    parameters = Parameters({"a": 1, "b": {"c": [2]}})

    assert isinstance(parameters, dict)
    assert json.loads(json.dumps(parameters)) == {"a": 1, "b": {"c": [2]}}
    assert parameters.copy() == parameters | {} == dict(parameters) == {**parameters}
    assert parameters | {"a": 3} == {"a": 3, "b": {"c": [2]}}
    parameters["a"] = 2
    assert parameters.pop("b") == {"c": [2]}
    assert (parameters["a"], parameters.a, len(parameters)) == (2, 2, 1)


def test_attributes_of_parameters_cannot_be_set_and_the_error_says_what_to_write() -> None:
    parameters, name = Parameters({"a": 1}), "a"
    with pytest.raises(AttributeError, match=r"set the item \['a'\] instead"):
        setattr(parameters, name, 2)
    assert parameters.a == 1


def test_what_a_task_does_to_its_parameters_reaches_no_other_case() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        hooks.parameters["list"].append(input)
        hooks.parameters["new"] = input
        return hooks.parameters["list"]

    def scorer(parameters: Parameters) -> bool:
        return len(parameters["list"]) == 2 and "new" in parameters  # those of its case

    declared = {"list": {"type": "array", "default": ["default"]}}
    evaluator = Evaluator("e", task, scores=[scorer], parameters=declared)
    result = evaluator.run(inputs(1, 2, 3))
    assert [each.output for each in result.results] == [["default", n] for n in (1, 2, 3)]
    assert result.scores["scorer"].mean == 1


def test_parameters_do_not_change_with_the_dict_they_came_from() -> None:
    values = {"a": 1}
    parameters = Parameters(values)
    values["a"] = 2

    assert parameters.a == 1


def test_parameters_can_be_pickled_and_copied() -> None:
    parameters = Parameters({"a": [1]})

    for twin in (pickle.loads(pickle.dumps(parameters)), copy.deepcopy(parameters)):
        assert (twin == parameters, twin.a, twin.a is parameters.a) == (True, [1], False)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.5, "number"),
        ("x", "string"),
        ([], "array"),
        ({}, "object"),
        (object(), "object"),
    ],
    ids=["null", "boolean", "integer", "number", "string", "array", "object", "anything"],
)
def test_json_calls_a_type(value: Any, name: str) -> None:
    assert json_type(value) == name
