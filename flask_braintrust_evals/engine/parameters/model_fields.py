"""Parameters that are declared by a model, whichever library the model is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask_braintrust_evals.errors import RegistrationError, RequestError

from .schemas import path_text, whole_schema
from .values import Parameter, ParameterSet

SCHEMA_METHODS = ("model_json_schema", "schema")
"""The names of the method that returns the JSON Schema of a model."""


class DeclaringModel(ABC):
    """A class of models that declares one parameter, or all of an evaluator.

    Args:
        model: the class.
        where: the evaluator and the parameter, for messages.

    Attributes:
        names: the names of the model's attributes, by the names that the fields have in JSON.

    Raises:
        RegistrationError: it has no JSON Schema, or one that the Playground cannot show.
    """

    names: Mapping[str, str]

    def __init__(self, model: Any, where: str) -> None:
        self._model = model
        self._schema = _schema_of(model, where)

    @abstractmethod
    def _parse(self, value: Any, name: str | None, skip: int = 0) -> Any:
        """Return a JSON value as an instance, without converting one JSON type to another.

        Args:
            value: the value.
            name: the parameter, for messages; ``None``: the model's fields are the parameters.
            skip: the number of steps from ``value`` to the value of the parameter, for messages.

        Raises:
            RequestError: the model does not allow it.
        """

    @abstractmethod
    def _default(self) -> Any:
        """Return an instance without values as JSON; ``UNSET``: one of its fields is required."""

    @abstractmethod
    def _default_of_value(self) -> Any:
        """Return the same of the single field ``value``."""

    @abstractmethod
    def _default_of_field(self, shown: str) -> Any:
        """Return the same of the field that has this name in JSON."""

    def parameter(self, name: str) -> Parameter:
        """Declare one parameter.

        If the model has a single field ``value``, tasks get that value; with other fields, they get
        an instance of the model.
        """
        if list(self.names.values()) == ["value"]:
            return self._single_value(name)
        default = self._default()
        description = self._schema.pop("description", None)
        return Parameter(
            name,
            "data",
            self._schema,
            lambda value: self._parse(value, name),
            default,
            description,
            null_is_absent=True,
        )

    def _single_value(self, name: str) -> Parameter:
        def parse(value: Any) -> Any:
            return self._parse({"value": value}, name, skip=1).value

        (field,) = self.names
        schema, description = self._shown(field)
        null_is_absent = not _takes_null(parse)
        default = self._default_of_value()
        return Parameter(name, "data", schema, parse, default, description, null_is_absent)

    def parameters(self) -> ParameterSet:
        """Declare all parameters of an evaluator: each field is a parameter."""
        parameters = {}
        for name in self.names:
            schema, description = self._shown(name)
            default = self._default_of_field(name)
            parameters[name] = Parameter(name, "data", schema, _parse_alone, default, description)

        def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
            instance = self._parse(dict(given), None)
            return {shown: getattr(instance, name) for shown, name in self.names.items()}

        return ParameterSet(parameters, check)

    def _described(self, name: str) -> Mapping[str, Any]:
        described: Mapping[str, Any] = self._schema.get("properties", {}).get(name, {})
        return described

    def _shown(self, name: str) -> tuple[dict[str, Any], str | None]:
        """Return the schema of a field without its default and description, and the description."""
        described = self._described(name)
        shown = {k: each for k, each in described.items() if k not in ("default", "description")}
        return shown, described.get("description")


def _schema_of(model: Any, where: str) -> dict[str, Any]:
    """Return the JSON Schema of a model, as :func:`.whole_schema` returns it."""
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


def _parse_alone(value: Any) -> Any:
    """Stand for the ``parse`` of a field, which is never called; see :class:`.ParameterSet`."""
    raise AssertionError("the fields of a model are parsed together")


def _takes_null(parse: Callable[[Any], Any]) -> bool:
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
