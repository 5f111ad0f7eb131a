"""Parameters: declared by an evaluator, shown as a form by the Playground, validated per run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from flask_braintrust_evals.errors import RegistrationError, RequestError

DATA_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
UNSET = object()
_DEFINITIONS = ("$defs", "definitions")


class Parameters(Mapping[str, Any]):
    """The values of one run's parameters: a read-only mapping whose items are also attributes."""

    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_values", dict(values or {}))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("parameters cannot be changed: all cases of a run have the same")

    def __getattr__(self, name: str) -> Any:
        # Looked up by way of __dict__: unpickling asks for attributes before there are any.
        values = self.__dict__.get("_values", {})
        try:
            return values[name]
        except KeyError:
            known = ", ".join(values) or "none"
            raise AttributeError(f"no parameter {name!r}; this evaluator has: {known}") from None

    def __repr__(self) -> str:
        return f"Parameters({self._values!r})"


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: its name.
        kind: ``"data"`` for any JSON value, ``"model"`` for the name of a model.
        schema: the JSON Schema of its value.
        default: the value where the request gives none, ``None`` included; ``UNSET`` makes the
            parameter required.
        description: shown beside the control; ``None`` for none.
    """

    name: str
    kind: str
    schema: Mapping[str, Any]
    default: Any = UNSET
    description: str | None = None

    def validate(self, value: Any) -> Any:
        """Return ``value`` if the schema allows it.

        Raises:
            RequestError: it does not; names the parameter, the value's type and what is expected.
        """
        error = jsonschema.exceptions.best_match(_validator(self.schema).iter_errors(value))
        if error is not None:
            where = "".join(f"[{step!r}]" for step in error.absolute_path)
            raise RequestError(
                f"parameter {self.name!r}{where}: {error.message} (got {json_type(error.instance)})"
            )
        return value


class ParameterSet:
    """All parameters of one evaluator."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._parameters = dict(parameters)

    @classmethod
    def of(cls, declaration: Any, evaluator: str) -> ParameterSet:
        """Read a declaration of parameters.

        Args:
            declaration: ``None``, or a mapping of names to JSON Schemas with a ``type``, or to
                ``{"type": "model"}``; each with an optional ``default`` and ``description``.
            evaluator: the evaluator's name, for messages.

        Raises:
            RegistrationError: the declaration makes no sense.
        """
        if declaration is None:
            return cls({})
        if isinstance(declaration, ParameterSet):
            return declaration
        if not isinstance(declaration, Mapping):
            raise RegistrationError(
                f"evaluator {evaluator!r}: parameters must be a mapping of names to schemas, not"
                f" {declaration!r}"
            )
        return cls({name: _declare(name, spec, evaluator) for name, spec in declaration.items()})

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __len__(self) -> int:
        return len(self._parameters)

    def validate(self, values: Mapping[str, Any] | None) -> Parameters:
        """Return the values of a run: those given, over the defaults.

        Names that are not declared are ignored.

        Raises:
            RequestError: a value is not what its parameter allows, or a required one is missing.
        """
        given = values or {}
        result: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            if name in given:
                result[name] = parameter.validate(given[name])
            elif parameter.default is not UNSET:
                result[name] = copy.deepcopy(parameter.default)  # a task may change it
            else:
                raise RequestError(
                    f"parameter {name!r} is required and has no default; expected"
                    f" {parameter.schema.get('type', 'a value')}"
                )
        return Parameters(result)


def json_type(value: Any) -> str:
    """Return what JSON calls the type of ``value``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _validator(schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema)


def resolve_references(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what its ``$ref`` point to in their place, as the Playground wants it.

    Raises:
        Unresolvable: a reference leads nowhere.
        RecursionError: a reference leads to itself.
    """
    resource = DRAFT202012.create_resource(dict(schema))
    registry: Any = Registry().with_resource("", resource)

    def resolve(node: Any, resolver: Any, within: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolve(each, resolver, within) for each in node]
        if not isinstance(node, Mapping):
            return node
        reference = node.get("$ref")
        beside = {key: resolve(each, resolver, within) for key, each in node.items()}
        if not isinstance(reference, str):
            return beside
        del beside["$ref"]
        if reference in within:
            raise RecursionError(reference)
        found = resolver.lookup(reference)
        target = resolve(found.contents, found.resolver, (*within, reference))
        return {**target, **beside} if isinstance(target, Mapping) else target

    resolved = resolve(
        {k: v for k, v in schema.items() if k not in _DEFINITIONS}, registry.resolver(), ()
    )
    assert isinstance(resolved, dict)
    return resolved


def _declare(name: Any, spec: Any, evaluator: str) -> Parameter:
    where = f"evaluator {evaluator!r}, parameter {name!r}"
    if not isinstance(name, str) or not name:
        raise RegistrationError(f"{where}: a parameter's name must be a string")
    if not isinstance(spec, Mapping):
        raise RegistrationError(f"{where}: must be a dict with a 'type', not {spec!r}")
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
    if kind == "model":
        schema = {"type": "string"}
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        schema = resolve_references(schema)
    except jsonschema.SchemaError as error:
        raise RegistrationError(f"{where}: not a JSON Schema: {error.message}") from None
    except Unresolvable as error:
        raise RegistrationError(f"{where}: the reference {error.ref!r} leads nowhere") from None
    except RecursionError as error:
        raise RegistrationError(f"{where}: the reference {error} leads back to itself") from None
    parameter = Parameter(
        name,
        "model" if kind == "model" else "data",
        schema,
        spec.get("default", UNSET),
        description,
    )
    if parameter.default is not UNSET and parameter.default is not None:
        try:
            parameter.validate(parameter.default)
        except RequestError as error:
            raise RegistrationError(f"{where}: wrong default: {error}") from None
    return parameter
