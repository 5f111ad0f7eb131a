"""Makes scorers of this package from scorers that run in Braintrust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry.trace import (
    SpanContext,
    format_span_id,
    format_trace_id,
    get_current_span,
)

from flask_braintrust_evals.cloud.functions import invoke
from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.concurrency.turns import let_others_run
from flask_braintrust_evals.engine.calls.signatures import SCORER_ARGUMENTS, ScorerCall
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.values.scores import Score, to_scores
from flask_braintrust_evals.errors import CloudError

from .call_room import CallRoom
from .spec import MAX_SCORER_NAME, RemoteScorer

_LARGE = 1_000_000
"""Characters, roughly, that a call counts as at most: two of any size are sent at a time."""
_LEAST = 10_000
"""Characters that every call counts as: each has a connection, of which a process has not many."""
_AT_A_TIME = 2 * _LARGE
"""Characters of the calls of one run that are sent at a time: the scorers of all its cases may be
called together, and each call is in memory as JSON."""
_RESULTS = 1_000_000
"""Bytes that the results of all functions of a case may have together: they are in memory until the
client has received the case."""
_RESULT_VALUES = 20_000
"""JSON values, likewise."""
_MAX_NAMES = 100
"""Different names that the scores of a function may have in a run, which has a mean of each."""


def remote_scorers(
    scorers: Sequence[RemoteScorer],
    session: UserSession,
    parent: Parent,
    project_id: str | None,
    strict: bool,
    deliver_case: Callable[[int], None],
    cancellation: Cancellation,
    places: Places | None = None,
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
        places: limits the functions that all runs invoke at a time; ``None``: no limit.
    """

    room = CallRoom(_AT_A_TIME, cancellation, places)

    def scorer(remote: RemoteScorer) -> ScorerCall:
        names: set[str] = set()

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
                let_others_run()  # many calls may begin at once
                result = invoke(
                    session,
                    remote.function_id,
                    arguments,
                    parent=_below(span, parent),
                    project_id=project_id,
                    strict=strict,
                    limit=_RESULTS // len(scorers),
                    max_values=_RESULT_VALUES // len(scorers),
                )
            return _checked(_with_null_scores(result), remote.name, names)

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
        return [_with_null_score(each) for each in result]
    return _with_null_score(result)


def _with_null_score(result: Any) -> Any:
    if isinstance(result, dict) and result.get("name") and result.keys() <= {"name", "metadata"}:
        return {**result, "score": None}
    return result


def _checked(result: Any, name: str, names: set[str]) -> list[Score]:
    """Return the scores in the result of a function.

    Nothing of it is quoted, as it is for the evaluator's own scorers: what is no score may come
    from another server than Braintrust's.

    Args:
        result: the result.
        name: the name of the scorer.
        names: the names of the scores that it has given in this run; those of these are added.

    Raises:
        CloudError: it is not a score, there are too many of them or of their names, or a name is
            too long.
    """
    scores: list[Score] | None = None
    with suppress(TypeError, ValueError):  # an error raised there would refer to this one
        scores = to_scores(result, name)
    if scores is None:
        raise CloudError(
            f"the function of scorer {name!r} did not return a score ({_kind(result)}); it must"
            " return a number from 0 to 1, null, an object with a 'score', or a list of those"
        )
    new = {score.name for score in scores} - names
    if len(scores) > _MAX_NAMES or len(names) + len(new) > _MAX_NAMES:
        raise CloudError(
            f"the function of scorer {name!r} returns too many scores: it may return {_MAX_NAMES}"
            f" for a case, and they may have {_MAX_NAMES} different names in a run"
        )
    if any(len(each) > MAX_SCORER_NAME for each in new):
        raise CloudError(
            f"the function of scorer {name!r} returns a score whose name is longer than"
            f" {MAX_SCORER_NAME} characters"
        )
    names |= new
    return scores


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
