"""Makes a run from its specification."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry import trace

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.cloud.uploads import AttachmentUploads
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.config import Settings
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.executor import CaseExecutor
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.semconv import PARENT
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor

from .case_data import CaseData
from .data import WithAttachments, open_data
from .limits import RunNumbers
from .own_data import made_before_the_run, made_by_the_run
from .prepared import PreparedRun
from .recording import Recording, project_query, record_below, record_in_new_experiment
from .remote_scorers import remote_scorers
from .repository import begin_reading, git_fields_for
from .spec import OwnCases, RunSpec


@dataclass(frozen=True)
class Host:
    """The application's part in every run.

    Attributes:
        settings: the settings of the application.
        span_processor: adds the spans of the application's own tracers to a run.
        scope: entered around each case, such as the application's context.
        places: limits the cases at a time of all runs of requests.
        sdk_spans: see :func:`flask_braintrust_evals.contrib.braintrust_spans`.
        sdk_attachments: see :func:`flask_braintrust_evals.contrib.braintrust_attachments`.
    """

    settings: Settings
    span_processor: CaseSpanProcessor
    scope: Callable[[], AbstractContextManager[Any]]
    places: Places | None = None
    sdk_spans: Callable[[], Any] | None = None
    sdk_attachments: WithAttachments | None = None


@dataclass(frozen=True)
class Requester:
    """The user that a run is for.

    Attributes:
        session: the user's session; ``None``: the run acts without Braintrust.
        project_id: the project that a header of the request names; one in the specification has
            priority.
        recorded: if false, nothing is recorded in Braintrust, even with a session.
        limited: whether the limits of the evaluator and of the settings bind the run; false for
            users who may change both.
        wants_usage: whether the consumer of the run wants tokens and cost also if it is not
            recorded.
        has_left: returns whether the client of the request has disconnected; ``None``: there is
            none, and the user waits for the run.
    """

    session: UserSession | None
    project_id: str | None = None
    recorded: bool = True
    limited: bool = True
    wants_usage: bool = False
    has_left: Callable[[], bool] | None = None


def prepare(
    evaluator: Evaluator, spec: RunSpec, requester: Requester, host: Host, idle_after: float
) -> PreparedRun:
    """Check everything that can be checked before a run starts, and make the run.

    Nothing is created in Braintrust before all checks have passed.

    Args:
        evaluator: the evaluator to run.
        spec: the specification of the run.
        requester: the user that the run is for.
        host: the application's part.
        idle_after: seconds without an event after which the run yields an ``Idle`` event.

    Raises:
        RequestError: the parameters, the data or the scores are wrong, or it asks for more trials
            or cases than are allowed.
        DataError: the evaluator's own cases could not be made.
        CloudError: Braintrust failed, or does not have something that the specification names.
    """
    numbers_of = RunNumbers.within_limits if requester.limited else RunNumbers.as_asked
    numbers = numbers_of(spec, evaluator, host.settings)
    parameters = evaluator.parameter_set.validate(spec.parameters)
    session = requester.session
    if spec.scores and session is None:
        raise RequestError(
            "scores: remote scorers need Braintrust, and this server runs without it; leave them"
            " out, or set BRAINTRUST_API_KEY"
        )
    project = project_query(spec, requester.project_id, evaluator)
    in_experiment = session is not None and requester.recorded and spec.parent is None
    git_fields: frozenset[str] = frozenset()
    if session is not None and in_experiment:
        git_fields = git_fields_for(session.org, host.settings)
    if git_fields:
        begin_reading()  # meanwhile, Braintrust is asked for the data and the project
    wait_for = _wait_for_data(evaluator, requester, host, numbers.timeout, in_experiment)
    data = open_data(spec.data, session, project, evaluator, host.sdk_attachments, wait_for)
    size_hint = numbers.check_cases(data.cases)
    if session is None or not requester.recorded:
        recording = record_below(None, None, project, spec, evaluator)
    elif spec.parent is not None:
        recording = record_below(spec.parent, session, project, spec, evaluator)
    else:
        recording = record_in_new_experiment(session, project, spec, evaluator, data, git_fields)
    spans = _spans(session, recording, host)
    scorers = _remote_scorers(spec, requester, evaluator.project_id, recording)
    uploads = None if spans is None or session is None else AttachmentUploads(session)
    run = Run(
        _executor(evaluator, parameters, scorers, spans, recording, requester, host, uploads),
        data.cases,
        max_concurrency=numbers.max_concurrency,
        trial_count=numbers.trial_count,
        timeout=numbers.timeout,
        max_cases=numbers.max_cases,
        # An evaluator's own cases; rows of a dataset are fetched for each run.
        outlive_run=isinstance(spec.data, OwnCases) and data.dataset_id is None,
        places=host.places if requester.limited else None,
        idle_after=idle_after,
        name=evaluator.name,
    )
    org_name = session.org.name if session is not None else None
    return PreparedRun(
        evaluator.name, run, recording, spans, org_name, size_hint, uploads, evaluator.plan
    )


def _wait_for_data(
    evaluator: Evaluator,
    requester: Requester,
    host: Host,
    timeout: float | None,
    in_experiment: bool,
) -> Callable[[Callable[[Cancellation], CaseData]], CaseData] | None:
    """Return how a function that makes the evaluator's own cases is called; see ``open_data``."""
    has_left = requester.has_left
    if has_left is None:
        return None
    if not in_experiment:
        return lambda make: made_by_the_run(make, host.scope)
    return lambda make: made_before_the_run(make, host.scope, evaluator.name, timeout, has_left)


