"""Calls tasks, scorers and classifiers with those values that their arguments are named after.

Signatures are read once, when an evaluator is made, so that a mistake is found at its definition.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.engine.values.names import free_name
from flask_braintrust_evals.errors import DuplicateEvaluatorError, RegistrationError
from flask_braintrust_evals.texts.excerpts import excerpt

from .arguments import (
    POSITIONAL,
    Argument,
    keyword_pairs,
    leading_parameters,
    named_parameters,
    positional_values,
    values_of,
)
from .introspection import callable_name, entry_of, instance_of, place_of, signature_of

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
"""The names of the arguments that a scorer or a classifier may take."""

_INPUT_ALONE: tuple[Argument, ...] = ("input",)


@dataclass(frozen=True)
class TaskCall:
    """A task, called with those of ``input``, ``hooks`` and ``parameters`` that it takes.

    Attributes:
        function: the task.
        positional: the values that it gets by position.
        keywords: the values that it gets by keyword, as pairs of an argument and a value's name.
        hooks_name: the name of its argument for the hooks; ``None``: it takes none.
    """

    function: Callable[..., Any]
    positional: tuple[Argument, ...] = ("input",)
    keywords: tuple[tuple[str, str], ...] = ()
    hooks_name: str | None = None

    @classmethod
    def of(cls, function: Any) -> TaskCall:
        """Read a task's signature.

        Raises:
            RegistrationError: it is not callable, or cannot be called with an input and hooks.
        """
        if not callable(function):
            raise _not_callable("task", function)
        signature = signature_of(function)
        if signature is None:
            return cls(function)
        named = named_parameters(signature, function)
        takes_any = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
        if not named and not takes_any:
            raise _bad_task(function, "takes no argument")
        has_first = bool(named) and named[0].kind in POSITIONAL
        others = named[1:] if has_first else [each for each in named if each.name != "input"]
        by_keyword = not has_first and len(others) < len(named)
        if not has_first and not by_keyword and not takes_any:
            raise _bad_task(function, "takes no positional argument")
        sources = _task_sources(function, others)
        hooks_name = next((name for name, source in sources.items() if source == "hooks"), None)
        if by_keyword:
            keywords = keyword_pairs(named, {"input": "input", **sources})
            return cls(function, (), keywords, hooks_name)
        # By position where possible: the wrapper of a decorator may take *args only.
        leading = leading_parameters(others, sources)
        rest = others[len(leading) :]
        positional = (
            "input",
            *(sources[p.name] for p in leading),
            *positional_values(rest, sources),
        )
        return cls(function, positional, keyword_pairs(rest, sources), hooks_name)

    def takes(self, name: str) -> bool:
        """Return whether the task gets the value of this name."""
        return name in self.positional or any(source == name for _, source in self.keywords)

    def __call__(self, input: Any, hooks: Any, parameters: Mapping[str, Any]) -> Any:
        if not self.keywords and self.positional == _INPUT_ALONE:
            return self.function(input)
        given = {"input": input, "hooks": hooks, "parameters": parameters}
        return self.function(
            *values_of(self.positional, given),
            **{name: given[source] for name, source in self.keywords},
        )


@dataclass(frozen=True)
class ScorerCall:
    """A scorer or classifier, called with those values that it takes.

    Attributes:
        name: its name, which no other scorer of the run has.
        function: the function that is called.
        positional: the values that it gets by position.
        keywords: the names of the values that it gets by keyword.
        own_name: its name before :func:`unique_names` changed it.
        required: the names of the values without which it cannot be called.
    """

    name: str
    function: Callable[..., Any]
    positional: tuple[Argument, ...]
    keywords: tuple[str, ...]
    own_name: str = ""
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, scorer: Any, kind: str, index: int) -> ScorerCall:
        """Read the signature of a scorer or classifier.

        Args:
            scorer: a function, an object that can be called or has ``eval_async``, or a class of
                such objects, which is instantiated.
            kind: ``"scorer"`` or ``"classifier"``, for messages and for naming lambdas.
            index: its place in the evaluator's list, for naming lambdas.

        Raises:
            RegistrationError: it is not callable, or requires an argument of another name.
        """
        if inspect.isclass(scorer):
            scorer = instance_of(scorer, kind)
        function = entry_of(scorer)
        if function is None:
            raise _not_callable(kind, scorer)
        name = callable_name(scorer)
        if name == "<lambda>":
            name = f"{kind}_{index}"
        positional, keywords, required = _accepted(function, kind, name)
        return cls(name, function, positional, keywords, required=required)

    def takes(self, argument: str) -> bool:
        """Return whether it asks for an argument of :data:`SCORER_ARGUMENTS`."""
        return argument in self.positional or argument in self.keywords

    def __call__(self, arguments: Mapping[str, Any]) -> Any:
        keywords = {name: arguments[name] for name in self.keywords}
        if not self.positional:
            return self.function(**keywords)
        return self.function(*values_of(self.positional, arguments), **keywords)


def scorer_calls(
    scorers: Any, kind: str, evaluator: str, *, numbered: bool = False
) -> tuple[ScorerCall, ...]:
    """Read the signatures of an evaluator's scorers or classifiers.

    Args:
        scorers: the scorers or classifiers.
        kind: ``"scorer"`` or ``"classifier"``, for messages.
        evaluator: the name of the evaluator, for messages.
        numbered: whether several may have the same name; see :func:`unique_names`.

    Raises:
        RegistrationError: one of them cannot be called.
        DuplicateEvaluatorError: two of them have the same name.
    """
    # A set has another order in each process, by which lambdas would have other names.
    unfit = isinstance(scorers, str | Mapping | set | frozenset)
    is_list = isinstance(scorers or (), Iterable) and not unfit
    if callable(scorers) or not is_list:
        option = "scores" if kind == "scorer" else "classifiers"
        raise RegistrationError(
            f"evaluator {evaluator!r}: {option} must be a list, not {scorers!r}; write"
            f" {option}=[{kind}]"
        )
    calls = tuple(ScorerCall.of(scorer, kind, index) for index, scorer in enumerate(scorers or ()))
    if numbered:
        return unique_names(calls)
    seen: dict[str, ScorerCall] = {}
    for call in calls:
        other = seen.setdefault(call.name, call)
        if other is not call:
            raise DuplicateEvaluatorError(_duplicate(kind, evaluator, other, call))
    return calls


def _duplicate(kind: str, evaluator: str, first: ScorerCall, second: ScorerCall) -> str:
    places = [place_of(call.function) for call in (first, second)]
    if None in places:
        where = ""
    elif places[0] == places[1]:
        where = f", both at {places[0]}"
    else:
        where = f", one at {places[0]}, one at {places[1]}"
    return (
        f"evaluator {evaluator!r} has two {kind}s named {second.name!r}{where}; nobody could"
        " tell their results apart, so rename one of them"
    )


def unique_names(scorers: Sequence[ScorerCall]) -> tuple[ScorerCall, ...]:
    """Return the scorers with names that are all different: ``x``, ``x (2)``, ``x (3)``."""
    seen: set[str] = set()
    result = []
    for scorer in scorers:
        name = free_name(scorer.name, seen)
        seen.add(name)
        result.append(
            dataclasses.replace(scorer, name=name, own_name=scorer.own_name or scorer.name)
        )
    return tuple(result)


def _task_sources(function: Any, parameters: list[inspect.Parameter]) -> dict[str, str]:
    """Return for each of a task's arguments after the first: ``hooks`` or ``parameters``."""
    sources = {p.name: p.name for p in parameters if p.name in ("hooks", "parameters")}
    for position, parameter in enumerate(parameters):
        if parameter.name in sources or parameter.default is not parameter.empty:
            continue
        if position == 0 and "hooks" not in sources and parameter.kind in POSITIONAL:
            sources[parameter.name] = "hooks"
        else:
            problem = f"requires the argument {parameter.name!r}, which is not passed to tasks"
            raise _bad_task(function, problem)
    return sources


