"""Evaluators of the ``braintrust`` SDK, as evaluators of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from braintrust.framework import BaseExperiment
from braintrust.framework import Evaluator as SdkEvaluator

from flask_braintrust_evals.engine.callables import callable_name
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.serialization import plain

_GIVEN_TO_SCORERS = ("input", "expected", "metadata", "output", "trace", "id", "tags")
"""In the order in which the SDK hands them to arguments whose names it does not know."""
_NAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


def from_sdk(evaluator: Any, location: str = "") -> Evaluator:
    """Return an evaluator of the SDK as one of ours.

    Args:
        evaluator: what ``Eval(...)`` registers, or ``braintrust.Evaluator(...)``. What belongs to
            runs on the command line alone is left aside: ``update``, ``reporter``, ``repo_info``,
            ``git_metadata_settings``, ``summarize_scores`` and ``cancel_event``.
        location: ``file:line`` of its definition; default: that of the calling code.

    Raises:
        RegistrationError: it cannot be served; names the evaluator and the place.
    """
    assert isinstance(evaluator, SdkEvaluator)
    return Evaluator(
        evaluator.eval_name,
        _task(evaluator.task),
        scores=[_scorer(each, index) for index, each in enumerate(evaluator.scores or ())],
        classifiers=[
            _scorer(each, index, "classifier")
            for index, each in enumerate(evaluator.classifiers or ())
        ],
        parameters=evaluator.parameters,
        project=evaluator.project_name,
        project_id=evaluator.project_id,
        data=_data(evaluator),
        experiment_name=evaluator.experiment_name,
        metadata=None if evaluator.metadata is None else plain(evaluator.metadata),
        tags=evaluator.tags,
        trial_count=evaluator.trial_count,
        max_concurrency=evaluator.max_concurrency,
        timeout=evaluator.timeout,
        description=evaluator.description,
        error_score_handler=evaluator.error_score_handler,
        base_experiment_name=evaluator.base_experiment_name,
        base_experiment_id=evaluator.base_experiment_id,
        is_public=evaluator.is_public,
        location=location,
    )


def is_sdk_evaluator(value: Any) -> bool:
    """Return whether ``value`` is an evaluator of the SDK."""
    return isinstance(value, SdkEvaluator)


def _task(task: Any) -> Callable[..., Any]:
    """A task as the SDK calls it: with hooks, if it has two arguments, whatever their names."""
    if len(_arguments(task)) != 2:
        return task  # type: ignore[no-any-return]

    def call(input: Any, hooks: Any) -> Any:
        return task(input, hooks)

    call.__name__ = callable_name(task)
    call.__doc__ = inspect.getdoc(task)
    return call


def _scorer(scorer: Any, index: int, kind: str = "scorer") -> Any:
    """A scorer as the SDK calls it: arguments whose names it does not know get what is left."""
    if inspect.isclass(scorer):
        return scorer
    function = scorer if callable(scorer) else getattr(scorer, "eval_async", scorer)
    sources = _sources(_arguments(function))
    if sources is None:
        return scorer

    def call(**given: Any) -> Any:
        return function(**{name: given[source] for name, source in sources.items()})

    name = callable_name(scorer)
    call.__name__ = f"{kind}_{index}" if name == "<lambda>" else name
    return call


def _sources(arguments: list[inspect.Parameter]) -> Mapping[str, str] | None:
    """What each argument gets, where that is not what it is called; ``None``: all are known."""
    left = list(_GIVEN_TO_SCORERS)
    sources: dict[str, str] = {}
    unknown = False
    for argument in arguments:
        if argument.name in left:
            sources[argument.name] = argument.name
            left.remove(argument.name)
        elif argument.name == "parameters":
            sources[argument.name] = argument.name
        elif argument.default is argument.empty:
            if argument.kind is argument.POSITIONAL_ONLY or not left:
                return None  # the registration says what is wrong
            unknown = True
            sources[argument.name] = left.pop(0)
    return sources if unknown else None


def _arguments(function: Any) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have none
        return []
    return [each for each in parameters if each.kind in _NAMED]


def _data(evaluator: Any) -> Any:
    if not isinstance(evaluator.data, BaseExperiment):
        return evaluator.data

    def missing() -> Any:
        raise DataError(
            f"evaluator {evaluator.eval_name!r} has the cases of an experiment in Braintrust as its"
            " data (BaseExperiment), which are not to be had here; pass cases"
        )

    return missing
