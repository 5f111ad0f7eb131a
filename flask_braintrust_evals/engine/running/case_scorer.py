"""Scores one case with scorers and classifiers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.tracing import attributes
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.tracing.eval_tracer import set_failure
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.scores import to_classifications, to_scores

from .score_names import name_scores
from .user_code import UserCode

FinishedSpans = Callable[[int], Sequence[ReadableSpan]]
"""Returns the spans of a running case that have ended, by the id of its trace."""

_SCORER_SPAN = {"purpose": "scorer"}
"""Lets Braintrust report the cost of scorers separately from that of the task."""


class CaseScorer:
    """One pass of scoring: some scorers and classifiers, called on the result of a task.

    A case may have several passes, such as that of the evaluator and that of the Playground's
    scorers. A pass needs the result and the span of the case, so that it may run in another process
    than the pass before.

    Args:
        scorers: the scorers of this pass, with names that no other scorer of the run has.
        classifiers: the classifiers of this pass.
        reserved_names: the names of the scorers of all passes.
        parameters: the run's validated parameters.
        code: calls them.
        finished_spans: for scorers that take ``trace``.
    """

    def __init__(
        self,
        scorers: Sequence[ScorerCall],
        classifiers: Sequence[ScorerCall],
        reserved_names: Sequence[str],
        parameters: Parameters,
        code: UserCode,
        finished_spans: FinishedSpans,
    ) -> None:
        self._scorers = scorers
        self._classifiers = classifiers
        self._reserved_names = reserved_names
        self._parameters = parameters
        self._code = code
        self._finished_spans = finished_spans

    def score(self, result: CaseResult, span: Span) -> list[str]:
        """Call the scorers and classifiers, unless the task failed.

        Args:
            result: what the task gave; scores, labels and failures are added to it.
            span: the case's ``eval`` span.

        Returns:
            the names of the scorers that gave no score because they, or the task, failed.
        """
        if result.error is not None:
            return [scorer.name for scorer in self._scorers]
        failed = [each.name for each in self._scorers if not self._score(each, result, span)]
        for classifier in self._classifiers:
            self._classify(classifier, result, span)
        return failed

    def _score(self, scorer: ScorerCall, result: CaseResult, parent: Span) -> bool:
        """Call one scorer; return whether it succeeded."""
        succeeded = False
        with self._span(scorer, "score", result, parent) as span:
            returned = self._call(scorer, result, parent)
            taken = (*self._reserved_names, *result.scores)
            scores = name_scores(to_scores(returned, scorer.name), scorer, taken)
            result.scores.update(scores)
            attributes.record_scores(span, list(scores.values()))
            succeeded = True
        return succeeded

    def _classify(self, classifier: ScorerCall, result: CaseResult, parent: Span) -> None:
        with self._span(classifier, "classifier", result, parent) as span:
            returned = self._call(classifier, result, parent)
            classifications = to_classifications(returned, classifier.name)
            for each in classifications:
                items = result.classifications.setdefault(each.name or classifier.name, [])
                items.append(each.as_item())
            attributes.record_classifications(span, classifications)

    @contextmanager
    def _span(
        self, scorer: ScorerCall, kind: str, result: CaseResult, parent: Span
    ) -> Iterator[Span]:
        """Start a span for one scorer or classifier; a failure inside is added to the result."""
        with self._code.span(scorer.name, kind, parent, _SCORER_SPAN) as span:
            try:
                yield span
            except BaseException as error:
                set_failure(span, error)
                what = f"{kind} {scorer.name!r}"
                failure = self._code.failure(what, error, result.ref)
                result.add_scorer_error(scorer.name, failure)

    def _call(self, scorer: ScorerCall, result: CaseResult, parent: Span) -> Any:
        return self._code.call(functools.partial(scorer, self._arguments(result, parent)))

    def _arguments(self, result: CaseResult, parent: Span) -> dict[str, Any]:
        trace_id = parent.get_span_context().trace_id
        return {
            "input": result.case.input,
            "output": result.output,
            "expected": result.case.expected,
            "metadata": result.metadata,
            "tags": result.tags,
            "id": result.case.id,
            "trace": CaseTrace(lambda: self._finished_spans(trace_id)),
            "parameters": self._parameters,
        }
