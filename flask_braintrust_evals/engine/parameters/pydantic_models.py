"""Parameters that are declared by pydantic models: one value, one object, or all parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.excerpts import shortened
from flask_braintrust_evals.serialization import dumps, plain

from .model_fields import parse_alone, schema_of, subject_of, takes_null
from .pydantic_errors import first_errors, found
from .values import UNSET, Parameter, ParameterSet

_MAX_ERRORS = 5
"""Errors that a message names."""


def is_model(value: Any) -> bool:
    """Return whether ``value`` is a class of pydantic models."""
    return inspect.isclass(value) and issubclass(value, BaseModel)


def parameter_of(name: str, model: type[BaseModel], where: str) -> Parameter:
    """Declare one parameter by a model.

    Args:
        name: the parameter's name.
        model: with a single field ``value``, tasks get that value; with other fields, they get an
            instance of the model.
        where: the evaluator and the parameter, for messages.

    Raises:
        RegistrationError: the model has no JSON Schema, or one that the Playground cannot show.
    """
    if list(model.model_fields) == ["value"]:
        return _single_value(name, model, where)
    return _instance(name, model, where)


def parameters_of(model: type[BaseModel], evaluator: str) -> ParameterSet:
    """Declare all parameters of an evaluator by one model: each field is a parameter.

    Raises:
        RegistrationError: the model has no JSON Schema, or one that the Playground cannot show.
    """
    where = f"evaluator {evaluator!r}, parameters of {model.__name__}"
    parameters = _model_parameters(model, where, {})
    fields = {field.alias or name: name for name, field in model.model_fields.items()}

    def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
        instance = _parse(model, dict(given), None)
        return {shown: getattr(instance, name) for shown, name in fields.items()}

    return ParameterSet({each.name: each for each in parameters}, check)


def _single_value(name: str, model: type[BaseModel], where: str) -> Parameter:
    (parameter,) = _model_parameters(model, where, {"value": name})

    def parse(value: Any) -> Any:
        return getattr(_parse(model, {"value": value}, name, skip=1), "value")  # noqa: B009

    return Parameter(
        name,
        "data",
        parameter.schema,
        parse,
        parameter.default,
        parameter.description,
        null_is_absent=not takes_null(parse),
    )


def _instance(name: str, model: type[BaseModel], where: str) -> Parameter:
    schema = schema_of(model, where)
    try:
        default: Any = plain(model())
    except ValidationError:  # one of its fields is required, and so is the parameter
        default = UNSET
    description = schema.pop("description", None)
    return Parameter(
        name,
        "data",
        schema,
        lambda value: _parse(model, value, name),
        default,
        description,
        null_is_absent=True,
    )


def _model_parameters(
    model: type[BaseModel], where: str, names: Mapping[str, str]
) -> list[Parameter]:
    """Return the fields of a model as parameters. The model parses them together."""
    schema = schema_of(model, where)
    properties = schema.get("properties", {})
    parameters = []
    for name, field in model.model_fields.items():
        shown = field.alias or name
        described = dict(properties.get(shown, {}))
        described.pop("default", None)
        description = described.pop("description", None)
        default: Any = UNSET
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            default = None if value is None else plain(value)
        parameters.append(
            Parameter(names.get(shown, shown), "data", described, parse_alone, default, description)
        )
    return parameters


def _parse(model: type[BaseModel], value: Any, name: str | None, skip: int = 0) -> Any:
    """Return ``value`` as an instance of ``model``, without converting one JSON type to another.

    Args:
        model: the model.
        value: a JSON value.
        name: the parameter, for messages; ``None``: the model's fields are the parameters.
        skip: the number of steps from ``value`` to the value of the parameter, for messages.
    """
    try:
        # As JSON text, because "strict" then accepts a string for a date, which has no type of its
        # own in JSON. It does not accept a string for a number.
        return model.model_validate_json(dumps(value), strict=True)
    except ValidationError as error:
        raise RequestError("; ".join(_explain(error, name, skip))) from None


def _explain(error: ValidationError, name: str | None, skip: int) -> list[str]:
    explained = []
    for each in first_errors(error, _MAX_ERRORS):
        subject = subject_of(each["loc"], name, skip)
        message = each["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        kind = "" if each["type"] == "missing" else found(each)
        explained.append(shortened(f"{subject}: {message}{f' (got {kind})' if kind else ''}"))
    return explained
