"""Scores in place of those that failed, from the evaluator's ``error_score_handler``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span

from flask_braintrust_evals.engine.running.user_code.user_code import UserCode
from flask_braintrust_evals.engine.tracing.eval_tracer import set_failure
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.scores import to_scores
from flask_braintrust_evals.texts.excerpts import excerpt


def add_error_scores(
    handler: Callable[..., Any] | None,
    failed: Sequence[str],
    result: CaseResult,
    span: Span,
    code: UserCode,
) -> None:
    """Add the scores that an ``error_score_handler`` gives for a case.

    Args:
        handler: see :class:`Evaluator`; ``None``: nothing is added.
        failed: the names of the scorers that gave nothing.
        result: what it is about; scores, or the handler's own failure, are added to it.
        span: the case's ``eval`` span.
        code: calls the handler.
    """
    if handler is None:
        return
    with code.within(span):
        try:
            given = code.call(
                functools.partial(handler, code.user_span(span), result.case, [*failed])
            )
            if given is not None and not isinstance(given, Mapping):
                raise TypeError(
                    "an error_score_handler must return a dict of scores by name, or None, not"
                    f" {excerpt(given)}"
                )
            for name, value in (given or {}).items():
                (score,) = to_scores({"name": name, "score": value}, name)
                result.scores.setdefault(name, score)
        except BaseException as error:
            set_failure(span, error)
            what = "error_score_handler"
            result.add_scorer_error(what, code.failure(what, error, result.ref))
