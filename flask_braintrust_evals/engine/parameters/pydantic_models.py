"""Pydantic models as declarations of parameters: of one value, of an object, or of all at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.serialization import dumps, plain

from .schemas import json_type, path_text, whole_schema
from .values import UNSET, Parameter, ParameterSet


def is_model(value: Any) -> bool:
    """Return whether ``value`` is a class of pydantic models."""
    return inspect.isclass(value) and issubclass(value, BaseModel)


def parameter_of(name: str, model: type[BaseModel], where: str) -> Parameter:
    """Declare one parameter by a model.

    Args:
        name: the parameter's name.
        model: with a single field ``value`` it stands for that value; of any other, tasks get an
            instance.
        where: what it belongs to, for messages.

    Raises:
        RegistrationError: the model has no JSON Schema, or not one that can be shown.
    """
    if list(model.model_fields) == ["value"]:
        return _single_value(name, model, where)
    return _instance(name, model, where)


def parameters_of(model: type[BaseModel], evaluator: str) -> ParameterSet:
    """Declare all parameters of an evaluator by one model, each of whose fields is one.

    Raises:
        RegistrationError: the model has no JSON Schema, or not one that can be shown.
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
        null_is_absent=not _takes_null(parse),
    )


def _instance(name: str, model: type[BaseModel], where: str) -> Parameter:
    schema = whole_schema(_json_schema(model, where), where)
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


def _takes_null(parse: Callable[[Any], Any]) -> bool:
    try:
        parse(None)
    except RequestError:
        return False
    return True


def _model_parameters(
    model: type[BaseModel], where: str, names: Mapping[str, str]
) -> list[Parameter]:
    """The fields of a model as parameters, which are parsed together, by the model."""
    schema = whole_schema(_json_schema(model, where), where)
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
            Parameter(names.get(shown, shown), "data", described, _together, default, description)
        )
    return parameters


def _together(value: Any) -> Any:
    raise AssertionError("the fields of a model are parsed together")


def _json_schema(model: type[BaseModel], where: str) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except Exception as error:  # pydantic has several for types without a JSON form
        raise RegistrationError(f"{where}: {model.__name__} has no JSON Schema: {error}") from error


def _parse(model: type[BaseModel], value: Any, name: str | None, skip: int = 0) -> Any:
    """Return ``value`` as an instance of ``model``, taking for text only what is text.

    Args:
        model: the model.
        value: a JSON value.
        name: the parameter; ``None``: the model's fields are the parameters.
        skip: how many steps into the value the parameter itself is.
    """
    try:
        # By way of JSON, where strict means what JSON's types say: a date may come as text, a
        # number may not.
        return model.model_validate_json(dumps(value), strict=True)
    except ValidationError as error:
        raise RequestError("; ".join(_explain(error, name, skip))) from None


def _explain(error: ValidationError, name: str | None, skip: int) -> list[str]:
    explained = []
    for each in error.errors(include_url=False)[:5]:
        path = list(each["loc"])[skip:]
        shown = name if name is not None else (path.pop(0) if path else None)
        inside = path_text(path)
        subject = f"parameter {shown!r}{inside}" if shown is not None else "parameters"
        message = each["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        found = "" if each["type"] == "missing" else f" (got {json_type(each['input'])})"
        explained.append(f"{subject}: {message}{found}")
    return explained
