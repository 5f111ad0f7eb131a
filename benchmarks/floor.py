"""Measures the floor: the cost of those parts that no server of this kind can leave out.

    python -m benchmarks.floor [--cases 5000]

For each case, the stock OpenTelemetry SDK makes three spans with the attributes that a case with
one scorer has, and the case's events are written as text; the spans are encoded as OTLP, 500 at a
time. No task is called, nothing waits, and nothing is sent. Prints seconds of processor time per
case, and bytes of spans per case, as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import orjson
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer, format_span_id, set_span_in_context

from .scenarios import GENERATION, PLAYGROUND

BATCH = 500
PARENT = f"playground_id:{PLAYGROUND}"


class Collect(SpanProcessor):
    """Keeps the spans that have ended, and encodes them in batches."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)
        if len(self._ended) >= BATCH:
            self.encode()

    def encode(self) -> None:
        if self._ended:
            self.bytes += len(encode_spans(self._ended).SerializeToString())
        self._ended = []


def start(tracer: Tracer, name: str, kind: dict[str, str], parent: Context) -> Span:
    kinds = orjson.dumps({"generation": GENERATION, "type": name, "name": name, **kind}).decode()
    attributes = {"braintrust.parent": PARENT, "braintrust.span_attributes": kinds}
    span = tracer.start_span(name, parent, attributes=attributes)
    assert isinstance(span, Span)
    return span


def event(id: str, kind: str, data: str) -> bytes:
    body = orjson.dumps(
        {
            "id": id,
            "object_type": "task",
            "name": "empty",
            "format": "code",
            "output_type": "completion",
            "event": kind,
            "data": data,
        }
    ).decode()
    return f"event: progress\ndata: {body}\n\n".encode()


def case(tracer: Tracer, number: int) -> int:
    """Record one case; return the number of bytes of its events."""
    value = orjson.dumps(number).decode()
    root = start(tracer, "eval", {}, Context())
    root.set_attribute("braintrust.input_json", value)
    root.set_attribute("braintrust.expected_json", value)
    below = set_span_in_context(root, Context())
    task = start(tracer, "task", {}, below)
    task.set_attribute("braintrust.input_json", value)
    task.set_attribute("braintrust.expected_json", value)
    task.set_attribute("braintrust.output_json", value)
    task.end()
    score = start(tracer, "one", {"type": "score", "purpose": "scorer"}, below)
    score.set_attribute("braintrust.output_json", orjson.dumps({"score": 1.0}).decode())
    score.set_attribute("braintrust.scores", orjson.dumps({"one": 1.0}).decode())
    score.end()
    root.set_attribute("braintrust.output_json", value)
    root.end()
    id = format_span_id(root.context.span_id)
    return len(event(id, "json_delta", value)) + len(event(id, "done", ""))


def measure(cases: int) -> dict[str, float]:
    collect = Collect()
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(collect)
    tracer = provider.get_tracer("floor")
    for number in range(cases // 10):  # a warm-up
        case(tracer, number)
    collect.encode()
    collect.bytes = 0
    began = time.process_time()
    for number in range(cases):
        case(tracer, number)
    collect.encode()
    used = time.process_time() - began
    return {"cpu_per_case": used / cases, "span_bytes_per_case": collect.bytes / cases}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=5000)
    sys.stdout.write(json.dumps(measure(arguments.parse_args().cases)) + "\n")


if __name__ == "__main__":
    main()
