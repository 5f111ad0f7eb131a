"""Turns evaluators of the ``braintrust`` SDK into evaluators of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from braintrust.framework import BaseExperiment
from braintrust.framework import EvalCase as SdkEvalCase
from braintrust.framework import Evaluator as SdkEvaluator

from flask_braintrust_evals.engine.calls.arguments import NAMED
from flask_braintrust_evals.engine.calls.introspection import (
    callable_name,
    calling_location,
    entry_of,
    instance_of,
    signature_of,
)
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.own_dataset import OwnExperiment
from flask_braintrust_evals.errors import DataError, RegistrationError, SerializationError
from flask_braintrust_evals.serialization.json_writing import plain_parts

from .names import names_of

_SCORER_VALUES = ("input", "expected", "metadata", "output", "trace", "id", "tags")
"""The values for scorers, in the order in which the SDK passes them to arguments of other names."""


def from_sdk(
    evaluator: Any, location: str = "", *, files: Sequence[str] = (), blocking: bool = False
) -> Evaluator:
    """Return an evaluator of this package that does what an evaluator of the SDK does.

    Args:
        evaluator: what ``Eval(...)`` registers, or ``braintrust.Evaluator(...)``. Fields that are
            only for the SDK's command line are ignored: ``update``, ``reporter``,
            ``summarize_scores``, ``parameter_values`` and ``cancel_event``.
        location: ``file:line`` of its definition; default: that of the calling code.
        files: all files whose code has led to the definition; default: that of ``location``.
        blocking: see :class:`Evaluator`, which has this option beyond the SDK's.

    Raises:
        RegistrationError: it cannot be served; the message names the evaluator and its location.
    """
    assert isinstance(evaluator, SdkEvaluator)
    location = location or calling_location()
    name, long_name = names_of(evaluator, files or [location.rpartition(":")[0]])
    return Evaluator(
        name,
        _task(evaluator.task),
        scores=_scorers(evaluator.scores, "scorer"),
        classifiers=_scorers(evaluator.classifiers, "classifier"),
        parameters=evaluator.parameters,
        project=evaluator.project_name,
        project_id=evaluator.project_id,
        data=_data(evaluator),
        experiment_name=evaluator.experiment_name,
        metadata=_metadata(evaluator, location),
        tags=evaluator.tags,
        trial_count=evaluator.trial_count,
        max_concurrency=evaluator.max_concurrency,
        timeout=evaluator.timeout,
        description=evaluator.description,
        error_score_handler=_error_score_handler(evaluator.error_score_handler),
        base_experiment_name=evaluator.base_experiment_name,
        base_experiment_id=evaluator.base_experiment_id,
        is_public=evaluator.is_public or False,
        git_fields=_git_fields(evaluator.git_metadata_settings),
        repo_info=_repo_info(evaluator.repo_info),
        blocking=blocking,
        number_scorers=True,
        long_name=long_name,
        location=location,
    )


def is_sdk_evaluator(value: Any) -> bool:
    """Return whether ``value`` is an evaluator of the SDK."""
    return isinstance(value, SdkEvaluator)


def _task(task: Any) -> Callable[..., Any]:
    """Return a task that gets hooks if it has two arguments, of any names, as in the SDK."""
    signature = signature_of(task)
    if signature is None or len(signature.parameters) != 2:
        return task  # type: ignore[no-any-return]

    def call(input: Any, hooks: Any) -> Any:
        return task(input, hooks)

    call.wrapped_function = task  # type: ignore[attr-defined]
    call.__name__ = callable_name(task)
    call.__doc__ = inspect.getdoc(task)
    return call


def _scorers(scorers: Any, kind: str) -> Any:
    if not isinstance(scorers, list | tuple):
        return scorers or ()
    return [_scorer(each, index, kind) for index, each in enumerate(scorers)]


def _scorer(scorer: Any, index: int, kind: str) -> Any:
    """Return a scorer whose arguments of other names get the remaining values, as in the SDK."""
    if inspect.isclass(scorer):
        scorer = instance_of(scorer, kind)
    function = entry_of(scorer)
    signature = None if function is None else signature_of(function)
    sources = None if signature is None else _sources(signature)
    if function is None or sources is None:
        return scorer

    def call(**given: Any) -> Any:
        return function(**{name: given[source] for name, source in sources.items()})

    name = callable_name(scorer)
    call.wrapped_function = function  # type: ignore[attr-defined]
    call.__name__ = f"{kind}_{index}" if name == "<lambda>" else name
    return call


def _sources(signature: inspect.Signature) -> Mapping[str, str] | None:
    """Return the name of the value that each argument gets.

    ``None``: the scorer needs no wrapper, because all arguments have the names of values; or no
    wrapper helps, because some argument would get none.
    """
    remaining = list(_SCORER_VALUES)
    sources: dict[str, str] = {}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    needs_wrapper = takes_any
    for argument in signature.parameters.values():
        if argument.kind not in NAMED:
            continue
        if argument.name in remaining:
            sources[argument.name] = argument.name
            remaining.remove(argument.name)
        elif argument.name == "parameters":
            sources[argument.name] = argument.name
        elif argument.default is argument.empty:
            if argument.kind is argument.POSITIONAL_ONLY or not remaining:
                return None  # the registration raises an error
            needs_wrapper = True
            sources[argument.name] = remaining.pop(0)
    if takes_any:
        sources.update({name: name for name in remaining})
    return sources if needs_wrapper else None


def _error_score_handler(handler: Any) -> Any:
    """Return a handler that gets cases of the SDK's class, which has other methods than ours."""
    if not callable(handler):
        return handler

    def call(span: Any, case: EvalCase, names: list[str]) -> Any:
        return handler(span, _sdk_case(case), names)

    return call


def _sdk_case(case: EvalCase) -> Any:
    values = {**(case.origin or {}), **{f.name: getattr(case, f.name) for f in fields(case)}}
    return SdkEvalCase(
        **{each.name: values[each.name] for each in fields(SdkEvalCase) if each.name in values}
    )


def _metadata(evaluator: Any, location: str) -> Any:
    if evaluator.metadata is None:
        return None
    try:
        return plain_parts(evaluator.metadata)
    except SerializationError as error:
        raise RegistrationError(
            f"evaluator {evaluator.eval_name!r}: its metadata cannot be written as JSON: {error}"
            f" ({evaluator.eval_name!r} is defined at {location})"
        ) from error


def _git_fields(settings: Any) -> frozenset[str] | None:
    if settings is None:
        return None
    given = settings if isinstance(settings, Mapping) else vars(settings)
    if given.get("collect") == "all":
        return None
    return frozenset(given.get("fields") or () if given.get("collect") == "some" else ())


def _repo_info(info: Any) -> Mapping[str, Any] | None:
    return info if info is None or isinstance(info, Mapping) else info.as_dict()


def _data(evaluator: Any) -> Any:
    data = evaluator.data
    is_class = inspect.isclass(data) and issubclass(data, BaseExperiment)
    if not is_class and not isinstance(data, BaseExperiment):
        return data
    name = (None if is_class else data.name) or evaluator.base_experiment_name
    if name:
        return OwnExperiment(name, evaluator.eval_name)

    def missing() -> Any:
        raise DataError(
            f"evaluator {evaluator.eval_name!r} has the cases of an experiment in Braintrust as its"
            " data (BaseExperiment), without its name; give it BaseExperiment(name=...), or pass"
            " cases"
        )

    return missing
