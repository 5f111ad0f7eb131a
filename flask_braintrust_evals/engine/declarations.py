"""The ways to declare parameters: JSON Schemas, models' names, pydantic models, and none at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import orjson
from pydantic import BaseModel, ValidationError

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.serialization import dumps

from .parameters import UNSET, Parameter, ParameterSet
from .schemas import json_type, whole_schema

DATA_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


def declare(declaration: Any, evaluator: str) -> ParameterSet:
    """Read a declaration of parameters.

    Args:
        declaration: ``None``; a pydantic model class, each field of which is a parameter; or a
            mapping of names to any of

            - a JSON Schema with a ``type``, and optionally a ``default`` and a ``description``;
            - ``{"type": "model"}``, the name of a model, with the same options;
            - a pydantic model class with a single field ``value``, which stands for that value;
            - any other pydantic model class: tasks get an instance of it;
            - ``None``: any value, or none.
        evaluator: the evaluator's name, for messages.

    Raises:
        RegistrationError: the declaration makes no sense.
    """
    if declaration is None:
        return ParameterSet({})
    if isinstance(declaration, ParameterSet):
        return declaration
    if _is_model(declaration):
        return _fields_of(declaration, evaluator)
    if not isinstance(declaration, Mapping):
        raise RegistrationError(
            f"evaluator {evaluator!r}: parameters must be a mapping of names to schemas, or a"
            f" pydantic model class, not {declaration!r}"
        )
    return ParameterSet(
        {name: _declare(name, spec, evaluator) for name, spec in declaration.items()}
    )


def _is_model(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseModel)


def _declare(name: Any, spec: Any, evaluator: str) -> Parameter:
    where = f"evaluator {evaluator!r}, parameter {name!r}"
    if not isinstance(name, str) or not name:
        raise RegistrationError(f"{where}: a parameter's name must be a string")
    if spec is None:
        return Parameter(name, "data", {}, lambda value: value, default=None)
    if _is_model(spec):
        fields = spec.model_fields
        if list(fields) == ["value"]:
            return _single_value(name, spec, where)
        return _instance(name, spec, where)
    if not isinstance(spec, Mapping):
        raise RegistrationError(
            f"{where}: must be a dict with a 'type', a pydantic model class, or None, not {spec!r}"
        )
    return _schema(name, spec, where)


def _schema(name: str, spec: Mapping[str, Any], where: str) -> Parameter:
    kind = spec.get("type")
    types = kind if isinstance(kind, list) else [kind]
    if kind != "model" and not all(each in DATA_TYPES for each in types):
        raise RegistrationError(
            f"{where}: 'type' is {kind!r}, but must be one of {', '.join(DATA_TYPES)} or model"
        )
    description = spec.get("description")
    if description is not None and not isinstance(description, str):
        raise RegistrationError(f"{where}: 'description' must be a string, not {description!r}")
    schema = {k: v for k, v in spec.items() if k not in ("default", "description")}
    schema = whole_schema({"type": "string"} if kind == "model" else schema, where)
    validator = jsonschema.Draft202012Validator(schema)

    def parse(value: Any) -> Any:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is not None:
            path = "".join(f"[{step!r}]" for step in error.absolute_path)
            raise RequestError(
                f"parameter {name!r}{path}: {error.message} (got {json_type(error.instance)})"
            )
        return value

    default = spec.get("default", UNSET)
    _check_default(default, parse, where)
    return Parameter(
        name, "model" if kind == "model" else "data", schema, parse, default, description
    )


def _check_default(default: Any, parse: Callable[[Any], Any], where: str) -> None:
    if default is UNSET or default is None:
        return
    try:
        parse(default)
    except RequestError as error:
        raise RegistrationError(f"{where}: wrong default: {error}") from None


def _single_value(name: str, model: type[BaseModel], where: str) -> Parameter:
    (parameter,) = _model_parameters(model, where, {"value": name})
    return Parameter(
        name,
        "data",
        parameter.schema,
        lambda value: getattr(_parse(model, {"value": value}, name, skip=1), "value"),  # noqa: B009
        parameter.default,
        parameter.description,
    )


def _instance(name: str, model: type[BaseModel], where: str) -> Parameter:
    schema = whole_schema(_json_schema(model, where), where)
    try:
        default: Any = orjson.loads(dumps(model()))
    except ValidationError:  # one of its fields is required, and so is the parameter
        default = UNSET
    description = schema.pop("description", None)
    return Parameter(
        name, "data", schema, lambda value: _parse(model, value, name), default, description
    )


def _fields_of(model: type[BaseModel], evaluator: str) -> ParameterSet:
    where = f"evaluator {evaluator!r}, parameters of {model.__name__}"
    parameters = _model_parameters(model, where, {})
    fields = {field.alias or name: name for name, field in model.model_fields.items()}

    def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
        instance = _parse(model, dict(given), None)
        return {shown: getattr(instance, name) for shown, name in fields.items()}

    return ParameterSet({each.name: each for each in parameters}, check)


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
            default = None if value is None else orjson.loads(dumps(value))
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
        inside = "".join(f"[{step!r}]" for step in path)
        subject = f"parameter {shown!r}{inside}" if shown is not None else "parameters"
        message = each["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        found = "" if each["type"] == "missing" else f" (got {json_type(each['input'])})"
        explained.append(f"{subject}: {message}{found}")
    return explained
