"""Scores one case: its scorers, its classifiers, and what gives scores where scorers could not."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span

from . import case_spans
from .calls.signatures import ScorerCall, apart, free_name
from .case_trace import CaseTrace
from .evaluator import Evaluator
from .parameters.values import Parameters
from .score_names import ScoreNames
from .tracing import set_failure
from .user_code import UserCode
from .values.results import CaseResult
from .values.scores import to_classifications, to_scores

_BELOW_SCORERS = {"purpose": "scorer"}
"""By this Braintrust tells what scorers cost from what the task costs."""


class CaseScorer:
    """What scoring the cases of one run has in common.

    Args:
        evaluator: whose scorers and classifiers.
        parameters: the run's validated parameters.
        extra_scorers: scorers beside the evaluator's own, called with the same arguments.
        code: how they are called.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        parameters: Parameters,
        extra_scorers: Sequence[ScorerCall],
        code: UserCode,
    ) -> None:
        self._parameters = parameters
        self._scorers = apart((*evaluator.scorer_calls, *extra_scorers))
        self._names = ScoreNames(self._scorers)
        self._classifiers = evaluator.classifier_calls
        self._error_score_handler = evaluator.error_score_handler
        self._code = code

    def score(self, result: CaseResult, span: Span) -> list[str]:
        """Run scorers and classifiers on a result, unless its task failed.

        Args:
            result: what the task gave; scores, labels and failures are added to it.
            span: the case's ``eval`` span.

        Returns:
            the names of the scorers that gave nothing.
        """
        if result.error is not None:
            return [scorer.name for scorer in self._scorers]
        failed = [each.name for each in self._scorers if not self._score(each, result, span)]
        for classifier in self._classifiers:
            self._classify(classifier, result, span)
        return failed

    def handle_errors(self, failed: list[str], result: CaseResult, span: Span) -> None:
        """Let the evaluator's own handler, if any, give scores in place of scorers that failed."""
        if self._error_score_handler is None or not failed:
            return
        with self._code.within(span):
            try:
                shown = self._code.shown(span)
                handler = functools.partial(self._error_score_handler, shown, result.case, failed)
                given = self._code.call(handler)
                if given is not None and not isinstance(given, Mapping):
                    raise TypeError(
                        "an error_score_handler must return a dict of scores by name, or None, not"
                        f" {given!r}"
                    )
                for name, value in (given or {}).items():
                    (score,) = to_scores({"name": name, "score": value}, name)
                    result.scores.setdefault(name, score)
            except BaseException as error:
                set_failure(span, error)
                self._keep_failure("error_score_handler", "error_score_handler", error, result)

    def _score(self, scorer: ScorerCall, result: CaseResult, parent: Span) -> bool:
        scored = False
        with self._scoring(scorer, "score", result, parent) as span:
            returned = self._code.call(functools.partial(scorer, self._arguments(result, parent)))
            scores = to_scores(returned, scorer.name)
            self._names.name(scores, scorer.name)
            result.scores.update({score.name: score for score in scores})
            case_spans.record_scores(span, scores)
            scored = True
        return scored

    def _classify(self, classifier: ScorerCall, result: CaseResult, parent: Span) -> None:
        with self._scoring(classifier, "classifier", result, parent) as span:
            returned = self._code.call(
                functools.partial(classifier, self._arguments(result, parent))
            )
            classifications = to_classifications(returned, classifier.name)
            for each in classifications:
                items = result.classifications.setdefault(each.name or classifier.name, [])
                items.append(each.as_item())
            case_spans.record_classifications(span, classifications)

    @contextmanager
    def _scoring(
        self, scorer: ScorerCall, kind: str, result: CaseResult, parent: Span
    ) -> Iterator[Span]:
        """A span for one scorer or classifier, whose failure is kept here."""
        with self._code.span(scorer.name, kind, parent, _BELOW_SCORERS) as span:
            try:
                yield span
            except BaseException as error:
                set_failure(span, error)
                self._keep_failure(scorer.name, f"{kind} {scorer.name!r}", error, result)

    def _keep_failure(self, name: str, what: str, error: BaseException, result: CaseResult) -> None:
        # A classifier may have the name of a scorer.
        free = free_name(name, set(result.scorer_errors))
        result.scorer_errors[free] = self._code.failure(what, error, result.ref)

    def _arguments(self, result: CaseResult, parent: Span) -> dict[str, Any]:
        trace_id = parent.get_span_context().trace_id
        return {
            "input": result.case.input,
            "output": result.output,
            "expected": result.case.expected,
            "metadata": result.metadata,
            "tags": result.tags,
            "id": result.case.id,
            "trace": CaseTrace(lambda: self._code.tracing.finished(trace_id)),
            "parameters": self._parameters,
        }
