"""How tasks, scorers and classifiers are called: by the names of the arguments they take.

Signatures are read once, when an evaluator is made, so that a mistake shows where it was written.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.errors import DuplicateEvaluatorError, RegistrationError

SCORER_ARGUMENTS = (
    "input",
    "output",
    "expected",
    "metadata",
    "tags",
    "id",
    "trace",
    "parameters",
)
"""What a scorer or a classifier may ask for by name."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class TaskCall:
    """A task, and which arguments it takes."""

    function: Callable[..., Any]
    takes_hooks: bool
    takes_parameters: bool

    @classmethod
    def of(cls, function: Any) -> TaskCall:
        """Read a task's signature.

        Raises:
            RegistrationError: it is not callable, or cannot be called with an input and hooks.
        """
        if not callable(function):
            raise RegistrationError(f"a task must be callable, not {function!r}")
        signature = _signature(function)
        if signature is None:
            return cls(function, takes_hooks=False, takes_parameters=False)
        takes_hooks = takes_parameters = False
        variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
        named = _named(signature)
        if not named and not variadic:
            raise RegistrationError(
                f"task {callable_name(function)!r} takes no argument; write it as task(input) or"
                " task(input, hooks)"
            )
        for position, parameter in enumerate(named[1:]):
            if parameter.name == "parameters":
                takes_parameters = True
            elif parameter.name == "hooks" or (
                position == 0 and parameter.default is parameter.empty
            ):
                takes_hooks = True
            elif parameter.default is parameter.empty:
                raise RegistrationError(
                    f"task {callable_name(function)!r} takes the argument {parameter.name!r}, which"
                    " nobody gives it; write it as task(input) or task(input, hooks)"
                )
        return cls(function, takes_hooks, takes_parameters)

    def __call__(self, input: Any, hooks: Any, parameters: Mapping[str, Any]) -> Any:
        positional = (input, hooks) if self.takes_hooks else (input,)
        named = {"parameters": parameters} if self.takes_parameters else {}
        return self.function(*positional, **named)


@dataclass(frozen=True)
class ScorerCall:
    """A scorer or classifier, its name, and which arguments it takes."""

    name: str
    function: Callable[..., Any]
    positional: tuple[str, ...]
    keywords: tuple[str, ...]

    @classmethod
    def of(cls, scorer: Any, kind: str, index: int) -> ScorerCall:
        """Read the signature of a scorer or classifier.

        Args:
            scorer: a function, an object that can be called or has ``eval_async``, or a class of
                such objects, which is instantiated.
            kind: ``"scorer"`` or ``"classifier"``, for messages and for naming lambdas.
            index: its place in the evaluator's list, for naming lambdas.

        Raises:
            RegistrationError: it is not callable, or wants an argument that nobody gives it.
        """
        if inspect.isclass(scorer):
            scorer = _instantiate(scorer, kind)
        function = scorer if callable(scorer) else getattr(scorer, "eval_async", None)
        if function is None:
            raise RegistrationError(f"a {kind} must be callable, not {scorer!r}")
        name = callable_name(scorer)
        if name == "<lambda>":
            name = f"{kind}_{index}"
        positional, keywords = _accepted(function, kind, name)
        return cls(name, function, positional, keywords)

    def __call__(self, arguments: Mapping[str, Any]) -> Any:
        return self.function(
            *[arguments[name] for name in self.positional],
            **{name: arguments[name] for name in self.keywords},
        )


def scorer_calls(scorers: Any, kind: str, evaluator: str) -> tuple[ScorerCall, ...]:
    """Read the signatures of an evaluator's scorers or classifiers.

    Raises:
        RegistrationError: one of them cannot be called.
        DuplicateEvaluatorError: two of them have the same name.
    """
    if callable(scorers) or isinstance(scorers, str):
        raise RegistrationError(
            f"evaluator {evaluator!r}: {kind}s must be a list, not {scorers!r}; write [{kind}]"
        )
    calls = tuple(ScorerCall.of(scorer, kind, index) for index, scorer in enumerate(scorers or ()))
    seen: set[str] = set()
    for call in calls:
        if call.name in seen:
            raise DuplicateEvaluatorError(
                f"evaluator {evaluator!r} has two {kind}s named {call.name!r}, and one's results"
                " would hide the other's; rename one of the functions"
            )
        seen.add(call.name)
    return calls


def apart(scorers: Sequence[ScorerCall]) -> tuple[ScorerCall, ...]:
    """Return the scorers with names that are all different: ``x``, ``x (2)``, ``x (3)``."""
    seen: set[str] = set()
    result = []
    for scorer in scorers:
        name = free_name(scorer.name, seen)
        seen.add(name)
        result.append(ScorerCall(name, scorer.function, scorer.positional, scorer.keywords))
    return tuple(result)


def free_name(name: str, taken: set[str]) -> str:
    """Return ``name``, or the first of ``name (2)``, ``name (3)`` … that is not taken."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
    return candidate


def callable_name(function: Any) -> str:
    """Return the name that a function, a partial or an object is known by."""
    own_name = getattr(function, "_name", None)  # the convention of autoevals
    if callable(own_name):
        return str(own_name())
    name = getattr(function, "__name__", None)
    if name is None and hasattr(function, "func"):
        return callable_name(function.func)
    return str(name or type(function).__name__)


def _instantiate(scorer: Any, kind: str) -> Any:
    try:
        return scorer()
    except TypeError as error:
        raise RegistrationError(
            f"{kind} {scorer.__name__!r} is a class that cannot be made without arguments"
            f" ({error}); give an instance of it"
        ) from error


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return None


def _named(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind in (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)
    ]


def _accepted(function: Any, kind: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    signature = _signature(function)
    if signature is None:
        return (), SCORER_ARGUMENTS
    positional: list[str] = []
    keywords: list[str] = []
    for parameter in _named(signature):
        if parameter.name in SCORER_ARGUMENTS:
            positional_only = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
            (positional if positional_only else keywords).append(parameter.name)
        elif parameter.default is inspect.Parameter.empty:
            raise RegistrationError(
                f"{kind} {name!r} takes the argument {parameter.name!r}, which nobody gives it;"
                f" a {kind} may take any of {', '.join(SCORER_ARGUMENTS)}"
            )
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        keywords += [n for n in SCORER_ARGUMENTS if n not in positional and n not in keywords]
    return tuple(positional), tuple(keywords)
