"""``POST /eval``: from a checked body to a run that is ready to start."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.cloud.span_router import SpanRouter
from flask_braintrust_evals.cloud.spans import RunSpans
from flask_braintrust_evals.config import Settings
from flask_braintrust_evals.engine.callables import ScorerCall
from flask_braintrust_evals.engine.case_runner import CaseRunner
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.engine.run import Run
from flask_braintrust_evals.engine.slow import SLOW
from flask_braintrust_evals.engine.tracing import RunTracing
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.semconv import PARENT

from .access import Caller
from .data import open_data
from .evals import EvalRun
from .models import EvalRequest
from .recording import Recording, project_query, record_below, record_in_new_experiment
from .remote_scorers import remote_scorers
from .run_log import RunLog
from .stopping import GracePeriod


@dataclass(frozen=True)
class Host:
    """What the application brings to every run.

    Attributes:
        settings: the application's.
        registry: the blueprint's evaluators.
        router: finds the application's own spans.
        scope: entered around each case, such as the application's context.
        sdk_spans: see :func:`flask_braintrust_evals.contrib.braintrust_spans`.
    """

    settings: Settings
    registry: Registry
    router: SpanRouter
    scope: Callable[[], AbstractContextManager[Any]]
    sdk_spans: Callable[[], Any] | None = None


def prepare(body: EvalRequest, caller: Caller, host: Host) -> EvalRun:
    """Check all that can be checked before a stream starts, and make the run.

    Nothing is created in Braintrust before everything else has been found to be right.

    Args:
        body: the request's.
        caller: who it acts as.
        host: where it runs.

    Raises:
        NotFoundError: there is no such evaluator.
        RequestError: parameters, data, parent or scores are wrong.
        CloudError: something that the request names cannot be had from Braintrust.
    """
    evaluator = SLOW if body.name == SLOW.name else host.registry.get(body.name)
    parameters = evaluator.parameter_set.validate(body.parameters)
    parent = Parent.of(body.parent) if body.parent is not None else None
    session = caller.session
    if body.scores and session is None:
        raise RequestError(
            "scores: remote scorers need Braintrust, and this server runs without it; leave them"
            " out, or set BRAINTRUST_API_KEY"
        )
    project = project_query(body, caller.project_id, evaluator)
    data = open_data(body.data, session, project, evaluator)
    if session is None or evaluator is SLOW:
        recording = record_below(None, body, evaluator)
    elif parent is not None:
        recording = record_below(parent, body, evaluator)
    else:
        recording = record_in_new_experiment(session, project, body, evaluator, data)
    spans = _spans(session, recording, host)
    runner = CaseRunner(
        evaluator,
        parameters,
        extra_scorers=_remote_scorers(body, caller, evaluator, recording),
        tracing=_tracing(spans, recording, session, host),
        scope=host.scope,
    )
    settings = host.settings
    run = Run(
        runner,
        data.cases,
        max_concurrency=(
            body.max_concurrency or evaluator.max_concurrency or settings.max_concurrency
        ),
        trial_count=body.trial_count or evaluator.trial_count,
        timeout=body.timeout or evaluator.timeout,
        idle_after=settings.heartbeat,
    )
    org = session.org.name if session is not None else None
    return EvalRun(
        evaluator,
        run,
        recording,
        spans,
        RunLog(evaluator.name, org),
        GracePeriod.of_request(settings.heartbeat),
        settings.heartbeat,
        case_results=body.case_results is True,
    )


def _spans(session: UserSession | None, recording: Recording, host: Host) -> RunSpans | None:
    if session is None or recording.parent is None:
        return None
    host.router.attach()
    limit = host.settings.request_timeout
    return RunSpans(session, recording.parent.attribute, host.router, limit)


def _remote_scorers(
    body: EvalRequest, caller: Caller, evaluator: Evaluator, recording: Recording
) -> list[ScorerCall]:
    if not body.scores or caller.session is None or recording.parent is None:
        return []
    project_id = (
        recording.description.get("projectId")
        or body.project_id
        or caller.project_id
        or evaluator.project_id
    )
    return remote_scorers(
        body.scores, caller.session, recording.parent, project_id, body.strict is not False
    )


def _tracing(
    spans: RunSpans | None, recording: Recording, session: UserSession | None, host: Host
) -> RunTracing:
    span_class = host.sdk_spans() if host.sdk_spans is not None else None
    if spans is None or recording.parent is None or session is None:
        return RunTracing(span_class=span_class)
    generation = recording.parent.generation
    context = trace.get_current_span().get_span_context()
    return RunTracing(
        spans.tracer,
        attributes={PARENT: recording.parent.attribute},
        span_attributes={} if generation is None else {"generation": generation},
        link=context if context.is_valid else None,
        finished=spans.finished,
        page=objects.org_url(session),
        span_class=span_class,
    )
