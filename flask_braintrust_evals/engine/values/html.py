"""The result of a run as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from .summary import MetricSummary, ScoreSummary


def as_html(
    head: str,
    scores: Mapping[str, ScoreSummary],
    metrics: Mapping[str, MetricSummary],
    problems: Iterable[str],
) -> str:
    """Return a line, a table of scores and metrics, and a list of problems, with texts escaped."""
    rows = [
        (name, "no score" if score.mean is None else f"{score.mean:.4f}", score.count)
        for name, score in scores.items()
    ]
    rows += [
        (name, f"{metric.mean:.4g} {metric.unit}", metric.count) for name, metric in metrics.items()
    ]
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td>{mean}</td><td>{count}</td></tr>"
        for name, mean, count in rows
    )
    listed = "".join(f"<li>{escape(line)}</li>" for line in problems)
    return (
        f"<p>{escape(head)}</p>"
        f"<table><tr><th></th><th>mean</th><th>cases</th></tr>{cells}</table>"
        + (f"<ul>{listed}</ul>" if listed else "")
    )
