"""Makes a run from its specification."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import trace

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.cloud.tracing.limits import MAX_ATTRIBUTE_BYTES
from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.cloud.uploads import AttachmentUploads
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.distribution.owner.executor import RemoteExecutor
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.sources.large_cases import Room, size_of_copy
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.semconv import PARENT
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .experiments.recording import Recording, project_query, record_below, record_in_new_experiment
from .experiments.repository import CodeFields, code_fields
from .host import Host, Requester
from .limits import RunNumbers
from .prepared import PreparedRun
from .remote import recording_order
from .remote_scorers import remote_scorers
from .sources.case_data import CaseData
from .sources.data import open_data
from .sources.own_data import made_before_the_run, made_by_the_run, read_by_the_run
from .spec import OwnCases, RunSpec


def prepare(
    evaluator: Evaluator, spec: RunSpec, requester: Requester, host: Host, idle_after: float
) -> PreparedRun:
    """Check everything that can be checked before a run starts, and make the run.

    Nothing is created in Braintrust before all checks have passed. After ``idle_after`` seconds
    without an event, the run yields an ``Idle`` event.

    Raises:
        RequestError: the parameters, the data or the scores are wrong, or it asks for more trials
            or cases than are allowed.
        DataError: the evaluator's own cases could not be made.
        CloudError: Braintrust failed, or does not have something that the specification names.
        BrokerError: cases are to run on other machines, and the broker does not answer.
        WorkersError: likewise, and there is no worker.
    """
    may_distribute = evaluator.distributed and requester.distributed
    distribution = host.distribution if may_distribute else None
    numbers_of = RunNumbers.within_limits if requester.limited else RunNumbers.as_asked
    numbers = numbers_of(spec, evaluator, host.settings, distribution is not None)
    parameters = evaluator.parameter_set.validate(spec.parameters)
    session = requester.session
    if spec.scores and session is None:
        raise RequestError(
            "scores: remote scorers need Braintrust, and this server runs without it; leave them"
            " out, or set BRAINTRUST_API_KEY"
        )
    project = project_query(spec, requester.project_id, evaluator)
    code: CodeFields | None = None  # of a new experiment
    if session is not None and requester.recorded and spec.parent is None:
        code = code_fields(session.org, host.settings, evaluator.git_fields, evaluator.repo_info)
    wait_for = _wait_for_data(evaluator, requester, host, numbers.timeout, code is not None)
    began = time.monotonic()
    data = open_data(spec.data, session, project, evaluator, host.sdk_attachments, wait_for)
    spent = time.monotonic() - began
    data = data.selected(spec.select)
    if isinstance(spec.data, OwnCases):
        data = read_by_the_run(data, host.scope)
    try:
        size_hint = numbers.check_cases(data.cases)
        if distribution is not None:
            distribution.dispatcher.check()
        if session is not None and code is not None:
            recording = record_in_new_experiment(session, project, spec, evaluator, data, code)
        else:
            parent = spec.parent if session is not None and requester.recorded else None
            recording = record_below(parent, session, project, spec, evaluator)
    except BaseException:
        data.close()
        raise
    keeper = SpanKeeper() if requester.wants_spans else None
    spans = _spans(session, recording, host, keeper)
    # What is not recorded, and the run's client asks for.
    in_memory = host.spans_in_memory(keeper) if spans is None and keeper is not None else None
    collector = in_memory if spans is None else spans.collector
    cancellation = Cancellation()
    scorers = _remote_scorers(spec, requester, host, evaluator, recording, spans, cancellation)
    uploads = None if spans is None or session is None else AttachmentUploads(session)
    org_url = None if spans is None or session is None else objects.org_url(session)
    plan = host.plan_of(evaluator, spec.retries)
    runner = CaseRunner(
        plan,
        parameters,
        extra_scorers=scorers,
        tracer=_tracer(collector, recording, spans),
        collector=collector,
        keeper=keeper,
        usage=requester.wants_usage,
        keeps_outputs=requester.wants_outputs,
        span_class=host.sdk_spans(),
        org_url=org_url,
        cancellation=cancellation,
        scope=host.scope,
    )
    recorded = 0 if collector is None else MAX_ATTRIBUTE_BYTES
    room = Room(own=size_of_copy(spec.parameters), recorded=recorded)
    executor: CaseExecutor = LocalExecutor(runner, uploads)
    if distribution is not None:
        executor = distribution.executor(
            evaluator,
            spec,
            runner,
            executor,
            scorers,
            recording=recording_order(
                recording, spans, org_url, host.settings.stack_traces, uploads
            ),
            spans=spans,
            window=numbers.max_concurrency,
            usage=requester.wants_usage,
            uploads=uploads,
        )
    run = Run(
        executor if spec.around is None else spec.around(executor),
        data.cases,
        max_concurrency=numbers.max_concurrency,
        trial_count=numbers.trial_count,
        timeout=numbers.timeout,
        spent=spent,
        max_cases=numbers.max_cases,
        outlive_run=isinstance(spec.data, OwnCases) and not data.is_fetched,
        places=host.places if requester.limited and distribution is None else None,
        room=room if requester.limited else None,
        idle_after=idle_after,
        name=evaluator.name,
    )
    if isinstance(executor, RemoteExecutor):
        run.when_closed(executor.close)
    if in_memory is not None:
        run.when_closed(in_memory.close)
    org_name = session.org.name if session is not None else None
    return PreparedRun(evaluator.name, run, recording, spans, org_name, size_hint, uploads, plan)


def _wait_for_data(
    evaluator: Evaluator,
    requester: Requester,
    host: Host,
    timeout: float | None,
    in_experiment: bool,
) -> Callable[[Callable[[Cancellation], CaseData]], CaseData]:
    """Return how a function that makes the evaluator's own cases is called; see ``open_data``."""
    end_reason = requester.end_reason
    if end_reason is not None and not in_experiment:
        return lambda make: made_by_the_run(make, host.scope)
    # A user who waits for the run is told first how many cases there are.
    return lambda make: made_before_the_run(
        make, host.scope, evaluator.name, timeout, end_reason or (lambda: None)
    )


