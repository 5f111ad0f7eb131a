"""Assigns values to the parameters of a signature, by position or by keyword."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
NAMED = (*POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class _Constant:
    """The default of a positional argument, passed because a later argument gets a value."""

    value: Any


Argument = str | _Constant
"""The name of a value, or a default."""


def named_parameters(signature: inspect.Signature, function: Any) -> list[inspect.Parameter]:
    """Return the named parameters, without those that a partial sets by keyword."""
    fixed: set[str] = set()
    while isinstance(function, functools.partial):
        fixed |= function.keywords.keys()
        function = function.func
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in NAMED and parameter.name not in fixed
    ]


def positional_values(
    parameters: list[inspect.Parameter], sources: Mapping[str, str]
) -> tuple[Argument, ...]:
    """Return values for positional-only parameters, up to the last one that has a source."""
    positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    while positional and positional[-1].name not in sources:
        positional.pop()
    return tuple(sources.get(p.name) or _Constant(p.default) for p in positional)


def leading_parameters(
    parameters: list[inspect.Parameter], sources: Mapping[str, str]
) -> list[inspect.Parameter]:
    """Return the first parameters, as long as they have a source and can be positional."""
    return list(
        itertools.takewhile(lambda p: p.kind in POSITIONAL and p.name in sources, parameters)
    )


def keyword_pairs(
    parameters: list[inspect.Parameter], sources: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return pairs of a parameter and its source, for all that have one and can have keywords."""
    return tuple(
        (p.name, sources[p.name])
        for p in parameters
        if p.kind is not p.POSITIONAL_ONLY and p.name in sources
    )


def values_of(arguments: tuple[Argument, ...], given: Mapping[str, Any]) -> list[Any]:
    """Return the positional arguments of a call, by the values that are given for it."""
    return [each.value if isinstance(each, _Constant) else given[each] for each in arguments]
