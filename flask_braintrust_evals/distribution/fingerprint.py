"""What an evaluator is made of, so that a worker with other code is noticed."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import ParameterSet
from flask_braintrust_evals.serialization import dumps_or_reason

_LENGTH = 16


class Fingerprints:
    """Makes the fingerprints of evaluators, each once.

    Args:
        release: the release of the application, which is a part of all of them.
    """

    def __init__(self, release: str) -> None:
        self._release = release
        # The evaluator is kept, so that no other one can get its id.
        self._known: dict[int, tuple[Evaluator, Mapping[str, str]]] = {}

    def of(self, evaluator: Evaluator) -> Mapping[str, str]:
        """Return texts by what they stand for, in words for people.

        Two evaluators with the same texts have the same code, as far as can be seen: what a task
        calls is not looked at. ``BRAINTRUST_EVALS_RELEASE`` is there to tell such code apart.
        """
        known = self._known.get(id(evaluator))
        if known is None:
            known = self._known[id(evaluator)] = evaluator, self._make(evaluator)
        return known[1]

    def _make(self, evaluator: Evaluator) -> Mapping[str, str]:
        plan = evaluator.plan
        scorers = [call.name for call in plan.scorers]
        classifiers = [call.name for call in plan.classifiers]
        return {
            "the release": self._release,
            "the version of flask-braintrust-evals": __version__,
            "the version of Python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "its parameters": _digest(_parameters(evaluator)),
            "its scorers": _digest(scorers),
            "its classifiers": _digest(classifiers),
            "the code of its task": _digest(_code(plan.task.function)),
            "the code of its scorers": _digest(
                [_code(call.function) for call in (*plan.scorers, *plan.classifiers)]
            ),
        }


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return in words what differs between two fingerprints."""
    names = {**ours, **theirs}
    return [
        f"{name} ({theirs.get(name) or 'none'} there, {ours.get(name) or 'none'} here)"
        if name.startswith("the version") or name == "the release"
        else name
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _parameters(evaluator: Evaluator) -> Any:
    declared = evaluator.parameter_set
    if not isinstance(declared, ParameterSet):
        return [declared.schema, declared.source]
    return [
        [each.name, each.kind, each.schema, dumps_or_reason(each.default), each.null_is_absent]
        if type(each.default) is not object
        else [each.name, each.kind, each.schema, None, each.null_is_absent]
        for each in declared
    ]


def _code(function: Any) -> Any:
    """Return what a callable does, as far as its own code tells."""
    if isinstance(function, functools.partial):
        return ["partial", _code(function.func), len(function.args), sorted(function.keywords)]
    unwrapped: Callable[..., Any] = inspect.unwrap(function) if callable(function) else function
    unwrapped = getattr(unwrapped, "__func__", unwrapped)
    code = getattr(unwrapped, "__code__", None)
    if code is None:
        code = getattr(vars(type(unwrapped)).get("__call__"), "__code__", None)
    name = getattr(unwrapped, "__qualname__", type(unwrapped).__qualname__)
    return [name, _of_code(code) if isinstance(code, CodeType) else None]


def _of_code(code: CodeType) -> Any:
    # Not the places: the same code may have been installed into another folder.
    return [
        hashlib.sha256(code.co_code).hexdigest(),
        [_constant(each) for each in code.co_consts],
        [*code.co_names, *code.co_varnames],
    ]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _of_code(value)
    if isinstance(value, frozenset):
        return sorted(map(repr, value))  # its order differs from process to process
    if isinstance(value, tuple):
        return [_constant(each) for each in value]
    return repr(value)


def _digest(value: Any) -> str:
    if isinstance(value, Iterable) and not value:
        return ""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