def _spans(
    session: UserSession | None, recording: Recording, host: Host, keeper: SpanKeeper | None
) -> SpanPipeline | None:
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
        keeper,
        host.sdk_customizer,
    )


def _remote_scorers(
    spec: RunSpec,
    requester: Requester,
    host: Host,
    evaluator: Evaluator,
    recording: Recording,
    spans: SpanPipeline | None,
    cancellation: Cancellation,
) -> list[ScorerCall]:
    session = requester.session
    if not spec.scores or session is None or recording.parent is None or spans is None:
        return []
    project_id = (
        recording.description.get("projectId")
        or spec.project_id
        or requester.project_id
        or evaluator.project_id
    )
    strict = spec.strict is not False
    return remote_scorers(
        spec.scores,
        session,
        recording.parent,
        project_id,
        strict,
        spans.deliver_case,
        cancellation,
        host.call_places,
    )


def _tracer(
    collector: SpanCollector | None, recording: Recording, spans: SpanPipeline | None
) -> EvalTracer:
    if collector is None:
        return EvalTracer()
    if recording.parent is None or spans is None:
        return EvalTracer(collector.tracer, max_json=MAX_ATTRIBUTE_BYTES)
    generation = recording.parent.generation
    context = trace.get_current_span().get_span_context()
    return EvalTracer(
        collector.tracer,
        attributes={PARENT: recording.parent.attribute},
        span_attributes={} if generation is None else {"generation": generation},
        link=context if context.is_valid else None,
        keeps_row_ids=recording.parent.row_fields is not None,
        max_json=MAX_ATTRIBUTE_BYTES,  # what is sent is cut to this anyway
        deliver_case=spans.deliver_case,
    )
