"""``POST /eval``: from a checked body to a run, and from the run to an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any, TypeVar

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
from flask_braintrust_evals.engine.events import Event, Idle, RunFailed, RunFinished
from flask_braintrust_evals.engine.local import own_cases
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.engine.run import Run
from flask_braintrust_evals.engine.slow import SLOW
from flask_braintrust_evals.engine.tracing import RunTracing
from flask_braintrust_evals.engine.workers import start_worker
from flask_braintrust_evals.errors import RequestError, RunError
from flask_braintrust_evals.semconv import PARENT
from flask_braintrust_evals.serialization import dumps
from flask_braintrust_evals.threads import new_event

from .access import Caller
from .data import CaseData, open_data
from .models import EvalRequest
from .recording import Recording, project_query, record_below, record_in_new_experiment
from .remote_scorers import remote_scorers
from .run_log import RunLog
from .stopping import GracePeriod
from .wire import (
    DONE,
    Message,
    case_messages,
    case_result_messages,
    error_message,
    summary_body,
)

logger = logging.getLogger("flask_braintrust_evals")

T = TypeVar("T")


@dataclass
class EvalRun:
    """A run that is ready to start, and what its listener is told. Close it in any case."""

    evaluator: Evaluator
    run: Run
    recording: Recording
    spans: RunSpans | None
    log: RunLog
    grace: GracePeriod
    heartbeat: float
    case_results: bool = False

    def __post_init__(self) -> None:
        self.run.when_closed(self._end)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when the run has ended, workers have left, spans are sent."""
        self.run.when_closed(callback)

    def messages(self) -> Iterator[list[Message]]:
        """Run, and yield the stream's messages, those that are there at once.

        An empty list says that nothing has happened for a while.
        """
        if self.recording.experiment is not None:
            yield [Message("start", dumps(self.recording.description))]
        try:
            for batch in self._batches():
                last = batch[-1]
                if isinstance(last, Idle):
                    yield []
                elif isinstance(last, RunFinished):
                    summary = yield from self._aside(self._finish)
                    yield [Message("summary", dumps(summary))]
                elif isinstance(last, RunFailed):
                    self.log.failed(last.error)
                    yield from self._case_messages(batch)
                    yield from self._aside(self._flush_before_the_end)
                    yield [error_message(str(last.error))]
                else:
                    yield from self._case_messages(batch)
        except Exception as error:
            self.log.failed(error)
            logger.exception("evaluator %r: the run broke", self.evaluator.name)
            yield [error_message("the run failed for a reason of the server's own; see its log")]
        yield [DONE]

    def result(self, gave_up: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Run to the end and return the summary.

        Args:
            gave_up: asked when nothing has happened for a while; when it returns true, the run is
                cancelled.

        Raises:
            EvalsError: the run failed, or was given up.
        """
        summary: dict[str, Any] = {}
        for batch in self._batches():
            last = batch[-1]
            if isinstance(last, RunFinished):
                summary = self._finish()
            elif isinstance(last, RunFailed):
                self.log.failed(last.error)
                self._flush_before_the_end()
                raise last.error
            elif isinstance(last, Idle) and gave_up():
                raise RunError("the client left before the run was done")
        return summary

    def close(self) -> None:
        """End the run where it has not ended; what is running is cancelled."""
        self.run.close()

    def _batches(self) -> Iterator[list[Event]]:
        with closing(self.run.batches()) as batches:
            for batch in batches:
                yield batch
                if self.grace.is_over():
                    self.run.give_up(self.grace.reason())

    def _case_messages(self, batch: list[Event]) -> Iterator[list[Message]]:
        messages: list[Message] = []
        for event in batch:
            messages += case_messages(event, self.evaluator.name)
            if self.case_results:
                messages += case_result_messages(event)
        if messages:
            yield messages

    def _aside(self, work: Callable[[], T]) -> Generator[list[Message], None, T]:
        """Do what may take long in a thread of its own, and tell when nothing has happened."""
        done, results, failures = new_event(), list[T](), list[Exception]()

        def run() -> None:
            try:
                results.append(work())
            except Exception as error:
                failures.append(error)
            finally:
                done.set()

        start_worker(run, "eval-end")
        while not done.wait(self.heartbeat):
            yield []
        if failures:
            raise failures[0]
        return results[0]

    def _end(self) -> None:
        # When a client leaves, the spans of what had run by then are still delivered.
        self._flush()
        if self.spans is not None:
            self.spans.close()
        self.log.write(self.run.summary, self.spans.lost if self.spans is not None else 0)

    def _flush_before_the_end(self) -> None:
        left = self.grace.time_to_end
        if left is not None:
            # After the answer the process may end at once, and with it what still ends its spans.
            self.run.wait_for_workers(left / 2)
        self._flush()

    def _flush(self) -> None:
        if self.spans is not None:
            self.spans.flush(self.grace.time_to_end)

    def _finish(self) -> dict[str, Any]:
        """Deliver what is left, and return the summary. Called before the run closes."""
        self._flush()  # the page looks for scores in the traces as soon as it has the summary
        body = summary_body(
            self.recording.description,
            self.run.summary,
            self.recording.comparison(),
            self.spans.lost if self.spans is not None else 0,
        )
        self.log.outcome = "finished"
        return body


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
    if body.data is None and evaluator.data is not None:
        data = CaseData(own_cases(evaluator))
    else:
        data = open_data(body.data, session, project)
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
