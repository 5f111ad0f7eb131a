"""From what somebody asks for to a run that is ready to start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.case_runner import CaseRunner
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.run import Run
from flask_braintrust_evals.engine.tracing import RunTracing
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.semconv import PARENT

from .data import open_data
from .prepared import PreparedRun
from .recording import Recording, project_query, record_below, record_in_new_experiment
from .remote_scorers import remote_scorers
from .request import EvalRequest


@dataclass(frozen=True)
class Host:
    """What the application brings to every run.

    Attributes:
        settings: the application's.
        router: finds the application's own spans.
        scope: entered around each case, such as the application's context.
        sdk_spans: see :func:`flask_braintrust_evals.contrib.braintrust_spans`.
    """

    settings: Settings
    router: SpanRouter
    scope: Callable[[], AbstractContextManager[Any]]
    sdk_spans: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Requester:
    """Who a run is for.

    Attributes:
        session: as whom it acts; ``None``: without Braintrust.
        project_id: the project that they named, beside what they asked for.
        recorded: whether Braintrust is told of it, where there is a session.
    """

    session: UserSession | None
    project_id: str | None = None
    recorded: bool = True


def prepare(
    evaluator: Evaluator, request: EvalRequest, requester: Requester, host: Host, idle_after: float
) -> PreparedRun:
    """Check all that can be checked before a run starts, and make the run.

    Nothing is created in Braintrust before everything else has been found to be right.

    Args:
        evaluator: the one that is asked for.
        request: how it is to be run.
        requester: for whom.
        host: where it runs.
        idle_after: seconds of silence after which the listener is told.

    Raises:
        RequestError: parameters, data, parent or scores are wrong.
        CloudError: something that the request names cannot be had from Braintrust.
    """
    parameters = evaluator.parameter_set.validate(request.parameters)
    parent = Parent.of(request.parent) if request.parent is not None else None
    session = requester.session
    if request.scores and session is None:
        raise RequestError(
            "scores: remote scorers need Braintrust, and this server runs without it; leave them"
            " out, or set BRAINTRUST_API_KEY"
        )
    project = project_query(request, requester.project_id, evaluator)
    data = open_data(request.data, session, project, evaluator)
    if session is None or not requester.recorded:
        recording = record_below(None, request, evaluator)
    elif parent is not None:
        recording = record_below(parent, request, evaluator)
    else:
        recording = record_in_new_experiment(session, project, request, evaluator, data)
    spans = _spans(session, recording, host)
    runner = CaseRunner(
        evaluator,
        parameters,
        extra_scorers=_remote_scorers(request, requester, evaluator, recording),
        tracing=_tracing(spans, recording, session, host),
        scope=host.scope,
    )
    trial_count = request.trial_count or evaluator.trial_count
    run = Run(
        runner,
        data.cases,
        max_concurrency=(
            request.max_concurrency or evaluator.max_concurrency or host.settings.max_concurrency
        ),
        trial_count=trial_count,
        timeout=request.timeout or evaluator.timeout,
        idle_after=idle_after,
    )
    org_name = session.org.name if session is not None else None
    size_hint = _size_hint(data.cases, trial_count)
    return PreparedRun(evaluator, run, recording, spans, org_name, size_hint)


def _size_hint(cases: Iterable[Any], trial_count: int) -> int | None:
    if not isinstance(cases, list | tuple):  # to ask anything else may be work, or fail
        return None
    return sum(getattr(case, "trial_count", None) or trial_count for case in cases)


def _spans(session: UserSession | None, recording: Recording, host: Host) -> RunSpans | None:
    if session is None or recording.parent is None:
        return None
    host.router.attach()
    limit = host.settings.request_timeout
    return RunSpans(session, recording.parent.attribute, host.router, limit)


def _remote_scorers(
    request: EvalRequest, requester: Requester, evaluator: Evaluator, recording: Recording
) -> list[ScorerCall]:
    session = requester.session
    if not request.scores or session is None or recording.parent is None:
        return []
    project_id = (
        recording.description.get("projectId")
        or request.project_id
        or requester.project_id
        or evaluator.project_id
    )
    strict = request.strict is not False
    return remote_scorers(request.scores, session, recording.parent, project_id, strict)


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