def _spans(session: UserSession | None, recording: Recording, host: Host) -> SpanPipeline | None:
    if session is None or recording.parent is None:
        return None
    host.span_processor.attach()
    settings, parent = host.settings, recording.parent
    return SpanPipeline(
        session,
        parent.attribute,
        host.span_processor,
        settings.request_timeout,
        parent.row_fields,
        settings.stack_traces,
    )


def _remote_scorers(
    spec: RunSpec, requester: Requester, own_project_id: str | None, recording: Recording
) -> list[ScorerCall]:
    session = requester.session
    if not spec.scores or session is None or recording.parent is None:
        return []
    project_id = (
        recording.description.get("projectId")
        or spec.project_id
        or requester.project_id
        or own_project_id
    )
    strict = spec.strict is not False
    return remote_scorers(spec.scores, session, recording.parent, project_id, strict)


def _executor(
    evaluator: Evaluator,
    parameters: Parameters,
    scorers: list[ScorerCall],
    spans: SpanPipeline | None,
    recording: Recording,
    requester: Requester,
    host: Host,
    uploads: AttachmentUploads | None,
) -> CaseExecutor:
    plan, session = evaluator.plan, requester.session
    if host.settings.blocking:
        plan = replace(plan, blocking=True)
    runner = CaseRunner(
        plan,
        parameters,
        extra_scorers=scorers,
        tracer=_tracer(spans, recording),
        finished_spans=(lambda trace_id: ()) if spans is None else spans.of_case,
        usage_of=None if spans is None else spans.usage_of_case,
        usage=requester.wants_usage,
        span_class=host.sdk_spans() if host.sdk_spans is not None else None,
        org_url=None if spans is None or session is None else objects.org_url(session),
        scope=host.scope,
    )
    return LocalExecutor(runner, uploads)


def _tracer(spans: SpanPipeline | None, recording: Recording) -> EvalTracer:
    if spans is None or recording.parent is None:
        return EvalTracer()
    generation = recording.parent.generation
    context = trace.get_current_span().get_span_context()
    return EvalTracer(
        spans.tracer,
        attributes={PARENT: recording.parent.attribute},
        span_attributes={} if generation is None else {"generation": generation},
        link=context if context.is_valid else None,
        keeps_row_ids=recording.parent.row_fields is not None,
    )