def _not_callable(kind: str, value: Any) -> RegistrationError:
    # Functions that are declared for Braintrust to run, as by the SDK's scorers.create(), have one.
    has_handler = callable(getattr(value, "handler", None))
    instead = "; pass its handler, which is a function" if has_handler else ""
    return RegistrationError(f"a {kind} must be callable, not {excerpt(value)}{instead}")


def _bad_task(function: Any, problem: str) -> RegistrationError:
    return RegistrationError(
        f"task {callable_name(function)!r} {problem}; write it as task(input) or task(input, hooks)"
    )


def _accepted(
    function: Any, kind: str, name: str
) -> tuple[tuple[Argument, ...], tuple[str, ...], frozenset[str]]:
    """Return ``positional``, ``keywords`` and ``required`` of a :class:`ScorerCall`."""
    signature = signature_of(function)
    if signature is None:
        return (), SCORER_ARGUMENTS, frozenset()
    named = named_parameters(signature, function)
    for parameter in named:
        if parameter.name not in SCORER_ARGUMENTS and parameter.default is parameter.empty:
            raise RegistrationError(
                f"{kind} {name!r} requires the argument {parameter.name!r}, which is not passed to"
                f" {kind}s; a {kind} may take any of {', '.join(SCORER_ARGUMENTS)}"
            )
    sources = {p.name: p.name for p in named if p.name in SCORER_ARGUMENTS}
    keywords = [name for name, _ in keyword_pairs(named, sources)]
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        taken = signature.parameters
        keywords += [each for each in SCORER_ARGUMENTS if each not in taken]
    required = frozenset(each.name for each in named if each.default is each.empty)
    return positional_values(named, sources), tuple(keywords), required
