"""Makes scorers of this package from scorers that run in Braintrust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.trace import (
    SpanContext,
    format_span_id,
    format_trace_id,
    get_current_span,
)

from flask_braintrust_evals.cloud.functions import invoke
from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.calls.signatures import SCORER_ARGUMENTS, ScorerCall
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.values.scores import to_scores
from flask_braintrust_evals.errors import CloudError

from .call_room import CallRoom
from .spec import RemoteScorer

_LARGE = 1_000_000
"""Characters, roughly, that a call counts as at most: two of any size are sent at a time."""
_LEAST = 10_000
"""Characters that every call counts as: each has a connection, of which a process has not many."""
_AT_A_TIME = 2 * _LARGE
"""Characters of the calls of one run that are sent at a time: the scorers of all its cases may be
called together, and each call is in memory as JSON."""


def remote_scorers(
    scorers: Sequence[RemoteScorer],
    session: UserSession,
    parent: Parent,
    project_id: str | None,
    strict: bool,
    deliver_case: Callable[[int], None],
    cancellation: Cancellation,
) -> list[ScorerCall]:
    """Return scorers that invoke functions in Braintrust with the caller's session.

    Args:
        scorers: the scorers that the request names.
        session: the caller's session.
        parent: the Braintrust object that the run's spans belong to. The spans of a function go
            below the span of its scorer.
        project_id: the project whose settings apply to the functions.
        strict: see :func:`invoke`.
        deliver_case: called with the id of a case's trace before a function is invoked, so that
            the function can read in Braintrust what the task has recorded.
        cancellation: that of the run, after which no function is invoked.
    """

    room = CallRoom(_AT_A_TIME, cancellation)

    def scorer(remote: RemoteScorer) -> ScorerCall:
        def score(id: Any, trace: CaseTrace, parameters: Parameters, **of_case: Any) -> Any:
            span = get_current_span().get_span_context()
            arguments = of_case
            if id is not None:
                arguments["id"] = id
            if parameters:
                arguments["parameters"] = dict(parameters)
            if trace.get_configuration()["object_id"]:
                arguments["trace"] = dict(trace)
            with room.taken(_size([arguments, remote.function_id])):
                if "trace" in arguments:
                    deliver_case(span.trace_id)
                result = invoke(
                    session,
                    remote.function_id,
                    arguments,
                    parent=_below(span, parent),
                    project_id=project_id,
                    strict=strict,
                )
            result = _with_null_scores(result)
            _check(result, remote.name)
            return result

        return ScorerCall(remote.name, score, (), SCORER_ARGUMENTS)

    return [scorer(remote) for remote in scorers]


def _size(value: Any) -> int:
    """Return about how many characters a value has as JSON, from :data:`_LEAST` to :data:`_LARGE`.

    No more of it is read than that takes.
    """
    size = 0
    containers = [[value]]
    for container in containers:  # the loop appends to it
        for each in container:
            size += len(each) if isinstance(each, str) else 8
            if isinstance(each, dict):
                containers.append(list(each.values()))
            elif isinstance(each, list):
                containers.append(each)
            if size >= _LARGE:
                return _LARGE
    return max(size, _LEAST)


def _with_null_scores(result: Any) -> Any:
    """Return the result of a function with the scores that it names and does not have, as null.

    Braintrust's type of results has such a score. A function in TypeScript returns one for
    ``undefined``, which JSON does not have.
    """
    if isinstance(result, list):
        return [_with_null_scores(each) for each in result]
    if isinstance(result, dict) and result.get("name") and result.keys() <= {"name", "metadata"}:
        return {**result, "score": None}
    return result


def _check(result: Any, name: str) -> None:
    """Check the result of a function.

    Nothing of it is quoted, as it is for the evaluator's own scorers: what is no score may come
    from another server than Braintrust's.

    Raises:
        CloudError: it is not a score.
    """
    try:
        to_scores(result, name)
        return
    except (TypeError, ValueError):
        pass  # the error is raised below, so that it does not refer to this one, which quotes
    raise CloudError(
        f"the function of scorer {name!r} did not return a score ({_kind(result)}); it must return"
        " a number from 0 to 1, null, an object with a 'score', or a list of those"
    )


def _kind(result: Any) -> str:
    if isinstance(result, list):
        return "a list"
    if isinstance(result, dict):
        return "an object"
    return "a text" if isinstance(result, str) else "another number"


def _below(span: SpanContext, parent: Parent) -> Any:
    if not span.is_valid:
        return parent.value
    return parent.of_scorer(format_trace_id(span.trace_id), format_span_id(span.span_id))
