"""The metrics of a server, through the application's meter provider."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.web.monitoring import metrics
from flask_braintrust_evals.web.monitoring.metrics import ServerMetrics
from flask_braintrust_evals.web.monitoring.run_record import RunRecord

SCRIPT = """
import json
from flask import Flask
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from flask_braintrust_evals import EvalsBlueprint

bp = EvalsBlueprint()

@bp.evaluator(scores=[lambda output: 1 / output])
def halves(input):
    if input == 2:
        raise ValueError("no twos")
    if input == 3:
        seen.append({p["braintrust_evals.case.active"] for p in [now()]})
    return input

def now():
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    found[metric.name] = getattr(point, "value", None)
    return found

seen = []
app = Flask(__name__)
app.config["BRAINTRUST_EVALS_AUTH"] = "none"
app.register_blueprint(bp, url_prefix="/evals")
client = app.test_client()
reader = InMemoryMetricReader()
if %r == "before":
    metrics.set_meter_provider(MeterProvider([reader]))
cases = [{"input": n} for n in (0, 1, 2, 3)]
body = {"name": "halves", "data": {"data": cases}, "stream": False, "max_concurrency": 1}
client.get("/evals/")
if %r == "after":
    client.post("/evals/eval", json=body)
    seen.clear()
    metrics.set_meter_provider(MeterProvider([reader]))
client.post("/evals/eval", json=body)
points = []
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                value = getattr(point, "value", None)
                count = getattr(point, "count", None)
                points.append([metric.name, metric.unit, dict(point.attributes), value, count])
print(json.dumps([points, [list(each) for each in seen]]))
"""


def measured(when: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """What a run leaves, in a process of its own: a provider is set once per process."""
    script = SCRIPT % (when, when)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    points, seen = json.loads(ran.stdout)
    return points, seen


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_runs_cases_and_failures_are_measured(when: str) -> None:
    points, seen = measured(when)
    found = {
        (name, *sorted(about.items())): (value, count) for name, _, about, value, count in points
    }
    run = ("braintrust_evals.evaluator", "halves")
    finished = ("braintrust_evals.outcome", "finished")
    assert found["braintrust_evals.run.duration", run, finished][1] == 1
    assert found["braintrust_evals.case.duration", run, finished][1] == 3
    failed = ("braintrust_evals.outcome", "failed"), ("error.type", "ValueError")
    assert found["braintrust_evals.case.duration", run, failed[0], failed[1]][1] == 1
    scorer = ("braintrust_evals.scorer", "scorer_0")
    assert found["braintrust_evals.scorer.failures", run, scorer][0] == 1
    for name in ("run", "session"):
        assert found[f"braintrust_evals.{name}.active",][0] == 0
    assert found["braintrust_evals.case.active",][0] == 0
    assert seen == [[1]]
    units = {name: unit for name, unit, *_ in points}
    assert units["braintrust_evals.run.duration"] == "s"
    assert units["braintrust_evals.case.active"] == "{case}"


class Gauges:
    def counts(self) -> dict[tuple[str, str], int]:
        return {}


def test_scorers_that_requests_name_are_one_in_the_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added: list[tuple[int, dict[str, str]]] = []

    class Instrument:
        def record(self, value: float, about: dict[str, str]) -> None:
            pass

        def add(self, value: int, about: dict[str, str]) -> None:
            added.append((value, about))

    class Instruments:
        runs = scorer_failures = lost_spans = Instrument()

    monkeypatch.setattr(metrics, "_made", Instruments())
    monkeypatch.setattr(metrics, "_is_measured", lambda: True)
    errors = {"exact": 1, "theirs": 2, "x" * 500: 3}
    summary = RunSummary(cases=3, scorer_errors=errors)
    record = RunRecord("e", None, own_scorers=frozenset(["exact"]), summary=summary)
    ServerMetrics(Gauges()).run_ended(record)
    assert [(count, about["braintrust_evals.scorer"]) for count, about in added] == [
        (1, "exact"),
        (2, "_OTHER"),
        (3, "_OTHER"),
    ]


def test_instruments_that_raise_cost_no_run_and_are_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Instruments:
        runs = cases = object()  # with none of the methods

    monkeypatch.setattr(metrics, "_made", Instruments())
    monkeypatch.setattr(metrics, "_is_measured", lambda: True)
    measuring = ServerMetrics(Gauges())
    measuring.run_ended(RunRecord("e", None))
    note = measuring.case_observer("e")
    assert note is not None
    note(CaseResult(CaseRef("1", 0, 0, None), EvalCase(input=1)))
    assert caplog.messages == ["a metric could not be recorded; this is logged once"]
