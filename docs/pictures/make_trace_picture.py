"""Draws one real trace as ``trace.svg``: python docs/pictures/make_trace_picture.py

The evaluator below stands for an application whose task searches a database and asks a model. Its
spans are those of the application's own tracer; the others are the extension's.
"""

from __future__ import annotations

import time
from html import escape
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor

OURS, THEIRS = "#4f6df5", "#e0912f"
ROW, LEFT, WIDTH, TOP = 34, 250, 620, 56

tracer = trace.get_tracer("the.application")


def answer(input: str) -> str:
    with tracer.start_as_current_span("SELECT articles"):
        time.sleep(0.03)
    with tracer.start_as_current_span("chat model"):
        time.sleep(0.09)
        with tracer.start_as_current_span("POST api.example.com"):
            time.sleep(0.06)
    return "yes"


def exact_match(output: str, expected: str) -> bool:
    time.sleep(0.01)
    return output == expected


def helpful(output: str) -> float:
    with tracer.start_as_current_span("chat judge"):
        time.sleep(0.07)
    return 0.9


def spans_of_one_case() -> list[ReadableSpan]:
    """Run one case and return its spans, in the order of their starts."""
    trace.set_tracer_provider(TracerProvider())
    processor = CaseSpanProcessor(install=False)
    processor.attach()
    found: list[ReadableSpan] = []
    collector = SpanCollector(processor, lambda spans: found.extend(span for span, _ in spans))
    runner = CaseRunner(
        Evaluator("answer", answer, scores=[exact_match, helpful]).plan,
        Parameters(),
        tracer=EvalTracer(collector.tracer),
    )
    cases = [{"input": "Is it?", "expected": "yes"}]
    for _ in Run(LocalExecutor(runner), cases, max_concurrency=1):
        pass
    return sorted(found, key=lambda span: span.start_time or 0)


def draw(spans: list[ReadableSpan]) -> str:
    """Return the spans as an SVG picture: a row each, indented by depth, a bar for its time."""
    began = min(span.start_time or 0 for span in spans)
    length = max(span.end_time or 0 for span in spans) - began
    depths: dict[int, int] = {}
    rows = []
    for index, span in enumerate(spans):
        context = span.get_span_context()
        assert context is not None
        depth = depths.get(span.parent.span_id, -1) + 1 if span.parent else 0
        depths[context.span_id] = depth
        left = LEFT + ((span.start_time or 0) - began) / length * WIDTH
        width = max(3.0, ((span.end_time or 0) - (span.start_time or 0)) / length * WIDTH)
        scope = span.instrumentation_scope
        ours = scope is not None and scope.name == "flask_braintrust_evals"
        top = TOP + index * ROW
        rows.append(
            f'<text x="{16 + depth * 18}" y="{top + 17}">{escape(span.name)}</text>'
            f'<rect x="{left:.0f}" y="{top + 4}" width="{width:.0f}" height="18" rx="4"'
            f' fill="{OURS if ours else THEIRS}"/>'
        )
    height = TOP + len(spans) * ROW + 10
    legend = (
        f'<rect x="{LEFT}" y="16" width="14" height="14" rx="3" fill="{OURS}"/>'
        f'<text x="{LEFT + 22}" y="28">recorded by the extension</text>'
        f'<rect x="{LEFT + 240}" y="16" width="14" height="14" rx="3" fill="{THEIRS}"/>'
        f'<text x="{LEFT + 262}" y="28">recorded by the application and its libraries</text>'
    )
    size = f'width="{LEFT + WIDTH + 24}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">'
        f'<rect {size} fill="#ffffff"/><g fill="#1d2330">{legend}{"".join(rows)}</g></svg>\n'
    )


def main() -> None:
    Path(__file__).with_name("trace.svg").write_text(draw(spans_of_one_case()), "utf-8")


if __name__ == "__main__":
    main()
