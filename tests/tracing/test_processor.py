"""Which spans of the application's own tracers are taken for those of a case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    NoOpTracerProvider,
    Span,
    SpanContext,
    TraceFlags,
    Tracer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper


class Case:
    """A case of a run, and an application with a tracer provider of its own."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.processor = CaseSpanProcessor(install=False)
        provider = TracerProvider(sampler=sampler) if sampler else TracerProvider()
        provider.add_span_processor(self.processor)
        self.own: Tracer = provider.get_tracer("the.application")
        self.collector = SpanCollector(self.processor, lambda spans: None)
        self.span: Span = self.collector.tracer.start_span("eval")
        self.trace_id = self.span.get_span_context().trace_id

    def taken(self) -> list[str]:
        return [span.name for span in self.collector.of_case(self.trace_id)]

    def named_by_a_header(self) -> Context:
        """What an instrumented web framework makes of a request that names the case."""
        carrier: dict[str, str] = {}
        propagator = TraceContextTextMapPropagator()
        propagator.inject(carrier, trace.set_span_in_context(self.span))
        return propagator.extract(carrier, Context())


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.collector.close()


def test_spans_below_those_of_a_case_are_taken_at_any_depth(case: Case) -> None:
    with trace.use_span(case.span), case.own.start_as_current_span("a"):
        with case.own.start_as_current_span("b"), case.own.start_as_current_span("c"):
            pass
        inner = case.collector.tracer.start_span("of the case")
    with trace.use_span(inner):
        case.own.start_span("d").end()
    inner.end()
    assert case.taken() == ["c", "b", "a", "d", "of the case"]


def test_a_span_that_begins_after_the_one_above_it_has_ended_is_taken(case: Case) -> None:
    with trace.use_span(case.span):
        above = case.own.start_span("above")
    above.end()
    case.own.start_span("late", trace.set_span_in_context(above)).end()
    assert case.taken() == ["above", "late"]


def test_a_request_that_names_a_case_in_a_header_shows_none_of_its_spans(case: Case) -> None:
    remote = case.named_by_a_header()
    with case.own.start_as_current_span("request", remote) as request:
        assert request.get_span_context().trace_id == case.trace_id
        with case.own.start_as_current_span("SELECT"), case.own.start_as_current_span("below"):
            pass
    assert case.taken() == []


def test_ids_that_were_made_up_for_this_process_show_nothing(case: Case) -> None:
    ids = case.span.get_span_context()
    for span_id in (ids.span_id, 7):
        local = SpanContext(case.trace_id, span_id, False, TraceFlags(1))
        case.own.start_span("x", trace.set_span_in_context(NonRecordingSpan(local))).end()
    case.own.start_span("root", Context()).end()
    assert case.taken() == []


class DropsSome(Sampler):
    """Drops the spans that are named so, whatever is above them."""

    def should_sample(self, parent_context, trace_id, name, *args, **kwargs):  # type: ignore[no-untyped-def]
        dropped = name == "dropped"
        return SamplingResult(Decision.DROP if dropped else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "drops some"


def test_spans_below_one_that_was_dropped_are_not_taken() -> None:
    case = Case(DropsSome())
    with case.own.start_as_current_span("dropped", case.named_by_a_header()):
        case.own.start_span("SELECT").end()
    assert case.taken() == []


def test_nothing_is_kept_of_a_case_that_has_ended() -> None:
    case = Case()
    with trace.use_span(case.span):
        case.own.start_span("a").end()
    case.span.end()
    case.collector.close()
    assert not case.processor._taken and not case.processor._receivers
    case.own.start_span("late", trace.set_span_in_context(case.span)).end()
    assert not case.processor._taken


class ReplacesItsExporter(TracerProvider):
    """As Phoenix's: what is added takes the place of what was there."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        raise AssertionError("its own exporter is lost")


class WrapsAnother:
    """As Logfire's: no provider of the SDK itself, and set anew whenever it is configured."""

    def __init__(self) -> None:
        self.provider = TracerProvider()

    def get_tracer(self, name: str) -> Tracer:
        return self.provider.get_tracer(name)


@pytest.mark.parametrize("kind", [TracerProvider, ReplacesItsExporter, WrapsAnother])
def test_the_processor_is_added_to_any_provider_with_the_sdk_behind_it(
    kind: type[TracerProvider | WrapsAnother], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = kind()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def record(name: str) -> None:
        case.processor.attach()
        provider.get_tracer("the.application").start_span(name).end()

    with trace.use_span(case.span):
        record("first")
        record("second")
        if isinstance(provider, WrapsAnother):
            provider.provider = TracerProvider()
            record("configured anew")
    expected = ["first", "second", "configured anew"]
    assert case.taken() == expected[: 3 if kind is WrapsAnother else 2]


def test_no_processor_is_added_where_the_sdk_is_not_behind_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = NoOpTracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    made: list[Any] = []
    monkeypatch.setattr(trace, "set_tracer_provider", made.append)
    CaseSpanProcessor(install=True).attach()
    assert made == []


def test_a_span_is_told_from_those_that_are_not_delivered(case: Case) -> None:
    private = TracerProvider().get_tracer("of a library")
    delivers = case.processor.delivers
    with trace.use_span(case.span):
        own, foreign = case.own.start_span("own"), private.start_span("foreign")
    assert delivers(case.span.get_span_context()) and delivers(own.get_span_context())
    assert not delivers(foreign.get_span_context())
    assert not delivers(INVALID_SPAN_CONTEXT)


def test_a_span_that_cannot_be_recorded_does_not_fail_the_code_that_ends_it(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with trace.use_span(case.span), case.own.start_as_current_span("x") as span:
        span.update_name(5)  # type: ignore[arg-type]
    assert case.taken() == []
    assert [each.message for each in caplog.records] == [
        "a span cannot be recorded: AttributeError"
    ]


def test_a_case_that_begins_while_its_run_is_closed_is_not_watched_for_ever() -> None:
    class Keeper(SpanKeeper):
        def begin(self, trace_id: int) -> None:
            collector.close()

    processor = CaseSpanProcessor(install=False)
    collector = SpanCollector(processor, lambda spans: None, keeper=Keeper())
    collector.tracer.start_span("eval").end()
    assert processor._receivers == {}
