"""Makes scorers of this package from scorers that run in Braintrust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import format_span_id, format_trace_id

from flask_braintrust_evals.cloud.functions import invoke
from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.parameters.values import Parameters

from .spec import RemoteScorer

_ARGUMENTS = ("input", "output", "expected", "metadata", "parameters")


def remote_scorers(
    scorers: Sequence[RemoteScorer],
    session: UserSession,
    parent: Parent,
    project_id: str | None,
    strict: bool,
) -> list[ScorerCall]:
    """Return scorers that invoke functions in Braintrust with the caller's session.

    Args:
        scorers: the scorers that the request names.
        session: the caller's session.
        parent: the Braintrust object that the run's spans belong to. The spans of a function go
            below the span of its scorer.
        project_id: the project whose settings apply to the functions.
        strict: see :func:`invoke`.
    """

    def scorer(remote: RemoteScorer) -> ScorerCall:
        def score(
            input: Any, output: Any, expected: Any, metadata: Any, parameters: Parameters
        ) -> Any:
            arguments = {
                "input": input,
                "output": output,
                "expected": expected,
                "metadata": metadata,
            }
            if parameters:
                arguments["parameters"] = dict(parameters)
            return invoke(
                session,
                remote.function_id,
                arguments,
                parent=_below_current_span(parent),
                project_id=project_id,
                strict=strict,
            )

        return ScorerCall(remote.name, score, (), _ARGUMENTS)

    return [scorer(remote) for remote in scorers]


def _below_current_span(parent: Parent) -> Any:
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return parent.value
    return parent.of_span(format_trace_id(context.trace_id), format_span_id(context.span_id))
