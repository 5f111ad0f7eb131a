"""What the engine's tests share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Tracer, format_span_id

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseJob
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseResult
from tests.support import in_time


def echo(input: Any) -> Any:
    """The simplest task."""
    return input


def new_run(
    evaluator: Evaluator,
    cases: Iterable[Any] | CasesToMake,
    *,
    runner: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    max_concurrency: int = 4,
    when_closed: Callable[[], None] | None = None,
    **options: Any,
) -> Run:
    """A run that has not started. ``runner`` has further arguments of the CaseRunner."""
    case_runner = CaseRunner(
        evaluator.plan, evaluator.parameter_set.validate(parameters), **(runner or {})
    )
    run = Run(LocalExecutor(case_runner), cases, max_concurrency=max_concurrency, **options)
    if when_closed is not None:
        run.when_closed(when_closed)
    return run


def inputs(*values: Any) -> list[dict[str, Any]]:
    """One case per value."""
    return [{"input": value} for value in values]


def events_of(evaluator: Evaluator, cases: Iterable[Any], **options: Any) -> list[Event]:
    """All events of a run, which must end."""
    run = new_run(evaluator, cases, **options)
    return in_time(lambda: list(run))


def run_case(
    evaluator: Evaluator,
    case: Any = "in",
    *,
    parameters: Mapping[str, Any] | None = None,
    **runner: Any,
) -> tuple[CaseResult, list[Event]]:
    """Run one case without a run around it; return its result and its events."""
    events: list[Event] = []
    case_runner = CaseRunner(evaluator.plan, evaluator.parameter_set.validate(parameters), **runner)
    one = case if isinstance(case, EvalCase) else EvalCase(case)
    result = in_time(lambda: case_runner.run(CaseJob(one, 0, 0), events.append))
    return result, events


def case_id(event: Event) -> str | None:
    """Which case an event is about."""
    if isinstance(event, CaseFinished):
        return event.result.ref.id
    if isinstance(event, CaseStarted | CaseProgress | TaskFinished):
        return event.ref.id
    return None


def by_case(events: Sequence[Event]) -> dict[int, list[Event]]:
    """The events of each case, by the case's place in the data."""
    index = {e.ref.id: e.ref.index for e in events if isinstance(e, CaseStarted)}
    cases: dict[int, list[Event]] = {number: [] for number in sorted(index.values())}
    for event in events:
        id = case_id(event)
        if id is not None:
            cases[index[id]].append(event)
    return cases


def kinds(events: Iterable[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def results_of(events: Iterable[Event]) -> list[CaseResult]:
    """The results, in the order of the data."""
    results = [event.result for event in events if isinstance(event, CaseFinished)]
    return sorted(results, key=lambda result: (result.ref.index, result.ref.trial_index))


class Closing:
    """What a run calls when it has ended, and what had happened by then."""

    def __init__(self) -> None:
        self.happened = threading.Event()
        self.log: list[str] = []

    def __call__(self) -> None:
        self.log.append("closed")
        self.happened.set()


def consumed(run: Run, until: Callable[[Event], bool]) -> Iterator[Event]:
    """Consume a run up to an event; return the iterator, to be closed or read on."""
    events = iter(run)
    while not until(in_time(lambda: next(events))):
        pass
    return events


def disconnect(events: Iterator[Event]) -> None:
    """What a server does with a stream whose client has gone."""
    events.close()  # type: ignore[attr-defined]


def accuracy(output: Any) -> float:
    """A scorer."""
    return 0.5


def topic(output: Any) -> Any:
    """A classifier."""
    return {"id": "t", "label": "Topic"}


def throw(error: BaseException) -> Any:
    raise error


class Spans:
    """A tracer, and what it has recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = self._provider.get_tracer("tests")

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        """Every span that has ended, in the order in which they ended."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def tree(self) -> dict[str, Any]:
        """The spans as nested names; those of one parent by the time they started."""

        def below(parent: int | None) -> dict[str, Any]:
            children = [s for s in self.all if (s.parent.span_id if s.parent else None) == parent]
            children.sort(key=lambda span: span.start_time or 0)
            return {span.name: below(context_of(span).span_id) for span in children}

        return below(None)


def attribute(span: ReadableSpan, name: str) -> Any:
    """The attribute ``braintrust.<name>`` of a span, parsed where it is JSON; None if absent."""
    value = (span.attributes or {}).get(f"braintrust.{name}")
    return json.loads(value) if isinstance(value, str) else value


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def hex_id(span: ReadableSpan) -> str:
    return format_span_id(context_of(span).span_id)


def trace_id(span: ReadableSpan) -> int:
    return context_of(span).trace_id
