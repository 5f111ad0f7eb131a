"""Measures what tracing costs per case, in microseconds of this process's processor time.

    python -m benchmarks.tracing_cost [--cases 2000] [--rounds 5]

The case is an empty task with one scorer: three spans. It is run without spans, with spans that are
discarded, with spans that are encoded and discarded, and with spans that are sent to a server in
another process which discards them. Each figure is the median of several rounds. The table shows
what each step adds to the one before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.user_session import Organization, UserSession
from flask_braintrust_evals.cloud.tracing.encoder import OtlpEncoder
from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.semconv import PARENT

PARENT_VALUE = "experiment_id:00000000-0000-0000-0000-000000000000"

SINK = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Spans:
    """The tracing of one variant.

    Attributes:
        collector: collects them.
        end: called when the run has ended.
    """

    collector: SpanCollector
    end: Callable[[], None]


def discarded(processor: CaseSpanProcessor) -> Spans:
    """Record spans, and discard them when their case ends."""
    collector = SpanCollector(processor, lambda spans: None)
    return Spans(collector, collector.close)


def encoded(processor: CaseSpanProcessor) -> Spans:
    """Encode spans, and discard the bytes."""
    encoder = OtlpEncoder()
    collector = SpanCollector(processor, lambda spans: [*encoder.encode(spans)].clear())
    return Spans(collector, collector.close)


def sent(session: UserSession, processor: CaseSpanProcessor) -> Spans:
    """Send spans, as the server does."""
    pipeline = SpanPipeline(session, PARENT_VALUE, processor, 30)

    def end() -> None:
        pipeline.flush()
        assert pipeline.lost == 0
        pipeline.close()

    return Spans(pipeline.collector, end)


def one(output: Any) -> float:
    return 1.0


EVALUATOR = Evaluator("empty", lambda input: input, scores=[one])


def run(cases: int, spans: Spans | None) -> None:
    """Run the evaluator once, as the server does."""
    if spans is None:
        runner = CaseRunner(EVALUATOR.plan, Parameters())
    else:
        tracer = EvalTracer(spans.collector.tracer, {PARENT: PARENT_VALUE})
        runner = CaseRunner(EVALUATOR.plan, Parameters(), tracer=tracer, collector=spans.collector)
    data = [{"input": n} for n in range(cases)]
    for _ in Run(LocalExecutor(runner), data, max_concurrency=10):
        pass
    if spans is not None:
        spans.end()


def cost(cases: int, make: Callable[[], Spans | None]) -> float:
    """Return microseconds of processor time per case."""
    began = time.process_time()
    run(cases, make())
    return (time.process_time() - began) / cases * 1e6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    sink = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        report(measure(options.cases, options.rounds, url))
    finally:
        sink.terminate()
        sink.wait()


def measure(cases: int, rounds: int, url: str) -> dict[str, float]:
    """Return the median cost of each variant."""
    session = UserSession(
        CloudClient(Token("none"), 30, AddressRules.of([url])),
        Organization("id", "org"),
        url,
        url,
        url,
    )
    processor = CaseSpanProcessor(install=False)
    variants: dict[str, Callable[[], Spans | None]] = {
        "running": lambda: None,
        "recording": lambda: discarded(processor),
        "encoding": lambda: encoded(processor),
        "sending": lambda: sent(session, processor),
    }
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):  # alternating, so that other load affects all variants
        for name, make in variants.items():
            figures[name].append(cost(cases, make))
    session.close()
    return {name: statistics.median(values) for name, values in figures.items()}


def report(costs: dict[str, float]) -> None:
    """Print what each step adds."""
    before = 0.0
    for name, total in costs.items():
        sys.stdout.write(f"{name:10} {total - before:8.1f} us per case\n")
        before = total
    sys.stdout.write(f"{'together':10} {before:8.1f} us per case\n")


if __name__ == "__main__":
    main()
