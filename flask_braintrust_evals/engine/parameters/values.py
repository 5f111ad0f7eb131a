"""The parameters of an evaluator, and the values of them in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.engine.values.copies import deep_copy, own_copy
from flask_braintrust_evals.errors import RegistrationError, RequestError

from .attribute_dict import AttributeDict

UNSET = object()
"""The default of a parameter that is required."""


class Parameters(AttributeDict):
    """The values of a run's parameters: a ``dict`` whose items are also attributes.

    Each case has a copy of its own, so that a task may change it.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(*error.args) from None

    def __missing__(self, name: str) -> Any:
        known = ", ".join(self) or "none"
        raise KeyError(f"no parameter {name!r}; this evaluator has: {known}")

    def __repr__(self) -> str:
        return f"Parameters({super().__repr__()})"


def copy_for_case(parameters: Parameters) -> Parameters:
    """Return parameters that a task may change without changing the run's."""
    if not parameters:
        return Parameters()
    return Parameters({name: own_copy(value) for name, value in parameters.items()})


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: its name.
        kind: ``"data"`` for any JSON value, ``"model"`` for the name of a model, ``"prompt"``.
        schema: the JSON Schema of its value; empty for prompts.
        parse: returns the value for the task that a given value is parsed to; raises
            :class:`RequestError` if that is not valid.
        default: the JSON value that is parsed if the request gives none; ``None``: the task gets
            ``None``; ``UNSET``: the parameter is required.
        description: shown beside the parameter's control in the Playground; ``None``: none.
        null_is_absent: whether a given ``null`` means that no value is given, as in the
            ``braintrust`` SDK.
    """

    name: str
    kind: str
    schema: Mapping[str, Any]
    parse: Callable[[Any], Any]
    default: Any = UNSET
    description: str | None = None
    null_is_absent: bool = False


class ParameterSet:
    """All parameters of one evaluator.

    Args:
        parameters: the parameters by name.
        check: parses all given values together, instead of each parameter's own ``parse``.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        check: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    ) -> None:
        self._parameters = dict(parameters)
        self._check = check

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def validate(self, values: Mapping[str, Any] | None) -> Parameters:
        """Return the values of a run: for each parameter the given value, or else the default.

        Names that are not declared are ignored.

        Raises:
            RequestError: a parameter does not allow its value, or a required one is missing.
        """
        given = {
            name: value
            for name, value in (values or {}).items()
            if name in self._parameters
            and (value is not None or not self._parameters[name].null_is_absent)
        }
        for name, parameter in self._parameters.items():
            if name not in given and parameter.default is UNSET:
                raise RequestError(
                    f"parameter {name!r} is required and has no default; expected"
                    f" {_expected(parameter)}"
                )
        if self._check is not None:
            return Parameters(self._check(given))
        return Parameters(
            {name: self._value(parameter, given) for name, parameter in self._parameters.items()}
        )

    def _value(self, parameter: Parameter, given: Mapping[str, Any]) -> Any:
        if parameter.name in given:
            return parameter.parse(given[parameter.name])
        if parameter.default is None:
            return None
        # A copy, because a task may change it.
        return parameter.parse(deep_copy(parameter.default))


def check_default(default: Any, parse: Callable[[Any], Any], where: str) -> None:
    """Check that a default is a value that the parameter takes. ``None``, ``UNSET``: it has none.

    Raises:
        RegistrationError: it is not.
    """
    if default is UNSET or default is None:
        return
    try:
        parse(default)
    except RequestError as error:
        raise RegistrationError(f"{where}: wrong default: {error}") from None


def _expected(parameter: Parameter) -> str:
    if parameter.kind == "prompt":
        return "a prompt"
    types = parameter.schema.get("type", "a value")
    return types if isinstance(types, str) else " or ".join(types)
