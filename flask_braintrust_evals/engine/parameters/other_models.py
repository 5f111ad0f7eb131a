"""Parameters that are declared by models of pydantic 1, or by classes with the same methods.

The ``braintrust`` SDK takes any class that has a JSON Schema (``model_json_schema()`` or
``schema()``) and makes instances of values (``parse_obj()`` or ``model_validate()``).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.excerpts import shortened
from flask_braintrust_evals.serialization import plain

from .model_fields import SCHEMA_METHODS, parse_alone, schema_of, subject_of, takes_null
from .prompts import without_nulls
from .schema_check import SchemaCheck
from .schemas import json_type
from .values import UNSET, Parameter, ParameterSet

_PARSE_METHODS = ("parse_obj", "model_validate")


def is_other_model(value: Any) -> bool:
    """Return whether ``value`` is a class with the methods of a model."""
    return inspect.isclass(value) and all(
        any(callable(getattr(value, name, None)) for name in names)
        for names in (SCHEMA_METHODS, _PARSE_METHODS)
    )


def other_parameter_of(name: str, model: Any, where: str) -> Parameter:
    """Declare one parameter by a model.

    Args:
        name: the parameter's name.
        model: with a single field ``value``, tasks get that value; with other fields, they get an
            instance of the model.
        where: the evaluator and the parameter, for messages.

    Raises:
        RegistrationError: the model has no JSON Schema, or one that the Playground cannot show.
    """
    schema = schema_of(model, where)
    schema_check = SchemaCheck(schema)
    is_value = list(_field_names(model, schema).values()) == ["value"]
    default: Any = UNSET
    try:
        instance = model()
    except Exception:  # one of its fields is required, and so is the parameter
        pass
    else:
        default = plain(instance.value) if is_value else _plain_instance(instance)

    if not is_value:
        description = schema.pop("description", None)
        return Parameter(
            name,
            "data",
            schema,
            lambda value: _parse(model, schema_check, value, name),
            default,
            description,
            null_is_absent=True,
        )

    def parse(value: Any) -> Any:
        return _parse(model, schema_check, {"value": value}, name, skip=1).value

    shown, description = _shown(schema.get("properties", {}).get("value", {}))
    null_is_absent = not takes_null(parse)
    return Parameter(name, "data", shown, parse, default, description, null_is_absent)


def other_parameters_of(model: Any, evaluator: str) -> ParameterSet:
    """Declare all parameters of an evaluator by one model: each field is a parameter.

    Raises:
        RegistrationError: the model has no JSON Schema, or one that the Playground cannot show.
    """
    schema = schema_of(model, f"evaluator {evaluator!r}, parameters of {model.__name__}")
    schema_check = SchemaCheck(schema)
    fields = _field_names(model, schema)
    parameters = {}
    for name in fields:
        described = schema.get("properties", {}).get(name, {})
        default = UNSET if name in schema.get("required", ()) else described.get("default")
        shown, description = _shown(described)
        parameters[name] = Parameter(name, "data", shown, parse_alone, default, description)

    def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
        instance = _parse(model, schema_check, dict(given), None)
        return {shown: getattr(instance, name) for shown, name in fields.items()}

    return ParameterSet(parameters, check)


def _field_names(model: Any, schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the model's attributes, by the names that the fields have in JSON."""
    fields = getattr(model, "model_fields", None) or getattr(model, "__fields__", None)
    if not isinstance(fields, Mapping):
        return {name: name for name in schema.get("properties", {})}
    return {getattr(field, "alias", None) or name: name for name, field in fields.items()}


def _shown(schema: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the schema of a field without its default and description, and the description."""
    shown = {key: each for key, each in schema.items() if key not in ("default", "description")}
    return shown, schema.get("description")


def _plain_instance(instance: Any) -> Any:
    """Return an instance as JSON; if that is no object, one from which it is made anew."""
    value = plain(instance)
    return value if isinstance(value, dict) else {}


def _parse(model: Any, check: SchemaCheck, value: Any, name: str | None, skip: int = 0) -> Any:
    """Return ``value`` as an instance of ``model``, without converting one JSON type to another.

    Such models convert ``"3"`` to a number. Therefore the value is first compared with the schema.

    Args:
        model: the model.
        check: the check of its JSON Schema.
        value: a JSON value.
        name: the parameter, for messages; ``None``: the model's fields are the parameters.
        skip: the number of steps from ``value`` to the value of the parameter, for messages.
    """
    # Schemas of pydantic 1 do not say which fields may be null: the model knows it.
    worst = check.error(without_nulls(value), ignore=("required",))
    if worst is not None:
        subject = subject_of(worst.absolute_path, name, skip)
        message = shortened(worst.message)
        raise RequestError(f"{subject}: {message} (got {json_type(worst.instance)})")
    method = next(made for each in _PARSE_METHODS if (made := getattr(model, each, None)))
    try:
        return method(value)
    except Exception as error:  # each library has a class of its own
        raise RequestError("; ".join(_explain(error, name, skip))) from None


def _explain(error: Exception, name: str | None, skip: int) -> list[str]:
    errors = getattr(error, "errors", None)
    try:
        details = errors() if callable(errors) else []
        found = [
            f"{subject_of([step for step in each['loc'] if step != '__root__'], name, skip)}:"
            f" {each['msg']}"
            for each in details[:5]
        ]
    except Exception:  # not pydantic's form
        found = []
    return found or [f"{subject_of([], name, 0)}: {error}"]
