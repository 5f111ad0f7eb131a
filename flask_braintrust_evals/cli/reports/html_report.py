"""Outcomes as one page that any browser opens, without a server: the local page's own results."""

from __future__ import annotations

from collections.abc import Sequence

from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.stored_results.result_format import FORMAT, VERSION
from flask_braintrust_evals.playground.report_page import report
from flask_braintrust_evals.texts.safe_texts import clean_text

from .result_json import run_body


def html_report(outcomes: Sequence[Outcome]) -> str:
    """Return a page with all results and, where there is a baseline, with a comparison."""
    compared = [None if each.baseline is None else each.baseline.before for each in outcomes]
    body = {
        "format": FORMAT,
        "version": VERSION,
        "passed": all(each.is_good for each in outcomes),
        "runs": [run_body(each, spans=True) for each in outcomes],
        "compared_with": compared,
    }
    return clean_text(report(body))
