"""Metrics of a server, through the application's own OpenTelemetry meter provider.

Without a meter provider nothing is measured. Instruments are made once per process, since they
belong to the provider; what they observe is added up over all applications of the process.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.runs.probe import PROBE

from .run_observer import RunObserver
from .run_record import RunRecord

logger = logging.getLogger("flask_braintrust_evals")

EVALUATOR = "braintrust_evals.evaluator"
OUTCOME = "braintrust_evals.outcome"
SCORER = "braintrust_evals.scorer"
STATE = "braintrust_evals.state"
OTHER = "_OTHER"
"""Stands for all scorers that requests have named. Whatever is measured is kept for ever, by name.
"""
ERROR_TYPE = "error.type"
"""https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/"""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""The boundaries of the buckets of durations: from quick tasks to long runs."""


class Gauges(Protocol):
    """The numbers of what an application has under way."""

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return numbers by the name of the instrument, and a state or an empty text."""


GAUGES = {
    "braintrust_evals.run.active": ("{run}", "Runs that are under way"),
    "braintrust_evals.case.active": ("{case}", "Cases that run in this process"),
    "braintrust_evals.case.ordered": ("{case}", "Cases that are ordered from workers, by state"),
    "braintrust_evals.session.active": ("{session}", "Sessions of callers that are kept"),
}
_applications: weakref.WeakSet[Any] = weakref.WeakSet()


class _Instruments:
    """The instruments of the process."""

    def __init__(self) -> None:
        meter = metrics.get_meter("flask_braintrust_evals", __version__)
        for name, (unit, text) in GAUGES.items():
            meter.create_observable_up_down_counter(name, [_observing(name)], unit, text)
        self.runs = _histogram(meter, "braintrust_evals.run.duration", "Duration of runs")
        self.cases = _histogram(
            meter, "braintrust_evals.case.duration", "Duration of cases, scorers included"
        )
        self.scorer_failures = meter.create_counter(
            "braintrust_evals.scorer.failures",
            "{failure}",
            "Cases that a scorer or classifier has failed on",
        )
        self.lost_spans = meter.create_counter(
            "braintrust_evals.span.lost", "{span}", "Spans that could not be delivered"
        )


_made: _Instruments | None = None


class ServerMetrics(RunObserver):
    """The metrics of one application.

    Args:
        gauges: what it has under way.
    """

    def __init__(self, gauges: Gauges) -> None:
        global _made
        _applications.add(gauges)
        if _made is None:
            _made = _Instruments()
        self._instruments = _made
        self._has_failed = False

    def run_ended(self, record: RunRecord) -> None:
        if record.evaluator == PROBE.name or not _is_measured():
            return
        about = {EVALUATOR: record.evaluator, OUTCOME: record.outcome}
        if record.error_type is not None:
            about[ERROR_TYPE] = record.error_type
        with self._failure_logged():
            self._instruments.runs.record(record.duration, about)
            for scorer, count in record.summary.scorer_errors.items():
                name = scorer if scorer in record.own_scorers else OTHER
                self._instruments.scorer_failures.add(
                    count, {EVALUATOR: record.evaluator, SCORER: name}
                )
            if record.lost_spans:
                self._instruments.lost_spans.add(record.lost_spans, {EVALUATOR: record.evaluator})

    def case_observer(self, evaluator: str) -> Callable[[CaseResult], None] | None:
        if evaluator == PROBE.name or not _is_measured():
            return None
        cases = self._instruments.cases

        def note(result: CaseResult) -> None:
            about = {EVALUATOR: evaluator, OUTCOME: "finished"}
            if result.interrupted:
                about[OUTCOME] = "cancelled"
            elif result.error is not None:
                about |= {OUTCOME: "failed", ERROR_TYPE: result.error.type}
            with self._failure_logged():
                cases.record(result.duration, about)

        return note

    @contextmanager
    def _failure_logged(self) -> Iterator[None]:
        """Log what instruments raise, once: those of other providers than OpenTelemetry's may."""
        try:
            yield
        except Exception:
            if not self._has_failed:  # each case would have a traceback
                self._has_failed = True
                logger.exception("a metric could not be recorded; this is logged once")


def _is_measured() -> bool:
    """Return whether the application has a meter provider: without one, it is the API's own."""
    provider = type(metrics.get_meter_provider())
    return not provider.__module__.startswith("opentelemetry.metrics")


def _observing(name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(options: CallbackOptions) -> Iterable[Observation]:
        totals: dict[str, int] = {}
        for each in list(_applications):
            for (instrument, state), count in each.counts().items():
                if instrument == name:
                    totals[state] = totals.get(state, 0) + count
        return [Observation(n, {STATE: state} if state else {}) for state, n in totals.items()]

    return observe


def _histogram(meter: Any, name: str, text: str) -> Any:
    try:
        return meter.create_histogram(
            name, "s", text, explicit_bucket_boundaries_advisory=list(_SECONDS)
        )
    except TypeError:  # before OpenTelemetry 1.30, which cannot be advised
        return meter.create_histogram(name, "s", text)
