"""Outcomes as a page that needs nothing but a browser: no script, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.plain_values import clean_text
from flask_braintrust_evals.serialization import dumps_or_reason

from .case_texts import case_name
from .choice import is_failure, is_low
from .outcome import Outcome
from .summary_tables import metric_rows, score_rows

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.4 }
body { margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 0 0 1rem }
th, td { border-bottom: 1px solid #8886; padding: .25rem .75rem .25rem 0; text-align: right }
th:first-child, td:first-child { text-align: left }
details { border-bottom: 1px solid #8886; padding: .3rem 0 }
summary { cursor: pointer }
pre { overflow-x: auto; white-space: pre-wrap; word-break: break-word; margin: .2rem 0 .6rem }
.failed summary, .bad { color: #c22 }
.low summary { color: #a60 }
.good { color: #070 }
@media (prefers-color-scheme: dark) {
  .failed summary, .bad { color: #f88 }
  .low summary { color: #fb5 }
  .good { color: #7d7 }
}
"""


def html_report(outcomes: Sequence[Outcome]) -> str:
    """Return a page with all results. All texts of the data are escaped."""
    title = "Results: " + ", ".join(each.result.evaluator for each in outcomes)
    body = "\n".join(line for each in outcomes for line in _outcome(each))
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return clean_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>Results</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _outcome(outcome: Outcome) -> Iterable[str]:
    result = outcome.result
    mark = "good" if outcome.is_good else "bad"
    word = "passed" if outcome.is_good else "failed"
    yield f"<section>\n<h2>{escape(result.evaluator)}</h2>"
    yield f'<p><strong class="{mark}">{word}</strong>: {escape(result.head)}</p>'
    yield f"<p>{escape(outcome.started)}, {outcome.seconds:.1f} s</p>"
    lost = f"{outcome.lost_spans} spans could not be delivered" if outcome.lost_spans else None
    notes = [outcome.error, lost, result.summary.warning, *outcome.problems]
    texts = [*filter(None, notes), *result.notes, *outcome.remarks]
    if texts:
        yield f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
    for caption, rows in (("Scores", score_rows(outcome)), ("Metrics", metric_rows(outcome))):
        if rows:
            yield _table(caption, rows)
    if outcome.parameters:
        yield f"<h3>Parameters</h3>\n<pre>{escape(dumps_or_reason(outcome.parameters))}</pre>"
    yield "<h3>Cases</h3>"
    yield from (_case(each, outcome) for each in result.results)
    yield "</section>"


def _table(caption: str, rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in others
    )
    return f"<h3>{caption}</h3>\n<table><tr>{heads}</tr>{lines}</table>"


def _case(result: CaseResult, outcome: Outcome) -> str:
    kind = "failed" if is_failure(result) else "low" if is_low(result, outcome.limits) else "fine"
    scores = [
        f"{name} {'none' if score.score is None else format(score.score, '.4f')}"
        for name, score in result.scores.items()
    ]
    state = ["failed"] if result.error is not None else scores
    fields = {"Error": None if result.error is None else str(result.error)}
    if result.error is not None and result.error.place:
        fields["At"] = result.error.place
    fields |= {f"{name} failed": str(error) for name, error in result.scorer_errors.items()}
    fields["Input"] = dumps_or_reason(result.case.input)
    fields["Output"] = result.output_json
    if result.case.expected is not None:
        fields["Expected"] = dumps_or_reason(result.case.expected)
    fields["Metadata"] = dumps_or_reason(result.metadata) if result.metadata else None
    fields["Seconds"] = f"{result.duration:.3f}"
    shown = "".join(
        f"<div>{escape(name)}</div><pre>{escape(text)}</pre>"
        for name, text in fields.items()
        if text is not None
    )
    head = escape(f"{case_name(result)}: {', '.join(state)}" if state else case_name(result))
    return f'<details class="{kind}"><summary>{head}</summary>{shown}</details>'
