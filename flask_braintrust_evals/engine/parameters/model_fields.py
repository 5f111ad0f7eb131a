"""Functions for parameters that models declare, whichever library the models are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask_braintrust_evals.errors import RegistrationError, RequestError

from .schemas import path_text, whole_schema

SCHEMA_METHODS = ("model_json_schema", "schema")
"""The names of the method that returns the JSON Schema of a model."""


def schema_of(model: Any, where: str) -> dict[str, Any]:
    """Return the JSON Schema of a model, as :func:`.whole_schema` returns it.

    Raises:
        RegistrationError: it has none, or one that the Playground cannot show.
    """
    method = next(found for name in SCHEMA_METHODS if (found := getattr(model, name, None)))
    try:
        schema = method()
    except Exception as error:  # the class's own code, or one of pydantic's several classes
        raise RegistrationError(f"{where}: {model.__name__} has no JSON Schema: {error}") from error
    if not isinstance(schema, Mapping):
        raise RegistrationError(
            f"{where}: {model.__name__} has no JSON Schema: {schema!r} is not an object"
        )
    return whole_schema(schema, where)


def parse_alone(value: Any) -> Any:
    """Stand for the ``parse`` of a field, which is never called; see :class:`.ParameterSet`."""
    raise AssertionError("the fields of a model are parsed together")


def takes_null(parse: Callable[[Any], Any]) -> bool:
    """Return whether a parameter may be ``null``, by the function that parses it."""
    try:
        parse(None)
    except RequestError:
        return False
    return True


def subject_of(path: Iterable[Any], name: str | None, skip: int) -> str:
    """Return what an error is about: a parameter, and the path to the wrong part of its value.

    Args:
        path: the path to the wrong part, from the instance of the model.
        name: the parameter; ``None``: the model's fields are the parameters.
        skip: the number of steps from the instance to the value of the parameter.
    """
    steps = list(path)[skip:]
    shown = name if name is not None else (steps.pop(0) if steps else None)
    return f"parameter {shown!r}{path_text(steps)}" if shown is not None else "parameters"
